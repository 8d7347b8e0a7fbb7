//! Who is calling: what the resource side knows of a request once its token has been verified.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;

use super::identity::Identity;
use super::ids::{ClientId, Id};
use super::scope::ScopeSet;
use crate::clock::UnixTime;
use crate::secret::Secret;

/// The signed-in person behind a request, the client that speaks for them, and what it may do. It stands in the
/// extensions of each request that reaches the MCP server.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The session of the token, shared by all requests that use it.
    pub standing: Arc<Standing>,
    /// The client.
    pub client_id: ClientId,
    /// The scopes of the token that are open to the person now.
    pub scopes: ScopeSet,
}

impl Principal {
    /// Who signed in.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.standing.identity
    }

    /// The provider's access token of the person, renewed where it was about to expire. It is for calling the provider in
    /// their name, and for nobody else: it must never reach the MCP client.
    ///
    /// # Errors
    /// See [`NoUpstreamToken`].
    pub async fn upstream_token(&self) -> Result<Secret, NoUpstreamToken> {
        let standing = &self.standing;
        match &standing.upstream {
            Some(upstream) => upstream.token(standing.session).await,
            None => Err(NoUpstreamToken::None),
        }
    }
}

/// Where the provider's token of a session is to be had.
#[async_trait]
pub trait UpstreamAccess: Send + Sync {
    /// The provider's access token for a session, good for some minutes at least where its life is known.
    ///
    /// # Errors
    /// See [`NoUpstreamToken`].
    async fn token(&self, session: Id) -> Result<Secret, NoUpstreamToken>;
}

/// Why there is no token of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoUpstreamToken {
    /// None is kept here.
    #[error("there is no token of the provider here")]
    None,
    /// The session has ended.
    #[error("the session has ended: sign in again")]
    Ended,
    /// It has expired, and the provider cannot be asked for another now.
    #[error("the provider of the sign-in is not available now; try again later")]
    Unavailable,
}

/// A session as the resource side sees it. Everybody who holds it sees its end at once.
pub struct Standing {
    /// Which session.
    pub session: Id,
    /// For which client.
    pub client_id: ClientId,
    /// Who signed in.
    pub identity: Identity,
    /// Scopes that are not open to the person, or no longer, whatever a token says.
    pub withheld: ScopeSet,
    /// Where the provider's token is to be had.
    pub upstream: Option<Arc<dyn UpstreamAccess>>,
    /// Until when it is good without another question.
    good_until: AtomicI64,
    ended: AtomicBool,
}

impl Standing {
    /// A session in force, that nothing is withheld from, and that is good for ever unless it is ended.
    #[must_use]
    pub fn new(session: Id, client_id: ClientId, identity: Identity) -> Self {
        Self {
            session,
            client_id,
            identity,
            withheld: ScopeSet::default(),
            upstream: None,
            good_until: AtomicI64::new(i64::MAX),
            ended: AtomicBool::new(false),
        }
    }

    /// The same, to be asked for again at `until`.
    #[must_use]
    pub fn good_until(self, until: UnixTime) -> Self {
        self.extend(until);
        self
    }

    /// It has been found good until then.
    pub fn extend(&self, until: UnixTime) {
        self.good_until.store(until.0, Ordering::Release);
    }

    /// Whether it can be relied on at `now` without asking again.
    #[must_use]
    pub fn is_good_at(&self, now: UnixTime) -> bool {
        now.0 < self.good_until.load(Ordering::Acquire)
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

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing")
            .field("session", &self.session)
            .field("client_id", &self.client_id)
            .field("subject", &self.identity.subject)
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
