//! Several clients of one person, at one child: one may have been given less than another.

use serde_json::{Value, json};

use super::notices::heard_until_change;
use super::questions::{asks, sampling};
use super::{Whose, played, text, tool};

/// RS-12
#[tokio::test]
async fn what_a_child_logs_in_a_call_of_one_client_is_not_told_to_another_of_the_same_person() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let (little, much) = (
        world.session("mona@little").await,
        world.session("mona@much").await,
    );
    let mut child = world.child().await;
    let (mut of_little, mut of_much) = (little.stream().await, much.stream().await);
    child.log("info", "with nobody").await;
    let asked = much.ask(1, "tools/call", &tool("slow")).await;
    let request = child.next().await;
    child.log("info", "with much").await;
    child
        .notify("notifications/x", &json!({ "of": "much" }))
        .await;
    let asked_too = little.ask(1, "tools/call", &tool("slow")).await;
    let other = child.next().await;
    child.log("info", "with both").await;
    child.answer(&request, &text("a")).await;
    asked.last().await;
    child.answer(&other, &text("b")).await;
    asked_too.last().await;
    let heard = heard_until_change(&mut child, &mut of_much).await;
    let heard: Vec<_> = heard
        .iter()
        .map(|said| (&said["data"], &said["of"]))
        .collect();
    let (with, of, none) = (json!("with much"), json!("much"), Value::Null);
    assert_eq!(heard, [(&with, &none), (&none, &of)]);
    let heard = heard_until_change(&mut child, &mut of_little).await;
    assert_eq!(heard, Vec::<Value>::new());
}

/// RS-12
#[tokio::test]
async fn a_client_that_has_no_session_is_spoken_of_to_no_other_client_either() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let little = world.session("mona@little").await;
    let mut child = world.child().await;
    let mut of_little = little.stream().await;
    let play = async {
        let request = child.next().await;
        child.log("info", "with much").await;
        child.answer(&request, &text("a")).await;
    };
    let slow = tool("slow");
    let (asked, ()) = tokio::join!(world.modern("mona@much", 1, "tools/call", &slow), play);
    asked.last().await;
    child.log("info", "of much, later").await;
    let heard = heard_until_change(&mut child, &mut of_little).await;
    assert_eq!(heard, Vec::<Value>::new());
}

/// RS-12
#[tokio::test]
async fn what_a_child_asks_in_a_request_that_was_given_up_is_not_put_to_another_client() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let able = json!({ "sampling": {} });
    let (first, _) = world.session_with("mona@first", "2025-06-18", &able).await;
    let (second, _) = world.session_with("mona@second", "2025-06-18", &able).await;
    let mut child = world.child().await;
    let _given_up = first.ask(1, "tools/call", &tool("slow")).await;
    let ignored = child.next().await;
    first.cancel(1).await;
    child.next_of("notifications/cancelled").await;
    world.held(0).await;

    let mut asked = second.ask(2, "tools/call", &tool("slow")).await;
    let request = child.next().await;
    let refused = asks(&mut child, "sampling/createMessage", &sampling()).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");

    // now it is known to be over
    child.answer(&ignored, &text("late")).await;
    let result =
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "yes" } });
    let client = async {
        let question = asked.next_of("sampling/createMessage").await;
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
        assert_eq!(second.post(&answer).await.status, 202);
    };
    let params = sampling();
    let (answer, ()) = tokio::join!(asks(&mut child, "sampling/createMessage", &params), client);
    assert_eq!(answer["result"]["model"], "m", "{answer}");
    child.answer(&request, &text("done")).await;
    asked.last().await;
}
