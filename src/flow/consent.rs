//! The person's decision, what the client is told of it, and what is remembered.

use crate::event::Event;
use crate::protocol::authorize::ReturnAddress;
use crate::protocol::client_metadata::DocumentUrl;
use crate::protocol::consent::{Consent, ConsentKey, Familiarity};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{ClientId, ProviderId, Subject};
use crate::protocol::session::AuthorizationRequest;
use crate::secret::Secret;
use crate::upstream::Upstream;

use super::authorize::{Asked, UNKNOWN_CLIENT, Visitor};
use super::callback::Approved;
use super::client::{FoundClient, Need};
use super::{Failure, Flows, StoreError};

/// An answer for a client, on its way through the browser.
#[derive(Debug)]
pub struct ForClient {
    /// Which client.
    pub client: ClientId,
    /// Where it listens.
    pub address: ReturnAddress,
    /// The same with the answer.
    pub url: String,
}

impl Flows {
    /// Whether who sits at the browser agreed to this before.
    pub(super) async fn familiarity(
        &self,
        request: &AuthorizationRequest,
        visitor: &Visitor,
    ) -> Result<Familiarity, StoreError> {
        let Some(person) = &visitor.person else {
            return Ok(Familiarity::New);
        };
        if self.lifetimes.consent.is_zero() {
            return Ok(Familiarity::New);
        }
        let key = ConsentKey::new(person, request);
        let consent = self.store.find_consent(key, self.now()).await?;
        Ok(consent.map_or(Familiarity::New, |consent| {
            consent.covers(request, &request.fingerprint)
        }))
    }

    /// Where who sits at the browser signed in last, if that is still offered.
    pub(super) fn provider_of(&self, visitor: &Visitor) -> Option<ProviderId> {
        let person = visitor.person.as_ref()?;
        let mut providers = self.providers().map(Upstream::id);
        providers.find(|id| person.is_at(id)).cloned()
    }

    /// What is to be remembered of an approved request, now that `subject` has signed in.
    pub(super) async fn consent_to(
        &self,
        approved: &Approved,
        subject: &Subject,
    ) -> Result<Option<(ConsentKey, Consent)>, StoreError> {
        if self.lifetimes.consent.is_zero() || !approved.agreement.is_kept_for(subject) {
            return Ok(None);
        }
        let (now, request) = (self.now(), &approved.request);
        let key = ConsentKey::new(subject, request);
        let before = self.store.find_consent(key, now).await?;
        let consent = Consent {
            scopes: request.scopes.clone(),
            fingerprint: request.fingerprint,
            at: now,
            expires: now + self.lifetimes.consent,
        };
        Ok(Some((key, consent.and(before))))
    }

    /// The client of a request that a person was asked about, if it is still what they were told. Where it has changed, or
    /// is gone, nobody is sent anywhere: the redirect URI may be the very thing that its owner took out (CLI-20). None only
    /// says that a document is not at hand, since nobody has signed in with its client yet.
    pub(super) async fn unchanged(
        &self,
        request: &AuthorizationRequest,
    ) -> Result<Option<FoundClient>, Failure> {
        let id = &request.client_id;
        match self.find_client(id, Need::Here).await? {
            Some(known) if known.client.fingerprint() == request.fingerprint => Ok(Some(known)),
            Some(_) => Err(CHANGED.into()),
            None if DocumentUrl::parse(id)?.is_some() => Ok(None),
            None => Err(UNKNOWN_CLIENT.into()),
        }
    }

    /// That a form may still be answered: its client is what the form said of it.
    ///
    /// # Errors
    /// Where the client has changed meanwhile, or it or the server that it asks for is gone; or an incident.
    pub async fn check_unchanged(&self, asked: &Asked) -> Result<(), Failure> {
        self.check_served(&asked.request)?;
        self.unchanged(&asked.request).await.map(drop)
    }

    /// That there still is the server that a request is for: the configuration may have changed since it was made.
    pub(super) fn check_served(&self, request: &AuthorizationRequest) -> Result<(), OAuthError> {
        match self.resources.granted(&request.resource) {
            Some(_) => Ok(()),
            None => Err(NOT_SERVED),
        }
    }

    /// The person said no, and what they agreed to before is forgotten: the answer for the client.
    ///
    /// # Errors
    /// Where the client has changed meanwhile, or is gone: nobody is told then; or an incident. If that is the store's,
    /// nothing was granted, but it may be that nothing was forgotten either.
    pub async fn deny(&self, asked: Asked) -> Result<ForClient, Failure> {
        let request = asked.request;
        if let Some(person) = &asked.known {
            let key = ConsentKey::new(person, &request);
            self.store.forget_consent(key).await?;
        }
        Event::ConsentDenied {
            client: &request.client_id,
        }
        .tell();
        self.unchanged(&request).await?;
        Ok(self.refuse(
            &request,
            &ErrorCode::AccessDenied.with("the person said no"),
        ))
    }

    /// The answer to a request that was put to the person: an error for its client.
    #[must_use]
    pub fn refuse(&self, request: &AuthorizationRequest, error: &OAuthError) -> ForClient {
        self.waiting(request).told(error)
    }

    /// Whoever waits for the answer to a request.
    pub(super) fn waiting(&self, request: &AuthorizationRequest) -> Waiting {
        Waiting {
            client: request.client_id.clone(),
            address: ReturnAddress::new(
                request.redirect.clone(),
                request.state.clone(),
                self.issuer.as_str(),
            ),
        }
    }
}

/// A client that waits for its answer.
pub(super) struct Waiting {
    client: ClientId,
    address: ReturnAddress,
}

impl Waiting {
    /// An error for it.
    pub(super) fn told(&self, error: &OAuthError) -> ForClient {
        self.with(self.address.refuse(error))
    }

    /// A code for it.
    pub(super) fn given(&self, code: &Secret) -> ForClient {
        self.with(self.address.answer(code))
    }

    fn with(&self, url: String) -> ForClient {
        ForClient {
            client: self.client.clone(),
            address: self.address.clone(),
            url,
        }
    }
}

const NOT_SERVED: OAuthError = OAuthError {
    code: ErrorCode::InvalidTarget,
    description: "the server that the app asks for is not served here any more; ask whoever runs it for its new address",
};
const CHANGED: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the app has changed since this sign-in began; start again from the app",
};
