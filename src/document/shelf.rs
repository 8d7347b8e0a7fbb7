//! Where copies stand: one fetch for however many ask at a time, and what it brings is kept for all.

use std::sync::Arc;
use std::time::Duration;

use dashmap::{DashMap, Entry};
use http::StatusCode;
use moka::sync::Cache;
use tokio::sync::watch;
use tokio::time::timeout;
use url::Url;

use super::held::Held;
use super::limit::{Leave, Limited, Limits, Target};
use super::page::Page;
use super::published::{Place, Published};
use super::{Asker, DocumentError};
use crate::clock::{Clock, UnixTime};
use crate::outbound::stranger::{Fetch, FetchError, FetchFault, Fetched, Standing, Wanted};

/// What all shelves share.
pub(super) struct Source {
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) flight: Duration,
}

/// Copies of one kind of thing, bounded by their weight. Which ones stay is for how often they are asked for (TinyLFU):
/// a flood of new ones does not push out those that are in use.
pub(super) struct Shelf<T>(Arc<Inner<T>>);

struct Inner<T> {
    source: Arc<Source>,
    held: Cache<String, Held<T>>,
    // As many as may be under way at a time, since each holds a `Leave`.
    // Who is known does not wait for what a stranger has begun, which may be kept waiting itself.
    under_way: DashMap<(Standing, String), Outcome<T>>,
}

type Outcome<T> = watch::Receiver<Option<Result<Arc<T>, DocumentError>>>;

/// What a caller has to do.
enum Boarding<T> {
    Done(Arc<T>),
    Wait(Outcome<T>),
}

/// What a copy takes besides its weight: its row, its key and the lists of the cache.
const ROW: usize = 512;

impl<T: Published> Shelf<T> {
    /// An empty shelf for `capacity` bytes.
    pub(super) fn new(source: Arc<Source>, capacity: u64) -> Self {
        let weigh = |name: &String, held: &Held<T>| {
            let bytes = ROW + name.len() + held.copy.weight();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Arc::new(Inner {
            source,
            held: Cache::builder()
                .max_capacity(capacity)
                .weigher(weigh)
                .build(),
            under_way: DashMap::new(),
        }))
    }

    /// The copy that we have, however old.
    pub(super) fn held(&self, name: &str) -> Option<Arc<T>> {
        self.0.held.get(name).map(|held| held.copy)
    }

    /// What is at `place`: the copy that we have if it `will_do`, else fetched, once for all who ask. `spare` is a copy
    /// that the caller has. Whoever hangs up disturbs nobody: the fetch is a task of its own.
    pub(super) async fn ask(
        &self,
        place: &T::Place,
        asker: Asker,
        spare: Option<Arc<T>>,
        will_do: impl Fn(&Held<T>, UnixTime) -> Result<bool, DocumentError>,
    ) -> Result<Arc<T>, DocumentError> {
        let mut outcome = match self.board(place, asker, spare, will_do)? {
            Boarding::Done(held) => return Ok(held),
            Boarding::Wait(outcome) => outcome,
        };
        // The task ends without a word only if it panics.
        let broken = || Err(fault(place.url(), FetchFault::Broken));
        match outcome.wait_for(Option::is_some).await {
            Ok(told) => told.clone().unwrap_or_else(broken),
            Err(_) => broken(),
        }
    }

    fn board(
        &self,
        place: &T::Place,
        asker: Asker,
        spare: Option<Arc<T>>,
        will_do: impl Fn(&Held<T>, UnixTime) -> Result<bool, DocumentError>,
    ) -> Result<Boarding<T>, DocumentError> {
        let inner = &*self.0;
        let name = place.name();
        let now = inner.source.clock.now();
        let held = inner.newest(name, spare);
        if let Some(held) = &held
            && will_do(held, now)?
        {
            return Ok(Boarding::Done(Arc::clone(&held.copy)));
        }
        let vacant = match inner.under_way.entry((asker.standing, name.to_owned())) {
            Entry::Occupied(under_way) => return Ok(Boarding::Wait(under_way.get().clone())),
            Entry::Vacant(vacant) => vacant,
        };
        // What was under way a moment ago has landed: it is looked at again, now that nobody else can begin.
        let held = inner.held.get(name).or(held);
        if let Some(held) = &held
            && will_do(held, now)?
        {
            return Ok(Boarding::Done(Arc::clone(&held.copy)));
        }
        // A refusal is for this asker alone. Who joins what is under way does not depend on who began it.
        let leave = inner.admit(place, asker)?;
        let (tell, outcome) = watch::channel(None);
        vacant.insert(outcome.clone());
        tokio::spawn(fly(
            Arc::clone(&self.0),
            place.clone(),
            held.map(|held| held.copy),
            Flight {
                tell,
                leave,
                standing: asker.standing,
            },
        ));
        Ok(Boarding::Wait(outcome))
    }
}

/// A fetch under way.
struct Flight<T> {
    tell: watch::Sender<Option<Result<Arc<T>, DocumentError>>>,
    leave: Leave,
    standing: Standing,
}

async fn fly<T: Published>(
    shelf: Arc<Inner<T>>,
    place: T::Place,
    held: Option<Arc<T>>,
    flight: Flight<T>,
) {
    let landing = Landing(&shelf, (flight.standing, place.name().to_owned()));
    // one time for all that it takes: it may be two requests
    let fetching = shelf.fetch(&place, held.as_deref(), flight.standing);
    let fetched = timeout(shelf.source.flight, fetching)
        .await
        .unwrap_or_else(|_| Err(fault(place.url(), FetchFault::TooSlow)))
        .map(Arc::new);
    let keep = match &fetched {
        Ok(fetched) => Some(Held::new(Arc::clone(fetched))),
        Err(error) => {
            let now = shelf.source.clock.now();
            let failure = T::failed(error, now).map(|failure| Held::new(Arc::new(failure)));
            let failed = Some((flight.standing, now));
            let copy = shelf.held.get(place.name()).map(|held| held.copy).or(held);
            failure.or(copy.map(|copy| Held { copy, failed }))
        }
    };
    if let Some(keep) = keep {
        shelf.held.insert(place.name().to_owned(), keep);
    }
    // Kept first, gone from the list next, told last: whoever comes in between finds one of them.
    drop(landing);
    drop(flight.leave);
    flight.tell.send_replace(Some(fetched));
}

/// Takes a fetch from the list, also where it panicked: or nobody could ever fetch that again.
struct Landing<'a, T>(&'a Inner<T>, (Standing, String));

impl<T> Drop for Landing<'_, T> {
    fn drop(&mut self) {
        self.0.under_way.remove(&self.1);
    }
}

impl<T: Published> Inner<T> {
    /// The copy that is good for longer: ours, or `spare`, which is ours then.
    fn newest(&self, name: &str, spare: Option<Arc<T>>) -> Option<Held<T>> {
        let Some(spare) = spare else {
            return self.held.get(name);
        };
        let until = spare.fresh_until();
        let entry = self.held.entry_by_ref(name);
        let newest =
            entry.or_insert_with_if(|| Held::new(spare), |held| held.copy.fresh_until() < until);
        Some(newest.into_value())
    }

    fn admit(&self, place: &T::Place, asker: Asker) -> Result<Leave, DocumentError> {
        let target = Target {
            standing: asker.standing,
            host: place.url().host_str().unwrap_or_default(),
            url: place.name(),
        };
        let admitted = self.source.limits.admit(asker.address, target);
        admitted.map_err(|Limited(retry_after)| DocumentError::TooMany { retry_after })
    }

    async fn fetch(
        &self,
        place: &T::Place,
        held: Option<&T>,
        standing: Standing,
    ) -> Result<T, DocumentError> {
        let etag = held.and_then(T::etag);
        let mut fetched = self.get(place, etag, standing).await?;
        if let (Fetched::Unchanged(freshness), Some(held), Some(etag)) = (&fetched, held, etag) {
            let named = freshness.etag.as_deref().unwrap_or(etag);
            if is_same_version(named, etag) {
                let mut stamp = T::LIFETIMES.stamp(freshness, self.source.clock.now());
                stamp.etag = Some(etag.to_owned());
                return Ok(held.renewed(stamp));
            }
            // Something is unchanged, but it is not what we have: asked once more as if we had nothing.
            fetched = self.get(place, None, standing).await?;
        }
        match fetched {
            Fetched::Page {
                body,
                content_type,
                freshness,
            } => {
                let stamp = T::LIFETIMES.stamp(&freshness, self.source.clock.now());
                Ok(T::read(place, Page { content_type, body }, stamp)?)
            }
            // an answer to a question that was not asked
            Fetched::Unchanged(_) => {
                let status = FetchFault::Status(StatusCode::NOT_MODIFIED);
                Err(fault(place.url(), status))
            }
        }
    }

    async fn get(
        &self,
        place: &T::Place,
        etag: Option<&str>,
        standing: Standing,
    ) -> Result<Fetched, DocumentError> {
        let wanted = Wanted {
            standing,
            url: place.url().clone(),
            accept: T::ACCEPT,
            limit: T::LIMIT,
            etag: etag.map(str::to_owned),
        };
        Ok(self.source.fetch.get(wanted).await?)
    }
}

/// RFC 9110 §8.8.3.2: `If-None-Match` compares weakly.
fn is_same_version(one: &str, other: &str) -> bool {
    one.trim_start_matches("W/") == other.trim_start_matches("W/")
}

fn fault(url: &Url, cause: FetchFault) -> DocumentError {
    let host = url.host_str().unwrap_or_default().to_owned();
    FetchError { host, cause }.into()
}

#[cfg(test)]
mod tests {
    use tokio::task::{JoinSet, yield_now};

    use super::*;
    use crate::clock::SystemClock;
    use crate::document::fake::{ASKER, Web, document, documents, json};
    use crate::document::page::Stamp;
    use crate::document::{Documents, FetchRates};
    use crate::protocol::client_metadata::{ClientDocument, DocumentUrl};
    use crate::protocol::ids::ClientId;

    const URL: &str = "https://app.example/client";

    fn url(text: &str) -> DocumentUrl {
        DocumentUrl::parse(&ClientId::new(text)).unwrap().unwrap()
    }

    fn publish(web: &Web, url: &'static str) {
        web.put(url, move |_| {
            Ok(json(document(url, "One"), Some(600), None))
        });
    }

    /// So many callers, each a task.
    fn callers(documents: &Arc<Documents>, count: usize) -> JoinSet<Result<(), DocumentError>> {
        let mut callers = JoinSet::new();
        for _ in 0..count {
            let documents = Arc::clone(documents);
            callers.spawn(async move { documents.client(&url(URL), ASKER, None).await.map(drop) });
        }
        callers
    }

    /// Lets every task run until it waits for something: there is one thread.
    async fn settle() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    /// CLI-17
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_thousand_callers_at_a_time_make_one_fetch() {
        for round in 0..20 {
            let (web, _clock, documents) = documents();
            publish(&web, URL);
            web.close();
            let callers = callers(&documents, 1000);
            for _ in 0..round {
                yield_now().await;
            }
            // while they are still coming
            web.open();
            let outcomes = callers.join_all().await;
            assert!(outcomes.iter().all(Result::is_ok));
            assert_eq!(web.asked().len(), 1, "round {round}");
        }
    }

    /// CLI-17
    #[tokio::test]
    async fn a_thousand_callers_share_a_failure_too() {
        let (web, _clock, documents) = documents();
        web.fail(URL, FetchFault::TooSlow);
        web.close();
        let callers = callers(&documents, 1000);
        settle().await;
        web.open();
        for outcome in callers.join_all().await {
            assert!(matches!(outcome, Err(DocumentError::Fetch(_))));
        }
        assert_eq!(web.asked().len(), 1);
        publish(&web, URL);
        documents.client(&url(URL), ASKER, None).await.unwrap();
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_takes_nothing_from_the_others() {
        let (web, _clock, documents) = documents();
        publish(&web, URL);
        web.close();
        let mut first = callers(&documents, 1);
        settle().await;
        let others = callers(&documents, 10);
        settle().await;
        first.shutdown().await;
        web.open();
        assert!(others.join_all().await.iter().all(Result::is_ok));
        assert_eq!(web.asked().len(), 1);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_kept_all_the_same() {
        let (web, _clock, documents) = documents();
        publish(&web, URL);
        web.close();
        let mut all = callers(&documents, 10);
        settle().await;
        all.shutdown().await;
        web.open();
        settle().await;
        assert!(documents.last_good(&url(URL)).is_some());
        documents.client(&url(URL), ASKER, None).await.unwrap();
        assert_eq!(web.asked().len(), 1);
    }

    #[tokio::test]
    async fn a_fetch_that_panics_is_a_failure_like_others() {
        let (web, _clock, documents) = documents();
        web.put(URL, |_| panic!("as this test wants it"));
        let error = documents.client(&url(URL), ASKER, None).await.unwrap_err();
        assert!(matches!(error, DocumentError::Fetch(_)), "{error}");
        publish(&web, URL);
        documents.client(&url(URL), ASKER, None).await.unwrap();
    }

    /// CLI-17
    #[tokio::test]
    async fn urls_do_not_wait_for_each_other() {
        let (web, _clock, documents) = documents();
        let other = "https://app.example/other";
        publish(&web, URL);
        web.close();
        let waiting = callers(&documents, 1);
        settle().await;
        let busy = Arc::clone(&documents);
        let second =
            tokio::spawn(async move { busy.client(&url(other), ASKER, None).await.is_ok() });
        settle().await;
        assert_eq!(web.asked().len(), 2, "both are under way");
        publish(&web, other);
        web.open();
        assert!(second.await.unwrap());
        assert!(waiting.join_all().await.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_flood_of_documents_fills_no_memory_and_pushes_out_none_that_is_in_use() {
        const CAPACITY: u64 = 1 << 20;
        let (web, _clock, _documents) = documents();
        let source = Source {
            fetch: Arc::clone(&web) as _,
            clock: Arc::new(SystemClock),
            limits: Limits::new(FetchRates::default()),
            flight: FetchRates::default().flight,
        };
        let shelf: Shelf<ClientDocument> = Shelf::new(Arc::new(source), CAPACITY);
        let now = SystemClock.now();
        let put = |text: &str| {
            let body = document(text, "One");
            let page = Page {
                content_type: Some("application/json".to_owned()),
                body: body.into(),
            };
            let stamp = Stamp {
                fetched_at: now,
                fresh_until: now,
                etag: Some("x".repeat(30_000)),
            };
            let document = ClientDocument::read(&url(text), page, stamp).unwrap();
            shelf.0.newest(text, Some(Arc::new(document)));
        };
        put(URL);
        for n in 0..1000 {
            put(&format!("https://{n}.example/client"));
            assert!(shelf.held(URL).is_some(), "{n}");
        }
        shelf.0.held.run_pending_tasks();
        assert!(shelf.0.held.weighted_size() <= CAPACITY);
        assert!(shelf.0.held.entry_count() < 40);
    }
}
