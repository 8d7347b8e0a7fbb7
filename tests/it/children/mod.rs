//! The children of a stdio server, as real processes: `anteroom sample --stdio`, and little servers in `sh`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod back_off;
mod ends;
mod hangs;
mod limits;
mod program;
mod starts;
mod told;

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anteroom::backend::stdio::children::Children;
use anteroom::backend::stdio::settings::{ChildSettings, Sharing};
use anteroom::backend::stdio::{Lease, Lend as _, NoChild};
use anteroom::clock::{ManualClock, UnixTime};
use anteroom::entropy;
use anteroom::protocol::identity::Identity;
use anteroom::protocol::ids::{ClientId, Id, ProviderId, Subject};
use anteroom::protocol::principal::{Principal, Standing};
use anteroom::protocol::scope::ScopeSet;
use anteroom::secret::Secret;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use tempfile::TempDir;

use crate::harness::patience::until;

/// A server in `sh` that shakes hands, and goes on with what stands behind it.
const GREETS: &str = r#"read -r line; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}'
"#;

const IDLE: Duration = Duration::from_secs(600);
const NEARLY_IDLE: Duration = Duration::from_secs(599);

/// Children to be, of which every process can be found: each has a mark in its environment.
struct Family {
    directory: TempDir,
    mark: String,
    clock: Arc<ManualClock>,
    settings: ChildSettings,
}

impl Family {
    /// Children with these words.
    fn of(words: &[&str]) -> Self {
        let mark = format!("{:x}", u64::from_be_bytes(entropy::random()));
        let directory = tempfile::tempdir().unwrap();
        let settings = ChildSettings {
            server: "example".to_owned(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            environment: vec![("MARK".to_owned(), Secret::new(mark.clone()))],
            in_clear: Vec::new(),
            directory: Some(directory.path().to_owned()),
            sharing: Sharing::PerPerson,
            idle: IDLE,
            children: NonZeroUsize::new(100).unwrap(),
            headers: true,
            upstream_token: None,
        };
        Self {
            directory,
            mark,
            clock: Arc::new(ManualClock::at(UnixTime(1_795_000_000))),
            settings,
        }
    }

    /// Samples.
    fn samples() -> Self {
        Self::of(&[env!("CARGO_BIN_EXE_anteroom"), "sample", "--stdio"])
    }

    /// A script, which runs in a directory of its own; `$SAMPLE` is the sample.
    fn script(text: &str) -> Self {
        let sample = concat!(
            "SAMPLE='",
            env!("CARGO_BIN_EXE_anteroom"),
            " sample --stdio'\n"
        );
        Self::of(&["sh", "-c", &format!("{sample}{text}")])
    }

    fn shared(mut self) -> Self {
        self.settings.sharing = Sharing::Shared;
        self
    }

    fn at_most(mut self, children: usize) -> Self {
        self.settings.children = NonZeroUsize::new(children).unwrap();
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let variable = (name.to_owned(), Secret::new(value));
        self.settings.environment.push(variable);
        self
    }

    fn children(&self) -> Arc<Children> {
        let clock = Arc::clone(&self.clock);
        Arc::new(Children::new(self.settings.clone(), clock))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a script wrote.
    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Every process that has the mark, with its group.
    fn processes(&self) -> BTreeMap<u32, u32> {
        let mark = format!("MARK={}", self.mark);
        let marked = pids().filter(|pid| environment(*pid).contains(&mark));
        marked.filter_map(|pid| Some((pid, group(pid)?))).collect()
    }

    /// The one process there is.
    fn only(&self) -> u32 {
        let processes = self.processes();
        assert_eq!(processes.len(), 1, "{processes:?}");
        *processes.keys().next().unwrap()
    }

    async fn until_gone(&self) {
        until("every process is gone", || self.processes().is_empty()).await;
    }
}

/// Somebody, in a session of their own.
fn person(number: u32) -> Arc<Principal> {
    in_session(Standing::new(
        Id::new(UnixTime(0)),
        ClientId::new("client"),
        identity(number),
    ))
}

fn identity(number: u32) -> Identity {
    Identity {
        subject: Subject::at(&ProviderId::new("github"), &number.to_string()),
        login: Some(format!("person{number}")),
        name: None,
        verified_email: None,
    }
}

fn in_session(standing: Standing) -> Arc<Principal> {
    Arc::new(Principal {
        standing: Arc::new(standing),
        client_id: ClientId::new("client"),
        scopes: ScopeSet::default(),
    })
}

/// A child for somebody, or the test has failed.
async fn lend(children: &Children, principal: &Arc<Principal>) -> Lease {
    match children.lend(principal).await {
        Ok(lease) => lease,
        Err(why) => panic!("no child: {why:?}"),
    }
}

/// Why there is none.
async fn refused(children: &Children, principal: &Arc<Principal>) -> NoChild {
    match children.lend(principal).await {
        Ok(_) => panic!("there is a child"),
        Err(why) => why,
    }
}

async fn whoami(lease: &Lease) -> CallToolResult {
    let call = CallToolRequestParams::new("whoami");
    lease.peer.call_tool(call).await.unwrap()
}

/// Whom the child belongs to, as far as it knows.
async fn subject(lease: &Lease) -> Option<String> {
    let told = whoami(lease).await.structured_content.unwrap();
    told["subject"].as_str().map(str::to_owned)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What a process was started with.
fn environment(pid: u32) -> Vec<String> {
    let read = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let variables = read
        .split(|byte| *byte == 0)
        .filter(|text| !text.is_empty());
    let variables = variables.map(|text| String::from_utf8_lossy(text).into_owned());
    variables.collect()
}

/// The process group; zombies have one as well.
fn group(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(2)?.parse().ok()
}

/// Who is left of a group, zombies too.
fn left_of(leader: u32) -> Vec<u32> {
    pids().filter(|pid| group(*pid) == Some(leader)).collect()
}
