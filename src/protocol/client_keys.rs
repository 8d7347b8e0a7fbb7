//! The public keys of a client (RFC 7591 §2: `jwks`, `jwks_uri`): checked, and put down without what is not needed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::client::KeySource;
use super::client_members::text;
use super::error::{ErrorCode, OAuthError};
use super::uri_text::parse_https;

const MOST_KEYS: usize = 20;
/// All of them together, so that nobody fills the disk with few clients.
const LONGEST_KEYS: usize = 4 << 10;

/// What only the owner of a key may have, and what is one and the same for both sides (RFC 7518 §6.2.2, §6.3.2, §6.4).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Where the keys of a client are that proves itself with them: one place exactly.
pub(super) fn source(
    jwks: Option<&Value>,
    jwks_uri: Option<&Value>,
) -> Result<KeySource, OAuthError> {
    match (jwks, text(jwks_uri, "jwks_uri is not a string")?) {
        (Some(_), Some(_)) => Err(BOTH),
        (Some(jwks), None) => inline(jwks).map(KeySource::Inline),
        (None, Some(uri)) => match parse_https(uri) {
            Ok(_) => Ok(KeySource::At(uri.to_owned())),
            Err(_) => Err(invalid(
                "jwks_uri is not an https URL that is written plainly: no user name, fragment or dot segments",
            )),
        },
        (None, None) => Err(invalid("private_key_jwt needs either jwks or jwks_uri")),
    }
}

/// That not both places are named, also where neither is used.
pub(super) fn check_one_source(
    jwks: Option<&Value>,
    jwks_uri: Option<&Value>,
) -> Result<(), OAuthError> {
    let uri = text(jwks_uri, "jwks_uri is not a string")?;
    if jwks.is_some() && uri.is_some() {
        return Err(BOTH);
    }
    Ok(())
}

/// Whether somebody published the private half of a key, and so has no secret to prove anything with.
#[must_use]
pub fn is_private(key: &Value) -> bool {
    PRIVATE.iter().any(|name| key.get(*name).is_some())
}

/// Whether a key is one to check signatures with, by what it says of itself (RFC 7517 §4.2, §4.3).
#[must_use]
pub fn is_for_signatures(key: &Value) -> bool {
    let said = |name| key.get(name).filter(|value| !value.is_null());
    let purpose = said("use").is_none_or(|purpose| purpose == "sig");
    let operations = said("key_ops").is_none_or(|operations| {
        let mut listed = operations.as_array().into_iter().flatten();
        listed.any(|operation| operation == "verify")
    });
    purpose && operations
}

/// The key set as it is kept: of each key only what verifying needs, so that nobody after us reads a member that we
/// have not seen. Keys of other kinds are left out (RFC 7517 §5).
fn inline(jwks: &Value) -> Result<String, OAuthError> {
    let keys = jwks
        .get("keys")
        .and_then(Value::as_array)
        .ok_or(invalid("jwks is not an object with a list of keys"))?;
    if keys.len() > MOST_KEYS {
        return Err(invalid("jwks has more than 20 keys"));
    }
    let mut kept = Vec::new();
    for key in keys {
        kept.extend(public_key(key)?);
    }
    if kept.is_empty() {
        return Err(invalid(
            "jwks has no key that can be used: RSA, EC with P-256 or OKP with Ed25519",
        ));
    }
    let written = json!({ "keys": kept }).to_string();
    if written.len() > LONGEST_KEYS {
        return Err(invalid("jwks has more than 4 KiB of keys"));
    }
    Ok(written)
}

/// A key with its necessary members; none where it is of a kind or for a use that is not ours.
fn public_key(key: &Value) -> Result<Option<Map<String, Value>>, OAuthError> {
    if !key.is_object() {
        return Err(invalid("jwks has a key that is not an object"));
    }
    let member = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
    if member("kty") == "oct" || is_private(key) {
        return Err(invalid(
            "jwks has a private or symmetric key (kty oct, or a member d, p, q, dp, dq, qi, oth or k)",
        ));
    }
    if !is_for_signatures(key) {
        return Ok(None);
    }
    // each member, and the bytes that it has
    let needed: &[(&str, usize, usize)] = match (member("kty"), member("crv")) {
        ("RSA", _) => &[("n", 256, 1024), ("e", 1, 8)],
        ("EC", "P-256") => &[("x", 32, 32), ("y", 32, 32)],
        ("OKP", "Ed25519") => &[("x", 32, 32)],
        _ => return Ok(None),
    };
    for (name, least, most) in needed {
        let bytes = URL_SAFE_NO_PAD.decode(member(name)).unwrap_or_default();
        if !(*least..=*most).contains(&bytes.len()) {
            return Err(invalid(
                "jwks has a key that is not well-formed, or an RSA key of less than 2048 bits",
            ));
        }
    }
    let names = needed.iter().map(|(name, _, _)| *name);
    let kept = ["kty", "crv", "kid", "alg", "use"].into_iter().chain(names);
    Ok(Some(
        kept.filter(|name| !member(name).is_empty())
            .map(|name| (name.to_owned(), Value::from(member(name))))
            .collect(),
    ))
}

const BOTH: OAuthError = OAuthError {
    code: ErrorCode::InvalidClientMetadata,
    description: "jwks and jwks_uri exclude each other",
};

fn invalid(rule: &'static str) -> OAuthError {
    ErrorCode::InvalidClientMetadata.with(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(length: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xc1; length])
    }

    fn ec(rest: Value) -> Value {
        let mut key = json!({"kty": "EC", "crv": "P-256", "x": bytes(32), "y": bytes(32)});
        let rest: Map<String, Value> = serde_json::from_value(rest).unwrap();
        key.as_object_mut().unwrap().extend(rest);
        key
    }

    fn kept(keys: &Value) -> Result<Value, OAuthError> {
        let source = source(Some(&json!({ "keys": keys })), None)?;
        let KeySource::Inline(text) = source else {
            panic!("{source:?}")
        };
        Ok(serde_json::from_str(&text).unwrap())
    }

    /// CLI-14
    #[test]
    fn of_a_key_only_what_verifies_is_kept() {
        let rsa = json!({"kty": "RSA", "n": bytes(256), "e": "AQAB", "kid": "1", "alg": "RS256"});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": bytes(32), "use": "sig"});
        let with_more = ec(
            json!({"x5c": ["MIIB"], "key_ops": ["verify"], "kid": 7, "x5u": "http://10.0.0.1/"}),
        );
        let others = [
            ec(json!({"use": "enc"})),
            ec(json!({"key_ops": ["encrypt"]})),
            ec(json!({"key_ops": "verify"})),
            json!({"kty": "EC", "crv": "P-384", "x": bytes(48), "y": bytes(48)}),
            json!({"kty": "AKP", "pub": bytes(32)}),
            json!({}),
        ];
        assert!(!others.iter().any(is_private));
        let mut asked = vec![rsa.clone(), ed.clone(), with_more];
        asked.extend(others);
        assert_eq!(
            kept(&json!(asked)).unwrap(),
            json!({"keys": [rsa, ed, ec(json!({}))]})
        );
    }

    /// CLI-14, CLI-39
    #[test]
    fn a_key_set_with_a_private_or_broken_key_is_refused() {
        for name in PRIVATE {
            for value in [json!("AQAB"), json!(null)] {
                let refused = kept(&json!([ec(json!({})), ec(json!({name: value}))])).unwrap_err();
                assert!(refused.description.contains("private"), "{name}");
            }
        }
        for (keys, rule) in [
            (json!([{"kty": "oct"}]), "symmetric"),
            (
                json!([{"kty": "RSA", "n": bytes(128), "e": "AQAB"}]),
                "2048",
            ),
            (json!([{"kty": "RSA", "n": bytes(256)}]), "well-formed"),
            (json!([ec(json!({"x": bytes(31)}))]), "well-formed"),
            (json!([ec(json!({"y": "a+/="}))]), "well-formed"),
            (json!([ec(json!({"y": [1]}))]), "well-formed"),
            (json!(["x"]), "not an object"),
            (json!([]), "no key"),
            (json!([{"kty": "EC", "crv": "P-521"}]), "no key"),
            (json!(vec![ec(json!({})); 21]), "20"),
            (json!([ec(json!({"kid": "x".repeat(5000)}))]), "4 KiB"),
            (json!({}), "list"),
        ] {
            let refused = kept(&keys).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidClientMetadata, "{keys}");
            assert!(refused.description.contains(rule), "{keys}: {refused}");
        }
    }

    /// CLI-14, CLI-39, C1
    #[test]
    fn keys_are_in_one_place_and_a_place_is_an_https_url() {
        let uri = |text: &str| source(None, Some(&json!(text)));
        for text in [
            "https://chatgpt.com/oauth/jwks.json",
            "https://a.example",
            "https://a.example:8443/k?v=1",
        ] {
            assert_eq!(uri(text), Ok(KeySource::At(text.to_owned())));
        }
        for text in [
            "http://a.example/k",
            "https://u@a.example/k",
            "https://a.example/k#x",
            "https://a.example/../k",
            "https://127.1/k",
            "file:///etc/passwd",
            "",
        ] {
            assert!(uri(text).is_err(), "{text}");
        }
        let keys = json!({"keys": [ec(json!({}))]});
        assert_eq!(
            source(Some(&keys), Some(&json!("https://a.example/k"))),
            Err(BOTH)
        );
        assert!(source(Some(&keys), Some(&json!(""))).is_ok());
        assert!(source(Some(&keys), Some(&json!([]))).is_err());
        assert!(source(None, None).is_err());
    }
}
