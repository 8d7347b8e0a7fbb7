//! Lists in event streams: answers of a POST and of a stream that is taken up again, however they are cut into pieces.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::{ServiceExt as _, service_fn};

use crate::harness::gate::{World, bodiless, post, rpc, with};
use crate::listing::{EVERYTHING, Got, POLICY, Says, ask};

const TOOLS: &str =
    r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"add"},{"name":"delete_all"}]}}"#;
const LEFT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"add"}]}}"#;
const PROGRESS: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"tools":[{"name":"delete_all"}]}}"#;
const HELD_BACK: &str = r#"{"jsonrpc":"2.0","id":7,"error":{"code":502,"message":"the list that the server sent cannot be read, so that nobody knows what of it is open to this token"}}"#;

fn stream(pieces: &[&[u8]]) -> Says {
    Says {
        status: 200,
        headers: vec![("content-type", "text/event-stream; charset=utf-8")],
        pieces: pieces.iter().map(|piece| piece.to_vec()).collect(),
    }
}

async fn posted(scopes: &str, says: &Says) -> Got {
    let list = rpc("tools/list", &json!({}));
    ask(scopes, says, |token| post(token, &list)).await
}

async fn resumed(scopes: &str, says: &Says) -> Got {
    let resume = |token: &str| with(bodiless(Method::GET, token), "last-event-id", "3");
    ask(scopes, says, resume).await
}

/// RS-14
#[tokio::test]
async fn lists_are_filtered_in_the_answer_and_in_what_is_repeated_of_it() {
    let said = format!(
        ": hi\n\nid: 4\nevent: message\ndata: {PROGRESS}\n\nid:5\ndata:{TOOLS}\nretry: 9\n\n"
    );
    let expected = said.replace(&format!("data:{TOOLS}"), &format!("data: {LEFT}"));
    let says = stream(&[said.as_bytes()])
        .header("content-length", "9999")
        .header("etag", "x");
    for got in [
        posted("list call", &says).await,
        resumed("list call", &says).await,
    ] {
        assert_eq!((got.status, got.text()), (StatusCode::OK, &*expected));
        assert_eq!(
            got.headers["content-type"],
            "text/event-stream; charset=utf-8"
        );
        assert_eq!(got.headers["x-accel-buffering"], "no");
        for gone in ["content-length", "etag"] {
            assert!(!got.headers.contains_key(gone), "{gone}");
        }
    }
    for got in [
        posted(EVERYTHING, &says).await,
        resumed(EVERYTHING, &says).await,
    ] {
        assert_eq!(got.text(), said);
    }
    let call = rpc("tools/call", &json!({"name": "add"}));
    let got = ask("list call", &says, |token| post(token, &call)).await;
    assert_eq!(got.text(), said, "the answer to a call is not looked at");
}

/// RS-14
#[tokio::test]
async fn where_the_pieces_are_cut_makes_no_difference() {
    for end in ["\n", "\r\n", "\r"] {
        let said = format!(
            "\u{FEFF}: ä\ndata: {{\"result\":{{\"prompts\":\ndata: [{{\"name\":\"p\"}},\nid: 1\ndata:{{\"name\":\"secret_x\"}}]}}}}\n\n\
             data\n\nid: 2\ndata: x\n\n:\n\ndata: {TOOLS}\n\ndata: {{\"a\":\ndata: 1}}\n\n"
        );
        let left = said.replace(
            "data: {\"result\":{\"prompts\":\ndata: [{\"name\":\"p\"},\nid: 1\ndata:{\"name\":\"secret_x\"}]}}\n",
            "data: {\"result\":{\"prompts\":\ndata: []}}\nid: 1\n",
        );
        let left = left.replace(TOOLS, LEFT).replace('\n', end);
        let said = said.replace('\n', end);
        for at in 0..said.len() {
            let (first, rest) = said.as_bytes().split_at(at);
            let got = resumed("list call", &stream(&[first, rest])).await;
            assert_eq!(got.text(), left, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = said.as_bytes().chunks(1).collect();
        assert_eq!(resumed("list call", &stream(&bytes)).await.text(), left);
    }
}

/// RS-15
#[tokio::test]
async fn an_event_that_cannot_be_read_is_held_back_and_the_stream_goes_on() {
    let twice = r#"{"id":7,"result":{"tools":[],"tools":[{"name":"delete_all"}]}}"#;
    for (data, tells_whom) in [
        (format!("data: {twice}\n"), true),
        (format!("data: {TOOLS}\nData: {TOOLS}\n"), true),
        (
            "data: {\"result\":{\"tools\":[{\"name\":\"delete_all\"}]\n".to_owned(),
            false,
        ),
        (format!("data: \u{FEFF}{TOOLS}\n"), false),
        (format!("data: x {TOOLS}\n"), false),
    ] {
        let said = format!("id: 1\n{data}event: message\n\ndata: {PROGRESS}\n\n");
        let says = stream(&[said.as_bytes()]);
        let (here, at_end) = if tells_whom {
            (format!("data: {HELD_BACK}\n"), String::new())
        } else {
            (String::new(), format!("data: {HELD_BACK}\n\n"))
        };
        let left = format!("id: 1\n{here}event: message\n\ndata: {PROGRESS}\n\n");
        assert_eq!(resumed("list call", &says).await.text(), left);
        // who waits for the answer learns that there will be none
        let posted = posted("list call", &says).await;
        assert_eq!(posted.text(), format!("{left}{at_end}"));
    }
    let not_utf8 = [
        b"data: {\"result\":{\"x\":\"\xFF\"}}\n\n".as_slice(),
        b": on\n\n",
    ];
    assert_eq!(
        resumed("list call", &stream(&not_utf8)).await.text(),
        "\n: on\n\n"
    );
    let encoded = stream(&[b": x\n\n"]).header("content-encoding", "br");
    assert_eq!(resumed("list call", &encoded).await.status, 502);
}

/// RS-15
#[tokio::test]
async fn what_cannot_be_read_before_the_answer_does_not_stand_for_it() {
    let progress = r#"{"method":"notifications/progress","method":"x"}"#;
    let said = format!("data: {progress}\n\ndata: {TOOLS}\n\n");
    let got = posted("list call", &stream(&[said.as_bytes()])).await;
    assert_eq!(got.text(), format!("\ndata: {LEFT}\n\n"));
    // where no answer comes, that is said once
    let said = format!("data: {progress}\n\ndata: {progress}\n\nid: 1\n");
    let got = posted("list call", &stream(&[said.as_bytes()])).await;
    assert_eq!(got.text(), format!("\n\nid: 1\n\n\ndata: {HELD_BACK}\n\n"));
}

/// RS-15
#[tokio::test]
async fn whoever_waits_for_an_answer_that_is_too_long_is_told() {
    let block = vec![b'x'; 1 << 20];
    let begin = br#"data: {"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"#;
    let mut pieces: Vec<&[u8]> = vec![begin, b"\""];
    pieces.extend(vec![&block[..]; 17]);
    pieces.push(b"\"}]}}\n\n");
    let says = stream(&pieces);
    for got in [
        resumed("list call", &says).await,
        posted("list call", &says).await,
    ] {
        assert_eq!(got.text(), format!("data: {HELD_BACK}\n\n"));
    }
}

/// RS-15
#[tokio::test]
async fn an_event_that_is_too_long_is_held_back() {
    let block = vec![b'x'; 1 << 20];
    let mut pieces: Vec<&[u8]> = vec![b"id: 1\n", b"data: {\""];
    pieces.extend(vec![&block[..]; 17]);
    let end = format!("\":1}}\r\ndata: {TOOLS}\n\r\ndata: {TOOLS}\n\n");
    pieces.push(end.as_bytes());
    let says = stream(&pieces);
    assert_eq!(
        resumed("list call", &says).await.text(),
        format!("id: 1\n\r\ndata: {LEFT}\n\n")
    );
    assert_eq!(
        posted("list call", &says).await.text(),
        format!("id: 1\n\r\ndata: {LEFT}\n\n")
    );
}

/// RS-15
#[tokio::test]
async fn an_event_is_filtered_however_its_field_is_spelled() {
    for field in ["data", "Data", " data ", "\u{FEFF}data"] {
        let said = format!("{field}: {TOOLS}\n\n");
        let got = resumed("list call", &stream(&[said.as_bytes()])).await;
        assert_eq!(got.text(), format!("data: {LEFT}\n\n"), "{field:?}");
    }
    for said in [format!("data: {TOOLS}\n"), format!("data: {TOOLS}")] {
        let got = resumed("list call", &stream(&[said.as_bytes()])).await;
        assert_eq!(got.text(), format!("data: {LEFT}\n"), "without its end");
    }
}

#[tokio::test]
async fn an_event_is_passed_on_when_it_is_complete() {
    let mut world = World::new().with_policy(&POLICY);
    let token = world.token("github:1", "c", "list call");
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let router = world.before(service_fn(move |_: Request| {
        let mut receiver = receiver.lock().unwrap().take().unwrap();
        let pieces = futures_util::stream::poll_fn(move |context| {
            receiver
                .poll_recv(context)
                .map(|piece| piece.map(Ok::<_, Infallible>))
        });
        let response = Response::builder().header("content-type", "text/event-stream");
        async { Ok::<_, Infallible>(response.body(Body::from_stream(pieces)).unwrap()) }
    }));
    let mut body = router
        .oneshot(bodiless(Method::GET, &token))
        .await
        .unwrap()
        .into_body();
    for (sent, got) in [
        (": beat\n", Some(": beat\n")),
        ("\n", Some("\n")),
        ("id: 1\r", Some("id: 1\r")),
        ("\ndata: {}\r\n\r", Some("\ndata: {}\r\n\r")),
        ("\ndata: {\"a\":", Some("\n")),
        ("1}\n", None),
        ("\n", Some("data: {\"a\":1}\n\n")),
    ] {
        sender.send(Bytes::from(sent)).unwrap();
        let frame = body.frame().now_or_never();
        let frame = frame.map(|frame| frame.unwrap().unwrap().into_data().unwrap());
        assert_eq!(frame.as_deref(), got.map(str::as_bytes), "after {sent:?}");
    }
    drop(sender);
    assert!(body.frame().await.is_none());
}
