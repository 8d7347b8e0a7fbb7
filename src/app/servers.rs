//! The MCP servers behind their gates.

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tower::{Layer, Service, ServiceExt as _};
use url::Url;

use super::{AppError, parts};
use crate::backend::drain::Drained;
use crate::backend::http::Proxy;
use crate::backend::http::ending::{UntilStopped, only_listens};
use crate::backend::introduce::Introduction;
use crate::backend::introduce::assertion::Assertions;
use crate::backend::stdio::children::Children;
use crate::backend::stdio::settings::{ChildSettings, Sharing};
use crate::backend::stdio::{self, Lend};
use crate::config::{Backend, ChildSessions, Command, Config, ProviderKind, Server, Told};
use crate::demo::{self, GitHubApi};
use crate::event::Causes;
use crate::flow::{Failure, Flows};
use crate::outbound::{Outbound, authority};
use crate::protocol::ids::Id;
use crate::protocol::principal::Standing;
use crate::resource::gate::{Gate, GateSettings};
use crate::resource::help::Help;
use crate::resource::layer::BearerLayer;
use crate::resource::scope_policy::ScopePolicy;
use crate::resource::stream::is_event_stream;
use crate::resource::{Sessions, Unavailable};

/// A server of the configuration.
pub(super) struct Place {
    /// `path`
    pub(super) path: String,
    /// Where it is served: the path of its resource identifier.
    pub(super) route: String,
    /// What stands before it.
    pub(super) gate: BearerLayer,
    /// Gate and server; no routes: the program has not brought it yet.
    pub(super) router: Router,
    /// The children that answer, where a command is behind it.
    pub(super) children: Option<Arc<Children>>,
}

impl Place {
    /// Puts a service behind the gate. As long as it is there, nobody takes the end of the App for the end of the server:
    /// a program may keep no more than the router.
    pub(super) fn put_behind<S>(&mut self, service: S, stop: &watch::Sender<bool>)
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        let kept = stop.clone();
        let service = self.gate.layer(service).map_request(move |request| {
            let _kept = &kept;
            request
        });
        self.router = Router::new().route_service(&self.route, service);
    }

    /// Puts a service of the program's own behind the gate. Streams that only listen are ended for it when the server is to
    /// stop, so that it stops soon.
    pub(super) fn put_own_behind<S>(&mut self, service: S, stop: &watch::Sender<bool>)
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.put_behind(service, stop);
        let ending = from_fn_with_state(stop.subscribe(), end_streams);
        self.router = mem::take(&mut self.router).layer(ending);
    }
}

/// Has an event stream in which nothing is under way say no more once the server is told to stop.
pub(super) async fn end_streams(
    State(stopped): State<watch::Receiver<bool>>,
    request: Request,
    next: Next,
) -> Response {
    let listens = only_listens(request.method(), request.headers());
    let response = next.run(request).await;
    if !listens || !is_event_stream(response.headers()) {
        return response;
    }
    response.map(|body| Body::new(UntilStopped::new(body, stopped)))
}

/// Over once the server is told to stop, or nothing is left of it.
pub(super) fn stopping(
    stopped: &watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let mut stopped = stopped.clone();
    async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// The gate of a server.
fn gate(
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
    let (headers, page) = parts::help(config, server).made()?;
    let gate = gate.with_help(Help::new(headers, page));
    Ok(BearerLayer::new(Arc::new(gate)))
}

/// What a server is put together with.
pub(super) struct Around<'a> {
    pub(super) config: &'a Config,
    pub(super) flows: &'a Arc<Flows>,
    pub(super) stop: &'a watch::Sender<bool>,
}

/// A server behind its gate, unless the program is to bring it.
pub(super) fn place(
    server: &Server,
    session_key: [u8; 32],
    around: &Around<'_>,
) -> Result<Place, AppError> {
    let (config, stop) = (around.config, around.stop);
    let stopped = &stop.subscribe();
    let mut place = Place {
        path: server.path.clone(),
        route: format!("{}{}", config.public_url.path(), server.path),
        gate: gate(config, server, around.flows, session_key)?,
        router: Router::new(),
        children: None,
    };
    match &server.backend {
        Backend::Sample => {
            place.put_behind(sample(config, stopped)?, stop);
        }
        Backend::Http(url) => {
            let authorities = authority::read(&config.outbound.ca)?;
            let proxy = Proxy::with_authorities(url, &authorities)
                .map_err(|bad| AppError::Backend(server.path.clone(), bad))?
                .with_introduction(introduction(server.identity, url, around.flows))
                .until(stopped.clone());
            place.put_behind(proxy, stop);
        }
        Backend::Command(command) => {
            let clock = Arc::clone(&around.flows.clock);
            let children = Arc::new(Children::new(child_settings(server, command), clock));
            let lend = Arc::clone(&children) as Arc<dyn Lend>;
            place.put_behind(stdio::service(lend, stopping(stopped)), stop);
            place.children = Some(children);
        }
        Backend::Here => {}
    }
    Ok(place)
}

/// The sample server. The gate has looked at the host; the sample is asked by its own name.
fn sample(
    config: &Config,
    stopped: &watch::Receiver<bool>,
) -> Result<Drained<demo::Sample>, AppError> {
    let hosts = vec![
        config.public_url.authority().to_owned(),
        config.listen.to_string(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "[::1]".to_owned(),
    ];
    let apis = github_apis(config)?;
    Ok(demo::service(hosts, apis, stopping(stopped)))
}

/// How the children of a server are started.
fn child_settings(server: &Server, command: &Command) -> ChildSettings {
    let told = server.identity;
    ChildSettings {
        server: server.name.clone(),
        words: command.words.clone(),
        environment: command.environment.clone(),
        in_clear: command.in_clear.clone(),
        directory: command.directory.clone(),
        sharing: match command.sessions {
            ChildSessions::PerUser => Sharing::PerPerson,
            ChildSessions::Shared => Sharing::Shared,
        },
        idle: command.idle,
        children: command.children,
        headers: told.headers,
        upstream_token: told
            .upstream_token
            .then(|| command.upstream_token_variable.clone()),
    }
}

/// What a server over HTTP is told of whoever calls.
fn introduction(told: Told, url: &Url, flows: &Flows) -> Introduction {
    let mut introduction = if told.headers {
        Introduction::default()
    } else {
        Introduction::none()
    };
    if told.assertion {
        introduction = introduction.with_assertions(Assertions::new(
            Arc::clone(&flows.keys),
            Arc::clone(&flows.clock),
            flows.issuer.as_str(),
            url.as_str(),
        ));
    }
    if told.upstream_token {
        introduction = introduction.with_upstream_token();
    }
    introduction
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
