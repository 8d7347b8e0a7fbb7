//! What the verbs need of a database: rows that carry a version, looked at one by one and changed together.
//!
//! Everything that knows what a code or a session is stands in `keyed.rs`, once. A backend brings these four
//! functions.

use std::future::Future;

use super::Result;
use crate::clock::UnixTime;

/// A database of rows under keys.
pub trait Engine: Send + Sync + 'static {
    /// The row under `key`, unless it has expired. What is returned, and that nothing is there, is durable: no answer
    /// rests on what a crash would take back.
    fn get(&self, key: &[u8], now: UnixTime) -> impl Future<Output = Result<Option<Row>>> + Send;

    /// The first rows, at most `max`, whose keys begin with `prefix` and lie behind `after`, in the order of their keys,
    /// without those that have expired. What is returned, and that nothing else is there, is durable.
    fn list(
        &self,
        prefix: &[u8],
        after: &[u8],
        max: usize,
        now: UnixTime,
    ) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// Makes every change, if every expectation holds; otherwise none. Durable before it returns,
    /// unless all it changes are rows of a sign-in under way, which may be gone after a crash. The keys of the changes
    /// differ from each other.
    fn commit(&self, changes: Vec<Change>) -> impl Future<Output = Result<Commit>> + Send;

    /// Deletes at most `max` rows that have expired; says how many.
    fn sweep(&self, now: UnixTime, max: usize) -> impl Future<Output = Result<usize>> + Send;
}

/// A row as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Differs after each change of the row, and from that of every row that was under this key before.
    pub version: u64,
    /// The row is there before this moment, and not from then on.
    pub expires: UnixTime,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// What is to become of one row.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which row.
    pub key: Vec<u8>,
    /// What must be there for any change of the commit to be made.
    pub expect: Expect,
    /// What will be there.
    pub write: Write,
}

/// What a row must be for a commit to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything or nothing.
    Whatever,
    /// Nothing. A row that has expired is still in the way until it is swept.
    Absent,
    /// A row, expired or not.
    Present,
    /// A row that has not expired at this moment.
    Alive(UnixTime),
    /// The row of this version.
    Version(u64),
}

impl Expect {
    /// Whether it is met by what was found: the version of a row and its expiry.
    #[must_use]
    pub fn is_met_by(self, found: Option<(u64, UnixTime)>) -> bool {
        match (self, found) {
            (Self::Whatever, _) | (Self::Absent, None) | (Self::Present, Some(_)) => true,
            (Self::Alive(now), Some((_, expires))) => now < expires,
            (Self::Version(expected), Some((version, _))) => expected == version,
            _ => false,
        }
    }
}

/// What a row becomes.
#[derive(Clone, Debug)]
pub enum Write {
    /// This, until `expires`.
    Put {
        /// [`FOREVER`] for what has no end.
        expires: UnixTime,
        /// What it holds.
        payload: Vec<u8>,
    },
    /// Nothing.
    Delete,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Every change is made, and durable.
    Committed,
    /// An expectation did not hold. Nothing was changed.
    Conflict,
}

/// The expiry of what does not expire.
pub const FOREVER: UnixTime = UnixTime(i64::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_is_met_by_nothing_else() {
        let row = Some((7, UnixTime(100)));
        for (expect, of_nothing, of_row) in [
            (Expect::Whatever, true, true),
            (Expect::Absent, true, false),
            (Expect::Present, false, true),
            (Expect::Alive(UnixTime(99)), false, true),
            (Expect::Alive(UnixTime(100)), false, false),
            (Expect::Version(7), false, true),
            (Expect::Version(8), false, false),
        ] {
            assert_eq!(expect.is_met_by(None), of_nothing, "{expect:?}");
            assert_eq!(expect.is_met_by(row), of_row, "{expect:?}");
        }
    }
}
