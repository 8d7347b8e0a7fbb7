//! What a child says without being asked, and who hears it.
//!
//! A child that belongs to one person is heard by all sessions of that person that use it, as long as they are of one
//! client: of several, one may have been given less than another, so what is logged is told to the client of the one call
//! there is, and to nobody where there are more. What a child of several people logs may speak of any of them, also long
//! after their calls: it is told to nobody. Progress goes to the request that it is of. That lists have changed is
//! everybody's business.

#![expect(
    deprecated,
    reason = "logging is deprecated by 2026-07-28; older clients and children use it"
)]

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{
    GetMeta as _, LoggingLevel, LoggingMessageNotification, ProgressNotification, ProgressToken,
    RequestId, ServerNotification,
};
use tokio::sync::{mpsc, watch};

use super::call::Caller;
use super::turns::Turns;
use crate::protocol::ids::ClientId;

/// The client's side of one child. All clones are the same.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_shared: bool,
    has_ended: watch::Sender<bool>,
    turns: Turns,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    calls: HashMap<ProgressToken, Call>,
    /// Progress of requests that were sent a moment ago, and are not yet known here.
    early: VecDeque<ProgressNotification>,
    ears: HashMap<u64, Listener>,
    /// What the child was asked to log.
    level: Option<LoggingLevel>,
    /// The first client that has used the child.
    client: Option<ClientId>,
    has_several_clients: bool,
    /// Requests that were given up, in the child's numbers; it may still be at them.
    given_up: HashMap<RequestId, ClientId>,
    /// There are more of them than are counted.
    has_lost_count: bool,
}

/// A request under way at the child.
#[derive(Debug)]
struct Call {
    /// The request, in the child's numbers.
    number: RequestId,
    is_answered: bool,
    caller: Caller,
    to: mpsc::Sender<ServerNotification>,
}

#[derive(Debug)]
struct Listener {
    to: mpsc::Sender<ServerNotification>,
    hears: Hears,
    level: Option<LoggingLevel>,
    subscribed: BTreeSet<String>,
}

/// What a listener is told besides the resources that it subscribed to, and that lists have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hears {
    /// What the child logs, and what no specification knows, as far as this client may hear it.
    Everything(ClientId),
    /// Nothing.
    Changes,
}

/// Ends the knowledge of a call when it is dropped.
#[derive(Debug)]
pub(super) struct Calling {
    hub: Hub,
    token: ProgressToken,
}

/// Ends the listening when it is dropped.
#[derive(Debug)]
pub(super) struct Ear {
    hub: Hub,
    number: u64,
}

/// What waits for somebody who does not read; more is dropped, so that nobody else waits for them.
const WAITING: usize = 128;

/// Requests that were given up, and are waited for all the same.
const GIVEN_UP: usize = 256;

/// Progress that waits for its request to be known.
const EARLY: usize = 64;

impl Default for Hub {
    /// The hub of a child that several people share.
    fn default() -> Self {
        Self::new(true)
    }
}

impl Hub {
    /// The hub of a child that works for one person alone.
    #[must_use]
    pub fn of_one_person() -> Self {
        Self::new(false)
    }

    fn new(is_shared: bool) -> Self {
        Self(Arc::new(Inner {
            is_shared,
            has_ended: watch::Sender::new(false),
            turns: Turns::default(),
            state: Mutex::default(),
        }))
    }

    pub(super) fn is_shared(&self) -> bool {
        self.0.is_shared
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns when the child says nothing any more.
    pub(super) async fn ended(&self) {
        let mut has_ended = self.0.has_ended.subscribe();
        let _ = has_ended.wait_for(|has_ended| *has_ended).await;
    }

    pub(super) fn end(&self) {
        self.0.has_ended.send_replace(true);
    }

    /// Who subscribes, one after the other.
    pub(super) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// A request that was sent to the child under this number and token: what is said of it from now on, and what was
    /// already.
    pub(super) fn call(
        &self,
        number: RequestId,
        token: ProgressToken,
        caller: Caller,
    ) -> (Calling, mpsc::Receiver<ServerNotification>) {
        let (to, heard) = mpsc::channel(WAITING);
        let mut state = self.state();
        let (mine, others) = std::mem::take(&mut state.early)
            .into_iter()
            .partition(|progress| progress.params.progress_token == token);
        state.early = others;
        state.is_used_by(&caller.client);
        let call = Call {
            number,
            is_answered: false,
            caller,
            to,
        };
        state.calls.insert(token.clone(), call);
        for progress in mine {
            state.tell_progress(progress);
        }
        drop(state);
        let hub = self.clone();
        (Calling { hub, token }, heard)
    }

    /// Somebody who listens from now on.
    pub(super) fn listen(&self, hears: Hears) -> (Ear, mpsc::Receiver<ServerNotification>) {
        let (to, told) = mpsc::channel(WAITING);
        let mut state = self.state();
        if let Hears::Everything(client) = &hears {
            state.is_used_by(client);
        }
        let number = state.next;
        state.next += 1;
        let listener = Listener {
            to,
            hears,
            level: None,
            subscribed: BTreeSet::new(),
        };
        state.ears.insert(number, listener);
        drop(state);
        let hub = self.clone();
        (Ear { hub, number }, told)
    }

    /// Whether the child is to be told that this is to be logged: where no session wants to hear more.
    pub(super) fn wants_level(&self, level: LoggingLevel) -> bool {
        let mut state = self.state();
        let mut levels = state.ears.values().filter_map(|ear| ear.level);
        let is_told = state.level == Some(level);
        let is_wanted = !is_told && levels.all(|other| level as u8 <= other as u8);
        if is_wanted {
            state.level = Some(level);
        }
        is_wanted
    }

    /// The one request under way, where nothing else is, and a way to see its end.
    pub(super) fn sole_caller(&self) -> Option<(Caller, mpsc::Sender<ServerNotification>)> {
        let state = self.state();
        let call = state.sole_call()?;
        Some((call.caller.clone(), call.to.clone()))
    }

    /// The child has answered a request.
    pub(super) fn answered(&self, number: &RequestId) {
        let mut state = self.state();
        state.given_up.remove(number);
        let mut calls = state.calls.values_mut();
        if let Some(call) = calls.find(|call| call.number == *number) {
            call.is_answered = true;
        }
    }

    /// A request was given up of which it is not known whether the child has it.
    pub(super) fn lose_count(&self) {
        self.state().has_lost_count = true;
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        let state = self.state();
        state.ears.values().any(|ear| ear.subscribed.contains(uri))
    }

    /// Tells what a child said to whom it concerns; what is for the library comes back.
    pub(super) fn hear(&self, said: ServerNotification) -> Option<ServerNotification> {
        let mut state = self.state();
        match said {
            // of a request that the library keeps
            said if said.get_meta().subscription_id().is_some() => return Some(said),
            ServerNotification::CancelledNotification(_)
            | ServerNotification::SubscriptionsAcknowledgedNotification(_) => return Some(said),
            ServerNotification::ProgressNotification(progress) => state.tell_progress(progress),
            ServerNotification::LoggingMessageNotification(message) if self.is_shared() => {
                // its words may be of anybody, and are not ours to write down
                let level = message.params.level;
                tracing::debug!(
                    ?level,
                    "what a shared MCP server logs is told to nobody: have it write to stderr"
                );
            }
            ServerNotification::LoggingMessageNotification(message) => state.tell_logged(message),
            ServerNotification::ResourceUpdatedNotification(ref updated) => {
                let uri = updated.params.uri.clone();
                state.tell(&said, |ear| ear.is_subscribed_to(&uri));
            }
            ServerNotification::ToolListChangedNotification(_)
            | ServerNotification::PromptListChangedNotification(_)
            | ServerNotification::ResourceListChangedNotification(_) => state.tell(&said, |_| true),
            // whom it is about is not known
            _ if self.is_shared() => {}
            _ => state.tell(&said, |ear| state.is_for(ear)),
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell_progress(&mut self, mut progress: ProgressNotification) {
        let Some(call) = self.calls.get(&progress.params.progress_token) else {
            if self.early.len() == EARLY {
                self.early.pop_front();
            }
            self.early.push_back(progress);
            return;
        };
        if let Some(token) = &call.caller.token {
            progress.params.progress_token = token.clone();
            // whoever does not keep up is told less of what is a report in passing
            let _ = call
                .to
                .try_send(ServerNotification::ProgressNotification(progress));
        }
    }

    fn tell_logged(&self, message: LoggingMessageNotification) {
        let severity = message.params.level as u8;
        let is_enough =
            |level: Option<LoggingLevel>| level.is_none_or(|least| severity >= least as u8);
        let said = ServerNotification::LoggingMessageNotification(message);
        self.tell(&said, |ear| self.is_for(ear) && is_enough(ear.level));
        let Some(call) = self.sole_call() else { return };
        let caller = &call.caller;
        // 2026-07-28: nothing is logged to whom has not asked for it
        if caller.is_modern && caller.level.is_some() && is_enough(caller.level) {
            let _ = call.to.try_send(said);
        }
    }

    /// Whether a listener may hear what may be of any call.
    fn is_for(&self, ear: &Listener) -> bool {
        let Hears::Everything(client) = &ear.hears else {
            return false;
        };
        let sole = || self.sole_call().map(|call| &call.caller.client);
        !self.has_several_clients || sole() == Some(client)
    }

    fn is_used_by(&mut self, client: &ClientId) {
        let first = self.client.get_or_insert_with(|| client.clone());
        self.has_several_clients |= first != client;
    }

    fn tell(&self, said: &ServerNotification, concerns: impl Fn(&Listener) -> bool) {
        for ear in self.ears.values().filter(|ear| concerns(ear)) {
            let _ = ear.to.try_send(said.clone());
        }
    }

    fn sole_call(&self) -> Option<&Call> {
        let mut calls = self.calls.values();
        let call = calls.next()?;
        let is_sole = calls.next().is_none();
        (is_sole && !self.may_be_at_others(&call.caller.client)).then_some(call)
    }

    /// Whether the child may be at a request that another client gave up.
    fn may_be_at_others(&self, client: &ClientId) -> bool {
        let mut given_up = self.given_up.values();
        self.has_several_clients && (self.has_lost_count || given_up.any(|other| other != client))
    }

    /// A request that the child has not answered, and nobody waits for.
    fn give_up(&mut self, call: Call) {
        if self.given_up.len() < GIVEN_UP {
            self.given_up.insert(call.number, call.caller.client);
        } else {
            self.has_lost_count = true;
        }
    }
}

impl Listener {
    /// An update may be of a part of what was subscribed to.
    fn is_subscribed_to(&self, uri: &str) -> bool {
        self.subscribed.iter().any(|subscribed| {
            uri.strip_prefix(subscribed.as_str()).is_some_and(|part| {
                part.is_empty() || part.starts_with('/') || subscribed.ends_with('/')
            })
        })
    }
}

impl Calling {
    /// Returns when the child has ended.
    pub(super) async fn ended(&self) {
        self.hub.ended().await;
    }

    /// The answer has come.
    pub(super) fn answered(&self) {
        if let Some(call) = self.hub.state().calls.get_mut(&self.token) {
            call.is_answered = true;
        }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        let call = state.calls.remove(&self.token);
        if let Some(call) = call.filter(|call| !call.is_answered) {
            // nobody knows for how long the child is at it
            state.give_up(call);
        }
    }
}

impl Ear {
    /// Which child it listens to.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Subscribes to a resource; whether nobody else has at this child.
    pub(super) fn subscribe(&self, uri: &str) -> bool {
        let mut state = self.hub.state();
        let is_first = !state.ears.values().any(|ear| ear.subscribed.contains(uri));
        if let Some(ear) = state.ears.get_mut(&self.number) {
            ear.subscribed.insert(uri.to_owned());
        }
        is_first
    }

    /// Takes a subscription back; whether it was one, and nobody else has it.
    pub(super) fn unsubscribe(&self, uri: &str) -> bool {
        let mut state = self.hub.state();
        let ear = state.ears.get_mut(&self.number);
        let was_subscribed = ear.is_some_and(|ear| ear.subscribed.remove(uri));
        was_subscribed && !state.ears.values().any(|ear| ear.subscribed.contains(uri))
    }

    /// Takes all subscriptions back; those that nobody else has.
    pub(super) fn unsubscribe_all(&self) -> Vec<String> {
        let mut state = self.hub.state();
        let ear = state.ears.get_mut(&self.number);
        let mut subscribed =
            ear.map_or_else(BTreeSet::new, |ear| std::mem::take(&mut ear.subscribed));
        subscribed.retain(|uri| !state.ears.values().any(|ear| ear.subscribed.contains(uri)));
        subscribed.into_iter().collect()
    }

    /// The least that is told of what is logged.
    pub(super) fn set_level(&self, level: LoggingLevel) {
        if let Some(ear) = self.hub.state().ears.get_mut(&self.number) {
            ear.level = Some(level);
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.hub.state().ears.remove(&self.number);
    }
}
