//! Dynamic client registration (RFC 7591): what a client says of itself -> a client, and what it is told.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::client::{Client, ClientAuthentication, ClientSource};
use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::redirect_uri::RedirectUri;
use crate::clock::UnixTime;
use crate::secret::Secret;

/// What is made anew for a registration.
#[derive(Debug)]
pub struct Fresh {
    /// The `client_id`.
    pub id: ClientId,
    /// The secret, handed out only to clients that authenticate with one.
    pub secret: Secret,
    /// The present moment.
    pub now: UnixTime,
}

/// A client that registered.
#[derive(Debug)]
pub struct Registration {
    /// What is kept.
    pub client: Client,
    /// What it is told.
    pub answer: RegistrationAnswer,
}

/// All that was registered, after what was dropped or replaced (RFC 7591 §3.2.1). Nothing is null.
#[derive(Debug, Serialize)]
pub struct RegistrationAnswer {
    client_id: ClientId,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_clear")]
    client_secret: Option<Secret>,
    client_id_issued_at: UnixTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u64>,
    redirect_uris: Vec<RedirectUri>,
    token_endpoint_auth_method: &'static str,
    grant_types: Vec<&'static str>,
    response_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_uri: Option<String>,
}

/// Registers a client. What it asks for beyond what there is gets dropped, and the answer says what remained: unknown
/// grants, scopes and members, redirect URIs that may not be registered beside others that may.
///
/// # Errors
/// `invalid_redirect_uri`, `invalid_client_metadata` or `invalid_software_statement` (RFC 7591 §3.2.2), with the member
/// and the rule.
pub fn register(body: &[u8], fresh: Fresh) -> Result<Registration, OAuthError> {
    let document = Document::parse(body)?;
    document.check_consistency()?;
    let application_type = document.application_type()?;
    let redirect_uris = document.redirect_uris(application_type)?;
    let method = document.authentication()?;
    let refreshes = document.refreshes()?;
    let name = text(
        document.client_name.as_ref(),
        "client_name must be a string",
    )?;
    let is_confidential = method != "none";

    let client = Client {
        id: fresh.id,
        name: name.and_then(shown_name),
        uri: page(document.client_uri.as_ref(), "client_uri must be a string")?,
        redirect_uris,
        authentication: if is_confidential {
            ClientAuthentication::Secret(fresh.secret.digest())
        } else {
            ClientAuthentication::None
        },
        refreshes,
        source: ClientSource::Registered { at: fresh.now },
    };
    let mut grant_types = vec!["authorization_code"];
    grant_types.extend(refreshes.then_some("refresh_token"));
    let answer = RegistrationAnswer {
        client_id: client.id.clone(),
        client_secret: is_confidential.then_some(fresh.secret),
        client_id_issued_at: fresh.now,
        // RFC 7591 §3.2.1: required next to a secret; 0 is never.
        client_secret_expires_at: is_confidential.then_some(0),
        redirect_uris: client.redirect_uris.clone(),
        token_endpoint_auth_method: method,
        grant_types,
        response_types: ["code"],
        application_type,
        client_name: client.name.clone(),
        client_uri: client.uri.clone(),
        logo_uri: page(document.logo_uri.as_ref(), "logo_uri must be a string")?,
        tos_uri: page(document.tos_uri.as_ref(), "tos_uri must be a string")?,
        policy_uri: page(document.policy_uri.as_ref(), "policy_uri must be a string")?,
    };
    Ok(Registration { client, answer })
}

/// The members that matter (RFC 7591 §2), not yet judged; null is absent, others are ignored.
#[derive(Deserialize)]
struct Document {
    redirect_uris: Option<Value>,
    token_endpoint_auth_method: Option<Value>,
    grant_types: Option<Value>,
    response_types: Option<Value>,
    application_type: Option<Value>,
    client_name: Option<Value>,
    client_uri: Option<Value>,
    logo_uri: Option<Value>,
    tos_uri: Option<Value>,
    policy_uri: Option<Value>,
    scope: Option<Value>,
    jwks: Option<Value>,
    jwks_uri: Option<Value>,
    software_statement: Option<Value>,
}

impl Document {
    /// Bytes of a registration request.
    const LONGEST: usize = 64 * 1024;

    fn parse(body: &[u8]) -> Result<Self, OAuthError> {
        if body.len() > Self::LONGEST {
            return Err(wrong("a registration may have 64 KiB at most"));
        }
        // serde would read an array as the members in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(wrong("a registration must be a JSON object"));
        }
        serde_json::from_slice(body).map_err(|_| {
            wrong("a registration must be well-formed JSON that names each member once")
        })
    }

    fn check_consistency(&self) -> Result<(), OAuthError> {
        // RFC 7591 §2.3: a statement overrules the members beside it, so one that is not verified cannot be ignored.
        if is_given(self.software_statement.as_ref()) {
            return Err(ErrorCode::InvalidSoftwareStatement
                .with("software_statement is not supported: register without it"));
        }
        // RFC 7591 §2
        if is_given(self.jwks.as_ref()) && is_given(self.jwks_uri.as_ref()) {
            return Err(wrong("jwks and jwks_uri must not both be given"));
        }
        // Which scopes there are is settled when they are asked for; none is ever reason to refuse a registration.
        text(self.scope.as_ref(), "scope must be a string").map(drop)
    }

    /// Unknown types are dropped, as unknown members are.
    fn application_type(&self) -> Result<Option<&'static str>, OAuthError> {
        let given = text(
            self.application_type.as_ref(),
            "application_type must be a string",
        )?;
        Ok(match given {
            Some("web") => Some("web"),
            Some("native") => Some("native"),
            _ => None,
        })
    }

    /// Those that may be registered. One bad URI among others does not stop clients that register all they ever use.
    fn redirect_uris(
        &self,
        application_type: Option<&str>,
    ) -> Result<Vec<RedirectUri>, OAuthError> {
        let given = list(
            self.redirect_uris.as_ref(),
            "redirect_uris must be a list of strings",
        )?
        .unwrap_or_default();
        if given.len() > MOST_REDIRECT_URIS {
            return Err(ErrorCode::InvalidRedirectUri.with("redirect_uris may hold 20 at most"));
        }
        let mut accepted = Vec::new();
        let mut refused = None;
        for uri in given.into_iter().filter(|uri| !uri.is_empty()) {
            match RedirectUri::parse(uri).and_then(|uri| suits(uri, application_type)) {
                Ok(uri) if accepted.contains(&uri) => {}
                Ok(uri) => accepted.push(uri),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if accepted.is_empty() {
            return Err(refused.unwrap_or(
                ErrorCode::InvalidRedirectUri.with("redirect_uris must hold at least one"),
            ));
        }
        Ok(accepted)
    }

    fn authentication(&self) -> Result<&'static str, OAuthError> {
        let given = text(
            self.token_endpoint_auth_method.as_ref(),
            "token_endpoint_auth_method must be a string",
        )?;
        match given {
            // RFC 7591 §2: the default.
            None | Some("client_secret_basic") => Ok("client_secret_basic"),
            Some("client_secret_post") => Ok("client_secret_post"),
            Some("none") => Ok("none"),
            // Not replaced: whoever wants keys or certificates would be served worse without knowing.
            Some(_) => Err(wrong(
                "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post",
            )),
        }
    }

    /// Whether it gets refresh tokens. Other grants than the two are dropped.
    fn refreshes(&self) -> Result<bool, OAuthError> {
        let responses = list(
            self.response_types.as_ref(),
            "response_types must be a list of strings",
        )?;
        if responses.is_some_and(|responses| !responses.contains(&"code")) {
            return Err(wrong("response_types must hold code"));
        }
        let grants = list(
            self.grant_types.as_ref(),
            "grant_types must be a list of strings",
        )?;
        // RFC 7591 §2: the default.
        let grants = grants.unwrap_or_else(|| vec!["authorization_code"]);
        if !grants.contains(&"authorization_code") {
            return Err(wrong("grant_types must hold authorization_code"));
        }
        Ok(grants.contains(&"refresh_token"))
    }
}

/// Redirect URIs of one registration.
const MOST_REDIRECT_URIS: usize = 20;

/// Characters of a name.
const LONGEST_NAME: usize = 100;

/// Bytes of a page's URL.
const LONGEST_PAGE: usize = 2048;

fn wrong(rule: &'static str) -> OAuthError {
    ErrorCode::InvalidClientMetadata.with(rule)
}

fn is_given(member: Option<&Value>) -> bool {
    member.is_some_and(|value| value.as_str() != Some(""))
}

/// A member that is text; an empty one counts as absent, since clients send `""` for what they do not have.
fn text<'a>(member: Option<&'a Value>, rule: &'static str) -> Result<Option<&'a str>, OAuthError> {
    match member {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(wrong(rule)),
    }
}

/// A member that is a list of texts.
fn list<'a>(
    member: Option<&'a Value>,
    rule: &'static str,
) -> Result<Option<Vec<&'a str>>, OAuthError> {
    let Some(member) = member else {
        return Ok(None);
    };
    let entries = member.as_array().ok_or(wrong(rule))?;
    let texts = entries.iter().map(Value::as_str).collect::<Option<_>>();
    texts.map(Some).ok_or(wrong(rule))
}

/// A page or picture of the client's, dropped unless it is http or https (RFC 7591 §2, §5): it may become a link.
fn page(member: Option<&Value>, rule: &'static str) -> Result<Option<String>, OAuthError> {
    let Some(text) = text(member, rule)? else {
        return Ok(None);
    };
    let is_page = text.len() <= LONGEST_PAGE
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        });
    Ok(is_page.then(|| text.to_owned()))
}

/// OpenID Connect Registration 1.0 §2: a web application is reached over https, and not on the person's own machine.
/// Native ones are not held to loopback: they may claim https addresses (RFC 8252 §7.2), and editors do.
fn suits(uri: RedirectUri, application_type: Option<&str>) -> Result<RedirectUri, OAuthError> {
    let place = uri.admits(uri.as_str());
    let is_remote =
        place.is_some_and(|place| !place.is_loopback() && !place.is_private_use_scheme());
    if application_type == Some("web") && !is_remote {
        return Err(ErrorCode::InvalidRedirectUri.with(
            "a redirect URI of application_type web must be https, and not on a loopback host",
        ));
    }
    Ok(uri)
}

/// A name as it may be shown: without characters that are not seen, or turn the text around them.
fn shown_name(name: &str) -> Option<String> {
    let visible: String = name
        .chars()
        .map(|char| if char.is_whitespace() { ' ' } else { char })
        .filter(|char| !char.is_control() && !is_invisible(*char))
        .collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    let name: String = words.join(" ").chars().take(LONGEST_NAME).collect();
    (!name.is_empty()).then_some(name)
}

/// Format characters: direction marks and overrides, joiners, tags, fillers.
fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The one place where a client secret is written out: into the answer to the client that it was made for.
#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn in_clear<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}
