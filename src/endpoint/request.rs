//! What endpoints read of a request: the body of a form, and where it comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::Endpoints;
use super::error::json_error;
use super::rate_limit::{What, client_address};
use crate::event::Event;
use crate::protocol::error::{ErrorCode, OAuthError};

/// The address that a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Caller(IpAddr);

impl FromRequestParts<Arc<Endpoints>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        endpoints: &Arc<Endpoints>,
    ) -> Result<Self, Infallible> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
        Ok(Self(client_address(
            peer,
            &parts.headers,
            &endpoints.trusted_proxies,
        )))
    }
}

impl Caller {
    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// Counts this visit.
    ///
    /// # Errors
    /// The seconds to wait, where it is one too many.
    pub fn count(self, endpoints: &Endpoints, what: What) -> Result<(), u64> {
        endpoints.limits.check(what, self.0).map_err(|limited| {
            Event::RateLimited {
                endpoint: what.as_str(),
                address: self.0,
            }
            .tell();
            limited.retry_after.as_secs()
        })
    }
}

/// A body of a kind, whole.
struct Body(Bytes);

impl Body {
    async fn read(request: Request, kind: &str, wrong: Response) -> Result<Self, Response> {
        let is_kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(kind));
        if !is_kind {
            return Err(wrong);
        }
        match Bytes::from_request(request, &()).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(json_error(StatusCode::PAYLOAD_TOO_LARGE, &TOO_LARGE))
            }
            Err(_) => Err(json_error(
                StatusCode::BAD_REQUEST,
                &ErrorCode::InvalidRequest.with("the body did not arrive whole"),
            )),
        }
    }
}

/// `application/x-www-form-urlencoded`, and the `Authorization` header beside it.
pub struct FormBody {
    /// The form, encoded.
    pub bytes: Bytes,
    authorization: Option<Vec<u8>>,
}

impl FormBody {
    /// The `Authorization` header.
    #[must_use]
    pub fn authorization(&self) -> Option<&[u8]> {
        self.authorization.as_deref()
    }
}

impl<S: Send + Sync> FromRequest<S> for FormBody {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let authorization = request
            .headers()
            .get(AUTHORIZATION)
            .map(|value| value.as_bytes().to_vec());
        let wrong = json_error(
            StatusCode::BAD_REQUEST,
            &ErrorCode::InvalidRequest.with("the body must be application/x-www-form-urlencoded"),
        );
        let body = Body::read(request, "application/x-www-form-urlencoded", wrong).await?;
        Ok(Self {
            bytes: body.0,
            authorization,
        })
    }
}

/// `application/json`.
pub struct JsonBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let wrong = json_error(
            StatusCode::BAD_REQUEST,
            &ErrorCode::InvalidClientMetadata.with("the body must be application/json"),
        );
        Body::read(request, "application/json", wrong)
            .await
            .map(|body| Self(body.0))
    }
}

/// Whether a page of another site made the browser send this. Browsers too old to say so are held by the cookie.
#[must_use]
pub fn is_from_another_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin")
}

/// Whether the person came by themselves: typed it, chose a bookmark or was brought by an app, and no page of another site sent
/// them. A browser that does not say so, or only looks ahead, counts as sent.
#[must_use]
pub fn is_unprompted(headers: &HeaderMap) -> bool {
    let says = |name: &str, values: &[&str]| {
        headers
            .get(name)
            .is_some_and(|said| values.iter().any(|value| said == value))
    };
    says("sec-fetch-site", &["none", "same-origin"])
        && says("sec-fetch-dest", &["document"])
        && !headers.contains_key("sec-purpose")
}

const TOO_LARGE: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the body is larger than 64 KiB",
};
