//! The keys that everything is sealed with: one that seals, and those before it, which only open.

use std::fmt;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::{SealError, derive, root};
use crate::clock::UnixTime;
use crate::entropy;
use crate::secret::Secret;

/// The key that all others are derived from: 32 bytes, wiped when dropped.
#[derive(Clone)]
pub struct SealingKey(pub(super) Zeroizing<[u8; SealingKey::LEN]>);

impl SealingKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// A new key.
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

    /// The form for the file.
    pub(super) fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(*self.0))
    }

    /// What it is called in what it has sealed.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut id = [0; KeyId::LEN];
        id.copy_from_slice(&derive(&root(&self.0), "all", "key-id")[..KeyId::LEN]);
        KeyId(id)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// What a sealing key is called: it follows from the key, and tells nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KeyId::LEN]);

impl KeyId {
    pub(super) const LEN: usize = 4;

    pub(super) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Reads it where it stands first.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// All sealing keys, newest first. There is always one.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    pub(super) current: DatedKey,
    pub(super) older: Vec<DatedKey>,
}

/// A key, and when it was made, where that is known.
#[derive(Clone, Debug)]
pub(super) struct DatedKey {
    pub(super) key: SealingKey,
    pub(super) made: Option<UnixTime>,
}

impl DatedKey {
    pub(super) fn undated(key: SealingKey) -> Self {
        Self { key, made: None }
    }
}

impl SealingKeys {
    /// One key.
    #[must_use]
    pub fn one(key: SealingKey) -> Self {
        Self::given(key, Vec::new())
    }

    /// A key that seals, and those before it, newest first.
    #[must_use]
    pub fn given(current: SealingKey, before: Vec<SealingKey>) -> Self {
        let mut keys = Self {
            current: DatedKey::undated(current),
            older: Vec::new(),
        };
        for key in before {
            if !keys.contains(key.id()) {
                keys.older.push(DatedKey::undated(key));
            }
        }
        keys
    }

    /// A new key seals from `now` on, and these only open.
    #[must_use]
    pub fn rotated(self, now: UnixTime) -> Self {
        let mut key = SealingKey::random();
        // an id is short: two keys of the same one could not be told apart
        while self.contains(key.id()) {
            key = SealingKey::random();
        }
        let mut older = self.older;
        older.insert(0, self.current);
        Self {
            current: DatedKey {
                key,
                made: Some(now),
            },
            older,
        }
    }

    /// The same where it is not known since when the key that seals does so, and older ones wait for their end: it counts
    /// from `now`. `None` where there is nothing to be noted.
    #[must_use]
    pub fn dated_from(&self, now: UnixTime) -> Option<Self> {
        if self.current.made.is_some() || self.older.is_empty() {
            return None;
        }
        let mut keys = self.clone();
        keys.current.made = Some(now);
        Some(keys)
    }

    /// The same without those older ones that another key took the place of at `moment` or before.
    #[must_use]
    pub fn without_those_replaced_by(self, moment: UnixTime) -> Self {
        let mut replaced = self.current.made;
        let mut left = Vec::new();
        for key in self.older {
            let is_due = replaced.is_none_or(|replaced| replaced <= moment);
            // of one that somebody wrote there by hand it is known that it came before the next one
            replaced = key.made.or(replaced);
            if !is_due {
                left.push(key);
            }
        }
        Self {
            current: self.current,
            older: left,
        }
    }

    /// The keys, newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SealingKey> {
        self.dated().map(|dated| &dated.key)
    }

    pub(super) fn dated(&self) -> impl Iterator<Item = &DatedKey> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// What the key that seals is called, and when it was made, where that is known.
    #[must_use]
    pub fn current(&self) -> (KeyId, Option<UnixTime>) {
        (self.current.key.id(), self.current.made)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.older.len()
    }

    /// What they are called, newest first, and when each was made, where that is known.
    pub fn ids(&self) -> impl Iterator<Item = (KeyId, Option<UnixTime>)> {
        self.dated().map(|dated| (dated.key.id(), dated.made))
    }

    /// Whether a key of this name is among them.
    #[must_use]
    pub fn contains(&self, id: KeyId) -> bool {
        self.iter().any(|key| key.id() == id)
    }
}

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

    /// SEC-08
    #[test]
    fn an_older_key_stays_until_it_was_replaced_long_enough_ago() {
        let keys = SealingKeys::one(SealingKey::random())
            .rotated(UnixTime(100))
            .rotated(UnixTime(200))
            .rotated(UnixTime(300));
        let all: Vec<_> = keys.ids().map(|(id, _)| id).collect();
        assert_eq!(all.len(), 4);
        let mut keys = keys;
        for (moment, left) in [(0, 4), (99, 4), (100, 3), (250, 2), (299, 2), (300, 1)] {
            keys = keys.without_those_replaced_by(UnixTime(moment));
            let ids: Vec<_> = keys.ids().map(|(id, _)| id).collect();
            assert_eq!(ids, all[..left], "{moment}");
        }
    }

    /// SEC-08
    #[test]
    fn keys_that_somebody_wrote_down_without_a_date_are_dated_when_they_are_seen() {
        let random = SealingKey::random;
        let alone = SealingKeys::one(random());
        assert!(alone.dated_from(UnixTime(100)).is_none());
        let keys = SealingKeys::given(random(), vec![random(), random()]);
        let keys = keys.dated_from(UnixTime(100)).unwrap();
        assert!(keys.dated_from(UnixTime(200)).is_none());
        let keys = keys.without_those_replaced_by(UnixTime(99));
        assert_eq!(keys.count(), 3);
        assert_eq!(keys.without_those_replaced_by(UnixTime(100)).count(), 1);
    }
}
