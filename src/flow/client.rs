//! Where a client comes from: the configuration, the document at its `client_id`, or a registration.

use std::net::IpAddr;
use std::sync::Arc;

use url::Url;

use crate::clock::UnixTime;
use crate::document::{Asker, DocumentError, Documents};
use crate::event::Event;
use crate::outbound::stranger::Standing;
use crate::protocol::client::{Client, ClientAuthentication, ClientSource, KeySource};
use crate::protocol::client_metadata::{ClientDocument, DocumentUrl};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::ClientId;

use super::{Admission, Failure, Flows, IDLE_CLIENT};

/// A client that was found.
pub(super) struct FoundClient {
    /// The client.
    pub(super) client: Client,
    kept: Kept,
}

/// Where a client was found, and until when it is kept there.
enum Kept {
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
    ) -> Result<Option<FoundClient>, Failure> {
        let mut configured = self.admission.known.iter();
        if let Some(client) = configured.find(|known| known.id == *id) {
            return Ok(Some(FoundClient {
                client: client.clone(),
                kept: Kept::Configuration,
            }));
        }
        if let Some(url) = DocumentUrl::parse(id)? {
            return self.find_described(id, &url, need).await;
        }
        let found = self.find_registered(id).await?;
        Ok(found.map(|(client, until)| FoundClient {
            client,
            kept: Kept::Registration(until),
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
    ) -> Result<Option<FoundClient>, Failure> {
        let documents = self.admits(url)?;
        let (kept, until) = match self.store.find_document(id, self.now()).await? {
            Some((kept, until)) => (Some(kept), Some(until)),
            None => (None, None),
        };
        let known = |document: Arc<ClientDocument>| FoundClient {
            client: document.client.clone(),
            kept: Kept::Document(document, until),
        };
        let last_good =
            |kept: Option<ClientDocument>| documents.last_good(url).or(kept.map(Arc::new));
        let standing = standing(until.is_some());
        let found = match need {
            Need::Here => return Ok(last_good(kept).map(known)),
            Need::Fresh(address) => {
                let asker = Asker { address, standing };
                documents.client(url, asker, kept.clone()).await
            }
            Need::LastGood(address) => {
                let asker = Asker { address, standing };
                documents.client_as_agreed(url, asker, kept.clone()).await
            }
        };
        let cause = match found {
            Ok(document) => {
                if let (Some(kept), Some(until)) = (kept, until) {
                    self.keep_newer(&kept, &document, until).await?;
                }
                return Ok(Some(known(document)));
            }
            Err(cause) => cause,
        };
        tell(id, &cause);
        let will_do = |copy: &Arc<ClientDocument>| match cause {
            // or whoever holds a key that was taken out asks until we may not look any more
            DocumentError::TooMany { .. } => !has_keys(&copy.client),
            _ => documents.bears(copy),
        };
        match last_good(kept).filter(will_do) {
            Some(document) if matches!(need, Need::LastGood(_)) => Ok(Some(known(document))),
            _ => Err(unavailable(url.host(), cause)),
        }
    }

    /// A client as it describes itself now, since the copy that we have lacks a key; none where there is nothing to look at
    /// again: its keys are not in a document, or that was fetched just now.
    pub(super) async fn look_again(
        &self,
        known: &FoundClient,
        address: IpAddr,
    ) -> Result<Option<FoundClient>, Failure> {
        let Kept::Document(copy, until) = &known.kept else {
            return Ok(None);
        };
        let id = &known.client.id;
        let is_inline = matches!(
            known.client.authentication,
            ClientAuthentication::Keys {
                keys: KeySource::Inline(_),
                ..
            }
        );
        let Some(url) =
            DocumentUrl::parse(id)?.filter(|_| is_inline && copy.fetched_at < self.now())
        else {
            return Ok(None);
        };
        let asker = self.asker(known, address);
        let found = self.admits(&url)?.client_again(&url, asker).await;
        let document = found.map_err(|cause| {
            tell(id, &cause);
            unavailable(url.host(), cause)
        })?;
        if let Some(until) = *until {
            self.keep_newer(copy, &document, until).await?;
        }
        Ok(Some(FoundClient {
            client: document.client.clone(),
            kept: Kept::Document(document, *until),
        }))
    }

    /// Keeps what a document says now, so that it outlives a restart.
    async fn keep_newer(
        &self,
        kept: &ClientDocument,
        document: &ClientDocument,
        until: UnixTime,
    ) -> Result<(), Failure> {
        if kept.client != document.client || kept.rules != document.rules {
            self.store.put_document(document.clone(), until).await?;
        }
        Ok(())
    }

    /// That clients of this host may come (CLI-23).
    fn admits(&self, url: &DocumentUrl) -> Result<&Documents, OAuthError> {
        let admission = &self.admission;
        if !admission.metadata_documents {
            return Err(NO_DOCUMENTS);
        }
        if admission.fetches_from(url.host()) {
            Ok(&admission.documents)
        } else {
            Err(OTHER_HOSTS)
        }
    }

    /// Whoever asks for something of a client. It is known once anybody has signed in with it: a registration that nobody uses
    /// is kept for a short time only.
    pub(super) fn asker(&self, known: &FoundClient, address: IpAddr) -> Asker {
        let standing = standing(match &known.kept {
            Kept::Configuration => true,
            Kept::Registration(until) => *until > self.now() + self.lifetimes.unused_client,
            Kept::Document(_, until) => until.is_some(),
        });
        Asker { address, standing }
    }

    /// Remembers a client for another year; written at most once a month. A document is kept from the first time on that
    /// somebody has signed in with it: who only asks fills nothing.
    pub(super) async fn keep_client(&self, known: &FoundClient) -> Result<(), Failure> {
        let now = self.now();
        let keep = IDLE_CLIENT.max(self.lifetimes.idle * 12 / 10);
        let is_soon = |until: UnixTime| until < now + keep * 11 / 12;
        match &known.kept {
            Kept::Registration(until) if is_soon(*until) => {
                let id = &known.client.id;
                self.store.keep_client(id, now + keep, now).await?;
            }
            Kept::Document(document, until) if until.is_none_or(is_soon) => {
                let document = ClientDocument::clone(document);
                self.store.put_document(document, now + keep).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Admission {
    /// Whether anything of clients is fetched from this host.
    fn fetches_from(&self, host: &str) -> bool {
        let mut hosts = self.document_hosts.iter();
        self.metadata_documents
            && (self.document_hosts.is_empty()
                || hosts.any(|known| known.eq_ignore_ascii_case(host)))
    }

    /// That the keys with which a client registers are not at a place from which nothing is fetched.
    pub(super) fn check_keys(&self, client: &Client) -> Result<(), OAuthError> {
        let ClientAuthentication::Keys {
            keys: KeySource::At(place),
            ..
        } = &client.authentication
        else {
            return Ok(());
        };
        let url = Url::parse(place).ok();
        let host = url.as_ref().and_then(Url::host_str);
        if host.is_some_and(|host| self.fetches_from(host)) {
            Ok(())
        } else {
            Err(NO_KEYS_FROM_THERE)
        }
    }
}

impl FoundClient {
    /// Whether it is here because it registered.
    pub(super) fn is_registered(&self) -> bool {
        matches!(self.kept, Kept::Registration(_))
    }
}

fn standing(is_known: bool) -> Standing {
    if is_known {
        Standing::Known
    } else {
        Standing::Stranger
    }
}

fn has_keys(client: &Client) -> bool {
    matches!(client.authentication, ClientAuthentication::Keys { .. })
}

/// One line in the log: nothing else tells an operator why a client cannot be connected. That somebody asked too often is no
/// news of the client.
pub(super) fn tell(client: &ClientId, cause: &DocumentError) {
    match cause {
        DocumentError::Refused(error) | DocumentError::Keys(error) => {
            Event::DocumentRefused { client, error }.tell();
        }
        DocumentError::TooMany { .. } => {}
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
const NO_KEYS_FROM_THERE: OAuthError = OAuthError {
    code: ErrorCode::InvalidClientMetadata,
    description: "jwks_uri is not accepted here: give jwks",
};
const OTHER_HOSTS: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the client_id is a URL of a host that is not among those whose clients are accepted here",
};
