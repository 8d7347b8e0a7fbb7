//! Random requests to the endpoints that clients talk to, the same ones each time: none makes it fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::RefCell;
use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, Uri};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::harness::answer::{Answer, encode, parameter};
use crate::harness::client::{Client, LOOPBACK, Tokens, VERIFIER};
use crate::harness::server::{Server, server};
use crate::introspect::{SECRET, WHO, trust};

/// What is known to be right somewhere.
#[derive(Clone)]
struct Known {
    client: Client,
    with_secret: Client,
    tokens: Tokens,
    code: String,
}

/// A request, before it is put together.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    path: String,
    kind: Vec<u8>,
    authorization: Option<Vec<u8>>,
    other: Option<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl Asked {
    /// None where HTTP has no such request.
    fn request(&self) -> Option<Request> {
        let method = Method::from_bytes(self.method.as_bytes()).ok()?;
        let uri: Uri = self.path.parse().ok()?;
        let mut request = Request::builder().method(method).uri(uri);
        let headers = request.headers_mut()?;
        headers.insert("content-type", HeaderValue::from_bytes(&self.kind).ok()?);
        if let Some(value) = &self.authorization {
            headers.insert("authorization", HeaderValue::from_bytes(value).ok()?);
        }
        if let Some((name, value)) = &self.other {
            headers.append(*name, HeaderValue::from_bytes(value).ok()?);
        }
        request.body(Body::from(self.body.clone())).ok()
    }
}

/// Any JSON, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        "(https?|cursor|javascript|urn|x):/{0,3}[a-z0-9.@:%\\[\\]\\\\/?#*]{0,40}"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|members| json!(members)),
        ]
    })
}

/// A registration or a change: good members, with some in their place that may be anything.
fn metadata(known: &Known) -> impl Strategy<Value = Vec<u8>> + use<> {
    let client = known.client.id.clone();
    let member = select(vec![
        "client_id",
        "client_secret",
        "redirect_uris",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "client_name",
        "client_uri",
        "logo_uri",
        "scope",
        "contacts",
        "application_type",
        "jwks",
        "jwks_uri",
        "software_statement",
        "registration_access_token",
        "client_id_issued_at",
    ]);
    let value = prop_oneof![
        4 => any_json(),
        1 => "\\PC{0,40}".prop_map(|uri| json!([uri, LOOPBACK])),
        1 => select(vec![
            json!("private_key_jwt"),
            json!("client_secret_jwt"),
            json!({"keys": [{"kty": "EC"}]}),
            json!(["authorization_code", "client_credentials"]),
            json!("https://a.example/x"),
            json!("x".repeat(5000)),
            json!(vec![LOOPBACK; 30]),
        ]),
    ];
    proptest::collection::vec((member, value), 0..4).prop_map(move |changes| {
        let mut all: Map<String, Value> = Map::new();
        all.insert("client_id".to_owned(), json!(client));
        all.insert("redirect_uris".to_owned(), json!([LOOPBACK]));
        all.extend(
            changes
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        json!(all).to_string().into_bytes()
    })
}

/// Parameters that are read, and some that are not.
const NAMES: [&str; 23] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "scope",
    "prompt",
    "request",
    "request_uri",
    "grant_type",
    "code",
    "code_verifier",
    "refresh_token",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "token",
    "\u{0}",
    "",
];

/// A form or a query: names that mean something, and values that are right somewhere.
fn parameters(known: &Known) -> impl Strategy<Value = String> + use<> {
    let right = select(vec![
        known.client.id.clone(),
        known.with_secret.id.clone(),
        known.with_secret.secret.clone().unwrap(),
        known.tokens.refresh.clone(),
        known.tokens.access.clone(),
        WHO.to_owned(),
        SECRET.to_owned(),
        LOOPBACK.to_owned(),
        "http://localhost:1/".to_owned(),
        "https://client.invalid/metadata.json".to_owned(),
        "https://127.0.0.1/client".to_owned(),
        "https://[::1]:1/client?x#y".to_owned(),
        "urn:ietf:params:oauth:request_uri:x".to_owned(),
        "code".to_owned(),
        "S256".to_owned(),
        "plain".to_owned(),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
        "https://mcp.example.com/mcp".to_owned(),
        "mcp:tools:read offline_access".to_owned(),
        "authorization_code".to_owned(),
        "refresh_token".to_owned(),
        "client_credentials".to_owned(),
        VERIFIER.to_owned(),
        "A".repeat(64),
    ]);
    let value =
        prop_oneof![6 => right, 2 => "\\PC{0,40}", 1 => "[ -~]{0,300}", 1 => Just(String::new())];
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &known.tokens.refresh),
        ("client_id", &known.client.id),
    ];
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &known.code),
        ("redirect_uri", LOOPBACK),
        ("code_verifier", VERIFIER),
        ("client_id", &known.client.id),
    ];
    let good = select(vec![
        Vec::new(),
        known.client.query(),
        known.client.query(),
        refresh.map(pair).to_vec(),
        redeem.map(pair).to_vec(),
    ]);
    let fields = proptest::collection::vec((select(&NAMES[..]), value), 0..5);
    (fields, good).prop_map(move |(fields, mut all)| {
        all.retain(|(name, _)| fields.iter().all(|(other, _)| other != name));
        all.extend(
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        encode(&all)
    })
}

/// `Authorization`, mostly of a form that is read.
fn authorization(known: &Known) -> impl Strategy<Value = Option<Vec<u8>>> + use<> {
    let secret = known.with_secret.secret.clone().unwrap();
    let access = known.client.registration["registration_access_token"].clone();
    let ids = select(vec![
        known.client.id.clone(),
        known.with_secret.id.clone(),
        "https%3A%2F%2Fclient.invalid%2F".to_owned(),
        "%zz%".to_owned(),
        "\u{e4}:\u{0}".to_owned(),
        String::new(),
    ]);
    let secrets = prop_oneof![Just(secret), "\\PC{0,30}", "[ -~]{0,400}"];
    let basic = (
        ids,
        secrets,
        select(vec!["Basic ", "basic ", "Basic\t", "Basic"]),
    )
        .prop_map(|(id, secret, scheme)| {
            format!("{scheme}{}", STANDARD.encode(format!("{id}:{secret}")))
        });
    let bearer = prop_oneof![
        Just(access.as_str().unwrap().to_owned()),
        Just(known.tokens.access.clone()),
        "[ -~]{0,100}",
    ];
    prop_oneof![
        2 => Just(None),
        3 => basic.prop_map(|value| Some(value.into_bytes())),
        3 => bearer.prop_map(|token| Some(format!("Bearer {token}").into_bytes())),
        1 => "(Basic|Bearer|DPoP|,)[ -~]{0,60}".prop_map(|value| Some(value.into_bytes())),
        1 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Some),
    ]
}

/// `Content-Type`
fn kind() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(b"application/json".to_vec()),
        4 => Just(b"application/x-www-form-urlencoded".to_vec()),
        1 => "[a-z/;=\" -]{0,40}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

/// One more header.
fn other() -> impl Strategy<Value = Option<(&'static str, Vec<u8>)>> {
    let name = select(vec![
        "cookie",
        "origin",
        "x-forwarded-for",
        "sec-fetch-site",
        "accept",
        "dpop",
    ]);
    let value = prop_oneof![
        "[ -~]{0,60}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..60),
    ];
    proptest::option::of((name, value))
}

/// Method and path: mostly such as are there.
fn target(known: &Known) -> impl Strategy<Value = (String, String)> + use<> {
    let client = format!("/register/{}", known.client.id);
    let other = format!("/register/{}", known.with_secret.id);
    let there = select(vec![
        ("POST", "/register".to_owned()),
        ("POST", "/register".to_owned()),
        ("GET", client.clone()),
        ("PUT", client.clone()),
        // the token for it is not among those that are tried, so it stays
        ("DELETE", other.clone()),
        ("GET", "/authorize".to_owned()),
        ("GET", "/authorize".to_owned()),
        ("POST", "/token".to_owned()),
        ("POST", "/token".to_owned()),
        ("POST", "/revoke".to_owned()),
        ("POST", "/par".to_owned()),
        ("POST", "/introspect".to_owned()),
    ]);
    let method = prop_oneof![
        2 => select(vec!["GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get"])
            .prop_map(str::to_owned),
        1 => "[A-Z!#$%&'*+.^_`|~-]{1,12}",
    ];
    let path = prop_oneof![
        2 => select(vec!["/register", "/authorize", "/token", "/revoke", "/par", "/introspect"]).prop_map(str::to_owned),
        1 => select(vec![client, other]),
        2 => "/register/[A-Za-z0-9%_.~/-]{0,40}",
    ];
    prop_oneof![
        7 => there.prop_map(|(method, path)| (method.to_owned(), path)),
        2 => (method, path),
    ]
}

fn asked(known: &Known) -> impl Strategy<Value = Asked> + use<> {
    let bodies = prop_oneof![
        4 => metadata(known),
        4 => parameters(known).prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..300),
        1 => (0..70_000_usize).prop_map(|length| vec![b'['; length]),
    ];
    let query = proptest::option::of(prop_oneof![
        6 => parameters(known),
        1 => "[!-~]{0,60}",
    ]);
    (
        target(known),
        query,
        kind(),
        authorization(known),
        (other(), bodies),
    )
        .prop_map(
            |((method, path), query, kind, authorization, (other, body))| Asked {
                method,
                path: match query {
                    Some(query) => format!("{path}?{query}"),
                    None => path,
                },
                kind,
                authorization,
                other,
                body,
            },
        )
}

/// That an answer is one that whoever asked can read, blames nobody else, and leads nowhere but to who registered.
fn check(answer: &Answer, shown: &Asked) {
    assert!(answer.status.as_u16() < 500, "{shown:?}: {answer:?}");
    if answer.headers.contains_key("location") {
        let location = answer.location();
        assert!(
            location.as_str().starts_with(LOOPBACK),
            "{shown:?}: {answer:?}"
        );
        assert!(parameter(&location, "error").is_some(), "{shown:?}");
    } else if !answer.body.is_empty() {
        let kind = answer.header("content-type");
        if shown.path.starts_with("/authorize") && kind.starts_with("text/html") {
            answer.assert_page(answer.status.as_u16());
        } else {
            answer.json();
        }
    }
}

async fn start() -> (Server, Known) {
    let server = server()
        .configure(trust)
        .configure(|config| {
            // nothing is fetched from anywhere
            config.clients.metadata_documents = false;
        })
        .start()
        .await;
    let client = server.client().await;
    let with_secret = Client::register(&server, &json!({"redirect_uris": [LOOPBACK]})).await;
    let tokens = client.sign_in("mona").await;
    let code = client.code("mona").await;
    (
        server,
        Known {
            client,
            with_secret,
            tokens,
            code,
        },
    )
}

/// SEC-13, CLI-39, CLI-46, TOK-04, AUTHZ-02, C4
#[test]
fn no_request_makes_it_fail() {
    let runtime = Runtime::new().unwrap();
    let (server, known) = runtime.block_on(start());
    let config = Config {
        cases: 800,
        failure_persistence: None,
        ..Config::default()
    };
    let statuses = RefCell::new(BTreeMap::new());
    let same_each_time = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, same_each_time)
        .run(&asked(&known), |asked| {
            if let Some(request) = asked.request() {
                let answer = runtime.block_on(server.send(request));
                check(&answer, &asked);
                let mut statuses = statuses.borrow_mut();
                *statuses.entry(answer.status.as_u16()).or_insert(0) += 1;
            }
            Ok(())
        })
        .unwrap();
    let statuses = statuses.into_inner();
    // or the requests are so bad that none reaches what it is about
    for status in [200, 201, 303, 400, 401, 404, 405, 413] {
        assert!(
            statuses.contains_key(&status),
            "{status} was never answered: {statuses:?}"
        );
    }
    // and it still works
    let page = runtime.block_on(server.get(&known.client.authorization_url()));
    assert!(matches!(page.status.as_u16(), 200 | 400));
    runtime.block_on(async { server.client().await.sign_in("mona").await });
}
