//! Any sequence of verbs on a store answers as a plain map would.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::collections::{BTreeMap, HashMap};

use anteroom::clock::UnixTime;
use anteroom::protocol::client::Client;
use anteroom::protocol::client_metadata::ClientDocument;
use anteroom::protocol::grant::{Grant, GrantKey};
use anteroom::protocol::ids::{ClientId, Id, Subject};
use anteroom::protocol::session::Session;
use anteroom::store::SignedIn;
use anteroom::store::Store;
use anteroom::store::memory::MemoryStore;
use anteroom::store::sample::{
    NOW, browser_record, client, code, consent, digest, document, first_sign_in, grant, id,
    opening, pending, pushed, sealed, session, turn,
};
use anteroom::store::sled::SledStore;
use proptest::prelude::*;
use tempfile::tempdir;

/// One verb on one of a few rows. Times count in seconds from the start; tokens are numbers.
#[derive(Clone, Debug)]
enum Verb {
    PutClient(u8, i64),
    KeepClient(u8, i64),
    /// From the name that it was seen with, none: as it was put.
    ChangeClient(u8, Option<u8>, u8),
    ForgetClient(u8),
    PutDocument(u8, u8, i64),
    SpendAssertion(u8, i64),
    PutPushed(u8, i64),
    ClaimPushed(u8, u8),
    ForgetConsent(u8),
    PutPending(u8, i64),
    TakePending(u8),
    ForgetDocument(u8),
    /// With the lives of code and session, and a consent and its life, where one is kept.
    PutCode(u8, (i64, i64), Option<(u8, i64)>, Entry),
    SpendCode(u8, u8, i64),
    Rotate(u8, u8, u8, i64),
    EndSession(u8),
    /// Whose, the tokens that it was seen with, new ones and its life.
    ChangeGrant(u8, u8, u8, i64),
    /// Whose, and the tokens that it was seen with.
    EndGrant(u8, u8),
    /// Of which kind, behind which row, and how many.
    List(char, Option<u8>, usize),
    PutKey(u8, u8),
    /// From what it was seen as.
    ChangeKey(u8, u8, u8),
    PutBrowser(u8, u8, i64),
    SaveBrowser(u8, u8, i64),
    ForgetBrowser(u8),
    Sweep(usize),
    Wait(i64),
    Restart,
}

/// What somebody brings who signs in.
#[derive(Clone, Copy, Debug)]
struct Entry {
    seen: Seen,
    tokens: u8,
    life: i64,
}

/// How a person's grant was seen.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// As it is.
    JustNow,
    /// It was not there.
    Nothing,
    /// With these tokens.
    With(u8),
}

fn entry() -> impl Strategy<Value = Entry> {
    let seen = prop_oneof![
        4 => Just(Seen::JustNow),
        1 => Just(Seen::Nothing),
        1 => (0..2u8).prop_map(Seen::With),
    ];
    (seen, 0..2u8, 0..90i64).prop_map(|(seen, tokens, life)| Entry { seen, tokens, life })
}

/// Rows of a kind.
const ROWS: u8 = 4;

/// Whose session this is: two have two each.
fn person_of(row: u8) -> u8 {
    row % 2
}

fn subject(person: u8) -> Subject {
    Subject::new(format!("github:{person}"))
}

fn verb() -> impl Strategy<Value = Verb> {
    let row = || 0..ROWS;
    let person = || 0..2u8;
    let kind = || prop::sample::select(vec!['c', 'd', 's', 'g']);
    let token = || 0..4u8;
    let life = || 0..60i64;
    prop_oneof![
        (row(), life()).prop_map(|(r, l)| Verb::PutClient(r, l)),
        (row(), life()).prop_map(|(r, l)| Verb::KeepClient(r, l)),
        (row(), prop::option::of(0..2u8), 0..2u8)
            .prop_map(|(r, from, to)| Verb::ChangeClient(r, from, to)),
        row().prop_map(Verb::ForgetClient),
        (row(), token(), life()).prop_map(|(r, t, l)| Verb::PutDocument(r, t, l)),
        (row(), life()).prop_map(|(r, l)| Verb::SpendAssertion(r, l)),
        (row(), life()).prop_map(|(r, l)| Verb::PutPushed(r, l)),
        (row(), token()).prop_map(|(r, b)| Verb::ClaimPushed(r, b)),
        row().prop_map(Verb::ForgetConsent),
        (row(), life()).prop_map(|(r, l)| Verb::PutPending(r, l)),
        row().prop_map(Verb::TakePending),
        row().prop_map(Verb::ForgetDocument),
        // more often than the others: what follows needs one
        (
            row(),
            (life(), life()),
            prop::option::of((row(), life())),
            entry()
        )
            .prop_map(|(r, l, c, e)| Verb::PutCode(r, l, c, e)),
        (
            row(),
            (life(), life()),
            prop::option::of((row(), life())),
            entry()
        )
            .prop_map(|(r, l, c, e)| Verb::PutCode(r, l, c, e)),
        (row(), token(), life()).prop_map(|(r, t, l)| Verb::SpendCode(r, t, l)),
        (row(), token(), token(), life()).prop_map(|(r, f, t, l)| Verb::Rotate(r, f, t, l)),
        (row(), token(), token(), life()).prop_map(|(r, f, t, l)| Verb::Rotate(r, f, t, l)),
        row().prop_map(Verb::EndSession),
        (person(), person(), person(), life())
            .prop_map(|(p, f, t, l)| Verb::ChangeGrant(p, f, t, l)),
        (person(), person()).prop_map(|(p, t)| Verb::EndGrant(p, t)),
        (kind(), prop::option::of(row()), 0..4usize).prop_map(|(k, a, m)| Verb::List(k, a, m)),
        (row(), token()).prop_map(|(r, t)| Verb::PutKey(r, t)),
        (row(), token(), token()).prop_map(|(r, f, t)| Verb::ChangeKey(r, f, t)),
        (row(), token(), life()).prop_map(|(r, t, l)| Verb::PutBrowser(r, t, l)),
        (row(), token(), life()).prop_map(|(r, t, l)| Verb::SaveBrowser(r, t, l)),
        row().prop_map(Verb::ForgetBrowser),
        (0..4usize).prop_map(Verb::Sweep),
        (1..40i64).prop_map(Verb::Wait),
        Just(Verb::Restart),
    ]
}

/// What a row is, as far as the verbs tell.
#[derive(Clone, Debug, PartialEq)]
enum Kept {
    /// With the name that it was changed to.
    Client(Option<u8>),
    Document(u8),
    Assertion,
    /// With the browser that has it.
    Pushed(Option<u8>),
    Consent,
    Pending,
    Code {
        spent: bool,
    },
    Session {
        current: Option<u8>,
        previous: Option<u8>,
    },
    Grant {
        tokens: u8,
        /// The rows of its sessions.
        sessions: Vec<u8>,
    },
    Browser(u8),
}

/// Rows by kind and number, with their end.
#[derive(Default)]
struct Model {
    rows: HashMap<(char, u8), (Kept, i64)>,
    keys: HashMap<u8, u8>,
    now: i64,
}

impl Model {
    fn alive(&self, kind: char, row: u8) -> Option<&(Kept, i64)> {
        self.rows
            .get(&(kind, row))
            .filter(|(_, end)| self.now < *end)
    }

    /// Puts a row where there is none.
    fn create(&mut self, kind: char, row: u8, kept: Kept, life: i64) -> bool {
        let free = !self.rows.contains_key(&(kind, row));
        if free {
            self.rows.insert((kind, row), (kept, self.now + life));
        }
        free
    }

    fn apply(&mut self, verb: &Verb) -> String {
        match *verb {
            Verb::PutPending(row, life) => said(self.create('p', row, Kept::Pending, life)),
            Verb::TakePending(row) => {
                let there = self.alive('p', row).is_some();
                if there {
                    self.rows.remove(&('p', row));
                }
                said(there)
            }
            Verb::PutKey(row, key) => {
                format!(
                    "{:?}",
                    sealed(&self.keys.entry(row).or_insert(key).to_string())
                )
            }
            Verb::ChangeKey(row, from, to) => {
                let is_as_seen = self.keys.get(&row) == Some(&from);
                if is_as_seen {
                    self.keys.insert(row, to);
                }
                said(is_as_seen)
            }
            Verb::PutBrowser(row, value, life) => {
                said(self.create('b', row, Kept::Browser(value), life))
            }
            Verb::SaveBrowser(row, value, life) => {
                let there = self.alive('b', row).is_some();
                if there {
                    let end = self.now + life;
                    self.rows.insert(('b', row), (Kept::Browser(value), end));
                }
                said(there)
            }
            Verb::ForgetBrowser(row) => {
                self.rows.remove(&('b', row));
                String::new()
            }
            Verb::Wait(seconds) => {
                self.now += seconds;
                String::new()
            }
            _ => self.apply_to_client(verb),
        }
    }

    fn apply_to_client(&mut self, verb: &Verb) -> String {
        match *verb {
            Verb::PutClient(row, life) => said(self.create('c', row, Kept::Client(None), life)),
            Verb::KeepClient(row, life) => {
                if let Some((client, end)) = self.alive('c', row).cloned() {
                    let until = end.max(self.now + life);
                    self.rows.insert(('c', row), (client, until));
                }
                String::new()
            }
            Verb::ChangeClient(row, from, to) => match self.alive('c', row).cloned() {
                Some((kept, end)) if kept == Kept::Client(from) => {
                    let changed = Kept::Client(Some(to));
                    self.rows.insert(('c', row), (changed, end));
                    "Done".to_owned()
                }
                Some(_) => "Overtaken".to_owned(),
                None => "Gone".to_owned(),
            },
            Verb::ForgetClient(row) => said(self.rows.remove(&('c', row)).is_some()),
            Verb::PutDocument(row, etag, life) => {
                let end = self.now + life;
                self.rows.insert(('d', row), (Kept::Document(etag), end));
                String::new()
            }
            Verb::ForgetDocument(row) => said(self.rows.remove(&('d', row)).is_some()),
            Verb::SpendAssertion(row, life) => {
                let is_new = self.alive('a', row).is_none();
                if is_new {
                    let end = self.now + life;
                    self.rows.insert(('a', row), (Kept::Assertion, end));
                }
                said(is_new)
            }
            Verb::PutPushed(row, life) => said(self.create('u', row, Kept::Pushed(None), life)),
            Verb::ClaimPushed(row, browser) => match self.alive('u', row).cloned() {
                Some((Kept::Pushed(None), end)) => {
                    let claimed = Kept::Pushed(Some(browser));
                    self.rows.insert(('u', row), (claimed, end));
                    said(true)
                }
                Some((Kept::Pushed(first), _)) => said(first == Some(browser)),
                _ => said(false),
            },
            Verb::ForgetConsent(row) => {
                self.rows.remove(&('n', row));
                String::new()
            }
            _ => self.apply_to_session(verb),
        }
    }

    fn apply_to_session(&mut self, verb: &Verb) -> String {
        match *verb {
            Verb::PutCode(row, lives, consent, entry) => self.put_code(row, lives, consent, entry),
            Verb::SpendCode(row, token, life) => {
                let fresh = Some(&Kept::Code { spent: false });
                let (code, session) = (self.alive('o', row), self.alive('s', row));
                let opens = code.map(|(code, _)| code) == fresh && session.is_some();
                if opens {
                    let code = self.rows.get_mut(&('o', row)).unwrap();
                    code.0 = Kept::Code { spent: true };
                    let session = Kept::Session {
                        current: Some(token),
                        previous: None,
                    };
                    self.rows.insert(('s', row), (session, self.now + life));
                }
                said(opens)
            }
            Verb::Rotate(row, from, to, life) => match self.alive('s', row) {
                Some((Kept::Session { current, .. }, _)) if *current == Some(from) => {
                    let session = Kept::Session {
                        current: Some(to),
                        previous: Some(from),
                    };
                    self.rows.insert(('s', row), (session, self.now + life));
                    said(true)
                }
                Some(_) => said(false),
                None => String::new(),
            },
            Verb::EndSession(row) => self.end_session(row),
            Verb::ChangeGrant(person, from, to, life) => match self.alive_grant(person) {
                Some((tokens, sessions, _)) if tokens == from => {
                    let changed = Kept::Grant {
                        tokens: to,
                        sessions,
                    };
                    let end = self.now + life;
                    self.rows.insert(('g', person), (changed, end));
                    said(true)
                }
                _ => said(false),
            },
            Verb::EndGrant(person, seen) => match self.alive_grant(person) {
                Some((tokens, sessions, _)) if tokens == seen => {
                    let living = self.living(&sessions);
                    for row in &living {
                        self.rows.remove(&('s', *row));
                    }
                    self.rows.remove(&('g', person));
                    format!("{living:?}")
                }
                _ => String::new(),
            },
            Verb::List(kind, after, max) => self.list(kind, after, max),
            // Which rows a sweep deletes is left to the store: see `sweep`.
            _ => String::new(),
        }
    }

    fn put_code(
        &mut self,
        row: u8,
        (life, session): (i64, i64),
        consent: Option<(u8, i64)>,
        entry: Entry,
    ) -> String {
        if ['o', 's']
            .iter()
            .any(|kind| self.rows.contains_key(&(*kind, row)))
        {
            return "taken".to_owned();
        }
        let person = person_of(row);
        let before = self.alive_grant(person);
        let tokens = before.as_ref().map(|(tokens, _, _)| *tokens);
        let is_as_seen = match entry.seen {
            Seen::JustNow => true,
            Seen::Nothing => tokens.is_none(),
            Seen::With(seen) => tokens == Some(seen),
        };
        if !is_as_seen {
            return said(false);
        }
        // also those of a grant that has expired
        let listed = match self.rows.get(&('g', person)) {
            Some((Kept::Grant { sessions, .. }, _)) => sessions.clone(),
            _ => Vec::new(),
        };
        let mut sessions = self.living(&listed);
        sessions.push(row);
        let end = before.map_or(i64::MIN, |(_, _, end)| end);
        let end = end.max(self.now + entry.life);
        let grant = Kept::Grant {
            tokens: entry.tokens,
            sessions,
        };
        self.rows.insert(('g', person), (grant, end));
        let fresh = Kept::Session {
            current: None,
            previous: None,
        };
        self.create('s', row, fresh, session);
        if let Some((person, life)) = consent {
            let end = self.now + life;
            self.rows.insert(('n', person), (Kept::Consent, end));
        }
        self.create('o', row, Kept::Code { spent: false }, life);
        said(true)
    }

    fn end_session(&mut self, row: u8) -> String {
        let was_alive = self.alive('s', row).is_some();
        self.rows.remove(&('s', row));
        if !was_alive {
            return String::new();
        }
        let person = person_of(row);
        let Some((tokens, mut sessions, end)) = self.alive_grant(person) else {
            return "ended".to_owned();
        };
        sessions.retain(|other| *other != row);
        let sessions = self.living(&sessions);
        if sessions.is_empty() {
            self.rows.remove(&('g', person));
            return format!("ended with {tokens}");
        }
        let left = Kept::Grant { tokens, sessions };
        self.rows.insert(('g', person), (left, end));
        "ended".to_owned()
    }

    /// Tokens, sessions and end of a person's grant.
    fn alive_grant(&self, person: u8) -> Option<(u8, Vec<u8>, i64)> {
        match self.alive('g', person)? {
            (Kept::Grant { tokens, sessions }, end) => Some((*tokens, sessions.clone(), *end)),
            other => panic!("{other:?} is no grant"),
        }
    }

    /// Those that have not ended; the rows of those that have expired go.
    fn living(&mut self, sessions: &[u8]) -> Vec<u8> {
        let mut living = sessions.to_vec();
        living.retain(|row| {
            let is_alive = self.alive('s', *row).is_some();
            if !is_alive {
                self.rows.remove(&('s', *row));
            }
            is_alive
        });
        living
    }

    fn list(&self, kind: char, after: Option<u8>, max: usize) -> String {
        let rows = if kind == 'g' { 2 } else { ROWS };
        let in_order: BTreeMap<_, _> = (0..rows).map(|row| (place(kind, row), row)).collect();
        let after = after.map(|row| place(kind, row));
        let behind = in_order
            .iter()
            .filter(|(place, _)| Some(*place) > after.as_ref());
        let there = behind
            .map(|(_, row)| *row)
            .filter(|row| self.alive(kind, *row).is_some());
        format!("{:?}", there.take(max).collect::<Vec<_>>())
    }

    /// The rows that a sweep may delete.
    fn expired(&self) -> Vec<(char, u8)> {
        let expired = self.rows.iter().filter(|(_, (_, end))| *end <= self.now);
        expired.map(|(key, _)| *key).collect()
    }
}

fn said(yes: bool) -> String {
    yes.to_string()
}

fn token(number: u8) -> String {
    number.to_string()
}

fn row(number: u8) -> Id {
    id(number.into())
}

/// Where a row stands in its list.
fn place(kind: char, number: u8) -> Vec<u8> {
    match kind {
        's' => row(number).as_bytes().to_vec(),
        'g' => GrantKey::of(&subject(number)).as_bytes().to_vec(),
        _ => token(number).into_bytes(),
    }
}

async fn ask(store: &dyn Store, verb: &Verb, now: UnixTime) -> String {
    let until = |life: i64| UnixTime(now.0 + life);
    match *verb {
        Verb::PutPending(r, life) => said(
            store
                .put_pending(row(r), pending(until(life)))
                .await
                .is_ok(),
        ),
        Verb::TakePending(r) => said(store.take_pending(row(r), now).await.unwrap().is_some()),
        Verb::PutKey(r, key) => {
            let kept = store
                .put_key_if_absent(&token(r), sealed(&token(key)))
                .await;
            format!("{:?}", kept.unwrap())
        }
        Verb::ChangeKey(r, from, to) => {
            let (name, before, after) = (token(r), sealed(&token(from)), sealed(&token(to)));
            said(store.change_key(&name, &before, after).await.unwrap())
        }
        Verb::PutBrowser(r, value, life) => {
            let record = browser_record(&token(value), until(life));
            said(
                store
                    .put_browser_session(digest(&token(r)), record)
                    .await
                    .unwrap(),
            )
        }
        Verb::SaveBrowser(r, value, life) => {
            let record = browser_record(&token(value), until(life));
            let saved = store
                .save_browser_session(digest(&token(r)), record, now)
                .await;
            said(saved.unwrap())
        }
        Verb::ForgetBrowser(r) => {
            store
                .forget_browser_session(digest(&token(r)))
                .await
                .unwrap();
            String::new()
        }
        _ => ask_of_client(store, verb, now).await,
    }
}

async fn ask_of_client(store: &dyn Store, verb: &Verb, now: UnixTime) -> String {
    let until = |life: i64| UnixTime(now.0 + life);
    let name = |number: u8| ClientId::new(token(number));
    match *verb {
        Verb::PutClient(r, life) => {
            let put = store.put_client(client(&token(r)), until(life));
            said(put.await.is_ok())
        }
        Verb::KeepClient(r, life) => {
            store.keep_client(&name(r), until(life), now).await.unwrap();
            String::new()
        }
        Verb::ChangeClient(r, from, to) => {
            let named = |name: Option<u8>| {
                let put = client(&token(r));
                Client {
                    name: name.map(token).or(put.name.clone()),
                    ..put
                }
            };
            let (before, after) = (named(from), named(Some(to)));
            let change = store.change_client(&before, after, now).await;
            format!("{:?}", change.unwrap())
        }
        Verb::ForgetClient(r) => said(store.forget_client(&name(r)).await.unwrap()),
        Verb::PutDocument(r, etag, life) => {
            let document = ClientDocument {
                etag: Some(token(etag)),
                ..document(&token(r))
            };
            store.put_document(document, until(life)).await.unwrap();
            String::new()
        }
        Verb::ForgetDocument(r) => said(store.forget_document(&name(r)).await.unwrap()),
        Verb::SpendAssertion(r, life) => {
            let spent = store.spend_assertion(digest(&token(r)), until(life), now);
            said(spent.await.unwrap())
        }
        Verb::PutPushed(r, life) => {
            let put = store.put_pushed(row(r), pushed(until(life)));
            said(put.await.is_ok())
        }
        Verb::ClaimPushed(r, browser) => {
            let claimed = store.claim_pushed(row(r), digest(&token(browser)), now);
            said(claimed.await.unwrap().is_some())
        }
        Verb::ForgetConsent(r) => {
            let (key, _) = consent(&token(r), now);
            store.forget_consent(key).await.unwrap();
            String::new()
        }
        _ => ask_of_session(store, verb, now).await,
    }
}

async fn ask_of_session(store: &dyn Store, verb: &Verb, now: UnixTime) -> String {
    let until = |life: i64| UnixTime(now.0 + life);
    match *verb {
        Verb::PutCode(r, (life, lives), agreed, entry) => {
            let session = Session {
                subject: subject(person_of(r)),
                ..session(row(r), until(lives))
            };
            let found = store.find_grant(&session.subject, now).await.unwrap();
            let signed_in = SignedIn {
                consent: agreed.map(|(person, life)| consent(&token(person), until(life))),
                grant: a_grant(person_of(r), entry.tokens, until(entry.life)),
                grant_before: match entry.seen {
                    Seen::JustNow => found,
                    Seen::Nothing => None,
                    Seen::With(tokens) => Some(as_seen(person_of(r), tokens, found)),
                },
                ..first_sign_in(code(row(r), until(life)), session)
            };
            match store.put_code(row(r), signed_in, now).await {
                Ok(ended) => {
                    let kept = ended.is_some();
                    assert_eq!(ended.unwrap_or_default(), [], "they are not too many");
                    said(kept)
                }
                Err(_) => "taken".to_owned(),
            }
        }
        Verb::SpendCode(r, first, life) => {
            let opening = opening(&token(first), until(life));
            said(
                store
                    .spend_code(row(r), opening, now)
                    .await
                    .unwrap()
                    .is_some(),
            )
        }
        Verb::Rotate(r, from, to, life) => {
            let turn = turn(&token(from), &token(to), until(life));
            let rotated = store.rotate_refresh(row(r), turn, now).await.unwrap();
            rotated.map_or_else(String::new, |rotation| said(rotation.won))
        }
        Verb::EndSession(r) => match store.end_session(row(r), now).await.unwrap() {
            Some(ended) => {
                assert_eq!(ended.session.id, row(r));
                let grant = ended.grant.map(|grant| tokens_of(&grant));
                grant.map_or("ended".to_owned(), |tokens| format!("ended with {tokens}"))
            }
            None => String::new(),
        },
        _ => ask_of_grant(store, verb, now).await,
    }
}

async fn ask_of_grant(store: &dyn Store, verb: &Verb, now: UnixTime) -> String {
    match *verb {
        Verb::ChangeGrant(person, seen, tokens, life) => {
            let found = store.find_grant(&subject(person), now).await.unwrap();
            let before = as_seen(person, seen, found);
            let after = a_grant(person, tokens, UnixTime(now.0 + life));
            said(store.change_grant(&before, after, now).await.unwrap())
        }
        Verb::EndGrant(person, seen) => {
            let found = store.find_grant(&subject(person), now).await.unwrap();
            let before = as_seen(person, seen, found);
            let ended = store.end_grant(&before, now).await.unwrap();
            ended.map_or_else(String::new, |ended| format!("{:?}", rows_of(&ended)))
        }
        Verb::List(kind, after, max) => format!("{:?}", list(store, kind, after, max, now).await),
        _ => String::new(),
    }
}

fn a_grant(person: u8, tokens: u8, expires: UnixTime) -> Grant {
    Grant {
        tokens: sealed(&token(tokens)),
        ..grant(subject(person).as_str(), expires)
    }
}

/// What somebody saw who saw it with these tokens. Its list of sessions does not count.
fn as_seen(person: u8, tokens: u8, found: Option<Grant>) -> Grant {
    let expires = found.map_or(NOW, |found| found.expires);
    a_grant(person, tokens, expires)
}

fn tokens_of(grant: &Grant) -> u8 {
    let tokens = (0..2).find(|&tokens| sealed(&token(tokens)) == grant.tokens);
    tokens.unwrap()
}

fn rows_of(sessions: &[Id]) -> Vec<u8> {
    let number = |session: &Id| (0..ROWS).find(|&number| row(number) == *session);
    sessions
        .iter()
        .map(|session| number(session).unwrap())
        .collect()
}

/// The rows that a store lists.
async fn list(
    store: &dyn Store,
    kind: char,
    after: Option<u8>,
    max: usize,
    now: UnixTime,
) -> Vec<u8> {
    let name = after.map(|after| ClientId::new(token(after)));
    let numbers = |name: &ClientId| name.as_str().parse::<u8>().unwrap();
    match kind {
        'c' => {
            let listed = store.list_clients(name.as_ref(), max, now).await.unwrap();
            listed
                .iter()
                .map(|(client, _)| numbers(&client.id))
                .collect()
        }
        'd' => {
            let listed = store.list_documents(name.as_ref(), max, now).await.unwrap();
            listed
                .iter()
                .map(|(document, _)| numbers(&document.client.id))
                .collect()
        }
        's' => {
            let listed = store.list_sessions(after.map(row), max, now).await.unwrap();
            let listed: Vec<_> = listed.iter().map(|session| session.id).collect();
            rows_of(&listed)
        }
        _ => {
            let after = after.map(|person| GrantKey::of(&subject(person)));
            let listed = store.list_grants(after, max, now).await.unwrap();
            let person = |grant: &Grant| (0..2).find(|&person| subject(person) == *grant.subject());
            listed.iter().map(|grant| person(grant).unwrap()).collect()
        }
    }
}

/// What a store shows of a row, in the model's words.
async fn look(store: &dyn Store, kind: char, r: u8, now: UnixTime) -> Option<(Kept, i64)> {
    match kind {
        'c' => {
            let found = store.find_client(&ClientId::new(token(r)), now).await;
            let (found, end) = found.unwrap()?;
            // as the samples are named, before they are changed
            let name = found.name.filter(|name| *name != "Example client");
            let name = name.map(|name| name.parse().unwrap());
            Some((Kept::Client(name), end.0 - NOW.0))
        }
        'd' => {
            let found = store.find_document(&ClientId::new(token(r)), now).await;
            let (found, end) = found.unwrap()?;
            let etag = found.etag.unwrap().parse().unwrap();
            Some((Kept::Document(etag), end.0 - NOW.0))
        }
        'u' => {
            let found = store.find_pushed(row(r), now).await.unwrap()?;
            let number = |sought| (0..4).find(|&n| digest(&token(n)) == sought);
            let browser = found.browser.map(|browser| number(browser).unwrap());
            Some((Kept::Pushed(browser), found.expires.0 - NOW.0))
        }
        'n' => {
            let (key, _) = consent(&token(r), now);
            let found = store.find_consent(key, now).await.unwrap()?;
            Some((Kept::Consent, found.expires.0 - NOW.0))
        }
        'p' => {
            let found = store.find_pending(row(r), now).await.unwrap();
            found.map(|found| (Kept::Pending, found.expires.0 - NOW.0))
        }
        'o' => {
            let found = store.find_code(row(r), now).await.unwrap();
            found.map(|found| (Kept::Code { spent: found.spent }, found.expires.0 - NOW.0))
        }
        's' | 'g' => look_at_grant(store, kind, r, now).await,
        _ => {
            let found = store.find_browser_session(digest(&token(r)), now).await;
            let found = found.unwrap()?;
            let value = String::from_utf8(found.values).unwrap().parse().unwrap();
            Some((Kept::Browser(value), found.expires.0 - NOW.0))
        }
    }
}

/// A session, or the grant that it lives by.
async fn look_at_grant(store: &dyn Store, kind: char, r: u8, now: UnixTime) -> Option<(Kept, i64)> {
    if kind == 's' {
        let found = store.find_session(row(r), now).await.unwrap()?;
        let number = |sought| (0..4).find(|&n| digest(&token(n)) == sought);
        let refresh = found.refresh.as_ref();
        let previous = refresh.and_then(|refresh| refresh.previous.as_ref());
        let kept = Kept::Session {
            current: refresh.and_then(|refresh| number(refresh.current)),
            previous: previous.and_then(|previous| number(previous.digest)),
        };
        Some((kept, found.expires.0 - NOW.0))
    } else {
        let found = store.find_grant(&subject(r), now).await.unwrap()?;
        let kept = Kept::Grant {
            tokens: tokens_of(&found),
            sessions: rows_of(&found.sessions),
        };
        Some((kept, found.expires.0 - NOW.0))
    }
}

/// Deletes from the model what the store has swept, and checks that it might.
async fn sweep(store: &dyn Store, model: &mut Model, max: usize) {
    let now = UnixTime(NOW.0 + model.now);
    let expired = model.expired();
    // which assertions were swept cannot be seen: where there are any, everything is
    let assertions = expired.iter().filter(|(kind, _)| *kind == 'a').count();
    let max = if assertions > 0 { usize::MAX } else { max };
    let swept = store.sweep(now, max).await.unwrap();
    let expired_before = expired.len();
    assert_eq!(swept, expired_before.min(max));
    for (kind, r) in expired {
        // Seen from before all time, an expired row is there until it is swept.
        let is_swept = match kind {
            'a' => true,
            _ => look(store, kind, r, UnixTime(i64::MIN)).await.is_none(),
        };
        if is_swept {
            model.rows.remove(&(kind, r));
        }
    }
    assert_eq!(model.expired().len(), expired_before - swept);
}

async fn agree(verbs: Vec<Verb>, on_disk: bool) {
    let directory = tempdir().unwrap();
    let make = || -> Box<dyn Store> {
        if on_disk {
            Box::new(SledStore::open(directory.path()).unwrap())
        } else {
            Box::new(MemoryStore::default())
        }
    };
    let mut store = make();
    let mut model = Model::default();
    for verb in &verbs {
        let now = UnixTime(NOW.0 + model.now);
        match verb {
            Verb::Restart if on_disk => {
                drop(std::mem::replace(
                    &mut store,
                    Box::new(MemoryStore::default()),
                ));
                store = make();
            }
            Verb::Sweep(max) => sweep(&*store, &mut model, *max).await,
            _ => {
                let expected = model.apply(verb);
                assert_eq!(ask(&*store, verb, now).await, expected, "{verb:?}");
            }
        }
        let now = UnixTime(NOW.0 + model.now);
        for kind in ['c', 'd', 'u', 'n', 'p', 'o', 's', 'g', 'b'] {
            for r in 0..ROWS {
                let expected = model.alive(kind, r).cloned();
                let found = look(&*store, kind, r, now).await;
                assert_eq!(found, expected, "{kind}{r} after {verb:?}");
            }
        }
    }
}

fn block_on(run: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(run);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_answers_as_a_map_would(verbs in prop::collection::vec(verb(), 1..90)) {
        block_on(agree(verbs, false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sled_answers_as_a_map_would(verbs in prop::collection::vec(verb(), 1..90)) {
        block_on(agree(verbs, true));
    }
}
