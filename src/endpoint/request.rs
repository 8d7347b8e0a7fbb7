//! What endpoints read of a request: the body of a form, and where it comes from.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Once};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::Endpoints;
use super::client_address::client_address;
use super::error::{json_error, too_many, too_many_page};
use super::rate_limit::{Shared, What};
use crate::event::Event;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::secret::Secret;

/// The address that a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Caller(IpAddr);

impl FromRequestParts<Arc<Endpoints>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        endpoints: &Arc<Endpoints>,
    ) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let Some(ConnectInfo(peer)) = peer else {
            tell_of_unknown_peers();
            return Ok(Self(UNKNOWN));
        };
        Ok(Self(client_address(
            peer.ip(),
            &parts.headers,
            &endpoints.trusted_proxies,
        )))
    }
}

/// Whoever comes without an address, in a program that does not serve with it. All of them share the limits of one, and
/// what proxies say of them is not believed: nobody knows whether a proxy says it.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn tell_of_unknown_peers() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!(
            "requests do not say which address they come from, so all share the limits of one: serve the router with \
             into_make_service_with_connect_info::<SocketAddr>()"
        );
    });
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

/// A request that is counted against the address it comes from. It stands before the body among the arguments of a handler,
/// so that nothing more is read of one too many. That one is answered with a page where people come, and else in JSON.
pub struct Counted<K>(Caller, PhantomData<K>);

/// What a request counts as.
pub trait Counts {
    /// The limit.
    const AS: What;
    /// Whether it is a person at a browser who comes.
    const BY_PEOPLE: bool = false;
}

/// Counts as a token request.
pub struct Tokens;
/// Counts as a registration.
pub struct Registrations;
/// Counts as an authorization request, that a client pushes.
pub struct Pushes;
/// Counts as an authorization request.
pub struct SignIns;

impl Counts for Tokens {
    const AS: What = What::Token;
}
impl Counts for Registrations {
    const AS: What = What::Register;
}
impl Counts for Pushes {
    const AS: What = What::Authorize;
}
impl Counts for SignIns {
    const AS: What = What::Authorize;
    const BY_PEOPLE: bool = true;
}

impl<K: Counts> FromRequestParts<Arc<Endpoints>> for Counted<K> {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        endpoints: &Arc<Endpoints>,
    ) -> Result<Self, Response> {
        let Ok(caller) = Caller::from_request_parts(parts, endpoints).await;
        match caller.count(endpoints, K::AS) {
            Ok(()) => Ok(Self(caller, PhantomData)),
            Err(seconds) if K::BY_PEOPLE => Err(too_many_page(endpoints, seconds)),
            Err(seconds) => Err(too_many(seconds)),
        }
    }
}

impl<K> Counted<K> {
    /// The address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.address()
    }

    /// Counts it among what all addresses share, too.
    ///
    /// # Errors
    /// The seconds to wait, where it is one too many.
    pub fn count_all(&self, endpoints: &Endpoints, what: Shared) -> Result<(), u64> {
        endpoints.limits.check_all(what).map_err(|limited| {
            Event::RateLimited {
                endpoint: what.as_str(),
                address: self.address(),
            }
            .tell();
            limited.retry_after.as_secs()
        })
    }
}

/// What stands behind `Authorization: Bearer` (RFC 6750 §2.1).
pub struct Bearer {
    /// The token; none where there is none that can be read.
    pub token: Option<Secret>,
    /// Whether there was anything of the kind, and be it broken.
    pub is_presented: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut tokens = parts
            .headers
            .get_all(AUTHORIZATION)
            .iter()
            .filter_map(|value| {
                let value = value.as_bytes().trim_ascii();
                let end = value.iter().position(|&byte| byte == b' ');
                let (scheme, token) = value.split_at(end.unwrap_or(value.len()));
                // credentials of another kind are none
                scheme
                    .eq_ignore_ascii_case(b"Bearer")
                    .then(|| token.trim_ascii_start())
            });
        let (first, second) = (tokens.next(), tokens.next());
        Ok(Self {
            // of two it cannot be told which one is meant
            token: first
                .filter(|token| second.is_none() && !token.is_empty())
                .and_then(|token| std::str::from_utf8(token).ok())
                .map(Secret::new),
            is_presented: first.is_some(),
        })
    }
}

/// A body that is not what it should be.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable {
    /// 400, or 413 where it is too large.
    pub status: StatusCode,
    /// In words.
    pub error: OAuthError,
}

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        json_error(self.status, &self.error)
    }
}

/// Reads a body of a kind, whole.
async fn read(request: Request, kind: &str, wrong: OAuthError) -> Result<Bytes, Unreadable> {
    let is_kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(kind));
    let unreadable = |status, error| Unreadable { status, error };
    if !is_kind {
        return Err(unreadable(StatusCode::BAD_REQUEST, wrong));
    }
    Bytes::from_request(request, &())
        .await
        .map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => unreadable(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
            _ => unreadable(StatusCode::BAD_REQUEST, NOT_WHOLE),
        })
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
    type Rejection = Unreadable;

    async fn from_request(request: Request, _: &S) -> Result<Self, Unreadable> {
        let authorization = request
            .headers()
            .get(AUTHORIZATION)
            .map(|value| value.as_bytes().to_vec());
        Ok(Self {
            bytes: read(request, "application/x-www-form-urlencoded", NO_FORM).await?,
            authorization,
        })
    }
}

/// `application/json`.
pub struct JsonBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Unreadable;

    async fn from_request(request: Request, _: &S) -> Result<Self, Unreadable> {
        read(request, "application/json", NO_JSON).await.map(Self)
    }
}

/// Whether a page of another site made the browser send this. Browsers too old to say so are held by the cookie.
#[must_use]
pub fn is_from_another_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin")
}

const TOO_LARGE: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the body is larger than 64 KiB",
};
const NOT_WHOLE: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the body did not arrive whole",
};
const NO_FORM: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the body must be application/x-www-form-urlencoded",
};
const NO_JSON: OAuthError = OAuthError {
    code: ErrorCode::InvalidClientMetadata,
    description: "the body must be application/json",
};
