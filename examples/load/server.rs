//! The server that is measured: started on sled in a directory that goes away afterwards, with the stand-in to sign in at.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Standin};
use anyhow::{Context as _, Result, bail};
use http::StatusCode;
use url::Url;

use crate::http::{Connection, Message};
use crate::phases;
use crate::process::Process;
use crate::visitor::place;

/// A server that answers.
pub(crate) struct Started {
    pub(crate) origin: Url,
    pub(crate) process: Process,
    pub(crate) has_proxied_path: bool,
    /// What it needs, and where its files are.
    pub(crate) kept: Option<(Standin, tempfile::TempDir)>,
}

/// The sample at `/mcp`, and a backend at `/echo`.
pub(crate) fn before(backend: SocketAddr) -> String {
    format!(
        r#"
        [[server]]
        path = "/mcp"
        name = "Sample"
        sample = true

        [[server]]
        path = "/echo"
        name = "Echo"
        backend = "http://{backend}/rpc"
        "#
    )
}

/// The same with a child at `/child`, and everything that ends by itself ending soon.
pub(crate) fn in_fast_motion(program: &Path, backend_port: u16) -> String {
    let backend = SocketAddr::from((Ipv4Addr::LOCALHOST, backend_port));
    format!(
        r#"
        {}
        [[server]]
        path = "/child"
        name = "Child"
        command = ["{}", "sample", "--stdio"]
        idle = "1m"
        children = 50

        [tokens]
        code = "30s"
        access = "30s"
        refresh = "60s"
        session = "2m"
        upstream_check = "10s"

        [clients]
        unused_expire = "60s"

        [consent]
        remember = "60s"
        "#,
        before(backend),
        program.display()
    )
}

/// Starts `program` with these further settings.
pub(crate) async fn start(program: &Path, further: &str) -> Result<Started> {
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

        [limits]
        register = "100000000/m"
        register_all = "100000000/m"
        authorize = "100000000/m"
        token = "100000000/m"

        {further}
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
        kept: Some((standin, room)),
    })
}

pub(crate) fn free_port() -> Result<u16> {
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
