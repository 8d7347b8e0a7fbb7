//! Who is calling: what the resource side knows of a request once its token has been verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::identity::Identity;
use super::ids::{ClientId, Id};
use super::scope::ScopeSet;

/// The signed-in person behind a request, the client that speaks for them, and what it may do. It stands in the
/// extensions of each request that reaches the MCP server.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The session of the token, shared by all requests that use it.
    pub standing: Arc<Standing>,
    /// The client.
    pub client_id: ClientId,
    /// The scopes of the token.
    pub scopes: ScopeSet,
}

impl Principal {
    /// Who signed in.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.standing.identity
    }
}

/// A session as the resource side sees it. Everybody who holds it sees its end at once.
#[derive(Debug)]
pub struct Standing {
    /// Which session.
    pub session: Id,
    /// Who signed in.
    pub identity: Identity,
    ended: AtomicBool,
}

impl Standing {
    /// A session in force.
    #[must_use]
    pub fn new(session: Id, identity: Identity) -> Self {
        Self {
            session,
            identity,
            ended: AtomicBool::new(false),
        }
    }

    /// Ends it, for everybody.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}
