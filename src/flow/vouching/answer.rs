//! What a provider said about a person, kept: for as long as the grant still is what it was asked about.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::event::{Event, GrantNews};
use crate::flow::Failure;
use crate::protocol::grant::Grant;
use crate::protocol::ids::{Id, Subject};
use crate::seal::{Purpose, Sealed};
use crate::secret::{Secret, same};
use crate::upstream::{UpstreamError, UpstreamTokens};

use super::{Outcome, Vouching, tell};

/// A grant as it was seen, with its tokens in clear.
pub(super) struct Seen {
    pub(super) grant: Grant,
    pub(super) tokens: UpstreamTokens,
}

/// Renewed tokens that the store could not keep.
pub(super) struct Unkept {
    /// What they were renewed from.
    before: UpstreamTokens,
    renewed: UpstreamTokens,
}

/// The most of them that are held at once. A store that fails right after it has shown that it writes is rare.
const UNKEPT: usize = 10_000;

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
                Ok(Some(kept)) => {
                    self.unkept.remove(&kept.grant.key());
                    tell(&kept.grant, GrantNews::Renewed);
                    return Ok(Some(kept));
                }
                Ok(None) => {
                    self.unkept.remove(&seen.grant.key());
                    self.give_back_tokens(&seen.grant, tokens);
                    return Ok(None);
                }
                Err(error) => {
                    let Some(wait) = waits.next() else {
                        self.hold(seen, tokens);
                        return Err(error);
                    };
                    sleep(wait).await;
                }
            }
        }
    }

    /// Holds what the store could not keep, to try again when the person is asked about next.
    pub(super) fn hold(&self, seen: Seen, renewed: UpstreamTokens) {
        if self.unkept.len() < UNKEPT {
            let before = seen.tokens;
            let unkept = Unkept { before, renewed };
            self.unkept.insert(seen.grant.key(), unkept);
        }
    }

    /// What was renewed for a grant, and could not be kept: it goes before what the grant holds.
    pub(super) fn held(&self, seen: &Seen) -> Option<(Seen, UpstreamTokens)> {
        let unkept = self.unkept.get(&seen.grant.key())?;
        let before = Seen {
            grant: seen.grant.clone(),
            tokens: unkept.before.clone(),
        };
        Some((before, unkept.renewed.clone()))
    }

    async fn put_tokens(
        &self,
        seen: &Seen,
        tokens: &UpstreamTokens,
    ) -> Result<Option<Seen>, Failure> {
        loop {
            let now = self.clock.now();
            let person = seen.grant.subject();
            let Some(found) = self.store.find_grant(person, now).await? else {
                return Ok(None);
            };
            let there = self.tokens_of(&found)?;
            let Some(kept) = in_place_of(&there, &seen.tokens, tokens) else {
                return Ok(None);
            };
            if are_same(&there, &kept) {
                // an attempt whose answer was lost
                let (grant, tokens) = (found, there);
                return Ok(Some(Seen { grant, tokens }));
            }
            let after = Grant {
                tokens: self.seal(person, &kept),
                ..found.clone()
            };
            if self.store.change_grant(&found, after.clone(), now).await? {
                let (grant, tokens) = (after, kept);
                return Ok(Some(Seen { grant, tokens }));
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
                let ended = self.end_refused(seen, "the provider ended it").await?;
                Ok(ended.map(|seen| {
                    tell(&seen.grant, GrantNews::Ended(&cause));
                    Outcome::Ended
                }))
            }
            UpstreamError::NotAllowed(..) => {
                let why = "the person is no longer allowed to enter";
                let ended = self.end_refused(seen, why).await?;
                Ok(ended.map(|seen| {
                    tell(&seen.grant, GrantNews::Ended("not on the allow-list"));
                    self.give_back_tokens(&seen.grant, seen.tokens);
                    Outcome::Ended
                }))
            }
        }
    }

    /// Ends the grant by the word of its provider. Where that cannot be kept, they do not go on all the same.
    async fn end_refused(&self, seen: Seen, why: &'static str) -> Result<Option<Seen>, Failure> {
        let person = seen.grant.key();
        let ended = self.end(seen, why).await;
        ended.inspect_err(|_| self.note_refusal(person))
    }

    /// Ends the grant, and its sessions for everybody. None where somebody signed in meanwhile: then it is no longer the
    /// one that was judged.
    pub(super) async fn end(
        &self,
        mut seen: Seen,
        why: &'static str,
    ) -> Result<Option<Seen>, Failure> {
        loop {
            if self.end_as_seen(&seen.grant, why).await? {
                return Ok(Some(seen));
            }
            match self.look_again(seen).await? {
                Some(again) => seen = again,
                None => return Ok(None),
            }
        }
    }

    /// Ends a grant that is as it was seen: whether it was.
    pub(in crate::flow) async fn end_as_seen(
        &self,
        grant: &Grant,
        why: &'static str,
    ) -> Result<bool, Failure> {
        let ended = self.end_untold(grant).await?;
        for session in ended.iter().flatten().copied() {
            Event::SessionEnded { session, why }.tell();
        }
        Ok(ended.is_some())
    }

    /// The same, of which nobody is told yet: the sessions that lived by it; none where it has changed.
    pub(in crate::flow) async fn end_untold(
        &self,
        grant: &Grant,
    ) -> Result<Option<Vec<Id>>, Failure> {
        let ended = self.store.end_grant(grant, self.clock.now()).await;
        let ended = ended.inspect_err(|_| {
            // whether it has ended is in doubt: here it has
            for session in &grant.sessions {
                self.live.end(*session);
            }
        });
        let Some(sessions) = ended? else {
            return Ok(None);
        };
        self.troubles.remove(&grant.key());
        self.unkept.remove(&grant.key());
        for session in &sessions {
            self.live.end(*session);
        }
        Ok(Some(sessions))
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

/// What takes the place of `there`, after `seen` was renewed. Somebody who signed in meanwhile at a provider that does not
/// repeat the refresh token brought an access token alone: the refresh token there is still the one that was renewed. None
/// where all there is newer.
fn in_place_of(
    there: &UpstreamTokens,
    seen: &UpstreamTokens,
    renewed: &UpstreamTokens,
) -> Option<UpstreamTokens> {
    if are_same(there, seen) || are_same(there, renewed) {
        return Some(renewed.clone());
    }
    let (refresh, next) = (there.refresh.as_ref()?, renewed.refresh.as_ref()?);
    let is_of = |tokens: &UpstreamTokens| {
        let other = tokens.refresh.as_ref();
        other.is_some_and(|other| is_same(other, refresh))
    };
    (is_of(seen) || is_of(renewed)).then(|| UpstreamTokens {
        refresh: Some(next.clone()),
        ..there.clone()
    })
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

/// Whether one of the tokens is in both.
pub(super) fn shares_one(left: &UpstreamTokens, right: &UpstreamTokens) -> bool {
    let refresh = match (&left.refresh, &right.refresh) {
        (Some(left), Some(right)) => is_same(left, right),
        _ => false,
    };
    refresh || is_same(&left.access, &right.access)
}

/// Whether it is the same token.
fn is_same(left: &Secret, right: &Secret) -> bool {
    same(left.expose().as_bytes(), right.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(access: &str, refresh: &str) -> UpstreamTokens {
        UpstreamTokens {
            access: Secret::new(access),
            refresh: Some(refresh)
                .filter(|refresh| !refresh.is_empty())
                .map(Secret::new),
            expires: None,
            scopes: Vec::new(),
            claims: None,
        }
    }

    /// CONS-22
    #[test]
    fn a_renewed_refresh_token_is_kept_beside_the_access_token_of_a_newer_sign_in() {
        let (seen, renewed) = (tokens("a0", "r0"), tokens("a1", "r1"));
        for (there, kept) in [
            (tokens("a0", "r0"), Some(("a1", "r1"))),
            (tokens("a1", "r1"), Some(("a1", "r1"))),
            // it did not get another refresh token, and took over the one that has been renewed since
            (tokens("a2", "r0"), Some(("a2", "r1"))),
            (tokens("a2", "r1"), Some(("a2", "r1"))),
            (tokens("a2", "r2"), None),
            (tokens("a2", ""), None),
        ] {
            let kept = kept.map(|(access, refresh)| tokens(access, refresh));
            let found = in_place_of(&there, &seen, &renewed);
            let is_as_expected = match (&found, &kept) {
                (Some(found), Some(kept)) => are_same(found, kept),
                (None, None) => true,
                _ => false,
            };
            assert!(is_as_expected, "{}", there.access.expose());
        }
    }
}
