//! anteroom: sign-in with GitHub in front of any MCP server.
//!
//! Towards MCP clients it is an OAuth 2.1 authorization server, towards the provider an OAuth client, and it stands as
//! resource server before the MCP server. [`app::App`] puts it together from a [`config::Config`].
//!
//! # The rooms
//!
//! | room | what stands there |
//! | --- | --- |
//! | [`protocol`] | the rules of the specifications, as plain functions |
//! | [`store`] | what outlives a request: a contract of verbs, in sled and in memory |
//! | [`jwt`], [`seal`], [`secret`] | signed tokens; what must not lie about in clear |
//! | [`upstream`], [`outbound`] | the providers people sign in with, and the clients that ask them and others |
//! | [`document`] | what clients publish about themselves, fetched and kept |
//! | [`flow`] | the use cases, with no HTTP in them |
//! | [`endpoint`] | HTTP of the authorization server: read its table of routes first |
//! | [`resource`] | the gate before an MCP server, and the way to the server behind |
//! | [`admin`] | what an operator asks of a running server, and does to it |
//! | [`config`], [`command`], [`app`] | settings, the program, and where everything is put together |
//! | [`event`], [`telemetry`] | what operators are told |
//! | [`demo`], [`standin`] | an MCP server and a provider to try it with |
//! | [`clock`], [`entropy`], [`cors`] | the time, randomness, and what browsers of other origins may do |
//!
//! A room imports only those that stand below it; `tests/it/architecture.rs` has the table.
//!
//! # Who is asking
//!
//! [`flow::client`] finds a client: in the configuration; at its `client_id`, if that is a URL ([`document`] keeps what
//! [`outbound::stranger`] fetches); or among those that registered. Where a client has to prove itself,
//! [`flow::authenticate`] holds it to the way that it named: a secret, or what it signed ([`jwt::assertion`]).
//!
//! # One sign-in
//!
//! 1. `GET /authorize` ([`flow::authorize`]): the request is checked, client and redirect URI first, and turned into a
//!    page. Nothing is stored: the request travels through the page as a sealed ticket. Or the client has brought it to
//!    `POST /par` before ([`flow::par`]), where it was checked and waits for a browser.
//! 2. `POST /consent` ([`flow::consent`]): the person agreed. Now the request is kept, the browser gets a cookie, and goes
//!    to the provider with a fresh `state` and our own PKCE.
//! 3. `GET /callback/github` ([`flow::callback`]): the same browser comes back. The provider says who it is; session and
//!    code are kept, in one step, and the client gets its answer.
//! 4. `POST /token` ([`flow::code`], [`flow::refresh`]): peek, check, spend, mint.
//! 5. `POST /mcp` ([`resource::gate`]): token, message, scope, in this order; then the server behind. A session's end is
//!    seen by the next request ([`flow::live`]), and its provider is asked again every few minutes ([`flow::vouching`]).

pub mod admin;
pub mod app;
pub mod clock;
pub mod command;
pub mod config;
pub mod cors;
pub mod demo;
pub mod document;
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
