//! The rules of the specifications, as plain functions: no I/O, no clock, no HTTP types.

mod allowance;
pub mod authorize;
pub mod claims;
pub mod client;
pub mod client_credentials;
pub mod client_metadata;
pub mod consent;
pub mod discovery;
pub mod error;
pub mod form;
pub mod identity;
pub mod ids;
pub mod issuer;
pub mod method_pattern;
pub mod pkce;
pub mod principal;
pub mod redirect_uri;
pub mod register;
pub mod resource_indicator;
pub mod scope;
pub mod session;
pub mod token;
