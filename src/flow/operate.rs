//! What an operator sees and does: sessions and clients, a page at a time, and their end.

use crate::clock::UnixTime;
use crate::event::Event;
use crate::protocol::client::{Client, ClientSource};
use crate::protocol::consent::ConsentKey;
use crate::protocol::grant::Grant;
use crate::protocol::ids::{ClientId, Id, Subject};
use crate::protocol::session::Session;

use super::{Failure, Flows, StoreError};

/// Rows in one page: few enough that nobody waits for the store.
const PAGE: usize = 200;

/// Some of the sessions: those that everything given here is true of. With nothing given it is all of them.
#[derive(Clone, Debug, Default)]
pub struct SessionChoice {
    /// The session of this id.
    pub session: Option<Id>,
    /// Those of this person.
    pub person: Option<Subject>,
    /// Those of this client.
    pub client: Option<ClientId>,
}

impl SessionChoice {
    fn holds(&self, session: &Session) -> bool {
        self.session.is_none_or(|id| id == session.id)
            && self
                .person
                .as_ref()
                .is_none_or(|person| *person == session.subject)
            && self
                .client
                .as_ref()
                .is_none_or(|client| *client == session.client_id)
    }
}

/// Some of what there is, and where the rest begins.
#[derive(Debug)]
pub struct Page<T, K> {
    /// What is on this page; it may be nothing although there is more.
    pub found: Vec<T>,
    /// Behind what the next page begins; none: this is the last.
    pub next: Option<K>,
}

/// A client that is kept, and until when; none: it is named in the configuration.
#[derive(Debug)]
pub struct KeptClient {
    /// The client.
    pub client: Client,
    /// When it is forgotten unless somebody uses it.
    pub expires: Option<UnixTime>,
}

/// Where a list of clients stands: the configuration comes first, then those that registered, then those that describe
/// themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPlace {
    /// Among those that registered, behind this one.
    Registered(Option<ClientId>),
    /// Among those that describe themselves, behind this one.
    Documents(Option<ClientId>),
}

impl Flows {
    /// The sessions that `choice` is true of, a page at a time, oldest first; with each, the grant that it lives by.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn sessions(
        &self,
        choice: &SessionChoice,
        after: Option<Id>,
    ) -> Result<Page<(Session, Option<Grant>), Id>, StoreError> {
        let now = self.now();
        let (listed, next) = if let Some(id) = choice.session {
            let session = self.store.find_session(id, now).await?;
            (session.into_iter().collect(), None)
        } else {
            let listed = self.store.list_sessions(after, PAGE, now).await?;
            let next = next_behind(&listed, |session| session.id);
            (listed, next)
        };
        let mut found = Vec::new();
        for session in listed {
            if choice.holds(&session) {
                let grant = self.store.find_grant(&session.subject, now).await?;
                found.push((session, grant));
            }
        }
        Ok(Page { found, next })
    }

    /// Ends the sessions that `choice` is true of; says how many.
    ///
    /// # Errors
    /// Where the store fails; what was ended before stays ended.
    pub async fn revoke_sessions(&self, choice: &SessionChoice) -> Result<usize, Failure> {
        self.end_chosen(choice, Consents::Stay).await
    }

    async fn end_chosen(
        &self,
        choice: &SessionChoice,
        consents: Consents,
    ) -> Result<usize, Failure> {
        let (mut ended, mut after) = (0, None);
        loop {
            let page = self.sessions(choice, after).await?;
            for (session, _) in page.found {
                if consents == Consents::Go {
                    // first: with the session it would not be found again
                    let agreed = ConsentKey::of_session(&session);
                    self.store.forget_consent(agreed).await?;
                }
                self.end_session(session.id, "the operator revoked it")
                    .await?;
                ended += 1;
            }
            after = page.next;
            if after.is_none() {
                return Ok(ended);
            }
        }
    }

    /// Every client that is kept, a page at a time.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn clients(
        &self,
        from: Option<ClientPlace>,
    ) -> Result<Page<KeptClient, ClientPlace>, StoreError> {
        let now = self.now();
        match from {
            None => Ok(Page {
                found: self.admission.known.iter().map(known).collect(),
                next: Some(ClientPlace::Registered(None)),
            }),
            Some(ClientPlace::Registered(after)) => {
                let listed = self.store.list_clients(after.as_ref(), PAGE, now).await?;
                let next = next_behind(&listed, |(client, _)| client.id.clone());
                Ok(Page {
                    next: Some(match next {
                        Some(last) => ClientPlace::Registered(Some(last)),
                        None => ClientPlace::Documents(None),
                    }),
                    found: listed.into_iter().map(kept).collect(),
                })
            }
            Some(ClientPlace::Documents(after)) => {
                let listed = self.store.list_documents(after.as_ref(), PAGE, now).await?;
                let next = next_behind(&listed, |(document, _)| document.client.id.clone());
                let clients = listed
                    .into_iter()
                    .map(|(document, expires)| (document.client, expires));
                Ok(Page {
                    next: next.map(|last| ClientPlace::Documents(Some(last))),
                    found: clients.map(kept).collect(),
                })
            }
        }
    }

    /// One client, as it is kept.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn kept_client(&self, id: &ClientId) -> Result<Option<KeptClient>, StoreError> {
        if let Some(client) = self.admission.known.iter().find(|client| client.id == *id) {
            return Ok(Some(known(client)));
        }
        let now = self.now();
        if let Some(found) = self.store.find_client(id, now).await? {
            return Ok(Some(kept(found)));
        }
        let document = self.store.find_document(id, now).await?;
        Ok(document.map(|(document, expires)| kept((document.client, expires))))
    }

    /// Forgets a client and ends its sessions; says how many. One of the configuration stays, without sessions. One that
    /// describes itself may come again: those whose sessions end are asked about it anew. What somebody agreed to whose
    /// session ended before is remembered for its time.
    ///
    /// # Errors
    /// Where the store fails; what was done before stays done.
    pub async fn remove_client(&self, client: &KeptClient) -> Result<usize, Failure> {
        let id = &client.client.id;
        let removed = match client.client.source {
            ClientSource::Registered { .. } => self.store.forget_client(id).await?,
            ClientSource::Document => self.store.forget_document(id).await?,
            ClientSource::Known => false,
        };
        if removed {
            Event::ClientRemoved { client: id }.tell();
        }
        let choice = SessionChoice {
            client: Some(id.clone()),
            ..SessionChoice::default()
        };
        self.end_chosen(&choice, Consents::Go).await
    }
}

/// What becomes of that which was agreed to with a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consents {
    /// It stays: the next sign-in is a shorter one.
    Stay,
    /// It is forgotten.
    Go,
}

/// Behind what the next page begins, if this one is full.
fn next_behind<T, K>(listed: &[T], key: impl Fn(&T) -> K) -> Option<K> {
    listed.last().filter(|_| listed.len() == PAGE).map(key)
}

fn known(client: &Client) -> KeptClient {
    KeptClient {
        client: client.clone(),
        expires: None,
    }
}

fn kept((client, expires): (Client, UnixTime)) -> KeptClient {
    KeptClient {
        client,
        expires: Some(expires),
    }
}
