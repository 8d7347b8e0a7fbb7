//! Idle event streams: many at once, and what each costs the server in memory.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::Process;

/// Where streams are opened.
pub(crate) struct Place<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// The access token; empty: none.
    pub(crate) token: &'a str,
}

/// Opens `count` streams, each with its first event read, and writes what `process` holds for each while they are idle,
/// beyond the memory that it had `before` the first of any. They are closed again, and what is left is written as well.
pub(crate) async fn measure(
    name: &str,
    process: &Process,
    place: &Place<'_>,
    (count, before): (usize, f64),
) -> Result<()> {
    let streams: Vec<TcpStream> = stream::iter(0..count)
        .map(|_| open(place))
        .buffer_unordered(32)
        .try_collect()
        .await
        .with_context(|| format!("{name}: not all of {count} streams could be opened"))?;
    settle().await;
    let with = process.memory()?;
    let handles = process.handles()?;
    drop(streams);
    settle().await;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let each = (with - before) * 1024.0 / count as f64;
    println!(
        "{name:<44}{count:>9}{each:>9.1} KB{handles:>10} file handles; {before:.1} MB, {with:.1} MB with them, {:.1} MB and {} handles after",
        process.memory()?,
        process.handles()?
    );
    Ok(())
}

/// A stream that has said something once, and says nothing more.
pub(crate) async fn open(place: &Place<'_>) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(place.address).await?;
    let authorization = match place.token {
        "" => String::new(),
        token => format!("authorization: Bearer {token}\r\n"),
    };
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n{authorization}\r\n",
        place.path, place.host
    );
    stream.write_all(head.as_bytes()).await?;
    let mut read = Vec::new();
    while !read.windows(EVENT.len()).any(|window| window == EVENT) {
        let came = tokio::time::timeout(PATIENCE, stream.read_buf(&mut read)).await??;
        // another answer ends without an end of the connection
        let is_open = came > 0 && (read.starts_with(OK) || OK.starts_with(&read));
        ensure!(is_open, "{}", String::from_utf8_lossy(&read));
    }
    Ok(stream)
}

/// Until what is freed has been freed.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// What the backend sends first.
pub(crate) const EVENT: &[u8] =
    b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/load\"}\n\n";

const OK: &[u8] = b"HTTP/1.1 200";
const PATIENCE: Duration = Duration::from_secs(20);
