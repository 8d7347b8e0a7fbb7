//! The examples as programs of their own: somebody signs in, and a tool says who it is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::process::Command;

use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Standin};
use rmcp::RoleClient;
use rmcp::model::CallToolRequestParams;
use rmcp::service::RunningService;

use crate::harness::process::{Process, free_port};
use crate::harness::visitor::{connect, sign_in};

/// An example as it stands here: cargo builds it where it built this test and in the same way, so that there is nothing to do
/// where it has built both.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.ancestors().nth(2).unwrap();
    let profile = match built.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        named => named,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--locked", "--offline", "--quiet"])
        .args(["--profile", profile, "--example", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", built.parent().unwrap());
    assert!(cargo.status().unwrap().success());
    built.join("examples").join(name)
}

/// An example, just started with one argument, and the URL that it gives to clients.
async fn start(name: &str, argument: String) -> (Process, String) {
    let name = name.to_owned();
    let starting = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(example(&name));
        command.arg(argument).env_clear();
        let mut process = Process::start(command);
        let said = process.wait_until_it_says("connector: ").unwrap();
        (process, said.replace("connector: ", ""))
    });
    starting.await.unwrap()
}

/// mona, who has signed in and connected.
async fn mona(url: &str) -> RunningService<RoleClient, ()> {
    let token = sign_in(url.strip_suffix("/mcp").unwrap(), "mona").await;
    connect(url, &token).await
}

/// What a tool without arguments says.
async fn said(client: &RunningService<RoleClient, ()>, tool: &'static str) -> String {
    let said = client.call_tool(CallToolRequestParams::new(tool)).await;
    let said = said.unwrap();
    said.content[0].as_text().unwrap().text.clone()
}

/// RS-01
#[tokio::test]
async fn the_server_of_rmcp_greets_whoever_is_signed_in() {
    let (_process, url) = start("rmcp_server", "127.0.0.1:0".to_owned()).await;
    let client = mona(&url).await;
    assert_eq!(said(&client, "greet").await, "Hello, Mona Lísa!");
    let can_ask = said(&client, "can_ask_provider").await;
    assert_eq!(can_ask, "yes: there is a token of the provider");
    client.cancel().await.unwrap();
}

/// RS-01
#[tokio::test]
async fn the_parts_in_a_server_of_axum_say_who_calls_below_a_path_too() {
    let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let provider = standin.base_url();
    let directory = tempfile::tempdir().unwrap();
    for below in ["", "/tools"] {
        let port = free_port();
        let file = directory.path().join("providers.toml");
        let text = format!(
            r#"
public_url = "http://localhost:{port}{below}"
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
        let (_process, url) = start("axum_server", file.to_str().unwrap().to_owned()).await;
        assert_eq!(url, format!("http://localhost:{port}{below}/mcp"));
        let client = mona(&url).await;
        let tools = client.list_all_tools().await.unwrap();
        assert_eq!(tools.len(), 1);
        let who = said(&client, "whoami").await;
        assert!(who.starts_with("github:"), "{who}");
        // what it does not know it says, and lives
        let unknown = client.call_tool(CallToolRequestParams::new("other")).await;
        assert!(unknown.is_err(), "{unknown:?}");
        assert!(client.list_all_prompts().await.is_err());
        client.cancel().await.unwrap();
    }
}
