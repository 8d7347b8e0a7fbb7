//! anteroom inside of a program: services and routes of its own behind the gate, the caller as an argument, and the parts
//! that the program puts together itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anteroom::config::{self, Source};
use anteroom::{App, AppError, Backend, Environment, NoGate, Principal, Scope, listen};
use axum::body::Body;
use axum::routing::{any, get};
use axum::{Extension, Router};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{HeaderMap, Method};
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServiceExt as _, tool, tool_router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tower::ServiceExt as _;

use crate::harness::answer::{Answer, request, request_with};
use crate::harness::client::{Client, message};
use crate::harness::patience::{in_time, until};
use crate::harness::process::{Cookies, Http};
use crate::harness::server::{Builder, Server, rate, server};
use crate::harness::visitor::sign_in;

/// A server whose program brings what stands behind the gate.
fn here() -> Builder {
    server().configure(|config| config.servers[0].backend = Backend::Here)
}

/// An App of one's own over the store, the clock and the provider of a server.
async fn app(server: &Server) -> App {
    let world = &server.world;
    let clock = Arc::clone(&world.clock) as _;
    let app = App::with(&world.config, world.storage(), clock).await;
    app.unwrap()
}

async fn who(caller: Principal) -> String {
    let subject = &caller.identity().subject;
    let can_read = caller
        .scopes
        .contains(&Scope::parse("mcp:tools:read").unwrap());
    let has_token = caller.upstream_token().await.is_ok();
    format!("{subject} reads: {can_read}, token: {has_token}")
}

struct Tools;

#[tool_router(server_handler)]
impl Tools {
    /// Who calls
    #[tool]
    async fn who(caller: Principal) -> String {
        who(caller).await
    }
}

fn tools() -> StreamableHttpService<Tools, LocalSessionManager> {
    let settings = StreamableHttpServerConfig::default().disable_allowed_hosts();
    StreamableHttpService::new(|| Ok(Tools), Arc::default(), settings)
}

#[test]
fn the_settings_of_the_front_page_are_accepted() {
    let page = include_str!("../../src/lib.rs").replace("//! ", "");
    let block = page.split("```toml\n").nth(2).unwrap();
    let (text, _) = block.split_once("```").unwrap();
    let name = "providers.toml";
    let secret = ("GITHUB_CLIENT_SECRET".to_owned(), "a".to_owned());
    let environment: Environment = [secret].into_iter().collect();
    let config = config::read(Some(Source { name, text }), &environment);
    let config = config.unwrap_or_else(|refused| panic!("{refused}")).config;
    assert_eq!(config.servers[0].path, "/mcp");
}

/// RS-01
#[tokio::test]
async fn a_handler_behind_the_gate_has_the_caller_as_an_argument() {
    let world = here().start().await;
    let handler = Router::new().fallback(any(who));
    let app = app(&world).await.with_service("/mcp", handler).unwrap();
    let server = world.serving(app.router());
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let list = message("tools/list", &json!({}));
    let answer = client.call(&tokens.access, "", &list).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.text().starts_with("github:")
            && answer.text().ends_with(" reads: true, token: true"),
        "{}",
        answer.text()
    );
    let refused = client.call("a.b.c", "", &list).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("resource_metadata="), "{challenge}");
}

#[tokio::test]
async fn a_tool_of_rmcp_has_the_caller_as_an_argument() {
    let world = here().start().await;
    let app = app(&world).await.with_service("/mcp", tools()).unwrap();
    let server = world.serving(app.router());
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let said = client.tool(&tokens.access, "who").await;
    let text = said["content"][0]["text"].as_str().unwrap();
    assert!(text.ends_with(" reads: true, token: true"), "{text}");
}

#[tokio::test]
async fn a_route_without_a_gate_is_an_error_of_the_program_and_never_401() {
    async fn perhaps(caller: Option<Principal>) -> String {
        caller.is_none().to_string()
    }
    let router = Router::new()
        .route("/who", get(who))
        .route("/perhaps", get(perhaps));
    let asked = router.clone().oneshot(request("GET", "/who")).await;
    let answer = Answer::read(asked.unwrap()).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.text(), NoGate.to_string());
    assert_eq!(answer.header("www-authenticate"), "");
    let asked = router.oneshot(request("GET", "/perhaps")).await;
    assert_eq!(Answer::read(asked.unwrap()).await.text(), "true");
}

#[tokio::test]
async fn a_tool_without_a_gate_says_that_there_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = Router::new().route_service("/mcp", tools());
    tokio::spawn(axum::serve(listener, router).into_future());
    let client = ().serve(StreamableHttpClientTransport::from_uri(url)).await;
    let client = client.unwrap();
    let called = client.call_tool(CallToolRequestParams::new("who")).await;
    let error = called.unwrap_err().to_string();
    assert!(error.contains(&NoGate.to_string()), "{error}");
    client.cancel().await.unwrap();
}

/// P6
#[tokio::test]
async fn a_service_in_this_process_never_sees_a_forged_identity_header() {
    async fn told(headers: HeaderMap) -> String {
        let names = headers.keys().map(ToString::to_string);
        names.collect::<Vec<_>>().join(" ")
    }
    let world = here().start().await;
    let app = app(&world).await;
    let app = app
        .with_service("/mcp", Router::new().fallback(any(told)))
        .unwrap();
    let server = world.serving(app.router());
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let list = message("tools/list", &json!({})).to_string();
    let mut asked = request_with("/mcp", "application/json", list);
    let headers = asked.headers_mut();
    headers.insert(
        "accept",
        "application/json, text/event-stream".parse().unwrap(),
    );
    let bearer = format!("Bearer {}", tokens.access);
    headers.insert("authorization", bearer.parse().unwrap());
    for forged in [
        "X-Anteroom-User",
        "x_anteroom_user",
        "X-Anteroom_Login",
        "x.anteroom.scopes",
        "x-anteroom-assertion",
    ] {
        let name: http::HeaderName = forged.parse().unwrap();
        headers.append(name, "root".parse().unwrap());
    }
    headers.insert("x-anteroomy", "of somebody else".parse().unwrap());
    let answer = server.send(asked).await;
    assert_eq!(answer.status, 200);
    let seen: Vec<_> = answer.text().split(' ').collect();
    assert!(seen.contains(&"x-anteroomy"), "{seen:?}");
    let forged = |name: &&&str| name.contains("anteroom") && **name != "x-anteroomy";
    assert_eq!(seen.iter().find(forged), None);
}

#[tokio::test]
async fn a_service_stands_only_where_the_configuration_has_a_place_for_it() {
    let world = here().start().await;
    let service = || Router::new().fallback(any(who));
    let wrong = app(&world).await.with_service("/other", service());
    assert!(matches!(wrong, Err(AppError::NoServer(path)) if path == "/other"));
    let wrong = app(&world).await.layer("/other").map(drop);
    assert!(matches!(wrong, Err(AppError::NoServer(_))));
    let once = app(&world).await.with_service("/mcp", service()).unwrap();
    let twice = once.with_service("/mcp", service());
    let said = twice.map(drop).unwrap_err().to_string();
    assert!(said.contains("a service is given once"), "{said}");
    let sample = server().start().await;
    let taken = app(&sample).await.with_service("/mcp", service());
    let said = taken.map(drop).unwrap_err().to_string();
    assert!(said.contains("Backend::Here"), "{said}");
}

#[tokio::test]
async fn nothing_is_served_where_a_service_is_missing() {
    let world = here().start().await;
    let answer = world.post_json("/mcp", &json!({})).await;
    assert_eq!(answer.status, 404);
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let served = app(&world).await.serve(listener, std::future::pending());
    let said = served.await.unwrap_err().to_string();
    assert!(said.contains("App::with_service"), "{said}");
}

#[tokio::test]
async fn routes_of_the_programs_own_come_first_and_the_rest_is_ours() {
    let world = here().start().await;
    let app = app(&world).await.with_service("/mcp", tools()).unwrap();
    let router = Router::new()
        .route("/", get("The website of the program"))
        .fallback_service(app.router());
    let server = world.serving(router);
    assert_eq!(server.get("/").await.text(), "The website of the program");
    assert_eq!(server.get("/nowhere").await.json()["error"], "not_found");
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let said = client.tool(&tokens.access, "who").await;
    assert_eq!(said["isError"], false, "{said}");
}

/// SEC-06, P12
#[tokio::test]
async fn without_the_address_of_whoever_is_connected_all_share_one_limit_and_no_header_is_believed()
{
    let server = server()
        .configure(|config| {
            config.limits.register = rate(1, Duration::from_secs(3600));
            config.trusted_proxies.push("0.0.0.0/0".parse().unwrap());
        })
        .start()
        .await;
    let router = server.app.router();
    for (forwarded, status) in [("198.51.100.1", 201), ("198.51.100.2", 429)] {
        let metadata = Client::public().to_string();
        let mut asked = request_with("/register", "application/json", metadata);
        let headers = asked.headers_mut();
        headers.insert("host", "mcp.example.com".parse().unwrap());
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let answer = router.clone().oneshot(asked).await.unwrap();
        assert_eq!(answer.status(), status, "{forwarded}");
    }
}

/// A program with an axum server of its own, on a real socket; ends when the second part is sent.
async fn program() -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let world = here().public_url(&base).start().await;
    let app = app(&world).await;
    let gated = Router::new()
        .route("/mcp", any(who))
        .layer(app.layer("/mcp").unwrap());
    let router = Router::new()
        .route("/", get("The website of the program"))
        .merge(gated)
        .merge(app.authorization_router())
        .fallback(async || "what the program has no page for")
        .layer(Extension(()));
    let background = app.background();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let running = tokio::spawn(async move {
        // the stand-in is in it
        let _world = world;
        let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
            let _ = stopped.await;
            app.stop();
        });
        serving.await.unwrap();
        background.finish().await;
    });
    (base, stop, running)
}

/// RS-01
#[tokio::test]
async fn the_parts_in_a_server_of_the_programs_own_do_what_the_whole_does() {
    let (base, stop, running) = program().await;
    let http = Http::new();
    for (path, page) in [
        ("/", "The website of the program"),
        ("/nowhere", "what the program has no page for"),
    ] {
        let answer = http
            .get(&format!("{base}{path}"), &Cookies::default())
            .await;
        assert_eq!(answer.unwrap().body, page);
    }
    let token = sign_in(&base, "mona").await;
    let list = message("tools/list", &json!({}));
    let url = format!("{base}/mcp");
    let answer = http.call(&url, &token, &list).await.unwrap();
    assert!(
        answer.body.ends_with("reads: true, token: true"),
        "{answer:?}"
    );
    let refused = http.call(&url, "a.b.c", &list).await.unwrap();
    assert_eq!(refused.status, 401);
    stop.send(()).unwrap();
    in_time("the end", running).await.unwrap();
}

/// AT-08
#[tokio::test]
async fn the_background_sees_to_the_keys_until_it_is_dropped() {
    let server = server().start().await;
    let app = app(&server).await;
    let flows = app.flows();
    let held = Arc::strong_count(flows);
    let keys = flows.jwks();
    server.app.flows().rotate_signing_key().await.unwrap();
    assert_eq!(flows.jwks(), keys);
    let background = app.background();
    until("the key of the other one is published", || {
        flows.jwks() == server.app.flows().jwks()
    })
    .await;
    assert_ne!(flows.jwks(), keys);
    drop(background);
    until("nothing goes on", || Arc::strong_count(flows) == held).await;
}

#[tokio::test]
async fn at_the_end_a_stream_that_only_listens_ends_and_an_answer_is_given_whole() {
    let world = here().start().await;
    let app = app(&world).await;
    let (begun, over) = (Arc::new(Semaphore::new(0)), app.stopping().shared());
    let says = {
        let (begun, over) = (Arc::clone(&begun), over);
        async move |method: Method| {
            let rest = async move {
                begun.add_permits(1);
                over.await;
                if method == Method::GET {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>("data: 2\n\n")
            };
            let first = stream::iter([Ok("data: 1\n\n")]);
            let body = Body::from_stream(first.chain(stream::once(rest)));
            ([("content-type", "text/event-stream")], body)
        }
    };
    let service = Router::new().fallback(any(says));
    let app = app.with_service("/mcp", service).unwrap();
    let server = world.serving(app.router());
    let client = server.client().await;
    let token = client.sign_in("mona").await.access;
    let mut listen = request("GET", "/mcp");
    let headers = listen.headers_mut();
    headers.insert("accept", "text/event-stream".parse().unwrap());
    let bearer = format!("Bearer {token}");
    headers.insert("authorization", bearer.parse().unwrap());
    let call = message("tools/call", &json!({"name": "who"}));
    let stop = async {
        let _ = begun.acquire_many(2).await.unwrap();
        app.stop();
    };
    let both = async { tokio::join!(server.send(listen), client.call(&token, "", &call), stop) };
    let (listened, answered, ()) = in_time("the end of the streams", both).await;
    assert_eq!(listened.text(), "data: 1\n\n");
    assert_eq!(answered.text(), "data: 1\n\ndata: 2\n\n");
}

#[tokio::test]
async fn a_program_may_keep_the_router_alone() {
    let world = server().start().await;
    let app = app(&world).await;
    let mut over = std::pin::pin!(app.stopping());
    let server = world.serving(app.router());
    drop(app);
    assert!(over.as_mut().now_or_never().is_none());
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let client_info = json!({"name": "test", "version": "1"});
    let hello = message(
        "initialize",
        &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client_info}),
    );
    let answer = client.call(&tokens.access, "", &hello).await;
    assert!(answer.text().contains("serverInfo"), "{}", answer.text());
    drop((client, server));
    assert!(over.now_or_never().is_some());
}

#[tokio::test]
async fn a_server_that_is_broken_off_leaves_nothing_of_itself() {
    let world = server().start().await;
    let app = app(&world).await;
    let flows = Arc::downgrade(app.flows());
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let serving = tokio::spawn(app.serve(listener, std::future::pending()));
    tokio::task::yield_now().await;
    serving.abort();
    until("everything is let go", || flows.strong_count() == 0).await;
}

#[tokio::test]
async fn the_gate_alone_reads_what_it_refuses_or_says_that_it_closes_and_answers_a_panic() {
    async fn breaks() -> &'static str {
        panic!("a service of the program")
    }
    let world = here().start().await;
    let app = app(&world).await;
    let gated = app.layer("/mcp").unwrap();
    let router = Router::new().route("/mcp", any(breaks).layer(gated));
    for (length, connection) in [(1000, ""), (300 * 1024, "close")] {
        let mut asked = request_with("/mcp", "application/json", String::new());
        let headers = asked.headers_mut();
        headers.insert("host", "mcp.example.com".parse().unwrap());
        *asked.body_mut() = Body::from(vec![b' '; length]);
        let answer = router.clone().oneshot(asked).await.unwrap();
        let answer = Answer::read(answer).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("connection"), connection);
    }
    let server = world.serving(router.merge(app.authorization_router()));
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let list = message("tools/list", &json!({}));
    let answer = client.call(&tokens.access, "", &list).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("server_error"), "{}", answer.text());
}

#[tokio::test]
async fn streams_are_told_of_the_end_and_not_before() {
    let server = here().start().await;
    let stopped = app(&server).await;
    let over = stopped.stopping();
    let mut over = std::pin::pin!(over);
    assert!(over.as_mut().now_or_never().is_none());
    stopped.stop();
    assert!(over.now_or_never().is_some());
    // whoever comes late learns of it too
    assert!(stopped.stopping().now_or_never().is_some());

    let dropped = app(&server).await;
    let mut over = std::pin::pin!(dropped.stopping());
    let background = dropped.background();
    drop(dropped);
    assert!(over.as_mut().now_or_never().is_none());
    drop(background);
    assert!(over.now_or_never().is_some());
}
