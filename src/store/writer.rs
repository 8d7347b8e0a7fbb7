//! The one thread that writes to sled: a small group of jobs shares a flush, and nobody is answered before it.
//!
//! sled's `flush` hands the log to the kernel but does not force it, nor the length of a file that grew, to the disk
//! (`sync_file_range`): so each group ends with an `fdatasync` on a handle of our own.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};

use sled::{Batch, IVec, Tree};
use tokio::sync::{mpsc, oneshot, watch};

use super::engine::{Change, Commit, FOREVER, Write};
use super::record::{Header, expired_keys, expiry_key, filed_key};
use super::{Result, StoreError};
use crate::clock::UnixTime;

/// Jobs in a group. Larger groups were seen to lose acknowledged work in simulated power cuts, and share little more.
const GROUP: usize = 8;
/// Jobs that wait; then whoever brings one waits.
const QUEUE: usize = 1024;

/// What the thread is asked to do.
pub(super) enum Job {
    /// See [`Engine::commit`](super::engine::Engine::commit).
    Commit(Vec<Change>, oneshot::Sender<Commit>),
    /// Looks at the first `entries` of what is filed until `now`, and deletes at most `rows` of it.
    Sweep {
        now: UnixTime,
        entries: usize,
        rows: usize,
        answer: oneshot::Sender<Swept>,
    },
}

/// What one sweep came to.
pub(super) struct Swept {
    pub(super) deleted: usize,
    /// Whether nothing that has expired is left.
    pub(super) done: bool,
}

/// The thread, as the others see it.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    begun: Arc<AtomicU64>,
    durable: Arc<AtomicU64>,
    durable_now: watch::Receiver<u64>,
    failure: Arc<OnceLock<String>>,
}

impl Writer {
    /// Starts it; the first change gets the version after `version`.
    pub(super) fn start(tree: Tree, log: File, version: u64) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (announce, durable_now) = watch::channel(version);
        let begun = Arc::new(AtomicU64::new(version));
        let durable = Arc::new(AtomicU64::new(version));
        let failure = Arc::new(OnceLock::new());
        let work = Work {
            tree,
            log,
            version,
            begun: Arc::clone(&begun),
            durable: Arc::clone(&durable),
            announce,
        };
        let failed = Arc::clone(&failure);
        let thread = Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work.run(queue, &failed))
            .map_err(|error| StoreError::because("cannot start its thread", error))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            begun,
            durable,
            durable_now,
            failure,
        })
    }

    /// Has a job done. Once anything has failed, nothing is done any more: what is on the disk is not known then.
    pub(super) async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(|| self.failure())?;
        jobs.send(job(answer)).await.map_err(|_| self.failure())?;
        answered.await.map_err(|_| self.failure())
    }

    /// The version that may have been seen by who looked at the rows before asking this.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Waits until everything up to `version` is durable, as it nearly always is.
    pub(super) async fn settled(&self, version: u64) -> Result<()> {
        if version <= self.durable.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut durable = self.durable_now.clone();
        let reached = durable.wait_for(|durable| version <= *durable).await;
        reached.map(drop).map_err(|_| self.failure())
    }

    fn failure(&self) -> StoreError {
        let cause = self.failure.get().map_or("it stopped", String::as_str);
        StoreError::new(format!(
            "nothing is written any more, since {cause}: see to the disk, then restart"
        ))
    }
}

impl Drop for Writer {
    /// What was asked for is finished and flushed.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was caught and has been told to whoever waited.
            let _ = thread.join();
        }
    }
}

/// The thread, as it sees itself.
struct Work {
    tree: Tree,
    log: File,
    version: u64,
    begun: Arc<AtomicU64>,
    durable: Arc<AtomicU64>,
    announce: watch::Sender<u64>,
}

/// An answer that is held back until the group is on the disk.
enum Answer {
    Commit(oneshot::Sender<Commit>, Commit),
    Sweep(oneshot::Sender<Swept>, Swept),
}

impl Answer {
    /// Who asked may have gone away: the work is done all the same.
    fn give(self) {
        match self {
            Self::Commit(to, commit) => drop(to.send(commit)),
            Self::Sweep(to, swept) => drop(to.send(swept)),
        }
    }
}

impl Work {
    fn run(mut self, mut queue: mpsc::Receiver<Job>, failure: &OnceLock<String>) {
        let work = AssertUnwindSafe(|| self.work(&mut queue));
        let cause = match catch_unwind(work) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "its thread panicked".to_owned(),
        };
        // Said before the queue closes, so that whoever is turned away learns why.
        let _ = failure.set(cause);
    }

    fn work(&mut self, queue: &mut mpsc::Receiver<Job>) -> Result<(), sled::Error> {
        let mut answers = Vec::with_capacity(GROUP);
        while let Some(first) = queue.blocking_recv() {
            answers.push(self.apply(first)?);
            while answers.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                answers.push(self.apply(next)?);
            }
            self.make_durable()?;
            answers.drain(..).for_each(Answer::give);
        }
        self.make_durable()
    }

    fn apply(&mut self, job: Job) -> Result<Answer, sled::Error> {
        Ok(match job {
            Job::Commit(changes, answer) => Answer::Commit(answer, self.commit(changes)?),
            Job::Sweep {
                now,
                entries,
                rows,
                answer,
            } => Answer::Sweep(answer, self.sweep(now, entries, rows)?),
        })
    }

    /// Nobody else writes, so what is read here still holds when it is written.
    fn commit(&mut self, changes: Vec<Change>) -> Result<Commit, sled::Error> {
        let mut before = Vec::with_capacity(changes.len());
        for change in &changes {
            let found = self.header(&change.key)?;
            let row = found.map(|header| (header.version, header.expires));
            if !change.expect.is_met_by(row) {
                return Ok(Commit::Conflict);
            }
            before.push(found);
        }
        let version = self.next_version();
        let mut writes = Vec::with_capacity(changes.len() * 3);
        for (change, before) in changes.into_iter().zip(before) {
            prepare(change, before, version, &mut writes);
        }
        self.write(writes)?;
        Ok(Commit::Committed)
    }

    fn sweep(&mut self, now: UnixTime, entries: usize, rows: usize) -> Result<Swept, sled::Error> {
        let mut writes = Vec::new();
        let mut swept = Swept {
            deleted: 0,
            done: true,
        };
        for (seen, entry) in self.tree.range(expired_keys(now)).keys().enumerate() {
            if seen == entries || swept.deleted == rows {
                swept.done = false;
                break;
            }
            let entry = entry?;
            let key = filed_key(&entry);
            if let Some(value) = self.tree.get(key)? {
                let (header, payload) = Header::split(&value).map_err(damaged)?;
                if now < header.expires {
                    // It was made to live longer: filed anew. Its version stays, since nothing changes for others.
                    let filed = header.expires;
                    let value = Header { filed, ..header }.before(payload);
                    writes.push((key.into(), Some(value.into())));
                    writes.push((expiry_key(filed, key).into(), Some(IVec::default())));
                } else {
                    writes.push((key.into(), None));
                    swept.deleted += 1;
                }
            }
            writes.push((entry, None));
        }
        if !writes.is_empty() {
            self.next_version();
            self.write(writes)?;
        }
        Ok(swept)
    }

    fn header(&self, key: &[u8]) -> Result<Option<Header>, sled::Error> {
        let found = self.tree.get(key)?;
        let split = found.map(|value| Header::split(&value).map(|(header, _)| header));
        split.transpose().map_err(damaged)
    }

    /// Versions are announced before anything of them can be seen: see [`Writer::begun`].
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.begun.store(self.version, Ordering::Release);
        self.version
    }

    /// All or nothing, also after a crash.
    fn write(&self, mut writes: Vec<(IVec, Option<IVec>)>) -> Result<(), sled::Error> {
        if writes.len() > 1 {
            let mut batch = Batch::default();
            for (key, value) in writes {
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            return self.tree.apply_batch(batch);
        }
        match writes.pop() {
            Some((key, Some(value))) => self.tree.insert(key, value).map(drop),
            Some((key, None)) => self.tree.remove(key).map(drop),
            None => Ok(()),
        }
    }

    fn make_durable(&self) -> Result<(), sled::Error> {
        // A group of conflicts rests on nothing new: what it saw was settled with the group before.
        if self.version != self.durable.load(Ordering::Acquire) {
            self.tree.flush()?;
            self.log.sync_data()?;
            self.durable.store(self.version, Ordering::Release);
            self.announce.send_replace(self.version);
        }
        Ok(())
    }
}

/// Whoever finds damage stops: nothing is built on it.
fn damaged(error: StoreError) -> sled::Error {
    sled::Error::ReportableBug(error.message)
}

/// The writes that a change comes to, with those of the expiry table.
fn prepare(
    change: Change,
    before: Option<Header>,
    version: u64,
    writes: &mut Vec<(IVec, Option<IVec>)>,
) {
    let was_filed = before.map(|header| header.filed);
    let (filed, value) = match change.write {
        Write::Put { expires, payload } => {
            let header = Header {
                version,
                expires,
                filed: Header::file(expires, was_filed),
            };
            (header.filed, Some(header.before(&payload)))
        }
        Write::Delete if before.is_none() => return,
        Write::Delete => (FOREVER, None),
    };
    let was_filed = was_filed.unwrap_or(FOREVER);
    if filed != was_filed {
        if was_filed != FOREVER {
            writes.push((expiry_key(was_filed, &change.key).into(), None));
        }
        if filed != FOREVER {
            let entry = expiry_key(filed, &change.key);
            writes.push((entry.into(), Some(IVec::default())));
        }
    }
    writes.push((change.key.into(), value.map(IVec::from)));
}
