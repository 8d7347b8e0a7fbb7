//! What every store must do, as tests: a backend calls [`store_conformance!`](crate::store_conformance) and passes.
//!
//! Each rule is a function over an empty store. Races are run as races: many tasks on several threads, one winner.
#![expect(
    clippy::expect_used,
    reason = "these are tests: a store that fails is a failed test"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

use super::sample::{
    NOW, browser_record, client, code, digest, id, opening, pending, sealed, session, turn,
};
use super::{BrowserRecord, Result, Rotation, Store};
use crate::clock::UnixTime;
use crate::protocol::ids::ClientId;
use crate::protocol::session::Session;

/// Makes a test of each rule in [`conformance`](crate::store::conformance), where it is called.
///
/// `store_conformance!(MyStore::new())`; or, if the store needs something that must outlive it, such as a directory,
/// `store_conformance!(in tempdir().unwrap() => |directory| MyStore::open(directory.path()).unwrap())`.
#[macro_export]
macro_rules! store_conformance {
    ($store:expr) => {
        $crate::store_conformance!(in () => |()| $store);
    };
    (in $place:expr => |$name:pat_param| $store:expr) => {
        $crate::store_conformance! { @ ($place) ($name) ($store)
            a_client_is_found_until_it_expires
            a_client_is_not_replaced
            keeping_a_client_never_shortens_its_time
            keeping_a_client_never_brings_it_back
            of_many_who_keep_a_client_the_latest_counts
            a_pending_sign_in_is_taken_once
            a_code_and_its_session_are_kept_both_or_neither
            a_code_is_spent_once
            a_spent_code_is_found_until_it_expires
            an_expired_code_opens_nothing
            a_code_opens_no_session_that_has_ended
            a_refresh_token_is_rotated_once
            a_refresh_token_that_is_not_in_force_changes_nothing
            a_rotation_remembers_the_token_before
            an_expired_session_does_not_rotate
            a_session_is_ended_once
            an_ended_session_is_not_brought_back_by_its_code
            an_ended_session_is_not_brought_back_by_a_rotation
            the_first_key_of_a_name_is_kept
            a_browser_session_does_not_replace_another
            a_saved_browser_session_is_never_made_anew
            a_forgotten_browser_session_is_not_saved_back
            what_has_expired_is_never_returned
            what_has_expired_is_deleted
            a_sweep_deletes_no_more_than_it_is_told
            a_sweep_leaves_what_was_made_to_live_longer
            a_sweep_does_not_undo_a_rotation
        }
    };
    (@ ($place:expr) ($name:pat_param) ($store:expr) $($rule:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                let place = $place;
                let $name = &place;
                $crate::store::conformance::$rule(std::sync::Arc::new($store)).await;
            }
        )*
    };
}

/// A store to try.
pub type Tried = Arc<dyn Store>;

const HOUR: Duration = Duration::from_secs(3600);

fn later(hours: u32) -> UnixTime {
    NOW + HOUR * hours
}

/// Whoever is told `expires` is there until a second before.
fn just_before(expires: UnixTime) -> UnixTime {
    UnixTime(expires.0 - 1)
}

fn ok<T>(answer: Result<T>) -> T {
    answer.expect("the store works")
}

/// Lets `callers` call at the same moment, and collects what they get.
async fn race<T, C>(callers: usize, call: impl Fn(usize) -> C) -> Vec<T>
where
    T: Send + 'static,
    C: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(callers));
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let start = Arc::clone(&start);
        let call = call(caller);
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            call.await
        }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("no caller panics"));
    }
    answers
}

/// Puts session `number` in force, with the refresh token `first`.
async fn signed_in(store: &Tried, number: u64, expires: UnixTime) -> Session {
    let (at, of) = (id(number + 1_000_000), id(number));
    ok(store
        .put_code(at, code(of, later(1)), session(of, later(1)), None)
        .await);
    let opened = ok(store.spend_code(at, opening("first", expires), NOW).await);
    opened.expect("a fresh code opens its session")
}

async fn end(store: &Tried, number: u64) -> bool {
    ok(store.end_session(id(number)).await)
}

/// A client is found, as it was put, until the moment it expires.
pub async fn a_client_is_found_until_it_expires(store: Tried) {
    let kept = client("a");
    ok(store.put_client(kept.clone(), later(1)).await);
    let find = async |name, now| ok(store.find_client(&ClientId::new(name), now).await);
    assert_eq!(
        find("a", just_before(later(1))).await,
        Some((kept, later(1)))
    );
    assert_eq!(find("a", later(1)).await, None);
    assert_eq!(find("b", NOW).await, None);
}

/// A second client of the same identifier is refused, and the first stays as it is.
pub async fn a_client_is_not_replaced(store: Tried) {
    let kept = client("a");
    ok(store.put_client(kept.clone(), later(1)).await);
    let mut other = client("a");
    other.name = Some("Another".to_owned());
    assert!(store.put_client(other, later(9)).await.is_err());
    let found = ok(store.find_client(&kept.id, NOW).await);
    assert_eq!(found, Some((kept, later(1))));
}

/// `keep_client` never makes the time shorter.
pub async fn keeping_a_client_never_shortens_its_time(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(2)).await);
    for (until, expires) in [(1, 2), (2, 2), (3, 3), (1, 3)] {
        ok(store.keep_client(&name, later(until), NOW).await);
        let found = ok(store.find_client(&name, NOW).await);
        assert_eq!(found, Some((client("a"), later(expires))), "until {until}");
    }
}

/// `keep_client` makes no client, and wakes none that has expired.
pub async fn keeping_a_client_never_brings_it_back(store: Tried) {
    let name = ClientId::new("a");
    ok(store.keep_client(&name, later(5), NOW).await);
    assert_eq!(ok(store.find_client(&name, NOW).await), None);
    ok(store.put_client(client("a"), later(1)).await);
    ok(store.keep_client(&name, later(5), later(1)).await);
    assert_eq!(ok(store.find_client(&name, later(1)).await), None);
}

/// However many keep a client at once, none fails and the latest moment counts.
pub async fn of_many_who_keep_a_client_the_latest_counts(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(1)).await);
    let kept = race(64, |caller| {
        let (store, name) = (Arc::clone(&store), name.clone());
        let until = later(2) + Duration::from_secs(caller as u64);
        async move { store.keep_client(&name, until, NOW).await }
    });
    kept.await.into_iter().for_each(ok);
    let latest = later(2) + Duration::from_secs(63);
    let found = ok(store.find_client(&name, NOW).await);
    assert_eq!(found, Some((client("a"), latest)));
}

/// Of 64 who take a pending sign-in at once, one gets it; looking takes nothing.
pub async fn a_pending_sign_in_is_taken_once(store: Tried) {
    ok(store.put_pending(id(1), pending(later(1))).await);
    for _ in 0..2 {
        let found = ok(store.find_pending(id(1), NOW).await);
        assert_eq!(found, Some(pending(later(1))));
    }
    let taken = race(64, |_| {
        let store = Arc::clone(&store);
        async move { ok(store.take_pending(id(1), NOW).await) }
    });
    let taken: Vec<_> = taken.await.into_iter().flatten().collect();
    assert_eq!(taken, [pending(later(1))]);
    assert_eq!(ok(store.find_pending(id(1), NOW).await), None);
    assert_eq!(ok(store.take_pending(id(1), NOW).await), None);
}

/// `put_code` keeps code and session, or, where it fails, neither.
pub async fn a_code_and_its_session_are_kept_both_or_neither(store: Tried) {
    let kept = (code(id(2), later(1)), session(id(2), later(1)));
    ok(store
        .put_code(id(1), kept.0.clone(), kept.1.clone(), None)
        .await);
    // This session is there already.
    let again = store.put_code(id(3), kept.0.clone(), kept.1.clone(), None);
    assert!(again.await.is_err());
    assert_eq!(ok(store.find_code(id(3), NOW).await), None);
    // This code is.
    let again = store.put_code(id(1), code(id(4), later(1)), session(id(4), later(1)), None);
    assert!(again.await.is_err());
    assert_eq!(ok(store.find_session(id(4), NOW).await), None);
    assert_eq!(ok(store.find_code(id(1), NOW).await), Some(kept.0));
    assert_eq!(ok(store.find_session(id(2), NOW).await), Some(kept.1));
}

/// Of 64 who redeem a code at once, one gets the session, and it is that one's token which is in force.
pub async fn a_code_is_spent_once(store: Tried) {
    let kept = session(id(2), later(1));
    ok(store
        .put_code(id(1), code(id(2), later(1)), kept.clone(), None)
        .await);
    let now = NOW + Duration::from_secs(5);
    let opened = race(64, |caller| {
        let (store, token) = (Arc::clone(&store), format!("token {caller}"));
        async move {
            ok(store
                .spend_code(id(1), opening(&token, later(9)), now)
                .await)
        }
    });
    let opened = opened.await;
    let winners: Vec<_> = (0..opened.len()).filter(|&n| opened[n].is_some()).collect();
    let [winner] = winners[..] else {
        panic!("callers {winners:?} got a session, not one of them");
    };
    let in_force = Session {
        refresh: opening(&format!("token {winner}"), later(9)).refresh,
        expires: later(9),
        used: now,
        ..kept
    };
    assert_eq!(opened[winner].as_ref(), Some(&in_force));
    assert_eq!(ok(store.find_session(id(2), NOW).await), Some(in_force));
}

/// A spent code is known as spent until it expires; its session lives on.
pub async fn a_spent_code_is_found_until_it_expires(store: Tried) {
    let fresh = code(id(2), later(1));
    ok(store
        .put_code(id(1), fresh.clone(), session(id(2), later(1)), None)
        .await);
    assert_eq!(ok(store.find_code(id(1), NOW).await), Some(fresh.clone()));
    ok(store.spend_code(id(1), opening("a", later(9)), NOW).await).expect("it is fresh");
    let mut spent = fresh;
    spent.spent = true;
    let last = just_before(later(1));
    assert_eq!(ok(store.find_code(id(1), last).await), Some(spent));
    assert_eq!(ok(store.find_code(id(1), later(1)).await), None);
    assert!(ok(store.find_session(id(2), later(1)).await).is_some());
    let again = store.spend_code(id(1), opening("b", later(9)), NOW).await;
    assert_eq!(ok(again), None);
}

/// From the moment it expires, a code opens nothing.
pub async fn an_expired_code_opens_nothing(store: Tried) {
    let kept = session(id(2), later(2));
    ok(store
        .put_code(id(1), code(id(2), later(1)), kept.clone(), None)
        .await);
    let late = store.spend_code(id(1), opening("a", later(9)), later(1));
    assert_eq!(ok(late.await), None);
    assert_eq!(ok(store.find_session(id(2), NOW).await), Some(kept));
}

/// A code whose session has ended, or has expired, opens nothing and makes no session.
pub async fn a_code_opens_no_session_that_has_ended(store: Tried) {
    for (number, ends) in [(1, true), (2, false)] {
        let (at, of) = (id(number + 10), id(number));
        let short = session(of, NOW + Duration::from_secs(1));
        ok(store.put_code(at, code(of, later(1)), short, None).await);
        if ends {
            assert!(end(&store, number).await);
        }
        let moment = NOW + Duration::from_secs(u64::from(!ends));
        let opened = store.spend_code(at, opening("a", later(9)), moment).await;
        assert_eq!(ok(opened), None, "session {number}");
        let found = ok(store.find_session(of, moment).await);
        assert_eq!(found, None, "session {number}");
    }
}

/// Of 32 who rotate the same token at once, one does; all of them see what it made of the session.
pub async fn a_refresh_token_is_rotated_once(store: Tried) {
    signed_in(&store, 1, later(2)).await;
    let rotated = race(32, |caller| {
        let (store, to) = (Arc::clone(&store), format!("token {caller}"));
        async move {
            let turn = turn("first", &to, later(3));
            ok(store.rotate_refresh(id(1), turn, later(1)).await)
        }
    });
    let rotated: Vec<Rotation> = rotated.await.into_iter().flatten().collect();
    assert_eq!(rotated.len(), 32, "the session is there for everybody");
    let winners: Vec<_> = (0..32).filter(|&caller| rotated[caller].won).collect();
    let [winner] = winners[..] else {
        panic!("callers {winners:?} rotated, not one of them");
    };
    let after = ok(store.find_session(id(1), later(1)).await).expect("it is there");
    for (caller, rotation) in rotated.iter().enumerate() {
        assert_eq!(rotation.session, after, "caller {caller}");
    }
    let refresh = after.refresh.expect("it has a token");
    assert_eq!(refresh.current, digest(&format!("token {winner}")));
    let previous = refresh.previous.expect("it has a token before");
    assert_eq!(previous.digest, digest("first"));
    assert_eq!(previous.successor, sealed(&format!("token {winner}")));
    assert_eq!(previous.at, later(1));
    assert_eq!((after.used, after.expires), (later(1), later(3)));
}

/// A token that was rotated, one that never was, and a session without any: nothing changes.
pub async fn a_refresh_token_that_is_not_in_force_changes_nothing(store: Tried) {
    signed_in(&store, 1, later(2)).await;
    ok(store
        .rotate_refresh(id(1), turn("first", "second", later(3)), NOW)
        .await);
    let without = session(id(2), later(1));
    ok(store
        .put_code(id(3), code(id(2), later(1)), without, None)
        .await);
    for (number, from) in [(1, "first"), (1, "unknown"), (2, "first")] {
        let before = ok(store.find_session(id(number), NOW).await).expect("it is there");
        let rotated = store.rotate_refresh(id(number), turn(from, "third", later(9)), NOW);
        let rotated = ok(rotated.await).expect("the session is there");
        assert!(!rotated.won, "{from} of session {number}");
        assert_eq!(rotated.session, before, "{from} of session {number}");
        let after = ok(store.find_session(id(number), NOW).await);
        assert_eq!(after, Some(before), "{from} of session {number}");
    }
    let nobody = store.rotate_refresh(id(9), turn("first", "second", later(3)), NOW);
    assert!(ok(nobody.await).is_none());
}

/// Rotation after rotation, a session knows the token in force and the one before it.
pub async fn a_rotation_remembers_the_token_before(store: Tried) {
    signed_in(&store, 1, later(2)).await;
    for (from, to) in [
        ("first", "second"),
        ("second", "third"),
        ("third", "fourth"),
    ] {
        let rotated = store.rotate_refresh(id(1), turn(from, to, later(3)), NOW);
        let rotated = ok(rotated.await).expect("the session is there");
        assert!(rotated.won, "{from}");
        let refresh = rotated.session.refresh.expect("it has a token");
        let previous = refresh.previous.expect("it has a token before");
        assert_eq!(refresh.current, digest(to));
        assert_eq!(previous.digest, digest(from));
        assert_eq!(previous.successor, sealed(to));
    }
}

/// From the moment it expires, a session does not rotate, and a rotation in time makes it live on.
pub async fn an_expired_session_does_not_rotate(store: Tried) {
    signed_in(&store, 1, later(2)).await;
    let rotate = async |from, to, expires, now| {
        let turn = turn(from, to, expires);
        ok(store.rotate_refresh(id(1), turn, now).await).map(|rotation| rotation.won)
    };
    let last = just_before(later(2));
    assert_eq!(rotate("first", "second", later(4), last).await, Some(true));
    assert_eq!(rotate("second", "third", later(9), later(4)).await, None);
    assert_eq!(ok(store.find_session(id(1), later(4)).await), None);
}

/// Of 16 who end a session at once, one did, and it is gone.
pub async fn a_session_is_ended_once(store: Tried) {
    signed_in(&store, 1, later(2)).await;
    let ended = race(16, |_| {
        let store = Arc::clone(&store);
        async move { end(&store, 1).await }
    });
    assert_eq!(ended.await.into_iter().filter(|&won| won).count(), 1);
    assert_eq!(ok(store.find_session(id(1), NOW).await), None);
    assert!(!end(&store, 1).await);
}

/// Whoever ends a session while its code is redeemed wins in the end.
pub async fn an_ended_session_is_not_brought_back_by_its_code(store: Tried) {
    for number in 0..32 {
        let (at, of) = (id(number + 1000), id(number));
        ok(store
            .put_code(at, code(of, later(1)), session(of, later(1)), None)
            .await);
        let answers = race(4, |caller| {
            let store = Arc::clone(&store);
            async move {
                if caller == 0 {
                    return end(&store, number).await;
                }
                let opened = store.spend_code(at, opening("a", later(9)), NOW).await;
                ok(opened).is_some()
            }
        });
        let answers = answers.await;
        assert!(answers[0], "the session was there to be ended");
        let opened = answers[1..].iter().filter(|&&opened| opened).count();
        assert!(opened <= 1, "{opened} got the session");
        assert_eq!(ok(store.find_session(of, NOW).await), None);
        let late = store.spend_code(at, opening("b", later(9)), NOW);
        assert_eq!(ok(late.await), None);
    }
}

/// Whoever ends a session while its token is rotated wins in the end.
pub async fn an_ended_session_is_not_brought_back_by_a_rotation(store: Tried) {
    for number in 0..32 {
        signed_in(&store, number, later(2)).await;
        let answers = race(4, |caller| {
            let store = Arc::clone(&store);
            async move {
                if caller == 0 {
                    return end(&store, number).await;
                }
                let turn = turn("first", "second", later(3));
                ok(store.rotate_refresh(id(number), turn, NOW).await).is_some_and(|turn| turn.won)
            }
        });
        let answers = answers.await;
        assert!(answers[0], "the session was there to be ended");
        let rotated = answers[1..].iter().filter(|&&won| won).count();
        assert!(rotated <= 1, "{rotated} rotated");
        assert_eq!(ok(store.find_session(id(number), NOW).await), None);
        let late = store.rotate_refresh(id(number), turn("second", "third", later(3)), NOW);
        assert!(ok(late.await).is_none());
    }
}

/// Of 32 who bring a key of the same name at once, all get the same one; other names have their own.
pub async fn the_first_key_of_a_name_is_kept(store: Tried) {
    let kept = race(32, |caller| {
        let store = Arc::clone(&store);
        async move {
            let key = sealed(&format!("key {caller}"));
            ok(store.put_key_if_absent("current", key).await)
        }
    });
    let kept = kept.await;
    assert!(kept.iter().all(|key| *key == kept[0]));
    let asked = async |name, key| ok(store.put_key_if_absent(name, sealed(key)).await);
    assert_eq!(asked("current", "late").await, kept[0]);
    assert_eq!(asked("next", "other").await, sealed("other"));
    // Keys have no end.
    ok(store.sweep(UnixTime(i64::MAX - 1), 100).await);
    assert_eq!(asked("current", "late").await, kept[0]);
}

async fn find_browser(store: &Tried, now: UnixTime) -> Option<BrowserRecord> {
    ok(store.find_browser_session(digest("cookie"), now).await)
}

async fn save_browser(store: &Tried, values: &str, now: UnixTime) -> bool {
    let record = browser_record(values, later(5));
    ok(store
        .save_browser_session(digest("cookie"), record, now)
        .await)
}

/// Of 16 browser sessions under one key, one is kept.
pub async fn a_browser_session_does_not_replace_another(store: Tried) {
    let kept = race(16, |caller| {
        let store = Arc::clone(&store);
        async move {
            let record = browser_record(&format!("values {caller}"), later(1));
            ok(store.put_browser_session(digest("cookie"), record).await)
        }
    });
    let kept = kept.await;
    let winners: Vec<_> = (0..kept.len()).filter(|&caller| kept[caller]).collect();
    let [winner] = winners[..] else {
        panic!("callers {winners:?} were kept, not one of them");
    };
    let record = browser_record(&format!("values {winner}"), later(1));
    assert_eq!(find_browser(&store, NOW).await, Some(record));
}

/// Saving changes a browser session that is there, and makes none: not where none was, nor one that has expired or
/// was forgotten.
pub async fn a_saved_browser_session_is_never_made_anew(store: Tried) {
    assert!(!save_browser(&store, "never", NOW).await);
    assert_eq!(find_browser(&store, NOW).await, None);
    let first = browser_record("first", later(1));
    assert!(ok(store.put_browser_session(digest("cookie"), first).await));
    assert!(!save_browser(&store, "expired", later(1)).await);
    assert!(save_browser(&store, "second", NOW).await);
    let second = browser_record("second", later(5));
    assert_eq!(find_browser(&store, later(1)).await, Some(second));
    ok(store.forget_browser_session(digest("cookie")).await);
    assert!(!save_browser(&store, "forgotten", NOW).await);
    assert_eq!(find_browser(&store, NOW).await, None);
    ok(store.forget_browser_session(digest("cookie")).await);
}

/// Whoever forgets a browser session while others save it wins in the end.
pub async fn a_forgotten_browser_session_is_not_saved_back(store: Tried) {
    for _ in 0..32 {
        let record = browser_record("first", later(1));
        assert!(ok(store
            .put_browser_session(digest("cookie"), record)
            .await));
        let done = race(4, |caller| {
            let store = Arc::clone(&store);
            async move {
                if caller == 0 {
                    ok(store.forget_browser_session(digest("cookie")).await);
                } else {
                    save_browser(&store, "saved", NOW).await;
                }
            }
        });
        done.await;
        assert_eq!(find_browser(&store, NOW).await, None);
    }
}

/// What is there, of what [`fill`] put: client, pending sign-in, code, session, browser session.
async fn found(store: &Tried, now: UnixTime) -> [bool; 5] {
    [
        ok(store.find_client(&ClientId::new("a"), now).await).is_some(),
        ok(store.find_pending(id(1), now).await).is_some(),
        ok(store.find_code(id(1), now).await).is_some(),
        ok(store.find_session(id(2), now).await).is_some(),
        find_browser(store, now).await.is_some(),
    ]
}

/// One row of each kind: they expire after 1, 2, 3, 4 and 5 hours.
async fn fill(store: &Tried) {
    ok(store.put_client(client("a"), later(1)).await);
    ok(store.put_pending(id(1), pending(later(2))).await);
    ok(store
        .put_code(id(1), code(id(2), later(3)), session(id(2), later(4)), None)
        .await);
    let record = browser_record("values", later(5));
    assert!(ok(store
        .put_browser_session(digest("cookie"), record)
        .await));
}

/// Each kind of row is found until the second before it expires, and not from then on, swept or not.
pub async fn what_has_expired_is_never_returned(store: Tried) {
    fill(&store).await;
    for hour in 1..=5 {
        let there = |from: usize| std::array::from_fn(|row| from <= row);
        let gone = hour as usize;
        assert_eq!(
            found(&store, just_before(later(hour))).await,
            there(gone - 1)
        );
        assert_eq!(found(&store, later(hour)).await, there(gone));
    }
    assert_eq!(ok(store.take_pending(id(1), later(2)).await), None);
}

/// The sweep deletes each kind of row when it has expired, for good, and counts.
pub async fn what_has_expired_is_deleted(store: Tried) {
    fill(&store).await;
    assert_eq!(ok(store.sweep(just_before(later(1)), 100).await), 0);
    assert_eq!(found(&store, NOW).await, [true; 5]);
    for (hour, left) in [
        (1, [false, true, true, true, true]),
        (3, [false, false, false, true, true]),
        (9, [false; 5]),
    ] {
        let before = found(&store, NOW).await.iter().filter(|&&row| row).count();
        let swept = ok(store.sweep(later(hour), 100).await);
        // Seen from an earlier moment, what is left is what was not deleted.
        assert_eq!(found(&store, NOW).await, left, "after {hour} hours");
        let rows = left.iter().filter(|&&row| row).count();
        assert_eq!(swept, before - rows, "after {hour} hours");
    }
    assert_eq!(ok(store.sweep(later(9), 100).await), 0);
    // The place is free again.
    fill(&store).await;
    assert_eq!(found(&store, NOW).await, [true; 5]);
}

/// A sweep stops at the number it is told, and the next goes on.
pub async fn a_sweep_deletes_no_more_than_it_is_told(store: Tried) {
    for number in 0..200 {
        let expires = later(1 + u32::try_from(number % 2).expect("it is small"));
        ok(store.put_pending(id(number), pending(expires)).await);
    }
    for (max, deleted) in [(0, 0), (1, 1), (70, 70), (100, 29), (100, 0)] {
        assert_eq!(
            ok(store.sweep(later(1), max).await),
            deleted,
            "at most {max}"
        );
    }
    assert_eq!(ok(store.sweep(later(2), 1000).await), 100);
}

/// A row that was made to live longer is swept at its new end, not at its old one.
pub async fn a_sweep_leaves_what_was_made_to_live_longer(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(1)).await);
    ok(store.keep_client(&name, later(4), NOW).await);
    signed_in(&store, 1, later(2)).await;
    let turn = turn("first", "second", later(3));
    ok(store.rotate_refresh(id(1), turn, NOW).await);
    // One for the spent code.
    assert_eq!(ok(store.sweep(later(2), 100).await), 1);
    assert!(ok(store.find_client(&name, later(2)).await).is_some());
    assert!(ok(store.find_session(id(1), later(2)).await).is_some());
    assert_eq!(ok(store.sweep(later(3), 100).await), 1);
    assert_eq!(ok(store.find_session(id(1), NOW).await), None);
    assert_eq!(ok(store.sweep(just_before(later(4)), 100).await), 0);
    assert_eq!(ok(store.sweep(later(4), 100).await), 1);
    assert_eq!(ok(store.find_client(&name, NOW).await), None);
}

/// A session that rotates in its last second is either swept or rotated, never both.
pub async fn a_sweep_does_not_undo_a_rotation(store: Tried) {
    for number in 0..32 {
        signed_in(&store, number, later(2)).await;
        let answers = race(2, |caller| {
            let store = Arc::clone(&store);
            async move {
                if caller == 0 {
                    ok(store.sweep(later(2), 100).await);
                    return false;
                }
                let turn = turn("first", "second", later(9));
                let rotated = store.rotate_refresh(id(number), turn, just_before(later(2)));
                ok(rotated.await).is_some()
            }
        });
        let rotated = answers.await[1];
        let found = ok(store.find_session(id(number), later(2)).await);
        assert_eq!(found.is_some(), rotated);
    }
}
