//! There are never more children than there may be, and they leave nothing in this process either.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anteroom::backend::stdio::NoChild;

use super::{Family, lend, person, refused};
use crate::harness::patience::until;

#[tokio::test]
async fn there_are_no_more_children_than_set_and_the_one_unused_for_longest_makes_room() {
    let family = Family::samples().at_most(3);
    let children = family.children();
    let mut leases = Vec::new();
    for number in 1..=3 {
        leases.push(lend(&children, &person(number)).await);
        family.clock.advance(Duration::from_secs(1));
    }
    let first = family.processes();
    assert_eq!(refused(&children, &person(4)).await, NoChild::TooMany);
    assert_eq!(family.processes(), first);
    // the second is given back before the first
    drop(leases.remove(1));
    family.clock.advance(Duration::from_secs(1));
    drop(leases.remove(0));
    let _fourth = lend(&children, &person(4)).await;
    assert_eq!(family.processes().len(), 3);
    let was = |number: u32| {
        let user = format!("ANTEROOM_USER=github:{number}");
        let pids: Vec<_> = family.processes().into_keys().collect();
        pids.iter()
            .any(|pid| super::environment(*pid).contains(&user))
    };
    assert!(was(1) && !was(2) && was(3) && was(4));
    // and a person has one, however often they ask
    let mut own = Vec::new();
    for _ in 0..20 {
        own.push(lend(&children, &person(4)).await);
    }
    assert_eq!(family.processes().len(), 3);
    children.end_all().await;
}

/// Runs alone in a process, for the test below: others open files as well.
#[ignore = "it counts all files of its process"]
#[tokio::test]
async fn fifty_children_leave_no_files_and_no_tasks() {
    let family = Family::samples();
    let children = family.children();
    let files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let mut before = None;
    for number in 0..=50 {
        let somebody = person(number);
        drop(lend(&children, &somebody).await);
        somebody.standing.end();
        children.sweep();
        family.until_gone().await;
        until("its tasks are over", || tasks() == 0).await;
        // the first one brings what is made once
        let before = *before.get_or_insert_with(files);
        assert_eq!(files(), before, "after {number}");
    }
}

#[test]
fn children_leave_no_files_and_no_tasks() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact"])
        .arg("children::limits::fifty_children_leave_no_files_and_no_tasks")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
