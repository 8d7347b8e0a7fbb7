//! One request and all that belongs to it: progress, cancellation, the end of the child.

use std::time::Duration;

use anteroom::backend::stdio::NoChild;
use anteroom::protocol::principal::NoUpstreamToken;
use serde_json::{Value, json};

use super::{Whose, World, played, text, tool};

/// A call that wants to hear of its progress under a token.
fn watched(token: &Value) -> Value {
    let mut params = tool("slow");
    params["_meta"] = json!({ "progressToken": token });
    params
}

fn progress_of(messages: &[Value]) -> Vec<(Value, u64)> {
    let of = |message: &Value| {
        assert_eq!(message["method"], "notifications/progress");
        let params = &message["params"];
        let progress = params["progress"].as_f64().unwrap();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        let progress = progress as u64;
        (params["progressToken"].clone(), progress)
    };
    messages.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_with_the_same_token_at_one_child_hear_each_of_their_own_progress() {
    let world = played(Whose::Everybody, "2025-06-18");
    let (mona, octavia) = (world.session("mona").await, world.session("octavia").await);
    let mut child = world.child().await;
    let token = json!("1");
    let asked = mona.ask(1, "tools/call", &watched(&token)).await;
    let of_mona = child.next().await;
    let asked_too = octavia.ask(1, "tools/call", &watched(&token)).await;
    let of_octavia = child.next().await;
    let modern = async {
        let third = world
            .modern("hubot", 1, "tools/call", &watched(&token))
            .await;
        third.last().await
    };
    let play = async {
        let of_hubot = child.next().await;
        for step in 1..=3 {
            child.progress(&of_mona, step).await;
            child.progress(&of_octavia, 10 + step).await;
            child.progress(&of_hubot, 20 + step).await;
        }
        for (request, what) in [(&of_hubot, "c"), (&of_octavia, "b"), (&of_mona, "a")] {
            child.answer(request, &text(what)).await;
        }
    };
    let ((third, third_before), ()) = tokio::join!(modern, play);
    let (first, before) = asked.last().await;
    let (second, second_before) = asked_too.last().await;
    for (answer, before, what, from) in [
        (first, before, "a", 0),
        (second, second_before, "b", 10),
        (third, third_before, "c", 20),
    ] {
        assert_eq!(answer["result"]["content"][0]["text"], what);
        let expected: Vec<_> = (1..=3).map(|step| (token.clone(), from + step)).collect();
        assert_eq!(progress_of(&before), expected, "{what}");
    }
}

/// The library would hand out progress and answer in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_progress_comes_before_the_answer_and_in_order() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    let mut child = world.child().await;
    for id in 1..40 {
        let asked = session.ask(id, "tools/call", &watched(&json!(id))).await;
        let request = child.next().await;
        for step in 0..8 {
            child.progress(&request, step).await;
        }
        child.answer(&request, &text("done")).await;
        let (_, before) = asked.last().await;
        let expected: Vec<_> = (0..8).map(|step| (json!(id), step)).collect();
        assert_eq!(progress_of(&before), expected);
    }
}

#[tokio::test]
async fn who_has_not_asked_for_progress_hears_of_none() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    let mut child = world.child().await;
    let asked = session.ask(1, "tools/call", &tool("slow")).await;
    let request = child.next().await;
    child.progress(&request, 1).await;
    child.answer(&request, &text("done")).await;
    assert_eq!(asked.last().await.1, Vec::<Value>::new());
}

#[tokio::test]
async fn a_cancelled_request_is_cancelled_at_the_child_under_its_number_there() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    let mut child = world.child().await;
    let _one = session.ask(71, "tools/call", &tool("slow")).await;
    let first = child.next().await;
    let other = session.ask(72, "tools/call", &tool("slow")).await;
    let second = child.next().await;
    session.cancel(71).await;
    let cancelled = child.next_of("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], first["id"]);
    // the late answer is nobody's
    child.answer(&first, &text("late")).await;
    child.answer(&second, &text("second")).await;
    let (answer, _) = other.last().await;
    assert_eq!(answer["id"], 72);
    assert_eq!(answer["result"]["content"][0]["text"], "second");
    world.held(0).await;
}

#[tokio::test]
async fn hanging_up_cancels_in_2026_07_28_before_and_after_the_stream_has_begun() {
    let world = played(Whose::OnePerson, "2025-06-18");
    world.session("mona").await;
    let mut child = world.child().await;
    for has_begun in [false, true] {
        let params = watched(&json!("p"));
        let mut asking = Box::pin(world.modern("mona", 1, "tools/call", &params));
        let request = tokio::select! {
            _ = &mut asking => panic!("nothing was said yet"),
            request = child.next() => request,
        };
        if has_begun {
            child.progress(&request, 1).await;
            let mut answer = asking.await;
            answer.next_of("notifications/progress").await;
            drop(answer);
        } else {
            drop(asking);
        }
        let cancelled = child.next_of("notifications/cancelled").await;
        assert_eq!(cancelled["params"]["requestId"], request["id"]);
        world.held(0).await;
    }
}

#[tokio::test]
async fn hanging_up_does_not_cancel_in_the_older_revisions() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    let mut child = world.child().await;
    let asked = session.ask(1, "tools/call", &tool("slow")).await;
    let request = child.next().await;
    drop(asked);
    let other = session.ask(2, "tools/call", &tool("fast")).await;
    let next = child.next().await;
    assert_eq!(next["params"]["name"], "fast", "{next}");
    child.answer(&next, &text("fast")).await;
    other.last().await;
    world.held(1).await;
    child.answer(&request, &text("slow")).await;
    world.held(0).await;
}

#[tokio::test]
async fn a_child_that_ends_in_a_call_is_told_of_and_the_next_call_finds_another() {
    for is_modern in [false, true] {
        let world = played(Whose::OnePerson, "2025-06-18");
        let session = world.session("mona").await;
        let mut child = world.child().await;
        let asked = async {
            if is_modern {
                world.modern("mona", 9, "tools/call", &tool("slow")).await
            } else {
                session.ask(9, "tools/call", &tool("slow")).await
            }
        };
        let die = async {
            child.next().await;
            drop(child);
        };
        let (answer, ()) = tokio::join!(asked, die);
        assert_eq!(answer.status, 200);
        let (answer, _) = answer.last().await;
        assert_eq!(answer["id"], 9);
        assert_eq!(answer["error"]["code"], -32603);
        let told = answer["error"]["message"].as_str().unwrap();
        assert!(
            told.contains("ended before it answered; try again"),
            "{told}"
        );
        let ended = tokio::time::timeout(super::PATIENCE, again(&world, &session));
        assert_eq!(ended.await.unwrap(), "back");
    }
}

/// Calls until a fresh child answers.
async fn again(world: &World, session: &super::Session) -> String {
    let call = tool("again");
    let asked = session.ask(10, "tools/call", &call);
    let answered = async {
        let mut child = world.child().await;
        let request = child.next().await;
        child.answer(&request, &text("back")).await;
        child
    };
    let (answer, _child) = tokio::join!(asked, answered);
    let (answer, _) = answer.last().await;
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn without_a_child_the_answer_says_when_to_come_again_and_is_never_a_401() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    for (none, status, again) in [
        (NoChild::TooMany, 503, Some("5")),
        (
            NoChild::NotStarted(Duration::from_millis(2500)),
            503,
            Some("3"),
        ),
        (NoChild::NotStarted(Duration::ZERO), 503, Some("1")),
        (NoUpstreamToken::Unavailable.into(), 503, Some("5")),
        (NoUpstreamToken::None.into(), 502, None),
        (NoUpstreamToken::Ended.into(), 503, Some("5")),
    ] {
        *world.lent.none.lock().unwrap() = Some(none.clone());
        for answer in [
            session.ask(17, "tools/list", &json!({})).await,
            world.modern("mona", 17, "tools/list", &json!({})).await,
        ] {
            assert_eq!(answer.status, status, "{none:?}");
            let header = answer.headers.get("retry-after");
            assert_eq!(header.map(|value| value.to_str().unwrap()), again);
            let (answer, _) = answer.last().await;
            assert_eq!(answer["id"], 17);
            assert_eq!(answer["error"]["code"], status);
        }
    }
    // what needs no child is answered all the same
    let (pong, _) = session.ask(18, "ping", &json!({})).await.last().await;
    assert_eq!(pong["result"], json!({}));
}

#[tokio::test]
async fn a_child_is_in_use_until_its_answer_is_out_and_no_longer() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    let stream = session.stream().await;
    world.held(0).await;
    let mut child = world.child().await;
    let asked = session.ask(1, "tools/call", &tool("slow")).await;
    let request = child.next().await;
    world.held(1).await;
    child.answer(&request, &text("done")).await;
    asked.last().await;
    world.held(0).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_huge_answers_nor_floods_nor_who_does_not_read_hold_up_others() {
    let world = played(Whose::Everybody, "2025-06-18");
    let (mona, octavia) = (world.session("mona").await, world.session("octavia").await);
    let mut child = world.child().await;
    let _unread = mona.stream().await;
    let stuck = mona.ask(1, "tools/call", &watched(&json!("p"))).await;
    let flooded = child.next().await;
    for step in 0..2_000 {
        child.progress(&flooded, step).await;
        child
            .notify("notifications/tools/list_changed", &json!({}))
            .await;
    }
    let asked = octavia.ask(1, "tools/call", &tool("big")).await;
    let request = child.next().await;
    let big = "line\u{2028}separator\u{2029} \u{0085} \u{1f600} \r\n".repeat(1 << 19);
    child.answer(&request, &text(&big)).await;
    let (answer, _) = asked.last().await;
    assert!(answer["result"]["content"][0]["text"] == big.as_str());
    drop(stuck);
}

#[tokio::test]
async fn without_a_gate_nothing_is_answered() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let body = super::rpc(1, "tools/list", &json!({}));
    let answer = world.post("mona", &[("x-no-gate", "1")], &body).await;
    assert_eq!(answer.status, 403);
    world.held(0).await;
}
