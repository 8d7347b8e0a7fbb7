//! A day in fast motion: people sign in, call, listen, refresh, are revoked or never come back, backends go away and come
//! back, children start and end, and every few seconds it is written what the server holds.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ::http::StatusCode;
use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use url::Url;

use crate::mcp::{ADD, PING, call, close_session, open_session};
use crate::process::Process;
use crate::streams::{self, Place};
use crate::visitor::{Tokens, Visitor, place};

/// Everything that a soak needs.
pub(crate) struct Soak {
    pub(crate) origin: Url,
    pub(crate) server: Process,
    /// The store's directory.
    pub(crate) data: PathBuf,
    /// Where the backend of `/echo` listens, whenever it runs.
    pub(crate) backend_port: u16,
    pub(crate) workers: usize,
    pub(crate) length: Duration,
}

/// What was done, in numbers.
#[derive(Default)]
struct Done {
    sign_ins: AtomicUsize,
    calls: AtomicUsize,
    refreshes: AtomicUsize,
    revocations: AtomicUsize,
    streams: AtomicUsize,
    restarts: AtomicUsize,
    /// Calls that found no backend, or lost it.
    without_backend: AtomicUsize,
}

/// One number of a sample.
type Value = fn(&Sample) -> f64;

/// What the server holds at some moment.
#[derive(Clone, Copy)]
struct Sample {
    memory: f64,
    handles: usize,
    children: usize,
    store: f64,
}

impl Soak {
    /// Runs to the end, and fails where something has not levelled off.
    pub(crate) async fn run(&self) -> Result<()> {
        let done = Done::default();
        let end = Instant::now() + self.length;
        println!(
            "{:>8}{:>10}{:>9}{:>10}{:>10}{:>10}{:>9}{:>11}{:>9}{:>10}{:>14}",
            "seconds",
            "MB",
            "handles",
            "children",
            "store MB",
            "sign-ins",
            "calls",
            "refreshes",
            "revoked",
            "streams",
            "no backend"
        );
        let people = join_all((0..self.workers).map(|number| self.person(number, end, &done)));
        let (people, backend, samples) =
            tokio::join!(people, self.backend(end, &done), self.watch(end, &done));
        people.into_iter().collect::<Result<()>>()?;
        backend?;
        verdict(&samples?)
    }

    /// One person after the other, each with a client of their own.
    async fn person(&self, number: usize, end: Instant, done: &Done) -> Result<()> {
        let mut turn = number;
        while Instant::now() < end {
            let path = ["/mcp", "/echo", "/child"][turn % 3];
            self.visit(path, turn / 3, done)
                .await
                .with_context(|| format!("a visit at {path}"))?;
            turn += 1;
        }
        Ok(())
    }

    async fn visit(&self, path: &str, turn: usize, done: &Done) -> Result<()> {
        let nobody = ([127, 0, 0, 1], 1).into();
        let mut visitor = Visitor::new(&self.origin, nobody)?;
        visitor.register().await?;
        let code = visitor.approve(path).await?;
        let mut tokens = visitor.redeem(&code, path).await?;
        count(&done.sign_ins);
        for _ in 0..3 {
            self.calls(&mut visitor, path, &tokens, done).await?;
            if path == "/echo" {
                self.listen(&tokens, done).await?;
            }
            let before = tokens.refresh.clone();
            tokens = visitor.refresh(&before).await?;
            count(&done.refreshes);
        }
        // one is revoked, one comes back for good, one never again: its session expires
        if turn.is_multiple_of(3) {
            visitor.revoke(&tokens.refresh).await?;
            count(&done.revocations);
            let after = call(&mut visitor.server, path, &tokens.access, "", PING).await;
            ensure!(after.is_err(), "a revoked session still calls");
        }
        Ok(())
    }

    async fn calls(
        &self,
        visitor: &mut Visitor,
        path: &str,
        tokens: &Tokens,
        done: &Done,
    ) -> Result<()> {
        let server = &mut visitor.server;
        if path == "/echo" {
            for _ in 0..10 {
                // the backend may be away just now
                match call(server, path, &tokens.access, "", PING).await {
                    Ok(()) => count(&done.calls),
                    Err(error) if is_away(&error) => count(&done.without_backend),
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        }
        let session = open_session(server, path, &tokens.access).await?;
        for _ in 0..10 {
            call(server, path, &tokens.access, &session, ADD).await?;
            count(&done.calls);
        }
        close_session(server, path, &tokens.access, &session).await
    }

    /// Streams that are open for a while.
    async fn listen(&self, tokens: &Tokens, done: &Done) -> Result<()> {
        let (address, host) = place(&self.origin)?;
        let place = Place {
            address,
            host: &host,
            path: "/echo",
            token: &tokens.access,
        };
        let mut open = Vec::new();
        for _ in 0..5 {
            match streams::open(&place).await {
                Ok(stream) => open.push(stream),
                Err(error) if is_away(&error) => count(&done.without_backend),
                Err(error) => return Err(error),
            }
            count(&done.streams);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(())
    }

    /// A backend that is killed now and then, and comes back at the same place.
    async fn backend(&self, end: Instant, done: &Done) -> Result<()> {
        let port = self.backend_port.to_string();
        while Instant::now() < end {
            let program = std::env::current_exe()?;
            let mut backend = Process::start(&program, &["baseline", "--port", &port])?;
            backend.first_line().await?;
            tokio::time::sleep(BACKEND_LIVES.min(end.saturating_duration_since(Instant::now())))
                .await;
            drop(backend);
            count(&done.restarts);
            tokio::time::sleep(BACKEND_IS_AWAY).await;
        }
        Ok(())
    }

    async fn watch(&self, end: Instant, done: &Done) -> Result<Vec<Sample>> {
        let begin = Instant::now();
        let mut samples = Vec::new();
        while Instant::now() < end {
            tokio::time::sleep(LOOK).await;
            let sample = Sample {
                memory: self.server.memory()?,
                handles: self.server.handles()?,
                children: self.server.children()?,
                store: megabytes(&self.data),
            };
            println!(
                "{:>8.0}{:>10.1}{:>9}{:>10}{:>10.1}{:>10}{:>9}{:>11}{:>9}{:>10}{:>14}",
                begin.elapsed().as_secs_f64(),
                sample.memory,
                sample.handles,
                sample.children,
                sample.store,
                done.sign_ins.load(Ordering::Relaxed),
                done.calls.load(Ordering::Relaxed),
                done.refreshes.load(Ordering::Relaxed),
                done.revocations.load(Ordering::Relaxed),
                done.streams.load(Ordering::Relaxed),
                done.without_backend.load(Ordering::Relaxed)
            );
            samples.push(sample);
        }
        println!(
            "the backend was killed {} times",
            done.restarts.load(Ordering::Relaxed)
        );
        Ok(samples)
    }
}

/// Compares the last quarter with the one before: what levels off grows by less than a tenth.
fn verdict(samples: &[Sample]) -> Result<()> {
    let quarter = samples.len() / 4;
    ensure!(quarter > 0, "too short to say anything: take more minutes");
    let (rest, last) = samples.split_at(samples.len() - quarter);
    let (_, before) = rest.split_at(rest.len() - quarter);
    let mut grows = Vec::new();
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let values: [(&str, Value); 4] = [
        ("memory, MB", |sample| sample.memory),
        ("file handles", |sample| sample.handles as f64),
        ("children", |sample| sample.children as f64),
        ("store, MB", |sample| sample.store),
    ];
    for (name, value) in values {
        let (before, last) = (mean(before, value), mean(last, value));
        println!("{name:<14} third quarter {before:>8.1}   last quarter {last:>8.1}");
        if last > before * 1.1 + 2.0 {
            grows.push(name);
        }
    }
    ensure!(grows.is_empty(), "still growing: {}", grows.join(", "));
    println!("everything has levelled off");
    Ok(())
}

fn mean(samples: &[Sample], value: Value) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let count = samples.len() as f64;
    samples.iter().map(value).sum::<f64>() / count
}

/// Whether a call failed because the backend is away, and anteroom says so.
fn is_away(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE]
        .iter()
        .any(|status| text.contains(status.as_str()))
}

fn megabytes(folder: &Path) -> f64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0.0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => megabytes(&entry.path()),
            #[expect(clippy::cast_precision_loss, reason = "files are small")]
            Ok(metadata) => metadata.len() as f64 / 1_048_576.0,
            Err(_) => 0.0,
        })
        .sum()
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

const LOOK: Duration = Duration::from_secs(10);
const BACKEND_LIVES: Duration = Duration::from_secs(15);
const BACKEND_IS_AWAY: Duration = Duration::from_secs(1);
