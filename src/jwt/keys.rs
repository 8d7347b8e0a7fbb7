//! A signing key: as it is kept, and parsed, as it is used.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{DecodingKey, Header};
use zeroize::Zeroizing;

use super::pem::GivenKeyFault;

/// What tokens are signed with (RFC 7518 §3.1, RFC 8037 §3.1). There is no `none` and no HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// What it is called in tokens and key sets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

/// A private key and what it is for.
#[derive(Clone)]
pub struct KeyMaterial {
    algorithm: Algorithm,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl KeyMaterial {
    /// A new key.
    ///
    /// # Errors
    /// Where the key could not be made.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let pkcs8 = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map(|der| der.as_ref().to_vec()),
            Algorithm::EdDsa => Ed25519KeyPair::generate()
                .and_then(|pair| pair.to_pkcs8v1())
                .map(|der| der.as_ref().to_vec()),
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair))
                .map(|der| der.as_ref().to_vec()),
        };
        pkcs8
            .map(|pkcs8| Self {
                algorithm,
                pkcs8: Zeroizing::new(pkcs8),
            })
            .map_err(|_| KeyError::Generate)
    }

    /// A key that somebody brings, in PKCS#8 (RFC 5208).
    ///
    /// # Errors
    /// Where it is none that can sign: RSA with 2048 to 8192 bits, P-256, or Ed25519.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let all = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
        let materials = all.map(|algorithm| Self {
            algorithm,
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
        });
        let is_right = |material: &Self| Key::parse(material).is_ok();
        let found = materials.into_iter().find(is_right);
        found.ok_or(KeyError::Unreadable)
    }

    /// What the key is called in tokens: its RFC 7638 thumbprint, which follows from the public half alone.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`]
    pub fn kid(&self) -> Result<String, KeyError> {
        Key::parse(self).map(|(key, _)| key.kid)
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The form to seal and keep: one byte for the algorithm, then PKCS#8 (RFC 5208).
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + self.pkcs8.len()));
        bytes.push(match self.algorithm {
            Algorithm::Es256 => 1,
            Algorithm::EdDsa => 2,
            Algorithm::Rs256 => 3,
        });
        bytes.extend_from_slice(&self.pkcs8);
        bytes
    }

    /// Reads the form that is kept.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let (tag, pkcs8) = bytes.split_first().ok_or(KeyError::Unreadable)?;
        let algorithm = match tag {
            1 => Algorithm::Es256,
            2 => Algorithm::EdDsa,
            3 => Algorithm::Rs256,
            _ => return Err(KeyError::Unreadable),
        };
        Ok(Self {
            algorithm,
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
        })
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyMaterial({:?}, ..)", self.algorithm)
    }
}

/// A key as it is used: both halves parsed, and the header of its tokens written. To parse it again for each token
/// would cost half as much as the signature itself.
#[derive(Debug)]
pub(super) struct Key {
    /// RFC 7638 thumbprint, so that it follows from the key alone.
    pub(super) kid: String,
    /// What this key signs with, whatever a token says of itself.
    pub(super) algorithm: jsonwebtoken::Algorithm,
    /// The header of access tokens, in base64url.
    pub(super) header: String,
    private: PrivateKey,
    public: ParsedPublicKey,
}

impl Key {
    pub(super) fn parse(material: &KeyMaterial) -> Result<(Self, Jwk), KeyError> {
        let private = PrivateKey::parse(material)?;
        let (algorithm, verification): (_, &'static dyn VerificationAlgorithm) = match private {
            PrivateKey::Es256(_) => (jsonwebtoken::Algorithm::ES256, &ECDSA_P256_SHA256_FIXED),
            PrivateKey::EdDsa(_) => (jsonwebtoken::Algorithm::EdDSA, &ED25519),
            PrivateKey::Rs256(_) => (jsonwebtoken::Algorithm::RS256, &RSA_PKCS1_2048_8192_SHA256),
        };
        let public = ParsedPublicKey::new(verification, private.public_bytes())
            .map_err(|_| KeyError::Unreadable)?;
        let mut jwk = Jwk::from_decoding_key(&private.decoding_key(), Some(algorithm))
            .map_err(|_| KeyError::Unreadable)?;
        let kid = jwk
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| KeyError::Unreadable)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);

        let mut header = Header::new(algorithm);
        // RFC 9068 §2.1
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(kid.clone());
        let header = serde_json::to_vec(&header).map_err(|_| KeyError::Unreadable)?;
        let key = Self {
            kid,
            algorithm,
            header: URL_SAFE_NO_PAD.encode(header),
            private,
            public,
        };
        Ok((key, jwk))
    }

    /// Signs the bytes of `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = match &self.private {
            PrivateKey::Es256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec()),
            PrivateKey::EdDsa(pair) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec()),
            PrivateKey::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .map(|()| signature)
            }
        };
        signature.map_err(|_| KeyError::Sign)
    }

    /// Whether `signature` over `message` is by this key.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}

/// Why there is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The ring is empty.
    #[error("there is no signing key")]
    NoKey,
    /// The ring was kept by another version.
    #[error(
        "the signing keys are kept in a form that this anteroom cannot read: a newer one wrote it, so run that one"
    )]
    Newer,
    /// What the configuration gives cannot be used.
    #[error("tokens.signing_key {0}")]
    Given(GivenKeyFault),
    /// A key is not what it says.
    #[error("a signing key is damaged or of another algorithm than it says")]
    Unreadable,
    /// A key could not be made.
    #[error("a signing key could not be made")]
    Generate,
    /// A signature could not be made.
    #[error("the token could not be signed")]
    Sign,
}

#[derive(Debug)]
enum PrivateKey {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

impl PrivateKey {
    fn parse(material: &KeyMaterial) -> Result<Self, KeyError> {
        let pkcs8 = &material.pkcs8;
        match material.algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Self::Es256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8).map(Self::EdDsa),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rs256),
        }
        .map_err(|_| KeyError::Unreadable)
    }

    fn public_bytes(&self) -> &[u8] {
        match self {
            Self::Es256(pair) => pair.public_key().as_ref(),
            Self::EdDsa(pair) => pair.public_key().as_ref(),
            Self::Rs256(pair) => pair.public_key().as_ref(),
        }
    }

    /// The public half in the form from which a JWK is made.
    fn decoding_key(&self) -> DecodingKey {
        match self {
            Self::Es256(_) => DecodingKey::from_ec_der(self.public_bytes()),
            Self::EdDsa(_) => DecodingKey::from_ed_der(self.public_bytes()),
            Self::Rs256(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                DecodingKey::from_rsa_raw_components(&public.n, &public.e)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

    #[test]
    fn others_can_verify_with_what_is_published() {
        for algorithm in ALGORITHMS {
            let material = KeyMaterial::generate(algorithm).unwrap();
            let (key, jwk) = Key::parse(&material).unwrap();
            assert_eq!(jwk.common.key_id.as_ref(), Some(&key.kid));
            let signature = URL_SAFE_NO_PAD.encode(key.sign(b"message").unwrap());
            let theirs = DecodingKey::from_jwk(&jwk).unwrap();
            let verified =
                jsonwebtoken::crypto::verify(&signature, b"message", &theirs, key.algorithm);
            assert!(verified.unwrap(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_key_that_was_kept_is_the_same_key() {
        for algorithm in ALGORITHMS {
            let key = KeyMaterial::generate(algorithm).unwrap();
            let kept = KeyMaterial::from_bytes(&key.to_bytes()).unwrap();
            assert_eq!(kept.algorithm(), algorithm);
            assert_eq!(kept.kid().unwrap(), key.kid().unwrap());
            let brought = KeyMaterial::from_pkcs8(&key.pkcs8).unwrap();
            assert_eq!(brought.algorithm(), algorithm);
            assert_eq!(brought.kid().unwrap(), key.kid().unwrap());
        }
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let key = KeyMaterial::generate(Algorithm::Es256).unwrap();
        let whole = key.to_bytes();
        let kid = |bytes: &[u8]| KeyMaterial::from_bytes(bytes)?.kid();
        for length in 0..whole.len() {
            assert_eq!(kid(&whole[..length]), Err(KeyError::Unreadable));
            let brought = KeyMaterial::from_pkcs8(&whole[1..length.max(1)]);
            assert_eq!(brought.err(), Some(KeyError::Unreadable));
        }
        for other in [0, 2, 3, 4, 255] {
            let mut bytes = whole.to_vec();
            bytes[0] = other;
            assert_eq!(kid(&bytes), Err(KeyError::Unreadable));
        }
    }

    #[test]
    fn nothing_of_a_private_key_is_printed() {
        let key = KeyMaterial::generate(Algorithm::Es256).unwrap();
        assert_eq!(format!("{key:?}"), "KeyMaterial(Es256, ..)");
    }
}
