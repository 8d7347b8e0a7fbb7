//! `POST /consent`: the person's decision.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use tower_sessions::Session;

use super::Endpoints;
use super::account::choices;
use super::authorize::consent_page;
use super::browser::{FormCookie, bind, person, see_other};
use super::error::{for_person, provider_failed, refusal_page};
use super::page::ReturnPage;
use super::page::failed::{Again, Way};
use super::request::{Counted, FormBody, SignIns, Unreadable, is_from_another_site};
use crate::flow::authorize::{Asked, OTHER_BROWSER, Shown, Visitor};
use crate::flow::consent::ForClient;
use crate::flow::departure::ProviderFault;
use crate::flow::{Failure, Flows};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::protocol::ids::ProviderId;
use crate::protocol::session::SignInFor;

/// Takes the decision: on to the provider, or back to the client.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Counted<SignIns>,
    session: Session,
    headers: HeaderMap,
    body: Result<FormBody, Unreadable>,
) -> Response {
    // CONS-06: besides the cookie that the form is bound to
    if is_from_another_site(&headers) {
        return refusal_page(&endpoints, &OTHER_BROWSER, None);
    }
    let body = match body {
        Ok(body) => body,
        Err(unreadable) => {
            let mut page = refusal_page(&endpoints, &unreadable.error, None);
            *page.status_mut() = unreadable.status;
            return page;
        }
    };
    decide(&endpoints, caller.address(), &session, &headers, &body)
        .await
        .unwrap_or_else(|failure| for_person(&endpoints, &failure))
}

async fn decide(
    endpoints: &Endpoints,
    address: IpAddr,
    session: &Session,
    headers: &HeaderMap,
    body: &FormBody,
) -> Result<Response, Failure> {
    let flows = &endpoints.flows;
    let form = Form::parse(&body.bytes)?;
    let cookie = FormCookie::new(flows.issuer.is_https()).read(headers);
    let ticket = form.one("ticket")?.ok_or(INCOMPLETE)?;
    let browser = cookie.ok_or(OTHER_BROWSER)?;
    let asked = match flows.read_form(ticket, browser)? {
        Shown::Here(asked) => asked,
        // refused (CONS-06), with the page to decide on: no other site has sent this form
        Shown::Elsewhere(request) => {
            let visitor = Visitor {
                browser,
                address,
                person: person(session, flows.clock.now()).await?,
            };
            let question = flows.ask_anew(request, &visitor).await?;
            let page = consent_page(endpoints, question);
            return Ok((StatusCode::FORBIDDEN, page).into_response());
        }
    };
    match form.one("decision")?.ok_or(INCOMPLETE)? {
        "deny" => {
            let answer = flows.deny(asked).await?;
            Ok(to_client(endpoints, answer).await)
        }
        provider => {
            let provider = ProviderId::new(provider);
            flows.check_unchanged(&asked).await?;
            to_provider(endpoints, session, asked, provider, ticket).await
        }
    }
}

/// On to the provider. Where it fails already, nothing is kept: the same form can be handed in again.
async fn to_provider(
    endpoints: &Endpoints,
    session: &Session,
    asked: Asked,
    provider: ProviderId,
    ticket: &str,
) -> Result<Response, Failure> {
    let flows = &endpoints.flows;
    let request = asked.request().clone();
    let left = leave(flows, session, provider.clone(), asked.purpose()).await?;
    Ok(left.unwrap_or_else(|fault| {
        let back = flows.refuse(&request, &fault.kind.error());
        let again = Again {
            path: "/consent",
            field: "decision",
            ticket: ticket.to_owned(),
            providers: choices(flows, Some(&provider)),
        };
        provider_failed(endpoints, fault, Way::App(back.url), Some(again))
    }))
}

/// Sends a browser to a provider. It is bound by this answer, and by no other (CONS-09).
pub(super) async fn leave(
    flows: &Flows,
    session: &Session,
    provider: ProviderId,
    purpose: SignInFor,
) -> Result<Result<Response, ProviderFault>, Failure> {
    let ready = match flows.prepare(provider, purpose).await? {
        Ok(ready) => ready,
        Err(fault) => return Ok(Err(fault)),
    };
    let browser = bind(session, flows.clock.now(), flows.lifetimes.consent).await?;
    let url = flows.depart(ready, browser).await?;
    Ok(Ok(see_other(url.as_str())))
}

/// Back to the client: at once, or by a button with the app's name where it has a scheme of its own.
pub async fn to_client(endpoints: &Endpoints, answer: ForClient) -> Response {
    let redirect = answer.address.redirect();
    if !redirect.is_private_use_scheme() {
        return see_other(&answer.url);
    }
    // the answer is what counts: without a name it goes by its scheme
    let name = endpoints.flows.client_name(&answer.client).await;
    ReturnPage {
        base: endpoints.flows.issuer.path().to_owned(),
        app: name.ok().flatten().unwrap_or_else(|| redirect.shown_host()),
        url: answer.url,
    }
    .into_response()
}

const INCOMPLETE: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the form is incomplete; start again from the app",
};
