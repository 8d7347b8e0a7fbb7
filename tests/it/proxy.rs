//! The proxy on real sockets: what a server behind it sees, what comes back, and that nothing is held up on the way.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::backend::http::Proxy;
use anteroom::protocol::principal::Standing;
use anteroom::protocol::scope::ScopeSet;
use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::{StreamExt as _, stream};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tower::ServiceExt as _;
use url::Url;

use crate::harness::gate::{NOW, World, post, rpc, send, with};

/// Serves on a port of its own until the test ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn proxy_to(address: SocketAddr) -> Proxy {
    Proxy::new(&Url::parse(&format!("http://{address}/inner")).unwrap()).unwrap()
}

/// Gate and proxy before `backend`, and a token.
async fn in_front_of(backend: Router) -> (Router, String) {
    let mut world = World::new();
    let token = world.token(
        "github:1",
        "https://client.example/id",
        "tools:list tools:call",
    );
    let router = world.before(proxy_to(serve(backend).await));
    (router, token)
}

/// The same, listening.
async fn listening_in_front_of(backend: Router) -> (SocketAddr, String) {
    let mut world = World::new();
    let token = world.token(
        "github:1",
        "https://client.example/id",
        "tools:list tools:call",
    );
    let proxy = proxy_to(serve(backend).await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    world.allow_host(address.to_string());
    let router = world.before(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, token)
}

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// A request over the wire to a listening front.
fn onto(address: SocketAddr, method: Method, mut request: Request) -> Request {
    *request.uri_mut() = format!("http://{address}/mcp").parse().unwrap();
    *request.method_mut() = method;
    with(request, "host", &address.to_string())
}

fn list() -> String {
    rpc("tools/list", &json!({}))
}

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

/// SEC-15
#[tokio::test]
async fn a_server_that_fails_is_never_told_as_a_bad_token() {
    async fn answer(State(status): State<StatusCode>) -> Response {
        (
            status,
            [
                ("location", "http://inside/"),
                ("www-authenticate", "Bearer"),
            ],
        )
            .into_response()
    }
    for (status, expected) in [
        (401, 502),
        (407, 502),
        (307, 502),
        (404, 404),
        (500, 500),
        (503, 503),
    ] {
        let backend = Router::new()
            .fallback(any(answer))
            .with_state(StatusCode::from_u16(status).unwrap());
        let (router, token) = in_front_of(backend).await;
        let answer = send(&router, post(&token, &list())).await;
        assert_eq!(answer.status.as_u16(), expected, "{status}");
        assert!(!answer.headers.contains_key("www-authenticate"), "{status}");
        assert_eq!(answer.code(), (expected == 502).then_some(502));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_502_and_one_that_is_silent_504() {
    let mut world = World::new();
    let token = world.token("github:1", "c", "tools:list");
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let answer = send(&world.before(proxy_to(nobody)), post(&token, &list())).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::BAD_GATEWAY, Some(502))
    );

    let mut world = World::new();
    let token = world.token("github:1", "c", "tools:list");
    let silent = serve(Router::new().fallback(any(std::future::pending::<()>))).await;
    let proxy = proxy_to(silent).with_head_limit(Duration::from_millis(20));
    let answer = send(&world.before(proxy), post(&token, &list())).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::GATEWAY_TIMEOUT, Some(504))
    );
}

/// Tells, when it is dropped, that nobody listens any more.
struct Gone(Option<oneshot::Sender<()>>);

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            let _ = tell.send(());
        }
    }
}

/// A server whose one event stream the test feeds, and the news that it was dropped.
fn feed() -> (Router, mpsc::Sender<&'static str>, oneshot::Receiver<()>) {
    let (events, received) = mpsc::channel::<&'static str>(1);
    let (tell, gone) = oneshot::channel();
    let source = Arc::new(Mutex::new(Some((received, Gone(Some(tell))))));
    let open = move || {
        let source = source.lock().unwrap().take().unwrap();
        let events = stream::unfold(source, |mut source| async {
            let event = source.0.recv().await?;
            Some((Ok::<_, Infallible>(event), source))
        });
        let response = (
            [("content-type", "text/event-stream")],
            Body::from_stream(events),
        );
        std::future::ready(response.into_response())
    };
    (
        Router::new().route("/inner", get(open.clone()).post(open)),
        events,
        gone,
    )
}

/// HTTP-15
#[tokio::test]
async fn events_arrive_one_by_one_and_the_head_before_all() {
    for method in [Method::GET, Method::POST] {
        let (backend, events, _gone) = feed();
        let (address, token) = listening_in_front_of(backend).await;
        let request = onto(address, method, post(&token, &list()));
        // Nothing has been sent yet: the head alone must arrive.
        let response = client().request(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut body = response.into_body().into_data_stream();
        for event in ["data: 1\n\n", "data: 2\n\n", ": still there\n\n"] {
            events.send(event).await.unwrap();
            assert_eq!(body.next().await.unwrap().unwrap(), event);
        }
        drop(events);
        assert!(body.next().await.is_none());
    }
}

/// AT-13
#[tokio::test]
async fn an_open_stream_says_no_more_once_its_session_has_ended() {
    let mut world = World::new();
    let token = world.token("github:1", "c", "");
    let (backend, events, gone) = feed();
    let router = world.before(proxy_to(serve(backend).await));
    let mut request = post(&token, "");
    *request.method_mut() = Method::GET;
    let response = router.oneshot(request).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    events.send("data: 1\n\n").await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap(), "data: 1\n\n");
    world.end_all();
    events.send("data: 2\n\n").await.unwrap();
    assert!(body.next().await.is_none());
    drop(body);
    gone.await.unwrap();
}

/// An open stream in which nothing happens, and its world.
async fn idle() -> (World, Arc<Standing>, BodyDataStream, oneshot::Receiver<()>) {
    let mut world = World::new();
    let token = world.token("github:1", "c", "tools:list tools:call");
    let standing = Arc::clone(
        world
            .sessions
            .standing
            .lock()
            .unwrap()
            .values()
            .next()
            .unwrap(),
    );
    let (backend, events, gone) = feed();
    let router = world.before(proxy_to(serve(backend).await));
    let mut request = post(&token, "");
    *request.method_mut() = Method::GET;
    let response = router.oneshot(request).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    events.send("data: 1\n\n").await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap(), "data: 1\n\n");
    // whoever feeds it stays, and says nothing
    tokio::spawn(async move { events.closed().await });
    (world, standing, body, gone)
}

async fn is_still_open(body: &mut BodyDataStream) -> bool {
    timeout(Duration::from_millis(50), body.next())
        .await
        .is_err()
}

/// AT-13, CONS-14
#[tokio::test]
async fn a_stream_in_which_nothing_happens_ends_with_its_session() {
    for ends in ["here", "elsewhere", "when its word runs out"] {
        let (world, standing, mut body, gone) = idle().await;
        let asked = world.sessions.asked.load(Ordering::SeqCst);
        assert!(is_still_open(&mut body).await);
        assert_eq!(world.sessions.asked.load(Ordering::SeqCst), asked);
        match ends {
            "here" => world.end_all(),
            // nobody tells this process: it is asked again, and the session is gone
            "elsewhere" => {
                world.sessions.standing.lock().unwrap().clear();
                assert!(is_still_open(&mut body).await);
                world.clock.advance(Duration::from_secs(60));
            }
            _ => {
                world.sessions.standing.lock().unwrap().clear();
                standing.extend(NOW);
            }
        }
        let next = timeout(Duration::from_secs(5), body.next()).await;
        assert!(next.unwrap().is_none(), "{ends}");
        drop(body);
        gone.await.unwrap();
    }
}

/// AT-13, SEC-15
#[tokio::test]
async fn an_open_stream_goes_on_while_it_cannot_be_told_whether_its_session_is_in_force() {
    let (world, _, mut body, _gone) = idle().await;
    world.sessions.is_down.store(true, Ordering::SeqCst);
    let asked = world.sessions.asked.load(Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(60));
    assert!(is_still_open(&mut body).await);
    assert!(world.sessions.asked.load(Ordering::SeqCst) > asked);
}

/// SEC-11, CONS-27
#[tokio::test]
async fn a_stream_ends_where_a_scope_that_it_was_opened_with_is_withheld() {
    for (withheld, stays) in [("admin", true), ("tools:call", false)] {
        let (world, standing, mut body, _gone) = idle().await;
        let (client, identity) = (standing.client_id.clone(), standing.identity.clone());
        let mut other = Standing::new(standing.session, client, identity);
        other.withheld = ScopeSet::parse(withheld).unwrap();
        let sessions = &world.sessions.standing;
        sessions
            .lock()
            .unwrap()
            .insert(standing.session, Arc::new(other));
        standing.extend(NOW);
        if stays {
            assert!(is_still_open(&mut body).await);
        } else {
            let next = timeout(Duration::from_secs(5), body.next()).await;
            assert!(next.unwrap().is_none());
        }
    }
}

/// HTTP-31
#[tokio::test]
async fn a_client_that_goes_away_in_a_stream_is_passed_on() {
    for method in [Method::GET, Method::POST] {
        let (backend, events, gone) = feed();
        let (address, token) = listening_in_front_of(backend).await;
        let response = client()
            .request(onto(address, method, post(&token, &list())))
            .await
            .unwrap();
        let mut body = response.into_body().into_data_stream();
        events.send("data: 1\n\n").await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "data: 1\n\n");
        drop(body);
        gone.await.unwrap();
    }
}

/// HTTP-31
#[tokio::test]
async fn a_client_that_goes_away_before_the_answer_is_passed_on() {
    let (arrived, arrival) = oneshot::channel();
    let (tell, gone) = oneshot::channel();
    let once = Arc::new(Mutex::new(Some((arrived, Gone(Some(tell))))));
    let think = move || {
        let (arrived, gone) = once.lock().unwrap().take().unwrap();
        async move {
            let _gone = gone;
            arrived.send(()).unwrap();
            std::future::pending::<()>().await;
        }
    };
    let (address, token) = listening_in_front_of(Router::new().route("/inner", any(think))).await;
    let request = client().request(onto(address, Method::POST, post(&token, &list())));
    let waiting = tokio::spawn(request);
    arrival.await.unwrap();
    waiting.abort();
    gone.await.unwrap();
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
