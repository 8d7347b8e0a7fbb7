//! How long a test waits for what has to come: long enough for a slow machine under load, and never for ever, so that the
//! test that waits in vain is named.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

/// How long something is waited for that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for this, or the test has failed.
pub(crate) async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let came = timeout(PATIENCE, coming).await;
    came.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Waits until it is so, or the test has failed.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
