//! A stand-in for GitHub: a real HTTP server on loopback that speaks its OAuth and the part of its API that matters
//! here, with a few people to choose from. `anteroom dev` and the tests sign in with it through the ordinary connector.
//! Below `/oidc` it is a provider of `OpenID` Connect as well.

mod application;
mod authorize;
mod fault;
mod openid;
mod people;
mod token;
mod user;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use url::Url;

use crate::entropy;
use crate::protocol::pkce::Challenge;

pub use fault::Fault;
pub use openid::{Account, Deviation, OpenId};

/// The `client_id` of the one application that is registered.
pub const CLIENT_ID: &str = "standin-client";

/// Its `client_secret`.
pub const CLIENT_SECRET: &str = "standin-secret";

/// The running stand-in. It stops when it is dropped; all it knows is in memory.
pub struct Standin {
    shared: Arc<Shared>,
    // Its end ends the server.
    _running: oneshot::Sender<()>,
}

impl Standin {
    /// Starts it; port 0 takes any free one.
    ///
    /// # Errors
    /// Where `addr` cannot be listened on.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let shared = Arc::new(Shared {
            base_url: format!("http://{}", listener.local_addr()?),
            world: Mutex::new(World::new()?),
        });
        let (running, ended) = oneshot::channel();
        let server = axum::serve(listener, router(Arc::clone(&shared)));
        tokio::spawn(
            server
                .with_graceful_shutdown(async move {
                    // What arrives is only ever the end of the sender.
                    let _ = ended.await;
                })
                .into_future(),
        );
        Ok(Self {
            shared,
            _running: running,
        })
    }

    /// What stands for `https://github.com`; without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.shared.base_url.clone()
    }

    /// What stands for `https://api.github.com`; without a slash at the end.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.shared.api_url()
    }

    /// The same as a provider of `OpenID` Connect, with people of its own.
    #[must_use]
    pub fn openid(&self) -> OpenId {
        OpenId(Arc::clone(&self.shared))
    }

    /// Registers a redirect URI of the application. Loopback ones need not be registered.
    pub fn register_callback(&self, redirect_uri: &str) {
        self.shared.world().callbacks.push(redirect_uri.to_owned());
    }

    /// From now on, paths that begin with `path` answer in this way: `"/api/user"`, `"/login/oauth/access_token"`.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.shared.world().faults.push((path.to_owned(), fault));
    }

    /// Ends all faults and deviations.
    pub fn heal(&self) {
        let mut world = self.shared.world();
        world.faults.clear();
        world.openid.deviations.clear();
    }

    /// From now on, tokens are given for no more than these scopes, whatever is asked for.
    pub fn grant_at_most(&self, scopes: &[&str]) {
        let scopes = scopes.iter().copied().map(str::to_owned).collect();
        self.shared.world().granted_at_most = Some(scopes);
    }

    /// The person changes the name of their account, which somebody else can then take.
    pub fn rename(&self, login: &str, new_login: &str) {
        self.change(login, |person| new_login.clone_into(&mut person.login));
    }

    /// GitHub locks the person out.
    pub fn suspend(&self, login: &str) {
        self.change(login, |person| person.suspended = true);
    }

    /// The person leaves an organisation, and its teams.
    pub fn leave_org(&self, login: &str, org: &str) {
        self.change(login, |person| {
            person.orgs.retain(|membership| membership.org != org);
        });
    }

    /// The person leaves a team, and stays in its organisation.
    pub fn leave_team(&self, login: &str, org: &str, slug: &str) {
        self.change(login, |person| {
            let mut orgs = person.orgs.iter_mut();
            if let Some(membership) = orgs.find(|membership| membership.org == org) {
                membership.teams.retain(|team| *team != slug);
            }
        });
    }

    /// From now on, the application is a GitHub App: its tokens have no scopes, end after eight hours, and are renewed.
    pub fn become_github_app(&self) {
        self.shared.world().is_github_app = true;
    }

    /// Eight hours go by: tokens that expire have expired, and can be renewed.
    pub fn expire_tokens(&self) {
        let mut world = self.shared.world();
        world.tokens.retain(|_, token| !token.of_github_app);
    }

    /// From now on, whoever gives a name that nobody has is somebody new.
    pub fn take_anybody(&self) {
        self.shared.world().takes_anybody = true;
    }

    /// The person takes back what they allowed: all their tokens end.
    pub fn revoke_tokens_of(&self, login: &str) {
        let mut world = self.shared.world();
        if let Some(id) = world.person(login).map(|person| person.id) {
            world.end_tokens_of(id);
        }
    }

    /// Whether any token is in force, or can be renewed.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        let world = self.shared.world();
        !world.tokens.is_empty() || !world.refreshes.is_empty()
    }

    /// Each request so far, oldest first: `GET /api/user`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared.world().asked.clone()
    }

    fn change(&self, login: &str, change: impl FnOnce(&mut people::Person)) {
        let mut world = self.shared.world();
        if let Some(person) = world.people.iter_mut().find(|person| person.login == login) {
            change(person);
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/user", get(user::get))
        .route("/user/emails", get(user::emails))
        .route("/user/orgs", get(user::orgs))
        .route("/user/teams", get(user::teams))
        .route("/user/memberships/orgs/{org}", get(user::org_membership))
        .route("/users/{login}/orgs", get(user::public_orgs))
        .route(
            "/orgs/{org}/teams/{slug}/memberships/{login}",
            get(user::team_membership),
        )
        .route(
            "/applications/{client_id}/token",
            post(application::check_token).delete(application::delete_token),
        )
        .route(
            "/applications/{client_id}/grant",
            delete(application::delete_grant),
        );
    let login = Router::new()
        .route(
            "/login/oauth/authorize",
            get(authorize::get).post(authorize::post),
        )
        .route("/login/oauth/access_token", post(token::post));
    // The same again as GitHub Enterprise Server has it, which can stand below a path.
    let enterprise = login.clone().nest("/api/v3", api.clone());
    Router::new()
        .merge(login)
        .nest("/api", api)
        .nest("/enterprise", enterprise)
        .fallback(|| async { not_found() })
        .nest("/oidc", openid::router())
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), watch))
        .with_state(shared)
}

/// Notes the request, and lets a fault answer in its place.
async fn watch(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let fault = {
        let mut world = shared.world();
        if world.asked.len() < REQUESTS_REMEMBERED {
            let line = format!("{} {path}", request.method());
            world.asked.push(line);
        }
        let mut faults = world.faults.iter().rev();
        faults
            .find(|(at, _)| path.starts_with(at.as_str()))
            .map(|(_, fault)| fault.clone())
    };
    let answer = match fault {
        Some(fault) => fault.answer().await,
        None => None,
    };
    match answer {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

const REQUESTS_REMEMBERED: usize = 10_000;

struct Shared {
    base_url: String,
    world: Mutex<World>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api_url(&self) -> String {
        format!("{}/api", self.base_url)
    }

    fn issuer(&self) -> String {
        format!("{}/oidc", self.base_url)
    }
}

/// All that the stand-in knows.
struct World {
    people: Vec<people::Person>,
    callbacks: Vec<String>,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, Token>,
    tokens_given: u64,
    refreshes: HashMap<String, Refresh>,
    is_github_app: bool,
    granted_at_most: Option<Vec<String>>,
    faults: Vec<(String, Fault)>,
    asked: Vec<String>,
    openid: openid::Provider,
    takes_anybody: bool,
}

struct Code {
    person: u64,
    redirect_uri: String,
    scopes: Vec<String>,
    challenge: Option<Challenge>,
}

#[derive(Clone)]
struct Token {
    /// In the order in which tokens were given.
    number: u64,
    person: u64,
    scopes: Vec<String>,
    of_github_app: bool,
}

/// What renews a token.
struct Refresh {
    person: u64,
    access: String,
}

impl World {
    fn new() -> io::Result<Self> {
        Ok(Self {
            takes_anybody: false,
            people: people::all(),
            callbacks: Vec::new(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
            tokens_given: 0,
            refreshes: HashMap::new(),
            is_github_app: false,
            granted_at_most: None,
            faults: Vec::new(),
            asked: Vec::new(),
            openid: openid::Provider::new()?,
        })
    }

    /// The account of this name; a new one where anybody is taken.
    fn person_or_new(&mut self, login: &str) -> Option<u64> {
        let known = self.person(login).map(|person| person.id);
        if known.is_some() || !self.takes_anybody {
            return known;
        }
        let id = self.people.iter().map(|person| person.id).max()? + 1;
        self.people.push(people::Person::new(id, login));
        Some(id)
    }

    fn person(&self, login: &str) -> Option<&people::Person> {
        let mut people = self.people.iter();
        people.find(|person| person.login.eq_ignore_ascii_case(login))
    }

    /// Loopback redirect URIs are taken with any port, as GitHub does; others must be registered, whole.
    fn takes_callback(&self, redirect_uri: &str) -> bool {
        let loopback = Url::parse(redirect_uri).is_ok_and(|url| {
            url.scheme() == "http"
                && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
        });
        loopback || self.callbacks.iter().any(|known| known == redirect_uri)
    }
}

/// A value that nobody guesses.
fn random(prefix: &str) -> String {
    format!(
        "{prefix}{}",
        URL_SAFE_NO_PAD.encode(entropy::random::<24>())
    )
}

fn message(status: StatusCode, text: &str) -> Response {
    let body = json!({ "message": text, "documentation_url": "https://docs.github.com/rest" });
    (status, axum::Json(body)).into_response()
}

fn not_found() -> Response {
    message(StatusCode::NOT_FOUND, "Not Found")
}
