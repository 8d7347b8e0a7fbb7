//! The MCP server's side (RFC 6750, RFC 9728): what stands before `/mcp` and lets through what the token allows.

pub mod answer;
pub mod bearer;
pub mod caller;
pub mod challenge;
pub mod content;
pub mod cors;
pub mod door;
pub mod gate;
pub mod json;
pub mod layer;
pub mod mcp_session;
pub mod message;
pub mod proxy;
pub mod revision;
pub mod scope_policy;
pub mod stream;
pub mod token_cache;

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::UnixTime;
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

/// What is wrong with an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// It cannot be read.
    #[error("the token cannot be read")]
    Malformed,
    /// No key of ours has its `kid`.
    #[error("the key of the token is unknown")]
    UnknownKey,
    /// The signature is not by that key.
    #[error("the signature of the token is wrong")]
    BadSignature,
    /// It is a token of another kind.
    #[error("the token is not an access token")]
    WrongType,
    /// Another issuer's.
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// For another resource.
    #[error("the token is for another resource")]
    WrongAudience,
    /// Too old.
    #[error("the token has expired")]
    Expired,
    /// From the future.
    #[error("the token is not valid yet")]
    NotYetValid,
}
