//! The cookies of a browser, and how it is sent on.

use axum::response::{IntoResponse, Response};
use http::header::{COOKIE, LOCATION, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, StatusCode};
use tower_sessions::Session;

use super::error::no_store;
use crate::clock::UnixTime;
use crate::flow::{Failure, StoreError};
use crate::protocol::ids::Handle;
use crate::secret::{Secret, SecretDigest};

/// The cookie that comes with a consent page: the form is good in this browser alone. It says nothing, and opens
/// nothing.
pub struct FormCookie {
    name: &'static str,
    attributes: &'static str,
}

impl FormCookie {
    /// The cookie's form; `__Host-` where the issuer is https, so that no neighbour can set it (CONS-08).
    #[must_use]
    pub fn new(https: bool) -> Self {
        if https {
            Self {
                name: "__Host-anteroom-form",
                attributes: "; Path=/; Secure; HttpOnly; SameSite=Lax",
            }
        } else {
            Self {
                name: "anteroom-form",
                attributes: "; Path=/; HttpOnly; SameSite=Lax",
            }
        }
    }

    /// Digest of the cookie that the browser sent.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap) -> Option<SecretDigest> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name)
            .and_then(|(_, value)| Handle::parse(value))
            .map(|handle| handle.digest())
    }

    /// A new cookie: its digest, and the header that sets it.
    #[must_use]
    pub fn fresh(&self, now: UnixTime) -> (SecretDigest, Option<HeaderValue>) {
        let value = Handle::new(now);
        let header = format!("{}={}{}", self.name, value.clear.expose(), self.attributes);
        (value.digest(), HeaderValue::try_from(header).ok())
    }
}

/// The name of the cookie that binds a sign-in to the browser that approved it.
#[must_use]
pub fn sign_in_cookie_name(https: bool) -> &'static str {
    if https {
        "__Host-anteroom-sign-in"
    } else {
        "anteroom-sign-in"
    }
}

const BINDING: &str = "binding";

/// What binds a sign-in to this browser, made at the first approval. Only the answer to an approval sets the cookie.
///
/// # Errors
/// Where the store fails.
pub async fn bind(session: &Session, now: UnixTime) -> Result<SecretDigest, Failure> {
    if let Some(bound) = binding(session).await? {
        // said anew, it is a change, and both cookie and row live on
        session.set_expiry(session.expiry());
        return Ok(bound);
    }
    let value = Handle::new(now).clear;
    session
        .insert(BINDING, value.expose())
        .await
        .map_err(|error| StoreError::because("the browser session cannot be kept", error))?;
    Ok(value.digest())
}

/// What this browser was bound with.
///
/// # Errors
/// Where the store fails.
pub async fn binding(session: &Session) -> Result<Option<SecretDigest>, Failure> {
    let value: Option<Secret> = session
        .get(BINDING)
        .await
        .map_err(|error| StoreError::because("the browser session cannot be read", error))?;
    Ok(value.map(|value| value.digest()))
}

/// On to `url`. 303: a form is never sent on (AUTHZ-19).
#[must_use]
pub fn see_other(url: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    no_store(&mut response);
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match HeaderValue::try_from(url) {
        Ok(url) => headers.insert(LOCATION, url),
        // every URL that we make is ASCII
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    response
}
