//! The key that everything is sealed with: given, or made once in a file that its owner alone can read.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::SealError;
use crate::entropy;
use crate::secret::Secret;

/// The key that all others are derived from: 32 bytes, wiped when dropped.
pub struct SealingKey(pub(super) Zeroizing<[u8; SealingKey::LEN]>);

impl SealingKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// A key for one life of the process: what is sealed with it lies in memory alone.
    #[must_use]
    pub fn random() -> Self {
        Self(Zeroizing::new(entropy::random()))
    }

    /// The key that the configuration gives.
    ///
    /// # Errors
    /// [`SealError::NotAKey`]
    pub fn from_base64(text: &Secret) -> Result<Self, SealError> {
        let bytes = BASE64
            .decode(text.expose().trim())
            .map(Zeroizing::new)
            .map_err(|_| SealError::NotAKey)?;
        let bytes = <[u8; Self::LEN]>::try_from(bytes.as_slice());
        bytes
            .map(|bytes| Self(Zeroizing::new(bytes)))
            .map_err(|_| SealError::NotAKey)
    }

    /// The key in the file `sealing.key` in `dir`; the file, readable by its owner alone, and the directory are made
    /// where they are missing. Of several processes that make the file at once, one does, and all get its key.
    ///
    /// # Errors
    /// Where the file cannot be read or made, is open to others, or is no key.
    pub fn in_dir(dir: &Path) -> Result<Self, SealError> {
        let path = dir.join(KEY_FILE);
        match read_key(&path) {
            Err(SealError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                make_key(dir, &path).map_err(|source| SealError::io(&path, source))?;
                read_key(&path)
            }
            found => found,
        }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

fn read_key(path: &Path) -> Result<SealingKey, SealError> {
    let file = File::open(path).map_err(|source| SealError::io(path, source))?;
    let metadata = file
        .metadata()
        .map_err(|source| SealError::io(path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SealError::OpenToOthers {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE_LEN));
    file.take(MAX_FILE_LEN as u64)
        .read_to_end(&mut text)
        .map_err(|source| SealError::io(path, source))?;
    std::str::from_utf8(&text)
        .ok()
        .and_then(|text| SealingKey::from_base64(&Secret::new(text)).ok())
        .ok_or_else(|| SealError::NotAKeyFile(path.to_owned()))
}

/// Makes the file under another name and links it into its place when it is on disk, so that there is never half a
/// key, and never one that takes the place of another.
fn make_key(dir: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let unique = URL_SAFE_NO_PAD.encode(entropy::random::<12>());
    let draft = dir.join(format!("{KEY_FILE}.{unique}"));
    let key = Zeroizing::new(entropy::random::<{ SealingKey::LEN }>());
    let text = Zeroizing::new(BASE64.encode(*key) + "\n");
    let made = write_new(&draft, text.as_bytes()).and_then(|()| link_if_absent(&draft, path));
    let tidied = std::fs::remove_file(&draft);
    made.and(tidied)?;
    File::open(dir)?.sync_all()
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
const MAX_FILE_LEN: usize = 256;

/// Standard base64; the padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose;

    #[test]
    fn a_key_is_32_bytes_of_base64() {
        let right = general_purpose::STANDARD.encode([1; 32]);
        for (text, accepted) in [
            (right.clone(), true),
            (format!(" {right}\n"), true),
            (right.trim_end_matches('=').to_owned(), true),
            (general_purpose::STANDARD.encode([1; 31]), false),
            (general_purpose::STANDARD.encode([1; 33]), false),
            (String::new(), false),
            ("not base64 at all!".to_owned(), false),
        ] {
            let read = SealingKey::from_base64(&Secret::new(text.clone()));
            assert_eq!(read.is_ok(), accepted, "{text:?}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        let room = tempfile::tempdir().unwrap();
        let dir = room.path().join("a/data");
        let made = SealingKey::in_dir(&dir).unwrap();
        let again = SealingKey::in_dir(&dir).unwrap();
        assert_eq!(*made.0, *again.0);
        let bits = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(bits(&dir), 0o700);
        assert_eq!(bits(&dir.join(KEY_FILE)), 0o600);
        let files = std::fs::read_dir(&dir).unwrap().count();
        assert_eq!(files, 1, "the draft is gone");
    }

    #[test]
    fn whoever_makes_the_key_file_at_once_gets_the_same_key() {
        let room = tempfile::tempdir().unwrap();
        let keys = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| *SealingKey::in_dir(room.path()).unwrap().0))
                .collect();
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
        SealingKey::in_dir(room.path()).unwrap();
        let path = room.path().join(KEY_FILE);
        for mode in [0o640, 0o604, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let message = SealingKey::in_dir(room.path()).unwrap_err().to_string();
            assert!(message.contains("chmod 600"), "{message}");
        }
    }

    #[test]
    fn a_damaged_key_file_is_neither_used_nor_overwritten() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join(KEY_FILE);
        for content in [&b""[..], b"short", &[0xFF; 40], &[b'A'; 4000]] {
            write_new(&path, content).unwrap();
            let error = SealingKey::in_dir(room.path()).unwrap_err();
            assert!(matches!(error, SealError::NotAKeyFile(_)), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), content);
            std::fs::remove_file(&path).unwrap();
        }
    }
}
