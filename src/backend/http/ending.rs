//! Streams in which nothing is under way: they end when the process is told to stop, so that it stops soon.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http::{HeaderMap, Method};
use http_body::{Frame, SizeHint};
use tokio::sync::watch;

/// A body that says no more once the process stops.
pub struct UntilStopped {
    body: Option<Body>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl UntilStopped {
    /// The same body, until the word is said.
    pub fn new(body: Body, stopped: watch::Receiver<bool>) -> Self {
        Self {
            body: Some(body),
            stopped: Box::pin(until_stopped(stopped)),
        }
    }
}

/// Waits for the word. Where nobody is left to say it, it is never said.
pub async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether a request only listens: the stream of the older transport, and `subscriptions/listen` of 2026-07-28, which says
/// so in its header as well (the gate has compared them).
pub fn only_listens(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET
        || headers
            .get("mcp-method")
            .is_some_and(|method| method == "subscriptions/listen")
}

impl HttpBody for UntilStopped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        // what has come already is handed on first
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if self.stopped.as_mut().poll(context).is_ready() {
            self.body = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
