//! What scripts in browsers may do: the allowed origins at the MCP paths, and any origin where no secret is at stake.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tower::{Layer, Service};

/// CORS-02. `*` would not cover `Authorization`.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, \
                               Last-Event-ID, Mcp-Method, Mcp-Name";

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");

/// A client changes its registration by PUT (RFC 7592 §2.2).
const OPEN_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");

/// CORS-03: without the first, a script cannot read where to sign in.
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After");

const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// The answer to a preflight, without a token: browsers send none with it.
#[must_use]
pub fn preflight(origin: Option<&HeaderValue>, requested: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(requested));
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        expose(headers, origin);
    }
    response
}

/// Lets a script of `origin` read the response, a refusal as well.
pub fn expose(headers: &mut HeaderMap, origin: &HeaderValue) {
    // Nothing here goes by cookies, so credentials are never allowed.
    headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    if origin != ANY_ORIGIN {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
}

/// The fixed headers, and the `Mcp-Param-…` that are asked for: there is no wildcard for a prefix.
fn allowed_headers(requested: &HeaderMap) -> HeaderValue {
    let mut allowed = ALLOWED_HEADERS.to_owned();
    let names = requested.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    for name in names
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
    {
        match HeaderName::from_bytes(name.trim().as_bytes()) {
            Ok(name) if name.as_str().starts_with("mcp-param-") => {
                allowed.push_str(", ");
                allowed.push_str(name.as_str());
            }
            _ => {}
        }
    }
    HeaderValue::try_from(allowed).unwrap_or(const { HeaderValue::from_static(ALLOWED_HEADERS) })
}

/// For metadata, keys, token, registration, revocation and pushed requests: any origin, never with cookies (CORS-05). Preflights are
/// answered here.
#[must_use]
pub fn open_cors() -> OpenCorsLayer {
    OpenCorsLayer
}

/// See [`open_cors`].
#[derive(Clone, Copy, Debug)]
pub struct OpenCorsLayer;

impl<S> Layer<S> for OpenCorsLayer {
    type Service = OpenCors<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OpenCors(inner)
    }
}

/// See [`open_cors`].
#[derive(Clone, Debug)]
pub struct OpenCors<S>(S);

impl<S> Service<Request> for OpenCors<S>
where
    S: Service<Request, Error = Infallible>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.method() == Method::OPTIONS {
            let mut answer = preflight(Some(&ANY_ORIGIN), request.headers());
            answer
                .headers_mut()
                .insert(ACCESS_CONTROL_ALLOW_METHODS, OPEN_METHODS);
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let inner = self.0.call(request);
        Box::pin(async move {
            let mut response = inner.await?.into_response();
            expose(response.headers_mut(), &ANY_ORIGIN);
            Ok(response)
        })
    }
}
