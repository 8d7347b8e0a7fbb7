//! `anteroom dev -- COMMAND`: the program before a server of its own kind, over stdin and stdout.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Stdio};

use rmcp::model::CallToolRequestParams;
use serde_json::json;

use crate::harness::process::Process;
use crate::harness::visitor::{connect, sign_in};

const ANTEROOM: &str = env!("CARGO_BIN_EXE_anteroom");

/// What a line of the greeting says of this.
fn said_of(process: &mut Process, what: &str) -> String {
    let line = process.wait_until_it_says(what).unwrap();
    line.trim_start()[what.len()..].trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_stands_before_a_program_that_finds_the_environment_of_the_shell() {
    // only in that environment it is a server
    let server = r#"test "$DEV_TRIAL" = yes && exec "$0" sample --stdio"#;
    let mut dev = Command::new(ANTEROOM);
    dev.args(["dev", "--listen", "127.0.0.1:0", "--"])
        .args(["sh", "-c", server, ANTEROOM])
        .env("DEV_TRIAL", "yes")
        .stderr(Stdio::null());
    let mut dev = Process::start(dev);
    let url = said_of(&mut dev, "connector");
    let behind = said_of(&mut dev, "behind it");
    assert!(behind.starts_with("sh with 3 arguments  ("), "{behind}");

    let token = sign_in(url.strip_suffix("/mcp").unwrap(), "mona").await;
    let session = connect(&url, &token).await;
    let two = json!({"a": 2, "b": 40}).as_object().cloned().unwrap();
    let call = CallToolRequestParams::new("add").with_arguments(two);
    let sum = session.call_tool(call).await.unwrap();
    assert_eq!(sum.is_error, Some(false), "{sum:?}");
    let sum = serde_json::to_value(&sum.content).unwrap();
    assert!(sum[0]["text"].as_str().unwrap().contains("42"), "{sum}");
    session.cancel().await.unwrap();
    // and its child with it
    dev.stop();
}
