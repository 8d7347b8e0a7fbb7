//! `POST /introspect` (RFC 7662).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::Endpoints;
use super::error::{for_client, no_store};
use super::request::{Counted, FormBody, Tokens};

/// Says what a token is worth, to who may ask.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    visit: Counted<Tokens>,
    body: FormBody,
) -> Response {
    match endpoints
        .flows
        .introspect(body.authorization(), &body.bytes, visit.address())
        .await
    {
        Ok(introspection) => {
            let mut response = Json(introspection).into_response();
            no_store(&mut response);
            response
        }
        Err(failure) => for_client(&failure, body.authorization().is_some()),
    }
}
