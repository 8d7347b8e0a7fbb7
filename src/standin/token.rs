//! The stand-in's token endpoint. Like GitHub it answers errors with status 200, and forms to whoever does not ask for
//! JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::{CLIENT_ID, CLIENT_SECRET, Refresh, Shared, Token, World, random};
use crate::secret::{Secret, same};

#[derive(Deserialize)]
pub(super) struct Asked {
    client_id: Option<String>,
    client_secret: Option<String>,
    grant_type: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
}

/// An `error` with its description.
type Refusal = (&'static str, &'static str);

pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(asked): Form<Asked>,
) -> Response {
    let members: Vec<(&str, Value)> = match given(&shared, asked) {
        Ok(issued) => issued.members(),
        Err((error, description)) => vec![
            ("error", error.into()),
            ("error_description", description.into()),
            ("error_uri", "https://docs.github.com/apps".into()),
        ],
    };
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("application/json")) {
        let members = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Json(Value::Object(members.collect())).into_response()
    } else {
        Form(members).into_response()
    }
}

fn given(shared: &Shared, asked: Asked) -> Result<Issued, Refusal> {
    let secret = asked.client_secret.as_deref().unwrap_or_default();
    let known = asked.client_id.as_deref() == Some(CLIENT_ID);
    if !known || !same(secret.as_bytes(), CLIENT_SECRET.as_bytes()) {
        return Err((
            "incorrect_client_credentials",
            "The client_id and/or client_secret passed are incorrect.",
        ));
    }
    let mut world = shared.world();
    match asked.grant_type.as_deref() {
        Some("refresh_token") => world.renew(asked),
        _ => world.redeem(asked),
    }
}

/// A token as it is given.
struct Issued {
    access: String,
    refresh: Option<String>,
    scopes: Vec<String>,
}

impl Issued {
    fn members(self) -> Vec<(&'static str, Value)> {
        let mut members = vec![
            ("access_token", self.access.into()),
            ("scope", self.scopes.join(",").into()),
            ("token_type", "bearer".into()),
        ];
        if let Some(refresh) = self.refresh {
            members.extend([
                ("expires_in", 28_800.into()),
                ("refresh_token", refresh.into()),
                ("refresh_token_expires_in", 15_811_200.into()),
            ]);
        }
        members
    }
}

/// How many tokens of one kind a person can have: with one more, the oldest ends.
const MOST_TOKENS: usize = 10;

impl World {
    fn redeem(&mut self, asked: Asked) -> Result<Issued, Refusal> {
        const BAD_CODE: Refusal = (
            "bad_verification_code",
            "The code passed is incorrect or expired.",
        );
        let code = self.codes.remove(asked.code.as_deref().unwrap_or_default());
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
        if let Some(most) = &self.granted_at_most {
            scopes.retain(|scope| most.contains(scope));
        }
        Ok(self.issue(code.person, scopes))
    }

    /// Each refresh token is good once, and the token it renews ends with it.
    fn renew(&mut self, asked: Asked) -> Result<Issued, Refusal> {
        let spent = asked
            .refresh_token
            .and_then(|refresh| self.refreshes.remove(&refresh));
        let spent = spent.ok_or((
            "bad_refresh_token",
            "The refresh token passed is incorrect or expired.",
        ))?;
        self.tokens.remove(&spent.access);
        Ok(self.issue(spent.person, Vec::new()))
    }

    fn issue(&mut self, person: u64, scopes: Vec<String>) -> Issued {
        let of_github_app = self.is_github_app;
        let scopes = if of_github_app { Vec::new() } else { scopes };
        let access = random(if of_github_app { "ghu_" } else { "gho_" });
        let token = Token {
            number: self.tokens_given,
            person,
            scopes: scopes.clone(),
            of_github_app,
        };
        self.tokens_given += 1;
        self.end_oldest_beside(&token);
        self.tokens.insert(access.clone(), token);
        let refresh = of_github_app.then(|| random("ghr_"));
        if let Some(refresh) = &refresh {
            let access = access.clone();
            self.refreshes
                .insert(refresh.clone(), Refresh { person, access });
        }
        Issued {
            access,
            refresh,
            scopes,
        }
    }

    /// Makes room for one more of the same person with the same scopes.
    fn end_oldest_beside(&mut self, new: &Token) {
        let mut alike: Vec<_> = self
            .tokens
            .iter()
            .filter(|(_, token)| {
                let same_kind = token.of_github_app == new.of_github_app;
                same_kind && token.person == new.person && token.scopes == new.scopes
            })
            .map(|(access, token)| (token.number, access.clone()))
            .collect();
        alike.sort_unstable();
        let too_many = (alike.len() + 1).saturating_sub(MOST_TOKENS);
        for (_, access) in alike.into_iter().take(too_many) {
            self.end_token(&access);
        }
    }

    /// Ends a token, and what renews it.
    pub(super) fn end_token(&mut self, access: &str) -> Option<Token> {
        let ended = self.tokens.remove(access)?;
        self.refreshes.retain(|_, refresh| refresh.access != access);
        Some(ended)
    }

    pub(super) fn end_tokens_of(&mut self, person: u64) {
        self.tokens.retain(|_, token| token.person != person);
        self.refreshes.retain(|_, refresh| refresh.person != person);
    }
}
