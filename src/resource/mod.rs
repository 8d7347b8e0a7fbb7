//! The MCP server's side (RFC 6750, RFC 9728): what stands before `/mcp` and lets through what the token allows.

pub mod answer;
pub mod bearer;
pub mod caller;
pub mod challenge;
pub mod content;
pub mod door;
pub mod extract;
pub mod gate;
pub mod help;
pub mod json;
pub mod layer;
pub mod listing;
pub mod mcp_session;
pub mod message;
pub mod reach;
pub mod revision;
pub mod scope_policy;
pub mod stream;
pub mod token_cache;

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::UnixTime;
use crate::jwt::ring::KeyRing;
pub use crate::jwt::verify::TokenFault;
use crate::protocol::claims::AccessClaims;
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

/// Who checks the signature and the claims of an access token. The gate works against any issuer.
pub trait TokenVerifier: Send + Sync {
    /// The claims of `token`, if it is an access token for `audience` that is good at `now` (RFC 9068 §4).
    ///
    /// # Errors
    /// What is wrong with it.
    fn verify(
        &self,
        token: &str,
        audience: &str,
        now: UnixTime,
    ) -> Result<AccessClaims, TokenFault>;
}

impl TokenVerifier for KeyRing {
    fn verify(
        &self,
        token: &str,
        audience: &str,
        now: UnixTime,
    ) -> Result<AccessClaims, TokenFault> {
        Self::verify(self, token, audience, now)
    }
}
