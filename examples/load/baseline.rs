//! What to compare with: a plain axum server, and the sample MCP server without authorization.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::Result;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::streams::EVENT;

/// Serves at `port` (0: any) until the process is ended; writes its port.
pub(crate) async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("{}", listener.local_addr()?.port());
    let app = anteroom::demo::router(Vec::new(), std::future::pending())
        .route("/hello", get(|| async { "hello" }))
        .route("/rpc", post(rpc).get(idle));
    // Nagle's algorithm holds the second part of an answer back for 40 ms; when it cannot be switched off, it is slow.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}

/// The least that a JSON-RPC server does: it reads the request and answers with its id.
async fn rpc(body: Bytes) -> impl IntoResponse {
    let answer = serde_json::from_slice::<Request>(&body).map(|request| Response {
        jsonrpc: "2.0",
        id: request.id,
        result: request.method.len(),
    });
    let body = answer.and_then(|answer| serde_json::to_vec(&answer));
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, body.unwrap_or_default())
}

/// A stream of events that says something once, and then nothing for ever.
async fn idle() -> impl IntoResponse {
    let first = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(EVENT)) });
    let body = Body::from_stream(first.chain(stream::pending()));
    ([(header::CONTENT_TYPE, "text/event-stream")], body)
}

#[derive(Deserialize)]
struct Request {
    id: serde_json::Value,
    method: String,
}

#[derive(Serialize)]
struct Response {
    jsonrpc: &'static str,
    id: serde_json::Value,
    result: usize,
}
