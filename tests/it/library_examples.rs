//! The examples as programs of their own: somebody signs in, and a tool says who it is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::process::Command;

use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Standin};
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

use crate::harness::client::message;
use crate::harness::process::{Http, Journey, Process, free_port};

/// An example, built: cargo has put it beside the folder of this test, unless it was told to build this test alone.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.ancestors().nth(2).unwrap();
    let found = built.join("examples").join(name);
    if !found.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--locked", "--quiet", "--example", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_TARGET_DIR", built.parent().unwrap());
        if built.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
    }
    found
}

/// An example, just started with one argument, and the URL that it gives to clients.
async fn start(name: &str, argument: String) -> (Process, String) {
    let program = example(name);
    let starting = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(program);
        command.arg(argument).env_clear();
        let mut process = Process::start(command);
        let said = process.wait_until_it_says("connector: ").unwrap();
        (process, said.replace("connector: ", ""))
    });
    starting.await.unwrap()
}

/// Signs in as mona, in a browser: an access token.
async fn sign_in(http: &Http, base: &str) -> String {
    let client = http.register(base, "none").await.unwrap();
    let journey = Journey::begin(http, base, &client).await.unwrap();
    let code = journey.code("mona").await.unwrap();
    let url = format!("{base}/token");
    let answer = http.ask_as(&client, &url, &code.form()).await.unwrap();
    answer.text("access_token")
}

/// RS-01
#[tokio::test]
async fn the_server_of_rmcp_greets_whoever_is_signed_in() {
    let (_process, url) = start("rmcp_server", "127.0.0.1:0".to_owned()).await;
    let token = sign_in(&Http::new(), url.strip_suffix("/mcp").unwrap()).await;
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = ().serve(transport).await.unwrap();
    for (tool, expected) in [
        ("greet", "Hello, Mona Lísa!"),
        ("can_ask_provider", "yes: there is a token of the provider"),
    ] {
        let said = client.call_tool(CallToolRequestParams::new(tool)).await;
        let said = said.unwrap();
        assert_eq!(said.content[0].as_text().unwrap().text, expected);
    }
    client.cancel().await.unwrap();
}

/// RS-01
#[tokio::test]
async fn the_parts_in_a_server_of_axum_say_who_calls() {
    let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (port, provider) = (free_port(), standin.base_url());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("providers.toml");
    let text = format!(
        r#"
public_url = "http://localhost:{port}"
listen = "127.0.0.1:{port}"
store = "memory"
[[server]]
path = "/mcp"
sample = true
[provider.github]
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
base_url = "{provider}"
api_url = "{provider}/api"
allow.anyone = true
"#
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let (process, url) = start("axum_server", file).await;
    assert_eq!(url, format!("http://localhost:{port}/mcp"));
    let http = Http::new();
    let token = sign_in(&http, url.strip_suffix("/mcp").unwrap()).await;
    let list = message("tools/list", &json!({}));
    let answer = http.call(&url, &token, &list).await.unwrap();
    assert!(answer.body.contains("github:"), "{answer:?}");
    drop(process);
}
