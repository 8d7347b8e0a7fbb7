//! The store of `dev` and of tests: the same contract, in memory, gone with the process.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Result;
use super::engine::{Change, Commit, Engine, Row, Write};
use super::keyed::KeyedStore;
use crate::clock::UnixTime;

/// A store that forgets everything when it is dropped.
pub type MemoryStore = KeyedStore<MemoryEngine>;

/// Rows in memory.
#[derive(Default)]
pub struct MemoryEngine(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    by_key: BTreeMap<Vec<u8>, Row>,
    expiry: BTreeSet<(UnixTime, Vec<u8>)>,
    version: u64,
}

impl MemoryEngine {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Nothing between the first and the last line of a change can panic, so the rows are whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemoryEngine {
    async fn get(&self, key: &[u8], now: UnixTime) -> Result<Option<Row>> {
        let rows = self.rows();
        Ok(rows
            .by_key
            .get(key)
            .filter(|row| now < row.expires)
            .cloned())
    }

    async fn list(
        &self,
        prefix: &[u8],
        after: &[u8],
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<Row>> {
        let from = Bound::Excluded(prefix.max(after));
        let rows = self.rows();
        Ok(rows
            .by_key
            .range::<[u8], _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, row)| now < row.expires)
            .take(max)
            .map(|(_, row)| row.clone())
            .collect())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Commit> {
        let mut rows = self.rows();
        let is_met = |change: &Change| {
            let found = rows.by_key.get(&change.key);
            change
                .expect
                .is_met_by(found.map(|row| (row.version, row.expires)))
        };
        if !changes.iter().all(is_met) {
            return Ok(Commit::Conflict);
        }
        for change in changes {
            rows.change(change.key, change.write);
        }
        Ok(Commit::Committed)
    }

    async fn sweep(&self, now: UnixTime, max: usize) -> Result<usize> {
        let mut rows = self.rows();
        let mut deleted = 0;
        while deleted < max
            && let Some((expires, _)) = rows.expiry.first()
            && *expires <= now
            && let Some((_, key)) = rows.expiry.pop_first()
        {
            rows.by_key.remove(&key);
            deleted += 1;
        }
        Ok(deleted)
    }
}

impl Rows {
    fn change(&mut self, key: Vec<u8>, write: Write) {
        self.version += 1;
        let before = match write {
            Write::Put { expires, payload } => {
                self.expiry.insert((expires, key.clone()));
                let row = Row {
                    version: self.version,
                    expires,
                    payload,
                };
                self.by_key
                    .insert(key.clone(), row)
                    .filter(|before| before.expires != expires)
            }
            Write::Delete => self.by_key.remove(&key),
        };
        if let Some(before) = before {
            self.expiry.remove(&(before.expires, key));
        }
    }
}
