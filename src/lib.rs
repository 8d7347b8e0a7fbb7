//! anteroom: sign-in with GitHub, Google or any `OpenID` provider in front of any MCP server.
//!
//! People sign in with an account they already have; their MCP client (Claude, VS Code, Cursor, Inspector) gets a
//! token; and the MCP server gets requests that are allowed, and knows who is calling. The program `anteroom` does this
//! before any MCP server, and the README is about it. This library does the same inside of a program: towards clients
//! an OAuth 2.1 authorization server, towards the providers an OAuth client, and the gate before an MCP service.
//!
//! # In a minute
//!
//! ```toml
//! [dependencies]
//! anteroom = { path = "../anteroom" }
//! rmcp     = { version = "3.9", features = ["server", "macros", "transport-streamable-http-server"] }
//! tokio    = { version = "1", features = ["full"] }
//! ```
//!
//! A whole MCP server, at which people sign in:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use anteroom::{App, Backend, Environment, Principal, listen};
//! use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
//! use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
//! use rmcp::{tool, tool_router};
//!
//! struct Tools;
//!
//! #[tool_router(server_handler)]
//! impl Tools {
//!     /// Greets whoever is signed in
//!     #[tool]
//!     fn greet(caller: Principal) -> String {
//!         format!("Hello, {}", caller.identity().subject)
//!     }
//!
//!     /// Whether this server can ask the provider in the name of whoever is signed in
//!     #[tool]
//!     async fn can_ask(caller: Principal) -> String {
//!         match caller.upstream_token().await {
//!             // the access token that GitHub, say, issued for this person: for calling GitHub, and nobody else
//!             Ok(_token) => "yes".to_owned(),
//!             Err(none) => none.to_string(),
//!         }
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let file = Some("providers.toml".as_ref());
//!     let mut config = anteroom::config::load(file, &Environment::of_process())?.config;
//!     config.servers[0].backend = Backend::Here;
//!
//!     // the gate has looked at Host; rmcp would know this machine's own names alone
//!     let settings = StreamableHttpServerConfig::default().disable_allowed_hosts();
//!     let sessions = Arc::new(LocalSessionManager::default());
//!     let tools = StreamableHttpService::new(|| Ok(Tools), sessions, settings);
//!
//!     let app = App::new(&config).await?.with_service("/mcp", tools)?;
//!     let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
//!     app.serve(listen(config.listen)?, ctrl_c).await?;
//!     Ok(())
//! }
//! ```
//!
//! # What to configure
//!
//! `providers.toml` says where people sign in and who may enter; the README has it for each provider:
//!
//! ```toml
//! public_url = "https://mcp.example.com"     # what clients are told; TLS is your reverse proxy's work
//! [[server]]
//! path   = "/mcp"
//! sample = true                               # until the program brings its own
//! [provider.github]
//! client_id     = "Ov23li0123456789abcd"      # of an OAuth app with the callback URL public_url/callback/github
//! client_secret = "env:GITHUB_CLIENT_SECRET"
//! allow.orgs    = ["acme"]
//! ```
//!
//! To try it with nothing configured, [`Config::dev`] and [`standin::Standin`] are what `anteroom dev` is made of:
//! `cargo run --example rmcp_server` of this repository does so, and `cargo run --example axum_server` shows the parts.
//!
//! # The parts
//!
//! | | |
//! | --- | --- |
//! | [`App::new`] | settings, store, keys and providers put together |
//! | [`App::with_service`] | a service of the program's own behind the gate of a server of the configuration |
//! | [`App::serve`] | serves it all, to the end: this is what the program does |
//! | [`App::router`] | all routes, for an axum server of the program's own; [`App::authorization_router`] without MCP servers |
//! | [`App::layer`] | the gate alone, a tower layer ([`GateLayer`]) for any service that speaks MCP over HTTP |
//! | [`App::background`], [`App::stop`] | what goes on beside the requests, and the end, where [`App::serve`] is not used |
//! | [`Principal`] | who calls: an argument of handlers of axum and of tools of rmcp, or [`Principal::of`] the parts of a request |
//! | [`Principal::identity`], `scopes` | the person; what the token opens: `caller.scopes.contains(&scope)` |
//! | [`Principal::upstream_token`] | the provider's access token of the person, renewed |
//!
//! The gate is one for MCP: it reads JSON-RPC, and what is none is refused. Ordinary routes of a web application it does
//! not guard.
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
//! # What stands behind
//!
//! The gate has read the message, so the server gets the very bytes that were judged, and the answer to a list is cut to what
//! the token may use ([`resource::listing`]). A server over HTTP ([`backend::http`]) is told who calls
//! ([`backend::introduce`]). For a command, [`backend::stdio::children`] has the processes: who has which, when one starts and
//! ends. What clients of every revision say goes on to a child by the bridge of [`backend::stdio`], and
//! [`backend::stdio::hub`] decides who hears what a child says. At a stop, what is under way is answered
//! ([`backend::drain`]).
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

pub use crate::app::{App, AppError, Background, GateLayer, listen};
pub use crate::config::{Backend, Config, Environment};
pub use crate::protocol::principal::Principal;
pub use crate::protocol::scope::{Scope, ScopeSet};
pub use crate::resource::extract::NoGate;
pub use crate::resource::layer::BearerLayer;
