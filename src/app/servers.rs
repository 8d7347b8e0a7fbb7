//! The MCP servers behind their gates.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use tokio::sync::watch;
use tower::Layer;

use super::AppError;
use crate::backend::http::Proxy;
use crate::config::{Backend, Config, ProviderKind, Server};
use crate::demo::{self, GitHubApi};
use crate::event::Causes;
use crate::flow::{Failure, Flows};
use crate::outbound::{Outbound, authority};
use crate::protocol::ids::Id;
use crate::protocol::principal::Standing;
use crate::resource::gate::{Gate, GateSettings};
use crate::resource::layer::BearerLayer;
use crate::resource::scope_policy::ScopePolicy;
use crate::resource::{Sessions, Unavailable};

/// The gate of a server.
pub(super) fn gate(
    config: &Config,
    server: &Server,
    flows: &Arc<Flows>,
    session_key: [u8; 32],
) -> Result<BearerLayer, AppError> {
    let (scopes, default_scopes) = config.scopes_of(server);
    let issuer = &config.public_url;
    let port = config.listen.port();
    let loopback = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}"));
    let mut hosts = vec![issuer.authority().to_owned(), config.listen.to_string()];
    hosts.extend(loopback);
    let mut origins = vec![issuer.origin().to_owned()];
    origins.extend(server.origins.iter().cloned());
    let gate = Gate::new(GateSettings {
        verifier: Arc::clone(&flows.keys) as _,
        sessions: Arc::new(SessionsOf(Arc::clone(flows))),
        clock: Arc::clone(&flows.clock),
        policy: ScopePolicy::new(scopes.to_vec(), default_scopes.clone()),
        resource: issuer.resource(&server.path),
        metadata_url: issuer.resource_metadata(&server.path),
        hosts,
        origins,
        session_key,
    })?;
    Ok(BearerLayer::new(Arc::new(gate)))
}

/// Puts a server behind its gate.
pub(super) fn put_behind(
    gate: &BearerLayer,
    router: Router,
    config: &Config,
    server: &Server,
    stopped: &watch::Receiver<bool>,
) -> Result<Router, AppError> {
    let path = format!("{}{}", config.public_url.path(), server.path);
    Ok(match &server.backend {
        Backend::Sample => {
            let mut stopped = stopped.clone();
            // the gate has looked at the host; the sample is asked by its own name
            let hosts = vec![
                config.public_url.authority().to_owned(),
                config.listen.to_string(),
                "localhost".to_owned(),
                "127.0.0.1".to_owned(),
                "[::1]".to_owned(),
            ];
            let sample = Arc::new(demo::service(hosts, github_apis(config)?, async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            }));
            let sample = tower::service_fn(move |request: Request| {
                let sample = Arc::clone(&sample);
                async move { Ok(sample.handle(request).await) }
            });
            router.route_service(&path, gate.layer(sample))
        }
        Backend::Http(url) => {
            let authorities = authority::read(&config.outbound.ca)?;
            let proxy = Proxy::with_authorities(url, &authorities)
                .map_err(|bad| AppError::Backend(server.path.clone(), bad))?;
            router.route_service(&path, gate.layer(proxy.until(stopped.clone())))
        }
        Backend::Command(_) => return Err(AppError::Command(server.path.clone())),
    })
}

/// Where the sample finds people's profiles.
fn github_apis(config: &Config) -> Result<Vec<GitHubApi>, AppError> {
    let outbound = Outbound::new(&config.outbound.ca, config.outbound.proxy.clone())?;
    let apis = config.providers.iter().filter_map(|provider| {
        let ProviderKind::GitHub { api_url, .. } = &provider.kind else {
            return None;
        };
        Some(GitHubApi {
            provider: provider.id.clone(),
            url: api_url.clone(),
            outbound: outbound.clone(),
        })
    });
    Ok(apis.collect())
}

/// The gate's view of the flows.
struct SessionsOf(Arc<Flows>);

#[async_trait]
impl Sessions for SessionsOf {
    async fn standing(&self, session: Id) -> Result<Option<Arc<Standing>>, Unavailable> {
        self.0.standing(session).await.map_err(|failure| {
            // of a provider that cannot be asked it is told when it is asked
            if !matches!(failure, Failure::Upstream(_)) {
                tracing::error!(error = %Causes(&failure), "a session could not be looked up");
            }
            Unavailable
        })
    }
}
