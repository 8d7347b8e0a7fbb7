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
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, StatusCode};
use rmcp::model::ServerConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Deserialize;
use serde_json::value::RawValue;
use tower::Service;

use super::bridge::Bridge;
use super::{Lease, Lend, NoChild};
use crate::protocol::principal::Principal;
use crate::resource::answer::RpcError;
use crate::resource::gate::JudgedBody;

/// A server on stdio as a tower service, for behind a gate. It is to be made inside a Tokio runtime.
///
/// `allowed_hosts` are the values of `Host` that are answered, with or without a port (none: all, because the gate has
/// looked at it). When `shutdown` is over, streams and sessions end.
pub fn service(
    lend: Arc<dyn Lend>,
    allowed_hosts: Vec<String>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> StdioService {
    // No priming events: clients from before 2025-11-25 read their empty data as JSON.
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.sse_retry = None;
    // Longer than people think between two calls: not every client begins anew when its session is gone.
    sessions.session_config.keep_alive = Some(Duration::from_secs(30 * 60));
    let config = StreamableHttpServerConfig::default().with_sse_retry(None);
    let config = if allowed_hosts.is_empty() {
        config.disable_allowed_hosts()
    } else {
        config.with_allowed_hosts(allowed_hosts)
    };
    let stop = config.cancellation_token.clone();
    tokio::spawn(async move {
        shutdown.await;
        stop.cancel();
    });
    let bridge = || Ok(Bridge::new(TOLD.try_with(ServerConfig::clone).ok()));
    StdioService {
        lend,
        bridges: StreamableHttpService::new(bridge, Arc::new(sessions), config),
    }
}

/// Made by [`service`]. Cheap to clone.
#[derive(Clone)]
pub struct StdioService {
    lend: Arc<dyn Lend>,
    bridges: StreamableHttpService<Bridge, LocalSessionManager>,
}

/// The child that a request goes to, in the request's extensions.
#[derive(Clone)]
pub(super) struct Lent(pub(super) Arc<Lease>);

tokio::task_local! {
    /// What the child of the request at hand says of itself, for the bridge that is made for it.
    static TOLD: ServerConfig;
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
    pub async fn handle(&self, mut request: Request) -> Response {
        let Some(principal) = request.extensions().get::<Arc<Principal>>().cloned() else {
            return no_gate();
        };
        if request.method() != Method::POST {
            return self.bridges.handle(request).await.map(Body::new);
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
        let needs_child = seen
            .method
            .as_deref()
            .is_some_and(|method| method != "ping");
        if seen.id.is_none() || !needs_child {
            return self.bridges.handle(request).await.map(Body::new);
        }
        match self.lend.lend(&principal).await {
            Ok(lease) => {
                let told = Bridge::told(&lease.peer);
                request.extensions_mut().insert(Lent(Arc::new(lease)));
                let answer = TOLD.scope(told, self.bridges.handle(request));
                answer.await.map(Body::new)
            }
            Err(none) => refuse(&none, seen.id),
        }
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
