//! The way to an MCP server behind us: bytes stream both ways, and the server learns who calls from our headers alone.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, LOCATION, ORIGIN,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service;
use url::Url;

use super::introduce::Introduction;
use crate::event::Causes;
use crate::protocol::principal::Principal;
use crate::resource::answer::RpcError;

/// An MCP server behind us. Stands behind a [`crate::resource::layer::BearerLayer`]; without one it refuses everything.
#[derive(Clone, Debug)]
pub struct Proxy {
    client: Client<HttpConnector, Body>,
    backend: Uri,
    head_limit: Duration,
    introduction: Introduction,
}

/// The URL of a backend that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a backend is an http:// URL without user name and fragment")]
pub struct BadBackend;

/// How long a server may think before its answer begins: a tool that answers in one piece is done by then. What follows
/// the head may take for ever.
const HEAD_LIMIT: Duration = Duration::from_secs(300);

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// RFC 9110 §7.6.1, besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Headers by which servers learn, behind some proxy or other, who calls and from where. All are ours to set.
const TOLD_BY_PROXIES: [&str; 23] = [
    "cf-",
    "remote-",
    "ssl-client-",
    "tailscale-",
    "true-client-ip",
    "x-amzn-oidc-",
    "x-anteroom-",
    "x-auth-request-",
    "x-authenticated-",
    "x-client-ip",
    "x-email",
    "x-forwarded-",
    "x-goog-",
    "x-http-method",
    "x-original-",
    "x-pomerium-",
    "x-real-ip",
    "x-remote-",
    "x-rewrite-url",
    "x-ssl-",
    "x-token-",
    "x-user",
    "x-webauth-",
];

impl Proxy {
    /// A proxy to this URL: its path is fixed, the client's never counts.
    ///
    /// # Errors
    /// A URL that is not plain http.
    pub fn new(backend: &Url) -> Result<Self, BadBackend> {
        let is_plain = backend.scheme() == "http"
            && backend.username().is_empty()
            && backend.password().is_none();
        if !is_plain || backend.fragment().is_some() {
            return Err(BadBackend);
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        connector.set_keepalive(Some(Duration::from_secs(60)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            client,
            backend: backend.as_str().parse().map_err(|_| BadBackend)?,
            head_limit: HEAD_LIMIT,
            introduction: Introduction::default(),
        })
    }

    /// The same proxy, telling the server something else of the caller.
    #[must_use]
    pub fn with_introduction(self, introduction: Introduction) -> Self {
        Self {
            introduction,
            ..self
        }
    }

    /// The same proxy with another time limit for the beginning of an answer.
    #[must_use]
    pub fn with_head_limit(self, head_limit: Duration) -> Self {
        Self { head_limit, ..self }
    }

    async fn pass(&self, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        let Some(principal) = parts.extensions.get::<Arc<Principal>>().cloned() else {
            return failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "no gate stands before this proxy",
            );
        };
        clean_request(&mut parts.headers);
        let introduced = self.introduction.introduce(&mut parts.headers, &principal);
        if let Err(nobody) = introduced.await {
            return nobody.error().answer(None);
        }
        let Some(uri) = target(&self.backend, parts.uri.query()) else {
            return failure(StatusCode::BAD_REQUEST, "the query cannot be passed on");
        };
        let mut onward = http::Request::new(body);
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = uri;
        *onward.version_mut() = Version::HTTP_11;
        *onward.headers_mut() = parts.headers;
        match tokio::time::timeout(self.head_limit, self.client.request(onward)).await {
            Ok(Ok(response)) => hand_back(response.map(Body::new)),
            Ok(Err(error)) => {
                tracing::warn!(error = %Causes(&error), "the MCP server cannot be reached");
                failure(StatusCode::BAD_GATEWAY, "the MCP server cannot be reached")
            }
            Err(_) => {
                tracing::warn!("the MCP server does not answer");
                failure(
                    StatusCode::GATEWAY_TIMEOUT,
                    "the MCP server does not answer",
                )
            }
        }
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
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.pass(request).await) })
    }
}

/// The backend's URL with the client's query.
fn target(backend: &Uri, query: Option<&str>) -> Option<Uri> {
    // a query of the operator's is not added to: of two values of one name, some servers take the last
    let theirs = query.filter(|query| !query.is_empty() && backend.query().is_none());
    let Some(query) = theirs else {
        return Some(backend.clone());
    };
    let path = backend
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let mut parts = backend.clone().into_parts();
    parts.path_and_query = Some(format!("{path}?{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Takes out what ends here, what only we may say, and what we have judged already.
fn clean_request(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in [
        AUTHORIZATION,
        COOKIE,
        FORWARDED,
        EXPECT,
        HOST,
        // The gate has judged it; the server's own list does not know our public origin.
        ORIGIN,
        HeaderName::from_static("proxy-authorization"),
    ] {
        headers.remove(name);
    }
    remove_where(headers, |name| {
        is_ambiguous(name) || is_told_by_proxies(name)
    });
}

/// Servers that go by CGI take `X_Anteroom_User` for `X-Anteroom-User`, and some do so with any sign that is neither
/// letter nor digit. So only the hyphen passes; arguments of tools keep the names that their schema gives them.
fn is_ambiguous(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.bytes().all(is_plain) && !name.starts_with("mcp-param-")
}

fn is_told_by_proxies(name: &str) -> bool {
    TOLD_BY_PROXIES
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // what the gate has judged the server is to see
        .filter(|name| !name.as_str().starts_with("mcp-") && *name != CONTENT_TYPE)
        .collect();
    for name in named.into_iter().chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// What of the server's answer may be seen outside.
fn hand_back(mut response: Response) -> Response {
    let status = response.status();
    // Ours is the only challenge: after a server's own 401 a client would throw a good token away.
    if matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    ) {
        tracing::warn!("the MCP server wants credentials of its own: let it trust this proxy");
        return failure(
            StatusCode::BAD_GATEWAY,
            "the MCP server wants credentials of its own",
        );
    }
    if status.is_redirection() && response.headers().contains_key(LOCATION) {
        tracing::warn!("the MCP server redirects: write the URL it redirects to as its backend");
        return failure(StatusCode::BAD_GATEWAY, "the MCP server redirects");
    }
    let headers = response.headers_mut();
    remove_hop_by_hop(headers);
    headers.remove(WWW_AUTHENTICATE);
    headers.remove(SET_COOKIE);
    remove_where(headers, |name| {
        is_told_by_proxies(name)
            || name.starts_with("access-control-")
            || name.starts_with("proxy-authen")
    });
    *response.version_mut() = Version::HTTP_11;
    response
}

fn failure(status: StatusCode, message: &'static str) -> Response {
    RpcError::http(status, message).answer(None)
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
    fn only_a_plain_http_url_is_a_backend() {
        for (url, expected) in [
            ("http://localhost:9000/mcp", true),
            ("http://[::1]:9000", true),
            ("https://localhost/mcp", false),
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
