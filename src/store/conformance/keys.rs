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
