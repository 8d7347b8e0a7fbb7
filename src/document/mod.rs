//! What clients publish about themselves: their metadata documents, key sets and logos, fetched, checked and kept.
//!
//! Whatever is asked for is taken from memory while it is fresh (as long as the answer says, within our bounds), else
//! fetched within the limits of `limit.rs`, once for all who ask at a time (`shelf.rs`). Everything here bounds itself:
//! there is nothing to sweep.

mod client;
#[cfg(test)]
mod fake;
mod held;
mod keys;
mod limit;
mod logo;
#[cfg(test)]
mod outage;
mod page;
mod picture;
mod published;
mod shelf;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use crate::clock::Clock;
use crate::outbound::stranger::{Fetch, FetchError, Standing};
use crate::protocol::client_metadata::{ClientDocument, DocumentUrl};
use crate::protocol::error::OAuthError;

pub use keys::KeySet;
pub use limit::{FetchRates, Rate};
pub use logo::Logo;

use held::{Held, rest_since};
use keys::KeptKeys;
use limit::Limits;
use logo::KeptLogo;
use published::Published;
use shelf::{Shelf, Source};

/// Everything that clients publish.
pub struct Documents {
    clients: Shelf<ClientDocument>,
    keys: Shelf<KeptKeys>,
    logos: Shelf<KeptLogo>,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

/// Who makes us look, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Where the request came from.
    pub address: IpAddr,
    /// Whose it is that we look at.
    pub standing: Standing,
}

/// Why there is no document.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It cannot be fetched. This never means that there is no such client.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// It was fetched, and breaks a rule.
    #[error("what was fetched is refused: {}", .0.description)]
    Refused(#[from] OAuthError),
    /// The keys of a client were fetched, and break a rule. They may be half way through a change, so this never means that
    /// the client proved nothing.
    #[error("the keys that were fetched are refused: {}", .0.description)]
    Keys(OAuthError),
    /// Too many were fetched from this host, or for this asker.
    #[error("too many documents were asked for; try again in {} s", .retry_after.as_secs())]
    TooMany {
        /// When to come again; whole seconds, at least one.
        retry_after: Duration,
    },
}

/// Some ten thousand documents of the usual size, or 256 of the largest.
const CLIENTS: u64 = 16 << 20;
/// Some thousands of key sets of the usual size, or 128 of the largest.
const KEY_SETS: u64 = 8 << 20;
/// Some hundreds of logos of the usual size, or 80 of the largest.
const LOGOS: u64 = 8 << 20;

impl Documents {
    /// Nothing has been fetched yet.
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self::with_rates(fetch, clock, FetchRates::default())
    }

    /// Nothing has been fetched yet, and no more will be than `rates` allow.
    #[must_use]
    pub fn with_rates(fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>, rates: FetchRates) -> Self {
        let source = Arc::new(Source {
            fetch,
            clock: Arc::clone(&clock),
            limits: Limits::new(rates),
            flight: rates.flight,
        });
        Self {
            clients: Shelf::new(Arc::clone(&source), CLIENTS),
            keys: Shelf::new(Arc::clone(&source), KEY_SETS),
            logos: Shelf::new(source, LOGOS),
            clock,
            patience: rates.patience,
        }
    }

    /// The document at `url`: from memory while it is fresh, else fetched, once for however many ask at a time. `asker` is
    /// whoever made us look; `kept` a copy of before a restart.
    ///
    /// # Errors
    /// See [`DocumentError`]. What has expired is not returned: whether it will do is for the caller to say (CLI-18), who
    /// finds it by [`last_good`](Self::last_good).
    pub async fn client(
        &self,
        url: &DocumentUrl,
        asker: Asker,
        kept: Option<ClientDocument>,
    ) -> Result<Arc<ClientDocument>, DocumentError> {
        let kept = self.usable(url, kept);
        let will_do = |held: &Held<ClientDocument>, now| Ok(held.copy.is_fresh(now));
        self.clients.ask(url, asker, kept, will_do).await
    }

    /// The document at `url`, for what a person agreed to before. As [`client`](Self::client), but where its host failed less
    /// than a minute ago, or keeps us waiting, it is the copy that we have, if it [will do](Self::bears).
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub async fn client_as_agreed(
        &self,
        url: &DocumentUrl,
        asker: Asker,
        kept: Option<ClientDocument>,
    ) -> Result<Arc<ClientDocument>, DocumentError> {
        let kept = self.usable(url, kept);
        let will_do = |held: &Held<ClientDocument>, now| {
            let rests = held.rest(asker.standing, now).is_some() && client::bears(&held.copy, now);
            Ok(held.copy.is_fresh(now) || rests)
        };
        let mut asking = pin!(self.clients.ask(url, asker, kept, will_do));
        if let Ok(answer) = timeout(self.patience, &mut asking).await {
            return answer;
        }
        // what is under way goes on, and renews it
        match self.last_good(url).filter(|copy| self.bears(copy)) {
            Some(copy) => Ok(copy),
            None => asking.await,
        }
    }

    /// The document at `url`, fetched again unless that was less than a minute ago: a key is not in the copy that there is.
    ///
    /// # Errors
    /// As [`client`](Self::client); [`DocumentError::TooMany`] where it was fetched, or could not be, less than a minute ago.
    pub async fn client_again(
        &self,
        url: &DocumentUrl,
        asker: Asker,
    ) -> Result<Arc<ClientDocument>, DocumentError> {
        let will_do = |held: &Held<ClientDocument>, now| match rest_since(held.copy.fetched_at, now)
            .max(held.rest(asker.standing, now))
        {
            Some(retry_after) => Err(DocumentError::TooMany { retry_after }),
            None => Ok(false),
        };
        let found = self.clients.ask(url, asker, None, will_do).await;
        found.map_err(as_keys)
    }

    /// The last good document of `url` that we remember, however old (CLI-18).
    #[must_use]
    pub fn last_good(&self, url: &DocumentUrl) -> Option<Arc<ClientDocument>> {
        self.clients.held(url.as_str())
    }

    /// Whether a copy will do where no newer one can be had: not that of a client with keys, of which one may have been taken
    /// out, once it is a day too old.
    #[must_use]
    pub fn bears(&self, copy: &ClientDocument) -> bool {
        client::bears(copy, self.clock.now())
    }

    /// The key set at `url`: from memory while it is fresh, or where its host failed less than a minute ago or keeps us
    /// waiting. Where it has no key called `id`, it is fetched again, at most once a minute; so the key may still be missing.
    ///
    /// # Errors
    /// See [`DocumentError`]. Where it cannot be had, [`last_keys`](Self::last_keys) may do.
    pub async fn keys(
        &self,
        url: &Url,
        asker: Asker,
        id: Option<&str>,
    ) -> Result<KeySet, DocumentError> {
        let will_do = |held: &Held<KeptKeys>, now| KeptKeys::will_do(held, id, asker.standing, now);
        let mut asking = pin!(self.keys.ask(url, asker, None, will_do));
        let answer = match timeout(self.patience, &mut asking).await {
            Ok(answer) => answer,
            Err(_) => match self.last_keys(url, id) {
                Some(keys) => return Ok(keys),
                None => asking.await,
            },
        };
        answer.map(|held| held.set()).map_err(as_keys)
    }

    /// The last good key set of `url`, if it has the key called `id` and is less than a day old.
    #[must_use]
    pub fn last_keys(&self, url: &Url, id: Option<&str>) -> Option<KeySet> {
        let held = self.keys.held(url.as_str())?;
        held.bears(id, self.clock.now()).then(|| held.set())
    }

    /// The logo at `url`, or why there is none; that too is remembered for a while.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub async fn logo(&self, url: &Url, address: IpAddr) -> Result<Logo, DocumentError> {
        let will_do = |held: &Held<KeptLogo>, now| Ok(held.copy.is_fresh(now));
        let standing = Standing::Stranger;
        let asker = Asker { address, standing };
        self.logos.ask(url, asker, None, will_do).await?.logo()
    }

    /// A copy that the store kept, as far as it is of use: one of another client is none, and one that claims to be good for
    /// longer than any is has expired, or it would stand in the way of every newer one.
    fn usable(
        &self,
        url: &DocumentUrl,
        kept: Option<ClientDocument>,
    ) -> Option<Arc<ClientDocument>> {
        let mut kept = kept.filter(|kept| kept.client.id.as_str() == url.as_str())?;
        let now = self.clock.now();
        if kept.fresh_until > now + client::most(&kept.client) {
            kept.fresh_until = now;
        }
        Some(Arc::new(kept))
    }
}

/// Keys that break a rule, whether they stand in a document or in a set.
fn as_keys(error: DocumentError) -> DocumentError {
    match error {
        DocumentError::Refused(rule) => DocumentError::Keys(rule),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use http::StatusCode;

    use super::*;
    use crate::document::fake::{ASKER, Web, document, json, with_rates};
    use crate::outbound::stranger::FetchFault;
    use crate::protocol::ids::ClientId;

    fn url(text: &str) -> DocumentUrl {
        DocumentUrl::parse(&ClientId::new(text)).unwrap().unwrap()
    }

    fn publish(web: &Web, url: &'static str) {
        web.put(url, move |_| Ok(json(document(url, "One"), Some(60), None)));
    }

    fn from(asker: u8) -> Asker {
        Asker {
            address: IpAddr::from([192, 0, 2, asker]),
            ..ASKER
        }
    }

    fn rates(asker: u32, host: u32) -> FetchRates {
        let rate = |count| Rate {
            per_minute: NonZeroU32::new(count).unwrap(),
            burst: NonZeroU32::new(count).unwrap(),
        };
        FetchRates {
            asker: rate(asker),
            host: rate(host),
            ..FetchRates::default()
        }
    }

    /// How long to wait, where it is too often.
    fn wait<T>(answer: &Result<T, DocumentError>) -> Option<u64> {
        match answer {
            Err(DocumentError::TooMany { retry_after }) => Some(retry_after.as_secs()),
            _ => None,
        }
    }

    const GOOD: &str = "https://app.example/client";

    /// CLI-17
    #[tokio::test]
    async fn only_fetches_count_and_not_what_comes_from_memory() {
        let (web, clock, documents) = with_rates(rates(2, 100));
        publish(&web, GOOD);
        for _ in 0..100 {
            documents.client(&url(GOOD), from(1), None).await.unwrap();
        }
        clock.advance(Duration::from_secs(60));
        documents.client(&url(GOOD), from(1), None).await.unwrap();
        clock.advance(Duration::from_secs(60));
        let third = documents.client(&url(GOOD), from(1), None).await;
        assert!(wait(&third).is_some_and(|seconds| (1..=30).contains(&seconds)));
        documents.client(&url(GOOD), from(2), None).await.unwrap();
        documents.client(&url(GOOD), from(1), None).await.unwrap();
        assert_eq!(web.asked().len(), 3);
    }

    /// CLI-17
    #[tokio::test]
    async fn one_limit_counts_documents_key_sets_and_logos() {
        let (web, _clock, documents) = with_rates(rates(100, 3));
        let there = Url::parse("https://app.example/x").unwrap();
        let _ = documents.client(&url(GOOD), from(1), None).await;
        let _ = documents.keys(&there, from(2), None).await;
        let _ = documents.logo(&there, from(3).address).await;
        assert_eq!(web.asked().len(), 3);
        let client = documents.client(&url(GOOD), from(4), None).await;
        assert!(wait(&client).is_some());
        assert!(wait(&documents.keys(&there, from(5), None).await).is_some());
        let elsewhere = Url::parse("https://app.example/y").unwrap();
        assert!(wait(&documents.logo(&elsewhere, from(6).address).await).is_some());
        assert_eq!(web.asked().len(), 0);
        let again = documents.logo(&elsewhere, from(6).address).await;
        assert!(wait(&again).is_some(), "not remembered as a refused logo");
    }

    /// CLI-17
    #[tokio::test]
    async fn an_asker_over_their_limit_spoils_nothing_for_who_asks_for_the_same() {
        let (web, _clock, documents) = with_rates(rates(1, 100));
        publish(&web, GOOD);
        let _ = documents
            .client(&url("https://x.example/client"), from(1), None)
            .await;
        web.close();
        let over = documents.client(&url(GOOD), from(1), None).await;
        assert!(wait(&over).is_some());
        let there = url(GOOD);
        let (one, two, ()) = tokio::join!(
            documents.client(&there, from(2), None),
            // nothing is fetched for this one: it is under way
            documents.client(&there, from(1), None),
            async { web.open() },
        );
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(web.asked().len(), 2);
    }

    /// CLI-17
    #[tokio::test]
    async fn a_flood_of_nonsense_at_a_host_does_not_lock_out_its_clients() {
        let (web, clock, documents) = with_rates(rates(100, 5));
        publish(&web, GOOD);
        let known = Asker {
            standing: Standing::Known,
            ..from(200)
        };
        documents.client(&url(GOOD), known, None).await.unwrap();
        clock.advance(Duration::from_secs(60));
        for n in 0..100 {
            let nonsense = url(&format!("https://app.example/{n}"));
            let _ = documents.client(&nonsense, from(n), None).await;
        }
        // that a copy lies here makes it no client that anybody uses
        let seen = documents.client(&url(GOOD), from(201), None).await;
        assert!(wait(&seen).is_some());
        documents.client(&url(GOOD), known, None).await.unwrap();
        assert_eq!(web.asked().len(), 1 + 5 + 1);
    }

    #[test]
    fn a_cause_can_be_read_by_a_person() {
        let fetch = FetchError {
            host: "app.example".to_owned(),
            cause: FetchFault::Status(StatusCode::FORBIDDEN),
        };
        let refused = picture::check(b"<svg/>").unwrap_err();
        let retry_after = Duration::from_secs(7);
        for (error, text) in [
            (fetch.into(), "app.example answers with status 403"),
            (
                refused.into(),
                "what was fetched is refused: the logo is not a picture of a kind that is shown: PNG, JPEG, GIF or WebP",
            ),
            (
                DocumentError::TooMany { retry_after },
                "too many documents were asked for; try again in 7 s",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
