//! The verbs, written once for every engine: look, decide, commit if nobody else did; else look again.

use std::future::Future;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::engine::{Change, Commit, Engine, Expect, FOREVER, Write};
use super::record::{Table, decode, encode};
use super::{BrowserRecord, Opening, Result, Rotation, Store, StoreError, Turn};
use crate::clock::UnixTime;
use crate::protocol::client::Client;
use crate::protocol::client_metadata::ClientDocument;
use crate::protocol::consent::{Consent, ConsentKey};
use crate::protocol::ids::{ClientId, Id};
use crate::protocol::session::{
    IssuedCode, PendingSignIn, PushedRequest, RefreshState, Rotated, Session,
};
use crate::seal::Sealed;
use crate::secret::SecretDigest;

/// A [`Store`] over any [`Engine`].
#[derive(Default)]
pub struct KeyedStore<E> {
    engine: E,
    /// Whoever was overtaken once looks again in turn.
    second_look: Mutex<()>,
}

/// What one look at the rows led to.
enum Look<T> {
    /// The answer, and nothing to change.
    Settled(T),
    /// The answer, if these changes go through.
    Change(T, Vec<Change>),
}

/// A record, and the row that it was read from.
struct Found<T> {
    key: Vec<u8>,
    version: u64,
    expires: UnixTime,
    record: T,
}

impl<T: Serialize> Found<T> {
    /// The change to `record`, if nobody changes the row before.
    fn put(self, table: Table, expires: UnixTime) -> Result<Change> {
        Ok(Change {
            expect: Expect::Version(self.version),
            write: put(table, expires, &self.record)?,
            key: self.key,
        })
    }
}

impl<E: Engine> KeyedStore<E> {
    /// How often a verb looks at the rows before it gives up. Every look but the last saw somebody else succeed, and
    /// what these verbs change goes one way only (unspent, spent; there, gone), so two or three are the rule.
    const LOOKS: usize = 256;

    /// The verbs over `engine`.
    pub fn over(engine: E) -> Self {
        Self {
            engine,
            second_look: Mutex::new(()),
        }
    }

    async fn find<T: DeserializeOwned>(
        &self,
        table: Table,
        name: &[u8],
        now: UnixTime,
    ) -> Result<Option<Found<T>>> {
        let key = table.key(name);
        let Some(row) = self.engine.get(&key, now).await? else {
            return Ok(None);
        };
        Ok(Some(Found {
            record: decode(table, &row.payload)?,
            key,
            version: row.version,
            expires: row.expires,
        }))
    }

    async fn record<T: DeserializeOwned>(
        &self,
        table: Table,
        name: &[u8],
        now: UnixTime,
    ) -> Result<Option<T>> {
        let found = self.find(table, name, now).await?;
        Ok(found.map(|found| found.record))
    }

    async fn commits(&self, changes: Vec<Change>) -> Result<bool> {
        Ok(self.engine.commit(changes).await? == Commit::Committed)
    }

    /// Keeps rows that must be new. An identifier that comes twice is a mistake of ours, and replacing what it names
    /// would bring back what has ended.
    async fn create(&self, changes: Vec<Change>, what: &str) -> Result<()> {
        if self.commits(changes).await? {
            Ok(())
        } else {
            Err(StoreError::new(format!(
                "there is already {what} of this identifier"
            )))
        }
    }

    /// Looks and commits until the answer holds.
    async fn settle<T, L>(&self, look: impl Fn() -> L + Send + Sync) -> Result<T>
    where
        T: Send,
        L: Future<Output = Result<Look<T>>> + Send,
    {
        let mut turn = None;
        for _ in 0..Self::LOOKS {
            let (answer, changes) = match look().await? {
                Look::Settled(answer) => return Ok(answer),
                Look::Change(answer, changes) => (answer, changes),
            };
            if self.commits(changes).await? {
                return Ok(answer);
            }
            if turn.is_none() {
                // First come, first served: only somebody at the first look can overtake the one whose turn it is.
                turn = Some(self.second_look.lock().await);
            }
        }
        Err(StoreError::new("too many callers change the same row"))
    }

    async fn spend(
        &self,
        id: Id,
        opening: &Opening,
        now: UnixTime,
    ) -> Result<Look<Option<Session>>> {
        let code = self.find::<IssuedCode>(Table::Codes, id.as_bytes(), now);
        let Some(mut code) = code.await?.filter(|code| !code.record.spent) else {
            return Ok(Look::Settled(None));
        };
        let of = code.record.session;
        let session = self.find::<Session>(Table::Sessions, of.as_bytes(), now);
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
        let found = self.find::<Session>(Table::Sessions, id.as_bytes(), now);
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

fn put<T: Serialize>(table: Table, expires: UnixTime, record: &T) -> Result<Write> {
    Ok(Write::Put {
        expires,
        payload: encode(table, record)?,
    })
}

fn new<T: Serialize>(table: Table, name: &[u8], expires: UnixTime, record: &T) -> Result<Change> {
    Ok(Change {
        key: table.key(name),
        expect: Expect::Absent,
        write: put(table, expires, record)?,
    })
}

fn anew<T: Serialize>(table: Table, name: &[u8], expires: UnixTime, record: &T) -> Result<Change> {
    Ok(Change {
        expect: Expect::Whatever,
        ..new(table, name, expires, record)?
    })
}

fn delete(table: Table, name: &[u8], expect: Expect) -> Change {
    Change {
        key: table.key(name),
        expect,
        write: Write::Delete,
    }
}

#[async_trait]
impl<E: Engine> Store for KeyedStore<E> {
    async fn put_client(&self, client: Client, expires: UnixTime) -> Result<()> {
        let name = client.id.as_str().as_bytes();
        let change = new(Table::Clients, name, expires, &client)?;
        self.create(vec![change], "a client").await
    }

    async fn find_client(
        &self,
        id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<(Client, UnixTime)>> {
        let found = self.find(Table::Clients, id.as_str().as_bytes(), now);
        Ok(found.await?.map(|found| (found.record, found.expires)))
    }

    async fn keep_client(&self, id: &ClientId, until: UnixTime, now: UnixTime) -> Result<()> {
        self.settle(async || {
            let found = self.find::<Client>(Table::Clients, id.as_str().as_bytes(), now);
            Ok(match found.await? {
                Some(found) if found.expires < until => {
                    Look::Change((), vec![found.put(Table::Clients, until)?])
                }
                _ => Look::Settled(()),
            })
        })
        .await
    }

    async fn change_client(&self, client: Client, now: UnixTime) -> Result<bool> {
        self.settle(async || {
            let name = client.id.as_str().as_bytes();
            let Some(mut found) = self.find::<Client>(Table::Clients, name, now).await? else {
                return Ok(Look::Settled(false));
            };
            found.record.clone_from(&client);
            let until = found.expires;
            Ok(Look::Change(true, vec![found.put(Table::Clients, until)?]))
        })
        .await
    }

    async fn forget_client(&self, id: &ClientId) -> Result<bool> {
        let change = delete(Table::Clients, id.as_str().as_bytes(), Expect::Present);
        self.commits(vec![change]).await
    }

    async fn put_document(&self, document: ClientDocument, expires: UnixTime) -> Result<()> {
        let name = document.client.id.as_str().as_bytes();
        let change = anew(Table::Documents, name, expires, &document)?;
        self.commits(vec![change]).await.map(drop)
    }

    async fn find_document(
        &self,
        id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<(ClientDocument, UnixTime)>> {
        let found = self.find(Table::Documents, id.as_str().as_bytes(), now);
        Ok(found.await?.map(|found| (found.record, found.expires)))
    }

    async fn spend_assertion(
        &self,
        key: SecretDigest,
        expires: UnixTime,
        now: UnixTime,
    ) -> Result<bool> {
        self.settle(async || {
            let name = key.as_bytes();
            // one that has expired, and was not swept yet, is no longer in the way
            let found = self.find::<()>(Table::Assertions, name, UnixTime(i64::MIN));
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
        self.create(vec![change], "a pushed request").await
    }

    async fn claim_pushed(
        &self,
        id: Id,
        browser: SecretDigest,
        now: UnixTime,
    ) -> Result<Option<PushedRequest>> {
        self.settle(async || {
            let found = self.find::<PushedRequest>(Table::Pushed, id.as_bytes(), now);
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
        self.record(Table::Consents, key.as_bytes(), now).await
    }

    async fn forget_consent(&self, key: ConsentKey) -> Result<()> {
        let change = delete(Table::Consents, key.as_bytes(), Expect::Whatever);
        self.commits(vec![change]).await.map(drop)
    }

    async fn put_pending(&self, id: Id, pending: PendingSignIn) -> Result<()> {
        let change = new(Table::Pending, id.as_bytes(), pending.expires, &pending)?;
        self.create(vec![change], "a pending sign-in").await
    }

    async fn find_pending(&self, id: Id, now: UnixTime) -> Result<Option<PendingSignIn>> {
        self.record(Table::Pending, id.as_bytes(), now).await
    }

    async fn take_pending(&self, id: Id, now: UnixTime) -> Result<Option<PendingSignIn>> {
        self.settle(async || {
            let found = self.find::<PendingSignIn>(Table::Pending, id.as_bytes(), now);
            Ok(match found.await? {
                Some(found) => {
                    let as_found = Expect::Version(found.version);
                    let change = delete(Table::Pending, id.as_bytes(), as_found);
                    Look::Change(Some(found.record), vec![change])
                }
                None => Look::Settled(None),
            })
        })
        .await
    }

    async fn put_code(
        &self,
        id: Id,
        code: IssuedCode,
        session: Session,
        consent: Option<(ConsentKey, Consent)>,
    ) -> Result<()> {
        let of = session.id;
        let mut changes = vec![
            new(Table::Codes, id.as_bytes(), code.expires, &code)?,
            new(Table::Sessions, of.as_bytes(), session.expires, &session)?,
        ];
        if let Some((key, consent)) = consent {
            let name = key.as_bytes();
            changes.push(anew(Table::Consents, name, consent.expires, &consent)?);
        }
        self.create(changes, "a code or session").await
    }

    async fn find_code(&self, id: Id, now: UnixTime) -> Result<Option<IssuedCode>> {
        self.record(Table::Codes, id.as_bytes(), now).await
    }

    async fn spend_code(&self, id: Id, opening: Opening, now: UnixTime) -> Result<Option<Session>> {
        self.settle(|| self.spend(id, &opening, now)).await
    }

    async fn find_session(&self, id: Id, now: UnixTime) -> Result<Option<Session>> {
        self.record(Table::Sessions, id.as_bytes(), now).await
    }

    async fn rotate_refresh(&self, id: Id, turn: Turn, now: UnixTime) -> Result<Option<Rotation>> {
        self.settle(|| self.rotate(id, &turn, now)).await
    }

    async fn end_session(&self, id: Id) -> Result<bool> {
        let change = delete(Table::Sessions, id.as_bytes(), Expect::Present);
        self.commits(vec![change]).await
    }

    async fn find_key(&self, name: &str) -> Result<Option<Sealed>> {
        // Keys do not expire: any moment will do.
        self.record(Table::SigningKeys, name.as_bytes(), UnixTime(0))
            .await
    }

    async fn put_key_if_absent(&self, name: &str, key: Sealed) -> Result<Sealed> {
        self.settle(async || {
            if let Some(kept) = self.find_key(name).await? {
                return Ok(Look::Settled(kept));
            }
            let change = new(Table::SigningKeys, name.as_bytes(), FOREVER, &key)?;
            Ok(Look::Change(key.clone(), vec![change]))
        })
        .await
    }

    async fn put_browser_session(&self, key: SecretDigest, record: BrowserRecord) -> Result<bool> {
        let name = key.as_bytes();
        let change = new(Table::BrowserSessions, name, record.expires, &record)?;
        self.commits(vec![change]).await
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
        self.commits(vec![change]).await
    }

    async fn find_browser_session(
        &self,
        key: SecretDigest,
        now: UnixTime,
    ) -> Result<Option<BrowserRecord>> {
        self.record(Table::BrowserSessions, key.as_bytes(), now)
            .await
    }

    async fn forget_browser_session(&self, key: SecretDigest) -> Result<()> {
        let change = delete(Table::BrowserSessions, key.as_bytes(), Expect::Whatever);
        self.commits(vec![change]).await.map(drop)
    }

    async fn sweep(&self, now: UnixTime, max: usize) -> Result<usize> {
        self.engine.sweep(now, max).await
    }
}
