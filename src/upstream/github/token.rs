//! What GitHub says about tokens: the errors of its token endpoint, whose a token is, and the end of one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use oauth2::basic::{BasicErrorResponse, BasicErrorResponseType};
use oauth2::{HttpResponse, RequestTokenError};
use serde::Deserialize;
use serde_json::json;

use super::account::User;
use super::api::{Api, message, under};
use super::refusal::unverified;
use super::{GitHubSettings, invalid};
use crate::outbound::OutboundError;
use crate::upstream::{UpstreamError, UpstreamTokens};

/// Whose the token is, in GitHub's word on whether it is in force. GitHub forgets tokens that were revoked, that have
/// expired, and that were the oldest of more than ten.
pub(super) async fn owner(
    settings: &GitHubSettings,
    api: &Api,
    tokens: &UpstreamTokens,
) -> Result<User, UpstreamError> {
    let answer = about(settings, api, tokens, Method::POST).await?;
    match answer.status() {
        StatusCode::OK => {
            let checked = serde_json::from_slice::<Checked>(answer.body());
            let checked =
                checked.map_err(|_| invalid("checking a token answers what cannot be read"))?;
            checked
                .user
                .ok_or_else(|| invalid("a token is said to be nobody's"))
        }
        // Only in GitHub's own words: a wrong address answers 404, too.
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY
            if !message(&answer).is_empty() =>
        {
            Err(UpstreamError::Ended("the token is not in force".to_owned()))
        }
        StatusCode::UNAUTHORIZED => Err(invalid(
            "checking a token answers 401: client_id and client_secret are not those of the application",
        )),
        status => Err(invalid(&format!(
            "checking a token answers {}",
            status.as_u16()
        ))),
    }
}

/// Ends the token. One that has ended already is no error.
pub(super) async fn end(
    settings: &GitHubSettings,
    api: &Api,
    tokens: &UpstreamTokens,
) -> Result<(), UpstreamError> {
    let answer = about(settings, api, tokens, Method::DELETE).await?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        // There is no such token any more.
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Ok(()),
        status => Err(invalid(&format!(
            "revoking a token answers {}",
            status.as_u16()
        ))),
    }
}

/// `POST /applications/{client_id}/token`
#[derive(Deserialize)]
struct Checked {
    user: Option<User>,
}

async fn about(
    settings: &GitHubSettings,
    api: &Api,
    tokens: &UpstreamTokens,
    method: Method,
) -> Result<HttpResponse, UpstreamError> {
    let path = ["applications", &settings.client_id, "token"];
    let url = under(&settings.api_url, &path);
    let credentials = format!("{}:{}", settings.client_id, settings.client_secret.expose());
    let basic = format!("Basic {}", STANDARD.encode(credentials));
    let request = http::Request::builder()
        .method(method)
        .uri(url.as_str())
        .header(AUTHORIZATION, basic)
        .header(CONTENT_TYPE, "application/json");
    let body = json!({ "access_token": tokens.access.expose() });
    api.send(request, body.to_string().into_bytes()).await
}

/// Why the token endpoint gives no token.
pub(super) fn refused(
    settings: &GitHubSettings,
    error: RequestTokenError<OutboundError, BasicErrorResponse>,
) -> UpstreamError {
    match error {
        RequestTokenError::Request(error) => UpstreamError::Unavailable(error.to_string()),
        RequestTokenError::ServerResponse(answer) => refused_with(settings, answer.error()),
        // Either would print what GitHub sent.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            invalid("the answer of the token endpoint cannot be read")
        }
    }
}

fn refused_with(settings: &GitHubSettings, error: &BasicErrorResponseType) -> UpstreamError {
    match error.as_ref() {
        code @ ("server_error" | "temporarily_unavailable") => {
            UpstreamError::Unavailable(format!("the token endpoint answers {code}"))
        }
        "bad_refresh_token" => {
            UpstreamError::Ended("bad_refresh_token: the refresh token is refused".to_owned())
        }
        "unverified_user_email" => UpstreamError::NotAllowed(Box::new(unverified(settings)), None),
        "incorrect_client_credentials" => invalid(
            "incorrect_client_credentials: client_id and client_secret are not those of the application",
        ),
        "redirect_uri_mismatch" => {
            invalid("redirect_uri_mismatch: the callback URL is not registered for the application")
        }
        code if code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
            UpstreamError::Invalid(format!("the token endpoint answers {code}"))
        }
        _ => invalid("the token endpoint answers an error"),
    }
}
