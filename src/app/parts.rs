//! Settings -> what the use cases and the endpoints need.

use std::sync::Arc;

use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration as CookieDuration;
use tower_sessions::{Expiry, SessionManagerLayer};

use super::AppError;
use super::keys::Keys;
use crate::clock::Clock;
use crate::config;
use crate::config::{Config, KnownClient, Rate, Server};
use crate::document::Documents;
use crate::endpoint::browser::sign_in_cookie_name;
use crate::endpoint::discovery::Document;
use crate::endpoint::page::help::HelpPage;
use crate::endpoint::rate_limit::{self, RateLimits};
use crate::endpoint::{Described, Endpoints};
use crate::flow::vouching::{Shared, Vouching, reserved};
use crate::flow::{Admission, Flows, Lifetimes, Registration};
use crate::outbound::stranger::{PrivateHost, StrangerClient};
use crate::protocol::authorize::OFFLINE_ACCESS;
use crate::protocol::client::{Client, ClientAuthentication, ClientSource};
use crate::protocol::discovery::{Offers, ResourceMetadata, ServerMetadata};
use crate::protocol::issuer::Issuer;
use crate::protocol::resource_indicator::{Resource, Resources};
use crate::protocol::scope::Scope;
use crate::store::Store;
use crate::store::browser_session::BrowserSessions;
use crate::upstream::Upstream;

/// How long a browser may take from its first approval to the last callback.
const SIGN_IN_COOKIE: CookieDuration = CookieDuration::hours(1);

/// What the use cases need.
pub(super) fn flows(
    config: &Config,
    store: &Arc<dyn Store>,
    keys: Keys,
    clock: &Arc<dyn Clock>,
    upstreams: Vec<Arc<dyn Upstream>>,
) -> Result<Flows, AppError> {
    let shared = Shared {
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        sealer: Arc::new(keys.sealer),
        live: Arc::default(),
        upstreams: upstreams.clone(),
    };
    Ok(Flows {
        keys: Arc::new(keys.ring),
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        sealer: Arc::clone(&shared.sealer),
        marks: keys.marks,
        key_sources: keys.sources,
        reserved: reserved(&upstreams),
        upstreams,
        issuer: config.public_url.clone(),
        resources: resources(config),
        lifetimes: lifetimes(config),
        live: Arc::clone(&shared.live),
        vouching: Arc::new(Vouching::new(shared, lifetimes(config))),
        admission: admission(config, clock)?,
    })
}

/// Which clients may come.
fn admission(config: &Config, clock: &Arc<dyn Clock>) -> Result<Admission, AppError> {
    let clients = &config.clients;
    let private = config.outbound.private_hosts.iter();
    let private = private.map(|(host, port)| PrivateHost {
        host: host.clone(),
        port: *port,
    });
    let client = StrangerClient::new(&config.outbound.ca, private.collect())?;
    Ok(Admission {
        known: clients.known.iter().map(known_client).collect(),
        documents: Documents::new(Arc::new(client), Arc::clone(clock)),
        metadata_documents: clients.metadata_documents,
        document_hosts: clients.document_hosts.clone(),
        registration: match &clients.registration {
            config::Registration::Open => Registration::Open,
            config::Registration::Token(token) => Registration::Token(token.digest()),
            config::Registration::Off => Registration::Off,
        },
        redirect_hosts: clients.redirect_hosts.clone(),
    })
}

fn known_client(known: &KnownClient) -> Client {
    Client {
        id: known.id.clone(),
        name: known.name.clone(),
        uri: None,
        logo: None,
        redirect_uris: known.redirect_uris.clone(),
        authentication: known
            .secret
            .map_or(ClientAuthentication::None, ClientAuthentication::Secret),
        refreshes: true,
        scopes: known.scopes.clone(),
        source: ClientSource::Known,
    }
}

/// What the endpoints need.
pub(super) fn endpoints(config: &Config, flows: &Arc<Flows>) -> Endpoints {
    let servers = config.servers.iter();
    let servers = servers.map(|server| Described {
        resource: config.public_url.resource(&server.path),
        name: server.name.clone(),
        scopes: config.scopes_of(server).0.to_vec(),
    });
    Endpoints {
        flows: Arc::clone(flows),
        limits: RateLimits::new(
            rate(config.limits.register),
            rate(config.limits.register_all),
            rate(config.limits.authorize),
            rate(config.limits.token),
        ),
        trusted_proxies: config.trusted_proxies.clone(),
        servers: servers.collect(),
    }
}

/// The MCP servers, each with its own scopes, and the one by which clients ask to stay connected.
fn resources(config: &Config) -> Resources {
    let resources = config.servers.iter().map(|server| {
        let (scopes, default_scopes) = config.scopes_of(server);
        let scopes = scopes.iter().map(|(scope, _)| scope.clone());
        Resource {
            identifier: config.public_url.resource(&server.path),
            scopes: scopes.chain(Scope::parse(OFFLINE_ACCESS)).collect(),
            default_scopes: default_scopes.clone(),
        }
    });
    Resources::new(resources.collect())
}

/// What a person reads who opens a server in a browser.
pub(super) fn help(config: &Config, server: &Server) -> HelpPage {
    let url = |server: &Server| config.public_url.resource(&server.path);
    let others = config.servers.iter();
    let others = others.filter(|other| other.path != server.path);
    let providers = config.providers.iter();
    HelpPage {
        base: config.public_url.path().to_owned(),
        server_name: server.name.clone(),
        url: url(server),
        providers: providers.map(|provider| provider.label.clone()).collect(),
        others: others
            .map(|other| (other.name.clone(), url(other)))
            .collect(),
    }
}

fn lifetimes(config: &Config) -> Lifetimes {
    Lifetimes {
        code: config.tokens.code,
        access: config.tokens.access,
        idle: config.tokens.refresh,
        session: config.tokens.session,
        reuse_grace: config.tokens.reuse_grace,
        unused_client: config.clients.unused_expire,
        consent: config.consent_remember,
        upstream_check: config.tokens.upstream_check,
        upstream_grace: config.tokens.upstream_grace,
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
pub(super) fn documents(
    config: &Config,
    flows: &Flows,
) -> Result<Vec<(String, Document)>, AppError> {
    const SERVER: &str = "/.well-known/oauth-authorization-server";
    const RESOURCE: &str = "/.well-known/oauth-protected-resource";
    let issuer = &config.public_url;
    let resources = flows.resources.iter();
    let resources: Vec<_> = resources
        .map(|resource| resource.identifier.clone())
        .collect();
    let server = ServerMetadata::new(
        issuer,
        &resources,
        &flows.resources.scopes(),
        Offers {
            registration: flows.admission.registers(),
            documents: flows.admission.metadata_documents,
            introspection: flows.introspects(),
        },
    );
    let mut documents = vec![(
        format!("{SERVER}{}", issuer.path()),
        Document::new(&server)?,
    )];
    for (place, server) in config.servers.iter().enumerate() {
        let document = Document::new(&ResourceMetadata::new(
            issuer,
            &issuer.resource(&server.path),
            &server.name,
            config.scopes_of(server).1,
        ))?;
        if place == 0 {
            documents.push((RESOURCE.to_owned(), document.clone()));
        }
        let path = format!("{RESOURCE}{}{}", issuer.path(), server.path);
        documents.push((path, document));
    }
    Ok(documents)
}

/// The cookie that binds a sign-in to a browser, and where its other half is kept.
pub(super) fn sign_in_cookie(
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
