//! Where everything is put together: settings in, a running server out.

mod background;
mod keys;
mod layer;
mod parts;
mod providers;
mod servers;

use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use futures_util::future::{Either, select};
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;
use tower::Service;
use tower_http::catch_panic::CatchPanicLayer;

use crate::backend::http::BadBackend;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, StoreKind};
use crate::endpoint::unread::read_or_say;
use crate::endpoint::{self, Endpoints, error};
use crate::flow::Flows;
use crate::flow::keys::{KeyChangeError, SealingSource};
use crate::jwt::keys::KeyError;
use crate::outbound::OutboundError;
use crate::resource::challenge::UnquotableUrl;
use crate::seal::{Purpose, SealError, SealingKey, SealingKeys};
use crate::store::memory::MemoryStore;
use crate::store::sled::SledStore;
use crate::store::{Store, StoreError};
use crate::upstream::Upstream;

pub use background::Background;
use keys::Keys;
pub use layer::GateLayer;
use providers::upstreams;
use servers::Place;

/// How long a connection may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// How long requests under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The server, put together: to be served as it is ([`App::serve`]), or in parts, by a program that has an axum server of
/// its own.
///
/// ```no_run
/// use std::net::SocketAddr;
///
/// use anteroom::{App, Config};
/// use axum::Router;
/// use axum::routing::get;
/// # async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
/// # let mcp = Router::new();
///
/// let app = App::new(&config).await?;
/// let router = Router::new()
///     .route("/", get("The website of this program"))
///     // whatever speaks MCP over HTTP, behind the gate of the server at /mcp
///     .route_service("/mcp", tower::Layer::layer(&app.layer("/mcp")?, mcp))
///     // /authorize, /token, /.well-known/... and the rest of the authorization server
///     .merge(app.authorization_router());
///
/// // what has expired is deleted, keys change in time
/// let background = app.background();
/// let listener = tokio::net::TcpListener::bind(config.listen).await?;
/// // limits are kept by address, so each request has to say where it comes from
/// let service = router.into_make_service_with_connect_info::<SocketAddr>();
/// axum::serve(listener, service)
///     .with_graceful_shutdown(async move {
///         let _ = tokio::signal::ctrl_c().await;
///         app.stop();
///     })
///     .await?;
/// background.finish().await;
/// # Ok(())
/// # }
/// ```
pub struct App {
    authorization: Router,
    places: Vec<Place>,
    flows: Arc<Flows>,
    endpoints: Arc<Endpoints>,
    stop: watch::Sender<bool>,
}

/// What outlives the process, and the keys to it.
pub struct Storage {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The keys that its values are sealed with.
    pub keys: SealingKeys,
    /// Where they come from.
    pub source: SealingSource,
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
    /// The keys cannot be what the settings say.
    #[error(transparent)]
    Keys(KeyChangeError),
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
    /// The program has something for a path at which the configuration has no server.
    #[error("the configuration has no server at {0}")]
    NoServer(String),
    /// The program has a service for a server that has something behind its gate already.
    #[error(
        "server {0}: something stands behind its gate already: a service is given once, and to a server whose backend is \
         Backend::Here"
    )]
    HasBackend(String),
    /// Nothing stands behind a gate.
    #[error("server {0}: the program has to bring its service: give it to App::with_service")]
    NoService(String),
    /// The public URL cannot stand in a header.
    #[error(transparent)]
    Url(#[from] UnquotableUrl),
    /// A page cannot be written.
    #[error(transparent)]
    Page(#[from] askama::Error),
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
    /// Where the directory cannot be used, is held by another process, or its keys cannot be read, or are missing.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        let configured = keys::configured(config)?;
        let configured = configured.map(|keys| (keys, SealingSource::Configured));
        let (store, (keys, source)): (Arc<dyn Store>, _) = match config.store {
            StoreKind::Memory => {
                let random = || {
                    (
                        SealingKeys::one(SealingKey::random()),
                        SealingSource::Memory,
                    )
                };
                let store = Arc::new(MemoryStore::default());
                (store, configured.unwrap_or_else(random))
            }
            StoreKind::Sled => {
                let store = Arc::new(SledStore::open(&store_dir(config))?);
                let keys = match configured {
                    Some(configured) => configured,
                    None => keys::from_file(config, &*store).await?,
                };
                (store, keys)
            }
        };
        Ok(Self {
            store,
            keys,
            source,
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
        Self::with(config, Storage::open(config).await?, Arc::new(SystemClock)).await
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
        let providers = upstreams(config, &clock)?;
        Self::with_providers(config, storage, clock, providers).await
    }

    /// The same, with providers of the caller's in the place of those that the settings name.
    ///
    /// # Errors
    /// See [`AppError`].
    pub async fn with_providers(
        config: &Config,
        storage: Storage,
        clock: Arc<dyn Clock>,
        providers: Vec<Arc<dyn Upstream>>,
    ) -> Result<Self, AppError> {
        let keys = Keys::open(config, &storage, clock.now()).await?;
        let session_key = keys.marks.key_for(Purpose::McpSession);
        let flows = Arc::new(parts::flows(
            config,
            &storage.store,
            keys,
            &clock,
            providers,
        )?);
        let endpoints = Arc::new(parts::endpoints(config, &flows));
        let documents = parts::documents(config, &flows)?;
        let cookie = parts::sign_in_cookie(&config.public_url, storage.store, clock);
        let stop = watch::Sender::new(false);
        let around = servers::Around {
            config,
            flows: &flows,
            stop: &stop,
        };
        let servers = config.servers.iter();
        let places = servers.map(|server| servers::place(server, session_key, &around));
        let places = places.collect::<Result<_, AppError>>()?;
        Ok(Self {
            authorization: endpoint::router(Arc::clone(&endpoints), documents, cookie),
            places,
            flows,
            endpoints,
            stop,
        })
    }

    /// The same with a service of the program's own behind the gate of a server whose backend is [`Backend::Here`]; `path`
    /// is that of the configuration. It finds a [`Principal`] in its requests.
    ///
    /// A service that looks at `Host` itself has to know the public one, or leave that to the gate, which has looked:
    /// `StreamableHttpServerConfig::disable_allowed_hosts` of rmcp. One that keeps streams open should end them when
    /// [`App::stopping`] is over.
    ///
    /// # Errors
    /// There is no such server, or something stands behind its gate already.
    ///
    /// [`Backend::Here`]: crate::config::Backend::Here
    /// [`Principal`]: crate::protocol::principal::Principal
    pub fn with_service<S>(mut self, path: &str, service: S) -> Result<Self, AppError>
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        let mut places = self.places.iter_mut();
        let place = places.find(|place| place.path == path);
        let place = place.ok_or_else(|| AppError::NoServer(path.to_owned()))?;
        if place.router.has_routes() {
            return Err(AppError::HasBackend(path.to_owned()));
        }
        place.put_own_behind(service, &self.stop);
        Ok(self)
    }

    /// Everything that is served: the authorization server, and the MCP servers behind their gates; 404 for the rest.
    /// Beside routes of a program's own it is the fallback: `Router::fallback_service(app.router())`. At the path of a
    /// server whose service has not been given there is nothing.
    ///
    /// It is to be served with the address of whoever is connected
    /// (`into_make_service_with_connect_info::<SocketAddr>()`): limits are kept by address. Where a request does not say
    /// it, all share the limits of one address, and `X-Forwarded-For` is not believed.
    pub fn router(&self) -> Router {
        let places = self.places.iter();
        let authorization = self.authorization.clone();
        let root = endpoint::root(Arc::clone(&self.endpoints));
        let router = places.fold(authorization.merge(root), |router, place| {
            router.merge(place.router.clone())
        });
        secured(router.fallback(error::not_found))
    }

    /// The authorization server alone, without a fallback: the well-known documents, `/authorize`, `/token` and what
    /// else belongs to it. Its paths begin with that of the public URL, if that has one. How to serve it: see
    /// [`App::router`].
    pub fn authorization_router(&self) -> Router {
        secured(self.authorization.clone())
    }

    /// The gate of a server, to stand before any service of axum or tower; `path` is that of the configuration. The
    /// service is to be reached where the resource is: at the path of the public URL, if that has one, with `path` after
    /// it. Only MCP goes through: what is no MCP message is refused, so ordinary routes need another guard.
    ///
    /// # Errors
    /// There is no such server.
    pub fn layer(&self, path: &str) -> Result<GateLayer, AppError> {
        let mut places = self.places.iter();
        let place = places.find(|place| place.path == path);
        let place = place.ok_or_else(|| AppError::NoServer(path.to_owned()))?;
        Ok(GateLayer {
            gate: place.gate.clone(),
            stopped: self.stop.subscribe(),
        })
    }

    /// The use cases, for programs that hold the server in themselves.
    #[must_use]
    pub fn flows(&self) -> &Arc<Flows> {
        &self.flows
    }

    /// Over once the server is told to stop ([`App::stop`]), or there is neither it, nor its [`Background`], nor a router of
    /// it that has something behind a gate ([`App::router`]) any more.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        servers::stopping(&self.stop.subscribe())
    }

    /// Tells everything of this server that keeps streams open to end them. [`App::serve`] does so by itself.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Serves until `until` is over; then lets what is under way end.
    ///
    /// # Errors
    /// Where the connection socket fails, or a server has nothing behind its gate.
    pub async fn serve(
        self,
        listener: TcpListener,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), AppError> {
        let mut places = self.places.iter();
        if let Some(empty) = places.find(|place| !place.router.has_routes()) {
            return Err(AppError::NoService(empty.path.clone()));
        }
        let background = self.background();
        let router = self.router();
        let handle = Handle::new();
        let stopping = handle.clone();
        // beside the serving and not in a task of its own: it ends with it, and leaves nothing of the App behind
        let stopped = async move {
            until.await;
            tracing::info!("stopping: requests under way may end");
            self.stop();
            stopping.graceful_shutdown(Some(DRAIN));
        };
        let mut server = axum_server::from_tcp(listener)
            .map_err(AppError::Serve)?
            // without it a small answer waits for the acknowledgement of the one before
            .acceptor(NoDelayAcceptor::new())
            // after the acceptor, which forgets it. The time limit for heads runs from the start then, for connections
            // that say nothing too; HTTP/2 is the proxy's, which speaks TLS
            .http1_only()
            .handle(handle);
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = server.serve(service);
        let outcome = match select(pin!(serving), pin!(stopped)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), serving)) => serving.await,
        };
        background.finish().await;
        outcome.map_err(AppError::Serve)
    }
}

/// What stands around all routes: a panic is answered, and a refusal says so where it leaves a request unread.
fn secured(router: Router) -> Router {
    router
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(read_or_say))
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
