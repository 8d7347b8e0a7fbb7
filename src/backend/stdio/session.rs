//! A client's session of the older revisions: whose it is, and which child it listens to.

#![expect(
    deprecated,
    reason = "logging is deprecated by 2026-07-28; older clients and children use it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{ClientRequest, ErrorData, LoggingLevel, SetLevelRequest, SetLevelRequestParams};
use rmcp::service::{Peer, RoleClient, RoleServer};

use super::Lease;
use super::call::Asked;
use super::hub::{Ear, Hears};
use super::subscriptions::{Task, forget, relay_changes, renew, tell};
use crate::protocol::principal::Principal;

/// What a session knows between two requests. The child may have been ended between them: then the session listens to the
/// fresh one from its next request on, with the level and the subscriptions that it had.
#[derive(Debug, Default)]
pub(super) struct Session(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    owner: Option<Arc<Principal>>,
    place: Option<Place>,
    level: Option<LoggingLevel>,
    subscribed: BTreeSet<String>,
}

/// Where a session listens.
struct Place {
    ear: Ear,
    child: Peer<RoleClient>,
    /// Keeps the child from being idle while there are subscriptions.
    held: Option<Arc<Lease>>,
    /// Subscriptions at a child of 2026-07-28.
    streams: BTreeMap<String, Task>,
    _telling: (Task, Option<Task>),
}

impl Session {
    /// Makes sure that the session belongs to whoever asks, and listens to the child that answers.
    pub(super) fn attend(&self, asked: &Asked, client: &Peer<RoleServer>) -> Result<(), ErrorData> {
        let mut state = self.state();
        let caller = &asked.principal;
        let owner = state.owner.get_or_insert_with(|| Arc::clone(caller));
        // RS-12: what is heard here is for one person, at one client
        if owner.identity().subject != caller.identity().subject
            || owner.client_id != caller.client_id
        {
            let what = "there is no such session: initialize again";
            return Err(ErrorData::invalid_request(what, None));
        }
        let place = state.place.as_ref();
        if !place.is_some_and(|place| place.ear.hub().is_same(&asked.lease.hub)) {
            state.settle(asked, client);
        }
        Ok(())
    }

    /// The least that is to be logged; whether the child is to be told.
    pub(super) fn set_level(&self, level: LoggingLevel, asked: &Asked) -> bool {
        let mut state = self.state();
        state.level = Some(level);
        if let Some(place) = &state.place {
            place.ear.set_level(level);
        }
        asked.takes_level() && asked.lease.hub.wants_level(level)
    }

    /// The least that is to be logged.
    pub(super) fn level(&self) -> Option<LoggingLevel> {
        self.state().level
    }

    /// Subscribes to a resource, with the stream of a child of 2026-07-28; whether the child is to be told.
    pub(super) fn subscribe(&self, uri: &str, asked: &Asked, stream: Option<Task>) -> bool {
        let mut state = self.state();
        state.subscribed.insert(uri.to_owned());
        let Some(place) = &mut state.place else {
            return true;
        };
        place.held = Some(Arc::clone(&asked.lease));
        if let Some(stream) = stream {
            place.streams.insert(uri.to_owned(), stream);
            return false;
        }
        place.ear.subscribe(uri)
    }

    /// Takes a subscription back; whether the child is to be told.
    pub(super) fn unsubscribe(&self, uri: &str) -> bool {
        let mut state = self.state();
        state.subscribed.remove(uri);
        let is_last = state.subscribed.is_empty();
        let Some(place) = &mut state.place else {
            return true;
        };
        if is_last {
            place.held = None;
        }
        place.streams.remove(uri).is_none() && place.ear.unsubscribe(uri)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, asked: &Asked, client: &Peer<RoleServer>) {
        let (ear, heard) = asked.lease.hub.listen(Hears::Everything);
        let child = asked.child();
        let mut changes = None;
        if let Some(level) = self.level {
            ear.set_level(level);
            if asked.takes_level() && asked.lease.hub.wants_level(level) {
                tokio::spawn(set_level(child.clone(), level));
            }
        }
        let mut held = None;
        if asked.is_child_modern() {
            changes = relay_changes(child.clone(), client.clone());
            // such a child is subscribed to by streams, which ended with the one before
            self.subscribed.clear();
        } else {
            let mut fresh: Vec<_> = self.subscribed.iter().cloned().collect();
            held = (!fresh.is_empty()).then(|| Arc::clone(&asked.lease));
            fresh.retain(|uri| ear.subscribe(uri));
            renew(child.clone(), fresh);
        }
        self.place = Some(Place {
            ear,
            child: child.clone(),
            held,
            streams: BTreeMap::new(),
            _telling: (tell(heard, client.clone()), changes),
        });
    }
}

/// Tells a child how much it is to log; one that does not want to be told is none the worse.
pub(super) async fn set_level(child: Peer<RoleClient>, level: LoggingLevel) {
    let request = SetLevelRequest::new(SetLevelRequestParams::new(level));
    let request = ClientRequest::SetLevelRequest(request);
    let _ = child.send_request(request).await;
}

impl Drop for Place {
    fn drop(&mut self) {
        forget(self.child.clone(), self.ear.unsubscribe_all());
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
