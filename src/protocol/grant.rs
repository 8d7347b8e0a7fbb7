//! What a person gave us at a provider: the other end of all their sessions.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::identity::Identity;
use super::ids::{Id, ProviderId, Subject};
use super::scope::ScopeSet;
use crate::clock::UnixTime;
use crate::seal::Sealed;

/// Under what a grant is kept: a digest of the subject, so that every key is of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrantKey([u8; 32]);

impl GrantKey {
    /// The key of what `person` gave.
    #[must_use]
    pub fn of(person: &Subject) -> Self {
        Self(Sha256::digest(person.as_str()).into())
    }

    /// The bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One person at one provider: who they are in its words, its tokens, and the sessions that live by it. All sessions of a
/// person share it, so that the provider is asked once for all of them, a newer sign-in serves the older ones too, and
/// the last one to end is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who, as the provider last described them.
    pub identity: Identity,
    /// Where.
    pub provider: ProviderId,
    /// The provider's tokens, sealed for this subject.
    pub tokens: Sealed,
    /// The scopes that are not for everybody, and that are open to this person.
    pub opens: ScopeSet,
    /// [`PeopleRules::mark`](super::person_rule::PeopleRules::mark) of the rules under which they were let in.
    pub rules: [u8; 32],
    /// When the provider last vouched for them.
    pub checked: UnixTime,
    /// The sessions that live by it, oldest first.
    pub sessions: Vec<Id>,
    /// When it is forgotten at the latest: no session that lives by it outlives it.
    pub expires: UnixTime,
}

impl Grant {
    /// Whose.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.identity.subject
    }

    /// Under what it is kept.
    #[must_use]
    pub fn key(&self) -> GrantKey {
        GrantKey::of(self.subject())
    }
}
