//! Any [`Store`] as the session store of tower-sessions, for the browser's own session.
//!
//! Rows lie under the SHA-256 of the session's id, so that a stolen store holds no cookie that works.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

use super::{BrowserRecord, Store, StoreError};
use crate::clock::{Clock, UnixTime};
use crate::secret::{Secret, SecretDigest};

/// The browser sessions of a store.
#[derive(Clone)]
pub struct BrowserSessions {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl BrowserSessions {
    /// How often a new identifier is drawn before it is a failure: once is already next to impossible.
    const DRAWS: usize = 4;

    /// The browser sessions of `store`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl fmt::Debug for BrowserSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserSessions")
    }
}

#[async_trait]
impl SessionStore for BrowserSessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        for _ in 0..Self::DRAWS {
            let row = to_row(record)?;
            let kept = self.store.put_browser_session(key(record.id), row).await;
            if kept.map_err(failed)? {
                return Ok(());
            }
            record.id = Id::default();
        }
        Err(Error::Backend("every new identifier is taken".to_owned()))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let row = to_row(record)?;
        let now = self.clock.now();
        let saved = self.store.save_browser_session(key(record.id), row, now);
        // Where it is gone it stays away: somebody logged out, or it expired, while this request ran.
        saved.await.map(drop).map_err(failed)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let found = self
            .store
            .find_browser_session(key(*id), self.clock.now())
            .await
            .map_err(failed)?;
        found.map(|row| from_row(*id, &row)).transpose()
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.store
            .forget_browser_session(key(*id))
            .await
            .map_err(failed)
    }
}

fn key(id: Id) -> SecretDigest {
    Secret::new(id.to_string()).digest()
}

fn to_row(record: &Record) -> Result<BrowserRecord> {
    Ok(BrowserRecord {
        values: serde_json::to_vec(&record.data)
            .map_err(|error| Error::Encode(error.to_string()))?,
        expires: UnixTime(record.expiry_date.unix_timestamp()),
    })
}

fn from_row(id: Id, row: &BrowserRecord) -> Result<Record> {
    Ok(Record {
        id,
        data: serde_json::from_slice(&row.values)
            .map_err(|error| Error::Decode(error.to_string()))?,
        expiry_date: OffsetDateTime::from_unix_timestamp(row.expires.0)
            .map_err(|error| Error::Decode(error.to_string()))?,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn failed(error: StoreError) -> Error {
    Error::Backend(error.to_string())
}
