//! What a child says without being asked, and who hears it.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::wire::Wire;
use super::{Answer, Whose, World, capable, modern, played, text, tool};
use crate::harness::patience::in_time;

/// Has a child say something that everybody hears, and tells what a stream got before it.
pub(super) async fn heard_until_change(child: &mut Wire, stream: &mut Answer) -> Vec<Value> {
    static MARK: AtomicUsize = AtomicUsize::new(0);
    let mark = MARK.fetch_add(1, Ordering::SeqCst);
    let params = json!({ "_meta": { "mark": mark } });
    child
        .notify("notifications/tools/list_changed", &params)
        .await;
    let mut heard = Vec::new();
    loop {
        let message = stream.next().await.unwrap();
        if message["method"] != "notifications/tools/list_changed" {
            heard.push(message["params"].clone());
        } else if message["params"]["_meta"]["mark"] == mark {
            return heard;
        }
    }
}

#[tokio::test]
async fn what_a_persons_child_logs_is_heard_in_all_sessions_of_their_only_client_and_no_other() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let first = world.session("mona").await;
    let mut child = world.child().await;
    let second = world.session("mona").await;
    let other = world.session("octavia").await;
    let mut others_child = world.child().await;
    let mut streams = [first.stream().await, second.stream().await];
    let mut others_stream = other.stream().await;
    child.log("info", "of mona").await;
    child
        .notify("notifications/x", &json!({ "of": "mona" }))
        .await;
    for stream in &mut streams {
        let heard = heard_until_change(&mut child, stream).await;
        assert_eq!(heard[0]["data"], "of mona");
        assert_eq!(heard[1]["of"], "mona");
    }
    let heard = heard_until_change(&mut others_child, &mut others_stream).await;
    assert_eq!(heard, Vec::<Value>::new());
}

/// It may speak of anybody, also long after it has answered them.
#[tokio::test]
async fn what_a_shared_child_logs_is_told_to_nobody() {
    let world = played(Whose::Everybody, "2025-06-18");
    let (mona, octavia) = (world.session("mona").await, world.session("octavia").await);
    let mut child = world.child().await;
    let (mut of_mona, mut of_octavia) = (mona.stream().await, octavia.stream().await);
    let asked = mona.ask(1, "tools/call", &tool("slow")).await;
    let first = child.next().await;
    child.log("info", "with mona").await;
    child.answer(&first, &text("a")).await;
    assert_eq!(asked.last().await.1, Vec::<Value>::new());
    world.held(0).await;
    let asked = octavia.ask(1, "tools/call", &tool("slow")).await;
    let second = child.next().await;
    child.log("info", "of mona's call").await;
    child.notify("notifications/x", &json!({})).await;
    child.answer(&second, &text("b")).await;
    assert_eq!(asked.last().await.1, Vec::<Value>::new());
    let mut params = tool("slow");
    params["_meta"] = json!({ "io.modelcontextprotocol/logLevel": "debug" });
    let play = async {
        let told = child.next().await;
        child.answer(&told, &json!({})).await;
        let third = child.next().await;
        child.log("info", "of somebody").await;
        child.answer(&third, &text("c")).await;
    };
    let (asked, ()) = tokio::join!(world.modern("hubot", 1, "tools/call", &params), play);
    assert_eq!(asked.last().await.1, Vec::<Value>::new());
    for stream in [&mut of_mona, &mut of_octavia] {
        let heard = heard_until_change(&mut child, stream).await;
        assert_eq!(heard, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_session_hears_from_its_level_on_and_the_child_is_told_the_lowest() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let first = world.session("mona").await;
    let mut child = world.child().await;
    let second = world.session("mona").await;
    let set = async |session: &super::Session, level: &str, child: Option<&mut Wire>| {
        let params = json!({ "level": level });
        let asked = session.ask(1, "logging/setLevel", &params);
        let told = async {
            if let Some(child) = child {
                let told = child.next().await;
                assert_eq!(told["params"]["level"], level);
                child.answer(&told, &json!({})).await;
            }
        };
        let (answer, ()) = tokio::join!(asked, told);
        assert_eq!(answer.last().await.0["result"], json!({}));
    };
    set(&first, "info", Some(&mut child)).await;
    set(&second, "error", None).await;
    let (mut one, mut two) = (first.stream().await, second.stream().await);
    child.log("debug", "a").await;
    child.log("warning", "b").await;
    child.log("critical", "c").await;
    let heard = heard_until_change(&mut child, &mut one).await;
    assert_eq!(
        heard.iter().map(|said| &said["data"]).collect::<Vec<_>>(),
        ["b", "c"]
    );
    let heard = heard_until_change(&mut child, &mut two).await;
    assert_eq!(
        heard.iter().map(|said| &said["data"]).collect::<Vec<_>>(),
        ["c"]
    );
}

#[tokio::test]
async fn in_2026_07_28_the_log_comes_with_the_answer_for_whom_asked_for_it() {
    let world = played(Whose::OnePerson, "2025-06-18");
    world.session("mona").await;
    let mut child = world.child().await;
    for wanted in [None, Some("warning")] {
        let mut params = tool("slow");
        if let Some(level) = wanted {
            params["_meta"] = json!({ "io.modelcontextprotocol/logLevel": level });
        }
        let asked = async {
            let answer = world.modern("mona", 1, "tools/call", &params).await;
            answer.last().await.1
        };
        let play = async {
            if wanted.is_some() {
                let told = child.next().await;
                assert_eq!(told["method"], "logging/setLevel");
                child.answer(&told, &json!({})).await;
            }
            let request = child.next().await;
            child.log("info", "little").await;
            child.log("error", "much").await;
            child.answer(&request, &text("done")).await;
        };
        let (heard, ()) = tokio::join!(asked, play);
        let heard: Vec<_> = heard
            .iter()
            .map(|said| said["params"]["data"].clone())
            .collect();
        let expected: &[&str] = if wanted.is_some() { &["much"] } else { &[] };
        assert_eq!(heard, expected);
    }
}

async fn subscribe(session: &super::Session, child: &mut Wire, uri: &str, is_told: bool) {
    let params = json!({ "uri": uri });
    let asked = session.ask(5, "resources/subscribe", &params);
    let told = async {
        if is_told {
            let told = child.next().await;
            assert_eq!(told["method"], "resources/subscribe");
            assert_eq!(told["params"]["uri"], uri);
            child.answer(&told, &json!({})).await;
        }
    };
    let (answer, ()) = tokio::join!(asked, told);
    assert_eq!(answer.last().await.0["result"], json!({}));
}

#[tokio::test]
async fn a_resource_that_changed_is_news_to_its_subscribers_alone() {
    let world = played(Whose::Everybody, "2025-06-18");
    let (mona, octavia) = (world.session("mona").await, world.session("octavia").await);
    let mut child = world.child().await;
    subscribe(&mona, &mut child, "memo://1", true).await;
    world.held(1).await;
    subscribe(&octavia, &mut child, "memo://1", false).await;
    subscribe(&octavia, &mut child, "memo://2", true).await;
    let (mut of_mona, mut of_octavia) = (mona.stream().await, octavia.stream().await);
    for uri in ["memo://1", "memo://2", "memo://1/part", "memo://12"] {
        let params = json!({ "uri": uri });
        child
            .notify("notifications/resources/updated", &params)
            .await;
    }
    let uris = |heard: Vec<Value>| {
        heard
            .iter()
            .map(|said| said["uri"].clone())
            .collect::<Vec<_>>()
    };
    let heard = heard_until_change(&mut child, &mut of_mona).await;
    assert_eq!(uris(heard), ["memo://1", "memo://1/part"]);
    let heard = heard_until_change(&mut child, &mut of_octavia).await;
    assert_eq!(uris(heard), ["memo://1", "memo://2", "memo://1/part"]);

    // one goes: the other still hears of it, and the child is not told
    let gone = mona
        .ask(6, "resources/unsubscribe", &json!({ "uri": "memo://1" }))
        .await;
    assert_eq!(gone.last().await.0["result"], json!({}));
    world.held(1).await;
    let params = json!({ "uri": "memo://1" });
    child
        .notify("notifications/resources/updated", &params)
        .await;
    assert_eq!(
        heard_until_change(&mut child, &mut of_mona).await,
        Vec::<Value>::new()
    );
    let heard = heard_until_change(&mut child, &mut of_octavia).await;
    assert_eq!(uris(heard), ["memo://1"]);
}

#[tokio::test]
async fn a_fresh_child_is_told_what_its_sessions_want_to_hear() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    let mut child = world.child().await;
    subscribe(&session, &mut child, "memo://1", true).await;
    let asked = session
        .ask(1, "logging/setLevel", &json!({ "level": "error" }))
        .await;
    let told = child.next().await;
    child.answer(&told, &json!({})).await;
    asked.last().await;
    drop(child);
    in_time("its end is seen", async {
        while !has_gone(&world).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let nothing = json!({});
    let asked = session.ask(2, "tools/list", &nothing);
    let fresh = async {
        let mut child = world.child().await;
        let mut methods = Vec::new();
        while methods.len() < 3 {
            let asked = child.next().await;
            methods.push(asked["method"].as_str().unwrap().to_owned());
            let list = asked["method"] == "tools/list";
            let result = if list {
                json!({ "tools": [] })
            } else {
                json!({})
            };
            child.answer(&asked, &result).await;
        }
        methods.sort();
        assert_eq!(
            methods,
            ["logging/setLevel", "resources/subscribe", "tools/list"]
        );
        child
    };
    let (answer, _child) = tokio::join!(asked, fresh);
    assert!(answer.last().await.0["result"].is_object());
    world.held(1).await;
}

async fn has_gone(world: &World) -> bool {
    let running = world.lent.running.lock().await;
    running
        .values()
        .all(|(child, _)| child.peer().is_transport_closed())
}

#[tokio::test]
async fn a_client_of_2026_07_28_listens_to_an_old_child_until_it_hangs_up() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": ["memo://1"] });
    let params = json!({ "notifications": wanted });
    let listening = world.modern("mona", 3, "subscriptions/listen", &params);
    let subscribed = async {
        let mut child = world.child().await;
        let told = child.next().await;
        assert_eq!(told["method"], "resources/subscribe");
        child.answer(&told, &json!({})).await;
        child
    };
    let (mut stream, mut child) = tokio::join!(listening, subscribed);
    let accepted = stream
        .next_of("notifications/subscriptions/acknowledged")
        .await;
    assert_eq!(accepted["params"]["notifications"], wanted);
    let change = async |child: &mut Wire, what: &str, params: &Value| {
        child.notify(&format!("notifications/{what}"), params).await;
    };
    change(&mut child, "prompts/list_changed", &json!({})).await;
    change(
        &mut child,
        "resources/updated",
        &json!({ "uri": "memo://2" }),
    )
    .await;
    child.log("error", "not for this").await;
    change(
        &mut child,
        "resources/updated",
        &json!({ "uri": "memo://1" }),
    )
    .await;
    let update = stream.next().await.unwrap();
    assert_eq!(update["method"], "notifications/resources/updated");
    assert_eq!(update["params"]["uri"], "memo://1");
    assert_eq!(
        update["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        3
    );
    change(&mut child, "tools/list_changed", &json!({})).await;
    let update = stream.next().await.unwrap();
    assert_eq!(update["method"], "notifications/tools/list_changed");
    world.held(1).await;
    drop(stream);
    let told = child.next().await;
    assert_eq!(told["method"], "resources/unsubscribe");
    assert_eq!(told["params"]["uri"], "memo://1");
    world.held(0).await;
}

#[tokio::test]
async fn clients_of_either_era_listen_to_a_child_of_2026_07_28() {
    let world = capable(modern());
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": ["memo://1"] });
    let params = json!({ "notifications": wanted });
    let mut stream = world
        .modern("mona", 3, "subscriptions/listen", &params)
        .await;
    let update = stream.next_of("notifications/resources/updated").await;
    assert_eq!(
        update["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        3
    );
    stream.next_of("notifications/tools/list_changed").await;

    let session = world.session("mona").await;
    let mut stream = session.stream().await;
    let asked = session
        .ask(1, "resources/subscribe", &json!({ "uri": "memo://1" }))
        .await;
    assert_eq!(asked.last().await.0["result"], json!({}));
    let update = stream.next_of("notifications/resources/updated").await;
    assert_eq!(update["params"], json!({ "uri": "memo://1" }));
}
