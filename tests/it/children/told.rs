//! What a child gets of us, and what we take from it.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use anteroom::backend::stdio::NoChild;
use anteroom::clock::UnixTime;
use anteroom::protocol::identity::Identity;
use anteroom::protocol::ids::{ClientId, Id};
use anteroom::protocol::principal::{NoUpstreamToken, Principal, Standing, UpstreamAccess};
use anteroom::secret::Secret;
use async_trait::async_trait;

use super::{Family, GREETS, environment, identity, in_session, lend, person, refused};
use crate::harness::log::Log;
use crate::harness::patience::until;

#[tokio::test]
async fn a_child_sees_nothing_of_our_environment() {
    // cargo gives the tests many variables
    assert!(environment(std::process::id()).len() > 5);
    let family = Family::samples().with("MODE", "fast");
    let children = family.children();
    let identity = Identity {
        name: Some("Mona\0X=1".to_owned()),
        verified_email: Some("mona@example.com".to_owned()),
        ..identity(1)
    };
    let id = Id::new(UnixTime(0));
    let mona = in_session(Standing::new(id, ClientId::new("client"), identity));
    drop(lend(&children, &mona).await);
    let seen: BTreeSet<_> = environment(family.only()).into_iter().collect();
    #[expect(clippy::disallowed_methods, reason = "what a child is given of it")]
    let path = std::env::var("PATH").unwrap();
    let given = [
        format!("PATH={path}"),
        format!("MARK={}", family.mark),
        "MODE=fast".to_owned(),
        "ANTEROOM_USER=github:1".to_owned(),
        "ANTEROOM_LOGIN=person1".to_owned(),
        "ANTEROOM_EMAIL=mona@example.com".to_owned(),
    ];
    assert_eq!(seen, BTreeSet::from(given));
    children.end_all().await;
}

#[tokio::test]
async fn a_child_has_no_files_of_ours() {
    let family = Family::script(&format!("{GREETS}read -r line; read -r line"));
    let _open = fs::File::open("/proc/self/stat").unwrap();
    let children = family.children();
    drop(lend(&children, &person(1)).await);
    let files = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let files = files.map(|file| {
            let to = fs::read_link(file.path()).unwrap_or_default();
            (file.file_name().into_string().unwrap(), to)
        });
        files.collect::<BTreeSet<_>>()
    };
    let ours = files(std::process::id());
    // what this process was started with, and nobody opened here
    let inherited = files(std::os::unix::process::parent_id());
    let theirs = files(family.only());
    let theirs: Vec<_> = theirs.difference(&inherited).collect();
    let numbers: Vec<_> = theirs.iter().map(|(number, _)| &**number).collect();
    assert_eq!(numbers, ["0", "1", "2"], "{theirs:?}");
    assert!(theirs.iter().all(|file| !ours.contains(file)), "{theirs:?}");
    children.end_all().await;
}

/// U1
#[tokio::test]
async fn no_shell_reads_the_words_of_a_command() {
    let word = "$(echo read) `id` ; \"x\" > y";
    let mut family = Family::script(r#"printf %s "$1" > word; exec $SAMPLE"#);
    family
        .settings
        .words
        .extend(["sh".to_owned(), word.to_owned()]);
    let children = family.children();
    drop(lend(&children, &person(1)).await);
    assert_eq!(family.written("word"), word);
    children.end_all().await;
}

/// SEC-04
#[tokio::test]
async fn what_a_child_writes_to_stderr_is_told_without_the_secrets_that_it_was_given() {
    let (log, _listening) = Log::listen("info");
    let words =
        r#"printf 'key %s\n\033[31mred level=error\n\377\n' "$KEY" >&2; echo "$LONG" >&2; "#;
    let family = Family::script(&format!("LONG=$(printf %09000d 0)\n{words}exec $SAMPLE"))
        .with("KEY", "sk-1234567890");
    let children = family.children();
    drop(lend(&children, &person(1)).await);
    let last = "0".repeat(4096);
    until("all of it is told", || log.text().contains(&last)).await;
    children.end_all().await;
    let log = log.text();
    for told in [
        r#"server="example""#,
        r#"line="key (secret)""#,
        r#"line="\u{1b}[31mred level=error""#,
        "line=\"\u{fffd}\"",
    ] {
        assert!(log.contains(told), "{told} in {log}");
    }
    assert!(!log.contains("sk-1234567890") && !log.contains('\u{1b}'));
    assert!(!log.contains(&"0".repeat(4097)));
}

#[tokio::test]
async fn a_child_cannot_fill_the_log() {
    let (log, _listening) = Log::listen("info");
    let flood = "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done >&2; ";
    let family = Family::script(&format!("{flood}exec $SAMPLE"));
    let children = family.children();
    drop(lend(&children, &person(1)).await);
    // it has been written before the child answered: each turn reads some of it
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    children.end_all().await;
    let log = log.text();
    let lines = log.matches("wrote to stderr").count();
    assert_eq!(lines, 200);
    assert!(
        log.contains("lines were left out") && log.contains("lines=4800"),
        "{log}"
    );
}

/// A provider that gives the token of the moment.
struct Access(Mutex<Result<String, NoUpstreamToken>>);

#[async_trait]
impl UpstreamAccess for Access {
    async fn token(&self, _session: Id) -> Result<Secret, NoUpstreamToken> {
        self.0.lock().unwrap().clone().map(Secret::new)
    }
}

fn with_token(token: &str) -> (Arc<Access>, Arc<Principal>) {
    let access = Arc::new(Access(Mutex::new(Ok(token.to_owned()))));
    let mut standing = Standing::new(Id::new(UnixTime(0)), ClientId::new("client"), identity(1));
    standing.upstream = Some(Arc::clone(&access) as Arc<dyn UpstreamAccess>);
    (access, in_session(standing))
}

fn token_of(pid: u32) -> Option<String> {
    let variables = environment(pid).into_iter();
    let mut token = variables.filter_map(|text| Some(text.strip_prefix("TOKEN=")?.to_owned()));
    token.next()
}

/// CONS-14, CONS-22
#[tokio::test]
async fn a_renewed_token_gets_a_new_child_and_the_old_one_ends_with_its_last_call() {
    let mut family = Family::samples();
    family.settings.upstream_token = Some("TOKEN".to_owned());
    let children = family.children();
    let (access, mona) = with_token("gho_one");
    let lease = lend(&children, &mona).await;
    let old = family.only();
    assert_eq!(token_of(old).as_deref(), Some("gho_one"));
    *access.0.lock().unwrap() = Ok("gho_two".to_owned());
    let second = lend(&children, &mona).await;
    let tokens = |family: &Family| {
        let pids = family.processes().into_keys();
        pids.filter_map(token_of).collect::<BTreeSet<_>>()
    };
    assert_eq!(
        tokens(&family),
        BTreeSet::from(["gho_one".to_owned(), "gho_two".to_owned()])
    );
    // whoever was slow, and still has the token of before, does not turn it round
    *access.0.lock().unwrap() = Ok("gho_one".to_owned());
    drop(lend(&children, &mona).await);
    assert_eq!(family.processes().len(), 2);
    super::whoami(&lease).await;
    drop(lease);
    until("the old one is gone", || {
        !family.processes().contains_key(&old)
    })
    .await;
    assert_eq!(tokens(&family), BTreeSet::from(["gho_two".to_owned()]));
    drop(second);
    *access.0.lock().unwrap() = Err(NoUpstreamToken::Unavailable);
    let none = refused(&children, &mona).await;
    assert_eq!(none, NoChild::NoUpstreamToken(NoUpstreamToken::Unavailable));
    children.end_all().await;
}

/// CONS-14
#[tokio::test]
async fn a_shared_child_gets_nobodys_token() {
    let mut family = Family::samples().shared();
    family.settings.upstream_token = Some("TOKEN".to_owned());
    let children = family.children();
    drop(lend(&children, &with_token("gho_one").1).await);
    assert_eq!(environment(family.only()).len(), 2);
    children.end_all().await;
}

#[tokio::test]
async fn the_sample_ends_with_its_stdin_and_when_it_is_told_to() {
    let start = || {
        let mut sample = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        sample.args(["sample", "--stdio"]).env_clear();
        sample.stdin(Stdio::piped()).stdout(Stdio::piped());
        sample.spawn().unwrap()
    };
    let mut sample = start();
    drop(sample.stdin.take());
    until("it ends", || sample.try_wait().unwrap().is_some()).await;
    let mut sample = start();
    let order = format!("kill -TERM {}", sample.id());
    Command::new("sh").args(["-c", &order]).status().unwrap();
    until("it ends", || sample.try_wait().unwrap().is_some()).await;
}
