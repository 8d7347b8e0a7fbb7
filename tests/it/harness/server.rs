//! The whole server in the hands of a test: in process, with a clock that is moved by hand and a provider on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::app::{App, Storage};
use anteroom::clock::{Clock, ManualClock, UnixTime};
use anteroom::command::stand_in;
use anteroom::config;
use anteroom::config::{Allow, Backend, Config, ProviderKind, Rate, Registration};
use anteroom::flow::keys::SealingSource;
use anteroom::protocol::ids::ProviderId;
use anteroom::protocol::issuer::Issuer;
use anteroom::seal::{KeyFile, SealingKey, SealingKeys};
use anteroom::secret::Secret;
use anteroom::standin::{self, Standin};
use anteroom::store::Store;
use anteroom::store::memory::MemoryStore;
use anteroom::store::sled::SledStore;
use anteroom::upstream::Upstream;
use axum::extract::{ConnectInfo, Request};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::HOST;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::answer::{Answer, encode, request, request_with};
use super::browser::Browser;
use super::client::Client;
use super::patience::in_time;
use super::provider::Provider;
use super::website::Website;

pub(crate) const NOW: UnixTime = UnixTime(1_795_219_200);

/// A server that works; a test changes what it is about.
pub(crate) fn server() -> Builder {
    Builder::default()
}

type Change = Box<dyn FnOnce(&mut Config)>;

/// Puts something before a store.
type Wrap = Box<dyn FnOnce(Arc<dyn Store>) -> Arc<dyn Store>>;

#[derive(Default)]
pub(crate) struct Builder {
    changes: Vec<Change>,
    openid: Vec<&'static str>,
    on_sled: bool,
    has_key_file: bool,
    wrap: Option<Wrap>,
    providers: Vec<Arc<Provider>>,
}

impl Builder {
    /// People sign in at `provider`, in the place of the one on loopback; said twice, at either of two.
    pub(crate) fn provider(mut self, provider: &Arc<Provider>) -> Self {
        self.providers.push(Arc::clone(provider));
        self
    }

    /// Changes any setting.
    pub(crate) fn configure(mut self, change: impl FnOnce(&mut Config) + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// The issuer; `https://mcp.example.com` where nothing is said.
    pub(crate) fn public_url(self, url: &str) -> Self {
        let url = Issuer::parse(url).unwrap();
        self.configure(move |config| config.public_url = url)
    }

    /// `corp`, a provider of `OpenID` Connect, beside GitHub. Everybody may enter.
    pub(crate) fn with_openid(self) -> Self {
        self.with_openid_as("corp")
    }

    /// The same, by a name of one's own.
    pub(crate) fn with_openid_as(mut self, name: &'static str) -> Self {
        self.openid.push(name);
        self
    }

    /// Who may enter by way of GitHub; everybody where nothing is said.
    pub(crate) fn allow(self, allow: Allow) -> Self {
        self.configure(move |config| config.providers[0].allow = allow)
    }

    /// People sign in where they do at `other`.
    pub(crate) fn providers_of(self, other: &Server) -> Self {
        let providers = other.world.config.providers.clone();
        self.configure(move |config| config.providers = providers)
    }

    pub(crate) fn without_registration(self) -> Self {
        self.configure(|config| config.clients.registration = Registration::Off)
    }

    /// What clients publish about themselves may stand at `website`, although that is on loopback.
    pub(crate) fn documents_from(self, website: &Website) -> Self {
        let (ca, host) = (website.ca().to_owned(), website.host());
        self.configure(move |config| {
            config.outbound.ca.push(ca);
            config.outbound.private_hosts.push(host);
        })
    }

    /// Keeps everything on disk rather than in memory.
    pub(crate) fn on_sled(mut self) -> Self {
        self.on_sled = true;
        self
    }

    /// Takes the sealing keys from a file, as a server does to which the configuration gives none.
    pub(crate) fn with_key_file(mut self) -> Self {
        self.has_key_file = true;
        self
    }

    /// Puts something before the store.
    pub(crate) fn store(
        mut self,
        wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store> + 'static,
    ) -> Self {
        self.wrap = Some(Box::new(wrap));
        self
    }

    pub(crate) async fn start(self) -> Server {
        let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let listen = ([127, 0, 0, 1], 8080).into();
        let mut config = Config::dev(listen, stand_in(&standin).unwrap(), Backend::Sample);
        config.public_url = Issuer::parse("https://mcp.example.com").unwrap();
        let openid = self.openid.iter().map(|name| openid(name, &standin));
        config.providers.extend(openid);
        for change in self.changes {
            change(&mut config);
        }
        for provider in &config.providers {
            standin.register_callback(&config.public_url.callback(&provider.id));
        }
        let dir = self.on_sled.then(|| tempfile::tempdir().unwrap());
        let store: Arc<dyn Store> = match &dir {
            Some(dir) => Arc::new(SledStore::open(dir.path()).unwrap()),
            None => Arc::new(MemoryStore::default()),
        };
        let store = match self.wrap {
            Some(wrap) => wrap(store),
            None => store,
        };
        let clock = Arc::new(ManualClock::at(NOW));
        standin
            .openid()
            .tell_time_by(Arc::clone(&clock) as Arc<dyn Clock>);
        let key = STANDARD.encode([7_u8; SealingKey::LEN]);
        let world = World {
            config,
            store,
            key: Secret::new(key),
            clock,
            standin,
            dir,
            key_dir: self.has_key_file.then(|| tempfile::tempdir().unwrap()),
            providers: Mutex::new(self.providers),
        };
        Server::over(Arc::new(world)).await
    }
}

/// The stand-in as a provider of `OpenID` Connect that lets everybody enter.
pub(crate) fn openid(name: &str, standin: &Standin) -> config::Provider {
    let scopes = ["openid", "email", "profile", "offline_access"];
    config::Provider {
        id: ProviderId::new(name),
        label: format!("The login of {name}"),
        kind: ProviderKind::OpenId {
            issuer: standin.openid().issuer(),
            scopes: scopes.map(str::to_owned).to_vec(),
            google: false,
        },
        client_id: standin::CLIENT_ID.to_owned(),
        client_secret: Secret::new(standin::CLIENT_SECRET),
        allow: Allow {
            anyone: true,
            ..Allow::default()
        },
    }
}

pub(crate) fn rate(count: u32, per: Duration) -> Rate {
    let count = NonZeroU32::new(count).unwrap();
    Rate { count, per }
}

/// What is there before the server is, and stays when it goes.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    key: Secret,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) standin: Standin,
    dir: Option<TempDir>,
    key_dir: Option<TempDir>,
    providers: Mutex<Vec<Arc<Provider>>>,
}

impl World {
    /// Where the sealing keys are, if they are in a file.
    pub(crate) fn key_file(&self) -> Option<KeyFile> {
        self.key_dir.as_ref().map(|dir| KeyFile::in_dir(dir.path()))
    }

    /// The store, and the keys to it.
    pub(crate) fn storage(&self) -> Storage {
        let (keys, source) = if let Some(file) = self.key_file() {
            (file.read_or_make().unwrap(), SealingSource::File(file))
        } else {
            let key = SealingKey::from_base64(&self.key).unwrap();
            (SealingKeys::one(key), SealingSource::Configured)
        };
        Storage {
            store: Arc::clone(&self.store),
            keys,
            source,
        }
    }
}

/// Routes that are asked from this machine.
fn connected(router: Router) -> Router {
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
    router.layer(Extension(ConnectInfo(peer)))
}

/// A running server. Its copies are the same server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) world: Arc<World>,
    pub(crate) app: Arc<App>,
    router: Router,
}

impl Server {
    async fn over(world: Arc<World>) -> Self {
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        let providers = world.providers.lock().unwrap().clone();
        let app = if providers.is_empty() {
            App::with(&world.config, world.storage(), clock).await
        } else {
            let providers = providers.into_iter();
            let providers = providers.map(|provider| provider as Arc<dyn Upstream>);
            App::with_providers(&world.config, world.storage(), clock, providers.collect()).await
        };
        let app = app.unwrap();
        Self {
            router: connected(app.router()),
            app: Arc::new(app),
            world,
        }
    }

    /// The same with other routes, over the same store.
    pub(crate) fn serving(&self, router: Router) -> Self {
        Self {
            router: connected(router),
            ..self.clone()
        }
    }

    /// Another process over the same store, with the same clock and provider.
    pub(crate) async fn restart(&self) -> Self {
        Self::over(Arc::clone(&self.world)).await
    }

    /// The same, with another provider in the place of those before.
    pub(crate) async fn restart_with(&self, provider: &Arc<Provider>) -> Self {
        *self.world.providers.lock().unwrap() = vec![Arc::clone(provider)];
        self.restart().await
    }

    pub(crate) fn issuer(&self) -> &str {
        self.world.config.public_url.as_str()
    }

    /// The URL of a path of ours: `/token`.
    pub(crate) fn url(&self, path: &str) -> String {
        self.world.config.public_url.url(path)
    }

    /// The resource identifier of the first MCP server.
    pub(crate) fn resource(&self) -> String {
        self.url(&self.world.config.servers[0].path)
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.world.clock.advance(by);
    }

    pub(crate) fn standin(&self) -> &Standin {
        &self.world.standin
    }

    /// Everything that lies on the disk, where anything does.
    pub(crate) fn on_disk(&self) -> Vec<u8> {
        let mut found = Vec::new();
        let mut folders: Vec<_> = self
            .world
            .dir
            .iter()
            .map(|dir| dir.path().to_owned())
            .collect();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.extend(std::fs::read(path).unwrap());
                }
            }
        }
        found
    }

    /// Sends a request as it is; `Host` is ours unless it says another.
    pub(crate) async fn send(&self, mut request: Request) -> Answer {
        let host = HeaderValue::from_str(self.world.config.public_url.authority()).unwrap();
        request.headers_mut().entry(HOST).or_insert(host);
        let answering = async {
            let answer = self.router.clone().oneshot(request).await;
            Answer::read(answer.unwrap()).await
        };
        in_time("an answer", answering).await
    }

    /// `path` from the root of the host, whatever the issuer's path is; or a whole URL of ours.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", self.local(path))).await
    }

    pub(crate) async fn post_form<K: AsRef<str>, V: AsRef<str>>(
        &self,
        path: &str,
        form: &[(K, V)],
    ) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        self.send(request_with(self.local(path), kind, encode(form)))
            .await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        let path = self.local(path);
        self.send(request_with(path, "application/json", body.to_string()))
            .await
    }

    /// What is left of a URL of ours without its origin.
    pub(crate) fn local<'a>(&self, url: &'a str) -> &'a str {
        match url.strip_prefix(self.world.config.public_url.origin()) {
            Some("") => "/",
            Some(path) => path,
            None => url,
        }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self)
    }

    /// A public client with a loopback redirect URI, as a desktop app registers itself.
    pub(crate) async fn client(&self) -> Client {
        Client::register(self, &Client::public()).await
    }
}
