//! Client assertions that a client really signed, for somebody else, for ever, or so that two could read them
//! differently. Tests alone.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::assertion::{AssertionFault, Presented};
use super::client_key::{CLIENT, ISSUER, NOW, TOKEN, claims, ed, fault, header, set, verify, with};
use crate::clock::UnixTime;
use crate::protocol::ids::ClientId;

/// Claims, their values, and the fault that each makes.
fn assert_faults<const N: usize>(claims_and_faults: [(&str, Value, Option<AssertionFault>); N]) {
    let pair = ed();
    let keys = set(&[pair.jwk("k1")]);
    for (name, value, refused) in claims_and_faults {
        let text = pair.assertion(&header("EdDSA"), &with(claims(), name, value.clone()));
        assert_eq!(fault(&text, &keys), refused, "{name} {value}");
    }
}

/// TOK-25, T7, T15
#[test]
fn an_assertion_is_from_the_client_and_for_us_alone() {
    use AssertionFault::{Claims, WrongAudience, WrongClient};
    assert_faults([
        ("aud", json!(TOKEN), None),
        ("aud", json!([ISSUER]), None),
        ("aud", json!([ISSUER, TOKEN]), Some(WrongAudience)),
        (
            "aud",
            json!([ISSUER, "https://evil.example"]),
            Some(WrongAudience),
        ),
        ("aud", json!([]), Some(WrongAudience)),
        (
            "aud",
            json!("https://mcp.example.com/"),
            Some(WrongAudience),
        ),
        (
            "aud",
            json!("https://mcp.example.com/token/"),
            Some(WrongAudience),
        ),
        (
            "aud",
            json!("https://mcp.example.com/revoke"),
            Some(WrongAudience),
        ),
        (
            "aud",
            json!("https://mcp.example.com/mcp"),
            Some(WrongAudience),
        ),
        ("aud", json!("https://MCP.example.com"), Some(WrongAudience)),
        ("aud", json!("https://evil.example"), Some(WrongAudience)),
        ("aud", json!(""), Some(WrongAudience)),
        ("aud", json!({"0": ISSUER}), Some(Claims)),
        ("aud", json!(null), Some(Claims)),
        (
            "iss",
            json!("https://evil.example/client.json"),
            Some(WrongClient),
        ),
        (
            "sub",
            json!("https://evil.example/client.json"),
            Some(WrongClient),
        ),
        ("sub", json!(format!("{CLIENT} ")), Some(WrongClient)),
        ("iss", json!(null), Some(Claims)),
        ("sub", json!([CLIENT]), Some(Claims)),
        ("jti", json!(null), Some(Claims)),
        ("jti", json!(""), Some(Claims)),
        ("jti", json!(7), Some(Claims)),
        ("jti", json!("j".repeat(256)), None),
        ("jti", json!("j".repeat(257)), Some(Claims)),
        ("scope", json!(["anything else", {"is": "ignored"}]), None),
    ]);
}

/// TOK-25, T1
#[test]
fn an_assertion_has_an_end_and_not_too_far_away() {
    use AssertionFault::{Claims, Expired, NotYetValid, TooLasting};
    let fraction = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_faults([
        ("exp", json!(null), Some(Claims)),
        ("exp", json!((NOW.0 + 300).to_string()), Some(Claims)),
        ("exp", fraction("1800000300.5"), None),
        ("exp", fraction("1800000000.9"), Some(Expired)),
        ("exp", json!(NOW.0), Some(Expired)),
        ("exp", json!(NOW.0 - 300), Some(Expired)),
        ("exp", json!(0), Some(Expired)),
        ("exp", json!(-1), Some(Claims)),
        ("exp", json!(1e300), Some(Claims)),
        ("exp", json!(NOW.0 + 3600), None),
        ("exp", json!(NOW.0 + 3601), Some(TooLasting)),
        // milliseconds
        ("exp", json!(NOW.0 * 1000), Some(Claims)),
        ("iat", json!(null), None),
        ("iat", json!(NOW.0 + 60), None),
        ("iat", json!(NOW.0 + 61), Some(NotYetValid)),
        ("iat", json!("now"), Some(Claims)),
        ("nbf", json!(NOW.0 + 60), None),
        ("nbf", json!(NOW.0 + 61), Some(NotYetValid)),
        ("nbf", json!(true), Some(Claims)),
    ]);
}

/// TOK-25
#[test]
fn what_another_reader_could_read_otherwise_is_refused() {
    let pair = ed();
    let keys = set(&[pair.jwk("k1")]);
    let (head, body) = (header("EdDSA").to_string(), claims().to_string());
    for (name, value) in [
        ("iss", "\"c\""),
        ("sub", "\"c\""),
        ("aud", "\"https://evil.example\""),
        ("exp", "1900000000"),
        ("jti", "\"j2\""),
        ("iat", "1"),
    ] {
        let doubled = format!("{},\"{name}\":{value}}}", body.trim_end_matches('}'));
        let text = pair.sign_texts(&head, &doubled);
        assert_eq!(fault(&text, &keys), Some(AssertionFault::Claims), "{name}");
    }
    for (name, value) in [("alg", "\"none\""), ("kid", "\"k2\""), ("typ", "\"JWT\"")] {
        let doubled = format!("{{\"typ\":\"JWT\",\"{name}\":{value},{}", &head[1..]);
        let text = pair.sign_texts(&doubled, &body);
        assert_eq!(
            fault(&text, &keys),
            Some(AssertionFault::Malformed),
            "{name}"
        );
    }
    let list = json!([CLIENT, CLIENT, ISSUER, NOW.0 + 300, null, null, "j1"]).to_string();
    assert_eq!(
        fault(&pair.sign_texts(&head, &list), &keys),
        Some(AssertionFault::Claims)
    );
    let null = format!("{},\"nbf\":null}}", body.trim_end_matches('}'));
    assert_eq!(
        fault(&pair.sign_texts(&head, &null), &keys),
        Some(AssertionFault::Claims)
    );
}

/// T6
#[test]
fn an_assertion_is_marked_by_its_client_and_its_jti() {
    let pair = ed();
    let keys = set(&[pair.jwk("k1")]);
    let marked = |client: &str, jti: &str, exp: i64| {
        let claims =
            json!({"iss": client, "sub": client, "aud": ISSUER, "exp": NOW.0 + exp, "jti": jti});
        let text = pair.assertion(&header("EdDSA"), &claims);
        let presented = Presented::parse(&text, &ClientId::new(client), &[ISSUER], NOW);
        presented
            .and_then(|presented| presented.verify(keys.as_bytes()))
            .unwrap()
    };
    let first = marked("client", "jti", 300);
    // signed anew, with another life: it is the same
    assert_eq!(marked("client", "jti", 301).mark, first.mark);
    assert_eq!(first.forgotten, UnixTime(NOW.0 + 360));
    for (client, jti) in [
        ("client", "jtj"),
        ("clienu", "jti"),
        ("clientj", "ti"),
        ("clien", "tjti"),
    ] {
        assert_ne!(marked(client, jti, 300).mark, first.mark, "{client} {jti}");
    }
}

#[test]
fn what_is_too_long_or_in_other_than_three_parts_is_not_read() {
    let pair = ed();
    let keys = set(&[pair.jwk("k1")]);
    let text = pair.assertion(&header("EdDSA"), &claims());
    for (text, refused) in [
        (String::new(), AssertionFault::Malformed),
        ("a.b".to_owned(), AssertionFault::Malformed),
        ("..".to_owned(), AssertionFault::Malformed),
        (format!("{text}.{text}"), AssertionFault::Claims),
        (format!("{text}.a.b"), AssertionFault::Claims),
        (format!(" {text}"), AssertionFault::Malformed),
        ("a".repeat(8193), AssertionFault::TooLong),
    ] {
        assert_eq!(fault(&text, &keys), Some(refused), "{text}");
    }
    let long = with(claims(), "x", json!("x".repeat(5500)));
    assert_eq!(fault(&pair.assertion(&header("EdDSA"), &long), &keys), None);
}

proptest! {
    #[test]
    fn nothing_that_was_changed_verifies(place in 0usize..400, to in "[A-Za-z0-9_.=-]") {
        let pair = ed();
        let keys = set(&[pair.jwk("k1")]);
        let text = pair.assertion(&header("EdDSA"), &claims());
        let place = place % text.len();
        let changed = format!("{}{to}{}", &text[..place], &text[place + 1..]);
        prop_assert!(changed == text || verify(&changed, &keys).is_err());
    }

    #[test]
    fn no_text_and_no_key_set_makes_it_panic(text in "\\PC*", head in "\\PC*", body in "\\PC*", keys in "\\PC*") {
        prop_assert!(verify(&text, &keys).is_err());
        let text = ed().sign_texts(&head, &body);
        prop_assert!(verify(&text, &keys).is_err());
        let good = ed().assertion(&json!({"alg": "EdDSA"}), &claims());
        prop_assert!(verify(&good, &keys).is_err());
    }
}
