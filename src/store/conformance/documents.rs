//! What clients publish about themselves, kept; and the assertions that they have used.

use std::sync::Arc;

use super::{Tried, just_before, later, ok, race};
use crate::protocol::client_metadata::ClientDocument;
use crate::protocol::ids::ClientId;
use crate::store::sample::{NOW, client, digest, document};

/// A document takes the place of the one before, for as long as it says itself: longer or shorter.
pub async fn a_document_replaces_the_one_before(store: Tried) {
    let name = ClientId::new("a");
    let find = async |now| ok(store.find_document(&name, now).await);
    assert_eq!(find(NOW).await, None);
    ok(store.put_document(document("b"), later(9)).await);
    for (etag, hours) in [("first", 2), ("second", 3), ("third", 1)] {
        let kept = ClientDocument {
            etag: Some(etag.to_owned()),
            ..document("a")
        };
        ok(store.put_document(kept.clone(), later(hours)).await);
        let expected = Some((kept, later(hours)));
        assert_eq!(find(NOW).await, expected, "{etag}");
        assert_eq!(find(just_before(later(hours))).await, expected, "{etag}");
        assert_eq!(find(later(hours)).await, None, "{etag}");
    }
    // one that has expired is replaced as well
    ok(store.put_document(document("a"), later(4)).await);
    assert_eq!(find(later(1)).await, Some((document("a"), later(4))));
    let other = ok(store.find_document(&ClientId::new("b"), NOW).await);
    assert_eq!(other, Some((document("b"), later(9))));
}

/// The document of a client and its registration are two things, though they have the same name.
pub async fn a_document_is_no_registration(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_document(document("a"), later(1)).await);
    assert_eq!(ok(store.find_client(&name, NOW).await), None);
    assert!(!ok(store.forget_client(&name).await));
    ok(store.put_client(client("a"), later(1)).await);
    assert!(ok(store.forget_client(&name).await));
    assert!(ok(store.find_document(&name, NOW).await).is_some());
}

/// Of 32 who come with the same assertion at once, it is new to one; other assertions have nothing to do with it.
pub async fn an_assertion_is_spent_once(store: Tried) {
    for jti in ["one", "other"] {
        let spent = race(32, |_| {
            let store = Arc::clone(&store);
            async move { ok(store.spend_assertion(digest(jti), later(1), NOW).await) }
        });
        let winners = spent.await.into_iter().filter(|&won| won).count();
        assert_eq!(winners, 1, "{jti}");
    }
    let late = store.spend_assertion(digest("one"), later(9), just_before(later(1)));
    assert!(!ok(late.await), "it is spent until it expires");
}

/// From the moment it expires, an assertion is new to one caller again, swept or not; for as long as that one says.
pub async fn an_expired_assertion_is_spent_once_more(store: Tried) {
    let jti = digest("jti");
    assert!(ok(store.spend_assertion(jti, later(1), NOW).await));
    for (hour, swept) in [(1, false), (3, true)] {
        if swept {
            assert_eq!(ok(store.sweep(later(hour), 100).await), 1);
        }
        let spent = race(32, |_| {
            let store = Arc::clone(&store);
            async move {
                let expires = later(hour + 2);
                ok(store.spend_assertion(jti, expires, later(hour)).await)
            }
        });
        let winners = spent.await.into_iter().filter(|&won| won).count();
        assert_eq!(winners, 1, "after {hour} hours");
        let last = just_before(later(hour + 2));
        assert_eq!(ok(store.sweep(last, 100).await), 0, "after {hour} hours");
        assert!(!ok(store.spend_assertion(jti, later(9), last).await));
    }
}

/// Whoever sweeps while an assertion is spent again takes nothing of it away.
pub async fn a_sweep_does_not_free_an_assertion(store: Tried) {
    for number in 0..32 {
        let jti = digest(&format!("jti {number}"));
        assert!(ok(store.spend_assertion(jti, later(1), NOW).await));
        let answers = race(2, |caller| {
            let store = Arc::clone(&store);
            async move {
                if caller == 0 {
                    ok(store.sweep(later(1), 100).await);
                    return true;
                }
                ok(store.spend_assertion(jti, later(9), later(1)).await)
            }
        });
        assert_eq!(answers.await, [true; 2]);
        let again = store.spend_assertion(jti, later(9), later(1));
        assert!(!ok(again.await));
    }
}
