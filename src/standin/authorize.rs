//! The stand-in's authorization endpoint: a page that asks who one is today.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use url::Url;

use super::{CLIENT_ID, Code, Shared, random};
use crate::protocol::pkce::Challenge;

/// The parameters of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3).
#[derive(Deserialize)]
pub(super) struct Asked {
    client_id: Option<String>,
    redirect_uri: Option<String>,
    state: Option<String>,
    scope: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// What was pressed: a person, or nothing by "Cancel".
#[derive(Deserialize)]
pub(super) struct Pressed {
    pub(super) login: Option<String>,
}

/// Somebody to choose.
pub(super) struct Choice<'a> {
    pub(super) login: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) about: &'a str,
}

const WHO: &str = "GitHub";

pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>) -> Response {
    let request = match check(&shared, asked) {
        Ok(request) => request,
        Err(why) => return refuse(WHO, why),
    };
    let world = shared.world();
    let listed = world.people.iter().filter(|person| person.is_listed());
    let people = listed.map(|person| Choice {
        login: &person.login,
        name: person.name,
        about: person.about,
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
    let mut world = shared.world();
    let mut back = request.redirect_uri.clone();
    match pressed.login {
        None => {
            let denied = "The user has denied your application access.";
            back.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("error_description", denied);
        }
        Some(login) => {
            let Some(person) = world.person_or_new(&login) else {
                return refuse(WHO, "There is nobody of that name here.");
            };
            let code = random("");
            back.query_pairs_mut().append_pair("code", &code);
            let issued = Code {
                person,
                redirect_uri: request.given,
                scopes: request.scopes,
                challenge: request.challenge,
            };
            world.codes.insert(code, issued);
        }
    }
    back.query_pairs_mut().append_pair("state", &request.state);
    (StatusCode::FOUND, [(header::LOCATION, String::from(back))]).into_response()
}

struct Checked {
    /// As it was given, which the token endpoint compares with.
    given: String,
    redirect_uri: Url,
    state: String,
    scopes: Vec<String>,
    challenge: Option<Challenge>,
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
    let state = asked.state.filter(|state| !state.is_empty());
    // GitHub does without; whoever does too has forgotten something.
    let state = state.ok_or("state is missing: without it a sign-in can be forged.")?;
    let challenge = match (asked.code_challenge, asked.code_challenge_method) {
        (None, None) => None,
        (challenge, method) => Some(
            Challenge::parse(challenge.as_deref(), method.as_deref())
                .map_err(|_| "code_challenge must come with code_challenge_method=S256.")?,
        ),
    };
    // GitHub separates scopes by spaces, and puts up with commas.
    let scope = asked.scope.unwrap_or_default();
    let scopes = scope.split([' ', ',']).filter(|scope| !scope.is_empty());
    Ok(Checked {
        scopes: scopes.map(str::to_owned).collect(),
        given,
        redirect_uri,
        state,
        challenge,
    })
}

/// The page that asks who one is today; `who` is what this stands in for.
pub(super) fn choose(
    who: &str,
    redirect_uri: &Url,
    scopes: &[String],
    people: Vec<Choice<'_>>,
) -> Response {
    let choose = Choose {
        who,
        host: redirect_uri.host_str().unwrap_or_default(),
        scopes: scopes.join(", "),
        people,
    };
    page(StatusCode::OK, &choose)
}

/// A page, and never a redirect: nobody knows yet whose request this is.
pub(super) fn refuse(who: &str, why: &str) -> Response {
    page(StatusCode::BAD_REQUEST, &Refused { who, why })
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    match template.render() {
        Ok(html) => (status, headers, Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · stand-in for {{ who }}</title>
<style>
  :root { color-scheme: light dark; --edge: #d0d7de; --soft: #59636e; --hover: #f6f8fa; --accent: #1f883d; }
  @media (prefers-color-scheme: dark) { :root { --edge: #3d444d; --soft: #9198a1; --hover: #151b23; --accent: #3fb950; } }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 3rem auto; padding: 0 1rem; }
  .badge { display: inline-block; font-size: .8rem; padding: 0 .6rem; border: 1px solid var(--edge); border-radius: 1rem; color: var(--soft); }
  h1 { font-size: 1.5rem; margin: .8rem 0 .2rem; }
  p { color: var(--soft); margin: .2rem 0 1.4rem; overflow-wrap: anywhere; }
  button { font: inherit; color: inherit; background: none; border: 1px solid var(--edge); border-radius: .5rem; padding: .7rem 1rem; width: 100%; text-align: left; margin: 0 0 .5rem; cursor: pointer; }
  button:hover, button:focus-visible { background: var(--hover); border-color: var(--accent); outline: none; }
  button small, button span { color: var(--soft); }
  button small { display: block; }
  .cancel { text-align: center; border-color: transparent; color: var(--soft); margin-top: .8rem; }
</style>
<main>
  <span class="badge">stand-in for {{ who }}, on this machine</span>
  <h1>Who are you today?</h1>
  <p>You go on to <strong>{{ host }}</strong>{% if !scopes.is_empty() %}, which asks for <strong>{{ scopes }}</strong>{% endif %}. These people are made up; no password is needed.</p>
  <form method="post">
    {% for person in people %}<button name="login" value="{{ person.login }}">{% if let Some(name) = person.name %}<strong>{{ name }}</strong> <span>{{ person.login }}</span>{% else %}<strong>{{ person.login }}</strong>{% endif %}<small>{{ person.about }}</small></button>
    {% endfor %}<button class="cancel" name="cancel" value="yes">Cancel</button>
  </form>
</main>
</html>
"#
)]
struct Choose<'a> {
    who: &'a str,
    host: &'a str,
    scopes: String,
    people: Vec<Choice<'a>>,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Refused · stand-in for {{ who }}</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark; }</style>
<main><h1>The stand-in for {{ who }} refuses this request</h1><p>{{ why }}</p></main>
</html>
"#
)]
struct Refused<'a> {
    who: &'a str,
    why: &'a str,
}
