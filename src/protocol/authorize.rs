//! The authorization request: what a client asks a person for, or why it is refused (OAuth 2.1 §4.1.1, §4.1.2.1).

use url::form_urlencoded;

use super::client::Client;
use super::error::{ErrorCode, OAuthError};
use super::form::Form;
use super::ids::ClientId;
use super::pkce::Challenge;
use super::redirect_uri::RegisteredRedirect;
use super::resource_indicator::Resources;
use super::scope::ScopeSet;
use super::session::AuthorizationRequest;
use crate::secret::Secret;

/// Where the answer to an authorization request goes, with what every answer carries: no answer can forget `state` or
/// `iss`, and none can go to an unregistered URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAddress {
    redirect: RegisteredRedirect,
    state: Option<String>,
    issuer: String,
}

impl ReturnAddress {
    /// The address of the client whose registered redirect this is.
    #[must_use]
    pub fn new(redirect: RegisteredRedirect, state: Option<String>, issuer: &str) -> Self {
        Self {
            redirect,
            state,
            issuer: issuer.to_owned(),
        }
    }

    /// The registered redirect.
    #[must_use]
    pub fn redirect(&self) -> &RegisteredRedirect {
        &self.redirect
    }

    /// The URL that brings the client its code (OAuth 2.1 §4.1.2).
    #[must_use]
    pub fn answer(&self, code: &Secret) -> String {
        self.with(&[("code", code.expose())])
    }

    /// The URL that tells the client why not (OAuth 2.1 §4.1.2.1).
    #[must_use]
    pub fn refuse(&self, error: &OAuthError) -> String {
        self.with(&[
            ("error", error.code.as_str()),
            ("error_description", error.description),
        ])
    }

    /// The redirect URI byte for byte, with the parameters behind whatever query it has.
    fn with(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = self.redirect.as_str().to_owned();
        if !url.contains('?') {
            url.push('?');
        } else if !url.ends_with(['?', '&']) {
            url.push('&');
        }
        let start = url.len();
        form_urlencoded::Serializer::for_suffix(url, start)
            .extend_pairs(parameters)
            .extend_pairs(self.state.iter().map(|state| ("state", state)))
            // RFC 9207 §2: on errors too.
            .append_pair("iss", &self.issuer)
            .finish()
    }
}

/// Why an authorization request stops, and who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Shown to the person at the browser: there is nobody else to tell.
    Page(OAuthError),
    /// Meant for the client. Cannot be built without a registered redirect URI.
    Redirect(Box<ReturnAddress>, OAuthError),
}

/// What this server has to give.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// The issuer identifier.
    pub issuer: &'a str,
    /// The resources that tokens can be for.
    pub resources: &'a Resources,
    /// All scopes that exist, `offline_access` included.
    pub scopes: &'a ScopeSet,
    /// What a client gets that asks for nothing.
    pub default_scopes: &'a ScopeSet,
}

/// Who asks. It is read first: without a known client nothing else of the request means anything.
///
/// # Errors
/// `invalid_request`, for the person.
pub fn client_id(form: &Form) -> Result<ClientId, OAuthError> {
    let id = form.one("client_id")?;
    id.map(ClientId::new)
        .ok_or(ErrorCode::InvalidRequest.with("client_id is missing"))
}

/// Whether the client wants the person to be asked even where a consent is remembered (`prompt=consent`).
#[must_use]
pub fn demands_consent(form: &Form) -> bool {
    prompts(form, "consent")
}

/// Checks an authorization request of `client`: first where an answer may go, then all else.
///
/// # Errors
/// A page while there is no place to answer to, a redirect afterwards (OAuth 2.1 §4.1.2.1).
pub fn check(
    form: &Form,
    client: &Client,
    offered: &Offered<'_>,
) -> Result<AuthorizationRequest, Refusal> {
    let chosen = form
        .one("redirect_uri")
        .and_then(|requested| client.redirect_uri(requested))
        .map_err(Refusal::Page)?;
    let state = read_state(form);
    // An answer repeats the state only if it is one; without it the client refuses the answer, as it should.
    let returned = state.clone().unwrap_or_default();
    let address = ReturnAddress::new(chosen.redirect.clone(), returned, offered.issuer);
    let refused = |error| Refusal::Redirect(Box::new(address.clone()), error);

    let state = state.map_err(refused)?;
    check_manner(form).map_err(refused)?;
    let challenge = read_challenge(form).map_err(refused)?;
    let resource = offered.resources.choose(form.all("resource"));
    let scopes = choose_scopes(form, offered).map_err(refused)?;
    Ok(AuthorizationRequest {
        client_id: client.id.clone(),
        redirect: chosen.redirect,
        redirect_was_sent: chosen.was_sent,
        state,
        challenge,
        resource: resource.map_err(refused)?.to_owned(),
        scopes,
    })
}

/// The scope with which some clients ask for a refresh token (OpenID Connect Core 1.0 §11). It opens nothing.
const OFFLINE_ACCESS: &str = "offline_access";

/// Bytes of a `state`; real ones go beyond 1 KiB.
const LONGEST_STATE: usize = 4096;

fn read_state(form: &Form) -> Result<Option<String>, OAuthError> {
    match form.one("state")? {
        Some(state) if state.len() > LONGEST_STATE => {
            Err(ErrorCode::InvalidRequest.with("state may have 4096 bytes at most"))
        }
        state => Ok(state.map(str::to_owned)),
    }
}

/// How the client wants to be answered.
fn check_manner(form: &Form) -> Result<(), OAuthError> {
    form.check_no_repeats(&["resource"])?;
    // RFC 9101 §5: whoever sends a request object means it, and not the parameters beside it.
    if form.one("request")?.is_some() {
        return Err(ErrorCode::RequestNotSupported.with("request objects are not supported"));
    }
    if form.one("request_uri")?.is_some() {
        return Err(ErrorCode::RequestUriNotSupported.with("request_uri is not supported"));
    }
    match form.one("response_type")? {
        Some("code") => {}
        Some(_) => {
            return Err(ErrorCode::UnsupportedResponseType.with("response_type must be code"));
        }
        None => return Err(ErrorCode::InvalidRequest.with("response_type is missing")),
    }
    if form
        .one("response_mode")?
        .is_some_and(|mode| mode != "query")
    {
        return Err(ErrorCode::InvalidRequest.with("response_mode must be query, or be left out"));
    }
    // OpenID Connect Core 1.0 §3.1.2.1: no page may be shown then, and nothing is granted here without one.
    if prompts(form, "none") {
        return Err(ErrorCode::InteractionRequired
            .with("prompt=none cannot be met: the person is always asked"));
    }
    Ok(())
}

fn prompts(form: &Form, what: &str) -> bool {
    let prompt = form.one("prompt").ok().flatten().unwrap_or_default();
    prompt.split(' ').any(|asked| asked == what)
}

fn read_challenge(form: &Form) -> Result<Challenge, OAuthError> {
    Challenge::parse(
        form.one("code_challenge")?,
        form.one("code_challenge_method")?,
    )
}

/// What may be granted: what is asked for and exists, the default where nothing is asked for (RFC 6749 §3.3).
fn choose_scopes(form: &Form, offered: &Offered<'_>) -> Result<ScopeSet, OAuthError> {
    let asked = ScopeSet::parse(form.one("scope")?.unwrap_or_default())
        .ok_or(ErrorCode::InvalidScope.with("scope holds a character that no scope may have"))?;
    let known = asked.intersection(offered.scopes);
    let means_something =
        |scopes: &ScopeSet| scopes.iter().any(|one| one.as_str() != OFFLINE_ACCESS);
    if !means_something(&asked) {
        return Ok(known.union(offered.default_scopes));
    }
    if !means_something(&known) {
        return Err(ErrorCode::InvalidScope.with("none of the scopes asked for exists here"));
    }
    Ok(known)
}
