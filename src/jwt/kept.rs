//! The signing keys of an issuer as they are kept: which signs when, which is still accepted, and how one follows another.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::{KeyError, KeyMaterial};
use crate::clock::UnixTime;

/// One signing key, and its time.
#[derive(Clone, Debug)]
pub struct KeptKey {
    /// The key.
    pub material: KeyMaterial,
    /// When it was made, or brought.
    pub made: UnixTime,
    /// From when on it signs. It is published before.
    pub signs_from: UnixTime,
    /// When another takes its place, or took it; none for the newest.
    pub retires: Option<UnixTime>,
    /// Whether it was brought, and not made here.
    pub is_given: bool,
    /// The longest life of the tokens that it signs, or signed: what the settings say later is true of later keys alone.
    pub life: Duration,
}

/// All signing keys of an issuer, oldest first. There is always one; at most one of them, the newest, does not sign yet.
#[derive(Clone, Debug)]
pub struct KeptKeys(Vec<KeptKey>);

impl KeptKeys {
    /// The first key signs at once: nobody has a key set without it.
    #[must_use]
    pub fn first(material: KeyMaterial, now: UnixTime) -> Self {
        Self(vec![KeptKey {
            material,
            made: now,
            signs_from: now,
            retires: None,
            is_given: false,
            life: Duration::ZERO,
        }])
    }

    /// The same, where the newest was brought, or was not.
    #[must_use]
    pub fn with_newest_given(mut self, is_given: bool) -> Self {
        if let Some(newest) = self.0.last_mut() {
            newest.is_given = is_given;
        }
        self
    }

    /// The same for a process whose tokens live for `life`; `None` where they are that already. What has retired signs no
    /// tokens of that process.
    #[must_use]
    pub fn with_life(&self, life: Duration, now: UnixTime) -> Option<Self> {
        let mut keys = self.0.clone();
        let signs = |key: &KeptKey| key.retires.is_none_or(|retires| now < retires + AFTERWARDS);
        let mut is_other = false;
        for key in &mut keys {
            if signs(key) && key.life < life {
                key.life = life;
                is_other = true;
            }
        }
        is_other.then_some(Self(keys))
    }

    /// The keys, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &KeptKey> {
        self.0.iter()
    }

    /// The place of the key that signs at `now`: the newest whose turn has come.
    #[must_use]
    pub fn place_of_signing(&self, now: UnixTime) -> usize {
        place_of_signing(self.0.iter().map(|key| key.signs_from), now)
    }

    /// The newest key, whether it signs yet or not.
    ///
    /// # Errors
    /// Never, in fact: there is always one.
    pub fn newest(&self) -> Result<&KeptKey, KeyError> {
        self.0.last().ok_or(KeyError::NoKey)
    }

    /// Puts `material` in the place of the key that signs: it is published at once, and signs `published` later, when
    /// everybody who keeps the key set for so long has it. A key that waits for its turn now never gets it. A key that was
    /// among them, and is published, therefore, signs at once.
    ///
    /// # Errors
    /// Where the key is none.
    pub fn followed_by(
        &self,
        material: KeyMaterial,
        now: UnixTime,
        published: Duration,
    ) -> Result<Self, KeyError> {
        let kid = material.kid()?;
        let signing = self.place_of_signing(now);
        let mut keys = self.0[..=signing].to_vec();
        let mut place = None;
        for (at, key) in keys.iter().enumerate() {
            if key.material.kid()? == kid {
                place = Some(at);
            }
        }
        if let Some(signing) = keys.last_mut() {
            signing.retires = None;
        }
        if place == Some(signing) {
            return Ok(Self(keys));
        }
        let before = place.map(|at| keys.remove(at));
        let signs_from = before.as_ref().map_or(now + published, |_| now);
        // all are for the same tokens
        let mut life = before.as_ref().map_or(Duration::ZERO, |before| before.life);
        if let Some(signing) = keys.last_mut() {
            signing.retires = Some(signs_from);
            life = life.max(signing.life);
        }
        keys.push(KeptKey {
            material,
            made: before.map_or(now, |before| before.made),
            signs_from,
            retires: None,
            is_given: false,
            life,
        });
        Ok(Self(keys))
    }

    /// Those that are still accepted; `None` where it is all of them.
    #[must_use]
    pub fn without_past(&self, now: UnixTime) -> Option<Self> {
        let is_past = |key: &KeptKey| key.accepted_until().is_some_and(|until| until <= now);
        let left: Vec<_> = self.0.iter().filter(|key| !is_past(key)).cloned().collect();
        (left.len() < self.0.len() && !left.is_empty()).then_some(Self(left))
    }

    /// The form to seal and keep: one byte for its version, then the keys in postcard.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`]
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let materials: Vec<_> = self.0.iter().map(|key| key.material.to_bytes()).collect();
        let records: Vec<_> = std::iter::zip(&self.0, &materials)
            .map(|(key, material)| Record {
                material,
                made: key.made,
                signs_from: key.signs_from,
                retires: key.retires,
                is_given: key.is_given,
                life: key.life,
            })
            .collect();
        // long enough for all, so that no copy is left behind
        let length = materials.iter().map(|material| material.len() + 64).sum();
        let mut bytes = Zeroizing::new(vec![0; length]);
        bytes[0] = VERSION;
        let written = postcard::to_slice(&records, &mut bytes[1..])
            .map_err(|_| KeyError::Unreadable)?
            .len();
        bytes.truncate(1 + written);
        Ok(bytes)
    }

    /// Reads the form that is kept.
    ///
    /// # Errors
    /// [`KeyError::Newer`], [`KeyError::Unreadable`] and [`KeyError::NoKey`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let records: Vec<Record<'_>> = match bytes.split_first() {
            Some((&VERSION, records)) => match postcard::take_from_bytes(records) {
                Ok((records, [])) => records,
                _ => return Err(KeyError::Unreadable),
            },
            Some(_) => return Err(KeyError::Newer),
            None => return Err(KeyError::Unreadable),
        };
        let keys = records.into_iter().map(|record| {
            Ok(KeptKey {
                material: KeyMaterial::from_bytes(record.material)?,
                made: record.made,
                signs_from: record.signs_from,
                retires: record.retires,
                is_given: record.is_given,
                life: record.life,
            })
        });
        let keys: Vec<_> = keys.collect::<Result<_, KeyError>>()?;
        if keys.is_empty() {
            return Err(KeyError::NoKey);
        }
        Ok(Self(keys))
    }
}

impl KeptKey {
    /// Until when what it has signed is accepted; none while it signs.
    #[must_use]
    pub fn accepted_until(&self) -> Option<UnixTime> {
        self.retires.map(|retires| retires + self.life + AFTERWARDS)
    }
}

/// Of keys that sign from these moments on, ascending, the one that does at `now`: the newest whose turn has come. Where
/// the clock went back behind all of them, the oldest.
pub(super) fn place_of_signing(
    signs_from: impl DoubleEndedIterator<Item = UnixTime> + ExactSizeIterator,
    now: UnixTime,
) -> usize {
    let mut places = signs_from.enumerate().rev();
    places
        .find(|(_, from)| *from <= now)
        .map_or(0, |(at, _)| at)
}

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    material: &'a [u8],
    made: UnixTime,
    signs_from: UnixTime,
    retires: Option<UnixTime>,
    is_given: bool,
    life: Duration,
}

/// Another instance, whose clock is behind, may sign a little longer.
const AFTERWARDS: Duration = Duration::from_secs(60);
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::keys::Algorithm;

    const LIFE: Duration = Duration::from_secs(3600);
    const PUBLISHED: Duration = Duration::from_secs(300);

    fn key() -> KeyMaterial {
        KeyMaterial::generate(Algorithm::Es256).unwrap()
    }

    /// Each key: its place among `all`, from when on it signs, and when it retires.
    fn times(keys: &KeptKeys, all: &[&KeyMaterial]) -> Vec<(usize, i64, Option<i64>)> {
        let place = |key: &KeptKey| {
            let kid = key.material.kid().unwrap();
            all.iter()
                .position(|one| one.kid().unwrap() == kid)
                .unwrap()
        };
        keys.iter()
            .map(|key| {
                let retires = key.retires.map(|moment| moment.0);
                (place(key), key.signs_from.0, retires)
            })
            .collect()
    }

    fn follow(keys: &KeptKeys, key: &KeyMaterial, now: i64) -> KeptKeys {
        let followed = keys.followed_by(key.clone(), UnixTime(now), PUBLISHED);
        followed.unwrap()
    }

    /// AT-08
    #[test]
    fn a_new_key_is_published_before_it_signs_and_the_one_before_signs_until_then() {
        let (a, b, c) = (key(), key(), key());
        let all = [&a, &b, &c];
        let keys = KeptKeys::first(a.clone(), UnixTime(1000));
        assert_eq!(times(&keys, &all), [(0, 1000, None)]);
        let keys = follow(&keys, &b, 2000);
        assert_eq!(times(&keys, &all), [(0, 1000, Some(2300)), (1, 2300, None)]);
        // b has not signed yet, and never will
        let keys = follow(&keys, &c, 2299);
        assert_eq!(times(&keys, &all), [(0, 1000, Some(2599)), (2, 2599, None)]);
        let keys = follow(&keys, &b, 2599);
        let expected = [
            (0, 1000, Some(2599)),
            (2, 2599, Some(2899)),
            (1, 2899, None),
        ];
        assert_eq!(times(&keys, &all), expected);
    }

    /// AT-08
    #[test]
    fn a_key_that_is_published_already_signs_at_once() {
        let (a, b) = (key(), key());
        let all = [&a, &b];
        let keys = follow(&KeptKeys::first(a.clone(), UnixTime(1000)), &b, 2000);
        // before its turn has come: as if nothing had been
        let taken_back = follow(&keys, &a, 2100);
        assert_eq!(times(&taken_back, &all), [(0, 1000, None)]);
        let again = follow(&keys, &a, 2400);
        assert_eq!(
            times(&again, &all),
            [(1, 2300, Some(2400)), (0, 2400, None)]
        );
        let twice = follow(&again, &a, 2500);
        assert_eq!(times(&twice, &all), times(&again, &all));
    }

    /// AT-08
    #[test]
    fn a_key_is_past_when_nothing_that_it_signed_can_be_good() {
        let (a, b) = (key(), key());
        let first = KeptKeys::first(a.clone(), UnixTime(1000));
        let first = first.with_life(LIFE, UnixTime(1000)).unwrap();
        let keys = follow(&first, &b, 2000);
        let until = 2300 + 3600 + 60;
        assert!(keys.without_past(UnixTime(until - 1)).is_none());
        let left = keys.without_past(UnixTime(until)).unwrap();
        assert_eq!(times(&left, &[&a, &b]), [(1, 2300, None)]);
        assert!(left.without_past(UnixTime(i64::MAX)).is_none());
    }

    /// AT-08
    #[test]
    fn a_key_is_accepted_for_the_longest_life_that_it_has_signed_for() {
        let (a, b) = (key(), key());
        let (short, longer) = (LIFE / 60, LIFE * 2);
        let keys = KeptKeys::first(a, UnixTime(1000));
        let keys = keys.with_life(LIFE, UnixTime(1000)).unwrap();
        // what is signed already lives as long as it was to
        assert!(keys.with_life(short, UnixTime(1500)).is_none());
        let keys = follow(&keys, &b, 2000);
        let until = |keys: &KeptKeys| keys.iter().next().unwrap().accepted_until();
        assert_eq!(until(&keys), Some(UnixTime(2300 + 3600 + 60)));
        // it signs still, and then no more
        let longer_too = keys.with_life(longer, UnixTime(2359)).unwrap();
        assert_eq!(until(&longer_too), Some(UnixTime(2300 + 7200 + 60)));
        let later = keys.with_life(longer, UnixTime(2360)).unwrap();
        assert_eq!(until(&later), until(&keys));
    }

    #[test]
    fn where_the_clock_went_back_the_oldest_key_signs() {
        let (a, b) = (key(), key());
        let keys = follow(&KeptKeys::first(a.clone(), UnixTime(1000)), &b, 2000);
        let signing = |now| keys.place_of_signing(UnixTime(now));
        assert_eq!([0, 1000, 2299, 2300, 9999].map(signing), [0, 0, 0, 1, 1]);
        let followed = follow(&keys, &b, 0);
        assert_eq!(
            times(&followed, &[&a, &b]),
            [(0, 1000, Some(300)), (1, 300, None)]
        );
    }

    #[test]
    fn what_was_kept_is_read_as_it_was_and_in_no_other_form() {
        let keys = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256]
            .map(|algorithm| KeyMaterial::generate(algorithm).unwrap());
        let all: Vec<_> = keys.iter().collect();
        let mut kept = KeptKeys::first(keys[0].clone(), UnixTime(0));
        for (turn, key) in keys.iter().enumerate() {
            kept = follow(&kept, key, 1000 * i64::try_from(turn).unwrap());
        }
        let bytes = kept.to_bytes().unwrap();
        let read = KeptKeys::from_bytes(&bytes).unwrap();
        assert_eq!(times(&read, &all), times(&kept, &all));
        for length in 0..bytes.len() {
            assert!(KeptKeys::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        for (bytes, error) in [
            (&longer[..], KeyError::Unreadable),
            (&newer, KeyError::Newer),
            (&[1, 0], KeyError::NoKey),
        ] {
            assert_eq!(KeptKeys::from_bytes(bytes).err(), Some(error));
        }
    }
}
