//! `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1): why a request was refused, and where a token is to be had.

use std::fmt::Write as _;

use axum::response::Response;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::value::RawValue;

use super::TokenFault;
use super::answer::RpcError;
use crate::protocol::scope::ScopeSet;

/// Makes the challenges of one resource.
#[derive(Clone, Debug)]
pub struct Challenges {
    metadata_url: String,
    scopes: ScopeSet,
    bare: HeaderValue,
}

/// It cannot stand in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL of the resource metadata must be visible ASCII without quotes and backslashes")]
pub struct UnquotableUrl;

/// Why there is no principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No token was sent.
    NoToken,
    /// The header is not `Bearer` and one token (RFC 6750 §2.1).
    BadHeader,
    /// The token is not good.
    BadToken(TokenFault),
    /// The session of the token is over.
    SessionEnded,
    /// It cannot be told now whether the session is in force.
    Outage,
}

impl Challenges {
    /// Challenges that point to `metadata_url` and ask for `scopes`.
    ///
    /// # Errors
    /// A URL that cannot be quoted.
    pub fn new(metadata_url: String, scopes: ScopeSet) -> Result<Self, UnquotableUrl> {
        let quotable = |byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if !metadata_url.bytes().all(quotable) {
            return Err(UnquotableUrl);
        }
        let mut made = Self {
            metadata_url,
            scopes,
            bare: HeaderValue::from_static("Bearer"),
        };
        made.bare = made.value(None, &made.scopes);
        Ok(made)
    }

    /// What a request without principal is answered.
    #[must_use]
    pub fn deny(&self, denial: Denial) -> Response {
        let (status, message) = denial.words();
        let mut response = RpcError::http(status, message).answer(None);
        let challenge = match denial {
            // RFC 6750 §3.1: no error where no credentials were sent
            Denial::NoToken => self.bare.clone(),
            Denial::BadHeader => self.value(Some(("invalid_request", message)), &self.scopes),
            Denial::BadToken(_) | Denial::SessionEnded => {
                self.value(Some(("invalid_token", message)), &self.scopes)
            }
            // SEC-15: after a 401 clients would throw good tokens away
            Denial::Outage => {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("5"));
                return response;
            }
        };
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
    }

    /// What a request is answered whose token does not reach: all of `scopes` would be enough (RFC 6750 §3.1).
    #[must_use]
    pub fn insufficient_scope(&self, scopes: &ScopeSet, id: Option<&RawValue>) -> Response {
        let message = "the access token lacks what this operation needs";
        let mut response = RpcError::http(StatusCode::FORBIDDEN, message).answer(id);
        let challenge = self.value(Some(("insufficient_scope", message)), scopes);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
    }

    /// One line; each parameter once and quoted (RS-10: SDKs search the line for `scope=` and the like).
    fn value(&self, error: Option<(&str, &str)>, scopes: &ScopeSet) -> HeaderValue {
        let mut line = String::with_capacity(256);
        line.push_str("Bearer ");
        if let Some((error, description)) = error {
            // Writing to a string does not fail.
            let _ = write!(
                line,
                r#"error="{error}", error_description="{description}", "#
            );
        }
        let _ = write!(line, r#"resource_metadata="{}""#, self.metadata_url);
        if !scopes.is_empty() {
            let _ = write!(line, r#", scope="{scopes}""#);
        }
        // Every part of it is visible ASCII by its type or by the check in `new`.
        HeaderValue::try_from(line).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
    }
}

impl Denial {
    fn words(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "an access token is needed: sign in first",
            ),
            Self::BadHeader => (
                StatusCode::BAD_REQUEST,
                "the Authorization header must carry one bearer token",
            ),
            Self::BadToken(TokenFault::Expired) => {
                (StatusCode::UNAUTHORIZED, "the access token expired")
            }
            Self::BadToken(TokenFault::WrongAudience) => (
                StatusCode::UNAUTHORIZED,
                "the access token is for another resource",
            ),
            Self::BadToken(_) => (StatusCode::UNAUTHORIZED, "the access token is not valid"),
            Self::SessionEnded => (
                StatusCode::UNAUTHORIZED,
                "the session of the access token has ended",
            ),
            Self::Outage => (
                StatusCode::SERVICE_UNAVAILABLE,
                "sessions cannot be looked up now: try again",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

    fn challenges(scopes: &str) -> Challenges {
        Challenges::new(URL.to_owned(), ScopeSet::parse(scopes).unwrap()).unwrap()
    }

    fn line(response: &Response) -> String {
        let mut lines = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let line = lines.next().unwrap().to_str().unwrap().to_owned();
        assert_eq!(lines.next(), None, "one header field");
        line
    }

    /// RS-02, RS-03, RS-04
    #[test]
    fn without_a_token_the_challenge_says_only_where_to_go() {
        let response = challenges("mcp:read mcp:write").deny(Denial::NoToken);
        assert_eq!(response.status(), 401);
        let expected = format!(r#"Bearer resource_metadata="{URL}", scope="mcp:read mcp:write""#);
        assert_eq!(line(&response), expected);
        let without_scopes = challenges("").deny(Denial::NoToken);
        assert_eq!(
            line(&without_scopes),
            format!(r#"Bearer resource_metadata="{URL}""#)
        );
    }

    /// RS-05, RS-06, RS-08
    #[test]
    fn each_denial_has_its_status_and_its_error() {
        let challenges = challenges("mcp:read");
        let expired = challenges.deny(Denial::BadToken(TokenFault::Expired));
        let expected = format!(
            r#"Bearer error="invalid_token", error_description="the access token expired", resource_metadata="{URL}", scope="mcp:read""#
        );
        assert_eq!(
            (expired.status(), line(&expired)),
            (StatusCode::UNAUTHORIZED, expected)
        );
        for fault in [
            TokenFault::Malformed,
            TokenFault::UnknownKey,
            TokenFault::BadSignature,
            TokenFault::WrongType,
            TokenFault::WrongIssuer,
            TokenFault::WrongAudience,
            TokenFault::NotYetValid,
        ] {
            assert_eq!(
                challenges.deny(Denial::BadToken(fault)).status(),
                401,
                "{fault}"
            );
        }
        let malformed = challenges.deny(Denial::BadHeader);
        assert_eq!(malformed.status(), 400);
        assert!(line(&malformed).starts_with(r#"Bearer error="invalid_request", "#));
        let short =
            challenges.insufficient_scope(&ScopeSet::parse("mcp:read mcp:write").unwrap(), None);
        assert_eq!(short.status(), 403);
        assert!(line(&short).starts_with(r#"Bearer error="insufficient_scope", "#));
        assert!(line(&short).ends_with(r#", scope="mcp:read mcp:write""#));
    }

    /// RS-10
    #[test]
    fn no_parameter_can_be_found_twice_in_the_line() {
        let challenges = challenges("mcp:read");
        let mut lines: Vec<String> = [
            Denial::NoToken,
            Denial::BadHeader,
            Denial::BadToken(TokenFault::Expired),
            Denial::BadToken(TokenFault::WrongAudience),
            Denial::BadToken(TokenFault::BadSignature),
            Denial::SessionEnded,
        ]
        .into_iter()
        .map(|denial| line(&challenges.deny(denial)))
        .collect();
        lines.push(line(
            &challenges.insufficient_scope(&ScopeSet::parse("a b").unwrap(), None),
        ));
        for line in lines {
            assert!(line.starts_with("Bearer "), "{line}");
            for parameter in ["scope=", "error=", "resource_metadata=", "Bearer"] {
                assert!(
                    line.matches(parameter).count() <= 1,
                    "{parameter} in {line}"
                );
            }
            for parameter in line["Bearer ".len()..].split(", ") {
                let value = parameter.split_once('=').map(|(_, value)| value).unwrap();
                assert!(
                    value.starts_with('"') && value.ends_with('"') && value.len() > 2,
                    "{line}"
                );
                assert!(!value[1..value.len() - 1].contains(['"', '\\']), "{line}");
            }
        }
    }

    /// SEC-15
    #[test]
    fn an_outage_is_not_told_as_a_bad_token() {
        let response = challenges("mcp:read").deny(Denial::Outage);
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(RETRY_AFTER));
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn a_url_that_would_break_the_line_is_refused() {
        for url in [
            "https://a/\"",
            "https://a/\\",
            "https://a/\r\nb",
            "https://ä/",
        ] {
            assert_eq!(
                Challenges::new(url.to_owned(), ScopeSet::default()).err(),
                Some(UnquotableUrl),
                "{url:?}"
            );
        }
    }
}
