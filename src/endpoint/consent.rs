//! `POST /consent`: the person's decision.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use tower_sessions::Session;

use super::Endpoints;
use super::browser::{FormCookie, bind, see_other};
use super::error::{for_person, refusal_page};
use super::page::ReturnPage;
use super::request::{Counted, FormBody, SignIns, Unreadable, is_from_another_site};
use crate::flow::Failure;
use crate::flow::authorize::OTHER_BROWSER;
use crate::flow::consent::UNKNOWN_PROVIDER;
use crate::protocol::authorize::ReturnAddress;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::protocol::ids::ProviderId;

/// Takes the decision: on to the provider, or back to the client.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<SignIns>,
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
    decide(&endpoints, &session, &headers, &body)
        .await
        .unwrap_or_else(|failure| for_person(&endpoints, &failure))
}

async fn decide(
    endpoints: &Endpoints,
    session: &Session,
    headers: &HeaderMap,
    body: &FormBody,
) -> Result<Response, Failure> {
    let flows = &endpoints.flows;
    let form = Form::parse(&body.bytes)?;
    let shown = FormCookie::new(flows.issuer.is_https()).read(headers);
    let request = flows.read_form(form.one("ticket")?.ok_or(INCOMPLETE)?, shown)?;
    match form.one("decision")?.ok_or(INCOMPLETE)? {
        "deny" => {
            let (address, refusal) = flows.deny(request);
            Ok(to_client(endpoints, &address, &refusal))
        }
        provider => {
            let provider = ProviderId::new(provider);
            // CONS-09: before the browser is bound, since only an answer that leads to a provider may do that
            if !flows.providers().any(|known| *known.id() == provider) {
                return Err(UNKNOWN_PROVIDER.into());
            }
            let browser = bind(session, flows.clock.now()).await?;
            let url = flows.depart(request, provider, browser).await?;
            Ok(see_other(url.as_str()))
        }
    }
}

/// Back to the client: at once, or by a button where it is an app with a scheme of its own.
pub fn to_client(endpoints: &Endpoints, address: &ReturnAddress, url: &str) -> Response {
    if !address.redirect().is_private_use_scheme() {
        return see_other(url);
    }
    ReturnPage {
        base: endpoints.flows.issuer.path().to_owned(),
        app: address.redirect().shown_host(),
        url: url.to_owned(),
    }
    .into_response()
}

const INCOMPLETE: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the form is incomplete; start again from the app",
};
