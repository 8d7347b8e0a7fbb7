//! Signing keys: kept in the store under one name, so that all instances have the same.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::event::Event;
use crate::jwt::kept::{KeptKey, KeptKeys};
use crate::jwt::keys::{Algorithm, KeyError, KeyMaterial};
use crate::seal::{Purpose, SealError, Sealed, Sealer};
use crate::store::{Store, StoreError};

use super::{Flows, KeyChangeError, KeyKind, KeyState, KnownKey, PUBLISHED_BEFORE};

/// The name of the signing keys in the store.
pub(super) const RING: &str = "ring";

/// Where signing keys come from.
#[derive(Clone, Debug)]
pub enum SigningSource {
    /// They are made, for this algorithm.
    Made(Algorithm),
    /// The configuration gives one, and it decides the algorithm.
    Given(KeyMaterial),
}

impl SigningSource {
    fn key(&self) -> Result<KeyMaterial, KeyError> {
        match self {
            Self::Made(algorithm) => KeyMaterial::generate(*algorithm),
            Self::Given(key) => Ok(key.clone()),
        }
    }

    /// Whether `newest` is what this source wants to sign.
    fn wants(&self, newest: &KeptKey) -> Result<bool, KeyError> {
        Ok(match self {
            Self::Made(algorithm) => !newest.is_given && newest.material.algorithm() == *algorithm,
            Self::Given(key) => newest.is_given && newest.material.kid()? == key.kid()?,
        })
    }

    fn gives(&self) -> bool {
        matches!(self, Self::Given(_))
    }
}

/// Whether the store has signing keys: then it has been used, and something is sealed in it.
///
/// # Errors
/// Where the store fails.
pub async fn are_kept(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.find_key(RING).await?.is_some())
}

/// The signing keys of the store, made where there are none, for tokens that live for `life`. Where the newest is not what
/// the configuration says now (it gives another key, gives none any more, or names another algorithm), one that is follows
/// it: like every new key, it is published before it signs, and what the one before has signed stays good for its life.
///
/// # Errors
/// Where the store fails, or what it has does not open.
pub async fn open_signing_keys(
    store: &dyn Store,
    sealer: &Sealer,
    source: &SigningSource,
    life: Duration,
    now: UnixTime,
) -> Result<KeptKeys, KeyChangeError> {
    let ring = Ring { store, sealer };
    if !are_kept(store).await? {
        let first = KeptKeys::first(source.key()?, now).with_newest_given(source.gives());
        // somebody else may be first: then theirs is ours
        store.put_key_if_absent(RING, ring.seal(&first)?).await?;
    }
    let lived = ring.change(|keys| Ok(keys.with_life(life, now)));
    lived.await?;
    let changed = ring.change(|keys| {
        if source.wants(keys.newest()?)? {
            return Ok(None);
        }
        let followed = keys.followed_by(source.key()?, now, PUBLISHED_BEFORE)?;
        Ok(Some(followed.with_newest_given(source.gives())))
    });
    let (keys, changed) = changed.await?;
    if changed {
        tell(keys.newest()?, now)?;
    }
    Ok(keys)
}

/// The signing keys, sealed, in the store.
struct Ring<'a> {
    store: &'a dyn Store,
    sealer: &'a Sealer,
}

impl Ring<'_> {
    fn seal(&self, keys: &KeptKeys) -> Result<Sealed, KeyError> {
        let clear = keys.to_bytes()?;
        Ok(self
            .sealer
            .seal(Purpose::SigningKey, RING.as_bytes(), &clear))
    }

    async fn read(&self) -> Result<(KeptKeys, Sealed), KeyChangeError> {
        let sealed = self.store.find_key(RING).await?.ok_or(KeyError::NoKey)?;
        let clear = self
            .sealer
            .open(Purpose::SigningKey, RING.as_bytes(), &sealed)?;
        Ok((KeptKeys::from_bytes(&clear)?, sealed))
    }

    /// Changes the keys, if `change` wants to: it is asked again where somebody else was faster. The keys as they are then,
    /// and whether it was this call that changed them.
    async fn change(
        &self,
        change: impl Fn(&KeptKeys) -> Result<Option<KeptKeys>, KeyError>,
    ) -> Result<(KeptKeys, bool), KeyChangeError> {
        loop {
            let (keys, before) = self.read().await?;
            let Some(after) = change(&keys)? else {
                return Ok((keys, false));
            };
            let sealed = self.seal(&after)?;
            if self.store.change_key(RING, &before, sealed).await? {
                return Ok((after, true));
            }
        }
    }
}

impl Flows {
    /// Makes a signing key, which is published from here on, and signs when everybody who keeps the key set has it. Where a
    /// key waits for that already, it is this one: whoever asks, and however often, one takes the place of the present one.
    ///
    /// # Errors
    /// Where the configuration gives the key, the store fails, or what it has does not open.
    pub async fn rotate_signing_key(&self) -> Result<KnownKey, KeyChangeError> {
        let SigningSource::Made(algorithm) = self.key_sources.signing else {
            return Err(KeyChangeError::SigningKeyIsGiven);
        };
        let _turn = self.key_sources.turn().await;
        let now = self.now();
        // to make one for RSA takes long
        let made = tokio::task::spawn_blocking(move || KeyMaterial::generate(algorithm));
        let fresh = made.await.map_err(|_| KeyError::Generate)??;
        let ring = self.ring();
        let changed = ring.change(|keys| {
            let newest = keys.newest()?;
            let waits = keys.place_of_signing(now) + 1 < keys.iter().len();
            // after the clock was put back, the turn of a key may be far away, or in the past of another one
            if waits && newest.signs_from <= now + PUBLISHED_BEFORE {
                return Ok(None);
            }
            keys.followed_by(fresh.clone(), now, PUBLISHED_BEFORE)
                .map(Some)
        });
        let (keys, changed) = changed.await?;
        self.keys.exchange(&keys)?;
        if changed {
            tell(keys.newest()?, now)?;
        }
        let known = known(&keys, now)?.pop();
        Ok(known.ok_or(KeyError::NoKey)?)
    }

    /// Sees what another instance has changed, and drops what is past.
    pub(super) async fn tend_signing_keys(&self) -> Result<(), KeyChangeError> {
        let _turn = self.key_sources.turn().await;
        let now = self.now();
        let ring = self.ring();
        let changed = ring.change(|keys| Ok(keys.without_past(now)));
        let (keys, _) = changed.await?;
        Ok(self.keys.exchange(&keys)?)
    }

    pub(super) async fn list_signing_keys(&self) -> Result<Vec<KnownKey>, KeyChangeError> {
        let (keys, _) = self.ring().read().await?;
        Ok(known(&keys, self.now())?)
    }

    /// Seals the signing keys anew, where an older key sealed them: `false` where somebody was faster.
    pub(super) async fn reseal_signing_keys(&self) -> Result<bool, KeyChangeError> {
        self.reseal_key(RING, Purpose::SigningKey).await
    }

    /// Seals a key of the store anew.
    pub(super) async fn reseal_key(
        &self,
        name: &str,
        purpose: Purpose,
    ) -> Result<bool, KeyChangeError> {
        let Some(before) = self.store.find_key(name).await? else {
            return Err(SealError::Damaged.into());
        };
        match self.sealer.reseal(purpose, name.as_bytes(), &before)? {
            Some(after) => Ok(self.store.change_key(name, &before, after).await?),
            None => Ok(true),
        }
    }

    fn ring(&self) -> Ring<'_> {
        Ring {
            store: &*self.store,
            sealer: &self.sealer,
        }
    }
}

fn known(keys: &KeptKeys, now: UnixTime) -> Result<Vec<KnownKey>, KeyError> {
    let signing = keys.place_of_signing(now);
    let keys = keys.iter().enumerate().map(|(place, key)| {
        let accepted_until = key.accepted_until();
        let (state, until) = match place.cmp(&signing) {
            std::cmp::Ordering::Less => (KeyState::Retired, accepted_until),
            std::cmp::Ordering::Equal => (KeyState::InUse, key.retires),
            std::cmp::Ordering::Greater => (KeyState::Published, Some(key.signs_from)),
        };
        Ok(KnownKey {
            kind: KeyKind::Signing,
            id: key.material.kid()?,
            algorithm: key.material.algorithm().name(),
            made: Some(key.made),
            state,
            until,
        })
    });
    let past = |key: &KnownKey| {
        key.state == KeyState::Retired && key.until.is_some_and(|until| until <= now)
    };
    let known: Result<Vec<_>, _> = keys.collect();
    known.map(|mut known| {
        known.retain(|key| !past(key));
        known
    })
}

fn tell(key: &KeptKey, now: UnixTime) -> Result<(), KeyError> {
    Event::KeysChanged {
        key: &key.material.kid()?,
        what: if key.signs_from <= now {
            "it signs from now on"
        } else {
            "published; it signs in a few minutes"
        },
    }
    .tell();
    Ok(())
}
