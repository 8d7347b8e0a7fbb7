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
use std::thread::yield_now;
use std::time::Duration;

use anteroom::clock::{Clock, ManualClock};
use anteroom::protocol::ids::ClientId;
use anteroom::store::Store;
use anteroom::store::browser_session::BrowserSessions;
use anteroom::store::memory::MemoryStore;
use anteroom::store::record::{Marker, Table};
use anteroom::store::sample::{
    NOW, client, code, digest, first_sign_in, id, opening, pending, sealed, session, turn,
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
    store
        .put_code(id(2), first_sign_in(opened.0, opened.1), NOW)
        .await
        .unwrap();
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
        assert!(!directory.path().join("quarantine").exists());
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

/// The rows of a closed store. For a moment a child that another test is just starting may hold what was open here.
fn raw(directory: &Path) -> ::sled::Db {
    let mut attempts = (0..10_000).map(|_| ::sled::open(directory).inspect_err(|_| yield_now()));
    attempts.find_map(Result::ok).unwrap()
}

/// Changes a raw row of a closed store.
fn tamper(directory: &Path, key: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let raw = raw(directory);
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
async fn a_store_of_an_older_anteroom_is_refused_with_what_to_do() {
    let directory = closed_store().await;
    tamper(directory.path(), Marker::KEY, |marker| marker[3] = 2);
    for _ in 0..2 {
        let said = refusal(directory.path());
        assert!(said.contains("format 2"), "{said}");
        assert!(said.contains("remove it"), "{said}");
        assert!(said.contains("people sign in again"), "{said}");
        assert!(said.contains(directory.path().to_str().unwrap()), "{said}");
    }
    // Nothing was changed: the anteroom that wrote it can go on.
    tamper(directory.path(), Marker::KEY, |marker| marker[3] = 3);
    assert_whole(&open(directory.path())).await;
}

#[tokio::test]
async fn a_store_of_another_program_is_refused() {
    let directory = tempdir().unwrap();
    let raw = raw(directory.path());
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
    let raw = raw(directory.path());
    assert_eq!(raw.len(), 1, "the marker, and no row nor index entry else");
    let grown = size();
    assert!(
        grown < after_a_third * 2,
        "{after_a_third} bytes grew to {grown}"
    );
}

#[tokio::test]
async fn what_is_taken_and_ended_leaves_no_trace() {
    let directory = closed_store().await;
    let before = raw(directory.path()).len();
    let store = open(directory.path());
    store.put_pending(id(3), pending(NOW + HOUR)).await.unwrap();
    store.take_pending(id(3), NOW).await.unwrap().unwrap();
    let opened = (code(id(5), NOW + HOUR), session(id(5), NOW + HOUR));
    store
        .put_code(id(4), first_sign_in(opened.0, opened.1), NOW)
        .await
        .unwrap();
    assert!(store.end_session(id(5), NOW).await.unwrap().is_some());
    drop(store);
    // The code that nobody redeemed, and its entry in the expiry table.
    assert_eq!(raw(directory.path()).len(), before + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_asked_for_when_the_store_is_closed_is_done() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    {
        let store = &store;
        let name = |number: u32| client(&format!("c{number}"));
        let puts = (0..100).map(|number| store.put_client(name(number), NOW + HOUR));
        // Polled once each, so that they are handed in, and given up. A client is answered for only when it is on the
        // disk, so none is ready by then.
        for mut put in puts {
            assert!(futures_util::poll!(&mut put).is_pending());
        }
    }
    drop(store);
    let store = open(directory.path());
    for number in 0..100 {
        let id = ClientId::new(format!("c{number}"));
        let found = store.find_client(&id, NOW).await.unwrap();
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
    let raw = raw(directory.path());
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
