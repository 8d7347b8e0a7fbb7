//! Event streams: they outlive the check of their request, so that the session is looked at again with each event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http_body::{Frame, SizeHint};

use crate::protocol::principal::Principal;

/// A body that says no more once the session of its reader has ended.
struct WhileInForce {
    body: Body,
    principal: Arc<Principal>,
}

/// Makes an event stream end with its session, and keeps proxies in front from holding events back (HTTP-15). Other
/// responses pass as they are.
#[must_use]
pub fn guard(response: Response, principal: Arc<Principal>) -> Response {
    if !is_event_stream(&response) {
        return response;
    }
    let mut response = response.map(|body| Body::new(WhileInForce { body, principal }));
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache"));
    response
}

fn is_event_stream(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.split(|&byte| byte == b';').next())
        .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

impl HttpBody for WhileInForce {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match polled {
            Poll::Ready(Some(_)) if self.principal.standing.has_ended() => Poll::Ready(None),
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
