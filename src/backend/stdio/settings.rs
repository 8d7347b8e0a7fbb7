//! What is set for the children of one server.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// What is set for the children of one server.
#[derive(Clone, Debug)]
pub struct ChildSettings {
    /// The server's name, for the log.
    pub server: String,
    /// The program and its arguments; never empty. No shell reads them.
    pub words: Vec<String>,
    /// All that a child finds in its environment, besides PATH and what it is told of its person.
    pub environment: Vec<(String, Secret)>,
    /// Names in `environment` whose values may stand in the log; those of all others are taken out of what a child writes.
    pub in_clear: Vec<String>,
    /// Where it runs; none: where this process runs.
    pub directory: Option<PathBuf>,
    /// Who has which child.
    pub sharing: Sharing,
    /// How long a child that nobody uses is kept.
    pub idle: Duration,
    /// How many processes there may be at once.
    pub children: NonZeroUsize,
    /// Whether the child of one person is told who that is. A shared one never is.
    pub headers: bool,
    /// The variable that holds the provider's token of its person. A shared child never gets one.
    pub upstream_token: Option<String>,
}

/// Who has which child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each person their own.
    PerPerson,
    /// Everybody the same.
    Shared,
}
