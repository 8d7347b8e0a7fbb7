//! Tokens that nobody will use again are given back: the provider ends them, as far as it lets us.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::event::GrantNews;
use crate::flow::Failure;
use crate::protocol::grant::Grant;
use crate::protocol::identity::Identity;
use crate::protocol::ids::ProviderId;
use crate::protocol::scope::ScopeSet;
use crate::upstream::{GivesBack, Unused, Upstream, UpstreamTokens};

use super::answer::is_same;
use super::{Vouching, tell};

/// How long apart it is tried again.
const AGAIN: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(20);

impl Vouching {
    /// Gives back what a grant that has ended held. Nobody waits for it.
    pub(in crate::flow) fn give_back(self: &Arc<Self>, grant: &Grant) {
        match self.tokens_of(grant) {
            Ok(tokens) => self.give_back_tokens(grant, tokens),
            Err(error) => tell(grant, GrantNews::NotGivenBack(&error.to_string())),
        }
    }

    /// The same for tokens that a grant does not hold any more, or never did.
    pub(in crate::flow) fn give_back_tokens(
        self: &Arc<Self>,
        grant: &Grant,
        tokens: UpstreamTokens,
    ) {
        let Some(upstream) = self.upstream(&grant.provider).cloned() else {
            return tell(grant, GrantNews::NotGivenBack("it is no longer configured"));
        };
        // the store is not kept open for it
        let vouching = Arc::downgrade(self);
        let grant = grant.clone();
        tokio::spawn(async move {
            let mut waits = AGAIN.into_iter();
            while let Err(cause) = attempt(&vouching, &*upstream, &grant, &tokens).await {
                match waits.next() {
                    Some(wait) => sleep(wait).await,
                    None => return tell(&grant, GrantNews::NotGivenBack(&cause)),
                }
            }
        });
    }

    /// The same for what came of a sign-in that leads to nothing. There is no grant for it, but the person may have one of
    /// before.
    pub(in crate::flow) fn give_back_unused(
        self: &Arc<Self>,
        provider: &ProviderId,
        unused: Unused,
    ) {
        let now = self.clock.now();
        let never_kept = Grant {
            tokens: self.seal(&unused.person, &unused.tokens),
            identity: Identity {
                subject: unused.person,
                login: None,
                name: None,
                verified_email: None,
            },
            provider: provider.clone(),
            opens: ScopeSet::default(),
            rules: [0; 32],
            checked: now,
            sessions: Vec::new(),
            expires: now,
        };
        self.give_back_tokens(&never_kept, unused.tokens);
    }

    /// Whether giving tokens back would take something from a person who is there: they have signed in again.
    pub(super) async fn would_be_missed(
        &self,
        upstream: &dyn Upstream,
        grant: &Grant,
        tokens: &UpstreamTokens,
    ) -> Result<bool, Failure> {
        let found = self.store.find_grant(grant.subject(), self.clock.now());
        Ok(match found.await? {
            None => false,
            Some(_) if upstream.gives_back() == GivesBack::Everything => true,
            Some(there) => is_same(&self.tokens_of(&there)?.access, &tokens.access),
        })
    }
}

async fn attempt(
    vouching: &Weak<Vouching>,
    upstream: &dyn Upstream,
    grant: &Grant,
    tokens: &UpstreamTokens,
) -> Result<(), String> {
    // where all is over, so is this
    let Some(vouching) = vouching.upgrade() else {
        return Ok(());
    };
    let is_missed = vouching.would_be_missed(upstream, grant, tokens).await;
    if is_missed.map_err(|error| error.to_string())? {
        return Ok(());
    }
    drop(vouching);
    match timeout(ATTEMPT, upstream.forget(tokens)).await {
        Ok(Ok(())) => {
            tell(grant, GrantNews::GivenBack);
            Ok(())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it took too long".to_owned()),
    }
}
