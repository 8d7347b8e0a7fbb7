//! Dynamic client registration (RFC 7591): what a client says of itself -> [`Client`], and what it is told.

use std::iter;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::client::{Client, ClientAuthentication, ClientSource};
use super::client_metadata::DocumentUrl;
use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::redirect_uri::RedirectUri;
use super::registration_answer::{Exposed, Management, RegistrationAnswer};
use super::scope::{Scope, ScopeSet};
use crate::clock::UnixTime;
use crate::secret::Secret;

/// What a new client is given.
#[derive(Debug)]
pub struct Fresh {
    /// `client_id`
    pub id: ClientId,
    /// `client_secret`, if it wants one. Of the alphabet `[A-Za-z0-9_-]`, since some clients encode it and some do not.
    pub secret: Secret,
    /// `registration_access_token` (RFC 7592 §3)
    pub access: Secret,
    /// The issuer that it registers with.
    pub issuer: String,
    /// `registration_client_uri` (RFC 7592 §3)
    pub uri: String,
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

/// RFC 7591 §2, as far as we read it; every other member is ignored, and null is none. The types are checked one by
/// one, so that the answer can name the member that is wrong.
#[derive(Deserialize)]
struct Metadata {
    redirect_uris: Option<Value>,
    token_endpoint_auth_method: Option<Value>,
    grant_types: Option<Value>,
    response_types: Option<Value>,
    client_name: Option<Value>,
    client_uri: Option<Value>,
    scope: Option<Value>,
    application_type: Option<Value>,
    jwks: Option<IgnoredAny>,
    jwks_uri: Option<Value>,
    software_statement: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    None,
    ClientSecretBasic,
    ClientSecretPost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ApplicationType {
    Web,
    Native,
}

const MOST_REDIRECT_URIS: usize = 20;
/// All of them together, so that nobody fills the disk with few registrations.
const LONGEST_REDIRECT_URIS: usize = 8 << 10;
const LONGEST_NAME: usize = 200;
const LONGEST_PAGE: usize = 2048;

/// Registers a client. `scopes` are those that exist here.
///
/// # Errors
/// By RFC 7591 §3.2.2: `invalid_redirect_uri` or `invalid_client_metadata`, with the member and the rule.
pub fn register(body: &[u8], scopes: &ScopeSet, fresh: Fresh) -> Result<Registration, OAuthError> {
    let metadata = read(body)?;
    if metadata.software_statement.is_some() {
        return Err(ErrorCode::InvalidSoftwareStatement
            .with("software_statement is not accepted: leave it out"));
    }
    let keys = text(metadata.jwks_uri.as_ref(), "jwks_uri is not a string")?;
    if metadata.jwks.is_some() && keys.is_some() {
        return Err(invalid("jwks and jwks_uri exclude each other"));
    }
    let method = method(metadata.token_endpoint_auth_method.as_ref())?;
    let refreshes = check_grants(&metadata)?;
    let application_type = application_type(metadata.application_type.as_ref())?;
    let redirect_uris = redirect_uris(metadata.redirect_uris.as_ref(), application_type)?;
    let scope = text(metadata.scope.as_ref(), "scope is not a string")?;
    let scope = scope.and_then(|scope| known(scope, scopes));
    let name = text(metadata.client_name.as_ref(), "client_name is not a string")?;
    let page = text(metadata.client_uri.as_ref(), "client_uri is not a string")?;
    let secret = (method != Method::None).then_some(fresh.secret);
    let client = Client {
        id: fresh.id,
        name: name.and_then(plain_name),
        uri: page.and_then(web_page),
        logo: None,
        redirect_uris,
        authentication: secret
            .as_ref()
            .map_or(ClientAuthentication::None, |secret| {
                ClientAuthentication::Secret(secret.digest())
            }),
        refreshes,
        scopes: None,
        source: ClientSource::Registered {
            at: fresh.now,
            access: fresh.access.digest(),
            issuer: fresh.issuer,
        },
    };
    let answer = RegistrationAnswer {
        client_id: client.id.clone(),
        client_id_issued_at: Some(fresh.now),
        client_secret_expires_at: secret.is_some().then_some(0),
        client_secret: secret.map(Exposed),
        client_name: client.name.clone(),
        client_uri: client.uri.clone(),
        redirect_uris: client.redirect_uris.clone(),
        token_endpoint_auth_method: method,
        grant_types: iter::once("authorization_code")
            .chain(refreshes.then_some("refresh_token"))
            .collect(),
        response_types: ["code"],
        scope,
        application_type,
        management: Management {
            uri: fresh.uri,
            access: fresh.access,
        },
    };
    Ok(Registration { client, answer })
}

impl Registration {
    /// Leaves out the https redirect URIs that are on none of `hosts`; where `hosts` is empty, none.
    ///
    /// # Errors
    /// `invalid_redirect_uri` where nothing is left.
    pub fn keep_to_hosts(mut self, hosts: &[String]) -> Result<Self, OAuthError> {
        let uris = &mut self.client.redirect_uris;
        uris.retain(|uri| is_on(uri, hosts));
        if uris.is_empty() {
            return Err(ErrorCode::InvalidRedirectUri
                .with("redirect_uris are all on hosts that this server does not send answers to"));
        }
        self.answer.redirect_uris.clone_from(uris);
        Ok(self)
    }
}

fn is_on(uri: &RedirectUri, hosts: &[String]) -> bool {
    let url = Url::parse(uri.as_str()).ok();
    let host = url.as_ref().and_then(Url::host_str);
    let listed = |host: &str| hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host));
    hosts.is_empty() || !uri.as_str().starts_with("https:") || host.is_some_and(listed)
}

/// The client that the document at `url` describes.
pub(super) fn document(url: &DocumentUrl, body: &[u8]) -> Result<Client, OAuthError> {
    let metadata = read(body)?;
    let name = text(metadata.client_name.as_ref(), "client_name is not a string")?;
    let name = name
        .and_then(plain_name)
        .ok_or(invalid("client_name is missing"))?;
    Ok(Client {
        id: ClientId::new(url.as_str()),
        name: Some(name),
        uri: None,
        logo: None,
        redirect_uris: redirect_uris(metadata.redirect_uris.as_ref(), None)?,
        authentication: ClientAuthentication::None,
        refreshes: check_grants(&metadata)?,
        scopes: None,
        source: ClientSource::Document,
    })
}

fn read(body: &[u8]) -> Result<Metadata, OAuthError> {
    // an array would be read as the members in their order
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(invalid("the body is not a JSON object"));
    }
    serde_json::from_slice(body)
        .map_err(|_| invalid("the body is not well-formed JSON, or has a member twice"))
}

/// A member that is a string. An empty one is no value (clients send it).
pub(super) fn text<'a>(
    member: Option<&'a Value>,
    wrong: &'static str,
) -> Result<Option<&'a str>, OAuthError> {
    let text = member.map(|value| value.as_str().ok_or(invalid(wrong)));
    Ok(text.transpose()?.filter(|text| !text.is_empty()))
}

/// A member that is a list of strings; absent, it is empty.
fn list<'a>(member: Option<&'a Value>, wrong: &'static str) -> Result<Vec<&'a str>, OAuthError> {
    let Some(member) = member else {
        return Ok(Vec::new());
    };
    let entries = member.as_array().ok_or(invalid(wrong))?;
    let texts: Option<Vec<_>> = entries.iter().map(Value::as_str).collect();
    texts.ok_or(invalid(wrong))
}

fn method(asked: Option<&Value>) -> Result<Method, OAuthError> {
    match text(asked, "token_endpoint_auth_method is not a string")? {
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
    let grants = list(
        metadata.grant_types.as_ref(),
        "grant_types is not a list of strings",
    )?;
    if !grants.is_empty() && !grants.contains(&"authorization_code") {
        return Err(invalid("grant_types must have authorization_code"));
    }
    let responses = list(
        metadata.response_types.as_ref(),
        "response_types is not a list of strings",
    )?;
    if !responses.is_empty() && !responses.contains(&"code") {
        return Err(invalid("response_types must have code"));
    }
    Ok(grants.contains(&"refresh_token"))
}

fn application_type(asked: Option<&Value>) -> Result<Option<ApplicationType>, OAuthError> {
    match text(asked, "application_type is not a string")? {
        None => Ok(None),
        Some("web") => Ok(Some(ApplicationType::Web)),
        Some("native") => Ok(Some(ApplicationType::Native)),
        Some(_) => Err(invalid("application_type must be web or native")),
    }
}

/// The acceptable ones of a list: one bad entry does not refuse the rest (CLI-37). `OpenID` Connect Registration §2: a
/// `web` application has no loopback and no scheme of its own; where nothing is said, nothing is held against it.
fn redirect_uris(
    asked: Option<&Value>,
    application_type: Option<ApplicationType>,
) -> Result<Vec<RedirectUri>, OAuthError> {
    let asked = list(asked, "redirect_uris is not a list of strings")?;
    if asked.is_empty() {
        return Err(ErrorCode::InvalidRedirectUri.with("redirect_uris is missing or empty"));
    }
    if asked.len() > MOST_REDIRECT_URIS {
        return Err(ErrorCode::InvalidRedirectUri.with("redirect_uris has more than 20 entries"));
    }
    if asked.iter().map(|uri| uri.len()).sum::<usize>() > LONGEST_REDIRECT_URIS {
        return Err(ErrorCode::InvalidRedirectUri.with("redirect_uris has more than 8 KiB of text"));
    }
    let mut accepted: Vec<RedirectUri> = Vec::new();
    let mut refused = None;
    for text in asked {
        match RedirectUri::parse(text) {
            Ok(uri) if application_type == Some(ApplicationType::Web) && !is_web(&uri) => {
                refused = refused.or(Some(ErrorCode::InvalidRedirectUri.with(
                    "a redirect URI of application_type web must be https and not on localhost",
                )));
            }
            Ok(uri) if accepted.contains(&uri) => {}
            Ok(uri) => accepted.push(uri),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match (accepted.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        _ => Ok(accepted),
    }
}

fn is_web(uri: &RedirectUri) -> bool {
    uri.admits(uri.as_str())
        .is_some_and(|place| !place.is_private_use_scheme() && !place.is_loopback())
}

/// What is known here of the scopes asked for: never a reason to refuse (CLI-40).
fn known(asked: &str, scopes: &ScopeSet) -> Option<String> {
    let known = asked
        .split_whitespace()
        .filter_map(Scope::parse)
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
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A page that may become a link: web only, nobody's name in front of the host, nothing that turns the text around it.
fn web_page(uri: &str) -> Option<String> {
    let url = url::Url::parse(uri).ok()?;
    let fit = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && uri.bytes().all(|byte| byte.is_ascii_graphic())
        && uri.len() <= LONGEST_PAGE;
    fit.then(|| uri.to_owned())
}

pub(super) fn invalid(rule: &'static str) -> OAuthError {
    ErrorCode::InvalidClientMetadata.with(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(body: &str) -> Result<serde_json::Value, OAuthError> {
        let fresh = Fresh {
            id: ClientId::new("c_1"),
            secret: Secret::new("s3cret"),
            access: Secret::new("4ccess"),
            issuer: "https://mcp.example.com".to_owned(),
            uri: "https://mcp.example.com/register/c_1".to_owned(),
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
          "registration_access_token": "4ccess",
          "registration_client_uri": "https://mcp.example.com/register/c_1",
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
          "registration_access_token": "4ccess",
          "registration_client_uri": "https://mcp.example.com/register/c_1",
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

    /// CLI-36, CLI-42
    #[test]
    fn without_a_redirect_uri_that_may_be_used_there_is_no_client() {
        let many = vec![r#""https://a.example/""#; 21].join(",");
        for uris in [
            "[]",
            "null",
            r#"["javascript:alert(1)"]"#,
            r#"[""]"#,
            &format!("[{many}]"),
        ] {
            let refused = registered(&format!(r#"{{"redirect_uris":{uris}}}"#)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidRedirectUri, "{uris}");
        }
        let refused = registered("{}").unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRedirectUri);
    }

    /// CLI-39
    #[test]
    fn what_is_no_json_object_with_each_member_once_is_refused() {
        let deep = format!(r#"{{"x":{}"#, "[".repeat(60_000));
        for body in [
            "",
            "not json",
            "[]",
            "7",
            r#"{"redirect_uris":["https://a.example/"]"#,
            r#"{"redirect_uris":["https://a.example/"]} x"#,
            r#"{"redirect_uris":["https://a.example/"],"redirect_uris":[]}"#,
            // in the order in which we happen to read the members
            r#"[["https://a.example/cb"],"none",null,null,null,null,null,null,null,null,null]"#,
            &deep,
        ] {
            let refused = registered(body).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidClientMetadata, "{body:.80}");
        }
    }

    /// CLI-39, CLI-48
    #[test]
    fn what_we_cannot_keep_to_is_refused() {
        for (rest, error) in [
            (
                r#""token_endpoint_auth_method":"private_key_jwt""#,
                ErrorCode::InvalidClientMetadata,
            ),
            (
                r#""grant_types":["client_credentials"]"#,
                ErrorCode::InvalidClientMetadata,
            ),
            (
                r#""grant_types":["refresh_token"]"#,
                ErrorCode::InvalidClientMetadata,
            ),
            (
                r#""response_types":["token"]"#,
                ErrorCode::InvalidClientMetadata,
            ),
            (
                r#""application_type":"tv""#,
                ErrorCode::InvalidClientMetadata,
            ),
            (
                r#""jwks":{"keys":[]},"jwks_uri":"https://a.example/k""#,
                ErrorCode::InvalidClientMetadata,
            ),
            (
                r#""software_statement":"x.y.z""#,
                ErrorCode::InvalidSoftwareStatement,
            ),
        ] {
            let body = format!(r#"{{"redirect_uris":["https://a.example/cb"],{rest}}}"#);
            assert_eq!(registered(&body).unwrap_err().code, error, "{body}");
        }
    }

    /// CLI-39
    #[test]
    fn a_wrong_type_is_refused_by_the_name_of_the_member() {
        for (member, value) in [
            ("redirect_uris", "\"https://a.example/cb\""),
            ("redirect_uris", "[null]"),
            ("token_endpoint_auth_method", "[\"none\"]"),
            ("grant_types", "\"authorization_code\""),
            ("response_types", "{}"),
            ("client_name", "7"),
            ("client_uri", "true"),
            ("scope", "[\"a\"]"),
            ("application_type", "1"),
            ("jwks_uri", "[]"),
        ] {
            let uris = match member {
                "redirect_uris" => "",
                _ => r#""redirect_uris":["https://a.example/cb"],"#,
            };
            let refused = registered(&format!(r#"{{{uris}"{member}":{value}}}"#)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidClientMetadata, "{member}");
            assert!(
                refused.description.starts_with(member),
                "{}",
                refused.description
            );
        }
    }

    /// CLI-40
    #[test]
    fn empty_values_are_none() {
        let body = r#"{"redirect_uris":["http://localhost/cb",""],"client_name":"","client_uri":"","scope":"",
            "token_endpoint_auth_method":"","application_type":"","jwks_uri":"","grant_types":[],"response_types":[]}"#;
        let plain = registered(r#"{"redirect_uris":["http://localhost/cb"]}"#).unwrap();
        assert_eq!(registered(body).unwrap(), plain);
    }

    /// CLI-41
    #[test]
    fn a_web_application_is_not_on_the_persons_own_machine() {
        for (application_type, uri, accepted) in [
            ("web", "https://a.example/cb", true),
            ("web", "https://localhost.a.example/cb", true),
            ("web", "https://localhost/cb", false),
            ("web", "https://127.0.0.1:8443/cb", false),
            ("web", "https://127.0.0.2/cb", false),
            ("web", "http://localhost/cb", false),
            ("web", "cursor://h/cb", false),
            ("native", "http://localhost/cb", true),
            ("native", "cursor://h/cb", true),
            // RFC 8252 §7.2: claimed https; editors register it as native
            ("native", "https://vscode.dev/redirect", true),
            ("", "http://localhost/cb", true),
        ] {
            let body =
                format!(r#"{{"application_type":"{application_type}","redirect_uris":["{uri}"]}}"#);
            assert_eq!(registered(&body).is_ok(), accepted, "{body}");
        }
    }

    /// SEC-09, C2
    #[test]
    fn a_page_of_the_client_is_a_web_page_or_none() {
        for (uri, kept) in [
            ("https://a.example/about?x", true),
            ("http://a.example", true),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("//a.example", false),
            ("a.example", false),
            ("https://a.example@evil.example", false),
            ("https://:a.example@evil.example", false),
            ("https://a.example/\u{202e}x", false),
            ("https://a.example/ x", false),
            ("java\tscript:alert(1)", false),
        ] {
            assert_eq!(web_page(uri).is_some(), kept, "{uri:?}");
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
            let fresh = || Fresh { id: ClientId::new("c"), secret: Secret::new("s"), access: Secret::new("a"), issuer: String::new(), uri: String::new(), now: UnixTime(0) };
            let _ = register(&bytes, &ScopeSet::default(), fresh());
            let body = serde_json::json!({"redirect_uris": [uri], "client_name": name, "scope": name});
            if let Err(refused) = register(body.to_string().as_bytes(), &ScopeSet::default(), fresh()) {
                proptest::prop_assert_eq!(refused.code, ErrorCode::InvalidRedirectUri);
            }
        }
    }
}
