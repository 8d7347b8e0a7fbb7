//! The HTTP clients that leave the house: no redirects, no proxies from the environment, limits on time and size.
//!
//! [`Outbound`] asks whom the operator configured; [`stranger`] is for URLs that somebody outside chose.

pub mod authority;
mod freshness;
mod public_address;
pub mod resolver;
pub mod stranger;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Certificate, Client, NoProxy, Proxy, redirect};
use url::{Host, Url};

/// The client, with the pool of connections that the whole process shares. Cloning shares it.
#[derive(Clone)]
pub struct Outbound(Arc<Shared>);

struct Shared {
    authorities: Vec<Certificate>,
    proxy: Option<Url>,
    limits: Limits,
    // Made at the first request: reading the certificates of the system is most of the work of a start.
    client: OnceLock<Client>,
}

#[derive(Clone, Copy)]
struct Limits {
    connect: Duration,
    total: Duration,
    body: usize,
}

/// Why a request has no answer. What it prints holds no URL: a query may carry secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// A file of `outbound.ca` is of no use.
    #[error("outbound.ca: {}: {reason}; write the path of a PEM file with certificates", .path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
    /// The URL is plain http, and its host is not loopback.
    #[error("{0} is not asked over plain http: only https leaves this machine")]
    NotHttps(String),
    /// The URL or the request is malformed.
    #[error("the request is malformed")]
    Malformed,
    /// There is no connection.
    #[error("no connection to {0}")]
    Connect(String),
    /// The answer took too long.
    #[error("{0} took too long to answer")]
    Timeout(String),
    /// The connection broke before the answer was complete.
    #[error("the answer of {0} broke off")]
    Broken(String),
    /// The answer is larger than anything that is expected here.
    #[error("the answer of {0} is too large")]
    TooLarge(String),
    /// The other side fails, or has had too many requests: later it may answer.
    #[error("{host} answers with status {status}")]
    Unavailable {
        /// Who.
        host: String,
        /// The status: 429, or 5xx.
        status: StatusCode,
    },
}

impl Outbound {
    /// A client that believes the authorities of the system and those in the PEM files `ca`, and goes through `proxy`.
    ///
    /// # Errors
    /// [`OutboundError::Authority`] where a file cannot be read or holds no certificate.
    pub fn new(ca: &[PathBuf], proxy: Option<Url>) -> Result<Self, OutboundError> {
        let authorities = believed(ca)?;
        let limits = Limits {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(10),
            body: 256 * 1024,
        };
        Ok(Self::with(authorities, proxy, limits))
    }

    fn with(authorities: Vec<Certificate>, proxy: Option<Url>, limits: Limits) -> Self {
        Self(Arc::new(Shared {
            authorities,
            proxy,
            limits,
            client: OnceLock::new(),
        }))
    }

    /// Sends a request and reads the whole answer, whatever its status; a redirect is an answer too.
    ///
    /// # Errors
    /// See [`OutboundError`].
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, OutboundError> {
        let request = reqwest::Request::try_from(request).map_err(|_| OutboundError::Malformed)?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        if request.url().scheme() != "https" && !is_loopback_http(request.url()) {
            return Err(OutboundError::NotHttps(host));
        }
        let sent = self.client()?.execute(request).await;
        let mut answer = sent.map_err(|error| why(&error, &host))?;
        let limit = self.0.limits.body;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| why(&error, &host))? {
            if body.len() + chunk.len() > limit {
                return Err(OutboundError::TooLarge(host));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = http::Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }

    fn client(&self) -> Result<&Client, OutboundError> {
        if let Some(client) = self.0.client.get() {
            return Ok(client);
        }
        // Two first requests at once may both make one: the first to be kept serves both.
        let client = self
            .build()
            .map_err(|error| OutboundError::Client(error.without_url().to_string()))?;
        Ok(self.0.client.get_or_init(|| client))
    }

    fn build(&self) -> reqwest::Result<Client> {
        let shared = &self.0;
        #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            // A redirect would carry secrets to where nobody configured, and could lead into a private network.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(shared.limits.connect)
            .timeout(shared.limits.total)
            // Shorter than servers keep idle connections: a code spent on a dying connection is lost.
            .pool_idle_timeout(Duration::from_secs(20))
            .tls_certs_merge(shared.authorities.iter().cloned());
        if let Some(proxy) = &shared.proxy {
            let direct = NoProxy::from_string("localhost,127.0.0.0/8,::1");
            builder = builder.proxy(Proxy::all(proxy.clone())?.no_proxy(direct));
        }
        builder.build()
    }
}

impl<'c> AsyncHttpClient<'c> for Outbound {
    type Error = OutboundError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, OutboundError>> + Send + 'c>>;

    /// Sends a request of the OAuth protocol: what says "later" is an error here, and every refusal has a status that
    /// says so.
    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let mut response = self.send(request).await?;
            let status = response.status();
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(OutboundError::Unavailable { host, status });
            }
            // GitHub sends errors with status 200 (CONS-19); RFC 6749 §5.2 says 400, and `oauth2` goes by it.
            if status == StatusCode::OK && is_error(response.body()) {
                *response.status_mut() = StatusCode::BAD_REQUEST;
            }
            Ok(response)
        })
    }
}

/// Whether `url` is plain http to this machine itself: the only plain http that is spoken.
#[must_use]
pub fn is_loopback_http(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    loopback && url.scheme() == "http"
}

fn is_error(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(body).is_ok_and(|members| {
        let code = members.get("error").and_then(serde_json::Value::as_str);
        code.is_some_and(|code| !code.is_empty())
    })
}

fn why(error: &reqwest::Error, host: &str) -> OutboundError {
    let host = host.to_owned();
    if error.is_timeout() {
        OutboundError::Timeout(host)
    } else if error.is_connect() {
        OutboundError::Connect(host)
    } else if error.is_builder() {
        OutboundError::Malformed
    } else {
        OutboundError::Broken(host)
    }
}

/// The certificates in these PEM files, as the client takes them.
fn believed(ca: &[PathBuf]) -> Result<Vec<Certificate>, OutboundError> {
    let read = authority::read(ca)?;
    let read = read.iter().map(|der| Certificate::from_der(der));
    read.collect::<Result<_, _>>()
        .map_err(|error| OutboundError::Client(error.to_string()))
}

const USER_AGENT: &str = concat!("anteroom/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that sends `answer` to whoever connects, and then holds its tongue. It tells what it was asked.
    async fn server(answer: String) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (tell, asked) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = vec![0; 4096];
                let length = stream.read(&mut read).await.unwrap_or(0);
                let _ = tell.send(String::from_utf8_lossy(&read[..length]).into_owned());
                let _ = stream.write_all(answer.as_bytes()).await;
                open.push(stream);
            }
        });
        (url, asked)
    }

    fn outbound() -> Outbound {
        Outbound::new(&[], None).unwrap()
    }

    fn get(url: &str) -> HttpRequest {
        http::Request::get(url).body(Vec::new()).unwrap()
    }

    fn answer(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for (url, accepted) in [
            ("http://127.0.0.1:8080/", true),
            ("http://127.1/", true),
            ("http://[::1]:8080/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://localhost/", true),
            ("http://localhost.evil.example/", false),
            ("http://127.0.0.1.evil.example/", false),
            ("http://10.0.0.1/", false),
            ("http://[::2]/", false),
            ("http://api.github.com/user", false),
            ("ftp://127.0.0.1/", false),
        ] {
            assert_eq!(
                is_loopback_http(&Url::parse(url).unwrap()),
                accepted,
                "{url}"
            );
        }
    }

    #[tokio::test]
    async fn plain_http_never_leaves_the_machine() {
        let error = outbound()
            .send(get("http://192.0.2.1/?code=x"))
            .await
            .unwrap_err();
        assert!(matches!(error, OutboundError::NotHttps(_)), "{error}");
        assert!(!error.to_string().contains("code"), "{error}");
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (elsewhere, mut reached) = server(answer("200 OK", "{}")).await;
        let redirect =
            format!("HTTP/1.1 302 Found\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
        let (url, mut asked) = server(redirect).await;
        let response = outbound().send(get(&url)).await.unwrap();
        assert_eq!(response.status(), StatusCode::FOUND);
        let head = asked.recv().await.unwrap().to_lowercase();
        assert!(
            head.contains(concat!("user-agent: anteroom/", env!("CARGO_PKG_VERSION"))),
            "{head}"
        );
        assert!(reached.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_proxy_is_gone_through_but_for_this_machine() {
        let (proxy, mut asked) = server("HTTP/1.1 502 No\r\n\r\n".to_owned()).await;
        let outbound = Outbound::new(&[], Some(Url::parse(&proxy).unwrap())).unwrap();
        let (direct, _asked) = server(answer("200 OK", "")).await;
        outbound.send(get(&direct)).await.unwrap();
        assert!(asked.try_recv().is_err());
        outbound
            .send(get("https://provider.invalid/"))
            .await
            .unwrap_err();
        let head = asked.recv().await.unwrap();
        assert!(head.starts_with("CONNECT provider.invalid:443 "), "{head}");
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit() {
        let limit = outbound().0.limits.body;
        for (length, accepted) in [(limit, true), (limit + 1, false)] {
            let (url, _asked) = server(answer("200 OK", &" ".repeat(length))).await;
            let sent = outbound().send(get(&url)).await;
            assert_eq!(sent.is_ok(), accepted, "{length}");
        }
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off() {
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(5);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let (url, _asked) = server(format!("{head}{chunk}")).await;
        let error = outbound().send(get(&url)).await.unwrap_err();
        assert!(matches!(error, OutboundError::TooLarge(_)), "{error}");
    }

    #[tokio::test]
    async fn whoever_does_not_answer_is_not_waited_for() {
        let short = Limits {
            total: Duration::from_millis(50),
            ..outbound().0.limits
        };
        for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"] {
            let (url, _asked) = server(begun.to_owned()).await;
            let client = Outbound::with(Vec::new(), None, short);
            let error = client.send(get(&url)).await.unwrap_err();
            assert!(matches!(error, OutboundError::Timeout(_)), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_from_a_broken_answer() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", unused.local_addr().unwrap());
        drop(unused);
        let error = outbound().send(get(&url)).await.unwrap_err();
        assert!(matches!(error, OutboundError::Connect(_)), "{error}");
        let (url, _asked) = server("SSH-2.0\r\n\r\n".to_owned()).await;
        let error = outbound().send(get(&url)).await.unwrap_err();
        assert!(matches!(error, OutboundError::Broken(_)), "{error}");
    }

    #[tokio::test]
    async fn an_oauth_error_has_the_status_of_one_and_later_is_told_from_no() {
        for (status, body, seen) in [
            ("200 OK", r#"{"access_token":"a"}"#, Some(200)),
            ("200 OK", r#"{"error":"bad_verification_code"}"#, Some(400)),
            ("200 OK", r#"["error"]"#, Some(200)),
            ("200 OK", r#"{"error":null}"#, Some(200)),
            ("200 OK", r#"{"error":""}"#, Some(200)),
            ("200 OK", r#"{"error":false}"#, Some(200)),
            ("200 OK", "<html>", Some(200)),
            (
                "401 Unauthorized",
                r#"{"error":"invalid_client"}"#,
                Some(401),
            ),
            ("500 Oops", "{}", None),
            ("503 Later", r#"{"error":"server_error"}"#, None),
            ("429 Too Many Requests", "", None),
        ] {
            let (url, _asked) = server(answer(status, body)).await;
            let outbound = outbound();
            let called = outbound.call(get(&url)).await;
            assert_eq!(
                called.ok().map(|answer| answer.status().as_u16()),
                seen,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for path in [empty, folder.path().join("absent.pem")] {
            let Err(error) = Outbound::new(std::slice::from_ref(&path), None) else {
                panic!("{} was accepted", path.display())
            };
            assert!(
                error.to_string().contains(path.to_str().unwrap()),
                "{error}"
            );
        }
    }
}
