//! What a person gave us at a provider: kept with their sign-in, shared by their sessions.

use std::time::Duration;

use crate::event::Event;
use crate::protocol::allowance::open_to_person;
use crate::protocol::consent::{Consent, ConsentKey};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::grant::Grant;
use crate::protocol::ids::{Id, ProviderId};
use crate::protocol::scope::ScopeSet;
use crate::protocol::session::{IssuedCode, Session};
use crate::store::SignedIn;
use crate::upstream::{GivesBack, SignIn, UpstreamTokens};

use super::{Failure, Flows};

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

impl Flows {
    /// Keeps the session, not yet in force, the code that opens it, and what the provider gave: all or nothing, and durable
    /// before the browser is sent back. Of what the client asked for, it is for what is open to the person. Where the
    /// person has a grant, its sessions live by the new one from here.
    pub(super) async fn keep_sign_in(
        &self,
        entry: Entry,
        provider: &ProviderId,
        sign_in: SignIn,
    ) -> Result<(), Failure> {
        let now = self.now();
        let upstream = self.upstream(provider);
        let vouched = sign_in.vouched;
        let person = vouched.identity.subject.clone();
        let mut grant = Grant {
            tokens: self.vouching.seal(&person, &sign_in.tokens),
            identity: vouched.identity,
            provider: provider.clone(),
            opens: vouched.opens,
            rules: upstream
                .map(|upstream| upstream.rules().mark())
                .unwrap_or_default(),
            checked: now,
            sessions: Vec::new(),
            expires: now + self.lifetimes.session + self.lifetimes.code + AFTERWARDS,
        };
        let gives_back_these =
            upstream.is_some_and(|upstream| upstream.gives_back() == GivesBack::TheseTokens);
        let client = &entry.session.client_id.clone();
        let Some(entry) = entry.open_to(&self.vouching.withheld(&grant)) else {
            if gives_back_these {
                self.vouching.give_back_tokens(&grant, sign_in.tokens);
            }
            let client = Some(client);
            Event::SignInRefused { provider, client }.tell();
            return Err(Failure::Denied(NOTHING_OPEN));
        };
        loop {
            let before = self.store.find_grant(&person, now).await?;
            // what cannot be read any more is replaced all the same
            let old = before
                .as_ref()
                .map(|before| self.vouching.tokens_of(before));
            let old = old.and_then(Result::ok);
            let mut tokens = sign_in.tokens.clone();
            if let (None, Some(old)) = (&tokens.refresh, &old) {
                // a provider that gave one before may not give it again
                tokens.refresh.clone_from(&old.refresh);
            }
            grant.tokens = self.vouching.seal(&person, &tokens);
            let signed_in = SignedIn {
                code: entry.code.clone(),
                session: entry.session.clone(),
                grant_before: before.clone(),
                grant: grant.clone(),
                consent: entry.consent.clone(),
            };
            if let Some(ended) = self.store.put_code(entry.id, signed_in, now).await? {
                for session in ended {
                    self.live.end(session);
                    let why = "the person has too many";
                    Event::SessionEnded { session, why }.tell();
                }
                grant.sessions = before.map(|before| before.sessions).unwrap_or_default();
                self.vouching.learn(&grant);
                if let Some(old) = old
                    && is_left(&old, &sign_in.tokens)
                    && gives_back_these
                {
                    self.vouching.give_back_tokens(&grant, old);
                }
                return Ok(());
            }
        }
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

/// Whether nobody needs `old` any more now that `new` came: its refresh token may still be in use.
fn is_left(old: &UpstreamTokens, new: &UpstreamTokens) -> bool {
    old.refresh.is_none() || new.refresh.is_some()
}

const NOTHING_OPEN: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "none of the scopes that were asked for is open to the person who signed in",
};
