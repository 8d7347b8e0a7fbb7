//! A copy with the memory of when its host failed; and for how long it is not asked again.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::outbound::stranger::Standing;

/// A copy.
pub(super) struct Held<T> {
    /// The copy itself.
    pub(super) copy: Arc<T>,
    /// For whom and when it was last tried in vain to renew it. This is no copy of a failure (CLI-17): whoever needs a fresh one asks on.
    pub(super) failed: Option<(Standing, UnixTime)>,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self {
            copy: Arc::clone(&self.copy),
            failed: self.failed,
        }
    }
}

impl<T> Held<T> {
    /// What has come just now.
    pub(super) fn new(copy: Arc<T>) -> Self {
        let failed = None;
        Self { copy, failed }
    }

    /// For how long nobody of this standing asks again who does not need to; none: it is asked now. What failed for a stranger
    /// may have failed for what strangers do.
    pub(super) fn rest(&self, standing: Standing, now: UnixTime) -> Option<Duration> {
        let (whose, failed_at) = self.failed?;
        if whose == Standing::Stranger && standing == Standing::Known {
            return None;
        }
        rest_since(failed_at, now)
    }
}

/// How long a host that failed is left alone where the copy will do, and how long a key that is not in a copy is believed
/// not to be there: whoever makes up keys makes us fetch no more often.
const AGAIN: Duration = Duration::from_secs(60);

/// What is left of that time, if anything.
pub(super) fn rest_since(moment: UnixTime, now: UnixTime) -> Option<Duration> {
    // a clock that went back is no reason to wait
    let waited = (moment <= now).then(|| now - moment)?;
    AGAIN.checked_sub(waited).filter(|rest| !rest.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_rested_and_not_a_moment_longer_whatever_the_clock_does() {
        for (now, rest) in [
            (999, None),
            (1000, Some(60)),
            (1059, Some(1)),
            (1060, None),
            (i64::MAX, None),
        ] {
            let found = rest_since(UnixTime(1000), UnixTime(now));
            assert_eq!(found, rest.map(Duration::from_secs), "{now}");
        }
    }
}
