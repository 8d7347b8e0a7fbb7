//! One child: started, greeted, and ended with all that belongs to it.

use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use rmcp::model::{ClientRequest, CustomRequest, ProtocolVersion};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, Peer, PeerRequestOptions,
    RoleClient, RunningService, RunningServiceCancellationToken,
};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::environment::Variables;
use super::hub::Hub;
use super::process::{Pipes, Process};
use super::settings::{ChildSettings, Sharing};
use super::stderr::{Secrets, Teller, shortened};
use super::traffic::Traffic;
use super::wire::Wire;
use crate::clock::Clock;

/// What a child is started with.
pub(super) struct Plan {
    pub(super) settings: Arc<ChildSettings>,
    pub(super) variables: Variables,
    pub(super) clock: Arc<dyn Clock>,
}

/// A child that has shaken hands.
pub(super) struct Child {
    pub(super) reached: Reached,
    /// Over when its stdout is, or when it was told to stop.
    conversation: Option<BoxFuture<'static, ()>>,
    stop: RunningServiceCancellationToken,
    process: Process,
    stderr: JoinHandle<()>,
}

/// Where a child is reached.
#[derive(Clone)]
pub(super) struct Reached {
    pub(super) peer: Peer<RoleClient>,
    pub(super) hub: Hub,
    pub(super) traffic: Arc<Traffic>,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be run ({0}): look at `command` and `directory`")]
    Spawn(std::io::Error),
    #[error("it does not speak MCP: {cause}")]
    Handshake {
        cause: String,
        /// Whether it answered, with an error.
        is_answer: bool,
        status: Option<ExitStatus>,
    },
    #[error("it ended before it spoke MCP")]
    Exited(Option<ExitStatus>),
    #[error("it did not answer within a minute")]
    TooSlow,
    #[error("the identifier of the person has control characters")]
    Unspeakable,
    /// Nobody is to have it any more.
    #[error("it is not wanted any more")]
    NotWanted,
}

impl Failure {
    /// How the process ended.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        match self {
            Self::Handshake { status, .. } | Self::Exited(status) => *status,
            _ => None,
        }
    }
}

/// Starts a child and shakes hands, unless `give_up` says why not.
///
/// It is greeted with `initialize`, which every server of today understands; `server/discover` first would break those
/// that end, or fall silent, when something else comes first. One that answers with an error is started once more, and
/// asked with `server/discover` (2026-07-28): `discovers` remembers it for the next time.
pub(super) async fn start<G>(
    plan: &Plan,
    discovers: &AtomicBool,
    mut give_up: Pin<&mut G>,
) -> Result<Child, Failure>
where
    G: Future<Output = Failure>,
{
    let is_modern = discovers.load(Ordering::Relaxed);
    let first = attempt(plan, lifecycle(is_modern), give_up.as_mut()).await;
    let Err(Failure::Handshake {
        is_answer: true, ..
    }) = first
    else {
        return first;
    };
    match attempt(plan, lifecycle(!is_modern), give_up).await {
        Ok(child) => {
            discovers.store(!is_modern, Ordering::Relaxed);
            Ok(child)
        }
        Err(Failure::NotWanted) => Err(Failure::NotWanted),
        // what it said to the greeting that most servers understand
        Err(second) => Err(if is_modern {
            second
        } else {
            first.err().unwrap_or(second)
        }),
    }
}

fn lifecycle(is_modern: bool) -> ClientLifecycleMode {
    if is_modern {
        ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        }
    } else {
        ClientLifecycleMode::Initialize
    }
}

async fn attempt<G>(
    plan: &Plan,
    lifecycle: ClientLifecycleMode,
    mut give_up: Pin<&mut G>,
) -> Result<Child, Failure>
where
    G: Future<Output = Failure>,
{
    // it may have waited for others to end, or may be the second attempt
    if let Some(failure) = give_up.as_mut().now_or_never() {
        return Err(failure);
    }
    let (mut process, pipes) = Process::spawn(plan.command()).map_err(Failure::Spawn)?;
    let Pipes {
        stdin,
        stdout,
        stderr,
    } = pipes;
    let secrets = Arc::new(Secrets::of(&plan.variables, &plan.settings.in_clear));
    let teller = Teller {
        server: plan.settings.server.clone(),
        pid: process.id(),
        secrets: Arc::clone(&secrets),
        clock: Arc::clone(&plan.clock),
    };
    let stderr = tokio::spawn(teller.tell(stderr));
    let hub = match plan.settings.sharing {
        Sharing::PerPerson => Hub::of_one_person(),
        Sharing::Shared => Hub::default(),
    };
    let traffic = Arc::new(Traffic::new(Arc::clone(&plan.clock)));
    let transport = hub.over(Wire::new(stdout, stdin, Arc::clone(&traffic)));
    let served = tokio::select! {
        biased;
        served = hub.clone().serve_with_lifecycle(transport, lifecycle) => {
            served.map_err(|error| refused(&error, &secrets))
        }
        status = process.exited() => Err(Failure::Exited(status)),
        failure = give_up => Err(failure),
    };
    match served {
        Ok(service) => {
            let reached = Reached {
                peer: service.peer().clone(),
                hub,
                traffic,
            };
            Ok(Child::new(service, reached, process, stderr))
        }
        Err(mut failure) => {
            let ended = process.end().await;
            last_words(stderr).await;
            if let Failure::Handshake { status, .. } | Failure::Exited(status) = &mut failure {
                *status = ended;
            }
            Err(failure)
        }
    }
}

/// Its answer may be anything, and may have our secrets in it.
fn refused(error: &ClientInitializeError, secrets: &Secrets) -> Failure {
    Failure::Handshake {
        cause: shortened(&secrets.redact(&error.to_string())).to_owned(),
        is_answer: matches!(error, ClientInitializeError::JsonRpcError(_)),
        status: None,
    }
}

impl Plan {
    fn command(&self) -> Command {
        let mut words = self.settings.words.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).env_clear();
        for (name, value) in &self.variables {
            command.env(name, value.expose());
        }
        if let Some(directory) = &self.settings.directory {
            command.current_dir(directory);
        }
        command
    }
}

impl Reached {
    /// Asks it whether it is there. Whatever it says is an answer.
    pub(super) async fn ping(&self) {
        let peer = &self.peer;
        let told = peer.peer_info();
        let is_modern = told.is_some_and(|told| !told.protocol_version.has_initialize());
        // 2026-07-28 has no ping
        let method = if is_modern { "server/discover" } else { "ping" };
        let request = ClientRequest::CustomRequest(CustomRequest::new(method, None));
        let options = PeerRequestOptions::no_options();
        let sent = peer.send_request_with_option(request, options);
        let _ = timeout(SENT, sent).await;
    }
}

impl Child {
    fn new(
        service: RunningService<RoleClient, Hub>,
        reached: Reached,
        process: Process,
        stderr: JoinHandle<()>,
    ) -> Self {
        Self {
            reached,
            stop: service.cancellation_token(),
            conversation: Some(service.waiting().map(|_| ()).boxed()),
            process,
            stderr,
        }
    }

    /// The number of its process.
    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until it ends by itself, or says no more. Can be dropped and asked again.
    pub(super) async fn ended(&mut self) {
        let Some(conversation) = &mut self.conversation else {
            return;
        };
        tokio::select! {
            _ = self.process.exited() => {}
            () = conversation => self.conversation = None,
            // a conversation in which something waits to be written does not see that nothing more comes
            () = self.reached.hub.ended() => {}
        }
    }

    /// Ends it, and all that it started; calls under way are cut off. How its process ended, if that can be known.
    pub(super) async fn end(self) -> Option<ExitStatus> {
        // its stdin is closed with the conversation
        self.stop.cancel();
        let conversation = OptionFuture::from(self.conversation);
        let conversation = timeout(LAST_ANSWERS, conversation);
        let (status, _) = tokio::join!(self.process.end(), conversation);
        last_words(self.stderr).await;
        status
    }
}

/// What it wrote before its end is told; nobody waits for a daemon that holds the other end of the pipe.
async fn last_words(mut stderr: JoinHandle<()>) {
    if timeout(LAST_WORDS, &mut stderr).await.is_err() {
        stderr.abort();
    }
}

/// Longer than a process that is told to end lives: without it nobody answers.
const LAST_ANSWERS: Duration = Duration::from_secs(8);
/// A message is queued at once, as long as anybody is there to queue it.
const SENT: Duration = Duration::from_secs(1);
const LAST_WORDS: Duration = Duration::from_millis(500);
