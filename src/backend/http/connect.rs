//! Connections to a server: TLS where its URL says so, the pool, and how long each may take to be made.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tower::Service;

/// The connections to one server. One that is spoken to in clear does not pay for the state of TLS.
#[derive(Clone, Debug)]
pub(super) enum Connections {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsInTime, Full<Bytes>>),
}

/// How long it may take until there is a connection, and until TLS on it stands.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection waits for another request. Servers close theirs after five seconds (Node, Uvicorn) or more; a
/// request that crosses the end of its connection may have been read or not, and a call of a tool is not sent twice.
const IDLE_LIMIT: Duration = Duration::from_secs(4);

/// Connections that wait. More are opened when there is more to do, and closed afterwards.
const IDLE_CONNECTIONS: usize = 128;

impl Connections {
    pub(super) fn plain() -> Self {
        Self::Plain(client(tcp()))
    }

    /// Believes the authorities of the system, and these.
    ///
    /// # Errors
    /// There is not one authority, or one of these is none.
    pub(super) fn tls(authorities: &[CertificateDer<'static>]) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let known = authorities.iter().cloned();
        let verifier = Verifier::new_with_extra_roots(known, Arc::clone(&provider))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            // what is dangerous is a verifier of one's own: this is that of the platform
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut tcp = tcp();
        tcp.enforce_http(false);
        let mut connector = HttpsConnector::from((tcp, config));
        connector.enforce_https();
        Ok(Self::Tls(client(HttpsInTime(connector))))
    }

    pub(super) fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    // an idle stream notices that its server is gone without a word
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    tcp.set_keepalive_interval(Some(Duration::from_secs(15)));
    tcp.set_keepalive_retries(Some(4));
    tcp
}

fn client<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_LIMIT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        // it is written beforehand, once for all requests
        .set_host(false)
        .build(connector)
}

/// Whether a connection failed for the certificate of the other side.
pub(super) fn is_certificate_fault(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::InvalidCertificate(_));
    }
    // what an io::Error is made of is not its source
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    let cause = match inner {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    };
    cause.is_some_and(is_certificate_fault)
}

/// Makes connections with TLS, in time: the limit of the connector below ends where TLS begins.
#[derive(Clone, Debug)]
pub(super) struct HttpsInTime(HttpsConnector<HttpConnector>);

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send>>;

impl Service<Uri> for HttpsInTime {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            tokio::time::timeout(2 * CONNECT_LIMIT, connecting)
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    }
}
