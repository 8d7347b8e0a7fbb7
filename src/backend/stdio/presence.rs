//! Whether the clients of sessions are still there: of the older revisions, many just vanish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::protocol::ids::Subject;

/// A client that has neither asked for anything nor had a stream open for so long is taken for gone.
const GONE: Duration = Duration::from_secs(5 * 60);

/// Sessions of one person at one server; for one more, the one that was left the longest ago ends.
const SESSIONS: usize = 50;

/// The client of one session.
#[derive(Debug)]
pub(super) struct Presence(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    /// Requests and streams.
    open: usize,
    last: Instant,
}

impl Default for Presence {
    fn default() -> Self {
        let last = Instant::now();
        Self(Mutex::new(Seen { open: 0, last }))
    }
}

/// A request or a stream of a client, until this is dropped.
#[derive(Debug)]
pub(super) struct Present(Arc<Presence>);

impl Presence {
    pub(super) fn enter(self: &Arc<Self>) -> Present {
        self.seen().open += 1;
        Present(Arc::clone(self))
    }

    /// Returns when the client is taken for gone.
    pub(super) async fn gone(&self) {
        loop {
            let away = self.away();
            if away >= GONE {
                return;
            }
            sleep(GONE.saturating_sub(away)).await;
        }
    }

    /// For how long nothing was heard of it.
    fn away(&self) -> Duration {
        let seen = self.seen();
        if seen.open > 0 {
            Duration::ZERO
        } else {
            seen.last.elapsed()
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut seen = self.0.seen();
        seen.open -= 1;
        seen.last = Instant::now();
    }
}

/// The sessions that there are.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Known>>);

#[derive(Debug)]
struct Known {
    person: Subject,
    /// Ends with the session.
    client: Weak<Presence>,
}

impl Sessions {
    /// The client of a session.
    pub(super) fn client(&self, session: &str) -> Option<Arc<Presence>> {
        self.known().get(session)?.client.upgrade()
    }

    /// A new session of a person; which of theirs are one too many.
    pub(super) fn begin(
        &self,
        session: &str,
        person: &Subject,
        client: &Arc<Presence>,
    ) -> Vec<String> {
        let mut known = self.known();
        known.retain(|_, known| known.client.strong_count() > 0);
        let mut others: Vec<_> = known
            .iter()
            .filter(|(_, known)| known.person == *person)
            .filter_map(|(session, known)| Some((known.client.upgrade()?.away(), session.clone())))
            .collect();
        others.sort();
        let too_many = (others.len() + 1).saturating_sub(SESSIONS);
        let ended = others.into_iter().rev().take(too_many);
        let ended: Vec<_> = ended.map(|(_, session)| session).collect();
        for session in &ended {
            known.remove(session);
        }
        let new = Known {
            person: person.clone(),
            client: Arc::downgrade(client),
        };
        known.insert(session.to_owned(), new);
        ended
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn left(ago: Duration) -> Arc<Presence> {
        let last = Instant::now().checked_sub(ago).unwrap();
        Arc::new(Presence(Mutex::new(Seen { open: 0, last })))
    }

    #[tokio::test]
    async fn a_client_is_gone_some_minutes_after_its_last_request_unless_it_has_a_stream_open() {
        let client = left(GONE);
        assert!(client.gone().now_or_never().is_some());
        let stream = client.enter();
        assert!(client.gone().now_or_never().is_none());
        drop(stream);
        assert!(client.gone().now_or_never().is_none());
        left(GONE.saturating_sub(Duration::from_millis(20)))
            .gone()
            .await;
    }

    #[test]
    fn one_session_too_many_ends_the_one_that_was_left_the_longest_ago_and_nobody_elses() {
        let sessions = Sessions::default();
        let (mona, octavia) = (Subject::new("mona"), Subject::new("octavia"));
        let mut clients = vec![left(GONE * 9)];
        assert!(sessions.begin("others", &octavia, &clients[0]).is_empty());
        for number in 0..SESSIONS {
            let client = left(Duration::from_secs(if number == 7 { 90 } else { 30 }));
            let ended = sessions.begin(&number.to_string(), &mona, &client);
            assert!(ended.is_empty());
            clients.push(client);
        }
        let ended = sessions.begin("new", &mona, &left(Duration::ZERO));
        assert_eq!(ended, ["7"]);
        assert!(sessions.client("others").is_some());
        // what has ended does not count
        clients.truncate(1);
        let ended = sessions.begin("newer", &mona, &left(Duration::ZERO));
        assert!(ended.is_empty());
        assert_eq!(sessions.known().len(), 2);
    }
}
