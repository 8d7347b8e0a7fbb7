//! What is connected, for the person whose it is: who they are, the list, and the end of what stands on it (OAuth 2.1 §7.9).

use std::cmp::Reverse;
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
use crate::upstream::{GivesBack, SignIn, UpstreamTokens};

use super::callback::{Arrival, Outcome, Unsuccessful};
use super::{Failure, Flows, StoreError};

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
            .seal(Purpose::AccountTicket, subject_of(visit), &clear)
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
        let clear = Sealed::from_text(ticket)
            .and_then(|sealed| {
                let opened = self
                    .sealer
                    .open(Purpose::AccountTicket, subject_of(visit), &sealed);
                opened.ok()
            })
            .ok_or(OTHER_SIGN_IN)?;
        let ticket: Ticket = postcard::from_bytes(&clear).map_err(|_| OTHER_SIGN_IN)?;
        if ticket.browser != browser {
            return Err(OTHER_BROWSER);
        }
        if ticket.visit != visit.map(|visit| visit.id) || ticket.expires <= self.now() {
            return Err(OTHER_SIGN_IN);
        }
        Ok(())
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

    /// Ends all connections of somebody.
    ///
    /// # Errors
    /// Where the store fails; what has ended by then stays so.
    pub async fn disconnect_all(&self, visit: &Visit) -> Result<Done, Failure> {
        for session in self.connections(visit).await? {
            self.take_back(&session).await?;
        }
        Ok(Done::AllDisconnected)
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
        self.end_session(session.id, "the person revoked it on their account page")
            .await
    }

    /// Lets somebody see what is connected, or tells them why not.
    pub(super) async fn arrive_for_account(
        &self,
        provider: &ProviderId,
        outcome: Outcome,
    ) -> Result<Arrival, Failure> {
        let sign_in = match outcome {
            Ok(sign_in) => sign_in,
            Err(Unsuccessful::Declined) => return Ok(Arrival::Declined(None)),
            Err(Unsuccessful::ProviderFailed(fault)) => {
                return Ok(Arrival::ProviderFailed(fault, None));
            }
            Err(Unsuccessful::NotAllowed(why)) => {
                return Ok(Arrival::Refused {
                    provider: self.label(provider),
                    why,
                    back: None,
                });
            }
        };
        let SignIn { vouched, tokens } = sign_in;
        let subject = vouched.identity.subject.clone();
        self.give_back(provider, &subject, tokens).await?;
        let now = self.now();
        Event::AccountOpened { subject: &subject }.tell();
        Ok(Arrival::Visiting(Visit {
            id: Id::new(now),
            account: account_of(vouched.identity),
            subject,
            provider: provider.clone(),
            until: now + VISIT,
        }))
    }

    /// Gives back the tokens of a sign-in that keeps none. Nobody waits for it. Where the provider would end with them what
    /// the person's clients live by, they are left to their own end.
    async fn give_back(
        &self,
        provider: &ProviderId,
        person: &Subject,
        tokens: UpstreamTokens,
    ) -> Result<(), StoreError> {
        let Some(upstream) = self.upstream(provider).map(Arc::clone) else {
            return Ok(());
        };
        if upstream.gives_back() == GivesBack::Everything {
            let grant = self.store.find_grant(person, self.now()).await?;
            if grant.is_some() {
                return Ok(());
            }
        }
        tokio::spawn(async move {
            if let Err(error) = upstream.forget(&tokens).await {
                tracing::info!(%error, provider = %upstream.id(), "the tokens of a sign-in for the account page were not given back");
            }
        });
        Ok(())
    }
}

/// A form opens for whom it was made.
fn subject_of(visit: Option<&Visit>) -> &[u8] {
    visit.map_or(b"", |visit| visit.subject.as_str().as_bytes())
}

/// What somebody is called on a page that only they see.
fn account_of(identity: Identity) -> String {
    identity
        .login
        .or(identity.verified_email)
        .or(identity.name)
        .unwrap_or_else(|| identity.subject.to_string())
}

/// A form of the account page that was shown in another browser, or sent by a page of another site.
pub const OTHER_BROWSER: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "this form was not sent by the page that you see, or cookies are blocked; nothing was changed",
};
const OTHER_SIGN_IN: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "the page was open for too long, or somebody has signed in or out since; nothing was changed",
};
