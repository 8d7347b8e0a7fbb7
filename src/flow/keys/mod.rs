//! The keys of the server: which there are, and how another takes the place of one without anybody noticing.
//!
//! A signing key is published before it signs, and accepted until nothing that it signed can be good. A sealing key seals
//! at once; what older ones sealed is sealed anew, a little at a time, and they are dropped when nothing is left of it.
//! Marks, in refresh tokens and MCP session ids, are made with a secret that never changes.
//!
//! A signing key that leaked: whoever has it can make access tokens for a session that is in force, if they know its id (it
//! stands in the log, and in the tokens of the session) and whose it is, with any scopes that are open to that person.
//! Rotate it (`anteroom keys rotate`, or another `tokens.signing_key` and a restart), and end the sessions (`anteroom
//! sessions revoke --all`): what was made for them is worth nothing at once, and the ids of the next ones nobody knows. Yet
//! those who sign in meanwhile can make tokens for themselves, and others who check our tokens by the key set know of no
//! sessions: for them the key is good until it is not published any more, which is [`PUBLISHED_BEFORE`], the longest life
//! of its tokens and a minute after the rotation. There is nothing faster but to stop anteroom and delete the store.

mod sealing;
mod signing;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use crate::clock::UnixTime;
use crate::jwt::keys::KeyError;
use crate::seal::{KeyFile, KeyId, SealError, SealingKeys};
use crate::store::StoreError;

use super::Flows;

pub use sealing::open_marks;
pub use signing::{SigningSource, are_kept, open_signing_keys};

/// How long a key set may be kept by those who fetch it, and the well-known documents with it.
pub const KEY_SET_KEPT: Duration = Duration::from_secs(300);

/// How long a signing key is published before it signs (AT-08): until everybody who keeps key sets has it, another
/// instance has seen it in the store, and clocks that differ a little agree.
pub const PUBLISHED_BEFORE: Duration = Duration::from_secs(KEY_SET_KEPT.as_secs() + 120);

/// How long an older sealing key is kept at least. Tickets, sign-ins under way and answers to be repeated are sealed with
/// it, nobody seals them anew, and none of them lives longer than a quarter of that.
pub const SEALED_KEPT: Duration = Duration::from_secs(3600);

/// Where the keys of a server come from, and so what can be done about them.
#[derive(Debug)]
pub struct KeySources {
    /// The signing keys.
    pub signing: SigningSource,
    /// The sealing keys.
    pub sealing: SealingSource,
    /// One change at a time, so that what is in use is what was kept last.
    changing: Arc<tokio::sync::Mutex<()>>,
    /// With which key everything that is kept has been found to be sealed.
    resealed: Mutex<Option<KeyId>>,
    /// What our own file holds, so that it can be written again.
    own: Mutex<Option<SealingKeys>>,
}

impl KeySources {
    /// Where they come from.
    #[must_use]
    pub fn new(signing: SigningSource, sealing: SealingSource) -> Self {
        Self {
            signing,
            sealing,
            changing: Arc::default(),
            resealed: Mutex::default(),
            own: Mutex::default(),
        }
    }

    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.changing).lock_owned().await
    }
}

/// Where sealing keys come from.
#[derive(Clone, Debug)]
pub enum SealingSource {
    /// From our own file.
    File(KeyFile),
    /// From the configuration.
    Configured,
    /// Nowhere: it lives as long as the store in memory.
    Memory,
}

/// One of the keys, without anything secret of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// What it does.
    pub kind: KeyKind,
    /// Its `kid`, or what it is called in what it has sealed.
    pub id: String,
    /// What it signs or seals with.
    pub algorithm: &'static str,
    /// When it was made or brought, where that is known.
    pub made: Option<UnixTime>,
    /// Whether it does it now.
    pub state: KeyState,
    /// Until when it is in this state, where that is decided. An older sealing key is kept until then at least.
    pub until: Option<UnixTime>,
}

/// What keys do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// It signs access tokens.
    Signing,
    /// It seals what is kept.
    Sealing,
}

/// Where in its life a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is published, and does not sign yet.
    Published,
    /// It signs, or seals.
    InUse,
    /// Another does; what it signed is accepted, and what it sealed opens.
    Retired,
}

impl KeyState {
    /// The state in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::InUse => "in use",
            Self::Retired => "retired",
        }
    }
}

/// Why keys are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyChangeError {
    /// The configuration gives the signing key.
    #[error(
        "the signing key is given by tokens.signing_key: put another key there and restart anteroom; tokens of the one \
         before stay good for their life"
    )]
    SigningKeyIsGiven,
    /// The configuration gives the sealing key.
    #[error(
        "the sealing key is given by sealing_key: put a new one there (make it with `openssl rand -base64 32`) and the \
         present one into sealing_keys_before, and restart anteroom; it may be taken out when the log says so"
    )]
    SealingKeyIsGiven,
    /// There is nothing that a new sealing key would protect.
    #[error(
        "the store is in memory, and its sealing key with it: a restart makes a new one, and empties the store"
    )]
    InMemory,
    /// So many at once are of no use to anybody.
    #[error(
        "there are {0} sealing keys already: the older ones go an hour after they were replaced, when nothing is \
         sealed with them any more; try again then"
    )]
    TooMany(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key could not be made, or cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What is sealed does not open, or the file of the sealing keys cannot be used.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Flows {
    /// The body of the JWKS document.
    #[must_use]
    pub fn jwks(&self) -> Bytes {
        self.keys.jwks(self.now())
    }

    /// Every key that is accepted, signing keys first, oldest first.
    ///
    /// # Errors
    /// Where the store fails, or the keys in it cannot be read.
    pub async fn list_keys(&self) -> Result<Vec<KnownKey>, KeyChangeError> {
        let mut keys = self.list_signing_keys().await?;
        keys.extend(self.list_sealing_keys().await?);
        Ok(keys)
    }

    /// What is to be done about keys from time to time: see what another instance has changed, drop what is past, and seal
    /// anew what an older key sealed. Whatever breaks off goes on with the next call, in this process or the next one.
    ///
    /// # Errors
    /// The first failure; what was done before stays done.
    pub async fn tend_keys(&self) -> Result<(), KeyChangeError> {
        self.tend_signing_keys().await?;
        self.tend_sealing_keys().await
    }
}
