//! What can go wrong at a provider, to order.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::message;

/// An answer in place of the right one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The right answer, after this long.
    Slow(Duration),
    /// No answer, ever.
    Silent,
    /// 200 with a page of HTML.
    Html,
    /// 500 with a page of HTML.
    Down,
    /// 200 with this body, said to be JSON, whatever it is.
    Body(String),
    /// 401: the token has ended.
    Unauthorized,
    /// 404
    Absent,
    /// 403 because the hour's requests are used up.
    RateLimited,
    /// 429 because of too many requests at once.
    TooMany,
    /// 403 because the organisation restricts third-party applications and has not approved this one.
    NotApproved,
    /// 403 because the organisation asks for single sign-on, with the link to it.
    SingleSignOn(String),
    /// 200 with an empty list that leaves out organisations for want of single sign-on.
    WithoutSingleSignOn,
    /// 403 as GitHub Apps get it where they were given no permission.
    NotForApps,
    /// This status, with this message in GitHub's form.
    Message(u16, &'static str),
}

impl Fault {
    /// The answer; none: the right one, which is due now.
    pub(super) async fn answer(self) -> Option<Response> {
        match self {
            Self::Slow(late) => {
                tokio::time::sleep(late).await;
                None
            }
            Self::Silent => std::future::pending().await,
            fault => Some(fault.wrong()),
        }
    }

    fn wrong(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
        let forbidden = StatusCode::FORBIDDEN;
        let html = axum::response::Html("<html><title>Unicorn!</title></html>");
        match self {
            Self::Slow(_) | Self::Silent | Self::Html => html.into_response(),
            Self::Down => (StatusCode::INTERNAL_SERVER_ERROR, html).into_response(),
            Self::Body(body) => (json, body).into_response(),
            Self::Unauthorized => message(StatusCode::UNAUTHORIZED, "Bad credentials"),
            Self::Absent => message(StatusCode::NOT_FOUND, "Not Found"),
            Self::RateLimited => {
                let headers = [
                    ("x-ratelimit-limit", "5000"),
                    ("x-ratelimit-remaining", "0"),
                ];
                (headers, message(forbidden, "API rate limit exceeded")).into_response()
            }
            Self::TooMany => {
                let headers = [(header::RETRY_AFTER, "60")];
                let told = "You have exceeded a secondary rate limit";
                (headers, message(StatusCode::TOO_MANY_REQUESTS, told)).into_response()
            }
            Self::NotApproved => message(
                forbidden,
                "Although you appear to have the correct authorization credentials, the `acme` organization has \
                 enabled OAuth App access restrictions, meaning that data access to third-parties is limited.",
            ),
            Self::SingleSignOn(url) => {
                let headers = [("x-github-sso", format!("required; url={url}"))];
                let told = "Resource protected by organization SAML enforcement. You must grant your OAuth token \
                            access to this organization.";
                (headers, message(forbidden, told)).into_response()
            }
            Self::WithoutSingleSignOn => {
                let headers = [("x-github-sso", "partial-results; organizations=21955855")];
                (headers, json, "[]").into_response()
            }
            Self::NotForApps => message(forbidden, "Resource not accessible by integration"),
            Self::Message(status, told) => {
                let status = StatusCode::from_u16(status);
                message(status.unwrap_or(StatusCode::IM_A_TEAPOT), told)
            }
        }
    }
}
