//! What has expired is deleted, a little at a time, and what nobody uses any more is given back.

use std::sync::Arc;

use crate::protocol::grant::Grant;

use super::live::CLIENT_GONE;
use super::{Failure, Flows, to_the_end};

/// Rows in one step: small, so that nobody waits for the writer.
const STEP: usize = 500;

impl Flows {
    /// Deletes everything that has expired; says how many rows. Once an hour, grants by which no session lives any more are
    /// ended, and given back to their providers.
    ///
    /// # Errors
    /// Where the store fails; what was deleted before stays deleted.
    pub async fn sweep(&self) -> Result<usize, Failure> {
        let mut deleted = 0;
        loop {
            let step = self.store.sweep(self.now(), STEP).await?;
            deleted += step;
            if step < STEP {
                break;
            }
        }
        self.live.prune();
        self.vouching.prune();
        if self.vouching.is_round_due() {
            self.end_forsaken_grants().await?;
            self.vouching.end_round();
        }
        Ok(deleted)
    }

    async fn end_forsaken_grants(&self) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let grants = self.store.list_grants(after, STEP, self.now()).await?;
            for grant in &grants {
                if self.is_forsaken(grant).await? {
                    self.end_forsaken(grant.clone()).await?;
                }
            }
            match grants.last() {
                Some(last) if grants.len() == STEP => after = Some(last.key()),
                _ => return Ok(()),
            }
        }
    }

    /// Whether no session lives by a grant. Those of clients that are gone are ended.
    async fn is_forsaken(&self, grant: &Grant) -> Result<bool, Failure> {
        let mut is_forsaken = true;
        for id in &grant.sessions {
            let Some(session) = self.store.find_session(*id, self.now()).await? else {
                continue;
            };
            if self.is_gone(&session.client_id).await? {
                self.end_session(*id, CLIENT_GONE).await?;
            } else {
                is_forsaken = false;
            }
        }
        Ok(is_forsaken)
    }

    /// Ends a grant, unless somebody has signed in meanwhile. A task of its own: where the sweep is broken off, what the grant
    /// held is given back all the same.
    async fn end_forsaken(&self, grant: Grant) -> Result<(), Failure> {
        let vouching = Arc::clone(&self.vouching);
        let ending = async move {
            if let Some(sessions) = vouching.end_untold(&grant).await? {
                for session in sessions {
                    tracing::debug!(session.id = %session, "a session had expired");
                }
                vouching.give_back(&grant);
            }
            Ok(())
        };
        to_the_end("the end of a grant broke off", ending).await
    }
}
