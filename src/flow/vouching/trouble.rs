//! Providers that cannot be asked about somebody: how long people go on without their word.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::event::GrantNews;
use crate::protocol::grant::{Grant, GrantKey};

use super::{REST, Status, Vouching, tell};

/// How long it is remembered that a provider could not be asked about somebody whom nobody has asked for since.
const MEMORY: Duration = Duration::from_secs(3600);

/// That somebody could not be asked about.
#[derive(Debug)]
pub(super) struct Trouble {
    /// When it was tried last.
    asked: UnixTime,
    /// What was told of it; none: it was an incident of ours.
    told: Option<String>,
    /// The provider has said that they may not go on, and it could not be kept.
    is_refused: bool,
}

impl Vouching {
    /// When somebody could not be asked about. What lies in the future is of a clock that has been put right since.
    pub(super) fn trouble_of(&self, grant: &Grant, now: UnixTime) -> Option<UnixTime> {
        let trouble = self.troubles.get(&grant.key())?;
        Some(trouble.asked).filter(|asked| *asked <= now)
    }

    /// Whether somebody goes on while their provider cannot be asked: they were let in under the rules of now, and its last
    /// word was that they may enter, not too long ago. Whoever was let in under other rules is neither logged out nor
    /// honoured until it was asked.
    pub(super) fn has_grace(&self, grant: &Grant, now: UnixTime) -> bool {
        let trouble = self.troubles.get(&grant.key());
        let is_refused = trouble.is_some_and(|trouble| trouble.is_refused);
        !is_refused && self.is_under_these_rules(grant) && now < self.end_of_grace(grant)
    }

    /// What is known of somebody who could not be asked about at `asked`.
    pub(super) fn in_grace(&self, grant: Grant, asked: UnixTime) -> Status {
        if self.has_grace(&grant, self.clock.now()) {
            let until = (asked + REST).min(self.end_of_grace(&grant));
            Status::Good(Arc::new(grant), until)
        } else {
            Status::Unknown
        }
    }

    fn end_of_grace(&self, grant: &Grant) -> UnixTime {
        self.good_until(grant) + self.lifetimes.upstream_grace
    }

    /// The provider could not be asked about somebody: it is told once for each cause, and not asked again at once.
    pub(super) fn note_trouble(&self, grant: &Grant, cause: &str) {
        let is_news = {
            let mut trouble = self.trouble(grant.key());
            let is_news = trouble.told.as_deref() != Some(cause);
            trouble.told = Some(cause.to_owned());
            is_news
        };
        if is_news {
            tell(grant, GrantNews::Unknown(cause));
        }
    }

    /// An incident of ours kept somebody from being asked about, or the answer from being kept. It is told where it happens.
    pub(super) fn note_incident(&self, person: GrantKey) {
        drop(self.trouble(person));
    }

    /// The provider said that somebody may not go on, and that could not be kept.
    pub(super) fn note_refusal(&self, person: GrantKey) {
        self.trouble(person).is_refused = true;
    }

    /// The trouble of somebody, of now.
    fn trouble(&self, person: GrantKey) -> dashmap::mapref::one::RefMut<'_, GrantKey, Trouble> {
        let asked = self.clock.now();
        let mut trouble = self.troubles.entry(person).or_insert(Trouble {
            asked,
            told: None,
            is_refused: false,
        });
        trouble.asked = asked;
        trouble
    }

    /// Somebody was asked about.
    pub(super) fn end_trouble(&self, grant: &Grant) {
        let trouble = self.troubles.remove(&grant.key());
        if trouble.is_some_and(|(_, trouble)| trouble.told.is_some()) {
            tell(grant, GrantNews::KnownAgain);
        }
    }

    /// Forgets troubles that nobody has asked for in a while.
    pub(in crate::flow) fn prune(&self) {
        let now = self.clock.now();
        self.troubles
            .retain(|_, trouble| trouble.asked <= now && now < trouble.asked + MEMORY);
    }
}
