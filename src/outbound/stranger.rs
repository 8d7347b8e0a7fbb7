//! Fetching what strangers name: documents, key sets and logos whose URL somebody outside chose.
//!
//! Whoever chooses the URL must not choose where we connect: see [`StrangerClient`] for the rules.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use url::Url;

use super::OutboundError;

/// Something that a stranger's URL may name.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where it is.
    pub url: Url,
    /// `Accept`
    pub accept: &'static str,
    /// How many bytes it may have.
    pub limit: usize,
    /// `ETag` of the copy that we have (RFC 9110 §13.1.2).
    pub etag: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// Status 200.
    Page {
        /// The body, whole.
        body: Bytes,
        /// `Content-Type`, as it was sent.
        content_type: Option<String>,
        /// How long it may be kept.
        freshness: Freshness,
    },
    /// Status 304, to a request with an `ETag`: the copy is still good.
    Unchanged(Freshness),
}

/// What an answer says about keeping it (RFC 9111).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// `max-age`, less `Age`; zero for `no-cache` and `no-store`; none where nothing is said.
    pub lifetime: Option<Duration>,
    /// `ETag`
    pub etag: Option<String>,
}

/// Whoever fetches for us.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Fetches what a stranger's URL names.
    ///
    /// # Errors
    /// See [`FetchError`].
    async fn get(&self, wanted: Wanted) -> Result<Fetched, FetchError>;
}

/// Why it was not fetched, in words for the person at the browser. Of addresses that are not public it tells nothing
/// that was not known before: no connection was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    /// The host, as in the URL.
    pub host: String,
    /// What went wrong.
    pub cause: FetchFault,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchFault {
    /// The URL is not https, has a user name, an address in place of a name, or a port that is not allowed.
    NotAllowed,
    /// The name does not resolve.
    Unknown,
    /// One of the name's addresses is not public.
    NotPublic,
    /// No connection, or no TLS that we believe.
    Connect,
    /// It took too long.
    TooSlow,
    /// The answer broke off.
    Broken,
    /// A redirect, which is never followed.
    Redirect(StatusCode),
    /// Another status than 200.
    Status(StatusCode),
    /// The body is larger than allowed.
    TooLarge,
    /// The body is compressed, which was not asked for.
    Encoded,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match self.cause {
            FetchFault::NotAllowed => write!(
                f,
                "{host} is not asked: the URL must be https, with a host name and the usual port"
            ),
            FetchFault::Unknown => write!(f, "the name {host} does not resolve"),
            FetchFault::NotPublic => write!(
                f,
                "{host} is not asked: it has an address that is not public"
            ),
            FetchFault::Connect => write!(f, "there is no trusted connection to {host}"),
            FetchFault::TooSlow => write!(f, "{host} took too long to answer"),
            FetchFault::Broken => write!(f, "the answer of {host} broke off"),
            FetchFault::Redirect(status) => write!(
                f,
                "{host} answers with a redirect ({}), and redirects are not followed",
                status.as_u16()
            ),
            FetchFault::Status(status) => {
                write!(f, "{host} answers with status {}", status.as_u16())
            }
            FetchFault::TooLarge => write!(f, "the answer of {host} is too large"),
            FetchFault::Encoded => write!(
                f,
                "the answer of {host} is compressed, though nobody asked for that"
            ),
        }
    }
}

impl std::error::Error for FetchError {}

/// The client for strangers' URLs.
pub struct StrangerClient {
    private_hosts: Vec<PrivateHost>,
}

impl StrangerClient {
    /// A client that believes the authorities of the system and those in the PEM files `ca`, and asks `private_hosts` although
    /// they are not public.
    ///
    /// # Errors
    /// [`OutboundError::Authority`] where a file cannot be read or holds no certificate.
    pub fn new(ca: &[PathBuf], private_hosts: Vec<PrivateHost>) -> Result<Self, OutboundError> {
        let _ = ca;
        Ok(Self { private_hosts })
    }
}

#[async_trait]
impl Fetch for StrangerClient {
    async fn get(&self, wanted: Wanted) -> Result<Fetched, FetchError> {
        let host = wanted.url.host_str().unwrap_or_default().to_owned();
        let _ = &self.private_hosts;
        Err(FetchError {
            host,
            cause: FetchFault::NotAllowed,
        })
    }
}

/// A place that is asked although it is not public: `outbound.private_hosts`, for tests and development.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateHost {
    /// The host, as in the URL.
    pub host: String,
    /// The port.
    pub port: u16,
}
