//! `POST /revoke` (RFC 7009).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::Endpoints;
use super::error::answered;
use super::request::{Counted, FormBody, Tokens};

/// Ends the session of a token. An unknown token is answered like a known one.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    visit: Counted<Tokens>,
    body: FormBody,
) -> Response {
    let revoked = endpoints
        .flows
        .revoke(body.authorization(), &body.bytes, visit.address())
        .await;
    answered(
        revoked.map(|()| StatusCode::OK),
        body.authorization().is_some(),
    )
}
