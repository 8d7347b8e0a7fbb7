//! `GET /logo/{sealed}`: the picture of an app, from us and nobody else.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, StatusCode};

use super::Endpoints;
use super::rate_limit::What;
use super::request::Caller;

/// Answers with a logo that one of our pages has linked to. Whatever goes wrong is 404: the page does without it.
pub async fn get(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    sealed: Result<Path<String>, PathRejection>,
) -> Response {
    if let Err(seconds) = caller.count(&endpoints, What::Authorize) {
        let wait = [(RETRY_AFTER, seconds.to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, wait, HEADERS, NOT_KEPT).into_response();
    }
    let Ok(Path(sealed)) = sealed else {
        return not_found();
    };
    match endpoints.flows.logo(&sealed, caller.address()).await {
        Some(logo) => {
            let headers = [
                (CONTENT_TYPE, logo.content_type),
                (CACHE_CONTROL, "private, max-age=3600"),
            ];
            (HEADERS, headers, logo.bytes).into_response()
        }
        None => not_found(),
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, HEADERS, NOT_KEPT).into_response()
}

/// Wherever it is opened, it is a picture and can do nothing; and no other site can have it in a page of its own.
const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

const NOT_KEPT: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];
