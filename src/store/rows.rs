//! Rows of an engine as the verbs see them: found by table and name, and changed if nobody else changed them meanwhile.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Mutex as PlainMutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::engine::{Change, Commit, Engine, Expect, Write};
use super::record::{Table, decode, encode};
use super::{Result, StoreError};
use crate::clock::UnixTime;

/// The rows of an engine.
#[derive(Default)]
pub(super) struct Rows<E> {
    engine: E,
    /// Whoever was overtaken once looks again in turn.
    second_look: Mutex<()>,
    /// Digests of rows that cannot be read, and that were told of.
    told: PlainMutex<BTreeSet<[u8; 32]>>,
}

/// Rows that cannot be read, and that are told of once each. Beyond that, they are told of each time.
const TOLD: usize = 10_000;

/// What one look at the rows led to.
pub(super) enum Look<T> {
    /// The answer, and nothing to change.
    Settled(T),
    /// The answer, if these changes go through.
    Change(T, Vec<Change>),
}

/// A record, and the row that it was read from.
pub(super) struct Found<T> {
    key: Vec<u8>,
    version: u64,
    /// When the row is gone.
    pub(super) expires: UnixTime,
    /// What it holds.
    pub(super) record: T,
}

impl<T: Serialize> Found<T> {
    /// The change to `record`, if nobody changes the row before.
    pub(super) fn put(self, table: Table, expires: UnixTime) -> Result<Change> {
        Ok(Change {
            expect: Expect::Version(self.version),
            write: put(table, expires, &self.record)?,
            key: self.key,
        })
    }
}

impl<T> Found<T> {
    /// The record, and the change that takes its row away, if nobody changes it before.
    pub(super) fn take(self) -> (T, Change) {
        let change = Change {
            key: self.key,
            expect: Expect::Version(self.version),
            write: Write::Delete,
        };
        (self.record, change)
    }
}

impl<E: Engine> Rows<E> {
    /// How often a verb looks at the rows before it gives up. Every look but the last saw somebody else succeed, and
    /// most of what these verbs change goes one way only (unspent, spent; there, gone), so two or three are the rule.
    const LOOKS: usize = 256;

    /// The rows of `engine`.
    pub(super) fn of(engine: E) -> Self {
        Self {
            engine,
            second_look: Mutex::new(()),
            told: PlainMutex::default(),
        }
    }

    /// The row of this name, unless it has expired.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        table: Table,
        name: &[u8],
        now: UnixTime,
    ) -> Result<Option<Found<T>>> {
        let key = table.key(name);
        let Some(row) = self.engine.get(&key, now).await? else {
            return Ok(None);
        };
        Ok(Some(Found {
            record: decode(table, &row.payload)?,
            key,
            version: row.version,
            expires: row.expires,
        }))
    }

    /// The same, for whoever can do without a row that cannot be read.
    pub(super) async fn find_readable<T: DeserializeOwned>(
        &self,
        table: Table,
        name: &[u8],
        now: UnixTime,
    ) -> Result<Option<Found<T>>> {
        let key = table.key(name);
        let Some(row) = self.engine.get(&key, now).await? else {
            return Ok(None);
        };
        let record = self.read(table, &row.payload);
        Ok(record.map(|record| Found {
            record,
            key,
            version: row.version,
            expires: row.expires,
        }))
    }

    /// What a row holds; none where it cannot be read, which is told once.
    fn read<T: DeserializeOwned>(&self, table: Table, payload: &[u8]) -> Option<T> {
        decode(table, payload)
            .inspect_err(|error| {
                let row = Sha256::digest(payload).into();
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                if !told.contains(&row) {
                    tracing::error!(?table, %error, "a row of the store is passed over");
                    if told.len() < TOLD {
                        told.insert(row);
                    }
                }
            })
            .ok()
    }

    /// The row of this name, expired or not, with what it holds unread.
    pub(super) async fn row(&self, table: Table, name: &[u8]) -> Result<Option<Found<()>>> {
        let key = table.key(name);
        let row = self.engine.get(&key, UnixTime(i64::MIN)).await?;
        Ok(row.map(|row| Found {
            record: (),
            key,
            version: row.version,
            expires: row.expires,
        }))
    }

    /// What the row of this name holds.
    pub(super) async fn record<T: DeserializeOwned>(
        &self,
        table: Table,
        name: &[u8],
        now: UnixTime,
    ) -> Result<Option<T>> {
        let found = self.find(table, name, now).await?;
        Ok(found.map(|found| found.record))
    }

    /// The first records of a table, at most `max`, whose names lie behind `after`; with each, when its row is gone. Rows that
    /// cannot be read are passed over: one of them does not hide all others.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        table: Table,
        after: Option<&[u8]>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<(T, UnixTime)>> {
        let (prefix, after) = (table.key(b""), table.key(after.unwrap_or_default()));
        let mut count = max;
        loop {
            let rows = self.engine.list(&prefix, &after, count, now).await?;
            let readable = rows.iter().filter_map(|row| {
                let record = self.read(table, &row.payload)?;
                Some((record, row.expires))
            });
            let mut listed: Vec<_> = readable.collect();
            if listed.len() >= max || rows.len() < count {
                listed.truncate(max);
                return Ok(listed);
            }
            // a page that is not full would be taken for the last one
            count += max - listed.len();
        }
    }

    /// Makes these changes, all or none: whether it did.
    pub(super) async fn commits(&self, changes: Vec<Change>) -> Result<bool> {
        Ok(self.engine.commit(changes).await? == Commit::Committed)
    }

    /// Keeps rows that must be new. An identifier that comes twice is a mistake of ours, and replacing what it names
    /// would bring back what has ended.
    pub(super) async fn create(&self, changes: Vec<Change>, what: &str) -> Result<()> {
        if self.commits(changes).await? {
            Ok(())
        } else {
            Err(StoreError::new(format!(
                "there is already {what} of this identifier"
            )))
        }
    }

    /// Looks and commits until the answer holds.
    pub(super) async fn settle<T, L>(&self, look: impl Fn() -> L + Send + Sync) -> Result<T>
    where
        T: Send,
        L: Future<Output = Result<Look<T>>> + Send,
    {
        let mut turn = None;
        for _ in 0..Self::LOOKS {
            let (answer, changes) = match look().await? {
                Look::Settled(answer) => return Ok(answer),
                Look::Change(answer, changes) => (answer, changes),
            };
            if self.commits(changes).await? {
                return Ok(answer);
            }
            if turn.is_none() {
                // First come, first served: only somebody at the first look can overtake the one whose turn it is.
                turn = Some(self.second_look.lock().await);
            }
        }
        Err(StoreError::new("too many callers change the same row"))
    }

    /// Deletes at most `max` rows that have expired; says how many.
    pub(super) async fn sweep(&self, now: UnixTime, max: usize) -> Result<usize> {
        self.engine.sweep(now, max).await
    }
}

/// What a row becomes.
pub(super) fn put<T: Serialize>(table: Table, expires: UnixTime, record: &T) -> Result<Write> {
    Ok(Write::Put {
        expires,
        payload: encode(table, record)?,
    })
}

/// A row that must be new.
pub(super) fn new<T: Serialize>(
    table: Table,
    name: &[u8],
    expires: UnixTime,
    record: &T,
) -> Result<Change> {
    Ok(Change {
        key: table.key(name),
        expect: Expect::Absent,
        write: put(table, expires, record)?,
    })
}

/// A row in the place of whatever was there.
pub(super) fn anew<T: Serialize>(
    table: Table,
    name: &[u8],
    expires: UnixTime,
    record: &T,
) -> Result<Change> {
    Ok(Change {
        expect: Expect::Whatever,
        ..new(table, name, expires, record)?
    })
}

/// The end of a row.
pub(super) fn delete(table: Table, name: &[u8], expect: Expect) -> Change {
    Change {
        key: table.key(name),
        expect,
        write: Write::Delete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryEngine;

    const NOW: UnixTime = UnixTime(1_000);

    /// SEC-15
    #[tokio::test]
    async fn a_row_that_cannot_be_read_hides_no_other_one_from_a_list() {
        let rows = Rows::of(MemoryEngine::default());
        let mut changes = Vec::new();
        for name in 0..9_u8 {
            let mut change = new(Table::Clients, &[name], UnixTime(2_000), &name).unwrap();
            if let (0 | 2 | 3 | 8, Write::Put { payload, .. }) = (name, &mut change.write) {
                *payload = vec![9, name];
            }
            changes.push(change);
        }
        rows.engine.commit(changes).await.unwrap();
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let name = after.map(|name: u8| [name]);
            let name = name.as_ref().map(|name| &name[..]);
            let page = rows.list::<u8>(Table::Clients, name, 2, NOW).await.unwrap();
            let page: Vec<_> = page.into_iter().map(|(record, _)| record).collect();
            after = page.last().copied();
            let is_last = page.len() < 2;
            pages.push(page);
            if is_last {
                break;
            }
        }
        assert_eq!(pages, [vec![1, 4], vec![5, 6], vec![7]]);
        assert_eq!(rows.told.lock().unwrap().len(), 4);
        // whoever asks for that one alone is told
        assert!(rows.record::<u8>(Table::Clients, &[2], NOW).await.is_err());
    }
}
