//! The provider's token of a session, for those who call the provider in the person's name.

use std::sync::{Arc, Weak};

use async_trait::async_trait;

use crate::event::Causes;
use crate::flow::Failure;
use crate::protocol::ids::Id;
use crate::protocol::principal::{NoUpstreamToken, UpstreamAccess};
use crate::secret::Secret;
use crate::upstream::{UpstreamTokens, UseFor};

use super::{Job, Outcome, Vouching, outcome};

/// The way to the tokens. It keeps nothing alive: who holds a session does not hold the store.
pub(in crate::flow) struct Access(Weak<Vouching>);

impl Access {
    pub(in crate::flow) fn to(vouching: &Arc<Vouching>) -> Arc<dyn UpstreamAccess> {
        Arc::new(Self(Arc::downgrade(vouching)))
    }
}

#[async_trait]
impl UpstreamAccess for Access {
    async fn token(&self, session: Id) -> Result<Secret, NoUpstreamToken> {
        let vouching = self.0.upgrade().ok_or(NoUpstreamToken::Unavailable)?;
        match vouching.upstream_token(session).await {
            Ok(token) => token,
            Err(incident) => {
                tracing::error!(error = %Causes(&incident), session.id = %session, "the provider's token could not be had");
                Err(NoUpstreamToken::Unavailable)
            }
        }
    }
}

impl Vouching {
    /// The access token, renewed where it was about to expire: once, however many ask. Where it cannot be renewed now, it
    /// is given out for as long as it lasts.
    async fn upstream_token(
        self: &Arc<Self>,
        session: Id,
    ) -> Result<Result<Secret, NoUpstreamToken>, Failure> {
        let mut may_renew = true;
        loop {
            let now = self.clock.now();
            let Some(session) = self.store.find_session(session, now).await? else {
                return Ok(Err(NoUpstreamToken::Ended));
            };
            let found = self.store.find_grant(&session.subject, now).await?;
            let Some(seen) = found.map(|grant| self.see(grant)).transpose()? else {
                return Ok(Err(NoUpstreamToken::Ended));
            };
            let Some(upstream) = self.upstream(&seen.grant.provider) else {
                return Ok(Err(NoUpstreamToken::Ended));
            };
            let as_it_is = |tokens: UpstreamTokens| match tokens.expires {
                Some(expires) if expires <= now => Err(NoUpstreamToken::Unavailable),
                _ => Ok(tokens.access),
            };
            if !may_renew || !upstream.renews(&seen.tokens, UseFor::Calling, now) {
                return Ok(as_it_is(seen.tokens));
            }
            match outcome(self.join(&seen.grant, Job::Renew)).await {
                // a check that was under way may have had no need to renew
                Outcome::Vouched(_) => {}
                Outcome::Ended => return Ok(Err(NoUpstreamToken::Ended)),
                Outcome::Renewed | Outcome::Failed | Outcome::Broken => may_renew = false,
            }
        }
    }
}
