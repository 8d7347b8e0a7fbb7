//! Where everything is put together: settings in, a running server out.

mod keys;
mod parts;
mod providers;
mod servers;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;

use crate::backend::http::BadBackend;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, StoreKind};
use crate::endpoint::unread::read_or_say;
use crate::endpoint::{self, Endpoints, error};
use crate::event::Causes;
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

use keys::Keys;
use providers::upstreams;

/// How often what has expired is deleted.
const SWEEP: Duration = Duration::from_secs(60);

/// How long a connection may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// How long what is being asked of providers may take after that.
const AT_REST: Duration = Duration::from_secs(15);

/// How long requests under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The server, put together.
pub struct App {
    router: Router,
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
    /// Children are not started yet.
    #[error("server {0}: a command cannot be started")]
    Command(String),
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
        let (stop, stopped) = watch::channel(false);
        let mut router = endpoint::router(Arc::clone(&endpoints), documents, cookie);
        for server in &config.servers {
            let gate = servers::gate(config, server, &flows, session_key)?;
            router = servers::put_behind(&gate, router, config, server, &stopped)?;
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
        let outcome = server.serve(service).await.map_err(AppError::Serve);
        sweeper.abort();
        // a renewal that breaks off loses the new tokens of somebody, and the old ones may be dead
        if timeout(AT_REST, self.flows.vouching.at_rest())
            .await
            .is_err()
        {
            tracing::warn!("stopping, although a provider is still being asked about somebody");
        }
        outcome
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
        // at the start, too: what broke off with the last process goes on
        if let Err(error) = flows.tend_keys().await {
            tracing::error!(error = %Causes(&error), "the keys of the server could not be seen to");
        }
        tokio::time::sleep(SWEEP).await;
        match flows.sweep().await {
            Ok(deleted) => tracing::debug!(deleted, "what had expired was deleted"),
            Err(error) => {
                tracing::error!(error = %Causes(&error), "what has expired could not be deleted");
            }
        }
        endpoints.limits.prune();
    }
}
