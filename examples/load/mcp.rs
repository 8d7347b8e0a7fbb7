//! What an MCP client of the older transport sends.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::http::{Answer, Connection, Message};

/// Opens a session of the older MCP transport, as every client in the field does.
pub(crate) async fn open_session(
    server: &mut Connection,
    path: &str,
    token: &str,
) -> Result<String> {
    let hello = json!({
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": { "name": "load", "version": "1" },
        },
    });
    let answer = send(server, path, token, "", &hello.to_string()).await?;
    let session = answer
        .header("mcp-session-id")
        .with_context(|| format!("no MCP session: {}", answer.status))?
        .to_owned();
    let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    send(server, path, token, &session, ready).await?;
    Ok(session)
}

/// Ends a session, as a client does that is closed.
pub(crate) async fn close_session(
    server: &mut Connection,
    path: &str,
    token: &str,
    session: &str,
) -> Result<()> {
    let bearer = format!("Bearer {token}");
    let message = Message {
        method: "DELETE",
        path,
        headers: &[("authorization", &bearer), ("mcp-session-id", session)],
        body: Bytes::new(),
    };
    let answer = server.send(message).await?;
    ensure!(answer.status.is_success(), "{}", answer.status);
    Ok(())
}

/// A call that must be answered with a result.
pub(crate) async fn call(
    server: &mut Connection,
    path: &str,
    token: &str,
    session: &str,
    body: &str,
) -> Result<()> {
    let answer = send(server, path, token, session, body).await?;
    let text = String::from_utf8_lossy(&answer.body);
    anyhow::ensure!(
        answer.status == StatusCode::OK && text.contains("\"result\""),
        "{}: {text}",
        answer.status
    );
    Ok(())
}

pub(crate) async fn send(
    server: &mut Connection,
    path: &str,
    token: &str,
    session: &str,
    body: &str,
) -> Result<Answer> {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", REVISION),
    ];
    if !token.is_empty() {
        headers.push(("authorization", &bearer));
    }
    if !session.is_empty() {
        headers.push(("mcp-session-id", session));
    }
    server
        .send(Message::post(path, &headers, body.to_owned()))
        .await
}

const REVISION: &str = "2025-06-18";
pub(crate) const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
pub(crate) const ADD: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2}}}"#;
