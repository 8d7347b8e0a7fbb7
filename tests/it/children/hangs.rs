//! A child that does not read, does not answer, or says too much harms nobody for long.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anteroom::backend::stdio::{Lease, Lend as _, NoChild};
use rmcp::model::{CallToolRequestParams, ClientRequest, CustomRequest};
use rmcp::service::PeerRequestOptions;
use serde_json::json;
use tokio::task::JoinHandle;

use super::{Family, GREETS, lend, person, refused, subject, until};
use crate::harness::log::Log;

const MINUTE: Duration = Duration::from_secs(60);

/// A call that fails.
fn calling(lease: &Lease) -> JoinHandle<bool> {
    let peer = lease.peer.clone();
    tokio::spawn(async move {
        let call = CallToolRequestParams::new("never answers");
        peer.call_tool(call).await.is_err()
    })
}

#[tokio::test]
async fn requests_that_a_child_does_not_read_are_kept_up_to_a_limit_although_nobody_waits_for_them()
{
    let family = Family::script(&format!(
        "{GREETS}read -r line; while [ ! -e go ]; do sleep 0.02; done; cat > /dev/null"
    ));
    let children = family.children();
    let mona = person(1);
    let first = lend(&children, &mona).await;
    let large = json!({ "name": "large", "arguments": { "much": "x".repeat(4 << 20) } });
    let mut given_up = 0;
    let none = loop {
        let lease = match children.lend(&mona).await {
            Ok(lease) => lease,
            Err(none) => break none,
        };
        let call = CustomRequest::new("tools/call", Some(large.clone()));
        let request = ClientRequest::CustomRequest(call);
        let options = PeerRequestOptions::no_options();
        let sent = lease.peer.send_request_with_option(request, options).await;
        let cancelled = sent.unwrap().cancel(None);
        // until it is queued: the caller does not wait for more
        let _ = tokio::time::timeout(Duration::from_millis(20), cancelled).await;
        given_up += 1;
        assert!(given_up < 10, "all are kept");
    };
    assert_eq!(none, NoChild::TooMany);
    assert!(given_up >= 4, "{given_up}");
    // whoever was before the limit, and sends now, is told at once
    let call = CallToolRequestParams::new("one more");
    let refused = first.peer.call_tool(call).await.unwrap_err().to_string();
    assert!(refused.contains("does not read"), "{refused}");
    // and when it reads, all is well
    fs::write(family.path("go"), "").unwrap();
    while children.lend(&mona).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!first.peer.is_transport_closed());
    children.end_all().await;
}

#[tokio::test]
async fn a_child_that_hangs_is_asked_whether_it_is_there_and_replaced() {
    let (log, _listening) = Log::listen("info");
    let family = Family::script(&format!(
        "if [ -e second ]; then exec $SAMPLE; fi; touch second\n{GREETS}cat >> heard"
    ));
    let children = family.children();
    let mona = person(1);
    let lease = lend(&children, &mona).await;
    let old = family.processes();
    let call = calling(&lease);
    until("it is asked", || {
        family.written("heard").contains("tools/call")
    })
    .await;
    family.clock.advance(MINUTE * 2);
    children.sweep();
    until("it is pinged", || {
        family.written("heard").contains(r#""ping""#)
    })
    .await;
    family.clock.advance(MINUTE * 7);
    children.sweep();
    let pings = || family.written("heard").matches(r#""ping""#).count();
    until("it is pinged again", || pings() == 2).await;
    assert!(!call.is_finished());
    family.clock.advance(MINUTE);
    children.sweep();
    assert!(call.await.unwrap());
    let second = lend(&children, &mona).await;
    assert_eq!(subject(&second).await.as_deref(), Some("github:1"));
    assert!(!old.contains_key(family.processes().keys().next_back().unwrap()));
    children.end_all().await;
    let log = log.text();
    assert!(log.contains("it said nothing for ten minutes"), "{log}");
}

#[tokio::test]
async fn a_child_that_is_at_something_and_answers_meanwhile_stays() {
    let answers = r#"
read -r line; read -r line
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32601,\"message\":\"no\"}}"; echo x >> pings
done"#;
    let family = Family::script(&format!("{GREETS}{answers}"));
    let children = family.children();
    let lease = lend(&children, &person(1)).await;
    let call = calling(&lease);
    for count in 1..8 {
        family.clock.advance(MINUTE * 3);
        children.sweep();
        let is_pinged = || family.written("pings").lines().count() == count;
        until("it answered a ping", is_pinged).await;
        // its answer is read
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!call.is_finished());
    children.end_all().await;
    assert!(call.await.unwrap());
}

#[tokio::test]
async fn a_child_that_says_too_much_is_ended_and_its_callers_told() {
    let (log, _listening) = Log::listen("info");
    let family = Family::script(&format!(
        "{GREETS}read -r line; read -r line; head -c 17000000 /dev/zero | tr '\\0' x; echo; cat > /dev/null"
    ));
    let children = family.children();
    let lease = lend(&children, &person(1)).await;
    assert!(calling(&lease).await.unwrap());
    family.until_gone().await;
    until("it is told", || log.text().contains("longer than 16 MiB")).await;
    assert!(matches!(
        refused(&children, &person(1)).await,
        NoChild::NotStarted(_)
    ));
    drop(lease);
}

#[tokio::test]
async fn a_start_that_waits_for_others_to_end_starts_nothing_when_all_end() {
    let family = Family::script(&format!(
        "echo started >> starts; {GREETS}trap '' TERM; while :; do sleep 1; done"
    ))
    .at_most(1);
    let children = family.children();
    drop(lend(&children, &person(1)).await);
    let waiting = tokio::spawn({
        let children = Arc::clone(&children);
        async move { children.lend(&person(2)).await.err() }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    children.end_all().await;
    assert_eq!(
        waiting.await.unwrap(),
        Some(NoChild::NotStarted(Duration::ZERO))
    );
    assert_eq!(family.written("starts"), "started\n");
}
