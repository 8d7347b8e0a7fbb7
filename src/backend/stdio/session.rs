//! A client's session of the older revisions: whose it is, and which child it listens to.

#![expect(
    deprecated,
    reason = "logging is deprecated by 2026-07-28; older clients and children use it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{ClientRequest, ErrorData, LoggingLevel, SetLevelRequest, SetLevelRequestParams};
use rmcp::service::{Peer, RoleClient, RoleServer};

use super::call::Asked;
use super::hub::{Ear, Hears};
use super::presence::Presence;
use super::subscriptions::{Task, forget, relay_changes, renew, tell};
use crate::protocol::principal::Principal;

/// What a session knows between two requests. The child may have been ended between them: then the session listens to the
/// fresh one from its next request on, with the level and the subscriptions that it had.
#[derive(Debug)]
pub(super) struct Session(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    client: Arc<Presence>,
    owner: Option<Arc<Principal>>,
    place: Option<Place>,
    level: Option<LoggingLevel>,
    subscribed: BTreeSet<String>,
}

/// Where a session listens.
struct Place {
    ear: Ear,
    child: Peer<RoleClient>,
    /// Keeps the child from being idle while there are subscriptions, and the client is there.
    held: Option<Task>,
    /// Subscriptions at a child of 2026-07-28.
    streams: BTreeMap<String, Task>,
    _telling: (Task, Option<Task>),
}

impl Session {
    pub(super) fn of(client: Arc<Presence>) -> Self {
        Self(Mutex::new(State {
            client,
            ..State::default()
        }))
    }

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
        state.hold(asked);
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
        state.hold(asked);
        let Some(place) = &mut state.place else {
            return true;
        };
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
        let everything = Hears::Everything(asked.principal.client_id.clone());
        let (ear, heard) = asked.lease.hub.listen(everything);
        let child = asked.child();
        let mut changes = None;
        if let Some(level) = self.level {
            ear.set_level(level);
            if asked.takes_level() && asked.lease.hub.wants_level(level) {
                tokio::spawn(set_level(child.clone(), level));
            }
        }
        if asked.is_child_modern() {
            changes = relay_changes(child.clone(), client.clone());
            // such a child is subscribed to by streams, which ended with the one before
            self.subscribed.clear();
        } else {
            let mut fresh: Vec<_> = self.subscribed.iter().cloned().collect();
            fresh.retain(|uri| ear.subscribe(uri));
            renew(child.clone(), fresh);
        }
        self.place = Some(Place {
            ear,
            child: child.clone(),
            held: None,
            streams: BTreeMap::new(),
            _telling: (tell(heard, client.clone()), changes),
        });
    }

    /// Holds the child while there are subscriptions; not for a client that has vanished.
    fn hold(&mut self, asked: &Asked) {
        let Some(place) = &mut self.place else { return };
        let is_held = place.held.as_ref().is_some_and(|held| !held.is_over());
        if is_held || self.subscribed.is_empty() {
            return;
        }
        let (client, lease) = (Arc::clone(&self.client), Arc::clone(&asked.lease));
        place.held = Some(Task::spawn(async move {
            client.gone().await;
            drop(lease);
        }));
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
        let hub = self.ear.hub().clone();
        forget(hub, self.child.clone(), self.ear.unsubscribe_all());
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
