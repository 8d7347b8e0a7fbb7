//! Forged ID tokens, and real ones of others: what is refused, and why.

use jsonwebtoken::{EncodingKey, Header, encode};
use openidconnect::core::CoreJsonWebKeySet;
use serde_json::{Map, Value, json};

use super::fake::{CLIENT, NOW, Pair, SUB, with};
use super::id_token::{Expected, IdTokenFault, verified};
use crate::clock::UnixTime;
use crate::secret::Secret;

const ISSUER: &str = "https://accounts.google.com";

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": SUB, "aud": CLIENT, "exp": NOW.0 + 300, "iat": NOW.0, "nonce": "n"})
}

fn header(alg: &str) -> Value {
    json!({"alg": alg, "kid": "k1", "typ": "JWT"})
}

fn keys(keys: &[Value]) -> CoreJsonWebKeySet {
    serde_json::from_value(json!({ "keys": keys })).unwrap()
}

fn checked(token: &str, keys: &CoreJsonWebKeySet) -> Result<Map<String, Value>, IdTokenFault> {
    let nonce = Secret::new("n");
    let access = Secret::new("access");
    let issuers = [ISSUER.to_owned(), "accounts.google.com".to_owned()];
    let expected = Expected {
        issuers: &issuers,
        client_id: CLIENT,
        nonce: Some(&nonce),
        access: &access,
        now: NOW,
    };
    verified(token, keys, &expected)
}

/// CONS-18
#[test]
fn a_token_of_each_algorithm_is_read() {
    for (pair, alg) in [
        (Pair::rsa(), "RS256"),
        (Pair::rsa(), "PS256"),
        (Pair::p256(), "ES256"),
        (Pair::p384(), "ES384"),
        (Pair::ed(), "EdDSA"),
    ] {
        let keys = keys(&[Pair::p256().jwk("k0"), pair.jwk("k1")]);
        let token = pair.sign(&header(alg), &with(claims(), "groups", json!(["a"])));
        let read = checked(&token, &keys).unwrap();
        assert_eq!(read["groups"], json!(["a"]), "{alg}");
        // one byte of the signature
        let (rest, last) = token.split_at(token.len() - 6);
        let flipped = if last.starts_with('A') { "B" } else { "A" };
        let forged = format!("{rest}{flipped}{}", &last[1..]);
        assert_eq!(
            checked(&forged, &keys),
            Err(IdTokenFault::BadSignature),
            "{alg}"
        );
    }
}

/// A real token with one claim that is another.
fn claim(name: &str, value: Value) -> Option<IdTokenFault> {
    let pair = Pair::ed();
    let token = pair.sign(&header("EdDSA"), &with(claims(), name, value));
    checked(&token, &keys(&[pair.jwk("k1")])).err()
}

/// CONS-18
#[test]
fn a_token_of_another_issuer_or_for_another_client_is_refused() {
    use IdTokenFault::{Claims, WrongAudience, WrongIssuer};
    let other = "another client";
    for (name, value, fault) in [
        ("iss", json!("https://evil.example"), Some(WrongIssuer)),
        (
            "iss",
            json!("https://accounts.google.com/"),
            Some(WrongIssuer),
        ),
        (
            "iss",
            json!("http://accounts.google.com"),
            Some(WrongIssuer),
        ),
        ("iss", json!("accounts.google.com"), None),
        ("iss", Value::Null, Some(Claims)),
        ("aud", json!(other), Some(WrongAudience)),
        ("aud", json!([]), Some(WrongAudience)),
        ("aud", json!([CLIENT]), None),
        ("aud", json!([CLIENT, other]), Some(WrongAudience)),
        ("aud", Value::Null, Some(Claims)),
        ("azp", json!(CLIENT), None),
        ("azp", json!(other), Some(WrongAudience)),
    ] {
        assert_eq!(claim(name, value.clone()), fault, "{name}: {value}");
    }
    let pair = Pair::ed();
    let keys = keys(&[pair.jwk("k1")]);
    for (azp, accepted) in [(CLIENT, true), (other, false)] {
        let several = with(claims(), "aud", json!([other, CLIENT]));
        let token = pair.sign(&header("EdDSA"), &with(several, "azp", json!(azp)));
        assert_eq!(checked(&token, &keys).is_ok(), accepted, "{azp}");
    }
}

/// CONS-18
#[test]
fn a_token_of_another_time_sign_in_or_person_is_refused() {
    use IdTokenFault::{Claims, Expired, WrongHash, WrongNonce, WrongTime};
    let at = |seconds: i64| json!(NOW.0 + seconds);
    for (name, value, fault) in [
        ("exp", at(0), Some(Expired)),
        ("exp", at(1), None),
        ("exp", json!(f64::MAX), None),
        ("exp", json!("2099-01-01"), Some(Claims)),
        ("exp", Value::Null, Some(Claims)),
        ("iat", at(60), None),
        ("iat", at(61), Some(WrongTime)),
        ("iat", at(-86_400), None),
        ("iat", at(-86_401), Some(WrongTime)),
        ("iat", Value::Null, Some(Claims)),
        ("nbf", at(61), Some(WrongTime)),
        ("nonce", json!("another"), Some(WrongNonce)),
        ("nonce", json!(""), Some(WrongNonce)),
        ("nonce", Value::Null, Some(WrongNonce)),
        ("sub", json!(""), Some(Claims)),
        ("sub", json!("a b"), Some(Claims)),
        ("sub", json!("x".repeat(255)), None),
        ("sub", json!("x".repeat(256)), Some(Claims)),
        ("sub", json!("\u{e9}"), Some(Claims)),
        ("sub", json!(7), Some(Claims)),
        ("sub", Value::Null, Some(Claims)),
    ] {
        assert_eq!(claim(name, value.clone()), fault, "{name}: {value}");
    }
    let pair = Pair::rsa();
    let keys = keys(&[pair.jwk("k1")]);
    for (access, fault) in [("access", None), ("another", Some(WrongHash))] {
        let claims = with(claims(), "at_hash", json!(at_hash(access)));
        let token = pair.sign(&header("RS256"), &claims);
        assert_eq!(checked(&token, &keys).err(), fault, "{access}");
    }
}

/// CONS-18
#[test]
fn a_token_that_is_not_signed_as_it_must_be_is_refused() {
    let pair = Pair::p256();
    let other = Pair::p256();
    let key = pair.jwk("k1");
    let keys = keys(&[key.clone(), Pair::rsa().jwk("rsa")]);
    for (header, fault) in [
        (header("none"), IdTokenFault::Algorithm),
        (header("None"), IdTokenFault::Algorithm),
        (header("HS256"), IdTokenFault::Algorithm),
        (header("RS512"), IdTokenFault::Algorithm),
        (header("RS256"), IdTokenFault::BadSignature),
        (header("ES384"), IdTokenFault::BadSignature),
        (
            with(header("ES256"), "kid", json!("rsa")),
            IdTokenFault::BadSignature,
        ),
        (
            with(header("ES256"), "kid", json!("k2")),
            IdTokenFault::UnknownKey,
        ),
        (
            with(header("ES256"), "typ", json!("at+jwt")),
            IdTokenFault::WrongType,
        ),
        (
            with(header("ES256"), "cty", json!("JWT")),
            IdTokenFault::WrongType,
        ),
        (
            with(header("ES256"), "crit", json!(["exp"])),
            IdTokenFault::Critical,
        ),
        (
            with(header("ES256"), "alg", Value::Null),
            IdTokenFault::Malformed,
        ),
    ] {
        let token = pair.sign(&header, &claims());
        assert_eq!(checked(&token, &keys).err(), Some(fault), "{header}");
    }
    // the key that a token brings itself
    let brought = with(header("ES256"), "jwk", other.jwk("k1"));
    let token = other.sign(&brought, &claims());
    assert_eq!(
        checked(&token, &keys).err(),
        Some(IdTokenFault::BadSignature)
    );
    // no kid: it may be any key of the provider, and no other
    let unnamed = with(header("ES256"), "kid", Value::Null);
    assert!(checked(&pair.sign(&unnamed, &claims()), &keys).is_ok());
    let token = other.sign(&unnamed, &claims());
    assert_eq!(checked(&token, &keys).err(), Some(IdTokenFault::UnknownKey));
    // no signature at all
    let token = pair.sign(&header("ES256"), &claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    for text in ["", ".", "..", message, "a.b.c", &format!("{token}.x")] {
        assert!(checked(text, &keys).is_err(), "{text}");
    }
    let unsigned = checked(&format!("{message}."), &keys);
    assert_eq!(unsigned.err(), Some(IdTokenFault::BadSignature));
}

/// CONS-18
#[test]
fn no_key_that_others_know_makes_a_mac_that_counts() {
    let pair = Pair::rsa();
    let jwk = pair.jwk("k1");
    let modulus = jwk["n"].as_str().unwrap().to_owned();
    let mac = |secret: &str| {
        let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
        header.kid = Some("k1".to_owned());
        encode(
            &header,
            &claims(),
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap()
    };
    let oct = json!({"kty": "oct", "kid": "k1", "k": "c2VjcmV0"});
    for keys in [keys(std::slice::from_ref(&jwk)), keys(&[oct])] {
        for secret in [&modulus, &jwk.to_string(), "secret", ""] {
            let read = checked(&mac(secret), &keys);
            assert_eq!(read.err(), Some(IdTokenFault::Algorithm));
        }
    }
}

/// CONS-18
#[test]
fn a_key_signs_only_what_it_is_for() {
    let pair = Pair::rsa();
    let token = pair.sign(&header("RS256"), &claims());
    for (name, value, read) in [
        ("use", json!("sig"), true),
        ("use", json!("enc"), false),
        ("alg", json!("RS256"), true),
        ("alg", json!("PS256"), false),
        ("alg", json!("RSA-OAEP"), false),
    ] {
        let keys = keys(&[with(pair.jwk("k1"), name, value.clone())]);
        assert_eq!(checked(&token, &keys).is_ok(), read, "{name}: {value}");
    }
}

/// The first half of SHA-256 (Core §3.1.3.6).
fn at_hash(access: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(access);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash[..16])
}

#[test]
fn the_time_is_what_the_clock_says() {
    let pair = Pair::ed();
    let keys = keys(&[pair.jwk("k1")]);
    let token = pair.sign(&header("EdDSA"), &claims());
    for (now, fault) in [
        (NOW.0 + 299, None),
        (NOW.0 + 300, Some(IdTokenFault::Expired)),
    ] {
        let expected = Expected {
            issuers: &[ISSUER.to_owned()],
            client_id: CLIENT,
            nonce: None,
            access: &Secret::new("access"),
            now: UnixTime(now),
        };
        assert_eq!(verified(&token, &keys, &expected).err(), fault);
    }
}
