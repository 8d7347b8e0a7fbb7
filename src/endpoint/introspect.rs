//! `POST /introspect` (RFC 7662).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::Endpoints;
use super::error::{for_client, no_store, too_many};
use super::rate_limit::What;
use super::request::{Caller, FormBody};

/// Says what a token is worth, to who may ask. Only those who do not prove themselves are counted: a resource server asks for
/// each token that anybody sends it, and nobody must be able to use up its share.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    body: FormBody,
) -> Response {
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
        Err(failure) => match caller.count(&endpoints, What::Token) {
            Ok(()) => for_client(&failure, body.authorization().is_some()),
            Err(seconds) => too_many(seconds),
        },
    }
}
