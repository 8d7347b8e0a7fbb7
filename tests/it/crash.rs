//! `kill -9` at any moment: what was acknowledged is there afterwards, and nothing that was spent can be used again.
//!
//! The one that is killed is this test binary, started again for the ignored test [`the_one_that_is_killed`] with a
//! store in its working directory. It prints each step that the store acknowledged.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anteroom::clock::UnixTime;
use anteroom::entropy;
use anteroom::protocol::grant::Grant;
use anteroom::protocol::ids::Subject;
use anteroom::protocol::session::{RefreshState, Session};
use anteroom::secret::SecretDigest;
use anteroom::store::SignedIn;
use anteroom::store::Store;
use anteroom::store::sample::{
    NOW, code, consent, digest, first_sign_in, grant, id, opening, session, turn,
};
use anteroom::store::sled::SledStore;
use tempfile::tempdir;

const DIRECTORY: &str = "store";
const LIFE: Duration = Duration::from_secs(3600);
/// A connection's life: its code put, and what the person agreed to; an assertion used and the code spent; the token
/// rotated three times, and what the provider gave renewed with each; the session ended.
const LAST_STEP: u8 = 6;
/// Connections of one person: several lives change one grant.
const OF_ONE_PERSON: u64 = 5;
/// Counts what is written to grants: the later, the higher.
static WRITTEN: AtomicU64 = AtomicU64::new(1);

fn person(number: u64) -> Subject {
    Subject::new(format!("github:{}", number / OF_ONE_PERSON))
}

/// The grant of connection `number`, as it was found, and what is to be written in its place.
async fn written_anew(store: &SledStore, number: u64) -> (Option<Grant>, Grant, i64) {
    let person = person(number);
    let before = store.find_grant(&person, NOW).await.unwrap();
    // drawn after the look, so that of two writes the later has the higher number
    let written = WRITTEN.fetch_add(1, Ordering::Relaxed).cast_signed();
    let after = Grant {
        checked: UnixTime(written),
        ..grant(person.as_str(), NOW + LIFE)
    };
    (before, after, written)
}

/// Puts the code of connection `number`, and looks again until the person's other connections let it.
async fn put_code(store: &SledStore, number: u64) {
    let (at, of) = (id(number * 2), id(number * 2 + 1));
    let expires = NOW + LIFE;
    loop {
        let (grant_before, grant, written) = written_anew(store, number).await;
        let session = Session {
            subject: person(number),
            ..session(of, expires)
        };
        let signed_in = SignedIn {
            grant_before,
            grant,
            consent: Some(consent(&number.to_string(), expires)),
            ..first_sign_in(code(of, expires), session)
        };
        if store.put_code(at, signed_in, NOW).await.unwrap().is_some() {
            return say(&format!("written {number} {written}"));
        }
    }
}

/// Renews what the provider gave, as long as somebody else does not at the same moment.
async fn renew(store: &SledStore, number: u64) {
    let (before, after, written) = written_anew(store, number).await;
    let before = before.unwrap();
    if store.change_grant(&before, after, NOW).await.unwrap() {
        say(&format!("written {number} {written}"));
    }
}

/// Takes step `step` in the life of connection `number`.
async fn take_step(store: &SledStore, number: u64, step: u8) {
    let (at, of) = (id(number * 2), id(number * 2 + 1));
    let expires = NOW + LIFE;
    match step {
        1 => put_code(store, number).await,
        2 => {
            let spent = store.spend_assertion(assertion(number), expires, NOW);
            assert!(spent.await.unwrap());
            let opening = opening("token 2", expires);
            store.spend_code(at, opening, NOW).await.unwrap().unwrap();
        }
        LAST_STEP => assert!(store.end_session(of, NOW).await.unwrap().is_some()),
        _ => {
            renew(store, number).await;
            let turn = turn(&token(step - 1), &token(step), expires);
            let rotation = store.rotate_refresh(of, turn, NOW).await.unwrap();
            assert!(rotation.unwrap().won);
        }
    }
}

/// The assertion by which the client of connection `number` redeemed its code.
fn assertion(number: u64) -> SecretDigest {
    digest(&format!("assertion {number}"))
}

fn token(step: u8) -> String {
    format!("token {step}")
}

/// The step that put this token in force.
fn step_of(refresh: &RefreshState) -> Option<u8> {
    (2..LAST_STEP).find(|&step| refresh.current == digest(&token(step)))
}

/// How far the store says that connection `number` has come.
async fn step_reached(store: &SledStore, number: u64) -> u8 {
    let code = store.find_code(id(number * 2), NOW).await.unwrap();
    let session = store.find_session(id(number * 2 + 1), NOW).await.unwrap();
    let (agreed, _) = consent(&number.to_string(), NOW);
    let agreed = store.find_consent(agreed, NOW).await.unwrap();
    let Some(code) = code else {
        assert_eq!(session, None, "connection {number} has a session alone");
        assert_eq!(agreed, None, "connection {number} has a consent alone");
        return 0;
    };
    assert!(agreed.is_some(), "connection {number} has no consent");
    let Some(session) = session else {
        assert!(code.spent, "connection {number} has a code alone");
        return LAST_STEP;
    };
    match (code.spent, session.refresh) {
        (false, None) => 1,
        (true, Some(refresh)) => {
            let step = step_of(&refresh).unwrap();
            let before = refresh.previous.map(|previous| previous.digest);
            assert_eq!(before, (step > 2).then(|| digest(&token(step - 1))));
            step
        }
        torn => panic!("connection {number} is torn: {torn:?}"),
    }
}

/// Nothing that a connection used up on its way to `step` works once more.
async fn assert_nothing_comes_back(store: &SledStore, number: u64, step: u8) {
    let (at, of) = (id(number * 2), id(number * 2 + 1));
    if step >= 2 {
        let again = store.spend_code(at, opening("again", NOW + LIFE), NOW);
        assert_eq!(again.await.unwrap(), None, "code of connection {number}");
        let again = store.spend_assertion(assertion(number), NOW + LIFE, NOW);
        assert!(!again.await.unwrap(), "assertion of connection {number}");
    }
    for used in 2..step {
        let again = store.rotate_refresh(of, turn(&token(used), "again", NOW + LIFE), NOW);
        let won = again.await.unwrap().is_some_and(|rotation| rotation.won);
        assert!(!won, "token {used} of connection {number}");
    }
}

/// No session is without its grant, no grant without sessions, and each lists its own, once. No grant is older than what
/// was acknowledged of it.
async fn assert_grants_are_whole(store: &SledStore, written: &BTreeMap<u64, i64>) {
    let mut living = BTreeMap::<String, BTreeSet<_>>::new();
    for session in store.list_sessions(None, usize::MAX, NOW).await.unwrap() {
        let of_person = living.entry(session.subject.as_str().to_owned());
        of_person.or_default().insert(session.id);
    }
    let mut listed = BTreeMap::new();
    for grant in store.list_grants(None, usize::MAX, NOW).await.unwrap() {
        let sessions: BTreeSet<_> = grant.sessions.iter().copied().collect();
        assert_eq!(sessions.len(), grant.sessions.len(), "one is listed twice");
        listed.insert(grant.subject().as_str().to_owned(), sessions);
    }
    assert_eq!(listed, living);
    for (&number, &written) in written {
        let kept = store.find_grant(&person(number), NOW).await.unwrap();
        // one that is gone went with its last session, and there is none
        let kept = kept.map(|grant| grant.checked.0);
        assert!(
            kept.is_none_or(|kept| kept >= written),
            "{written} was acknowledged for connection {number}, and {kept:?} is there"
        );
    }
}

/// Looks at connection after connection while others change them, and says what it sees: that was answered, too.
async fn watch(store: &SledStore, current: &AtomicU64) {
    loop {
        let number = current.load(Ordering::Relaxed);
        let session = store.find_session(id(number * 2 + 1), NOW).await.unwrap();
        let current = session.and_then(|session| session.refresh);
        let step = current.and_then(|refresh| step_of(&refresh)).unwrap_or(0);
        if step > 0 {
            say(&format!("step {number} {step}"));
        }
        let grant = store.find_grant(&person(number), NOW).await.unwrap();
        if let Some(grant) = grant {
            say(&format!("written {number} {}", grant.checked.0));
        }
        tokio::task::yield_now().await;
    }
}

/// A child of the tests below: never to be run for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is started, and killed, by the other tests of this file"]
async fn the_one_that_is_killed() {
    say("opening");
    let store = match SledStore::open(Path::new(DIRECTORY)) {
        Ok(store) => Arc::new(store),
        Err(error) => return say(&format!("refused {error}")),
    };
    say("open");
    let first = u64::from_be_bytes(entropy::random()) >> 16;
    let mut lives = tokio::task::JoinSet::new();
    let current = Arc::new(AtomicU64::new(first));
    let (watched, watching) = (Arc::clone(&store), Arc::clone(&current));
    tokio::spawn(async move { watch(&watched, &watching).await });
    for life in 0..6 {
        let store = Arc::clone(&store);
        let current = Arc::clone(&current);
        lives.spawn(async move {
            for number in (first + life..).step_by(6) {
                current.store(number, Ordering::Relaxed);
                for step in 1..=LAST_STEP {
                    // Three in six stop before the end, so that every step is somebody's last.
                    if number % 6 < 3 && u64::from(step) > 1 + number % 6 {
                        break;
                    }
                    take_step(&store, number, step).await;
                    say(&format!("step {number} {step}"));
                }
            }
        });
    }
    while let Some(life) = lives.join_next().await {
        if let Err(error) = life {
            say(&format!("failed {error}"));
            // Nobody is left hanging: whoever asks now is answered, too.
            let late = first_sign_in(code(id(2), NOW + LIFE), session(id(2), NOW + LIFE));
            let late = store.put_code(id(1), late, NOW);
            say(&format!("late {}", late.await.unwrap_err()));
            return;
        }
    }
}

/// One line on standard output, whole and at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

const CHILD: [&str; 4] = [
    "crash::the_one_that_is_killed",
    "--exact",
    "--ignored",
    "--nocapture",
];

fn start(mut command: Command, directory: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = command
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    (child, said)
}

/// A moment out of `range`, in microseconds.
fn moment(range: Range<u64>) -> Duration {
    let drawn = u64::from_be_bytes(entropy::random());
    Duration::from_micros(range.start + drawn % (range.end - range.start))
}

/// What a child said: the last step of each connection, and the last of what was written to its grant.
#[derive(Default)]
struct Acknowledged {
    steps: BTreeMap<u64, u8>,
    written: BTreeMap<u64, i64>,
}

/// Lets a child run until `moment` after it said `mark`, kills it, and tells what it said.
fn kill_one(directory: &Path, mark: &str, moment: Duration) -> Acknowledged {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(CHILD);
    let (mut child, mut said) = start(command, directory);
    let mut line = String::new();
    while line.trim_end() != mark {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the child went away");
        assert!(!line.starts_with("refused"), "{line}");
    }
    let reader = thread::spawn(move || said.lines().map(Result::unwrap).collect::<Vec<_>>());
    wait_until(Instant::now() + moment);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut acknowledged = Acknowledged::default();
    for line in reader.join().unwrap() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["step", number, step] => {
                let step = step.parse().unwrap();
                let known = acknowledged.steps.entry(number.parse().unwrap());
                let known = known.or_insert(step);
                *known = step.max(*known);
            }
            ["written", number, written] => {
                let written = written.parse().unwrap();
                let known = acknowledged.written.entry(number.parse().unwrap());
                let known = known.or_insert(written);
                *known = written.max(*known);
            }
            ["open"] => {}
            _ => panic!("the child said: {line}"),
        }
    }
    acknowledged
}

/// The moment of a kill is the subject here; nothing is asserted on it.
fn wait_until(end: Instant) {
    thread::park_timeout(end.saturating_duration_since(Instant::now()));
}

async fn assert_kept(directory: &Path, acknowledged: &Acknowledged) {
    let store = SledStore::open(&directory.join(DIRECTORY)).unwrap();
    assert_grants_are_whole(&store, &acknowledged.written).await;
    for (&number, &step) in &acknowledged.steps {
        let reached = step_reached(&store, number).await;
        assert!(
            reached == step || reached == step + 1,
            "connection {number}: step {step} was acknowledged, and step {reached} is there"
        );
        assert_nothing_comes_back(&store, number, reached).await;
    }
}

/// Kills `kills` children in one directory, each at some moment after `mark`.
async fn survive(kills: usize, mark: &str, range: Range<u64>) -> usize {
    let directory = tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for _ in 0..kills {
        let now = kill_one(directory.path(), mark, moment(range.clone()));
        assert_kept(directory.path(), &now).await;
        acknowledged.steps.extend(now.steps);
        acknowledged.written.extend(now.written);
    }
    assert_kept(directory.path(), &acknowledged).await;
    acknowledged.steps.len()
}

/// TOK-39
#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let connections = survive(60, "open", 0..120_000).await;
    assert!(connections > 60, "only {connections} connections were made");
}

#[tokio::test]
async fn a_kill_while_the_store_opens_does_not_stop_the_next_start() {
    survive(60, "opening", 0..40_000).await;
}

#[test]
fn a_full_disk_fails_every_later_write_and_nothing_hangs() {
    let directory = tempdir().unwrap();
    // A limit on the length of files stands for the disk; the signal that comes with it is ignored.
    let mut command = Command::new("bash");
    command
        .args(["-c", r#"trap "" XFSZ; ulimit -f 1500; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(CHILD);
    let (mut child, said) = start(command, directory.path());
    let lines: Vec<_> = said.lines().map(Result::unwrap).collect();
    child.wait().unwrap();
    let steps = lines.iter().filter(|line| line.starts_with("step")).count();
    assert!(steps > 0, "{lines:?}");
    let late = lines.iter().find(|line| line.starts_with("late")).unwrap();
    assert!(late.contains("nothing is written any more"), "{late}");
    assert!(late.contains("File too large"), "{late}");
}
