//! Authorization codes, and the sessions that they open.

use std::sync::Arc;
use std::time::Duration;

use super::{Tried, end, just_before, later, ok, race};
use crate::protocol::session::Session;
use crate::store::sample::{NOW, code, first_sign_in, id, opening, session};

/// `put_code` keeps code and session, or, where it fails, neither.
pub async fn a_code_and_its_session_are_kept_both_or_neither(store: Tried) {
    let kept = (code(id(2), later(1)), session(id(2), later(1)));
    ok(store
        .put_code(id(1), first_sign_in(kept.0.clone(), kept.1.clone()), NOW)
        .await);
    // This session is there already.
    let again = store.put_code(id(3), first_sign_in(kept.0.clone(), kept.1.clone()), NOW);
    assert!(again.await.is_err());
    assert_eq!(ok(store.find_code(id(3), NOW).await), None);
    // This code is.
    let again = store.put_code(
        id(1),
        first_sign_in(code(id(4), later(1)), session(id(4), later(1))),
        NOW,
    );
    assert!(again.await.is_err());
    assert_eq!(ok(store.find_session(id(4), NOW).await), None);
    assert_eq!(ok(store.find_code(id(1), NOW).await), Some(kept.0));
    assert_eq!(ok(store.find_session(id(2), NOW).await), Some(kept.1));
}

/// Of 64 who redeem a code at once, one gets the session, and it is that one's token which is in force.
pub async fn a_code_is_spent_once(store: Tried) {
    let kept = session(id(2), later(1));
    ok(store
        .put_code(
            id(1),
            first_sign_in(code(id(2), later(1)), kept.clone()),
            NOW,
        )
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
        .put_code(
            id(1),
            first_sign_in(fresh.clone(), session(id(2), later(1))),
            NOW,
        )
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
        .put_code(
            id(1),
            first_sign_in(code(id(2), later(1)), kept.clone()),
            NOW,
        )
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
        ok(store
            .put_code(at, first_sign_in(code(of, later(1)), short), NOW)
            .await);
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
