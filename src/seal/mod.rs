//! Sealing: what must not lie in the store in clear (AEAD), with a ring of keys, and marks that only we can make (HMAC),
//! with keys that never change.

mod file;
mod key;
mod marks;
mod sealer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use file::KeyFile;
pub use key::{KeyId, SealingKey, SealingKeys};
pub use marks::Marks;
pub use sealer::Sealer;

/// What something is sealed or marked for. Each purpose has keys of its own, so that nothing can be passed off as
/// something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The provider's tokens in a grant.
    UpstreamTokens,
    /// Our verifier and nonce in a sign-in that waits for the provider.
    PendingSignIn,
    /// The refresh token that took another's place.
    RefreshSuccessor,
    /// The request that a consent page is about.
    ConsentTicket,
    /// The private signing keys.
    SigningKey,
    /// The mark in a refresh token that tells ours from made-up ones.
    RefreshTag,
    /// The binding of an MCP session id to a person and a client.
    McpSession,
    /// The address of a logo, in the link of a page to it.
    LogoLink,
    /// What the keys of all marks are derived from.
    Marks,
    /// For whom, and in which browser, an account page was shown.
    AccountTicket,
}

impl Purpose {
    const ALL: [Self; 10] = [
        Self::UpstreamTokens,
        Self::PendingSignIn,
        Self::RefreshSuccessor,
        Self::ConsentTicket,
        Self::SigningKey,
        Self::RefreshTag,
        Self::McpSession,
        Self::LogoLink,
        Self::Marks,
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
            Self::Marks => "marks",
            Self::AccountTicket => "account-ticket",
        }
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

    /// The key that it says to be sealed with.
    fn key_id(&self) -> Option<KeyId> {
        KeyId::of_bytes(&self.0)
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
    /// The file is gone, and the store is sealed with a key of it.
    #[error(
        "{} is missing, and what is in {} is sealed with the key in it: bring it back from a backup, or delete the store: \
         everybody has to sign in again; where sealing_key gave the key until now, write it there again",
        file.display(),
        store.display()
    )]
    MissingKeyFile {
        /// Which file.
        file: PathBuf,
        /// Where the store is.
        store: PathBuf,
    },
    /// The file is gone while the process runs.
    #[error(
        "{} is gone, and nobody else has the key in it: do not restart anteroom before it is there again, from a backup; \
         nothing in the store can be read without it",
        .0.display()
    )]
    LostKeyFile(PathBuf),
    /// The file has been exchanged while the process runs.
    #[error(
        "{} is not the file that this process was started with: the key that it seals with is not in it; bring the \
         right file back before anteroom is restarted: the store is sealed with the key of that one",
        .0.display()
    )]
    OtherKeyFile(PathBuf),
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
    /// The file could not be read or written.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was sealed with another key.
    #[error(
        "sealed with another key: bring back the sealing key that this store was made with, which is in sealing.key of \
         data_dir, or was given by sealing_key; where sealing_key takes its place, name it in sealing_keys_before, such \
         as [\"file:/var/lib/anteroom/sealing.key\"]"
    )]
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

/// What all keys are derived from: 32 bytes that are uniformly random, so that the salt may be public and fixed
/// (RFC 5869 §3.1).
fn root(secret: &[u8; SealingKey::LEN]) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"anteroom").extract(secret)
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
