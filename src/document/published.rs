//! What is the same about everything that clients publish: where it is, how it is read, and what is kept of it.

use url::Url;

use super::DocumentError;
use super::page::{Lifetimes, Page, Stamp};
use crate::clock::UnixTime;
use crate::protocol::client_metadata::DocumentUrl;
use crate::protocol::error::OAuthError;

/// Something that clients publish, as it is kept.
pub(super) trait Published: Send + Sync + Sized + 'static {
    /// Where such things are.
    type Place: Place;
    /// `Accept`
    const ACCEPT: &'static str;
    /// How many bytes it may have.
    const LIMIT: usize;
    /// How long it is kept.
    const LIFETIMES: Lifetimes;

    /// Reads what is at `place`.
    fn read(place: &Self::Place, page: Page, stamp: Stamp) -> Result<Self, OAuthError>;

    /// The same, found to be still what is published.
    fn renewed(&self, stamp: Stamp) -> Self;

    /// Until when it need not be fetched again.
    fn fresh_until(&self) -> UnixTime;

    /// Whether it need not be fetched again.
    fn is_fresh(&self, now: UnixTime) -> bool {
        Self::LIFETIMES.is_fresh(self.fresh_until(), now)
    }

    /// `ETag`
    fn etag(&self) -> Option<&str>;

    /// About how many bytes it takes.
    fn weight(&self) -> usize;

    /// What is kept of a failure in the place of a copy, if anything.
    fn failed(error: &DocumentError, now: UnixTime) -> Option<Self> {
        let _ = (error, now);
        None
    }
}

/// Where something is.
pub(super) trait Place: Clone + Send + Sync + 'static {
    /// The text by which it is kept.
    fn name(&self) -> &str;
    /// The URL that is fetched.
    fn url(&self) -> &Url;
}

impl Place for DocumentUrl {
    fn name(&self) -> &str {
        self.as_str()
    }

    fn url(&self) -> &Url {
        self.url()
    }
}

impl Place for Url {
    fn name(&self) -> &str {
        self.as_str()
    }

    fn url(&self) -> &Url {
        self
    }
}
