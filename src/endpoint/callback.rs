//! `GET /callback/{provider}`: what a browser brings back from a provider.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use tower_sessions::Session;

use super::Endpoints;
use super::browser::binding;
use super::consent::to_client;
use super::error::{for_person, request_id, too_many_page};
use super::page::{ActionLine, RefusedPage};
use super::rate_limit::What;
use super::request::Caller;
use crate::flow::Failure;
use crate::flow::callback::{Arrival, NotAllowed, Return};
use crate::protocol::form::Form;
use crate::protocol::ids::ProviderId;
use crate::secret::Secret;

/// Finishes the sign-in.
pub async fn get(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    provider: Result<Path<String>, PathRejection>,
    session: Session,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(seconds) = caller.count(&endpoints, What::Authorize) {
        return too_many_page(&endpoints, seconds);
    }
    let query = query.unwrap_or_default();
    // a name that cannot be read is that of no provider; the rejection would be plain text
    let provider = provider.map_or_else(|_| String::new(), |Path(provider)| provider);
    match finish(&endpoints, ProviderId::new(provider), &session, &query).await {
        Ok(Arrival::Client(address, url)) => to_client(&endpoints, &address, &url),
        Ok(Arrival::Refused {
            provider,
            why,
            back,
        }) => refused_page(&endpoints, provider, *why, back),
        Err(failure) => for_person(&endpoints, &failure),
    }
}

fn refused_page(
    endpoints: &Endpoints,
    provider: String,
    why: NotAllowed,
    back: String,
) -> Response {
    let actions = why.remedies.into_iter().map(|remedy| ActionLine {
        text: remedy.text,
        link: remedy.link,
    });
    let page = RefusedPage {
        base: endpoints.flows.issuer.path().to_owned(),
        account: why.account,
        provider,
        reasons: why.reasons,
        actions: actions.collect(),
        back: Some(back),
        request_id: request_id(endpoints),
    };
    tracing::info!(request = %page.request_id, "a person who may not enter was told why");
    page.into_response()
}

async fn finish(
    endpoints: &Endpoints,
    provider: ProviderId,
    session: &Session,
    query: &str,
) -> Result<Arrival, Failure> {
    let form = Form::parse(query.as_bytes())?;
    let back = Return {
        provider,
        state: form.one("state")?.map(Secret::new),
        code: form.one("code")?.map(Secret::new),
        error: form.one("error")?.map(str::to_owned),
        binding: binding(session).await?,
    };
    endpoints.flows.finish_sign_in(back).await
}
