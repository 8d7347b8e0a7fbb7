//! Nothing of one person reaches another.

use serde_json::{Value, json};

use super::{Whose, played, text, tool};

/// RS-12
#[tokio::test]
async fn somebody_elses_session_is_no_way_to_their_child_nor_to_what_it_says() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    let mut child = world.child().await;
    let mut stolen = session.clone();
    stolen.person = "octavia";
    let (answer, _) = stolen.ask(1, "tools/call", &tool("x")).await.last().await;
    let told = answer["error"]["message"].as_str().unwrap();
    assert!(told.contains("no such session"), "{answer}");
    let mut others_child = world.child().await;
    others_child.log("info", "of octavia").await;

    let asked = session.ask(2, "tools/call", &tool("mine")).await;
    let request = child.next().await;
    assert_eq!(
        request["params"]["name"], "mine",
        "nothing went there before"
    );
    child.answer(&request, &text("done")).await;
    assert_eq!(asked.last().await.1, Vec::<Value>::new());
    let mut stream = session.stream().await;
    child
        .notify("notifications/tools/list_changed", &json!({}))
        .await;
    let heard = stream.next().await.unwrap();
    assert_eq!(
        heard["method"], "notifications/tools/list_changed",
        "{heard}"
    );
    world.held(0).await;
}

#[tokio::test]
async fn each_person_is_answered_by_their_own_child() {
    let world = played(Whose::OnePerson, "2025-06-18");
    for person in ["mona", "octavia"] {
        let session = world.session(person).await;
        let mut child = world.child().await;
        let asked = session.ask(1, "tools/call", &tool(person)).await;
        let request = child.next().await;
        assert_eq!(request["params"]["name"], person);
        child.answer(&request, &text(person)).await;
        let (answer, _) = asked.last().await;
        assert_eq!(answer["result"]["content"][0]["text"], person);
    }
}
