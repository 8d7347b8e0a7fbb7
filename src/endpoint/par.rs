//! `POST /par` (RFC 9126 §2).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Endpoints;
use super::error::{answered, too_many_of_all};
use super::rate_limit::Shared;
use super::request::{Counted, FormBody, Pushes};
use crate::protocol::par::PushedAnswer;

/// Answers with the name of the request that was pushed. It is an authorization request like others, and counts as one; what
/// all push is limited together, since it is kept, for 90 seconds, before anybody has agreed to anything.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    visit: Counted<Pushes>,
    body: FormBody,
) -> Response {
    if let Err(seconds) = visit.count_all(&endpoints, Shared::Pushed) {
        return too_many_of_all(seconds);
    }
    let pushed = endpoints
        .flows
        .push(body.authorization(), &body.bytes, visit.address())
        .await;
    let answer = pushed.map(|pushed| {
        let answer = PushedAnswer {
            request_uri: pushed.request_uri.expose(),
            expires_in: pushed.lifetime.as_secs(),
        };
        (StatusCode::CREATED, Json(answer)).into_response()
    });
    answered(answer, body.authorization().is_some())
}
