//! Where everything is put together: settings in, a running server out.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration as CookieDuration;
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::clock::{Clock, SystemClock};
use crate::config::{Algorithm, Backend, Config, Provider, ProviderKind, Rate, Server, StoreKind};
use crate::demo;
use crate::endpoint::browser::sign_in_cookie_name;
use crate::endpoint::discovery::Document;
use crate::endpoint::rate_limit::{self, RateLimits};
use crate::endpoint::unread::read_or_say;
use crate::endpoint::{self, Endpoints, error};
use crate::flow::live::LiveSessions;
use crate::flow::{Flows, Lifetimes};
use crate::jwt;
use crate::jwt::keys::{KeyError, KeyMaterial, KeyRing};
use crate::outbound::{Outbound, OutboundError};
use crate::protocol::authorize::OFFLINE_ACCESS;
use crate::protocol::discovery::{ResourceMetadata, ServerMetadata};
use crate::protocol::ids::Id;
use crate::protocol::issuer::Issuer;
use crate::protocol::principal::Standing;
use crate::protocol::resource_indicator::Resources;
use crate::protocol::scope::{Scope, ScopeSet};
use crate::resource::challenge::UnquotableUrl;
use crate::resource::gate::{Gate, GateSettings};
use crate::resource::layer::BearerLayer;
use crate::resource::proxy::{BadBackend, Proxy};
use crate::resource::scope_policy::ScopePolicy;
use crate::resource::{Sessions, Unavailable};
use crate::seal::{Purpose, SealError, Sealer, SealingKey};
use crate::store::browser_session::BrowserSessions;
use crate::store::memory::MemoryStore;
use crate::store::sled::SledStore;
use crate::store::{Store, StoreError};
use crate::upstream::Upstream;
use crate::upstream::github::{GitHub, GitHubAllow, GitHubSettings};

/// How long a browser may take from its first approval to the last callback.
const SIGN_IN_COOKIE: CookieDuration = CookieDuration::hours(1);

/// How often what has expired is deleted.
const SWEEP: Duration = Duration::from_secs(60);

/// How long a connection may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// How long requests under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The server, put together.
pub struct App {
    router: Router,
    flows: Arc<Flows>,
    endpoints: Arc<Endpoints>,
    stop: watch::Sender<bool>,
}

/// What outlives the process, and the key to it.
pub struct Storage {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The key that its values are sealed with.
    pub key: SealingKey,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sealing key cannot be had, or is not that of the store.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A document cannot be written.
    #[error(transparent)]
    Document(#[from] serde_json::Error),
    /// A certificate authority cannot be read.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// A provider cannot be used.
    #[error("provider {0}: {1}")]
    Provider(String, String),
    /// A backend cannot be used.
    #[error("server {0}: {1}")]
    Backend(String, BadBackend),
    /// The public URL cannot stand in a header.
    #[error(transparent)]
    Url(#[from] UnquotableUrl),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; is it taken? Set listen to another address")]
    Listen(SocketAddr, std::io::Error),
    /// The server broke off.
    #[error("the server stopped: {0}")]
    Serve(std::io::Error),
}

impl Storage {
    /// What the settings name: made where it is not there yet.
    ///
    /// # Errors
    /// Where the directory cannot be used, is held by another process, or its key cannot be read.
    pub fn open(config: &Config) -> Result<Self, AppError> {
        let configured = config
            .sealing_key
            .as_ref()
            .map(SealingKey::from_base64)
            .transpose()?;
        Ok(match config.store {
            StoreKind::Memory => Self {
                store: Arc::new(MemoryStore::default()),
                key: configured.unwrap_or_else(SealingKey::random),
            },
            StoreKind::Sled => {
                let store = Arc::new(SledStore::open(&store_dir(config))?);
                let key = match configured {
                    Some(key) => key,
                    None => SealingKey::in_dir(&config.data_dir)?,
                };
                Self { store, key }
            }
        })
    }
}

fn store_dir(config: &Config) -> PathBuf {
    config.data_dir.join("store")
}

impl App {
    /// Puts a server together from settings.
    ///
    /// # Errors
    /// See [`AppError`].
    pub async fn new(config: &Config) -> Result<Self, AppError> {
        Self::with(config, Storage::open(config)?, Arc::new(SystemClock)).await
    }

    /// The same, with a store and a clock of the caller's.
    ///
    /// # Errors
    /// See [`AppError`].
    pub async fn with(
        config: &Config,
        storage: Storage,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AppError> {
        let sealer = Sealer::new(&storage.key);
        let keys = Arc::new(signing_keys(config, &*storage.store, &sealer).await?);
        let resources: Vec<String> = config
            .servers
            .iter()
            .map(|server| config.public_url.resource(&server.path))
            .collect();
        let session_key = sealer.key_for(Purpose::McpSession);
        let flows = Arc::new(Flows {
            store: Arc::clone(&storage.store),
            clock: Arc::clone(&clock),
            sealer,
            keys,
            upstreams: upstreams(config, &clock)?,
            issuer: config.public_url.clone(),
            resources: Resources::new(resources),
            scopes: all_scopes(config),
            default_scopes: config.default_scopes.clone(),
            lifetimes: lifetimes(config),
            live: LiveSessions::default(),
        });
        let endpoints = Arc::new(Endpoints {
            flows: Arc::clone(&flows),
            limits: RateLimits::new(
                rate(config.limits.register),
                rate(config.limits.authorize),
                rate(config.limits.token),
            ),
            trusted_proxies: config.trusted_proxies.clone(),
            servers: config
                .servers
                .iter()
                .map(|server| {
                    (
                        config.public_url.resource(&server.path),
                        server.name.clone(),
                    )
                })
                .collect(),
            registration: config.clients.registration,
        });
        let documents = documents(config, &flows)?;
        let cookie = sign_in_cookie(&config.public_url, storage.store, clock);
        let (stop, stopped) = watch::channel(false);
        let mut router = endpoint::router(Arc::clone(&endpoints), documents, cookie);
        for server in &config.servers {
            let gate = Gate::new(gate_settings(config, server, &flows, session_key))?;
            router = before(
                router,
                config,
                server,
                BearerLayer::new(Arc::new(gate)),
                &stopped,
            )?;
        }
        Ok(Self {
            router: router
                .fallback(error::not_found)
                .layer(CatchPanicLayer::custom(error::panicked)),
            flows,
            endpoints,
            stop,
        })
    }

    /// Everything that is served.
    #[must_use]
    pub fn router(&self) -> Router {
        self.router.clone().layer(from_fn(read_or_say))
    }

    /// The use cases, for programs that hold the server in themselves.
    #[must_use]
    pub fn flows(&self) -> &Arc<Flows> {
        &self.flows
    }

    /// Serves until `until` is over; then lets what is under way end.
    ///
    /// # Errors
    /// Where the connection socket fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), AppError> {
        let sweeper = tokio::spawn(sweep(Arc::clone(&self.flows), Arc::clone(&self.endpoints)));
        let router = self.router();
        let handle = Handle::new();
        let stopping = handle.clone();
        tokio::spawn(async move {
            until.await;
            tracing::info!("stopping: requests under way may end");
            self.stop.send_replace(true);
            stopping.graceful_shutdown(Some(DRAIN));
        });
        let mut server = axum_server::from_tcp(listener)
            .map_err(AppError::Serve)?
            // without it a small answer waits for the acknowledgement of the one before
            .acceptor(NoDelayAcceptor::new())
            .handle(handle);
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = server.serve(service).await.map_err(AppError::Serve);
        sweeper.abort();
        served
    }
}

/// Listens on an address.
///
/// # Errors
/// Where it is taken, or not this machine's.
pub fn listen(address: SocketAddr) -> Result<TcpListener, AppError> {
    let listener = TcpListener::bind(address).map_err(|error| AppError::Listen(address, error))?;
    listener
        .set_nonblocking(true)
        .map_err(|error| AppError::Listen(address, error))?;
    Ok(listener)
}

async fn sweep(flows: Arc<Flows>, endpoints: Arc<Endpoints>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        match flows.sweep().await {
            Ok(deleted) => tracing::debug!(deleted, "what had expired was deleted"),
            Err(error) => tracing::error!(%error, "what has expired could not be deleted"),
        }
        endpoints.limits.prune();
    }
}

/// The key that access tokens are signed with: made once, and kept sealed in the store.
async fn signing_keys(
    config: &Config,
    store: &dyn Store,
    sealer: &Sealer,
) -> Result<KeyRing, AppError> {
    let (name, algorithm) = match config.tokens.algorithm {
        Algorithm::Es256 => ("ES256", jwt::keys::Algorithm::Es256),
        Algorithm::EdDsa => ("EdDSA", jwt::keys::Algorithm::EdDsa),
        Algorithm::Rs256 => ("RS256", jwt::keys::Algorithm::Rs256),
    };
    let kept = match store.find_key(name).await? {
        Some(kept) => kept,
        None => {
            let fresh = KeyMaterial::generate(algorithm)?.to_bytes();
            let sealed = sealer.seal(Purpose::SigningKey, name.as_bytes(), &fresh);
            store.put_key_if_absent(name, sealed).await?
        }
    };
    let clear = sealer.open(Purpose::SigningKey, name.as_bytes(), &kept)?;
    let key = KeyMaterial::from_bytes(&clear)?;
    Ok(KeyRing::new(
        config.public_url.as_str().to_owned(),
        vec![key],
    )?)
}

fn upstreams(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Arc<dyn Upstream>>, AppError> {
    let outbound = Outbound::new(&config.outbound.ca, config.outbound.proxy.clone())?;
    config
        .providers
        .iter()
        .map(|provider| {
            upstream(
                provider,
                &config.public_url,
                outbound.clone(),
                Arc::clone(clock),
            )
        })
        .collect()
}

fn upstream(
    provider: &Provider,
    issuer: &Issuer,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Upstream>, AppError> {
    let ProviderKind::GitHub { base_url, api_url } = &provider.kind;
    let settings = GitHubSettings {
        id: provider.id.clone(),
        label: provider.label.clone(),
        client_id: provider.client_id.clone(),
        client_secret: provider.client_secret.clone(),
        base_url: base_url.clone(),
        api_url: api_url.clone(),
        callback: issuer.callback(&provider.id),
        allow: GitHubAllow {
            anyone: provider.allow.anyone,
            logins: provider.allow.logins.clone(),
            ids: provider.allow.ids.clone(),
            orgs: provider.allow.orgs.clone(),
            teams: provider.allow.teams.clone(),
        },
    };
    let github = GitHub::new(settings, outbound, clock)
        .map_err(|error| AppError::Provider(provider.id.to_string(), error.to_string()))?;
    Ok(Arc::new(github))
}

/// Every scope of the configuration, and the one by which clients ask to stay connected.
fn all_scopes(config: &Config) -> ScopeSet {
    let configured = config.scopes.iter().map(|(scope, _)| scope.clone());
    configured.chain(Scope::parse(OFFLINE_ACCESS)).collect()
}

fn lifetimes(config: &Config) -> Lifetimes {
    Lifetimes {
        code: config.tokens.code,
        access: config.tokens.access,
        idle: config.tokens.refresh,
        session: config.tokens.session,
        reuse_grace: config.tokens.reuse_grace,
        unused_client: config.clients.unused_expire,
    }
}

fn rate(rate: Rate) -> rate_limit::Rate {
    rate_limit::Rate {
        count: rate.count,
        per: rate.per,
    }
}

/// The well-known documents with their places (RFC 8414 §3.1, RFC 9728 §3.1): the well-known part stands between host
/// and path. The metadata of the first server stand at the root as well, for clients that look only there.
fn documents(config: &Config, flows: &Flows) -> Result<Vec<(String, Document)>, AppError> {
    const SERVER: &str = "/.well-known/oauth-authorization-server";
    const RESOURCE: &str = "/.well-known/oauth-protected-resource";
    let issuer = &config.public_url;
    let resources: Vec<String> = flows.resources.iter().map(str::to_owned).collect();
    let server = ServerMetadata::new(
        issuer,
        &resources,
        &flows.scopes,
        config.clients.registration,
    );
    let mut documents = vec![
        (
            format!("{SERVER}{}", issuer.path()),
            Document::new(&server)?,
        ),
        (
            format!("{}/.well-known/jwks.json", issuer.path()),
            Document::from_json(flows.keys.jwks_json().clone()),
        ),
    ];
    for (place, server) in config.servers.iter().enumerate() {
        let document = Document::new(&ResourceMetadata::new(
            issuer,
            &issuer.resource(&server.path),
            &server.name,
            &config.default_scopes,
        ))?;
        if place == 0 {
            documents.push((RESOURCE.to_owned(), document.clone()));
        }
        let path = format!("{RESOURCE}{}{}", issuer.path(), server.path);
        documents.push((path, document));
    }
    Ok(documents)
}

fn sign_in_cookie(
    issuer: &Issuer,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> SessionManagerLayer<BrowserSessions> {
    SessionManagerLayer::new(BrowserSessions::new(store, clock))
        .with_name(sign_in_cookie_name(issuer.is_https()))
        .with_secure(issuer.is_https())
        .with_http_only(true)
        .with_path("/")
        // Lax: the way back from the provider is a navigation from another site
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(SIGN_IN_COOKIE))
}

fn gate_settings(
    config: &Config,
    server: &Server,
    flows: &Arc<Flows>,
    session_key: [u8; 32],
) -> GateSettings {
    let issuer = &config.public_url;
    let port = config.listen.port();
    let loopback = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}"));
    let mut hosts = vec![issuer.authority().to_owned(), config.listen.to_string()];
    hosts.extend(loopback);
    let mut origins = vec![issuer.origin().to_owned()];
    origins.extend(server.origins.iter().cloned());
    GateSettings {
        verifier: Arc::clone(&flows.keys) as _,
        sessions: Arc::new(SessionsOf(Arc::clone(flows))),
        clock: Arc::clone(&flows.clock),
        policy: ScopePolicy::new(config.scopes.clone(), config.default_scopes.clone()),
        resource: issuer.resource(&server.path),
        metadata_url: issuer.resource_metadata(&server.path),
        hosts,
        origins,
        session_key,
    }
}

/// Puts a server behind its gate.
fn before(
    router: Router,
    config: &Config,
    server: &Server,
    gate: BearerLayer,
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
            let sample = demo::service(hosts, async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
            let sample = tower::service_fn(move |request: Request| {
                let sample = sample.clone();
                async move { Ok(sample.handle(request).await) }
            });
            router.route_service(&path, gate.layer(sample))
        }
        Backend::Http(url) => {
            let proxy =
                Proxy::new(url).map_err(|bad| AppError::Backend(server.path.clone(), bad))?;
            router.route_service(&path, gate.layer(proxy))
        }
    })
}

/// The gate's view of the flows.
struct SessionsOf(Arc<Flows>);

#[async_trait]
impl Sessions for SessionsOf {
    async fn standing(&self, session: Id) -> Result<Option<Arc<Standing>>, Unavailable> {
        self.0.standing(session).await.map_err(|error| {
            tracing::error!(%error, "a session could not be looked up");
            Unavailable
        })
    }
}
