//! What requests of MCP's newest revision say about themselves.

use serde_json::{Value, json};

/// The newest revision, in which every request stands for itself.
pub(crate) const MODERN: &str = "2026-07-28";

/// The `_meta` of a request of 2026-07-28, with this revision.
pub(crate) fn meta(version: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}
