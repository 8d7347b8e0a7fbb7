//! The well-known documents: written once, but for the key set.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

use super::Endpoints;
use crate::flow::keys::KEY_SET_KEPT;

/// A document of JSON, with how long it may be kept.
#[derive(Clone, Debug)]
pub struct Document(Bytes);

impl Document {
    /// Writes a document.
    ///
    /// # Errors
    /// Where it cannot be JSON.
    pub fn new(content: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(content).map(|json| Self(json.into()))
    }
}

/// Answers with a document. Clients keep it for some minutes (DISC-12).
#[must_use]
pub fn get(document: &Document) -> Response {
    answer(document.0.clone())
}

/// Answers with the keys that our tokens are verified with (RFC 7517 §5), as they are now.
pub async fn jwks(State(endpoints): State<Arc<Endpoints>>) -> Response {
    answer(endpoints.flows.jwks())
}

fn answer(json: Bytes) -> Response {
    let kept = format!("public, max-age={}", KEY_SET_KEPT.as_secs());
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, &*kept)];
    (headers, json).into_response()
}

/// Says that the process serves.
pub async fn health() -> Response {
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}
