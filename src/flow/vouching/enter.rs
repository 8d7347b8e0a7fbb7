//! Somebody signed in: what the provider gave now takes the place of what it gave before.

use std::sync::Arc;

use crate::event::Event;
use crate::flow::Failure;
use crate::flow::grant::Entry;
use crate::protocol::grant::Grant;
use crate::store::SignedIn;
use crate::upstream::{GivesBack, UpstreamTokens};

use super::Vouching;

impl Vouching {
    /// Keeps a sign-in with the grant that it brings, whatever the person's grant was before.
    pub(in crate::flow) async fn enter(
        self: &Arc<Self>,
        entry: Entry,
        mut grant: Grant,
        tokens: UpstreamTokens,
    ) -> Result<(), Failure> {
        loop {
            let now = grant.checked;
            let before = self.store.find_grant(grant.subject(), now).await?;
            // what cannot be read any more is replaced all the same
            let old = before.as_ref().map(|before| self.tokens_of(before));
            let old = old.and_then(Result::ok);
            let mut kept = tokens.clone();
            if let (None, Some(old)) = (&kept.refresh, &old) {
                // a provider that gave one before may not give it again
                kept.refresh.clone_from(&old.refresh);
            }
            grant.tokens = self.seal(grant.subject(), &kept);
            let signed_in = SignedIn {
                code: entry.code.clone(),
                session: entry.session.clone(),
                grant_before: before.clone(),
                grant: grant.clone(),
                consent: entry.consent.clone(),
            };
            let Some(ended) = self.store.put_code(entry.id, signed_in, now).await? else {
                continue;
            };
            for session in ended {
                self.live.end(session);
                let why = "the person has too many";
                Event::SessionEnded { session, why }.tell();
            }
            grant.sessions = before.map(|before| before.sessions).unwrap_or_default();
            self.learn(&grant);
            if let Some(old) = old.filter(|old| is_left(old, &tokens)) {
                self.drop_tokens(&grant, old);
            }
            return Ok(());
        }
    }

    /// Gives back tokens that nobody will use, where that ends nothing else.
    fn drop_tokens(self: &Arc<Self>, grant: &Grant, tokens: UpstreamTokens) {
        let upstream = self.upstream(&grant.provider);
        if upstream.is_some_and(|upstream| upstream.gives_back() == GivesBack::TheseTokens) {
            self.give_back_tokens(grant, tokens);
        }
    }
}

/// Whether nobody needs `old` any more now that `new` came: its refresh token may still be in use.
fn is_left(old: &UpstreamTokens, new: &UpstreamTokens) -> bool {
    old.refresh.is_none() || new.refresh.is_some()
}
