//! Somebody's web site, for what strangers' URLs name: https on loopback, with a certificate authority of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A web site that runs; it stops when it is dropped.
pub(crate) struct Website {
    ca: PathBuf,
    port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
    _folder: TempDir,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    pages: Mutex<HashMap<String, Page>>,
    // in the order of their coming, with path and query
    requests: Mutex<Vec<(String, HeaderMap)>>,
}

/// What is served at a path.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    pace: Pace,
}

/// How an answer comes.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// At once, with `Content-Length`.
    Whole,
    /// At once, in pieces, without `Content-Length`.
    Pieces,
    /// A byte at a time, with this much time before each.
    Drip(Duration),
    /// Half of it, and then the connection breaks.
    Half,
    /// Never.
    Hang,
}

impl Page {
    /// Status 200 and this body, with no headers but `Content-Length`.
    pub(crate) fn new(body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.into(),
            pace: Pace::Whole,
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::new(value.to_string()).header("content-type", "application/json")
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap();
        self
    }

    /// One more header line.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
        self
    }

    /// The body comes without `Content-Length`.
    pub(crate) fn in_pieces(mut self) -> Self {
        self.pace = Pace::Pieces;
        self
    }

    /// The body comes a byte at a time, `every` so often.
    pub(crate) fn drip(mut self, every: Duration) -> Self {
        self.pace = Pace::Drip(every);
        self
    }

    /// The connection breaks in the middle of the body.
    pub(crate) fn broken(mut self) -> Self {
        self.pace = Pace::Half;
        self
    }

    /// The request is taken, and nothing is ever said.
    pub(crate) fn hang(mut self) -> Self {
        self.pace = Pace::Hang;
        self
    }

    async fn answer(self) -> Response {
        let mut response = Response::new(match self.pace {
            Pace::Whole => Body::from(self.body),
            Pace::Pieces => pieces(self.body, Duration::ZERO, 16 << 10),
            Pace::Drip(every) => pieces(self.body, every, 1),
            Pace::Half => {
                let half = self.body.slice(..self.body.len() / 2);
                let broken = Err(io::Error::other("the connection breaks here"));
                Body::from_stream(stream::iter([Ok(half), broken]))
            }
            Pace::Hang => pending().await,
        });
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}

/// `body` in pieces of `length` bytes, with `pause` before each.
fn pieces(body: Bytes, pause: Duration, length: usize) -> Body {
    let rest = stream::unfold(body, move |mut body| async move {
        if body.is_empty() {
            return None;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let piece = body.split_to(length.min(body.len()));
        Some((Ok::<_, Infallible>(piece), body))
    });
    Body::from_stream(rest)
}

impl Website {
    /// An empty site, at `localhost` and 127.0.0.1, on a port of its own.
    pub(crate) async fn start() -> Self {
        // a second one in the same process is the same
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let (certificate, key) = certificate(&ca);
        let config = RustlsConfig::from_pem(certificate.into_bytes(), key.into_bytes());
        let shared = Arc::new(Shared::default());
        let acceptor =
            RustlsAcceptor::new(config.await.unwrap()).acceptor(Door(Arc::clone(&shared)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let site = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let server = axum_server::from_tcp(listener).unwrap().acceptor(acceptor);
        let serving = tokio::spawn(async move {
            server.serve(site.into_make_service()).await.unwrap();
        });
        Self {
            ca,
            port,
            shared,
            serving,
            _folder: folder,
        }
    }

    /// The name that its certificate is for, and its port.
    pub(crate) fn host(&self) -> (String, u16) {
        ("localhost".to_owned(), self.port)
    }

    /// The certificate of its authority, PEM.
    pub(crate) fn ca(&self) -> &Path {
        &self.ca
    }

    /// The URL of a path: `/client.json`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Serves `page` at `path`, with its query if it has one, from now on. Where nothing was put, the status is 404.
    pub(crate) fn put(&self, path: &str, page: Page) {
        let mut pages = self.shared.pages.lock().unwrap();
        pages.insert(path.to_owned(), page);
    }

    /// How many requests there were for `path`.
    pub(crate) fn hits(&self, path: &str) -> usize {
        self.requests(path).len()
    }

    /// The headers of each request for `path`.
    pub(crate) fn requests(&self, path: &str) -> Vec<HeaderMap> {
        let requests = self.shared.requests.lock().unwrap();
        let of_path = requests.iter().filter(|(asked, _)| asked == path);
        of_path.map(|(_, headers)| headers.clone()).collect()
    }

    /// How many connections there were, whether or not anything was asked on them.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Website {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    let page = shared.pages.lock().unwrap().get(&path).cloned();
    let asked = (path, request.headers().clone());
    shared.requests.lock().unwrap().push(asked);
    let page = page.unwrap_or_else(|| Page::new("").status(404));
    page.answer().await
}

/// Counts who comes in.
#[derive(Clone)]
struct Door(Arc<Shared>);

impl<I, S> Accept<I, S> for Door {
    type Stream = I;
    type Service = S;
    type Future = Ready<io::Result<(I, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        self.0.connections.fetch_add(1, Ordering::SeqCst);
        ready(Ok((stream, service)))
    }
}

/// A certificate for this machine and its key, PEM, of a new authority whose own certificate goes to `ca`.
fn certificate(ca: &Path) -> (String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let name = "authority of a test";
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    std::fs::write(ca, params.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, key);

    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}
