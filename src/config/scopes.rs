//! `[scopes]` and `[scope_policy]`: what each scope opens, and what is granted when a client asks for nothing.

use super::ServerScopes;
use super::preset;
use super::problem::Wrong;
use super::reader::Reader;
use super::schema;
use super::value::Written;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::scope::{Scope, ScopeSet};

/// What each scope opens, in the order of the file.
pub(super) type Scopes = Vec<(Scope, Vec<MethodPattern>)>;

/// The table: what is written takes the place of the preset as a whole.
pub(super) fn table(reader: &mut Reader<'_>) -> Option<Scopes> {
    if reader.settings.table("scopes").is_none() {
        let scopes = preset::scopes();
        for (scope, methods) in &scopes {
            let methods: Vec<String> = methods.iter().map(ToString::to_string).collect();
            reader.note(
                &format!("scopes.{scope}"),
                &format!("[{}]", methods.join(", ")),
            );
        }
        return Some(scopes);
    }
    written(reader, "scopes")
}

/// The scopes of one server, in the place of those of the configuration. The inner none: it has none of its own.
#[expect(
    clippy::option_option,
    reason = "the outer one is for wrong, as everywhere in these files"
)]
pub(super) fn of_server(reader: &mut Reader<'_>, server: &str) -> Option<Option<ServerScopes>> {
    let table = format!("{server}.scopes");
    let key = format!("{server}.default_scopes");
    if reader.settings.table(&table).is_none() {
        if reader.is_set(&key) && !reader.settings.is_refused(&table) {
            let remedy =
                "write scopes beside it, or the default for all servers: default in [scope_policy]";
            return reader.refuse(&key, Wrong::new("stands there without scopes", remedy));
        }
        return Some(None);
    }
    let scopes = written(reader, &table);
    let default = chosen(reader, &key, &table, scopes.as_deref());
    Some(Some(ServerScopes {
        scopes: scopes?,
        default: default?,
    }))
}

/// What stands in `table`.
fn written(reader: &mut Reader<'_>, table: &str) -> Option<Scopes> {
    let names = reader.settings.names_in(table);
    if reader.settings.is_refused(table) {
        return None;
    }
    if names.is_empty() {
        let remedy = r#"write scopes and what they open, such as "mcp:tools:read" = ["tools/list"], or take the table out"#;
        return reader.refuse(table, Wrong::new("opens nothing", remedy));
    }
    let scopes: Vec<Option<_>> = names
        .iter()
        .map(|name| scope(reader, table, name))
        .collect();
    scopes.into_iter().collect()
}

fn scope(reader: &mut Reader<'_>, table: &str, name: &str) -> Option<(Scope, Vec<MethodPattern>)> {
    let key = format!("{table}.{name}");
    let methods = reader.list(&key, MethodPattern::read)?;
    let Some(scope) = Scope::parse(name) else {
        let remedy = r#"name it with visible ASCII characters, without spaces, " and \"#;
        return reader.refuse(&key, Wrong::new("is not a scope", remedy));
    };
    if methods.is_empty() {
        let remedy = r#"write the methods it opens, such as ["tools/list"], or take it out"#;
        return reader.refuse(&key, Wrong::new("opens nothing", remedy));
    }
    for pattern in &methods {
        // A method that MCP does not have may be an extension; one that it nearly has opens nothing, by a slip.
        let near = schema::closest(&pattern.method, METHODS.into_iter());
        if let Some(near) = near.filter(|near| *near != pattern.method) {
            let method = &pattern.method;
            reader.warn(
                &key,
                &format!("opens {method}, which is not a method of MCP; did you mean {near}?"),
            );
        }
    }
    Some((scope, methods))
}

/// What is granted when a client asks for nothing: all scopes, unless some are named.
pub(super) fn default(
    reader: &mut Reader<'_>,
    scopes: Option<&[(Scope, Vec<MethodPattern>)]>,
) -> Option<ScopeSet> {
    chosen(reader, "scope_policy.default", "scopes", scopes)
}

/// What `key` names of the `scopes` that stand in `table`.
fn chosen(
    reader: &mut Reader<'_>,
    key: &str,
    table: &str,
    scopes: Option<&[(Scope, Vec<MethodPattern>)]>,
) -> Option<ScopeSet> {
    if !reader.is_set(key) {
        reader.note(key, "all of the above");
        return Some(scopes?.iter().map(|(scope, _)| scope.clone()).collect());
    }
    let known =
        |scope: &Scope| scopes.is_none_or(|scopes| scopes.iter().any(|(known, _)| known == scope));
    let table = schema::header(table);
    let named = reader.list(key, |text| match Scope::parse(text) {
        Some(scope) if known(&scope) => Ok(scope),
        _ => Err(Wrong::new(
            format!("holds something that is not a scope in {table}"),
            format!("write scopes that stand on the left in {table}, or add them there"),
        )),
    })?;
    if named.is_empty() {
        let remedy = "name at least one scope, or take it out for all of them";
        return reader.refuse(key, Wrong::new("is empty", remedy));
    }
    Some(named.into_iter().collect())
}

/// The requests of a client, in the revisions of MCP from 2025-03-26 on.
const METHODS: [&str; 19] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/cancel",
];
