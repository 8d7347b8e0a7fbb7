//! Requests under way: pushed by a client, or approved and at the provider.

use std::sync::Arc;

use super::{Tried, just_before, later, ok, race};
use crate::store::sample::{NOW, digest, id, pending, pushed};

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

/// A pushed request is found as it was put, looking gives it to nobody, and a second one of its identifier is refused.
pub async fn a_pushed_request_is_kept_as_it_is(store: Tried) {
    ok(store.put_pushed(id(1), pushed(later(1))).await);
    assert!(store.put_pushed(id(1), pushed(later(2))).await.is_err());
    for _ in 0..2 {
        let found = ok(store.find_pushed(id(1), NOW).await);
        assert_eq!(found, Some(pushed(later(1))));
    }
    assert_eq!(ok(store.find_pushed(id(2), NOW).await), None);
}

/// The first browser that claims a pushed request has it to itself, again and again until it expires.
pub async fn a_pushed_request_is_for_the_first_browser(store: Tried) {
    ok(store.put_pushed(id(1), pushed(later(1))).await);
    let claim = async |browser, now| ok(store.claim_pushed(id(1), digest(browser), now).await);
    let mut claimed = pushed(later(1));
    claimed.browser = Some(digest("first"));
    let last = just_before(later(1));
    for now in [NOW, NOW, last] {
        assert_eq!(claim("first", now).await, Some(claimed.clone()));
        assert_eq!(claim("second", now).await, None);
    }
    assert_eq!(ok(store.find_pushed(id(1), last).await), Some(claimed));
    assert_eq!(claim("first", later(1)).await, None);
    assert_eq!(claim("third", later(1)).await, None);
    let unknown = store.claim_pushed(id(2), digest("first"), NOW);
    assert_eq!(ok(unknown.await), None);
}

/// From the moment it expires, a pushed request that nobody came with is for nobody.
pub async fn an_expired_pushed_request_is_for_nobody(store: Tried) {
    ok(store.put_pushed(id(1), pushed(later(1))).await);
    let late = store.claim_pushed(id(1), digest("first"), later(1));
    assert_eq!(ok(late.await), None);
    let found = ok(store.find_pushed(id(1), NOW).await);
    assert_eq!(found, Some(pushed(later(1))), "and nobody has claimed it");
}

/// Of 32 browsers that claim a pushed request at once, one gets it, in each of its tabs.
pub async fn of_many_browsers_one_gets_a_pushed_request(store: Tried) {
    ok(store.put_pushed(id(1), pushed(later(1))).await);
    let claimed = race(64, |tab| {
        let store = Arc::clone(&store);
        let browser = digest(&format!("browser {}", tab / 2));
        async move { ok(store.claim_pushed(id(1), browser, NOW).await) }
    });
    let claimed = claimed.await;
    let winners: Vec<_> = (0..64).filter(|&tab| claimed[tab].is_some()).collect();
    let [one, other] = winners[..] else {
        panic!("tabs {winners:?} got it, not the two of one browser");
    };
    assert_eq!(one / 2, other / 2, "they are of one browser");
    let first = digest(&format!("browser {}", one / 2));
    let kept = ok(store.find_pushed(id(1), NOW).await).expect("it is there");
    assert_eq!(kept.browser, Some(first));
    assert_eq!(claimed[one], Some(kept.clone()));
    assert_eq!(claimed[other], Some(kept));
}
