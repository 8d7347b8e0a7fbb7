//! Somebody at the real program: signs in with a browser, and connects an MCP client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt as _};

use super::patience::in_time;
use super::process::{Http, Journey};

/// Signs in with a client that registers first, for the server at `/mcp`: the access token.
pub(crate) async fn sign_in(base: &str, login: &str) -> String {
    let http = Http::new();
    let client = http.register(base, "none").await.unwrap();
    let journey = Journey::begin(&http, base, &client).await.unwrap();
    let code = journey.code(login).await.unwrap();
    let url = format!("{base}/token");
    let answer = http.ask_as(&client, &url, &code.form()).await.unwrap();
    answer.text("access_token")
}

/// A client of rmcp that has shaken hands.
pub(crate) async fn connect(url: &str, token: &str) -> RunningService<RoleClient, ()> {
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = in_time("the handshake", ().serve(transport)).await;
    client.unwrap()
}
