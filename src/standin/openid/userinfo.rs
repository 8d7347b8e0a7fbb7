//! Userinfo of the stand-in's `OpenID` provider (`OpenID` Connect Core 1.0 §5.3).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::deviation::Deviation;
use crate::standin::Shared;

pub(super) async fn get(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let world = shared.world();
    let provider = &world.openid;
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = presented
        .and_then(|clear| provider.access.get(clear))
        .filter(|token| provider.clock.now() < token.expires);
    let Some(token) = token else {
        let challenge = [(header::WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#)];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    };
    let Some(account) = provider.accounts.get(token.grant.account) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut claims = account.claims(&token.grant.scopes);
    let sub = if provider.deviates(Deviation::AnotherAtUserinfo) {
        format!("{}0", account.sub)
    } else {
        account.sub.clone()
    };
    claims.insert("sub".to_owned(), json!(sub));
    provider.put_in_words(&mut claims);
    Json(Value::Object(claims)).into_response()
}
