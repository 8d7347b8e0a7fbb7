//! `POST /revoke` (RFC 7009).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Endpoints;
use super::error::{for_client, no_store};
use super::request::{Counted, FormBody, Tokens};

/// Ends the session of a token. An unknown token is answered like a known one.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    visit: Counted<Tokens>,
    body: FormBody,
) -> Response {
    match endpoints
        .flows
        .revoke(body.authorization(), &body.bytes, visit.address())
        .await
    {
        Ok(()) => {
            let mut response = StatusCode::OK.into_response();
            no_store(&mut response);
            response
        }
        Err(failure) => for_client(&failure, body.authorization().is_some()),
    }
}
