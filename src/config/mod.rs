//! `providers.toml` and `ANTEROOM_...` -> [`Config`]: everything that can be set, checked.

mod address;
mod advice;
mod allow;
mod check;
mod child;
mod clients;
mod entries;
pub mod environment;
mod file;
mod identity;
mod load;
mod person;
pub mod preset;
mod problem;
mod provider;
mod reader;
mod redact;
mod roles;
mod schema;
mod scopes;
mod server;
mod settings;
mod summary;
mod value;
mod variable;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

pub use self::environment::Environment;
pub use self::load::{Effective, Loaded, data_dir, load, read};
pub use self::problem::{Fault, Refused, Source};
use crate::protocol::email_pattern::EmailPattern;
use crate::protocol::ids::{ClientId, ProviderId};
use crate::protocol::issuer::Issuer;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::person_rule::PersonRule;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::scope::{Scope, ScopeSet};
use crate::secret::{Secret, SecretDigest};

/// The settings in force. Each value has been checked; nothing in it is a default that somebody has to remember.
#[derive(Clone, Debug)]
pub struct Config {
    /// The issuer, and the base of every URL that is ever built.
    pub public_url: Issuer,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// How.
    pub store: StoreKind,
    /// The sealing key, base64; none: one is made in `data_dir`.
    pub sealing_key: Option<Secret>,
    /// `sealing_keys_before`: keys that `sealing_key` took the place of, base64; what they sealed is still read.
    pub sealing_keys_before: Vec<Secret>,
    /// The providers people can sign in with; never empty.
    pub providers: Vec<Provider>,
    /// The MCP servers; never empty.
    pub servers: Vec<Server>,
    /// What each scope opens, in the order of the file.
    pub scopes: Vec<(Scope, Vec<MethodPattern>)>,
    /// What is challenged for, and granted when a client asks for nothing.
    pub default_scopes: ScopeSet,
    /// `scope_policy.roles`: scopes that are not for everybody, each with those to whom it is open.
    pub roles: Vec<(Scope, Vec<(ProviderId, PersonRule)>)>,
    /// Registration.
    pub clients: Clients,
    /// Lifetimes and algorithm.
    pub tokens: Tokens,
    /// `consent.remember`: how long what a person agreed to is remembered; zero: they are asked each time.
    pub consent_remember: Duration,
    /// Networks whose `X-Forwarded-For` is believed, for limits and logs alone.
    pub trusted_proxies: Vec<IpNet>,
    /// What anteroom itself fetches.
    pub outbound: Outbound,
    /// How often one address may come.
    pub limits: Limits,
    /// How logs are written.
    pub log: LogFormat,
}

impl Config {
    /// What each scope opens at a server, and what is granted when a client asks for nothing.
    #[must_use]
    pub fn scopes_of<'a>(
        &'a self,
        server: &'a Server,
    ) -> (&'a [(Scope, Vec<MethodPattern>)], &'a ScopeSet) {
        match &server.scopes {
            Some(own) => (&own.scopes, &own.default),
            None => (&self.scopes, &self.default_scopes),
        }
    }
}

impl Default for Told {
    fn default() -> Self {
        Self {
            headers: true,
            assertion: true,
            upstream_token: false,
        }
    }
}

/// `store`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In `data_dir`.
    Sled,
    /// In memory: gone with the process.
    Memory,
}

/// `[provider.NAME]`
#[derive(Clone, Debug)]
pub struct Provider {
    /// NAME
    pub id: ProviderId,
    /// `label`
    pub label: String,
    /// What kind it is, with what only that kind has.
    pub kind: ProviderKind,
    /// `client_id`
    pub client_id: String,
    /// `client_secret`
    pub client_secret: Secret,
    /// `allow`: who may enter.
    pub allow: Allow,
}

/// The kinds of provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProviderKind {
    /// GitHub, or GitHub Enterprise Server.
    GitHub {
        /// `base_url`, without a slash at the end.
        base_url: Url,
        /// `api_url`, without a slash at the end.
        api_url: Url,
    },
    /// Any provider of `OpenID` Connect; Google is one, with settings of its own.
    OpenId {
        /// `issuer`, byte for byte as the provider writes it.
        issuer: String,
        /// `scopes` to ask for; `openid` is one of them.
        scopes: Vec<String>,
        /// Whether it is Google: it has a way of its own to ask for refresh tokens, and two spellings of its issuer.
        google: bool,
    },
}

/// Who may enter: whoever one of the rules names.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    /// Everybody with an account at the provider; must be written out.
    pub anyone: bool,
    /// Accounts by login.
    pub logins: Vec<String>,
    /// Accounts by numeric id (`id:583231`).
    pub ids: Vec<u64>,
    /// Members of these organisations.
    pub orgs: Vec<String>,
    /// Members of these teams: organisation and slug.
    pub teams: Vec<(String, String)>,
    /// Accounts by `sub` (`id:...`), at a provider of `OpenID` Connect.
    pub subjects: Vec<String>,
    /// Accounts that the provider has signed to be of these domains.
    pub domains: Vec<String>,
    /// Accounts whose verified address is one of these.
    pub emails: Vec<EmailPattern>,
    /// Accounts of which the provider says this: the name of a claim, and its value.
    pub claims: Vec<(String, String)>,
}

impl Allow {
    /// The same as rules about people.
    #[must_use]
    pub fn rules(&self) -> Vec<PersonRule> {
        let mut rules = Vec::new();
        rules.extend(self.anyone.then_some(PersonRule::Anyone));
        rules.extend(self.ids.iter().map(|id| PersonRule::Id(id.to_string())));
        rules.extend(self.subjects.iter().cloned().map(PersonRule::Id));
        rules.extend(self.logins.iter().cloned().map(PersonRule::Login));
        rules.extend(self.orgs.iter().cloned().map(PersonRule::Org));
        rules.extend(
            self.teams
                .iter()
                .cloned()
                .map(|(org, slug)| PersonRule::Team { org, slug }),
        );
        rules.extend(self.domains.iter().cloned().map(PersonRule::Domain));
        rules.extend(self.emails.iter().cloned().map(PersonRule::Email));
        rules.extend(
            self.claims
                .iter()
                .cloned()
                .map(|(name, value)| PersonRule::Claim { name, value }),
        );
        rules
    }
}

/// `[[server]]`
#[derive(Clone, Debug)]
pub struct Server {
    /// `path`: begins with a slash, and is not one of ours.
    pub path: String,
    /// `name`
    pub name: String,
    /// What stands behind.
    pub backend: Backend,
    /// `identity`: what it is told of the caller.
    pub identity: Told,
    /// Further browser origins that may call it.
    pub origins: Vec<String>,
    /// `server.scopes`; none: those of the configuration.
    pub scopes: Option<ServerScopes>,
}

/// `server.identity`: what a server is told of whoever calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who it is, in headers; to a child of one person, in variables.
    pub headers: bool,
    /// The same, signed: `X-Anteroom-Assertion`.
    pub assertion: bool,
    /// The provider's access token of the person.
    pub upstream_token: bool,
}

/// The scopes of one server, in the place of those of the configuration.
#[derive(Clone, Debug)]
pub struct ServerScopes {
    /// What each scope opens, in the order of the file.
    pub scopes: Vec<(Scope, Vec<MethodPattern>)>,
    /// What is challenged for, and granted when a client asks for nothing.
    pub default: ScopeSet,
}

/// What stands behind a path.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Backend {
    /// `sample = true`
    Sample,
    /// `backend = "http://..."`
    Http(Url),
    /// `command = [...]`
    Command(Command),
    /// A service in the process of the program that holds anteroom in itself: given with
    /// [`App::with_service`](crate::app::App::with_service), or put behind
    /// [`App::layer`](crate::app::App::layer). No file says so; the program sets it in the place of what its file says.
    Here,
}

/// `server.command`, and what goes with it: an MCP server that is started as a child and speaks over stdin and stdout.
#[derive(Clone)]
pub struct Command {
    /// The program and its arguments; never empty. No shell reads them.
    pub words: Vec<String>,
    /// `environment`: all that the child finds in its own, besides PATH and what `identity` tells.
    pub environment: Vec<(String, Secret)>,
    /// `directory`: where it runs; none: where anteroom runs.
    pub directory: Option<PathBuf>,
    /// `sessions`
    pub sessions: ChildSessions,
    /// `idle`: how long a child that nobody asks is kept.
    pub idle: Duration,
    /// `children`: how many there may be at once.
    pub children: NonZeroUsize,
    /// `upstream_token_variable`: the variable that holds the provider's access token, where `identity` gives it.
    pub upstream_token_variable: String,
    /// Names in `environment` whose values are no secrets, and may stand in the log. Of what a file says, none is.
    pub in_clear: Vec<String>,
}

/// `server.sessions`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildSessions {
    /// One child for each person.
    PerUser,
    /// One child for everybody.
    Shared,
}

/// `[clients]`
#[derive(Clone, Debug)]
pub struct Clients {
    /// `metadata_documents`: whether a `client_id` may be an https URL.
    pub metadata_documents: bool,
    /// `document_hosts`: hosts of such URLs, and of the `jwks_uri` of a client that registers; empty: any.
    pub document_hosts: Vec<String>,
    /// `registration`, with `registration_token`
    pub registration: Registration,
    /// `redirect_hosts`: hosts of https redirect URIs; empty: any.
    pub redirect_hosts: Vec<String>,
    /// `[[clients.known]]`
    pub known: Vec<KnownClient>,
    /// `unused_expire`: how long a registration that nobody ever signed in with is kept.
    pub unused_expire: Duration,
}

/// `clients.registration`
#[derive(Clone, Debug)]
pub enum Registration {
    /// `"open"`
    Open,
    /// `"token"`: with the initial access token `registration_token`.
    Token(Secret),
    /// `"off"`: there is no registration endpoint.
    Off,
}

/// `[[clients.known]]`
#[derive(Clone, Debug)]
pub struct KnownClient {
    /// `id`
    pub id: ClientId,
    /// `name`
    pub name: Option<String>,
    /// `secret_sha256`; none: a public client.
    pub secret: Option<SecretDigest>,
    /// `redirect_uris`; never empty.
    pub redirect_uris: Vec<RedirectUri>,
    /// `scopes`: what it may be given at most; none: every one.
    pub scopes: Option<ScopeSet>,
}

/// `[tokens]`
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `algorithm`
    pub algorithm: Algorithm,
    /// `code`
    pub code: Duration,
    /// `access`
    pub access: Duration,
    /// `refresh`: the idle life of a session.
    pub refresh: Duration,
    /// `session`: the absolute life of a session.
    pub session: Duration,
    /// `reuse_grace`
    pub reuse_grace: Duration,
    /// `upstream_check`: how long a session is good after its provider last vouched for the person.
    pub upstream_check: Duration,
    /// `upstream_grace`: how long it is good beyond that while the provider cannot be asked.
    pub upstream_grace: Duration,
    /// `signing_key`: PKCS#8 in PEM; none: keys are made, and kept in the store.
    pub signing_key: Option<Secret>,
}

/// What access tokens are signed with (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// `[outbound]`
#[derive(Clone, Default)]
pub struct Outbound {
    /// `ca`: PEM files of further certificate authorities.
    pub ca: Vec<PathBuf>,
    /// `proxy`: never taken from the environment.
    pub proxy: Option<Url>,
    /// `private_hosts`: host and port where metadata documents may live although they are not public.
    pub private_hosts: Vec<(String, u16)>,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL of a proxy may hold a password.
        f.debug_struct("Outbound")
            .field("ca", &self.ca)
            .field("proxy", &self.proxy.as_ref().map(Url::host_str))
            .field("private_hosts", &self.private_hosts)
            .finish()
    }
}

impl Backend {
    /// Whether it is what listens at `listen`, as far as an address says so: whoever stands before it asks itself.
    #[must_use]
    pub fn is_at(&self, listen: SocketAddr) -> bool {
        matches!(self, Self::Http(url) if server::listens_at(url, listen))
    }
}

/// Reads `backend`.
///
/// # Errors
/// What is wrong and what to write instead, without the text: there may be a password in it.
pub fn backend_url(text: &str) -> Result<Url, String> {
    address::backend_url(text).map_err(|wrong| format!("{}: {}", wrong.what, wrong.remedy))
}

/// Reads one of `private_hosts`.
///
/// # Errors
/// What to write instead.
pub fn private_host(text: &str) -> Result<(String, u16), String> {
    clients::private_host(text).map_err(|wrong| wrong.remedy)
}

/// `[limits]`
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Registrations from one address.
    pub register: Rate,
    /// Registrations from all addresses together.
    pub register_all: Rate,
    /// Authorization requests from one address.
    pub authorize: Rate,
    /// Token requests from one address.
    pub token: Rate,
}

/// `"60/m"`: so many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: std::num::NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// `log.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
