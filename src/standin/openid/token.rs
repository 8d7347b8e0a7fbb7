//! The token endpoint of the stand-in's `OpenID` provider, and the end of tokens (RFC 6749 §5, RFC 7009).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::deviation::Deviation;
use super::id_token::About;
use super::{AccessToken, Grant, Provider, RefreshToken};
use crate::secret::{Secret, same};
use crate::standin::{CLIENT_ID, CLIENT_SECRET, Shared, random};

#[derive(Deserialize)]
pub(super) struct Asked {
    grant_type: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(asked): Form<Asked>,
) -> Response {
    if !is_ours(&headers, &asked) {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let issuer = shared.issuer();
    let mut world = shared.world();
    let provider = &mut world.openid;
    let answer = match asked.grant_type.as_deref() {
        Some("authorization_code") => provider.redeem(&issuer, asked),
        Some("refresh_token") => provider.refresh(&issuer, asked),
        _ => Err("unsupported_grant_type"),
    };
    match answer {
        Ok(answer) => ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response(),
        Err("server_error") => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Err(code) => error(StatusCode::BAD_REQUEST, code),
    }
}

/// Ends everything that the person behind the token allowed, as Google does.
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(asked): Form<Asked>,
) -> Response {
    if !is_ours(&headers, &asked) {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let Some(token) = asked.token else {
        return error(StatusCode::BAD_REQUEST, "invalid_request");
    };
    let mut world = shared.world();
    let provider = &mut world.openid;
    let access = provider.access.get(&token).map(|token| &token.grant);
    let refresh = provider.refresh.get(&token).map(|token| &token.grant);
    if let Some(account) = access.or(refresh).map(|grant| grant.account) {
        provider.end_all_of(account);
    }
    // RFC 7009 §2.2: a token that is not known is no error
    StatusCode::OK.into_response()
}

/// Whether it is the application, which proves itself in one way alone (RFC 6749 §2.3).
fn is_ours(headers: &HeaderMap, asked: &Asked) -> bool {
    let right = format!("{CLIENT_ID}:{CLIENT_SECRET}");
    let basic = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or_default());
    match (basic, &asked.client_secret) {
        (Some(basic), None) => {
            let encoded = basic.strip_prefix("Basic ").unwrap_or_default();
            let credentials = STANDARD.decode(encoded).unwrap_or_default();
            same(&credentials, right.as_bytes())
        }
        (None, Some(secret)) => {
            let id = asked.client_id.as_deref().unwrap_or_default();
            same(format!("{id}:{secret}").as_bytes(), right.as_bytes())
        }
        _ => false,
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    let body = json!({ "error": code, "error_description": "It is <refused>." });
    (status, Json(body)).into_response()
}

impl Provider {
    fn redeem(&mut self, issuer: &str, asked: Asked) -> Result<Value, &'static str> {
        let code = asked.code.and_then(|code| self.codes.remove(&code));
        let code = code.ok_or("invalid_grant")?;
        let verifier = asked.code_verifier.map(Secret::new);
        let is_met = verifier.is_some_and(|verifier| code.challenge.is_met_by(&verifier))
            || self.deviates(Deviation::WithoutPkce);
        if !is_met || asked.redirect_uri.as_ref() != Some(&code.redirect_uri) {
            return Err("invalid_grant");
        }
        let mut answer = self.access_token(&code.grant);
        if code.offline {
            answer.insert("refresh_token".to_owned(), self.refresh_token(&code.grant));
        }
        if !self.deviates(Deviation::WithoutIdToken) {
            let about = About {
                issuer,
                grant: &code.grant,
                nonce: Some(&code.nonce),
                access: &answer["access_token"],
            };
            let id_token = self.id_token(&about).ok_or("server_error")?;
            answer.insert("id_token".to_owned(), id_token.into());
        }
        Ok(Value::Object(answer))
    }

    /// The old refresh token is spent. Whoever uses it again has stolen it, or was stolen from: everything ends.
    fn refresh(&mut self, issuer: &str, asked: Asked) -> Result<Value, &'static str> {
        let presented = asked.refresh_token.unwrap_or_default();
        let keeps = self.deviates(Deviation::RefreshWithoutRefreshToken);
        let token = self.refresh.get_mut(&presented).ok_or("invalid_grant")?;
        let grant = token.grant.clone();
        if token.spent {
            self.end_all_of(grant.account);
            return Err("invalid_grant");
        }
        token.spent = !keeps;
        let mut answer = self.access_token(&grant);
        if !keeps {
            answer.insert("refresh_token".to_owned(), self.refresh_token(&grant));
        }
        if !self.deviates(Deviation::RefreshWithoutIdToken) {
            let about = About {
                issuer,
                grant: &grant,
                nonce: None,
                access: &answer["access_token"],
            };
            let id_token = self.id_token(&about).ok_or("server_error")?;
            answer.insert("id_token".to_owned(), id_token.into());
        }
        Ok(Value::Object(answer))
    }

    fn access_token(&mut self, grant: &Grant) -> Map<String, Value> {
        let clear = random("access-");
        let token = AccessToken {
            grant: grant.clone(),
            expires: self.clock.now() + self.access_life,
        };
        self.access.insert(clear.clone(), token);
        let members = [
            ("access_token", json!(clear)),
            ("token_type", json!("Bearer")),
            ("expires_in", json!(self.access_life.as_secs())),
            ("scope", json!(grant.scopes.join(" "))),
        ];
        let members = members.map(|(name, value)| (name.to_owned(), value));
        members.into_iter().collect()
    }

    fn refresh_token(&mut self, grant: &Grant) -> Value {
        let clear = random("refresh-");
        let token = RefreshToken {
            grant: grant.clone(),
            spent: false,
        };
        self.refresh.insert(clear.clone(), token);
        clear.into()
    }
}
