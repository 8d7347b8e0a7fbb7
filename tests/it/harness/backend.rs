//! MCP servers for the proxy to stand before: one that a test plays itself, byte by byte, and whatever a router answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;

use anteroom::backend::http::Proxy;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::Method;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use url::Url;

use super::gate::{World, rpc, with};
use super::patience::in_time;
use super::process::free_port;

/// Serves on a port of its own until the test ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub(crate) fn proxy_to(address: SocketAddr) -> Proxy {
    Proxy::new(&Url::parse(&format!("http://{address}/inner")).unwrap()).unwrap()
}

/// The gate before this proxy, and a token.
pub(crate) fn behind_a_gate(proxy: Proxy) -> (Router, String) {
    let mut world = World::new();
    let token = world.token(
        "github:1",
        "https://client.example/id",
        "tools:list tools:call",
    );
    (world.before(proxy), token)
}

/// The same before a router.
pub(crate) async fn in_front_of(backend: Router) -> (Router, String) {
    behind_a_gate(proxy_to(serve(backend).await))
}

/// The gate before this proxy, listening, and a token.
pub(crate) async fn listening(proxy: Proxy) -> (SocketAddr, String) {
    let mut world = World::new();
    let token = world.token(
        "github:1",
        "https://client.example/id",
        "tools:list tools:call",
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    world.allow_host(address.to_string());
    let router = world.before(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, token)
}

pub(crate) fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// A request over the wire to a listening front.
pub(crate) fn onto(address: SocketAddr, method: Method, mut request: Request) -> Request {
    *request.uri_mut() = format!("http://{address}/mcp").parse().unwrap();
    *request.method_mut() = method;
    with(request, "host", &address.to_string())
}

/// `tools/list`, with the id 7.
pub(crate) fn list() -> String {
    rpc("tools/list", &json!({}))
}

/// `tools/call`, with the id 7.
pub(crate) fn call() -> String {
    rpc("tools/call", &json!({"name": "add", "arguments": {}}))
}

/// A server that the test plays itself.
pub(crate) struct Played {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Played {
    pub(crate) async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    /// Where nobody else gets the address while it is down.
    pub(crate) async fn start_apart() -> Self {
        Self::start_at(([127, 0, 0, 1], free_port()).into()).await
    }

    /// At an address that may have been another's before.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Wire {
        let accepted = in_time("a connection", self.listener.accept()).await;
        let (stream, _) = accepted.unwrap();
        Wire { stream }
    }

    /// The next connection, and the request on it.
    pub(crate) async fn asked(&self) -> (Wire, String) {
        let mut wire = self.accept().await;
        let request = wire.read().await.unwrap();
        (wire, request)
    }
}

/// An address at which nobody listens, and nobody else can, for as long as the socket lives.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A connection, byte by byte.
pub(crate) struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream }
    }

    /// The next message, head and body (of a `Content-Length`); none where the connection is at its end.
    pub(crate) async fn read(&mut self) -> Option<String> {
        in_time("a message", self.message()).await
    }

    async fn message(&mut self) -> Option<String> {
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&read);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    return Some(text.into_owned());
                }
            }
            let byte = self.stream.read_u8().await.ok()?;
            read.push(byte);
        }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        let written = self.stream.write_all(text.as_bytes());
        in_time("somebody who reads", written).await.unwrap();
    }

    /// A whole answer in JSON.
    pub(crate) async fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.write(&format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
        .await;
    }

    /// The head of an event stream.
    pub(crate) async fn begin_stream(&mut self) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        self.write(head).await;
    }

    /// A piece of an event stream.
    pub(crate) async fn send(&mut self, event: &str) {
        let length = event.len();
        self.write(&format!("{length:x}\r\n{event}\r\n")).await;
    }

    /// Waits until the other side has closed the connection.
    pub(crate) async fn closed(self) {
        self.rest().await;
    }

    /// Everything until the other side closes.
    pub(crate) async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        let _ = in_time("the end", self.stream.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}
