//! The default store: sled, in a directory of its own, started so that no crash keeps it from starting again.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sled::{Db, Tree};

use super::engine::{Change, Commit, Engine, Row};
use super::keyed::KeyedStore;
use super::record::{FORMAT, Header, Marker};
use super::writer::{Job, Writer};
use super::{Result, StoreError};
use crate::clock::UnixTime;

/// A store on the disk of this machine.
pub type SledStore = KeyedStore<SledEngine>;

/// Rows in sled: read directly, written by one thread.
pub struct SledEngine {
    // The writer goes first: it finishes what it was asked for while the database is still open.
    writer: Writer,
    tree: Tree,
    _db: Db,
}

impl KeyedStore<SledEngine> {
    /// Opens the store in `directory`, which is made where it is not there, and should hold nothing else. Dropping the
    /// store finishes what it was asked for and closes it.
    pub fn open(directory: &Path) -> Result<Self> {
        SledEngine::open(directory).map(Self::over)
    }
}

/// Pages kept in memory, in bytes.
const CACHE: u64 = 64 << 20;
/// Where sled keeps everything but its caches.
const LOG: &str = "db";
/// Where snapshots are put away that cannot be read.
const QUARANTINE: &str = "quarantine";
/// How long to wait for a process that has the store open: at a restart the one before may be about to go.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);
const HELD: &str =
    "another process has it open; stop that one, or give this one a data_dir of its own";
const DAMAGED: &str = "its files are damaged; restore a backup, or move it away and start empty: then everybody signs in \
                       again";
/// Expiry entries that a sweep looks at before it lets others write.
const SWEEP_CHUNK: usize = 64;

impl SledEngine {
    /// See [`SledStore::open`].
    pub fn open(directory: &Path) -> Result<Self> {
        let named = |error: StoreError| StoreError {
            message: format!("cannot open {}: {}", directory.display(), error.message),
            ..error
        };
        make_private(directory).map_err(named)?;
        let db = climb(directory).map_err(named)?;
        Self::over(directory, db).map_err(named)
    }

    fn over(directory: &Path, db: Db) -> Result<Self> {
        let marker = catch_unwind(AssertUnwindSafe(|| mark(&db)))
            .unwrap_or_else(|_| Err(StoreError::new(DAMAGED)))?;
        let log = File::open(directory.join(LOG)).map_err(impossible)?;
        db.flush().map_err(impossible)?;
        log.sync_data().map_err(impossible)?;
        // The files themselves must be there after a power cut, too.
        sync_directory(directory)?;
        let tree = Tree::clone(&db);
        let writer = Writer::start(tree.clone(), log, marker.first_version())?;
        Ok(Self {
            writer,
            tree,
            _db: db,
        })
    }

    fn read(&self, key: &[u8]) -> Result<Option<(Header, Vec<u8>)>> {
        // On a damaged file sled can panic instead of answering.
        let found = catch_unwind(AssertUnwindSafe(|| self.tree.get(key)))
            .map_err(|_| StoreError::new("a row cannot be read: the file is damaged"))?
            .map_err(|error| StoreError::because("a row cannot be read", error))?;
        let Some(value) = found else {
            return Ok(None);
        };
        let (header, payload) = Header::split(&value)?;
        Ok(Some((header, payload.to_vec())))
    }

    /// See [`Engine::list`], but for the last sentence.
    fn read_behind(
        &self,
        prefix: &[u8],
        after: &[u8],
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<Row>> {
        let mut listed = Vec::new();
        let from = Bound::Excluded(prefix.max(after));
        for found in self.tree.range::<&[u8], _>((from, Bound::Unbounded)) {
            let (key, value) =
                found.map_err(|error| StoreError::because("rows cannot be read", error))?;
            if listed.len() == max || !key.starts_with(prefix) {
                break;
            }
            let (header, payload) = Header::split(&value)?;
            if now < header.expires {
                listed.push(Row {
                    version: header.version,
                    expires: header.expires,
                    payload: payload.to_vec(),
                });
            }
        }
        Ok(listed)
    }
}

impl Engine for SledEngine {
    async fn get(&self, key: &[u8], now: UnixTime) -> Result<Option<Row>> {
        let Some((header, payload)) = self.read(key)? else {
            // Perhaps it was deleted just now.
            self.writer.settled(self.writer.begun()).await?;
            return Ok(None);
        };
        self.writer.settled(header.version).await?;
        Ok((now < header.expires).then_some(Row {
            version: header.version,
            expires: header.expires,
            payload,
        }))
    }

    async fn list(
        &self,
        prefix: &[u8],
        after: &[u8],
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<Row>> {
        // On a damaged file sled can panic instead of answering.
        let look = AssertUnwindSafe(|| self.read_behind(prefix, after, max, now));
        let listed = catch_unwind(look)
            .unwrap_or_else(|_| Err(StoreError::new("rows cannot be read: the file is damaged")))?;
        // Perhaps one that is left out was deleted just now.
        self.writer.settled(self.writer.begun()).await?;
        Ok(listed)
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Commit> {
        self.writer.ask(|answer| Job::Commit(changes, answer)).await
    }

    async fn sweep(&self, now: UnixTime, max: usize) -> Result<usize> {
        let mut deleted = 0;
        while deleted < max {
            let job = |answer| Job::Sweep {
                now,
                entries: SWEEP_CHUNK,
                rows: max - deleted,
                answer,
            };
            let swept = self.writer.ask(job).await?;
            deleted += swept.deleted;
            if swept.done {
                break;
            }
        }
        Ok(deleted)
    }
}

/// Makes the directory, or takes from others the right to look into it.
fn make_private(directory: &Path) -> Result<()> {
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private
        .create(directory)
        .and_then(|()| fs::metadata(directory))
        .and_then(|metadata| match metadata.permissions().mode() & 0o777 {
            0o700 => Ok(()),
            _ => fs::set_permissions(directory, Permissions::from_mode(0o700)),
        })
        .map_err(|error| {
            StoreError::new(format!(
                "{error}; it must be a directory that this user owns, on a disk that can be written"
            ))
        })
}

/// Opens sled; where that fails, once more without its snapshots.
fn climb(directory: &Path) -> Result<Db> {
    // A crash while sled opens leaves half a snapshot under this name. sled takes it for the newest one and refuses to
    // open ever after (spacejam/sled#1533).
    for unfinished in snapshots(directory)? {
        if unfinished
            .extension()
            .is_some_and(|end| end == "generating")
        {
            fs::remove_file(unfinished).map_err(impossible)?;
        }
    }
    let first = match open(directory) {
        Ok(db) => return Ok(db),
        Err(Trouble::Final(error)) => return Err(error),
        Err(Trouble::Damage(error)) => error,
    };
    // A snapshot only spares reading the log: without one the content is the same.
    if put_away_snapshots(directory)? == 0 {
        return Err(first);
    }
    open(directory).map_err(|trouble| match trouble {
        Trouble::Final(error) | Trouble::Damage(error) => error,
    })
}

/// Why sled does not open.
enum Trouble {
    /// Trying again does not help.
    Final(StoreError),
    /// Something in the files.
    Damage(StoreError),
}

fn open(directory: &Path) -> Result<Db, Trouble> {
    let config = sled::Config::new().path(directory).cache_capacity(CACHE);
    let mut patience = PATIENCE;
    loop {
        return match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => Ok(db),
            Ok(Err(sled::Error::Io(error))) if is_held(&error) => {
                if let Some(left) = patience.checked_sub(PAUSE) {
                    patience = left;
                    thread::sleep(PAUSE);
                    continue;
                }
                Err(Trouble::Final(StoreError::new(HELD)))
            }
            Ok(Err(sled::Error::Io(error))) => Err(Trouble::Final(impossible(error))),
            Ok(Err(error)) => Err(Trouble::Damage(StoreError::because(DAMAGED, error))),
            // On some damage sled panics instead of saying so.
            Err(_) => Err(Trouble::Damage(StoreError::new(DAMAGED))),
        };
    }
}

/// sled tells that the file is locked in words alone.
fn is_held(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

fn snapshots(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(impossible)? {
        let path = entry.map_err(impossible)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("snap.")) {
            found.push(path);
        }
    }
    Ok(found)
}

fn put_away_snapshots(directory: &Path) -> Result<usize> {
    let found = snapshots(directory)?;
    let quarantine = directory.join(QUARANTINE);
    fs::create_dir_all(&quarantine).map_err(impossible)?;
    for snapshot in &found {
        if let Some(name) = snapshot.file_name() {
            fs::rename(snapshot, quarantine.join(name)).map_err(impossible)?;
        }
    }
    Ok(found.len())
}

/// Checks the marker, and counts this start.
fn mark(db: &Db) -> Result<Marker> {
    let starts = match db.get(Marker::KEY).map_err(impossible)? {
        Some(bytes) => Marker::from_bytes(&bytes)?.starts,
        None if db.is_empty() => 0,
        None => {
            return Err(StoreError::new(
                "it holds rows that are not anteroom's; give it a directory of its own",
            ));
        }
    };
    let starts = starts
        .checked_add(1)
        .ok_or_else(|| StoreError::new("it was started four billion times, and cannot count on"))?;
    let marker = Marker {
        format: FORMAT,
        starts,
    };
    db.insert(Marker::KEY, &marker.to_bytes())
        .map_err(impossible)?;
    Ok(marker)
}

fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(impossible)?;
    match directory.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all().map_err(impossible),
        // A parent that we may not read was there before.
        _ => Ok(()),
    }
}

fn impossible(error: impl std::error::Error) -> StoreError {
    StoreError::new(format!(
        "{error}; see that the disk has room and that this user may write there"
    ))
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tempfile::tempdir;

    use super::*;
    use crate::store::engine::{Expect, FOREVER, Write};

    #[tokio::test]
    async fn what_is_not_yet_durable_is_not_shown() {
        let directory = tempdir().unwrap();
        let engine = SledEngine::open(directory.path()).unwrap();
        // As if the writer were between applying and flushing its next change.
        let header = Header {
            version: engine.writer.begun() + 1,
            expires: FOREVER,
            filed: FOREVER,
        };
        engine.tree.insert("row", header.before(b"new")).unwrap();
        let mut look = Box::pin(engine.get(b"row", UnixTime(0)));
        assert!(poll!(&mut look).is_pending());
        let change = Change {
            key: b"other".to_vec(),
            expect: Expect::Absent,
            write: Write::Put {
                expires: FOREVER,
                payload: Vec::new(),
            },
        };
        assert_eq!(
            engine.commit(vec![change]).await.unwrap(),
            Commit::Committed
        );
        assert_eq!(look.await.unwrap().unwrap().payload, b"new");
    }
}
