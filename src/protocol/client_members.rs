//! What a client says of itself (RFC 7591 §2), read alike wherever it says it: in a registration or in a document.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use url::Url;

use super::client::KeySource;
use super::client_keys;
use super::error::{ErrorCode, OAuthError};
use super::plain_name::plain_name;
use super::redirect_uri::RedirectUri;
use super::uri_text::parse_https;

/// One JSON object with each member once. Members that are null or an empty string are none (clients send them), and
/// those that nobody asks for are ignored. Types are checked one by one, so that the answer can name the member.
pub(super) struct Metadata(HashMap<String, Value>);

/// What every client says of itself.
pub(super) struct Members {
    pub(super) name: Option<String>,
    pub(super) page: Option<String>,
    pub(super) logo: Option<String>,
    pub(super) application_type: Option<ApplicationType>,
    /// Never empty.
    pub(super) redirect_uris: Vec<RedirectUri>,
    pub(super) refreshes: bool,
}

/// A `token_endpoint_auth_method` that we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    None,
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ApplicationType {
    Web,
    Native,
}

const MOST_REDIRECT_URIS: usize = 20;
/// All of them together, so that nobody fills the disk with few registrations.
const LONGEST_REDIRECT_URIS: usize = 4 << 10;
const LONGEST_NAME: usize = 200;
const LONGEST_PAGE: usize = 1024;

impl Metadata {
    pub(super) fn read(body: &[u8]) -> Result<Self, OAuthError> {
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(invalid("the body is not a JSON object"));
        }
        serde_json::from_slice(body)
            .map_err(|_| invalid("the body is not well-formed JSON, or has a member twice"))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn members(&self) -> Result<Members, OAuthError> {
        client_keys::check_one_source(self.get("jwks"), self.get("jwks_uri"))?;
        let refreshes = self.check_grants()?;
        let asked = text(
            self.get("application_type"),
            "application_type is not a string",
        )?;
        let application_type = match asked {
            None => None,
            Some("web") => Some(ApplicationType::Web),
            Some("native") => Some(ApplicationType::Native),
            Some(_) => return Err(invalid("application_type must be web or native")),
        };
        let redirect_uris = redirect_uris(self.get("redirect_uris"), application_type)?;
        let name = text(self.get("client_name"), "client_name is not a string")?;
        let page = text(self.get("client_uri"), "client_uri is not a string")?;
        let logo = self.get("logo_uri").and_then(Value::as_str);
        Ok(Members {
            name: name.and_then(|name| plain_name(name, LONGEST_NAME)),
            page: page.and_then(web_page),
            logo: logo.and_then(picture),
            application_type,
            redirect_uris,
            refreshes,
        })
    }

    /// The keys of a client that proves itself with them.
    pub(super) fn keys(&self) -> Result<KeySource, OAuthError> {
        client_keys::source(self.get("jwks"), self.get("jwks_uri"))
    }

    /// Whether the client refreshes. Grants that we do not have are left out (RFC 7591 §3.2.1, CLI-12); code must remain.
    /// Where nothing is said it is code alone (RFC 7591 §2): every document of a client that refreshes says so.
    fn check_grants(&self) -> Result<bool, OAuthError> {
        let grants = list(
            self.get("grant_types"),
            "grant_types is not a list of strings",
        )?;
        if !grants.is_empty() && !grants.contains(&"authorization_code") {
            return Err(invalid("grant_types must have authorization_code"));
        }
        let responses = list(
            self.get("response_types"),
            "response_types is not a list of strings",
        )?;
        if !responses.is_empty() && !responses.contains(&"code") {
            return Err(invalid("response_types must have code"));
        }
        Ok(grants.contains(&"refresh_token"))
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EachOnce;
        impl<'de> Visitor<'de> for EachOnce {
            type Value = HashMap<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = HashMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member stands twice"));
                    }
                }
                members.retain(|_, value: &mut Value| !value.is_null() && value != "");
                Ok(members)
            }
        }
        deserializer.deserialize_map(EachOnce).map(Self)
    }
}

impl Method {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "client_secret_basic" => Some(Self::ClientSecretBasic),
            "client_secret_post" => Some(Self::ClientSecretPost),
            "private_key_jwt" => Some(Self::PrivateKeyJwt),
            _ => None,
        }
    }
}

/// A member that is a string.
pub(super) fn text<'a>(
    member: Option<&'a Value>,
    wrong: &'static str,
) -> Result<Option<&'a str>, OAuthError> {
    let text = member.map(|value| value.as_str().ok_or(invalid(wrong)));
    Ok(text.transpose()?.filter(|text| !text.is_empty()))
}

/// A member that is a list of strings, empty ones left out; absent, it is empty.
pub(super) fn list<'a>(
    member: Option<&'a Value>,
    wrong: &'static str,
) -> Result<Vec<&'a str>, OAuthError> {
    let Some(member) = member else {
        return Ok(Vec::new());
    };
    let entries = member.as_array().ok_or(invalid(wrong))?;
    let texts: Option<Vec<_>> = entries.iter().map(Value::as_str).collect();
    let mut texts = texts.ok_or(invalid(wrong))?;
    texts.retain(|text| !text.is_empty());
    Ok(texts)
}

pub(super) fn invalid(rule: &'static str) -> OAuthError {
    ErrorCode::InvalidClientMetadata.with(rule)
}

/// The acceptable ones of a list: one bad entry does not refuse the rest (CLI-37). `OpenID` Connect Registration §2: a
/// `web` application has no loopback and no scheme of its own. A `native` one may have both, and https, which RFC 8252
/// §7.2 adds to what `OpenID` knew. Where nothing is said, nothing is held against it.
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
        return Err(ErrorCode::InvalidRedirectUri.with("redirect_uris has more than 4 KiB of text"));
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

/// A page that may become a link: web only, nobody's name in front of the host, nothing that turns the text around it.
fn web_page(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let fit = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && uri.bytes().all(|byte| byte.is_ascii_graphic())
        && uri.len() <= LONGEST_PAGE;
    fit.then(|| uri.to_owned())
}

/// A logo that may be fetched. One that may not is no reason to refuse anybody: there is none then.
fn picture(uri: &str) -> Option<String> {
    let fit = uri.len() <= LONGEST_PAGE && parse_https(uri).is_ok();
    fit.then(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(body: &str) -> Result<Members, OAuthError> {
        Metadata::read(body.as_bytes())?.members()
    }

    fn uris(body: &str) -> Vec<String> {
        let read = members(body).unwrap().redirect_uris;
        read.iter().map(|uri| uri.as_str().to_owned()).collect()
    }

    /// CLI-37
    #[test]
    fn one_bad_redirect_uri_does_not_refuse_the_others() {
        let body = r#"{"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","http://evil.example/","",
            "http://localhost:8787/callback","https://www.cursor.com/cb","http://localhost:8787/callback"]}"#;
        let kept = [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "http://localhost:8787/callback",
            "https://www.cursor.com/cb",
        ];
        assert_eq!(uris(body), kept);
    }

    /// CLI-36, CLI-42
    #[test]
    fn without_a_redirect_uri_that_may_be_used_there_is_no_client() {
        let many = vec![r#""https://a.example/""#; 21].join(",");
        let long = vec![format!(r#""https://a.example/{}""#, "x".repeat(1900)); 3].join(",");
        for uris in [
            "[]",
            "null",
            "\"\"",
            r#"["javascript:alert(1)"]"#,
            r#"[""]"#,
            &format!("[{many}]"),
            &format!("[{long}]"),
        ] {
            let refused = members(&format!(r#"{{"redirect_uris":{uris}}}"#)).err();
            let code = refused.map(|error| error.code);
            assert_eq!(code, Some(ErrorCode::InvalidRedirectUri), "{uris:.80}");
        }
        let refused = members("{}").err().map(|error| error.code);
        assert_eq!(refused, Some(ErrorCode::InvalidRedirectUri));
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
            "\u{feff}{}",
            r#"{"redirect_uris":["https://a.example/"]"#,
            r#"{"redirect_uris":["https://a.example/"]} x"#,
            r#"{"redirect_uris":["https://a.example/"],"redirect_uris":[]}"#,
            r#"{"redirect_uris":["https://a.example/"],"redirect_ur\u0069s":null}"#,
            r#"{"redirect_uris":["https://a.example/"],"x":null,"x":""}"#,
            r#"[["https://a.example/cb"],"none"]"#,
            &deep,
        ] {
            let refused = members(body).err().map(|error| error.code);
            assert_eq!(
                refused,
                Some(ErrorCode::InvalidClientMetadata),
                "{body:.80}"
            );
        }
    }

    /// CLI-39
    #[test]
    fn a_wrong_type_is_refused_by_the_name_of_the_member() {
        for (member, value) in [
            ("redirect_uris", "\"https://a.example/cb\""),
            ("redirect_uris", "[null]"),
            ("grant_types", "\"authorization_code\""),
            ("response_types", "{}"),
            ("client_name", "7"),
            ("client_uri", "true"),
            ("application_type", "1"),
            ("application_type", "\"tv\""),
            ("jwks_uri", "[]"),
            ("grant_types", "[\"client_credentials\"]"),
            ("grant_types", "[\"refresh_token\"]"),
            ("response_types", "[\"token\"]"),
        ] {
            let uris = match member {
                "redirect_uris" => "",
                _ => r#""redirect_uris":["https://a.example/cb"],"#,
            };
            let refused = members(&format!(r#"{{{uris}"{member}":{value}}}"#));
            let refused = refused.err().unwrap();
            assert_eq!(refused.code, ErrorCode::InvalidClientMetadata, "{member}");
            assert!(refused.description.starts_with(member), "{refused}");
        }
    }

    /// CLI-12, CLI-33
    #[test]
    fn who_refreshes_says_so_and_other_grants_are_nothing_to_us() {
        for (grants, refreshes) in [
            ("null", false),
            ("[\"\"]", false),
            (r#"["authorization_code"]"#, false),
            (r#"["authorization_code","refresh_token"]"#, true),
            (
                r#"["refresh_token","urn:ietf:params:oauth:grant-type:jwt-bearer","authorization_code"]"#,
                true,
            ),
        ] {
            let body =
                format!(r#"{{"redirect_uris":["http://localhost/"],"grant_types":{grants}}}"#);
            assert_eq!(members(&body).unwrap().refreshes, refreshes, "{grants}");
        }
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
            ("native", "http://a.example/cb", false),
            ("", "http://localhost/cb", true),
        ] {
            let body =
                format!(r#"{{"application_type":"{application_type}","redirect_uris":["{uri}"]}}"#);
            assert_eq!(members(&body).is_ok(), accepted, "{body}");
        }
    }

    /// SEC-09, CLI-22, C2
    #[test]
    fn a_page_is_a_web_page_and_a_logo_is_https_or_there_is_none() {
        for (uri, is_page, is_logo) in [
            ("https://a.example/about?x", true, true),
            ("http://a.example", true, false),
            ("https://A.example/x", true, false),
            ("https://a.example/../x", true, false),
            ("javascript:alert(1)", false, false),
            ("data:image/svg+xml,x", false, false),
            ("//a.example", false, false),
            ("a.example", false, false),
            ("https://a.example@evil.example", false, false),
            ("https://:a.example@evil.example", false, false),
            ("https://a.example/\u{202e}x", false, false),
            ("https://a.example/ x", false, false),
            ("java\tscript:alert(1)", false, false),
        ] {
            assert_eq!(web_page(uri).is_some(), is_page, "{uri:?}");
            assert_eq!(picture(uri).is_some(), is_logo, "{uri:?}");
        }
        let long = format!("https://a.example/{}", "x".repeat(LONGEST_PAGE));
        assert_eq!((web_page(&long), picture(&long)), (None, None));
        let wrong = r#"{"redirect_uris":["http://localhost/"],"logo_uri":{"x":1}}"#;
        assert_eq!(members(wrong).unwrap().logo, None);
    }
}
