//! The signing keys of one issuer as they are used: parsed once, exchanged while they are used, and published in the
//! document of their public halves (RFC 7517 §5).

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use jsonwebtoken::jwk::JwkSet;

use super::kept::{KeptKeys, place_of_signing};
use super::keys::{Key, KeyError};
use crate::clock::UnixTime;

/// The keys of one issuer: one signs, all are published and accepted until nothing is left that they signed.
#[derive(Debug)]
pub struct KeyRing {
    pub(super) issuer: String,
    parsed: RwLock<Arc<Parsed>>,
}

impl KeyRing {
    /// Parses the keys.
    ///
    /// # Errors
    /// Where one of them is not what it says.
    pub fn new(issuer: String, keys: &KeptKeys) -> Result<Self, KeyError> {
        Ok(Self {
            issuer,
            parsed: RwLock::new(Arc::new(Parsed::new(keys)?)),
        })
    }

    /// Takes other keys from here on.
    ///
    /// # Errors
    /// Where one of them is not what it says: then nothing happens.
    pub fn exchange(&self, keys: &KeptKeys) -> Result<(), KeyError> {
        let parsed = Arc::new(Parsed::new(keys)?);
        *self.parsed.write().unwrap_or_else(PoisonError::into_inner) = parsed;
        Ok(())
    }

    /// The body of the JWKS document (RFC 7517 §5): every key that is accepted, and the one that will sign next.
    #[must_use]
    pub fn jwks(&self, now: UnixTime) -> Bytes {
        self.parsed().jwks(now)
    }

    pub(super) fn parsed(&self) -> Arc<Parsed> {
        Arc::clone(&self.parsed.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The keys, parsed, and the document written.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Oldest first, and so the first one is past first.
    pub(super) keys: Vec<TimedKey>,
    /// For each key, the document that begins with it.
    documents: Vec<Bytes>,
}

#[derive(Debug)]
pub(super) struct TimedKey {
    pub(super) key: Key,
    signs_from: UnixTime,
    accepted_until: Option<UnixTime>,
}

impl Parsed {
    fn new(keys: &KeptKeys) -> Result<Self, KeyError> {
        let mut published = Vec::new();
        let mut parsed = Vec::new();
        for kept in keys.iter() {
            let (key, jwk) = Key::parse(&kept.material)?;
            parsed.push(TimedKey {
                key,
                signs_from: kept.signs_from,
                accepted_until: kept.accepted_until(),
            });
            published.push(jwk);
        }
        let documents = (0..published.len()).map(|first| {
            let keys = published[first..].to_vec();
            serde_json::to_vec(&JwkSet { keys }).map(Bytes::from)
        });
        let documents = documents.collect::<Result<_, _>>();
        Ok(Self {
            keys: parsed,
            documents: documents.map_err(|_| KeyError::Unreadable)?,
        })
    }

    /// The key that signs at `now`.
    pub(super) fn signing_key(&self, now: UnixTime) -> Result<&Key, KeyError> {
        let place = place_of_signing(self.keys.iter().map(|key| key.signs_from), now);
        let found = self.keys.get(place).map(|timed| &timed.key);
        found.ok_or(KeyError::NoKey)
    }

    /// The key that is published under `kid` at `now`.
    pub(super) fn key(&self, kid: &str, now: UnixTime) -> Option<&Key> {
        let named = self.keys.iter().find(|timed| timed.key.kid == kid)?;
        named.is_accepted(now).then_some(&named.key)
    }

    fn jwks(&self, now: UnixTime) -> Bytes {
        let first = self.keys.iter().position(|timed| timed.is_accepted(now));
        let document = first.and_then(|first| self.documents.get(first));
        document.cloned().unwrap_or_default()
    }
}

impl TimedKey {
    fn is_accepted(&self, now: UnixTime) -> bool {
        self.accepted_until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::keys::{Algorithm, KeyMaterial};
    use crate::jwt::verify::TokenFault;
    use crate::protocol::claims::AccessClaims;
    use crate::protocol::ids::{ClientId, Subject};
    use serde_json::Value;
    use std::time::Duration;

    const ISSUER: &str = "https://a.example";
    const RESOURCE: &str = "https://a.example/mcp";
    const LIFE: Duration = Duration::from_secs(3600);
    const PUBLISHED: Duration = Duration::from_secs(300);
    const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

    fn key() -> KeyMaterial {
        KeyMaterial::generate(Algorithm::Es256).unwrap()
    }

    fn published(ring: &KeyRing, now: i64) -> Vec<Value> {
        let document: Value = serde_json::from_slice(&ring.jwks(UnixTime(now))).unwrap();
        document["keys"].as_array().unwrap().clone()
    }

    fn token(ring: &KeyRing, now: i64) -> String {
        let claims = AccessClaims {
            iss: ISSUER.to_owned(),
            sub: Subject::new("github:1"),
            aud: RESOURCE.to_owned(),
            client_id: ClientId::new("c"),
            iat: UnixTime(now),
            exp: UnixTime(now) + LIFE,
            jti: "j".to_owned(),
            scope: String::new(),
            sid: "s".to_owned(),
        };
        ring.mint(&claims).unwrap().expose().to_owned()
    }

    fn kid(token: &str) -> String {
        jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
    }

    /// AT-07
    #[test]
    fn only_public_halves_are_published() {
        let keys = KeptKeys::first(key(), UnixTime(0));
        let mut keys = keys.with_life(LIFE, UnixTime(0)).unwrap();
        for (turn, algorithm) in (1..).zip(ALGORITHMS) {
            let next = KeyMaterial::generate(algorithm).unwrap();
            keys = keys
                .followed_by(next, UnixTime(400 * turn), PUBLISHED)
                .unwrap();
        }
        let ring = KeyRing::new(ISSUER.to_owned(), &keys).unwrap();
        let expected = [
            &["alg", "crv", "kid", "kty", "use", "x", "y"][..],
            &["alg", "crv", "kid", "kty", "use", "x"],
            &["alg", "e", "kid", "kty", "n", "use"],
        ];
        let names = ["ES256", "EdDSA", "RS256"];
        let published = published(&ring, 1500);
        assert_eq!(published.len(), 4);
        for (i, jwk) in published[1..].iter().enumerate() {
            let mut members: Vec<_> = jwk.as_object().unwrap().keys().map(|k| &**k).collect();
            members.sort_unstable();
            assert_eq!(members, expected[i]);
            assert_eq!(jwk["alg"], names[i]);
            assert_eq!(jwk["use"], "sig");
            assert_eq!(jwk["kid"], ring.parsed().keys[i + 1].key.kid);
        }
    }

    /// AT-08
    #[test]
    fn each_key_is_published_signs_and_is_accepted_in_its_time() {
        let (old, new) = (key(), key());
        let kids = [&old, &new].map(|key| key.kid().unwrap());
        let keys = KeptKeys::first(old, UnixTime(0));
        let keys = keys.with_life(LIFE, UnixTime(0)).unwrap();
        let ring = KeyRing::new(ISSUER.to_owned(), &keys).unwrap();
        let early = token(&ring, 100);
        assert_eq!(published(&ring, 100).len(), 1);
        let keys = keys.followed_by(new, UnixTime(10_000), PUBLISHED).unwrap();
        ring.exchange(&keys).unwrap();
        let until = 10_300 + 3600 + 60;
        for (now, signs, accepted) in [
            (10_000, 0, &[0, 1][..]),
            (10_299, 0, &[0, 1]),
            (10_300, 1, &[0, 1]),
            (until - 1, 1, &[0, 1]),
            (until, 1, &[1]),
        ] {
            assert_eq!(kid(&token(&ring, now)), kids[signs], "{now}");
            let published = published(&ring, now);
            let published: Vec<_> = published.iter().map(|jwk| jwk["kid"].clone()).collect();
            let expected: Vec<_> = accepted.iter().map(|at| kids[*at].clone()).collect();
            assert_eq!(published, expected, "{now}");
        }
        let last = token(&ring, 10_299);
        assert_eq!(kid(&last), kids[0]);
        let verify = |token, now| ring.verify(token, RESOURCE, UnixTime(now)).err();
        assert_eq!(verify(&last, 10_300), None);
        assert_eq!(verify(&last, 10_299 + 3599), None);
        assert_eq!(verify(&last, 10_299 + 3600), Some(TokenFault::Expired));
        assert_eq!(verify(&last, until), Some(TokenFault::UnknownKey));
        assert_eq!(verify(&early, 3699), None);
    }
}
