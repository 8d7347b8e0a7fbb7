//! The sample MCP server: over real sockets, in every revision of the protocol, and behind the gate, where a tool calls
//! the provider for whoever calls it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::demo;
use anteroom::standin::Fault;
use rmcp::model::{
    CallToolRequestParams, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::harness::server::server;

/// The sample server on a free port, until the second part is dropped or sent.
async fn start() -> (String, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = demo::router(Vec::new(), async {
        let _ = stopped.await;
    });
    tokio::spawn(axum::serve(listener, router).into_future());
    (host, stop)
}

async fn connect(host: &str, mode: ClientLifecycleMode) -> RunningService<RoleClient, ()> {
    let transport = StreamableHttpClientTransport::from_uri(format!("http://{host}/mcp"));
    ().serve_with_lifecycle(transport, mode).await.unwrap()
}

/// Sends one request over a connection of its own, and reads as far as `until`.
async fn raw(host: &str, method: &str, headers: &str, body: &str, until: &str) -> String {
    let mut stream = send(host, method, headers, body).await;
    read(&mut stream, until).await
}

async fn send(host: &str, method: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads as far as `until`, or to the end.
async fn read(stream: &mut TcpStream, until: &str) -> String {
    let mut seen = Vec::new();
    loop {
        let read = stream.read_buf(&mut seen).await.unwrap();
        let text = String::from_utf8_lossy(&seen);
        if read == 0 || text.contains(until) {
            return text.into_owned();
        }
    }
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines();
    lines.find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The last chunk of a body (RFC 9112 §7.1).
const END: &str = "\r\n0\r\n\r\n";

const BOTH: &str = "accept: application/json, text/event-stream\r\n";

async fn initialize(host: &str, version: &str) -> (String, String) {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": { "name": "raw", "version": "1" },
        },
    });
    let answer = raw(host, "POST", BOTH, &body.to_string(), END).await;
    let session = header(&answer, "mcp-session-id").unwrap().to_owned();
    let session = format!("{BOTH}mcp-session-id: {session}\r\n");
    let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let accepted = raw(host, "POST", &session, ready, "\r\n\r\n").await;
    assert!(accepted.starts_with("HTTP/1.1 202"), "{accepted}");
    (answer, session)
}

#[tokio::test]
async fn a_client_of_either_era_finds_and_uses_everything() {
    let (host, _running) = start().await;
    let modern = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    for (mode, version) in [
        (
            ClientLifecycleMode::Initialize,
            ProtocolVersion::V_2025_11_25,
        ),
        (modern, ProtocolVersion::V_2026_07_28),
    ] {
        let client = connect(&host, mode).await;
        assert_eq!(client.peer_info().unwrap().protocol_version, version);
        assert_eq!(client.list_all_tools().await.unwrap().len(), 12);
        assert_eq!(client.list_all_prompts().await.unwrap().len(), 4);
        assert_eq!(client.list_all_resources().await.unwrap().len(), 4);

        let arguments = json!({ "a": 1, "b": 4 }).as_object().cloned().unwrap();
        let divide = |arguments| CallToolRequestParams::new("divide").with_arguments(arguments);
        let answer = client.call_tool(divide(arguments)).await.unwrap();
        assert_eq!(answer.content[0].as_text().unwrap().text, "0.25");
        let arguments = json!({ "a": 1, "b": 0 }).as_object().cloned().unwrap();
        let answer = client.call_tool(divide(arguments)).await.unwrap();
        assert_eq!(answer.is_error, Some(true));
        assert!(
            answer.content[0]
                .as_text()
                .unwrap()
                .text
                .contains("by zero")
        );

        let whoami = client
            .call_tool(CallToolRequestParams::new("whoami"))
            .await
            .unwrap();
        let told = &whoami.content[0].as_text().unwrap().text;
        assert_eq!(
            told,
            "nobody is signed in: this server runs without authorization"
        );

        let profile = client.call_tool(CallToolRequestParams::new("github_profile"));
        let profile = profile.await.unwrap();
        assert_eq!(profile.is_error, Some(true));
        let told = &profile.content[0].as_text().unwrap().text;
        assert!(told.contains("nobody is signed in"), "{told}");

        let arguments = json!({ "code": "fn main() {}", "language": "rust" });
        let review = GetPromptRequestParams::new("security_review")
            .with_arguments(arguments.as_object().cloned().unwrap());
        let review = client.get_prompt(review).await.unwrap();
        let text = &review.messages[0].content.as_text().unwrap().text;
        assert!(text.ends_with("```rust\nfn main() {}\n```"), "{text}");

        let welcome = ReadResourceRequestParams::new("sample:///welcome.txt");
        assert_eq!(
            client.read_resource(welcome).await.unwrap().contents.len(),
            1
        );
        client.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn a_raw_client_of_each_older_revision_is_answered_in_its_own() {
    let (host, _running) = start().await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let (answer, session) = initialize(&host, version).await;
        assert!(
            answer.contains(&format!("\"protocolVersion\":\"{version}\"")),
            "{answer}"
        );
        // 2025-03-26 knows no MCP-Protocol-Version.
        let named = match version {
            "2025-03-26" => session,
            _ => format!("{session}mcp-protocol-version: {version}\r\n"),
        };
        let call = json!({
            "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": "add", "arguments": { "a": 2, "b": 3 } },
        });
        let answer = raw(&host, "POST", &named, &call.to_string(), END).await;
        assert!(answer.contains("\"text\":\"5\""), "{version}: {answer}");
        // What is no event of JSON-RPC breaks clients that parse every event.
        assert!(
            !answer.contains("data: \n") && !answer.contains("data:\n"),
            "{version}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_stream_with_nothing_to_say_begins_at_once() {
    let (host, _running) = start().await;
    let (_, session) = initialize(&host, "2025-06-18").await;
    let answer = raw(&host, "GET", &session, "", "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("text/event-stream"));
}

#[tokio::test]
async fn a_stream_ends_when_the_server_shuts_down() {
    let (host, stop) = start().await;
    let (_, session) = initialize(&host, "2025-06-18").await;
    let mut stream = send(&host, "GET", &session, "").await;
    let head = read(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    stop.send(()).unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_name_that_was_not_allowed_is_not_answered() {
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = demo::router(vec!["tools.example".to_owned()], std::future::pending());
    tokio::spawn(axum::serve(listener, router).into_future());
    for (host, answered) in [
        ("tools.example", true),
        ("evil.example", false),
        ("127.0.0.1", false),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = ping.len();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nhost: {host}\r\n{BOTH}content-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{ping}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(
            !answer.starts_with("HTTP/1.1 403"),
            answered,
            "{host}: {answer}"
        );
    }
}

#[tokio::test]
async fn arguments_of_the_wrong_type_are_answered_with_what_is_wrong() {
    let (host, _running) = start().await;
    let client = connect(&host, ClientLifecycleMode::Initialize).await;
    for arguments in [
        json!({}),
        json!({ "a": "one", "b": 2 }),
        json!({ "a": null, "b": 2 }),
    ] {
        let call = CallToolRequestParams::new("add")
            .with_arguments(arguments.as_object().cloned().unwrap_or_default());
        let told = match client.call_tool(call).await {
            Ok(answer) => {
                assert_eq!(answer.is_error, Some(true), "{arguments}");
                answer.content[0].as_text().unwrap().text.clone()
            }
            Err(error) => error.to_string(),
        };
        assert!(
            told.contains('a') && !told.contains("panicked"),
            "{arguments}: {told}"
        );
        println!("{arguments}: {told}");
    }
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

/// CONS-16
#[tokio::test]
async fn a_tool_calls_the_provider_in_the_name_of_whoever_calls_it() {
    let server = server().start().await;
    let mona = server.client().await.sign_in("mona").await;
    let octavia_client = server.client().await;
    let octavia = octavia_client.sign_in("octavia").await;
    for (tokens, login) in [(&mona, "mona"), (&octavia, "octavia")] {
        let profile = octavia_client.tool(&tokens.access, "github_profile").await;
        assert_eq!(profile["structuredContent"]["login"], login, "{profile}");
        assert!(text(&profile).contains(&format!("login: {login}")));
        assert!(!profile.to_string().contains("gho_"), "{profile}");
    }
}

#[tokio::test]
async fn what_the_provider_answers_is_told_in_words() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    for (fault, told) in [
        (Fault::Down, "status 500"),
        (Fault::Body("[]".to_owned()), "cannot be read"),
    ] {
        server.standin().fault("/api/user", fault);
        let profile = client.tool(&tokens.access, "github_profile").await;
        assert_eq!(profile["isError"], true, "{profile}");
        assert!(text(&profile).contains(told), "{profile}");
        server.standin().heal();
    }
}
