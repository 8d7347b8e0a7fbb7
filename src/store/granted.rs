//! Grants and the sessions that live by them: steps that change several rows together.

use super::engine::{Change, Engine, Expect};
use super::record::Table;
use super::rows::{Found, Look, Rows, anew, delete, new};
use super::{EndedSession, Result, SignedIn, StoreError};
use crate::clock::UnixTime;
use crate::protocol::grant::{Grant, GrantKey};
use crate::protocol::ids::Id;
use crate::protocol::session::{IssuedCode, Session};

/// Expired or not.
const WHENEVER: UnixTime = UnixTime(i64::MIN);

impl<E: Engine> Rows<E> {
    /// See [`Store::put_code`](super::Store::put_code).
    pub(super) async fn sign_in(
        &self,
        id: Id,
        signed_in: &SignedIn,
        now: UnixTime,
    ) -> Result<Look<bool>> {
        let SignedIn { code, session, .. } = signed_in;
        let (code_name, session_name) = (id.as_bytes(), session.id.as_bytes());
        let old_code = self.find::<IssuedCode>(Table::Codes, code_name, WHENEVER);
        let old_session = self.find::<Session>(Table::Sessions, session_name, WHENEVER);
        if old_code.await?.is_some() || old_session.await?.is_some() {
            // a mistake of ours: replacing what it names would bring back what has ended
            return Err(StoreError::new(
                "there is already a code or session of this identifier",
            ));
        }
        let found = self.grant(signed_in.grant.key(), WHENEVER).await?;
        let before = found.as_ref().filter(|found| now < found.expires);
        if before.map(|found| &found.record) != signed_in.grant_before.as_ref() {
            return Ok(Look::Settled(false));
        }
        let mut sessions = match before {
            Some(found) => self.living(&found.record.sessions, now).await?,
            None => Vec::new(),
        };
        sessions.push(session.id);
        let grant = Grant {
            sessions,
            ..signed_in.grant.clone()
        };
        let mut changes = vec![
            new(Table::Codes, code_name, code.expires, code)?,
            new(Table::Sessions, session_name, session.expires, session)?,
            put_grant(found, grant)?,
        ];
        if let Some((key, consent)) = &signed_in.consent {
            let name = key.as_bytes();
            changes.push(anew(Table::Consents, name, consent.expires, consent)?);
        }
        Ok(Look::Change(true, changes))
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
        let (session, gone) = found.take();
        let mut changes = vec![gone];
        let mut ended = EndedSession {
            session,
            grant: None,
        };
        let key = GrantKey::of(&ended.session.subject);
        if let Some(mut found) = self.grant(key, WHENEVER).await? {
            found.record.sessions.retain(|session| *session != id);
            found.record.sessions = self.living(&found.record.sessions, now).await?;
            if found.record.sessions.is_empty() {
                let (grant, gone) = found.take();
                ended.grant = Some(grant);
                changes.push(gone);
            } else {
                let until = found.expires;
                changes.push(found.put(Table::Grants, until)?);
            }
        }
        Ok(Look::Change(Some(ended), changes))
    }

    /// See [`Store::change_grant`](super::Store::change_grant).
    pub(super) async fn replace_grant(
        &self,
        before: &Grant,
        after: &Grant,
        now: UnixTime,
    ) -> Result<Look<bool>> {
        let Some(found) = self.grant(before.key(), now).await? else {
            return Ok(Look::Settled(false));
        };
        if found.record != *before {
            return Ok(Look::Settled(false));
        }
        let after = Grant {
            sessions: before.sessions.clone(),
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
        let Some(found) = found.filter(|found| found.record == *before) else {
            return Ok(Look::Settled(None));
        };
        let (grant, gone) = found.take();
        let sessions = grant.sessions.iter();
        let mut changes: Vec<Change> = sessions
            .map(|id| delete(Table::Sessions, id.as_bytes(), Expect::Whatever))
            .collect();
        changes.push(gone);
        Ok(Look::Change(Some(grant.sessions), changes))
    }

    async fn grant(&self, key: GrantKey, now: UnixTime) -> Result<Option<Found<Grant>>> {
        self.find(Table::Grants, key.as_bytes(), now).await
    }

    /// Those of `sessions` that are still there.
    async fn living(&self, sessions: &[Id], now: UnixTime) -> Result<Vec<Id>> {
        let mut living = Vec::with_capacity(sessions.len() + 1);
        for id in sessions {
            let session = self.find::<Session>(Table::Sessions, id.as_bytes(), now);
            if session.await?.is_some() {
                living.push(*id);
            }
        }
        Ok(living)
    }
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
