//! The stand-in's API for the application itself: whether a token is in force, and the end of one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::{CLIENT_ID, CLIENT_SECRET, Shared, message, not_found, user};
use crate::secret::same;

/// The application, by its credentials.
pub(super) struct Application;

impl FromRequestParts<Arc<Shared>> for Application {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        let named = Path::<String>::from_request_parts(parts, shared).await;
        let presented = parts.headers.get(header::AUTHORIZATION);
        let credentials = presented
            .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .unwrap_or_default();
        let right = format!("{CLIENT_ID}:{CLIENT_SECRET}");
        let known = named.is_ok_and(|Path(client_id)| client_id == CLIENT_ID);
        if known && same(&credentials, right.as_bytes()) {
            return Ok(Self);
        }
        Err(message(StatusCode::UNAUTHORIZED, "Bad credentials"))
    }
}

#[derive(Deserialize)]
pub(super) struct About {
    access_token: String,
}

pub(super) async fn check_token(
    State(shared): State<Arc<Shared>>,
    _application: Application,
    Json(about): Json<About>,
) -> Result<Response, Response> {
    let world = shared.world();
    let token = world
        .tokens
        .get(&about.access_token)
        .ok_or_else(not_found)?;
    let mut people = world.people.iter();
    let person = people.find(|person| person.id == token.person);
    let answer = json!({
        "token": about.access_token,
        "scopes": token.scopes,
        "user": person.map(user::describe_in_short),
    });
    Ok(Json(answer).into_response())
}

pub(super) async fn delete_token(
    State(shared): State<Arc<Shared>>,
    _application: Application,
    Json(about): Json<About>,
) -> Result<StatusCode, Response> {
    let ended = shared.world().end_token(&about.access_token);
    ended.map(|_| StatusCode::NO_CONTENT).ok_or_else(not_found)
}

/// Ends every token that the person behind this one gave the application.
pub(super) async fn delete_grant(
    State(shared): State<Arc<Shared>>,
    _application: Application,
    Json(about): Json<About>,
) -> Result<StatusCode, Response> {
    let mut world = shared.world();
    let token = world
        .tokens
        .get(&about.access_token)
        .ok_or_else(not_found)?;
    let person = token.person;
    world.end_tokens_of(person);
    Ok(StatusCode::NO_CONTENT)
}
