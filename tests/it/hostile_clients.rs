//! Whatever a client says of itself, in its id, a registration, a document or its credentials: nobody panics, a refusal is
//! one of the specification, and what is accepted can be lived with.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::clock::UnixTime;
use anteroom::protocol::client::{Client, ClientAuthentication, ClientSource, KeySource};
use anteroom::protocol::client_credentials::Credentials;
use anteroom::protocol::client_management::{change, describe};
use anteroom::protocol::client_metadata::{self, DocumentUrl};
use anteroom::protocol::error::{ErrorCode, OAuthError};
use anteroom::protocol::form::Form;
use anteroom::protocol::ids::ClientId;
use anteroom::protocol::redirect_uri::RedirectUri;
use anteroom::protocol::register::{Fresh, Registration, register};
use anteroom::protocol::registration_answer::Management;
use anteroom::protocol::scope::ScopeSet;
use anteroom::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

const URL: &str = "https://a.example/client.json";

/// Every member that we read.
const MEMBERS: [&str; 20] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "token_endpoint_auth_methods_supported",
    "grant_types",
    "response_types",
    "client_name",
    "client_uri",
    "logo_uri",
    "scope",
    "application_type",
    "jwks",
    "jwks_uri",
    "software_statement",
    "client_id",
    "client_secret",
    "client_secret_expires_at",
    "client_id_issued_at",
    "registration_client_uri",
    "registration_access_token",
    "constructor",
];

/// Texts that are right in one place or another.
const TEXTS: [&str; 24] = [
    "",
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "authorization_code",
    "refresh_token",
    "code",
    "web",
    "native",
    "https://a.example/client.json",
    "https://a.example/cb",
    "http://localhost/cb",
    "http://localhost.evil.example/cb",
    "cursor://h/cb",
    "javascript:alert(1)",
    "\u{202e}\0",
    "mcp:tools:read",
    "keys",
    "RSA",
    "EC",
    "P-256",
    "kty",
    "s3cret",
];

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(&TEXTS[..]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "(https?://)?[a-z.:@/%#?\\\\]{0,16}",
        1 => (0_usize..6000).prop_map(|length| format!("https://a.example/{}", "x".repeat(length))),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 24, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..24).prop_map(Value::from),
            btree_map(words(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// A key set in which this and that is wrong.
fn key_sets() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 10] = ["kty", "crv", "x", "y", "n", "e", "d", "k", "use", "kid"];
    let odd = (proptest::sample::select(&NAMES[..]), anything());
    let key = (proptest::option::weighted(0.06, odd), any::<bool>()).prop_map(|(odd, is_ec)| {
        let bytes = URL_SAFE_NO_PAD.encode([7; 32]);
        let mut key = json!({"kty": "OKP", "crv": "Ed25519", "x": bytes, "kid": "1"});
        if is_ec {
            key = json!({"kty": "EC", "crv": "P-256", "x": bytes, "y": bytes});
        }
        if let Some((name, value)) = odd {
            key[name] = value;
        }
        key
    });
    vec(key, 0..23).prop_map(|keys| json!({ "keys": keys }))
}

/// A body that is right but for a few members.
fn bodies() -> impl Strategy<Value = Value> {
    let member = (
        proptest::sample::select(&MEMBERS[..]),
        prop_oneof![
            anything(),
            words().prop_map(Value::from),
            vec(words(), 0..5).prop_map(Value::from),
            key_sets()
        ],
    );
    let by_keys = proptest::option::weighted(0.3, key_sets());
    (vec(member, 0..4), by_keys).prop_map(|(odd, by_keys)| {
        let mut body = json!({"client_id": URL, "client_name": "A", "redirect_uris": ["https://b.example/cb"]});
        if let Some(keys) = by_keys {
            body["token_endpoint_auth_method"] = json!("private_key_jwt");
            body["jwks"] = keys;
        }
        for (name, value) in odd {
            body[name] = value;
        }
        body
    })
}

fn fresh() -> Fresh {
    Fresh {
        id: ClientId::new(URL),
        secret: Secret::new("s3cret"),
        access: Secret::new("4ccess"),
        issuer: "https://mcp.example.com".to_owned(),
        uri: "https://mcp.example.com/register/c".to_owned(),
        now: UnixTime(0),
    }
}

fn management() -> Management {
    Management {
        uri: fresh().uri,
        access: fresh().access,
    }
}

fn document_url() -> DocumentUrl {
    DocumentUrl::parse(&ClientId::new(URL)).unwrap().unwrap()
}

/// A refusal is one of RFC 7591 §3.2.2, in the characters of RFC 6749 §5.2.
fn check_refusal(refused: OAuthError) {
    assert!(matches!(
        refused.code,
        ErrorCode::InvalidRedirectUri
            | ErrorCode::InvalidClientMetadata
            | ErrorCode::InvalidSoftwareStatement
    ));
    check_words(refused);
}

fn check_words(refused: OAuthError) {
    let is_plain = |byte: u8| (0x20..0x7f).contains(&byte) && !b"\"\\".contains(&byte);
    assert!(!refused.description.is_empty() && refused.description.bytes().all(is_plain));
}

/// What holds of every client that was let in.
fn check_client(client: &Client) {
    let uris = &client.redirect_uris;
    assert!((1..=20).contains(&uris.len()));
    assert!(uris.iter().map(|uri| uri.as_str().len()).sum::<usize>() <= 4096);
    for uri in uris {
        assert_eq!(RedirectUri::parse(uri.as_str()).as_ref(), Ok(uri));
    }
    if let Some(name) = &client.name {
        assert!(name.chars().count() <= 200 && !name.contains(char::is_control));
        assert!(!name.trim().is_empty() && !name.contains('\u{202e}'));
    }
    let is_web = |uri: &String| uri.starts_with("https://") || uri.starts_with("http://");
    assert!(client.uri.as_ref().is_none_or(is_web));
    assert!(
        client
            .logo
            .as_ref()
            .is_none_or(|uri| uri.starts_with("https://"))
    );
    if let ClientAuthentication::Keys { keys, .. } = &client.authentication {
        match keys {
            KeySource::At(uri) => assert!(uri.starts_with("https://")),
            KeySource::Inline(text) => {
                let set: Value = serde_json::from_str(text).unwrap();
                let keys = set["keys"].as_array().unwrap();
                assert!((1..=20).contains(&keys.len()));
                assert!(
                    keys.iter()
                        .all(|key| key.get("d").is_none() && key.get("k").is_none())
                );
            }
        }
    }
    let row = postcard::to_allocvec(client).unwrap();
    assert!(row.len() < 12 << 10, "{}", row.len());
}

/// The same of a registration and its answer.
fn check_registration(registration: &Registration) -> Value {
    check_client(&registration.client);
    let answer = serde_json::to_value(&registration.answer).unwrap();
    let members = answer.as_object().unwrap();
    assert!(members.values().all(|value| !value.is_null()));
    assert_eq!(
        answer["redirect_uris"],
        json!(registration.client.redirect_uris)
    );
    if let Some(secret) = answer["client_secret"].as_str() {
        let ClientAuthentication::Secret(digest) = &registration.client.authentication else {
            panic!("a secret that is of no use: {answer}")
        };
        assert!(digest.matches(&Secret::new(secret)));
        assert_eq!(answer["client_secret_expires_at"], 0);
    }
    answer
}

proptest! {
    /// CLI-39, CLI-42
    #[test]
    fn any_registration_is_refused_by_a_rule_or_leaves_a_client_that_can_be_lived_with(body in bodies(), next in bodies()) {
        let scopes = ScopeSet::parse("mcp:tools:read").unwrap();
        match register(body.to_string().as_bytes(), &scopes, fresh()) {
            Err(refused) => check_refusal(refused),
            Ok(registration) => {
                let answer = check_registration(&registration);
                let has_secret = matches!(registration.client.authentication, ClientAuthentication::Secret(_));
                prop_assert_eq!(answer.get("client_secret").is_some(), has_secret);
                let current = registration.client;
                let described = serde_json::to_value(describe(&current, management())).unwrap();
                prop_assert_eq!(&described["redirect_uris"], &answer["redirect_uris"]);
                prop_assert_eq!(described.get("client_secret"), None);
                let next = next.to_string();
                match change(next.as_bytes(), &scopes, &current, Secret::new("fr3sh"), management()) {
                    Err(refused) => check_refusal(refused),
                    Ok(changed) => {
                        check_registration(&changed);
                        prop_assert_eq!(changed.client.id, current.id);
                        prop_assert_eq!(changed.client.source, current.source);
                    }
                }
            }
        }
    }

    /// CLI-08, CLI-09, CLI-10, CLI-11
    #[test]
    fn any_document_is_refused_by_a_rule_or_describes_a_client_that_can_be_lived_with(body in bodies()) {
        match client_metadata::read(&document_url(), body.to_string().as_bytes()) {
            Err(refused) => check_refusal(refused),
            Ok(client) => {
                check_client(&client);
                prop_assert_eq!(&body["client_id"], URL);
                prop_assert_eq!(client.id.as_str(), URL);
                prop_assert_eq!(client.source, ClientSource::Document);
                prop_assert!(client.name.is_some());
                prop_assert!(!matches!(client.authentication, ClientAuthentication::Secret(_)));
            }
        }
    }

    /// CLI-08, CLI-39
    #[test]
    fn any_bytes_are_a_body(bytes: Vec<u8>, body in bodies(), cut: prop::sample::Index, with: Vec<u8>) {
        let mut broken = body.to_string().into_bytes();
        let at = cut.index(broken.len());
        broken.splice(at..(at + with.len()).min(broken.len()), with);
        for body in [bytes, broken] {
            let _ = register(&body, &ScopeSet::default(), fresh()).map_err(check_refusal);
            let _ = client_metadata::read(&document_url(), &body).map_err(check_refusal);
        }
    }

    /// CLI-01, CLI-02
    #[test]
    fn any_client_id_is_no_url_a_good_one_or_refused(
        good in "https://a\\.example(:8443)?(/[a-z.]{1,6}){1,3}",
        odd in "[/a-zA-Z.%2eEfF0-9?#:@\\\\\u{e4} ]{0,4}",
        at: prop::sample::Index,
        id in "\\PC*|(https|HTTPS|http)?:?/{0,3}[aA.%2eEfF0-9:@\\[\\]]{0,12}(/[a-z.%2eEfF?#\\\\@\\u{e4} ]{0,12}){0,3}",
    ) {
        let mut near = good;
        near.insert_str(at.index(near.len()), &odd);
        for id in [id, near] {
            match DocumentUrl::parse(&ClientId::new(id.as_str())) {
                Ok(None) => prop_assert!(!id.to_ascii_lowercase().starts_with("http:") && !id.contains("://")),
                Ok(Some(url)) => {
                    prop_assert_eq!((url.as_str(), url.url().as_str()), (id.as_str(), id.as_str()));
                    prop_assert_eq!(url.url().scheme(), "https");
                    prop_assert!(!url.host().is_empty() && !id.contains(['?', '#', '@', '\\', ' ']));
                    prop_assert!(!url.url().path_segments().unwrap().any(|part| part == "." || part == ".."));
                }
                Err(refused) => {
                    prop_assert_eq!(refused.code, ErrorCode::InvalidClient);
                    check_words(refused);
                }
            }
        }
    }

    /// C4, C6, TOK-24
    #[test]
    fn whatever_is_presented_nobody_is_let_in_by_chance(
        pair in "\\PC*|c:[%+a-f0-9]{0,8}",
        raw: Vec<u8>,
        head in "([Bb]asic|Bearer)[ \\t]{0,2}[A-Za-z0-9+/=:]{0,20}",
        body in "((client_id|client_secret|client_assertion|client_assertion_type)=[a-z%0-9.+]{0,8}&){0,5}",
        payload in "\\PC*|\\{\"sub\":[\"a-z\\[{:0-9,]{0,12}\\}",
    ) {
        let confidential = json!({"redirect_uris": ["https://a.example/cb"]}).to_string();
        let fresh = Fresh { id: ClientId::new("c"), secret: Secret::new("n0t guessed"), ..fresh() };
        let secret = register(confidential.as_bytes(), &ScopeSet::default(), fresh).unwrap().client;
        let keys = ClientAuthentication::Keys { keys: KeySource::At(URL.to_owned()), or_none: false };
        let clients = [Client { authentication: keys, ..secret.clone() }, secret];
        let jwt = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
        let asserting = format!(
            "client_assertion={jwt}&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let basic = format!("Basic {}", STANDARD.encode(pair)).into_bytes();
        for header in [Some(basic), Some(raw), Some(head.into_bytes()), None] {
            for body in [&body, &asserting] {
                let Ok(form) = Form::parse(body.as_bytes()) else { continue };
                match Credentials::parse(header.as_deref(), &form) {
                    Ok(credentials) => for client in &clients {
                        prop_assert!(!credentials.prove(client));
                    }
                    Err(refused) => {
                        prop_assert!(matches!(refused.code, ErrorCode::InvalidClient | ErrorCode::InvalidRequest));
                        check_words(refused);
                    }
                }
            }
        }
    }
}
