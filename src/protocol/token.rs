//! The token request and its answer (OAuth 2.1 §3.2, §4.1.3, §4.3).

use std::time::Duration;

use serde::Serialize;

use super::error::{ErrorCode, OAuthError};
use super::form::Form;
use super::ids::ClientId;
use super::resource_indicator::{Resources, within_grant};
use super::scope::ScopeSet;
use super::session::IssuedCode;
use crate::secret::Secret;

/// What a client brings to get tokens for.
#[derive(Debug)]
pub enum TokenRequest {
    /// `authorization_code`
    Code(CodeRequest),
    /// `refresh_token`
    Refresh(RefreshRequest),
}

/// An authorization code to redeem (OAuth 2.1 §4.1.3).
#[derive(Debug)]
pub struct CodeRequest {
    /// `code`
    pub code: Secret,
    /// `redirect_uri`: sent by clients of OAuth 2.0, left out by those of 2.1.
    pub redirect_uri: Option<String>,
    /// `code_verifier`
    pub verifier: Option<Secret>,
    /// `resource`, however often
    pub resources: Vec<String>,
}

/// A refresh token to use (OAuth 2.1 §4.3).
#[derive(Debug)]
pub struct RefreshRequest {
    /// `refresh_token`
    pub token: Secret,
    /// `scope`
    pub scopes: Option<ScopeSet>,
    /// `resource`, however often
    pub resources: Vec<String>,
}

impl TokenRequest {
    /// Reads the form of a token request. Parameters that the grant does not know are ignored, `scope` next to a code
    /// among them.
    ///
    /// # Errors
    /// `invalid_request`, `unsupported_grant_type` or `invalid_scope`.
    pub fn parse(form: &Form) -> Result<Self, OAuthError> {
        form.check_no_repeats(&["resource"])?;
        let resources = form.all("resource").map(str::to_owned).collect();
        match form.one("grant_type")? {
            Some("authorization_code") => Ok(Self::Code(CodeRequest {
                code: required(form, "code", "code is missing")?,
                redirect_uri: form.one("redirect_uri")?.map(str::to_owned),
                verifier: form.one("code_verifier")?.map(Secret::new),
                resources,
            })),
            Some("refresh_token") => Ok(Self::Refresh(RefreshRequest {
                token: required(form, "refresh_token", "refresh_token is missing")?,
                scopes: read_scopes(form)?,
                resources,
            })),
            Some(_) => Err(ErrorCode::UnsupportedGrantType
                .with("grant_type must be authorization_code or refresh_token")),
            None => Err(ErrorCode::InvalidRequest.with("grant_type is missing")),
        }
    }
}

fn required(form: &Form, name: &str, missing: &'static str) -> Result<Secret, OAuthError> {
    let value = form.one(name)?;
    value
        .map(Secret::new)
        .ok_or(ErrorCode::InvalidRequest.with(missing))
}

fn read_scopes(form: &Form) -> Result<Option<ScopeSet>, OAuthError> {
    let Some(text) = form.one("scope")? else {
        return Ok(None);
    };
    let scopes = ScopeSet::parse(text)
        .ok_or(ErrorCode::InvalidScope.with("scope holds a character that no scope may have"))?;
    Ok(Some(scopes).filter(|scopes| !scopes.is_empty()))
}

/// Checks that `client` may redeem `code` with what it brought: all but the code's digest and expiry. Nothing is spent
/// before, so a request that was refused can be put right and sent again.
///
/// # Errors
/// `invalid_grant`; `invalid_target` only to the one that proved to be the right client.
pub fn check_redemption(
    code: &IssuedCode,
    request: &CodeRequest,
    client: &ClientId,
    resources: &Resources,
) -> Result<(), OAuthError> {
    let granted = &code.request;
    if granted.client_id != *client {
        return Err(ErrorCode::InvalidGrant.with("the code was issued to another client"));
    }
    // OAuth 2.1 §4.1.3, §10.2: PKCE has taken the place of this check, so it may be left out; a wrong one stays wrong.
    let redirect = request.redirect_uri.as_deref();
    if redirect.is_some_and(|sent| sent != granted.redirect.as_str()) {
        return Err(ErrorCode::InvalidGrant
            .with("redirect_uri is another one than in the authorization request"));
    }
    let verifier = request
        .verifier
        .as_ref()
        .ok_or(ErrorCode::InvalidGrant.with("code_verifier is missing: PKCE is required"))?;
    if !granted.challenge.is_met_by(verifier) {
        return Err(ErrorCode::InvalidGrant.with("code_verifier does not match the code_challenge"));
    }
    let asked = request.resources.iter().map(String::as_str);
    within_grant(resources, &granted.resource, asked)
}

/// The scopes of the next access token: what is asked for, if it was granted; all that was granted where nothing is
/// asked for (OAuth 2.1 §4.3.1). `offline_access` is forgiven, since some clients add it whenever they see it listed.
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
    if asked
        .iter()
        .any(|scope| !granted.contains(scope) && scope.as_str() != "offline_access")
    {
        return Err(ErrorCode::InvalidScope.with("scope holds more than was granted"));
    }
    let narrowed = asked.intersection(granted);
    // Whoever asked for offline_access alone asked for nothing.
    if narrowed
        .iter()
        .all(|scope| scope.as_str() == "offline_access")
    {
        return Ok(granted.clone());
    }
    Ok(narrowed)
}

/// The answer to a token request (RFC 6749 §5.1).
#[derive(Serialize)]
pub struct TokenAnswer<'a> {
    /// `access_token`
    pub access_token: &'a str,
    /// `token_type`: always `Bearer`.
    pub token_type: &'static str,
    /// `expires_in`, in seconds
    pub expires_in: u64,
    /// `scope`: always said, since it may be less than was asked for.
    pub scope: String,
    /// `refresh_token`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<&'a str>,
}

impl<'a> TokenAnswer<'a> {
    /// The tokens, handed to the client that they belong to.
    #[must_use]
    pub fn new(
        access_token: &'a str,
        expires_in: Duration,
        scopes: &ScopeSet,
        refresh_token: Option<&'a Secret>,
    ) -> Self {
        Self {
            access_token,
            token_type: "Bearer",
            expires_in: expires_in.as_secs(),
            scope: scopes.to_string(),
            refresh_token: refresh_token.map(Secret::expose),
        }
    }
}
