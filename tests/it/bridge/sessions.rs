//! Sessions of the older revisions: how many there may be.

use serde_json::json;

use super::{Session, Whose, played};

#[tokio::test]
async fn a_persons_fifty_first_session_ends_the_one_that_was_left_the_longest_ago() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let other = world.session("octavia").await;
    let used = world.session("mona").await;
    let streamed = world.session("mona").await;
    let _stream = streamed.stream().await;
    let left = world.session("mona").await;
    for _ in 3..50 {
        world.session("mona").await;
    }
    let ping = async |session: &Session| session.ask(9, "ping", &json!({})).await.status;
    assert_eq!(ping(&used).await, 200);
    assert_eq!(ping(&left).await, 200);
    assert_eq!(ping(&used).await, 200);
    let mut sessions = Vec::new();
    for _ in 0..48 {
        sessions.push(world.session("mona").await);
    }
    assert_eq!(ping(&left).await, 404);
    assert_eq!(ping(&used).await, 200);
    assert_eq!(ping(&streamed).await, 200);
    assert_eq!(ping(&other).await, 200);
    assert_eq!(ping(&sessions[47]).await, 200);
}
