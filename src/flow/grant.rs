//! What a person gave us at a provider: kept with their sign-in, shared by their sessions.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::event::Event;
use crate::protocol::allowance::open_to_person;
use crate::protocol::consent::{Consent, ConsentKey};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::grant::Grant;
use crate::protocol::ids::{Id, ProviderId};
use crate::protocol::scope::ScopeSet;
use crate::protocol::session::{IssuedCode, Session};
use crate::upstream::SignIn;

use super::{Failure, Flows, Lifetimes, to_the_end};

/// What a sign-in leads to, but for the grant.
pub(super) struct Entry {
    /// Of the code.
    pub(super) id: Id,
    pub(super) code: IssuedCode,
    pub(super) session: Session,
    pub(super) consent: Option<(ConsentKey, Consent)>,
}

/// How long a grant is kept beyond the last moment of its sessions: long enough to be found and given back.
const AFTERWARDS: Duration = Duration::from_secs(7 * 24 * 3600);

/// When a grant is forgotten that somebody was let in by at `now`: no session that begins or goes on then outlives it.
pub(super) fn kept_until(lifetimes: &Lifetimes, now: UnixTime) -> UnixTime {
    now + lifetimes.session + lifetimes.code + AFTERWARDS
}

impl Flows {
    /// Keeps the session, not yet in force, the code that opens it, and what the provider gave: all or nothing, and durable
    /// before the browser is sent back. Of what the client asked for, it is for what is open to the person. Where the
    /// person has a grant, its sessions live by the new one from here. Of what is not kept, whoever calls gives back the
    /// tokens.
    pub(super) async fn keep_sign_in(
        &self,
        entry: Entry,
        provider: &ProviderId,
        sign_in: SignIn,
    ) -> Result<(), Failure> {
        let now = self.now();
        let vouched = sign_in.vouched;
        let person = vouched.identity.subject.clone();
        let grant = Grant {
            tokens: self.vouching.seal(&person, &sign_in.tokens),
            identity: vouched.identity,
            provider: provider.clone(),
            opens: vouched.opens,
            rules: self.vouching.rules_of(provider).unwrap_or_default(),
            checked: now,
            sessions: Vec::new(),
            expires: kept_until(&self.lifetimes, now),
        };
        let client = Some(&entry.session.client_id.clone());
        let Some(entry) = entry.open_to(&self.vouching.withheld(&grant)) else {
            Event::SignInRefused { provider, client }.tell();
            return Err(Failure::Denied(NOTHING_OPEN));
        };
        // a task of its own: a browser that hangs up must not leave half of it done
        let vouching = Arc::clone(&self.vouching);
        let keeping = async move { vouching.enter(entry, grant, sign_in.tokens).await };
        to_the_end("a sign-in broke off", keeping).await
    }
}

impl Entry {
    /// The same for no more than what is open to the person; none where that opens nothing.
    fn open_to(mut self, withheld: &ScopeSet) -> Option<Self> {
        self.session.scopes = open_to_person(&self.session.scopes, withheld)?;
        self.code.request.scopes = open_to_person(&self.code.request.scopes, withheld)?;
        Some(self)
    }
}

const NOTHING_OPEN: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "none of the scopes that were asked for is open to the person who signed in",
};
