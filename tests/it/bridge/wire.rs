//! A child that is no process: the test reads what it is sent, and says what it says.

use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};

use crate::harness::patience::{PATIENCE, in_time};

/// A child that the test plays, line by line.
pub(crate) struct Wire {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    write: WriteHalf<DuplexStream>,
}

impl Wire {
    pub(super) fn new(stream: DuplexStream) -> Self {
        let (read, write) = tokio::io::split(stream);
        let lines = BufReader::new(read).lines();
        Self { lines, write }
    }

    /// The next message from us.
    pub(crate) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line());
        serde_json::from_str(&line.await.unwrap().unwrap().unwrap()).unwrap()
    }

    /// The next message with this method.
    pub(crate) async fn next_of(&mut self, method: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["method"] == method {
                return message;
            }
        }
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        let line = format!("{message}\n");
        let written = self.write.write_all(line.as_bytes());
        in_time("somebody who reads", written).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, request: &Value, result: &Value) {
        let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
        self.say(&answer).await;
    }

    pub(crate) async fn notify(&mut self, method: &str, params: &Value) {
        let said = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.say(&said).await;
    }

    pub(crate) async fn progress(&mut self, request: &Value, progress: u32) {
        let token = &request["params"]["_meta"]["progressToken"];
        let params = json!({ "progressToken": token, "progress": progress });
        self.notify("notifications/progress", &params).await;
    }

    pub(crate) async fn log(&mut self, level: &str, what: &str) {
        let params = json!({ "level": level, "data": what });
        self.notify("notifications/message", &params).await;
    }

    /// The handshake of the older revisions.
    pub(super) async fn shake_hands(&mut self, version: &str) {
        let asked = self.next_of("initialize").await;
        let told = json!({
            "protocolVersion": version,
            "capabilities": {
                "tools": { "listChanged": true }, "logging": {}, "prompts": {},
                "resources": { "subscribe": true, "listChanged": true },
            },
            "serverInfo": { "name": "played", "version": "1" },
            "instructions": "be kind",
        });
        self.answer(&asked, &told).await;
        self.next_of("notifications/initialized").await;
    }
}
