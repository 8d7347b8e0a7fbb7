//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes as many as the system grants. What it starts with is often 1,024, for the sake of programs that cannot count
/// further, and an event stream through the proxy takes two.
pub(super) fn raise() {
    let granted = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: granted.maximum,
        maximum: granted.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        tracing::warn!(%error, limit = ?granted.current, "the limit of open files stays as it is");
    }
}
