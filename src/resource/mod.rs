//! The MCP server's side (RFC 6750, RFC 9728): what stands before `/mcp` and lets through what the token allows.

pub mod challenge;
pub mod cors;
pub mod gate;
pub mod layer;
pub mod mcp_session;
pub mod message;
pub mod proxy;
pub mod scope_policy;
pub mod token_cache;

use std::sync::Arc;

use async_trait::async_trait;

use crate::protocol::ids::Id;
use crate::protocol::principal::Standing;

/// Where the gate learns whether the session of a token is still in force.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// The session, if it is in force. The same `Standing` for everybody, so that its end is seen by all.
    ///
    /// # Errors
    /// Where it cannot be told now: an outage of ours, answered 503 and never 401.
    async fn standing(&self, session: Id) -> Result<Option<Arc<Standing>>, Unavailable>;
}

/// It cannot be told now.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("sessions cannot be looked up now")]
pub struct Unavailable;
