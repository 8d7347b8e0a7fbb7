//! Two servers behind one anteroom, of different trust: each has its own metadata, scopes and words, and a token is for one.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use anteroom::config::{Config, ServerScopes};
use anteroom::protocol::method_pattern::MethodPattern;
use anteroom::protocol::scope::{Scope, ScopeSet};
use axum::body::Body;
use axum::extract::Request;
use http::Method;
use serde_json::{Value, json};

use crate::harness::answer::Answer;
use crate::harness::client::{Client, Tokens, message};
use crate::harness::revision::{MODERN, meta};
use crate::harness::server::{Builder, Server, server};

/// Where everybody takes notes: it is the first.
pub(crate) const NOTES: &str = "https://mcp.example.com/mcp";
/// Where salaries are paid.
pub(crate) const PAY: &str = "https://mcp.example.com/pay";

/// The scopes of a server, each with what it opens.
pub(crate) fn scopes(scopes: &[(&str, &[&str])], default: &str) -> ServerScopes {
    let scopes = scopes.iter().map(|(scope, opens)| {
        let opens = opens.iter().map(|text| MethodPattern::parse(text).unwrap());
        (Scope::parse(scope).unwrap(), opens.collect())
    });
    ServerScopes {
        scopes: scopes.collect(),
        default: ScopeSet::parse(default).unwrap(),
    }
}

/// `read` is at both servers, and opens something else at each.
pub(crate) fn configure(config: &mut Config) {
    let mut pay = config.servers[0].clone();
    let notes = &mut config.servers[0];
    "Notes".clone_into(&mut notes.name);
    notes.scopes = Some(scopes(
        &[("read", &["tools/list"]), ("write", &["tools/call"])],
        "read write",
    ));
    "/pay".clone_into(&mut pay.path);
    "Payroll".clone_into(&mut pay.name);
    pay.scopes = Some(scopes(
        &[
            ("read", &["tools/list", "tools/call:add"]),
            ("admin", &["tools/call"]),
        ],
        "read",
    ));
    config.servers.push(pay);
}

/// Both servers.
pub(crate) fn two() -> Builder {
    server().configure(configure)
}

/// Where a client sends somebody for these scopes at a server.
pub(crate) fn asking(client: &Client, resource: Option<&str>, scope: Option<&str>) -> String {
    client.authorization_url_but(&[("resource", resource), ("scope", scope)])
}

/// Signs `mona` in for these scopes at a server.
pub(crate) async fn sign_in(client: &Client, resource: &str, scope: &str) -> Tokens {
    let url = asking(client, Some(resource), Some(scope));
    Tokens::read(&client.redeem(&client.code_by(&url, "mona").await).await)
}

/// A message to the server at a URL of ours, in a session that may be none.
pub(crate) async fn call(
    server: &Server,
    url: &str,
    token: &str,
    session: &str,
    message: &Value,
) -> Answer {
    let mut request = Request::post(server.local(url))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if !session.is_empty() {
        request = request
            .header("mcp-session-id", session)
            .header("mcp-protocol-version", "2025-11-25");
    }
    let body = Body::from(message.to_string());
    server.send(request.body(body).unwrap()).await
}

pub(crate) fn initialize() -> Value {
    let params = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    });
    message("initialize", &params)
}

/// The identifier of a session that is opened there.
async fn session_at(server: &Server, url: &str, token: &str) -> String {
    let opened = call(server, url, token, "", &initialize()).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    let session = opened.header("mcp-session-id").to_owned();
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let ready = call(server, url, token, &session, &ready).await;
    assert_eq!(ready.status, 202, "{}", ready.text());
    session
}

/// The status of a call of the tool `name` there.
pub(crate) async fn tool(server: &Server, url: &str, token: &str, name: &str) -> Answer {
    let session = session_at(server, url, token).await;
    let run = message(
        "tools/call",
        &json!({"name": name, "arguments": {"a": 1, "b": 2}}),
    );
    call(server, url, token, &session, &run).await
}

/// A request of each kind to the server at a URL of ours: both eras, and those without a body.
fn requests(server: &Server, url: &str, token: &str) -> Vec<(&'static str, Request)> {
    let path = server.local(url);
    let with = |method: Method| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("accept", "application/json, text/event-stream")
    };
    let post = || with(Method::POST).header("content-type", "application/json");
    let modern = json!({"_meta": meta(MODERN)});
    let modern = Body::from(message("tools/list", &modern).to_string());
    let legacy = Body::from(initialize().to_string());
    vec![
        ("legacy", post().body(legacy).unwrap()),
        (
            "modern",
            post()
                .header("mcp-protocol-version", MODERN)
                .header("mcp-method", "tools/list")
                .body(modern)
                .unwrap(),
        ),
        (
            "stream",
            with(Method::GET)
                .header("mcp-session-id", "x")
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "end",
            with(Method::DELETE)
                .header("mcp-session-id", "x")
                .body(Body::empty())
                .unwrap(),
        ),
    ]
}

/// DISC-01, DISC-03, DISC-04, DISC-07, DISC-08, RS-02, RS-04
#[tokio::test]
async fn each_server_tells_its_own_name_and_scopes() {
    let server = two().start().await;
    let root = "/.well-known/oauth-protected-resource";
    for (place, resource, name, first) in [
        ("", NOTES, "Notes", json!(["read", "write"])),
        ("/mcp", NOTES, "Notes", json!(["read", "write"])),
        ("/pay", PAY, "Payroll", json!(["read"])),
    ] {
        let metadata = server.get(&format!("{root}{place}")).await.json();
        assert_eq!(metadata["resource"], resource, "{place}");
        assert_eq!(metadata["resource_name"], name, "{place}");
        assert_eq!(metadata["scopes_supported"], first, "{place}");
    }
    let metadata = "/.well-known/oauth-authorization-server";
    let metadata = server.get(metadata).await.json();
    let all = json!(["admin", "offline_access", "read", "write"]);
    assert_eq!(metadata["scopes_supported"], all);
    assert_eq!(metadata["protected_resources"], json!([NOTES, PAY]));
    for (path, scopes) in [("/mcp", "read write"), ("/pay", "read")] {
        let request = Request::post(path).body(Body::empty()).unwrap();
        let refused = server.send(request).await;
        assert_eq!(
            refused.header("www-authenticate"),
            format!(
                r#"Bearer resource_metadata="https://mcp.example.com{root}{path}", scope="{scopes}""#
            )
        );
    }
}

/// AUTHZ-10, AUTHZ-13, AUTHZ-14
#[tokio::test]
async fn a_scope_is_granted_at_the_server_that_has_it_and_by_default_what_that_server_says() {
    let server = two().start().await;
    let client = server.client().await;
    for (resource, asked, granted) in [
        (Some(NOTES), None, Ok((NOTES, "read write"))),
        (Some(PAY), None, Ok((PAY, "read"))),
        // who names no server gets the first
        (None, None, Ok((NOTES, "read write"))),
        (None, Some("read"), Ok((NOTES, "read"))),
        (Some(NOTES), Some("read admin"), Ok((NOTES, "read"))),
        (
            Some(PAY),
            Some("admin write offline_access"),
            Ok((PAY, "admin offline_access")),
        ),
        (
            Some(NOTES),
            Some("offline_access"),
            Ok((NOTES, "offline_access read write")),
        ),
        (Some(PAY), Some("openid email"), Ok((PAY, "read"))),
        (Some(NOTES), Some("admin"), Err("invalid_scope")),
        (Some(PAY), Some("write"), Err("invalid_scope")),
        (None, Some("admin"), Err("invalid_scope")),
        // with two servers, the bare origin is neither
        (Some("https://mcp.example.com"), None, Err("invalid_target")),
        (
            Some("https://mcp.example.com/"),
            None,
            Err("invalid_target"),
        ),
    ] {
        let shown = format!("{resource:?} {asked:?}");
        let pushed = client
            .push(&[("resource", resource), ("scope", asked)])
            .await;
        let url = asking(&client, resource, asked);
        let (aud, granted) = match granted {
            Ok(granted) => granted,
            Err(error) => {
                assert_eq!(pushed.error(), error, "{shown}");
                assert_eq!(
                    client.read_refusal(&server.get(&url).await),
                    error,
                    "{shown}"
                );
                continue;
            }
        };
        assert_eq!(pushed.status, 201, "{shown}");
        let pushed = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        for url in [url, client.url_of(&pushed)] {
            let code = client.code_by(&url, "mona").await;
            let tokens = Tokens::read(&client.redeem(&code).await);
            assert_eq!(
                (&*tokens.scope, &tokens.claims()["aud"]),
                (granted, &json!(aud)),
                "{shown}"
            );
        }
    }
}

/// RS-11, RS-05, T3, P9
#[tokio::test]
async fn a_token_of_one_server_is_refused_at_the_other_whatever_it_is_sent_with() {
    let server = two().start().await;
    let client = server.client().await;
    let notes = sign_in(&client, NOTES, "read write").await;
    let pay = sign_in(&client, PAY, "read admin").await;
    for (url, own, other, scopes) in [
        (NOTES, &notes, &pay, "read write"),
        (PAY, &pay, &notes, "read"),
    ] {
        for (kind, request) in requests(&server, url, &other.access) {
            let refused = server.send(request).await;
            assert_eq!(refused.status, 401, "{kind} {url}");
            let challenge = refused.header("www-authenticate");
            let path = server.local(url);
            for part in [
                r#"Bearer error="invalid_token""#,
                &format!(
                    r#"resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource{path}""#
                ),
                &format!(r#"scope="{scopes}""#),
            ] {
                assert!(challenge.contains(part), "{part} {kind}: {challenge}");
            }
        }
        for (kind, request) in requests(&server, url, &own.access) {
            let status = server.send(request).await.status;
            let expected = if matches!(kind, "legacy" | "modern") {
                200
            } else {
                404
            };
            assert_eq!(status, expected, "{kind} {url}");
        }
    }
}

/// RS-12, RS-11
#[tokio::test]
async fn a_session_of_one_server_is_none_of_the_other() {
    let server = two().start().await;
    let client = server.client().await;
    let notes = sign_in(&client, NOTES, "read").await;
    let pay = sign_in(&client, PAY, "read").await;
    let session = session_at(&server, NOTES, &notes.access).await;
    let list = message("tools/list", &json!({}));
    let at = async |url, token| call(&server, url, token, &session, &list).await.status;
    assert_eq!(at(NOTES, &notes.access).await, 200);
    assert_eq!(at(PAY, &pay.access).await, 404);
    assert_eq!(at(PAY, &notes.access).await, 401);
    assert_eq!(at(NOTES, &pay.access).await, 401);
}

/// RS-06, RS-14
#[tokio::test]
async fn a_scope_opens_what_the_table_of_its_own_server_says() {
    let server = two().start().await;
    let client = server.client().await;
    let notes = sign_in(&client, NOTES, "read").await;
    let pay = sign_in(&client, PAY, "read").await;
    assert_eq!(tool(&server, PAY, &pay.access, "add").await.status, 200);
    for (url, tokens, name, needed) in [
        (NOTES, &notes, "add", "read write"),
        (PAY, &pay, "subtract", "admin read"),
    ] {
        let refused = tool(&server, url, &tokens.access, name).await;
        assert_eq!(refused.status, 403, "{url}");
        let challenge = refused.header("www-authenticate");
        let path = server.local(url);
        for part in [
            &*format!(r#"scope="{needed}""#),
            &format!(r#"oauth-protected-resource{path}""#),
        ] {
            assert!(challenge.contains(part), "{part}: {challenge}");
        }
    }
}

/// CLI-40
#[tokio::test]
async fn a_client_registers_for_scopes_of_any_server() {
    let server = two().start().await;
    let mut metadata = Client::public();
    metadata["scope"] = json!("write admin bogus offline_access");
    let client = Client::register(&server, &metadata).await;
    assert_eq!(client.registration["scope"], "admin offline_access write");
}
