//! What holds where nothing is written, and the settings of `anteroom dev`.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::child;
use super::redact;
use super::{
    Algorithm, Backend, ChildSessions, Clients, Command, Config, Environment, Limits, LogFormat,
    Outbound, Provider, Rate, Registration, Server, StoreKind, Tokens, Told,
};
use crate::protocol::issuer::Issuer;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::scope::Scope;
use crate::secret::Secret;

/// `listen`
pub(super) const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// `data_dir`
pub(super) const DATA_DIR: &str = "./data";
/// `server.path`
pub(super) const SERVER_PATH: &str = "/mcp";
/// `server.name`
pub(super) const SERVER_NAME: &str = "MCP server";
/// `server.idle`
pub(super) const CHILD_IDLE: Duration = Duration::from_secs(10 * 60);
/// `server.children`
pub(super) const CHILDREN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99);
/// `server.upstream_token_variable`
pub(super) const UPSTREAM_TOKEN_VARIABLE: &str = "ANTEROOM_UPSTREAM_TOKEN";
/// `provider.label` of a provider of kind github.
pub(super) const GITHUB_LABEL: &str = "GitHub";
/// `provider.base_url` of a provider of kind github.
pub(super) const GITHUB_BASE_URL: &str = "https://github.com";
/// `provider.label` of a provider of kind google.
pub(super) const GOOGLE_LABEL: &str = "Google";
/// `provider.issuer` of a provider of kind google.
pub(super) const GOOGLE_ISSUER: &str = "https://accounts.google.com";

/// `[scopes]`
#[must_use]
pub(super) fn scopes() -> Vec<(Scope, Vec<MethodPattern>)> {
    SCOPES
        .iter()
        .filter_map(|(scope, methods)| {
            let methods = methods
                .iter()
                .filter_map(|text| MethodPattern::parse(text).ok());
            Some((Scope::parse(scope)?, methods.collect()))
        })
        .collect()
}

const SCOPES: [(&str, &[&str]); 6] = [
    ("mcp:tools:read", &["tools/list"]),
    ("mcp:tools:execute", &["tools/call"]),
    (
        "mcp:resources:list",
        &["resources/list", "resources/templates/list"],
    ),
    (
        "mcp:resources:read",
        &[
            "resources/read",
            "resources/subscribe",
            "resources/unsubscribe",
        ],
    ),
    ("mcp:prompts:list", &["prompts/list"]),
    ("mcp:prompts:read", &["prompts/get", "completion/complete"]),
];

/// `consent.remember`
pub(super) const CONSENT_REMEMBER: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Clients {
    fn default() -> Self {
        Self {
            metadata_documents: true,
            document_hosts: Vec::new(),
            registration: Registration::Open,
            redirect_hosts: Vec::new(),
            known: Vec::new(),
            unused_expire: DAY,
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Es256,
            code: 10 * MINUTE,
            access: 60 * MINUTE,
            refresh: 30 * DAY,
            session: 180 * DAY,
            reuse_grace: Duration::from_secs(10),
            upstream_check: Duration::from_secs(5 * 60),
            upstream_grace: Duration::from_secs(24 * 3600),
            signing_key: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            register: a_minute(60),
            register_all: a_minute(1200),
            authorize: a_minute(120),
            token: a_minute(600),
        }
    }
}

fn a_minute(count: u32) -> Rate {
    Rate {
        count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN),
        per: MINUTE,
    }
}

impl Config {
    /// The settings to try things with: `listen` on this machine, `provider` to sign in with, `backend` at `/mcp`,
    /// everything in memory, and MCP Inspector's page let in. Nothing is read and nothing is refused: who calls it sees
    /// to it that `listen` is a loopback address.
    #[must_use]
    pub fn dev(listen: SocketAddr, provider: Provider, backend: Backend) -> Self {
        let scopes = scopes();
        Self {
            public_url: Issuer::localhost(listen.port()),
            listen,
            data_dir: PathBuf::from(DATA_DIR),
            store: StoreKind::Memory,
            sealing_key: None,
            sealing_keys_before: Vec::new(),
            providers: vec![provider],
            servers: vec![Server {
                path: SERVER_PATH.to_owned(),
                name: SERVER_NAME.to_owned(),
                backend,
                identity: Told::default(),
                scopes: None,
                origins: INSPECTOR.map(str::to_owned).to_vec(),
            }],
            default_scopes: scopes.iter().map(|(scope, _)| scope.clone()).collect(),
            scopes,
            roles: Vec::new(),
            clients: Clients::default(),
            tokens: Tokens::default(),
            consent_remember: CONSENT_REMEMBER,
            trusted_proxies: Vec::new(),
            outbound: Outbound::default(),
            limits: Limits {
                register: a_minute(6000),
                register_all: a_minute(6000),
                authorize: a_minute(6000),
                token: a_minute(6000),
            },
            log: LogFormat::Text,
        }
    }
}

impl Command {
    /// The settings to try a program with: one child for each person, and all of `environment` handed on, as a shell does,
    /// but for `ANTEROOM_...`: that is who calls, and nothing else. None: there are no words.
    #[must_use]
    pub fn dev(words: Vec<String>, environment: &Environment) -> Option<Self> {
        let variables = environment.variables();
        let variables: Vec<_> = variables
            .filter(|(name, _)| !child::is_ours(name))
            .collect();
        // nobody has written them here: most say where things are, and would be struck out of every path in the log
        let in_clear = variables.iter();
        let in_clear = in_clear.filter(|(name, value)| !redact::may_be_secret(name, value));
        let in_clear = in_clear.map(|(name, _)| (*name).to_owned()).collect();
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name.to_owned(), Secret::new(value)));
        (!words.is_empty()).then(|| Self {
            words,
            environment: variables.collect(),
            in_clear,
            directory: None,
            sessions: ChildSessions::PerUser,
            idle: CHILD_IDLE,
            children: CHILDREN,
            upstream_token_variable: UPSTREAM_TOKEN_VARIABLE.to_owned(),
        })
    }
}

/// The origins of MCP Inspector's page.
const INSPECTOR: [&str; 2] = ["http://localhost:6274", "http://127.0.0.1:6274"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Allow, ProviderKind};
    use crate::protocol::ids::ProviderId;
    use crate::secret::Secret;

    #[test]
    fn no_scope_of_the_preset_is_lost_in_reading() {
        let scopes = scopes();
        assert_eq!(scopes.len(), SCOPES.len());
        for ((scope, methods), (name, texts)) in scopes.iter().zip(SCOPES) {
            assert_eq!(scope.as_str(), name);
            let printed: Vec<String> = methods.iter().map(ToString::to_string).collect();
            assert_eq!(printed, texts);
        }
    }

    #[test]
    fn a_program_is_tried_in_the_environment_that_anteroom_is_in() {
        let of_shell = [
            ("ANTEROOM_PUBLIC_URL", "https://a.example"),
            ("Anteroom_User", "root"),
            ("DATABASE", "postgres://me:pw@db"),
            ("PATH", "/bin"),
            ("PWD", "/home/mona"),
            ("TOKEN", "t0p"),
        ];
        let environment = of_shell.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment: Environment = environment.into_iter().collect();
        let words = ["npx", "-y", "a server", ""].map(str::to_owned).to_vec();
        let command = Command::dev(words.clone(), &environment).unwrap();
        assert_eq!(command.words, words);
        let given = command.environment.iter();
        let given: Vec<_> = given
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        let (left_out, expected) = of_shell.split_at(2);
        assert_eq!(given, expected, "but for {left_out:?}");
        assert_eq!(command.in_clear, ["PATH", "PWD"]);
        assert_eq!(command.sessions, ChildSessions::PerUser);
        assert_eq!((command.idle, command.children.get()), (10 * MINUTE, 100));
        assert!(!format!("{command:?}").contains("t0p"));
        assert!(Command::dev(Vec::new(), &environment).is_none());
    }

    #[test]
    fn the_settings_of_dev_stay_on_this_machine() {
        let provider = Provider {
            id: ProviderId::new("github"),
            label: "GitHub (stand-in)".to_owned(),
            kind: ProviderKind::GitHub {
                base_url: "http://127.0.0.1:9090".parse().unwrap(),
                api_url: "http://127.0.0.1:9090/api".parse().unwrap(),
            },
            client_id: "x".to_owned(),
            client_secret: Secret::new("x"),
            allow: Allow {
                anyone: true,
                ..Allow::default()
            },
        };
        let config = Config::dev(LISTEN, provider, Backend::Sample);
        assert_eq!(config.public_url.as_str(), "http://localhost:8080");
        assert_eq!(config.store, StoreKind::Memory);
        assert_eq!(config.default_scopes.iter().count(), config.scopes.len());
    }
}
