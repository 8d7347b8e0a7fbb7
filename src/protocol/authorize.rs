//! The authorization request and its answers (RFC 6749 §4.1.1, §4.1.2; RFC 9207).

use url::form_urlencoded;

use super::allowance;
use super::client::Client;
use super::error::{ErrorCode, OAuthError};
use super::form::Form;
use super::ids::ClientId;
use super::pkce::Challenge;
use super::redirect_uri::RegisteredRedirect;
use super::resource_indicator::Resources;
use super::session::AuthorizationRequest;
use crate::secret::Secret;

/// Where the answer to an authorization request goes. Every answer carries `iss` and, byte for byte, the client's
/// `state` (RFC 9207 §2): there is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAddress {
    redirect: RegisteredRedirect,
    state: Option<String>,
    issuer: String,
}

/// Why an authorization request stops, and who is told (RFC 6749 §4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Shown to the person at the browser: there is nobody else to tell.
    Page(OAuthError),
    /// For the client. Cannot be built without a registered redirect URI.
    Redirect(Box<ReturnAddress>, OAuthError),
}

/// What this server has to offer.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The MCP servers.
    pub resources: &'a Resources,
    /// Hosts where the answers of clients that are not of the configuration may go; empty: any.
    pub redirect_hosts: &'a [String],
}

const LONGEST_STATE: usize = 4096;

impl ReturnAddress {
    /// An address; `redirect` was found among those that the client registered.
    #[must_use]
    pub fn new(redirect: RegisteredRedirect, state: Option<String>, issuer: &str) -> Self {
        Self {
            redirect,
            state,
            issuer: issuer.to_owned(),
        }
    }

    /// Where it leads.
    #[must_use]
    pub fn redirect(&self) -> &RegisteredRedirect {
        &self.redirect
    }

    /// The address with a code (RFC 6749 §4.1.2).
    #[must_use]
    pub fn answer(&self, code: &Secret) -> String {
        self.with(&[("code", code.expose())])
    }

    /// The address with an error (RFC 6749 §4.1.2.1).
    #[must_use]
    pub fn refuse(&self, error: &OAuthError) -> String {
        self.with(&[
            ("error", error.code.as_str()),
            ("error_description", error.description),
        ])
    }

    fn with(&self, parameters: &[(&str, &str)]) -> String {
        let uri = self.redirect.as_str();
        let between = match uri.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", &self.issuer);
        format!("{uri}{between}{}", query.finish())
    }
}

/// Who asks.
///
/// # Errors
/// `invalid_request` where `client_id` is missing or doubled: for the person, since nobody else is known yet.
pub fn client_id(form: &Form) -> Result<ClientId, OAuthError> {
    form.one("client_id")?
        .map(ClientId::new)
        .ok_or(ErrorCode::InvalidRequest.with("client_id is missing"))
}

/// Reads the rest of the request, in the order of OAuth 2.1 §4.1.2.1: until the redirect URI is known to be the
/// client's, what is wrong is shown to the person; after it, the client is told.
///
/// # Errors
/// See [`Refusal`].
pub fn check(
    form: &Form,
    client: &Client,
    offered: &Offered<'_>,
) -> Result<AuthorizationRequest, Refusal> {
    let redirect = form
        .one("redirect_uri")
        .and_then(|requested| client.redirect_uri(requested))
        .and_then(|redirect| allowance::check_host(redirect, client, offered))
        .map_err(Refusal::Page)?;
    let state = state(form);
    let address = ReturnAddress::new(
        redirect.clone(),
        state.ok().flatten().map(str::to_owned),
        offered.issuer,
    );
    let rest = || -> Result<AuthorizationRequest, OAuthError> {
        check_form(form)?;
        let challenge = Challenge::parse(
            form.one("code_challenge")?,
            form.one("code_challenge_method")?,
        )?;
        let resource = offered.resources.choose(form.all("resource"))?;
        Ok(AuthorizationRequest {
            client_id: client.id.clone(),
            redirect,
            state: state?.map(str::to_owned),
            challenge,
            resource: resource.identifier.clone(),
            scopes: allowance::scopes(form.one("scope")?, client, resource)?,
            fingerprint: client.fingerprint(),
        })
    };
    rest().map_err(|error| Refusal::Redirect(Box::new(address), error))
}

/// The client's `state`, if there is no doubt which, and not too much of it to be sent back.
fn state(form: &Form) -> Result<Option<&str>, OAuthError> {
    match form.one("state")? {
        Some(state) if state.len() > LONGEST_STATE => {
            Err(ErrorCode::InvalidRequest.with("state is longer than 4096 bytes"))
        }
        state => Ok(state),
    }
}

/// What is said once, and what we do not do.
fn check_form(form: &Form) -> Result<(), OAuthError> {
    form.check_no_repeats(&["resource"])?;
    if form.one("request")?.is_some() {
        return Err(ErrorCode::RequestNotSupported.with("request objects are not supported"));
    }
    if form.one("request_uri")?.is_some() {
        return Err(ErrorCode::RequestUriNotSupported.with("request_uri is not supported"));
    }
    match form.one("response_type")? {
        Some("code") => {}
        None => return Err(ErrorCode::InvalidRequest.with("response_type is missing")),
        Some(_) => {
            return Err(ErrorCode::UnsupportedResponseType.with("response_type must be code"));
        }
    }
    if form
        .one("response_mode")?
        .is_some_and(|mode| mode != "query")
    {
        return Err(ErrorCode::InvalidRequest.with("response_mode must be query"));
    }
    // OpenID Connect Core §3.1.2.1: `none` forbids every page, and consent is always asked for on one
    let prompt = form.one("prompt")?.unwrap_or_default();
    if prompt.split(' ').any(|asked| asked == "none") {
        return Err(ErrorCode::AccessDenied.with("consent is needed, and prompt is none"));
    }
    Ok(())
}

/// The scope by which clients ask for a refresh token (`OpenID` Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::client::{ClientAuthentication, ClientSource};
    use crate::protocol::redirect_uri::RedirectUri;
    use crate::protocol::resource_indicator::Resource;
    use crate::protocol::scope::ScopeSet;

    fn resource() -> Resource {
        Resource {
            identifier: "https://mcp.example.com/mcp".to_owned(),
            scopes: ScopeSet::parse("a b c offline_access").unwrap(),
            default_scopes: ScopeSet::parse("a b").unwrap(),
        }
    }

    const GOOD: &str = "client_id=c&redirect_uri=https://a.example/cb?x=1&response_type=code&state=s\
                        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

    fn read(query: &str) -> Result<AuthorizationRequest, Refusal> {
        let client = Client {
            id: ClientId::new("c"),
            name: None,
            uri: None,
            logo: None,
            redirect_uris: [
                "https://a.example/cb?x=1",
                "http://localhost/cb",
                "app.a:/cb",
            ]
            .map(|uri| RedirectUri::parse(uri).unwrap())
            .to_vec(),
            authentication: ClientAuthentication::None,
            refreshes: true,
            scopes: None,
            source: ClientSource::Known,
        };
        let offered = Offered {
            issuer: "https://mcp.example.com",
            resources: &Resources::new(vec![resource()]),
            redirect_hosts: &[],
        };
        check(&Form::parse(query.as_bytes()).unwrap(), &client, &offered)
    }

    /// AUTHZ-02, AUTHZ-04, R1
    #[test]
    fn without_a_registered_redirect_uri_there_is_nobody_to_tell() {
        for query in [
            GOOD.replace("a.example", "evil.example"),
            GOOD.replace("redirect_uri=https://a.example/cb?x=1&", ""),
            GOOD.replace(
                "&response_type",
                "&redirect_uri=http://localhost/cb&response_type",
            ),
            GOOD.replace("cb?x=1", "cb?x=1%00").replace("%00", "%20"),
            format!("{GOOD}&redirect_uri="),
            format!("redirect_uri=&{GOOD}"),
            GOOD.replace("https://a.example/cb?x=1", "http://localhost:5/other"),
        ] {
            assert!(matches!(read(&query), Err(Refusal::Page(_))), "{query}");
        }
    }

    /// AUTHZ-01, AUTHZ-07, AUTHZ-08, AUTHZ-10, AUTHZ-12, AUTHZ-13, AUTHZ-17, AUTHZ-21
    #[test]
    fn everything_else_that_is_wrong_is_for_the_client_with_state_and_iss() {
        for (query, error) in [
            (GOOD.replace("&response_type=code", ""), "invalid_request"),
            (
                GOOD.replace("=code&", "=token&"),
                "unsupported_response_type",
            ),
            (GOOD.replace("=S256", "=plain"), "invalid_request"),
            (
                GOOD.replace("&code_challenge_method=S256", ""),
                "invalid_request",
            ),
            (
                format!("{GOOD}&code_challenge_method=S256"),
                "invalid_request",
            ),
            (format!("{GOOD}&x=1&x=2"), "invalid_request"),
            (format!("{GOOD}&response_mode=fragment"), "invalid_request"),
            (format!("{GOOD}&request=x"), "request_not_supported"),
            (format!("{GOOD}&request_uri=x"), "request_uri_not_supported"),
            (
                format!("{GOOD}&resource=https://evil.example/mcp"),
                "invalid_target",
            ),
            (format!("{GOOD}&scope=x%20y"), "invalid_scope"),
            (format!("{GOOD}&scope=a%22"), "invalid_scope"),
            (format!("{GOOD}&prompt=none"), "access_denied"),
            (format!("{GOOD}&prompt=login+none"), "access_denied"),
            (
                format!(
                    "{GOOD}&resource=https://mcp.example.com/mcp&resource=https://mcp.example.com/b"
                ),
                "invalid_target",
            ),
        ] {
            let Err(Refusal::Redirect(address, refused)) = read(&query) else {
                panic!("{query}");
            };
            assert_eq!(refused.code.as_str(), error, "{query}");
            let url = address.refuse(&refused);
            assert!(url.starts_with("https://a.example/cb?x=1&error="), "{url}");
            assert!(
                url.ends_with("&state=s&iss=https%3A%2F%2Fmcp.example.com"),
                "{url}"
            );
        }
    }

    /// AUTHZ-10, AUTHZ-12, AUTHZ-13, AUTHZ-14, AUTHZ-15
    #[test]
    fn what_is_granted_is_what_is_asked_for_as_far_as_it_exists() {
        for (scope, granted) in [
            ("", "a b"),
            ("&scope=", "a b"),
            ("&scope=+", "a b"),
            ("&scope=c", "c"),
            ("&scope=+a++c+unknown", "a c"),
            ("&scope=offline_access", "a b offline_access"),
            (
                "&scope=offline_access+c&prompt=consent&login_hint=x",
                "c offline_access",
            ),
        ] {
            let request = read(&format!("{GOOD}{scope}")).unwrap();
            assert_eq!(request.scopes.to_string(), granted, "{scope}");
            assert_eq!(request.resource, "https://mcp.example.com/mcp");
        }
    }

    /// AUTHZ-01, AUTHZ-02
    #[test]
    fn a_client_is_named_once() {
        for (query, id) in [
            ("client_id=c&x=1", Ok(ClientId::new("c"))),
            (
                "client_id=https%3A%2F%2Fa.example%2Fc",
                Ok(ClientId::new("https://a.example/c")),
            ),
            ("", Err(ErrorCode::InvalidRequest)),
            ("client_id=", Err(ErrorCode::InvalidRequest)),
            ("client_id=c&client_id=d", Err(ErrorCode::InvalidRequest)),
            ("client_id=&client_id=d", Err(ErrorCode::InvalidRequest)),
        ] {
            let form = Form::parse(query.as_bytes()).unwrap();
            assert_eq!(client_id(&form).map_err(|error| error.code), id, "{query}");
        }
    }

    /// AUTHZ-01, AUTHZ-09
    #[test]
    fn a_state_is_returned_unless_nobody_can_tell_which() {
        let long = |length| GOOD.replace("state=s", &format!("state={}", "x".repeat(length)));
        assert_eq!(read(&long(4096)).unwrap().state.unwrap().len(), 4096);
        for (query, returned) in [
            (long(4097), false),
            (format!("{GOOD}&state=t"), false),
            (format!("{GOOD}&x&x"), true),
        ] {
            let Err(Refusal::Redirect(address, refused)) = read(&query) else {
                panic!("{query}");
            };
            assert_eq!(refused.code, ErrorCode::InvalidRequest);
            assert_eq!(address.refuse(&refused).contains("&state="), returned);
        }
        for query in [
            GOOD.replace("state=s", "state="),
            GOOD.replace("&state=s", ""),
        ] {
            assert_eq!(read(&query).unwrap().state, None);
        }
    }

    /// AUTHZ-16, AUTHZ-17
    #[test]
    fn an_answer_is_added_behind_the_registered_uri_as_it_stands() {
        for (uri, begins) in [
            ("https://a.example", "https://a.example?code=c0de&"),
            (
                "https://a.example/CB%2f",
                "https://a.example/CB%2f?code=c0de&",
            ),
            ("https://a.example/cb?", "https://a.example/cb?code=c0de&"),
            (
                "https://a.example/cb?x=%20",
                "https://a.example/cb?x=%20&code=c0de&",
            ),
            ("cursor://h/cb", "cursor://h/cb?code=c0de&"),
        ] {
            let redirect = RedirectUri::parse(uri).unwrap().admits(uri).unwrap();
            let address = ReturnAddress::new(redirect, None, "https://h");
            let url = address.answer(&Secret::new("c0de"));
            assert_eq!(url, format!("{begins}iss=https%3A%2F%2Fh"), "{uri}");
        }
    }

    /// AUTHZ-09, AUTHZ-16
    #[test]
    fn an_answer_repeats_the_state_byte_for_byte_and_names_the_issuer() {
        let query = GOOD.replace("state=s", "state=gXVXo0%2F%2B%2Fa%20b%26%3D%3D");
        let request = read(&query).unwrap();
        assert_eq!(request.state.as_deref(), Some("gXVXo0/+/a b&=="));
        let address = ReturnAddress::new(request.redirect, request.state, "https://h");
        assert_eq!(
            address.answer(&Secret::new("c0de")),
            "https://a.example/cb?x=1&code=c0de&state=gXVXo0%2F%2B%2Fa+b%26%3D%3D&iss=https%3A%2F%2Fh"
        );
        let stateless = GOOD
            .replace("&state=s", "")
            .replace("https://a.example/cb?x=1", "http://localhost:5/cb");
        let request = read(&stateless).unwrap();
        let address = ReturnAddress::new(request.redirect, request.state, "https://h");
        assert_eq!(
            address.answer(&Secret::new("c0de")),
            "http://localhost:5/cb?code=c0de&iss=https%3A%2F%2Fh"
        );
    }
}
