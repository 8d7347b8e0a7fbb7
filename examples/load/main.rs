//! Loads an anteroom on this machine and says what each operation costs its process in CPU time, beside a plain axum
//! server in the same run.
//!
//! `cargo build --release && cargo run --release --example load`
//!
//! CPU time per operation repeats within some 15 % where requests per second, on a machine that also runs the
//! clients and the stand-in, say little. Nothing here leaves loopback, and every count has an end.

mod baseline;
mod http;
mod phases;
mod process;
mod visitor;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::http::StatusCode;
use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Standin};
use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use url::Url;

use crate::http::{Connection, Message};
use crate::phases::Load;
use crate::process::Process;
use crate::visitor::place;

#[derive(Parser)]
#[command(about = "Says what each operation of an anteroom costs in CPU time")]
struct Arguments {
    /// A server that runs already, with high limits; needs --pid. Without it one is started
    #[arg(long, requires = "pid")]
    url: Option<Url>,
    /// The process of that server
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// The program to start
    #[arg(long, default_value = "target/release/anteroom")]
    program: PathBuf,
    /// Clients at the same time
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// Multiplies how often everything is done
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Serves what is compared with; started by the load itself
    #[command(hide = true)]
    Baseline,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::Baseline) = arguments.role {
        return baseline::serve().await;
    }
    let myself = std::env::current_exe()?;
    let mut baseline = Process::start(&myself, &["baseline"])?;
    let baseline_port: u16 = baseline.first_line().await?.parse()?;
    let baseline_address = SocketAddr::from((Ipv4Addr::LOCALHOST, baseline_port));

    let started = match (&arguments.url, arguments.pid) {
        (Some(url), Some(pid)) => Started {
            origin: url.clone(),
            process: Process::running(pid),
            has_proxied_path: false,
            _kept: None,
        },
        _ => start(&arguments.program, baseline_address).await?,
    };
    Load {
        origin: started.origin,
        server: started.process,
        baseline,
        baseline_address,
        workers: arguments.workers.max(1),
        scale: arguments.scale,
        has_proxied_path: started.has_proxied_path,
    }
    .run()
    .await
}

/// A server that answers.
struct Started {
    origin: Url,
    process: Process,
    has_proxied_path: bool,
    _kept: Option<(Standin, tempfile::TempDir)>,
}

/// Starts the server on sled in a directory that goes away afterwards, with the stand-in to sign in at.
async fn start(program: &Path, baseline: SocketAddr) -> Result<Started> {
    let standin = Standin::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    standin.take_anybody();
    let room = tempfile::tempdir()?;
    let port = free_port()?;
    let origin = Url::parse(&format!("http://localhost:{port}"))?;
    let file = room.path().join("providers.toml");
    let settings = format!(
        r#"
        public_url = "http://localhost:{port}"
        listen = "127.0.0.1:{port}"
        data_dir = "{data}"
        store = "sled"

        [provider.github]
        base_url = "{base}"
        api_url = "{api}"
        client_id = "{CLIENT_ID}"
        client_secret = "{CLIENT_SECRET}"
        allow.anyone = true

        [[server]]
        path = "/mcp"
        name = "Sample"
        sample = true

        [[server]]
        path = "/echo"
        name = "Echo"
        backend = "http://{baseline}/rpc"

        [limits]
        register = "100000000/m"
        register_all = "100000000/m"
        authorize = "100000000/m"
        token = "100000000/m"
        "#,
        data = room.path().join("data").display(),
        base = standin.base_url(),
        api = standin.api_url(),
    );
    std::fs::write(&file, settings)?;
    let config = file.to_str().context("a path in UTF-8")?;
    let begin = Instant::now();
    let process = Process::start(program, &["serve", "--config", config])
        .context("build it first: cargo build --release")?;
    wait_for(&origin, begin).await?;
    println!(
        "started in {:.0} ms, {:.1} MB",
        begin.elapsed().as_secs_f64() * 1000.0,
        process.memory()?
    );
    Ok(Started {
        origin,
        process,
        has_proxied_path: true,
        _kept: Some((standin, room)),
    })
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn wait_for(origin: &Url, begin: Instant) -> Result<()> {
    let (address, host) = place(origin)?;
    while begin.elapsed() < Duration::from_secs(20) {
        let mut connection = Connection::new(address, host.clone());
        let answer = connection.send(Message::get(phases::METADATA)).await;
        if answer.is_ok_and(|answer| answer.status == StatusCode::OK) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!(
        "the server does not answer; run `anteroom check` with a file like the one in examples/load/main.rs"
    )
}
