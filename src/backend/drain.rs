//! The end of a service of the library: what is under way is answered, what only listens ends at once.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::{Either, select};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::Service;

use crate::backend::http::ending::{UntilStopped, only_listens, until_stopped};
use crate::resource::answer::RpcError;
use crate::resource::gate::JudgedBody;

/// How long requests under way may take once the process is told to stop. Connections are let live a little longer, so
/// that whoever is cut off hears of it.
const UNDER_WAY: Duration = Duration::from_secs(8);

/// Lets a service end in order. All clones are the same.
#[derive(Clone, Debug)]
pub struct Drain {
    stopped: watch::Receiver<bool>,
    is_over: watch::Receiver<bool>,
    under_way: watch::Sender<usize>,
}

/// A request under way, until this is dropped.
struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    fn begin(under_way: &watch::Sender<usize>) -> Self {
        under_way.send_modify(|requests| *requests += 1);
        Self(under_way.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

impl Drain {
    /// Once `shutdown` is over, and nothing is under way any more or it has taken too long, `cut_off` is to end the rest.
    /// To be called inside a Tokio runtime.
    pub fn new(
        shutdown: impl Future<Output = ()> + Send + 'static,
        cut_off: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self::within(UNDER_WAY, shutdown, cut_off)
    }

    fn within(
        limit: Duration,
        shutdown: impl Future<Output = ()> + Send + 'static,
        cut_off: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (end, is_over) = watch::channel(false);
        let under_way = watch::Sender::new(0);
        let mut requests = under_way.subscribe();
        tokio::spawn(async move {
            shutdown.await;
            stop.send_replace(true);
            let none = requests.wait_for(|requests| *requests == 0);
            let _ = timeout(limit, none).await;
            end.send_replace(true);
            cut_off();
        });
        Self {
            stopped,
            is_over,
            under_way,
        }
    }

    /// Answers a request. One that comes too late is told to come again.
    pub async fn serve<A>(&self, request: Request, answer: impl FnOnce(Request) -> A) -> Response
    where
        A: Future<Output = Response>,
    {
        if only_listens(request.method(), request.headers()) {
            return self.serve_stream(request, answer).await;
        }
        if *self.is_over.borrow() {
            return come_again(request.extensions().get());
        }
        let under_way = UnderWay::begin(&self.under_way);
        keep_until_read(answer(request).await, under_way)
    }

    async fn serve_stream<A>(&self, request: Request, answer: impl FnOnce(Request) -> A) -> Response
    where
        A: Future<Output = Response>,
    {
        let judged = request.extensions().get().cloned();
        if *self.stopped.borrow() {
            return come_again(judged.as_ref());
        }
        let stopped = until_stopped(self.stopped.clone());
        match select(pin!(answer(request)), pin!(stopped)).await {
            Either::Left((answer, _)) if answer.body().size_hint().exact().is_none() => {
                let stopped = self.stopped.clone();
                answer.map(|body| Body::new(UntilStopped::new(body, stopped)))
            }
            Either::Left((answer, _)) => answer,
            Either::Right(_) => come_again(judged.as_ref()),
        }
    }
}

/// Keeps something until an answer is read, or its client is gone.
pub(super) fn keep_until_read<T: Send + 'static>(answer: Response, kept: T) -> Response {
    let hold = move |frame| {
        let _until_the_end = &kept;
        frame
    };
    answer.map(|body| Body::new(body.map_frame(hold)))
}

#[derive(Deserialize)]
struct Numbered<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

fn come_again(judged: Option<&JudgedBody>) -> Response {
    let numbered = judged.and_then(|judged| serde_json::from_slice::<Numbered<'_>>(&judged.0).ok());
    let what = "this server is about to restart: try again";
    let error = RpcError::http(StatusCode::SERVICE_UNAVAILABLE, what);
    let mut answer = error.answer(numbered.and_then(|numbered| numbered.id));
    let soon = HeaderValue::from_static("1");
    answer.headers_mut().insert(RETRY_AFTER, soon);
    answer
}

/// A service of the library that ends in order. Cheap to clone.
#[derive(Clone)]
pub struct Drained<S: ServerHandler> {
    service: StreamableHttpService<S, LocalSessionManager>,
    drain: Drain,
}

impl<S: ServerHandler> Drained<S> {
    /// The service, which ends once `shutdown` is over. To be called inside a Tokio runtime.
    pub fn new(
        service: StreamableHttpService<S, LocalSessionManager>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let rest = service.config.cancellation_token.clone();
        let drain = Drain::new(shutdown, move || rest.cancel());
        Self { service, drain }
    }

    /// Answers a request.
    pub async fn handle(&self, request: Request) -> Response {
        let answer = async |request: Request| self.service.handle(request).await.map(Body::new);
        self.drain.serve(request, answer).await
    }
}

impl<S: ServerHandler + Clone> Service<Request> for Drained<S> {
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

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use http_body_util::StreamBody;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// A body that says what is sent here.
    fn spoken() -> (mpsc::Sender<&'static str>, Response) {
        let (say, said) = mpsc::channel(8);
        let said = futures_util::stream::unfold(said, async |mut said: mpsc::Receiver<_>| {
            let text: &'static str = said.recv().await?;
            let frame = http_body::Frame::data(Bytes::from_static(text.as_bytes()));
            Some((Ok::<_, Infallible>(frame), said))
        });
        let body = Body::new(StreamBody::new(Box::pin(said)));
        (say, Response::new(body))
    }

    async fn text(answer: Response) -> String {
        let body = answer.into_body().collect().await.unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    }

    fn asked(method: &str) -> Request {
        Request::builder()
            .method(method)
            .body(Body::empty())
            .unwrap()
    }

    fn drain(limit: Duration) -> (oneshot::Sender<()>, oneshot::Receiver<()>, Drain) {
        let (stop, stopped) = oneshot::channel();
        let (cut_off, is_cut_off) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        let drain = Drain::within(limit, stopped, || cut_off.send(()).unwrap());
        (stop, is_cut_off, drain)
    }

    #[tokio::test]
    async fn the_rest_is_cut_off_once_nothing_is_under_way_any_more() {
        let (stop, mut is_cut_off, drain) = drain(UNDER_WAY);
        let (say, answer) = spoken();
        let answer = drain.serve(asked("POST"), async |_| answer).await;
        let (_hold, stream) = spoken();
        let stream = drain.serve(asked("GET"), async |_| stream).await;
        stop.send(()).unwrap();
        assert_eq!(text(stream).await, "");
        let late = drain.serve(asked("GET"), async |_| unreachable!()).await;
        assert_eq!(late.status(), 503);
        assert_eq!(late.headers()[RETRY_AFTER], "1");
        assert!(is_cut_off.try_recv().is_err());
        say.send("whole").await.unwrap();
        drop(say);
        assert_eq!(text(answer).await, "whole");
        is_cut_off.await.unwrap();
        let late = drain.serve(asked("POST"), async |_| unreachable!()).await;
        assert_eq!(late.status(), 503);
    }

    #[tokio::test]
    async fn what_takes_too_long_is_cut_off() {
        let (stop, is_cut_off, drain) = drain(Duration::ZERO);
        let (_say, answer) = spoken();
        let _answer = drain.serve(asked("POST"), async |_| answer).await;
        stop.send(()).unwrap();
        is_cut_off.await.unwrap();
    }
}
