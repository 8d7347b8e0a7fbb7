//! `GET` on the bare public URL: a person who opens it is led to the page of the first MCP server.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{ACCEPT, CACHE_CONTROL, VARY};
use http::{HeaderMap, HeaderValue};

use super::{Endpoints, error};
use crate::protocol::accept::wants_page;

/// Leads a browser on; for everybody else there is nothing here (DISC-11).
pub async fn get(State(endpoints): State<Arc<Endpoints>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(ACCEPT).iter();
    let accept = accept.map(|field| field.to_str().unwrap_or("*/*"));
    let mut response = match endpoints.servers.first() {
        Some(server) if wants_page(accept) => Redirect::to(&server.resource).into_response(),
        _ => error::not_found().await,
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
