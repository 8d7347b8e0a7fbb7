//! Whatever is sent: clients get JSON, people get pages, and nobody gets a 5xx.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::Request;
use http::HeaderValue;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::answer::{Answer, encode, request, request_with};
use crate::harness::client::{Client, VERIFIER};
use crate::harness::server::{Server, server};

const FORM: &str = "application/x-www-form-urlencoded";

/// What clients ask for.
const FOR_CLIENTS: [&str; 11] = [
    "/token",
    "/revoke",
    "/par",
    "/register",
    "/mcp",
    "/health",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/jwks.json",
    "/nowhere",
];

/// What people open.
const FOR_PEOPLE: [&str; 4] = [
    "/authorize",
    "/consent",
    "/callback/github",
    "/callback/%ff",
];

/// That an answer is one that its reader can read, and blames nobody else.
fn check(answer: &Answer, for_people: bool, shown: &str) {
    assert!(answer.status.as_u16() < 500, "{shown}: {answer:?}");
    if answer.body.is_empty() {
        return;
    }
    let kind = answer.header("content-type");
    let is_page = for_people && kind.starts_with("text/html");
    // the MCP server behind answers with a stream of events, and is not reached here
    assert!(is_page || kind == "application/json", "{shown}: {answer:?}");
    if is_page {
        answer.assert_page(answer.status.as_u16());
    } else {
        answer.json();
    }
}

async fn check_all(server: &Server, what: &str, change: impl Fn(&str) -> Request) {
    let people = FOR_PEOPLE.map(|path| (path, true));
    for (path, for_people) in FOR_CLIENTS
        .map(|path| (path, false))
        .into_iter()
        .chain(people)
    {
        let asked = change(path);
        let shown = format!("{what} {} {path}", asked.method());
        let answer = server.send(asked).await;
        check(&answer, for_people, &shown);
    }
}

/// SEC-13, TOK-01, TOK-04, AUTHZ-01
#[tokio::test]
async fn every_method_is_answered_and_others_are_named() {
    let server = server().start().await;
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND",
        "get", "X",
    ] {
        check_all(&server, "method", |path| request(method, path)).await;
    }
    for (path, allowed) in [
        ("/token", "POST"),
        ("/revoke", "POST"),
        ("/par", "POST"),
        ("/register", "POST"),
        ("/consent", "POST"),
        ("/authorize", "GET,HEAD"),
        ("/callback/github", "GET,HEAD"),
        ("/health", "GET,HEAD"),
        ("/.well-known/jwks.json", "GET,HEAD"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "X"] {
            let answer = server.send(request(method, path)).await;
            if allowed.contains(method) {
                assert_ne!(answer.status, 405, "{method} {path}");
            } else {
                assert_eq!(answer.status, 405, "{method} {path}");
                assert_eq!(answer.header("allow"), allowed, "{method} {path}");
            }
        }
    }
}

/// TOK-01, TOK-04, C5, CLI-42
#[tokio::test]
async fn every_content_type_and_every_body_is_answered() {
    let server = server().start().await;
    let kinds: [&[u8]; 12] = [
        b"",
        b";",
        b"/",
        b"text/plain",
        b"application/json",
        b"application/x-www-form-urlencoded",
        b"application/x-www-form-urlencoded; charset=utf-16",
        b"multipart/form-data",
        b"application/xml",
        b"text/html; charset=\"",
        b"\xff\xfe",
        b"a/b, c/d",
    ];
    let big = vec![b'a'; (64 << 10) + 1];
    let bodies: [&[u8]; 16] = [
        b"",
        b"=",
        b"&",
        b"&&&&",
        b"=&=&=",
        b"%",
        b"%zz",
        b"%ff=%fe",
        b"\xff\xfe\x00",
        b"{}",
        b"[]",
        b"null",
        b"{\"a\":",
        b"grant_type=authorization_code",
        b"a=b;c=d",
        &big,
    ];
    for kind in kinds {
        for body in bodies {
            let kind = HeaderValue::from_bytes(kind).unwrap();
            let shown = format!("{kind:?} {:?}", &body[..body.len().min(40)]);
            check_all(&server, &shown, |path| {
                let asked = Request::post(path).header("content-type", kind.clone());
                asked.body(Body::from(body.to_vec())).unwrap()
            })
            .await;
        }
    }
    check_all(&server, "no content type", |path| request("POST", path)).await;
}

/// TOK-01, TOK-04
#[tokio::test]
async fn a_body_that_is_too_large_or_of_the_wrong_kind_is_refused_by_name() {
    let server = server().start().await;
    let big = format!("a={}", "x".repeat(64 << 10));
    let whole = "client_id=nobody&grant_type=refresh_token&refresh_token=x&token=x";
    for path in ["/token", "/revoke", "/par"] {
        let answer = server.send(request_with(path, FORM, big.clone())).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (413, "invalid_request")
        );
        for kind in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
        ] {
            let answer = server.send(request_with(path, kind, "{}")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.error().as_str()),
                (400, "invalid_request"),
                "{kind}"
            );
        }
        for kind in [
            FORM,
            "application/x-www-form-urlencoded; charset=UTF-8",
            "Application/X-WWW-Form-Urlencoded",
        ] {
            let answer = server.send(request_with(path, kind, whole)).await;
            assert_eq!(answer.error(), "invalid_client", "{kind}");
        }
        let wrong_utf8 = server.send(request_with(path, FORM, "client_id=%ff")).await;
        assert_eq!(wrong_utf8.error(), "invalid_request");
        let in_the_query = format!("{path}?client_id=x&grant_type=authorization_code&token=x");
        let answer = server.send(request_with(&in_the_query, FORM, "")).await;
        assert!(matches!(
            &*answer.error(),
            "invalid_request" | "invalid_client"
        ));
    }
}

/// TOK-02, AUTHZ-01
#[tokio::test]
async fn a_repeated_parameter_is_refused_everywhere() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let code = client.code("mona").await;
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", &*client.redirect_uri),
        ("code_verifier", VERIFIER),
        ("client_id", &*client.id),
        ("unknown", "x"),
    ];
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*tokens.refresh),
        ("client_id", &*client.id),
        ("scope", "mcp:tools:read"),
    ];
    let revoke = [
        ("token", &*tokens.refresh),
        ("token_type_hint", "refresh_token"),
        ("client_id", &*client.id),
    ];
    for (path, form) in [
        ("/token", &redeem[..]),
        ("/token", &refresh),
        ("/revoke", &revoke),
    ] {
        for field in form {
            for value in [field.1, "other"] {
                let mut doubled = form.to_vec();
                doubled.push((field.0, value));
                let answer = server.post_form(path, &doubled).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.error().as_str()),
                    (400, "invalid_request"),
                    "{field:?}"
                );
            }
        }
    }
    // and nothing was spent on the way
    assert_eq!(client.redeem(&code).await.status, 200);
    assert_eq!(client.refresh(&tokens.refresh).await.status, 200);
}

/// SEC-13, DISC-11
#[tokio::test]
async fn every_path_and_every_header_is_answered() {
    let server = server().start().await;
    for path in [
        "/%",
        "/%ff",
        "/%00",
        "/..",
        "/../../etc/passwd",
        "/callback",
        "/callback/",
        "/callback/%ff",
        "/callback/%00",
        "/callback/a/b",
        "/callback/%2e%2e",
        "/callback/github/",
        "/authorize/",
        "/authorize/x",
        "/authorize%3f",
        "/assets/",
        "/assets/style.css",
        "/assets/../mcp",
        "/.well-known",
        "/*",
        "/{path}",
        "/:path",
        "/a?b?c#d",
        "/authorize?%",
        "/authorize?%ff=%ff",
        "/authorize?\u{7f}",
        "/callback/github?%ff",
        "/callback/github?state=%00",
        "/mcp?%ff",
        "/health?x",
    ] {
        let Ok(uri) = path.parse::<http::Uri>() else {
            continue;
        };
        for method in ["GET", "POST", "OPTIONS"] {
            let asked = Request::builder().method(method).uri(uri.clone());
            let answer = server.send(asked.body(Body::empty()).unwrap()).await;
            check(&answer, true, &format!("{method} {path}"));
            assert_eq!(answer.headers.get("location"), None, "{path}");
        }
    }
    let long = "x".repeat(100_000);
    for (name, value) in [
        (
            "authorization",
            HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap(),
        ),
        (
            "authorization",
            HeaderValue::from_str(&format!("Basic {long}")).unwrap(),
        ),
        (
            "authorization",
            HeaderValue::from_str(&format!("Bearer {long}")).unwrap(),
        ),
        ("authorization", HeaderValue::from_static("")),
        (
            "cookie",
            HeaderValue::from_bytes(b"\xff=\xfe; ;;=;a").unwrap(),
        ),
        (
            "cookie",
            HeaderValue::from_str(&format!("__Host-anteroom-sign-in={long}")).unwrap(),
        ),
        (
            "cookie",
            HeaderValue::from_str(&"a=b; ".repeat(20_000)).unwrap(),
        ),
        ("host", HeaderValue::from_bytes(b"\xff").unwrap()),
        ("host", HeaderValue::from_static("")),
        ("origin", HeaderValue::from_bytes(b"\xff").unwrap()),
        ("accept", HeaderValue::from_bytes(b"\xff").unwrap()),
        ("content-length", HeaderValue::from_static("999999")),
        ("expect", HeaderValue::from_static("100-continue")),
        (
            "x-forwarded-for",
            HeaderValue::from_str(&"1.1.1.1,".repeat(10_000)).unwrap(),
        ),
        ("sec-fetch-site", HeaderValue::from_bytes(b"\xff").unwrap()),
        (
            "mcp-protocol-version",
            HeaderValue::from_bytes(b"\xff").unwrap(),
        ),
        (
            "access-control-request-headers",
            HeaderValue::from_str(&"mcp-param-x,".repeat(1000)).unwrap(),
        ),
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            check_all(&server, name, |path| {
                let mut asked = request(method, path);
                asked.headers_mut().insert(name, value.clone());
                let kind = HeaderValue::from_static(FORM);
                asked.headers_mut().insert("content-type", kind);
                asked
            })
            .await;
        }
    }
}

/// Names that mean something here, and others.
fn names() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "client_id",
        "redirect_uri",
        "response_type",
        "state",
        "code_challenge",
        "code_challenge_method",
        "resource",
        "scope",
        "prompt",
        "response_mode",
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
        "token_type_hint",
        "ticket",
        "decision",
        "error",
        "iss",
    ]);
    prop_oneof![9 => known.prop_map(str::to_owned), 1 => "\\PC{0,12}"]
}

/// Values that are right somewhere, and others.
fn values(client: &Client) -> impl Strategy<Value = String> + use<> {
    let right = proptest::sample::select(vec![
        client.id.clone(),
        client.redirect_uri.clone(),
        "code".to_owned(),
        "S256".to_owned(),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
        "https://mcp.example.com/mcp".to_owned(),
        "mcp:tools:read offline_access".to_owned(),
        "authorization_code".to_owned(),
        "refresh_token".to_owned(),
        VERIFIER.to_owned(),
        "A".repeat(64),
        "github".to_owned(),
        "deny".to_owned(),
        String::new(),
    ]);
    prop_oneof![6 => right, 2 => "\\PC{0,40}", 1 => "[ -~]{0,200}", 1 => "[A-Za-z0-9_-]{60,70}"]
}

/// Runs `cases` inputs, each against one server that never stops.
fn for_each<S: Strategy>(
    cases: u32,
    strategy: impl FnOnce(&Client) -> S,
    run: &impl AsyncFn(&Server, &Client, S::Value),
) {
    let runtime = Runtime::new().unwrap();
    let (server, client) = runtime.block_on(async {
        // nothing is fetched from anywhere
        let server = server().configure(|config| config.clients.metadata_documents = false);
        let server = server.start().await;
        let client = server.client().await;
        (server, client)
    });
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&strategy(&client), |input| {
            runtime.block_on(run(&server, &client, input));
            Ok(())
        })
        .unwrap();
}

/// TOK-04, AUTHZ-02, SEC-13, C4
#[test]
fn no_form_and_no_query_makes_it_fail() {
    let forms = |client: &Client| proptest::collection::vec((names(), values(client)), 0..10);
    for_each(
        400,
        forms,
        &async |server: &Server, client: &Client, mut form: Vec<(String, String)>| {
            for with_client in [false, true] {
                if with_client {
                    form.retain(|(name, _)| name != "client_id");
                    form.push(("client_id".to_owned(), client.id.clone()));
                }
                let encoded = encode(&form);
                for path in ["/authorize", "/callback/github"] {
                    let answer = server.get(&format!("{path}?{encoded}")).await;
                    check(&answer, true, &encoded);
                    let location = answer.header("location");
                    assert!(
                        location.is_empty() || location.starts_with(&client.redirect_uri),
                        "{location}"
                    );
                }
                for path in ["/token", "/revoke", "/par", "/consent"] {
                    let asked = request_with(path, FORM, encoded.clone());
                    check(&server.send(asked).await, path == "/consent", &encoded);
                }
            }
        },
    );
}

/// CLI-39, CLI-36, SEC-13
#[test]
fn no_registration_makes_it_fail() {
    let json = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,60}".prop_map(|text| json!(text)),
        "(https?|cursor|javascript):/{0,3}[a-z0-9.@:%\\[\\]\\\\/?#]{0,40}"
            .prop_map(|text| json!(text)),
    ];
    let json = json.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            proptest::collection::hash_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|members| json!(members)),
        ]
    });
    let members = proptest::sample::select(vec![
        "redirect_uris",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "client_name",
        "client_uri",
        "scope",
        "application_type",
        "jwks",
        "jwks_uri",
        "software_statement",
        "logo_uri",
        "contacts",
    ]);
    let metadata = proptest::collection::hash_map(members, json, 0..6);
    for_each(400, |_| metadata, &async |server: &Server,
                                        _: &Client,
                                        metadata: HashMap<
        &str,
        Value,
    >| {
        let body = json!(metadata);
        let answer = server.post_json("/register", &body).await;
        check(&answer, false, &body.to_string());
        assert!(matches!(answer.status.as_u16(), 201 | 400), "{body}");
        let whole = body.to_string();
        let half = &whole.as_bytes()[..whole.len() / 2];
        let answer = server
            .send(request_with("/register", "application/json", half.to_vec()))
            .await;
        check(&answer, false, &whole);
    });
}

/// TOK-04, AUTHZ-02, SEC-13
#[test]
fn no_bytes_make_it_fail() {
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    for_each(
        300,
        |_| bytes,
        &async |server: &Server, _: &Client, bytes: Vec<u8>| {
            let shown = format!("{bytes:?}");
            for path in ["/token", "/revoke", "/par", "/consent"] {
                let answer = server.send(request_with(path, FORM, bytes.clone())).await;
                check(&answer, path == "/consent", &shown);
            }
            let answer = server
                .send(request_with("/register", "application/json", bytes.clone()))
                .await;
            check(&answer, false, &shown);
            let mut asked = request("POST", "/token");
            let kind = HeaderValue::from_static(FORM);
            asked.headers_mut().insert("content-type", kind);
            if let Ok(header) = HeaderValue::from_bytes(&bytes) {
                asked.headers_mut().insert("authorization", header.clone());
                asked.headers_mut().insert("cookie", header);
            }
            check(&server.send(asked).await, false, &shown);
        },
    );
}
