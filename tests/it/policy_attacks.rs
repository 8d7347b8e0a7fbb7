//! Attacks on what the gate reads: bodies that parsers read differently, that exhaust them, that lie. None reaches the
//! server, and each is told what is wrong.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};
use tower::service_fn;

use crate::harness::gate::{World, echo, post, rpc, send, with};
use crate::harness::revision::{MODERN, meta};

/// A path before a server that counts what reaches it, and a token for everything but `delete_…`.
struct Target {
    router: Router,
    token: String,
    reached: Arc<AtomicUsize>,
}

fn target() -> Target {
    let mut world = World::new();
    let token = world.token("github:1", "c", "tools:list tools:call resources prompts");
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    let router = world.before(service_fn(move |request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        echo(request)
    }));
    Target {
        router,
        token,
        reached,
    }
}

impl Target {
    /// Status, code and id of the answer to these bytes.
    async fn send(&self, body: impl Into<Vec<u8>>) -> (u16, Option<i64>, Value) {
        let body: Vec<u8> = body.into();
        let mut request = post(&self.token, "");
        request
            .headers_mut()
            .insert("content-length", body.len().into());
        *request.body_mut() = Body::from(body);
        let answer = send(&self.router, request).await;
        (
            answer.status.as_u16(),
            answer.code(),
            answer.body["id"].clone(),
        )
    }

    fn reached(&self) -> usize {
        self.reached.swap(0, Ordering::SeqCst)
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned()
}

/// RS-15
#[tokio::test]
async fn a_member_that_stands_twice_is_refused_at_every_level_that_is_judged() {
    let target = target();
    let head = r#""jsonrpc":"2.0","id":7"#;
    for body in [
        format!(
            r#"{{{head},"me\u0074hod":"tools/list","\u006dethod":"tools/call","params":{{"name":"delete_all"}}}}"#
        ),
        format!(r#"{{{head},"method":"tools/list","method":"tools/list"}}"#),
        format!(
            r#"{{{head},"method":"tools/call","params":{{"name":"add"}},"p\u0061rams":{{"name":"delete_all"}}}}"#
        ),
        format!(r#"{{{head},"method":"tools/call","params":{{"name":"add"}},"params":null}}"#),
        format!(
            r#"{{{head},"method":"tools/call","params":{{"n\u0061me":"add","\u006eame":"delete_all"}}}}"#
        ),
        format!(
            r#"{{{head},"method":"tools/call","params":{{"name":"add","_meta":{{}},"_m\u0065ta":{{}}}}}}"#
        ),
        format!(
            r#"{{{head},"method":"tools/call","params":{{"name":"add","_meta":{{"a":1,"\u0061":2}}}}}}"#
        ),
        format!(
            r#"{{{head},"method":"tools/call","params":{{"name":"add","arguments":{{}},"arguments":{{}}}}}}"#
        ),
        format!(
            r#"{{{head},"method":"tools/call","PARAMS":{{"name":"delete_all"}},"params":{{"name":"add"}}}}"#
        ),
        format!(
            r#"{{{head},"method":"completion/complete","params":{{"ref":{{"name":"a"}},"ref":{{"name":"b"}}}}}}"#
        ),
        format!(
            r#"{{{head},"method":"completion/complete","params":{{"ref":{{"name":"a","n\u0061me":"b"}}}}}}"#
        ),
        format!(
            r#"{{{head},"method":"subscriptions/listen","params":{{"notifications":{{"resourceSubscriptions":[],"resourceSubscriptions":["config://vault"]}}}}}}"#
        ),
        format!(r#"{{{head},"\u0069d":8,"method":"tools/list"}}"#),
        format!(r#"{{{head},"jsonrpc":"1.0","method":"tools/list"}}"#),
        format!(
            r#"[{{{head},"method":"tools/list"}},{{{head},"method":"tools/list","method":"tools/call"}}]"#
        ),
    ] {
        let (status, code, _) = target.send(body.clone()).await;
        assert_eq!((status, code), (400, Some(-32600)), "{body}");
    }
    assert_eq!(target.reached(), 0);
}

/// RS-15, HTTP-17
#[tokio::test]
async fn what_is_not_json_in_utf8_is_refused() {
    let target = target();
    let list = rpc("tools/list", &json!({}));
    let utf16: Vec<u8> = list.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for body in [
        b"\xEF\xBB\xBF{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\"}".to_vec(),
        utf16,
        format!("{list}{list}").into_bytes(),
        format!("{list}\n{list}").into_bytes(),
        format!("{list}\0").into_bytes(),
        format!("{list} // x").into_bytes(),
        format!("data: {list}\n\n").into_bytes(),
        list.replace('"', "'").into_bytes(),
        list.replace('7', "07").into_bytes(),
        list.replace('7', "NaN").into_bytes(),
        list.replace("tools/list", "tools/list\\ud800").into_bytes(),
        list.replace("tools/list", "tools/list\u{1}").into_bytes(),
        list.replace("{}", "{\"name\":\"\\ud800\\u0041\"}")
            .into_bytes(),
        list.replace("{}", "{\"x\":1e999}").into_bytes(),
        b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\",\"x\":\"\xC0\xAF\"}".to_vec(),
        b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\",\"x\":\"\xED\xA0\x80\"}".to_vec(),
        b"\0".to_vec(),
        Vec::new(),
    ] {
        let shown = shown(&body);
        let (status, code, id) = target.send(body).await;
        assert_eq!(
            (status, code, id),
            (400, Some(-32700), Value::Null),
            "{shown}"
        );
    }
    assert_eq!(target.reached(), 0);
}

/// HTTP-17
#[tokio::test]
async fn what_would_exhaust_a_parser_is_refused() {
    let target = target();
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let (arrays, objects) = (deep("[", "]"), deep("{\"a\":", "}"));
    for nested in [&arrays, &objects] {
        for body in [
            nested.clone(),
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{nested}}}"#),
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{"_meta":{nested}}}}}"#
            ),
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"add","arguments":{nested}}}}}"#
            ),
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":{nested}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":{nested},"method":"tools/list"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":7,"result":{nested}}}"#),
            format!("[{nested}]"),
        ] {
            let (status, code, _) = target.send(body.clone()).await;
            assert_eq!(status, 400, "{}", shown(body.as_bytes()));
            assert!(
                matches!(code, Some(-32700 | -32600)),
                "{}",
                shown(body.as_bytes())
            );
        }
    }
    let ping = rpc("ping", &json!({}));
    let batch = format!("[{}]", vec![&*ping; 50_000].join(","));
    assert_eq!(
        target.send(batch).await.1,
        Some(-32600),
        "a batch of 50,000"
    );
    let empty = format!("[{}]", vec!["{}"; 100_000].join(","));
    assert_eq!(
        target.send(empty).await.1,
        Some(-32600),
        "a batch of 100,000"
    );
    let members: Vec<_> = (0..100_000).map(|at| format!("\"{at}\":1")).collect();
    let wide = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list",{}}}"#,
        members.join(",")
    );
    assert_eq!(target.send(wide).await.1, Some(-32600), "100,000 members");
    let huge = rpc(
        "tools/call",
        &json!({"name": "add", "arguments": {"x": "x".repeat(5 << 20)}}),
    );
    assert_eq!(target.send(huge).await.0, 413);
    assert_eq!(target.reached(), 0);
    let name = "n".repeat(1 << 20);
    let long = rpc("tools/call", &json!({ "name": name }));
    assert_eq!(target.send(long).await.0, 200, "long, but no danger");
}

/// HTTP-17
#[tokio::test]
async fn an_id_is_a_text_or_a_number_and_comes_back_as_it_was() {
    let target = target();
    for id in [
        "null",
        "true",
        "{}",
        "[7]",
        &format!("\"{}\"", "x".repeat(300)),
        &"9".repeat(300),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
        assert_eq!(
            target.send(body).await,
            (400, Some(-32600), Value::Null),
            "{id}"
        );
    }
    assert_eq!(target.reached(), 0);
    for id in [
        "0",
        "-1",
        "1.50",
        "1e2",
        "123456789012345678901234567890",
        "1e999",
        "\"\"",
        r#""\ud800""#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"acme/own"}}"#);
        let answer = send(&target.router, post(&target.token, &body));
        assert_eq!(answer.await.code().unwrap_or(-32601), -32601, "{id}");
    }
    for method in ["7", "null", "[\"tools/list\"]", "{\"a\":1}", "true"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":{method}}}"#);
        assert_eq!(
            target.send(body).await,
            (400, Some(-32600), json!(7)),
            "{method}"
        );
    }
    assert_eq!(target.reached(), 0);
}

/// RS-14
#[tokio::test]
async fn a_method_is_known_in_one_spelling_alone() {
    let target = target();
    for method in [
        "tools/call ",
        " tools/call",
        "tools/call\0",
        "tools/call\n",
        "Tools/call",
        "tools//call",
        "/tools/call",
        "tools/./call",
        "tools%2fcall",
        "tools\\call",
        "tools/ca\u{2028}ll",
        "tool\u{17f}/call",
        "tools/call\u{200b}",
        "\u{FEFF}tools/call",
        "tools.call",
    ] {
        let body = rpc(method, &json!({"name": "delete_all"}));
        assert_eq!(
            target.send(body).await,
            (200, Some(-32601), json!(7)),
            "{method:?}"
        );
    }
    assert_eq!(target.reached(), 0);
    let escaped = r#"{"jsonrpc":"2.0","id":7,"me\u0074hod":"tools\/c\u0061ll","params":{"n\u0061me":"delete\u005fall"}}"#;
    assert_eq!(
        target.send(escaped).await,
        (403, Some(403), json!(7)),
        "escapes are read"
    );
}

/// A right call of `add` in 2026-07-28.
fn modern(token: &str) -> Request {
    let body = rpc("tools/call", &json!({"name": "add", "_meta": meta(MODERN)}));
    let request = with(post(token, &body), "mcp-protocol-version", MODERN);
    with(with(request, "mcp-method", "tools/call"), "mcp-name", "add")
}

/// HTTP-20, RS-14
#[tokio::test]
async fn a_mirrored_header_disagrees_in_no_form() {
    let target = target();
    assert_eq!(
        send(&target.router, modern(&target.token)).await.status,
        200
    );
    assert_eq!(target.reached(), 1);
    for (name, value) in [
        ("mcp-method", "tools/call, tools/list"),
        ("mcp-method", "tools/CALL"),
        ("mcp-method", "tools%2Fcall"),
        ("mcp-method", "\"tools/call\""),
        ("mcp-method", "=?base64?dG9vbHMvY2FsbA==?="),
        ("mcp-method", ""),
        ("mcp-name", "add, delete_all"),
        ("mcp-name", "delete_all"),
        ("mcp-name", "ADD"),
        ("mcp-name", "\"add\""),
        ("mcp-name", "%61dd"),
        ("mcp-name", "=?base64?ZGVsZXRlX2FsbA==?="),
        ("mcp-name", "=?base64?YWRk"),
        ("mcp-name", "=?utf-8?q?add?="),
        ("mcp-name", "add\tb"),
        ("mcp-protocol-version", "2026-07-28, 2025-11-25"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-protocol-version", "\"2026-07-28\""),
        ("mcp-protocol-version", ""),
    ] {
        let lying = send(&target.router, with(modern(&target.token), name, value)).await;
        let outcome = (lying.status.as_u16(), lying.code(), &lying.body["id"]);
        assert_eq!(outcome, (400, Some(-32020), &json!(7)), "{name}: {value}");
        let mut both = modern(&target.token);
        both.headers_mut().append(name, value.parse().unwrap());
        assert_eq!(
            send(&target.router, both).await.code(),
            Some(-32020),
            "{name}: {value} too"
        );
    }
    assert_eq!(target.reached(), 0);
}

/// HTTP-35
#[tokio::test]
async fn a_name_in_a_header_is_the_one_in_the_body_whatever_the_method() {
    let target = target();
    for (method, params, name, passes) in [
        (
            "resources/subscribe",
            json!({"uri": "file:///a"}),
            "file:///a",
            true,
        ),
        (
            "resources/subscribe",
            json!({"uri": "file:///a"}),
            "config://vault",
            false,
        ),
        ("tools/list", json!({}), "delete_all", false),
        ("ping", json!({}), "delete_all", false),
        ("tasks/get", json!({"taskId": "1"}), "2", false),
        ("tasks/get", json!({"taskId": "1"}), "1", true),
        (
            "completion/complete",
            json!({"ref": {"name": "a"}}),
            "b",
            false,
        ),
    ] {
        let request = with(post(&target.token, &rpc(method, &params)), "mcp-name", name);
        let answer = send(&target.router, request).await;
        let expected = if passes {
            (200, None)
        } else {
            (400, Some(-32020))
        };
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            expected,
            "{method} {name}"
        );
    }
}

/// HTTP-17
#[tokio::test]
async fn a_body_that_breaks_off_or_lies_about_its_length_is_refused() {
    let target = target();
    let list = rpc("tools/list", &json!({}));
    let pieces = |whole: &str, breaks: bool| {
        let (first, rest) = whole.split_at(10);
        let second = if breaks {
            Err(std::io::Error::other("gone"))
        } else {
            Ok(rest.to_owned())
        };
        Body::from_stream(futures_util::stream::iter([Ok(first.to_owned()), second]))
    };
    for (body, length, status) in [
        (pieces(&list, false), None, 200),
        (pieces(&list, true), None, 400),
        (Body::from(list.clone()), Some("99999999"), 413),
        (
            pieces(&rpc("ping", &json!({"x": "x".repeat(5 << 20)})), false),
            None,
            413,
        ),
        (
            pieces(&rpc("ping", &json!({"x": "x".repeat(5 << 20)})), false),
            Some("100"),
            413,
        ),
        (Body::from(list[..20].to_owned()), Some("20"), 400),
    ] {
        let mut request = post(&target.token, "");
        request.headers_mut().remove("content-length");
        if let Some(length) = length {
            request = with(request, "content-length", length);
        }
        *request.body_mut() = body;
        assert_eq!(
            send(&target.router, request).await.status.as_u16(),
            status,
            "{length:?}"
        );
    }
    assert_eq!(target.reached(), 1);
}

#[tokio::test]
async fn everything_that_is_refused_is_refused_for_everybody_alike() {
    let mut world = World::new();
    let full = world.token(
        "github:1",
        "c",
        "tools:list tools:call admin resources vault prompts",
    );
    let router = world.before(service_fn(|_: Request| async {
        Ok::<_, Infallible>("reached")
    }));
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","me\u0074hod":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"add"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":["add"]}"#,
    ] {
        assert_eq!(send(&router, post(&full, body)).await.status, 400, "{body}");
    }
}
