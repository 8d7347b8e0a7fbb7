//! `[[server]]`, or `backend` for short: the MCP servers, and where they are reached.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::address;
use super::child;
use super::identity::{self, Listener};
use super::preset;
use super::problem::Wrong;
use super::reader::Reader;
use super::scopes;
use super::value;
use super::{Backend, Server, Told};
use crate::protocol::issuer::{Issuer, is_loopback, is_plain_path};

/// The first segments of our own paths.
const OURS: [&str; 13] = [
    "authorize",
    "consent",
    "token",
    "register",
    "revoke",
    "callback",
    ".well-known",
    "health",
    "assets",
    "account",
    "par",
    "introspect",
    "logo",
];

/// The servers, in the order of the file; at least one.
pub(super) fn all(reader: &mut Reader<'_>) -> Option<Vec<Server>> {
    if reader.settings.tables_in("server").is_empty() {
        return Some(vec![shorthand(reader)?]);
    }
    if reader.is_set("backend") {
        let remedy = "backend is short for one server at /mcp: write it into the [[server]], or take those out";
        return reader.refuse(
            "backend",
            Wrong::new("contradicts the [[server]] beside it", remedy),
        );
    }
    let numbers = reader.settings.numbered_tables("server")?;
    let servers: Vec<Option<Server>> = numbers
        .iter()
        .map(|number| server(reader, number))
        .collect();
    let servers: Vec<Server> = servers.into_iter().collect::<Option<_>>()?;
    for (number, server) in servers.iter().enumerate() {
        if let Some(other) = servers[..number]
            .iter()
            .find(|other| collide(&other.path, &server.path))
        {
            let what = format!("collides with the server at {}", other.path);
            let remedy = "write a path of its own, which is not inside the other";
            return reader.refuse(&format!("server.{number}.path"), Wrong::new(what, remedy));
        }
        if servers[..number]
            .iter()
            .any(|other| other.name == server.name)
        {
            let key = format!("server.{number}.name");
            let what = if reader.is_set(&key) {
                "is the name of another server, too: people cannot tell them apart when they agree"
            } else {
                "is missing here and at another server: people cannot tell them apart when they agree"
            };
            reader.warn(&key, what);
        }
    }
    Some(servers)
}

/// Refuses a backend that is anteroom itself: it would ask itself without end, and an assertion for the backend would name
/// a resource of ours as its audience.
pub(super) fn check_not_ours(
    reader: &mut Reader<'_>,
    issuer: &Issuer,
    listen: SocketAddr,
    servers: &[Server],
) -> Option<()> {
    let mut checked = Some(());
    for (number, server) in servers.iter().enumerate() {
        let Backend::Http(url) = &server.backend else {
            continue;
        };
        let is_resource = Url::parse(issuer.as_str()).is_ok_and(|own| own.origin() == url.origin())
            && servers.iter().any(|other| {
                let path = format!("{}{}", issuer.path(), other.path);
                collide(&path, url.path().trim_end_matches('/'))
            });
        if is_resource || listens_at(url, listen) {
            let key = if reader.is_set("backend") {
                "backend".to_owned()
            } else {
                format!("server.{number}.backend")
            };
            let remedy =
                "write where the MCP server itself is; it needs an address or a port of its own";
            checked = reader.refuse(&key, Wrong::new("is anteroom itself", remedy));
        }
    }
    checked
}

/// Whether who asks `url` asks who listens at `listen`.
pub(super) fn listens_at(url: &Url, listen: SocketAddr) -> bool {
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address) == listen.ip(),
        Some(Host::Ipv6(address)) => IpAddr::from(address) == listen.ip(),
        _ => false,
    };
    let is_looped = is_loopback(url) && (listen.ip().is_loopback() || listen.ip().is_unspecified());
    let is_port = url.port_or_known_default() == Some(listen.port());
    url.scheme() == "http" && is_port && (is_here || is_looped)
}

/// `backend = ...` at the top of the file.
fn shorthand(reader: &mut Reader<'_>) -> Option<Server> {
    if !reader.is_set("backend") {
        let mut wrong = reader.settings.problems.iter().map(|problem| &problem.key);
        if wrong.any(|key| matches!(key.split('.').next(), Some("backend" | "server"))) {
            return None;
        }
        let remedy =
            r#"write where the MCP server is, such as backend = "http://localhost:9000/mcp""#;
        return reader.refuse("backend", Wrong::new("is missing", remedy));
    }
    Some(Server {
        path: preset::SERVER_PATH.to_owned(),
        name: preset::SERVER_NAME.to_owned(),
        backend: http(reader, "backend")?,
        identity: Told::default(),
        origins: Vec::new(),
        scopes: None,
    })
}

fn server(reader: &mut Reader<'_>, number: &str) -> Option<Server> {
    let table = format!("server.{number}");
    let key = |word: &str| format!("{table}.{word}");
    let path = reader.parsed(&key("path"), preset::SERVER_PATH, path);
    let name = reader.parsed(&key("name"), preset::SERVER_NAME, value::title);
    let behind = behind(reader, &table);
    let scopes = scopes::of_server(reader, &table);
    let origins = reader.list(&key("origins"), address::origin);
    let (backend, identity) = behind?;
    Some(Server {
        path: path?,
        name: name?,
        backend,
        identity,
        origins: origins?,
        scopes: scopes?,
    })
}

/// What stands behind a path, and what it is told.
fn behind(reader: &mut Reader<'_>, table: &str) -> Option<(Backend, Told)> {
    let key = |word: &str| format!("{table}.{word}");
    let is_sample = reader.flag(&key("sample"));
    let kinds = [
        ("command", reader.is_set(&key("command"))),
        ("backend", reader.is_set(&key("backend"))),
        ("sample", is_sample),
    ];
    let written: Vec<&str> = kinds
        .iter()
        .filter_map(|(word, is_set)| is_set.then_some(*word))
        .collect();
    if let [one, other, ..] = written[..] {
        let what = format!("contradicts the {one} beside it");
        let remedy = format!(
            "write {one} or {other}: backend is a server over HTTP, command one that is started, sample the one that comes with anteroom"
        );
        return reader.refuse(&key(other), Wrong::new(what, remedy));
    }
    if reader.is_set(&key("sample")) {
        reader.note(&key("sample"), &is_sample.to_string());
    }
    if written[..] == ["command"] {
        let told = identity::told(reader, table, Listener::Command);
        let command = child::command(reader, table, told.unwrap_or_default());
        return Some((Backend::Command(command?), told?));
    }
    let is_plain = child::refuse_besides(reader, table);
    let (backend, told) = if is_sample {
        let told = identity::told(reader, table, Listener::Sample);
        (Some(Backend::Sample), told)
    } else if written.is_empty() {
        return none_of_three(reader, table);
    } else {
        let backend = http(reader, &key("backend"));
        let url = match &backend {
            Some(Backend::Http(url)) => Some(url),
            _ => None,
        };
        let told = identity::told(reader, table, Listener::Http(url));
        (backend, told)
    };
    is_plain?;
    Some((backend?, told?))
}

/// Nothing stands behind, unless something does that is refused, or was probably meant.
fn none_of_three<T>(reader: &mut Reader<'_>, table: &str) -> Option<T> {
    let key = |word: &str| format!("{table}.{word}");
    let settings = &reader.settings;
    let is_told = ["backend", "command", "sample"].map(key);
    if is_told
        .iter()
        .any(|key| settings.is_refused(key) || settings.is_meant(key))
    {
        return None;
    }
    let remedy = r#"write backend = "http://localhost:9000/mcp" for a server over HTTP, command = ["npx", "-y", "x"] for one that is started, or sample = true"#;
    reader.refuse(&key("backend"), Wrong::new("is missing", remedy))
}

fn http(reader: &mut Reader<'_>, key: &str) -> Option<Backend> {
    let url = reader.parsed(key, "", address::backend_url)?;
    if url.scheme() == "http" && !is_near(&url) {
        let what = "is http to a host that may be far away: who asks and what they ask goes there in clear; write https if it speaks it";
        reader.warn(key, what);
    }
    Some(Backend::Http(url))
}

/// Whether a host is on this machine or in a private network: a private address, or a name without a dot, as containers
/// have among each other.
pub(super) fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name
            .rsplit_once('.')
            .is_none_or(|(_, end)| matches!(end, "internal" | "local")),
        Some(Host::Ipv4(address)) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        Some(Host::Ipv6(address)) => {
            IpAddr::from(address).is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
        None => false,
    }
}

fn path(text: &str) -> Result<String, Wrong> {
    if !is_plain_path(text) {
        return Err(Wrong::new(
            "is not a plain path",
            r#"write a path such as "/mcp": a slash, then letters, digits, - . _ ~, and no slash at the end"#,
        ));
    }
    let first = text[1..].split('/').next().unwrap_or_default();
    if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(first)) {
        let what = format!(
            "begins with /{}, which is anteroom's own",
            first.to_ascii_lowercase()
        );
        return Err(Wrong::new(what, r#"write another path, such as "/mcp""#));
    }
    Ok(text.to_owned())
}

/// Whether two paths are the same, or one lies inside the other.
fn collide(left: &str, right: &str) -> bool {
    let (left, right) = (format!("{left}/"), format!("{right}/"));
    left.starts_with(&right) || right.starts_with(&left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_plain_and_not_ours() {
        for (text, accepted) in [
            ("/mcp", true),
            ("/a/mcp", true),
            ("/tokens", true),
            ("/mcp/token", true),
            ("/MCP_2.0~x", true),
            ("mcp", false),
            ("", false),
            ("/", false),
            ("/mcp/", false),
            ("//mcp", false),
            ("/a//b", false),
            ("/./mcp", false),
            ("/mcp/../token", false),
            ("/mcp?x=y", false),
            ("/mcp#x", false),
            ("/%6dcp", false),
            ("/m cp", false),
            ("/{mcp}", false),
            ("/*mcp", false),
            ("/mcp\n", false),
            ("/token", false),
            ("/Token", false),
            ("/token/x", false),
            ("/.well-known/mcp", false),
            ("/callback/github", false),
            ("/health", false),
        ] {
            assert_eq!(path(text).is_ok(), accepted, "{text:?}");
        }
    }

    #[test]
    fn two_paths_collide_if_one_is_inside_the_other() {
        for (left, right, expected) in [
            ("/mcp", "/mcp", true),
            ("/mcp", "/mcp/a", true),
            ("/mcp/a", "/mcp", true),
            ("/mcp", "/mcp-a", false),
            ("/mcp/a", "/mcp/b", false),
        ] {
            assert_eq!(collide(left, right), expected, "{left} {right}");
        }
    }
}
