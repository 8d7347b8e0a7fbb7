//! What goes on beside the requests: deleting, changing keys, and asking providers to the end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::App;
use crate::backend::stdio::children::Children;
use crate::endpoint::Endpoints;
use crate::event::Causes;
use crate::flow::Flows;

/// How often what has expired is deleted.
const SWEEP: Duration = Duration::from_secs(60);

/// How long what is being asked of providers may take at the end.
const AT_REST: Duration = Duration::from_secs(15);

/// The work of a server beside its answers. It stops when this is dropped; [`Background::finish`] lets end what must not
/// break off.
#[must_use = "the work stops when this is dropped"]
pub struct Background {
    flows: Arc<Flows>,
    sweeper: JoinHandle<()>,
    children: Vec<Arc<Children>>,
    // while it is here, nobody takes the end of the App for the end of the server
    _stop: watch::Sender<bool>,
}

impl App {
    /// Begins the work beside the answers, which [`App::serve`] does by itself: what has expired is deleted, and keys
    /// are changed in time. Once for each App, inside a Tokio runtime; without it the store grows, and keys that were to
    /// be changed stay.
    pub fn background(&self) -> Background {
        Background {
            flows: Arc::clone(&self.flows),
            children: self
                .places
                .iter()
                .filter_map(|place| place.children.clone())
                .collect(),
            sweeper: tokio::spawn(sweep(Arc::clone(&self.flows), Arc::clone(&self.endpoints))),
            _stop: self.stop.clone(),
        }
    }
}

impl Background {
    /// Ends the work, after the last request, and the children of servers that are commands. It waits, for some seconds at
    /// most, for what is being asked of providers: a renewal that breaks off loses the new tokens of somebody, and the old
    /// ones may be dead.
    pub async fn finish(self) {
        self.sweeper.abort();
        join_all(self.children.iter().map(|children| children.end_all())).await;
        if timeout(AT_REST, self.flows.vouching.at_rest())
            .await
            .is_err()
        {
            tracing::warn!("stopping, although a provider is still being asked about somebody");
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

async fn sweep(flows: Arc<Flows>, endpoints: Arc<Endpoints>) {
    loop {
        // at the start, too: what broke off with the last process goes on
        if let Err(error) = flows.tend_keys().await {
            tracing::error!(error = %Causes(&error), "the keys of the server could not be seen to");
        }
        tokio::time::sleep(SWEEP).await;
        match flows.sweep().await {
            Ok(deleted) => tracing::debug!(deleted, "what had expired was deleted"),
            Err(error) => {
                tracing::error!(error = %Causes(&error), "what has expired could not be deleted");
            }
        }
        endpoints.limits.prune();
    }
}
