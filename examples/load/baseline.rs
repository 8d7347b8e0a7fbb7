//! What to compare with: a plain axum server, and the sample MCP server without authorization.

use anyhow::Result;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// Serves until the process is ended; writes its port.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let app = anteroom::demo::router(Vec::new(), std::future::pending())
        .route("/hello", get(|| async { "hello" }))
        .route("/rpc", post(rpc));
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
