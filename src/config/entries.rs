//! The text of one variable -> a list, or the entries of a table in which names are free.

use std::collections::BTreeMap;

use super::child;
use super::problem::{Origin, Wrong};
use super::settings::Value;

/// The entries of `table`, as one text: each name with what stands behind it.
///
/// # Errors
/// Where it is no such text.
pub(super) fn read(
    table: &str,
    text: &str,
    origin: &Origin,
) -> Result<Vec<(String, Value)>, Wrong> {
    match last_word(table) {
        "environment" => variables(text),
        _ => lists(text, origin)
            .ok_or_else(|| Wrong::new("has an entry without =", how_to_write(table))),
    }
}

/// Names with lists; none: one of them has no `=`.
fn lists(value: &str, origin: &Origin) -> Option<Vec<(String, Value)>> {
    let entries = items(value, ';', origin).into_iter().map(|(entry, _)| {
        let (name, written) = entry.split_once('=')?;
        let list = Value::List(items(written, ',', origin));
        Some((name.trim().to_owned(), list))
    });
    entries.collect()
}

/// The variables of a child. What is wrong is said without a piece of the text: it may be one of a secret, which was taken
/// apart at a `;` in it.
fn variables(value: &str) -> Result<Vec<(String, Value)>, Wrong> {
    if value.trim_start().starts_with('{') {
        let read = serde_json::from_str::<BTreeMap<String, String>>(value).map_err(|_| {
            let remedy = r#"write {"NAME": "value", "NAME": "env:OTHER"}, with texts alone"#;
            Wrong::new("begins with { and is not an object of texts", remedy)
        })?;
        let texts = read.into_iter();
        return Ok(texts
            .map(|(name, text)| (name, Value::Text(text)))
            .collect());
    }
    let entries = value.split(';').map(|entry| {
        let (name, text) = entry.trim().split_once('=')?;
        let is_name = child::is_variable(name.trim());
        is_name.then(|| (name.trim().to_owned(), Value::Text(text.to_owned())))
    });
    entries.collect::<Option<_>>().ok_or_else(|| {
        let remedy = r#"write "NAME=value;NAME=value"; where a value holds ;, write NAME=env:OTHER, or JSON: {"NAME": "value"}"#;
        Wrong::new("holds something between two ; that is not NAME=value", remedy)
    })
}

fn how_to_write(table: &str) -> &'static str {
    match last_word(table) {
        "scopes" => {
            r#"write "scope=method,method;scope=method", such as "mcp:tools:read=tools/list""#
        }
        "roles" => {
            r#"write "scope=role,role;scope=role", such as "files:admin=github:team:acme/platform""#
        }
        _ => r#"write "claim=text,text;claim=text", such as "groups=mcp-users""#,
    }
}

fn last_word(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The items of a list, as one text.
pub(super) fn items(value: &str, between: char, origin: &Origin) -> Vec<(String, Origin)> {
    value
        .split(between)
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| (item.to_owned(), origin.clone()))
        .collect()
}
