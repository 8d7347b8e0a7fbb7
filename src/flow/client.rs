//! Where a client comes from: the configuration, the document at its `client_id`, or a registration.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::document::{DocumentError, Documents};
use crate::event::Event;
use crate::protocol::client::{Client, ClientSource};
use crate::protocol::client_metadata::{ClientDocument, DocumentUrl};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::ClientId;

use super::{Failure, Flows, IDLE_CLIENT};

/// A client that is known.
pub(super) struct KnownClient {
    /// The client.
    pub(super) client: Client,
    origin: Origin,
}

/// Where it is known from, and until when it is kept.
enum Origin {
    /// The configuration, which is not forgotten.
    Configuration,
    /// A registration.
    Registration(UnixTime),
    /// A document; none: it is only in memory, since nobody has signed in with it yet.
    Document(Arc<ClientDocument>, Option<UnixTime>),
}

/// How good a copy of a client's document has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    /// Fresh, for a new authorization: a person is asked about what the client is now. It is fetched for this asker.
    Fresh(IpAddr),
    /// As fresh as can be had, for what a person agreed to before: where it cannot be fetched, or breaks a rule now, the last
    /// good one will do (CLI-18). A key that its owner removes is out of use as soon as we can see it.
    LastGood(IpAddr),
    /// Whatever is here: nothing is fetched.
    Here,
}

impl Flows {
    /// The client of this identifier. One of the configuration comes first: its id may be a URL, and then nothing is
    /// fetched (CLI-23).
    pub(super) async fn find_client(
        &self,
        id: &ClientId,
        need: Need,
    ) -> Result<Option<KnownClient>, Failure> {
        let mut configured = self.admission.known.iter();
        if let Some(client) = configured.find(|known| known.id == *id) {
            return Ok(Some(KnownClient {
                client: client.clone(),
                origin: Origin::Configuration,
            }));
        }
        if let Some(url) = DocumentUrl::parse(id)? {
            return self.find_described(id, &url, need).await;
        }
        let found = self.find_registered(id).await?;
        Ok(found.map(|(client, until)| KnownClient {
            client,
            origin: Origin::Registration(until),
        }))
    }

    /// What a client calls itself, for a page about it.
    ///
    /// # Errors
    /// As where it is looked up for a request.
    pub async fn client_name(&self, id: &ClientId) -> Result<Option<String>, Failure> {
        Ok(self
            .find_client(id, Need::Here)
            .await?
            .and_then(|known| known.client.name))
    }

    /// The registration of this identifier, and when it is forgotten. What was registered with another issuer, before
    /// ours was changed, is unknown here (CLI-63).
    pub(super) async fn find_registered(
        &self,
        id: &ClientId,
    ) -> Result<Option<(Client, UnixTime)>, Failure> {
        let issuer = self.issuer.as_str();
        let found = self.store.find_client(id, self.now()).await?;
        Ok(found.filter(|(client, _)| match &client.source {
            ClientSource::Registered { issuer: with, .. } => with == issuer,
            _ => false,
        }))
    }

    /// The client that the document at `url` describes.
    async fn find_described(
        &self,
        id: &ClientId,
        url: &DocumentUrl,
        need: Need,
    ) -> Result<Option<KnownClient>, Failure> {
        let documents = self.admits(url)?;
        let (kept, until) = match self.store.find_document(id, self.now()).await? {
            Some((kept, until)) => (Some(kept), Some(until)),
            None => (None, None),
        };
        let known = |document: Arc<ClientDocument>| KnownClient {
            client: document.client.clone(),
            origin: Origin::Document(document, until),
        };
        let last_good =
            |kept: Option<ClientDocument>| documents.last_good(url).or(kept.map(Arc::new));
        let (Need::Fresh(asker) | Need::LastGood(asker)) = need else {
            return Ok(last_good(kept).map(known));
        };
        match documents.client(url, asker, kept.clone()).await {
            Ok(document) => {
                // so that it outlives a restart as it is now
                if let (Some(kept), Some(until)) = (kept, until)
                    && kept.client != document.client
                {
                    self.store.put_document((*document).clone(), until).await?;
                }
                Ok(Some(known(document)))
            }
            Err(cause) => {
                tell(id, &cause);
                match (need, last_good(kept)) {
                    (Need::LastGood(_), Some(document)) => Ok(Some(known(document))),
                    _ => Err(unavailable(url.host(), cause)),
                }
            }
        }
    }

    /// That clients of this host may come (CLI-23).
    fn admits(&self, url: &DocumentUrl) -> Result<&Documents, OAuthError> {
        let admission = &self.admission;
        if !admission.metadata_documents {
            return Err(NO_DOCUMENTS);
        }
        let mut hosts = admission.document_hosts.iter();
        if admission.document_hosts.is_empty()
            || hosts.any(|host| host.eq_ignore_ascii_case(url.host()))
        {
            Ok(&admission.documents)
        } else {
            Err(OTHER_HOSTS)
        }
    }

    /// Remembers a client for another year; written at most once a month. A document is kept from the first time on that
    /// somebody has signed in with it: who only asks fills nothing.
    pub(super) async fn keep_client(&self, known: &KnownClient) -> Result<(), Failure> {
        let now = self.now();
        let keep = IDLE_CLIENT.max(self.lifetimes.idle * 12 / 10);
        let is_soon = |until: UnixTime| until < now + keep * 11 / 12;
        match &known.origin {
            Origin::Registration(until) if is_soon(*until) => {
                let id = &known.client.id;
                self.store.keep_client(id, now + keep, now).await?;
            }
            Origin::Document(document, until) if until.is_none_or(is_soon) => {
                let document = ClientDocument::clone(document);
                self.store.put_document(document, now + keep).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// One line in the log: nothing else tells an operator why a client cannot be connected.
pub(super) fn tell(client: &ClientId, cause: &DocumentError) {
    match cause {
        DocumentError::Refused(error) => Event::DocumentRefused { client, error }.tell(),
        other => {
            let cause = other.to_string();
            Event::DocumentUnavailable {
                client,
                cause: &cause,
            }
            .tell();
        }
    }
}

pub(super) fn unavailable(host: &str, cause: DocumentError) -> Failure {
    Failure::Document {
        host: host.to_owned(),
        cause,
    }
}

const NO_DOCUMENTS: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "a client_id that is a URL is not accepted here: the client has to be registered",
};
const OTHER_HOSTS: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the client_id is a URL of a host that is not among those whose clients are accepted here",
};
