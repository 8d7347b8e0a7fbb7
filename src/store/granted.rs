//! Grants and the sessions that live by them: steps that change several rows together.
//!
//! Whoever puts or ends a session changes the row of the person's grant in the same commit, so that of two who come at
//! once one conflicts, and looks again. A session that has expired loses its row in the commit that takes it off the
//! list: nobody who looked before that brings it back to a life that no list tells of.

use super::engine::{Change, Engine, Expect};
use super::record::Table;
use super::rows::{Found, Look, Rows, anew, delete, new};
use super::{EndedSession, MAX_SESSIONS, Result, SignedIn, StoreError};
use crate::clock::UnixTime;
use crate::protocol::grant::{Grant, GrantKey};
use crate::protocol::ids::Id;
use crate::protocol::session::Session;

/// Expired or not.
const WHENEVER: UnixTime = UnixTime(i64::MIN);

impl<E: Engine> Rows<E> {
    /// See [`Store::put_code`](super::Store::put_code).
    pub(super) async fn sign_in(
        &self,
        id: Id,
        signed_in: &SignedIn,
        now: UnixTime,
    ) -> Result<Look<Option<Vec<Id>>>> {
        let SignedIn { code, session, .. } = signed_in;
        for (table, name) in [(Table::Codes, id), (Table::Sessions, session.id)] {
            // looking again would not help: it is a mistake of ours
            if self.row(table, name.as_bytes()).await?.is_some() {
                return Err(StoreError::new(
                    "there is already a code or session of this identifier",
                ));
            }
        }
        let found = self.grant(signed_in.grant.key(), WHENEVER).await?;
        let before = found.as_ref().filter(|found| now < found.expires);
        let is_as_seen = match (before, &signed_in.grant_before) {
            (Some(found), Some(seen)) => is_as_seen(&found.record, seen),
            (None, None) => true,
            _ => false,
        };
        if !is_as_seen {
            return Ok(Look::Settled(None));
        }
        let mut grant = signed_in.grant.clone();
        grant.expires = before.map_or(grant.expires, |before| before.expires.max(grant.expires));
        let mut changes = vec![
            new(Table::Codes, id.as_bytes(), code.expires, code)?,
            new(
                Table::Sessions,
                session.id.as_bytes(),
                session.expires,
                session,
            )?,
        ];
        if let Some((key, consent)) = &signed_in.consent {
            let name = key.as_bytes();
            changes.push(anew(Table::Consents, name, consent.expires, consent)?);
        }
        // those of a grant that has expired have expired, too
        let listed = found.as_ref().map(|found| &found.record.sessions[..]);
        let listed = listed.unwrap_or_default();
        grant.sessions = self.living(listed, now, &mut changes).await?;
        grant.sessions.push(session.id);
        let too_many = grant.sessions.len().saturating_sub(MAX_SESSIONS);
        let ended: Vec<_> = grant.sessions.drain(..too_many).collect();
        changes.extend(end_each(&ended));
        changes.push(put_grant(found, grant)?);
        Ok(Look::Change(Some(ended), changes))
    }

    /// See [`Store::end_session`](super::Store::end_session).
    pub(super) async fn end_one(
        &self,
        id: Id,
        now: UnixTime,
    ) -> Result<Look<Option<EndedSession>>> {
        let found = self.find::<Session>(Table::Sessions, id.as_bytes(), WHENEVER);
        let Some(found) = found.await? else {
            return Ok(Look::Settled(None));
        };
        let has_expired = found.expires <= now;
        let (session, gone) = found.take();
        let mut changes = vec![gone];
        if has_expired {
            return Ok(Look::Change(None, changes));
        }
        let mut last = None;
        // a session ends whatever has become of its grant
        let key = GrantKey::of(&session.subject);
        let grant = self.find_readable::<Grant>(Table::Grants, key.as_bytes(), now);
        if let Some(mut found) = grant.await? {
            let mut listed = std::mem::take(&mut found.record.sessions);
            listed.retain(|other| *other != id);
            found.record.sessions = self.living(&listed, now, &mut changes).await?;
            if found.record.sessions.is_empty() {
                let (grant, gone) = found.take();
                last = Some(grant);
                changes.push(gone);
            } else {
                let until = found.expires;
                changes.push(found.put(Table::Grants, until)?);
            }
        }
        let ended = EndedSession {
            session,
            grant: last,
        };
        Ok(Look::Change(Some(ended), changes))
    }

    /// See [`Store::change_grant`](super::Store::change_grant).
    pub(super) async fn replace_grant(
        &self,
        before: &Grant,
        after: &Grant,
        now: UnixTime,
    ) -> Result<Look<bool>> {
        let found = self.grant(before.key(), now).await?;
        let Some(found) = found.filter(|found| is_as_seen(&found.record, before)) else {
            return Ok(Look::Settled(false));
        };
        let after = Grant {
            sessions: found.record.sessions.clone(),
            ..after.clone()
        };
        Ok(Look::Change(true, vec![put_grant(Some(found), after)?]))
    }

    /// See [`Store::end_grant`](super::Store::end_grant).
    pub(super) async fn end_all(
        &self,
        before: &Grant,
        now: UnixTime,
    ) -> Result<Look<Option<Vec<Id>>>> {
        let found = self.grant(before.key(), now).await?;
        let Some(found) = found.filter(|found| is_as_seen(&found.record, before)) else {
            return Ok(Look::Settled(None));
        };
        let (grant, gone) = found.take();
        let mut changes = vec![gone];
        let ended = self.living(&grant.sessions, now, &mut changes).await?;
        changes.extend(end_each(&ended));
        Ok(Look::Change(Some(ended), changes))
    }

    async fn grant(&self, key: GrantKey, now: UnixTime) -> Result<Option<Found<Grant>>> {
        self.find(Table::Grants, key.as_bytes(), now).await
    }

    /// Those of `listed` that are still there. What takes away the rows of those that have expired joins `changes`.
    async fn living(
        &self,
        listed: &[Id],
        now: UnixTime,
        changes: &mut Vec<Change>,
    ) -> Result<Vec<Id>> {
        let mut living = Vec::with_capacity(listed.len() + 1);
        for id in listed {
            match self.row(Table::Sessions, id.as_bytes()).await? {
                Some(row) if now < row.expires => living.push(*id),
                Some(row) => changes.push(row.take().1),
                None => {}
            }
        }
        Ok(living)
    }
}

/// Whether a grant is what somebody saw. Its list of sessions is the store's own, and does not count.
fn is_as_seen(found: &Grant, seen: &Grant) -> bool {
    let seen = Grant {
        sessions: found.sessions.clone(),
        ..seen.clone()
    };
    *found == seen
}

/// The end of these sessions, be they used meanwhile or not.
fn end_each(sessions: &[Id]) -> impl Iterator<Item = Change> {
    sessions
        .iter()
        .map(|id| delete(Table::Sessions, id.as_bytes(), Expect::Whatever))
}

/// `grant` in the place of what was found.
fn put_grant(found: Option<Found<Grant>>, grant: Grant) -> Result<Change> {
    let until = grant.expires;
    match found {
        Some(mut found) => {
            found.record = grant;
            found.put(Table::Grants, until)
        }
        None => new(Table::Grants, grant.key().as_bytes(), until, &grant),
    }
}
