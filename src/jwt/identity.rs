//! Claims about a caller -> assertion for the server behind: signed like access tokens, and never to be taken for one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Header;

use super::keys::KeyError;
use super::ring::KeyRing;
use crate::protocol::claims::IdentityClaims;
use crate::secret::Secret;

impl KeyRing {
    /// Signs `claims` with the key whose turn it is when they are issued. The claims are taken as they are.
    ///
    /// # Errors
    /// [`KeyError::Sign`]
    pub fn mint_assertion(&self, claims: &IdentityClaims) -> Result<Secret, KeyError> {
        let ring = self.parsed();
        let key = ring.signing_key(claims.iat)?;
        // RFC 8725 §3.11: who verifies one kind of token by its type takes no other kind for it
        let header = Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(key.kid.clone()),
            ..Header::new(key.algorithm)
        };
        let header = serde_json::to_vec(&header).map_err(|_| KeyError::Sign)?;
        key.compact(&URL_SAFE_NO_PAD.encode(header), claims)
    }
}

/// `typ`
const TYPE: &str = "anteroom-assertion+jwt";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, decode_header};
    use serde_json::Value;

    use super::*;
    use crate::clock::UnixTime;
    use crate::jwt::kept::KeptKeys;
    use crate::jwt::keys::{Algorithm, KeyMaterial};
    use crate::jwt::verify::TokenFault;
    use crate::protocol::ids::{ClientId, Subject};

    const ISSUER: &str = "https://a.example";

    fn claims(audience: &str, now: i64) -> IdentityClaims {
        IdentityClaims {
            iss: ISSUER.to_owned(),
            sub: Subject::new("github:1"),
            aud: audience.to_owned(),
            iat: UnixTime(now),
            exp: UnixTime(now + 60),
            client_id: ClientId::new("c"),
            scope: "a".to_owned(),
            sid: "s".to_owned(),
            preferred_username: None,
            name: None,
            email: None,
            email_verified: None,
        }
    }

    fn key(algorithm: Algorithm) -> KeyMaterial {
        KeyMaterial::generate(algorithm).unwrap()
    }

    /// T8, AT-11
    #[test]
    fn an_assertion_is_no_access_token_whatever_its_audience() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            let keys = KeptKeys::first(key(algorithm), UnixTime(0));
            let ring = KeyRing::new(ISSUER.to_owned(), &keys).unwrap();
            for audience in ["https://a.example/mcp", "https://a.example", "http://b/"] {
                let signed = ring.mint_assertion(&claims(audience, 100)).unwrap();
                let refused = ring.verify(signed.expose(), audience, UnixTime(101));
                assert_eq!(refused.err(), Some(TokenFault::WrongType));
            }
        }
    }

    #[test]
    fn what_is_not_known_of_somebody_is_not_said() {
        let said = serde_json::to_value(claims("http://b/", 0)).unwrap();
        let said: Vec<&str> = said.as_object().unwrap().keys().map(|k| &**k).collect();
        let known = [
            "aud",
            "client_id",
            "exp",
            "iat",
            "iss",
            "scope",
            "sid",
            "sub",
        ];
        assert_eq!(said, known);
    }

    /// AT-08
    #[test]
    fn the_key_of_an_assertion_is_published_for_as_long_as_it_is_good() {
        // the shortest life of access tokens that can be set
        let keys = KeptKeys::first(key(Algorithm::Es256), UnixTime(0));
        let keys = keys.with_life(Duration::from_secs(1), UnixTime(0)).unwrap();
        let published = Duration::from_secs(300);
        let next = key(Algorithm::Es256);
        let keys = keys.followed_by(next, UnixTime(1000), published).unwrap();
        let ring = KeyRing::new(ISSUER.to_owned(), &keys).unwrap();
        let last = ring.mint_assertion(&claims("http://b/", 1299)).unwrap();
        let kid = decode_header(last.expose()).unwrap().kid.unwrap();
        let next = ring.mint_assertion(&claims("http://b/", 1300)).unwrap();
        assert_ne!(decode_header(next.expose()).unwrap().kid, Some(kid.clone()));
        for now in [1299, 1300, 1358] {
            let set: JwkSet = serde_json::from_slice(&ring.jwks(UnixTime(now))).unwrap();
            let jwk = set.find(&kid).unwrap_or_else(|| panic!("gone at {now}"));
            let (message, signature) = last.expose().rsplit_once('.').unwrap();
            let theirs = DecodingKey::from_jwk(jwk).unwrap();
            let algorithm = jsonwebtoken::Algorithm::ES256;
            let is_right =
                jsonwebtoken::crypto::verify(signature, message.as_bytes(), &theirs, algorithm);
            assert!(is_right.unwrap());
        }
        let header: Value = {
            let part = last.expose().split('.').next().unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let expected = serde_json::json!({"typ": TYPE, "alg": "ES256", "kid": kid});
        assert_eq!(header, expected);
    }
}
