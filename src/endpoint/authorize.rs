//! `GET /authorize`: the consent page, or why there is none.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::SET_COOKIE;

use super::Endpoints;
use super::browser::{FormCookie, see_other};
use super::error::{for_person, refusal_page, too_many_page};
use super::page::{ConsentPage, ProviderLine, ScopeLine, scope_words};
use super::rate_limit::What;
use super::request::Caller;
use crate::flow::authorize::{Question, Stop, Visitor};
use crate::protocol::authorize::Refusal;

/// Asks the person. Nobody is ever sent on to a provider from here (CONS-01), and no cookie that a provider's answer
/// needs is set (CONS-09).
pub async fn get(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(seconds) = caller.count(&endpoints, What::Authorize) {
        return too_many_page(&endpoints, seconds);
    }
    let flows = &endpoints.flows;
    let cookie = FormCookie::new(flows.issuer.is_https());
    let (browser, set_cookie) = match cookie.read(&headers) {
        Some(browser) => (browser, None),
        None => cookie.fresh(flows.clock.now()),
    };
    let query = query.unwrap_or_default();
    let visitor = Visitor {
        browser,
        address: caller.address(),
        person: None,
        unprompted: false,
    };
    let question = match flows.begin_authorization(query.as_bytes(), &visitor).await {
        Ok(question) => question,
        Err(stop) => return stopped(&endpoints, stop),
    };
    let mut response = consent_page(&endpoints, question).into_response();
    if let Some(set_cookie) = set_cookie {
        response.headers_mut().insert(SET_COOKIE, set_cookie);
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
    let Question {
        client,
        request,
        ticket,
    } = question;
    let flows = &endpoints.flows;
    let server_name = endpoints
        .servers
        .iter()
        .find(|(resource, _)| *resource == request.resource)
        .map_or_else(|| request.resource.clone(), |(_, name)| name.clone());
    ConsentPage {
        base: flows.issuer.path().to_owned(),
        client_name: client.name,
        client_id: client.id.to_string(),
        client_uri_host: client
            .uri
            .and_then(|uri| url::Url::parse(&uri).ok()?.host_str().map(str::to_owned)),
        redirect_host: request.redirect.shown_host(),
        redirect_uri: request.redirect.to_string(),
        loopback: request.redirect.is_loopback(),
        app_scheme: request.redirect.is_private_use_scheme(),
        server_name,
        resource: request.resource,
        scopes: request
            .scopes
            .iter()
            .map(|scope| ScopeLine {
                scope: scope.to_string(),
                words: scope_words(scope.as_str()),
            })
            .collect(),
        providers: flows
            .providers()
            .map(|provider| ProviderLine {
                id: provider.id().to_string(),
                label: provider.label().to_owned(),
                asks_for: provider.asks_for(),
            })
            .collect(),
        ticket,
    }
}
