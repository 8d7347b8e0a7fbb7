//! Browser sessions.

use std::sync::Arc;

use super::{Tried, later, ok, race};
use crate::clock::UnixTime;
use crate::store::BrowserRecord;
use crate::store::sample::{NOW, browser_record, digest};

pub(super) async fn find_browser(store: &Tried, now: UnixTime) -> Option<BrowserRecord> {
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
