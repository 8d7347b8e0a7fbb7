//! `/account`: what is connected for a person, and the end of it, by forms that work without script.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use tower_sessions::Session as BrowserSession;

use super::Endpoints;
use super::browser::{
    FormCookie, end_session, leave_word, open_visit, see_other, take_word, visit,
};
use super::consent::leave;
use super::error::{account_failed, blank, open_account, provider_failed, sentence};
use super::page::ErrorPage;
use super::page::account::{AccountPage, ConnectionLine, SignInPage};
use super::page::failed::{Again, Choice, Way};
use super::request::{Counted, FormBody, SignIns, is_from_another_site};
use crate::event::Causes;
use crate::flow::account::{Done, OTHER_BROWSER, Visit};
use crate::flow::authorize::Upstream;
use crate::flow::{Failure, Flows};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::protocol::ids::ProviderId;
use crate::protocol::session::{Session, SignInFor};
use crate::secret::SecretDigest;

/// The list, or the way to sign in to it.
pub async fn get(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<SignIns>,
    session: BrowserSession,
    headers: HeaderMap,
) -> Response {
    let flows = &endpoints.flows;
    let cookie = FormCookie::new(flows.issuer.is_https());
    let (browser, set_cookie) = cookie.read_or_fresh(&headers, flows.clock.now());
    let mut response = show(&endpoints, &session, browser)
        .await
        .unwrap_or_else(|failure| account_failed(&endpoints, &failure));
    if let Some(set_cookie) = set_cookie {
        response.headers_mut().append(SET_COOKIE, set_cookie);
    }
    response
}

async fn show(
    endpoints: &Endpoints,
    session: &BrowserSession,
    browser: SecretDigest,
) -> Result<Response, Failure> {
    let flows = &endpoints.flows;
    let (now, base) = (flows.clock.now(), flows.issuer.path().to_owned());
    let Some(visit) = visit(session, now).await? else {
        let page = SignInPage {
            base,
            providers: choices(flows, None),
            ticket: flows.account_ticket(browser, None),
        };
        return Ok(page.into_response());
    };
    let connections = flows.connections(&visit).await?.into_iter();
    let page = AccountPage {
        base,
        provider: flows.label(&visit.provider),
        done: take_word(session, now, flows.lifetimes.consent)
            .await?
            .map(said),
        connections: connections
            .map(|connection| line(endpoints, connection))
            .collect(),
        ticket: flows.account_ticket(browser, Some(&visit)),
        account: visit.account,
    };
    Ok(page.into_response())
}

/// To the provider, and back here.
pub async fn sign_in(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<SignIns>,
    session: BrowserSession,
    form: OwnForm,
) -> Response {
    let sign_in = async || -> Result<Response, Failure> {
        let flows = &endpoints.flows;
        flows.check_account_ticket(&form.ticket, form.browser, None)?;
        let provider = ProviderId::new(form.one("provider")?);
        let left = leave(flows, &session, provider.clone(), SignInFor::Account).await?;
        Ok(left.unwrap_or_else(|fault| {
            let again = Again {
                path: "/account/sign-in",
                field: "provider",
                ticket: form.ticket.clone(),
                providers: choices(flows, Some(&provider)),
            };
            provider_failed(&endpoints, fault, Way::Account, Some(again))
        }))
    };
    sign_in()
        .await
        .unwrap_or_else(|failure| not_done(&endpoints, &failure))
}

/// Ends one connection.
pub async fn revoke(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<SignIns>,
    session: BrowserSession,
    form: OwnForm,
) -> Response {
    let revoke = async || -> Result<Response, Failure> {
        let visit = form.visitor(&endpoints, &session).await?;
        let done = endpoints
            .flows
            .disconnect(&visit, form.one("session")?)
            .await?;
        Ok(back_with(&endpoints, &session, done).await)
    };
    revoke()
        .await
        .unwrap_or_else(|failure| not_done(&endpoints, &failure))
}

/// Ends all connections.
pub async fn revoke_all(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<SignIns>,
    session: BrowserSession,
    form: OwnForm,
) -> Response {
    let revoke_all = async || -> Result<Response, Failure> {
        let visit = form.visitor(&endpoints, &session).await?;
        let done = endpoints.flows.disconnect_all(&visit).await?;
        Ok(back_with(&endpoints, &session, done).await)
    };
    revoke_all()
        .await
        .unwrap_or_else(|failure| not_done(&endpoints, &failure))
}

/// Ends the session of this browser; what is connected stays so.
pub async fn sign_out(
    State(endpoints): State<Arc<Endpoints>>,
    _: Counted<SignIns>,
    session: BrowserSession,
    form: OwnForm,
) -> Response {
    let sign_out = async || -> Result<Response, Failure> {
        // whoever is still known here, and be the page from yesterday
        let flows = &endpoints.flows;
        flows.check_own_ticket(&form.ticket, form.browser)?;
        let take_away = end_session(&session, flows.issuer.is_https()).await?;
        let mut response = to_account(&endpoints);
        response.headers_mut().append(SET_COOKIE, take_away);
        Ok(response)
    };
    sign_out()
        .await
        .unwrap_or_else(|failure| not_done(&endpoints, &failure))
}

/// A form of the account page, that no other site has sent. It is for whom its ticket says, which is not checked yet.
pub struct OwnForm {
    fields: Form,
    ticket: String,
    browser: SecretDigest,
}

impl FromRequest<Arc<Endpoints>> for OwnForm {
    type Rejection = Response;

    async fn from_request(request: Request, endpoints: &Arc<Endpoints>) -> Result<Self, Response> {
        let refuse = |error: OAuthError| not_done(endpoints, &error.into());
        // CONS-06: besides the cookie that the form is bound to
        if is_from_another_site(request.headers()) {
            return Err(refuse(OTHER_BROWSER));
        }
        let cookie = FormCookie::new(endpoints.flows.issuer.is_https()).read(request.headers());
        let body = FormBody::from_request(request, endpoints).await;
        let body = body.map_err(|unreadable| {
            let mut page = refuse(unreadable.error);
            *page.status_mut() = unreadable.status;
            page
        })?;
        let fields = Form::parse(&body.bytes).map_err(refuse)?;
        let ticket = fields.one("ticket").map_err(refuse)?;
        Ok(Self {
            ticket: ticket.ok_or_else(|| refuse(OTHER_BROWSER))?.to_owned(),
            browser: cookie.ok_or_else(|| refuse(OTHER_BROWSER))?,
            fields,
        })
    }
}

impl OwnForm {
    fn one(&self, field: &str) -> Result<&str, OAuthError> {
        self.fields.one(field)?.ok_or(INCOMPLETE)
    }

    /// Who handed it in: whoever is signed in in this browser, if it was made for them.
    async fn visitor(
        &self,
        endpoints: &Endpoints,
        session: &BrowserSession,
    ) -> Result<Visit, Failure> {
        let flows = &endpoints.flows;
        let visit = visit(session, flows.clock.now()).await?;
        flows.check_account_ticket(&self.ticket, self.browser, visit.as_ref())?;
        // a form that is made for nobody signs in, and does nothing else
        Ok(visit.ok_or(NOBODY)?)
    }
}

/// To the list.
fn to_account(endpoints: &Endpoints) -> Response {
    see_other(&endpoints.flows.issuer.url("/account"))
}

/// To the list of whoever has just signed in.
pub(super) async fn enter(
    endpoints: &Endpoints,
    session: &BrowserSession,
    visit: Visit,
) -> Result<Response, Failure> {
    let flows = &endpoints.flows;
    open_visit(session, visit, flows.clock.now(), flows.lifetimes.consent).await?;
    Ok(to_account(endpoints))
}

/// To the list, which says what was done.
async fn back_with(endpoints: &Endpoints, session: &BrowserSession, done: Done) -> Response {
    let (now, remember) = (
        endpoints.flows.clock.now(),
        endpoints.flows.lifetimes.consent,
    );
    let Err(failure) = leave_word(session, done, now, remember).await else {
        return to_account(endpoints);
    };
    let page = ErrorPage {
        // with any other one the session would be saved once more after us, and the failure of that be the answer
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "This was done".to_owned(),
        what: said(done).to_owned(),
        remedies: vec![open_account("Back to your account page", endpoints)],
        ..blank(endpoints)
    };
    tracing::warn!(error = %Causes(&failure), request = %page.request_id, "what was done on an account page is not told on the next one");
    page.into_response()
}

/// A provider did not let somebody go on to their account page, or they did not want to.
pub(super) fn refused_there(endpoints: &Endpoints, provider: &str) -> Response {
    let page = ErrorPage {
        status: StatusCode::FORBIDDEN,
        title: "You are not signed in".to_owned(),
        what: format!("The sign-in was refused at {provider}, or you said no there."),
        remedies: vec![open_account("Back to your account page", endpoints)],
        ..blank(endpoints)
    };
    tracing::info!(%provider, request = %page.request_id, "a person was told that a provider refused them");
    page.into_response()
}

/// The providers to choose from: `first` before the others.
pub(super) fn choices(flows: &Flows, first: Option<&ProviderId>) -> Vec<Choice> {
    let mut providers: Vec<_> = flows.providers().collect();
    providers.sort_by_key(|provider| Some(provider.id()) != first);
    let choice = |provider: &dyn Upstream| Choice {
        id: provider.id().to_string(),
        label: provider.label().to_owned(),
    };
    providers.into_iter().map(choice).collect()
}

fn line(endpoints: &Endpoints, connection: Session) -> ConnectionLine {
    let told = endpoints.scope_words(&connection.resource, &connection.scopes);
    let scopes = if endpoints.serves(&connection.resource) {
        told.map(|(_, words)| words).collect()
    } else {
        vec![NOT_SERVED.to_owned()]
    };
    ConnectionLine {
        scopes,
        id: connection.id.to_string(),
        client_name: connection.client_name,
        client_host: connection.client_host,
        server_name: endpoints.server_name(&connection.resource),
        resource: connection.resource,
        created: connection.created,
        used: connection.used,
    }
}

fn said(done: Done) -> &'static str {
    match done {
        Done::Disconnected => "Disconnected. The app can do nothing here any more.",
        Done::AllDisconnected => "Everything is disconnected. No app can do anything here for you.",
        Done::NothingThere => "That app was not connected any more.",
    }
}

/// A form that did nothing, for a person.
fn not_done(endpoints: &Endpoints, failure: &Failure) -> Response {
    let Failure::Refused(error) = failure else {
        return account_failed(endpoints, failure);
    };
    let page = ErrorPage {
        status: match error.code {
            ErrorCode::AccessDenied => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        },
        title: "This was not done".to_owned(),
        what: sentence(error.description),
        remedies: vec![open_account("Open your account page anew", endpoints)],
        ..blank(endpoints)
    };
    tracing::info!(%error, request = %page.request_id, "a form of the account page was refused");
    page.into_response()
}

const NOT_SERVED: &str = "Nothing: that server is not served here any more";
const INCOMPLETE: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the form is incomplete; nothing was changed",
};
const NOBODY: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "nobody is signed in here any more; nothing was changed",
};
