//! The verbs, written once for every engine: look, decide, commit if nobody else did; else look again.

use async_trait::async_trait;

use super::engine::{Change, Engine, Expect, FOREVER};
use super::record::Table;
use super::rows::{Look, Rows, anew, delete, new, put};
use super::{
    BrowserRecord, ClientChange, EndedSession, Opening, Result, Rotation, SignedIn, Store, Turn,
};
use crate::clock::UnixTime;
use crate::protocol::client::Client;
use crate::protocol::client_metadata::ClientDocument;
use crate::protocol::consent::{Consent, ConsentKey};
use crate::protocol::grant::{Grant, GrantKey};
use crate::protocol::ids::{ClientId, Id, Subject};
use crate::protocol::session::{
    IssuedCode, PendingSignIn, PushedRequest, RefreshState, Rotated, Session,
};
use crate::seal::Sealed;
use crate::secret::SecretDigest;

/// A [`Store`] over any [`Engine`].
#[derive(Default)]
pub struct KeyedStore<E>(Rows<E>);

impl<E: Engine> KeyedStore<E> {
    /// The verbs over `engine`.
    pub fn over(engine: E) -> Self {
        Self(Rows::of(engine))
    }

    async fn spend(
        &self,
        id: Id,
        opening: &Opening,
        now: UnixTime,
    ) -> Result<Look<Option<Session>>> {
        let code = self.0.find::<IssuedCode>(Table::Codes, id.as_bytes(), now);
        let Some(mut code) = code.await?.filter(|code| !code.record.spent) else {
            return Ok(Look::Settled(None));
        };
        let of = code.record.session;
        let session = self.0.find::<Session>(Table::Sessions, of.as_bytes(), now);
        let Some(mut session) = session.await? else {
            return Ok(Look::Settled(None));
        };
        code.record.spent = true;
        session.record.refresh.clone_from(&opening.refresh);
        session.record.expires = opening.expires;
        session.record.used = now;
        let answer = session.record.clone();
        let until = code.expires;
        let changes = vec![
            code.put(Table::Codes, until)?,
            session.put(Table::Sessions, opening.expires)?,
        ];
        Ok(Look::Change(Some(answer), changes))
    }

    async fn rotate(&self, id: Id, turn: &Turn, now: UnixTime) -> Result<Look<Option<Rotation>>> {
        let found = self.0.find::<Session>(Table::Sessions, id.as_bytes(), now);
        let Some(mut found) = found.await? else {
            return Ok(Look::Settled(None));
        };
        match &mut found.record.refresh {
            Some(refresh) if refresh.current == turn.from => {
                *refresh = RefreshState {
                    current: turn.to,
                    previous: Some(Rotated {
                        digest: turn.from,
                        at: now,
                        successor: turn.successor.clone(),
                    }),
                };
            }
            _ => {
                return Ok(Look::Settled(Some(Rotation {
                    session: found.record,
                    won: false,
                })));
            }
        }
        found.record.expires = turn.expires;
        found.record.used = now;
        let rotation = Rotation {
            session: found.record.clone(),
            won: true,
        };
        let change = found.put(Table::Sessions, turn.expires)?;
        Ok(Look::Change(Some(rotation), vec![change]))
    }
}

#[async_trait]
impl<E: Engine> Store for KeyedStore<E> {
    async fn put_client(&self, client: Client, expires: UnixTime) -> Result<()> {
        let name = client.id.as_str().as_bytes();
        let change = new(Table::Clients, name, expires, &client)?;
        self.0.create(vec![change], "a client").await
    }

    async fn find_client(
        &self,
        id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<(Client, UnixTime)>> {
        let found = self.0.find(Table::Clients, id.as_str().as_bytes(), now);
        Ok(found.await?.map(|found| (found.record, found.expires)))
    }

    async fn keep_client(&self, id: &ClientId, until: UnixTime, now: UnixTime) -> Result<()> {
        self.0
            .settle(async || {
                let found = self
                    .0
                    .find::<Client>(Table::Clients, id.as_str().as_bytes(), now);
                Ok(match found.await? {
                    Some(found) if found.expires < until => {
                        Look::Change((), vec![found.put(Table::Clients, until)?])
                    }
                    _ => Look::Settled(()),
                })
            })
            .await
    }

    async fn change_client(
        &self,
        before: &Client,
        after: Client,
        now: UnixTime,
    ) -> Result<ClientChange> {
        self.0
            .settle(async || {
                let name = before.id.as_str().as_bytes();
                let Some(mut found) = self.0.find::<Client>(Table::Clients, name, now).await?
                else {
                    return Ok(Look::Settled(ClientChange::Gone));
                };
                if found.record != *before {
                    return Ok(Look::Settled(ClientChange::Overtaken));
                }
                found.record.clone_from(&after);
                let until = found.expires;
                let change = found.put(Table::Clients, until)?;
                Ok(Look::Change(ClientChange::Done, vec![change]))
            })
            .await
    }

    async fn forget_client(&self, id: &ClientId) -> Result<bool> {
        let change = delete(Table::Clients, id.as_str().as_bytes(), Expect::Present);
        self.0.commits(vec![change]).await
    }

    async fn put_document(&self, document: ClientDocument, expires: UnixTime) -> Result<()> {
        let name = document.client.id.as_str().as_bytes();
        let change = anew(Table::Documents, name, expires, &document)?;
        self.0.commits(vec![change]).await.map(drop)
    }

    async fn find_document(
        &self,
        id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<(ClientDocument, UnixTime)>> {
        let found = self.0.find(Table::Documents, id.as_str().as_bytes(), now);
        Ok(found.await?.map(|found| (found.record, found.expires)))
    }

    async fn spend_assertion(
        &self,
        key: SecretDigest,
        expires: UnixTime,
        now: UnixTime,
    ) -> Result<bool> {
        self.0
            .settle(async || {
                let name = key.as_bytes();
                // one that has expired, and was not swept yet, is no longer in the way
                let found = self
                    .0
                    .find::<()>(Table::Assertions, name, UnixTime(i64::MIN));
                let change = match found.await? {
                    Some(found) if now < found.expires => return Ok(Look::Settled(false)),
                    Some(found) => found.put(Table::Assertions, expires)?,
                    None => new(Table::Assertions, name, expires, &())?,
                };
                Ok(Look::Change(true, vec![change]))
            })
            .await
    }

    async fn put_pushed(&self, id: Id, pushed: PushedRequest) -> Result<()> {
        let change = new(Table::Pushed, id.as_bytes(), pushed.expires, &pushed)?;
        self.0.create(vec![change], "a pushed request").await
    }

    async fn find_pushed(&self, id: Id, now: UnixTime) -> Result<Option<PushedRequest>> {
        self.0.record(Table::Pushed, id.as_bytes(), now).await
    }

    async fn claim_pushed(
        &self,
        id: Id,
        browser: SecretDigest,
        now: UnixTime,
    ) -> Result<Option<PushedRequest>> {
        self.0
            .settle(async || {
                let found = self
                    .0
                    .find::<PushedRequest>(Table::Pushed, id.as_bytes(), now);
                let Some(mut found) = found.await? else {
                    return Ok(Look::Settled(None));
                };
                if let Some(first) = found.record.browser {
                    return Ok(Look::Settled((first == browser).then_some(found.record)));
                }
                found.record.browser = Some(browser);
                let (answer, until) = (found.record.clone(), found.expires);
                let change = found.put(Table::Pushed, until)?;
                Ok(Look::Change(Some(answer), vec![change]))
            })
            .await
    }

    async fn find_consent(&self, key: ConsentKey, now: UnixTime) -> Result<Option<Consent>> {
        self.0.record(Table::Consents, key.as_bytes(), now).await
    }

    async fn forget_consent(&self, key: ConsentKey) -> Result<()> {
        let change = delete(Table::Consents, key.as_bytes(), Expect::Whatever);
        self.0.commits(vec![change]).await.map(drop)
    }

    async fn put_pending(&self, id: Id, pending: PendingSignIn) -> Result<()> {
        let change = new(Table::Pending, id.as_bytes(), pending.expires, &pending)?;
        self.0.create(vec![change], "a pending sign-in").await
    }

    async fn find_pending(&self, id: Id, now: UnixTime) -> Result<Option<PendingSignIn>> {
        self.0.record(Table::Pending, id.as_bytes(), now).await
    }

    async fn take_pending(&self, id: Id, now: UnixTime) -> Result<Option<PendingSignIn>> {
        self.0
            .settle(async || {
                let found = self
                    .0
                    .find::<PendingSignIn>(Table::Pending, id.as_bytes(), now);
                Ok(match found.await? {
                    Some(found) => {
                        let (pending, change) = found.take();
                        Look::Change(Some(pending), vec![change])
                    }
                    None => Look::Settled(None),
                })
            })
            .await
    }

    async fn put_code(
        &self,
        id: Id,
        signed_in: SignedIn,
        now: UnixTime,
    ) -> Result<Option<Vec<Id>>> {
        self.0.settle(|| self.0.sign_in(id, &signed_in, now)).await
    }

    async fn find_code(&self, id: Id, now: UnixTime) -> Result<Option<IssuedCode>> {
        self.0.record(Table::Codes, id.as_bytes(), now).await
    }

    async fn spend_code(&self, id: Id, opening: Opening, now: UnixTime) -> Result<Option<Session>> {
        self.0.settle(|| self.spend(id, &opening, now)).await
    }

    async fn find_session(&self, id: Id, now: UnixTime) -> Result<Option<Session>> {
        self.0.record(Table::Sessions, id.as_bytes(), now).await
    }

    async fn rotate_refresh(&self, id: Id, turn: Turn, now: UnixTime) -> Result<Option<Rotation>> {
        self.0.settle(|| self.rotate(id, &turn, now)).await
    }

    async fn end_session(&self, id: Id, now: UnixTime) -> Result<Option<EndedSession>> {
        self.0.settle(|| self.0.end_one(id, now)).await
    }

    async fn find_grant(&self, person: &Subject, now: UnixTime) -> Result<Option<Grant>> {
        let key = GrantKey::of(person);
        self.0.record(Table::Grants, key.as_bytes(), now).await
    }

    async fn change_grant(&self, before: &Grant, after: Grant, now: UnixTime) -> Result<bool> {
        self.0
            .settle(|| self.0.replace_grant(before, &after, now))
            .await
    }

    async fn end_grant(&self, before: &Grant, now: UnixTime) -> Result<Option<Vec<Id>>> {
        self.0.settle(|| self.0.end_all(before, now)).await
    }

    async fn list_sessions(
        &self,
        after: Option<Id>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<Session>> {
        let after = after.map(|id| id.as_bytes().to_vec());
        let listed = self.0.list(Table::Sessions, after.as_deref(), max, now);
        Ok(listed
            .await?
            .into_iter()
            .map(|(session, _)| session)
            .collect())
    }

    async fn list_clients(
        &self,
        after: Option<&ClientId>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<(Client, UnixTime)>> {
        let after = after.map(|id| id.as_str().as_bytes());
        self.0.list(Table::Clients, after, max, now).await
    }

    async fn list_documents(
        &self,
        after: Option<&ClientId>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<(ClientDocument, UnixTime)>> {
        let after = after.map(|id| id.as_str().as_bytes());
        self.0.list(Table::Documents, after, max, now).await
    }

    async fn forget_document(&self, id: &ClientId) -> Result<bool> {
        let change = delete(Table::Documents, id.as_str().as_bytes(), Expect::Present);
        self.0.commits(vec![change]).await
    }

    async fn list_grants(
        &self,
        after: Option<GrantKey>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<Grant>> {
        let after = after.map(|key| key.as_bytes().to_vec());
        let listed = self.0.list(Table::Grants, after.as_deref(), max, now);
        Ok(listed.await?.into_iter().map(|(grant, _)| grant).collect())
    }

    async fn find_key(&self, name: &str) -> Result<Option<Sealed>> {
        // Keys do not expire: any moment will do.
        self.0
            .record(Table::Keys, name.as_bytes(), UnixTime(0))
            .await
    }

    async fn put_key_if_absent(&self, name: &str, key: Sealed) -> Result<Sealed> {
        self.0
            .settle(async || {
                if let Some(kept) = self.find_key(name).await? {
                    return Ok(Look::Settled(kept));
                }
                let change = new(Table::Keys, name.as_bytes(), FOREVER, &key)?;
                Ok(Look::Change(key.clone(), vec![change]))
            })
            .await
    }

    async fn change_key(&self, name: &str, before: &Sealed, after: Sealed) -> Result<bool> {
        self.0
            .settle(async || {
                let found = self
                    .0
                    .find::<Sealed>(Table::Keys, name.as_bytes(), UnixTime(0));
                let Some(mut found) = found.await?.filter(|found| found.record == *before) else {
                    return Ok(Look::Settled(false));
                };
                found.record = after.clone();
                Ok(Look::Change(true, vec![found.put(Table::Keys, FOREVER)?]))
            })
            .await
    }

    async fn put_browser_session(&self, key: SecretDigest, record: BrowserRecord) -> Result<bool> {
        let name = key.as_bytes();
        let change = new(Table::BrowserSessions, name, record.expires, &record)?;
        self.0.commits(vec![change]).await
    }

    async fn save_browser_session(
        &self,
        key: SecretDigest,
        record: BrowserRecord,
        now: UnixTime,
    ) -> Result<bool> {
        let change = Change {
            key: Table::BrowserSessions.key(key.as_bytes()),
            expect: Expect::Alive(now),
            write: put(Table::BrowserSessions, record.expires, &record)?,
        };
        self.0.commits(vec![change]).await
    }

    async fn find_browser_session(
        &self,
        key: SecretDigest,
        now: UnixTime,
    ) -> Result<Option<BrowserRecord>> {
        self.0
            .record(Table::BrowserSessions, key.as_bytes(), now)
            .await
    }

    async fn forget_browser_session(&self, key: SecretDigest) -> Result<()> {
        let change = delete(Table::BrowserSessions, key.as_bytes(), Expect::Whatever);
        self.0.commits(vec![change]).await.map(drop)
    }

    async fn sweep(&self, now: UnixTime, max: usize) -> Result<usize> {
        self.0.sweep(now, max).await
    }
}
