//! What has expired is never returned, and the sweep really deletes it.

use std::sync::Arc;

use super::browsers::find_browser;
use super::{Tried, just_before, later, ok, race, signed_in};
use crate::clock::UnixTime;
use crate::protocol::ids::ClientId;
use crate::store::SignedIn;
use crate::store::sample::{
    NOW, browser_record, client, code, consent, digest, document, first_sign_in, grant, id,
    pending, pushed, session, turn,
};

/// Kinds of row that [`fill`] puts.
const KINDS: usize = 9;

/// What is there of what [`fill`] put, in the order in which it expires.
async fn found(store: &Tried, now: UnixTime) -> [bool; KINDS] {
    let (agreed, _) = consent("mona", now);
    let name = ClientId::new("a");
    [
        ok(store.find_client(&name, now).await).is_some(),
        ok(store.find_pending(id(1), now).await).is_some(),
        ok(store.find_code(id(1), now).await).is_some(),
        ok(store.find_session(id(2), now).await).is_some(),
        find_browser(store, now).await.is_some(),
        ok(store.find_document(&name, now).await).is_some(),
        ok(store.find_pushed(id(1), now).await).is_some(),
        ok(store.find_consent(agreed, now).await).is_some(),
        ok(store.find_grant(&session(id(2), now).subject, now).await).is_some(),
    ]
}

/// One row of each kind, the first of which expires after an hour, the next after two, and so on. Assertions, which
/// cannot be looked at, have their own rules.
async fn fill(store: &Tried) {
    ok(store.put_client(client("a"), later(1)).await);
    ok(store.put_pending(id(1), pending(later(2))).await);
    let (code, session) = (code(id(2), later(3)), session(id(2), later(4)));
    let signed_in = SignedIn {
        consent: Some(consent("mona", later(8))),
        grant: grant(session.subject.as_str(), later(9)),
        ..first_sign_in(code, session)
    };
    let kept = ok(store.put_code(id(1), signed_in, NOW).await);
    assert_eq!(kept, Some(Vec::new()));
    let record = browser_record("values", later(5));
    assert!(ok(store
        .put_browser_session(digest("cookie"), record)
        .await));
    ok(store.put_document(document("a"), later(6)).await);
    ok(store.put_pushed(id(1), pushed(later(7))).await);
}

/// What is left when the first `gone` have expired.
fn without(gone: usize) -> [bool; KINDS] {
    std::array::from_fn(|row| gone <= row)
}

/// Each kind of row is found until the second before it expires, and not from then on, swept or not.
pub async fn what_has_expired_is_never_returned(store: Tried) {
    fill(&store).await;
    for (gone, hour) in (1..=9).enumerate() {
        let expires = later(hour);
        assert_eq!(found(&store, just_before(expires)).await, without(gone));
        assert_eq!(found(&store, expires).await, without(gone + 1));
    }
    assert_eq!(ok(store.take_pending(id(1), later(2)).await), None);
}

/// The sweep deletes each kind of row when it has expired, for good, and counts.
pub async fn what_has_expired_is_deleted(store: Tried) {
    fill(&store).await;
    assert_eq!(ok(store.sweep(just_before(later(1)), 100).await), 0);
    assert_eq!(found(&store, NOW).await, without(0));
    let mut gone = 0;
    for (hour, left) in [(1, 1), (3, 3), (7, 7), (9, KINDS)] {
        let swept = ok(store.sweep(later(hour), 100).await);
        // Seen from an earlier moment, what is left is what was not deleted.
        assert_eq!(
            found(&store, NOW).await,
            without(left),
            "after {hour} hours"
        );
        assert_eq!(swept, left - gone, "after {hour} hours");
        gone = left;
    }
    assert_eq!(ok(store.sweep(later(9), 100).await), 0);
    // The place is free again.
    fill(&store).await;
    assert_eq!(found(&store, NOW).await, without(0));
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
