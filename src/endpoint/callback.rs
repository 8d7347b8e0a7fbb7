//! `GET /callback/{provider}`: what a browser brings back from a provider.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use tower_sessions::Session;

use super::Endpoints;
use super::account::{enter, refused_there};
use super::browser::{binding, remember_person};
use super::consent::to_client;
use super::error::{account_failed, for_person, provider_failed, request_id, too_many_page};
use super::page::failed::Way;
use super::page::{ActionLine, RefusedPage};
use super::rate_limit::What;
use super::request::Caller;
use crate::event::Causes;
use crate::flow::Failure;
use crate::flow::callback::{Arrival, NotAllowed, Return};
use crate::flow::consent::ForClient;
use crate::protocol::form::Form;
use crate::protocol::ids::ProviderId;
use crate::secret::Secret;

/// Finishes the sign-in.
pub async fn get(
    State(endpoints): State<Arc<Endpoints>>,
    caller: Caller,
    provider: Result<Path<String>, PathRejection>,
    session: Session,
    request: Parts,
) -> Response {
    if let Err(seconds) = caller.count(&endpoints, What::Authorize) {
        return too_many_page(&endpoints, seconds);
    }
    // a name that cannot be read is that of no provider; the rejection would be plain text
    let provider = provider.map_or_else(|_| String::new(), |Path(provider)| provider);
    let provider = ProviderId::new(provider);
    finish(&endpoints, provider, &session, &request)
        .await
        .unwrap_or_else(|failure| for_person(&endpoints, &failure))
}

async fn finish(
    endpoints: &Endpoints,
    provider: ProviderId,
    session: &Session,
    request: &Parts,
) -> Result<Response, Failure> {
    let flows = &endpoints.flows;
    let now = flows.clock.now();
    let form = Form::parse(request.uri.query().unwrap_or_default().as_bytes())?;
    let back = Return {
        provider,
        state: form.one("state")?.map(Secret::new),
        code: form.one("code")?.map(Secret::new),
        iss: form.one("iss")?.map(str::to_owned),
        error: form.one("error")?.map(str::to_owned),
        binding: binding(session).await?,
    };
    let remember = flows.lifetimes.consent;
    Ok(match flows.finish_sign_in(back).await? {
        Arrival::Connected(answer, person) => {
            // a convenience: it does not cost the client the code that is kept for it by now
            if let Err(failure) = remember_person(session, person, now, remember).await {
                tracing::warn!(error = %Causes(&failure), "it is not remembered who signed in");
            }
            to_client(endpoints, *answer).await
        }
        Arrival::Visiting(visit) => enter(endpoints, session, visit)
            .await
            .unwrap_or_else(|failure| account_failed(endpoints, &failure)),
        Arrival::Broken(answer, incident) => {
            tracing::error!(error = %Causes(&incident), "a sign-in failed for a reason of ours");
            to_client(endpoints, *answer).await
        }
        Arrival::Declined { provider, back } => match back {
            Some(answer) => to_client(endpoints, *answer).await,
            None => refused_there(endpoints, &provider),
        },
        Arrival::ProviderFailed(fault, waiting) => {
            let way = match waiting {
                Some(answer) => by_itself(endpoints, *answer).await,
                None => Way::Account,
            };
            provider_failed(endpoints, fault, way, None)
        }
        Arrival::Refused {
            provider,
            why,
            back,
        } => refused_page(endpoints, provider, *why, back),
    })
}

/// Back to a client that waits, even where nobody presses anything (AUTHZ-18).
async fn by_itself(endpoints: &Endpoints, answer: ForClient) -> Way {
    let name = endpoints.flows.client_name(&answer.client).await;
    let host = || answer.address.redirect().shown_host();
    Way::Waiting {
        // the answer is what counts: without a name it goes by its host
        app: name.ok().flatten().unwrap_or_else(host),
        url: answer.url,
    }
}

fn refused_page(
    endpoints: &Endpoints,
    provider: String,
    why: NotAllowed,
    back: Option<String>,
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
        back,
        request_id: request_id(endpoints),
    };
    tracing::info!(request = %page.request_id, "a person who may not enter was told why");
    page.into_response()
}
