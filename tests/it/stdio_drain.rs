//! The end of the process before children and the sample: a call under way is answered whole, and what only listens ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use anteroom::config::{Backend, ChildSessions, Command};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::backend::call;
use crate::harness::gate::rpc;
use crate::harness::listening::Listening;

/// Well before the limit of the drain, which is ten seconds.
const SOON: Duration = Duration::from_secs(6);

/// Says when it has been asked, and answers when it is told to.
const SLOW: &str = r#"read -r line
echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}'
while read -r line; do
  case "$line" in *'"tools/call"'*)
    id=${line#*\"id\":}; id=${id%%[,\}]*}
    : > asked
    while [ ! -e go ]; do sleep 0.05; done
    echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}}"
  esac
done
"#;

async fn slow(directory: &Path) -> Listening {
    let words = ["sh", "-c", SLOW].map(str::to_owned).to_vec();
    Listening::with(Backend::Command(Command {
        words,
        in_clear: Vec::new(),
        environment: Vec::new(),
        directory: Some(directory.to_owned()),
        sessions: ChildSessions::PerUser,
        idle: Duration::from_secs(600),
        children: NonZeroUsize::MIN,
        upstream_token_variable: "TOKEN".to_owned(),
    }))
    .await
}

/// The headers of a session of the older revisions.
async fn session(served: &Listening) -> String {
    let params = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "raw", "version": "1" },
    });
    let initialize = rpc("initialize", &params);
    let asked = served.post("connection: close\r\n", &initialize).await;
    let answer = asked.rest().await;
    let mut lines = answer.lines();
    let id = lines.find_map(|line| line.strip_prefix("mcp-session-id: "));
    let session = format!("mcp-session-id: {}\r\n", id.unwrap());
    let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let mut accepted = served.post(&session, ready).await;
    assert!(accepted.read().await.unwrap().starts_with("HTTP/1.1 202"));
    session
}

/// Headers and body of a request of 2026-07-28.
fn modern(method: &str, mut params: Value) -> (String, String) {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "raw", "version": "1" },
    });
    let name = params["name"].as_str();
    let name = name.map_or_else(String::new, |name| format!("mcp-name: {name}\r\n"));
    let headers = format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{name}");
    (headers, rpc(method, &params))
}

async fn there_is(file: &Path) {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ends_soon(served: Listening) {
    let ended = timeout(SOON, served.serving).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_a_child_is_at_is_answered_whole() {
    for is_modern in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut served = slow(directory.path()).await;
        let (headers, body) = if is_modern {
            modern("tools/call", json!({ "name": "add", "arguments": {} }))
        } else {
            (session(&served).await, call())
        };
        let client = served.post(&headers, &body).await;
        let asked = directory.path().join("asked");
        timeout(SOON, there_is(&asked)).await.unwrap();
        served.stop();
        // it stops listening before it has answered
        while tokio::net::TcpStream::connect(served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        std::fs::write(directory.path().join("go"), "").unwrap();
        let answer = timeout(SOON, client.rest()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(r#""text":"done""#), "{answer}");
        assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
        ends_soon(served).await;
    }
}

#[tokio::test]
async fn a_stream_that_only_listens_to_a_child_or_the_sample_ends_at_once() {
    for (is_sample, is_modern) in [(true, false), (false, false), (false, true)] {
        let directory = tempfile::tempdir().unwrap();
        let mut served = if is_sample {
            Listening::with(Backend::Sample).await
        } else {
            slow(directory.path()).await
        };
        let mut client = if is_modern {
            let wanted = json!({ "notifications": { "toolsListChanged": true } });
            let (headers, body) = modern("subscriptions/listen", wanted);
            served.post(&headers, &body).await
        } else {
            let session = session(&served).await;
            served.ask("GET /mcp HTTP/1.1", &session, "").await
        };
        let head = timeout(SOON, client.read()).await.unwrap().unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        served.stop();
        // an end, and not a break
        let rest = timeout(SOON, client.rest()).await.unwrap();
        assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
        ends_soon(served).await;
    }
}
