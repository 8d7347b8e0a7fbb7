//! Lists hold only what the token may call; the rest of an answer stays as the server wrote it, and one that cannot be
//! read is held back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};

use crate::harness::gate::{World, bodiless, post, rpc, with};
use crate::harness::log::Log;
use crate::harness::revision::{MODERN, meta};

/// Some tools, resources and prompts are for few.
pub(crate) const POLICY: [(&str, &[&str]); 7] = [
    (
        "list",
        &[
            "tools/list",
            "resources/list",
            "resources/templates/list",
            "prompts/list",
            "completion/complete",
        ],
    ),
    ("call", &["tools/call"]),
    ("admin", &["tools/call:delete_*"]),
    ("read", &["resources/read", "resources/subscribe"]),
    ("vault", &["resources/read:vault://*"]),
    ("prompts", &["prompts/get"]),
    ("secret", &["prompts/get:secret_*"]),
];

pub(crate) const EVERYTHING: &str = "list call admin read vault prompts secret";

const TOOLS: &str =
    r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"add"},{"name":"delete_all"}]}}"#;

/// What a server answers, whatever it is asked.
#[derive(Clone)]
pub(crate) struct Says {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) pieces: Vec<Vec<u8>>,
}

impl Says {
    pub(crate) fn json(text: impl AsRef<[u8]>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/json")],
            pieces: vec![text.as_ref().to_vec()],
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn response(&self) -> Response {
        let pieces = self.pieces.clone().into_iter().map(Ok::<_, Infallible>);
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, *value);
        }
        response.body(body).unwrap()
    }
}

/// What the client got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Got {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

pub(crate) async fn fetch(router: &Router, request: Request) -> Got {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Got {
        status: parts.status,
        headers: parts.headers,
        bytes: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

/// What a token with these scopes gets when the server says this.
pub(crate) async fn ask(scopes: &str, says: &Says, make: impl Fn(&str) -> Request) -> Got {
    let mut world = World::new().with_policy(&POLICY);
    let token = world.token("github:1", "c", scopes);
    let says = says.clone();
    let router = world.before(service_fn(move |_: Request| {
        let response = says.response();
        async { Ok::<_, Infallible>(response) }
    }));
    fetch(&router, make(&token)).await
}

async fn list(scopes: &str, method: &str, says: &Says) -> Got {
    ask(scopes, says, |token| post(token, &rpc(method, &json!({})))).await
}

fn names(got: &Got, member: &str, key: &str) -> Vec<String> {
    let result = got.json();
    let entries = result["result"][member].as_array().unwrap().iter();
    entries
        .map(|entry| entry[key].as_str().unwrap().to_owned())
        .collect()
}

/// RS-14
#[tokio::test]
async fn a_list_holds_what_the_token_may_call() {
    let tools = json!({"tools": [{"name": "add"}, {"name": "delete_all"}, {"name": "Delete_all"}]});
    let resources = json!({"resources": [
        {"uri": "file:///a", "name": "delete_all"}, {"uri": "vault://key"}, {"uri": "VAULT://key"},
        {"uri": "file:///%61"},
    ]});
    let prompts = json!({"prompts": [{"name": "review"}, {"name": "secret_plan"}]});
    let all_tools = &["add", "delete_all", "Delete_all"][..];
    // what everybody reads otherwise is no danger where all is open
    let all_uris = &["file:///a", "vault://key", "VAULT://key", "file:///%61"][..];
    for (list_of, key, result, scopes, left) in [
        (
            "tools",
            "name",
            &tools,
            "list call",
            &["add", "Delete_all"][..],
        ),
        ("tools", "name", &tools, "list admin", &["delete_all"]),
        ("tools", "name", &tools, "list read", &[]),
        ("tools", "name", &tools, "list call admin", all_tools),
        ("resources", "uri", &resources, "list read", &["file:///a"]),
        (
            "resources",
            "uri",
            &resources,
            "list vault",
            &["vault://key"],
        ),
        ("resources", "uri", &resources, "list read vault", all_uris),
        ("prompts", "name", &prompts, "list prompts", &["review"]),
        ("prompts", "name", &prompts, "list secret", &["secret_plan"]),
    ] {
        let method = &*format!("{list_of}/list");
        let says = Says::json(json!({"jsonrpc": "2.0", "id": 7, "result": result}).to_string());
        let older = list(scopes, method, &says).await;
        assert_eq!(older.status, 200);
        assert_eq!(names(&older, list_of, key), left, "{method} {scopes}");
        let modern = ask(scopes, &says, |token| modern(token, method)).await;
        assert_eq!(modern.bytes, older.bytes, "{method} {scopes}");
    }
}

pub(crate) fn modern(token: &str, method: &str) -> Request {
    let mut request = post(token, &rpc(method, &json!({ "_meta": meta(MODERN) })));
    for (name, value) in [("mcp-protocol-version", MODERN), ("mcp-method", method)] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// RS-14
#[tokio::test]
async fn a_template_is_hidden_only_if_none_of_its_uris_can_be_open() {
    let all = [
        "file:///{path}",
        "vault://{key}",
        "vault://a/{key}/b",
        "{+uri}",
        "va{rest}",
        "vaults://{x}",
        "VAULT://{key}",
        "file:///{never closed",
    ];
    let entries: Vec<_> = all
        .iter()
        .map(|uri| json!({"uriTemplate": uri, "name": "n"}))
        .collect();
    let result = json!({"resourceTemplates": entries});
    let says = Says::json(json!({"jsonrpc": "2.0", "id": 7, "result": result}).to_string());
    for (scopes, left) in [
        (
            "list read",
            &[
                "file:///{path}",
                "{+uri}",
                "va{rest}",
                "vaults://{x}",
                "file:///{never closed",
            ][..],
        ),
        (
            "list vault",
            &["vault://{key}", "vault://a/{key}/b", "{+uri}", "va{rest}"],
        ),
        ("list call", &[]),
        ("list read vault", &all),
    ] {
        let got = list(scopes, "resources/templates/list", &says).await;
        assert_eq!(
            names(&got, "resourceTemplates", "uriTemplate"),
            left,
            "{scopes}"
        );
    }
}

/// RS-14
#[tokio::test]
async fn what_is_left_of_a_list_stands_as_the_server_wrote_it() {
    let says = Says::json(concat!(
        " { \"jsonrpc\" : \"2.0\",\"id\":7.0e0, \"result\":{\"nextCursor\":\"\\u0061\", \"_meta\":{\"big\":123456789012345678901234567890,\n",
        "\"huge\":1e999,\"lone\":\"\\ud800\"},\"tools\" :[ {\"name\":\"\\u0061dd\",\"x\":1e999,\"deep\":{\"name\":\"a\",\"name\":\"b\"}} ,\t",
        "{\"name\":\"delete_all\"}, {\"name\":\"b\", \"y\" : [ ]}],\"ttlMs\":5,\"cacheScope\":\"public\",\"acme\":null},\"more\":[1 ,2]}\n",
    ));
    let got = list("list call", "tools/list", &says).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(
        got.text(),
        concat!(
            " { \"jsonrpc\" : \"2.0\",\"id\":7.0e0, \"result\":{\"nextCursor\":\"\\u0061\", \"_meta\":{\"big\":123456789012345678901234567890,\n",
            "\"huge\":1e999,\"lone\":\"\\ud800\"},\"tools\" :[{\"name\":\"\\u0061dd\",\"x\":1e999,\"deep\":{\"name\":\"a\",\"name\":\"b\"}},",
            "{\"name\":\"b\", \"y\" : [ ]}],\"ttlMs\":5,\"cacheScope\":\"private\",\"acme\":null},\"more\":[1 ,2]}\n",
        )
    );
}

/// RS-14
#[tokio::test]
async fn a_list_made_for_one_token_is_not_for_shared_caches() {
    let answer = |tool: &str, scope: &str| {
        let result = json!({"cacheScope": scope, "tools": [{"name": tool}], "ttlMs": 60_000});
        Says::json(json!({"jsonrpc": "2.0", "id": 7, "result": result}).to_string())
    };
    for (tool, said, got) in [
        ("delete_all", "public", "private"),
        ("delete_all", "private", "private"),
        // another token gets another list
        ("add", "public", "private"),
    ] {
        let answer = list("list call", "tools/list", &answer(tool, said)).await;
        assert_eq!(answer.json()["result"]["cacheScope"], got, "{tool} {said}");
        assert_eq!(answer.json()["result"]["ttlMs"], 60_000);
    }
}

/// RS-14, HTTP-28
#[tokio::test]
async fn who_sees_all_of_a_list_shares_it_with_no_cache_either() {
    let text = r#"{"jsonrpc":"2.0","id":7,"result":{"cacheScope":"public","tools":[{"name":"delete_all","name":"x"},5]}}"#;
    let says = Says::json(text).header("cache-control", "public");
    let newer = |token: &str| modern(token, "tools/list");
    let got = ask(EVERYTHING, &says, newer).await;
    assert_eq!(got.headers["cache-control"], "no-store");
    assert_eq!(got.text(), text.replace("public", "private"));
    let events = Says::json(format!("data: {text}\n\n"));
    let events = Says {
        headers: vec![("content-type", "text/event-stream")],
        ..events
    };
    let got = ask(EVERYTHING, &events, newer).await;
    assert_eq!(
        got.text(),
        format!("data: {text}\n\n").replace("public", "private")
    );
    // it may have what cannot be read, too
    for unreadable in [
        Says::json("<html>"),
        Says::json([0x1F, 0x8B]).header("content-encoding", "gzip"),
    ] {
        let got = ask(EVERYTHING, &unreadable, newer).await;
        assert_eq!(
            (got.status, got.bytes),
            (StatusCode::OK, unreadable.pieces.concat())
        );
        assert_eq!(got.headers["cache-control"], "no-store");
    }
    // before 2026-07-28 the head alone tells
    let got = list(EVERYTHING, "tools/list", &says).await;
    assert_eq!(
        (got.text(), &got.headers["cache-control"]),
        (text, &"no-store".parse().unwrap())
    );
}

/// HTTP-28
#[tokio::test]
async fn a_list_that_is_the_same_for_every_token_stays_public() {
    let text =
        r#"{"jsonrpc":"2.0","id":7,"result":{"cacheScope":"public","tools":[{"name":"a"}]}}"#;
    let says = Says::json(text).header("cache-control", "public");
    let mut world = World::new().with_policy(&[("all", &["tools/list", "tools/call"])]);
    let token = world.token("github:1", "c", "all");
    let router = world.before(service_fn(move |_: Request| {
        let response = says.response();
        async { Ok::<_, Infallible>(response) }
    }));
    let got = fetch(&router, modern(&token, "tools/list")).await;
    assert_eq!(
        (got.text(), &got.headers["cache-control"]),
        (text, &"public".parse().unwrap())
    );
}

/// RS-14
#[tokio::test]
async fn the_answer_to_the_end_of_a_session_is_no_list() {
    let says = Says::json("gone").header("content-encoding", "identity, x");
    let got = ask("list call", &says, |token| bodiless(Method::DELETE, token)).await;
    assert_eq!((got.status, got.text()), (StatusCode::OK, "gone"));
}

#[tokio::test]
async fn a_request_asks_for_no_part_of_what_will_be_read() {
    let mut world = World::new().with_policy(&POLICY);
    let (some, all) = (
        world.token("a", "c", "list call"),
        world.token("a", "c", EVERYTHING),
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let router = world.before(service_fn(move |request: Request| {
        let names = ["range", "if-range", "last-event-id"];
        let names = names.map(|name| request.headers().contains_key(name));
        told.lock().unwrap().push(names);
        async { Ok::<_, Infallible>(Says::json(TOOLS).response()) }
    }));
    let asks = |request| {
        let request = with(with(request, "range", "bytes=9-"), "if-range", "x");
        with(request, "last-event-id", "3")
    };
    for request in [
        post(&some, &rpc("tools/list", &json!({}))),
        post(&all, &rpc("ping", &json!({}))),
        modern(&all, "tools/list"),
        bodiless(Method::GET, &some),
    ] {
        fetch(&router, asks(request)).await;
    }
    assert_eq!(
        *seen.lock().unwrap(),
        [
            [false, false, false],
            [true, true, false],
            [false, false, false],
            [false, false, true],
        ]
    );
}

#[tokio::test]
async fn what_headers_say_of_a_list_is_true_of_what_is_left() {
    const OF_THE_BYTES: [(&str, &str); 5] = [
        ("etag", "\"v1\""),
        ("digest", "sha-256=x"),
        ("content-digest", "sha-256=:x:"),
        ("repr-digest", "sha-256=:x:"),
        ("accept-ranges", "bytes"),
    ];
    let open = TOOLS.replace("delete_all", "subtract");
    for (text, is_changed) in [(TOOLS, true), (&*open, false)] {
        let length = text.len().to_string().leak();
        let mut says = Says::json(text).header("content-length", length);
        says = says.header("cache-control", "public, max-age=60");
        says.headers.extend(OF_THE_BYTES);
        let got = list("list call", "tools/list", &says).await;
        assert_eq!(got.headers["content-length"], got.bytes.len().to_string());
        for (name, _) in OF_THE_BYTES {
            assert_eq!(got.headers.contains_key(name), !is_changed, "{name}");
        }
        assert_eq!(got.headers["cache-control"], "no-store");
        assert_eq!(got.bytes == text.as_bytes(), !is_changed);
    }
}

/// RS-14
#[tokio::test]
async fn a_list_of_which_nothing_is_hidden_passes_byte_for_byte() {
    for text in [
        " {\"result\": {\"tools\":[ {\"name\":\"add\"} ,{\"name\":\"\\u0062\"}]}, \"id\":7}\r\n",
        r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[ ]}}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":{"tools":null}}"#,
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"","data":{"tools":[{"name":"delete_all"}]}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"tools":[{"name":"delete_all"}]}}"#,
        "[]",
        "",
        "  \n",
        "null",
    ] {
        let got = list("list call", "tools/list", &Says::json(text)).await;
        assert_eq!((got.status, got.text()), (StatusCode::OK, text));
    }
}

/// RS-14
#[tokio::test]
async fn every_list_in_a_batch_is_filtered() {
    let entries = r#"[{"name":"add"},{"name":"delete_all"}]"#;
    let answer = format!(
        r#"[{{"id":1,"result":{{}}}}, {{"id":2,"result":{{"tools":{entries}}}}},{{"result":{{"prompts":[{{"name":"secret_x"}}],"tools":{entries}}},"id":3}}]"#
    );
    let batch = format!(
        "[{},{}]",
        rpc("ping", &json!({})),
        rpc("tools/list", &json!({}))
    );
    let got = ask("list call", &Says::json(answer), |token| {
        post(token, &batch)
    })
    .await;
    let left = r#"[{"name":"add"}]"#;
    assert_eq!(
        got.text(),
        format!(
            r#"[{{"id":1,"result":{{}}}}, {{"id":2,"result":{{"tools":{left}}}}},{{"result":{{"prompts":[],"tools":{left}}},"id":3}}]"#
        )
    );
}

/// RS-14
#[tokio::test]
async fn where_nothing_can_be_hidden_nothing_is_read() {
    let says = Says::json([0x1F, 0x8B, 0x08]).header("content-encoding", "gzip");
    for (scopes, method, params) in [
        (EVERYTHING, "tools/list", json!({})),
        ("list call admin", "tools/list", json!({})),
        ("list call", "tools/call", json!({"name": "add"})),
        ("list call", "ping", json!({})),
    ] {
        let body = rpc(method, &params);
        let got = ask(scopes, &says, |token| post(token, &body)).await;
        assert_eq!(
            (got.status, got.bytes),
            (StatusCode::OK, says.pieces.concat()),
            "{scopes} {method}"
        );
        assert_eq!(got.headers["content-encoding"], "gzip");
    }
    let answer = Says::json(TOOLS);
    let body = rpc("tools/call", &json!({"name": "add"}));
    let got = ask("list call", &answer, |token| post(token, &body)).await;
    assert_eq!(got.text(), TOOLS);
}

/// RS-14
#[tokio::test]
async fn a_server_is_not_asked_to_encode_what_will_be_read() {
    let mut world = World::new().with_policy(&POLICY);
    let (some, all) = (
        world.token("a", "c", "list call"),
        world.token("a", "c", EVERYTHING),
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let router = world.before(service_fn(move |request: Request| {
        let accepted = request.headers().contains_key("accept-encoding");
        told.lock().unwrap().push(accepted);
        async { Ok::<_, Infallible>(Says::json(TOOLS).response()) }
    }));
    for (token, method, params) in [
        (&some, "tools/list", json!({})),
        (&all, "tools/list", json!({})),
        (&some, "tools/call", json!({"name": "add"})),
    ] {
        let request = with(
            post(token, &rpc(method, &params)),
            "accept-encoding",
            "gzip",
        );
        assert_eq!(fetch(&router, request).await.status, 200);
    }
    assert_eq!(*seen.lock().unwrap(), [false, true, true]);
}

/// RS-15
#[tokio::test]
async fn a_list_that_cannot_be_read_is_held_back() {
    let too_long = format!(r#"{{"result":{{"x":"{}"}}}}"#, "x".repeat(16 << 20));
    let deep = format!(
        r#"{{"result":{{"tools":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let mut wrong: Vec<Says> = [
        r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[]},"result":{"tools":[{"name":"delete_all"}]}}"#,
        r#"{"id":7,"result":{"tools":[]},"r\u0065sult":{"tools":[{"name":"delete_all"}]}}"#,
        r#"{"id":7,"Result":{"tools":[{"name":"delete_all"}]}}"#,
        r#"{"id":7,"reſult":{"tools":[{"name":"delete_all"}]}}"#,
        r#"{"id":7,"id":8,"result":{"tools":[]}}"#,
        r#"{"id":7,"result":{"tools":[],"tools":[{"name":"delete_all"}]}}"#,
        r#"{"id":7,"result":{"tools":[],"t\u006fols":[{"name":"delete_all"}]}}"#,
        r#"{"id":7,"result":{"tools":[],"Tools":[{"name":"delete_all"}]}}"#,
        r#"{"id":7,"result":{"toolS":[{"name":"delete_all"}]}}"#,
        r#"{"id":7,"result":{"tools":[{"name":"delete_all"}]}"#,
        r#"{"id":7,"result":{"tools":[{"name":"delete_all"}]}}{}"#,
        r#"{"id":7,"result":{"tools":[{"name":"delete_all"},]}}"#,
        r#"[{"id":7,"result":{}},[{"result":{"tools":[{"name":"delete_all"}]}}]]"#,
        r#"{"\ud800":1,"result":{"tools":[{"name":"delete_all"}]}}"#,
        "{\"result\":{\"tools\":[{\"name\":\"delete_all\"}]}}\0",
        "\u{FEFF}{\"result\":{\"tools\":[{\"name\":\"delete_all\"}]}}",
        "<html>delete_all</html>",
        "data: {}\n\n",
        &too_long,
    ]
    .map(Says::json)
    .into();
    wrong.push(Says::json(
        b"{\"result\":{\"tools\":[{\"name\":\"delete_all\xFF\"}]}}",
    ));
    wrong.push(Says::json(TOOLS).header("content-encoding", "gzip"));
    wrong.push(Says::json(TOOLS).header("content-type", "text/event-stream"));
    let mut untyped = Says::json("delete_all");
    untyped.headers.clear();
    wrong.push(untyped);
    for says in wrong {
        let shown =
            String::from_utf8_lossy(&says.pieces[0][..says.pieces[0].len().min(90)]).into_owned();
        let got = list("list call", "tools/list", &says).await;
        assert_eq!(got.status, 502, "{shown}");
        assert_eq!(got.headers["content-type"], "application/json");
        assert_eq!(
            (&got.json()["id"], &got.json()["error"]["code"]),
            (&json!(7), &json!(502))
        );
        assert!(!got.text().contains("delete_all"), "{shown}");
    }
    let got = list("list call", "tools/list", &Says::json(deep)).await;
    assert_eq!(
        got.text(),
        r#"{"result":{"tools":[]}}"#,
        "no entry in it has a name"
    );
}

/// RS-15
#[tokio::test]
async fn an_entry_that_could_be_taken_for_another_is_hidden() {
    for entry in [
        r#"{"name":"add","name":"delete_all"}"#,
        r#"{"name":"add","n\u0061me":"delete_all"}"#,
        r#"{"name":"add","Name":"delete_all"}"#,
        r#"{"n\u0061me":"delete_all"}"#,
        r#"{"name":"delete\u005fall"}"#,
        r#"{"name":["delete_all"]}"#,
        r#"{"title":"delete_all"}"#,
        r#""delete_all""#,
        r#"{"name":" delete_all"}"#,
        r#"{"name":"delete_all\u0000"}"#,
        r#"{"name":"\ud800delete_all"}"#,
        r#"[{"name":"delete_all"}]"#,
        "null",
    ] {
        let text = format!(r#"{{"id":7,"result":{{"tools":[{{"name":"add"}},{entry}]}}}}"#);
        let got = list("list call", "tools/list", &Says::json(text)).await;
        assert_eq!(
            got.text(),
            r#"{"id":7,"result":{"tools":[{"name":"add"}]}}"#,
            "{entry}"
        );
    }
}

#[tokio::test]
async fn what_the_server_says_of_a_failure_passes() {
    let error = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no such cursor"}}"#;
    for (status, kind, text) in [
        (400, "application/json", error),
        (500, "text/html", "<h1>no</h1>"),
        (404, "text/plain", "{"),
        (503, "application/json", ""),
    ] {
        let mut says = Says::json(text);
        (says.status, says.headers) = (status, vec![("content-type", kind)]);
        let got = list("list call", "tools/list", &says).await;
        assert_eq!((got.status.as_u16(), got.text()), (status, text));
    }
    // words that nobody can read as JSON keep their status: a client begins a new session where it is 404
    for (status, says) in [
        (404, Says::json("no such session")),
        (405, Says::json("{").header("allow", "POST")),
        (
            400,
            Says::json([0x1F, 0x8B]).header("content-encoding", "gzip"),
        ),
    ] {
        let says = Says { status, ..says };
        let got = list("list call", "tools/list", &says).await;
        assert_eq!(got.status.as_u16(), status);
        assert_eq!(got.json()["error"]["code"], status);
        assert_eq!(
            (&got.json()["id"], got.headers.contains_key("allow")),
            (&json!(7), status == 405)
        );
        assert!(!got.headers.contains_key("content-encoding"));
    }
    // rmcp's client reads a message from these too
    let mut says = Says::json(TOOLS);
    says.status = 404;
    let got = list("list call", "tools/list", &says).await;
    assert_eq!(
        (got.status.as_u16(), names(&got, "tools", "name")),
        (404, vec!["add".to_owned()])
    );
}

/// RS-14
#[tokio::test]
async fn a_long_list_in_pieces_is_filtered_as_a_whole() {
    let entry = |name: &str| json!({"name": name, "description": "x".repeat(1000)});
    let mut tools: Vec<_> = (0..2000).map(|n| entry(&format!("tool{n}"))).collect();
    let left = json!({"id": 7, "result": {"tools": tools}}).to_string();
    tools.insert(1000, entry("delete_all"));
    let text = json!({"id": 7, "result": {"tools": tools}}).to_string();
    let says = Says {
        pieces: text.as_bytes().chunks(10_007).map(<[u8]>::to_vec).collect(),
        ..Says::json("")
    };
    let got = list("list call", "tools/list", &says).await;
    assert!(
        got.text() == left,
        "{} of {} bytes",
        got.bytes.len(),
        left.len()
    );
}

/// RS-14
#[tokio::test]
async fn whoever_runs_the_server_can_see_why_an_entry_is_missing() {
    let (log, _guard) = Log::listen("debug");
    let text = r#"{"id":7,"result":{"resources":[{"uri":"file:///a"},{"uri":"vault://b"},{"uri":"https://me:word@A.example/\n?key=1"}]}}"#;
    let got = list("list read", "resources/list", &Says::json(text)).await;
    assert_eq!(names(&got, "resources", "uri"), ["file:///a"]);
    let told = log.text();
    let line = told
        .lines()
        .find(|line| line.contains("are hidden"))
        .unwrap();
    assert!(
        line.contains("hidden=2") && line.contains(r"A.example/\n"),
        "{line}"
    );
    assert!(!told.contains("word@") && !told.contains("key=1"), "{line}");
}

/// SEC-11
#[tokio::test]
async fn a_list_shows_nothing_that_is_withheld_from_the_person() {
    let mut world = World::new().with_policy(&POLICY);
    let token = world.token_without("list call admin", "admin");
    let router = world.before(service_fn(|_: Request| async {
        Ok::<_, Infallible>(Says::json(TOOLS).response())
    }));
    let got = fetch(&router, post(&token, &rpc("tools/list", &json!({})))).await;
    assert_eq!(names(&got, "tools", "name"), ["add"]);
}
