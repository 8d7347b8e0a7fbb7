//! What a child asks of its client, and who is asked.

use serde_json::{Value, json};

use super::wire::Wire;
use super::{Whose, played, text, tool};

pub(super) fn sampling() -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": "hi" } });
    json!({ "messages": [message], "maxTokens": 5 })
}

/// A question of the child, and what it is answered.
pub(super) async fn asks(child: &mut Wire, method: &str, params: &Value) -> Value {
    child
        .say(&json!({ "jsonrpc": "2.0", "id": "q", "method": method, "params": params }))
        .await;
    loop {
        let answer = child.next().await;
        if answer["id"] == "q" {
            return answer;
        }
    }
}

#[tokio::test]
async fn a_question_goes_to_the_client_whose_request_is_under_way() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let able = json!({ "sampling": {}, "elicitation": {}, "roots": {} });
    let (session, _) = world.session_with("mona", "2025-06-18", &able).await;
    let mut child = world.child().await;
    let mut asked = session.ask(1, "tools/call", &tool("slow")).await;
    let request = child.next().await;
    let form =
        json!({ "message": "who?", "requestedSchema": { "type": "object", "properties": {} } });
    for (method, params, result) in [
        (
            "sampling/createMessage",
            sampling(),
            json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "yes" } }),
        ),
        (
            "elicitation/create",
            form,
            json!({ "action": "accept", "content": { "n": 1 } }),
        ),
        (
            "roots/list",
            json!({}),
            json!({ "roots": [{ "uri": "file:///home" }] }),
        ),
    ] {
        let client = async {
            // on the stream of the request that it belongs to
            let question = asked.next_of(method).await;
            let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
            assert_eq!(session.post(&answer).await.status, 202);
        };
        let (answer, ()) = tokio::join!(asks(&mut child, method, &params), client);
        for (key, value) in result.as_object().unwrap() {
            assert_eq!(&answer["result"][key], value, "{method}: {answer}");
        }
    }
    child.answer(&request, &text("done")).await;
    asked.last().await;
}

#[tokio::test]
async fn a_question_with_nobody_to_ask_is_answered_why() {
    let refused = async |child: &mut Wire, why: &str| {
        let answer = asks(child, "sampling/createMessage", &sampling()).await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
        let told = answer["error"]["message"].as_str().unwrap();
        assert!(told.contains(why), "{told}");
        let pong = asks(child, "ping", &json!({})).await;
        assert_eq!(pong["result"], json!({}));
    };
    let able = json!({ "sampling": {} });
    let world = played(Whose::OnePerson, "2025-06-18");
    let (session, _) = world.session_with("mona", "2025-06-18", &able).await;
    let mut child = world.child().await;
    refused(&mut child, "not exactly one request").await;
    let _one = session.ask(1, "tools/call", &tool("slow")).await;
    let first = child.next().await;
    let _two = session.ask(2, "tools/call", &tool("slow")).await;
    let second = child.next().await;
    refused(&mut child, "not exactly one request").await;
    child.answer(&first, &text("a")).await;
    child.answer(&second, &text("b")).await;
    world.held(0).await;

    let unable = world.session("mona").await;
    let _one = unable.ask(1, "tools/call", &tool("slow")).await;
    let request = child.next().await;
    refused(&mut child, "has not declared it").await;
    child.answer(&request, &text("c")).await;
    world.held(0).await;

    let play = async {
        let request = child.next().await;
        refused(&mut child, "speaks 2026-07-28").await;
        child.answer(&request, &text("d")).await;
    };
    let slow = tool("slow");
    let (answer, ()) = tokio::join!(world.modern("mona", 1, "tools/call", &slow), play);
    answer.last().await;

    let world = played(Whose::Everybody, "2025-06-18");
    let (session, _) = world.session_with("mona", "2025-06-18", &able).await;
    let mut child = world.child().await;
    let _one = session.ask(1, "tools/call", &tool("slow")).await;
    child.next().await;
    refused(&mut child, "several people").await;
}

#[tokio::test]
async fn a_question_ends_with_the_request_that_it_belongs_to() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let (session, _) = world
        .session_with("mona", "2025-06-18", &json!({ "sampling": {} }))
        .await;
    let mut child = world.child().await;
    let mut asked = session.ask(1, "tools/call", &tool("slow")).await;
    child.next().await;
    let cancels = async {
        asked.next_of("sampling/createMessage").await;
        session.cancel(1).await;
    };
    let params = sampling();
    let (answer, ()) = tokio::join!(asks(&mut child, "sampling/createMessage", &params), cancels);
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    world.held(0).await;
}
