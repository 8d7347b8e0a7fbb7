//! What a person gave us at a provider: kept with their sign-in, shared by their sessions, given back with the last.

use zeroize::Zeroizing;

use crate::event::Event;
use crate::protocol::consent::{Consent, ConsentKey};
use crate::protocol::grant::Grant;
use crate::protocol::ids::{Id, ProviderId};
use crate::protocol::session::{IssuedCode, Session};
use crate::seal::Purpose;
use crate::store::SignedIn;
use crate::upstream::{SignIn, UpstreamTokens};

use super::{Failure, Flows};

/// What a sign-in leads to, but for the grant.
pub(super) struct Entry {
    /// Of the code.
    pub(super) id: Id,
    pub(super) code: IssuedCode,
    pub(super) session: Session,
    pub(super) consent: Option<(ConsentKey, Consent)>,
}

impl Flows {
    /// Keeps the session, not yet in force, the code that opens it, and what the provider gave: all or nothing, and durable
    /// before the browser is sent back. Where the person has a grant, its sessions live by the new one from here.
    pub(super) async fn keep_sign_in(
        &self,
        entry: Entry,
        provider: &ProviderId,
        sign_in: SignIn,
    ) -> Result<(), Failure> {
        let now = self.now();
        let person = sign_in.vouched.identity.subject.clone();
        let rules = self
            .upstream(provider)
            .map(|upstream| upstream.rules().mark());
        let mut tokens = sign_in.tokens;
        loop {
            let before = self.store.find_grant(&person, now).await?;
            if let (Some(before), None) = (&before, &tokens.refresh) {
                // a provider that gave one before may not give it again
                tokens.refresh = self.tokens_of(before)?.and_then(|tokens| tokens.refresh);
            }
            let grant = Grant {
                identity: sign_in.vouched.identity.clone(),
                provider: provider.clone(),
                tokens: self.sealer.seal(
                    Purpose::UpstreamTokens,
                    person.as_str().as_bytes(),
                    &tokens.to_bytes(),
                ),
                opens: sign_in.vouched.opens.clone(),
                rules: rules.unwrap_or_default(),
                checked: now,
                sessions: Vec::new(),
                expires: now + self.lifetimes.session + self.lifetimes.code,
            };
            let signed_in = SignedIn {
                code: entry.code.clone(),
                session: entry.session.clone(),
                grant_before: before,
                grant,
                consent: entry.consent.clone(),
            };
            if let Some(ended) = self.store.put_code(entry.id, signed_in, now).await? {
                for session in ended {
                    self.live.end(session);
                    let why = "the person has too many";
                    Event::SessionEnded { session, why }.tell();
                }
                return Ok(());
            }
        }
    }

    /// The provider's tokens, if they can be read.
    pub(super) fn tokens_of(&self, grant: &Grant) -> Result<Option<UpstreamTokens>, Failure> {
        let context = grant.subject().as_str().as_bytes();
        let clear: Zeroizing<Vec<u8>> =
            self.sealer
                .open(Purpose::UpstreamTokens, context, &grant.tokens)?;
        Ok(UpstreamTokens::from_bytes(&clear))
    }
}
