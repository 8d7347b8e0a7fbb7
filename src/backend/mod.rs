//! The way to the MCP servers behind the gate: over HTTP, or to children that speak over stdin and stdout.

pub mod drain;
pub mod http;
pub mod introduce;
pub mod stdio;

use ::http::StatusCode;

use crate::protocol::principal::NoUpstreamToken;
use crate::resource::answer::RpcError;

/// What the caller is told where the server needs the provider's token and there is none: never that it should sign in
/// again, because its token is good.
impl From<NoUpstreamToken> for RpcError {
    fn from(none: NoUpstreamToken) -> Self {
        match none {
            NoUpstreamToken::None => Self::http(
                StatusCode::BAD_GATEWAY,
                "the MCP server needs a token of the provider, and there is none of this person",
            ),
            // the next request finds the session ended, and is told so by the gate
            NoUpstreamToken::Ended => Self::http(
                StatusCode::SERVICE_UNAVAILABLE,
                "the session is about to end; try again",
            ),
            NoUpstreamToken::Unavailable => Self::http(
                StatusCode::SERVICE_UNAVAILABLE,
                "the provider of the sign-in is not available now; try again later",
            ),
        }
    }
}
