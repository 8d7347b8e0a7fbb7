//! What the stand-in's `OpenID` provider publishes about itself (`OpenID` Connect Discovery 1.0, RFC 8414).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jsonwebtoken::jwk::JwkSet;
use serde_json::json;

use super::deviation::Deviation;
use crate::standin::Shared;

pub(super) async fn get(State(shared): State<Arc<Shared>>) -> Response {
    let issuer = shared.issuer();
    let world = shared.world();
    let provider = &world.openid;
    let named = if provider.deviates(Deviation::ForeignMetadata) {
        format!("{issuer}/elsewhere")
    } else {
        issuer.clone()
    };
    let mut metadata = json!({
        "issuer": named,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "profile", "offline_access"],
        "claims_supported": ["sub", "name", "preferred_username", "email", "email_verified", "groups", "hd"],
    });
    if !provider.deviates(Deviation::BeforeRfc9207) {
        metadata["authorization_response_iss_parameter_supported"] = true.into();
    }
    Json(metadata).into_response()
}

pub(super) async fn jwks(State(shared): State<Arc<Shared>>) -> Response {
    match shared.world().openid.key.jwk() {
        Some(jwk) => Json(JwkSet { keys: vec![jwk] }).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
