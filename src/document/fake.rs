//! A web for tests: it counts, waits and fails as it is told.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use tokio::sync::watch;

use super::{Asker, Documents, FetchRates, Rate};
use crate::clock::{ManualClock, UnixTime};
use crate::outbound::stranger::{
    Fetch, FetchError, FetchFault, Fetched, Freshness, Standing, Wanted,
};

type Answer = Arc<dyn Fn(&Wanted) -> Result<Fetched, FetchFault> + Send + Sync>;

pub(super) const ASKER: Asker = Asker {
    address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    standing: Standing::Stranger,
};
const NOT_FOUND: FetchFault = FetchFault::Status(StatusCode::NOT_FOUND);

/// A web, a clock, and documents that are fetched without limits.
pub(super) fn documents() -> (Arc<Web>, Arc<ManualClock>, Arc<Documents>) {
    with_rates(unlimited())
}

pub(super) fn unlimited() -> FetchRates {
    let most = Rate {
        per_minute: NonZeroU32::MAX,
        burst: NonZeroU32::MAX,
    };
    FetchRates {
        asker: most,
        host: most,
        known: most,
        strangers: most,
        at_once: 1000,
        strangers_at_once: 1000,
        host_at_once: 1000,
        ..FetchRates::default()
    }
}

pub(super) fn with_rates(rates: FetchRates) -> (Arc<Web>, Arc<ManualClock>, Arc<Documents>) {
    let web = Web::new();
    let clock = Arc::new(ManualClock::at(UnixTime(1_790_000_000)));
    let fetch: Arc<dyn Fetch> = Arc::clone(&web) as _;
    let documents = Documents::with_rates(fetch, Arc::clone(&clock) as _, rates);
    (web, clock, Arc::new(documents))
}

pub(super) struct Web {
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<Wanted>>,
    is_open: watch::Sender<bool>,
}

impl Web {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::default(),
            asked: Mutex::default(),
            is_open: watch::Sender::new(true),
        })
    }

    /// What is answered at `url` from now on. Nothing: 404.
    pub(super) fn put(
        &self,
        url: &str,
        answer: impl Fn(&Wanted) -> Result<Fetched, FetchFault> + Send + Sync + 'static,
    ) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(url.to_owned(), Arc::new(answer));
    }

    pub(super) fn fail(&self, url: &str, fault: FetchFault) {
        self.put(url, move |_| Err(fault));
    }

    /// Whoever asks waits until it is opened again.
    pub(super) fn close(&self) {
        self.is_open.send_replace(false);
    }

    pub(super) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// What was asked for since the last look.
    pub(super) fn asked(&self) -> Vec<Wanted> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Fetch for Web {
    async fn get(&self, wanted: Wanted) -> Result<Fetched, FetchError> {
        self.asked.lock().unwrap().push(wanted.clone());
        let mut is_open = self.is_open.subscribe();
        is_open.wait_for(|is_open| *is_open).await.unwrap();
        // not in one line: an answer may panic, and the lock must not be held then
        let answer = self
            .answers
            .lock()
            .unwrap()
            .get(wanted.url.as_str())
            .cloned();
        answer
            .map_or(Err(NOT_FOUND), |answer| answer(&wanted))
            .map_err(|cause| FetchError {
                host: wanted.url.host_str().unwrap().to_owned(),
                cause,
            })
    }
}

/// The document of a client at `url` that calls itself `name`.
pub(super) fn document(url: &str, name: &str) -> String {
    serde_json::json!({
        "client_id": url,
        "client_name": name,
        "redirect_uris": ["https://app.example/callback"],
        "token_endpoint_auth_method": "none",
    })
    .to_string()
}

/// A page of JSON that is good for so many seconds.
pub(super) fn json(body: impl Into<Bytes>, lifetime: Option<u64>, etag: Option<&str>) -> Fetched {
    typed("application/json", body, freshness(lifetime, etag))
}

pub(super) fn typed(content_type: &str, body: impl Into<Bytes>, freshness: Freshness) -> Fetched {
    Fetched::Page {
        body: body.into(),
        content_type: Some(content_type.to_owned()),
        freshness,
    }
}

pub(super) fn freshness(lifetime: Option<u64>, etag: Option<&str>) -> Freshness {
    Freshness {
        lifetime: lifetime.map(Duration::from_secs),
        etag: etag.map(str::to_owned),
    }
}
