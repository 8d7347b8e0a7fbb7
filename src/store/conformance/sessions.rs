//! Sessions: refresh tokens that rotate, and ends that are final.

use std::sync::Arc;

use super::{Tried, end, just_before, later, ok, race, signed_in};
use crate::store::Rotation;
use crate::store::sample::{NOW, code, digest, first_sign_in, id, opening, sealed, session, turn};

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
        .put_code(id(3), first_sign_in(code(id(2), later(1)), without), NOW)
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
            .put_code(
                at,
                first_sign_in(code(of, later(1)), session(of, later(1))),
                NOW,
            )
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
