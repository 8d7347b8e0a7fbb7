//! anteroom: sign-in with GitHub, Google or any `OpenID` provider in front of any MCP server.
//!
//! Towards MCP clients it is an OAuth 2.1 authorization server, towards the providers an OAuth client, and it stands as
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
//! | [`resource`] | the gate before an MCP server |
//! | [`backend`] | the way to the server behind: HTTP, or a child on stdin and stdout |
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
//! 2. `POST /consent` ([`flow::consent`]): the person agreed, and chose a provider. Now the browser gets ready to leave
//!    ([`flow::departure`]): a fresh `state`, our own PKCE, and the provider's page, which it may have to be asked for. Only
//!    then the request is kept, and the browser goes, with a cookie. Where the provider fails, the same page can be tried
//!    again, or another provider.
//! 3. `GET /callback/{provider}` ([`flow::callback`]): the same browser comes back. The provider says who it is, and its
//!    rules ([`protocol::person_rule`]) whether they may enter, and which scopes are open to them. Session, code and grant
//!    are kept, in one step, and the client gets its answer. The grant ([`protocol::grant`]) is what the provider gave us,
//!    sealed: all sessions of a person live by one.
//! 4. `POST /token` ([`flow::code`], [`flow::refresh`]): peek, check, spend, mint.
//! 5. `POST /mcp` ([`resource::gate`]): token, message, scope, in this order; then the server behind. A session's end is
//!    seen by the next request ([`flow::live`]).
//!
//! # Whether the provider still vouches
//!
//! Before a session is honoured, at `/mcp`, `/token` or `/introspect`, the word of its provider must be fresh
//! ([`flow::vouching`]). One caller has it asked, in a task that nobody breaks off by hanging up, and everybody else waits
//! for the same answer. Tokens that had to be renewed are durable before anything else is done. Who is revoked there, or may
//! no longer enter, is out; where the provider cannot be asked, sessions live on for a while. With a person's last session
//! its tokens are given back. Until then a tool in the same process gets them from its [`protocol::principal::Principal`].
//!
//! # The account page
//!
//! `GET /account` ([`flow::account`]): the same way to a provider and back, with no client behind it. It opens a page for
//! half an hour in this browser alone: what is connected, and the end of it. No tokens are kept of such a sign-in.
//!
//! # Operators and keys
//!
//! `anteroom sessions`, `clients` and `keys` send an order to the running server, over a socket in `data_dir` ([`admin`]);
//! [`flow::operate`] carries it out. [`flow::keys`] has the life of keys: a signing key is published before it signs, and
//! accepted until nothing that it signed is good; what an older sealing key sealed is sealed anew, and then it is dropped.

pub mod admin;
pub mod app;
pub mod backend;
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
