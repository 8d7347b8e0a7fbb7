//! The gate before an MCP path: tokens, scopes, sessions, origins. A stand-in for the server says what reached it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anteroom::cors::open_cors;
use anteroom::protocol::claims::AccessClaims;
use anteroom::protocol::ids::{Id, Subject};
use anteroom::protocol::principal::Standing;
use anteroom::resource::layer::BearerLayer;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{any, get};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::service_fn;

use crate::harness::gate::{
    HOST, METADATA, NOW, RESOURCE, World, bodiless, echo, post, rpc, send, signed, with,
};
use crate::harness::log::Log;

fn call(tool: &str) -> String {
    rpc("tools/call", &json!({"name": tool}))
}

const ALL: &str = "tools:list tools:call admin resources prompts";

/// RS-01, RS-02, RS-03, RS-09, P9
#[tokio::test]
async fn nothing_is_reached_without_a_token() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    for mut request in [
        post("", &rpc("initialize", &json!({}))),
        post("", &rpc("server/discover", &json!({}))),
        post("", &call("add")),
        post("", "{"),
        bodiless(Method::GET, ""),
        bodiless(Method::DELETE, ""),
        bodiless(Method::PUT, ""),
        Request::post(format!("/mcp?access_token={token}"))
            .header("host", HOST)
            .body(Body::empty())
            .unwrap(),
        Request::post("/mcp")
            .header("host", HOST)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!("access_token={token}")))
            .unwrap(),
    ] {
        request.headers_mut().remove("authorization");
        let shown = format!("{request:?}");
        let answer = send(&router, request).await;
        assert_eq!(answer.status, 401, "{shown}");
        let expected = format!(
            r#"Bearer resource_metadata="{METADATA}", scope="prompts resources tools:call tools:list""#
        );
        assert_eq!(answer.challenge(), expected, "{shown}");
    }
}

/// RS-05, RS-11, RS-16, T3
#[tokio::test]
async fn a_token_that_is_not_good_here_is_answered_401() {
    let mut world = World::new();
    let router = world.echo();
    let good = world.claims("github:1", "c", ALL);
    let with = |change: fn(&mut AccessClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        signed(&claims)
    };
    for (token, description) in [
        (
            with(|claims| claims.aud = "https://other.example/mcp".to_owned()),
            "the access token is for another resource",
        ),
        (with(|claims| claims.exp = NOW), "the access token expired"),
        (
            with(|claims| claims.sid = "x".to_owned()),
            "the access token is not valid",
        ),
        (
            with(|claims| claims.sid = Id::new(NOW).to_string()),
            "the session of the access token has ended",
        ),
        (
            with(|claims| claims.sub = Subject::new("github:2")),
            "the session of the access token has ended",
        ),
        (
            signed(&good).replace("good", "bad"),
            "the access token is not valid",
        ),
        ("opaque".to_owned(), "the access token is not valid"),
    ] {
        let answer = send(&router, post(&token, &call("add"))).await;
        assert_eq!(answer.status, 401, "{description}");
        let expected = format!(
            r#"Bearer error="invalid_token", error_description="{description}", resource_metadata="{METADATA}", "#
        );
        assert!(
            answer.challenge().starts_with(&expected),
            "{}",
            answer.challenge()
        );
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.code(), Some(401));
    }
    let malformed = send(
        &router,
        crate::harness::gate::with(post("", ""), "authorization", "Bearer a.b.c d"),
    )
    .await;
    assert_eq!(malformed.status, 400);
}

/// RS-13
#[tokio::test]
async fn the_server_gets_the_judged_bytes_and_neither_token_nor_cookies() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    let body = " {\"jsonrpc\":\"2.0\" , \"id\":1, \"method\":\"tools\\/list\"}\n";
    let answer = send(&router, with(post(&token, body), "cookie", "a=b")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["body"], body);
    assert_eq!(answer.body["subject"], "github:1");
    assert_eq!(
        answer.body["headers"]["content-length"],
        body.len().to_string()
    );
    for gone in ["authorization", "cookie"] {
        assert_eq!(answer.body["headers"][gone], Value::Null, "{gone}");
    }
    let stream = send(
        &router,
        post_with_body(bodiless(Method::GET, &token), "{\"method\":1}"),
    )
    .await;
    assert_eq!(
        (stream.status, &stream.body["body"]),
        (StatusCode::OK, &json!(""))
    );
}

fn post_with_body(mut request: Request, body: &'static str) -> Request {
    *request.body_mut() = Body::from(body);
    request
}

/// RS-14
#[tokio::test]
async fn the_scope_is_judged_by_method_and_tool_of_the_body() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", "tools:list tools:call");
    for (body, status) in [
        (rpc("tools/list", &json!({})), 200),
        (call("add"), 200),
        (rpc("initialize", &json!({})), 200),
        (rpc("ping", &json!({})), 200),
        (rpc("logging/setLevel", &json!({})), 200),
        (notification(), 200),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(), 200),
        (rpc("tasks/get", &json!({"taskId": "1"})), 200),
        (listen(&[]), 200),
        (listen(&["file:///a"]), 403),
        (call("delete_all"), 403),
        (rpc("resources/read", &json!({"uri": "file:///a"})), 403),
    ] {
        assert_eq!(
            send(&router, post(&token, &body)).await.status,
            status,
            "{body}"
        );
    }
}

/// RS-06, RS-14, RS-18
#[tokio::test]
async fn a_refusal_names_all_scopes_that_are_needed_and_those_held() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", "tools:list tools:call");
    let get = rpc("prompts/get", &json!({"name": "p"}));
    for (body, scopes) in [
        (call("delete_all"), "admin tools:call tools:list"),
        (listen(&["file:///a"]), "resources tools:call tools:list"),
        (
            format!("[{},{},{get}]", call("add"), call("delete_all")),
            "admin prompts tools:call tools:list",
        ),
    ] {
        let answer = send(&router, post(&token, &body)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::FORBIDDEN, Some(403)),
            "{body}"
        );
        assert!(
            answer
                .challenge()
                .starts_with(r#"Bearer error="insufficient_scope", "#),
            "{body}"
        );
        assert!(
            answer
                .challenge()
                .contains(&format!(r#" scope="{scopes}""#)),
            "{body}"
        );
    }
}

fn notification() -> String {
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned()
}

fn listen(uris: &[&str]) -> String {
    rpc(
        "subscriptions/listen",
        &json!({"notifications": {"resourceSubscriptions": uris}}),
    )
}

#[tokio::test]
async fn a_method_that_nobody_named_is_refused() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    for method in [
        "tools/Call",
        "sampling/createMessage",
        "roots/list",
        "acme/own",
        "prompts/list",
        "",
    ] {
        let answer = send(&router, post(&token, &rpc(method, &json!({})))).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::OK, Some(-32601)),
            "{method}"
        );
        assert_eq!(answer.body["id"], 7);
    }
}

/// RS-12, P11, P13, HTTP-41
#[tokio::test]
async fn a_session_belongs_to_one_person_and_client() {
    let mut world = World::new();
    let router = world.echo();
    let mine = world.token("github:1", "c", ALL);
    let opened = send(&router, post(&mine, &rpc("initialize", &json!({})))).await;
    let session = opened.headers["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_ne!(session, "inner-1");
    let refreshed = world.token("github:1", "c", ALL);
    for token in [&mine, &refreshed] {
        let answer = send(
            &router,
            with(post(token, &call("add")), "mcp-session-id", &session),
        )
        .await;
        assert_eq!(answer.body["headers"]["mcp-session-id"], "inner-1");
        assert_eq!(answer.headers["mcp-session-id"], session.as_str());
    }
    for (person, client) in [("github:2", "c"), ("github:1", "d")] {
        let other = world.token(person, client, ALL);
        for method in [Method::GET, Method::DELETE] {
            let answer = send(
                &router,
                with(bodiless(method, &other), "mcp-session-id", &session),
            )
            .await;
            assert_eq!(answer.status, 404, "{person} {client}");
        }
        let answer = send(
            &router,
            with(post(&other, &call("add")), "mcp-session-id", &session),
        )
        .await;
        assert_eq!(answer.status, 404, "{person} {client}");
    }
    let unbound = send(
        &router,
        with(post(&mine, &call("add")), "mcp-session-id", "inner-1"),
    )
    .await;
    assert_eq!(unbound.status, 404);
    let without_token = send(
        &router,
        with(post("", &call("add")), "mcp-session-id", &session),
    )
    .await;
    assert_eq!(without_token.status, 400);
}

/// AT-13
#[tokio::test]
async fn a_known_token_is_verified_once_and_dies_with_its_session() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    for _ in 0..3 {
        assert_eq!(send(&router, post(&token, &call("add"))).await.status, 200);
    }
    assert_eq!(world.verified.load(Ordering::SeqCst), 1);
    assert_eq!(world.sessions.asked.load(Ordering::SeqCst), 1);
    world.end_all();
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 401);
}

/// AT-13
#[tokio::test]
async fn a_session_that_ended_elsewhere_is_found_out_in_time() {
    let mut world = World::new();
    let layer = BearerLayer::new(Arc::new(
        world.gate().with_ask_again(Duration::from_secs(60)),
    ));
    let router = Router::new().route(
        "/mcp",
        axum::routing::any_service(service_fn(echo)).layer(layer),
    );
    let token = world.token("github:1", "c", ALL);
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 200);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 200);
    assert_eq!(world.sessions.asked.load(Ordering::SeqCst), 2);
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 200);
    assert_eq!(world.sessions.asked.load(Ordering::SeqCst), 2);
    world.sessions.standing.lock().unwrap().clear();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 401);
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 401);
}

#[tokio::test]
async fn a_session_looked_up_anew_is_believed_in_its_new_object() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 200);
    {
        let mut standing = world.sessions.standing.lock().unwrap();
        for entry in standing.values_mut() {
            *entry = Arc::new(Standing::new(
                entry.session,
                entry.client_id.clone(),
                entry.identity.clone(),
            ));
        }
    }
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 200);
    world.end_all();
    assert_eq!(send(&router, post(&token, &call("add"))).await.status, 401);
}

/// SEC-15
#[tokio::test]
async fn an_outage_of_ours_is_503_and_never_401() {
    let mut world = World::new();
    let router = world.echo();
    let known = world.token("github:1", "c", ALL);
    assert_eq!(send(&router, post(&known, &call("add"))).await.status, 200);
    world.sessions.is_down.store(true, Ordering::SeqCst);
    let new = world.token("github:1", "c", ALL);
    let answer = send(&router, post(&new, &call("add"))).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.headers.contains_key("www-authenticate"));
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(send(&router, post(&known, &call("add"))).await.status, 503);
    world.sessions.is_down.store(false, Ordering::SeqCst);
    assert_eq!(send(&router, post(&known, &call("add"))).await.status, 200);
}

/// HTTP-10, HTTP-11, P8
#[tokio::test]
async fn a_strange_host_or_page_is_refused_before_all_else() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    for method in [Method::POST, Method::GET, Method::DELETE, Method::OPTIONS] {
        for (header, value) in [
            ("host", "evil.example"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let request = with(bodiless(method.clone(), &token), header, value);
            let answer = send(&router, request).await;
            assert_eq!(answer.status, 403, "{method} {header}: {value}");
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
            assert!(!answer.body.to_string().contains("evil"));
        }
    }
    let unsigned = with(post("a.b.c", "{"), "origin", "https://evil.example");
    assert_eq!(send(&router, unsigned).await.status, 403);
    let poisoned = with(
        with(post("", ""), "authorization", "Basic x"),
        "x-forwarded-host",
        "evil.example",
    );
    assert!(!send(&router, poisoned).await.challenge().contains("evil"));
}

/// HTTP-16
#[tokio::test]
async fn checks_come_in_their_order() {
    let mut world = World::new();
    let router = world.echo();
    let weak = world.token("github:1", "c", "tools:list");
    // Everything is wrong with the first; each next request mends what the one before was refused for.
    let broken = "{";
    let delete = call("delete_all");
    let strange = rpc("acme/own", &json!({}));
    let steps = [
        (
            with(
                with(post("x.y.z", broken), "origin", "https://evil.example"),
                "mcp-protocol-version",
                "1900-01-01",
            ),
            403,
            Some(403),
        ),
        (
            with(post("x.y.z", broken), "mcp-protocol-version", "1900-01-01"),
            401,
            Some(401),
        ),
        (
            with(post(&weak, broken), "mcp-protocol-version", "1900-01-01"),
            400,
            Some(-32700),
        ),
        (
            with(post(&weak, &strange), "mcp-protocol-version", "1900-01-01"),
            400,
            Some(-32022),
        ),
        (post(&weak, &strange), 200, Some(-32601)),
        (post(&weak, &delete), 403, Some(403)),
    ];
    for (request, status, code) in steps {
        let shown = format!("{request:?}");
        let answer = send(&router, request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code),
            "{shown}"
        );
    }
}

/// HTTP-17
#[tokio::test]
async fn a_body_must_be_json_in_clear_and_not_too_long() {
    let mut world = World::new();
    let layer = BearerLayer::new(Arc::new(world.gate().with_body_limit(100)));
    let router = Router::new().route(
        "/mcp",
        axum::routing::any_service(service_fn(echo)).layer(layer),
    );
    let token = world.token("github:1", "c", ALL);
    let list = rpc("tools/list", &json!({}));
    let long = rpc("tools/list", &json!({"cursor": "x".repeat(100)}));
    let pieces = |text: &str| {
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(10)
            .map(|piece| Ok::<_, Infallible>(piece.to_vec()))
            .collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    let streamed = |text: &str| {
        let mut request = post(&token, "");
        *request.body_mut() = pieces(text);
        request
    };
    for (request, status) in [
        (post(&token, &list), 200),
        (streamed(&list), 200),
        (post(&token, &long), 413),
        (streamed(&long), 413),
        (with(post(&token, &list), "content-length", "101"), 413),
        (
            with(
                post(&token, &list),
                "content-type",
                "application/json; charset=UTF-8",
            ),
            200,
        ),
        (
            with(
                post(&token, &list),
                "content-type",
                "application/json; charset=utf-16",
            ),
            415,
        ),
        (with(post(&token, &list), "content-type", "text/plain"), 415),
        (with(post(&token, &list), "content-encoding", "gzip"), 415),
        (post(&token, &format!("{list} x")), 400),
    ] {
        let shown = format!("{request:?}");
        let answer = send(&router, request).await;
        assert_eq!(answer.status.as_u16(), status, "{shown}");
        if status == 200 {
            assert_eq!(answer.body["body"], list);
        }
    }
}

/// P1, P2, P7
#[tokio::test]
async fn no_header_that_a_client_can_set_opens_anything() {
    let mut world = World::new();
    let router = world.echo();
    for (name, value) in [
        ("user-agent", "GoogleHC/1.0"),
        ("x-forwarded-uri", "/.well-known/oauth-protected-resource"),
        ("x-original-url", "/health"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-anteroom-user", "github:1"),
        ("x-forwarded-user", "github:1"),
        ("mcp-session-id", "inner-1"),
        ("mcp-method", "ping"),
    ] {
        let mut request = with(post("", &call("add")), name, value);
        request.headers_mut().remove("authorization");
        assert_eq!(send(&router, request).await.status, 401, "{name}");
    }
    for query in [
        "/health",
        "/.well-known/oauth-protected-resource",
        "a=b#/health",
    ] {
        let mut request = post("", &call("add"));
        *request.uri_mut() = format!("/mcp?{query}").parse().unwrap();
        request.headers_mut().remove("authorization");
        assert_eq!(send(&router, request).await.status, 401, "{query}");
    }
}

/// P3
#[tokio::test]
async fn only_the_exact_path_leads_to_the_server() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    for path in [
        "/mcp/",
        "//mcp",
        "/mcp%23",
        "/mcp;a",
        "/MCP",
        "/./mcp",
        "/%6dcp",
        "/mcp/../mcp",
        "/mcp%2f",
    ] {
        let mut request = post(&token, &call("add"));
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(send(&router, request).await.status, 404, "{path}");
    }
}

/// CORS-02, CORS-06, CORS-07
#[tokio::test]
async fn a_preflight_is_answered_without_a_token() {
    let mut world = World::new();
    let router = world.echo();
    let request = Request::options("/mcp")
        .header("host", HOST)
        .header("origin", "http://localhost:6274")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization, mcp-param-region,x-evil",
        )
        .body(Body::empty())
        .unwrap();
    let answer = send(&router, request).await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.headers["access-control-allow-origin"],
        "http://localhost:6274"
    );
    assert_eq!(
        answer.headers["access-control-allow-methods"],
        "GET, POST, DELETE, OPTIONS"
    );
    let allowed = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Last-Event-ID, Mcp-Method, Mcp-Name, mcp-param-region";
    assert_eq!(answer.headers["access-control-allow-headers"], allowed);
    assert_eq!(answer.headers["vary"], "Origin");
    assert!(answer.headers.contains_key("access-control-max-age"));
    assert!(
        !answer
            .headers
            .contains_key("access-control-allow-credentials")
    );
}

/// CORS-03, CORS-05
#[tokio::test]
async fn a_script_of_an_allowed_page_can_read_refusals_too() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    let weak = world.token("github:1", "c", "tools:list");
    for (token, status) in [("x.y.z", 401), (&weak, 403), (&token, 200)] {
        let answer = send(
            &router,
            with(post(token, &call("add")), "origin", "http://localhost:6274"),
        )
        .await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.headers["access-control-allow-origin"],
            "http://localhost:6274"
        );
        assert_eq!(
            answer.headers["access-control-expose-headers"],
            "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"
        );
        assert_eq!(answer.headers["vary"], "Origin");
    }
    let answer = send(&router, post(&token, &call("add"))).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

/// CORS-05
#[tokio::test]
async fn documents_without_secrets_are_open_to_any_page() {
    let router = Router::new().route("/doc", get(|| async { "x" }).layer(open_cors()));
    let preflight = Request::options("/doc")
        .header("origin", "https://any.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "mcp-protocol-version")
        .body(Body::empty())
        .unwrap();
    let answer = send(&router, preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert!(
        answer.headers["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("MCP-Protocol-Version")
    );
    let answer = send(
        &router,
        Request::get("/doc")
            .header("origin", "https://any.example")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(
        (
            answer.status,
            &answer.headers["access-control-allow-origin"]
        ),
        (StatusCode::OK, &"*".parse().unwrap())
    );
    assert!(
        !answer
            .headers
            .contains_key("access-control-allow-credentials")
    );
    assert!(!answer.headers.contains_key("vary"));
}

/// HTTP-15
#[tokio::test]
async fn an_event_stream_is_marked_as_one() {
    let mut world = World::new();
    let stream = service_fn(|_: Request| async {
        Ok::<_, Infallible>(([("content-type", "text/event-stream")], ": hi\n\n"))
    });
    let router = world.before(stream);
    let token = world.token("github:1", "c", ALL);
    let answer = send(&router, bodiless(Method::GET, &token)).await;
    assert_eq!(answer.headers["x-accel-buffering"], "no");
    assert_eq!(answer.headers["cache-control"], "no-cache");
}

/// HTTP-40
#[tokio::test]
async fn other_methods_of_http_are_refused() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    for method in [Method::PUT, Method::PATCH, Method::HEAD, Method::TRACE] {
        let answer = send(&router, bodiless(method.clone(), &token)).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.headers["allow"], "GET, POST, DELETE, OPTIONS");
    }
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(send(&router, bodiless(method, &token)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_ends_under_load_lets_nobody_through_afterwards() {
    let mut world = World::new();
    let router = world.before(any(|| async { "x" }));
    let token = world.token("github:1", "c", ALL);
    let burst = || {
        let tasks = (0..64).map(|_| {
            let (router, token) = (router.clone(), token.clone());
            tokio::spawn(async move { send(&router, post(&token, &call("add"))).await.status })
        });
        futures_util::future::join_all(tasks.collect::<Vec<_>>())
    };
    assert!(
        burst()
            .await
            .into_iter()
            .all(|status| status.unwrap() == 200)
    );
    let during = burst();
    world.end_all();
    during.await;
    assert!(
        burst()
            .await
            .into_iter()
            .all(|status| status.unwrap() == 401)
    );
}

/// RS-14, RS-15
#[tokio::test]
async fn a_uri_that_the_server_could_read_otherwise_is_refused() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", "resources");
    for (uri, status) in [
        ("config://open", 200),
        ("config://vault", 403),
        ("CONFIG://vault", 400),
        ("config://va\tult", 400),
        (" config://vault", 400),
        ("config://v%61ult", 400),
    ] {
        for body in [
            rpc("resources/read", &json!({ "uri": uri })),
            listen(&[uri]),
        ] {
            let answer = send(&router, post(&token, &body)).await;
            assert_eq!(answer.status, status, "{body}");
            assert_eq!(answer.code() == Some(-32602), status == 400, "{body}");
        }
    }
}

/// HTTP-17
#[tokio::test]
async fn a_list_of_subscriptions_has_an_end() {
    let mut world = World::new();
    let router = world.echo();
    let token = world.token("github:1", "c", ALL);
    for (count, status) in [(128, 200), (129, 400)] {
        let answer = send(&router, post(&token, &listen(&vec!["file:///a"; count]))).await;
        assert_eq!(answer.status, status, "{count}");
    }
}

#[tokio::test]
async fn whoever_runs_the_servers_sees_that_a_token_is_for_another_one() {
    let (log, _guard) = Log::listen("info");
    let mut world = World::new();
    let mut claims = world.claims("github:1", "c", "tools:list");
    claims.aud = "https://other.example/mcp\n".to_owned();
    let router = world.echo();
    let body = rpc("tools/list", &json!({}));
    assert_eq!(
        send(&router, post(&signed(&claims), &body)).await.status,
        401
    );
    let told = log.text();
    assert!(
        told.contains(RESOURCE) && told.contains("https://other.example/mcp"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}
