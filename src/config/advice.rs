//! What is not wrong with the settings, but worth knowing: a warning for each.

use std::collections::BTreeSet;

use super::check::{OpenedBy, every_scope};
use super::reader::Reader;
use super::{Config, Server, StoreKind};
use crate::protocol::authorize::OFFLINE_ACCESS;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::scope::{Scope, ScopeSet};

/// Warns of what the settings do without saying so, or say without doing so.
pub(super) fn give(reader: &mut Reader<'_>, config: &Config) {
    if config.servers.iter().all(|server| server.scopes.is_some()) {
        about_unused(reader, config);
    }
    about_names(reader, config);
    about_defaults(reader, config);
    if config.public_url.is_https() && config.trusted_proxies.is_empty() {
        let what = "names no proxy, though https needs one in front: all people count as one for the limits. Write where it \
                    connects from, such as [\"127.0.0.1/32\"]";
        reader.warn("proxy.trusted", what);
    }
    if config.store == StoreKind::Memory {
        reader.warn(
            "store",
            r#"is "memory": after each start everybody has to sign in again"#,
        );
    }
}

/// What is written about `[scopes]`, where no server has them.
fn about_unused(reader: &mut Reader<'_>, config: &Config) {
    if reader.settings.table("scopes").is_some() {
        reader.warn("scopes", "does nothing: each server has scopes of its own");
    }
    if reader.is_set(DEFAULT) {
        let what =
            "does nothing: each server has scopes of its own, and default_scopes beside them";
        reader.warn(DEFAULT, what);
    }
    let known: BTreeSet<&str> = every_scope(&config.servers, &[])
        .map(|(scope, _)| scope.as_str())
        .collect();
    let is_unused =
        |scope: &Scope| !known.contains(scope.as_str()) && scope.as_str() != OFFLINE_ACCESS;
    for (key, scope) in named(config).filter(|(_, scope)| is_unused(scope)) {
        let what = format!(
            "does nothing for {scope}: each server has scopes of its own, and none has this one"
        );
        reader.warn(&key, &what);
    }
}

/// Names by which roles and clients are limited at every server, although they mean several things.
fn about_names(reader: &mut Reader<'_>, config: &Config) {
    for (key, scope) in named(config) {
        let mut opened = config.servers.iter().filter_map(|server| {
            let (scopes, _) = config.scopes_of(server);
            let (_, methods) = scopes.iter().find(|(known, _)| known == scope)?;
            let methods: BTreeSet<String> = methods.iter().map(ToString::to_string).collect();
            Some((server, methods))
        });
        let Some((first, at_first)) = opened.next() else {
            continue;
        };
        if let Some((other, _)) = opened.find(|(_, methods)| *methods != at_first) {
            let (here, there) = (&first.path, &other.path);
            let what = format!(
                "goes by name at every server, and {scope} opens one thing at {here} and another at {there}: give one of \
                 them another name, unless both are meant"
            );
            reader.warn(&key, &what);
        }
    }
}

/// The scopes that roles and known clients name, each with the key where it stands.
fn named(config: &Config) -> impl Iterator<Item = (String, &Scope)> {
    let roles = config.roles.iter();
    let roles = roles.map(|(scope, _)| (format!("scope_policy.roles.{scope}"), scope));
    let clients = config.clients.known.iter().enumerate();
    let clients = clients.flat_map(|(number, client)| {
        let scopes = client.scopes.iter().flat_map(ScopeSet::iter);
        scopes.map(move |scope| (format!("clients.known.{number}.scopes"), scope))
    });
    roles.chain(clients)
}

/// Defaults without which people are never offered what other scopes open.
fn about_defaults(reader: &mut Reader<'_>, config: &Config) {
    let own = config.servers.iter().enumerate();
    let own = own.filter_map(|(number, server)| {
        let scopes = server.scopes.as_ref()?;
        let key = format!("server.{number}.default_scopes");
        Some((key, &*scopes.scopes, &scopes.default))
    });
    let is_of_all = |server: &Server| server.scopes.is_none();
    let of_all = config.servers.iter().any(is_of_all);
    let of_all = of_all.then(|| (DEFAULT.to_owned(), &*config.scopes, &config.default_scopes));
    for (key, scopes, default) in of_all.into_iter().chain(own) {
        let left_out = left_out(scopes, default);
        if reader.is_set(&key) && !left_out.is_empty() {
            let what = format!(
                "leaves out {}: clients that name no scope get the default alone, and lists hide what a token may not use, \
                 so people are not offered the rest. Write it in here as well, and into scope_policy.roles if it is not for \
                 everybody; or see to it that clients ask for it",
                left_out.join(", ")
            );
            reader.warn(&key, &what);
        }
    }
}

/// The scopes outside of `default` that open something to use which no scope in it opens.
fn left_out<'a>(scopes: &'a [OpenedBy], default: &ScopeSet) -> Vec<&'a str> {
    let (inside, outside): (Vec<&OpenedBy>, Vec<&OpenedBy>) = scopes
        .iter()
        .partition(|(scope, _)| default.contains(scope));
    let is_offered = |pattern: &MethodPattern| {
        let mut inside = inside.iter().flat_map(|(_, methods)| methods);
        inside.any(|offered| offered == pattern)
    };
    let is_missed =
        |pattern: &MethodPattern| USED.contains(&&*pattern.method) && !is_offered(pattern);
    outside
        .into_iter()
        .filter(|(_, methods)| methods.iter().any(is_missed))
        .map(|(scope, _)| scope.as_str())
        .collect()
}

const DEFAULT: &str = "scope_policy.default";

/// The methods by which what stands in lists is used.
const USED: [&str; 3] = ["tools/call", "resources/read", "prompts/get"];
