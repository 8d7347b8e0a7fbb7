//! `GET /authorize`: the consent page, or why there is none.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use tower_sessions::Session;
use url::Url;

use super::Endpoints;
use super::browser::{FormCookie, person, see_other};
use super::consent::to_provider;
use super::error::{for_person, refusal_page, too_many_page};
use super::page::consent::{ConsentPage, Destination, Origin, ProviderLine, ScopeLine};
use super::page::words::{how_long, scope_words};
use super::rate_limit::What;
use super::request::{Caller, is_unprompted};
use crate::flow::authorize::{Course, Question, Stop, Upstream, Visitor};
use crate::flow::{Flows, Lifetimes};
use crate::protocol::authorize::Refusal;
use crate::protocol::client::{Client, ClientSource};
use crate::protocol::consent::Familiarity;
use crate::protocol::ids::ProviderId;
use crate::protocol::scope::{Scope, ScopeSet};

/// Asks the person. Nobody is sent on to a provider from here who was not asked before, by a client that others can pass
/// themselves off as (CONS-01, A5), and no cookie that a provider's answer needs is set with the page (CONS-09).
pub async fn get(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    session: Session,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(seconds) = caller.count(&endpoints, What::Authorize) {
        return too_many_page(&endpoints, seconds);
    }
    let query = query.unwrap_or_default();
    begin(&endpoints, caller, &session, &headers, &query)
        .await
        .unwrap_or_else(|stop| stopped(&endpoints, stop))
}

async fn begin(
    endpoints: &Endpoints,
    caller: Caller,
    session: &Session,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response, Stop> {
    let flows = &endpoints.flows;
    let now = flows.clock.now();
    let cookie = FormCookie::new(flows.issuer.is_https());
    let (browser, set_cookie) = cookie.read_or_fresh(headers, now);
    let visitor = Visitor {
        browser,
        address: caller.address(),
        person: person(session, now).await?,
        unprompted: is_unprompted(headers),
    };
    Ok(
        match flows
            .begin_authorization(query.as_bytes(), &visitor)
            .await?
        {
            Course::Ask(question) => ask(endpoints, *question, set_cookie),
            Course::GoOn(asked, provider) => to_provider(flows, session, *asked, provider).await?,
        },
    )
}

/// The page with a question, in the browser that its form is bound to.
pub(super) fn ask(
    endpoints: &Endpoints,
    question: Question,
    set_cookie: Option<HeaderValue>,
) -> Response {
    let mut response = consent_page(endpoints, question).into_response();
    if let Some(set_cookie) = set_cookie {
        response.headers_mut().append(SET_COOKIE, set_cookie);
    }
    response
}

/// A client that anybody could have registered does not get its errors sent to wherever it likes: the person is shown
/// them, with a link (AUTHZ-03). On the person's own machine there is nothing to gain, and an app that waits.
fn stopped(endpoints: &Endpoints, stop: Stop) -> Response {
    match stop {
        Stop::Incident(failure) => for_person(endpoints, &failure),
        Stop::Refused(Refusal::Page(error)) => refusal_page(endpoints, &error, None),
        Stop::Refused(Refusal::Redirect(address, error)) => {
            let back = address.refuse(&error);
            if address.redirect().is_loopback() {
                see_other(&back)
            } else {
                refusal_page(endpoints, &error, Some(back))
            }
        }
    }
}

fn consent_page(endpoints: &Endpoints, question: Question) -> ConsentPage {
    let flows = &endpoints.flows;
    let base = flows.issuer.path().to_owned();
    let logo = flows.logo_link(&question.client);
    let stays = stays(&question.client, &flows.lifetimes);
    let providers = providers(flows, question.provider.as_ref());
    let Question {
        client,
        request,
        familiarity,
        ticket,
        ..
    } = question;
    let server_name = endpoints
        .servers
        .iter()
        .find(|(resource, _)| *resource == request.resource)
        .map_or_else(|| request.resource.clone(), |(_, name)| name.clone());
    let host = |url: &str| Url::parse(url).ok()?.host_str().map(str::to_owned);
    ConsentPage {
        logo: logo.map(|link| format!("{base}/logo/{link}")),
        base,
        client_name: client.name,
        origin: match client.source {
            ClientSource::Document => Origin::Document {
                host: host(client.id.as_str()).unwrap_or_default(),
            },
            ClientSource::Known => Origin::Known,
            _ => Origin::Registered,
        },
        client_id: client.id.to_string(),
        client_uri_host: client.uri.as_deref().and_then(host),
        redirect_host: request.redirect.shown_host(),
        redirect_uri: request.redirect.to_string(),
        destination: if request.redirect.is_loopback() {
            Destination::Computer
        } else if request.redirect.is_private_use_scheme() {
            Destination::App
        } else {
            Destination::Site
        },
        server_name,
        scopes: scopes(&request.scopes, &familiarity),
        resource: request.resource,
        stays,
        providers,
        familiarity,
        ticket,
    }
}

fn scopes(asked: &ScopeSet, familiarity: &Familiarity) -> Vec<ScopeLine> {
    let line = |scope: &Scope| ScopeLine {
        scope: scope.to_string(),
        words: scope_words(scope.as_str()),
        is_new: matches!(familiarity, Familiarity::More { added } if added.contains(scope)),
    };
    asked.iter().map(line).collect()
}

/// The providers to choose from, where the person signed in last before the others.
fn providers(flows: &Flows, last: Option<&ProviderId>) -> Vec<ProviderLine> {
    let mut providers: Vec<_> = flows.providers().collect();
    providers.sort_by_key(|provider| Some(provider.id()) != last);
    let line = |provider: &dyn Upstream| ProviderLine {
        id: provider.id().to_string(),
        label: provider.label().to_owned(),
        asks_for: provider.asks_for(),
    };
    providers.into_iter().map(line).collect()
}

/// How long a client stays connected, in words.
fn stays(client: &Client, lifetimes: &Lifetimes) -> String {
    let (idle, most) = (how_long(lifetimes.idle), how_long(lifetimes.session));
    if !client.refreshes {
        let access = how_long(lifetimes.access);
        format!("It stays connected for {access}.")
    } else if lifetimes.idle < lifetimes.session {
        format!(
            "It stays connected for {most} at most, and ends sooner if it is not used for {idle}."
        )
    } else {
        format!("It stays connected for {most} at most.")
    }
}
