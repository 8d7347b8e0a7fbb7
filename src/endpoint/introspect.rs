//! `POST /introspect` (RFC 7662).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::Endpoints;
use super::error::{answered, too_many};
use super::rate_limit::What;
use super::request::{Caller, FormBody};
use crate::flow::Failure;
use crate::protocol::error::ErrorCode;

/// Says what a token is worth, to who may ask. Only those who do not prove themselves are counted: a resource server asks for
/// each token that anybody sends it, and nobody must be able to use up its share.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    body: FormBody,
) -> Response {
    let introspection = endpoints
        .flows
        .introspect(body.authorization(), &body.bytes, caller.address())
        .await;
    let is_unproven = |failure: &Failure| matches!(failure, Failure::Refused(error) if error.code == ErrorCode::InvalidClient);
    if introspection.as_ref().is_err_and(is_unproven)
        && let Err(seconds) = caller.count(&endpoints, What::Token)
    {
        return too_many(seconds);
    }
    answered(introspection.map(Json), body.authorization().is_some())
}
