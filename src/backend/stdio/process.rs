//! One process and all that it starts: its process group, which ends with it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::SignalKind;
use tokio::time::{sleep, timeout};

/// A process, leader of a group of its own. Dropped before its end, the whole group is killed.
///
/// It stands outside of rmcp's transport: that one waits for the leader alone, and does not come to its signals where a
/// child no longer reads what it is sent.
pub(super) struct Process {
    leader: Box<dyn ChildWrapper>,
    is_gone: bool,
}

/// What it speaks through.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Process {
    /// Starts one. It inherits no file of ours but these three pipes.
    ///
    /// # Errors
    /// Where the program is not found or cannot be run.
    pub(super) fn spawn(mut command: Command) -> io::Result<(Self, Pipes)> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut wrap = CommandWrap::from(command);
        wrap.wrap(ProcessGroup::leader());
        let mut process = Self {
            leader: wrap.spawn()?,
            is_gone: false,
        };
        let leader = &mut process.leader;
        let pipes = (
            leader.stdin().take(),
            leader.stdout().take(),
            leader.stderr().take(),
        );
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        let pipes = Pipes {
            stdin,
            stdout,
            stderr,
        };
        Ok((process, pipes))
    }

    /// Its number.
    pub(super) fn id(&self) -> Option<u32> {
        self.leader.id()
    }

    /// Waits for the end of the leader. Can be dropped and asked again.
    pub(super) async fn exited(&mut self) -> Option<ExitStatus> {
        // not of the wrapper: it would wait for the orphans of the group as well, where they become our children
        self.leader.inner_mut().wait().await.ok()
    }

    /// Waits until the group is gone: for its own accord, since its stdin is closed by now; then it is asked with
    /// SIGTERM, and then killed. How the leader ended, if that can be known.
    pub(super) async fn end(mut self) -> Option<ExitStatus> {
        let _ = timeout(AT_EOF, self.exited()).await;
        // The leader's number is not given to another process before its group is gone. Between its end and the signal
        // there are microseconds, in which the kernel would have to go through all other numbers.
        if self.signal(SignalKind::terminate()) && timeout(AT_SIGTERM, self.gone()).await.is_err() {
            let _ = self.leader.start_kill();
            let _ = timeout(AT_SIGKILL, self.gone()).await;
        }
        self.is_gone = true;
        timeout(AT_SIGKILL, self.exited()).await.ok().flatten()
    }

    /// Waits until nobody is left in the group.
    async fn gone(&mut self) {
        // as the first process of a container we are the one who collects its orphans
        let _ = self.leader.wait().await;
        while self.signal(SignalKind::window_change()) {
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Sends a signal to everybody in the group; whether there is anybody. SIGWINCH does nothing where nobody asked for
    /// it, so it can be used to see that.
    fn signal(&self, signal: SignalKind) -> bool {
        self.leader.signal(signal.as_raw_value()).is_ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_gone {
            let _ = self.leader.start_kill();
        }
    }
}

const AT_EOF: Duration = Duration::from_secs(3);
const AT_SIGTERM: Duration = Duration::from_secs(2);
const AT_SIGKILL: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
