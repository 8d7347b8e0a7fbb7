//! Forged, foreign and broken access tokens: each is refused, and for the right reason. Tests alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, decode_header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::kept::KeptKeys;
use super::keys::{Algorithm, KeyMaterial};
use super::ring::KeyRing;
use super::verify::TokenFault;
use crate::clock::UnixTime;
use crate::protocol::claims::AccessClaims;
use crate::protocol::ids::{ClientId, Subject};

const ISSUER: &str = "https://mcp.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const NOW: UnixTime = UnixTime(1_800_000_000);
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

fn ring(algorithm: Algorithm) -> KeyRing {
    let key = KeyMaterial::generate(algorithm).unwrap();
    KeyRing::new(ISSUER.to_owned(), &KeptKeys::first(key, NOW)).unwrap()
}

fn claims() -> AccessClaims {
    AccessClaims {
        iss: ISSUER.to_owned(),
        sub: Subject::new("github:583231"),
        aud: RESOURCE.to_owned(),
        client_id: ClientId::new("c1"),
        iat: NOW,
        exp: UnixTime(NOW.0 + 3600),
        jti: "j1".to_owned(),
        scope: "mcp:tools:read".to_owned(),
        sid: "s1".to_owned(),
    }
}

fn header(ring: &KeyRing) -> Value {
    let parsed = ring.parsed();
    let key = &parsed.keys[0].key;
    json!({ "alg": format!("{:?}", key.algorithm), "typ": "at+jwt", "kid": key.kid })
}

/// A token that the key of `ring` really signed, whatever it says.
fn signed(ring: &KeyRing, header: &Value, payload: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let signature = ring.parsed().keys[0].key.sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn verify(ring: &KeyRing, token: &str) -> Result<AccessClaims, TokenFault> {
    ring.verify(token, RESOURCE, NOW)
}

/// AT-01, AT-02, AT-06
#[test]
fn what_is_minted_verifies_with_every_algorithm() {
    for algorithm in ALGORITHMS {
        let ring = ring(algorithm);
        let token = ring.mint(&claims()).unwrap();
        assert_eq!(verify(&ring, token.expose()), Ok(claims()), "{algorithm:?}");
        let header = decode_header(token.expose()).unwrap();
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(header.kid.as_deref(), Some(&*ring.parsed().keys[0].key.kid));
        assert_eq!(header.alg, ring.parsed().keys[0].key.algorithm);
    }
}

/// AT-06, T2
#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    for algorithm in ALGORITHMS {
        let ring = ring(algorithm);
        let jwks: Value = serde_json::from_slice(&ring.jwks(NOW)).unwrap();
        let jwk = jwks["keys"][0].clone();
        let mut secrets = vec![jwk.to_string().into_bytes(), ring.jwks(NOW).to_vec()];
        for member in ["x", "y", "n", "kid"] {
            if let Some(text) = jwk[member].as_str() {
                secrets.push(text.as_bytes().to_vec());
                secrets.push(URL_SAFE_NO_PAD.decode(text).unwrap());
            }
        }
        for secret in secrets {
            for hmac in [
                jsonwebtoken::Algorithm::HS256,
                jsonwebtoken::Algorithm::HS512,
            ] {
                let mut forged = Header::new(hmac);
                forged.typ = Some("at+jwt".to_owned());
                forged.kid = Some(ring.parsed().keys[0].key.kid.clone());
                let key = EncodingKey::from_secret(&secret);
                let token = jsonwebtoken::encode(&forged, &claims(), &key).unwrap();
                assert_eq!(verify(&ring, &token), Err(TokenFault::WrongAlgorithm));
                // ... and when it hides the HMAC behind our algorithm
                let (_, rest) = token.split_once('.').unwrap();
                let ours = URL_SAFE_NO_PAD.encode(header(&ring).to_string());
                let hidden = format!("{ours}.{rest}");
                assert_eq!(verify(&ring, &hidden), Err(TokenFault::BadSignature));
            }
        }
    }
}

/// AT-06, T2
#[test]
fn a_token_without_signature_is_none() {
    let ring = ring(Algorithm::EdDsa);
    let payload = URL_SAFE_NO_PAD.encode(json!(claims()).to_string());
    for alg in [
        "none", "None", "NONE", "nOnE", "", "hs256", "eddsa", "EDDSA",
    ] {
        let header = with(header(&ring), "alg", json!(alg));
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        for signature in ["", "AA", "bm9uZQ"] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(verify(&ring, &token), Err(TokenFault::Malformed), "{alg}");
        }
        let two_parts = format!("{header}.{payload}");
        assert_eq!(verify(&ring, &two_parts), Err(TokenFault::Malformed));
    }
    let right = URL_SAFE_NO_PAD.encode(header(&ring).to_string());
    let unsigned = format!("{right}.{payload}.");
    assert_eq!(verify(&ring, &unsigned), Err(TokenFault::BadSignature));
}

/// AT-06, AT-10, T4
#[test]
fn another_key_does_not_sign_for_ours() {
    for algorithm in ALGORITHMS {
        let (ours, theirs) = (ring(algorithm), ring(algorithm));
        let stranger = theirs.mint(&claims()).unwrap();
        assert_eq!(
            verify(&ours, stranger.expose()),
            Err(TokenFault::UnknownKey)
        );
        let forged = signed(&theirs, &header(&ours), &json!(claims()));
        assert_eq!(verify(&ours, &forged), Err(TokenFault::BadSignature));
        let absent = with(header(&ours), "kid", Value::Null);
        let forged = signed(&ours, &absent, &json!(claims()));
        assert_eq!(verify(&ours, &forged), Err(TokenFault::UnknownKey));
    }
}

/// AT-10
#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let (ours, theirs) = (ring(Algorithm::Es256), ring(Algorithm::Es256));
    let jwks: Value = serde_json::from_slice(&theirs.jwks(NOW)).unwrap();
    for (member, value) in [
        ("jwk", jwks["keys"][0].clone()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = with(header(&ours), member, value);
        let forged = signed(&theirs, &header, &json!(claims()));
        let refused = Err(TokenFault::BadSignature);
        assert_eq!(verify(&ours, &forged), refused, "{member}");
        let genuine = signed(&ours, &header, &json!(claims()));
        assert_eq!(verify(&ours, &genuine), Ok(claims()), "{member}");
    }
}

/// AT-10, AT-11, T8
#[test]
fn only_the_type_of_access_tokens_is_accepted() {
    let ring = ring(Algorithm::EdDsa);
    for (typ, accepted) in [
        (json!("at+jwt"), true),
        (json!("AT+JWT"), true),
        (json!("application/at+jwt"), true),
        (json!("Application/At+Jwt"), true),
        (json!("JWT"), false),
        (json!("application/jwt"), false),
        (json!("anteroom-assertion+jwt"), false),
        (json!("logout+jwt"), false),
        (json!("at+jwt "), false),
        (json!(""), false),
        (Value::Null, false),
        (json!(7), false),
    ] {
        let token = signed(
            &ring,
            &with(header(&ring), "typ", typ.clone()),
            &json!(claims()),
        );
        assert_eq!(verify(&ring, &token).is_ok(), accepted, "{typ}");
    }
    let mut untyped = header(&ring);
    untyped.as_object_mut().unwrap().remove("typ");
    let token = signed(&ring, &untyped, &json!(claims()));
    assert_eq!(verify(&ring, &token), Err(TokenFault::WrongType));
}

/// AT-10
#[test]
fn a_critical_extension_is_refused() {
    let ring = ring(Algorithm::EdDsa);
    for crit in [json!(["b64"]), json!(["exp"]), json!([])] {
        let header = with(with(header(&ring), "crit", crit), "b64", json!(false));
        let token = signed(&ring, &header, &json!(claims()));
        assert_eq!(verify(&ring, &token), Err(TokenFault::Critical));
    }
}

/// AT-10, T1
#[test]
fn every_claim_must_be_there_and_of_its_type() {
    let ring = ring(Algorithm::EdDsa);
    let whole = json!(claims());
    let wrong_text = [json!(7), json!(null), json!(["x"]), json!({}), json!(true)];
    let wrong_time = [
        json!("1800003600"),
        json!(1_800_003_600.5),
        json!(1.8e9),
        json!(1e300),
        json!(u64::MAX),
        json!(null),
        json!([1_800_003_600]),
        json!(true),
    ];
    for name in whole.as_object().unwrap().keys() {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(name);
        let token = signed(&ring, &header(&ring), &without);
        assert_eq!(verify(&ring, &token), Err(TokenFault::Malformed), "{name}");
        let wrong: &[Value] = match &**name {
            "exp" | "iat" => &wrong_time,
            "aud" => &[json!(7), json!(null), json!({}), json!([RESOURCE, 7])],
            _ => &wrong_text,
        };
        for value in wrong {
            let changed = with(whole.clone(), name, value.clone());
            let fault = verify(&ring, &signed(&ring, &header(&ring), &changed));
            assert_eq!(fault, Err(TokenFault::Malformed), "{name}: {value}");
        }
    }
    for value in wrong_time {
        let changed = with(whole.clone(), "nbf", value.clone());
        let fault = verify(&ring, &signed(&ring, &header(&ring), &changed));
        assert_eq!(fault, Err(TokenFault::Malformed), "nbf: {value}");
    }
}

/// AT-10, RS-11, T3, T4
#[test]
fn issuer_and_audience_are_compared_byte_for_byte() {
    let ring = ring(Algorithm::EdDsa);
    let fault = |name, value: Value| {
        let payload = with(json!(claims()), name, value);
        verify(&ring, &signed(&ring, &header(&ring), &payload)).err()
    };
    for iss in [
        "https://mcp.example.com/",
        "https://MCP.example.com",
        "http://mcp.example.com",
        "https://mcp.example.com.evil.example",
        "",
    ] {
        assert_eq!(
            fault("iss", json!(iss)),
            Some(TokenFault::WrongIssuer),
            "{iss}"
        );
    }
    let other = "https://mcp.example.com/other";
    for (aud, expected) in [
        (json!(RESOURCE), None),
        (json!([RESOURCE]), None),
        (json!([other, RESOURCE]), None),
        (json!(other), Some(TokenFault::WrongAudience)),
        (json!([other]), Some(TokenFault::WrongAudience)),
        (json!([]), Some(TokenFault::WrongAudience)),
        (json!(ISSUER), Some(TokenFault::WrongAudience)),
        (
            json!(format!("{RESOURCE}/")),
            Some(TokenFault::WrongAudience),
        ),
        (
            json!(format!("{other} {RESOURCE}")),
            Some(TokenFault::WrongAudience),
        ),
    ] {
        assert_eq!(fault("aud", aud.clone()), expected, "{aud}");
    }
}

/// AT-10, SEC-12
#[test]
fn a_token_is_valid_from_its_issue_until_it_expires() {
    let ring = ring(Algorithm::EdDsa);
    let now = NOW.0;
    for (name, time, expected) in [
        ("exp", now + 1, None),
        ("exp", now, Some(TokenFault::Expired)),
        ("exp", now - 1, Some(TokenFault::Expired)),
        ("exp", -1, Some(TokenFault::Expired)),
        ("exp", i64::MIN, Some(TokenFault::Expired)),
        ("exp", i64::MAX, None),
        ("iat", now + 30, None),
        ("iat", now + 31, Some(TokenFault::NotYetValid)),
        ("iat", i64::MAX, Some(TokenFault::NotYetValid)),
        ("nbf", now + 30, None),
        ("nbf", now + 31, Some(TokenFault::NotYetValid)),
        ("nbf", -1, None),
    ] {
        let payload = with(json!(claims()), name, json!(time));
        let token = signed(&ring, &header(&ring), &payload);
        assert_eq!(verify(&ring, &token).err(), expected, "{name} {time}");
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let ring = ring(Algorithm::EdDsa);
    let token = ring.mint(&claims()).unwrap();
    let token = token.expose();
    let long = "a".repeat(100_000);
    let nested = URL_SAFE_NO_PAD.encode("[".repeat(5000));
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        &long,
        &format!("{token}="),
        &format!("{token}."),
        &format!(" {token}"),
        &format!("{token}\n"),
        &format!("{token}.{token}"),
        &format!("{nested}.e30.e30"),
        &format!("e30.{nested}.e30"),
        "gho_0123456789abcdefghijABCDEFGHIJ012345",
        "ä.ö.ü",
    ] {
        assert_eq!(verify(&ring, text), Err(TokenFault::Malformed), "{text}");
    }
    let doubled = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"a","kid":"b"}"#;
    let rest = token.split_once('.').unwrap().1;
    let twice = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(doubled));
    assert_eq!(verify(&ring, &twice), Err(TokenFault::Malformed));
}

#[test]
fn a_fault_can_stand_in_a_challenge() {
    for fault in [
        TokenFault::Malformed,
        TokenFault::UnknownKey,
        TokenFault::WrongAlgorithm,
        TokenFault::BadSignature,
        TokenFault::WrongType,
        TokenFault::Critical,
        TokenFault::WrongIssuer,
        TokenFault::WrongAudience,
        TokenFault::Expired,
        TokenFault::NotYetValid,
    ] {
        let plain = |c: char| c == ' ' || (c.is_ascii_graphic() && !"\"\\=".contains(c));
        assert!(fault.to_string().chars().all(plain), "{fault}");
    }
}

proptest! {
    #[test]
    fn a_changed_bit_never_verifies(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        static MINTED: std::sync::LazyLock<Vec<(KeyRing, String)>> =
            std::sync::LazyLock::new(|| {
                ALGORITHMS
                    .map(|algorithm| {
                        let ring = ring(algorithm);
                        let token = ring.mint(&claims()).unwrap().expose().to_owned();
                        (ring, token)
                    })
                    .into()
            });
        for (ring, token) in MINTED.iter() {
            let mut bytes = token.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(changed) = std::str::from_utf8(&bytes) {
                prop_assert!(verify(ring, changed).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}(\\.\\PC{0,40}){0,3}") {
        static RING: std::sync::LazyLock<KeyRing> =
            std::sync::LazyLock::new(|| ring(Algorithm::EdDsa));
        prop_assert!(verify(&RING, &text).is_err());
    }
}
