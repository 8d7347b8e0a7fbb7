//! The sessions that somebody is using now, so that a session's end is seen at once by every request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use dashmap::DashMap;

use crate::clock::UnixTime;
use crate::protocol::allowance::never_allowed;
use crate::protocol::client_metadata::DocumentUrl;
use crate::protocol::grant::Grant;
use crate::protocol::ids::{ClientId, Id, Subject};
use crate::protocol::principal::Standing;
use crate::protocol::scope::ScopeSet;
use crate::protocol::session::Session;
use crate::store::StoreError;
use crate::upstream::UpstreamError;

use super::vouching::{Access, Status};
use super::{Failure, Flows};

/// One [`Standing`] for each session in use. Its size is that of the token cache which holds them: [`Self::prune`]
/// drops what nobody holds.
#[derive(Debug, Default)]
pub struct LiveSessions {
    places: DashMap<Id, Place>,
    /// How many sessions have ended since the start: tells a look-up that one ended while it was looking.
    endings: AtomicU64,
}

/// Where a session stands.
#[derive(Debug)]
struct Place {
    standing: Arc<Standing>,
    /// When the provider said what it goes by.
    checked: UnixTime,
    /// What its client may never be given, whoever the person is.
    beyond: ScopeSet,
    /// What stood here before something about the person changed: whoever still holds it is to see the end, too.
    before: Vec<Weak<Standing>>,
}

impl LiveSessions {
    /// The end of a session that is already gone from the store.
    pub fn end(&self, session: Id) {
        self.endings.fetch_add(1, Ordering::SeqCst);
        if let Some((_, place)) = self.places.remove(&session) {
            place.end();
        }
    }

    /// The end of all sessions of a client.
    pub fn end_of_client(&self, client: &ClientId) {
        self.endings.fetch_add(1, Ordering::SeqCst);
        self.places.retain(|_, place| {
            let stays = place.standing.client_id != *client;
            if !stays {
                place.end();
            }
            stays
        });
    }

    /// Drops what no request and no cached token holds.
    pub fn prune(&self) {
        self.places.retain(|_, place| {
            place.before.retain(|before| before.strong_count() > 0);
            Arc::strong_count(&place.standing) > 1 || !place.before.is_empty()
        });
    }

    /// What the provider said of a person, for all their sessions.
    pub(super) fn learn(&self, grant: &Grant, withheld: &ScopeSet, until: UnixTime) {
        for session in &grant.sessions {
            if let Some(mut place) = self.places.get_mut(session) {
                place.learn(grant, withheld, until);
            }
        }
    }
}

impl Place {
    fn end(&self) {
        self.standing.end();
        for before in self.before.iter().filter_map(Weak::upgrade) {
            before.end();
        }
    }

    /// The person may be called something else by now, or have other rights: then another object stands here, and whoever
    /// holds the one before has to ask for it.
    fn learn(&mut self, grant: &Grant, withheld: &ScopeSet, until: UnixTime) {
        self.checked = grant.checked;
        let old = &self.standing;
        let withheld = withheld.union(&self.beyond);
        if old.identity == grant.identity && old.withheld == withheld {
            return old.extend(until);
        }
        let (client, identity) = (old.client_id.clone(), grant.identity.clone());
        let mut new = Standing::new(old.session, client, identity);
        new.withheld = withheld;
        new.upstream.clone_from(&old.upstream);
        old.extend(UnixTime(i64::MIN));
        self.before.retain(|before| before.strong_count() > 0);
        self.before.push(Arc::downgrade(old));
        self.standing = Arc::new(new.good_until(until));
    }
}

/// A session in force.
pub(super) struct InForce {
    pub(super) session: Session,
    /// By what it lives.
    pub(super) grant: Arc<Grant>,
    /// Until when nobody needs to ask the provider.
    until: UnixTime,
}

impl Flows {
    /// The session, if it is in force; the same `Standing` for everybody.
    ///
    /// # Errors
    /// Where the store cannot be asked, or the provider could not be for too long.
    pub async fn standing(&self, session: Id) -> Result<Option<Arc<Standing>>, Failure> {
        loop {
            let endings = self.live.endings.load(Ordering::SeqCst);
            let Some(found) = self.in_force(session).await? else {
                self.live.end(session);
                return Ok(None);
            };
            let withheld = self.vouching.withheld(&found.grant);
            let beyond = self.beyond(&found.session.client_id);
            let place = self.live.places.entry(session);
            // a session that ended between the look and the entry would stay in force: then look again. Whoever ends
            // one while we hold its place has to wait, and finds what we put there
            if self.live.endings.load(Ordering::SeqCst) != endings {
                continue;
            }
            let mut place = place.or_insert_with(|| {
                let identity = found.grant.identity.clone();
                let client = found.session.client_id;
                let mut standing = Standing::new(session, client, identity);
                standing.withheld = withheld.union(&beyond);
                standing.upstream = Some(Access::to(&self.vouching));
                Place {
                    standing: Arc::new(standing),
                    checked: found.grant.checked,
                    beyond,
                    before: Vec::new(),
                }
            });
            // what was learnt since this look is not forgotten for it
            if place.checked <= found.grant.checked {
                place.learn(&found.grant, &withheld, found.until);
            }
            return Ok(Some(Arc::clone(&place.standing)));
        }
    }

    /// What a client may never be given of what there is: only those of the configuration have such a limit (CLI-62).
    pub(super) fn beyond(&self, id: &ClientId) -> ScopeSet {
        let mut known = self.admission.known.iter();
        match known.find(|known| known.id == *id) {
            Some(client) => never_allowed(&self.resources.scopes(), client),
            None => ScopeSet::default(),
        }
    }

    /// A session, if it is in force: it is there, its client is, and the provider vouches for the person.
    pub(super) async fn in_force(&self, id: Id) -> Result<Option<InForce>, Failure> {
        let Some(session) = self.store.find_session(id, self.now()).await? else {
            return Ok(None);
        };
        if self.is_gone(&session.client_id).await? {
            self.end_session(id, CLIENT_GONE).await?;
            return Ok(None);
        }
        let vouched = self.vouched(&session.subject).await?;
        Ok(vouched.map(|(grant, until)| InForce {
            session,
            grant,
            until,
        }))
    }

    /// What somebody gave us, as far as the provider vouches for them; and until when it does.
    pub(super) async fn vouched(
        &self,
        person: &Subject,
    ) -> Result<Option<(Arc<Grant>, UnixTime)>, Failure> {
        match self.vouching.status(person).await? {
            Status::Good(grant, until) => Ok(Some((grant, until))),
            Status::Ended => Ok(None),
            // told when it was asked
            Status::Unknown => {
                let why = "it cannot be asked whether it still vouches for the person".to_owned();
                Err(UpstreamError::Unavailable(why).into())
            }
        }
    }

    /// Whether there is no such client any more. One that describes itself is there: whether its document can be had does
    /// not count.
    pub(super) async fn is_gone(&self, id: &ClientId) -> Result<bool, StoreError> {
        let is_known = self.admission.known.iter().any(|known| known.id == *id);
        if is_known || !matches!(DocumentUrl::parse(id), Ok(None)) {
            return Ok(false);
        }
        let registered = self.store.find_client(id, self.now());
        Ok(registered.await?.is_none())
    }
}

/// Why a session ends with its client.
pub(super) const CLIENT_GONE: &str = "its client is gone";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::Identity;
    use crate::protocol::ids::ProviderId;
    use crate::seal::Sealed;

    const NOW: UnixTime = UnixTime(1_000);

    fn grant(login: &str, sessions: &[Id]) -> Grant {
        Grant {
            identity: Identity {
                subject: Subject::new("github:1"),
                login: Some(login.to_owned()),
                name: None,
                verified_email: None,
            },
            provider: ProviderId::new("github"),
            tokens: postcard::from_bytes::<Sealed>(&[0]).unwrap(),
            opens: ScopeSet::default(),
            rules: [0; 32],
            checked: NOW,
            sessions: sessions.to_vec(),
            expires: UnixTime(i64::MAX),
        }
    }

    fn with(live: &LiveSessions, client: &str) -> Arc<Standing> {
        let identity = grant("mona", &[]).identity;
        let standing = Standing::new(Id::new(NOW), ClientId::new(client), identity);
        let standing = Arc::new(standing.good_until(NOW));
        let place = Place {
            standing: Arc::clone(&standing),
            checked: NOW,
            beyond: ScopeSet::default(),
            before: Vec::new(),
        };
        live.places.insert(standing.session, place);
        standing
    }

    /// AT-13
    #[test]
    fn whoever_holds_what_stood_there_before_sees_the_end() {
        let live = LiveSessions::default();
        let first = with(&live, "c");
        let renamed = grant("lisa", &[first.session]);
        live.learn(&renamed, &ScopeSet::default(), UnixTime(2_000));
        let second = Arc::clone(&live.places.get(&first.session).unwrap().standing);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(!first.is_good_at(NOW), "it is asked for the new one");
        assert!(second.is_good_at(NOW));
        live.prune();
        live.end(first.session);
        assert!(first.has_ended() && second.has_ended());
    }

    #[test]
    fn what_has_not_changed_is_merely_good_for_longer() {
        let live = LiveSessions::default();
        let standing = with(&live, "c");
        let other = with(&live, "c");
        let same = grant("mona", &[standing.session]);
        live.learn(&same, &ScopeSet::default(), UnixTime(2_000));
        assert!(standing.is_good_at(UnixTime(1_999)) && !standing.is_good_at(UnixTime(2_000)));
        assert!(!other.is_good_at(NOW));
        let place = live.places.get(&standing.session).unwrap();
        assert!(Arc::ptr_eq(&place.standing, &standing));
    }

    /// CLI-62
    #[test]
    fn what_a_client_may_never_be_given_stays_withheld_whatever_the_provider_says() {
        let live = LiveSessions::default();
        let standing = with(&live, "c");
        let scopes = |text| ScopeSet::parse(text).unwrap();
        live.places.get_mut(&standing.session).unwrap().beyond = scopes("b");
        let grant = grant("mona", &[standing.session]);
        for (person, all) in [("a", "a b"), ("", "b")] {
            live.learn(&grant, &scopes(person), UnixTime(2_000));
            let place = live.places.get(&standing.session).unwrap();
            assert_eq!(place.standing.withheld, scopes(all));
        }
    }

    /// CLI-46, AT-13
    #[test]
    fn the_sessions_of_a_client_end_together() {
        let live = LiveSessions::default();
        let (one, two, other) = (with(&live, "a"), with(&live, "a"), with(&live, "b"));
        live.end_of_client(&ClientId::new("a"));
        assert!(one.has_ended() && two.has_ended() && !other.has_ended());
        assert_eq!(live.endings.load(Ordering::SeqCst), 1);
        drop(other);
        live.prune();
        assert!(live.places.is_empty());
    }
}
