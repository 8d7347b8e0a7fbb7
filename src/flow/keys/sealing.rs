//! Sealing keys: another one seals, what older ones sealed is sealed anew, and then they are dropped.

use std::sync::PoisonError;

use futures_util::future::try_join_all;
use tokio::sync::OwnedMutexGuard;

use crate::clock::UnixTime;
use crate::event::Event;
use crate::protocol::grant::Grant;
use crate::seal::{KeyFile, KeyId, Marks, Purpose, SealError, Sealer, SealingKeys};
use crate::store::{Store, StoreError};

use super::{Flows, KeyChangeError, KeyKind, KeyState, KnownKey, SEALED_KEPT, SealingSource};

/// The name in the store of what all marks are made from.
const MARKS: &str = "marks";

/// Grants that are sealed anew at once: few, so that nobody waits for the writer, and enough to share its flushes.
const STEP: usize = 32;

/// Sealing keys at once.
const MOST: usize = 16;

/// What marks are made with: made once, and kept, sealed, in the store.
///
/// # Errors
/// Where the store fails, or what it has does not open.
pub async fn open_marks(store: &dyn Store, sealer: &Sealer) -> Result<Marks, KeyChangeError> {
    let kept = if let Some(kept) = store.find_key(MARKS).await? {
        kept
    } else {
        let secret = Marks::make_secret();
        let fresh = sealer.seal(Purpose::Marks, MARKS.as_bytes(), &*secret);
        // somebody else may be first: then theirs is ours
        store.put_key_if_absent(MARKS, fresh).await?
    };
    let clear = sealer.open(Purpose::Marks, MARKS.as_bytes(), &kept)?;
    let secret = clear.as_slice().try_into();
    Ok(Marks::new(secret.map_err(|_| SealError::Damaged)?))
}

impl Flows {
    /// Makes a sealing key, and seals with it as soon as it is on the disk. What was sealed before is sealed anew by
    /// [`Self::tend_keys`].
    ///
    /// # Errors
    /// Where the file of the keys is not ours, or cannot be written: then nothing has changed.
    pub async fn rotate_sealing_key(&self) -> Result<KnownKey, KeyChangeError> {
        let file = match &self.key_sources.sealing {
            SealingSource::File(file) => file.clone(),
            SealingSource::Configured => return Err(KeyChangeError::SealingKeyIsGiven),
            SealingSource::Memory => return Err(KeyChangeError::InMemory),
        };
        let turn = self.key_sources.turn().await;
        let keys = self.read_own(&file).await?;
        if keys.count() >= MOST {
            return Err(KeyChangeError::TooMany(keys.count()));
        }
        let keys = keys.rotated(self.now());
        let (keys, _turn) = write(file, keys, turn).await?;
        self.sealer.exchange(&keys);
        self.keep_own(&keys);
        let (id, made) = keys.current();
        tell(id, "made; it seals from now on");
        Ok(known(id, made, KeyState::InUse, None))
    }

    /// Seals anew what older keys sealed, and drops those of our file that nothing needs any more.
    pub(super) async fn tend_sealing_keys(&self) -> Result<(), KeyChangeError> {
        let longest_ago = UnixTime(self.now().0.saturating_sub_unsigned(SEALED_KEPT.as_secs()));
        let mut is_due = false;
        if let SealingSource::File(file) = &self.key_sources.sealing {
            let mut turn = self.key_sources.turn().await;
            let mut keys = self.read_own(file).await?;
            if let Some(dated) = keys.dated_from(self.now()) {
                (keys, turn) = write(file.clone(), dated, turn).await?;
            }
            let is_taken_up = keys.ids().map(|(id, _)| id).eq(self.key_ids());
            if !is_taken_up {
                // a change that broke off after it was written: what is older was in use until now
                self.sealer.exchange(&keys);
            }
            let count = keys.count();
            is_due = is_taken_up && keys.without_those_replaced_by(longest_ago).count() < count;
            drop(turn);
        }
        let (current, older) = self.sealer.key_ids();
        if older.is_empty() || (self.is_resealed(current) && !is_due) {
            return Ok(());
        }
        if !self.reseal().await? || self.sealer.key_ids().0 != current {
            return Ok(());
        }
        self.note_resealed(current);
        match &self.key_sources.sealing {
            SealingSource::File(file) if is_due => {
                self.drop_older(file, current, longest_ago).await
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn list_sealing_keys(&self) -> Result<Vec<KnownKey>, KeyChangeError> {
        let keys: Vec<_> = match &self.key_sources.sealing {
            SealingSource::File(file) => self.read_own(file).await?.ids().collect(),
            _ => self.key_ids().map(|id| (id, None)).collect(),
        };
        let mut replaced = None;
        let mut known_keys = Vec::with_capacity(keys.len());
        for (place, (id, made)) in keys.into_iter().enumerate() {
            let (state, until) = match place {
                0 => (KeyState::InUse, None),
                _ => (
                    KeyState::Retired,
                    replaced.map(|moment: UnixTime| moment + SEALED_KEPT),
                ),
            };
            known_keys.push(known(id, made, state, until));
            replaced = made;
        }
        known_keys.reverse();
        Ok(known_keys)
    }

    /// Drops keys with which nothing is sealed that anybody will open.
    async fn drop_older(
        &self,
        file: &KeyFile,
        current: KeyId,
        replaced_by: UnixTime,
    ) -> Result<(), KeyChangeError> {
        let turn = self.key_sources.turn().await;
        let keys = self.read_own(file).await?;
        // another rotation: it is to be seen again then what is sealed with what
        if keys.current().0 != current {
            return Ok(());
        }
        let before: Vec<_> = keys.ids().map(|(id, _)| id).collect();
        let left = keys.without_those_replaced_by(replaced_by);
        let (left, _turn) = write(file.clone(), left, turn).await?;
        self.sealer.exchange(&left);
        for id in before.into_iter().filter(|id| !left.contains(*id)) {
            tell(id, "dropped: nothing is sealed with it any more");
        }
        Ok(())
    }

    /// Seals anew everything that an older key sealed and that is kept for longer than [`SEALED_KEPT`]: whoever seals more
    /// of that kind adds it here. `false` where something may be left,
    /// because somebody changed it meanwhile.
    async fn reseal(&self) -> Result<bool, KeyChangeError> {
        let mut whole = self.reseal_signing_keys().await?;
        whole &= self.reseal_key(MARKS, Purpose::Marks).await?;
        let (mut after, mut unreadable) = (None, 0_usize);
        loop {
            let grants = self.store.list_grants(after, STEP, self.now()).await?;
            let Some(last) = grants.last() else { break };
            after = Some(last.key());
            let stale = grants
                .iter()
                .filter(|grant| !self.sealer.is_current(&grant.tokens));
            let outcomes = try_join_all(stale.map(|grant| self.reseal_grant(grant))).await?;
            for outcome in outcomes {
                match outcome {
                    Resealed::Done => {}
                    Resealed::Overtaken => whole = false,
                    Resealed::Unreadable => unreadable += 1,
                }
            }
        }
        if unreadable > 0 {
            tracing::warn!(
                unreadable,
                "what providers gave for some people does not open with any sealing key: they have to sign in again"
            );
        }
        Ok(whole)
    }

    /// Only the sealing of the tokens changes: whoever has seen the grant before, and wants to change it, looks again.
    async fn reseal_grant(&self, grant: &Grant) -> Result<Resealed, StoreError> {
        let context = grant.subject().as_str().as_bytes();
        let resealed = self
            .sealer
            .reseal(Purpose::UpstreamTokens, context, &grant.tokens);
        let tokens = match resealed {
            Ok(Some(tokens)) => tokens,
            Ok(None) => return Ok(Resealed::Done),
            Err(_) => return Ok(Resealed::Unreadable),
        };
        let after = Grant {
            tokens,
            ..grant.clone()
        };
        let changed = self.store.change_grant(grant, after, self.now()).await?;
        Ok(if changed {
            Resealed::Done
        } else {
            Resealed::Overtaken
        })
    }

    /// The keys in the file, which must be the one that this process seals with. Where it is gone it is written again.
    async fn read_own(&self, file: &KeyFile) -> Result<SealingKeys, KeyChangeError> {
        let (current, _) = self.sealer.key_ids();
        let keys = match read(file).await? {
            Some(keys) => keys,
            None => self.write_again(file, current).await?,
        };
        if !keys.contains(current) {
            return Err(SealError::OtherKeyFile(file.path().to_owned()).into());
        }
        self.keep_own(&keys);
        Ok(keys)
    }

    fn keep_own(&self, keys: &SealingKeys) {
        let own = self.key_sources.own.lock();
        *own.unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
    }

    /// Nobody else may have the keys that were in the file, and the next process cannot read the store without them. The
    /// file is made where there is none, and takes the place of nobody's.
    async fn write_again(
        &self,
        file: &KeyFile,
        current: KeyId,
    ) -> Result<SealingKeys, KeyChangeError> {
        let own = self.key_sources.own.lock();
        let own = own.unwrap_or_else(PoisonError::into_inner).clone();
        let lost = || SealError::LostKeyFile(file.path().to_owned());
        let own = own.filter(|own| own.contains(current)).ok_or_else(lost)?;
        let to_write = file.clone();
        let written = tokio::task::spawn_blocking(move || to_write.write_if_absent(&own));
        if let Err(error) = written.await.map_err(broke_off)? {
            tracing::error!(%error, "the file of the sealing keys is gone, and cannot be written again");
            return Err(lost().into());
        }
        // nothing, where its name is a link to what is gone
        let keys = read(file).await?.ok_or_else(lost)?;
        tell(current, "its file was gone, and is written again");
        Ok(keys)
    }

    fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        let (current, older) = self.sealer.key_ids();
        std::iter::once(current).chain(older)
    }

    fn is_resealed(&self, current: KeyId) -> bool {
        let resealed = self.key_sources.resealed.lock();
        *resealed.unwrap_or_else(PoisonError::into_inner) == Some(current)
    }

    fn note_resealed(&self, current: KeyId) {
        let resealed = self.key_sources.resealed.lock();
        let before = resealed
            .unwrap_or_else(PoisonError::into_inner)
            .replace(current);
        if before != Some(current) {
            tell(current, "all that is kept is sealed with it");
            if matches!(self.key_sources.sealing, SealingSource::Configured) {
                tracing::info!(
                    "everything is sealed with sealing_key: in an hour, sealing_keys_before can be taken out"
                );
            }
        }
    }
}

/// What became of one grant.
enum Resealed {
    /// It is sealed with the key in use.
    Done,
    /// Somebody changed it meanwhile: they may have sealed it with an older key before it was exchanged.
    Overtaken,
    /// No key opens it.
    Unreadable,
}

async fn read(file: &KeyFile) -> Result<Option<SealingKeys>, KeyChangeError> {
    let file = file.clone();
    let read = tokio::task::spawn_blocking(move || file.read());
    Ok(read.await.map_err(broke_off)??)
}

/// Writes the keys to the disk. The turn goes with them: if whoever asked for it goes away, the next one still waits until
/// it is done.
async fn write(
    file: KeyFile,
    keys: SealingKeys,
    turn: OwnedMutexGuard<()>,
) -> Result<(SealingKeys, OwnedMutexGuard<()>), KeyChangeError> {
    let written = tokio::task::spawn_blocking(move || {
        let written = file.write(&keys);
        written.map(|()| (keys, turn))
    });
    Ok(written.await.map_err(broke_off)??)
}

fn broke_off(error: tokio::task::JoinError) -> StoreError {
    StoreError::because("the file of the sealing keys: work on it broke off", error)
}

fn known(id: KeyId, made: Option<UnixTime>, state: KeyState, until: Option<UnixTime>) -> KnownKey {
    KnownKey {
        kind: KeyKind::Sealing,
        id: id.to_string(),
        algorithm: "AES-256-GCM",
        made,
        state,
        until,
    }
}

fn tell(key: KeyId, what: &'static str) {
    let key = &key.to_string();
    Event::KeysChanged { key, what }.tell();
}
