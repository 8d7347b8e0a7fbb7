//! Seals with the newest key, and opens with all that are left.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::{KeyId, Purpose, SealError, Sealed, SealingKey, SealingKeys, derive, root};

/// Seals and opens. Its keys are derived once, and can be exchanged while it is used; it is shared by all who need it.
pub struct Sealer(RwLock<Arc<[RingKey]>>);

impl Sealer {
    /// Derives the keys of all purposes.
    #[must_use]
    pub fn new(keys: &SealingKeys) -> Self {
        Self(RwLock::new(ring(keys)))
    }

    /// Takes other keys from here on.
    pub fn exchange(&self, keys: &SealingKeys) {
        let ring = ring(keys);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    /// Encrypts `clear`. It opens again only for the same purpose and the same `context`, which names the place where
    /// it is kept: a row moved elsewhere does not open.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, context: &[u8], clear: &[u8]) -> Sealed {
        self.ring()[0].seal(purpose, context, clear)
    }

    /// Decrypts what was sealed for this purpose and context, with whichever of the keys.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] and [`SealError::Damaged`]
    pub fn open(
        &self,
        purpose: Purpose,
        context: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = sealed.key_id().ok_or(SealError::Damaged)?;
        let ring = self.ring();
        let key = ring.iter().find(|key| key.id == id);
        key.ok_or(SealError::OtherKey)?
            .open(purpose, context, sealed)
    }

    /// Seals anew what was sealed with an older key. `None` where it was not.
    ///
    /// # Errors
    /// Where it does not open.
    pub fn reseal(
        &self,
        purpose: Purpose,
        context: &[u8],
        sealed: &Sealed,
    ) -> Result<Option<Sealed>, SealError> {
        if self.is_current(sealed) {
            return Ok(None);
        }
        let clear = self.open(purpose, context, sealed)?;
        Ok(Some(self.seal(purpose, context, &clear)))
    }

    /// Whether it was sealed with the key that seals now.
    #[must_use]
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed.key_id() == Some(self.ring()[0].id)
    }

    /// The keys: the one that seals, then those that only open, newest first.
    #[must_use]
    pub fn key_ids(&self) -> (KeyId, Vec<KeyId>) {
        let ring = self.ring();
        (ring[0].id, ring[1..].iter().map(|key| key.id).collect())
    }

    fn ring(&self) -> Arc<[RingKey]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealer").field(&self.key_ids()).finish()
    }
}

/// The first one seals. There is always one.
fn ring(keys: &SealingKeys) -> Arc<[RingKey]> {
    keys.iter().map(RingKey::derive).collect()
}

struct RingKey {
    id: KeyId,
    purposes: Box<[RandomizedNonceKey; Purpose::ALL.len()]>,
}

impl RingKey {
    fn derive(key: &SealingKey) -> Self {
        let root = root(&key.0);
        Self {
            id: key.id(),
            purposes: Box::new(Purpose::ALL.map(|purpose| {
                let key = derive(&root, purpose.label(), "seal");
                #[expect(clippy::expect_used, reason = "32 bytes are what AES-256 takes")]
                RandomizedNonceKey::new(&AES_256_GCM, &*key).expect("an AES-256 key")
            })),
        }
    }

    fn seal(&self, purpose: Purpose, context: &[u8], clear: &[u8]) -> Sealed {
        let mut bytes = Vec::with_capacity(HEADER_LEN + clear.len() + AES_256_GCM.tag_len());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&[0; NONCE_LEN]);
        bytes.extend_from_slice(clear);
        #[expect(
            clippy::expect_used,
            reason = "fails only beyond 64 GiB, or without randomness, when nothing is safe"
        )]
        let (nonce, tag) = self.purposes[purpose as usize]
            .seal_in_place_separate_tag(Aad::from(context), &mut bytes[HEADER_LEN..])
            .expect("AES-256-GCM seals");
        bytes[KeyId::LEN..HEADER_LEN].copy_from_slice(nonce.as_ref());
        bytes.extend_from_slice(tag.as_ref());
        Sealed(bytes)
    }

    fn open(
        &self,
        purpose: Purpose,
        context: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, encrypted) = sealed
            .0
            .get(KeyId::LEN..)
            .and_then(|rest| rest.split_first_chunk::<NONCE_LEN>())
            .ok_or(SealError::Damaged)?;
        let mut clear = Zeroizing::new(encrypted.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.purposes[purpose as usize]
            .open_in_place(nonce, Aad::from(context), &mut clear)
            .map_err(|_| SealError::Damaged)?
            .len();
        clear.truncate(length);
        Ok(clear)
    }
}

const HEADER_LEN: usize = KeyId::LEN + NONCE_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey(Zeroizing::new([byte; 32]))
    }

    fn sealer() -> Sealer {
        Sealer::new(&SealingKeys::one(key(7)))
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
        let sealed = Sealer::new(&SealingKeys::one(SealingKey::random())).seal(
            Purpose::SigningKey,
            b"",
            b"key",
        );
        let opened = sealer().open(Purpose::SigningKey, b"", &sealed);
        assert!(matches!(opened, Err(SealError::OtherKey)), "{opened:?}");
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
        let key = key(0x41);
        let text = format!("{key:?}");
        let sealer = Sealer::new(&SealingKeys::one(key));
        let kept = sealer.seal(Purpose::SigningKey, b"", b"AAAA");
        assert_eq!(format!("{text} {kept:?}"), "SealingKey(..) Sealed(..)");
        assert!(!format!("{sealer:?}").contains("65, 65"));
    }

    #[test]
    fn what_is_derived_never_changes() {
        // From an independent HKDF: a change would make every store unreadable.
        assert_eq!(key(7).id().to_string(), "fde2a8e0");
        for (i, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(
                purpose as usize, i,
                "the table of keys is indexed by purpose"
            );
        }
    }

    /// SEC-08
    #[test]
    fn the_newest_key_seals_and_all_that_are_left_open() {
        let sealer = sealer();
        let first = sealer.seal(Purpose::UpstreamTokens, b"row", b"clear");
        assert!(sealer.is_current(&first));
        let both = SealingKeys::given(key(8), vec![key(7)]);
        sealer.exchange(&both);
        let second = sealer.seal(Purpose::UpstreamTokens, b"row", b"clear");
        for sealed in [&first, &second] {
            let opened = sealer.open(Purpose::UpstreamTokens, b"row", sealed);
            assert_eq!(*opened.unwrap(), b"clear");
        }
        assert_eq!(
            (sealer.is_current(&first), sealer.is_current(&second)),
            (false, true)
        );
        sealer.exchange(&SealingKeys::one(key(8)));
        let open = |sealed| sealer.open(Purpose::UpstreamTokens, b"row", sealed);
        assert!(matches!(open(&first), Err(SealError::OtherKey)));
        assert_eq!(*open(&second).unwrap(), b"clear");
    }

    /// SEC-08
    #[test]
    fn what_an_older_key_sealed_is_sealed_anew_for_its_place_alone() {
        let sealer = sealer();
        let old = sealer.seal(Purpose::UpstreamTokens, b"row", b"clear");
        let reseal = |context, sealed| sealer.reseal(Purpose::UpstreamTokens, context, sealed);
        assert_eq!(reseal(b"row", &old).unwrap(), None);
        sealer.exchange(&SealingKeys::given(key(8), vec![key(7)]));
        let anew = reseal(b"row", &old).unwrap().unwrap();
        assert!(sealer.is_current(&anew));
        assert!(reseal(b"row2", &old).is_err());
        sealer.exchange(&SealingKeys::one(key(8)));
        let opened = sealer.open(Purpose::UpstreamTokens, b"row", &anew);
        assert_eq!(*opened.unwrap(), b"clear");
        assert!(matches!(reseal(b"row", &old), Err(SealError::OtherKey)));
    }
}
