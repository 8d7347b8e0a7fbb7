//! Marks that only we can make (HMAC), from a secret of their own: they outlive every sealing key.

use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::{Purpose, SealingKey, derive, root};
use crate::entropy;

/// Makes marks. Its secret is made once and never changes, or everybody would have to sign in again: their refresh tokens
/// bear marks. It is kept, sealed, in the store.
pub struct Marks(Box<[MarkKeys; Purpose::ALL.len()]>);

impl Marks {
    /// Bytes of the secret.
    pub const LEN: usize = SealingKey::LEN;

    /// A new secret.
    #[must_use]
    pub fn make_secret() -> Zeroizing<[u8; Self::LEN]> {
        Zeroizing::new(entropy::random())
    }

    /// Derives the keys of all purposes.
    #[must_use]
    pub fn new(secret: &[u8; Self::LEN]) -> Self {
        let root = root(secret);
        Self(Box::new(Purpose::ALL.map(|purpose| {
            let key = |usage| derive(&root, purpose.label(), usage);
            MarkKeys {
                tag: hmac::Key::new(hmac::HMAC_SHA256, &*key("tag")),
                other: key("key"),
            }
        })))
    }

    /// A mark on `message` that nobody else can make (HMAC-SHA256, its first half). Compare with
    /// [`crate::secret::same`].
    #[must_use]
    pub fn tag(&self, purpose: Purpose, message: &[u8]) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        let whole = hmac::sign(&self.keys(purpose).tag, message);
        tag.copy_from_slice(&whole.as_ref()[..TAG_LEN]);
        tag
    }

    /// A key for `purpose`, for those who mark by other means.
    #[must_use]
    pub fn key_for(&self, purpose: Purpose) -> [u8; Self::LEN] {
        *self.keys(purpose).other
    }

    fn keys(&self, purpose: Purpose) -> &MarkKeys {
        &self.0[purpose as usize]
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks(..)")
    }
}

struct MarkKeys {
    tag: hmac::Key,
    other: Zeroizing<[u8; Marks::LEN]>,
}

const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_never_changes() {
        // From an independent HKDF and HMAC: a change would log everybody out.
        let marks = Marks::new(&[7; 32]);
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        };
        assert_eq!(
            hex(&marks.tag(Purpose::RefreshTag, b"message")),
            "6df82c485a0ac209ef3120489b0339c2"
        );
        assert_eq!(
            hex(&marks.key_for(Purpose::McpSession)),
            "876227c2aeb538f22c06a15287225d1db7c708fee07a5309ff417e3aa1dd8056"
        );
    }

    #[test]
    fn keys_and_tags_differ_by_purpose_and_by_secret() {
        let (marks, others) = (Marks::new(&[7; 32]), Marks::new(&Marks::make_secret()));
        for (i, one) in Purpose::ALL.into_iter().enumerate() {
            for other in &Purpose::ALL[i + 1..] {
                assert_ne!(marks.key_for(one), marks.key_for(*other));
                assert_ne!(marks.tag(one, b"m"), marks.tag(*other, b"m"));
            }
            assert_ne!(marks.tag(one, b"m"), others.tag(one, b"m"));
            assert_ne!(marks.key_for(one), others.key_for(one));
        }
        assert_eq!(format!("{marks:?}"), "Marks(..)");
    }
}
