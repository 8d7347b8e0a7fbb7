//! The authorization endpoint of the stand-in's `OpenID` provider (`OpenID` Connect Core 1.0 §3.1.2).

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use url::Url;

use super::deviation::Deviation;
use super::{Code, Grant};
use crate::protocol::pkce::Challenge;
use crate::standin::authorize::{Choice, Pressed, choose, refuse};
use crate::standin::{CLIENT_ID, Shared, random};

const WHO: &str = "an OpenID provider";

/// The parameters of an authentication request.
#[derive(Deserialize)]
pub(super) struct Asked {
    response_type: Option<String>,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    // Google's way to ask for a refresh token
    access_type: Option<String>,
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>) -> Response {
    let request = match check(&shared, asked) {
        Ok(request) => request,
        Err(why) => return refuse(WHO, why),
    };
    let world = shared.world();
    let people = world.openid.accounts.iter().map(|account| Choice {
        login: &account.login,
        name: account.name.as_deref(),
        about: account.about,
    });
    choose(
        WHO,
        &request.redirect_uri,
        &request.scopes,
        people.collect(),
    )
}

/// The form posts to the address of the page, so that the query is checked again.
pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    Form(pressed): Form<Pressed>,
) -> Response {
    let request = match check(&shared, asked) {
        Ok(request) => request,
        Err(why) => return refuse(WHO, why),
    };
    let issuer = shared.issuer();
    let mut world = shared.world();
    let provider = &mut world.openid;
    let mut back = request.redirect_uri;
    match pressed.login {
        None => {
            let denied = "The person has said <no>.";
            back.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("error_description", denied);
        }
        Some(login) => {
            let Some(account) = provider.place_of(&login) else {
                return refuse(WHO, "There is nobody of that name here.");
            };
            let code = random("code-");
            back.query_pairs_mut().append_pair("code", &code);
            let scopes = request.scopes;
            let kept = Code {
                redirect_uri: request.given,
                challenge: request.challenge,
                nonce: request.nonce,
                offline: request.offline,
                grant: Grant { account, scopes },
            };
            provider.codes.insert(code, kept);
        }
    }
    back.query_pairs_mut().append_pair("state", &request.state);
    // RFC 9207
    if provider.deviates(Deviation::ForeignAnswer) {
        let foreign = format!("{issuer}/elsewhere");
        back.query_pairs_mut().append_pair("iss", &foreign);
    } else if !provider.deviates(Deviation::AnswerWithoutIssuer)
        && !provider.deviates(Deviation::BeforeRfc9207)
    {
        back.query_pairs_mut().append_pair("iss", &issuer);
    }
    (StatusCode::FOUND, [(header::LOCATION, String::from(back))]).into_response()
}

struct Checked {
    /// As it was given, which the token endpoint compares with.
    given: String,
    redirect_uri: Url,
    state: String,
    nonce: String,
    scopes: Vec<String>,
    challenge: Challenge,
    offline: bool,
}

fn check(shared: &Shared, asked: Asked) -> Result<Checked, &'static str> {
    if asked.client_id.as_deref() != Some(CLIENT_ID) {
        return Err("client_id is not the one that is registered here.");
    }
    let given = asked.redirect_uri.ok_or("redirect_uri is missing.")?;
    if !shared.world().takes_callback(&given) {
        return Err("redirect_uri is not registered for this application.");
    }
    let redirect_uri = Url::parse(&given).map_err(|_| "redirect_uri is not a URL.")?;
    if asked.response_type.as_deref() != Some("code") {
        return Err("response_type must be code.");
    }
    // Providers do without these three; whoever does too has forgotten something.
    let said = |value: Option<String>| value.filter(|value| !value.is_empty());
    let state = said(asked.state).ok_or("state is missing: a sign-in can be forged.")?;
    let nonce = said(asked.nonce).ok_or("nonce is missing: an ID token can be used again.")?;
    let method = asked.code_challenge_method;
    let challenge = Challenge::parse(asked.code_challenge.as_deref(), method.as_deref())
        .map_err(|_| "code_challenge must come with code_challenge_method=S256.")?;
    let scope = asked.scope.unwrap_or_default();
    let scopes: Vec<_> = scope.split_ascii_whitespace().map(str::to_owned).collect();
    let has = |scope: &str| scopes.iter().any(|asked| asked == scope);
    if !has("openid") {
        return Err("scope has no openid: this is not OpenID Connect.");
    }
    Ok(Checked {
        offline: has("offline_access") || asked.access_type.as_deref() == Some("offline"),
        scopes,
        given,
        redirect_uri,
        state,
        nonce,
        challenge,
    })
}
