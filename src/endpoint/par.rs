//! `POST /par` (RFC 9126 §2).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Endpoints;
use super::error::{for_client, no_store};
use super::request::{Counted, FormBody, Tokens};
use crate::protocol::par::PushedAnswer;

/// Answers with the name of the request that was pushed. What is kept lives for 90 seconds, so that the limit on token
/// requests, which these share, bounds it.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    visit: Counted<Tokens>,
    body: FormBody,
) -> Response {
    match endpoints
        .flows
        .push(body.authorization(), &body.bytes, visit.address())
        .await
    {
        Ok(pushed) => {
            let answer = PushedAnswer {
                request_uri: pushed.request_uri.expose(),
                expires_in: pushed.lifetime.as_secs(),
            };
            let mut response = (StatusCode::CREATED, Json(answer)).into_response();
            no_store(&mut response);
            response
        }
        Err(failure) => for_client(&failure, body.authorization().is_some()),
    }
}
