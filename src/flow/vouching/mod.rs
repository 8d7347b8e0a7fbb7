//! Whether the providers still vouch for the people who signed in: asked as seldom as the settings allow, and once for
//! everybody who waits (MCP 2025-03-26 §2.10).

mod access;
mod answer;
mod ask;
mod enter;
mod give_back;
#[cfg(test)]
mod patience;
mod trouble;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

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
use answer::Unkept;
use trouble::Trouble;

/// What asking the providers needs; and what is being asked now, or could not be.
pub struct Vouching {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sealer: Arc<Sealer>,
    live: Arc<LiveSessions>,
    upstreams: Vec<Provider>,
    reserved: ScopeSet,
    lifetimes: Lifetimes,
    patience: Duration,
    /// Who is being asked about now: whoever comes meanwhile waits for the same answer.
    under_way: DashMap<GrantKey, watch::Receiver<Option<Outcome>>>,
    /// Who could not be asked about, and when that was. One person's trouble keeps nobody else from being asked about.
    troubles: DashMap<GrantKey, Trouble>,
    /// Renewed tokens that the store could not keep: those that they took the place of may be dead.
    unkept: DashMap<GrantKey, Unkept>,
    /// Held by each attempt to give something back.
    giving_back: Arc<()>,
    next_round: AtomicI64,
}

/// A provider, with the mark of its rules.
struct Provider {
    upstream: Arc<dyn Upstream>,
    rules: [u8; 32],
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

/// How far in the future a word of the provider may be, before it is taken for that of a clock that went wrong.
const SKEW: Duration = Duration::from_secs(60);

/// How often it is looked whether nothing is under way any more.
const LOOK: Duration = Duration::from_millis(20);

/// How long the end of the process waits for what is given back.
const GIVING_BACK: Duration = Duration::from_secs(3);

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
            upstreams: shared.upstreams.into_iter().map(Provider::of).collect(),
            lifetimes,
            patience: PATIENCE,
            under_way: DashMap::new(),
            troubles: DashMap::new(),
            unkept: DashMap::new(),
            giving_back: Arc::default(),
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
            match self.trouble_of(&grant, now) {
                Some(asked) if now < asked + REST => return Ok(self.in_grace(grant, asked)),
                Some(_) if self.has_grace(&grant, now) => {
                    drop(self.join(&grant, Job::Check));
                    return Ok(self.in_grace(grant, now));
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
                Outcome::Failed => return Ok(self.in_grace(grant, now)),
                Outcome::Broken => {
                    return match self.in_grace(grant, now) {
                        Status::Unknown => Err(StoreError::new("asking a provider broke off")),
                        goes_on => Ok(goes_on),
                    };
                }
            }
        }
    }

    /// Waits until nobody is being asked about any more, and then a little for what is being given back: whoever breaks off
    /// a renewal loses the new tokens, and the old ones may be dead.
    pub async fn at_rest(&self) {
        while !self.under_way.is_empty() {
            sleep(LOOK).await;
        }
        let given_back = async {
            while Arc::strong_count(&self.giving_back) > 1 {
                sleep(LOOK).await;
            }
        };
        // what is left ends at the provider when it lets it
        let _ = timeout(GIVING_BACK, given_back).await;
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
        self.end_trouble(grant);
        let withheld = self.withheld(grant);
        self.live.learn(grant, &withheld, self.good_until(grant));
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

    /// The mark of the rules of a provider.
    pub(super) fn rules_of(&self, id: &ProviderId) -> Option<[u8; 32]> {
        self.provider(id).map(|provider| provider.rules)
    }

    fn provider(&self, id: &ProviderId) -> Option<&Provider> {
        self.upstreams
            .iter()
            .find(|provider| provider.upstream.id() == id)
    }

    fn upstream(&self, id: &ProviderId) -> Option<&Arc<dyn Upstream>> {
        self.provider(id).map(|provider| &provider.upstream)
    }

    /// Whether the provider is to be asked before anybody goes by the grant: its word is too old, or was given under other
    /// rules than those of now, or the provider is none of ours any more, or the clock was wrong when it gave it.
    fn is_due(&self, grant: &Grant, now: UnixTime) -> bool {
        now >= self.good_until(grant)
            || grant.checked > now + SKEW
            || !self.is_under_these_rules(grant)
    }

    fn is_under_these_rules(&self, grant: &Grant) -> bool {
        self.rules_of(&grant.provider) == Some(grant.rules)
    }

    /// Until when the word of the provider is good.
    fn good_until(&self, grant: &Grant) -> UnixTime {
        grant.checked + self.lifetimes.upstream_check
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
}

impl Provider {
    fn of(upstream: Arc<dyn Upstream>) -> Self {
        let rules = upstream.rules().mark();
        Self { upstream, rules }
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
        if std::thread::panicking() {
            self.0.note_incident(self.1);
        }
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
