//! What the operator is told of a server: trouble when it begins, the same again once a minute at most, and its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What was told of one server.
#[derive(Debug)]
pub(super) struct News {
    /// What it is called in the log: its URL without a query.
    pub(super) server: String,
    told: Mutex<[Option<Told>; KINDS]>,
    is_in_trouble: AtomicBool,
}

/// What troubles there are. Each is told by itself: a server can have several, for different calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    NoGate,
    Certificate,
    Unreachable,
    Broke,
    Silent,
    Redirect,
    Loop,
    Credentials,
    Protocol,
}

const KINDS: usize = Kind::Protocol as usize + 1;

/// Something that is to be told now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// How often it was left out since it was told last, where it was.
    pub(super) left_out: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    left_out: u64,
}

/// How long the same is not told again.
const PAUSE: Duration = Duration::from_secs(60);

impl News {
    pub(super) fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            told: Mutex::new([None; KINDS]),
            is_in_trouble: AtomicBool::new(false),
        }
    }

    /// Whether trouble is to be told now.
    pub(super) fn trouble(&self, kind: Kind, now: Instant) -> Option<Due> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = &mut told[kind as usize];
        if let Some(last) = told
            && now.duration_since(last.at) < PAUSE
        {
            last.left_out += 1;
            return None;
        }
        let last = told.replace(Told {
            at: now,
            left_out: 0,
        });
        self.is_in_trouble.store(true, Ordering::Relaxed);
        let left_out = last.map_or(0, |last| last.left_out);
        Some(Due {
            left_out: (left_out > 0).then_some(left_out),
        })
    }

    /// The server has answered. Of the end is told what of the trouble was, so no more often.
    pub(super) fn well(&self) {
        if self.is_in_trouble.load(Ordering::Relaxed)
            && self.is_in_trouble.swap(false, Ordering::Relaxed)
        {
            tracing::info!(server = self.server, "the MCP server answers again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_a_minute_with_the_count_of_what_was_left_out() {
        let news = News::new("http://a/");
        let due = |left_out| Some(Due { left_out });
        let start = Instant::now();
        assert_eq!(news.trouble(Kind::Unreachable, start), due(None));
        for second in [0, 1, 59] {
            let now = start + Duration::from_secs(second);
            assert_eq!(news.trouble(Kind::Unreachable, now), None);
        }
        // another is told at once, and the end of it does not begin the minute anew
        assert_eq!(news.trouble(Kind::Silent, start), due(None));
        news.well();
        assert_eq!(news.trouble(Kind::Unreachable, start), None);
        let later = start + PAUSE;
        assert_eq!(news.trouble(Kind::Unreachable, later), due(Some(4)));
        assert_eq!(news.trouble(Kind::Unreachable, later), None);
    }
}
