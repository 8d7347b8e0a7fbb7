//! What the stand-in's `OpenID` provider signs with, and what it publishes of it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::{Value, json};

use crate::standin::random;

/// A key pair with the name that it is published under.
pub(super) struct Key {
    pub(super) kid: String,
    private: Private,
}

enum Private {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Key {
    /// None where the library makes none.
    pub(super) fn es256() -> Option<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Some(Self::named(Private::Es256(pair.ok()?)))
    }

    /// None where the library makes none.
    pub(super) fn rs256() -> Option<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048);
        Some(Self::named(Private::Rs256(pair.ok()?)))
    }

    fn named(private: Private) -> Self {
        let kid = random("key-");
        Self { kid, private }
    }

    /// What is published of it (RFC 7517 §4).
    pub(super) fn jwk(&self) -> Option<Jwk> {
        let (public, algorithm) = match &self.private {
            Private::Es256(pair) => {
                let public = DecodingKey::from_ec_der(pair.public_key().as_ref());
                (public, Algorithm::ES256)
            }
            Private::Rs256(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                let public = DecodingKey::from_rsa_raw_components(&public.n, &public.e);
                (public, Algorithm::RS256)
            }
        };
        let mut jwk = Jwk::from_decoding_key(&public, Some(algorithm)).ok()?;
        jwk.common.key_id = Some(self.kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(jwk)
    }

    /// The claims as a token of this key, under the name `kid`, if any.
    pub(super) fn sign(&self, kid: Option<&str>, claims: &Value) -> Option<String> {
        let algorithm = match self.private {
            Private::Es256(_) => "ES256",
            Private::Rs256(_) => "RS256",
        };
        let mut header = json!({ "alg": algorithm, "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let message = message(&header, claims);
        let signature = self.signature(message.as_bytes())?;
        Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims with a MAC in place of a signature, and `secret` as its key.
    pub(super) fn mac(&self, secret: &[u8], claims: &Value) -> Option<String> {
        let header = json!({ "alg": "HS256", "typ": "JWT", "kid": self.kid });
        let message = message(&header, claims);
        let key = EncodingKey::from_secret(secret);
        let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).ok()?;
        Some(format!("{message}.{mac}"))
    }

    fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Es256(pair) => {
                let signature = pair.sign(&random, message).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Private::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }
}

/// The claims with nothing that vouches for them (RFC 7519 §6).
pub(super) fn unsigned(claims: &Value) -> String {
    let message = message(&json!({ "alg": "none", "typ": "JWT" }), claims);
    format!("{message}.")
}

/// What is signed (RFC 7515 §5.1): no library writes headers that are as wrong as they have to be here.
fn message(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}
