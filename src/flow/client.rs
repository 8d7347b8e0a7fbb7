//! Where a client comes from, and whether it is who it says.

use std::net::IpAddr;

use crate::clock::UnixTime;
use crate::event::Event;
use crate::protocol::client::Client;
use crate::protocol::client_credentials::Credentials;
use crate::protocol::error::ErrorCode;
use crate::protocol::form::Form;
use crate::protocol::ids::ClientId;

use super::{Failure, Flows, IDLE_CLIENT};

/// A client of the configuration is not forgotten.
const FOREVER: UnixTime = UnixTime(i64::MAX);

/// A client that is known, and until when.
pub(super) struct KnownClient {
    /// The client.
    pub(super) client: Client,
    /// When it is forgotten, unless it is used again.
    until: UnixTime,
}

impl Flows {
    /// The client of this identifier. Registered ones are looked up; metadata documents and clients of the
    /// configuration will be told apart here, by the form of the identifier.
    pub(super) async fn find_client(&self, id: &ClientId) -> Result<Option<KnownClient>, Failure> {
        if let Some(client) = self.admission.known.iter().find(|known| known.id == *id) {
            return Ok(Some(KnownClient {
                client: client.clone(),
                until: FOREVER,
            }));
        }
        let found = self.store.find_client(id, self.now()).await?;
        Ok(found.map(|(client, until)| KnownClient { client, until }))
    }

    /// What a client calls itself, for a page about it.
    ///
    /// # Errors
    /// As where it is looked up for a request.
    pub async fn client_name(&self, id: &ClientId) -> Result<Option<String>, Failure> {
        Ok(self
            .find_client(id)
            .await?
            .and_then(|known| known.client.name))
    }

    /// The client that makes a request of the token or revocation endpoint (RFC 6749 §3.2.1).
    pub(super) async fn authenticate(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
        asker: IpAddr,
    ) -> Result<KnownClient, Failure> {
        let _ = asker;
        let credentials = Credentials::parse(authorization, form)?;
        for (id, _) in credentials.readings() {
            if let Some(known) = self.find_client(&id).await? {
                if credentials.prove(&known.client) {
                    return Ok(known);
                }
                Event::ClientAuthenticationFailed { client: &id }.tell();
                return Err(ErrorCode::InvalidClient
                    .with("the client did not prove itself with the method it registered")
                    .into());
            }
        }
        Event::ClientAuthenticationFailed {
            client: &credentials.client_id,
        }
        .tell();
        Err(ErrorCode::InvalidClient
            .with("no such client: it was never registered here or has expired, register again")
            .into())
    }

    /// Remembers a client for another year; written at most once a month.
    pub(super) async fn keep_client(&self, known: &KnownClient) -> Result<(), Failure> {
        let now = self.now();
        let keep = IDLE_CLIENT.max(self.lifetimes.idle * 12 / 10);
        if known.until < now + keep * 11 / 12 {
            let id = &known.client.id;
            self.store.keep_client(id, now + keep, now).await?;
        }
        Ok(())
    }
}
