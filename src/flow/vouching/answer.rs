//! What a provider said about a person, kept: for as long as the grant still is what it was asked about.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::event::{Event, GrantNews};
use crate::flow::Failure;
use crate::protocol::grant::Grant;
use crate::protocol::ids::Subject;
use crate::seal::{Purpose, Sealed};
use crate::secret::{Secret, same};
use crate::upstream::{UpstreamError, UpstreamTokens};

use super::{Outcome, Vouching, tell};

/// A grant as it was seen, with its tokens in clear.
pub(super) struct Seen {
    pub(super) grant: Grant,
    pub(super) tokens: UpstreamTokens,
}

/// How often it is tried to keep renewed tokens, and how long apart: those that they took the place of may be dead.
const KEEPING: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

impl Vouching {
    /// Puts renewed tokens in the place of those that they came of, durably. None where somebody signed in meanwhile, or
    /// nobody is left: then nobody will use them.
    pub(super) async fn keep_renewed(
        self: &Arc<Self>,
        seen: Seen,
        tokens: UpstreamTokens,
    ) -> Result<Option<Seen>, Failure> {
        let mut waits = KEEPING.into_iter();
        loop {
            match self.put_tokens(&seen, &tokens).await {
                Ok(Some(grant)) => {
                    self.troubles.remove(&grant.key());
                    tell(&grant, GrantNews::Renewed);
                    return Ok(Some(Seen { grant, tokens }));
                }
                Ok(None) => {
                    self.give_back_tokens(&seen.grant, tokens);
                    return Ok(None);
                }
                Err(error) => match waits.next() {
                    Some(wait) => sleep(wait).await,
                    None => return Err(error),
                },
            }
        }
    }

    async fn put_tokens(
        &self,
        seen: &Seen,
        tokens: &UpstreamTokens,
    ) -> Result<Option<Grant>, Failure> {
        loop {
            let now = self.clock.now();
            let person = seen.grant.subject();
            let Some(found) = self.store.find_grant(person, now).await? else {
                return Ok(None);
            };
            let there = self.tokens_of(&found)?;
            if are_same(&there, tokens) {
                // an attempt whose answer was lost
                return Ok(Some(found));
            }
            if !are_same(&there, &seen.tokens) {
                return Ok(None);
            }
            let after = Grant {
                tokens: self.seal(person, tokens),
                ..found.clone()
            };
            if self.store.change_grant(&found, after.clone(), now).await? {
                return Ok(Some(after));
            }
        }
    }

    /// Keeps the provider's word. None where it was about other tokens than those of the grant.
    pub(super) async fn keep_vouched(
        &self,
        mut seen: Seen,
        after: impl Fn(Grant) -> Grant,
    ) -> Result<Option<Outcome>, Failure> {
        loop {
            let after = after(seen.grant.clone());
            let now = self.clock.now();
            let changed = self.store.change_grant(&seen.grant, after.clone(), now);
            if changed.await? {
                self.learn(&after);
                return Ok(Some(Outcome::Vouched(Arc::new(after))));
            }
            match self.look_again(seen).await? {
                Some(again) => seen = again,
                None => return Ok(None),
            }
        }
    }

    /// The provider did not do what it was asked for. Only its own word ends anything: an outage, a limit and what cannot
    /// be understood do not.
    pub(super) async fn failed(
        self: &Arc<Self>,
        seen: Seen,
        error: UpstreamError,
    ) -> Result<Option<Outcome>, Failure> {
        match error {
            UpstreamError::Unavailable(cause) | UpstreamError::Invalid(cause) => {
                self.note_trouble(&seen.grant, &cause);
                Ok(Some(Outcome::Failed))
            }
            UpstreamError::Ended(cause) => {
                let ended = self.end(seen, "the provider ended it").await?;
                Ok(ended.map(|seen| {
                    tell(&seen.grant, GrantNews::Ended(&cause));
                    Outcome::Ended
                }))
            }
            UpstreamError::NotAllowed(..) => {
                let why = "the person is no longer allowed to enter";
                let ended = self.end(seen, why).await?;
                Ok(ended.map(|seen| {
                    tell(&seen.grant, GrantNews::Ended("not on the allow-list"));
                    self.give_back_tokens(&seen.grant, seen.tokens);
                    Outcome::Ended
                }))
            }
        }
    }

    /// Ends the grant, and its sessions for everybody. None where somebody signed in meanwhile: then it is no longer the
    /// one that was judged.
    pub(super) async fn end(
        &self,
        mut seen: Seen,
        why: &'static str,
    ) -> Result<Option<Seen>, Failure> {
        loop {
            let ended = self.store.end_grant(&seen.grant, self.clock.now()).await;
            let ended = ended.inspect_err(|_| {
                // whether it has ended is in doubt: here it has
                for session in &seen.grant.sessions {
                    self.live.end(*session);
                }
            });
            if let Some(sessions) = ended? {
                self.troubles.remove(&seen.grant.key());
                for session in sessions {
                    self.live.end(session);
                    Event::SessionEnded { session, why }.tell();
                }
                return Ok(Some(seen));
            }
            match self.look_again(seen).await? {
                Some(again) => seen = again,
                None => return Ok(None),
            }
        }
    }

    /// The grant as it is now, if its tokens are still the same: what was said about them holds then.
    async fn look_again(&self, seen: Seen) -> Result<Option<Seen>, Failure> {
        let person = seen.grant.subject();
        let found = self.store.find_grant(person, self.clock.now()).await?;
        let Some(grant) = found else {
            return Ok(None);
        };
        let again = self.see(grant)?;
        Ok(are_same(&again.tokens, &seen.tokens).then_some(again))
    }

    /// The provider's tokens as they are kept.
    pub(in crate::flow) fn seal(&self, person: &Subject, tokens: &UpstreamTokens) -> Sealed {
        let context = person.as_str().as_bytes();
        self.sealer
            .seal(Purpose::UpstreamTokens, context, &tokens.to_bytes())
    }
}

/// Whether they are the same tokens, however they are sealed.
fn are_same(left: &UpstreamTokens, right: &UpstreamTokens) -> bool {
    let refresh = match (&left.refresh, &right.refresh) {
        (Some(left), Some(right)) => is_same(left, right),
        (None, None) => true,
        _ => false,
    };
    refresh && is_same(&left.access, &right.access)
}

/// Whether it is the same token.
pub(super) fn is_same(left: &Secret, right: &Secret) -> bool {
    same(left.expose().as_bytes(), right.expose().as_bytes())
}
