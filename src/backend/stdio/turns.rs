//! One after the other for each resource: whoever subscribes to what somebody else is subscribing to waits for how that
//! goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Lock, OwnedMutexGuard};

type Waiting = HashMap<String, Arc<Lock<()>>>;

/// Who is at which resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<Waiting>>);

/// The only one at a resource, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    uri: String,
    _at: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits until nobody else is at this resource.
    pub(super) async fn take(&self, uri: &str) -> Turn {
        let lock = Arc::clone(self.waiting().entry(uri.to_owned()).or_default());
        let at = lock.lock_owned().await;
        Turn {
            turns: self.clone(),
            uri: uri.to_owned(),
            _at: at,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.turns.waiting();
        // this one's, and the one in the list
        let is_last = |lock: &Arc<Lock<()>>| Arc::strong_count(lock) <= 2;
        if waiting.get(&self.uri).is_some_and(is_last) {
            waiting.remove(&self.uri);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn turns_at_one_resource_come_one_after_the_other_and_leave_nothing_behind() {
        let turns = Turns::default();
        let first = turns.take("memo://1").await;
        let _other = turns.take("memo://2").await;
        let mut second = Box::pin(turns.take("memo://1"));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second.await);
        assert_eq!(turns.waiting().len(), 1);
    }
}
