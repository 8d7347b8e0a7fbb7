//! What the program does: `dev`, `serve`, `check`, `sample`, and what an operator orders.

mod file_limit;
pub mod operator;

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use url::Url;

use crate::admin::{AdminError, Socket};
use crate::app::{App, AppError, Storage, listen};
use crate::clock::SystemClock;
use crate::config;
use crate::config::environment::Environment;
use crate::config::{
    Allow, Backend, Command, Config, LogFormat, Outbound, Provider, ProviderKind, StoreKind,
};
use crate::demo;
use crate::jwt::keys::KeyMaterial;
use crate::protocol::ids::ProviderId;
use crate::secret::Secret;
use crate::standin::{self, Standin};
use crate::telemetry::{self, Format};

/// Why `dev` does not begin: it would ask itself without end.
const OURSELVES: &str = "--backend is anteroom itself: write where the MCP server is, which needs an address or a port of its own";

/// How a command ends.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// What is logged unless the environment says otherwise.
const LOG_FILTER: &str = "info";

/// Runs everything on this machine: a stand-in for GitHub, an MCP server, and anteroom before it. `outbound` says which
/// hosts of this machine may describe clients.
///
/// # Errors
/// Where an address is not this machine's own, or taken.
pub fn dev(
    address: SocketAddr,
    standin: SocketAddr,
    backend: Backend,
    outbound: Outbound,
) -> Outcome {
    if !address.ip().is_loopback() || !standin.ip().is_loopback() {
        return Err(
            "dev lets anybody in, so it listens on loopback addresses alone: use 127.0.0.1, \
                    and `anteroom serve` for everything else"
                .into(),
        );
    }
    telemetry::init(Format::Text, &log_filter())?;
    run(async move {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        if backend.is_at(address) {
            return Err(OURSELVES.into());
        }
        let standin = Standin::start(standin).await?;
        let mut config = Config::dev(address, stand_in(&standin)?, backend);
        config.outbound = outbound;
        let app = App::new(&config).await?;
        say(&dev_greeting(&config, &standin));
        app.serve(listener, told_to_stop()).await?;
        Ok(())
    })
}

/// What `dev` stands before: a server, a program with its arguments, or the sample.
#[must_use]
pub fn behind(url: Option<Url>, words: Vec<String>) -> Backend {
    match (url, Command::dev(words, &Environment::of_process())) {
        (Some(url), _) => Backend::Http(url),
        (None, Some(command)) => Backend::Command(command),
        (None, None) => Backend::Sample,
    }
}

/// The stand-in as a provider that lets everybody enter.
///
/// # Errors
/// Never: its addresses are URLs.
pub fn stand_in(standin: &Standin) -> Result<Provider, url::ParseError> {
    Ok(Provider {
        id: ProviderId::new("github"),
        label: "GitHub (stand-in)".to_owned(),
        kind: ProviderKind::GitHub {
            base_url: standin.base_url().parse()?,
            api_url: standin.api_url().parse()?,
        },
        client_id: standin::CLIENT_ID.to_owned(),
        client_secret: Secret::new(standin::CLIENT_SECRET),
        allow: Allow {
            anyone: true,
            ..Allow::default()
        },
    })
}

fn dev_greeting(config: &Config, standin: &Standin) -> String {
    let connector = connector(config);
    format!(
        "\
anteroom is running. Nothing here is real: people come from a stand-in for GitHub, and everything is forgotten at the end.

  connector      {connector}
  behind it      {behind}
  provider       {standin}  (stand-in for GitHub, with a few people to choose from)

MCP Inspector    npx @modelcontextprotocol/inspector
                 Transport \"Streamable HTTP\", URL {connector}, then Connect
Claude Code      claude mcp add --transport http anteroom {connector}
                 then /mcp in Claude Code, and Authenticate
curl             curl -i -X POST {connector}
                 answers 401, and WWW-Authenticate says where a client finds out more

Ctrl+C ends it.
",
        behind = what_is_behind(config),
        standin = standin.base_url(),
    )
}

fn what_is_behind(config: &Config) -> String {
    match config.servers.first().map(|server| &server.backend) {
        Some(Backend::Http(url)) => url.to_string(),
        Some(Backend::Command(command)) => format!(
            "{}  (started for each person, in this environment)",
            command.in_short()
        ),
        _ => "the sample MCP server".to_owned(),
    }
}

/// Serves what the configuration says.
///
/// # Errors
/// Where the configuration is refused, or something of it cannot be had.
pub fn serve(path: Option<&Path>) -> Outcome {
    let loaded = config::load(path, &Environment::of_process())?;
    let format = match loaded.config.log {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    telemetry::init(format, &log_filter())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let config = loaded.config;
    run(async move {
        let listener = listen(config.listen)?;
        let storage = Storage::open(&config).await?;
        let app = App::with(&config, storage, Arc::new(SystemClock)).await?;
        let operators = operators(&config, &app)?;
        say(&serve_greeting(&config));
        let served = app.serve(listener, told_to_stop()).await;
        if let Some(operators) = operators {
            // its socket goes with it
            operators.abort();
            let _ = operators.await;
        }
        Ok(served?)
    })
}

/// Listens to operators. Where that cannot be, people are served all the same.
fn operators(config: &Config, app: &App) -> Result<Option<JoinHandle<()>>, AdminError> {
    match Socket::bind(&config.data_dir) {
        Ok(socket) => Ok(Some(tokio::spawn(socket.serve(Arc::clone(app.flows()))))),
        Err(error @ AdminError::Taken(_)) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "nobody can order anything here: anteroom sessions, clients and keys do not work");
            Ok(None)
        }
    }
}

fn serve_greeting(config: &Config) -> String {
    let servers = config.servers.iter().map(|server| {
        let url = config.public_url.resource(&server.path);
        format!("  connector      {url}  ({})\n", server.name)
    });
    let store = match config.store {
        StoreKind::Sled => config.data_dir.display().to_string(),
        StoreKind::Memory => "in memory: a restart signs everybody out".to_owned(),
    };
    format!(
        "anteroom is running on {}.\n\n{}{}  store          {store}\n\n",
        config.listen,
        servers.collect::<String>(),
        config.summary(),
    )
}

/// Checks the configuration and shows what is in force, without using the network.
///
/// # Errors
/// Where the configuration is refused.
pub fn check(path: Option<&Path>) -> Outcome {
    let loaded = config::load(path, &Environment::of_process())?;
    if let Some(pem) = &loaded.config.tokens.signing_key {
        KeyMaterial::from_pem(pem)?;
    }
    say(&loaded.explain());
    for warning in &loaded.warnings {
        say(&format!("warning: {warning}\n"));
    }
    say("\nThe configuration is good. `anteroom serve` runs it.\n");
    Ok(())
}

/// Serves the sample MCP server alone.
///
/// # Errors
/// Where the address is taken.
pub fn sample(address: SocketAddr) -> Outcome {
    telemetry::init(Format::Text, &log_filter())?;
    run(async move {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|error| AppError::Listen(address, error))?;
        let address = listener.local_addr()?;
        say(&format!(
            "The sample MCP server listens on http://{address}/mcp, open to everybody who reaches it.\n"
        ));
        axum::serve(listener, demo::router(Vec::new(), told_to_stop()))
            .with_graceful_shutdown(told_to_stop())
            .await?;
        Ok(())
    })
}

/// Serves the sample MCP server to whoever started this process, over stdin and stdout, until they close stdin.
///
/// # Errors
/// Where they do not speak MCP.
pub fn sample_over_stdio() -> Outcome {
    telemetry::init(Format::Text, &log_filter())?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(demo::stdio::serve(told_to_stop()));
    // not even for the thread that reads a terminal
    runtime.shutdown_background();
    outcome
}

/// Writes to standard output; where nobody reads it, nothing is lost.
fn say(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn log_filter() -> String {
    Environment::of_process()
        .log_filter()
        .unwrap_or(LOG_FILTER)
        .to_owned()
}

fn connector(config: &Config) -> String {
    config
        .servers
        .first()
        .map(|server| config.public_url.resource(&server.path))
        .unwrap_or_default()
}

fn run(work: impl Future<Output = Outcome>) -> Outcome {
    file_limit::raise();
    runtime()?.block_on(work)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

/// Ctrl+C, or the signal by which service managers stop a process.
async fn told_to_stop() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
