//! Event streams: they outlive the check of their request, so that the session is looked at again for as long as they are
//! open, be there events or not.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use tokio::time::sleep;

use super::Sessions;
use crate::clock::Clock;
use crate::protocol::principal::Principal;

/// What looks after the sessions of open streams.
#[derive(Clone)]
pub struct Watch {
    /// Who knows whether they are in force.
    pub sessions: Arc<dyn Sessions>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long a session found in force is not asked for again, unless its word runs out before.
    pub ask_again: Duration,
    /// How often it is looked whether it has ended, or is to be asked for.
    pub look_again: Duration,
}

/// A body that says no more once the session of its reader has ended.
struct WhileInForce {
    body: Body,
    principal: Arc<Principal>,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Makes an event stream end with its session, and keeps proxies in front from holding events back (HTTP-15). Other
/// responses pass as they are.
#[must_use]
pub fn guard(response: Response, principal: Arc<Principal>, watch: &Watch) -> Response {
    if !is_event_stream(response.headers()) {
        return response;
    }
    let over = Box::pin(watch.clone().until_over(Arc::clone(&principal)));
    let mut response = response.map(|body| {
        Body::new(WhileInForce {
            body,
            principal,
            over,
        })
    });
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache"));
    response
}

impl Watch {
    /// Waits until the session of an open stream is over, or what it was opened with is no longer open to the person. That
    /// it cannot be told now ends nothing.
    async fn until_over(self, principal: Arc<Principal>) {
        let mut standing = Arc::clone(&principal.standing);
        let (mut asked, mut is_told) = (self.clock.now(), true);
        loop {
            sleep(self.look_again).await;
            if standing.has_ended() {
                return;
            }
            let now = self.clock.now();
            let is_settled = asked <= now && now - asked < self.ask_again;
            if is_settled && (!is_told || standing.is_good_at(now)) {
                continue;
            }
            let found = self.sessions.standing(standing.session).await;
            is_told = found.is_ok();
            match found {
                Ok(Some(found)) if !found.has_ended() => standing = found,
                Ok(_) => return,
                Err(_) => {}
            }
            asked = now;
            if principal.scopes.without(&standing.withheld) != principal.scopes {
                return;
            }
        }
    }
}

/// Whether a response is a stream of events.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
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
        if self.over.as_mut().poll(context).is_ready() {
            self.body = Body::empty();
            // it has said all that it had to say
            self.over = Box::pin(std::future::pending());
            return Poll::Ready(None);
        }
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
