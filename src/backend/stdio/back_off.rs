//! How long a child that could not be started, or ended soon, is not tried again.

use std::time::Duration;

use crate::clock::UnixTime;

/// The failures of one child in a row.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
    until: Option<UnixTime>,
}

impl BackOff {
    /// It failed once more: how long it is left alone now.
    pub(super) fn fail(&mut self, now: UnixTime) -> Duration {
        let doublings = self.failures.min(6);
        let wait = LONGEST.min(Duration::from_secs(1 << doublings));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + wait);
        wait
    }

    /// How long it is still left alone.
    pub(super) fn remaining(&self, now: UnixTime) -> Option<Duration> {
        let remaining = self.until? - now;
        (!remaining.is_zero()).then_some(remaining)
    }

    /// Whether there is something to remember: failures count as in a row for a while.
    pub(super) fn matters(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| (now - until) < REMEMBERED)
    }
}

const LONGEST: Duration = Duration::from_secs(60);
const REMEMBERED: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_twice_as_long_after_each_failure_up_to_a_minute() {
        let mut back_off = BackOff::default();
        let mut now = UnixTime(1_000);
        assert!(!back_off.matters(now) && back_off.remaining(now).is_none());
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(back_off.fail(now), wait);
            assert_eq!(back_off.remaining(now), Some(wait));
            now = now + wait;
            assert_eq!(back_off.remaining(now), None, "after {seconds} s");
        }
        assert!(back_off.matters(now + Duration::from_secs(299)));
        assert!(!back_off.matters(now + Duration::from_secs(300)));
    }
}
