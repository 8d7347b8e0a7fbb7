//! What has expired is deleted, a little at a time.

use crate::store::Result;

use super::Flows;

/// Rows in one step: small, so that nobody waits for the writer.
const STEP: usize = 500;

impl Flows {
    /// Deletes everything that has expired; says how many rows.
    ///
    /// # Errors
    /// Where the store fails; what was deleted before stays deleted.
    pub async fn sweep(&self) -> Result<usize> {
        let mut deleted = 0;
        loop {
            let step = self.store.sweep(self.now(), STEP).await?;
            deleted += step;
            if step < STEP {
                break;
            }
        }
        self.live.prune();
        Ok(deleted)
    }
}
