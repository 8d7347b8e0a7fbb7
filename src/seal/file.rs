//! The file with the sealing keys: made once, readable by its owner alone, and never half written.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::key::DatedKey;
use super::{SealError, SealingKey, SealingKeys};
use crate::clock::UnixTime;
use crate::entropy;
use crate::secret::Secret;

/// The file `sealing.key`. A line for each key, newest first: 32 bytes in base64 and, where it is known, when it was made,
/// in seconds since 1970. What stands behind a `#` is for people.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// The one in this directory.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self(dir.join(KEY_FILE))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The keys in it; none where there is no file.
    ///
    /// # Errors
    /// Where it cannot be read, is open to others, or holds something else.
    pub fn read(&self) -> Result<Option<SealingKeys>, SealError> {
        let file = match File::open(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|source| SealError::io(&self.0, source))?,
        };
        self.read_from(&file).map(Some)
    }

    /// Makes the file, with a new key, and the directory, where they are missing. Of several processes that make it at
    /// once, one does, and all get its key.
    ///
    /// # Errors
    /// Where it cannot be read or made, is open to others, or holds something else.
    pub fn read_or_make(&self) -> Result<SealingKeys, SealError> {
        if let Some(found) = self.read()? {
            return Ok(found);
        }
        let dir = directory_of(&self.0);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| SealError::io(&self.0, source))?;
        self.write_if_absent(&SealingKeys::one(SealingKey::random()))?;
        let file = File::open(&self.0).map_err(|source| SealError::io(&self.0, source))?;
        self.read_from(&file)
    }

    /// Puts these keys in the place of those in the file. When it returns they are on the disk; whatever goes wrong, the
    /// file holds the keys from before, or these.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, keys: &SealingKeys) -> Result<(), SealError> {
        replace(&self.0, &text_of(keys)).map_err(|source| SealError::io(&self.0, source))
    }

    /// Puts these keys where there is no file; one that is there stays as it is.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_if_absent(&self, keys: &SealingKeys) -> Result<(), SealError> {
        make(&self.0, &text_of(keys)).map_err(|source| SealError::io(&self.0, source))
    }

    /// Takes away what processes that were killed while they made the file have left.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn tidy(&self) -> Result<(), SealError> {
        let io = |source| SealError::io(&self.0, source);
        for entry in std::fs::read_dir(directory_of(&self.0)).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.file_name().as_encoded_bytes().starts_with(DRAFT) {
                // whoever made it may have taken it away meanwhile
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn read_from(&self, file: &File) -> Result<SealingKeys, SealError> {
        let metadata = file
            .metadata()
            .map_err(|source| SealError::io(&self.0, source))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SealError::OpenToOthers {
                path: self.0.clone(),
                mode,
            });
        }
        // one more than there may be: a key that was cut off would be lost with the next writing
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE_LEN + 1));
        file.take(MAX_FILE_LEN as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|source| SealError::io(&self.0, source))?;
        if text.len() > MAX_FILE_LEN {
            return Err(SealError::NotAKeyFile(self.0.clone()));
        }
        std::str::from_utf8(&text)
            .ok()
            .and_then(parse)
            .ok_or_else(|| SealError::NotAKeyFile(self.0.clone()))
    }
}

/// The keys in the text of a file; none where a line is neither key nor comment.
fn parse(text: &str) -> Option<SealingKeys> {
    let lines = text.lines().map(|line| match line.split_once('#') {
        Some((before, _)) => before.trim(),
        None => line.trim(),
    });
    let mut keys = lines.filter(|line| !line.is_empty()).map(|line| {
        let (key, made) = match line.split_once(' ') {
            Some((key, made)) => (key, Some(UnixTime(made.trim().parse().ok()?))),
            None => (line, None),
        };
        let key = SealingKey::from_base64(&Secret::new(key)).ok()?;
        Some(DatedKey { key, made })
    });
    let current = keys.next()??;
    Some(SealingKeys {
        current,
        older: keys.collect::<Option<_>>()?,
    })
}

fn text_of(keys: &SealingKeys) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_LEN));
    for (place, DatedKey { key, made }) in keys.dated().enumerate() {
        let made = made.map_or(String::new(), |made| format!(" {}", made.0));
        // the key in use stands first in the file, before any comment
        let (before, behind) = match place {
            0 => ("", CURRENT),
            1 => (OLDER, ""),
            _ => ("", ""),
        };
        for part in [before, &key.to_base64(), &made, "\n", behind] {
            text.push_str(part);
        }
    }
    text
}

/// Makes the file under another name and links it into its place when it is on disk, so that there is never half a
/// key, and never one that takes the place of another.
fn make(path: &Path, text: &str) -> io::Result<()> {
    let dir = directory_of(path);
    let unique = URL_SAFE_NO_PAD.encode(entropy::random::<12>());
    // a name that nobody gives to a copy of their own
    let draft = dir.join(format!(".{KEY_FILE}.draft-{unique}"));
    let made = write_new(&draft, text.as_bytes()).and_then(|()| link_if_absent(&draft, path));
    let tidied = std::fs::remove_file(&draft);
    made.and(tidied)?;
    File::open(dir)?.sync_all()
}

/// Writes the file under another name, and gives it its own when it is on disk.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // where the name is a link, the file is elsewhere, and stays there
    let path = path.canonicalize()?;
    let dir = directory_of(&path);
    // one name, not a new one each time: what a crash leaves behind is gone with the next writing
    let draft = dir.join(format!("{KEY_FILE}.new"));
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&draft, text.as_bytes()).and_then(|()| std::fs::rename(&draft, &path));
    if let Err(error) = written {
        // best effort: the error that is told is the first one
        let _ = std::fs::remove_file(&draft);
        return Err(error);
    }
    File::open(dir)?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn link_if_absent(draft: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

const KEY_FILE: &str = "sealing.key";
const DRAFT: &[u8] = b".sealing.key.draft-";
const MAX_FILE_LEN: usize = 8 << 10;
const CURRENT: &str =
    "# The key that anteroom's store is sealed with: keep it secret, and in a backup.\n";
const OLDER: &str =
    "# Keys before it. anteroom takes them out when nothing is sealed with them any more.\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn ids(keys: &SealingKeys) -> Vec<String> {
        let ids = keys.ids();
        ids.map(|(id, made)| format!("{id} {made:?}")).collect()
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        let room = tempfile::tempdir().unwrap();
        let dir = room.path().join("a/data");
        let file = KeyFile::in_dir(&dir);
        assert!(file.read().unwrap().is_none());
        let made = file.read_or_make().unwrap();
        assert_eq!(ids(&file.read_or_make().unwrap()), ids(&made));
        assert_eq!(ids(&file.read().unwrap().unwrap()), ids(&made));
        assert_eq!((mode(&dir), mode(file.path())), (0o700, 0o600));
        let files = std::fs::read_dir(&dir).unwrap().count();
        assert_eq!(files, 1, "the draft is gone");
    }

    #[test]
    fn whoever_makes_the_key_file_at_once_gets_the_same_key() {
        let room = tempfile::tempdir().unwrap();
        let keys = std::thread::scope(|scope| {
            let make = || ids(&KeyFile::in_dir(room.path()).read_or_make().unwrap());
            let racers: Vec<_> = (0..16).map(|_| scope.spawn(make)).collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect::<std::collections::HashSet<_>>()
        });
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let room = tempfile::tempdir().unwrap();
        let file = KeyFile::in_dir(room.path());
        file.read_or_make().unwrap();
        for mode in [0o640, 0o604, 0o644] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), permissions).unwrap();
            let message = file.read_or_make().unwrap_err().to_string();
            assert!(message.contains("chmod 600"), "{message}");
        }
    }

    #[test]
    fn a_damaged_key_file_is_neither_used_nor_overwritten() {
        let room = tempfile::tempdir().unwrap();
        let file = KeyFile::in_dir(room.path());
        let key = SealingKey::random().to_base64();
        for content in [
            &b""[..],
            b"short",
            b"# a comment alone\n",
            &[0xFF; 40],
            &[b'A'; 4000],
            format!("{} yesterday\n", *key).as_bytes(),
            format!("{}\n{}\n", *key, &key[1..]).as_bytes(),
            format!("{}\n", *key).repeat(400).as_bytes(),
            // what is behind its end would be lost
            format!("{}\n#{}\n{}\n", *key, "x".repeat(MAX_FILE_LEN), *key).as_bytes(),
        ] {
            write_new(file.path(), content).unwrap();
            let error = file.read_or_make().unwrap_err();
            assert!(matches!(error, SealError::NotAKeyFile(_)), "{error}");
            assert_eq!(std::fs::read(file.path()).unwrap(), content);
            std::fs::remove_file(file.path()).unwrap();
        }
    }

    /// SEC-08
    #[test]
    fn a_file_of_several_keys_is_read_as_it_was_written() {
        let room = tempfile::tempdir().unwrap();
        let file = KeyFile::in_dir(room.path());
        let first = ids(&file.read_or_make().unwrap());
        for rotation in 1..4 {
            let keys = file.read().unwrap().unwrap();
            let rotated = keys.rotated(UnixTime(rotation));
            file.write(&rotated).unwrap();
            assert_eq!(ids(&file.read().unwrap().unwrap()), ids(&rotated));
            assert_eq!(ids(&rotated).last(), first.first());
            assert_eq!(mode(file.path()), 0o600);
            let files = std::fs::read_dir(room.path()).unwrap().count();
            assert_eq!(files, 1, "the draft is gone");
        }
    }

    /// SEC-08
    #[test]
    fn what_a_crash_left_of_a_rotation_is_in_nobodys_way() {
        let room = tempfile::tempdir().unwrap();
        let file = KeyFile::in_dir(room.path());
        let keys = file.read_or_make().unwrap();
        std::fs::write(room.path().join("sealing.key.new"), "half a k").unwrap();
        std::fs::write(room.path().join(".sealing.key.draft-ab"), "half a k").unwrap();
        let copy = room.path().join("sealing.key.2026-11-21-12-00");
        std::fs::copy(file.path(), &copy).unwrap();
        file.tidy().unwrap();
        assert!(!room.path().join(".sealing.key.draft-ab").exists());
        assert!(copy.exists(), "a copy of the operator's own");
        let found = file.read_or_make().unwrap();
        assert_eq!(ids(&found), ids(&keys));
        let rotated = found.rotated(UnixTime(1));
        file.write(&rotated).unwrap();
        assert_eq!(ids(&file.read().unwrap().unwrap()), ids(&rotated));
        assert_eq!(mode(file.path()), 0o600);
    }
}
