//! `[scopes]` and `[scope_policy]`: what each scope opens, and what is granted when a client asks for nothing.

use super::preset;
use super::problem::Wrong;
use super::reader::Reader;
use super::schema;
use super::value::Written;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::scope::{Scope, ScopeSet};

/// The table: what is written takes the place of the preset as a whole.
pub(super) fn table(reader: &mut Reader<'_>) -> Option<Vec<(Scope, Vec<MethodPattern>)>> {
    let Some(origin) = reader.settings.table("scopes").cloned() else {
        let scopes = preset::scopes();
        for (scope, methods) in &scopes {
            let methods: Vec<String> = methods.iter().map(ToString::to_string).collect();
            reader.note(
                &format!("scopes.{scope}"),
                &format!("[{}]", methods.join(", ")),
            );
        }
        return Some(scopes);
    };
    let names = reader.settings.names_in("scopes");
    if reader.settings.is_refused("scopes") {
        return None;
    }
    if names.is_empty() {
        let remedy = r#"write scopes and what they open, such as "mcp:tools:read" = ["tools/list"], or take the table out"#;
        reader
            .settings
            .refuse("scopes", &origin, Wrong::new("opens nothing", remedy));
        return None;
    }
    let scopes: Vec<Option<_>> = names.iter().map(|name| scope(reader, name)).collect();
    scopes.into_iter().collect()
}

fn scope(reader: &mut Reader<'_>, name: &str) -> Option<(Scope, Vec<MethodPattern>)> {
    let key = format!("scopes.{name}");
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
    let key = "scope_policy.default";
    if !reader.is_set(key) {
        reader.note(key, "all of the above");
        return Some(scopes?.iter().map(|(scope, _)| scope.clone()).collect());
    }
    let known =
        |scope: &Scope| scopes.is_none_or(|scopes| scopes.iter().any(|(known, _)| known == scope));
    let named = reader.list(key, |text| match Scope::parse(text) {
        Some(scope) if known(&scope) => Ok(scope),
        _ => Err(Wrong::new(
            "holds something that is not a scope in [scopes]",
            "write scopes that stand on the left in [scopes], or add them there",
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
