//! Other processes: started, ended, and what they have used of the machine.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A process to measure. One that was started here ends with this value.
pub(crate) struct Process {
    pid: u32,
    child: Option<Child>,
}

impl Process {
    /// One that runs already.
    pub(crate) fn running(pid: u32) -> Self {
        Self { pid, child: None }
    }

    /// Starts one; what it writes is thrown away, but written.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let pid = child.id().context("it ended at once")?;
        Ok(Self {
            pid,
            child: Some(child),
        })
    }

    /// The first line that it writes.
    pub(crate) async fn first_line(&mut self) -> Result<String> {
        let output = self
            .child
            .as_mut()
            .and_then(|child| child.stdout.take())
            .context("its output is not ours")?;
        let line = BufReader::new(output).lines().next_line().await?;
        line.context("it ended without a word")
    }

    /// CPU time of all its threads, those that ended included, in microseconds; exact to a tick of 10 ms.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .context("the process is gone")?;
        // The name, in brackets, may hold spaces. Behind it: state, and from the 12th value on utime and stime.
        let (_, values) = stat.rsplit_once(')').context("stat without a name")?;
        let ticks: f64 = values
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<f64>)
            .sum::<Result<f64, _>>()?;
        Ok(ticks * MICROSECONDS_PER_TICK)
    }

    /// How many file handles it has open.
    pub(crate) fn handles(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }

    /// How many processes it has started that still run.
    pub(crate) fn children(&self) -> Result<usize> {
        let mut count = 0;
        for entry in std::fs::read_dir("/proc")? {
            // a process that has ended meanwhile has no stat; behind its name stand state and parent
            let stat = std::fs::read_to_string(entry?.path().join("stat")).unwrap_or_default();
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1));
            count += usize::from(parent == Some(self.pid.to_string().as_str()));
        }
        Ok(count)
    }

    /// Its memory, in MB.
    pub(crate) fn memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let kilobytes: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.split_whitespace().next())
            .context("status without VmRSS")?
            .parse()?;
        Ok(kilobytes / 1024.0)
    }
}

/// `USER_HZ` is 100 on every Linux that matters.
const MICROSECONDS_PER_TICK: f64 = 10_000.0;
