//! `POST /token` (RFC 6749 §3.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::Endpoints;
use super::error::answered;
use super::request::{Counted, FormBody, Tokens};
use crate::protocol::token::TokenAnswer;
use crate::secret::Secret;

/// Answers with tokens.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    visit: Counted<Tokens>,
    body: FormBody,
) -> Response {
    let issued = endpoints
        .flows
        .token(body.authorization(), &body.bytes, visit.address())
        .await;
    let answer = issued.map(|issued| {
        let answer = TokenAnswer {
            access_token: issued.access.expose(),
            token_type: "Bearer",
            expires_in: issued.lifetime.as_secs(),
            scope: issued.scopes.to_string(),
            refresh_token: issued.refresh.as_ref().map(Secret::expose),
        };
        Json(answer).into_response()
    });
    answered(answer, body.authorization().is_some())
}
