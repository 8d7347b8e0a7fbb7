//! Grants: one for all sessions of a person, put with each sign-in and changed only from what it is.

use std::sync::Arc;

use super::{Tried, just_before, later, ok, race};
use crate::clock::UnixTime;
use crate::protocol::grant::Grant;
use crate::protocol::ids::{Id, Subject};
use crate::protocol::session::Session;
use crate::store::sample::{NOW, code, consent, first_sign_in, grant, id, opening, sealed, turn};
use crate::store::{MAX_SESSIONS, SignedIn, sample};

const MONA: &str = "github:1";

/// Mona's sign-in that leads to session `number`, which nobody has redeemed. With it the grant that was seen becomes one
/// with these tokens.
pub(super) fn sign_in(number: u64, tokens: &str, seen: Option<&Grant>) -> SignedIn {
    let session = Session {
        subject: Subject::new(MONA),
        ..sample::session(id(number), later(2))
    };
    SignedIn {
        grant_before: seen.cloned(),
        grant: Grant {
            tokens: sealed(tokens),
            ..grant(MONA, later(9))
        },
        ..first_sign_in(code(id(number), later(2)), session)
    }
}

/// Under what the code of session `number` is kept.
pub(super) fn code_of(number: u64) -> Id {
    id(number + 1000)
}

/// The sessions that are ended in the same step, if it is kept.
pub(super) async fn put(store: &Tried, signed_in: SignedIn, now: UnixTime) -> Option<Vec<Id>> {
    let session = signed_in.session.id.as_bytes();
    let number = session
        .first_chunk()
        .map(|number| u64::from_be_bytes(*number));
    let at = code_of(number.expect("it is made of a number"));
    ok(store.put_code(at, signed_in, now).await)
}

/// Signs Mona in as often as it takes.
pub(super) async fn let_in(store: &Tried, number: u64, tokens: &str) {
    loop {
        let seen = of_mona(store, NOW).await;
        let signed_in = sign_in(number, tokens, seen.as_ref());
        if let Some(ended) = put(store, signed_in, NOW).await {
            assert_eq!(ended, [], "sessions that are not too many");
            return;
        }
    }
}

pub(super) async fn of_mona(store: &Tried, now: UnixTime) -> Option<Grant> {
    ok(store.find_grant(&Subject::new(MONA), now).await)
}

/// Mona's grant, which is there.
pub(super) async fn grant_of_mona(store: &Tried) -> Grant {
    of_mona(store, NOW).await.expect("she has a grant")
}

pub(super) async fn is_there(store: &Tried, number: u64) -> bool {
    ok(store.find_session(id(number), NOW).await).is_some()
}

/// Code, session, grant and consent are kept together, or none of them: not where code or session are there already, nor
/// where the grant is not as it was seen.
pub async fn a_sign_in_is_kept_all_or_nothing(store: Tried) {
    let agreed = |hours| Some(consent("mona", later(hours)));
    let first = SignedIn {
        consent: agreed(3),
        ..sign_in(1, "first", None)
    };
    assert_eq!(put(&store, first.clone(), NOW).await, Some(Vec::new()));
    let kept = Grant {
        sessions: vec![id(1)],
        ..first.grant
    };
    assert_eq!(of_mona(&store, NOW).await, Some(kept.clone()));
    let is_untouched = async |number| {
        let (key, _) = consent("mona", NOW);
        let agreed = ok(store.find_consent(key, NOW).await).expect("it is kept");
        assert_eq!(agreed.expires, later(3));
        assert_eq!(of_mona(&store, NOW).await, Some(kept.clone()));
        assert_eq!(ok(store.find_code(code_of(number), NOW).await), None);
        assert_eq!(is_there(&store, number).await, number == 1);
    };
    let next = |number, seen| SignedIn {
        consent: agreed(9),
        ..sign_in(number, "second", seen)
    };
    // this code is there already
    let again = store.put_code(code_of(1), next(2, Some(&kept)), NOW);
    assert!(again.await.is_err());
    is_untouched(2).await;
    // this session is
    let again = store.put_code(code_of(3), next(1, Some(&kept)), NOW);
    assert!(again.await.is_err());
    assert_eq!(ok(store.find_code(code_of(3), NOW).await), None);
    // nobody saw this grant
    let other = Grant {
        checked: later(1),
        ..kept.clone()
    };
    for seen in [None, Some(&other)] {
        assert_eq!(put(&store, next(2, seen), NOW).await, None);
        is_untouched(2).await;
    }
    assert!(put(&store, next(2, Some(&kept)), NOW).await.is_some());
    assert!(is_there(&store, 2).await);
    // what was seen is gone
    let unknown = grant("github:2", later(9));
    let late = SignedIn {
        grant_before: Some(unknown.clone()),
        grant: unknown.clone(),
        ..sign_in(4, "third", None)
    };
    assert_eq!(put(&store, late, NOW).await, None);
    assert!(!is_there(&store, 4).await);
    assert_eq!(ok(store.find_grant(unknown.subject(), NOW).await), None);
}

/// A second sign-in of a person joins the sessions of the first, which live by what it brings. The grant is kept no shorter
/// than before, and that somebody ends a session meanwhile is in nobody's way.
pub async fn a_sign_in_joins_the_sessions_of_the_person(store: Tried) {
    let_in(&store, 1, "first").await;
    let_in(&store, 2, "second").await;
    let grant = grant_of_mona(&store).await;
    assert_eq!(grant.tokens, sealed("second"));
    assert_eq!(grant.sessions, [id(1), id(2)]);
    assert_eq!(grant.expires, later(9));
    for (number, hours, expires) in [(3, 5, 9), (4, 12, 12)] {
        let mut next = sign_in(number, "third", Some(&grant_of_mona(&store).await));
        next.grant.expires = later(hours);
        // of no meaning
        next.grant.sessions = vec![id(77)];
        assert!(put(&store, next, NOW).await.is_some());
        assert_eq!(grant_of_mona(&store).await.expires, later(expires));
    }
    let seen = grant_of_mona(&store).await;
    assert!(ok(store.end_session(id(2), NOW).await).is_some());
    let next = sign_in(5, "fourth", Some(&seen));
    assert!(put(&store, next, NOW).await.is_some());
    let grant = grant_of_mona(&store).await;
    assert_eq!(grant.sessions, [1, 3, 4, 5].map(id));
    // another person has nothing to do with it
    let other = first_sign_in(code(id(6), later(1)), sample::session(id(6), later(1)));
    assert!(put(&store, other, NOW).await.is_some());
    assert_eq!(of_mona(&store, NOW).await, Some(grant));
}

/// Of 32 sign-ins of a person at once that saw the same grant, or none, one is let in, and the grant is that one's.
pub async fn of_many_sign_ins_that_saw_the_same_one_is_let_in(store: Tried) {
    let mut seen = None;
    let mut sessions = Vec::new();
    for round in 0..4 {
        let numbers: Vec<u64> = (round * 32..(round + 1) * 32).collect();
        let let_in = race(32, |caller| {
            let (store, number) = (Arc::clone(&store), numbers[caller]);
            let signed_in = sign_in(number, &format!("tokens {number}"), seen.as_ref());
            async move { put(&store, signed_in, NOW).await.map(|_| number) }
        });
        let let_in: Vec<_> = let_in.await.into_iter().flatten().collect();
        let [winner] = let_in[..] else {
            panic!("{let_in:?} were let in, not one of them");
        };
        sessions.push(id(winner));
        let grant = grant_of_mona(&store).await;
        assert_eq!(grant.tokens, sealed(&format!("tokens {winner}")));
        assert_eq!(grant.sessions, sessions);
        for number in numbers {
            assert_eq!(is_there(&store, number).await, number == winner);
        }
        seen = Some(grant);
    }
}

/// 32 sign-ins of a person at once, each of which looks again until it is let in: all sessions are listed, once.
pub async fn whoever_looks_again_is_let_in(store: Tried) {
    let done = race(32, |caller| {
        let (store, number) = (Arc::clone(&store), caller as u64);
        async move { let_in(&store, number, &format!("tokens {number}")).await }
    });
    done.await;
    let grant = grant_of_mona(&store).await;
    let last = grant.sessions.last().expect("there are sessions");
    let tokens = (0..32).find(|number| id(*number) == *last);
    let tokens = tokens.map(|number| sealed(&format!("tokens {number}")));
    assert_eq!(Some(grant.tokens), tokens, "it is that of the last one");
    let mut listed = grant.sessions;
    listed.sort();
    assert_eq!(listed, (0..32).map(id).collect::<Vec<_>>());
    for number in 0..32 {
        assert!(is_there(&store, number).await);
    }
}

/// From the moment it expires, a grant is not there: nobody changes or ends it, and a new sign-in begins anew.
pub async fn an_expired_grant_is_in_nobodys_way(store: Tried) {
    let mut short = sign_in(1, "first", None);
    short.grant.expires = later(2);
    put(&store, short, NOW).await;
    let seen = grant_of_mona(&store).await;
    for swept in [false, true] {
        assert!(of_mona(&store, just_before(later(2))).await.is_some() != swept);
        assert_eq!(of_mona(&store, later(2)).await, None);
        assert_eq!(ok(store.list_grants(None, 9, later(2)).await), []);
        let changed = store.change_grant(&seen, seen.clone(), later(2)).await;
        assert!(!ok(changed));
        assert_eq!(ok(store.end_grant(&seen, later(2)).await), None);
        let late = sign_in(2, "second", Some(&seen));
        assert_eq!(put(&store, late, later(2)).await, None);
        if !swept {
            ok(store.sweep(later(2), 100).await);
        }
    }
    for (number, swept) in [(3, true), (4, false)] {
        let mut next = sign_in(number, "third", None);
        let hours = 2 + u32::from(!swept);
        next.session.expires = later(hours + 1);
        next.grant.expires = later(hours + 1);
        assert!(put(&store, next, later(hours)).await.is_some(), "{swept}");
        let grant = of_mona(&store, later(hours)).await.expect("it is there");
        assert_eq!(grant.sessions, [id(number)], "{swept}");
        assert_eq!(grant.expires, later(hours + 1), "{swept}");
    }
}

/// A session that has expired is off the list after the next sign-in, and does not come back to life besides it, though
/// whoever rotates its token looked before.
pub async fn an_expired_session_does_not_live_on_without_its_grant(store: Tried) {
    for round in 0..32 {
        let (old, new) = (round * 2, round * 2 + 1);
        let before = of_mona(&store, NOW).await;
        put(&store, sign_in(old, "old", before.as_ref()), NOW).await;
        let opening = opening("first", later(1));
        ok(store.spend_code(code_of(old), opening, NOW).await).expect("its code is fresh");
        let seen = grant_of_mona(&store).await;
        let done = race(2, |caller| {
            let (store, seen) = (Arc::clone(&store), seen.clone());
            async move {
                if caller == 0 {
                    let next = sign_in(new, "new", Some(&seen));
                    return put(&store, next, later(1)).await.is_some();
                }
                let turn = turn("first", "second", later(2));
                let rotated = store.rotate_refresh(id(old), turn, just_before(later(1)));
                ok(rotated.await).is_some()
            }
        });
        let done = done.await;
        assert!(done[0], "nothing keeps the sign-in out");
        let listed = grant_of_mona(&store).await.sessions;
        assert_eq!(listed.contains(&id(old)), done[1]);
        assert_eq!(is_there(&store, old).await, done[1]);
    }
}

/// A person who signs in again and again has [`MAX_SESSIONS`] sessions: each one more ends the oldest, and tells which.
pub async fn a_person_has_only_so_many_sessions(store: Tried) {
    let most = MAX_SESSIONS as u64;
    for number in 0..most {
        let_in(&store, number, "tokens").await;
    }
    // one that has ended is none too many
    assert!(ok(store.end_session(id(7), NOW).await).is_some());
    let_in(&store, most, "tokens").await;
    for (number, oldest) in [(most + 1, 0), (most + 2, 1)] {
        assert!(is_there(&store, oldest).await);
        let seen = grant_of_mona(&store).await;
        let ended = put(&store, sign_in(number, "tokens", Some(&seen)), NOW).await;
        assert_eq!(ended, Some(vec![id(oldest)]));
        assert!(!is_there(&store, oldest).await);
        let code = store.spend_code(code_of(oldest), opening("late", later(9)), NOW);
        assert_eq!(ok(code.await), None);
        let grant = grant_of_mona(&store).await;
        assert_eq!(grant.sessions.len(), MAX_SESSIONS);
        assert_eq!(grant.sessions.last(), Some(&id(number)));
    }
}
