//! One question to a provider about one person: the tokens renewed where they have to be, and whether it still vouches.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::event::{Causes, GrantNews};
use crate::flow::Failure;
use crate::flow::grant::kept_until;
use crate::protocol::grant::{Grant, GrantKey};
use crate::protocol::ids::Subject;
use crate::seal::{Purpose, SealError};
use crate::store::StoreError;
use crate::upstream::{Upstream, UpstreamError, UpstreamTokens};

use super::answer::Seen;
use super::{Job, Outcome, REST, Vouching, tell};

/// How long a provider may take to renew tokens. Whoever gives up loses the new ones, and the old ones may be dead: so it
/// is longer than anybody waits.
const RENEWING: Duration = Duration::from_secs(60);

/// How long it may take to say whether it vouches for somebody.
const VOUCHING: Duration = Duration::from_secs(30);

impl Vouching {
    /// Asks, and keeps what the provider says. An incident is told here: those who wait are many.
    pub(super) async fn ask(self: &Arc<Self>, person: &Subject, job: Job) -> Outcome {
        match self.ask_until_it_holds(person, job).await {
            Ok(outcome) => outcome,
            Err(incident) => {
                tracing::error!(error = %Causes(&incident), subject = %person, "what a provider says could not be kept");
                self.note_incident(GrantKey::of(person));
                Outcome::Broken
            }
        }
    }

    /// Asks again where somebody signed in meanwhile: what the provider said was about other tokens.
    async fn ask_until_it_holds(
        self: &Arc<Self>,
        person: &Subject,
        job: Job,
    ) -> Result<Outcome, Failure> {
        loop {
            let now = self.clock.now();
            let Some(grant) = self.store.find_grant(person, now).await? else {
                return Ok(Outcome::Ended);
            };
            if job == Job::Check && !self.is_due(&grant, now) {
                // whoever asked before this began had it asked
                return Ok(Outcome::Vouched(Arc::new(grant)));
            }
            if self
                .trouble_of(&grant, now)
                .is_some_and(|asked| now < asked + REST)
            {
                return Ok(Outcome::Failed);
            }
            let seen = match self.see(grant.clone()) {
                Err(Failure::Seal(SealError::OtherKey)) => {
                    // no key will open them again: with their end, the person can sign in anew
                    let why = "its tokens cannot be read any more";
                    if self.end_as_seen(&grant, why).await? {
                        tell(&grant, GrantNews::Ended("its tokens open with no key"));
                        return Ok(Outcome::Ended);
                    }
                    continue;
                }
                seen => seen?,
            };
            let asked = if let Some(upstream) = self.upstream(&seen.grant.provider) {
                self.ask_once(&**upstream, seen, job).await?
            } else {
                let why = "its provider is no longer configured";
                self.end(seen, why).await?.map(|_| Outcome::Ended)
            };
            if let Some(outcome) = asked {
                return Ok(outcome);
            }
        }
    }

    /// Renews, then asks. None where what the provider said is about tokens that are no longer those of the grant.
    async fn ask_once(
        self: &Arc<Self>,
        upstream: &dyn Upstream,
        mut seen: Seen,
        job: Job,
    ) -> Result<Option<Outcome>, Failure> {
        if let Some((before, renewed)) = self.held(&seen) {
            seen = match self.keep_renewed(before, renewed).await? {
                Some(seen) => seen,
                None => return Ok(None),
            };
        }
        let now = self.clock.now();
        if upstream.renews(&seen.tokens, job.purpose(), now) {
            // a store that cannot keep the new ones is to be known before the old ones are dead
            let same = seen.grant.clone();
            if !self.store.change_grant(&seen.grant, same, now).await? {
                return Ok(None);
            }
            let renewed = in_time(RENEWING, upstream.renew(&seen.tokens)).await;
            seen = match renewed {
                Ok(tokens) => match self.keep_renewed(seen, tokens).await? {
                    Some(seen) => seen,
                    None => return Ok(None),
                },
                Err(error) => return self.failed(seen, error).await,
            };
        }
        if job == Job::Renew {
            return Ok(Some(Outcome::Renewed));
        }
        let asked = self.clock.now();
        let rules = self.rules_of(&seen.grant.provider).unwrap_or_default();
        let person = seen.grant.subject();
        match in_time(VOUCHING, upstream.vouch(person, &seen.tokens)).await {
            Ok(vouched) if vouched.identity.subject != *person => {
                let other = UpstreamError::Ended("the tokens are another person's".to_owned());
                self.failed(seen, other).await
            }
            Ok(vouched) => {
                let after = |grant: Grant| Grant {
                    identity: vouched.identity.clone(),
                    opens: vouched.opens.clone(),
                    rules,
                    checked: asked,
                    // no session outlives it, whatever the settings were when it began
                    expires: grant.expires.max(kept_until(&self.lifetimes, asked)),
                    ..grant
                };
                self.keep_vouched(seen, after).await
            }
            Err(error) => self.failed(seen, error).await,
        }
    }

    /// The grant with its tokens in clear.
    pub(super) fn see(&self, grant: Grant) -> Result<Seen, Failure> {
        let tokens = self.tokens_of(&grant)?;
        Ok(Seen { grant, tokens })
    }

    /// The provider's tokens.
    pub(in crate::flow) fn tokens_of(&self, grant: &Grant) -> Result<UpstreamTokens, Failure> {
        let context = grant.subject().as_str().as_bytes();
        let clear = self
            .sealer
            .open(Purpose::UpstreamTokens, context, &grant.tokens)?;
        let tokens = UpstreamTokens::from_bytes(&clear);
        Ok(tokens.ok_or_else(|| StoreError::new("the provider's tokens cannot be read"))?)
    }
}

async fn in_time<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let late = |_| Err(UpstreamError::Unavailable("it took too long".to_owned()));
    timeout(limit, asking).await.unwrap_or_else(late)
}
