//! An MCP server to try it with: a calculator, prompts for code review, a few documents, and who is signed in.

mod person;
mod profile;
mod prompts;
mod resources;
pub mod stdio;
mod tools;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rmcp::ServerHandler;
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{
    ErrorData, Implementation, ListResourcesResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{prompt_handler, tool_handler};

use self::person::Person;
use crate::backend::drain::Drained;
pub use profile::GitHubApi;

/// The sample server as a tower service, for `Router::nest_service` or `route_service`. It is to be made inside a
/// Tokio runtime.
///
/// `allowed_hosts` are the values of `Host` that are answered, with or without a port (none: loopback names alone), so
/// that a page whose name was rebound to this address cannot use it. `github` is where people who signed in there have a
/// profile. When `shutdown` is over, streams end, and sessions once calls under way are answered.
pub fn service(
    allowed_hosts: Vec<String>,
    github: Vec<GitHubApi>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Drained<Sample> {
    // No priming events: clients from before 2025-11-25 read their empty data as JSON.
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.sse_retry = None;
    // Longer than people think between two calls: not every client begins anew when its session is gone.
    sessions.session_config.keep_alive = Some(Duration::from_secs(30 * 60));
    let mut config = StreamableHttpServerConfig::default().with_sse_retry(None);
    if !allowed_hosts.is_empty() {
        config = config.with_allowed_hosts(allowed_hosts);
    }
    let sample = Sample::new(github);
    let service =
        StreamableHttpService::new(move || Ok(sample.clone()), Arc::new(sessions), config);
    Drained::new(service, shutdown)
}

/// The sample server alone, at `/mcp`, without any authorization. Who calls it believes from the headers of an anteroom
/// before it, so let nobody else reach it.
pub fn router(
    allowed_hosts: Vec<String>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Router {
    Router::new().route_service("/mcp", service(allowed_hosts, Vec::new(), shutdown))
}

/// The sample MCP server.
#[derive(Clone)]
pub struct Sample {
    tools: Arc<ToolRouter<Self>>,
    prompts: Arc<PromptRouter<Self>>,
    github: Arc<[GitHubApi]>,
    /// Whose child this process is.
    person: Option<Arc<Person>>,
}

impl Sample {
    fn new(github: Vec<GitHubApi>) -> Self {
        Self {
            tools: Arc::new(Self::tools()),
            prompts: Arc::new(Self::prompts()),
            github: github.into(),
            person: None,
        }
    }
}

#[tool_handler(router = self.tools)]
#[prompt_handler(router = self.prompts)]
impl ServerHandler for Sample {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .build();
        let name = Implementation::new("anteroom-sample", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(capabilities)
            .with_server_info(name.with_title("anteroom sample server"))
            .with_instructions(
                "A calculator, prompts for code review, and a few documents. `whoami` says who is signed in, `github_profile` shows \
                 their profile at GitHub.",
            )
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(resources::list())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&request.uri)
    }
}
