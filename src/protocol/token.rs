//! The token request and its answer (RFC 6749 §4.1.3, §5.1, §6).

use serde::Serialize;

use super::error::{ErrorCode, OAuthError};
use super::form::Form;
use super::ids::ClientId;
use super::resource_indicator::{Resources, within_grant};
use super::scope::ScopeSet;
use super::session::IssuedCode;
use crate::secret::Secret;

/// A token request, by grant type.
#[derive(Debug)]
pub enum TokenRequest {
    /// `authorization_code`
    Code(CodeRequest),
    /// `refresh_token`
    Refresh(RefreshRequest),
}

/// RFC 6749 §4.1.3, RFC 7636 §4.5
#[derive(Debug)]
pub struct CodeRequest {
    /// `code`
    pub code: Secret,
    /// `redirect_uri`
    pub redirect_uri: Option<String>,
    /// `code_verifier`
    pub verifier: Option<Secret>,
    /// `resource`
    pub resources: Vec<String>,
}

/// RFC 6749 §6
#[derive(Debug)]
pub struct RefreshRequest {
    /// `refresh_token`
    pub token: Secret,
    /// `scope`
    pub scopes: Option<ScopeSet>,
    /// `resource`
    pub resources: Vec<String>,
}

impl TokenRequest {
    /// Reads a token request; who makes it is read elsewhere.
    ///
    /// # Errors
    /// By RFC 6749 §5.2.
    pub fn parse(form: &Form) -> Result<Self, OAuthError> {
        let resources = form.all("resource").map(str::to_owned).collect();
        match form.one("grant_type")? {
            Some("authorization_code") => Ok(Self::Code(CodeRequest {
                code: secret(form, "code", "code is missing")?,
                redirect_uri: form.one("redirect_uri")?.map(str::to_owned),
                verifier: form.one("code_verifier")?.map(Secret::new),
                resources,
            })),
            Some("refresh_token") => {
                let scopes = form.one("scope")?.map(|scope| {
                    ScopeSet::parse(scope).ok_or(
                        ErrorCode::InvalidScope.with("scope has characters that no scope has"),
                    )
                });
                Ok(Self::Refresh(RefreshRequest {
                    token: secret(form, "refresh_token", "refresh_token is missing")?,
                    scopes: scopes.transpose()?.filter(|scopes| !scopes.is_empty()),
                    resources,
                }))
            }
            None => Err(ErrorCode::InvalidRequest.with("grant_type is missing")),
            Some(_) => Err(ErrorCode::UnsupportedGrantType
                .with("grant_type must be authorization_code or refresh_token")),
        }
    }
}

fn secret(form: &Form, name: &str, missing: &'static str) -> Result<Secret, OAuthError> {
    form.one(name)?
        .map(Secret::new)
        .ok_or(ErrorCode::InvalidRequest.with(missing))
}

/// That a code may be redeemed by this request: all but whether it is known, unexpired and unspent. What the client
/// can put right is said before anything is spent (K6).
///
/// # Errors
/// `invalid_grant`, or `invalid_target` where only the resource is wrong.
pub fn check_redemption(
    code: &IssuedCode,
    request: &CodeRequest,
    client: &ClientId,
    resources: &Resources,
) -> Result<(), OAuthError> {
    let issued = &code.request;
    if issued.client_id != *client {
        return Err(ErrorCode::InvalidGrant.with("the code was issued to another client"));
    }
    // OAuth 2.1 clients leave it out, RFC 6749 ones repeat it: what is said must be right
    if request
        .redirect_uri
        .as_ref()
        .is_some_and(|uri| uri != issued.redirect.as_str())
    {
        return Err(
            ErrorCode::InvalidGrant.with("redirect_uri is not that of the authorization request")
        );
    }
    let verifier = request
        .verifier
        .as_ref()
        .ok_or(ErrorCode::InvalidGrant.with("code_verifier is missing"))?;
    if !issued.challenge.is_met_by(verifier) {
        return Err(ErrorCode::InvalidGrant.with("code_verifier does not meet the code_challenge"));
    }
    within_grant(resources, &issued.resource, request.resources.iter())
}

/// The scopes of a refreshed access token: those asked for, or all that were granted (RFC 6749 §6).
///
/// # Errors
/// `invalid_scope` where more is asked for than was granted.
pub fn refreshed_scopes(
    granted: &ScopeSet,
    asked: Option<&ScopeSet>,
) -> Result<ScopeSet, OAuthError> {
    let Some(asked) = asked else {
        return Ok(granted.clone());
    };
    // some clients add offline_access here, because the metadata list it: it opens nothing (TOK-35)
    let beyond = |scope: &&super::scope::Scope| {
        !granted.contains(scope) && scope.as_str() != super::authorize::OFFLINE_ACCESS
    };
    if asked.iter().any(|scope| beyond(&scope)) {
        return Err(ErrorCode::InvalidScope.with("the scope goes beyond what was granted"));
    }
    let narrowed = asked.intersection(granted);
    // ... and whoever asks for it alone asks for nothing: a token without any scope would be of no use
    let opens_nothing = narrowed
        .iter()
        .all(|scope| scope.as_str() == super::authorize::OFFLINE_ACCESS);
    Ok(if opens_nothing {
        granted.clone()
    } else {
        narrowed
    })
}

/// RFC 6749 §5.1
#[derive(Serialize)]
pub struct TokenAnswer<'a> {
    /// The access token.
    pub access_token: &'a str,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    /// What was granted; always said.
    pub scope: String,
    /// The refresh token, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use crate::protocol::ids::Id;
    use crate::protocol::pkce::Challenge;
    use crate::protocol::redirect_uri::RedirectUri;
    use crate::protocol::resource_indicator::Resource;
    use crate::protocol::session::AuthorizationRequest;

    fn parse(body: &str) -> Result<TokenRequest, OAuthError> {
        TokenRequest::parse(&Form::parse(body.as_bytes()).unwrap())
    }

    /// TOK-02, TOK-05
    #[test]
    fn a_token_request_names_one_known_grant_and_what_it_needs() {
        for (body, error) in [
            ("", "invalid_request"),
            ("grant_type=", "invalid_request"),
            ("grant_type=password", "unsupported_grant_type"),
            ("grant_type=client_credentials", "unsupported_grant_type"),
            ("grant_type=authorization_code", "invalid_request"),
            (
                "grant_type=authorization_code&code=a&code=b",
                "invalid_request",
            ),
            ("grant_type=refresh_token", "invalid_request"),
            (
                "grant_type=refresh_token&refresh_token=a&scope=%22",
                "invalid_scope",
            ),
        ] {
            assert_eq!(parse(body).unwrap_err().code.as_str(), error, "{body}");
        }
        assert!(matches!(
            parse("grant_type=authorization_code&code=a&scope=anything"),
            Ok(TokenRequest::Code(_))
        ));
        assert!(matches!(
            parse("grant_type=refresh_token&refresh_token=a&scope="),
            Ok(TokenRequest::Refresh(RefreshRequest { scopes: None, .. }))
        ));
    }

    /// TOK-11
    #[test]
    fn a_token_request_is_read_as_clients_write_it() {
        let body = "grant_type=authorization_code&code=a&redirect_uri=http%3A%2F%2Flocalhost%3A5%2Fcb&code_verifier=v\
                    &client_id=c&scope=%22&resource=https://h/a&resource=https://h/a&audience=x";
        let Ok(TokenRequest::Code(request)) = parse(body) else {
            panic!("{body}");
        };
        assert_eq!(request.code.expose(), "a");
        assert_eq!(
            request.redirect_uri.as_deref(),
            Some("http://localhost:5/cb")
        );
        assert_eq!(request.verifier.unwrap().expose(), "v");
        assert_eq!(request.resources, ["https://h/a", "https://h/a"]);
    }

    // RFC 7636 Appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn redeem(client: &str, rest: &str) -> Result<(), ErrorCode> {
        let redirect = "http://localhost:5/cb";
        let code = IssuedCode {
            digest: Secret::new("a").digest(),
            session: Id::from_bytes([0; Id::LEN]),
            request: AuthorizationRequest {
                client_id: ClientId::new("c"),
                redirect: RedirectUri::parse("http://localhost/cb")
                    .unwrap()
                    .admits(redirect)
                    .unwrap(),
                state: None,
                challenge: Challenge::parse(Some(CHALLENGE), Some("S256")).unwrap(),
                resource: "https://h/a".to_owned(),
                scopes: ScopeSet::parse("a").unwrap(),
                fingerprint: [0; 32],
            },
            spent: false,
            expires: UnixTime(0),
        };
        let body = format!("grant_type=authorization_code&code=a&{rest}");
        let Ok(TokenRequest::Code(request)) = parse(&body) else {
            panic!("{body}");
        };
        let resources = ["https://h/a", "https://h/b"].map(|identifier| Resource {
            identifier: identifier.to_owned(),
            scopes: ScopeSet::default(),
            default_scopes: ScopeSet::default(),
        });
        let resources = Resources::new(resources.to_vec());
        check_redemption(&code, &request, &ClientId::new(client), &resources)
            .map_err(|error| error.code)
    }

    /// TOK-06, TOK-09, K1
    #[test]
    fn a_code_is_redeemed_by_the_client_that_began_with_what_it_began_with() {
        let right = format!("code_verifier={VERIFIER}");
        let grant = Err(ErrorCode::InvalidGrant);
        for (client, rest, checked) in [
            ("c", right.clone(), Ok(())),
            (
                "c",
                format!("{right}&redirect_uri=http://localhost:5/cb"),
                Ok(()),
            ),
            ("c", format!("{right}&redirect_uri="), Ok(())),
            ("c", format!("{right}&resource=https://h/a"), Ok(())),
            (
                "c",
                format!("{right}&resource=https://h/a/&resource=HTTPS://H/a"),
                Ok(()),
            ),
            ("d", right.clone(), grant),
            ("c", String::new(), grant),
            ("c", "code_verifier=".to_owned(), grant),
            ("c", format!("code_verifier={CHALLENGE}"), grant),
            ("c", format!("code_verifier={}", &VERIFIER[..42]), grant),
            // the port of the request, not any port of the registration
            (
                "c",
                format!("{right}&redirect_uri=http://localhost:6/cb"),
                grant,
            ),
            (
                "c",
                format!("{right}&redirect_uri=http://localhost/cb"),
                grant,
            ),
            (
                "c",
                format!("{right}&resource=https://h/b"),
                Err(ErrorCode::InvalidTarget),
            ),
            (
                "c",
                format!("{right}&resource=https://evil.example"),
                Err(ErrorCode::InvalidTarget),
            ),
            // whoever cannot redeem it learns nothing of its resource
            ("d", format!("{right}&resource=https://h/b"), grant),
            ("c", "resource=https://h/b".to_owned(), grant),
        ] {
            assert_eq!(redeem(client, &rest), checked, "{client} {rest}");
        }
    }

    #[test]
    fn an_answer_says_the_scope_and_nothing_is_null() {
        let mut answer = TokenAnswer {
            access_token: "t",
            token_type: "Bearer",
            expires_in: 3600,
            scope: "a b".to_owned(),
            refresh_token: Some("r"),
        };
        let all = r#"{"access_token":"t","token_type":"Bearer","expires_in":3600,"scope":"a b","refresh_token":"r"}"#;
        assert_eq!(serde_json::to_string(&answer).unwrap(), all);
        answer.refresh_token = None;
        let less = r#"{"access_token":"t","token_type":"Bearer","expires_in":3600,"scope":"a b"}"#;
        assert_eq!(serde_json::to_string(&answer).unwrap(), less);
    }

    /// TOK-35
    #[test]
    fn to_ask_for_offline_access_alone_is_to_ask_for_nothing() {
        let granted = ScopeSet::parse("a offline_access").unwrap();
        for (asked, refreshed) in [
            ("offline_access", "a offline_access"),
            ("a offline_access", "a offline_access"),
            ("a", "a"),
        ] {
            let asked = ScopeSet::parse(asked).unwrap();
            let got = refreshed_scopes(&granted, Some(&asked)).unwrap();
            assert_eq!(got.to_string(), refreshed, "{asked}");
        }
    }

    /// TOK-35
    #[test]
    fn a_refresh_may_narrow_the_scope_but_never_widen_it() {
        let granted = ScopeSet::parse("a b").unwrap();
        for (asked, refreshed) in [
            (None, Some("a b")),
            (Some("a"), Some("a")),
            (Some("a b offline_access"), Some("a b")),
            (Some("offline_access"), Some("a b")),
            (Some("a c"), None),
            (Some("c"), None),
        ] {
            let asked = asked.map(|asked| ScopeSet::parse(asked).unwrap());
            let got = refreshed_scopes(&granted, asked.as_ref());
            assert_eq!(
                got.ok().map(|s| s.to_string()).as_deref(),
                refreshed,
                "{asked:?}"
            );
        }
    }
}
