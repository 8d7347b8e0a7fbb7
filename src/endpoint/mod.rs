//! HTTP of the authorization server: each endpoint reads a request, runs one flow and writes the answer.

pub mod account;
pub mod authorize;
pub mod browser;
pub mod callback;
pub mod client_address;
pub mod consent;
pub mod discovery;
pub mod error;
pub mod introspect;
pub mod logo;
pub mod page;
pub mod par;
pub mod rate_limit;
pub mod register;
pub mod registration;
pub mod request;
pub mod revoke;
pub mod root;
pub mod token;
pub mod unread;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;
use axum::routing::{get, post};
use http::StatusCode;
use ipnet::IpNet;
use tower_http::timeout::TimeoutLayer;
use tower_sessions::{SessionManagerLayer, SessionStore};

use crate::cors::open_cors;
use crate::flow::Flows;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::scope::{Scope, ScopeSet};

use discovery::Document;
use page::asset::{icon, icon_path, style, style_path};
use page::scope_words::scope_words;
use rate_limit::RateLimits;

/// What the endpoints need.
pub struct Endpoints {
    /// The use cases.
    pub flows: Arc<Flows>,
    /// How often one address may come.
    pub limits: RateLimits,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The MCP servers, to be named on pages.
    pub servers: Vec<Described>,
}

/// An MCP server, as pages speak of it.
pub struct Described {
    /// Its resource identifier.
    pub resource: String,
    /// Its name, for people.
    pub name: String,
    /// What each of its scopes opens.
    pub scopes: Vec<(Scope, Vec<MethodPattern>)>,
}

impl Endpoints {
    /// The name of one of the servers for people.
    #[must_use]
    pub fn server_name(&self, resource: &str) -> String {
        let server = self.server(resource);
        server.map_or(resource, |server| &server.name).to_owned()
    }

    /// Whether it is still the resource identifier of one of the servers.
    fn serves(&self, resource: &str) -> bool {
        self.server(resource).is_some()
    }

    /// What each of `scopes` means at one of the servers, in words.
    fn scope_words<'a>(
        &'a self,
        resource: &str,
        scopes: &'a ScopeSet,
    ) -> impl Iterator<Item = (&'a Scope, String)> + use<'a> {
        let server = self.server(resource);
        scopes.iter().map(move |scope| {
            let mut known = server.iter().flat_map(|server| &server.scopes);
            let opens = known.find(|(known, _)| known == scope);
            (scope, scope_words(scope, opens.map(|(_, opens)| &**opens)))
        })
    }

    fn server(&self, resource: &str) -> Option<&Described> {
        let mut servers = self.servers.iter();
        servers.find(|server| server.resource == resource)
    }
}

/// What an OAuth request may have in its body.
const BODY_LIMIT: usize = 64 << 10;

/// How long a request may take, body and answer.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The table of routes. `documents` are the well-known ones, with their paths.
pub fn router<S>(
    endpoints: Arc<Endpoints>,
    documents: Vec<(String, Document)>,
    sign_in_cookie: SessionManagerLayer<S>,
) -> Router
where
    S: SessionStore + Clone,
{
    let base = endpoints.flows.issuer.path().to_owned();
    let at = |path: &str| format!("{base}{path}");
    let managed = get(registration::get)
        .put(registration::put)
        .delete(registration::delete);
    let mut for_clients = Router::new()
        .route(&at("/token"), post(token::post))
        .route(&at("/revoke"), post(revoke::post))
        .route(&at("/par"), post(par::post))
        .route(&at("/.well-known/jwks.json"), get(discovery::jwks))
        // where registration is off as well: who registered before can take it back
        .route(&at("/register/{client_id}"), managed);
    if endpoints.flows.admission.registers() {
        for_clients = for_clients.route(&at("/register"), post(register::post));
    }
    for (path, document) in documents {
        for_clients = for_clients.route(&path, get(async move || discovery::get(&document)));
    }
    let asking = Router::new()
        .route(&at("/authorize"), get(authorize::get))
        .route(&at("/account"), get(account::get))
        .layer(sign_in_cookie.clone())
        .layer(map_response(browser::take_no_cookie_away));
    // AUTHZ-22: what a person sees is for no other origin
    let for_people = Router::new()
        .route(&at("/consent"), post(consent::post))
        .route(&at("/callback/{provider}"), get(callback::get))
        .route(&at("/account/sign-in"), post(account::sign_in))
        .route(&at("/account/revoke"), post(account::revoke))
        .route(&at("/account/revoke-all"), post(account::revoke_all))
        .route(&at("/account/sign-out"), post(account::sign_out))
        .layer(sign_in_cookie)
        .merge(asking)
        .route(&at("/logo/{sealed}"), get(logo::get))
        .route(&at(style_path()), get(style))
        .route(&at(icon_path()), get(icon));
    // CORS-01: what a token is worth is no matter of a web page either
    let mut for_servers = Router::new();
    if endpoints.flows.introspects() {
        for_servers = for_servers.route(&at("/introspect"), post(introspect::post));
    }
    for_clients
        // inside of the CORS layer, or a preflight would be a method that is not allowed
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(open_cors())
        .merge(for_people)
        .merge(for_servers)
        .route("/health", get(discovery::health))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            TIME_LIMIT,
        ))
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(endpoints)
}

/// Leads a browser from the bare public URL to the first MCP server, unless one is there. Apart from the rest, because that
/// place belongs to the website of a program that has one.
pub fn root(endpoints: Arc<Endpoints>) -> Router {
    let issuer = &endpoints.flows.issuer;
    let is_issuer = |server: &Described| server.resource.trim_end_matches('/') == issuer.as_str();
    if endpoints.servers.iter().any(is_issuer) {
        return Router::new();
    }
    // not 405: what is there for browsers alone is nothing to a client
    let root = || get(root::get).fallback(error::not_found);
    let router = Router::new().route(&format!("{}/", issuer.path()), root());
    let router = match issuer.path() {
        "" => router,
        path => router.route(path, root()),
    };
    router.with_state(endpoints)
}
