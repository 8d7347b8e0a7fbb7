//! anteroom: sign-in with GitHub, Google or any `OpenID` provider in front of any MCP server.

pub mod app;
pub mod clock;
pub mod command;
pub mod config;
pub mod cors;
pub mod demo;
pub mod endpoint;
pub mod entropy;
pub mod event;
pub mod flow;
pub mod jwt;
pub mod outbound;
pub mod protocol;
pub mod resource;
pub mod seal;
pub mod secret;
pub mod standin;
pub mod store;
pub mod telemetry;
pub mod upstream;
