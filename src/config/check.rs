//! Settings -> [`Config`]: the rules, each with a message that names the key and says what to write.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ipnet::IpNet;

use super::address;
use super::advice;
use super::preset;
use super::problem::Wrong;
use super::reader::Reader;
use super::value::{self, Written};
use super::{
    Config, Limits, LogFormat, Outbound, Server, StoreKind, Tokens, clients, provider, roles,
    scopes, server,
};
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::scope::Scope;
use crate::secret::Secret;

/// The settings in force. None: something is wrong, and it stands in `reader.settings.problems`.
pub(super) fn config(reader: &mut Reader<'_>) -> Option<Config> {
    // Each is read before any is looked at, so that everything that is wrong is said at once.
    let public_url = reader.required("public_url");
    let listen = reader.value("listen", &preset::LISTEN);
    let data_dir = reader.parsed("data_dir", preset::DATA_DIR, value::path);
    let store = reader.value("store", &StoreKind::Sled);
    let sealing_key = sealing_key(reader);
    let sealing_keys_before = sealing_keys_before(reader);
    let providers = provider::all(reader);
    let servers = server::all(reader);
    let scopes = scopes::table(reader);
    let default_scopes = scopes::default(reader, scopes.as_deref());
    // none where something is wrong with them
    let every = servers.as_deref().zip(scopes.as_deref());
    let every = every.map(|(servers, scopes)| every_scope(servers, scopes).cloned().collect());
    let every: Option<Vec<OpenedBy>> = every;
    let roles = roles::all(reader, every.as_deref(), providers.as_deref());
    let clients = clients::all(reader, every.as_deref());
    if let (Some(issuer), Some(listen), Some(servers)) = (&public_url, listen, &servers) {
        server::check_not_ours(reader, issuer, listen, servers);
    }
    let tokens = tokens(reader);
    let consent_remember = reader.lifetime(
        "consent.remember",
        preset::CONSENT_REMEMBER,
        Duration::ZERO..=YEAR,
    );
    let trusted_proxies = trusted_proxies(reader);
    let outbound = outbound(reader);
    let limits = limits(reader);
    let log = reader.value("log.format", &LogFormat::Text);
    let config = Config {
        public_url: public_url?,
        listen: listen?,
        data_dir: data_dir?,
        store: store?,
        sealing_key: sealing_key?,
        sealing_keys_before: sealing_keys_before?,
        providers: providers?,
        servers: servers?,
        scopes: scopes?,
        default_scopes: default_scopes?,
        roles: roles?,
        clients: clients?,
        tokens: tokens?,
        consent_remember: consent_remember?,
        trusted_proxies: trusted_proxies?,
        outbound: outbound?,
        limits: limits?,
        log: log?,
    };
    advice::give(reader, &config);
    Some(config)
}

/// Every scope that there is at some server, and those of `[scopes]`.
pub(super) fn every_scope<'a>(
    servers: &'a [Server],
    scopes: &'a [OpenedBy],
) -> impl Iterator<Item = &'a OpenedBy> {
    let own = servers.iter().filter_map(|server| server.scopes.as_ref());
    scopes.iter().chain(own.flat_map(|own| &own.scopes))
}

/// A scope, and what it opens.
pub(super) type OpenedBy = (Scope, Vec<MethodPattern>);

/// The sealing key, in base64. The outer none: it is wrong; the inner: there is none.
#[expect(
    clippy::option_option,
    reason = "the outer one is for wrong, as everywhere in this file"
)]
fn sealing_key(reader: &mut Reader<'_>) -> Option<Option<Secret>> {
    let key = "sealing_key";
    if !reader.is_set(key) {
        reader.note(key, "made once, in data_dir");
        return Some(None);
    }
    let one = |text: &str| match sealing_keys(text)?.as_slice() {
        [one] => Ok(one.expose().to_owned()),
        keys => {
            let what = format!("holds {} keys, and one can seal", keys.len());
            let remedy = "write the first of them, and name this file in sealing_keys_before";
            Err(Wrong::new(what, remedy))
        }
    };
    reader.secret_as(key, one).map(Some)
}

fn sealing_keys_before(reader: &mut Reader<'_>) -> Option<Vec<Secret>> {
    let key = "sealing_keys_before";
    let keys = reader.secrets(key, sealing_keys)?;
    if keys.is_empty() || reader.is_set("sealing_key") {
        return Some(keys);
    }
    let remedy = "write sealing_key as well: the key that took the place of these";
    reader.refuse(
        key,
        Wrong::new("stands there without a sealing_key", remedy),
    )
}

/// A key; or those in a file that anteroom made: one in each line, a date behind it, and comments.
fn sealing_keys(text: &str) -> Result<Vec<Secret>, Wrong> {
    let lines = text.lines().map(|line| line.split('#').next());
    let words = lines.map(|line| line.unwrap_or_default().split_ascii_whitespace().collect());
    let words: Vec<Vec<_>> = words.filter(|words: &Vec<_>| !words.is_empty()).collect();
    let keys = words.into_iter().map(|words| match words[..] {
        [key] => is_sealing_key(key).then(|| Secret::new(key)),
        [key, made] if made.parse::<i64>().is_ok() => is_sealing_key(key).then(|| Secret::new(key)),
        _ => None,
    });
    let keys: Option<Vec<_>> = keys.collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
        Wrong::new(
            "is not 32 bytes in base64",
            "make one with: openssl rand -base64 32; or name the sealing.key of anteroom itself",
        )
    })
}

fn is_sealing_key(text: &str) -> bool {
    let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('='));
    bytes.is_ok_and(|bytes| bytes.len() == 32)
}

fn tokens(reader: &mut Reader<'_>) -> Option<Tokens> {
    let preset = Tokens::default();
    let algorithm = reader.value("tokens.algorithm", &preset.algorithm);
    // RFC 6749 §4.1.2: ten minutes at most.
    let code = reader.lifetime("tokens.code", preset.code, SECOND..=10 * MINUTE);
    let access = reader.lifetime("tokens.access", preset.access, SECOND..=24 * 60 * MINUTE);
    let refresh = reader.lifetime("tokens.refresh", preset.refresh, MINUTE..=10 * YEAR);
    let session = reader.lifetime("tokens.session", preset.session, MINUTE..=10 * YEAR);
    let reuse_grace = reader.lifetime(
        "tokens.reuse_grace",
        preset.reuse_grace,
        Duration::ZERO..=MINUTE,
    );
    let (least, most) = (10 * SECOND, 60 * MINUTE);
    let upstream_check =
        reader.lifetime("tokens.upstream_check", preset.upstream_check, least..=most);
    let upstream_grace = reader.lifetime(
        "tokens.upstream_grace",
        preset.upstream_grace,
        Duration::ZERO..=30 * DAY,
    );
    let signing_key = signing_key(reader);
    if let (Some(refresh), Some(session)) = (refresh, session)
        && refresh > session
    {
        let key = if reader.is_set("tokens.refresh") {
            "tokens.refresh"
        } else {
            "tokens.session"
        };
        let (refresh, session) = (refresh.print(), session.print());
        let what = format!("does not fit: refresh is {refresh} and session is {session}");
        let remedy = "write a refresh (the idle life of a session) of at most session (the whole life of it)";
        return reader.refuse(key, Wrong::new(what, remedy));
    }
    Some(Tokens {
        algorithm: algorithm?,
        code: code?,
        access: access?,
        refresh: refresh?,
        session: session?,
        reuse_grace: reuse_grace?,
        upstream_check: upstream_check?,
        upstream_grace: upstream_grace?,
        signing_key: signing_key?,
    })
}

/// The signing key, in PEM, as it was given.
#[expect(
    clippy::option_option,
    reason = "the outer one is for wrong, as everywhere in this file"
)]
fn signing_key(reader: &mut Reader<'_>) -> Option<Option<Secret>> {
    let key = "tokens.signing_key";
    if !reader.is_set(key) {
        reader.note(key, "made, and kept in the store");
        return Some(None);
    }
    reader.secret_as(key, pkcs8).map(Some)
}

/// Whether a text is PKCS#8 in PEM (RFC 5958 §2, RFC 7468 §10), as far as its first line says.
fn pkcs8(text: &str) -> Result<String, Wrong> {
    let convert =
        "convert it to PKCS#8 with: openssl pkey -in OLD.pem -out NEW.pem, and name the new file";
    let holds = |kind: &str| text.contains(&format!("-----BEGIN {kind}PRIVATE KEY-----"));
    let other = [
        ("EC ", "is an EC key in the form SEC1"),
        ("RSA ", "is an RSA key in the form PKCS#1"),
        ("ENCRYPTED ", "is locked with a password"),
    ];
    if let Some((_, what)) = other.into_iter().find(|(kind, _)| holds(kind)) {
        return Err(Wrong::new(what, convert));
    }
    if holds("") && text.contains("-----END PRIVATE KEY-----") {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        "is not a private key in PEM",
        "make one for ES256 with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signing.pem, and \
         write file:signing.pem",
    ))
}

fn trusted_proxies(reader: &mut Reader<'_>) -> Option<Vec<IpNet>> {
    let networks = reader.list("proxy.trusted", IpNet::read)?;
    if networks.iter().any(|network| network.prefix_len() == 0) {
        let what = "holds every address: whoever connects can make up where they come from";
        reader.warn("proxy.trusted", what);
    }
    Some(networks)
}

fn outbound(reader: &mut Reader<'_>) -> Option<Outbound> {
    let ca: Option<Vec<PathBuf>> = reader.list("outbound.ca", value::certificates);
    let proxy = reader.parsed("outbound.proxy", "", address::proxy);
    let private_hosts = reader.list("outbound.private_hosts", clients::private_host);
    if private_hosts
        .as_ref()
        .is_some_and(|hosts| !hosts.is_empty())
    {
        let what =
            "lets clients have anteroom ask hosts that are not public: for tests and development";
        reader.warn("outbound.private_hosts", what);
    }
    Some(Outbound {
        ca: ca?,
        proxy: proxy?,
        private_hosts: private_hosts?,
    })
}

fn limits(reader: &mut Reader<'_>) -> Option<Limits> {
    let preset = Limits::default();
    let register = reader.value("limits.register", &preset.register);
    let register_all = reader.value("limits.register_all", &preset.register_all);
    let authorize = reader.value("limits.authorize", &preset.authorize);
    let token = reader.value("limits.token", &preset.token);
    Some(Limits {
        register: register?,
        register_all: register_all?,
        authorize: authorize?,
        token: token?,
    })
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
