//! The children of one server: started when somebody needs one, and ended when nobody does.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

use super::asker::{Asker, Told, Who};
use super::child::{self, Child, Failure, Plan};
use super::environment::{Person, environment};
use super::roster::{Progress, Roster, Seat, ToStart, Verdict};
use super::settings::{ChildSettings, Sharing};
use super::traffic::Silence;
use super::{Lease, Lend, NoChild};
use crate::clock::Clock;
use crate::protocol::identity::Identity;
use crate::protocol::principal::Principal;
use crate::secret::Secret;

/// The children of one server. Each has a task of its own, which starts it, keeps an eye on it and ends it, whoever asked
/// for it. Dropped, they all end; [`end_all`](Self::end_all) waits for that.
///
/// How long a child was not used, or says nothing, is measured by `clock`, as everything else that expires; how long a
/// process is given to start or to end, by the machine.
pub struct Children {
    nursery: Arc<Nursery>,
}

struct Nursery {
    settings: Arc<ChildSettings>,
    clock: Arc<dyn Clock>,
    roster: Mutex<Roster>,
    /// A permit for each process, until nothing is left of it: one that is ending counts.
    processes: Arc<Semaphore>,
    most: u32,
    /// Whether they are greeted with `server/discover`.
    discovers: AtomicBool,
}

impl Children {
    /// Nobody yet.
    #[must_use]
    pub fn new(settings: ChildSettings, clock: Arc<dyn Clock>) -> Self {
        let most = u32::try_from(settings.children.get()).unwrap_or(u32::MAX);
        let most = most.min(MOST);
        let roster = Roster::new(most as usize, settings.idle);
        let nursery = Nursery {
            settings: Arc::new(settings),
            clock,
            roster: Mutex::new(roster),
            processes: Arc::new(Semaphore::new(most as usize)),
            most,
            discovers: AtomicBool::new(false),
        };
        Self {
            nursery: Arc::new(nursery),
        }
    }

    /// Looks now whether a child is idle, or its sessions are over, which is otherwise seen some seconds later.
    pub fn sweep(&self) {
        self.nursery.roster().ring();
    }

    /// Ends every child, all at once, and waits until nothing is left of them: some seconds at most. There will be no
    /// others.
    pub async fn end_all(&self) {
        self.nursery.roster().close();
        let _ = self.nursery.processes.acquire_many(self.nursery.most).await;
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.nursery.roster().close();
    }
}

#[async_trait]
impl Lend for Children {
    async fn lend(&self, principal: &Arc<Principal>) -> Result<Lease, NoChild> {
        let (asker, token) = self.nursery.asker(principal).await?;
        let who = asker.who.clone();
        let seat = self
            .nursery
            .roster()
            .seat(asker, self.nursery.clock.now())?;
        let Seat {
            child,
            mut progress,
            to_start,
        } = seat;
        let held = Held {
            nursery: Arc::clone(&self.nursery),
            child,
        };
        if let Some(to_start) = to_start {
            let identity = principal.identity().clone();
            let nursery = Arc::clone(&self.nursery);
            tokio::spawn(nursery.live(
                child,
                Life {
                    who,
                    identity,
                    token,
                    to_start,
                },
            ));
        }
        let progress = progress.wait_for(|progress| !matches!(progress, Progress::Starting));
        match progress.await.as_deref() {
            // what it does not read is kept, also when nobody waits for it any more
            Ok(Progress::Running(child)) if child.traffic.is_full() => Err(NoChild::TooMany),
            Ok(Progress::Running(child)) => Ok(Lease {
                peer: child.peer.clone(),
                hub: child.hub.clone(),
                held: Box::new(held),
            }),
            Ok(Progress::Failed(why)) => Err(why.clone()),
            // its task is over: it was told to end while it was being started
            Ok(Progress::Starting) | Err(_) => Err(NoChild::NotStarted(Duration::ZERO)),
        }
    }
}

/// A child in use.
struct Held {
    nursery: Arc<Nursery>,
    child: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let now = self.nursery.clock.now();
        self.nursery.roster().leave(self.child, now);
    }
}

/// What the task of a child knows.
struct Life {
    who: Who,
    /// Of whoever asked first.
    identity: Identity,
    token: Option<Secret>,
    to_start: ToStart,
}

impl Nursery {
    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks, and the provider's token where the child is to have it.
    async fn asker(&self, principal: &Arc<Principal>) -> Result<(Asker, Option<Secret>), NoChild> {
        if self.settings.sharing == Sharing::Shared {
            let asker = Asker {
                who: Who::Everybody,
                standing: None,
                told: Told::default(),
                turn: 0,
            };
            return Ok((asker, None));
        }
        // before the token is asked for: whoever asked later does not get an older one
        let turn = self.roster().turn();
        let token = match self.settings.upstream_token {
            Some(_) => Some(principal.upstream_token().await?),
            None => None,
        };
        let identity = principal.identity();
        let told = Told {
            token: token.as_ref().map(Secret::digest),
            identity: self.settings.headers.then(|| identity.clone()),
        };
        let asker = Asker {
            who: Who::Person(identity.subject.clone()),
            standing: Some(Arc::clone(&principal.standing)),
            told,
            turn,
        };
        Ok((asker, token))
    }

    /// The whole life of a child, in a task of its own: nobody breaks it off by hanging up.
    async fn live(self: Arc<Self>, id: u64, life: Life) {
        let Life {
            who,
            identity,
            token,
            to_start: ToStart { progress, bell },
        } = life;
        // one that makes room is gone in some seconds
        let Ok(_permit) = Arc::clone(&self.processes).acquire_owned().await else {
            return;
        };
        let begun = self.clock.now();
        let started = self.start(id, &bell, &who, (identity, token)).await;
        let mut child = match started {
            Ok(child) => child,
            Err(failure) => {
                let why = self.not_started(id, &who, &failure);
                progress.send_replace(Progress::Failed(why));
                return;
            }
        };
        self.roster().started(id, self.clock.now());
        let (server, pid) = (&*self.settings.server, child.id());
        tracing::info!(
            server,
            pid,
            subject = who.subject(),
            "an MCP server was started"
        );
        progress.send_replace(Progress::Running(child.reached.clone()));
        let fault = self.watch(id, &bell, &mut child).await;
        let lived = self.clock.now() - begun;
        if lived >= HEALTHY {
            self.roster().done(id, &who);
        } else if fault.is_some() {
            self.roster().failed(id, &who, self.clock.now());
        }
        let status = child.end().await.map(|status| status.to_string());
        match fault {
            None => tracing::info!(server, pid, status, "an MCP server was ended"),
            Some(Fault::Over) => {
                tracing::warn!(server, pid, status, "an MCP server ended by itself");
            }
            Some(fault) => {
                let cause = fault.told();
                tracing::warn!(server, pid, status, cause, "an MCP server had to be ended");
            }
        }
    }

    async fn start(
        &self,
        id: u64,
        bell: &Notify,
        who: &Who,
        person: (Identity, Option<Secret>),
    ) -> Result<Child, Failure> {
        let (identity, token) = person;
        let person = who.subject().map(|_| Person {
            identity: &identity,
            token,
        });
        let variables = environment(&self.settings, person).map_err(|_| Failure::Unspeakable)?;
        let plan = Plan {
            settings: Arc::clone(&self.settings),
            variables,
            clock: Arc::clone(&self.clock),
        };
        let give_up = async {
            tokio::select! {
                () = sleep(LONGEST_START) => Failure::TooSlow,
                () = self.dismissed(id, bell) => Failure::NotWanted,
            }
        };
        tokio::pin!(give_up);
        child::start(&plan, &self.discovers, give_up).await
    }

    fn not_started(&self, id: u64, who: &Who, failure: &Failure) -> NoChild {
        if matches!(failure, Failure::NotWanted) {
            return NoChild::NotStarted(Duration::ZERO);
        }
        let wait = self.roster().failed(id, who, self.clock.now());
        let status = failure.status().map(|status| status.to_string());
        tracing::warn!(
            server = &*self.settings.server,
            subject = who.subject(),
            status,
            cause = failure.to_string(),
            wait = wait.as_secs(),
            "an MCP server could not be started"
        );
        NoChild::NotStarted(wait)
    }

    /// Waits until a child is told to end.
    async fn dismissed(&self, id: u64, bell: &Notify) {
        while self.roster().has(id) {
            bell.notified().await;
        }
    }

    /// Stays with a child until its end; none: it was told to.
    async fn watch(&self, id: u64, bell: &Notify, child: &mut Child) -> Option<Fault> {
        let reached = child.reached.clone();
        let traffic = &reached.traffic;
        while self.roster().judge(id, self.clock.now()) == Verdict::Stays {
            let is_in_use = self.roster().is_in_use(id);
            match traffic.silence(is_in_use) {
                Silence::Fine => {}
                Silence::Odd => reached.ping().await,
                Silence::Hangs => return Some(Fault::Hangs),
            }
            tokio::select! {
                () = child.ended() => {
                    let is_broken_off = traffic.is_broken_off();
                    return Some(if is_broken_off { Fault::SaysTooMuch } else { Fault::Over });
                }
                () = bell.notified() => {}
                () = sleep(BETWEEN_LOOKS) => {}
            }
        }
        None
    }
}

/// Why a child is over that nobody told to end.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It ended.
    Over,
    Hangs,
    SaysTooMuch,
}

impl Fault {
    fn told(self) -> &'static str {
        match self {
            Self::Over => "it ended by itself",
            Self::Hangs => "it said nothing for ten minutes, although it was asked",
            Self::SaysTooMuch => "a message of it is longer than 16 MiB",
        }
    }
}

/// More are not started, whatever is set.
const MOST: u32 = 100_000;
/// `npx` and `uvx` may have to download a server first.
const LONGEST_START: Duration = Duration::from_secs(60);
/// A child that lives as long as that has been started well.
const HEALTHY: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
