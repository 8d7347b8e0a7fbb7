//! `[[server]]`, or `backend` for short: the MCP servers, and where they are reached.

use std::net::IpAddr;

use url::{Host, Url};

use super::address;
use super::preset;
use super::problem::Wrong;
use super::reader::Reader;
use super::value;
use super::{Backend, Server, Told};
use crate::protocol::issuer::is_plain_path;

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
    }
    Some(servers)
}

/// `backend = ...` at the top of the file.
fn shorthand(reader: &mut Reader<'_>) -> Option<Server> {
    if !reader.is_set("backend") {
        if reader.settings.is_refused("backend") || reader.settings.is_refused("server") {
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
    let key = |word: &str| format!("server.{number}.{word}");
    let path = reader.parsed(&key("path"), preset::SERVER_PATH, path);
    let name = reader.parsed(&key("name"), preset::SERVER_NAME, value::title);
    let is_sample = reader.flag(&key("sample"));
    if reader.is_set(&key("sample")) {
        reader.note(&key("sample"), &is_sample.to_string());
    }
    let backend = match (is_sample, reader.is_set(&key("backend"))) {
        (false, true) => http(reader, &key("backend")),
        (true, false) => Some(Backend::Sample),
        (true, true) => {
            let remedy = "write one of the two: a server of yours behind this path, or the sample";
            reader.refuse(
                &key("sample"),
                Wrong::new("contradicts the backend beside it", remedy),
            )
        }
        (false, false) => reader.missing(&key("backend")),
    };
    let origins = reader.list(&key("origins"), address::origin);
    Some(Server {
        path: path?,
        name: name?,
        backend: backend?,
        identity: Told::default(),
        origins: origins?,
        scopes: None,
    })
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
fn is_near(url: &Url) -> bool {
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
