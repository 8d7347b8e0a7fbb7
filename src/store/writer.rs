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
use super::record::{Header, expired_keys, expiry_key, filed_key, must_outlive_a_crash};
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
            let mut group = Group::default();
            answers.push(self.decide(first, &mut group)?);
            while answers.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                answers.push(self.decide(next, &mut group)?);
            }
            self.settle(group)?;
            answers.drain(..).for_each(Answer::give);
        }
        Ok(())
    }

    fn decide(&mut self, job: Job, group: &mut Group) -> Result<Answer, sled::Error> {
        Ok(match job {
            Job::Commit(changes, answer) => Answer::Commit(answer, self.commit(changes, group)?),
            Job::Sweep {
                now,
                entries,
                rows,
                answer,
            } => Answer::Sweep(answer, self.sweep(now, (entries, rows), group)?),
        })
    }

    /// Nobody else writes, so what is read here still holds when it is written.
    fn commit(&mut self, changes: Vec<Change>, group: &mut Group) -> Result<Commit, sled::Error> {
        let mut before = Vec::with_capacity(changes.len());
        for change in &changes {
            let found = self.row(&change.key, group)?;
            let header = found.map(|row| row_header(&row)).transpose()?;
            let row = header.map(|header| (header.version, header.expires));
            if !change.expect.is_met_by(row) {
                return Ok(Commit::Conflict);
            }
            before.push(header);
        }
        self.version += 1;
        group.must_be_whole |= changes.len() > 1;
        group.must_last |= changes
            .iter()
            .any(|change| must_outlive_a_crash(&change.key));
        for (change, before) in changes.into_iter().zip(before) {
            prepare(change, before, self.version, group);
        }
        Ok(Commit::Committed)
    }

    fn sweep(
        &mut self,
        now: UnixTime,
        (entries, rows): (usize, usize),
        group: &mut Group,
    ) -> Result<Swept, sled::Error> {
        let mut swept = Swept {
            deleted: 0,
            done: true,
        };
        group.must_last = true;
        for (seen, entry) in self.tree.range(expired_keys(now)).keys().enumerate() {
            if seen == entries || swept.deleted == rows {
                swept.done = false;
                break;
            }
            let entry = entry?;
            let key = filed_key(&entry);
            if let Some(row) = self.row(key, group)? {
                let (header, payload) = Header::split(&row).map_err(damaged)?;
                if now < header.expires {
                    // It was made to live longer: filed anew. Its version stays, since nothing changes for others.
                    let filed = header.expires;
                    let row = Header { filed, ..header }.before(payload);
                    group.file(filed, key);
                    group.writes.push((key.into(), Some(row.into())));
                } else {
                    group.writes.push((key.into(), None));
                    swept.deleted += 1;
                }
            }
            group.writes.push((entry, None));
            self.version += 1;
        }
        Ok(swept)
    }

    /// The row under `key` as it will be after what the group has come to so far.
    fn row(&self, key: &[u8], group: &Group) -> Result<Option<IVec>, sled::Error> {
        let mut writes = group.writes.iter().rev();
        match writes.find(|(written, _)| written == key) {
            Some((_, row)) => Ok(row.clone()),
            None => self.tree.get(key),
        }
    }

    /// Writes what the group came to, all or nothing for each job, and forces it to the disk where it must outlive a
    /// crash.
    fn settle(&self, group: Group) -> Result<(), sled::Error> {
        // A group of conflicts rests on nothing new: what it saw was settled with the groups before.
        if group.writes.is_empty() {
            return Ok(());
        }
        // Announced before anything of it can be seen: see [`Writer::begun`].
        self.begun.store(self.version, Ordering::Release);
        let must_last = group.must_last;
        group.write(&self.tree)?;
        if must_last {
            self.tree.flush()?;
            self.log.sync_data()?;
        }
        self.durable.store(self.version, Ordering::Release);
        self.announce.send_replace(self.version);
        Ok(())
    }
}

/// What a group of jobs comes to.
///
/// The writes stand in the order of the jobs, so that of two writes of one key the later counts. A row stands behind
/// its new entry in the expiry table and before the removal of its old one: what a crash can leave, since the log is
/// read up to where it is torn, is an entry without its row, and the sweep removes that.
#[derive(Default)]
struct Group {
    writes: Vec<(IVec, Option<IVec>)>,
    /// Whether there is a job that changes more than one row: all of them or none.
    must_be_whole: bool,
    /// Whether there is a job whose work must outlive a crash.
    must_last: bool,
}

impl Group {
    fn file(&mut self, moment: UnixTime, key: &[u8]) {
        let entry = expiry_key(moment, key);
        self.writes.push((entry.into(), Some(IVec::default())));
    }

    /// A batch costs sled two more writes to the file, so there is one for all, and none where no job needs it.
    fn write(self, tree: &Tree) -> Result<(), sled::Error> {
        if self.must_be_whole {
            let mut batch = Batch::default();
            for (key, row) in self.writes {
                match row {
                    Some(row) => batch.insert(key, row),
                    None => batch.remove(key),
                }
            }
            return tree.apply_batch(batch);
        }
        for (key, row) in self.writes {
            match row {
                Some(row) => tree.insert(key, row)?,
                None => tree.remove(key)?,
            };
        }
        Ok(())
    }
}

fn row_header(row: &[u8]) -> Result<Header, sled::Error> {
    let split = Header::split(row).map_err(damaged);
    split.map(|(header, _)| header)
}

/// Whoever finds damage stops: nothing is built on it.
fn damaged(error: StoreError) -> sled::Error {
    sled::Error::ReportableBug(error.message)
}

/// The writes that a change comes to, with those of the expiry table.
fn prepare(change: Change, before: Option<Header>, version: u64, group: &mut Group) {
    let was_filed = before.map(|header| header.filed);
    let (filed, row) = match change.write {
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
    let moves = filed != was_filed;
    if moves && filed != FOREVER {
        group.file(filed, &change.key);
    }
    let old_entry = (moves && was_filed != FOREVER).then(|| expiry_key(was_filed, &change.key));
    group.writes.push((change.key.into(), row.map(IVec::from)));
    if let Some(entry) = old_entry {
        group.writes.push((entry.into(), None));
    }
}
