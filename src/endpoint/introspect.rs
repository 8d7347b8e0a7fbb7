//! `POST /introspect` (RFC 7662).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::Endpoints;
use super::error::{for_client, no_store, too_many};
use super::rate_limit::What;
use super::request::{Caller, FormBody};

/// Says what a token is worth, to who may ask.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    body: FormBody,
) -> Response {
    if let Err(seconds) = caller.count(&endpoints, What::Token) {
        return too_many(seconds);
    }
    match endpoints
        .flows
        .introspect(body.authorization(), &body.bytes, caller.address())
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
