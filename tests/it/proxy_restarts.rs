//! A server that is restarted between two calls, and connections that end while a request is on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, StatusCode};
use tokio::task::{JoinHandle, JoinSet};

use crate::harness::backend::{Played, behind_a_gate, call, list, proxy_to};
use crate::harness::gate::{bodiless, post, send};
use crate::harness::patience::in_time;

/// A server that answers all requests on all connections until it is dropped: then all of them end.
struct Replying {
    connections: Arc<AtomicUsize>,
    running: JoinHandle<()>,
}

impl Replying {
    fn start(backend: Played) -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let running = tokio::spawn(async move {
            // ends with this task
            let mut wires = JoinSet::new();
            loop {
                let mut wire = backend.accept().await;
                counted.fetch_add(1, Ordering::SeqCst);
                wires.spawn(async move {
                    while wire.read().await.is_some() {
                        wire.answer("200 OK", "", "{}").await;
                    }
                });
            }
        });
        Self {
            connections,
            running,
        }
    }

    async fn stop(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

#[tokio::test]
async fn the_first_call_after_a_restart_of_the_server_succeeds() {
    let mut backend = Played::start_apart().await;
    let address = backend.address;
    let (router, token) = behind_a_gate(proxy_to(address));
    for round in 0..50 {
        let replying = Replying::start(backend);
        let used = || replying.connections.load(Ordering::SeqCst);
        // until a connection has been used again: so there is one that waits for the next call
        in_time("a connection is used again", async {
            let mut before = 0;
            // calls of a tool, which are never sent twice
            loop {
                let answer = send(&router, post(&token, &call())).await;
                assert_eq!(answer.status, 200, "{round}");
                // the connection goes back to where it waits
                for _ in 0..16 {
                    tokio::task::yield_now().await;
                }
                if used() == before {
                    break;
                }
                before = used();
            }
        })
        .await;
        replying.stop().await;
        backend = Played::start_at(address).await;
    }
}

#[tokio::test]
async fn a_server_that_is_down_between_is_502_until_it_is_back() {
    let backend = Played::start_apart().await;
    let address = backend.address;
    let (router, token) = behind_a_gate(proxy_to(address));
    let answering = async {
        let (mut wire, _) = backend.asked().await;
        wire.answer("200 OK", "", "{}").await;
        drop((wire, backend));
    };
    let (answer, ()) = tokio::join!(send(&router, post(&token, &call())), answering);
    assert_eq!(answer.status, 200);
    let answer = send(&router, post(&token, &call())).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let backend = Played::start_at(address).await;
    let answering = async {
        let (mut wire, _) = backend.asked().await;
        wire.answer("200 OK", "", "{}").await;
    };
    let (answer, ()) = tokio::join!(send(&router, post(&token, &call())), answering);
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_request_that_the_server_may_have_read_is_sent_again_if_it_only_asks() {
    let backend = Played::start().await;
    let (router, token) = behind_a_gate(proxy_to(backend.address));
    for (request, is_repeated) in [
        (post(&token, &list()), true),
        (bodiless(Method::GET, &token), true),
        (bodiless(Method::DELETE, &token), true),
        (post(&token, &call()), false),
    ] {
        let answering = async {
            let (wire, read) = backend.asked().await;
            drop(wire);
            if is_repeated {
                let (mut wire, again) = backend.asked().await;
                assert_eq!(read, again);
                wire.answer("200 OK", "", "{}").await;
            }
        };
        let (answer, ()) = tokio::join!(send(&router, request), answering);
        let expected = if is_repeated { 200 } else { 502 };
        assert_eq!(answer.status, expected);
    }
    // nobody waits in the queue: the call of a tool was sent once
    let next = async {
        let (mut wire, request) = backend.asked().await;
        assert!(request.contains("tools/list"), "{request}");
        wire.answer("200 OK", "", "{}").await;
    };
    tokio::join!(send(&router, post(&token, &list())), next);
}

#[tokio::test]
async fn a_request_is_sent_twice_and_not_for_ever() {
    let backend = Played::start().await;
    let (router, token) = behind_a_gate(proxy_to(backend.address));
    let answering = async {
        for _ in 0..2 {
            let (wire, _) = backend.asked().await;
            drop(wire);
        }
    };
    let (answer, ()) = tokio::join!(send(&router, post(&token, &list())), answering);
    assert_eq!(
        (answer.status, &answer.body["id"]),
        (StatusCode::BAD_GATEWAY, &7.into())
    );
}
