//! How often one address may come, and which address that is; and how many may register in all.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// What is limited, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Registrations.
    Register,
    /// Authorization requests.
    Authorize,
    /// Token requests.
    Token,
}

impl What {
    /// The word for it in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Authorize => "authorize",
            Self::Token => "token",
        }
    }
}

/// What is limited for all addresses together as well, since it is kept before anybody has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Registrations.
    Registrations,
    /// Pushed authorization requests.
    Pushed,
}

impl Shared {
    /// The word for it in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registrations => "register_all",
            Self::Pushed => "par_all",
        }
    }
}

/// So many in so long, and all of them at once if need be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long; not zero.
    pub per: Duration,
}

/// Too often: come again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// In how long; whole seconds, at least one (RFC 9110 §10.2.3).
    pub retry_after: Duration,
}

impl Limited {
    fn by(wait: Duration) -> Self {
        let started = u64::from(wait.subsec_nanos() > 0);
        Self {
            retry_after: Duration::from_secs((wait.as_secs() + started).max(1)),
        }
    }
}

/// The limits of all addresses. Time is governor's own, since it is never compared with a clock outside.
#[derive(Debug)]
pub struct RateLimits<C: Clock = MonotonicClock> {
    register: Limit<C>,
    register_all: Bucket<C>,
    pushed_all: Bucket<C>,
    crowd: Bucket<C>,
    authorize: Limit<C>,
    token: Limit<C>,
}

/// A limit of all addresses together.
type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl RateLimits {
    /// Nobody has come yet.
    #[must_use]
    pub fn new(register: Rate, register_all: Rate, authorize: Rate, token: Rate) -> Self {
        Self::with_clock([register, register_all, authorize, token], &MonotonicClock)
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    fn with_clock([register, register_all, authorize, token]: [Rate; 4], clock: &C) -> Self {
        let bucket = |rate| RateLimiter::direct_with_clock(quota(rate), clock.clone());
        Self {
            register: Limit::new(register, clock),
            register_all: bucket(register_all),
            pushed_all: bucket(PUSHED_ALL),
            crowd: bucket(CROWD),
            authorize: Limit::new(authorize, clock),
            token: Limit::new(token, clock),
        }
    }
}

impl<C: Clock> RateLimits<C> {
    /// Counts one more visit of `address`.
    ///
    /// # Errors
    /// [`Limited`] where it is one too many; it is not counted then.
    pub fn check(&self, what: What, address: IpAddr) -> Result<(), Limited> {
        match what {
            What::Register => self.register.check(address),
            What::Authorize => self.authorize.check(address),
            What::Token => self.token.check(address),
        }
    }

    /// Counts one more of what all addresses share, whoever it comes from. An address that has come too often itself has no
    /// part in it.
    ///
    /// # Errors
    /// [`Limited`] where it is one too many; it is not counted then.
    pub fn check_all(&self, what: Shared) -> Result<(), Limited> {
        let bucket = match what {
            Shared::Registrations => &self.register_all,
            Shared::Pushed => &self.pushed_all,
        };
        bucket
            .check()
            .map_err(|limited| Limited::by(limited.wait_time_from(bucket.clock().now())))
    }

    /// Counts one more registration, and says whether there are so many of late that those that nobody uses cannot be
    /// kept as long as usual.
    ///
    /// This bounds the rows of a flood. With the settings that hold where nothing is written, in round numbers: 1,200 a minute
    /// are let in, and those of the crowd are kept for an hour, 1,200 * 60; 1,000 an hour and 1,000 more at first are no crowd
    /// and are kept for a day, 1,000 * 25. That is 97,000 rows, and a row has at most 12 KiB, most half a KiB.
    pub fn is_crowded(&self) -> bool {
        self.crowd.check().is_err()
    }

    /// Forgets the addresses that have not come for so long that they are like new ones.
    pub fn prune(&self) {
        for limit in [&self.register, &self.authorize, &self.token] {
            limit.prune();
        }
    }
}

fn quota(rate: Rate) -> Quota {
    // Where the period is zero there is nothing to limit by; the configuration knows no such rate.
    Quota::with_period(rate.per / rate.count.get())
        .unwrap_or(Quota::per_second(NonZeroU32::MAX))
        .allow_burst(rate.count)
}

#[derive(Debug)]
struct Limit<C: Clock> {
    limiter: RateLimiter<Key, DashMapStateStore<Key>, C, NoOpMiddleware<C::Instant>>,
    hasher: RandomState,
    visits: AtomicU32,
    is_full: AtomicBool,
}

impl<C: Clock> Limit<C> {
    fn new(rate: Rate, clock: &C) -> Self
    where
        C: Clone,
    {
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota(rate), clock.clone()),
            hasher: RandomState::new(),
            visits: AtomicU32::new(0),
            is_full: AtomicBool::new(false),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), Limited> {
        let visits = self.visits.fetch_add(1, Ordering::Relaxed);
        if visits.is_multiple_of(VISITS_BETWEEN_LOOKS) && self.limiter.len() >= MAX_KEYS {
            self.prune();
        }
        self.limiter
            .check_key(&self.key(address))
            .map_err(|limited| Limited::by(limited.wait_time_from(self.limiter.clock().now())))
    }

    fn prune(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        let is_full = self.limiter.len() >= MAX_KEYS;
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// One key for each address; for IPv6, where everybody has 2^64 of them, one for each /64 network. While more
    /// addresses come than can be remembered, many share one: a flood shuts out few, and fills no memory.
    fn key(&self, address: IpAddr) -> Key {
        let key = match address.to_canonical() {
            IpAddr::V4(v4) => Key::V4(v4.to_bits()),
            IpAddr::V6(v6) => Key::V6((v6.to_bits() >> 64) as u64),
        };
        if self.is_full.load(Ordering::Relaxed) {
            Key::Shared(self.hasher.hash_one(key) % SHARED_KEYS)
        } else {
            key
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    V4(u32),
    V6(u64),
    Shared(u64),
}

/// About 10 MB in each limit.
const MAX_KEYS: usize = 100_000;
/// Keys in use while there is no room for more.
const SHARED_KEYS: u64 = 4096;
const VISITS_BETWEEN_LOOKS: u32 = 1024;
/// Of pushed requests, which live for a minute and a half and have at most 8 KiB each: 7,500 are kept at a time.
const PUSHED_ALL: Rate = Rate {
    count: NonZeroU32::MIN.saturating_add(2999),
    per: Duration::from_secs(60),
};
/// As many registrations as are no crowd.
const CROWD: Rate = Rate {
    count: NonZeroU32::MIN.saturating_add(999),
    per: Duration::from_secs(3600),
};

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn limits(clock: &FakeRelativeClock) -> RateLimits<FakeRelativeClock> {
        let rate = |count| Rate {
            count: NonZeroU32::new(count).unwrap(),
            per: Duration::from_secs(60),
        };
        RateLimits::with_clock([rate(6), rate(8), rate(2), rate(600)], clock)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_may_come_as_often_as_the_rate_says_and_again_later() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let come = || limits.check(What::Register, address("192.0.2.1"));
        for _ in 0..6 {
            assert_eq!(come(), Ok(()));
        }
        let seconds = |seconds| {
            Err(Limited {
                retry_after: Duration::from_secs(seconds),
            })
        };
        assert_eq!(come(), seconds(10));
        clock.advance(Duration::from_millis(8500));
        assert_eq!(
            come(),
            seconds(2),
            "rounded up, and a refusal is not counted"
        );
        clock.advance(Duration::from_millis(1499));
        assert_eq!(come(), seconds(1));
        clock.advance(Duration::from_millis(1));
        assert_eq!(come(), Ok(()));
        assert_eq!(come(), seconds(10));
        clock.advance(Duration::from_secs(3600));
        for _ in 0..6 {
            assert_eq!(come(), Ok(()));
        }
        assert!(come().is_err());
    }

    #[test]
    fn each_endpoint_and_each_network_has_its_own_limit() {
        let limits = limits(&FakeRelativeClock::default());
        let full = address("2001:db8:0:1::1");
        let come = |what, from| limits.check(what, from).is_ok();
        assert!(come(What::Authorize, full) && come(What::Authorize, full));
        for (from, free) in [
            ("2001:db8:0:1::1", false),
            ("2001:db8:0:1:ffff::2", false),
            ("2001:db8:0:2::1", true),
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.1", false),
            ("192.0.2.2", true),
        ] {
            assert_eq!(come(What::Authorize, address(from)), free, "{from}");
        }
        assert!(come(What::Token, full) && come(What::Register, full));
    }

    #[test]
    fn addresses_are_forgotten_when_they_are_like_new() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        for last in 0..100 {
            let from = Ipv4Addr::new(192, 0, 2, last).into();
            limits.check(What::Authorize, from).unwrap();
        }
        limits.prune();
        assert_eq!(limits.authorize.limiter.len(), 100);
        clock.advance(Duration::from_secs(61));
        limits.prune();
        assert_eq!(limits.authorize.limiter.len(), 0);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_still_limited() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let from = |n: u128| IpAddr::V6(Ipv6Addr::from_bits(n << 64));
        for n in 0..150_000 {
            // the answer does not matter here
            let _ = limits.check(What::Authorize, from(n));
        }
        let bound = MAX_KEYS + 2 * VISITS_BETWEEN_LOOKS as usize + 4096;
        assert!(limits.authorize.limiter.len() <= bound);
        let stranger = from(1 << 40);
        let answers: Vec<_> = (0..3)
            .map(|_| limits.check(What::Authorize, stranger))
            .collect();
        assert!(
            answers[2].is_err(),
            "a stranger is limited in the flood too"
        );
        clock.advance(Duration::from_secs(120));
        limits.prune();
        assert!(!limits.authorize.is_full.load(Ordering::Relaxed));
        assert!(limits.check(What::Authorize, stranger).is_ok());
    }

    /// CLI-43
    #[test]
    fn all_addresses_together_may_register_as_often_as_the_rate_says() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let free = (0..20)
            .filter(|_| limits.check_all(Shared::Registrations).is_ok())
            .count();
        assert_eq!(free, 8);
        let wait = limits
            .check_all(Shared::Registrations)
            .unwrap_err()
            .retry_after;
        assert_eq!(wait, Duration::from_secs(8), "60 / 8, rounded up");
        clock.advance(wait);
        assert_eq!(limits.check_all(Shared::Registrations), Ok(()));
        assert!(limits.check_all(Shared::Registrations).is_err());
    }

    /// CLI-44, SEC-07
    #[test]
    fn a_thousand_registrations_in_an_hour_are_no_crowd_and_more_are_one() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let calm = |times| (0..times).filter(|_| !limits.is_crowded()).count();
        assert_eq!(calm(1500), 1000);
        clock.advance(Duration::from_secs(360));
        assert_eq!(calm(1500), 100);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(calm(1500), 1000);
    }
}
