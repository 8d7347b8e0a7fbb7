//! What is done, how often, and the line that comes of it.

use std::net::SocketAddr;
use std::time::Instant;

use ::http::StatusCode;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use url::Url;

use crate::http::{Connection, Message};
use crate::mcp::{ADD, PING, call, open_session, send};
use crate::process::Process;
use crate::streams::{self, Place};
use crate::visitor::{JSON, Tokens, Visitor, place};

/// Everything that a run needs.
pub(crate) struct Load {
    pub(crate) origin: Url,
    pub(crate) server: Process,
    pub(crate) baseline: Process,
    pub(crate) baseline_address: SocketAddr,
    /// Without authorization, before the same backend.
    pub(crate) bare_proxy: Process,
    pub(crate) bare_proxy_address: SocketAddr,
    pub(crate) workers: usize,
    pub(crate) scale: f64,
    pub(crate) has_proxied_path: bool,
}

/// Where the metadata of the authorization server are.
pub(crate) const METADATA: &str = "/.well-known/oauth-authorization-server";

/// A visitor at work: who is signed in, and what was gathered for a later phase.
struct Worker {
    visitor: Visitor,
    tokens: Tokens,
    /// The session of the older MCP transport, at the server and at the baseline.
    sessions: [String; 2],
    codes: Vec<String>,
    fresh: Vec<String>,
}

/// One line of the report.
struct Line {
    name: &'static str,
    /// How often, before `--scale`.
    count: usize,
    /// Microseconds that it may cost.
    at_most: Option<f64>,
}

const fn line(name: &'static str, count: usize, at_most: Option<f64>) -> Line {
    Line {
        name,
        count,
        at_most,
    }
}

impl Load {
    /// All phases, one after the other.
    pub(crate) async fn run(&self) -> Result<()> {
        println!(
            "{:<44}{:>9}{:>12}{:>10}{:>11}",
            "CPU time of the server", "times", "µs each", "at most", "a second"
        );
        let workers = self.workers().await?;
        let workers = self.plain(workers).await?;
        let workers = self.grants(workers).await?;
        let workers = self.calls(workers).await?;
        let workers = self.bad_tokens(workers).await?;
        if self.has_proxied_path {
            let workers = self.proxied(workers).await?;
            println!("memory of the server: {:.1} MB", self.server.memory()?);
            self.streams(&workers).await?;
        }
        Ok(())
    }

    async fn workers(&self) -> Result<Vec<Worker>> {
        let mut workers = Vec::new();
        for _ in 0..self.workers {
            let mut visitor = Visitor::new(&self.origin, self.baseline_address)?;
            let tokens = sign_in(&mut visitor).await?;
            let sessions = [
                open_session(&mut visitor.server, "/mcp", &tokens.access).await?,
                open_session(&mut visitor.baseline, "/mcp", "").await?,
            ];
            workers.push(Worker {
                visitor,
                tokens,
                sessions,
                codes: Vec::new(),
                fresh: Vec::new(),
            });
        }
        Ok(workers)
    }

    async fn plain(&self, workers: Vec<Worker>) -> Result<Vec<Worker>> {
        let hello = line("plain axum: hello", 40_000, None);
        let workers = self
            .measure(&self.baseline, hello, workers, async |worker| {
                let message = Message::get("/hello");
                let server = &mut worker.visitor.baseline;
                server.expect(StatusCode::OK, message).await.map(drop)
            })
            .await?;
        let rpc = line("plain axum: JSON-RPC", 40_000, None);
        let workers = self
            .measure(&self.baseline, rpc, workers, async |worker| {
                let message = Message::post("/rpc", JSON, PING);
                let server = &mut worker.visitor.baseline;
                server.expect(StatusCode::OK, message).await.map(drop)
            })
            .await?;
        let discovery = line("discovery", 40_000, Some(12.0));
        self.measure(&self.server, discovery, workers, async |worker| {
            let message = Message::get(METADATA);
            let server = &mut worker.visitor.server;
            server.expect(StatusCode::OK, message).await.map(drop)
        })
        .await
    }

    async fn grants(&self, workers: Vec<Worker>) -> Result<Vec<Worker>> {
        let registration = line("registration", 4000, Some(100.0));
        let workers = self
            .measure(&self.server, registration, workers, async |worker| {
                worker.visitor.register().await
            })
            .await?;
        let whole = line("whole sign-in", 2000, Some(450.0));
        let workers = self
            .measure(&self.server, whole, workers, async |worker| {
                worker.tokens = sign_in(&mut worker.visitor).await?;
                Ok(())
            })
            .await?;
        let approval = line("authorize, consent, provider, callback", 4000, None);
        let workers = self
            .measure(&self.server, approval, workers, async |worker| {
                worker.codes.push(worker.visitor.approve("/mcp").await?);
                Ok(())
            })
            .await?;
        let exchange = line("code exchange", 4000, Some(120.0));
        let workers = self
            .measure(&self.server, exchange, workers, async |worker| {
                let code = worker.codes.pop().context("no code is left")?;
                worker.tokens = worker.visitor.redeem(&code, "/mcp").await?;
                Ok(())
            })
            .await?;
        let refresh = line("refresh", 8000, Some(100.0));
        self.measure(&self.server, refresh, workers, async |worker| {
            worker.tokens = worker.visitor.refresh(&worker.tokens.refresh).await?;
            worker.fresh.push(worker.tokens.access.clone());
            Ok(())
        })
        .await
    }

    async fn calls(&self, mut workers: Vec<Worker>) -> Result<Vec<Worker>> {
        for worker in &mut workers {
            let server = &mut worker.visitor.server;
            worker.sessions[0] = open_session(server, "/mcp", &worker.tokens.access).await?;
        }
        let unseen = line("ping, token not seen before", 8000, None);
        let mut workers = self
            .measure(&self.server, unseen, workers, async |worker| {
                let token = worker.fresh.pop().context("no token is left")?;
                worker.call(&token, PING).await
            })
            .await?;
        for (name, body) in [("ping", PING), ("tools/call", ADD)] {
            let (alone, guarded) = match name {
                "ping" => ("ping, sample server alone", "ping, token seen before"),
                _ => (
                    "tool call, sample server alone",
                    "tool call, token seen before",
                ),
            };
            workers = self
                .measure(
                    &self.baseline,
                    line(alone, 10_000, None),
                    workers,
                    async |worker| {
                        let server = &mut worker.visitor.baseline;
                        call(server, "/mcp", "", &worker.sessions[1], body).await
                    },
                )
                .await?;
            workers = self
                .measure(
                    &self.server,
                    line(guarded, 10_000, None),
                    workers,
                    async |worker| {
                        let token = worker.tokens.access.clone();
                        worker.call(&token, body).await
                    },
                )
                .await?;
        }
        Ok(workers)
    }

    async fn bad_tokens(&self, mut workers: Vec<Worker>) -> Result<Vec<Worker>> {
        for (line, spoil) in [
            (
                line("malformed token -> 401", 20_000, Some(15.0)),
                malformed as Spoil,
            ),
            (
                line("unknown key -> 401", 20_000, Some(15.0)),
                unknown_key as Spoil,
            ),
            (
                line("bad signature -> 401", 10_000, Some(60.0)),
                bad_signature as Spoil,
            ),
        ] {
            workers = self
                .measure(&self.server, line, workers, async move |worker| {
                    let token = spoil(&worker.tokens.access).context("a token has three parts")?;
                    let session = &worker.sessions[0];
                    let server = &mut worker.visitor.server;
                    let answer = send(server, "/mcp", &token, session, PING).await?;
                    anyhow::ensure!(
                        answer.status == StatusCode::UNAUTHORIZED,
                        "{}",
                        answer.status
                    );
                    Ok(())
                })
                .await?;
        }
        Ok(workers)
    }

    async fn proxied(&self, mut workers: Vec<Worker>) -> Result<Vec<Worker>> {
        for worker in &mut workers {
            let code = worker.visitor.approve("/echo").await?;
            worker.tokens = worker.visitor.redeem(&code, "/echo").await?;
        }
        for worker in &mut workers {
            let address = self.bare_proxy_address;
            worker.visitor.baseline = Connection::new(address, address.to_string());
        }
        let bare = line("bare proxy: the same call", 20_000, None);
        let workers = self
            .measure(&self.bare_proxy, bare, workers, async |worker| {
                let server = &mut worker.visitor.baseline;
                call(server, "/echo", "", "", PING).await
            })
            .await?;
        let proxied = line("proxied call, token seen before", 20_000, Some(30.0));
        self.measure(&self.server, proxied, workers, async |worker| {
            let server = &mut worker.visitor.server;
            call(server, "/echo", &worker.tokens.access, "", PING).await
        })
        .await
    }

    /// Idle streams through both proxies.
    async fn streams(&self, workers: &[Worker]) -> Result<()> {
        let (address, host) = place(&self.origin)?;
        let bare_host = self.bare_proxy_address.to_string();
        let through_bare = Place {
            address: self.bare_proxy_address,
            host: &bare_host,
            path: "/echo",
            token: "",
        };
        let token = workers.first().map(|worker| worker.tokens.access.as_str());
        let through_server = Place {
            address,
            host: &host,
            path: "/echo",
            token: token.unwrap_or_default(),
        };
        println!("memory of idle event streams");
        let before = (self.bare_proxy.memory()?, self.server.memory()?);
        for count in [1000, 5000] {
            let bare = "bare proxy: each of so many";
            let (proxy, server) = (&self.bare_proxy, &self.server);
            streams::measure(bare, proxy, &through_bare, (count, before.0)).await?;
            let guarded = "each of so many, at most 36 KB";
            streams::measure(guarded, server, &through_server, (count, before.1)).await?;
        }
        Ok(())
    }

    /// Lets all workers do `work`, so often in all, and writes what it cost `process`.
    async fn measure(
        &self,
        process: &Process,
        line: Line,
        mut workers: Vec<Worker>,
        work: impl AsyncFn(&mut Worker) -> Result<()>,
    ) -> Result<Vec<Worker>> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "counts are small and positive"
        )]
        let each = ((line.count as f64 * self.scale) as usize / workers.len()).max(1);
        let begin = Instant::now();
        let before = process.cpu()?;
        try_join_all(workers.iter_mut().map(async |worker| {
            for _ in 0..each {
                work(worker).await.context(line.name)?;
            }
            anyhow::Ok(())
        }))
        .await?;
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let times = (each * workers.len()) as f64;
        let cost = (process.cpu()? - before) / times;
        let at_most = line.at_most.map_or(String::new(), |at_most| {
            let mark = if cost > at_most { "!" } else { "" };
            format!("{at_most:.0}{mark}")
        });
        println!(
            "{:<44}{times:>9}{cost:>12.1}{at_most:>10}{:>11.0}",
            line.name,
            times / begin.elapsed().as_secs_f64()
        );
        Ok(workers)
    }
}

impl Worker {
    async fn call(&mut self, token: &str, body: &'static str) -> Result<()> {
        call(
            &mut self.visitor.server,
            "/mcp",
            token,
            &self.sessions[0],
            body,
        )
        .await
    }
}

async fn sign_in(visitor: &mut Visitor) -> Result<Tokens> {
    visitor.register().await?;
    let code = visitor.approve("/mcp").await?;
    visitor.redeem(&code, "/mcp").await
}

/// Makes a bad token of a good one.
type Spoil = fn(&str) -> Option<String>;

fn malformed(token: &str) -> Option<String> {
    let (header, rest) = token.split_once('.')?;
    Some(format!("{header}-{rest}"))
}

fn unknown_key(token: &str) -> Option<String> {
    let (header, rest) = token.split_once('.')?;
    let header = URL_SAFE_NO_PAD.decode(header).ok()?;
    let mut header: Value = serde_json::from_slice(&header).ok()?;
    header["kid"] = json!("a-key-that-nobody-has-and-nobody-had-before");
    Some(format!(
        "{}.{rest}",
        URL_SAFE_NO_PAD.encode(header.to_string())
    ))
}

/// Another character in the middle of the first half: the signature keeps its form.
fn bad_signature(token: &str) -> Option<String> {
    let at = token.rfind('.')? + 10;
    let other = if token.as_bytes().get(at)? == &b'A' {
        "B"
    } else {
        "A"
    };
    let mut token = token.to_owned();
    token.replace_range(at..=at, other);
    Some(token)
}
