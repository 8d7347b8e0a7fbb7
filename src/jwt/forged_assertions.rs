//! Client assertions by wrong keys, wrong algorithms and none: each is refused, and for the right reason. Tests alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::assertion::AssertionFault;
use super::client_key::{claims, ec, ed, fault, header, rsa, set, with};

/// TOK-25, DISC-30
#[test]
fn a_client_proves_itself_with_each_algorithm_and_the_key_of_its_kind() {
    for (pair, alg) in [
        (rsa(), "RS256"),
        (rsa(), "PS256"),
        (ec(), "ES256"),
        (ed(), "EdDSA"),
    ] {
        let text = pair.assertion(&header(alg), &claims());
        let jwk = pair.jwk("k1");
        for (name, value) in [
            ("use", json!("sig")),
            ("alg", json!(alg)),
            ("key_ops", json!(["verify"])),
            ("x5t", json!("whatever")),
        ] {
            let keys = set(&[ec().jwk("other"), with(jwk.clone(), name, value)]);
            assert_eq!(fault(&text, &keys), None, "{alg} {name}");
        }
        // what is no key for signatures by this algorithm is none, whoever signed
        for (name, value) in [
            ("use", json!("enc")),
            ("alg", json!("RS512")),
            ("alg", json!("HS256")),
            ("alg", json!("nonsense")),
            ("key_ops", json!(["encrypt"])),
            ("key_ops", json!([])),
            ("kty", json!("oct")),
            ("crv", json!("P-384")),
            ("d", json!("cHJpdmF0ZQ")),
        ] {
            // an RSA key has no curve
            if (name, alg.starts_with("ES") || alg == "EdDSA") != ("crv", false) {
                let keys = set(&[with(jwk.clone(), name, value.clone())]);
                let refused = fault(&text, &keys);
                assert_eq!(
                    refused,
                    Some(AssertionFault::UnfitKey),
                    "{alg} {name} {value}"
                );
            }
        }
    }
}

/// TOK-25, T2
#[test]
fn the_key_decides_the_algorithm_and_is_never_a_shared_secret() {
    let (rsa, ec, ed) = (rsa(), ec(), ed());
    // a good signature by the algorithm of another kind of key, or by the other padding of the same
    for (alg, signer) in [("ES256", &rsa), ("EdDSA", &ec), ("RS256", &ed)] {
        let text = signer.assertion(&header(alg), &claims());
        let keys = set(&[signer.jwk("k1")]);
        assert_eq!(fault(&text, &keys), Some(AssertionFault::UnfitKey), "{alg}");
    }
    for pair in [&rsa, &ec, &ed] {
        let jwk = pair.jwk("k1");
        let keys = set(std::slice::from_ref(&jwk));
        let mut secrets = vec![jwk.to_string().into_bytes(), keys.clone().into_bytes()];
        for member in ["n", "x", "y", "kid"] {
            let text = jwk[member].as_str().unwrap_or_default();
            secrets.push(text.as_bytes().to_vec());
            secrets.push(URL_SAFE_NO_PAD.decode(text).unwrap_or_default());
        }
        for secret in secrets {
            let message =
                [header("HS256"), claims()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
            let message = message.join(".");
            let key = EncodingKey::from_secret(&secret);
            let mac =
                jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
            let text = format!("{message}.{mac}");
            assert_eq!(fault(&text, &keys), Some(AssertionFault::Algorithm));
        }
        // a shared secret in the key set is no key
        let shared = json!({"kty": "oct", "kid": "k1", "k": "c2VjcmV0"});
        let text = pair.assertion(&header("RS256"), &claims());
        assert_eq!(
            fault(&text, &set(&[shared])),
            Some(AssertionFault::UnfitKey)
        );
    }
    let text = rsa.assertion(&header("PS256"), &claims());
    let keys = set(&[rsa.jwk("k1")]);
    let (_, rest) = text.split_once('.').unwrap();
    let relabelled = format!(
        "{}.{rest}",
        URL_SAFE_NO_PAD.encode(header("RS256").to_string())
    );
    assert_eq!(
        fault(&relabelled, &keys),
        Some(AssertionFault::BadSignature)
    );
}

/// TOK-25
#[test]
fn without_a_signature_that_is_ours_to_check_nothing_is_proven() {
    let pair = ec();
    let keys = set(&[pair.jwk("k1")]);
    for alg in [
        "none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS1", "RS384", "RS512", "PS384",
        "PS512", "ES384", "ES512", "ES256K", "es256", "eddsa", "Ed448", "RSA-OAEP", "A128KW",
        "dir",
    ] {
        let text = pair.assertion(&header(alg), &claims());
        assert_eq!(
            fault(&text, &keys),
            Some(AssertionFault::Algorithm),
            "{alg}"
        );
    }
    let text = pair.assertion(&header("ES256"), &claims());
    let (message, signature) = text.rsplit_once('.').unwrap();
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    for signature in [
        "",
        "AA",
        "bm9uZQ",
        &*zeros,
        &signature[1..],
        &format!("{signature}AA"),
        &format!("{signature}="),
    ] {
        let text = format!("{message}.{signature}");
        assert_eq!(
            fault(&text, &keys),
            Some(AssertionFault::BadSignature),
            "{signature}"
        );
    }
    let other = ec().assertion(&header("ES256"), &claims());
    assert_eq!(fault(&other, &keys), Some(AssertionFault::BadSignature));
}

/// TOK-25, T8
#[test]
fn a_header_names_a_key_of_the_client_and_brings_none() {
    use AssertionFault::{BadSignature, Critical, Malformed, UnknownKey, WrongType};
    let (pair, thief) = (ec(), ec());
    let keys = set(&[pair.jwk("k1"), ed().jwk("k2")]);
    for (name, value, refused) in [
        ("typ", json!("JWT"), None),
        ("typ", json!("jwt"), None),
        ("typ", json!("application/client-authentication+jwt"), None),
        ("typ", json!("client-authentication+jwt"), None),
        ("typ", json!("at+jwt"), Some(WrongType)),
        ("typ", json!("dpop+jwt"), Some(WrongType)),
        ("typ", json!(""), Some(WrongType)),
        ("typ", json!(["JWT"]), Some(Malformed)),
        ("crit", json!(["exp"]), Some(Critical)),
        ("crit", json!([]), Some(Critical)),
        ("kid", json!("k3"), Some(UnknownKey)),
        ("kid", json!("../../k1"), Some(UnknownKey)),
        ("kid", json!("K1"), Some(UnknownKey)),
        ("kid", json!(""), Some(UnknownKey)),
        ("kid", json!("' OR 1=1 --"), Some(UnknownKey)),
        ("kid", json!(1), Some(Malformed)),
        ("jku", json!("https://evil.example/jwks.json"), None),
        ("jwk", json!({"kty": "what"}), None),
    ] {
        let text = pair.assertion(&with(header("ES256"), name, value.clone()), &claims());
        assert_eq!(fault(&text, &keys), refused, "{name} {value}");
    }
    let own = with(header("ES256"), "jwk", thief.jwk("k1"));
    let text = thief.assertion(&own, &claims());
    assert_eq!(fault(&text, &keys), Some(BadSignature));
    let null = pair.sign_texts(
        r#"{"alg":"ES256","kid":"k1","crit":null}"#,
        &claims().to_string(),
    );
    assert_eq!(fault(&null, &keys), Some(Critical));
}

/// TOK-25
#[test]
fn without_a_kid_the_few_keys_that_fit_are_tried() {
    let pair = ec();
    let text = pair.assertion(&json!({"alg": "ES256"}), &claims());
    let others = |count: usize| (0..count).map(|_| ec().jwk("other")).collect::<Vec<_>>();
    let nameless = with(pair.jwk(""), "kid", Value::Null);
    for (before, refused) in [
        (0, None),
        (4, None),
        (5, Some(AssertionFault::BadSignature)),
    ] {
        // keys of another kind are not tried
        let keys = [
            vec![ed().jwk("a"), rsa().jwk("b")],
            others(before),
            vec![nameless.clone()],
        ];
        assert_eq!(fault(&text, &set(&keys.concat())), refused, "{before}");
    }
    assert_eq!(
        fault(&text, &set(&[ed().jwk("a")])),
        Some(AssertionFault::UnfitKey)
    );
    // ... but a key without a name is not the one that is named
    let named = pair.assertion(&header("ES256"), &claims());
    assert_eq!(
        fault(&named, &set(&[nameless])),
        Some(AssertionFault::UnknownKey)
    );
}

/// TOK-25
#[test]
fn a_weak_or_endless_key_is_none_and_a_strange_one_spoils_no_other() {
    let pair = rsa();
    let text = pair.assertion(&header("RS256"), &claims());
    let modulus = |bytes: &[u8]| with(pair.jwk("k1"), "n", json!(URL_SAFE_NO_PAD.encode(bytes)));
    for n in [
        &[0xff; 128][..],
        &[0x7f; 256],
        &[0xff; 1025],
        &[0; 256],
        &[],
    ] {
        let refused = fault(&text, &set(&[modulus(n)]));
        assert_eq!(refused, Some(AssertionFault::UnfitKey), "{}", n.len());
    }
    for e in ["AQ", "Ag", "AA", ""] {
        let keys = set(&[with(pair.jwk("k1"), "e", json!(e))]);
        assert_eq!(
            fault(&text, &keys),
            Some(AssertionFault::BadSignature),
            "{e}"
        );
    }
    let strange = [
        json!(null),
        json!("k1"),
        json!([]),
        json!({}),
        json!({"kid": "k1"}),
        json!({"kty": "AKP", "kid": "k1"}),
    ];
    let keys = [&strange[..], &[pair.jwk("k1")]].concat();
    assert_eq!(fault(&text, &set(&keys)), None);
    for (keys, refused) in [
        ("", AssertionFault::KeySet),
        ("null", AssertionFault::KeySet),
        ("{}", AssertionFault::KeySet),
        ("[]", AssertionFault::KeySet),
        (r#"{"keys":{}}"#, AssertionFault::KeySet),
        ("<html>", AssertionFault::KeySet),
        (r#"{"keys":[]}"#, AssertionFault::UnknownKey),
    ] {
        assert_eq!(fault(&text, keys), Some(refused), "{keys}");
    }
}
