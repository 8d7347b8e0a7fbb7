//! The management of a registration by the client that it is of (RFC 7592).

use std::sync::Arc;

use crate::event::Event;
use crate::protocol::client::{Client, ClientSource};
use crate::protocol::client_management;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{ClientId, Handle};
use crate::protocol::registration_answer::{Management, RegistrationAnswer};
use crate::secret::Secret;
use crate::store::ClientChange;

use super::register::tell;
use super::{Failure, Flows, StoreError, to_the_end};

/// How often a change is decided before it is given up. Each time but the last saw another one succeed, and whoever holds
/// the registration access token is one client: more at once than this are none that wait for their answers.
const LOOKS: usize = 32;

impl Flows {
    /// What is registered.
    ///
    /// # Errors
    /// `invalid_token` where the registration access token is missing or wrong, or there is no such registration: one
    /// answer for all, so that nobody learns which clients there are; or an incident.
    pub async fn read_registration(
        &self,
        id: &ClientId,
        access: Option<Secret>,
    ) -> Result<RegistrationAnswer, Failure> {
        let (client, management) = self.managed(id, access).await?;
        Ok(client_management::describe(&client, management))
    }

    /// Puts other metadata in the place of those that are registered. A name or a redirect URI that changes makes another
    /// fingerprint, so that people are asked about the client again (CLI-20). How long it is kept does not change.
    ///
    /// What a change comes to depends on what was there before, its secret above all: so it is decided anew where another
    /// change was faster. Of a client that sends the same one twice at once, one gets a secret, and the other keeps it.
    ///
    /// # Errors
    /// As [`Flows::read_registration`]; or what is wrong with the request, by field and rule.
    pub async fn change_registration(
        &self,
        id: &ClientId,
        access: Option<Secret>,
        body: &[u8],
    ) -> Result<RegistrationAnswer, Failure> {
        for _ in 0..LOOKS {
            let (client, management) = self.managed(id, access.clone()).await?;
            let now = self.now();
            let secret = Handle::new(now).clear;
            let scopes = self.resources.scopes();
            let changed = client_management::change(body, &scopes, &client, secret, management)
                .and_then(|changed| changed.keep_to_hosts(&self.admission.redirect_hosts))
                .and_then(|changed| self.admission.check_keys(&changed.client).map(|()| changed))
                .inspect_err(tell)?;
            let change = self.store.change_client(&client, changed.client, now);
            match change.await? {
                ClientChange::Done => {
                    Event::RegistrationChanged { client: id }.tell();
                    return Ok(changed.answer);
                }
                ClientChange::Overtaken => {}
                ClientChange::Gone => return Err(NOT_THIS_CLIENT.into()),
            }
        }
        Err(StoreError::new("too many callers change the same registration").into())
    }

    /// Forgets a client: from now on it is unknown at every endpoint, its tokens are worth nothing, and it can register
    /// anew. Its sessions are deleted when somebody comes with a token of them, or when it is looked for them.
    ///
    /// # Errors
    /// As [`Flows::read_registration`].
    pub async fn remove_registration(
        &self,
        id: &ClientId,
        access: Option<Secret>,
    ) -> Result<(), Failure> {
        self.managed(id, access).await?;
        let (store, live, client) = (Arc::clone(&self.store), Arc::clone(&self.live), id.clone());
        // a task of its own: a client that hangs up meanwhile must not keep the end from its sessions
        let removing = async move {
            let removed = store.forget_client(&client).await;
            // whether it is gone may be in doubt: whoever is asked for a session looks again
            live.end_of_client(&client);
            if !removed? {
                return Err(NOT_THIS_CLIENT.into());
            }
            Event::RegistrationRemoved { client: &client }.tell();
            Ok(())
        };
        to_the_end("the end of a registration broke off", removing).await
    }

    /// The registration that `access` opens.
    async fn managed(
        &self,
        id: &ClientId,
        access: Option<Secret>,
    ) -> Result<(Client, Management), Failure> {
        let access = access.ok_or(NOT_THIS_CLIENT)?;
        match self.find_registered(id).await? {
            Some((client, _)) if opens(&access, &client) => {
                let uri = self.registration_uri(id);
                Ok((client, Management { uri, access }))
            }
            _ => {
                Event::ClientAuthenticationFailed { client: id }.tell();
                Err(NOT_THIS_CLIENT.into())
            }
        }
    }
}

fn opens(presented: &Secret, client: &Client) -> bool {
    match &client.source {
        ClientSource::Registered { access, .. } => access.matches(presented),
        _ => false,
    }
}

const NOT_THIS_CLIENT: OAuthError = OAuthError {
    code: ErrorCode::InvalidToken,
    description: "the registration access token is missing or wrong, or there is no such registration",
};
