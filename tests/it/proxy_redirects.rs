//! Servers that send requests on: followed on their own origin, and nowhere else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;

use crate::harness::backend::{behind_a_gate, call, in_front_of, proxy_to, serve};
use crate::harness::gate::{bodiless, post, send, with};
use crate::harness::log::Log;

type Seen = Arc<Mutex<Vec<(Method, Uri, HeaderMap, Bytes)>>>;

/// A server that answers everything, and keeps what it saw.
fn witness(seen: &Seen) -> Router {
    async fn look(
        State(seen): State<Seen>,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> &'static str {
        seen.lock().unwrap().push((method, uri, headers, body));
        "{}"
    }
    Router::new()
        .fallback(any(look))
        .with_state(Arc::clone(seen))
}

fn redirect(status: u16, location: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("location", location)]).into_response()
}

#[tokio::test]
async fn a_redirect_to_another_path_of_the_server_is_followed_with_all_that_was_sent() {
    for status in [307, 308] {
        let seen = Seen::default();
        let backend = witness(&seen).route(
            "/inner",
            any(async move |uri: Uri| {
                let query = uri.query().map(|query| format!("?{query}"));
                redirect(status, &format!("/inner/{}", query.unwrap_or_default()))
            }),
        );
        let (router, token) = in_front_of(backend).await;
        let mut request = with(post(&token, &call()), "x-custom", "kept");
        *request.uri_mut() = "/mcp?a=b".parse().unwrap();
        assert_eq!(send(&router, request).await.status, 200);
        for method in [Method::GET, Method::DELETE] {
            let answer = send(&router, bodiless(method, &token)).await;
            assert_eq!(answer.status, 200);
            assert!(!answer.headers.contains_key("location"));
        }
        let seen = seen.lock().unwrap();
        let (method, uri, headers, body) = &seen[0];
        assert_eq!((method, &*uri.to_string()), (&Method::POST, "/inner/?a=b"));
        assert_eq!(body, &call());
        assert_eq!(headers["x-custom"], "kept");
        assert_eq!(headers["x-anteroom-user"], "github:1");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!((&seen[1].0, &seen[2].0), (&Method::GET, &Method::DELETE));
    }
}

/// What a server was asked, in order.
fn paths(seen: &Seen) -> String {
    let mut seen = seen.lock().unwrap();
    let paths: Vec<_> = seen.drain(..).map(|(_, uri, ..)| uri.to_string()).collect();
    paths.join(" ")
}

#[tokio::test]
async fn where_a_server_has_moved_for_good_is_asked_at_once_until_it_is_not_there() {
    for (status, later) in [(308, "/new"), (307, "/inner /new")] {
        let seen = Seen::default();
        let gone = Arc::new(Mutex::new(false));
        let (looking, going) = (Arc::clone(&seen), Arc::clone(&gone));
        let backend = Router::new().fallback(any(async move |uri: Uri| {
            let asked = (Method::POST, uri.clone(), HeaderMap::new(), Bytes::new());
            looking.lock().unwrap().push(asked);
            match (uri.path(), *going.lock().unwrap()) {
                ("/inner", false) => redirect(status, "/new"),
                ("/new", true) => StatusCode::NOT_FOUND.into_response(),
                _ => "{}".into_response(),
            }
        }));
        let (router, token) = in_front_of(backend).await;
        let ask = async || send(&router, post(&token, &call())).await.status.as_u16();
        assert_eq!((ask().await, &*paths(&seen)), (200, "/inner /new"));
        assert_eq!((ask().await, &*paths(&seen)), (200, later));
        let mut request = post(&token, &call());
        *request.uri_mut() = "/mcp?a=b".parse().unwrap();
        send(&router, request).await;
        let (first, _) = later.split_once(' ').unwrap_or((later, ""));
        assert!(paths(&seen).starts_with(&format!("{first}?a=b")));
        *gone.lock().unwrap() = true;
        // the answer is the server's own; the next one begins at what was configured
        ask().await;
        paths(&seen);
        assert_eq!((ask().await, &*paths(&seen)), (200, "/inner"));
    }
}

/// P10
#[tokio::test]
async fn nothing_is_sent_to_where_nobody_configured() {
    let elsewhere = Seen::default();
    let other = serve(witness(&elsewhere)).await;
    for status in [301, 302, 303, 307, 308] {
        for location in [
            format!("http://{other}/inner"),
            format!("//{other}/inner"),
            format!("/\\{other}/inner"),
            format!("http://me@{other}/inner"),
        ] {
            let seen = Seen::default();
            let answered = location.clone();
            let backend =
                witness(&seen).route("/inner", any(async move || redirect(status, &answered)));
            let (router, token) = in_front_of(backend).await;
            let answer = send(&router, post(&token, &call())).await;
            assert_eq!(
                answer.status,
                StatusCode::BAD_GATEWAY,
                "{status} {location}"
            );
            assert_eq!(
                (answer.code(), &answer.body["id"]),
                (Some(502), &Value::from(7))
            );
            assert!(!answer.headers.contains_key("location"));
            assert!(!answer.body.to_string().contains(&other.to_string()));
            assert!(seen.lock().unwrap().is_empty());
        }
    }
    assert!(elsewhere.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_that_makes_another_request_of_it_is_not_followed() {
    for status in [300, 301, 302, 303] {
        let seen = Seen::default();
        let backend =
            witness(&seen).route("/inner", any(async move || redirect(status, "/inner/")));
        let (router, token) = in_front_of(backend).await;
        let answer = send(&router, post(&token, &call())).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{status}");
        assert!(seen.lock().unwrap().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_circle_of_redirects_has_an_end() {
    let seen = Seen::default();
    let counted = Arc::clone(&seen);
    let backend = Router::new().fallback(any(async move |uri: Uri| {
        let asked = (Method::POST, uri, HeaderMap::new(), Bytes::new());
        counted.lock().unwrap().push(asked);
        redirect(307, "/inner")
    }));
    let (router, token) = in_front_of(backend).await;
    let answer = send(&router, post(&token, &call())).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn the_log_says_what_to_write_as_the_backend() {
    let (log, _listening) = Log::listen("anteroom=info");
    let backend = Router::new()
        .route(
            "/inner",
            any(async || redirect(302, "https://far.example/mcp?token=secret")),
        )
        .route("/other", any(async || redirect(307, "/moved")))
        .route("/moved", any(async || "{}"));
    let address = serve(backend).await;
    let (router, token) = behind_a_gate(proxy_to(address));
    send(&router, post(&token, &call())).await;
    let url = url::Url::parse(&format!("http://{address}/other")).unwrap();
    let (router, token) = behind_a_gate(anteroom::backend::http::Proxy::new(&url).unwrap());
    for _ in 0..3 {
        assert_eq!(send(&router, post(&token, &call())).await.status, 200);
    }
    let text = log.text();
    assert!(
        text.contains("to=https://far.example/mcp\n")
            || text.contains("to=https://far.example/mcp "),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(text.matches("/moved").count(), 1, "{text}");
}
