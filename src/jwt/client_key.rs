//! Key pairs of clients, and what they sign with them. Tests alone.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::assertion::{Assertion, AssertionFault, Presented};
use crate::clock::UnixTime;
use crate::protocol::ids::ClientId;

pub(super) const CLIENT: &str = "https://chatgpt.com/oauth/client.json";
pub(super) const ISSUER: &str = "https://mcp.example.com";
pub(super) const TOKEN: &str = "https://mcp.example.com/token";
pub(super) const NOW: UnixTime = UnixTime(1_800_000_000);

/// A key pair of a client.
pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

pub(super) fn rsa() -> Pair {
    Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

pub(super) fn ec() -> Pair {
    Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

pub(super) fn ed() -> Pair {
    Pair::Ed(Ed25519KeyPair::generate().unwrap())
}

impl Pair {
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "kid": kid, "n": text(&public.n), "e": text(&public.e)})
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(pair.public_key().as_ref())})
            }
        }
    }

    fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn RsaEncoding = match alg {
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(padding, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            }
            Self::Ec(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).unwrap();
                signature.as_ref().to_vec()
            }
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// An assertion that this pair really signed, whatever it says.
    pub(super) fn assertion(&self, header: &Value, claims: &Value) -> String {
        self.sign_texts(&header.to_string(), &claims.to_string())
    }

    pub(super) fn sign_texts(&self, header: &str, claims: &str) -> String {
        let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = message.join(".");
        let alg = serde_json::from_str::<Value>(header).unwrap_or_default();
        let alg = alg["alg"].as_str().unwrap_or_default();
        let signature = self.sign(alg, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub(super) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

pub(super) fn header(alg: &str) -> Value {
    json!({"alg": alg, "kid": "k1"})
}

pub(super) fn claims() -> Value {
    json!({"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "exp": NOW.0 + 300, "iat": NOW.0, "jti": "j1"})
}

/// `object` with this member; null takes it out.
pub(super) fn with(mut object: Value, name: &str, value: Value) -> Value {
    match (value, object.as_object_mut()) {
        (Value::Null, Some(members)) => drop(members.remove(name)),
        (value, _) => object[name] = value,
    }
    object
}

pub(super) fn verify(text: &str, keys: &str) -> Result<Assertion, AssertionFault> {
    Presented::parse(text, &ClientId::new(CLIENT), &[ISSUER, TOKEN], NOW)?.verify(keys.as_bytes())
}

pub(super) fn fault(text: &str, keys: &str) -> Option<AssertionFault> {
    verify(text, keys).err()
}
