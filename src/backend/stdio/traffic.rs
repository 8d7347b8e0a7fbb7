//! What goes on between us and one child: what it has not read yet, and how long it has been silent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, UnixTime};

/// What goes on between us and one child.
pub(super) struct Traffic {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Messages that are not yet written, and their bytes.
    unread: (usize, usize),
    heard: UnixTime,
    /// When the first request was sent since it was heard last.
    asked: Option<UnixTime>,
    /// When we asked ourselves whether it is there.
    pinged: UnixTime,
    is_broken_off: bool,
}

/// What a child's silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing.
    Fine,
    /// It is to be asked whether it is there.
    Odd,
    /// It hangs.
    Hangs,
}

impl Traffic {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let state = State {
            unread: (0, 0),
            heard: now,
            asked: None,
            pinged: now,
            is_broken_off: false,
        };
        Self {
            clock,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether so much waits for the child that it gets no more requests. Whoever gave a request up is counted until the
    /// child has read it: it is kept until then.
    pub(super) fn is_full(&self) -> bool {
        let (messages, bytes) = self.state().unread;
        messages >= MOST_UNREAD || bytes >= MOST_UNREAD_BYTES
    }

    /// A message begins to wait.
    pub(super) fn wait(&self, bytes: usize) {
        let unread = &mut self.state().unread;
        *unread = (unread.0 + 1, unread.1 + bytes);
    }

    /// A message waits no longer.
    pub(super) fn written(&self, bytes: usize) {
        let unread = &mut self.state().unread;
        *unread = (unread.0 - 1, unread.1 - bytes);
    }

    /// The child is sent a request.
    pub(super) fn asked(&self) {
        let now = self.clock.now();
        self.state().asked.get_or_insert(now);
    }

    /// The child said something, whatever it was.
    pub(super) fn heard(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        state.heard = now;
        // what it has not read yet it is still asked
        state.asked = (state.unread.0 > 0).then_some(now);
    }

    /// It said more in one message than it may.
    pub(super) fn break_off(&self) {
        self.state().is_broken_off = true;
    }

    /// Whether it said more in one message than it may.
    pub(super) fn is_broken_off(&self) -> bool {
        self.state().is_broken_off
    }

    /// What its silence means, where it is in use or not.
    ///
    /// A request that was given up counts as well, or a child that hangs would be kept by callers with little patience. A
    /// child that works at one thing at a time cannot answer a ping meanwhile: it has the whole of [`LONGEST_SILENCE`].
    pub(super) fn silence(&self, is_in_use: bool) -> Silence {
        let now = self.clock.now();
        let mut state = self.state();
        if state
            .asked
            .is_some_and(|asked| now - asked >= LONGEST_SILENCE)
        {
            return Silence::Hangs;
        }
        let is_expected = is_in_use || state.asked.is_some();
        if is_expected && now - state.heard.max(state.pinged) >= BETWEEN_PINGS {
            state.pinged = now;
            return Silence::Odd;
        }
        Silence::Fine
    }
}

/// One more message may be as long as a request may be at all.
const MOST_UNREAD_BYTES: usize = 16 << 20;
const MOST_UNREAD: usize = 1_024;
const BETWEEN_PINGS: Duration = Duration::from_secs(2 * 60);
/// After a question.
const LONGEST_SILENCE: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    fn traffic() -> (Traffic, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(UnixTime(1_000)));
        (Traffic::new(Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    #[test]
    fn a_child_is_pinged_after_two_minutes_and_hangs_after_ten() {
        let (traffic, clock) = traffic();
        traffic.asked();
        let mut said = Vec::new();
        for _ in 0..10 {
            clock.advance(MINUTE);
            said.push(traffic.silence(false));
            traffic.asked();
        }
        let (fine, odd) = (Silence::Fine, Silence::Odd);
        assert_eq!(said[..4], [fine, odd, fine, odd]);
        assert_eq!(said[8..], [fine, Silence::Hangs]);
    }

    #[test]
    fn a_child_that_says_anything_does_not_hang() {
        let (traffic, clock) = traffic();
        traffic.asked();
        for _ in 0..60 {
            clock.advance(MINUTE);
            if traffic.silence(true) == Silence::Odd {
                traffic.asked();
                clock.advance(MINUTE * 7);
                assert_ne!(traffic.silence(true), Silence::Hangs);
                traffic.heard();
            }
        }
    }

    #[test]
    fn nothing_is_expected_of_a_child_that_nobody_uses() {
        let (traffic, clock) = traffic();
        traffic.asked();
        traffic.heard();
        clock.advance(MINUTE * 60);
        assert_eq!(traffic.silence(false), Silence::Fine);
        // somebody comes, and has not yet asked
        assert_eq!(traffic.silence(true), Silence::Odd);
        traffic.asked();
        assert_eq!(traffic.silence(true), Silence::Fine);
    }

    #[test]
    fn what_is_not_read_has_a_limit_in_bytes_and_in_number() {
        let (traffic, _) = traffic();
        traffic.wait(MOST_UNREAD_BYTES);
        assert!(traffic.is_full());
        traffic.written(MOST_UNREAD_BYTES);
        for _ in 0..MOST_UNREAD {
            assert!(!traffic.is_full());
            traffic.wait(1);
        }
        assert!(traffic.is_full());
    }
}
