//! Which era a request is of, and what becomes of it: every cell of the table of the transport, by name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::service_fn;

use crate::harness::gate::{World, bodiless, post, rpc, send, with};

const MODERN: &str = "2026-07-28";
const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
const ALL: &str = "tools:list tools:call resources prompts";

/// The same path with sessions of two people.
struct Table {
    router: Router,
    mine: String,
    other: String,
    session: String,
}

impl Table {
    async fn new() -> Self {
        let mut world = World::new();
        let mine = world.token("github:1", "c", ALL);
        let other = world.token("github:2", "c", ALL);
        let router = world.echo();
        let opened = send(&router, post(&mine, &rpc("initialize", &json!({})))).await;
        let session = opened.headers["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        Self {
            router,
            mine,
            other,
            session,
        }
    }

    /// A message with the version in its header, if there is one.
    fn post(&self, version: Option<&str>, body: &str) -> Request {
        versioned(post(&self.mine, body), version)
    }

    /// A request with `_meta` of this version, and these headers.
    fn with_meta(&self, method: &str, meta: &str, header: Option<&str>) -> Request {
        let body = rpc(method, &json!({"_meta": meta_of(meta)}));
        let request = self.post(header, &body);
        with(request, "mcp-method", method)
    }

    /// Every cell: its name, its request, and what is answered; none as code means that the server was reached.
    async fn check(&self, cells: Vec<(&str, Request, u16, Option<i64>)>) {
        for (cell, request, status, code) in cells {
            let answer = send(&self.router, request).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (status, code),
                "{cell}"
            );
            let is_reached = answer.body.get("headers").is_some();
            assert_eq!(is_reached, code.is_none(), "{cell}");
            let is_modern_error = matches!(code, Some(-32022..=-32020 | -32602 | -32601));
            assert!(
                !is_modern_error || answer.body["id"] == 7,
                "{cell}: {}",
                answer.body
            );
        }
    }
}

fn versioned(request: Request, version: Option<&str>) -> Request {
    match version {
        Some(version) => with(request, "mcp-protocol-version", version),
        None => request,
    }
}

fn meta_of(version: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// RS-01, RS-02
#[tokio::test]
async fn before_the_token_nothing_of_the_table_counts() {
    let table = Table::new().await;
    let ping = rpc("ping", &json!({}));
    let mut requests: Vec<Request> = ["GET", "DELETE", "HEAD", "PUT", "PATCH", "TRACE"]
        .into_iter()
        .map(|method| bodiless(method.parse().unwrap(), ""))
        .collect();
    requests.extend([
        post("", "[]"),
        post("", &format!("[{ping}]")),
        versioned(post("", &ping), Some("1900-01-01")),
        with(post("", &ping), "mcp-session-id", "of-nobody"),
        with(post("", &ping), "mcp-method", "tools/list"),
        with(bodiless(Method::GET, ""), "mcp-session-id", &table.session),
        with(
            bodiless(Method::DELETE, ""),
            "mcp-session-id",
            &table.session,
        ),
        versioned(bodiless(Method::GET, ""), Some("1900-01-01")),
        post(
            "",
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ),
        post("", r#"{"jsonrpc":"2.0","id":7,"result":{}}"#),
    ]);
    for mut request in requests {
        request.headers_mut().remove("authorization");
        let shown = format!("{request:?}");
        let has_body = request.method() != Method::HEAD;
        let answer = send(&table.router, request).await;
        let code = has_body.then_some(401);
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::UNAUTHORIZED, code),
            "{shown}"
        );
        assert!(
            answer.challenge().starts_with("Bearer resource_metadata="),
            "{shown}"
        );
    }
}

/// HTTP-42
#[tokio::test]
async fn row_one_an_array_is_a_batch_of_the_first_revision() {
    let table = Table::new().await;
    let (ping, note) = (
        rpc("ping", &json!({})),
        r#"{"jsonrpc":"2.0","method":"notifications/x"}"#,
    );
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let batch = format!("[{ping}]");
    let mixed = format!("[{ping},{note},{response}]");
    let meta = format!(
        "[{}]",
        rpc("tools/list", &json!({"_meta": meta_of(MODERN)}))
    );
    let in_session = |version| {
        with(
            table.post(version, &batch),
            "mcp-session-id",
            &table.session,
        )
    };
    table
        .check(vec![
            ("no header", table.post(None, &batch), 200, None),
            ("2025-03-26", table.post(Some(LEGACY[0]), &batch), 200, None),
            (
                "2025-06-18",
                table.post(Some(LEGACY[1]), &batch),
                400,
                Some(-32600),
            ),
            (
                "2025-11-25",
                table.post(Some(LEGACY[2]), &batch),
                400,
                Some(-32600),
            ),
            (
                "2026-07-28",
                table.post(Some(MODERN), &batch),
                400,
                Some(-32600),
            ),
            (
                "unsupported",
                table.post(Some("1900-01-01"), &batch),
                400,
                Some(-32600),
            ),
            ("all kinds of messages", table.post(None, &mixed), 200, None),
            (
                "nothing but a notification",
                table.post(None, &format!("[{note}]")),
                200,
                None,
            ),
            (
                "nothing but a response",
                table.post(None, &format!("[{response}]")),
                200,
                None,
            ),
            (
                "modern _meta in it",
                table.post(None, &meta),
                400,
                Some(-32600),
            ),
            ("in a session", in_session(None), 200, None),
            (
                "in a session of 2025-06-18",
                in_session(Some(LEGACY[1])),
                400,
                Some(-32600),
            ),
            ("empty", table.post(None, "[]"), 400, Some(-32600)),
            (
                "in an array",
                table.post(None, &format!("[{batch}]")),
                400,
                Some(-32600),
            ),
        ])
        .await;
}

/// HTTP-01, HTTP-20, HTTP-26
#[tokio::test]
async fn row_two_a_handshake_is_of_the_older_era_unless_it_says_otherwise() {
    let table = Table::new().await;
    let hello = rpc("initialize", &json!({"protocolVersion": "2025-11-25"}));
    let stale = with(table.post(None, &hello), "mcp-session-id", "of-nobody");
    let mut cells = vec![
        ("no header", table.post(None, &hello), 200, None),
        (
            "2026-07-28 in the header alone",
            table.post(Some(MODERN), &hello),
            200,
            None,
        ),
        (
            "any version in the header",
            table.post(Some("1900-01-01"), &hello),
            200,
            None,
        ),
        (
            "modern",
            table.with_meta("initialize", MODERN, Some(MODERN)),
            404,
            Some(-32601),
        ),
        (
            "modern _meta, no header",
            table.with_meta("initialize", MODERN, None),
            400,
            Some(-32020),
        ),
        ("a session that is not there", stale, 404, Some(-32600)),
    ];
    cells.extend(LEGACY.map(|version| ("older", table.post(Some(version), &hello), 200, None)));
    table.check(cells).await;
}

/// HTTP-20, HTTP-23, HTTP-24, HTTP-26, HTTP-29
#[tokio::test]
async fn row_three_the_modern_era_is_validated_and_stands_for_itself() {
    let table = Table::new().await;
    let bare = rpc("tools/list", &json!({}));
    let list = || table.with_meta("tools/list", MODERN, Some(MODERN));
    let without = |name: &str| {
        let mut request = list();
        request.headers_mut().remove(name).unwrap();
        request
    };
    let half = rpc(
        "tools/list",
        &json!({"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}),
    );
    let half = with(table.post(Some(MODERN), &half), "mcp-method", "tools/list");
    let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    let response = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    table
        .check(vec![
            ("right", list(), 200, None),
            (
                "any session",
                with(list(), "mcp-session-id", "of-nobody"),
                200,
                None,
            ),
            (
                "session of the caller",
                with(list(), "mcp-session-id", &table.session),
                200,
                None,
            ),
            ("last event", with(list(), "last-event-id", "3"), 200, None),
            (
                "header without _meta",
                table.post(Some(MODERN), &bare),
                400,
                Some(-32602),
            ),
            (
                "_meta without header",
                without("mcp-protocol-version"),
                400,
                Some(-32020),
            ),
            (
                "older header",
                table.with_meta("tools/list", MODERN, Some(LEGACY[2])),
                400,
                Some(-32020),
            ),
            (
                "older _meta",
                table.with_meta("tools/list", LEGACY[2], Some(MODERN)),
                400,
                Some(-32020),
            ),
            (
                "unsupported _meta",
                table.with_meta("tools/list", "2099-01-01", Some(MODERN)),
                400,
                Some(-32020),
            ),
            (
                "unsupported header",
                table.with_meta("tools/list", MODERN, Some("2099-01-01")),
                400,
                Some(-32020),
            ),
            (
                "both unsupported",
                table.with_meta("tools/list", "2099-01-01", Some("2099-01-01")),
                400,
                Some(-32022),
            ),
            (
                "unsupported, no _meta",
                table.post(Some("2099-01-01"), &bare),
                400,
                Some(-32022),
            ),
            (
                "unsupported, no header",
                table.with_meta("tools/list", "2099-01-01", None),
                400,
                Some(-32020),
            ),
            ("no Mcp-Method", without("mcp-method"), 400, Some(-32020)),
            ("no capabilities", half, 400, Some(-32602)),
            (
                "unknown method",
                table.with_meta("acme/own", MODERN, Some(MODERN)),
                404,
                Some(-32601),
            ),
            (
                "removed: ping",
                table.with_meta("ping", MODERN, Some(MODERN)),
                404,
                Some(-32601),
            ),
            (
                "removed: logging",
                table.with_meta("logging/setLevel", MODERN, Some(MODERN)),
                404,
                Some(-32601),
            ),
            (
                "removed: subscribe",
                table.with_meta("resources/subscribe", MODERN, Some(MODERN)),
                404,
                Some(-32601),
            ),
            ("a notification", table.post(Some(MODERN), note), 200, None),
            (
                "a response",
                table.post(Some(MODERN), response),
                400,
                Some(-32600),
            ),
        ])
        .await;
}

/// HTTP-23
#[tokio::test]
async fn row_three_a_client_of_any_era_finds_a_version_in_the_refusal() {
    let table = Table::new().await;
    for request in [
        table.with_meta("tools/list", "2099-01-01", Some("2099-01-01")),
        table.post(Some("2099-01-01"), &rpc("tools/list", &json!({}))),
        with(
            table.post(Some("2099-01-01"), &rpc("ping", &json!({}))),
            "mcp-session-id",
            &table.session,
        ),
    ] {
        let answer = send(&table.router, request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, Some(-32022)));
        let supported = json!([MODERN, LEGACY[2], LEGACY[1], LEGACY[0]]);
        assert_eq!(
            answer.body["error"]["data"],
            json!({"supported": supported, "requested": "2099-01-01"})
        );
    }
}

/// HTTP-03, HTTP-41, RS-12, P11
#[tokio::test]
async fn row_four_a_session_is_its_owners() {
    let table = Table::new().await;
    let ping = rpc("ping", &json!({}));
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let response = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    let with_session = |request, session: &str| with(request, "mcp-session-id", session);
    let mine = |version, body: &str| with_session(table.post(version, body), &table.session);
    let others = |body: &str| with_session(post(&table.other, body), &table.session);
    let bare = |method, token: &str| with_session(bodiless(method, token), &table.session);
    let mut twice = mine(None, &ping);
    twice
        .headers_mut()
        .append("mcp-session-id", table.session.parse().unwrap());
    let mut cells = vec![
        ("the owner's", mine(None, &ping), 200, None),
        ("a notification", mine(None, note), 200, None),
        ("a response", mine(None, response), 200, None),
        (
            "unknown",
            with_session(table.post(None, &ping), "of-nobody"),
            404,
            Some(-32600),
        ),
        (
            "empty",
            with_session(table.post(None, &ping), ""),
            404,
            Some(-32600),
        ),
        ("twice", twice, 404, Some(-32600)),
        ("another's", others(&ping), 404, Some(-32600)),
        ("another's notification", others(note), 404, Some(-32600)),
        ("another's response", others(response), 404, Some(-32600)),
        (
            "unsupported version",
            mine(Some("1900-01-01"), &ping),
            400,
            Some(-32022),
        ),
        (
            "version twice as one",
            mine(Some("2025-11-25, 2025-11-25"), &ping),
            400,
            Some(-32022),
        ),
        ("GET", bare(Method::GET, &table.mine), 200, None),
        ("DELETE", bare(Method::DELETE, &table.mine), 200, None),
        (
            "another's GET",
            bare(Method::GET, &table.other),
            404,
            Some(-32600),
        ),
        (
            "another's DELETE",
            bare(Method::DELETE, &table.other),
            404,
            Some(-32600),
        ),
    ];
    cells.extend(LEGACY.map(|version| ("each version", mine(Some(version), &ping), 200, None)));
    table.check(cells).await;
}

/// HTTP-02, HTTP-43
#[tokio::test]
async fn row_five_all_else_is_of_the_older_era_without_a_session() {
    let table = Table::new().await;
    let response = r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":""}}"#;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    let mut cells = Vec::new();
    for version in [None, Some("2024-11-05")]
        .into_iter()
        .chain(LEGACY.map(Some))
    {
        for method in ["ping", "logging/setLevel", "tools/list", "server/discover"] {
            cells.push((
                "a request",
                table.post(version, &rpc(method, &json!({}))),
                200,
                None,
            ));
        }
        cells.push(("a notification", table.post(version, note), 200, None));
        cells.push(("a response", table.post(version, response), 200, None));
        cells.push((
            "unknown method",
            table.post(version, &rpc("acme/own", &json!({}))),
            200,
            Some(-32601),
        ));
        let older = json!({"_meta": {"progressToken": 1}});
        cells.push((
            "_meta of no version",
            table.post(version, &rpc("tools/list", &older)),
            200,
            None,
        ));
    }
    table.check(cells).await;
}

/// HTTP-03, HTTP-40
#[tokio::test]
async fn row_six_get_and_delete_are_of_the_older_era() {
    let table = Table::new().await;
    let mut cells = Vec::new();
    for method in [Method::GET, Method::DELETE] {
        let bare = || bodiless(method.clone(), &table.mine);
        let mut twice = versioned(bare(), Some(LEGACY[2]));
        twice
            .headers_mut()
            .append("mcp-protocol-version", LEGACY[1].parse().unwrap());
        cells.push(("no header", bare(), 200, None));
        for version in LEGACY.into_iter().chain([MODERN, "2024-11-05"]) {
            cells.push(("each version", versioned(bare(), Some(version)), 200, None));
        }
        let unknown = with(bare(), "mcp-session-id", "of-nobody");
        cells.push(("unknown session", unknown, 404, Some(-32600)));
        let resumed = with(bare(), "last-event-id", "of-nobody");
        cells.push(("an event of no session", resumed, 200, None));
        for request in [versioned(bare(), Some("1900-01-01")), twice] {
            let answer = send(&table.router, request).await;
            assert_eq!(answer.status, 400, "{method}");
            assert!(matches!(answer.code(), Some(-32022 | -32020)), "{method}");
        }
    }
    for method in ["PUT", "PATCH", "TRACE"] {
        cells.push((
            "other methods",
            bodiless(method.parse().unwrap(), &table.mine),
            405,
            Some(405),
        ));
    }
    table.check(cells).await;
}

/// A client that knows both eras falls back by what the server says, so that it must come through.
///
/// HTTP-40
#[tokio::test]
async fn what_a_server_of_one_era_says_of_the_other_comes_through() {
    for (status, text) in [
        (
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#,
        ),
        (
            405,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Method not allowed."}}"#,
        ),
        (
            404,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}"#,
        ),
        (204, ""),
    ] {
        let mut world = World::new();
        let token = world.token("github:1", "c", ALL);
        let router = world.before(service_fn(move |_: Request| async move {
            let status = StatusCode::from_u16(status).unwrap();
            let response = (status, [("content-type", "application/json")], text);
            Ok::<_, Infallible>(response.into_response())
        }));
        for request in [
            post(&token, &rpc("tools/list", &json!({}))),
            bodiless(Method::GET, &token),
            bodiless(Method::DELETE, &token),
        ] {
            let answer = send(&router, request).await;
            assert_eq!(answer.status.as_u16(), status);
            let expected = serde_json::from_str(text).unwrap_or(Value::Null);
            assert_eq!(answer.body, expected, "{status}");
        }
    }
}
