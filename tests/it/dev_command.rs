//! `anteroom dev -- COMMAND`: the program before a server of its own kind, over stdin and stdout.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

use crate::harness::process::{Http, Journey};

/// `anteroom dev`, killed when it is dropped.
struct Dev {
    child: Child,
    /// What it said until it served.
    greeting: String,
}

impl Dev {
    /// Before `words`, in an environment where `DEV_TRIAL` is `yes`.
    fn before(words: &[&str]) -> Self {
        let mut child = Command::new(ANTEROOM)
            .args(["dev", "--listen", "127.0.0.1:0", "--"])
            .args(words)
            .env("DEV_TRIAL", "yes")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map_while(Result::ok);
        let said: Vec<_> = lines
            .take_while(|line| !line.starts_with("Ctrl+C"))
            .collect();
        Self {
            child,
            greeting: said.join("\n"),
        }
    }

    /// What the greeting says of this.
    fn says(&self, what: &str) -> &str {
        let line = self.greeting.lines();
        let mut line = line.filter_map(|line| line.trim_start().strip_prefix(what));
        let said = line
            .next()
            .unwrap_or_else(|| panic!("{what}: {}", self.greeting));
        said.trim()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // told first, so that its children end with it
        let order = format!("kill -TERM {}", self.child.id());
        let _ = Command::new("sh").args(["-c", &order]).status();
        let _ = self.child.wait();
    }
}

const ANTEROOM: &str = env!("CARGO_BIN_EXE_anteroom");

#[tokio::test(flavor = "multi_thread")]
async fn dev_stands_before_a_program_that_finds_the_environment_of_the_shell() {
    // only in that environment it is a server
    let server = r#"test "$DEV_TRIAL" = yes && exec "$0" sample --stdio"#;
    let dev = Dev::before(&["sh", "-c", server, ANTEROOM]);
    let behind = dev.says("behind it");
    assert!(behind.starts_with("sh with 3 arguments  ("), "{behind}");
    let url = dev.says("connector").to_owned();
    let base = url.strip_suffix("/mcp").unwrap();

    let http = Http::new();
    let client = http.register(base, "none").await.unwrap();
    let journey = Journey::begin(&http, base, &client).await.unwrap();
    let code = journey.code("mona").await.unwrap();
    let token = http
        .ask_as(&client, &format!("{base}/token"), &code.form())
        .await;
    let token = token.unwrap().text("access_token");

    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    let session = ().serve(transport).await.unwrap();
    let two = json!({"a": 2, "b": 40}).as_object().cloned().unwrap();
    let call = CallToolRequestParams::new("add").with_arguments(two);
    let sum = session.call_tool(call).await.unwrap();
    assert_eq!(sum.is_error, Some(false), "{sum:?}");
    let sum = serde_json::to_value(&sum.content).unwrap();
    assert!(sum[0]["text"].as_str().unwrap().contains("42"), "{sum}");
    session.cancel().await.unwrap();
}
