//! The way to the MCP servers behind the gate: over HTTP, or to children that speak over stdin and stdout.

pub mod drain;
pub mod http;
pub mod introduce;
pub mod stdio;
