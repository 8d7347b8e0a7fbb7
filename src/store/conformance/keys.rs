//! Signing keys.

use std::sync::Arc;

use super::{Tried, ok, race};
use crate::clock::UnixTime;
use crate::store::sample::sealed;

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

/// A key is changed only from what it is, and stays changed; where there is none of the name, none is made.
pub async fn a_key_is_changed_only_from_what_it_is(store: Tried) {
    let find = async |name| ok(store.find_key(name).await);
    let change = async |name, before, after| {
        let before = sealed(before);
        ok(store.change_key(name, &before, sealed(after)).await)
    };
    assert!(!change("current", "first", "second").await);
    assert_eq!(find("current").await, None);
    for name in ["current", "next"] {
        ok(store.put_key_if_absent(name, sealed("first")).await);
    }
    assert!(change("current", "first", "second").await);
    assert!(!change("current", "first", "third").await);
    assert_eq!(find("current").await, Some(sealed("second")));
    assert!(change("current", "second", "third").await);
    // ... for good, and nobody else's
    ok(store.sweep(UnixTime(i64::MAX - 1), 100).await);
    assert_eq!(find("current").await, Some(sealed("third")));
    assert_eq!(find("next").await, Some(sealed("first")));
    let late = store.put_key_if_absent("current", sealed("first"));
    assert_eq!(ok(late.await), sealed("third"));
}

/// Of 32 who change a key at once, as they all saw it, one does.
pub async fn of_many_who_change_a_key_one_does(store: Tried) {
    ok(store.put_key_if_absent("current", sealed("first")).await);
    let changed = race(32, |caller| {
        let store = Arc::clone(&store);
        async move {
            let (before, after) = (sealed("first"), sealed(&format!("key {caller}")));
            let changed = store.change_key("current", &before, after.clone()).await;
            ok(changed).then_some(after)
        }
    });
    let changed: Vec<_> = changed.await.into_iter().flatten().collect();
    let [winner] = &changed[..] else {
        panic!("{} changed it, not one of them", changed.len());
    };
    let kept = ok(store.find_key("current").await);
    assert_eq!(kept.as_ref(), Some(winner));
}
