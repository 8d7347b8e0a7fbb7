//! The proxy on real sockets: what a server behind it sees, and what comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::harness::backend::{in_front_of, list, proxy_to, serve};
use crate::harness::gate::{World, post, send, with};

type Seen = Arc<Mutex<Option<(String, BTreeMap<String, String>, Bytes)>>>;

/// A server that keeps what it saw.
fn witness() -> (Router, Seen) {
    async fn look(State(seen): State<Seen>, request: Request) -> StatusCode {
        let (parts, body) = request.into_parts();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let line = format!("{} {}", parts.method, parts.uri);
        let body = body.collect().await.unwrap().to_bytes();
        *seen.lock().unwrap() = Some((line, headers.collect(), body));
        StatusCode::OK
    }
    let seen = Seen::default();
    (
        Router::new()
            .fallback(any(look))
            .with_state(Arc::clone(&seen)),
        seen,
    )
}

/// How somebody would tell a server who they are, where they are and what they want, past the gate.
const FORGED: [(&str, &str); 22] = [
    ("x-anteroom-user", "root"),
    ("x_anteroom_user", "root"),
    ("x-anteroom_login", "root"),
    ("x.anteroom.email", "root"),
    ("x-anteroom-email", "root@example.com"),
    ("x-anteroom-assertion", "root"),
    ("x-anteroom-whatever", "root"),
    ("x-forwarded-user", "root"),
    ("x_forwarded_user", "root"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-host", "evil.example"),
    ("forwarded", "for=127.0.0.1"),
    ("x-real-ip", "127.0.0.1"),
    ("x-auth-request-user", "root"),
    ("remote-user", "root"),
    ("x-webauth-user", "root"),
    ("x-goog-authenticated-user-email", "root@example.com"),
    ("cf-access-authenticated-user-email", "root@example.com"),
    ("tailscale-user-login", "root"),
    ("x-original-url", "/admin"),
    ("x-http-method-override", "DELETE"),
    ("mcp_session_id", "of-somebody"),
];

/// RS-13, P6, P10
#[tokio::test]
async fn the_server_learns_who_calls_from_our_headers_alone() {
    let (backend, seen) = witness();
    let (router, token) = in_front_of(backend).await;
    let mut request = post(&token, &list());
    *request.uri_mut() = "/mcp?a=b".parse().unwrap();
    let others = [
        ("cookie", "a=b"),
        ("proxy-authorization", "Basic x"),
        ("origin", "https://mcp.example.com"),
        (
            "connection",
            "x-anteroom-user, x-hop, keep-alive, mcp-protocol-version, content-type",
        ),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("accept", "application/json, text/event-stream"),
        ("x-custom", "kept"),
        ("mcp-param-user_id", "kept"),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    for (name, value) in FORGED.into_iter().chain(others) {
        request = with(request, name, value);
    }
    assert_eq!(send(&router, request).await.status, 200);
    let (line, mut headers, body) = seen.lock().unwrap().take().unwrap();
    assert_eq!(line, "POST /inner?a=b");
    assert_eq!(body, list());
    assert!(headers.remove("host").unwrap().starts_with("127.0.0.1:"));
    let expected = [
        ("accept", "application/json, text/event-stream"),
        ("content-length", &list().len().to_string()),
        ("content-type", "application/json"),
        ("mcp-param-user_id", "kept"),
        ("mcp-protocol-version", "2025-11-25"),
        ("x-anteroom-client", "https://client.example/id"),
        ("x-anteroom-login", "octocat"),
        (
            "x-anteroom-name",
            "Zo%C3%AB%0D%0AX-Anteroom-User: root 100%25",
        ),
        ("x-anteroom-scopes", "tools:call tools:list"),
        ("x-anteroom-user", "github:1"),
        ("x-custom", "kept"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers, BTreeMap::from(expected));
}

/// RS-13
#[tokio::test]
async fn without_a_gate_the_proxy_refuses() {
    let (backend, seen) = witness();
    let proxy = proxy_to(serve(backend).await);
    let response = proxy.oneshot(post("a.b.c", &list())).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(seen.lock().unwrap().is_none());
}

/// P6
#[tokio::test]
async fn the_servers_own_credentials_and_cookies_stay_inside() {
    let backend = Router::new().route(
        "/inner",
        any(|| async {
            let headers = [
                ("www-authenticate", "Bearer scope=\"inner\""),
                ("set-cookie", "a=b"),
                ("x-anteroom-user", "root"),
                ("access-control-allow-origin", "*"),
                ("access-control-allow-credentials", "true"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("x-custom", "kept"),
            ];
            (StatusCode::FORBIDDEN, headers, "no")
        }),
    );
    let (router, token) = in_front_of(backend).await;
    let answer = send(&router, post(&token, &list())).await;
    assert_eq!(answer.status, 403);
    let mut names: Vec<_> = answer
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["content-length", "content-type", "date", "x-custom"]
    );
}

/// T16
#[tokio::test]
async fn nothing_is_kept_between_two_callers() {
    async fn who(request: Request) -> Response {
        let who = request.headers()["x-anteroom-user"]
            .to_str()
            .unwrap()
            .to_owned();
        (
            [("cache-control", "public, max-age=60"), ("etag", "\"1\"")],
            axum::Json(json!({"who": who})),
        )
            .into_response()
    }
    let mut world = World::new();
    let tokens = ["github:1", "github:2"].map(|person| world.token(person, "c", "tools:list"));
    let router = world.before(proxy_to(serve(Router::new().fallback(any(who))).await));
    for (token, expected) in tokens.iter().zip(["github:1", "github:2"]) {
        let answer = send(&router, post(token, &list())).await;
        assert_eq!(answer.body["who"], expected);
    }
}
