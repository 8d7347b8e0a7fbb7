//! A child that fails is left alone for a while, and the log says once what happened.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anteroom::backend::stdio::{Lend as _, NoChild};

use super::{Family, lend, person, refused, subject};
use crate::harness::log::Log;
use crate::harness::patience::{in_time, until};

fn seconds(seconds: u64) -> NoChild {
    NoChild::NotStarted(Duration::from_secs(seconds))
}

fn kill(pid: u32) {
    let order = format!("kill -KILL {pid}");
    assert!(
        Command::new("sh")
            .args(["-c", &order])
            .status()
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn a_child_that_cannot_be_started_is_left_alone_for_longer_each_time() {
    let (log, _listening) = Log::listen("info");
    let family = Family::of(&["/there/is/no/such/program"]);
    let children = family.children();
    let mona = person(1);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        for _ in 0..3 {
            assert_eq!(refused(&children, &mona).await, seconds(wait));
        }
        family.clock.advance(Duration::from_secs(wait - 1));
        assert_eq!(refused(&children, &mona).await, seconds(1));
        family.clock.advance(Duration::from_secs(1));
    }
    let log = log.text();
    assert_eq!(log.matches("could not be started").count(), 8, "{log}");
    assert!(
        log.contains(r#"server="example""#) && log.contains("look at `command`"),
        "{log}"
    );
}

#[tokio::test]
async fn the_log_says_how_a_child_ended_that_did_not_begin() {
    let (log, _listening) = Log::listen("info");
    let script = "echo 'no API key' >&2; while [ ! -e go ]; do sleep 0.02; done; exit 3";
    let family = Family::script(script);
    let children = family.children();
    let asking = tokio::spawn({
        let children = Arc::clone(&children);
        async move { refused(&children, &person(1)).await }
    });
    until("what it wrote is told", || {
        log.text().contains(r#"line="no API key""#)
    })
    .await;
    fs::write(family.path("go"), "").unwrap();
    assert_eq!(asking.await.unwrap(), seconds(1));
    let log = log.text();
    assert!(log.contains(r#"status="exit status: 3""#), "{log}");
    // somebody else's child is another one
    assert_eq!(refused(&children, &person(2)).await, seconds(1));
}

#[tokio::test]
async fn a_child_that_ends_soon_is_left_alone_and_one_that_lived_long_is_not() {
    let (log, _listening) = Log::listen("info");
    let family = Family::samples();
    let children = family.children();
    let mona = person(1);
    let lease = lend(&children, &mona).await;
    kill(family.only());
    let last = in_time("its end is seen", async {
        loop {
            if let Err(why) = children.lend(&mona).await {
                break why;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(last.await, seconds(1));
    until("it is seen", || lease.peer.is_transport_closed()).await;
    drop(lease);
    family.clock.advance(Duration::from_secs(1));
    let lease = lend(&children, &mona).await;
    family.clock.advance(Duration::from_secs(60));
    let old = family.only();
    kill(old);
    until("the old one is gone", || {
        !family.processes().contains_key(&old)
    })
    .await;
    until("it is seen", || lease.peer.is_transport_closed()).await;
    // at once
    let lease = lend(&children, &mona).await;
    assert_eq!(subject(&lease).await.as_deref(), Some("github:1"));
    children.end_all().await;
    let log = log.text();
    assert_eq!(log.matches("ended by itself").count(), 2, "{log}");
    assert!(log.contains(r#"status="signal: 9 (SIGKILL)""#), "{log}");
}
