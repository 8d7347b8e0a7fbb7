//! What a child says without being asked, and who hears it.

use rmcp::ClientHandler;

/// The client's side of one child. All clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Hub;

impl ClientHandler for Hub {}
