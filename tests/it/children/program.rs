//! The real program leaves no process behind when it stops.

use std::process::Command;

use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Standin};
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use super::Family;
use super::ends::DEAF;
use crate::harness::process::{Http, Journey, Place, Process, free_port};

const ANTEROOM: &str = env!("CARGO_BIN_EXE_anteroom");

/// Somebody who has called the program's server once, so that its child runs.
async fn session(base: &str) -> RunningService<RoleClient, ()> {
    let http = Http::new();
    let client = http.register(base, "none").await.unwrap();
    let journey = Journey::begin(&http, base, &client).await.unwrap();
    let code = journey.code("mona").await.unwrap();
    let token = http
        .ask_as(&client, &format!("{base}/token"), &code.form())
        .await;
    let token = token.unwrap().text("access_token");
    let url = format!("{base}/mcp");
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    let session = ().serve(transport).await.unwrap();
    let call = CallToolRequestParams::new("whoami");
    session.call_tool(call).await.unwrap();
    session
}

/// `dev` before this script, and where it is reached.
fn dev(family: &Family, script: &str) -> (Process, String) {
    let mut command = Command::new(ANTEROOM);
    command
        .args(["dev", "--listen", "127.0.0.1:0", "--", "sh", "-c", script])
        .env("MARK", &family.mark)
        .current_dir(family.path(""));
    let mut dev = Process::start(command);
    let line = dev.wait_until_it_says("connector").unwrap();
    let url = line.split_whitespace().last().unwrap();
    let base = url.strip_suffix("/mcp").unwrap().to_owned();
    (dev, base)
}

fn sample() -> String {
    format!("exec {ANTEROOM} sample --stdio")
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_that_is_told_to_stop_leaves_no_process_behind() {
    let family = Family::samples();
    let (dev, base) = dev(&family, &format!("{DEAF}{}", sample()));
    let _session = session(&base).await;
    // itself, its child, and the child's
    assert_eq!(family.processes().len(), 3);
    tokio::task::spawn_blocking(|| dev.stop()).await.unwrap();
    assert!(family.processes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_that_is_told_to_stop_leaves_no_process_behind() {
    let family = Family::samples();
    let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let provider = standin.base_url();
    let port = free_port();
    let base = format!("http://localhost:{port}");
    let file = format!(
        r#"
public_url = "{base}"
listen = "127.0.0.1:{port}"
[provider.github]
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
base_url = "{provider}"
api_url = "{provider}/api"
allow.anyone = true
[[server]]
path = "/mcp"
command = ["sh", "-c", "{DEAF}{sample}"]
environment.MARK = "{mark}"
"#,
        sample = sample(),
        mark = family.mark,
    );
    let place = Place::configured(base.clone(), &file);
    let mut serve = place.start("info");
    assert!(serve.wait_until_it_serves(), "{}", place.logged());
    let _session = session(&base).await;
    assert_eq!(family.processes().len(), 2);
    tokio::task::spawn_blocking(|| serve.stop()).await.unwrap();
    assert!(family.processes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_ends_by_itself_where_the_program_is_killed() {
    let family = Family::samples();
    let (dev, base) = dev(&family, &sample());
    let _session = session(&base).await;
    assert_eq!(family.processes().len(), 2);
    dev.kill();
    family.until_gone().await;
}
