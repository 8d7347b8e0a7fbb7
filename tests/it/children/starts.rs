//! A child is started for whoever needs it first, once, and answers.

use std::fs;
use std::sync::Arc;

use anteroom::backend::stdio::Lend as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Family, GREETS, lend, person, subject, whoami};
use crate::harness::patience::until;

#[tokio::test]
async fn a_child_is_started_when_somebody_needs_it_and_told_whose_it_is() {
    let family = Family::samples();
    let children = family.children();
    assert!(family.processes().is_empty());
    let mona = person(1);
    let first = lend(&children, &mona).await;
    assert_eq!(subject(&first).await.as_deref(), Some("github:1"));
    let pid = family.only();
    drop(first);
    let second = lend(&children, &mona).await;
    assert_eq!(subject(&second).await.as_deref(), Some("github:1"));
    assert_eq!(family.only(), pid);
    children.end_all().await;
}

#[tokio::test]
async fn everybody_has_a_child_of_their_own() {
    let family = Family::samples();
    let children = family.children();
    let mona = lend(&children, &person(1)).await;
    let octavia = lend(&children, &person(2)).await;
    assert_eq!(subject(&mona).await.as_deref(), Some("github:1"));
    assert_eq!(subject(&octavia).await.as_deref(), Some("github:2"));
    assert_eq!(family.processes().len(), 2);
    children.end_all().await;
}

#[tokio::test]
async fn a_shared_child_is_everybodys_and_told_of_nobody() {
    let family = Family::samples().shared();
    let children = family.children();
    let mona = lend(&children, &person(1)).await;
    let octavia = lend(&children, &person(2)).await;
    assert_eq!(subject(&mona).await, None);
    assert_eq!(subject(&octavia).await, None);
    family.only();
    children.end_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_need_a_child_at_once_one_is_started() {
    let script = "echo started >> starts; exec $SAMPLE";
    for family in [Family::script(script), Family::script(script).shared()] {
        let children = family.children();
        let barrier = Arc::new(Barrier::new(100));
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let (children, barrier) = (Arc::clone(&children), Arc::clone(&barrier));
            callers.spawn(async move {
                let mona = person(1);
                barrier.wait().await;
                let lease = lend(&children, &mona).await;
                subject(&lease).await
            });
        }
        let answers = callers.join_all().await;
        assert_eq!(answers.len(), 100);
        assert_eq!(family.written("starts"), "started\n");
        children.end_all().await;
    }
}

#[tokio::test]
async fn a_start_goes_on_when_whoever_asked_hangs_up() {
    let family = Family::script(
        "echo started >> starts; while [ ! -e go ]; do sleep 0.02; done; exec $SAMPLE",
    );
    let children = family.children();
    let mona = person(1);
    let asking = tokio::spawn({
        let (children, mona) = (Arc::clone(&children), Arc::clone(&mona));
        async move { children.lend(&mona).await.is_ok() }
    });
    until("it starts", || !family.written("starts").is_empty()).await;
    asking.abort();
    assert!(asking.await.is_err());
    fs::write(family.path("go"), "").unwrap();
    let lease = lend(&children, &mona).await;
    assert_eq!(subject(&lease).await.as_deref(), Some("github:1"));
    assert_eq!(family.written("starts"), "started\n");
    children.end_all().await;
}

#[tokio::test]
async fn a_child_that_knows_the_newest_revision_alone_is_asked_in_its_way() {
    let family = Family::script(
        r#"echo started >> starts; read -r line; case "$line" in
*'"server/discover"'*) echo '{"jsonrpc":"2.0","id":0,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}}' ;;
*) echo '{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"there is no such method"}}' ;;
esac; cat > /dev/null"#,
    );
    let children = family.children();
    let lease = lend(&children, &person(1)).await;
    let info = lease.peer.peer_info().unwrap();
    assert_eq!(info.protocol_version.as_str(), "2026-07-28");
    assert_eq!(family.written("starts").lines().count(), 2);
    // the next one is asked so at once
    lend(&children, &person(2)).await;
    assert_eq!(family.written("starts").lines().count(), 3);
    children.end_all().await;
}

#[tokio::test]
async fn noise_on_stdout_does_not_harm_a_child() {
    let noise = r#"echo 'Listening...'; echo '{"not":"a message"}'; echo; printf '\377\376\n'; "#;
    let family = Family::script(&format!("{noise}exec $SAMPLE"));
    let children = family.children();
    let lease = lend(&children, &person(1)).await;
    assert_eq!(subject(&lease).await.as_deref(), Some("github:1"));
    children.end_all().await;
    // and later
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"here"}]}}"#;
    let family = Family::script(&format!(
        "{GREETS}read -r ready; {noise}read -r call; {noise}echo '{answer}'; cat > /dev/null"
    ));
    let children = family.children();
    let lease = lend(&children, &person(1)).await;
    let said = whoami(&lease).await;
    assert_eq!(said.content[0].as_text().unwrap().text, "here");
    children.end_all().await;
}
