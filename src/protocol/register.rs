//! Dynamic client registration (RFC 7591): what a client says of itself -> [`Client`], and what it is told.

use serde::{Deserialize, Serialize};

use super::client::{Client, ClientAuthentication, ClientSource};
use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::redirect_uri::RedirectUri;
use super::scope::ScopeSet;
use crate::clock::UnixTime;
use crate::secret::Secret;

/// What a new client is given.
#[derive(Debug)]
pub struct Fresh {
    /// `client_id`
    pub id: ClientId,
    /// `client_secret`, if it wants one. Of the alphabet `[A-Za-z0-9_-]`, since some clients encode it and some do not.
    pub secret: Secret,
    /// `client_id_issued_at`
    pub now: UnixTime,
}

/// A registered client, and the answer to it.
#[derive(Debug)]
pub struct Registration {
    /// To be kept.
    pub client: Client,
    /// To be answered: the only time that the secret is seen in clear.
    pub answer: RegistrationAnswer,
}

/// RFC 7591 §3.2.1: everything as it was registered in the end. What there is not, is left out.
#[derive(Debug, Serialize)]
pub struct RegistrationAnswer {
    client_id: ClientId,
    client_id_issued_at: UnixTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<Exposed>,
    /// 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    redirect_uris: Vec<RedirectUri>,
    token_endpoint_auth_method: Method,
    grant_types: Vec<&'static str>,
    response_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<ApplicationType>,
}

#[derive(Debug)]
struct Exposed(Secret);

impl Serialize for Exposed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// RFC 7591 §2, as far as we read it; every other member is ignored.
#[derive(Deserialize)]
struct Metadata {
    redirect_uris: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    client_name: Option<String>,
    client_uri: Option<String>,
    scope: Option<String>,
    application_type: Option<String>,
    jwks: Option<serde::de::IgnoredAny>,
    jwks_uri: Option<String>,
    software_statement: Option<serde::de::IgnoredAny>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    None,
    ClientSecretBasic,
    ClientSecretPost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum ApplicationType {
    Web,
    Native,
}

const MOST_REDIRECT_URIS: usize = 20;
const LONGEST_NAME: usize = 200;

/// Registers a client. `scopes` are those that exist here.
///
/// # Errors
/// By RFC 7591 §3.2.2: `invalid_redirect_uri` or `invalid_client_metadata`, with the member and the rule.
pub fn register(body: &[u8], scopes: &ScopeSet, fresh: Fresh) -> Result<Registration, OAuthError> {
    let metadata: Metadata = serde_json::from_slice(body).map_err(|error| explain(&error))?;
    if metadata.software_statement.is_some() {
        return Err(ErrorCode::InvalidSoftwareStatement
            .with("software_statement is not accepted: leave it out"));
    }
    if metadata.jwks.is_some() && present(metadata.jwks_uri.as_deref()).is_some() {
        return Err(invalid("jwks and jwks_uri exclude each other"));
    }
    let method = method(metadata.token_endpoint_auth_method.as_deref())?;
    let refreshes = check_grants(&metadata)?;
    let application_type = application_type(metadata.application_type.as_deref())?;
    let redirect_uris = redirect_uris(metadata.redirect_uris.as_deref(), application_type)?;
    let scope = scope(metadata.scope.as_deref(), scopes);
    let secret = (method != Method::None).then_some(fresh.secret);
    let client = Client {
        id: fresh.id,
        name: metadata.client_name.as_deref().and_then(plain_name),
        uri: present(metadata.client_uri.as_deref()).and_then(web_page),
        redirect_uris,
        authentication: secret
            .as_ref()
            .map_or(ClientAuthentication::None, |secret| {
                ClientAuthentication::Secret(secret.digest())
            }),
        refreshes,
        source: ClientSource::Registered { at: fresh.now },
    };
    let answer = RegistrationAnswer {
        client_id: client.id.clone(),
        client_id_issued_at: fresh.now,
        client_secret_expires_at: secret.is_some().then_some(0),
        client_secret: secret.map(Exposed),
        client_name: client.name.clone(),
        client_uri: client.uri.clone(),
        redirect_uris: client.redirect_uris.clone(),
        token_endpoint_auth_method: method,
        grant_types: match refreshes {
            true => vec!["authorization_code", "refresh_token"],
            false => vec!["authorization_code"],
        },
        response_types: ["code"],
        scope,
        application_type,
    };
    Ok(Registration { client, answer })
}

fn explain(error: &serde_json::Error) -> OAuthError {
    if error.is_data() {
        invalid("the body is not a JSON object whose members have the types of RFC 7591 section 2")
    } else {
        invalid("the body is not JSON")
    }
}

/// An empty string is no value (clients send it).
fn present(value: Option<&str>) -> Option<&str> {
    value.filter(|value| !value.is_empty())
}

fn method(asked: Option<&str>) -> Result<Method, OAuthError> {
    match present(asked) {
        Some("none") => Ok(Method::None),
        Some("client_secret_post") => Ok(Method::ClientSecretPost),
        // RFC 7591 §2: the default
        None | Some("client_secret_basic") => Ok(Method::ClientSecretBasic),
        Some(_) => Err(invalid(
            "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post",
        )),
    }
}

/// Whether the client refreshes. Grants that we do not have are left out of the answer (RFC 7591 §3.2.1); code must
/// remain.
fn check_grants(metadata: &Metadata) -> Result<bool, OAuthError> {
    let grants = metadata.grant_types.as_deref().unwrap_or_default();
    let has = |name: &str| grants.iter().any(|grant| grant == name);
    if !grants.is_empty() && !has("authorization_code") {
        return Err(invalid("grant_types must have authorization_code"));
    }
    let responses = metadata.response_types.as_deref().unwrap_or_default();
    if !responses.is_empty() && !responses.iter().any(|response| response == "code") {
        return Err(invalid("response_types must have code"));
    }
    Ok(has("refresh_token"))
}

fn application_type(asked: Option<&str>) -> Result<Option<ApplicationType>, OAuthError> {
    match present(asked) {
        None => Ok(None),
        Some("web") => Ok(Some(ApplicationType::Web)),
        Some("native") => Ok(Some(ApplicationType::Native)),
        Some(_) => Err(invalid("application_type must be web or native")),
    }
}

/// The acceptable ones of a list: one bad entry does not refuse the rest (CLI-37). OpenID Connect Registration §2: a
/// `web` application has no loopback and no scheme of its own; where nothing is said, nothing is held against it.
fn redirect_uris(
    asked: Option<&[String]>,
    application_type: Option<ApplicationType>,
) -> Result<Vec<RedirectUri>, OAuthError> {
    let asked = asked.unwrap_or_default();
    if asked.is_empty() {
        return Err(ErrorCode::InvalidRedirectUri.with("redirect_uris is missing or empty"));
    }
    if asked.len() > MOST_REDIRECT_URIS {
        return Err(ErrorCode::InvalidRedirectUri.with("redirect_uris has more than 20 entries"));
    }
    let mut accepted: Vec<RedirectUri> = Vec::new();
    let mut refused = None;
    for text in asked {
        match RedirectUri::parse(text) {
            Ok(uri) if application_type == Some(ApplicationType::Web) && !is_web(&uri) => {
                refused = Some(ErrorCode::InvalidRedirectUri.with(
                    "a redirect URI of application_type web must be https and not on localhost",
                ));
            }
            Ok(uri) if accepted.contains(&uri) => {}
            Ok(uri) => accepted.push(uri),
            Err(error) => refused = Some(error),
        }
    }
    match (accepted.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        _ => Ok(accepted),
    }
}

fn is_web(uri: &RedirectUri) -> bool {
    let local = ["https://localhost", "https://127.0.0.1", "https://[::1]"];
    uri.as_str().starts_with("https://") && !local.iter().any(|host| uri.as_str().starts_with(host))
}

/// What is known here of the scopes asked for: never a reason to refuse (CLI-40).
fn scope(asked: Option<&str>, scopes: &ScopeSet) -> Option<String> {
    let known = asked
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(super::scope::Scope::parse)
        .collect::<ScopeSet>()
        .intersection(scopes);
    (!known.is_empty()).then(|| known.to_string())
}

/// A name without characters that move, hide or break text; cut where it is long.
fn plain_name(name: &str) -> Option<String> {
    let plain: String = name
        .chars()
        .filter(|letter| !letter.is_control() && !moves_text(*letter))
        .take(LONGEST_NAME)
        .collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// Unicode bidirectional controls, separators, invisible and tag characters.
fn moves_text(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn web_page(uri: &str) -> Option<String> {
    let url = url::Url::parse(uri).ok()?;
    let fit =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && uri.len() <= 2048;
    fit.then(|| uri.to_owned())
}

fn invalid(rule: &'static str) -> OAuthError {
    ErrorCode::InvalidClientMetadata.with(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(body: &str) -> Result<serde_json::Value, OAuthError> {
        let fresh = Fresh {
            id: ClientId::new("c_1"),
            secret: Secret::new("s3cret"),
            now: UnixTime(1_795_219_200),
        };
        let scopes = ScopeSet::parse("mcp:tools:read offline_access").unwrap();
        register(body.as_bytes(), &scopes, fresh)
            .map(|registration| serde_json::to_value(registration.answer).unwrap())
    }

    /// CLI-30, CLI-31, CLI-32, CLI-34, CLI-35, CLI-40
    #[test]
    fn a_public_client_is_answered_with_all_that_was_registered_and_no_nulls() {
        let body = r#"{"client_name":"T","redirect_uris":["http://127.0.0.1:33418/"],
            "token_endpoint_auth_method":"none","application_type":"native","scope":"claudeai mcp:tools:read",
            "grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],
            "response_types":["code"],"contacts":null,"anything":{"a":[1]}}"#;
        insta::assert_json_snapshot!(registered(body).unwrap(), @r#"
        {
          "application_type": "native",
          "client_id": "c_1",
          "client_id_issued_at": 1795219200,
          "client_name": "T",
          "grant_types": [
            "authorization_code",
            "refresh_token"
          ],
          "redirect_uris": [
            "http://127.0.0.1:33418/"
          ],
          "response_types": [
            "code"
          ],
          "scope": "mcp:tools:read",
          "token_endpoint_auth_method": "none"
        }
        "#);
    }

    /// CLI-32, CLI-33
    #[test]
    fn a_client_that_says_nothing_gets_a_secret_for_basic() {
        let answer = registered(r#"{"redirect_uris":["https://a.example/cb"]}"#).unwrap();
        insta::assert_json_snapshot!(answer, @r#"
        {
          "client_id": "c_1",
          "client_id_issued_at": 1795219200,
          "client_secret": "s3cret",
          "client_secret_expires_at": 0,
          "grant_types": [
            "authorization_code"
          ],
          "redirect_uris": [
            "https://a.example/cb"
          ],
          "response_types": [
            "code"
          ],
          "token_endpoint_auth_method": "client_secret_basic"
        }
        "#);
    }

    /// CLI-37
    #[test]
    fn one_bad_redirect_uri_does_not_refuse_the_others() {
        let body = r#"{"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","http://evil.example/",
            "http://localhost:8787/callback","https://www.cursor.com/cb","http://localhost:8787/callback"]}"#;
        assert_eq!(
            registered(body).unwrap()["redirect_uris"],
            serde_json::json!([
                "cursor://anysphere.cursor-mcp/oauth/callback",
                "http://localhost:8787/callback",
                "https://www.cursor.com/cb"
            ])
        );
    }

    /// CLI-36, CLI-39, CLI-41, CLI-42, CLI-48
    #[test]
    fn what_cannot_be_registered_is_refused_by_member_and_rule() {
        let many = format!(
            r#"{{"redirect_uris":[{}]}}"#,
            [r#""https://a.example/""#; 21].join(",")
        );
        let with = |rest: &str| format!(r#"{{"redirect_uris":["https://a.example/cb"],{rest}}}"#);
        for (body, error) in [
            (String::new(), "invalid_client_metadata"),
            ("not json".into(), "invalid_client_metadata"),
            ("[]".into(), "invalid_client_metadata"),
            ("{}".into(), "invalid_redirect_uri"),
            (r#"{"redirect_uris":[]}"#.into(), "invalid_redirect_uri"),
            (
                r#"{"redirect_uris":"https://a.example/"}"#.into(),
                "invalid_client_metadata",
            ),
            (
                r#"{"redirect_uris":["javascript:alert(1)"]}"#.into(),
                "invalid_redirect_uri",
            ),
            (
                r#"{"redirect_uris":["https://a.example/"],"redirect_uris":[]}"#.into(),
                "invalid_client_metadata",
            ),
            (many, "invalid_redirect_uri"),
            (
                with(r#""token_endpoint_auth_method":"private_key_jwt""#),
                "invalid_client_metadata",
            ),
            (
                with(r#""grant_types":["client_credentials"]"#),
                "invalid_client_metadata",
            ),
            (
                with(r#""response_types":["token"]"#),
                "invalid_client_metadata",
            ),
            (
                with(r#""application_type":"tv""#),
                "invalid_client_metadata",
            ),
            (
                with(r#""jwks":{"keys":[]},"jwks_uri":"https://a.example/k""#),
                "invalid_client_metadata",
            ),
            (
                with(r#""software_statement":"x.y.z""#),
                "invalid_software_statement",
            ),
            (with(r#""client_name":7"#), "invalid_client_metadata"),
            (
                r#"{"application_type":"web","redirect_uris":["http://localhost/cb"]}"#.into(),
                "invalid_redirect_uri",
            ),
        ] {
            assert_eq!(
                registered(&body).unwrap_err().code.as_str(),
                error,
                "{body}"
            );
        }
    }

    /// CLI-42, C2
    #[test]
    fn a_name_cannot_move_or_hide_text() {
        for (name, kept) in [
            ("Claude", Some("Claude")),
            ("  a\u{202e}b\u{200b}c\u{0007}\n ", Some("abc")),
            ("\u{202e}", None),
            ("", None),
            ("<b>x</b>", Some("<b>x</b>")),
        ] {
            assert_eq!(plain_name(name).as_deref(), kept, "{name:?}");
        }
        assert_eq!(plain_name(&"x".repeat(500)).unwrap().len(), LONGEST_NAME);
    }

    proptest::proptest! {
        /// CLI-39
        #[test]
        fn no_body_makes_it_panic(bytes: Vec<u8>, uri in "\\PC*", name in "\\PC*") {
            let fresh = || Fresh { id: ClientId::new("c"), secret: Secret::new("s"), now: UnixTime(0) };
            let _ = register(&bytes, &ScopeSet::default(), fresh());
            let body = serde_json::json!({"redirect_uris": [uri], "client_name": name, "scope": name});
            let _ = register(body.to_string().as_bytes(), &ScopeSet::default(), fresh());
        }
    }
}
