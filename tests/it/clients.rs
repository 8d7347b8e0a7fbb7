//! A client that we did not write, against the whole server on a real socket: the one of rmcp, with its own discovery,
//! registration, sign-in and refresh.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::app::App;
use anteroom::command::stand_in;
use anteroom::config::{Backend, Config};
use anteroom::standin::Standin;
use reqwest::StatusCode;
use rmcp::model::{
    CallToolRequestParams, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthorizationManager, AuthorizationMetadataSource, AuthorizationRequest,
    AuthorizationSession,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::json;
use tokio::sync::oneshot;

use crate::harness::process::{Http, Journey};

const REDIRECT: &str = "http://127.0.0.1:7/callback";

/// The whole server; it stops when this is dropped.
struct Served {
    base: String,
    _standin: Standin,
    _running: oneshot::Sender<()>,
}

impl Served {
    async fn start() -> Self {
        let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let listener = anteroom::app::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config::dev(address, stand_in(&standin).unwrap(), Backend::Sample);
        let app = App::new(&config).await.unwrap();
        let (running, ended) = oneshot::channel::<()>();
        tokio::spawn(app.serve(listener, async {
            // what arrives is only ever the end of the sender
            let _ = ended.await;
        }));
        Self {
            base: config.public_url.as_str().to_owned(),
            _standin: standin,
            _running: running,
        }
    }

    fn mcp(&self) -> String {
        format!("{}/mcp", self.base)
    }

    /// Discovers, registers, and signs in as mona for these scopes; none: what the server challenges for.
    async fn sign_in(&self, scopes: &[&str]) -> AuthorizationManager {
        let mut manager = AuthorizationManager::new(self.mcp()).await.unwrap();
        let found = manager.resolve_metadata().await.unwrap();
        let source = AuthorizationMetadataSource::ProtectedResourceMetadata;
        assert_eq!(found.source, source);
        assert_eq!(found.metadata.issuer.as_deref(), Some(&*self.base));
        manager.set_metadata(found.metadata);
        let request = AuthorizationRequest::new(REDIRECT).with_client_name("rmcp");
        let request = request.with_scopes(scopes.iter().copied());
        let session = AuthorizationSession::new(manager, request).await;
        let session = session.map_err(|(_, error)| error).unwrap();
        let url = session.get_authorization_url();
        let mut journey = Journey::open(&Http::new(), &self.base, url).await.unwrap();
        let approved = journey.approve().await.unwrap();
        let signed_in = journey.sign_in(&approved, "mona").await.unwrap();
        let back = journey.come_back(&signed_in).await.unwrap();
        assert_eq!(back.status, StatusCode::SEE_OTHER, "{back:?}");
        // it checks state and iss itself
        session
            .handle_callback_url(&back.location.unwrap())
            .await
            .unwrap();
        session.auth_manager
    }

    async fn connect(
        &self,
        manager: AuthorizationManager,
        mode: ClientLifecycleMode,
    ) -> RunningService<RoleClient, ()> {
        #[expect(clippy::disallowed_methods, reason = "this is the world outside")]
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let transport = StreamableHttpClientTransport::with_client(
            AuthClient::new(http, manager),
            StreamableHttpClientTransportConfig::with_uri(self.mcp()),
        );
        ().serve_with_lifecycle(transport, mode).await.unwrap()
    }
}

fn modes() -> [ClientLifecycleMode; 3] {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    [
        ClientLifecycleMode::Initialize,
        ClientLifecycleMode::Discover {
            preferred_versions: preferred_versions.clone(),
        },
        ClientLifecycleMode::Auto {
            preferred_versions,
            legacy_version: None,
        },
    ]
}

/// HTTP-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_rmcp_signs_in_and_uses_everything_in_each_lifecycle() {
    let served = Served::start().await;
    for mode in modes() {
        let expected = match mode {
            ClientLifecycleMode::Initialize => ProtocolVersion::V_2025_11_25,
            _ => ProtocolVersion::V_2026_07_28,
        };
        let manager = served.sign_in(&[]).await;
        let client = served.connect(manager, mode).await;
        let version = client.peer_info().unwrap().protocol_version.clone();
        assert_eq!(version, expected);
        let tools = client.list_all_tools().await.unwrap();
        assert!(tools.iter().any(|tool| tool.name == "factorial"));
        let arguments = json!({"a": 2, "b": 3}).as_object().cloned().unwrap();
        let call = CallToolRequestParams::new("add").with_arguments(arguments);
        let sum = client.call_tool(call).await.unwrap();
        assert_eq!(sum.content[0].as_text().unwrap().text, "5");
        let who = client.call_tool(CallToolRequestParams::new("whoami"));
        let who = who.await.unwrap().structured_content.unwrap();
        assert_eq!(who["subject"], "github:1");
        let resources = client.list_all_resources().await.unwrap();
        assert!(!resources.is_empty());
        for resource in resources {
            let read = ReadResourceRequestParams::new(resource.uri.clone());
            let read = client.read_resource(read).await.unwrap();
            assert!(!read.contents.is_empty());
        }
        let prompts = client.list_all_prompts().await.unwrap();
        assert!(!prompts.is_empty());
        let arguments = json!({"code": "fn main() {}"})
            .as_object()
            .cloned()
            .unwrap();
        let prompt = GetPromptRequestParams::new(prompts[0].name.clone());
        let prompt = prompt.with_arguments(arguments);
        assert!(!client.get_prompt(prompt).await.unwrap().messages.is_empty());
        client.cancel().await.unwrap();
    }
}

/// TOK-31, TOK-36
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_rmcp_refreshes_and_goes_on() {
    let served = Served::start().await;
    let manager = served.sign_in(&[]).await;
    let mut last = manager.get_access_token().await.unwrap();
    for _ in 0..3 {
        manager.refresh_token().await.unwrap();
        let next = manager.get_access_token().await.unwrap();
        assert_ne!(next, last);
        last = next;
    }
    let client = served
        .connect(manager, ClientLifecycleMode::Initialize)
        .await;
    assert!(!client.list_all_tools().await.unwrap().is_empty());
    client.cancel().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_rmcp_is_told_which_scope_it_lacks() {
    let served = Served::start().await;
    for mode in modes() {
        let manager = served.sign_in(&["mcp:tools:read"]).await;
        let client = served.connect(manager, mode).await;
        // It may ask for the list, and may call nothing of what is in it.
        assert!(client.list_all_tools().await.unwrap().is_empty());
        let refused = client.call_tool(CallToolRequestParams::new("whoami")).await;
        let told = format!("{:?}", refused.unwrap_err());
        assert!(told.contains("mcp:tools:execute"), "{told}");
        client.cancel().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_rmcp_without_a_token_is_told_to_sign_in() {
    let served = Served::start().await;
    for mode in modes() {
        let transport = StreamableHttpClientTransport::from_uri(served.mcp());
        let refused = ().serve_with_lifecycle(transport, mode).await;
        let told = format!("{:?}", refused.map(|_| ()).unwrap_err());
        assert!(told.contains("resource_metadata"), "{told}");
    }
}
