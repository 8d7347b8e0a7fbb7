//! Whether the providers still vouch for the people who signed in: asked as seldom as the settings allow, and once for
//! everybody who waits (MCP 2025-03-26 §2.10).

mod access;
mod answer;
mod ask;
mod enter;
mod give_back;
#[cfg(test)]
mod patience;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock::{Clock, UnixTime};
use crate::event::{Event, GrantNews};
use crate::protocol::grant::{Grant, GrantKey};
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::scope::ScopeSet;
use crate::seal::Sealer;
use crate::store::{Result, Store, StoreError};
use crate::upstream::{Upstream, UseFor};

use super::Lifetimes;
use super::live::LiveSessions;

pub(super) use access::Access;

/// What asking the providers needs; and what is being asked now, or could not be.
pub struct Vouching {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sealer: Arc<Sealer>,
    live: Arc<LiveSessions>,
    upstreams: Vec<Arc<dyn Upstream>>,
    reserved: ScopeSet,
    lifetimes: Lifetimes,
    patience: Duration,
    /// Who is being asked about now: whoever comes meanwhile waits for the same answer.
    under_way: DashMap<GrantKey, watch::Receiver<Option<Outcome>>>,
    /// Who could not be asked about, and when that was. One person's trouble keeps nobody else from being asked about.
    troubles: DashMap<GrantKey, UnixTime>,
    next_round: AtomicI64,
}

/// What [`Vouching`] shares with the flows.
pub struct Shared {
    /// What outlives a request.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Keys for what must not lie about in clear.
    pub sealer: Arc<Sealer>,
    /// The sessions that somebody is using.
    pub live: Arc<LiveSessions>,
    /// The providers.
    pub upstreams: Vec<Arc<dyn Upstream>>,
}

/// What is known of a person now.
pub(super) enum Status {
    /// The provider vouches for them, or did not long ago: until then nobody needs to ask.
    Good(Arc<Grant>, UnixTime),
    /// They have nothing here, or no longer.
    Ended,
    /// The provider cannot be asked, and its last word is too old to go by.
    Unknown,
}

/// What is to be done at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    /// To ask whether it still vouches for somebody.
    Check,
    /// To renew the tokens of somebody, where they need it.
    Renew,
}

/// What came of it.
#[derive(Clone, Debug)]
enum Outcome {
    /// The provider vouches for them.
    Vouched(Arc<Grant>),
    /// The tokens are as good as they can be; whether the provider vouches for them was not asked.
    Renewed,
    /// The grant is gone.
    Ended,
    /// The provider could not be asked.
    Failed,
    /// An incident of ours.
    Broken,
}

/// How long anybody waits for a provider. What it takes longer for goes on without them.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a provider that could not be asked about somebody is not asked about them again.
const REST: Duration = Duration::from_secs(30);

/// How long it is remembered that a provider could not be asked about somebody whom nobody has asked for since.
const MEMORY: Duration = Duration::from_secs(3600);

/// How often it is looked for grants that no session lives by any more.
const ROUND: Duration = Duration::from_secs(3600);

impl Vouching {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(shared: Shared, lifetimes: Lifetimes) -> Self {
        Self {
            reserved: reserved(&shared.upstreams),
            store: shared.store,
            clock: shared.clock,
            sealer: shared.sealer,
            live: shared.live,
            upstreams: shared.upstreams,
            lifetimes,
            patience: PATIENCE,
            under_way: DashMap::new(),
            troubles: DashMap::new(),
            next_round: AtomicI64::new(i64::MIN),
        }
    }

    /// What is known of a person, after asking the provider where that is due. Nobody waits where there was trouble before:
    /// for as long as the grace lasts, it is asked again while they go on.
    pub(super) async fn status(self: &Arc<Self>, person: &Subject) -> Result<Status> {
        loop {
            let now = self.clock.now();
            let Some(grant) = self.store.find_grant(person, now).await? else {
                return Ok(Status::Ended);
            };
            if !self.is_due(&grant, now) {
                let until = self.good_until(&grant);
                return Ok(Status::Good(Arc::new(grant), until));
            }
            let end = self.good_until(&grant) + self.lifetimes.upstream_grace;
            let go_on = |grant, from: UnixTime| match (from + REST).min(end) {
                until if now < end => Status::Good(Arc::new(grant), until),
                _ => Status::Unknown,
            };
            match self.trouble_of(&grant) {
                Some(asked) if now < asked + REST => return Ok(go_on(grant, asked)),
                Some(_) if now < end => {
                    drop(self.join(&grant, Job::Check));
                    return Ok(go_on(grant, now));
                }
                _ => {}
            }
            match outcome(self.join(&grant, Job::Check)).await {
                Outcome::Vouched(grant) => {
                    let until = self.good_until(&grant);
                    return Ok(Status::Good(grant, until));
                }
                Outcome::Renewed => {}
                Outcome::Ended => return Ok(Status::Ended),
                Outcome::Failed => return Ok(go_on(grant, now)),
                Outcome::Broken => return Err(StoreError::new("asking a provider broke off")),
            }
        }
    }

    /// The scopes that are not open to a person. What was found out under other rules opens nothing.
    pub(super) fn withheld(&self, grant: &Grant) -> ScopeSet {
        if self.is_under_these_rules(grant) {
            self.reserved.without(&grant.opens)
        } else {
            self.reserved.clone()
        }
    }

    /// The provider vouches for a person now: all their sessions see it.
    pub(super) fn learn(&self, grant: &Grant) {
        self.troubles.remove(&grant.key());
        let withheld = self.withheld(grant);
        self.live.learn(grant, &withheld, self.good_until(grant));
    }

    /// Forgets troubles that nobody has asked for in a while.
    pub(super) fn prune(&self) {
        let now = self.clock.now();
        self.troubles.retain(|_, asked| now < *asked + MEMORY);
    }

    /// Whether it is time for another round.
    pub(super) fn is_round_due(&self) -> bool {
        self.next_round.load(Ordering::Relaxed) <= self.clock.now().0
    }

    /// A round is over.
    pub(super) fn end_round(&self) {
        let next = self.clock.now() + ROUND;
        self.next_round.store(next.0, Ordering::Relaxed);
    }

    fn upstream(&self, id: &ProviderId) -> Option<&Arc<dyn Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.id() == id)
    }

    /// Whether the provider is to be asked before anybody goes by the grant: its word is too old, or was given under other
    /// rules than those of now, or the provider is none of ours any more.
    fn is_due(&self, grant: &Grant, now: UnixTime) -> bool {
        now >= self.good_until(grant) || !self.is_under_these_rules(grant)
    }

    fn is_under_these_rules(&self, grant: &Grant) -> bool {
        let upstream = self.upstream(&grant.provider);
        upstream.is_some_and(|upstream| upstream.rules().mark() == grant.rules)
    }

    /// Until when the word of the provider is good.
    fn good_until(&self, grant: &Grant) -> UnixTime {
        grant.checked + self.lifetimes.upstream_check
    }

    fn trouble_of(&self, grant: &Grant) -> Option<UnixTime> {
        self.troubles.get(&grant.key()).map(|asked| *asked)
    }

    /// Has the job done, unless another one is under way for this person: then it is that one's end to wait for. It is done
    /// in a task of its own: whoever hangs up must not break off a renewal.
    fn join(self: &Arc<Self>, grant: &Grant, job: Job) -> watch::Receiver<Option<Outcome>> {
        match self.under_way.entry(grant.key()) {
            Entry::Occupied(other) => other.get().clone(),
            Entry::Vacant(place) => {
                let (tell, outcome) = watch::channel(None);
                place.insert(outcome.clone());
                tokio::spawn(run(Arc::clone(self), grant.clone(), job, tell));
                outcome
            }
        }
    }

    /// The provider could not be asked about somebody: it is told once, and not asked again at once.
    fn note_trouble(&self, grant: &Grant, cause: &str) {
        self.troubles.insert(grant.key(), self.clock.now());
        tell(grant, GrantNews::Unknown(cause));
    }
}

impl Job {
    fn purpose(self) -> UseFor {
        match self {
            Self::Check => UseFor::Checking,
            Self::Renew => UseFor::Calling,
        }
    }
}

/// The scopes that are not for everybody.
pub fn reserved(upstreams: &[Arc<dyn Upstream>]) -> ScopeSet {
    let all = upstreams.iter().map(|upstream| upstream.rules().reserved());
    all.fold(ScopeSet::default(), |all, more| all.union(&more))
}

/// Takes a person off the list of those who are being asked about, however that ends.
struct Leave<'a>(&'a Vouching, GrantKey);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.under_way.remove(&self.1);
    }
}

async fn run(
    vouching: Arc<Vouching>,
    grant: Grant,
    job: Job,
    tell: watch::Sender<Option<Outcome>>,
) {
    let leave = Leave(&vouching, grant.key());
    let mut asking = pin!(vouching.ask(grant.subject(), job));
    let in_time = timeout(vouching.patience, &mut asking).await;
    let asked = if let Ok(asked) = in_time {
        asked
    } else {
        vouching.note_trouble(&grant, "it took too long");
        tell.send_replace(Some(Outcome::Failed));
        // what it still says is kept: tokens that it has renewed took the place of the old ones
        asking.await
    };
    drop(leave);
    tell.send_replace(Some(asked));
}

/// What a job comes to.
async fn outcome(mut job: watch::Receiver<Option<Outcome>>) -> Outcome {
    let told = job.wait_for(Option::is_some).await;
    // there is no answer where the job panicked
    told.map_or(None, |told| told.clone())
        .unwrap_or(Outcome::Broken)
}

fn tell(grant: &Grant, news: GrantNews<'_>) {
    Event::OfGrant {
        provider: &grant.provider,
        subject: grant.subject(),
        news,
    }
    .tell();
}
