//! `GET`, `PUT` and `DELETE /register/{client_id}` (RFC 7592).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Endpoints;
use super::error::{for_bearer, no_store};
use super::register::refuse;
use super::request::{Bearer, Counted, JsonBody, Registrations, Unreadable};
use crate::flow::Failure;
use crate::protocol::ids::ClientId;

/// `{client_id}`
type Named = Result<Path<String>, PathRejection>;

/// Says what is registered.
pub async fn get(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<Registrations>,
    bearer: Bearer,
    named: Named,
) -> Response {
    let (flows, id) = (&endpoints.flows, client(named));
    let answer = flows.read_registration(&id, bearer.token).await;
    respond(answer.map(Json), bearer.is_presented)
}

/// Changes what is registered.
pub async fn put(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<Registrations>,
    bearer: Bearer,
    named: Named,
    body: Result<JsonBody, Unreadable>,
) -> Response {
    let body = match body {
        Ok(body) => body.0,
        Err(unreadable) => return refuse(unreadable),
    };
    let (flows, id) = (&endpoints.flows, client(named));
    let answer = flows.change_registration(&id, bearer.token, &body).await;
    respond(answer.map(Json), bearer.is_presented)
}

/// Forgets a client.
pub async fn delete(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<Registrations>,
    bearer: Bearer,
    named: Named,
) -> Response {
    let (flows, id) = (&endpoints.flows, client(named));
    let removed = flows.remove_registration(&id, bearer.token).await;
    respond(
        removed.map(|()| StatusCode::NO_CONTENT),
        bearer.is_presented,
    )
}

/// An identifier that cannot be read is that of no client; the rejection would be plain text.
fn client(named: Named) -> ClientId {
    ClientId::new(named.map_or_else(|_| String::new(), |Path(id)| id))
}

fn respond(answer: Result<impl IntoResponse, Failure>, is_presented: bool) -> Response {
    match answer {
        Ok(answer) => {
            let mut response = answer.into_response();
            no_store(&mut response);
            response
        }
        Err(failure) => for_bearer(&failure, is_presented),
    }
}
