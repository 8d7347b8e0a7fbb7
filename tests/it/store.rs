//! The backends: each passes the conformance suite and behaves like a plain map; sled keeps what it was told across
//! restarts, and starts again whatever a crash left behind.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anteroom::clock::{Clock, ManualClock, UnixTime};
use anteroom::protocol::ids::ClientId;
use anteroom::store::Store;
use anteroom::store::browser_session::BrowserSessions;
use anteroom::store::memory::MemoryStore;
use anteroom::store::record::{Marker, Table};
use anteroom::store::sample::{
    NOW, client, code, digest, id, opening, pending, sealed, session, turn,
};
use anteroom::store::sled::SledStore;
use tempfile::{TempDir, tempdir};
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};

mod memory {
    use super::MemoryStore;

    anteroom::store_conformance!(MemoryStore::default());
}

mod sled {
    use super::{SledStore, tempdir};

    anteroom::store_conformance!(in tempdir().unwrap() => |directory| SledStore::open(directory.path()).unwrap());
}

const HOUR: Duration = Duration::from_secs(3600);

fn open(directory: &Path) -> SledStore {
    SledStore::open(directory).unwrap()
}

/// What opening says, where it must fail.
fn refusal(directory: &Path) -> String {
    match SledStore::open(directory) {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

/// A store, closed, with the client `kept` and session 1, whose code is spent and whose token is rotated.
async fn closed_store() -> TempDir {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    store.put_client(client("kept"), NOW + HOUR).await.unwrap();
    let opened = (code(id(1), NOW + HOUR), session(id(1), NOW + HOUR));
    store.put_code(id(2), opened.0, opened.1).await.unwrap();
    let opening = opening("first", NOW + HOUR);
    store.spend_code(id(2), opening, NOW).await.unwrap();
    let turn = turn("first", "second", NOW + HOUR);
    store.rotate_refresh(id(1), turn, NOW).await.unwrap();
    store
        .put_key_if_absent("current", sealed("key"))
        .await
        .unwrap();
    directory
}

async fn assert_whole(store: &SledStore) {
    let found = store.find_client(&ClientId::new("kept"), NOW).await;
    assert_eq!(found.unwrap(), Some((client("kept"), NOW + HOUR)));
    let again = store.spend_code(id(2), opening("third", NOW + HOUR), NOW);
    assert_eq!(again.await.unwrap(), None, "the code is still spent");
    let again = store.rotate_refresh(id(1), turn("first", "third", NOW + HOUR), NOW);
    let rotation = again.await.unwrap().unwrap();
    assert!(!rotation.won, "the old token is still out of force");
    let refresh = rotation.session.refresh.unwrap();
    assert_eq!(refresh.current, digest("second"));
    let key = store.put_key_if_absent("current", sealed("another"));
    assert_eq!(key.await.unwrap(), sealed("key"));
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let directory = closed_store().await;
    for _ in 0..3 {
        assert_whole(&open(directory.path())).await;
    }
}

#[tokio::test]
async fn the_directory_is_made_and_closed_to_others() {
    let parent = tempdir().unwrap();
    let made = parent.path().join("data/store");
    drop(open(&made));
    let rights = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(rights(&made), 0o700);
    fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(&made));
    assert_eq!(rights(&made), 0o700);
}

#[tokio::test]
async fn a_second_opener_is_told_who_is_in_the_way() {
    let directory = closed_store().await;
    let first = open(directory.path());
    let said = refusal(directory.path());
    assert!(said.contains(directory.path().to_str().unwrap()), "{said}");
    assert!(said.contains("another process has it open"), "{said}");
    // The attempt did no harm.
    assert_whole(&first).await;
    drop(first);
    assert_whole(&open(directory.path())).await;
}

#[tokio::test]
async fn half_a_snapshot_does_not_stop_the_start() {
    let directory = closed_store().await;
    for content in [&b""[..], b"half a snap"] {
        let half = directory.path().join("snap.00000000FFFFFFFF.generating");
        fs::write(&half, content).unwrap();
        assert_whole(&open(directory.path())).await;
        assert!(!half.exists());
    }
}

#[tokio::test]
async fn a_broken_snapshot_is_put_away() {
    let directory = closed_store().await;
    drop(open(directory.path()));
    for content in [&b""[..], b"not a snapshot at all, though it is long enough"] {
        let broken = directory.path().join("snap.00000000FFFFFFFF");
        fs::write(&broken, content).unwrap();
        assert_whole(&open(directory.path())).await;
        assert!(!broken.exists());
        let kept = directory.path().join("quarantine/snap.00000000FFFFFFFF");
        assert_eq!(fs::read(kept).unwrap(), content);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_said_to_be_damaged_and_is_left_alone() {
    let directory = closed_store().await;
    fs::write(directory.path().join("conf"), "no: settings\nof: sled....").unwrap();
    let said = refusal(directory.path());
    assert!(said.contains("its files are damaged"), "{said}");
    assert!(said.contains(directory.path().to_str().unwrap()), "{said}");
    assert!(fs::metadata(directory.path().join("db")).unwrap().len() > 0);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_directory_is_refused_with_its_name() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refusal(&file);
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    assert!(said.contains("must be a directory"), "{said}");
}

/// Changes a raw row of a closed store.
fn tamper(directory: &Path, key: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let raw = ::sled::open(directory).unwrap();
    let mut value = raw.get(key).unwrap().unwrap().to_vec();
    change(&mut value);
    raw.insert(key, value).unwrap();
    raw.flush().unwrap();
}

#[tokio::test]
async fn a_store_of_a_newer_anteroom_is_refused() {
    let directory = closed_store().await;
    tamper(directory.path(), Marker::KEY, |marker| marker[3] = 9);
    let said = refusal(directory.path());
    assert!(said.contains("format 9"), "{said}");
    assert!(said.contains("run the newer anteroom"), "{said}");
}

#[tokio::test]
async fn a_store_of_another_program_is_refused() {
    let directory = tempdir().unwrap();
    let raw = ::sled::open(directory.path()).unwrap();
    raw.insert("theirs", "value").unwrap();
    drop(raw);
    let said = refusal(directory.path());
    assert!(said.contains("not anteroom's"), "{said}");
}

#[tokio::test]
async fn a_record_of_an_unknown_version_is_an_error_and_never_absent() {
    let directory = closed_store().await;
    let key = Table::Codes.key(id(2).as_bytes());
    tamper(directory.path(), &key, |code| code[24] = 200);
    let store = open(directory.path());
    let said = store.find_code(id(2), NOW).await.unwrap_err().to_string();
    assert!(said.contains("encoding 200"), "{said}");
    let spent = store.spend_code(id(2), opening("third", NOW + HOUR), NOW);
    assert!(spent.await.is_err());
    // The other rows are as they were.
    assert!(store.find_session(id(1), NOW).await.unwrap().is_some());
}

/// SEC-07
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_comes_and_goes_does_not_fill_the_disk() {
    let directory = tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let size = || fs::metadata(directory.path().join("db")).unwrap().len();
    let mut after_a_third = 0;
    // Each round, 500 sign-ins that nobody finishes, and a minute later the sweep.
    for round in 0..30u64 {
        let now = NOW + Duration::from_secs(60 * round);
        let mut puts = tokio::task::JoinSet::new();
        for number in 0..500 {
            let store = Arc::clone(&store);
            let pending = pending(now + Duration::from_secs(60));
            puts.spawn(async move { store.put_pending(id(round * 1000 + number), pending).await });
        }
        while let Some(put) = puts.join_next().await {
            put.unwrap().unwrap();
        }
        let swept = store.sweep(now + Duration::from_secs(60), 1000).await;
        assert_eq!(swept.unwrap(), 500);
        if round == 9 {
            after_a_third = size();
        }
    }
    drop(store);
    let raw = ::sled::open(directory.path()).unwrap();
    assert_eq!(raw.len(), 1, "the marker, and no row nor index entry else");
    let grown = size();
    assert!(
        grown < after_a_third * 2,
        "{after_a_third} bytes grew to {grown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_asked_for_when_the_store_is_closed_is_done() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    {
        let store = &store;
        let puts = (0..100).map(|number| store.put_pending(id(number), pending(NOW + HOUR)));
        // Polled once each, so that they are handed in, and given up.
        for mut put in puts {
            assert!(futures_util::poll!(&mut put).is_pending());
        }
    }
    drop(store);
    let store = open(directory.path());
    for number in 0..100 {
        let found = store.find_pending(id(number), NOW).await.unwrap();
        assert!(found.is_some(), "{number}");
    }
}

fn browser_sessions() -> (BrowserSessions, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(NOW));
    let store = Arc::new(MemoryStore::default());
    (BrowserSessions::new(store, clock.clone()), clock)
}

fn record(clock: &ManualClock, value: &str) -> Record {
    let expires = clock.now() + HOUR;
    Record {
        id: Id::default(),
        data: [("name".to_owned(), value.into())].into(),
        expiry_date: OffsetDateTime::from_unix_timestamp(expires.0).unwrap(),
    }
}

#[tokio::test]
async fn a_browser_session_lives_until_it_expires() {
    let (sessions, clock) = browser_sessions();
    let mut kept = record(&clock, "first");
    sessions.create(&mut kept).await.unwrap();
    assert_eq!(sessions.load(&kept.id).await.unwrap(), Some(kept.clone()));
    kept.data.insert("more".to_owned(), 7.into());
    sessions.save(&kept).await.unwrap();
    assert_eq!(sessions.load(&kept.id).await.unwrap(), Some(kept.clone()));
    assert_eq!(sessions.load(&Id::default()).await.unwrap(), None);
    clock.advance(HOUR);
    assert_eq!(sessions.load(&kept.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_browser_session_whose_id_is_taken_gets_another() {
    let (sessions, clock) = browser_sessions();
    let mut first = record(&clock, "first");
    sessions.create(&mut first).await.unwrap();
    let mut second = record(&clock, "second");
    second.id = first.id;
    sessions.create(&mut second).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(sessions.load(&first.id).await.unwrap(), Some(first));
    assert_eq!(sessions.load(&second.id).await.unwrap(), Some(second));
}

#[tokio::test]
async fn a_logout_elsewhere_is_not_undone_by_a_request_that_ends_later() {
    let (sessions, clock) = browser_sessions();
    let mut kept = record(&clock, "first");
    sessions.create(&mut kept).await.unwrap();
    sessions.delete(&kept.id).await.unwrap();
    sessions.save(&kept).await.unwrap();
    assert_eq!(sessions.load(&kept.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_stolen_store_holds_no_cookie_that_works() {
    let directory = tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    let store = Arc::new(open(directory.path()));
    let mut kept = record(&clock, "first");
    let sessions = BrowserSessions::new(store, clock);
    sessions.create(&mut kept).await.unwrap();
    drop(sessions);
    let raw = ::sled::open(directory.path()).unwrap();
    let cookie = kept.id.to_string();
    let bytes = kept.id.0.to_le_bytes();
    for row in raw.iter() {
        let (key, value) = row.unwrap();
        for stored in [&key[..], &value] {
            let has = |sought: &[u8]| stored.windows(sought.len()).any(|part| part == sought);
            assert!(!has(cookie.as_bytes()) && !has(&bytes));
        }
    }
}

mod model {
    //! Any sequence of verbs answers as a plain map would.

    use std::collections::HashMap;

    use anteroom::store::Opening;
    use anteroom::store::sample::browser_record;
    use proptest::prelude::*;

    use super::*;

    /// One verb on one of a few rows. Times count in seconds from the start; tokens are numbers.
    #[derive(Clone, Debug)]
    enum Verb {
        PutClient(u8, i64),
        KeepClient(u8, i64),
        PutPending(u8, i64),
        TakePending(u8),
        PutCode(u8, i64, i64),
        SpendCode(u8, u8, i64),
        Rotate(u8, u8, u8, i64),
        EndSession(u8),
        PutKey(u8, u8),
        PutBrowser(u8, u8, i64),
        SaveBrowser(u8, u8, i64),
        ForgetBrowser(u8),
        Sweep(usize),
        Wait(i64),
        Restart,
    }

    fn verb() -> impl Strategy<Value = Verb> {
        let row = || 0..3u8;
        let token = || 0..4u8;
        let life = || 0..60i64;
        prop_oneof![
            (row(), life()).prop_map(|(r, l)| Verb::PutClient(r, l)),
            (row(), life()).prop_map(|(r, l)| Verb::KeepClient(r, l)),
            (row(), life()).prop_map(|(r, l)| Verb::PutPending(r, l)),
            row().prop_map(Verb::TakePending),
            (row(), life(), life()).prop_map(|(r, l, m)| Verb::PutCode(r, l, m)),
            (row(), token(), life()).prop_map(|(r, t, l)| Verb::SpendCode(r, t, l)),
            (row(), token(), token(), life()).prop_map(|(r, f, t, l)| Verb::Rotate(r, f, t, l)),
            (row(), token(), token(), life()).prop_map(|(r, f, t, l)| Verb::Rotate(r, f, t, l)),
            row().prop_map(Verb::EndSession),
            (row(), token()).prop_map(|(r, t)| Verb::PutKey(r, t)),
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
        Client,
        Pending,
        Code {
            spent: bool,
        },
        Session {
            current: Option<u8>,
            previous: Option<u8>,
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
                Verb::PutClient(row, life) => said(self.create('c', row, Kept::Client, life)),
                Verb::KeepClient(row, life) => {
                    if let Some((_, end)) = self.alive('c', row).cloned() {
                        let until = end.max(self.now + life);
                        self.rows.insert(('c', row), (Kept::Client, until));
                    }
                    String::new()
                }
                Verb::PutPending(row, life) => said(self.create('p', row, Kept::Pending, life)),
                Verb::TakePending(row) => {
                    let there = self.alive('p', row).is_some();
                    if there {
                        self.rows.remove(&('p', row));
                    }
                    said(there)
                }
                Verb::PutCode(row, life, session) => {
                    let taken = ['o', 's'].map(|kind| self.rows.contains_key(&(kind, row)));
                    if taken != [false; 2] {
                        return said(false);
                    }
                    let fresh = Kept::Session {
                        current: None,
                        previous: None,
                    };
                    self.create('s', row, fresh, session);
                    said(self.create('o', row, Kept::Code { spent: false }, life))
                }
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
                Verb::EndSession(row) => said(self.rows.remove(&('s', row)).is_some()),
                Verb::PutKey(row, key) => {
                    format!(
                        "{:?}",
                        sealed(&self.keys.entry(row).or_insert(key).to_string())
                    )
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
                // Which ones go, where not all may, is left to the store: see `sweep`.
                Verb::Sweep(_) | Verb::Restart => String::new(),
                Verb::Wait(seconds) => {
                    self.now += seconds;
                    String::new()
                }
            }
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

    fn row(number: u8) -> anteroom::protocol::ids::Id {
        id(number.into())
    }

    async fn ask(store: &dyn Store, verb: &Verb, now: UnixTime) -> String {
        let until = |life: i64| UnixTime(now.0 + life);
        let name = |number: u8| ClientId::new(token(number));
        match *verb {
            Verb::PutClient(r, life) => said(
                store
                    .put_client(client(&token(r)), until(life))
                    .await
                    .is_ok(),
            ),
            Verb::KeepClient(r, life) => {
                store.keep_client(&name(r), until(life), now).await.unwrap();
                String::new()
            }
            Verb::PutPending(r, life) => said(
                store
                    .put_pending(row(r), pending(until(life)))
                    .await
                    .is_ok(),
            ),
            Verb::TakePending(r) => said(store.take_pending(row(r), now).await.unwrap().is_some()),
            Verb::PutCode(r, life, lives) => {
                let opens = session(row(r), until(lives));
                said(
                    store
                        .put_code(row(r), code(row(r), until(life)), opens)
                        .await
                        .is_ok(),
                )
            }
            Verb::SpendCode(r, first, life) => {
                let opening: Opening = opening(&token(first), until(life));
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
            Verb::EndSession(r) => said(store.end_session(row(r)).await.unwrap()),
            Verb::PutKey(r, key) => {
                let kept = store
                    .put_key_if_absent(&token(r), sealed(&token(key)))
                    .await;
                format!("{:?}", kept.unwrap())
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
            Verb::Sweep(_) | Verb::Wait(_) | Verb::Restart => String::new(),
        }
    }

    /// What a store shows of a row, in the model's words.
    async fn look(store: &dyn Store, kind: char, r: u8, now: UnixTime) -> Option<(Kept, i64)> {
        match kind {
            'c' => {
                let found = store.find_client(&ClientId::new(token(r)), now).await;
                found.unwrap().map(|(_, end)| (Kept::Client, end.0 - NOW.0))
            }
            'p' => {
                let found = store.find_pending(row(r), now).await.unwrap();
                found.map(|found| (Kept::Pending, found.expires.0 - NOW.0))
            }
            'o' => {
                let found = store.find_code(row(r), now).await.unwrap();
                found.map(|found| (Kept::Code { spent: found.spent }, found.expires.0 - NOW.0))
            }
            's' => {
                let found = store.find_session(row(r), now).await.unwrap()?;
                let number = |sought| (0..4).find(|&n| digest(&token(n)) == sought);
                let refresh = found.refresh.as_ref();
                let previous = refresh.and_then(|refresh| refresh.previous.as_ref());
                let kept = Kept::Session {
                    current: refresh.and_then(|refresh| number(refresh.current)),
                    previous: previous.and_then(|previous| number(previous.digest)),
                };
                Some((kept, found.expires.0 - NOW.0))
            }
            _ => {
                let found = store.find_browser_session(digest(&token(r)), now).await;
                let found = found.unwrap()?;
                let value = String::from_utf8(found.values).unwrap().parse().unwrap();
                Some((Kept::Browser(value), found.expires.0 - NOW.0))
            }
        }
    }

    /// Deletes from the model what the store has swept, and checks that it might.
    async fn sweep(store: &dyn Store, model: &mut Model, max: usize) {
        let now = UnixTime(NOW.0 + model.now);
        let swept = store.sweep(now, max).await.unwrap();
        let expired = model.expired();
        assert_eq!(swept, expired.len().min(max));
        for (kind, r) in expired {
            // Seen from before all time, an expired row is there until it is swept.
            if look(store, kind, r, UnixTime(i64::MIN)).await.is_none() {
                model.rows.remove(&(kind, r));
            }
        }
        assert_eq!(model.expired().len(), expired_left(swept, max, model));
    }

    fn expired_left(swept: usize, max: usize, model: &Model) -> usize {
        if swept < max {
            0
        } else {
            model.expired().len()
        }
    }

    async fn agree(verbs: Vec<Verb>, on_disk: bool) {
        let directory = tempdir().unwrap();
        let make = || -> Box<dyn Store> {
            match on_disk {
                true => Box::new(open(directory.path())),
                false => Box::new(MemoryStore::default()),
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
            for kind in ['c', 'p', 'o', 's', 'b'] {
                for r in 0..3 {
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
        fn memory_answers_as_a_map_would(verbs in prop::collection::vec(verb(), 1..60)) {
            block_on(agree(verbs, false));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn sled_answers_as_a_map_would(verbs in prop::collection::vec(verb(), 1..60)) {
            block_on(agree(verbs, true));
        }
    }
}
