//! What is told of a caller, written once and used again: signing costs more than all else that is done for a call.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use moka::sync::Cache;

use crate::clock::UnixTime;
use crate::jwt::keys::KeyError;
use crate::protocol::principal::Principal;

/// What was told of callers, by the place of the object that each is. What is kept holds that place: no other object can
/// come to stand there meanwhile.
#[derive(Clone)]
pub(super) struct Known(Cache<usize, Arc<Told>>);

/// What is told of one caller.
pub(super) struct Told {
    /// Whom it is about. Another object stands in its place once something about them changes; it is not kept alive here.
    pub(super) principal: Weak<Principal>,
    /// Not kept where it could not be signed.
    pub(super) headers: Result<Vec<(HeaderName, HeaderValue)>, KeyError>,
    /// When it was signed, where it is.
    pub(super) issued: Option<UnixTime>,
}

/// How long what is signed is used again: whoever gets it then has half of its life to look at it.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

/// How long anything is kept, by the clock of the machine, and only to free the memory.
const KEPT: Duration = Duration::from_secs(60);

/// Callers that are known at once, with about two kilobytes each.
const LIMIT: u64 = 10_000;

impl Default for Known {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(LIMIT)
                .time_to_live(KEPT)
                .build(),
        )
    }
}

impl Known {
    /// What is told of a caller `now`, where the time counts. Of many calls at once one writes it.
    pub(super) fn about(
        &self,
        principal: &Arc<Principal>,
        now: Option<UnixTime>,
        write: impl FnOnce() -> Told,
    ) -> Arc<Told> {
        let place = Arc::as_ptr(principal).addr();
        if let Some(told) = self.0.get(&place)
            && told.is_good(principal, now)
        {
            return told;
        }
        self.0
            .entry(place)
            .or_insert_with_if(|| Arc::new(write()), |told| !told.is_good(principal, now))
            .into_value()
    }
}

impl Told {
    /// Writes it into `headers`.
    ///
    /// # Errors
    /// It could not be signed.
    pub(super) fn put(&self, headers: &mut HeaderMap) -> Result<(), KeyError> {
        for (name, value) in self.headers.as_ref().map_err(|error| *error)? {
            headers.insert(name, value.clone());
        }
        Ok(())
    }

    /// Whether it says of this caller what would be said now, for long enough.
    fn is_good(&self, principal: &Arc<Principal>, now: Option<UnixTime>) -> bool {
        let is_young = match (self.issued, now) {
            // a clock that went back: how long it is good is not known
            (Some(issued), Some(now)) => issued <= now && now - issued <= AGAIN,
            (issued, now) => issued == now,
        };
        is_young && self.headers.is_ok() && self.principal.as_ptr() == Arc::as_ptr(principal)
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::protocol::identity::Identity;
    use crate::protocol::ids::{ClientId, Id, Subject};
    use crate::protocol::principal::Standing;
    use crate::protocol::scope::ScopeSet;

    const NOW: UnixTime = UnixTime(1_795_219_200);

    fn principal() -> Arc<Principal> {
        let identity = Identity {
            subject: Subject::new("github:1"),
            login: None,
            name: None,
            verified_email: None,
        };
        let client_id = ClientId::new("c");
        Arc::new(Principal {
            standing: Arc::new(Standing::new(Id::new(NOW), client_id.clone(), identity)),
            client_id,
            scopes: ScopeSet::default(),
        })
    }

    fn told(principal: &Arc<Principal>, issued: Option<UnixTime>) -> Told {
        Told {
            principal: Arc::downgrade(principal),
            headers: Ok(Vec::new()),
            issued,
        }
    }

    #[test]
    fn it_is_used_again_for_half_a_minute_and_for_nobody_else() {
        let known = Known::default();
        let mona = principal();
        let ask = |who: &Arc<Principal>, now: UnixTime| {
            known.about(who, Some(now), || told(who, Some(now)))
        };
        let first = ask(&mona, NOW);
        let again = |told: Arc<Told>| Arc::ptr_eq(&told, &first);
        assert!(again(ask(&mona, NOW)));
        assert!(again(ask(&mona, NOW + AGAIN)));
        // the same person, but another object: something has changed
        assert!(!again(ask(&Arc::new((*mona).clone()), NOW)));
        assert!(again(ask(&mona, NOW)));
        assert!(!again(ask(&mona, NOW + AGAIN + Duration::from_secs(1))));
        let later = ask(&mona, NOW);
        assert_eq!(later.issued, Some(NOW), "the clock went back");
    }

    #[test]
    fn what_could_not_be_signed_is_tried_again() {
        let known = Known::default();
        let mona = principal();
        let failed = known.about(&mona, Some(NOW), || Told {
            headers: Err(KeyError::Sign),
            ..told(&mona, Some(NOW))
        });
        let mut headers = HeaderMap::new();
        assert_eq!(failed.put(&mut headers), Err(KeyError::Sign));
        let tried = known.about(&mona, Some(NOW), || told(&mona, Some(NOW)));
        assert_eq!(tried.put(&mut headers), Ok(()));
    }

    #[test]
    fn of_many_calls_at_once_one_writes() {
        let known = Known::default();
        let mona = principal();
        let written = AtomicUsize::new(0);
        for now in [NOW, NOW + 2 * AGAIN] {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        known.about(&mona, Some(now), || {
                            written.fetch_add(1, Ordering::Relaxed);
                            // the others come in between
                            thread::yield_now();
                            told(&mona, Some(now))
                        })
                    });
                }
            });
        }
        assert_eq!(written.into_inner(), 2);
    }

    #[test]
    fn what_is_kept_keeps_no_session_alive() {
        let known = Known::default();
        let mona = principal();
        let standing = Arc::downgrade(&mona.standing);
        known.about(&mona, None, || told(&mona, None));
        drop(mona);
        assert_eq!(standing.strong_count(), 0);
    }
}
