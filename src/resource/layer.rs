//! `BearerLayer`: puts a [`Gate`] before any MCP server that is a tower service.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, Method};
use tower::{Layer, Service};

use super::gate::{Admitted, Gate, Refusal};
use crate::cors;

/// Lets through what the gate admits. The server behind finds an `Arc<Principal>` in the extensions of each request,
/// neither token nor cookies in its headers, and as body the very bytes that were judged.
#[derive(Clone)]
pub struct BearerLayer(Arc<Gate>);

impl BearerLayer {
    /// A layer with this gate.
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Self {
        Self(gate)
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = Bearer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Bearer {
            gate: Arc::clone(&self.0),
            inner,
        }
    }
}

/// A service behind a gate.
#[derive(Clone)]
pub struct Bearer<S> {
    gate: Arc<Gate>,
    inner: S,
}

impl<S> Service<Request> for Bearer<S>
where
    S: Service<Request, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready goes with the request; its clone stays.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let gate = Arc::clone(&self.gate);
        Box::pin(async move { Ok(serve(&gate, inner, request).await) })
    }
}

/// The order of HTTP-16.
async fn serve<S>(gate: &Gate, mut inner: S, request: Request) -> Response
where
    S: Service<Request, Error = Infallible>,
    S::Response: IntoResponse,
{
    let origin = match gate.check_door(&request) {
        Ok(origin) => origin,
        Err(Refusal(answer)) => return *answer,
    };
    if request.method() == Method::OPTIONS {
        return cors::preflight(origin.as_ref(), request.headers());
    }
    let mut response = match gate.admit(request).await {
        Ok(Admitted {
            mut request,
            admission,
        }) => {
            remove_forged(request.headers_mut());
            let Ok(answer) = inner.call(request).await;
            gate.finish(answer.into_response(), admission).await
        }
        Err(Refusal(answer)) => *answer,
    };
    if let Some(origin) = &origin {
        cors::expose(response.headers_mut(), origin);
    }
    response
}

/// Who calls stands in the extensions. A service that looks into headers, as one behind a proxy of ours does, must not find
/// what the client wrote there, in whatever spelling (P6).
fn remove_forged(headers: &mut HeaderMap) {
    let is_forged = |name: &&HeaderName| {
        let mut bytes = name.as_str().bytes();
        let spelt = |expected| match expected {
            b'-' => bytes
                .next()
                .is_some_and(|byte| !byte.is_ascii_alphanumeric()),
            letter => bytes.next() == Some(letter),
        };
        b"x-anteroom-".iter().copied().all(spelt)
    };
    let forged: Vec<HeaderName> = headers.keys().filter(is_forged).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}
