//! Children that do not answer what is no call: nobody waits for them for ever.

use serde_json::{Value, json};

use super::{Whose, played, rpc};

fn listening() -> Value {
    let wanted = json!({ "resourceSubscriptions": ["memo://1"] });
    json!({ "notifications": wanted })
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_is_being_subscribed_leaves_nothing_behind() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let wanted = listening();
    let mut asked = Box::pin(world.modern("mona", 3, "subscriptions/listen", &wanted));
    let mut coming = Box::pin(async {
        let mut child = world.child().await;
        child.next_of("resources/subscribe").await;
        child
    });
    // the head of the answer may come before anything of it
    let mut answer = None;
    let mut child = loop {
        tokio::select! {
            head = &mut asked, if answer.is_none() => answer = Some(head),
            child = &mut coming => break child,
        }
    };
    world.held(1).await;
    drop((asked, answer));
    world.held(0).await;
    child.next_of("resources/unsubscribe").await;
}

/// The child is the one who knows.
#[tokio::test]
async fn a_subscription_that_the_child_refuses_is_refused_to_everybody_who_waits_for_it() {
    let world = played(Whose::Everybody, "2025-06-18");
    let (mona, octavia) = (world.session("mona").await, world.session("octavia").await);
    let mut child = world.child().await;
    let wanted = json!({ "uri": "memo://secret" });
    let first = mona.ask(1, "resources/subscribe", &wanted).await;
    let asked = child.next().await;
    let second = octavia.ask(2, "resources/subscribe", &wanted).await;
    world.held(2).await;
    let refuse = |asked: &Value| {
        let error = json!({ "code": -32002, "message": "no" });
        json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error })
    };
    child.say(&refuse(&asked)).await;
    let asked = child.next().await;
    assert_eq!(asked["method"], "resources/subscribe");
    child.say(&refuse(&asked)).await;
    for answer in [first, second] {
        let (answer, _) = answer.last().await;
        assert_eq!(answer["error"]["code"], -32002, "{answer}");
    }
    world.held(0).await;
}

#[tokio::test]
async fn what_is_refused_whatever_it_asks_starts_no_child() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let list = rpc(1, "tools/list", &json!({}));
    let dead = [("mcp-session-id", "00000000-0000-0000-0000-000000000000")];
    assert_eq!(world.post("mona", &dead, &list).await.status, 404);
    let mut request = axum::extract::Request::post("/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("host", "localhost");
    request = request.header("x-person", "mona");
    let request = request.body(axum::body::Body::from(list.to_string()));
    let answer = tower::ServiceExt::oneshot(world.router.clone(), request.unwrap()).await;
    assert_eq!(answer.unwrap().status(), 406);
    assert!(world.lent.running.lock().await.is_empty());
}
