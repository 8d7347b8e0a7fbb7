//! The way to an MCP server behind us: bytes stream both ways, and the server learns who calls from our headers alone.

mod answer;
mod connect;
pub mod ending;
mod headers;
mod news;
mod redirect;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::{Either, select};
use http::header::HOST;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::Full;
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::Service;
use url::{Position, Url};

use super::introduce::Introduction;
use crate::protocol::principal::Principal;
use crate::resource::gate::JudgedBody;

use answer::{Trouble, can_be_repeated, hand_back};
use connect::Connections;
use ending::{UntilStopped, only_listens, until_stopped};
use news::News;
use redirect::{Moved, Redirect};

/// An MCP server behind us. Stands behind a [`crate::resource::layer::BearerLayer`]; without one it refuses everything.
/// What it sends as the body of a POST are the bytes that the gate has judged.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Server>);

#[derive(Clone, Debug)]
struct Server {
    connections: Connections,
    url: Url,
    uri: Uri,
    host: HeaderValue,
    head_limit: Duration,
    introduction: Introduction,
    stopped: Option<watch::Receiver<bool>>,
    /// Whether the operator has been told that each request is sent twice.
    is_moved: Arc<AtomicBool>,
    moved: Arc<Moved>,
    news: Arc<News>,
}

/// What is asked of the server, kept for as long as it may have to be asked again.
struct Question {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

/// A backend that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadBackend {
    /// The URL is not one of a server.
    #[error("a backend is an http:// or https:// URL without user name and fragment")]
    Url,
    /// It cannot be spoken to by TLS.
    #[error("TLS to the backend is not possible: {0}; name authorities in outbound.ca")]
    Tls(String),
}

/// How long a server may think before its answer begins: a tool that answers in one piece is done by then. What follows
/// the head may take for ever.
const HEAD_LIMIT: Duration = Duration::from_secs(300);

impl Proxy {
    /// A proxy to this URL: its path is fixed, the client's never counts. A server at https:// is known by the authorities
    /// of the system.
    ///
    /// # Errors
    /// See [`BadBackend`].
    pub fn new(backend: &Url) -> Result<Self, BadBackend> {
        Self::with_authorities(backend, &[])
    }

    /// The same; a server at https:// may be known by these authorities, too.
    ///
    /// # Errors
    /// See [`BadBackend`].
    pub fn with_authorities(
        backend: &Url,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, BadBackend> {
        let has_name = !backend.username().is_empty() || backend.password().is_some();
        if has_name || backend.fragment().is_some() {
            return Err(BadBackend::Url);
        }
        let connections = match backend.scheme() {
            "http" => Connections::plain(),
            "https" => {
                Connections::tls(authorities).map_err(|error| BadBackend::Tls(error.to_string()))?
            }
            _ => return Err(BadBackend::Url),
        };
        let host = &backend[Position::BeforeHost..Position::AfterPort];
        Ok(Self(Arc::new(Server {
            connections,
            url: backend.clone(),
            uri: backend.as_str().parse().map_err(|_| BadBackend::Url)?,
            host: host.parse().map_err(|_| BadBackend::Url)?,
            head_limit: HEAD_LIMIT,
            introduction: Introduction::default(),
            stopped: None,
            is_moved: Arc::default(),
            moved: Arc::default(),
            news: Arc::new(News::new(&backend[..Position::AfterPath])),
        })))
    }

    /// The same proxy, telling the server something else of the caller.
    #[must_use]
    pub fn with_introduction(self, introduction: Introduction) -> Self {
        let server = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Server {
            introduction,
            ..server
        }))
    }

    /// The same proxy with another time limit for the beginning of an answer.
    #[must_use]
    pub fn with_head_limit(self, head_limit: Duration) -> Self {
        let server = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Server {
            head_limit,
            ..server
        }))
    }

    /// The same proxy; once `stopped` turns true, streams that only listen end, and what is under way goes on.
    #[must_use]
    pub fn until(self, stopped: watch::Receiver<bool>) -> Self {
        let server = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Server {
            stopped: Some(stopped),
            ..server
        }))
    }
}

impl Server {
    async fn pass(&self, request: Request) -> Response {
        let (mut parts, _) = request.into_parts();
        let body = match parts.extensions.remove::<JudgedBody>() {
            Some(judged) => judged.0,
            None if matches!(parts.method, Method::GET | Method::DELETE) => Bytes::new(),
            // nobody has judged the body that stands there
            None => return Trouble::NoGate.answer(&self.news, &[]),
        };
        match self.answer(parts, body.clone()).await {
            Ok(response) => response,
            Err(trouble) => trouble.answer(&self.news, &body),
        }
    }

    async fn answer(&self, mut parts: Parts, body: Bytes) -> Result<Response, Trouble> {
        let principal = parts.extensions.remove::<Arc<Principal>>();
        let principal = principal.ok_or(Trouble::NoGate)?;
        headers::clean_request(&mut parts.headers);
        parts.headers.insert(HOST, self.host.clone());
        let introduced = self.introduction.introduce(&mut parts.headers, &principal);
        introduced.await.map_err(Trouble::NoIntroduction)?;
        let moved = self.moved.place();
        let place = moved.as_ref().unwrap_or(&self.uri);
        let uri = target(place, parts.uri.query()).ok_or(Trouble::Query)?;
        let stopped = self
            .stopped
            .as_ref()
            .filter(|_| only_listens(&parts.method, &parts.headers));
        let question = Question {
            method: parts.method,
            headers: parts.headers,
            body,
        };
        let asking = timeout(self.head_limit, self.ask(&question, uri));
        let answer = match stopped {
            None => asking.await,
            Some(stopped) => {
                match select(pin!(asking), pin!(until_stopped(stopped.clone()))).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(_) => return Err(Trouble::Stopping),
                }
            }
        };
        let answer = answer.map_err(|_| Trouble::Silent)??;
        Ok(match stopped {
            Some(stopped) if answer.body().size_hint().exact().is_none() => {
                let end = stopped.clone();
                let answer = answer.map(|body| Body::new(UntilStopped::new(body, end)));
                hand_back(answer, &self.news, &question.body)
            }
            _ => hand_back(answer, &self.news, &question.body),
        })
    }

    /// Asks, and follows where the server itself sends the request on to (complaint 63).
    async fn ask(&self, question: &Question, mut uri: Uri) -> Result<Response, Trouble> {
        for hop in 0..=redirect::HOPS {
            let sent = self.send(question, &uri).await;
            let answer = match sent {
                Ok(answer) => answer,
                Err(trouble) => {
                    self.moved.forget();
                    return Err(trouble);
                }
            };
            let status = answer.status();
            // what is not there any more, or sends on in its turn, is no place to begin at
            if hop == 0 && (status == StatusCode::NOT_FOUND || status.is_redirection()) {
                self.moved.forget();
            }
            match redirect::read(&self.url, &uri, &answer) {
                Redirect::No => return Ok(answer),
                Redirect::Within(there) => {
                    self.tell_moved(&there);
                    // with a query of the client's in it, it is a place for one request alone
                    if status == StatusCode::PERMANENT_REDIRECT
                        && uri == self.uri
                        && there.query() == uri.query()
                    {
                        self.moved.learn(&there);
                    }
                    uri = there;
                }
                Redirect::Refused(place) => return Err(Trouble::Redirect(place)),
            }
        }
        Err(Trouble::Loop)
    }

    fn tell_moved(&self, there: &Uri) {
        if !self.is_moved.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                server = self.news.server,
                path = there.path(),
                "the MCP server redirects to another path of its own, so that requests are sent twice: \
                 write that path into backend"
            );
        }
    }

    /// The client sends a request again that was not read from a connection that had ended. One that may have been read is
    /// sent again, once, where that changes nothing.
    async fn send(&self, question: &Question, uri: &Uri) -> Result<Response, Trouble> {
        let mut sent = self.connections.request(question.to(uri)).await;
        let broke = sent.as_ref().is_err_and(|error| !error.is_connect());
        if broke && can_be_repeated(&question.method, &question.body) {
            sent = self.connections.request(question.to(uri)).await;
        }
        let answer = sent.map_err(Trouble::not_sent)?;
        Ok(answer.map(Body::new))
    }
}

impl Question {
    fn to(&self, uri: &Uri) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

impl Service<Request> for Proxy {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let server = Arc::clone(&self.0);
        Box::pin(async move { Ok(server.pass(request).await) })
    }
}

/// The backend's URL with the client's query.
fn target(backend: &Uri, query: Option<&str>) -> Option<Uri> {
    // a query of the operator's is not added to: of two values of one name, some servers take the last
    let theirs = query.filter(|query| !query.is_empty() && backend.query().is_none());
    let Some(query) = theirs else {
        return Some(backend.clone());
    };
    let path = backend.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut parts = backend.clone().into_parts();
    parts.path_and_query = Some(format!("{path}?{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P10
    #[test]
    fn the_path_is_the_backends_and_the_query_the_clients_unless_the_backend_has_one() {
        for (backend, query, expected) in [
            (
                "http://localhost:9000/mcp",
                None,
                "http://localhost:9000/mcp",
            ),
            (
                "http://localhost:9000/mcp",
                Some(""),
                "http://localhost:9000/mcp",
            ),
            (
                "http://localhost:9000/mcp",
                Some("a=b&c=%2F..%2F"),
                "http://localhost:9000/mcp?a=b&c=%2F..%2F",
            ),
            (
                "http://localhost:9000/mcp?k=v",
                Some("a=b"),
                "http://localhost:9000/mcp?k=v",
            ),
            (
                "http://localhost:9000/",
                Some("@evil.example/"),
                "http://localhost:9000/?@evil.example/",
            ),
        ] {
            let made = target(&backend.parse().unwrap(), query).unwrap();
            assert_eq!(made.to_string(), expected);
        }
    }

    #[test]
    fn a_backend_is_an_http_url_without_a_name_in_it() {
        for (url, expected) in [
            ("http://localhost:9000/mcp", true),
            ("http://[::1]:9000", true),
            ("https://localhost/mcp", true),
            ("ftp://localhost/mcp", false),
            ("http://a:b@localhost/mcp", false),
            ("http://localhost/mcp#a", false),
        ] {
            assert_eq!(
                Proxy::new(&Url::parse(url).unwrap()).is_ok(),
                expected,
                "{url}"
            );
        }
    }
}
