//! What a person agreed to, so that they need not read all of it again.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ids::{ClientId, Subject};
use super::redirect_uri::RegisteredRedirect;
use super::scope::ScopeSet;
use super::session::AuthorizationRequest;
use crate::clock::UnixTime;

/// Under what a consent is kept: person, client, host of the redirect URI, resource (CONS-02). A digest, so that no
/// name can run into the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConsentKey([u8; 32]);

impl ConsentKey {
    /// The key of what `subject` agreed to, or would.
    #[must_use]
    pub fn new(subject: &Subject, request: &AuthorizationRequest) -> Self {
        Self::of(
            subject,
            &request.client_id,
            &request.redirect,
            &request.resource,
        )
    }

    fn of(
        subject: &Subject,
        client: &ClientId,
        redirect: &RegisteredRedirect,
        resource: &str,
    ) -> Self {
        let mut digest = Sha256::new();
        for part in [
            subject.as_str(),
            client.as_str(),
            &redirect.shown_host(),
            resource,
        ] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// The bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a person agreed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The scopes.
    pub scopes: ScopeSet,
    /// What the client was then: [`Client::fingerprint`](super::client::Client::fingerprint).
    pub fingerprint: [u8; 32],
    /// When they agreed last.
    pub at: UnixTime,
    /// When it is forgotten.
    pub expires: UnixTime,
}

/// Whether the person at the browser has agreed to the same before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Familiarity {
    /// Never, or nobody knows who they are.
    New,
    /// To this client, but it asks for more than then.
    More,
    /// To this client, but it has changed since (CLI-20).
    Changed,
    /// To the same.
    Remembered {
        /// When.
        at: UnixTime,
    },
}

impl Consent {
    /// What this consent is worth for `request` of a client with this fingerprint.
    #[must_use]
    pub fn covers(&self, request: &AuthorizationRequest, fingerprint: &[u8; 32]) -> Familiarity {
        if self.fingerprint != *fingerprint {
            Familiarity::Changed
        } else if request.scopes.is_subset(&self.scopes) {
            Familiarity::Remembered { at: self.at }
        } else {
            Familiarity::More
        }
    }
}
