//! The end of the process: what is under way before the server behind is answered whole, and what only listens ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::backend::{Played, Wire, call};
use crate::harness::gate::rpc;
use crate::harness::listening::Listening;
use crate::harness::patience::in_time;
use crate::harness::revision::{MODERN, meta};

/// Before the limit of the drain, which is ten seconds.
const SOON: Duration = Duration::from_secs(9);

async fn ends_soon(served: Listening) {
    let ended = timeout(SOON, served.serving).await;
    ended.unwrap().unwrap().unwrap();
}

/// `subscriptions/listen` of 2026-07-28.
async fn subscribe(served: &Listening) -> Wire {
    let params = json!({
        "notifications": {"toolsListChanged": true},
        "_meta": meta(MODERN),
    });
    let headers = "mcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\n";
    let body = rpc("subscriptions/listen", &params);
    served.post(headers, &body).await
}

async fn listens_no_more(served: &Listening) {
    in_time("it stops listening", async {
        while TcpStream::connect(served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn stream(served: &Listening) -> Wire {
    served.ask("GET /mcp HTTP/1.1", "", "").await
}

#[tokio::test]
async fn a_call_under_way_is_answered_whole() {
    let backend = Played::start().await;
    let mut served = Listening::before(backend.address).await;
    let client = served.post("", &call()).await;
    let (mut wire, _) = backend.asked().await;
    served.stop();
    // it stops listening before it has answered
    listens_no_more(&served).await;
    wire.answer("200 OK", "", r#"{"jsonrpc":"2.0","id":7,"result":{}}"#)
        .await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.ends_with(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#),
        "{answer}"
    );
    ends_soon(served).await;
}

#[tokio::test]
async fn a_call_that_is_answered_as_a_stream_is_answered_whole_too() {
    let backend = Played::start().await;
    let mut served = Listening::before(backend.address).await;
    let mut client = served.post("", &call()).await;
    let (mut wire, _) = backend.asked().await;
    wire.begin_stream().await;
    wire.send("data: 1\n\n").await;
    assert!(client.read().await.unwrap().starts_with("HTTP/1.1 200 OK"));
    served.stop();
    listens_no_more(&served).await;
    wire.send("data: 2\n\n").await;
    wire.write("0\r\n\r\n").await;
    let rest = client.rest().await;
    assert!(rest.contains("data: 2\n\n"), "{rest}");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    ends_soon(served).await;
}

#[tokio::test]
async fn a_stream_that_only_listens_ends_at_once() {
    for is_modern in [false, true] {
        let backend = Played::start().await;
        let mut served = Listening::before(backend.address).await;
        let mut client = if is_modern {
            subscribe(&served).await
        } else {
            stream(&served).await
        };
        let (mut wire, _) = backend.asked().await;
        wire.begin_stream().await;
        wire.send("data: 1\n\n").await;
        let head = client.read().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        served.stop();
        let rest = timeout(SOON, client.rest()).await.unwrap();
        // an end, and not a break
        assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
        wire.closed().await;
        ends_soon(served).await;
    }
}

#[tokio::test]
async fn a_stream_that_has_not_begun_is_told_to_come_again() {
    let backend = Played::start().await;
    let mut served = Listening::before(backend.address).await;
    let client = stream(&served).await;
    let (wire, _) = backend.asked().await;
    served.stop();
    let answer = timeout(SOON, client.rest()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(answer.contains(r#""jsonrpc":"2.0""#), "{answer}");
    wire.closed().await;
    ends_soon(served).await;
}

#[tokio::test]
async fn nobody_who_waits_for_another_request_holds_up_the_end() {
    let backend = Played::start().await;
    let mut served = Listening::before(backend.address).await;
    let mut client = served.post("", &call()).await;
    let (mut wire, _) = backend.asked().await;
    wire.answer("200 OK", "", "{}").await;
    assert!(client.read().await.unwrap().ends_with("{}"));
    served.stop();
    ends_soon(served).await;
    client.closed().await;
}
