//! A child ends when nobody needs it, and nothing is left of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::backend::stdio::{Lend as _, NoChild};
use rmcp::model::CallToolRequestParams;
use serde_json::json;

use super::{Family, GREETS, IDLE, NEARLY_IDLE, left_of, lend, person, refused};
use crate::harness::patience::until;

/// In the background, deaf to SIGTERM, and with the pipes of its parent.
pub(super) const DEAF: &str = "(trap '' TERM HUP INT; exec sleep 1000) & ";

#[tokio::test]
async fn a_child_that_nobody_uses_is_ended_and_one_in_use_is_not() {
    let family = Family::samples();
    let children = family.children();
    let mona = person(1);
    let lease = lend(&children, &mona).await;
    let leader = family.only();
    family.clock.advance(IDLE * 2);
    children.sweep();
    // whoever is second finds it still there
    drop(lend(&children, &mona).await);
    assert_eq!(family.only(), leader);
    drop(lease);
    family.clock.advance(NEARLY_IDLE);
    children.sweep();
    drop(lend(&children, &mona).await);
    assert_eq!(family.only(), leader);
    family.clock.advance(IDLE);
    children.sweep();
    family.until_gone().await;
    until("no zombie is left", || left_of(leader).is_empty()).await;
    // and is there again when it is needed
    drop(lend(&children, &mona).await);
    assert_ne!(family.only(), leader);
    children.end_all().await;
}

/// CONS-14
#[tokio::test]
async fn a_child_ends_with_the_last_session_of_its_person_and_calls_under_way_with_it() {
    let family = Family::script(&format!("{GREETS}cat > /dev/null"));
    let children = family.children();
    let (one, other) = (person(1), person(1));
    let lease = lend(&children, &one).await;
    drop(lend(&children, &other).await);
    let calling = tokio::spawn(async move {
        let call = CallToolRequestParams::new("never answers");
        lease.peer.call_tool(call).await.is_err()
    });
    one.standing.end();
    children.sweep();
    tokio::task::yield_now().await;
    assert!(!calling.is_finished() && !family.processes().is_empty());
    other.standing.end();
    children.sweep();
    assert!(calling.await.unwrap());
    family.until_gone().await;
}

#[tokio::test]
async fn what_a_child_has_started_ends_with_it_even_if_it_is_deaf() {
    let family = Family::script(&format!("{DEAF}exec $SAMPLE"));
    let children = family.children();
    drop(lend(&children, &person(1)).await);
    until("both run", || family.processes().len() == 2).await;
    let processes = family.processes();
    let leader = *processes.values().next().unwrap();
    assert!(processes.values().all(|group| *group == leader));
    children.end_all().await;
    assert!(family.processes().is_empty());
    until("no zombie is left", || left_of(leader).is_empty()).await;
}

#[tokio::test]
async fn what_a_child_leaves_behind_ends_although_the_child_was_first() {
    let family = Family::script(&format!("{DEAF}{GREETS}read -r line; read -r line; exit 7"));
    let children = family.children();
    let lease = lend(&children, &person(1)).await;
    until("both run", || family.processes().len() == 2).await;
    let leader = *family.processes().values().next().unwrap();
    let call = CallToolRequestParams::new("the last");
    assert!(lease.peer.call_tool(call).await.is_err());
    family.until_gone().await;
    until("no zombie is left", || left_of(leader).is_empty()).await;
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing_behind() {
    let family = Family::script(&format!("{DEAF}exit 1"));
    let children = family.children();
    let NoChild::NotStarted(_) = refused(&children, &person(1)).await else {
        panic!("something else")
    };
    assert!(family.processes().is_empty());
}

#[tokio::test]
async fn a_child_that_does_not_read_any_more_can_be_ended() {
    let family = Family::script(&format!(
        "{GREETS}head -c 1000 > begun; trap '' TERM; while :; do sleep 1; done"
    ));
    let children = family.children();
    let lease = lend(&children, &person(1)).await;
    let calling = tokio::spawn(async move {
        let much = json!({ "much": "x".repeat(4 << 20) });
        let call = CallToolRequestParams::new("large");
        let call = call.with_arguments(much.as_object().unwrap().clone());
        lease.peer.call_tool(call).await.is_err()
    });
    // more than a pipe takes is still to be written
    until("it writes", || family.written("begun").len() == 1000).await;
    children.end_all().await;
    assert!(family.processes().is_empty());
    assert!(calling.await.unwrap());
}

#[tokio::test]
async fn at_the_end_all_children_end_at_once_and_there_are_no_others() {
    let family = Family::script(&format!("{GREETS}trap '' TERM; while :; do sleep 1; done"));
    let children = family.children();
    for number in 0..5 {
        drop(lend(&children, &person(number)).await);
    }
    // one after the other they would take half a minute
    let begun = Instant::now();
    children.end_all().await;
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert!(family.processes().is_empty());
    let none = refused(&children, &person(1)).await;
    assert_eq!(none, NoChild::NotStarted(Duration::ZERO));
}

#[tokio::test]
async fn a_start_under_way_ends_with_everything_else() {
    let family = Family::script("echo started > starts; sleep 1000");
    let children = family.children();
    let asking = tokio::spawn({
        let children = Arc::clone(&children);
        async move { children.lend(&person(1)).await.err() }
    });
    until("it starts", || !family.written("starts").is_empty()).await;
    children.end_all().await;
    assert!(family.processes().is_empty());
    let none = Some(NoChild::NotStarted(Duration::ZERO));
    assert_eq!(asking.await.unwrap(), none);
}

#[tokio::test]
async fn children_that_are_dropped_end() {
    let family = Family::script(&format!("{DEAF}exec $SAMPLE"));
    let children = family.children();
    let lease = lend(&children, &person(1)).await;
    drop(children);
    family.until_gone().await;
    drop(lease);
}

#[test]
fn the_end_of_the_runtime_kills_what_is_left() {
    let family = Family::script(&format!("{DEAF}exec $SAMPLE"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let children = family.children();
    let lease = runtime.block_on(lend(&children, &person(1)));
    runtime.block_on(until("both run", || family.processes().len() == 2));
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(family.until_gone());
    drop((lease, children));
}
