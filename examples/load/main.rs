//! Loads an anteroom on this machine and says what each operation costs its process in CPU time, beside a plain axum
//! server in the same run.
//!
//! `cargo build --release && cargo run --release --example load`
//!
//! CPU time per operation repeats within some 15 % where requests per second, on a machine that also runs the
//! clients and the stand-in, say little. Nothing here leaves loopback, and every count has an end.
//!
//! `... --example load -- soak --minutes 10` lets everything happen for so long instead, and fails where memory, file
//! handles, children or the store have not levelled off.

mod bare_proxy;
mod baseline;
mod http;
mod mcp;
mod phases;
mod process;
mod server;
mod soak;
mod streams;
mod visitor;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use url::Url;

use crate::phases::Load;
use crate::process::Process;
use crate::server::Started;
use crate::soak::Soak;

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
    /// Lets everything happen for a while, and looks whether it levels off
    Soak {
        /// How long
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// Serves what is compared with; started by the load itself
    #[command(hide = true)]
    Baseline {
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Hands everything on to this URL; started by the load itself
    #[command(hide = true)]
    BareProxy { backend: String },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::Baseline { port }) => return baseline::serve(port).await,
        Some(Role::BareProxy { backend }) => return bare_proxy::serve(&backend).await,
        Some(Role::Soak { minutes }) => {
            let length = Duration::from_secs(60 * minutes);
            return soak(&arguments.program, arguments.workers.max(1), length).await;
        }
        None => {}
    }
    let (baseline, baseline_address) = help(&["baseline"]).await?;
    let echo = format!("http://{baseline_address}/rpc");
    let (bare_proxy, bare_proxy_address) = help(&["bare-proxy", &echo]).await?;

    let started = match (&arguments.url, arguments.pid) {
        (Some(url), Some(pid)) => Started {
            origin: url.clone(),
            process: Process::running(pid),
            has_proxied_path: false,
            kept: None,
        },
        _ => server::start(&arguments.program, &server::before(baseline_address)).await?,
    };
    Load {
        origin: started.origin,
        server: started.process,
        baseline,
        baseline_address,
        bare_proxy,
        bare_proxy_address,
        workers: arguments.workers.max(1),
        scale: arguments.scale,
        has_proxied_path: started.has_proxied_path,
    }
    .run()
    .await
}

/// Starts this program in another role; it writes the port that it listens on.
async fn help(role: &[&str]) -> Result<(Process, SocketAddr)> {
    let mut process = Process::start(&std::env::current_exe()?, role)?;
    let port: u16 = process.first_line().await?.parse()?;
    Ok((process, SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

async fn soak(program: &Path, workers: usize, length: Duration) -> Result<()> {
    let backend_port = server::free_port()?;
    let started = server::start(program, &server::in_fast_motion(program, backend_port)).await?;
    let (_, room) = started.kept.as_ref().context("it was started here")?;
    Soak {
        data: room.path().join("data"),
        origin: started.origin,
        server: started.process,
        backend_port,
        workers,
        length,
    }
    .run()
    .await
}
