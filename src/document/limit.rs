//! How often strangers may make us fetch: by asker, by host, all together, and at a time; and how long that may take.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::outbound::stranger::Standing;

/// So many a minute, and so many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a minute.
    pub per_minute: NonZeroU32,
    /// How many at once.
    pub burst: NonZeroU32,
}

/// The numbers of the limits. Whatever lies in memory is given away without counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchRates {
    /// Fetches for one asker.
    pub asker: Rate,
    /// Fetches from one host, for strangers.
    pub host: Rate,
    /// Fetches of one URL of a client that is known.
    pub known: Rate,
    /// Fetches for strangers, all together.
    pub strangers: Rate,
    /// Fetches at a time.
    pub at_once: usize,
    /// How many of those at a time may be for strangers.
    pub strangers_at_once: usize,
    /// How many of those at a time may be from one host; half of them for strangers.
    pub host_at_once: usize,
    /// How long one of them may take, with all that it takes.
    pub flight: Duration,
    /// How long anybody waits for it who can go on with the copy that there is.
    pub patience: Duration,
}

/// A person who signs in makes us fetch a document and a logo, ten times a minute if they are in a hurry.
const ASKER: Rate = rate(20, 20);
/// A host serves the documents of a few clients. Whoever would have us bombard a host gets a request every two seconds
/// out of us.
const HOST: Rate = rate(30, 10);
/// A copy is good for a minute at least, so that only failures come more often than once a minute.
const KNOWN: Rate = rate(6, 3);
/// So that a botnet with a domain full of hosts does not make us one of its own.
const STRANGERS: Rate = rate(300, 300);
/// With bodies of at most 100 KiB, about 3 MB under way.
const AT_ONCE: usize = 32;
/// A quarter is left to what is in use: hosts that answer slowly on purpose cannot hold everything up.
const STRANGERS_AT_ONCE: usize = 24;
/// For whoever has signed in with a client of their own, which is slow on purpose.
const HOST_AT_ONCE: usize = 4;
/// Somebody waits at a browser (CLI-07).
const FLIGHT: Duration = Duration::from_secs(5);
/// What a client of a host that hangs waits for its tokens, once a minute.
const PATIENCE: Duration = Duration::from_secs(1);

/// When to come again while everything is in use: a fetch is over in a few seconds.
const BUSY: Duration = Duration::from_secs(5);

/// Askers and hosts are counted under a hash of so many values: a flood of them fills no memory (about 2 MB for each
/// limit), and whoever floods cannot tell whose number they share.
const NUMBERS: u64 = 1 << 16;

const fn rate(per_minute: u32, burst: u32) -> Rate {
    Rate {
        per_minute: NonZeroU32::MIN.saturating_add(per_minute - 1),
        burst: NonZeroU32::MIN.saturating_add(burst - 1),
    }
}

impl Default for FetchRates {
    fn default() -> Self {
        Self {
            asker: ASKER,
            host: HOST,
            known: KNOWN,
            strangers: STRANGERS,
            at_once: AT_ONCE,
            strangers_at_once: STRANGERS_AT_ONCE,
            host_at_once: HOST_AT_ONCE,
            flight: FLIGHT,
            patience: PATIENCE,
        }
    }
}

/// What is to be fetched, as far as the limits care.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// A stranger's is counted with all that its host has; what is known for itself: nonsense there does not lock it out.
    pub(super) standing: Standing,
    /// The host.
    pub(super) host: &'a str,
    /// The URL.
    pub(super) url: &'a str,
}

/// Leave to fetch. Held until the answer is there.
#[derive(Debug)]
pub(super) struct Leave {
    _slot: OwnedSemaphorePermit,
    _stranger: Option<OwnedSemaphorePermit>,
    _host: HostSlot,
}

/// One of the fetches from a host that are under way.
#[derive(Debug)]
struct HostSlot {
    under_way: Arc<DashMap<String, usize>>,
    host: String,
}

impl Drop for HostSlot {
    fn drop(&mut self) {
        self.under_way.remove_if_mut(&self.host, |_, count| {
            *count -= 1;
            *count == 0
        });
    }
}

/// Too often: come again in so long; whole seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limited(pub(super) Duration);

/// The limits. Time is governor's own, since it is never compared with a clock outside.
#[derive(Debug)]
pub(super) struct Limits<C: Clock = MonotonicClock> {
    asker: Numbered<C>,
    host: Numbered<C>,
    known: Numbered<C>,
    strangers: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    slots: Arc<Semaphore>,
    stranger_slots: Arc<Semaphore>,
    // As many as may be under way at a time.
    under_way: Arc<DashMap<String, usize>>,
    host_at_once: usize,
    clock: C,
    hasher: RandomState,
}

type Numbered<C> = RateLimiter<
    u64,
    DashMapStateStore<u64>,
    C,
    NoOpMiddleware<<C as governor::clock::Clock>::Instant>,
>;

impl Limits {
    /// Nothing has been fetched yet.
    pub(super) fn new(rates: FetchRates) -> Self {
        Self::with_clock(rates, MonotonicClock)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(rates: FetchRates, clock: C) -> Self {
        let numbered = |rate| RateLimiter::dashmap_with_clock(quota(rate), clock.clone());
        Self {
            asker: numbered(rates.asker),
            host: numbered(rates.host),
            known: numbered(rates.known),
            strangers: RateLimiter::direct_with_clock(quota(rates.strangers), clock.clone()),
            slots: Arc::new(Semaphore::new(rates.at_once)),
            stranger_slots: Arc::new(Semaphore::new(rates.strangers_at_once)),
            under_way: Arc::default(),
            host_at_once: rates.host_at_once,
            clock,
            hasher: RandomState::new(),
        }
    }
}

impl<C: Clock> Limits<C> {
    /// Counts one more fetch for `asker`. What `asker` may not have does not count for the host or for all.
    pub(super) fn admit(&self, asker: IpAddr, what: Target<'_>) -> Result<Leave, Limited> {
        let busy = |_| Limited(BUSY);
        let free = |slots| Semaphore::try_acquire_owned(Arc::clone(slots)).map_err(busy);
        let host = what.host.trim_end_matches('.');
        let stranger = match what.standing {
            Standing::Stranger => Some(free(&self.stranger_slots)?),
            Standing::Known => None,
        };
        let leave = Leave {
            _slot: free(&self.slots)?,
            _stranger: stranger,
            _host: self.host_slot(host, what.standing)?,
        };
        self.check(&self.asker, network(asker))?;
        match what.standing {
            Standing::Stranger => {
                self.check(&self.host, host)?;
                self.strangers.check().map_err(|no| self.later(&no))?;
            }
            Standing::Known => self.check(&self.known, what.url)?,
        }
        Ok(leave)
    }

    fn host_slot(&self, host: &str, standing: Standing) -> Result<HostSlot, Limited> {
        // strangers may be kept waiting by what other strangers do, and must not keep out who is known there
        let most = match standing {
            Standing::Stranger => self.host_at_once / 2,
            Standing::Known => self.host_at_once,
        };
        let mut count = self.under_way.entry(host.to_owned()).or_default();
        if *count >= most {
            return Err(Limited(BUSY));
        }
        *count += 1;
        Ok(HostSlot {
            under_way: Arc::clone(&self.under_way),
            host: host.to_owned(),
        })
    }

    fn check(&self, limiter: &Numbered<C>, key: impl Hash) -> Result<(), Limited> {
        limiter
            .check_key(&(self.hasher.hash_one(key) % NUMBERS))
            .map_err(|no| self.later(&no))
    }

    fn later(&self, no: &NotUntil<C::Instant>) -> Limited {
        let wait = no.wait_time_from(self.clock.now());
        let started = u64::from(wait.subsec_nanos() > 0);
        Limited(Duration::from_secs((wait.as_secs() + started).max(1)))
    }
}

/// An address; for IPv6, where everybody has 2^64 of them, its /64 network.
fn network(asker: IpAddr) -> (bool, u64) {
    match asker.to_canonical() {
        IpAddr::V4(v4) => (false, u64::from(v4.to_bits())),
        IpAddr::V6(v6) => (true, (v6.to_bits() >> 64) as u64),
    }
}

fn quota(rate: Rate) -> Quota {
    Quota::per_minute(rate.per_minute).allow_burst(rate.burst)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn few() -> FetchRates {
        FetchRates {
            asker: rate(6, 4),
            host: rate(30, 2),
            known: rate(6, 2),
            strangers: rate(60, 6),
            at_once: 4,
            strangers_at_once: 3,
            host_at_once: 2,
            ..FetchRates::default()
        }
    }

    fn limits(rates: FetchRates) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limits::with_clock(rates, clock.clone()), clock)
    }

    fn from(asker: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, asker])
    }

    fn host(host: &str) -> Target<'_> {
        let (standing, url) = (Standing::Stranger, "");
        Target {
            standing,
            host,
            url,
        }
    }

    fn known(url: &str) -> Target<'_> {
        let (standing, host) = (Standing::Known, url.split('/').nth(2).unwrap());
        Target {
            standing,
            host,
            url,
        }
    }

    /// How long to wait for leave; zero: none.
    fn wait(limits: &Limits<FakeRelativeClock>, asker: IpAddr, what: Target<'_>) -> u64 {
        let answer = limits.admit(asker, what);
        answer.err().map_or(0, |Limited(wait)| wait.as_secs())
    }

    /// CLI-17
    #[test]
    fn a_host_is_asked_so_often_whoever_asks() {
        let (limits, clock) = limits(few());
        assert_eq!(wait(&limits, from(1), host("a.example")), 0);
        assert_eq!(wait(&limits, from(2), host("a.example")), 0);
        assert_eq!(wait(&limits, from(3), host("a.example")), 2);
        assert_eq!(wait(&limits, from(3), host("a.example.")), 2, "same host");
        assert_eq!(wait(&limits, from(3), host("b.example")), 0, "another host");
        clock.advance(Duration::from_secs(2));
        assert_eq!(wait(&limits, from(3), host("a.example")), 0);
    }

    /// CLI-17
    #[test]
    fn an_asker_is_served_so_often_from_whatever_host() {
        let (limits, clock) = limits(few());
        let network = |last| format!("2001:db8:0:1::{last}").parse().unwrap();
        for n in 0..4 {
            assert_eq!(wait(&limits, network(n), host(&format!("{n}.example"))), 0);
        }
        assert_eq!(wait(&limits, network(5), host("5.example")), 10);
        assert_eq!(wait(&limits, network(6), known("https://6.example/")), 10);
        let neighbour = "2001:db8:0:2::1".parse().unwrap();
        assert_eq!(wait(&limits, neighbour, host("5.example")), 0);
        let mapped = "::ffff:192.0.2.9".parse().unwrap();
        for n in 0..4 {
            let asker = if n % 2 == 0 { mapped } else { from(9) };
            let url = format!("https://known.example/{n}");
            assert_eq!(wait(&limits, asker, known(&url)), 0);
        }
        assert_eq!(wait(&limits, from(9), host("6.example")), 10);
        clock.advance(Duration::from_secs(10));
        assert_eq!(wait(&limits, network(7), host("7.example")), 0);
    }

    /// CLI-17
    #[test]
    fn an_asker_over_their_limit_uses_up_nobody_elses() {
        let (limits, _clock) = limits(few());
        for n in 0..4 {
            wait(&limits, from(1), known(&format!("https://k.example/{n}")));
        }
        for _ in 0..100 {
            assert_eq!(wait(&limits, from(1), host("a.example")), 10);
        }
        assert_eq!(wait(&limits, from(2), host("a.example")), 0);
    }

    /// CLI-17
    #[test]
    fn all_askers_together_make_us_fetch_so_often() {
        let (limits, clock) = limits(few());
        for n in 0..6 {
            let elsewhere = format!("{n}.example");
            assert_eq!(wait(&limits, from(n), host(&elsewhere)), 0);
        }
        assert_eq!(wait(&limits, from(7), host("7.example")), 1);
        let url = "https://7.example/client";
        assert_eq!(wait(&limits, from(7), known(url)), 0, "this one is in use");
        clock.advance(Duration::from_secs(1));
        assert_eq!(wait(&limits, from(7), host("7.example")), 0);
    }

    /// CLI-17
    #[test]
    fn nonsense_at_a_host_does_not_lock_out_what_has_been_good_there() {
        let (limits, _clock) = limits(few());
        for n in 0..10 {
            wait(&limits, from(n), host("a.example"));
        }
        assert!(wait(&limits, from(20), host("a.example")) > 0);
        let url = "https://a.example/client";
        assert_eq!(wait(&limits, from(20), known(url)), 0);
        assert_eq!(wait(&limits, from(21), known(url)), 0);
        assert_eq!(wait(&limits, from(22), known(url)), 10, "limited itself");
    }

    #[test]
    fn so_many_fetches_are_under_way_at_a_time_and_strangers_do_not_take_all() {
        let (limits, _clock) = limits(few());
        let mut under_way: Vec<_> = (0..3)
            .map(|n| {
                limits
                    .admit(from(n), host(&format!("{n}.example")))
                    .unwrap()
            })
            .collect();
        let busy = BUSY.as_secs();
        assert_eq!(wait(&limits, from(4), host("4.example")), busy);
        let url = "https://4.example/client";
        under_way.push(limits.admit(from(4), known(url)).unwrap());
        assert_eq!(wait(&limits, from(4), known(url)), busy);
        under_way.clear();
        for _ in 0..3 {
            let last = wait(&limits, from(4), known("https://5.example/"));
            assert!(last == 0 || last == 10, "a refusal took no slot: {last}");
        }
        assert_eq!(wait(&limits, from(5), host("5.example")), 0);
    }

    /// CLI-17
    #[test]
    fn a_slow_host_holds_up_only_itself_whether_or_not_it_is_known() {
        let few = FetchRates {
            asker: rate(600, 600),
            ..few()
        };
        let (limits, _clock) = limits(few);
        let url = |n| format!("https://a.example/{n}");
        let admit = |n| limits.admit(from(1), known(&url(n)));
        let stranger = limits.admit(from(2), host("a.example.")).unwrap();
        let busy = BUSY.as_secs();
        assert_eq!(wait(&limits, from(4), host("a.example")), busy);
        let first = admit(0).unwrap();
        assert_eq!(wait(&limits, from(3), known(&url(2))), busy);
        assert_eq!(wait(&limits, from(5), host("b.example")), 0);
        drop(first);
        let second = admit(3).unwrap();
        assert_eq!(wait(&limits, from(6), known(&url(4))), busy);
        drop((stranger, second));
        assert!(limits.under_way.is_empty(), "nothing stays behind");
    }

    #[test]
    fn a_flood_of_askers_and_hosts_fills_no_memory() {
        let rates = FetchRates {
            strangers: rate(u32::MAX, u32::MAX),
            ..FetchRates::default()
        };
        let (limits, _clock) = limits(rates);
        for n in 0..200_000_u32 {
            let asker = IpAddr::V6((u128::from(n) << 64).into());
            // the answer does not matter here
            let _ = limits.admit(asker, host(&format!("{n}.example")));
        }
        let bound = usize::try_from(NUMBERS).unwrap();
        assert!(limits.asker.len() <= bound && limits.host.len() <= bound);
        let asker = IpAddr::V6(1_u128.into());
        let refused = (0..30).filter(|_| limits.admit(asker, host("x.example")).is_err());
        assert!(refused.count() >= 20, "limited in the flood too");
    }
}
