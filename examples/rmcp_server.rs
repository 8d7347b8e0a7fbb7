//! An MCP server that knows who calls, with sign-in, in one program and nothing configured: people come from a stand-in
//! for GitHub on this machine.
//!
//! `cargo run --example rmcp_server`, then connect MCP Inspector to `http://localhost:8080/mcp`. An argument is another
//! address to listen on. With real providers, `config` comes from a file: see the front page of the documentation.

use std::error::Error;
use std::sync::Arc;

use anteroom::command::stand_in;
use anteroom::standin::Standin;
use anteroom::{App, Backend, Config, Principal, listen};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{tool, tool_router};

struct Tools;

#[tool_router(server_handler)]
impl Tools {
    /// Greets whoever is signed in
    #[tool]
    #[expect(clippy::needless_pass_by_value, reason = "a tool owns its arguments")]
    fn greet(caller: Principal) -> String {
        let person = caller.identity();
        let name = person.name.as_deref().or(person.login.as_deref());
        format!("Hello, {}!", name.unwrap_or("whoever you are"))
    }

    /// Whether this server can ask the provider in the name of whoever is signed in
    #[tool]
    async fn can_ask_provider(caller: Principal) -> String {
        match caller.upstream_token().await {
            // it goes into requests to the provider, and nowhere else
            Ok(_token) => "yes: there is a token of the provider".to_owned(),
            Err(none) => format!("no: {none}"),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let listener = listen(address.as_deref().unwrap_or("127.0.0.1:8080").parse()?)?;
    let standin = Standin::start(([127, 0, 0, 1], 0).into()).await?;
    let config = Config::dev(listener.local_addr()?, stand_in(&standin)?, Backend::Here);

    let app = App::new(&config).await?;
    // the gate has looked at Host; rmcp would know this machine's own names alone
    let settings = StreamableHttpServerConfig::default().disable_allowed_hosts();
    let sessions = Arc::new(LocalSessionManager::default());
    let tools = StreamableHttpService::new(|| Ok(Tools), sessions, settings);
    let app = app.with_service("/mcp", tools)?;

    println!("connector: {}", config.public_url.resource("/mcp"));
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    app.serve(listener, ctrl_c).await?;
    Ok(())
}
