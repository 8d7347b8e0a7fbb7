//! Fetching what strangers name: documents, key sets and logos whose URL somebody outside chose.
//!
//! Whoever chooses the URL must not choose where we connect: see [`StrangerClient`] for the rules.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, IF_NONE_MATCH,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, StatusCode};
use reqwest::{Certificate, Client, RequestBuilder, Response, redirect, retry};
use tokio::time::timeout;
use url::{Host, Url};

use super::freshness::{freshness, is_entity_tag};
use super::public_address::is_public_name;
use super::resolver::{Lookup, NameFault, Reach, Resolver, SystemLookup};
use super::{OutboundError, USER_AGENT, believed};

/// Whose what is fetched is. Those who are in use do not wait behind whatever somebody has made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Of somebody with whom nobody has signed in yet: anybody can be that as often as they like.
    Stranger,
    /// Of somebody with whom people have signed in.
    Known,
}

/// Something that a stranger's URL may name.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose it is.
    pub standing: Standing,
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
    /// `ETag`, if it is one of a length that is worth keeping.
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

/// Why it was not fetched, in words for the person at the browser. Of the network behind us it tells nothing: a name that
/// leads there reads like one that leads nowhere.
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
    /// The URL is not https, has a user name, an address or a name of this network in place of a public name, or a port that
    /// is not allowed.
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
                "{host} is not asked: the URL must be https, with a public host name and the usual port"
            ),
            FetchFault::Unknown | FetchFault::NotPublic => write!(
                f,
                "{host} is not asked: it has no address, or one that is not public"
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

impl Error for FetchError {}

/// The client for strangers' URLs.
///
/// - Only https goes out, to port 443 of a public name; never to an address, which no resolver would see.
/// - The name is resolved once, all of its addresses must be public, and the connection goes to one of them. Every fetch has a
///   connection of its own, so none is made use of that another name or an earlier answer opened.
/// - No redirect is followed, no proxy asked, and no cookie or credential sent.
/// - The answer is as large as it was asked for at most, uncompressed, and whole within a few seconds.
pub struct StrangerClient {
    authorities: Vec<Certificate>,
    private_hosts: Vec<PrivateHost>,
    limits: Limits,
    strangers: Clients,
    known: Clients,
}

/// The clients that ask for names in one place. That of the machine answers so many questions at a time: names that never
/// answer, which strangers can make up, keep nobody from being found who is known.
struct Clients {
    lookup: Arc<dyn Lookup>,
    // Made at the first request, as that of `Outbound`. They differ in what their resolvers let through.
    public: OnceLock<Client>,
    any: OnceLock<Client>,
}

impl Clients {
    fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self {
            lookup,
            public: OnceLock::new(),
            any: OnceLock::new(),
        }
    }
}

/// How long a fetch may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until everything is there, from the question for the name to the last byte.
    pub total: Duration,
}

impl Default for Limits {
    /// Somebody waits at a browser (CLI-07).
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            total: Duration::from_secs(5),
        }
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

impl StrangerClient {
    /// A client that believes the authorities of the system and those in the PEM files `ca`, and asks `private_hosts` although
    /// they are not public.
    ///
    /// # Errors
    /// [`OutboundError::Authority`] where a file cannot be read or holds no certificate.
    pub fn new(ca: &[PathBuf], private_hosts: Vec<PrivateHost>) -> Result<Self, OutboundError> {
        Ok(Self {
            authorities: believed(ca)?,
            private_hosts,
            limits: Limits::default(),
            strangers: Clients::new(Arc::new(SystemLookup::default())),
            known: Clients::new(Arc::new(SystemLookup::default())),
        })
    }

    /// Asks `lookup` for addresses rather than the machine. What it answers is checked all the same.
    #[must_use]
    pub fn with_lookup(self, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            strangers: Clients::new(Arc::clone(&lookup)),
            ..self.with_known_lookup(lookup)
        }
    }

    /// The same, for what is of somebody who is known.
    #[must_use]
    pub fn with_known_lookup(self, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            known: Clients::new(lookup),
            ..self
        }
    }

    /// Waits shorter or longer.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    async fn fetch(&self, wanted: &Wanted) -> Result<Fetched, FetchFault> {
        let client = self.client(self.reach(&wanted.url)?, wanted.standing)?;
        let etag = wanted.etag.as_ref().filter(|etag| is_entity_tag(etag));
        let mut request = client
            .get(wanted.url.clone())
            .header(ACCEPT, wanted.accept)
            // Nothing said would mean that any coding will do (RFC 9110 §12.5.3).
            .header(ACCEPT_ENCODING, "identity");
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = send(request).await?;
        let freshness = freshness(answer.headers());
        match answer.status() {
            StatusCode::OK => Ok(Fetched::Page {
                content_type: content_type(answer.headers()),
                body: read(answer, wanted.limit).await?,
                freshness,
            }),
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Fetched::Unchanged(freshness)),
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                Err(FetchFault::Redirect(status))
            }
            status => Err(FetchFault::Status(status)),
        }
    }

    /// Where a connection for `url` may go, if `url` may be asked at all.
    fn reach(&self, url: &Url) -> Result<Reach, FetchFault> {
        let port = url.port_or_known_default();
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(FetchFault::NotAllowed);
        }
        let named = |private: &PrivateHost| {
            url.host_str() == Some(&private.host) && port == Some(private.port)
        };
        if self.private_hosts.iter().any(named) {
            return Ok(Reach::Any);
        }
        match url.host() {
            Some(Host::Domain(name)) if is_public_name(name) && port == Some(443) => {
                Ok(Reach::Public)
            }
            _ => Err(FetchFault::NotAllowed),
        }
    }

    fn client(&self, reach: Reach, standing: Standing) -> Result<&Client, FetchFault> {
        let clients = match standing {
            Standing::Stranger => &self.strangers,
            Standing::Known => &self.known,
        };
        let kept = match reach {
            Reach::Public => &clients.public,
            Reach::Any => &clients.any,
        };
        if let Some(client) = kept.get() {
            return Ok(client);
        }
        // Two first requests at once may both make one: the first to be kept serves both.
        let client = self
            .build(reach, &clients.lookup)
            .map_err(|_| FetchFault::Connect)?;
        Ok(kept.get_or_init(|| client))
    }

    fn build(&self, reach: Reach, lookup: &Arc<dyn Lookup>) -> reqwest::Result<Client> {
        let lookup = Arc::clone(lookup);
        #[expect(clippy::disallowed_methods, reason = "this is the place for strangers")]
        Client::builder()
            .user_agent(USER_AGENT)
            .https_only(true)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .dns_resolver(Resolver { lookup, reach })
            // One request, one connection: nothing to share, and none of the attacks that need streams.
            .pool_max_idle_per_host(0)
            .http1_only()
            .connect_timeout(self.limits.connect)
            .tls_certs_merge(self.authorities.iter().cloned())
            .build()
    }
}

#[async_trait]
impl Fetch for StrangerClient {
    async fn get(&self, wanted: Wanted) -> Result<Fetched, FetchError> {
        let fetched = timeout(self.limits.total, self.fetch(&wanted)).await;
        fetched
            .unwrap_or(Err(FetchFault::TooSlow))
            .map_err(|cause| FetchError {
                host: wanted.url.host_str().unwrap_or_default().to_owned(),
                cause,
            })
    }
}

async fn send(request: RequestBuilder) -> Result<Response, FetchFault> {
    request.send().await.map_err(|error| {
        if let Some(fault) = name_fault(&error) {
            return match fault {
                NameFault::Unknown => FetchFault::Unknown,
                NameFault::NotPublic => FetchFault::NotPublic,
            };
        }
        if error.is_timeout() {
            FetchFault::TooSlow
        } else if error.is_connect() {
            FetchFault::Connect
        } else {
            FetchFault::Broken
        }
    })
}

/// What our resolver said, from under everything that was wrapped around it.
fn name_fault(error: &reqwest::Error) -> Option<NameFault> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<NameFault>() {
            return Some(*fault);
        }
        cause = error.source();
    }
    None
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The body, of `limit` bytes at most.
async fn read(mut answer: Response, limit: usize) -> Result<Bytes, FetchFault> {
    let is_plain = is_coded_by_none_but(answer.headers(), CONTENT_ENCODING, "identity")
        && is_coded_by_none_but(answer.headers(), TRANSFER_ENCODING, "chunked");
    if !is_plain {
        return Err(FetchFault::Encoded);
    }
    let length = answer.content_length().unwrap_or(0);
    if usize::try_from(length).map_or(true, |length| length > limit) {
        return Err(FetchFault::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| FetchFault::Broken)? {
        if chunk.len() > limit - body.len() {
            return Err(FetchFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

fn is_coded_by_none_but(headers: &HeaderMap, name: HeaderName, harmless: &str) -> bool {
    headers.get_all(name).iter().all(|value| {
        let mut codings = value.to_str().unwrap_or("?").split(',');
        codings.all(|coding| coding.trim().eq_ignore_ascii_case(harmless))
    })
}
