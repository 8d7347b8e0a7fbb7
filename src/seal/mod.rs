//! Sealing: what must not lie in the store in clear (AEAD), and marks that only we can make (HMAC), all from one key.

mod key;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use key::SealingKey;

/// What something is sealed or marked for. Each purpose has keys of its own, so that nothing can be passed off as
/// something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The provider's tokens in a session.
    UpstreamTokens,
    /// Our verifier and nonce in a sign-in that waits for the provider.
    PendingSignIn,
    /// The refresh token that took another's place.
    RefreshSuccessor,
    /// The request that a consent page is about.
    ConsentTicket,
    /// A private signing key.
    SigningKey,
    /// The mark in a refresh token that tells ours from made-up ones.
    RefreshTag,
    /// The binding of an MCP session id to a person and a client.
    McpSession,
    /// The address of a logo, in the link of a page to it.
    LogoLink,
    /// For whom, and in which browser, an account page was shown.
    AccountTicket,
}

impl Purpose {
    const ALL: [Self; 9] = [
        Self::UpstreamTokens,
        Self::PendingSignIn,
        Self::RefreshSuccessor,
        Self::ConsentTicket,
        Self::SigningKey,
        Self::RefreshTag,
        Self::McpSession,
        Self::LogoLink,
        Self::AccountTicket,
    ];

    /// Part of what the keys are derived from: never to be changed, or nothing that was kept can be opened.
    const fn label(self) -> &'static str {
        match self {
            Self::UpstreamTokens => "upstream-tokens",
            Self::PendingSignIn => "pending-sign-in",
            Self::RefreshSuccessor => "refresh-successor",
            Self::ConsentTicket => "consent-ticket",
            Self::SigningKey => "signing-key",
            Self::RefreshTag => "refresh-tag",
            Self::McpSession => "mcp-session",
            Self::LogoLink => "logo-link",
            Self::AccountTicket => "account-ticket",
        }
    }
}

/// Seals, opens and marks. Its keys are derived once; it is shared by all who need it.
#[derive(Debug)]
pub struct Sealer {
    key_id: [u8; KEY_ID_LEN],
    keys: Box<[PurposeKeys; Purpose::ALL.len()]>,
}

impl Sealer {
    /// Derives the keys of all purposes.
    #[must_use]
    pub fn new(key: &SealingKey) -> Self {
        // RFC 5869: the salt is public and may be fixed, since the key is uniformly random.
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"anteroom").extract(&*key.0);
        let mut key_id = [0; KEY_ID_LEN];
        key_id.copy_from_slice(&derive(&root, "all", "key-id")[..KEY_ID_LEN]);
        Self {
            key_id,
            keys: Box::new(Purpose::ALL.map(|purpose| PurposeKeys::derive(&root, purpose))),
        }
    }

    /// Encrypts `clear`. It opens again only for the same purpose and the same `context`, which names the place where
    /// it is kept: a row moved elsewhere does not open.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, context: &[u8], clear: &[u8]) -> Sealed {
        let mut bytes = Vec::with_capacity(HEADER_LEN + clear.len() + AES_256_GCM.tag_len());
        bytes.extend_from_slice(&self.key_id);
        bytes.extend_from_slice(&[0; NONCE_LEN]);
        bytes.extend_from_slice(clear);
        #[expect(
            clippy::expect_used,
            reason = "fails only beyond 64 GiB, or without randomness, when nothing is safe"
        )]
        let (nonce, tag) = self
            .keys(purpose)
            .seal
            .seal_in_place_separate_tag(Aad::from(context), &mut bytes[HEADER_LEN..])
            .expect("AES-256-GCM seals");
        bytes[KEY_ID_LEN..HEADER_LEN].copy_from_slice(nonce.as_ref());
        bytes.extend_from_slice(tag.as_ref());
        Sealed(bytes)
    }

    /// Decrypts what was sealed for this purpose and context.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] and [`SealError::Damaged`]
    pub fn open(
        &self,
        purpose: Purpose,
        context: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (key_id, rest) = sealed
            .0
            .split_first_chunk::<KEY_ID_LEN>()
            .ok_or(SealError::Damaged)?;
        if *key_id != self.key_id {
            return Err(SealError::OtherKey);
        }
        let (nonce, encrypted) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Damaged)?;
        let mut clear = Zeroizing::new(encrypted.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .keys(purpose)
            .seal
            .open_in_place(nonce, Aad::from(context), &mut clear)
            .map_err(|_| SealError::Damaged)?
            .len();
        clear.truncate(length);
        Ok(clear)
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

    /// A key for `purpose`, for those who seal or mark by other means.
    #[must_use]
    pub fn key_for(&self, purpose: Purpose) -> [u8; SealingKey::LEN] {
        *self.keys(purpose).other
    }

    fn keys(&self, purpose: Purpose) -> &PurposeKeys {
        &self.keys[purpose as usize]
    }
}

/// Something encrypted and authenticated: key id, nonce, ciphertext with tag.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The form for pages and URLs (base64url).
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// Reads what somebody presents; only [`Sealer::open`] can tell whether it is ours.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().map(Self)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// Why there is no key, or why something does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not base64, or not 32 bytes.
    #[error("the sealing key must be 32 bytes in base64: make one with `openssl rand -base64 32`")]
    NotAKey,
    /// The file is no key.
    #[error(
        "{} holds no sealing key (32 bytes in base64): bring the right file back from a backup",
        .0.display()
    )]
    NotAKeyFile(PathBuf),
    /// Others may read the file.
    #[error(
        "{path} can be read by others than its owner (mode {mode:04o}): run `chmod 600 {path}`",
        path = path.display()
    )]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file could not be read or made.
    #[error("{} cannot be read or made", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was sealed with another key.
    #[error("sealed with another key: bring back the sealing key that this store was made with")]
    OtherKey,
    /// It was cut or changed, or it was sealed for another purpose or place.
    #[error("the sealed value is damaged or out of its place")]
    Damaged,
}

impl SealError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

#[derive(Debug)]
struct PurposeKeys {
    seal: RandomizedNonceKey,
    tag: hmac::Key,
    other: Redacted,
}

impl PurposeKeys {
    fn derive(root: &hkdf::Prk, purpose: Purpose) -> Self {
        let key = |usage| derive(root, purpose.label(), usage);
        #[expect(clippy::expect_used, reason = "32 bytes are what AES-256 takes")]
        let seal = RandomizedNonceKey::new(&AES_256_GCM, &*key("seal")).expect("an AES-256 key");
        Self {
            seal,
            tag: hmac::Key::new(hmac::HMAC_SHA256, &*key("tag")),
            other: Redacted(key("key")),
        }
    }
}

struct Redacted(Zeroizing<[u8; SealingKey::LEN]>);

impl std::ops::Deref for Redacted {
    type Target = [u8; SealingKey::LEN];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redacted(..)")
    }
}

fn derive(root: &hkdf::Prk, purpose: &str, usage: &str) -> Zeroizing<[u8; SealingKey::LEN]> {
    let mut key = Zeroizing::new([0; SealingKey::LEN]);
    #[expect(clippy::expect_used, reason = "RFC 5869 §2.3 gives up to 255 blocks")]
    root.expand(
        &[purpose.as_bytes(), b"/", usage.as_bytes()],
        hkdf::HKDF_SHA256,
    )
    .and_then(|material| material.fill(&mut *key))
    .expect("one block of key material");
    key
}

const KEY_ID_LEN: usize = 4;
const HEADER_LEN: usize = KEY_ID_LEN + NONCE_LEN;
const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&SealingKey(Zeroizing::new([7; 32])))
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_place_alone() {
        let sealer = sealer();
        for clear in [&b""[..], b"gho_token", &[0xFF; 5000]] {
            let kept = sealer.seal(Purpose::UpstreamTokens, b"row 1", clear);
            let open = |purpose, context: &[u8]| sealer.open(purpose, context, &kept);
            assert_eq!(
                *open(Purpose::UpstreamTokens, b"row 1").unwrap(),
                clear.to_vec()
            );
            for purpose in Purpose::ALL {
                let right = purpose == Purpose::UpstreamTokens;
                assert_eq!(open(purpose, b"row 1").is_ok(), right, "{purpose:?}");
            }
            assert!(open(Purpose::UpstreamTokens, b"row 2").is_err());
            assert!(open(Purpose::UpstreamTokens, b"").is_err());
        }
    }

    #[test]
    fn a_changed_or_cut_value_does_not_open() {
        let sealer = sealer();
        let whole = sealer.seal(Purpose::ConsentTicket, b"", b"clear").0;
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                let opened = sealer.open(Purpose::ConsentTicket, b"", &Sealed(changed));
                assert!(opened.is_err(), "byte {at}, bit {bit}");
            }
            let cut = Sealed(whole[..at].to_vec());
            assert!(sealer.open(Purpose::ConsentTicket, b"", &cut).is_err());
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_the_same_way() {
        let sealer = sealer();
        let seal = || sealer.seal(Purpose::SigningKey, b"", b"same");
        assert_ne!(seal(), seal());
    }

    #[test]
    fn another_key_is_told_from_damage() {
        let sealed = Sealer::new(&SealingKey::random()).seal(Purpose::SigningKey, b"", b"key");
        let opened = sealer().open(Purpose::SigningKey, b"", &sealed);
        assert!(matches!(opened, Err(SealError::OtherKey)), "{opened:?}");
    }

    #[test]
    fn what_is_derived_never_changes() {
        // From an independent HKDF and HMAC: a change would make every store unreadable.
        let sealer = sealer();
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        };
        assert_eq!(hex(&sealer.key_id), "fde2a8e0");
        assert_eq!(
            hex(&sealer.tag(Purpose::RefreshTag, b"message")),
            "6df82c485a0ac209ef3120489b0339c2"
        );
        assert_eq!(
            hex(&sealer.key_for(Purpose::McpSession)),
            "876227c2aeb538f22c06a15287225d1db7c708fee07a5309ff417e3aa1dd8056"
        );
    }

    #[test]
    fn keys_and_tags_differ_by_purpose() {
        let sealer = sealer();
        for (i, one) in Purpose::ALL.into_iter().enumerate() {
            for other in &Purpose::ALL[i + 1..] {
                assert_ne!(sealer.key_for(one), sealer.key_for(*other));
                assert_ne!(sealer.tag(one, b"m"), sealer.tag(*other, b"m"));
            }
            assert_eq!(sealer.keys(one).other.len(), 32);
            assert_eq!(one as usize, i, "the table of keys is indexed by purpose");
        }
    }

    #[test]
    fn the_text_form_comes_back() {
        let sealed = sealer().seal(Purpose::ConsentTicket, b"", b"ticket");
        let text = sealed.to_text();
        assert_eq!(Sealed::from_text(&text), Some(sealed));
        for bad in ["a", "====", "a b", "ä"] {
            assert_eq!(Sealed::from_text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let key = SealingKey(Zeroizing::new([0x41; 32]));
        let sealer = Sealer::new(&key);
        let kept = sealer.seal(Purpose::SigningKey, b"", b"AAAA");
        assert_eq!(format!("{key:?} {kept:?}"), "SealingKey(..) Sealed(..)");
        assert!(!format!("{sealer:?}").contains("65, 65"));
    }
}
