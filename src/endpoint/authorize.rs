//! `GET /authorize`: the consent page, or why there is none.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::SET_COOKIE;
use http::request::Parts;
use tower_sessions::Session;

use super::Endpoints;
use super::browser::{FormCookie, person, see_other};
use super::error::{for_person, refusal_page, too_many_page};
use super::page::consent::{ConsentPage, Destination, Origin, ProviderLine, ScopeLine};
use super::page::words::how_long;
use super::rate_limit::What;
use super::request::Caller;
use crate::flow::authorize::{Question, Stop, Upstream, Visitor};
use crate::flow::{Failure, Flows, Lifetimes};
use crate::protocol::authorize::Refusal;
use crate::protocol::client::{Client, ClientSource};
use crate::protocol::consent::Familiarity;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::ProviderId;
use crate::protocol::redirect_uri::shown_host;
use crate::protocol::scope::Scope;
use crate::protocol::session::AuthorizationRequest;
use crate::secret::SecretDigest;

/// Asks the person. Nobody is sent on to a provider from here, whatever they agreed to before (CONS-01, CONS-24, A5), and
/// no cookie that a provider's answer needs is set with the page (CONS-09).
pub async fn get(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    session: Session,
    request: Parts,
) -> Response {
    if let Err(seconds) = caller.count(&endpoints, What::Authorize) {
        return too_many_page(&endpoints, seconds);
    }
    // a browser that only looks ahead may drop the cookie with the answer, and a pushed request would be claimed for nobody
    if request.method == Method::HEAD || request.headers.contains_key("sec-purpose") {
        return refusal_page(&endpoints, &NOBODY_LOOKS, None);
    }
    let now = endpoints.flows.clock.now();
    let cookie = FormCookie::new(endpoints.flows.issuer.is_https());
    let (browser, set_cookie) = cookie.read_or_fresh(&request.headers, now);
    let address = caller.address();
    let query = request.uri.query().unwrap_or_default();
    let asked = begin(&endpoints, browser, address, &session, query).await;
    // with an incident as well: a pushed request may be claimed for it by now
    let set_cookie = set_cookie.filter(|_| match &asked {
        Ok(_) => true,
        Err(Stop::Incident(failure)) => !matches!(failure, Failure::Document { .. }),
        Err(_) => false,
    });
    let mut response = match asked {
        Ok(question) => consent_page(&endpoints, question).into_response(),
        Err(stop) => stopped(&endpoints, stop),
    };
    if let Some(set_cookie) = set_cookie {
        response.headers_mut().append(SET_COOKIE, set_cookie);
    }
    response
}

async fn begin(
    endpoints: &Endpoints,
    browser: SecretDigest,
    address: IpAddr,
    session: &Session,
    query: &str,
) -> Result<Question, Stop> {
    let flows = &endpoints.flows;
    let visitor = Visitor {
        browser,
        address,
        person: person(session, flows.clock.now()).await?,
    };
    flows.begin_authorization(query.as_bytes(), &visitor).await
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

/// The page with a question.
pub(super) fn consent_page(endpoints: &Endpoints, question: Question) -> ConsentPage {
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
    let server_name = endpoints.server_name(&request.resource);
    ConsentPage {
        logo: logo.map(|link| format!("{base}/logo/{link}")),
        base,
        client_name: client.name,
        origin: match client.source {
            ClientSource::Document => Origin::Document {
                host: shown_host(client.id.as_str()).unwrap_or_default(),
            },
            ClientSource::Known => Origin::Known,
            _ => Origin::Registered,
        },
        client_id: client.id.to_string(),
        client_uri_host: client.uri.as_deref().and_then(shown_host),
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
        scopes: scopes(endpoints, &request, &familiarity),
        resource: request.resource,
        stays,
        providers,
        familiarity,
        ticket,
    }
}

/// What the app could do at the server that it asks for, and at no other.
fn scopes(
    endpoints: &Endpoints,
    request: &AuthorizationRequest,
    familiarity: &Familiarity,
) -> Vec<ScopeLine> {
    let told = endpoints.scope_words(&request.resource, &request.scopes);
    let line = |(scope, words): (&Scope, String)| ScopeLine {
        scope: scope.to_string(),
        words,
        is_new: matches!(familiarity, Familiarity::More { added } if added.contains(scope)),
    };
    told.map(line).collect()
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

const NOBODY_LOOKS: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "this page is for a person who opens it; a look ahead is not answered",
};
