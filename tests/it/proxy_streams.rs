//! Streams through the proxy on real sockets: nothing is held up, and whoever goes away is missed on the other side.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::protocol::principal::Standing;
use anteroom::protocol::scope::ScopeSet;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::{StreamExt as _, stream};
use http::Method;
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::harness::backend::{Played, call, client, list, listening, onto, proxy_to, serve};
use crate::harness::gate::{NOW, World, bodiless, post};
use crate::harness::patience::in_time;

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
        let (address, token) = listening(proxy_to(serve(backend).await)).await;
        let request = onto(address, method, post(&token, &list()));
        // Nothing has been sent yet: the head alone must arrive.
        let response = in_time("the head", client().request(request))
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut body = response.into_body().into_data_stream();
        for event in ["data: 1\n\n", "data: 2\n\n", ": still there\n\n"] {
            events.send(event).await.unwrap();
            assert_eq!(
                in_time("an event, or the end", body.next())
                    .await
                    .unwrap()
                    .unwrap(),
                event
            );
        }
        drop(events);
        assert!(in_time("an event, or the end", body.next()).await.is_none());
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
    assert_eq!(
        in_time("an event, or the end", body.next())
            .await
            .unwrap()
            .unwrap(),
        "data: 1\n\n"
    );
    world.end_all();
    events.send("data: 2\n\n").await.unwrap();
    assert!(in_time("an event, or the end", body.next()).await.is_none());
    drop(body);
    in_time("the server is told", gone).await.unwrap();
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
    assert_eq!(
        in_time("an event, or the end", body.next())
            .await
            .unwrap()
            .unwrap(),
        "data: 1\n\n"
    );
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
        let next = in_time("the end of the stream", body.next()).await;
        assert!(next.is_none(), "{ends}");
        drop(body);
        in_time("the server is told", gone).await.unwrap();
    }
}

/// AT-13, SEC-15
#[tokio::test]
async fn an_open_stream_goes_on_while_it_cannot_be_told_whether_its_session_is_in_force() {
    let (world, _, mut body, _gone) = idle().await;
    world.sessions.is_down.store(true, Ordering::SeqCst);
    let asked = world.sessions.asked.load(Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(60));
    // who looks at the stream looks at its session
    in_time("it is asked", async {
        while world.sessions.asked.load(Ordering::SeqCst) == asked {
            assert!(is_still_open(&mut body).await);
        }
    })
    .await;
    assert!(is_still_open(&mut body).await);
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
            let next = in_time("the end of the stream", body.next()).await;
            assert!(next.is_none());
        }
    }
}

/// HTTP-31
#[tokio::test]
async fn a_client_that_goes_away_in_a_stream_is_missed_by_the_server() {
    for method in [Method::GET, Method::POST] {
        let backend = Played::start().await;
        let (address, token) = listening(proxy_to(backend.address)).await;
        let asking = client().request(onto(address, method, post(&token, &call())));
        let answering = async {
            let (mut wire, _) = backend.asked().await;
            wire.begin_stream().await;
            wire.send("data: 1\n\n").await;
            wire
        };
        let (response, wire) = tokio::join!(asking, answering);
        let mut body = response.unwrap().into_body().into_data_stream();
        assert_eq!(
            in_time("an event, or the end", body.next())
                .await
                .unwrap()
                .unwrap(),
            "data: 1\n\n"
        );
        drop(body);
        wire.closed().await;
    }
}

/// HTTP-31
#[tokio::test]
async fn a_client_that_goes_away_before_the_answer_is_missed_by_the_server() {
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let backend = Played::start().await;
        let (address, token) = listening(proxy_to(backend.address)).await;
        let request = onto(address, method, post(&token, &call()));
        let waiting = tokio::spawn(client().request(request));
        let (wire, _) = backend.asked().await;
        waiting.abort();
        wire.closed().await;
    }
}

/// HTTP-31
#[tokio::test]
async fn a_client_that_goes_away_takes_nobody_else_with_it() {
    let backend = Played::start().await;
    let (address, token) = listening(proxy_to(backend.address)).await;
    let ask = || client().request(onto(address, Method::POST, post(&token, &call())));
    let leaving = tokio::spawn(ask());
    let (left, _) = backend.asked().await;
    let staying = tokio::spawn(ask());
    let (mut kept, _) = backend.asked().await;
    leaving.abort();
    left.closed().await;
    kept.answer("200 OK", "", "{}").await;
    assert_eq!(staying.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_server_that_breaks_off_ends_the_stream_of_the_client() {
    for method in [Method::GET, Method::POST] {
        let backend = Played::start().await;
        let (address, token) = listening(proxy_to(backend.address)).await;
        let asking = client().request(onto(address, method, post(&token, &call())));
        let answering = async {
            let (mut wire, _) = backend.asked().await;
            wire.begin_stream().await;
            wire.send("data: 1\n\n").await;
            wire.write("ff\r\ndata: 2").await;
        };
        let (response, ()) = tokio::join!(asking, answering);
        let mut body = response.unwrap().into_body().into_data_stream();
        assert_eq!(
            in_time("an event, or the end", body.next())
                .await
                .unwrap()
                .unwrap(),
            "data: 1\n\n"
        );
        // the piece that came, and then the break and not an end
        let mut last = None;
        while let Some(piece) = in_time("an event, or the end", body.next()).await {
            last = Some(piece.is_err());
        }
        assert_eq!(last, Some(true));
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_in_an_answer_does_not_leave_half_of_it_as_whole() {
    let backend = Played::start().await;
    let (address, token) = listening(proxy_to(backend.address)).await;
    let asking = client().request(onto(address, Method::POST, post(&token, &call())));
    let answering = async {
        let (mut wire, _) = backend.asked().await;
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
        wire.write(head).await;
    };
    let (response, ()) = tokio::join!(asking, answering);
    let body = response.unwrap().into_body().collect().await;
    assert!(body.is_err());
}

// as HTTP/1.0 knows it
#[tokio::test]
async fn a_stream_without_length_ends_with_the_connection() {
    let backend = Played::start().await;
    let (address, token) = listening(proxy_to(backend.address)).await;
    let request = onto(address, Method::GET, bodiless(Method::GET, &token));
    let asking = client().request(request);
    let answering = async {
        let (mut wire, request) = backend.asked().await;
        assert!(request.starts_with("GET /inner HTTP/1.1\r\n"), "{request}");
        wire.write("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
            .await;
    };
    let (response, ()) = tokio::join!(asking, answering);
    let response = response.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_11);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "data: 1\n\n");
}

/// HTTP-40
#[tokio::test]
async fn a_session_is_ended_by_delete_and_its_answer_comes_back() {
    let backend = Played::start().await;
    let (address, token) = listening(proxy_to(backend.address)).await;
    for status in ["200 OK", "204 No Content", "405 Method Not Allowed"] {
        let request = onto(address, Method::DELETE, bodiless(Method::DELETE, &token));
        let asking = client().request(request);
        let answering = async {
            let (mut wire, request) = backend.asked().await;
            assert!(
                request.starts_with("DELETE /inner HTTP/1.1\r\n"),
                "{request}"
            );
            let answer = format!("HTTP/1.1 {status}\r\nallow: POST\r\nconnection: close\r\n\r\n");
            wire.write(&answer).await;
        };
        let (response, ()) = tokio::join!(asking, answering);
        let response = response.unwrap();
        assert_eq!(response.status().as_str(), &status[..3]);
        assert_eq!(response.headers()["allow"], "POST");
    }
}
