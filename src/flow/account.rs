//! What is connected, for the person whose it is: who they are, the list, and the end of what stands on it (OAuth 2.1 §7.9).

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::event::Event;
use crate::protocol::consent::ConsentKey;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::identity::Identity;
use crate::protocol::ids::{Id, ProviderId, Subject};
use crate::protocol::session::Session;
use crate::seal::{Purpose, Sealed};
use crate::secret::SecretDigest;
use crate::upstream::SignIn;

use super::callback::{Arrival, Outcome, Unsuccessful};
use super::{Failure, Flows, StoreError, to_the_end};

/// How long somebody stays signed in on their account page, and how long a form of it can be handed in.
const VISIT: Duration = Duration::from_secs(30 * 60);

/// Somebody who is signed in on their account page, in one browser. Only a sign-in for that page makes one: who signed in for
/// a client has opened nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Of this sign-in alone: the forms of another one do nothing.
    pub id: Id,
    /// Who.
    pub subject: Subject,
    /// What they call themselves at the provider.
    pub account: String,
    /// Where they signed in.
    pub provider: ProviderId,
    /// When it ends, by our own clock.
    pub until: UnixTime,
}

/// What a person has done on their account page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// A client is not connected any more.
    Disconnected,
    /// Nothing of theirs is connected any more.
    AllDisconnected,
    /// Nothing: of theirs, there is no such client.
    NothingThere,
}

/// In which browser, and for which sign-in, a form was made.
#[derive(Serialize, Deserialize)]
struct Ticket {
    browser: SecretDigest,
    /// None where nobody was signed in.
    visit: Option<Id>,
    expires: UnixTime,
}

impl Flows {
    /// What a form of the account page carries, so that it is good in this browser and for this sign-in alone (CONS-06).
    #[must_use]
    pub fn account_ticket(&self, browser: SecretDigest, visit: Option<&Visit>) -> String {
        let ticket = Ticket {
            browser,
            visit: visit.map(|visit| visit.id),
            expires: self.now() + VISIT,
        };
        // numbers and digests alone: the encoder has no way to fail on them
        let clear = postcard::to_allocvec(&ticket).unwrap_or_default();
        self.sealer
            .seal(Purpose::AccountTicket, b"", &clear)
            .to_text()
    }

    /// That a form was made in this browser, for whoever is signed in now.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn check_account_ticket(
        &self,
        ticket: &str,
        browser: SecretDigest,
        visit: Option<&Visit>,
    ) -> Result<(), OAuthError> {
        let ticket = self.read_account_ticket(ticket, browser)?;
        if ticket.visit != visit.map(|visit| visit.id) || ticket.expires <= self.now() {
            return Err(OTHER_SIGN_IN);
        }
        Ok(())
    }

    /// That a form was made in this browser, whoever it was made for, and however long ago: enough to sign out.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn check_own_ticket(&self, ticket: &str, browser: SecretDigest) -> Result<(), OAuthError> {
        self.read_account_ticket(ticket, browser).map(drop)
    }

    fn read_account_ticket(
        &self,
        ticket: &str,
        browser: SecretDigest,
    ) -> Result<Ticket, OAuthError> {
        let sealed = Sealed::from_text(ticket).ok_or(OTHER_SIGN_IN)?;
        let opened = self.sealer.open(Purpose::AccountTicket, b"", &sealed);
        let clear = opened.map_err(|_| OTHER_SIGN_IN)?;
        let ticket: Ticket = postcard::from_bytes(&clear).map_err(|_| OTHER_SIGN_IN)?;
        if ticket.browser != browser {
            return Err(OTHER_BROWSER);
        }
        Ok(ticket)
    }

    /// What is connected for somebody: what was used last comes first.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn connections(&self, visit: &Visit) -> Result<Vec<Session>, StoreError> {
        let now = self.now();
        let grant = self.store.find_grant(&visit.subject, now).await?;
        let mut connections = Vec::new();
        for id in grant.map(|grant| grant.sessions).unwrap_or_default() {
            connections.extend(self.own_session(visit, id).await?);
        }
        connections.sort_by_key(|session| Reverse((session.used, session.id)));
        Ok(connections)
    }

    /// Ends one connection of somebody; of another person's nothing is told, and nothing happens to it.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn disconnect(&self, visit: &Visit, id: &str) -> Result<Done, Failure> {
        let session = match Id::parse(id) {
            Some(id) => self.own_session(visit, id).await?,
            None => None,
        };
        match session {
            Some(session) => {
                self.take_back(&session).await?;
                Ok(Done::Disconnected)
            }
            None => Ok(Done::NothingThere),
        }
    }

    /// Ends all connections of somebody, in one step.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn disconnect_all(self: &Arc<Self>, visit: &Visit) -> Result<Done, Failure> {
        let (flows, visit) = (Arc::clone(self), visit.clone());
        // a task of its own: whoever hangs up meanwhile has decided all the same
        let ending = async move { flows.take_all_back(&visit).await };
        to_the_end("the end of all sessions broke off", ending).await?;
        Ok(Done::AllDisconnected)
    }

    /// Forgets all that was agreed to, as in [`Self::take_back`], and ends the grant with every session that lives by it.
    async fn take_all_back(&self, visit: &Visit) -> Result<(), Failure> {
        loop {
            let found = self.store.find_grant(&visit.subject, self.now());
            let Some(grant) = found.await? else {
                return Ok(());
            };
            let mut forgotten = HashSet::new();
            for id in &grant.sessions {
                let session = self.own_session(visit, *id).await?;
                if let Some(agreed) = session.as_ref().map(ConsentKey::of_session)
                    && forgotten.insert(agreed)
                {
                    self.store.forget_consent(agreed).await?;
                }
            }
            // not where it has changed: somebody signs in, or the provider was asked
            if self.vouching.end_as_seen(&grant, WHY).await? {
                self.vouching.give_back(&grant);
                return Ok(());
            }
        }
    }

    async fn own_session(&self, visit: &Visit, id: Id) -> Result<Option<Session>, StoreError> {
        let session = self.store.find_session(id, self.now()).await?;
        Ok(session.filter(|session| session.subject == visit.subject))
    }

    /// Ends a session, and forgets what was agreed to with it: the next time all of it is asked. The session goes last, so that
    /// it is still there to try again with where the other cannot be forgotten.
    async fn take_back(&self, session: &Session) -> Result<(), Failure> {
        let agreed = ConsentKey::of_session(session);
        self.store.forget_consent(agreed).await?;
        self.end_session(session.id, WHY).await
    }

    /// Lets somebody see what is connected, or tells them why not.
    pub(super) fn arrive_for_account(&self, provider: &ProviderId, outcome: Outcome) -> Arrival {
        let sign_in = match outcome {
            Ok(sign_in) => sign_in,
            Err(Unsuccessful::Declined) => {
                return Arrival::Declined {
                    provider: self.label(provider),
                    back: None,
                };
            }
            Err(Unsuccessful::ProviderFailed(fault)) => {
                return Arrival::ProviderFailed(fault, None);
            }
            Err(Unsuccessful::NotAllowed(why)) => {
                return Arrival::Refused {
                    provider: self.label(provider),
                    why,
                    back: None,
                };
            }
        };
        let SignIn { vouched, tokens } = sign_in;
        let subject = vouched.identity.subject.clone();
        // nothing is kept of it
        self.vouching.give_back_unkept(provider, &subject, tokens);
        let now = self.now();
        Event::AccountOpened { subject: &subject }.tell();
        Arrival::Visiting(Visit {
            id: Id::new(now),
            account: account_of(vouched.identity),
            subject,
            provider: provider.clone(),
            until: now + VISIT,
        })
    }
}

/// What somebody is called on a page that only they see.
pub(super) fn account_of(identity: Identity) -> String {
    identity
        .login
        .or(identity.verified_email)
        .or(identity.name)
        .unwrap_or_else(|| identity.subject.to_string())
}

const WHY: &str = "the person revoked it on their account page";

/// A form of the account page that was shown in another browser, or sent by a page of another site.
pub const OTHER_BROWSER: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "this form was not sent by the page that you see, or cookies are blocked; nothing was changed",
};
const OTHER_SIGN_IN: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "the page was open for too long, or somebody has signed in or out since; nothing was changed",
};
