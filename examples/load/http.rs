//! One kept connection to a server on this machine: the least that a client can cost.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection that is opened again where the server closed it.
pub(crate) struct Connection {
    address: SocketAddr,
    host: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What to send: method, path with query, headers, body.
pub(crate) struct Message<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Bytes,
}

impl<'a> Message<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            headers: &[],
            body: Bytes::new(),
        }
    }

    pub(crate) fn post(
        path: &'a str,
        headers: &'a [(&'a str, &'a str)],
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            method: "POST",
            path,
            headers,
            body: body.into(),
        }
    }
}

impl Connection {
    /// To `address`, which is called `host`.
    pub(crate) fn new(address: SocketAddr, host: impl Into<String>) -> Self {
        Self {
            address,
            host: host.into(),
            sender: None,
        }
    }

    /// Sends and waits for the answer.
    pub(crate) async fn send(&mut self, message: Message<'_>) -> Result<Answer> {
        let what = format!("{} {}", message.method, message.path);
        tokio::time::timeout(PATIENCE, self.exchange(message))
            .await
            .with_context(|| format!("{what}: no answer in {PATIENCE:?}"))?
            .with_context(|| what)
    }

    /// Sends, and fails unless the answer has this status.
    pub(crate) async fn expect(
        &mut self,
        status: StatusCode,
        message: Message<'_>,
    ) -> Result<Answer> {
        let what = format!("{} {}", message.method, message.path);
        let answer = self.send(message).await?;
        if answer.status != status {
            let body = String::from_utf8_lossy(&answer.body);
            let start: String = body.chars().take(600).collect();
            bail!("{what}: {} instead of {status}: {start}", answer.status);
        }
        Ok(answer)
    }

    async fn exchange(&mut self, message: Message<'_>) -> Result<Answer> {
        let mut request = Request::builder()
            .method(message.method)
            .uri(message.path)
            .header(header::HOST, &self.host);
        for (name, value) in message.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(message.body))?;
        let response = self.sender().await?.send_request(request).await?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>> {
        let usable = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let sender = if let Some(sender) = usable {
            sender
        } else {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            sender
        };
        Ok(self.sender.insert(sender))
    }
}

impl Answer {
    /// A header in text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
