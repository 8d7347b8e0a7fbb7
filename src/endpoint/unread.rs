//! What a request still has to say when its answer is ready.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::HeaderValue;
use http::header::{CONNECTION, EXPECT};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Reads what a refusal left unread of its request, and says so where the connection ends for it.
///
/// An answer that comes before the end of the request makes hyper close the connection, and the client, which was not
/// told, sends its next request into nothing: httpx gives "Server disconnected without sending a response". RFC 9112 §9.6:
/// who closes says so.
pub async fn read_or_say(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // It waits to be asked for the rest: hyper ends that connection by itself, before anything is sent.
    let expects = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let (back, mut returned) = oneshot::channel();
    let lent = Body::new(Lent {
        body,
        back: Some(back),
    });
    let mut response = next.run(Request::from_parts(parts, lent)).await;
    if let Ok(body) = returned.try_recv()
        && (expects || !read(body).await)
    {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the end was reached, within limits.
async fn read(mut body: Body) -> bool {
    let all = async {
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MOST {
                return false;
            }
        }
        true
    };
    let mut all = pin!(all);
    // it mostly lies there already, and a timer costs more than it does
    match all.as_mut().now_or_never() {
        Some(reached) => reached,
        None => timeout(LONGEST, all).await.unwrap_or(false),
    }
}

/// A body that comes back when nobody wants to read it any more, if its end was not reached.
struct Lent {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take()
            && !self.body.is_end_stream()
        {
            // Nobody waits for it where the answer went out while the request was still being read.
            drop(back.send(std::mem::take(&mut self.body)));
        }
    }
}

/// As much as is read for nothing.
const MOST: usize = 256 * 1024;
/// As long as is waited for it.
const LONGEST: Duration = Duration::from_secs(2);
