//! The stand-in's API about the person behind a token.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::people::{Membership, Person};
use super::{Shared, Token, message, not_found};

/// Whose token a request carries.
pub(super) struct Caller {
    token: Token,
    person: Person,
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        let header = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        if header(header::USER_AGENT).is_none_or(str::is_empty) {
            let told = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
            return Err(message(StatusCode::FORBIDDEN, told));
        }
        let presented = header(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
        let world = shared.world();
        let found = match presented {
            Some(("Bearer" | "bearer" | "token", clear)) => world.tokens.get(clear),
            _ => None,
        };
        let person = found.and_then(|token| {
            let mut people = world.people.iter();
            people.find(|person| person.id == token.person)
        });
        match (found, person) {
            (Some(_), Some(person)) if person.suspended => {
                let told = "Sorry. Your account was suspended.";
                Err(message(StatusCode::FORBIDDEN, told))
            }
            (Some(token), Some(person)) => Ok(Self {
                token: token.clone(),
                person: person.clone(),
            }),
            _ => Err(message(StatusCode::UNAUTHORIZED, "Bad credentials")),
        }
    }
}

impl Caller {
    /// Whether the token may do what `scope` stands for. GitHub Apps have permissions instead, and here all of them.
    fn has(&self, scope: &str) -> bool {
        self.token.of_github_app || self.token.scopes.iter().any(|given| given == scope)
    }

    /// Where they are a member; none where the token may not know.
    fn memberships(&self) -> Option<impl Iterator<Item = &Membership>> {
        let active = self
            .person
            .orgs
            .iter()
            .filter(|membership| !membership.pending);
        self.has("read:org").then_some(active)
    }
}

/// Answers where the token lacks the scope for organisations and teams.
fn needs_read_org() -> Response {
    let told = "You need at least read:org scope to view organizations and teams.";
    message(StatusCode::FORBIDDEN, told)
}

pub(super) async fn get(caller: Caller) -> Response {
    let scopes = [("x-oauth-scopes", caller.token.scopes.join(", "))];
    (scopes, Json(describe(&caller.person))).into_response()
}

fn describe(person: &Person) -> Value {
    let mut told = describe_in_short(person);
    told["name"] = json!(person.name);
    // The API shows no address to whom GitHub was not told to.
    told["email"] = Value::Null;
    told
}

/// A person as the API shows them beside something else.
pub(super) fn describe_in_short(person: &Person) -> Value {
    json!({
        "login": person.login,
        "id": person.id,
        "type": "User",
    })
}

pub(super) async fn emails(caller: Caller) -> Result<Response, Response> {
    // GitHub hides these from tokens without the scope rather than refuse them.
    if !caller.has("user:email") {
        return Err(not_found());
    }
    let person = caller.person;
    let emails = json!([
        { "email": format!("old-{}", person.email), "primary": false, "verified": true, "visibility": null },
        { "email": person.email, "primary": true, "verified": person.email_verified, "visibility": "private" },
    ]);
    Ok(Json(emails).into_response())
}

pub(super) async fn org_membership(
    caller: Caller,
    Path(org): Path<String>,
) -> Result<Response, Response> {
    if !caller.has("read:org") {
        return Err(needs_read_org());
    }
    let mut orgs = caller.person.orgs.iter();
    let found = orgs.find(|membership| membership.org.eq_ignore_ascii_case(&org));
    let membership = found.ok_or_else(not_found)?;
    let answer = json!({
        "state": if membership.pending { "pending" } else { "active" },
        "role": "member",
        "organization": { "login": membership.org },
        "user": { "login": caller.person.login, "id": caller.person.id },
    });
    Ok(Json(answer).into_response())
}

pub(super) async fn team_membership(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((org, slug, login)): Path<(String, String, String)>,
) -> Result<Response, Response> {
    if !caller.has("read:org") {
        return Err(needs_read_org());
    }
    let member_of = |person: &Person| {
        let mut orgs = person.orgs.iter();
        let here = orgs.find(|membership| membership.org.eq_ignore_ascii_case(&org));
        here.cloned()
    };
    // Only who is in an organisation sees its teams.
    let caller_is_in = member_of(&caller.person).is_some();
    let asked_about = shared.world().person(&login).and_then(member_of);
    let membership = asked_about
        .filter(|membership| {
            caller_is_in
                && membership
                    .teams
                    .iter()
                    .any(|team| slug.eq_ignore_ascii_case(team))
        })
        .ok_or_else(not_found)?;
    let state = if membership.pending {
        "pending"
    } else {
        "active"
    };
    Ok(Json(json!({ "state": state, "role": "member" })).into_response())
}

pub(super) async fn orgs(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Response, Response> {
    let active = caller.memberships().ok_or_else(needs_read_org)?;
    let all = active.map(|membership| json!({ "login": membership.org }));
    Ok(page.of(
        &all.collect::<Vec<_>>(),
        &format!("{}/user/orgs", shared.api_url()),
    ))
}

/// Where anybody can see that a person is a member.
pub(super) async fn public_orgs(
    State(shared): State<Arc<Shared>>,
    Path(login): Path<String>,
) -> Result<Response, Response> {
    let world = shared.world();
    let person = world.person(&login).ok_or_else(not_found)?;
    let public = person.orgs.iter().filter(|membership| membership.public);
    let all: Vec<_> = public
        .map(|membership| json!({ "login": membership.org }))
        .collect();
    Ok(Json(all).into_response())
}

pub(super) async fn teams(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Response, Response> {
    let active = caller.memberships().ok_or_else(needs_read_org)?;
    let all = active.flat_map(|membership| {
        let organization = json!({ "login": membership.org });
        let teams = membership.teams.iter();
        teams.map(move |slug| json!({ "slug": slug, "organization": organization }))
    });
    Ok(page.of(
        &all.collect::<Vec<_>>(),
        &format!("{}/user/teams", shared.api_url()),
    ))
}

/// Which page of a list.
#[derive(Deserialize)]
pub(super) struct Page {
    page: Option<usize>,
    per_page: Option<usize>,
}

/// GitHub gives up to 100. Here it is fewer, so that paging has to work.
const MOST_PER_PAGE: usize = 30;

impl Page {
    fn of(&self, all: &[Value], url: &str) -> Response {
        let size = self
            .per_page
            .unwrap_or(MOST_PER_PAGE)
            .clamp(1, MOST_PER_PAGE);
        let number = self.page.unwrap_or(1).max(1);
        let last = all.len().div_ceil(size).max(1);
        let shown: Vec<_> = all
            .chunks(size)
            .nth(number - 1)
            .unwrap_or_default()
            .to_vec();
        let link = |number: usize, rel: &str| format!("<{url}?page={number}>; rel=\"{rel}\"");
        if number < last {
            let links = [link(number + 1, "next"), link(last, "last")].join(", ");
            ([(header::LINK, links)], Json(shown)).into_response()
        } else {
            Json(shown).into_response()
        }
    }
}
