//! The stand-in's token endpoint. Like GitHub it answers errors with status 200, and forms to whoever does not ask for
//! JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{CLIENT_ID, CLIENT_SECRET, Shared, Token, random};
use crate::secret::{Secret, same};

#[derive(Deserialize)]
pub(super) struct Asked {
    client_id: Option<String>,
    client_secret: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
}

pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(asked): Form<Asked>,
) -> Response {
    let members: Vec<(&str, String)> = match redeem(&shared, asked) {
        Ok((clear, token)) => vec![
            ("access_token", clear),
            ("scope", token.scopes.join(",")),
            ("token_type", "bearer".to_owned()),
        ],
        Err((error, description)) => vec![
            ("error", error.to_owned()),
            ("error_description", description.to_owned()),
            ("error_uri", "https://docs.github.com/apps".to_owned()),
        ],
    };
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("application/json")) {
        let members = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()));
        Json(serde_json::Value::Object(members.collect())).into_response()
    } else {
        Form(members).into_response()
    }
}

fn redeem(shared: &Shared, asked: Asked) -> Result<(String, Token), (&'static str, &'static str)> {
    const BAD_CODE: (&str, &str) = (
        "bad_verification_code",
        "The code passed is incorrect or expired.",
    );
    let secret = asked.client_secret.unwrap_or_default();
    let known = asked.client_id.as_deref() == Some(CLIENT_ID);
    if !known || !same(secret.as_bytes(), CLIENT_SECRET.as_bytes()) {
        return Err((
            "incorrect_client_credentials",
            "The client_id and/or client_secret passed are incorrect.",
        ));
    }
    let mut world = shared.world();
    let code = world
        .codes
        .remove(asked.code.as_deref().unwrap_or_default());
    let code = code.ok_or(BAD_CODE)?;
    if asked
        .redirect_uri
        .is_some_and(|uri| uri != code.redirect_uri)
    {
        return Err((
            "redirect_uri_mismatch",
            "The redirect_uri MUST match the registered callback URL for this application.",
        ));
    }
    if let Some(challenge) = &code.challenge {
        let verifier = asked.code_verifier.map(Secret::new).ok_or(BAD_CODE)?;
        if !challenge.is_met_by(&verifier) {
            return Err(BAD_CODE);
        }
    }
    let mut scopes = code.scopes;
    if let Some(most) = &world.granted_at_most {
        scopes.retain(|scope| most.contains(scope));
    }
    let token = Token {
        person: code.person,
        scopes,
    };
    let clear = random("gho_");
    world.tokens.insert(clear.clone(), token.clone());
    Ok((clear, token))
}
