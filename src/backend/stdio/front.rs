//! The tower service of a server on stdio: it finds the child that answers a request before anything is promised to the
//! client.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{ACCEPT, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rmcp::model::ServerConfig;
use rmcp::transport::streamable_http_server::session::SessionManager as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Deserialize;
use serde_json::value::RawValue;
use tower::Service;

use super::bridge::Bridge;
use super::presence::{Presence, Sessions};
use super::{Lease, Lend, NoChild};
use crate::backend::drain::{Drain, keep_until_read};
use crate::protocol::principal::Principal;
use crate::resource::answer::RpcError;
use crate::resource::gate::JudgedBody;

/// A server on stdio as a tower service, for behind a gate. It is to be made inside a Tokio runtime.
///
/// Any `Host` is answered, because the gate has looked at it. When `shutdown` is over, streams end, and sessions once calls
/// under way are answered.
pub fn service(
    lend: Arc<dyn Lend>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> StdioService {
    // No priming events: clients from before 2025-11-25 read their empty data as JSON.
    let mut manager = LocalSessionManager::default();
    manager.session_config.sse_retry = None;
    // Longer than people think between two calls: not every client begins anew when its session is gone.
    manager.session_config.keep_alive = Some(Duration::from_secs(30 * 60));
    let manager = Arc::new(manager);
    let config = StreamableHttpServerConfig::default()
        .with_sse_retry(None)
        .disable_allowed_hosts();
    let rest = config.cancellation_token.clone();
    let bridge = || Ok(Bridge::new(MADE.try_with(Made::clone).ok()));
    StdioService {
        lend,
        bridges: StreamableHttpService::new(bridge, Arc::clone(&manager), config),
        manager,
        sessions: Arc::default(),
        drain: Drain::new(shutdown, move || rest.cancel()),
    }
}

/// Made by [`service`]. Cheap to clone.
#[derive(Clone)]
pub struct StdioService {
    lend: Arc<dyn Lend>,
    bridges: StreamableHttpService<Bridge, LocalSessionManager>,
    manager: Arc<LocalSessionManager>,
    sessions: Arc<Sessions>,
    drain: Drain,
}

const SESSION: &str = "mcp-session-id";

/// The child that a request goes to, in the request's extensions.
#[derive(Clone)]
pub(super) struct Lent(pub(super) Arc<Lease>);

/// What a bridge is made with.
#[derive(Clone)]
pub(super) struct Made {
    /// What the child says of itself.
    pub(super) told: ServerConfig,
    /// The client that it is for.
    pub(super) client: Arc<Presence>,
}

tokio::task_local! {
    /// For the bridge that is made for the request at hand.
    static MADE: Made;
}

/// What has to be known of a message here.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<std::borrow::Cow<'a, str>>,
}

impl StdioService {
    /// Answers a request that a gate has admitted.
    pub async fn handle(&self, request: Request) -> Response {
        let answer = async |request: Request| {
            let session = request.headers().get(SESSION);
            let session = session.and_then(|session| session.to_str().ok());
            let client = session.and_then(|session| self.sessions.client(session));
            let present = client.map(|client| client.enter());
            let answer = self.answer(request).await;
            match present {
                Some(present) => keep_until_read(answer, present),
                None => answer,
            }
        };
        self.drain.serve(request, answer).await
    }

    async fn answer(&self, request: Request) -> Response {
        let Some(principal) = request.extensions().get::<Arc<Principal>>().cloned() else {
            return no_gate();
        };
        if request.method() != Method::POST {
            return self.hand_on(request).await;
        }
        let Some(JudgedBody(body)) = request.extensions().get().cloned() else {
            return no_gate();
        };
        if body.trim_ascii_start().starts_with(b"[") {
            let what = "batches are not served here: send the messages one by one";
            return RpcError::new(StatusCode::BAD_REQUEST, -32600, what).answer(None);
        }
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(&body) else {
            let what = "the body is not one JSON-RPC message";
            return RpcError::new(StatusCode::BAD_REQUEST, -32700, what).answer(None);
        };
        let method = seen.method.as_deref();
        let needs_child = seen.id.is_some() && method.is_some_and(|method| method != "ping");
        if !needs_child || self.is_vain(request.headers()).await {
            return self.hand_on(request).await;
        }
        match self.lend.lend(&principal).await {
            Ok(lease) if method == Some("initialize") => {
                self.begin(request, lease, &principal).await
            }
            Ok(lease) => self.ask(request, lease, Arc::default()).await,
            Err(none) => refuse(&none, seen.id),
        }
    }

    async fn hand_on(&self, request: Request) -> Response {
        self.bridges.handle(request).await.map(Body::new)
    }

    /// Has a child answer.
    async fn ask(&self, mut request: Request, lease: Lease, client: Arc<Presence>) -> Response {
        let told = Bridge::told(&lease.peer);
        request.extensions_mut().insert(Lent(Arc::new(lease)));
        let made = Made { told, client };
        MADE.scope(made, self.hand_on(request)).await
    }

    /// Has a child answer to what begins a session.
    async fn begin(&self, request: Request, lease: Lease, principal: &Principal) -> Response {
        let client = Arc::new(Presence::default());
        let present = client.enter();
        let answer = self.ask(request, lease, Arc::clone(&client)).await;
        let session = answer.headers().get(SESSION);
        if let Some(session) = session.and_then(|session| session.to_str().ok()) {
            let person = &principal.identity().subject;
            for ended in self.sessions.begin(session, person, &client) {
                tracing::debug!("somebody has very many sessions: one that was left ends");
                let _ = self.manager.close_session(&ended.into()).await;
            }
        }
        keep_until_read(answer, present)
    }

    /// Whether the library will refuse a request, whatever is asked: no child has to be started for that.
    async fn is_vain(&self, headers: &HeaderMap) -> bool {
        let accepts = |wanted: &str| {
            let mut accepted = headers.get_all(ACCEPT).iter();
            accepted.any(|accepted| {
                let accepted = accepted.to_str().map(str::to_ascii_lowercase);
                accepted.is_ok_and(|accepted| accepted.contains(wanted))
            })
        };
        if !accepts("application/json") || !accepts("text/event-stream") {
            return true;
        }
        // 2026-07-28 has no sessions, and names itself in the header
        let is_older = headers
            .get("mcp-protocol-version")
            .is_none_or(|version| version.as_bytes() < b"2026-07-28".as_slice());
        let session = headers.get(SESSION).filter(|_| is_older);
        let Some(session) = session.and_then(|session| session.to_str().ok()) else {
            return false;
        };
        let there = self.manager.has_session(&session.to_owned().into()).await;
        there.is_ok_and(|is_there| !is_there)
    }
}

impl Service<Request> for StdioService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.handle(request).await) })
    }
}

fn no_gate() -> Response {
    let what = "this server answers behind its gate alone";
    RpcError::http(StatusCode::FORBIDDEN, what).answer(None)
}

/// Why there is no child, with a time to come back where that helps. It is never a 401: the caller's token is good.
fn refuse(none: &NoChild, id: Option<&RawValue>) -> Response {
    const BUSY: Duration = Duration::from_secs(5);
    let (status, what, again) = match none {
        NoChild::TooMany => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the MCP server is as busy as it may be; try again later",
            Some(BUSY),
        ),
        NoChild::NotStarted(again) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the MCP server cannot be started now; try again later",
            Some(*again),
        ),
        NoChild::NoUpstreamToken(none) => {
            let error = RpcError::from(*none);
            let is_passing = error.status == StatusCode::SERVICE_UNAVAILABLE;
            (error.status, error.message, is_passing.then_some(BUSY))
        }
    };
    let mut answer = RpcError::http(status, what).answer(id);
    if let Some(again) = again {
        let seconds = again.as_secs() + u64::from(again.subsec_nanos() > 0);
        let headers = answer.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    answer
}
