//! Who has which child: every decision about it, and no process.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::NoChild;
use super::asker::{Asker, Told, Who};
use super::back_off::BackOff;
use super::child::Reached;
use crate::clock::UnixTime;
use crate::protocol::ids::Id;
use crate::protocol::principal::Standing;

/// How far a child is.
#[derive(Clone)]
pub(super) enum Progress {
    Starting,
    Running(Reached),
    Failed(NoChild),
}

/// A seat at a child, which is in use from now on.
pub(super) struct Seat {
    pub(super) child: u64,
    pub(super) progress: watch::Receiver<Progress>,
    /// Where it does not exist yet: whoever gets this starts it.
    pub(super) to_start: Option<ToStart>,
}

/// What the task of a new child is given.
pub(super) struct ToStart {
    pub(super) progress: watch::Sender<Progress>,
    /// Rings when there is something to decide.
    pub(super) bell: Arc<Notify>,
}

/// What becomes of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stays,
    Ends,
}

/// The children of one server. Those that were told to end are not in it any more.
pub(super) struct Roster {
    most: usize,
    idle: Duration,
    is_closed: bool,
    last: u64,
    turns: u64,
    children: HashMap<u64, Entry>,
    places: HashMap<Who, Place>,
}

/// A child that runs or is being started.
struct Entry {
    who: Who,
    told: Told,
    /// Who it was started for.
    turn: u64,
    starter: Option<Arc<Standing>>,
    progress: watch::Receiver<Progress>,
    bell: Arc<Notify>,
    /// Another one has taken its place, and it is there for its last calls.
    is_replaced: bool,
    in_use: usize,
    used: UnixTime,
    sessions: HashMap<Id, Arc<Standing>>,
}

/// What is known of somebody, with a child or without.
#[derive(Default)]
struct Place {
    child: Option<u64>,
    /// What the children before the present one were told. Other sessions may be of other tokens and names, and whoever
    /// was slow still asks with those of before: they do not turn it round.
    before: VecDeque<Told>,
    back_off: BackOff,
}

impl Roster {
    pub(super) fn new(most: usize, idle: Duration) -> Self {
        Self {
            most,
            idle,
            is_closed: false,
            last: 0,
            turns: 0,
            children: HashMap::new(),
            places: HashMap::new(),
        }
    }

    /// The child that fits, or a new one.
    pub(super) fn seat(&mut self, asker: Asker, now: UnixTime) -> Result<Seat, NoChild> {
        if self.is_closed {
            return Err(NoChild::NotStarted(Duration::ZERO));
        }
        let (child, to_start) = if let Some(child) = self.fitting(&asker) {
            (child, None)
        } else {
            let (child, to_start) = self.add(&asker, now)?;
            (child, Some(to_start))
        };
        let entry = self.children.get_mut(&child);
        let entry = entry.ok_or(NoChild::NotStarted(Duration::ZERO))?;
        entry.in_use += 1;
        if let Some(standing) = asker.standing {
            entry.sessions.retain(|_, session| !session.has_ended());
            entry.sessions.insert(standing.session, standing);
        }
        Ok(Seat {
            child,
            progress: entry.progress.clone(),
            to_start,
        })
    }

    /// A turn for somebody who begins to ask.
    pub(super) fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// The child that somebody has, if it was told what they know, or something newer.
    fn fitting(&self, asker: &Asker) -> Option<u64> {
        let place = self.places.get(&asker.who)?;
        let child = place.child?;
        let entry = self.children.get(&child)?;
        // with its session a token ends, however new it is
        let is_good = entry.starter.as_ref().is_none_or(|of| !of.has_ended());
        let is_older = asker.turn < entry.turn || place.before.contains(&asker.told);
        (asker.told == entry.told || (is_good && is_older)).then_some(child)
    }

    fn add(&mut self, asker: &Asker, now: UnixTime) -> Result<(u64, ToStart), NoChild> {
        // what is left of those who are long gone
        self.places
            .retain(|_, place| place.child.is_some() || place.back_off.matters(now));
        let place = self.places.get(&asker.who);
        if let Some(remaining) = place.and_then(|place| place.back_off.remaining(now)) {
            return Err(NoChild::NotStarted(remaining));
        }
        let old = place.and_then(|place| place.child);
        let entry = old.and_then(|old| self.children.get(&old));
        let before = entry.map(|entry| entry.told.clone());
        self.make_room(&asker.who, old)?;
        if let Some(old) = old {
            self.replace(old);
        }
        self.last += 1;
        let child = self.last;
        let (progress, receiver) = watch::channel(Progress::Starting);
        let bell = Arc::new(Notify::new());
        let place = self.places.entry(asker.who.clone()).or_default();
        place.child = Some(child);
        place.before.extend(before);
        place.before.retain(|told| *told != asker.told);
        if place.before.len() > BEFORE {
            place.before.pop_front();
        }
        self.children.insert(
            child,
            Entry {
                who: asker.who.clone(),
                told: asker.told.clone(),
                turn: asker.turn,
                starter: asker.standing.clone(),
                progress: receiver,
                bell: Arc::clone(&bell),
                is_replaced: false,
                in_use: 0,
                used: now,
                sessions: HashMap::new(),
            },
        );
        Ok((child, ToStart { progress, bell }))
    }

    /// Room for one more: somebody has at most the child that is to be replaced besides a new one, and where all are
    /// there, the one is ended that nobody uses, and nobody has used for longest. `old` makes room where nobody else can.
    fn make_room(&mut self, who: &Who, old: Option<u64>) -> Result<(), NoChild> {
        let before = |entry: &Entry| entry.is_replaced && entry.who == *who;
        let before = self.children.iter().filter(|(_, entry)| before(entry));
        for child in before.map(|(child, _)| *child).collect::<Vec<_>>() {
            self.dismiss(child);
        }
        if self.children.len() < self.most {
            return Ok(());
        }
        let unused = self.children.iter().filter(|(_, entry)| entry.in_use == 0);
        let unused = unused.min_by_key(|(child, entry)| (entry.used, **child));
        let leaving = unused.map(|(child, _)| *child).or(old);
        self.dismiss(leaving.ok_or(NoChild::TooMany)?);
        Ok(())
    }

    /// A child gives its place up, and ends when nobody uses it.
    fn replace(&mut self, child: u64) {
        if let Some(entry) = self.children.get_mut(&child) {
            entry.is_replaced = true;
            entry.bell.notify_one();
        }
    }

    /// Ends a child, whatever it does.
    pub(super) fn dismiss(&mut self, child: u64) {
        let Some(entry) = self.children.remove(&child) else {
            return;
        };
        if let Some(place) = self.places.get_mut(&entry.who)
            && place.child == Some(child)
        {
            place.child = None;
        }
        entry.bell.notify_one();
    }

    /// Somebody needs a child no longer.
    pub(super) fn leave(&mut self, child: u64, now: UnixTime) {
        if let Some(entry) = self.children.get_mut(&child) {
            entry.in_use -= 1;
            entry.used = now;
            if entry.is_replaced {
                entry.bell.notify_one();
            }
        }
    }

    /// A child can be used from now on.
    pub(super) fn started(&mut self, child: u64, now: UnixTime) {
        if let Some(entry) = self.children.get_mut(&child) {
            entry.used = now;
        }
    }

    /// Whether a child is to go on. One that is told to end is not in here any more.
    pub(super) fn judge(&mut self, child: u64, now: UnixTime) -> Verdict {
        let Some(entry) = self.children.get(&child) else {
            return Verdict::Ends;
        };
        let is_idle = entry.in_use == 0 && now - entry.used >= self.idle;
        let is_left = entry.in_use == 0 && entry.is_replaced;
        let mut sessions = entry.sessions.values();
        let is_over = !entry.sessions.is_empty() && sessions.all(|session| session.has_ended());
        if is_idle || is_left || is_over {
            self.dismiss(child);
            return Verdict::Ends;
        }
        Verdict::Stays
    }

    /// Whether a child is still to be there.
    pub(super) fn has(&self, child: u64) -> bool {
        self.children.contains_key(&child)
    }

    /// Whether somebody uses it now.
    pub(super) fn is_in_use(&self, child: u64) -> bool {
        let entry = self.children.get(&child);
        entry.is_some_and(|entry| entry.in_use > 0)
    }

    /// A child could not be started, or ended soon: how long there will be no other.
    pub(super) fn failed(&mut self, child: u64, who: &Who, now: UnixTime) -> Duration {
        self.dismiss(child);
        let place = self.places.entry(who.clone()).or_default();
        if !place.back_off.matters(now) {
            place.back_off = BackOff::default();
        }
        place.back_off.fail(now)
    }

    /// A child is over that did well for long: what failed before is forgotten.
    pub(super) fn done(&mut self, child: u64, who: &Who) {
        self.dismiss(child);
        if let Some(place) = self.places.get_mut(who) {
            place.back_off = BackOff::default();
        }
    }

    /// Lets every child be judged.
    pub(super) fn ring(&self) {
        for entry in self.children.values() {
            entry.bell.notify_one();
        }
    }

    /// Ends all of them, for good.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        let all: Vec<_> = self.children.keys().copied().collect();
        for child in all {
            self.dismiss(child);
        }
    }
}

/// As many sessions as a person may well have.
const BEFORE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::Identity;
    use crate::protocol::ids::{ClientId, ProviderId, Subject};
    use crate::secret::Secret;

    const NOW: UnixTime = UnixTime(1_000);
    const IDLE: Duration = Duration::from_secs(60);

    fn asker(account: &str, token: &str, turn: u64) -> Asker {
        let subject = Subject::at(&ProviderId::new("github"), account);
        let identity = Identity {
            subject: subject.clone(),
            login: None,
            name: None,
            verified_email: None,
        };
        let standing = Standing::new(Id::new(NOW), ClientId::new("c"), identity.clone());
        Asker {
            who: Who::Person(subject),
            standing: Some(Arc::new(standing)),
            told: Told {
                token: Some(Secret::new(token).digest()),
                identity: Some(identity),
            },
            turn,
        }
    }

    fn seat(roster: &mut Roster, account: &str, token: &str) -> Option<u64> {
        let asker = asker(account, token, roster.turn());
        Some(roster.seat(asker, NOW).ok()?.child)
    }

    #[test]
    fn whoever_was_slow_does_not_turn_a_child_round_that_was_told_what_is_newer() {
        let mut roster = Roster::new(9, IDLE);
        let slow = roster.turn();
        let child = seat(&mut roster, "mona", "new").unwrap();
        let seat_of_slow = roster.seat(asker("mona", "old", slow), NOW);
        assert_eq!(seat_of_slow.ok().unwrap().child, child);
        // of another session
        assert_ne!(seat(&mut roster, "mona", "other"), Some(child));
    }

    #[test]
    fn sessions_with_tokens_of_their_own_do_not_take_turns_at_replacing_a_child() {
        for most in [1, 9] {
            let mut roster = Roster::new(most, IDLE);
            for token in ["1", "2", "3", "4"] {
                seat(&mut roster, "mona", token).unwrap();
            }
            let last = roster.last;
            for token in ["1", "2", "3", "4", "3", "1"] {
                assert_eq!(seat(&mut roster, "mona", token), Some(last), "{token}");
            }
        }
    }

    #[test]
    fn a_child_with_the_token_of_a_session_that_is_over_is_replaced() {
        let mut roster = Roster::new(9, IDLE);
        seat(&mut roster, "mona", "1").unwrap();
        let turn = roster.turn();
        let other = asker("mona", "2", turn);
        let standing = other.standing.clone().unwrap();
        let child = roster.seat(other, NOW).ok().unwrap().child;
        assert_eq!(seat(&mut roster, "mona", "1"), Some(child));
        standing.end();
        let new = seat(&mut roster, "mona", "1").unwrap();
        assert_ne!(new, child);
        assert_eq!(seat(&mut roster, "mona", "2"), Some(new));
    }

    #[test]
    fn a_child_is_replaced_when_its_person_has_another_name() {
        let mut roster = Roster::new(9, IDLE);
        let child = seat(&mut roster, "mona", "1").unwrap();
        assert_eq!(seat(&mut roster, "mona", "1"), Some(child));
        let turn = roster.turn();
        let mut renamed = asker("mona", "1", turn);
        if let Some(identity) = &mut renamed.told.identity {
            identity.login = Some("lisa".to_owned());
        }
        assert_ne!(roster.seat(renamed, NOW).ok().unwrap().child, child);
    }

    #[test]
    fn somebody_has_two_children_at_most_while_their_token_changes() {
        let mut roster = Roster::new(3, IDLE);
        let first = seat(&mut roster, "mona", "1").unwrap();
        let second = seat(&mut roster, "mona", "2").unwrap();
        assert_eq!(roster.judge(first, NOW), Verdict::Stays);
        // one that was slow
        assert_eq!(seat(&mut roster, "mona", "1"), Some(second));
        let third = seat(&mut roster, "mona", "3").unwrap();
        assert!(!roster.has(first) && roster.has(second) && roster.has(third));
        roster.leave(second, NOW);
        assert_eq!(roster.judge(second, NOW), Verdict::Stays);
        roster.leave(second, NOW);
        assert_eq!(roster.judge(second, NOW), Verdict::Ends);
        assert!(roster.has(third));
    }

    #[test]
    fn where_there_is_no_room_for_both_the_old_one_ends_at_once() {
        let mut roster = Roster::new(1, IDLE);
        let first = seat(&mut roster, "mona", "1").unwrap();
        assert_eq!(seat(&mut roster, "octavia", "1"), None);
        let second = seat(&mut roster, "mona", "2").unwrap();
        assert!(!roster.has(first) && roster.has(second));
        roster.leave(first, NOW);
        roster.leave(second, NOW);
        let third = seat(&mut roster, "octavia", "1").unwrap();
        assert!(!roster.has(second) && roster.has(third));
    }

    #[test]
    fn those_who_are_gone_are_forgotten() {
        let mut roster = Roster::new(2, IDLE);
        for number in 0..100 {
            let somebody = asker(&number.to_string(), "1", 0);
            let who = somebody.who.clone();
            let child = roster.seat(somebody, NOW).unwrap().child;
            roster.failed(child, &who, NOW);
        }
        assert_eq!((roster.children.len(), roster.places.len()), (0, 100));
        let later = NOW + Duration::from_secs(301);
        let child = roster.seat(asker("mona", "1", 0), later).unwrap().child;
        assert_eq!((roster.children.len(), roster.places.len()), (1, 1));
        roster.close();
        assert!(!roster.has(child) && roster.seat(asker("mona", "1", 0), later).is_err());
    }
}
