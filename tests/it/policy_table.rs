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
use crate::harness::revision::{MODERN, meta};

const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
const ALL: &str = "tools:list tools:call resources prompts";

/// Status and code of an answer; without a code the server was reached.
type Outcome = (u16, Option<i64>);

const REACHED: Outcome = (200, None);
const INVALID: Outcome = (400, Some(-32600));
const NOT_THERE: Outcome = (404, Some(-32600));
const NO_METHOD: Outcome = (404, Some(-32601));
const LACKING: Outcome = (400, Some(-32602));
const MISMATCH: Outcome = (400, Some(-32020));
const UNSUPPORTED: Outcome = (400, Some(-32022));

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
    fn with_meta(&self, method: &str, version: &str, header: Option<&str>) -> Request {
        let body = rpc(method, &json!({"_meta": meta(version)}));
        let request = self.post(header, &body);
        with(request, "mcp-method", method)
    }

    /// Every cell: its name, its request, and what is answered.
    async fn check(&self, cells: Vec<(&str, Request, Outcome)>) {
        for (cell, request, (status, code)) in cells {
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
    let batch = format!("[{}]", rpc("ping", &json!({})));
    let at = |version| table.post(version, &batch);
    let in_session = |version| with(at(version), "mcp-session-id", &table.session);
    table
        .check(vec![
            ("no header", at(None), REACHED),
            ("2025-03-26", at(Some(LEGACY[0])), REACHED),
            ("2025-06-18", at(Some(LEGACY[1])), INVALID),
            ("2025-11-25", at(Some(LEGACY[2])), INVALID),
            ("2026-07-28", at(Some(MODERN)), INVALID),
            ("unsupported", at(Some("1900-01-01")), INVALID),
            ("in a session", in_session(None), REACHED),
            ("2025-06-18, session", in_session(Some(LEGACY[1])), INVALID),
        ])
        .await;
}

/// HTTP-42
#[tokio::test]
async fn row_one_an_array_holds_messages_of_any_kind_of_that_revision() {
    let table = Table::new().await;
    let ping = rpc("ping", &json!({}));
    let meta = json!({"_meta": meta(MODERN)});
    let meta = rpc("tools/list", &meta);
    let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let of = |entries: &[&str]| table.post(None, &format!("[{}]", entries.join(",")));
    table
        .check(vec![
            ("all kinds", of(&[&ping, note, answer]), REACHED),
            ("a notification alone", of(&[note]), REACHED),
            ("a response alone", of(&[answer]), REACHED),
            ("modern _meta in it", of(&[&ping, &meta]), INVALID),
            ("empty", of(&[]), INVALID),
            ("in an array", of(&["[]"]), INVALID),
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
        ("no header", table.post(None, &hello), REACHED),
        (
            "2026-07-28 in the header alone",
            table.post(Some(MODERN), &hello),
            REACHED,
        ),
        (
            "any version in the header",
            table.post(Some("1900-01-01"), &hello),
            REACHED,
        ),
        (
            "modern",
            table.with_meta("initialize", MODERN, Some(MODERN)),
            NO_METHOD,
        ),
        (
            "modern _meta, no header",
            table.with_meta("initialize", MODERN, None),
            MISMATCH,
        ),
        ("a session that is not there", stale, NOT_THERE),
    ];
    cells.extend(LEGACY.map(|version| ("older", table.post(Some(version), &hello), REACHED)));
    table.check(cells).await;
}

/// HTTP-20, HTTP-23
#[tokio::test]
async fn row_three_header_and_metadata_name_one_supported_version() {
    const FUTURE: &str = "2099-01-01";
    let table = Table::new().await;
    let bare = rpc("tools/list", &json!({}));
    let list = |meta, header| table.with_meta("tools/list", meta, header);
    let without_method = || {
        let mut request = list(MODERN, Some(MODERN));
        request.headers_mut().remove("mcp-method");
        request
    };
    table
        .check(vec![
            ("both modern", list(MODERN, Some(MODERN)), REACHED),
            ("header alone", table.post(Some(MODERN), &bare), LACKING),
            ("_meta alone", list(MODERN, None), MISMATCH),
            ("older header", list(MODERN, Some(LEGACY[2])), MISMATCH),
            ("older _meta", list(LEGACY[2], Some(MODERN)), MISMATCH),
            ("unknown _meta", list(FUTURE, Some(MODERN)), MISMATCH),
            ("unknown header", list(MODERN, Some(FUTURE)), MISMATCH),
            ("both unknown", list(FUTURE, Some(FUTURE)), UNSUPPORTED),
            (
                "unknown alone",
                table.post(Some(FUTURE), &bare),
                UNSUPPORTED,
            ),
            ("unknown _meta alone", list(FUTURE, None), MISMATCH),
            ("no Mcp-Method", without_method(), MISMATCH),
        ])
        .await;
}

/// HTTP-24, HTTP-26, HTTP-29
#[tokio::test]
async fn row_three_a_modern_request_stands_for_itself() {
    let table = Table::new().await;
    let call = |method| table.with_meta(method, MODERN, Some(MODERN));
    let list = |name, value| with(call("tools/list"), name, value);
    let half = json!({"io.modelcontextprotocol/protocolVersion": MODERN});
    let half = rpc("tools/list", &json!({ "_meta": half }));
    let half = table.post(Some(MODERN), &half);
    let half = with(half, "mcp-method", "tools/list");
    let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    let answer = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    let mut cells = vec![
        ("any session", list("mcp-session-id", "x"), REACHED),
        ("a session", list("mcp-session-id", &table.session), REACHED),
        ("last event", list("last-event-id", "3"), REACHED),
        ("no capabilities", half, LACKING),
        ("unknown method", call("acme/own"), NO_METHOD),
        ("a notification", table.post(Some(MODERN), note), REACHED),
        ("a response", table.post(Some(MODERN), answer), INVALID),
    ];
    for removed in ["ping", "logging/setLevel", "resources/subscribe"] {
        cells.push(("a removed method", call(removed), NO_METHOD));
    }
    table.check(cells).await;
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

/// HTTP-03, HTTP-41
#[tokio::test]
async fn row_four_a_session_is_known_and_once_there() {
    let table = Table::new().await;
    let ping = rpc("ping", &json!({}));
    let at = |version| with(table.post(version, &ping), "mcp-session-id", &table.session);
    let other = |session| with(table.post(None, &ping), "mcp-session-id", session);
    let mut twice = at(None);
    let again = table.session.parse().unwrap();
    twice.headers_mut().append("mcp-session-id", again);
    let mut cells = vec![
        ("no version", at(None), REACHED),
        ("unknown", other("of-nobody"), NOT_THERE),
        ("empty", other(""), NOT_THERE),
        ("twice", twice, NOT_THERE),
        ("unsupported version", at(Some("1900-01-01")), UNSUPPORTED),
        (
            "two versions",
            at(Some("2025-11-25, 2025-06-18")),
            UNSUPPORTED,
        ),
    ];
    cells.extend(LEGACY.map(|version| ("each version", at(Some(version)), REACHED)));
    table.check(cells).await;
}

/// RS-12, P11
#[tokio::test]
async fn row_four_a_session_is_its_owners() {
    let table = Table::new().await;
    let ping = rpc("ping", &json!({}));
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let answer = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    let mut cells = Vec::new();
    for (token, outcome) in [(&table.mine, REACHED), (&table.other, NOT_THERE)] {
        for (cell, request) in [
            ("a request", post(token, &ping)),
            ("a notification", post(token, note)),
            ("a response", post(token, answer)),
            ("GET", bodiless(Method::GET, token)),
            ("DELETE", bodiless(Method::DELETE, token)),
        ] {
            let request = with(request, "mcp-session-id", &table.session);
            cells.push((cell, request, outcome));
        }
    }
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
                REACHED,
            ));
        }
        cells.push(("a notification", table.post(version, note), REACHED));
        cells.push(("a response", table.post(version, response), REACHED));
        cells.push((
            "unknown method",
            table.post(version, &rpc("acme/own", &json!({}))),
            (200, Some(-32601)),
        ));
        let older = json!({"_meta": {"progressToken": 1}});
        cells.push((
            "_meta of no version",
            table.post(version, &rpc("tools/list", &older)),
            REACHED,
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
        cells.push(("no header", bare(), REACHED));
        for version in LEGACY.into_iter().chain([MODERN, "2024-11-05"]) {
            cells.push(("each version", versioned(bare(), Some(version)), REACHED));
        }
        let unknown = with(bare(), "mcp-session-id", "of-nobody");
        cells.push(("unknown session", unknown, NOT_THERE));
        let resumed = with(bare(), "last-event-id", "of-nobody");
        cells.push(("an event of no session", resumed, REACHED));
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
            (405, Some(405)),
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
