//! What a person agreed to, so that they need not read all of it again.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ids::{ClientId, Subject};
use super::scope::{Scope, ScopeSet};
use super::session::{AuthorizationRequest, Session};
use crate::clock::UnixTime;

/// Under what a consent is kept: person, client, host of the redirect URI, resource (CONS-02). A digest, so that no
/// name can run into the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConsentKey([u8; 32]);

impl ConsentKey {
    /// The key of what `subject` agreed to, or would.
    #[must_use]
    pub fn new(subject: &Subject, request: &AuthorizationRequest) -> Self {
        let host = request.redirect.shown_host();
        Self::of(subject, &request.client_id, &host, &request.resource)
    }

    /// The key of what was agreed to when a session began.
    #[must_use]
    pub fn of_session(session: &Session) -> Self {
        Self::of(
            &session.subject,
            &session.client_id,
            &session.client_host,
            &session.resource,
        )
    }

    fn of(subject: &Subject, client: &ClientId, host: &str, resource: &str) -> Self {
        let mut digest = Sha256::new();
        for part in [subject.as_str(), client.as_str(), host, resource] {
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

/// How a person agreed: what they saw decides for whom it is remembered.
///
/// There is no way without a page, for no client (CONS-24, A5): what a browser says of who sent the person
/// (`Sec-Fetch-Site: none`) is true of links in other apps as well, and of what those redirect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Agreement {
    /// On the page with everything on it. It counts for whoever signs in after it.
    Whole,
    /// On the short page, since this person had agreed before. Another one may sign in after it, for somebody did press the
    /// button under name and destination; but they have not seen all of it, and it is not remembered for them (CONS-02).
    Short(Subject),
}

/// Whether the person at the browser has agreed to the same before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Familiarity {
    /// Never, or nobody knows who they are.
    New,
    /// To this client, but it asks for more than then.
    More {
        /// The scopes that they have not agreed to.
        added: ScopeSet,
    },
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
            let is_new = |scope: &&Scope| !self.scopes.contains(scope);
            Familiarity::More {
                added: request.scopes.iter().filter(is_new).cloned().collect(),
            }
        }
    }

    /// This consent, with what was agreed to `before` for the same client: agreeing to something else today takes nothing
    /// back. What was not asked for today ends when it would have, and the rest with it: nothing is remembered for longer
    /// than it was promised when somebody last read it.
    #[must_use]
    pub fn and(self, before: Option<Self>) -> Self {
        match before {
            Some(before)
                if before.fingerprint == self.fingerprint
                    && !before.scopes.is_subset(&self.scopes) =>
            {
                Self {
                    scopes: self.scopes.union(&before.scopes),
                    expires: self.expires.min(before.expires),
                    ..self
                }
            }
            _ => self,
        }
    }
}

impl Agreement {
    /// Whether `subject`, who came back from the provider, is to be remembered as having agreed.
    #[must_use]
    pub fn is_kept_for(&self, subject: &Subject) -> bool {
        match self {
            Self::Whole => true,
            Self::Short(person) => person == subject,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(scopes: &str, client: u8, expires: i64) -> Consent {
        Consent {
            scopes: ScopeSet::parse(scopes).unwrap(),
            fingerprint: [client; 32],
            at: UnixTime(5),
            expires: UnixTime(expires),
        }
    }

    /// CONS-02, CLI-20
    #[test]
    fn what_was_agreed_before_is_kept_for_the_same_client_and_no_longer_than_promised() {
        let now = || consent("b c", 1, 100);
        for (before, kept) in [
            (None, now()),
            (Some(consent("a", 2, 50)), now()),
            (Some(consent("b", 1, 50)), now()),
            (Some(consent("b c", 1, 50)), now()),
            (Some(consent("a b", 1, 50)), consent("a b c", 1, 50)),
            (Some(consent("a", 1, 200)), consent("a b c", 1, 100)),
        ] {
            assert_eq!(now().and(before.clone()), kept, "{before:?}");
        }
    }

    /// CONS-02
    #[test]
    fn an_agreement_is_remembered_for_who_has_seen_what_they_agreed_to() {
        let [mona, other] = ["github:1", "github:2"].map(Subject::new);
        for (agreement, person, kept) in [
            (Agreement::Whole, &mona, true),
            (Agreement::Short(mona.clone()), &mona, true),
            (Agreement::Short(mona.clone()), &other, false),
        ] {
            assert_eq!(
                agreement.is_kept_for(person),
                kept,
                "{agreement:?} {person}"
            );
        }
    }
}
