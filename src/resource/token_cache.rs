//! Tokens whose signature has been checked, so that each is checked once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use sha2::{Digest, Sha256};

use crate::clock::UnixTime;
use crate::protocol::principal::Principal;
use crate::protocol::scope::ScopeSet;

/// SHA-256 of a token: the token itself is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

impl TokenDigest {
    /// The digest of `token`.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// A verified token.
#[derive(Debug)]
pub struct SeenToken {
    /// Whom it speaks for, and what is open to them.
    pub principal: Arc<Principal>,
    /// What it was issued for. What of it is not open to the person now may be open to them again.
    pub scopes: ScopeSet,
    /// When it expires.
    pub expires: UnixTime,
    asked: AtomicI64,
}

impl SeenToken {
    /// A token that was verified, and its session found in force, at `now`.
    #[must_use]
    pub fn new(
        principal: Arc<Principal>,
        scopes: ScopeSet,
        expires: UnixTime,
        now: UnixTime,
    ) -> Self {
        Self {
            principal,
            scopes,
            expires,
            asked: AtomicI64::new(now.0),
        }
    }

    /// Whether its session need not be asked for at `now`: it was found in force less than `again` ago, and somebody vouches
    /// for the person still.
    #[must_use]
    pub fn is_settled(&self, again: Duration, now: UnixTime) -> bool {
        let asked = UnixTime(self.asked.load(Ordering::Relaxed));
        // a clock that went back: when that was is not known
        let is_recent = asked <= now && now - asked < again;
        is_recent && self.principal.standing.is_good_at(now)
    }

    /// Its session was found in force at `now`.
    pub fn confirm(&self, now: UnixTime) {
        self.asked.store(now.0, Ordering::Relaxed);
    }

    fn is_good(&self, now: UnixTime) -> bool {
        now < self.expires && !self.principal.standing.has_ended()
    }
}

/// The tokens seen before, for one resource; bounded.
#[derive(Debug)]
pub struct TokenCache {
    seen: DashMap<TokenDigest, Arc<SeenToken>>,
    limit: usize,
    sweeping: AtomicBool,
    /// When what is of no use any more was dropped last.
    swept: AtomicI64,
}

/// How long a token may be held that nobody can use any more.
const OF_NO_USE: Duration = Duration::from_secs(60);

impl TokenCache {
    /// A cache that holds `limit` tokens.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            seen: DashMap::new(),
            limit,
            sweeping: AtomicBool::new(false),
            swept: AtomicI64::new(0),
        }
    }

    /// The token, if it was seen before, has not expired, and its session has not ended.
    #[must_use]
    pub fn find(&self, digest: &TokenDigest, now: UnixTime) -> Option<Arc<SeenToken>> {
        let seen = Arc::clone(&*self.seen.get(digest)?);
        if seen.is_good(now) {
            return Some(seen);
        }
        self.forget(digest);
        None
    }

    /// Remembers a verified token.
    pub fn insert(&self, digest: TokenDigest, seen: Arc<SeenToken>, now: UnixTime) {
        let swept = UnixTime(self.swept.load(Ordering::Relaxed));
        if self.seen.len() >= self.limit || now < swept || now - swept >= OF_NO_USE {
            self.sweep(now);
        }
        self.seen.insert(digest, seen);
    }

    /// Forgets a token; the next use is verified again.
    pub fn forget(&self, digest: &TokenDigest) {
        self.seen.remove(digest);
    }

    /// Makes room: what is of no use any more, then any, down to seven eighths. So a sweep, long as it is, is paid for
    /// by many insertions.
    fn sweep(&self, now: UnixTime) {
        if self.sweeping.swap(true, Ordering::Acquire) {
            return;
        }
        self.swept.store(now.0, Ordering::Relaxed);
        self.seen.retain(|_, seen| seen.is_good(now));
        if self.seen.len() >= self.limit {
            let mut surplus = self.seen.len() - (self.limit - self.limit / 8);
            self.seen.retain(|_, _| {
                let stays = surplus == 0;
                surplus = surplus.saturating_sub(1);
                stays
            });
        }
        self.sweeping.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::Identity;
    use crate::protocol::ids::{ClientId, Id, Subject};
    use crate::protocol::principal::Standing;

    const NOW: UnixTime = UnixTime(1_000);

    fn seen(expires: i64) -> Arc<SeenToken> {
        let identity = Identity {
            subject: Subject::new("github:1"),
            login: None,
            name: None,
            verified_email: None,
        };
        let principal = Principal {
            standing: Arc::new(Standing::new(
                Id::new(NOW),
                ClientId::new("client"),
                identity,
            )),
            client_id: ClientId::new("c"),
            scopes: ScopeSet::default(),
        };
        let scopes = principal.scopes.clone();
        let seen = SeenToken::new(Arc::new(principal), scopes, UnixTime(expires), NOW);
        Arc::new(seen)
    }

    /// AT-13
    #[test]
    fn a_token_is_known_until_it_expires_or_its_session_ends() {
        let cache = TokenCache::new(10);
        let digest = TokenDigest::of(b"a.b.c");
        let token = seen(1_100);
        cache.insert(digest, Arc::clone(&token), NOW);
        assert!(cache.find(&digest, UnixTime(1_099)).is_some());
        assert!(cache.find(&TokenDigest::of(b"a.b.d"), NOW).is_none());
        assert!(cache.find(&digest, UnixTime(1_100)).is_none());
        cache.insert(digest, Arc::clone(&token), NOW);
        token.principal.standing.end();
        assert!(cache.find(&digest, NOW).is_none());
    }

    /// AT-13, CONS-14
    #[test]
    fn a_token_is_settled_for_a_while_and_no_longer_than_its_session_is_good() {
        let token = seen(9_000);
        let minute = Duration::from_secs(60);
        let settled = |at| token.is_settled(minute, UnixTime(at));
        assert!(settled(1_059) && !settled(1_060));
        token.principal.standing.extend(UnixTime(1_030));
        assert!(settled(1_029) && !settled(1_030));
        token.principal.standing.extend(UnixTime(2_000));
        assert!(settled(1_059) && !settled(1_060));
        token.confirm(UnixTime(1_060));
        assert!(settled(1_119) && !settled(1_120));
        assert!(!settled(1_059), "the clock went back");
    }

    #[test]
    fn the_cache_is_bounded_and_useless_tokens_go_first() {
        let cache = TokenCache::new(100);
        let digest = |number: i64| TokenDigest::of(&number.to_be_bytes());
        for number in 0..50 {
            cache.insert(digest(number), seen(1_001), NOW);
        }
        for number in 50..100 {
            cache.insert(digest(number), seen(9_000), NOW);
        }
        cache.insert(digest(100), seen(9_000), UnixTime(1_001));
        assert!((50..=100).all(|number| cache.find(&digest(number), UnixTime(1_001)).is_some()));
        for number in 101..10_000 {
            cache.insert(digest(number), seen(9_000), UnixTime(1_001));
            assert!(cache.seen.len() <= 100);
        }
        assert!(cache.find(&digest(9_999), UnixTime(1_001)).is_some());
    }

    #[test]
    fn a_token_of_no_use_is_not_held_for_long() {
        let cache = TokenCache::new(100);
        let digest = |number: i64| TokenDigest::of(&number.to_be_bytes());
        for number in 0..50 {
            cache.insert(digest(number), seen(1_001), NOW);
        }
        cache.insert(digest(50), seen(9_000), UnixTime(1_059));
        assert_eq!(cache.seen.len(), 51);
        cache.insert(digest(51), seen(9_000), UnixTime(1_060));
        assert_eq!(cache.seen.len(), 2);
    }
}
