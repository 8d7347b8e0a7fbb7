//! Grants that are changed or ended while their sessions come and go: each sees the other, and nothing comes back.

use std::sync::Arc;

use super::grants::{code_of, grant_of_mona, is_there, let_in, of_mona, put, sign_in};
use super::{Tried, end, just_before, later, ok, race};
use crate::protocol::grant::Grant;
use crate::protocol::ids::Id;
use crate::store::sample::{NOW, id, opening, sealed, turn};

/// How often two race against each other.
const ROUNDS: u64 = 32;

/// `grant` with other tokens.
fn renewed(grant: &Grant, tokens: &str) -> Grant {
    Grant {
        tokens: sealed(tokens),
        checked: later(1),
        ..grant.clone()
    }
}

/// Ends session `number`: whether it was there, and the grant that went with it.
async fn end_of(store: &Tried, number: u64) -> (bool, Option<Grant>) {
    let ended = ok(store.end_session(id(number), NOW).await);
    match ended {
        Some(ended) => {
            assert_eq!(ended.session.id, id(number));
            (true, ended.grant)
        }
        None => (false, None),
    }
}

/// Who ends one of two sessions leaves the grant to the other; who ends the last one takes it away. Of 32 who do so at
/// once, one learns it.
pub async fn the_last_session_takes_the_grant_with_it(store: Tried) {
    for number in [1, 2] {
        let_in(&store, number, "tokens").await;
    }
    let seen = grant_of_mona(&store).await;
    assert_eq!(end_of(&store, 1).await, (true, None));
    let left = Grant {
        sessions: vec![id(2)],
        ..seen
    };
    assert_eq!(of_mona(&store, NOW).await, Some(left.clone()));
    assert_eq!(end_of(&store, 1).await, (false, None));
    let ended = race(32, |_| {
        let store = Arc::clone(&store);
        async move { end_of(&store, 2).await }
    });
    let mut ended: Vec<_> = ended.await.into_iter().filter(|(won, _)| *won).collect();
    assert_eq!(ended.len(), 1, "callers that ended it");
    let grant = ended.remove(0).1.expect("it was the last one");
    assert_eq!(grant.tokens, left.tokens);
    assert_eq!(of_mona(&store, NOW).await, None);
    assert!(!is_there(&store, 2).await);
    // and the next sign-in begins anew
    let_in(&store, 3, "tokens").await;
    assert_eq!(grant_of_mona(&store).await.sessions, [id(3)]);
}

/// 32 sessions of a person that are ended at once: each by one, and one of those takes the grant.
pub async fn of_many_sessions_that_end_one_was_the_last(store: Tried) {
    for number in 0..32 {
        let_in(&store, number, "tokens").await;
    }
    let ended = race(64, |caller| {
        let store = Arc::clone(&store);
        async move { end_of(&store, caller as u64 / 2).await }
    });
    let ended = ended.await;
    assert_eq!(ended.iter().filter(|(won, _)| *won).count(), 32);
    let grants = ended.iter().filter(|(_, grant)| grant.is_some()).count();
    assert_eq!(grants, 1, "callers that took the grant");
    assert_eq!(of_mona(&store, NOW).await, None);
}

/// A session that has expired keeps no grant alive, and is no session that somebody ends.
pub async fn an_expired_session_does_not_count_as_living(store: Tried) {
    let_in(&store, 1, "tokens").await;
    let seen = grant_of_mona(&store).await;
    let mut short = sign_in(2, "tokens", Some(&seen));
    short.session.expires = later(1);
    put(&store, short, NOW).await;
    assert!(is_there(&store, 2).await);
    let ended = ok(store.end_session(id(1), later(1)).await).expect("it lives");
    assert!(ended.grant.is_some(), "the other one had expired");
    assert_eq!(of_mona(&store, NOW).await, None);
    // not even seen from before
    assert!(!is_there(&store, 2).await);

    let_in(&store, 3, "tokens").await;
    assert!(ok(store.end_session(id(3), later(2)).await).is_none());
    assert!(!is_there(&store, 3).await, "nor does it come back to life");
    assert!(of_mona(&store, NOW).await.is_some());
}

/// A session that nobody redeems leaves its grant behind when it expires, swept or not: it is listed until it is ended.
pub async fn a_grant_without_sessions_is_found_until_it_is_ended(store: Tried) {
    for swept in [false, true] {
        let_in(&store, u64::from(swept), "tokens").await;
        if swept {
            // the session, its code, and that of the one before
            assert_eq!(ok(store.sweep(later(2), 100).await), 3);
        }
        let left = ok(store.list_grants(None, 9, later(2)).await);
        let [grant] = &left[..] else {
            panic!("{} grants are listed, not one", left.len());
        };
        assert_eq!(grant.sessions, [id(u64::from(swept))]);
        let ended = ok(store.end_grant(grant, later(2)).await);
        assert_eq!(ended, Some(Vec::new()), "no session ended by it");
        assert_eq!(ok(store.list_grants(None, 9, NOW).await), []);
    }
}

/// Of 32 who end a grant at once, one does, and learns which sessions ended by it, in force or not yet.
pub async fn a_grant_is_ended_once_with_all_its_sessions(store: Tried) {
    for number in 1..=5 {
        let_in(&store, number, "tokens").await;
    }
    let opening = opening("first", later(5));
    ok(store.spend_code(code_of(2), opening, NOW).await).expect("its code is fresh");
    assert!(end(&store, 3).await);
    let seen = grant_of_mona(&store).await;
    // that one has ended meanwhile does not count
    assert!(end(&store, 4).await);
    let ended = race(32, |_| {
        let (store, seen) = (Arc::clone(&store), seen.clone());
        async move { ok(store.end_grant(&seen, NOW).await) }
    });
    let ended: Vec<_> = ended.await.into_iter().flatten().collect();
    assert_eq!(ended, [[1, 2, 5].map(id)]);
    assert_eq!(of_mona(&store, NOW).await, None);
    for number in 1..=5 {
        assert!(!is_there(&store, number).await, "session {number}");
    }
}

/// What a grant ended is not brought back by codes that are redeemed, or tokens that are rotated, at the same moment.
pub async fn an_ended_grant_leaves_nothing_in_force(store: Tried) {
    for round in 0..ROUNDS {
        let (fresh, used) = (round * 2, round * 2 + 1);
        for number in [fresh, used] {
            let_in(&store, number, "tokens").await;
        }
        let opened = store.spend_code(code_of(used), opening("first", later(2)), NOW);
        ok(opened.await).expect("its code is fresh");
        let seen = grant_of_mona(&store).await;
        let done = race(3, |caller| {
            let (store, seen) = (Arc::clone(&store), seen.clone());
            async move {
                match caller {
                    0 => return ok(store.end_grant(&seen, NOW).await),
                    1 => {
                        let opening = opening("a", later(9));
                        drop(ok(store.spend_code(code_of(fresh), opening, NOW).await));
                    }
                    _ => {
                        let turn = turn("first", "second", later(9));
                        drop(ok(store.rotate_refresh(id(used), turn, NOW).await));
                    }
                }
                None
            }
        });
        assert_eq!(done.await[0], Some([fresh, used].map(id).to_vec()));
        for number in [fresh, used] {
            assert!(!is_there(&store, number).await);
            let late = store.spend_code(code_of(number), opening("b", later(9)), NOW);
            assert_eq!(ok(late.await), None);
        }
    }
}

/// A grant is changed only from what it is, but for its list of sessions, which stays as it is; and nobody brings it back.
pub async fn a_changed_grant_keeps_its_sessions(store: Tried) {
    for number in [1, 2, 3] {
        let_in(&store, number, "first").await;
    }
    let seen = grant_of_mona(&store).await;
    assert!(end(&store, 2).await);
    let mut after = renewed(&seen, "second");
    after.sessions = vec![id(77)];
    after.expires = later(4);
    assert!(ok(store.change_grant(&seen, after.clone(), NOW).await));
    after.sessions = [1, 3].map(id).to_vec();
    assert_eq!(of_mona(&store, NOW).await, Some(after.clone()));
    let late = renewed(&seen, "third");
    assert!(!ok(store.change_grant(&seen, late.clone(), NOW).await));
    assert_eq!(ok(store.end_grant(&seen, NOW).await), None);
    assert_eq!(of_mona(&store, NOW).await, Some(after.clone()));
    assert_eq!(
        of_mona(&store, just_before(later(4))).await,
        Some(after.clone())
    );
    assert_eq!(of_mona(&store, later(4)).await, None);
    assert!(ok(store.end_grant(&after, NOW).await).is_some());
    assert!(!ok(store.change_grant(&after, late, NOW).await));
    assert_eq!(of_mona(&store, NOW).await, None);
}

/// Of 32 who change a grant at once, as they all saw it, one does.
pub async fn of_many_who_change_a_grant_one_does(store: Tried) {
    let_in(&store, 1, "first").await;
    let seen = grant_of_mona(&store).await;
    let changed = race(32, |caller| {
        let (store, seen) = (Arc::clone(&store), seen.clone());
        async move {
            let after = renewed(&seen, &format!("tokens {caller}"));
            let changed = store.change_grant(&seen, after.clone(), NOW).await;
            ok(changed).then_some(after)
        }
    });
    let changed: Vec<_> = changed.await.into_iter().flatten().collect();
    assert_eq!(changed, [grant_of_mona(&store).await]);
}

/// Whoever changes a grant while its last session ends is seen by who ends it, or sees that it is gone.
pub async fn a_change_and_the_end_of_the_last_session_see_each_other(store: Tried) {
    for round in 0..ROUNDS {
        let_in(&store, round, "first").await;
        let seen = grant_of_mona(&store).await;
        let done = race(2, |caller| {
            let (store, seen) = (Arc::clone(&store), seen.clone());
            async move {
                if caller == 0 {
                    let after = renewed(&seen, "second");
                    return (ok(store.change_grant(&seen, after, NOW).await), None);
                }
                end_of(&store, round).await
            }
        });
        let done = done.await;
        let ended = done[1].1.as_ref().expect("it was the last one");
        let left = if done[0].0 { "second" } else { "first" };
        assert_eq!(ended.tokens, sealed(left));
        assert_eq!(of_mona(&store, NOW).await, None);
    }
}

/// Of a change of a grant, its end, and a new sign-in, that all saw it the same, one happens.
pub async fn a_grant_is_changed_or_ended_or_signed_in_to(store: Tried) {
    for round in 0..ROUNDS {
        let (old, new) = (round * 2, round * 2 + 1);
        let_in(&store, old, "first").await;
        let seen = grant_of_mona(&store).await;
        let before = seen.sessions.clone();
        let done = race(3, |caller| {
            let (store, seen) = (Arc::clone(&store), seen.clone());
            async move {
                match caller {
                    0 => {
                        let after = renewed(&seen, "changed");
                        ok(store.change_grant(&seen, after, NOW).await)
                    }
                    1 => ok(store.end_grant(&seen, NOW).await).is_some(),
                    _ => {
                        let next = sign_in(new, "signed in", Some(&seen));
                        put(&store, next, NOW).await.is_some()
                    }
                }
            }
        });
        let done = done.await;
        let left = of_mona(&store, NOW).await;
        let left = left.map(|grant| (grant.tokens, grant.sessions));
        match done[..] {
            [true, false, false] => assert_eq!(left, Some((sealed("changed"), before))),
            [false, true, false] => assert_eq!(left, None),
            [false, false, true] => {
                let both = [&before[..], &[id(new)]].concat();
                assert_eq!(left, Some((sealed("signed in"), both)));
            }
            ref other => panic!("{other:?} happened"),
        }
        for session in ok(store.list_sessions(None, 1000, NOW).await) {
            assert!(ok(store.end_session(session.id, NOW).await).is_some());
        }
        assert_eq!(of_mona(&store, NOW).await, None);
    }
}

/// A sign-in at the moment when the last session ends joins it, or comes too late for its grant and looks again: it is never
/// left without one.
pub async fn a_sign_in_and_the_end_of_the_last_session_see_each_other(store: Tried) {
    for round in 0..ROUNDS {
        let (old, new) = (round * 2, round * 2 + 1);
        let_in(&store, old, "first").await;
        let seen = grant_of_mona(&store).await;
        let done = race(2, |caller| {
            let (store, seen) = (Arc::clone(&store), seen.clone());
            async move {
                if caller == 0 {
                    let next = sign_in(new, "second", Some(&seen));
                    return (put(&store, next, NOW).await.is_some(), None);
                }
                end_of(&store, old).await
            }
        });
        let done = done.await;
        let (is_in, taken) = (done[0].0, &done[1].1);
        assert!(done[1].0, "the session was there to be ended");
        assert_eq!(is_in, taken.is_none());
        assert_eq!(is_there(&store, new).await, is_in);
        if is_in {
            let grant = grant_of_mona(&store).await;
            assert_eq!(grant.sessions, [id(new)]);
            assert!(end_of(&store, new).await.1.is_some());
        }
        assert_eq!(of_mona(&store, NOW).await, None);
    }
}

/// Sessions that end while their grant is ended: each is told to one, and so is the end of the grant.
pub async fn the_end_of_a_grant_and_those_of_its_sessions_see_each_other(store: Tried) {
    for round in 0..ROUNDS {
        let numbers = [round * 3, round * 3 + 1, round * 3 + 2];
        for number in numbers {
            let_in(&store, number, "tokens").await;
        }
        let seen = grant_of_mona(&store).await;
        let done = race(4, |caller| {
            let (store, seen) = (Arc::clone(&store), seen.clone());
            async move {
                if caller == 3 {
                    let ended = ok(store.end_grant(&seen, NOW).await);
                    return (ended.is_some(), ended.unwrap_or_default());
                }
                let (won, grant) = end_of(&store, numbers[caller]).await;
                let ended = won.then_some(id(numbers[caller]));
                (grant.is_some(), ended.into_iter().collect())
            }
        });
        let done = done.await;
        assert_eq!(done.iter().filter(|(took, _)| *took).count(), 1);
        let mut ended: Vec<Id> = done.into_iter().flat_map(|(_, ended)| ended).collect();
        ended.sort();
        assert_eq!(ended, numbers.map(id));
        assert_eq!(of_mona(&store, NOW).await, None);
    }
}
