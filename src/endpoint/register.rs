//! `POST /register` (RFC 7591 §3).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Endpoints;
use super::error::{for_client, no_store, too_many};
use super::rate_limit::What;
use super::request::{Caller, JsonBody};

/// Registers a client.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    body: JsonBody,
) -> Response {
    if let Err(seconds) = caller.count(&endpoints, What::Register) {
        return too_many(seconds);
    }
    match endpoints.flows.register(&body.0).await {
        Ok(registration) => {
            let mut response = (StatusCode::CREATED, Json(registration.answer)).into_response();
            no_store(&mut response);
            response
        }
        Err(failure) => for_client(&failure, false),
    }
}
