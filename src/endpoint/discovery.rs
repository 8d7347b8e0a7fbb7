//! The well-known documents, written once.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

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

    /// A document that is JSON already.
    #[must_use]
    pub fn from_json(json: Bytes) -> Self {
        Self(json)
    }
}

/// Answers with a document. Clients keep it for some minutes (DISC-12).
#[must_use]
pub fn get(document: &Document) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, document.0.clone()).into_response()
}

/// Says that the process serves.
pub async fn health() -> Response {
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}
