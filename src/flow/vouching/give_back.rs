//! Tokens that nobody will use again are given back: the provider ends them, as far as it lets us.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::event::{Event, GrantNews};
use crate::flow::Failure;
use crate::protocol::grant::Grant;
use crate::protocol::ids::{ProviderId, Subject};
use crate::upstream::{GivesBack, Upstream, UpstreamTokens};

use super::Vouching;
use super::answer::shares_one;

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
            Err(error) => {
                let why = error.to_string();
                let why = GrantNews::NotGivenBack(&why);
                tell(&grant.provider, grant.subject(), why);
            }
        }
    }

    /// The same for tokens that a grant does not hold any more, or never did.
    pub(in crate::flow) fn give_back_tokens(
        self: &Arc<Self>,
        grant: &Grant,
        tokens: UpstreamTokens,
    ) {
        self.give_back_unkept(&grant.provider, grant.subject(), tokens);
    }

    /// The same for those of a sign-in that is not kept.
    pub(in crate::flow) fn give_back_unkept(
        self: &Arc<Self>,
        provider: &ProviderId,
        person: &Subject,
        tokens: UpstreamTokens,
    ) {
        let Some(upstream) = self.upstream(provider).cloned() else {
            let why = GrantNews::NotGivenBack("it is no longer configured");
            return tell(provider, person, why);
        };
        // the store is not kept open for it
        let vouching = Arc::downgrade(self);
        let person = person.clone();
        let under_way = Arc::clone(&self.giving_back);
        tokio::spawn(async move {
            let mut waits = AGAIN.into_iter();
            while let Err(cause) = attempt(&vouching, &*upstream, &person, &tokens).await {
                let Some(wait) = waits.next() else {
                    let why = GrantNews::NotGivenBack(&cause);
                    return tell(upstream.id(), &person, why);
                };
                sleep(wait).await;
            }
            drop(under_way);
        });
    }

    /// Whether giving tokens back would take something from a person who is there: they have signed in again.
    pub(super) async fn would_be_missed(
        &self,
        upstream: &dyn Upstream,
        person: &Subject,
        tokens: &UpstreamTokens,
    ) -> Result<bool, Failure> {
        let found = self.store.find_grant(person, self.clock.now());
        Ok(match found.await? {
            None => false,
            Some(_) if upstream.gives_back() == GivesBack::Everything => true,
            Some(there) => shares_one(&self.tokens_of(&there)?, tokens),
        })
    }
}

async fn attempt(
    vouching: &Weak<Vouching>,
    upstream: &dyn Upstream,
    person: &Subject,
    tokens: &UpstreamTokens,
) -> Result<(), String> {
    // where all is over, so is this
    let Some(vouching) = vouching.upgrade() else {
        return Ok(());
    };
    let is_missed = vouching.would_be_missed(upstream, person, tokens).await;
    if is_missed.map_err(|error| error.to_string())? {
        return Ok(());
    }
    drop(vouching);
    match timeout(ATTEMPT, upstream.forget(tokens)).await {
        Ok(Ok(())) => {
            tell(upstream.id(), person, GrantNews::GivenBack);
            Ok(())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it took too long".to_owned()),
    }
}

fn tell(provider: &ProviderId, person: &Subject, news: GrantNews<'_>) {
    Event::OfGrant {
        provider,
        subject: person,
        news,
    }
    .tell();
}
