//! The sessions that somebody is using now, so that a session's end is seen at once by every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use crate::protocol::ids::Id;
use crate::protocol::principal::Standing;
use crate::store::Result;

use super::Flows;

/// One [`Standing`] for each session in use. Its size is that of the token cache which holds them: [`Self::prune`]
/// drops what nobody holds.
#[derive(Debug, Default)]
pub struct LiveSessions {
    standings: DashMap<Id, Arc<Standing>>,
    /// How many sessions have ended since the start: tells a look-up that one ended while it was looking.
    endings: AtomicU64,
}

impl LiveSessions {
    /// The end of a session that is already gone from the store.
    pub fn end(&self, session: Id) {
        self.endings.fetch_add(1, Ordering::SeqCst);
        if let Some((_, standing)) = self.standings.remove(&session) {
            standing.end();
        }
    }

    /// Drops what no request and no cached token holds.
    pub fn prune(&self) {
        self.standings
            .retain(|_, standing| Arc::strong_count(standing) > 1);
    }
}

impl Flows {
    /// The session, if it is in force; the same `Standing` for everybody.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn standing(&self, session: Id) -> Result<Option<Arc<Standing>>> {
        loop {
            let endings = self.live.endings.load(Ordering::SeqCst);
            let Some(found) = self.store.find_session(session, self.now()).await? else {
                self.live.end(session);
                return Ok(None);
            };
            let grant = self.store.find_grant(&found.subject, self.now()).await?;
            let Some(grant) = grant else {
                self.live.end(session);
                return Ok(None);
            };
            let place = self.live.standings.entry(session);
            // a session that ended between the look and the entry would stay in force: then look again. Whoever ends
            // one while we hold its place has to wait, and finds what we put there
            if self.live.endings.load(Ordering::SeqCst) == endings {
                let standing = place.or_insert_with(|| {
                    Arc::new(Standing::new(session, found.client_id, grant.identity))
                });
                return Ok(Some(Arc::clone(&standing)));
            }
        }
    }
}
