//! What clients are told where the server behind the proxy fails: never that their token is bad, and always under their id.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anteroom::clock::UnixTime;
use anteroom::protocol::identity::Identity;
use anteroom::protocol::ids::{ClientId, Id, Subject};
use anteroom::protocol::principal::{Principal, Standing};
use anteroom::protocol::scope::ScopeSet;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::backend::{
    Played, behind_a_gate, call, in_front_of, list, nobody, proxy_to, serve,
};
use crate::harness::gate::{bodiless, post, send, with};
use crate::harness::log::Log;
use crate::harness::process::free_port;

/// SEC-15
#[tokio::test]
async fn a_server_that_fails_is_never_told_as_a_bad_token() {
    async fn answer(State(status): State<StatusCode>) -> Response {
        let headers = [
            ("location", "http://inside/"),
            ("www-authenticate", "Bearer"),
            ("proxy-authenticate", "Basic"),
        ];
        (status, headers).into_response()
    }
    for (status, expected) in [
        (401, 502),
        (407, 502),
        (300, 502),
        (301, 502),
        (302, 502),
        (303, 502),
        (307, 502),
        (308, 502),
        (400, 400),
        (403, 403),
        (404, 404),
        (405, 405),
        (406, 406),
        (500, 500),
        (503, 503),
    ] {
        let backend = Router::new()
            .fallback(any(answer))
            .with_state(StatusCode::from_u16(status).unwrap());
        let (router, token) = in_front_of(backend).await;
        for request in [
            post(&token, &list()),
            bodiless(Method::GET, &token),
            bodiless(Method::DELETE, &token),
        ] {
            let answer = send(&router, request).await;
            assert_eq!(answer.status.as_u16(), expected, "{status}");
            for name in ["www-authenticate", "proxy-authenticate", "location"] {
                assert!(!answer.headers.contains_key(name), "{status} {name}");
            }
            assert_eq!(answer.code(), (expected == 502).then_some(502));
        }
    }
}

// a client of both eras goes by them
#[tokio::test]
async fn the_servers_own_refusal_passes_with_its_body() {
    for (status, code) in [
        (400, -32022),
        (400, -32020),
        (404, -32601),
        (404, -32001),
        (405, -32000),
        (406, -32000),
        (500, -32603),
    ] {
        let error = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": code, "message": "no"}});
        let answer = (
            StatusCode::from_u16(status).unwrap(),
            axum::Json(error.clone()),
        );
        let backend = Router::new().fallback(any(async move || answer));
        let (router, token) = in_front_of(backend).await;
        let answer = send(&router, post(&token, &list())).await;
        assert_eq!((answer.status.as_u16(), answer.body), (status, error));
    }
}

#[tokio::test]
async fn a_failure_carries_the_id_of_its_request_and_of_nothing_else() {
    let message =
        |id: Value, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method}).to_string();
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let response = json!({"jsonrpc": "2.0", "id": 3, "result": {}});
    let batch = format!("[{}]", message(json!(1), "ping"));
    let (_socket, address) = nobody();
    let (router, token) = behind_a_gate(proxy_to(address));
    for (request, id) in [
        (post(&token, &message(json!(7), "tools/list")), json!(7)),
        (
            post(&token, &message(json!("a\n\"b"), "ping")),
            json!("a\n\"b"),
        ),
        (post(&token, &call()), json!(7)),
        (post(&token, &notification.to_string()), Value::Null),
        (post(&token, &response.to_string()), Value::Null),
        (post(&token, &batch), Value::Null),
        (bodiless(Method::GET, &token), Value::Null),
        (bodiless(Method::DELETE, &token), Value::Null),
    ] {
        let answer = send(&router, request).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.body["jsonrpc"], "2.0");
        assert_eq!((answer.code(), &answer.body["id"]), (Some(502), &id));
    }
}

#[tokio::test]
async fn a_server_that_does_not_begin_to_answer_is_504() {
    let silent = serve(Router::new().fallback(any(std::future::pending::<()>))).await;
    let proxy = proxy_to(silent).with_head_limit(Duration::from_millis(20));
    let (router, token) = behind_a_gate(proxy);
    for (request, id) in [
        (post(&token, &call()), json!(7)),
        (bodiless(Method::GET, &token), Value::Null),
    ] {
        let answer = send(&router, request).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!((answer.code(), &answer.body["id"]), (Some(504), &id));
    }
}

#[tokio::test]
async fn a_call_that_may_have_been_carried_out_is_not_said_to_be_safe_to_repeat() {
    let said = |answer: &Value| answer["error"]["message"].as_str().unwrap().to_owned();
    let (_socket, address) = nobody();
    let (router, token) = behind_a_gate(proxy_to(address));
    let never = said(&send(&router, post(&token, &call())).await.body);
    assert!(never.contains("cannot be reached"), "{never}");
    assert!(!never.contains("carried out"), "{never}");

    let backend = Played::start().await;
    let (router, token) = behind_a_gate(proxy_to(backend.address));
    let (log, _listening) = Log::listen("anteroom=info");
    let (answer, ()) = tokio::join!(send(&router, post(&token, &call())), async {
        drop(backend.asked().await);
    });
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let broken = said(&answer.body);
    assert!(broken.contains("may have been carried out"), "{broken}");
    assert!(!broken.contains("cannot be reached"), "{broken}");
    assert!(!log.text().contains("cannot be reached"), "{}", log.text());
    assert!(log.text().contains("broke"), "{}", log.text());

    let silent = serve(Router::new().fallback(any(std::future::pending::<()>))).await;
    let proxy = proxy_to(silent).with_head_limit(Duration::from_millis(20));
    let (router, token) = behind_a_gate(proxy);
    let late = said(&send(&router, post(&token, &call())).await.body);
    assert!(late.contains("may have been carried out"), "{late}");
}

#[tokio::test]
async fn a_body_that_nobody_has_judged_is_not_sent_on_as_an_empty_one() {
    let identity = Identity {
        subject: Subject::new("github:1"),
        login: None,
        name: None,
        verified_email: None,
    };
    let client_id = ClientId::new("c");
    let session = Id::new(UnixTime(1_795_219_200));
    let principal = Arc::new(Principal {
        standing: Arc::new(Standing::new(session, client_id.clone(), identity)),
        client_id,
        scopes: ScopeSet::default(),
    });
    let backend = serve(Router::new().fallback(any(async || "it was asked"))).await;
    for (method, status) in [
        (Method::POST, 500),
        (Method::PUT, 500),
        (Method::GET, 200),
        (Method::DELETE, 200),
    ] {
        let mut request = post("token", &call());
        *request.method_mut() = method.clone();
        request.extensions_mut().insert(Arc::clone(&principal));
        let answer = proxy_to(backend).oneshot(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method}");
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_once_and_once_that_it_is_back() {
    let (log, _listening) = Log::listen("anteroom=info");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (router, token) = behind_a_gate(proxy_to(address));
    let told = |what: &str| log.text().matches(what).count();
    for _ in 0..3 {
        assert_eq!(send(&router, post(&token, &call())).await.status, 502);
    }
    assert_eq!(told("cannot be reached"), 1, "{}", log.text());
    let backend = Played::start_at(address).await;
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(send(&router, post(&token, &call())), async {
            let (mut wire, _) = backend.asked().await;
            wire.answer("200 OK", "connection: close\r\n", "{}").await;
        });
        assert_eq!(answer.status, 200);
    }
    assert_eq!(told("answers again"), 1, "{}", log.text());

    let (router, token) =
        in_front_of(Router::new().fallback(any(async || StatusCode::UNAUTHORIZED))).await;
    for _ in 0..3 {
        assert_eq!(send(&router, post(&token, &call())).await.status, 502);
    }
    assert_eq!(told("let it trust this proxy"), 1, "{}", log.text());
}

#[tokio::test]
async fn what_is_no_http_is_502() {
    for said in [
        "SSH-2.0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nx-a\0b: c\r\n\r\n",
        "",
    ] {
        let backend = Played::start().await;
        let (router, token) = behind_a_gate(proxy_to(backend.address));
        let answering = async {
            let (mut wire, _) = backend.asked().await;
            wire.write(said).await;
        };
        let asking = send(&router, post(&token, &call()));
        let (answer, ()) = tokio::join!(asking, answering);
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{said:?}");
        assert_eq!(answer.body["id"], 7, "{said:?}");
    }
}

#[tokio::test]
async fn no_other_protocol_is_spoken_on_the_connection() {
    let backend = Played::start().await;
    let (router, token) = behind_a_gate(proxy_to(backend.address));
    let answering = async {
        let (mut wire, request) = backend.asked().await;
        let request = request.to_ascii_lowercase();
        for name in [
            "upgrade",
            "connection",
            "http2-settings",
            "expect",
            "te",
            "trailer",
        ] {
            assert!(!request.contains(&format!("\r\n{name}:")), "{request}");
        }
        wire.write(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .await;
        wire
    };
    let mut request = with(
        post(&token, &call()),
        "connection",
        "upgrade, http2-settings",
    );
    for (name, value) in [
        ("upgrade", "websocket"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("te", "trailers"),
        ("trailer", "x-late"),
    ] {
        request = with(request, name, value);
    }
    let (answer, _wire) = tokio::join!(send(&router, request), answering);
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(!answer.headers.contains_key("upgrade"));
}

/// SEC-05
#[tokio::test]
async fn the_log_names_the_server_and_what_to_do_and_nothing_of_the_request() {
    let (log, _listening) = Log::listen("anteroom=info");
    let (_socket, address) = nobody();
    let (router, token) = behind_a_gate(proxy_to(address));
    let mut request = post(&token, &call());
    *request.uri_mut() = "/mcp?key=secret-of-the-query".parse().unwrap();
    send(&router, request).await;
    let (router, token) =
        in_front_of(Router::new().fallback(any(async || StatusCode::UNAUTHORIZED))).await;
    send(&router, post(&token, &call())).await;
    let text = log.text();
    let told = format!("http://{address}/inner");
    for part in [&*told, "cannot be reached", "let it trust this proxy"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for secret in ["secret-of-the-query", &token, "tools/call"] {
        assert!(!text.contains(secret), "{text}");
    }
}
