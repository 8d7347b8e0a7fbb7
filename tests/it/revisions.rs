//! One path for four revisions of MCP: the table of the eras, row by row, and what each revision demands of a request.

use axum::Router;
use axum::extract::Request;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::harness::gate::{World, post, rpc, send, with};
use crate::harness::revision::{MODERN, meta};

const SCOPES: &str = "tools:list tools:call resources prompts";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

/// A path with the echoing server, and a token for it.
struct Path {
    router: Router,
    token: String,
}

fn path() -> Path {
    let mut world = World::new();
    let token = world.token("github:1", "c", SCOPES);
    Path {
        router: world.echo(),
        token,
    }
}

/// Params with the members of a modern request.
fn modern(version: &str, params: Value) -> Value {
    let mut params = params;
    params["_meta"] = meta(version);
    params
}

impl Path {
    fn post(&self, version: Option<&str>, body: &str) -> Request {
        let request = post(&self.token, body);
        match version {
            Some(version) => with(request, "mcp-protocol-version", version),
            None => request,
        }
    }

    /// A right request of 2026-07-28.
    fn modern(&self, method: &str, params: Value, name: Option<&str>) -> Request {
        let body = rpc(method, &modern(MODERN, params));
        let request = with(self.post(Some(MODERN), &body), "mcp-method", method);
        match name {
            Some(name) => with(request, "mcp-name", name),
            None => request,
        }
    }

    /// Status and code of the answer; the id must be the request's wherever there is a code of MCP.
    async fn outcome(&self, request: Request) -> (u16, Option<i64>) {
        let answer = send(&self.router, request).await;
        if answer.code().is_some_and(|code| code != -32700) {
            assert_eq!(answer.body["id"], 7);
        }
        (answer.status.as_u16(), answer.code())
    }
}

/// HTTP-42
#[tokio::test]
async fn a_batch_passes_in_the_first_revision_alone() {
    let path = path();
    let batch = format!(
        "[{},{}]",
        rpc("ping", &json!({})),
        rpc("tools/list", &json!({}))
    );
    assert_eq!(path.outcome(path.post(None, &batch)).await, (200, None));
    assert_eq!(
        path.outcome(path.post(Some("2025-03-26"), &batch)).await,
        (200, None)
    );
    for version in ["2025-06-18", "2025-11-25", MODERN] {
        assert_eq!(
            path.outcome(path.post(Some(version), &batch)).await,
            (400, Some(-32600)),
            "{version}"
        );
    }
    let with_meta = format!("[{}]", rpc("tools/list", &modern(MODERN, json!({}))));
    assert_eq!(
        path.outcome(path.post(None, &with_meta)).await,
        (400, Some(-32600))
    );
    let with_mirror = with(path.post(None, &batch), "mcp-method", "ping");
    assert_eq!(path.outcome(with_mirror).await, (400, Some(-32020)));
    let empty = send(&path.router, path.post(None, "[]")).await;
    assert_eq!((empty.status.as_u16(), empty.code()), (400, Some(-32600)));
}

/// HTTP-01
#[tokio::test]
async fn the_handshake_is_passed_to_the_server_whatever_the_header_says() {
    let path = path();
    for version in [None, Some("2025-03-26"), Some("2025-11-25"), Some(MODERN)] {
        let body = rpc("initialize", &json!({"protocolVersion": "2025-06-18"}));
        let answer = send(&path.router, path.post(version, &body)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["body"]),
            (200, &json!(body))
        );
        assert!(
            answer.headers.contains_key("mcp-session-id"),
            "a session may be made"
        );
    }
}

/// HTTP-01, HTTP-02
#[tokio::test]
async fn an_older_request_passes_with_its_header_or_without() {
    let path = path();
    for version in [None].into_iter().chain(LEGACY.map(Some)) {
        for (method, params) in [
            ("tools/list", json!({})),
            ("ping", json!({})),
            ("tools/call", json!({"name": "add"})),
            ("resources/subscribe", json!({"uri": "file:///a"})),
            ("logging/setLevel", json!({"level": "info"})),
        ] {
            let request = path.post(version, &rpc(method, &params));
            assert_eq!(
                path.outcome(request).await,
                (200, None),
                "{version:?} {method}"
            );
        }
    }
}

/// HTTP-43
#[tokio::test]
async fn an_older_client_answers_and_notifies() {
    let path = path();
    for version in [None].into_iter().chain(LEGACY.map(Some)) {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"no"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        ] {
            let answer = send(&path.router, path.post(version, body)).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body["body"]),
                (200, &json!(body)),
                "{version:?}"
            );
        }
    }
}

/// HTTP-03, HTTP-23
#[tokio::test]
async fn an_unsupported_version_is_told_which_ones_are_supported() {
    let path = path();
    let supported = json!([MODERN, "2025-11-25", "2025-06-18", "2025-03-26"]);
    for version in ["1900-01-01", "2027-01-01", "2.0", "latest"] {
        for body in [
            rpc("tools/list", &json!({})),
            rpc("tools/list", &modern(version, json!({}))),
        ] {
            let answer = send(&path.router, path.post(Some(version), &body)).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (400, Some(-32022)),
                "{version}"
            );
            assert_eq!(
                answer.body["error"]["data"],
                json!({"supported": supported, "requested": version})
            );
            assert_eq!(answer.body["id"], 7);
        }
    }
    for method in [Method::GET, Method::DELETE] {
        let mut request = path.post(Some("1900-01-01"), "");
        *request.method_mut() = method;
        assert_eq!(send(&path.router, request).await.status, 400);
    }
}

/// HTTP-01, HTTP-29
#[tokio::test]
async fn a_modern_request_stands_for_itself() {
    let path = path();
    let request = path.modern("tools/call", json!({"name": "add"}), Some("add"));
    let request = with(
        with(request, "mcp-session-id", "of-nobody"),
        "last-event-id",
        "9",
    );
    let answer = send(&path.router, request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["headers"]["mcp-session-id"], Value::Null);
    assert_eq!(answer.body["headers"]["last-event-id"], Value::Null);
    assert!(!answer.headers.contains_key("mcp-session-id"));
    for (name, value) in [
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/call"),
        ("mcp-name", "add"),
    ] {
        assert_eq!(answer.body["headers"][name], value);
    }
}

/// HTTP-20
#[tokio::test]
async fn headers_of_a_modern_request_say_what_the_body_says() {
    let path = path();
    let call = || path.modern("tools/call", json!({"name": "add"}), Some("add"));
    let read = || {
        path.modern(
            "resources/read",
            json!({"uri": "file:///a"}),
            Some("file:///a"),
        )
    };
    let get = || path.modern("prompts/get", json!({"name": "p"}), Some("p"));
    for right in [
        call(),
        read(),
        get(),
        path.modern("tools/list", json!({}), None),
        path.modern("server/discover", json!({}), None),
    ] {
        assert_eq!(path.outcome(right).await, (200, None));
    }
    for (request, wrong) in [
        (call(), ("mcp-protocol-version", "2025-11-25")),
        (call(), ("mcp-method", "tools/list")),
        (call(), ("mcp-method", "Tools/Call")),
        (call(), ("mcp-name", "Add")),
        (call(), ("mcp-name", "")),
        (read(), ("mcp-name", "file:///b")),
        (get(), ("mcp-name", "q")),
    ] {
        let shown = format!("{wrong:?}");
        assert_eq!(
            path.outcome(with(request, wrong.0, wrong.1)).await,
            (400, Some(-32020)),
            "{shown}"
        );
    }
}

/// HTTP-20
#[tokio::test]
async fn headers_of_a_modern_request_stand_once_each_and_are_readable() {
    let path = path();
    let call = || path.modern("tools/call", json!({"name": "add"}), Some("add"));
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        let mut without = call();
        without.headers_mut().remove(name);
        assert_eq!(
            path.outcome(without).await,
            (400, Some(-32020)),
            "{name} is missing"
        );
        let mut twice = call();
        let value = twice.headers()[name].clone();
        twice.headers_mut().append(name, value);
        assert_eq!(
            path.outcome(twice).await,
            (400, Some(-32020)),
            "{name} twice"
        );
        let mut unreadable = call();
        let beyond_ascii = HeaderValue::from_bytes(b"\xFF").unwrap();
        unreadable.headers_mut().insert(name, beyond_ascii);
        assert_eq!(
            path.outcome(unreadable).await,
            (400, Some(-32020)),
            "{name}"
        );
    }
}

/// HTTP-21
#[tokio::test]
async fn a_name_beyond_ascii_comes_wrapped_in_base64() {
    let path = path();
    for (name, header, outcome) in [
        (
            "Hello, 世界",
            "=?base64?SGVsbG8sIOS4lueVjA==?=",
            (200, None),
        ),
        (" padded ", "=?base64?IHBhZGRlZCA=?=", (200, None)),
        (
            "=?base64?literal?=",
            "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=",
            (200, None),
        ),
        ("add", "=?base64?YWRk?=", (200, None)),
        ("=?BASE64?YWRk?=", "=?BASE64?YWRk?=", (200, None)),
        ("add", "=?BASE64?YWRk?=", (400, Some(-32020))),
        ("add", "=?base64?YWR?=", (400, Some(-32020))),
        ("add", "=?base64?/w==?=", (400, Some(-32020))),
        ("add", "=?base64?!?=", (400, Some(-32020))),
        ("=?base64?YWRk?=", "=?base64?YWRk?=", (400, Some(-32020))),
    ] {
        let request = path.modern("tools/call", json!({"name": name}), Some(header));
        assert_eq!(path.outcome(request).await, outcome, "{name} {header}");
    }
}

/// HTTP-24
#[tokio::test]
async fn a_modern_request_without_its_metadata_is_told_so_in_modern_words() {
    let path = path();
    let request = |meta: Value| {
        let body = rpc("tools/list", &json!({"_meta": meta}));
        with(path.post(Some(MODERN), &body), "mcp-method", "tools/list")
    };
    for meta in [
        json!({}),
        Value::Null,
        json!({CAPABILITIES: {}}),
        json!({VERSION: 7, CAPABILITIES: {}}),
        json!({VERSION: MODERN}),
        json!({VERSION: MODERN, CAPABILITIES: null}),
    ] {
        assert_eq!(
            path.outcome(request(meta.clone())).await,
            (400, Some(-32602)),
            "{meta}"
        );
    }
    let without_client_info = request(json!({VERSION: MODERN, CAPABILITIES: {}}));
    assert_eq!(path.outcome(without_client_info).await, (200, None));
}

/// HTTP-20
#[tokio::test]
async fn modern_metadata_without_its_header_are_not_taken_for_an_older_request() {
    let path = path();
    let request = path.post(None, &rpc("tools/list", &modern(MODERN, json!({}))));
    assert_eq!(path.outcome(request).await, (400, Some(-32020)));
    let older = path.post(
        Some("2025-11-25"),
        &rpc("tools/list", &modern(MODERN, json!({}))),
    );
    assert_eq!(path.outcome(older).await, (400, Some(-32020)));
}

/// HTTP-26
#[tokio::test]
async fn a_method_that_2026_07_28_lacks_is_not_found() {
    let path = path();
    for (method, params) in [
        ("initialize", json!({})),
        ("ping", json!({})),
        ("logging/setLevel", json!({"level": "info"})),
        ("resources/subscribe", json!({"uri": "file:///a"})),
        ("resources/unsubscribe", json!({"uri": "file:///a"})),
        ("resources/subscribe", json!({})),
        ("resources/unsubscribe", json!({})),
        ("acme/own", json!({})),
    ] {
        let request = path.modern(method, params, None);
        assert_eq!(path.outcome(request).await, (404, Some(-32601)), "{method}");
    }
    // Of an older revision they are looked at, whatever they say of themselves.
    for version in LEGACY {
        for params in [json!({}), modern(version, json!({}))] {
            let request = path.post(Some(version), &rpc("resources/subscribe", &params));
            assert_eq!(path.outcome(request).await, (400, Some(-32602)), "{params}");
        }
        let lying = path.post(
            Some(version),
            &rpc("resources/subscribe", &modern(MODERN, json!({}))),
        );
        assert_eq!(path.outcome(lying).await, (400, Some(-32020)), "{version}");
    }
}

/// HTTP-29
#[tokio::test]
async fn a_modern_client_sends_requests_and_notifications_alone() {
    let path = path();
    let response = path.post(Some(MODERN), r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
    assert_eq!(send(&path.router, response).await.status, 400);
    let notification = path.post(
        Some(MODERN),
        r#"{"jsonrpc":"2.0","method":"notifications/acme"}"#,
    );
    assert_eq!(send(&path.router, notification).await.status, 200);
}

/// RS-14, HTTP-35
#[tokio::test]
async fn a_mirrored_header_never_decides_and_never_lies_in_older_revisions_either() {
    let path = path();
    let body = rpc("tools/call", &json!({"name": "delete_all"}));
    for version in [None].into_iter().chain(LEGACY.map(Some)) {
        let bare = path.post(version, &body);
        assert_eq!(path.outcome(bare).await, (403, Some(403)), "{version:?}");
        let lying = with(path.post(version, &body), "mcp-method", "tools/list");
        assert_eq!(
            path.outcome(lying).await,
            (400, Some(-32020)),
            "{version:?}"
        );
        let lying = with(path.post(version, &body), "mcp-name", "add");
        assert_eq!(
            path.outcome(lying).await,
            (400, Some(-32020)),
            "{version:?}"
        );
    }
    let modern = path.modern(
        "tools/call",
        json!({"name": "delete_all"}),
        Some("delete_all"),
    );
    assert_eq!(path.outcome(modern).await, (403, Some(403)));
}

/// HTTP-22
#[tokio::test]
async fn headers_for_arguments_are_passed_on_untouched() {
    let path = path();
    let request = path.modern(
        "tools/call",
        json!({"name": "add", "arguments": {"region": "x"}}),
        Some("add"),
    );
    let answer = send(
        &path.router,
        with(request, "mcp-param-region", "=?base64?eA==?="),
    )
    .await;
    assert_eq!(
        answer.body["headers"]["mcp-param-region"],
        "=?base64?eA==?="
    );
}

/// HTTP-32
#[test]
fn the_gate_answers_with_no_code_of_its_own_among_those_of_json_rpc_and_mcp() {
    const DEFINED: [&str; 7] = [
        "-32700", "-32600", "-32601", "-32602", "-32020", "-32021", "-32022",
    ];
    let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/resource");
    let mut seen = 0;
    let files = [room.clone(), room.join("listing")];
    let files = files
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|file| file.unwrap().path());
    for file in files.filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(file).unwrap();
        for (at, _) in text.match_indices("-32") {
            let code: String = text[at + 1..]
                .chars()
                .take_while(|digit| digit.is_ascii_digit() || *digit == '_')
                .filter(|digit| *digit != '_')
                .collect();
            if code.len() == 5 {
                seen += 1;
                assert!(DEFINED.contains(&&*format!("-{code}")), "-{code}");
            }
        }
    }
    assert!(seen > 0);
}
