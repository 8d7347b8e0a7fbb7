//! HTTP of the authorization server.

pub mod page;
pub mod rate_limit;
