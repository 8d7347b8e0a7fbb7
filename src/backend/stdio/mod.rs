//! MCP servers that are children of ours, and speak over stdin and stdout.

mod ask;
mod asker;
mod back_off;
mod bridge;
mod call;
mod child;
pub mod children;
mod environment;
mod front;
pub mod hub;
mod overheard;
mod presence;
mod process;
mod roster;
mod session;
pub mod settings;
mod stderr;
mod subscriptions;
mod traffic;
mod turns;
mod wire;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rmcp::service::{Peer, RoleClient};

pub use self::front::{StdioService, service};
use self::hub::Hub;
use crate::protocol::principal::{NoUpstreamToken, Principal};

/// Who has the children.
#[async_trait]
pub trait Lend: Send + Sync {
    /// The child that answers this caller: the one that runs, or one that is started now. It has shaken hands.
    ///
    /// # Errors
    /// Why there is none; what the caller is told is in its words.
    async fn lend(&self, principal: &Arc<Principal>) -> Result<Lease, NoChild>;
}

/// A child in use: it is not idle while somebody holds this.
pub struct Lease {
    /// Where to send requests.
    pub peer: Peer<RoleClient>,
    /// Where what the child says of itself arrives.
    pub hub: Hub,
    /// Ends the use when it is dropped.
    pub held: Box<dyn Any + Send + Sync>,
}

/// Why there is no child.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoChild {
    /// There are as many as there may be, and all are in use.
    #[error("the MCP server is as busy as it may be; try again later")]
    TooMany,
    /// It could not be started, or ended at once; it is not tried again before that time is over.
    #[error("the MCP server cannot be started now; try again later")]
    NotStarted(Duration),
    /// It needs the provider's token of the caller.
    #[error(transparent)]
    NoUpstreamToken(#[from] NoUpstreamToken),
}
