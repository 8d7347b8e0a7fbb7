//! Which key an environment variable is for.
//!
//! The variable of a key is the key in capitals, with `_` for each dot: `tokens.access` is `ANTEROOM_TOKENS_ACCESS`,
//! `provider.github.client_id` is `ANTEROOM_PROVIDER_GITHUB_CLIENT_ID`. A provider whose name holds `-` is written with
//! `_`. Tables in a row are counted from 0: `ANTEROOM_SERVER_0_PATH`. Lists are separated by commas. A table of names that
//! may hold anything is one variable, which takes the place of the whole table:
//! `ANTEROOM_SCOPES="mcp:tools:read=tools/list;files=tools/call:f_*"`, and so are `scope_policy.roles`, `allow.claims`, and
//! `scopes` and `environment` of a server. The words of a command may stand in a list of JSON, too,
//! and variables in an object.

use super::problem::Wrong;
use super::schema::{self, Known};

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "ANTEROOM_";

/// `ANTEROOM_CONFIG` and `ANTEROOM_LOG_FILTER` are for the program as a whole. The others are what Kubernetes gives to every container beside a Service
/// of the name "anteroom".
pub(super) fn is_foreign(name: &str) -> bool {
    let port = name
        .strip_prefix("PORT_")
        .and_then(|rest| rest.split_once('_'));
    let is_port = port.is_some_and(|(number, rest)| {
        let protocol = rest.split('_').next().unwrap_or(rest);
        number.bytes().all(|byte| byte.is_ascii_digit())
            && matches!(protocol, "TCP" | "UDP" | "SCTP")
    });
    let is_service = matches!(name, "PORT" | "SERVICE_HOST" | "SERVICE_PORT")
        || name.starts_with("SERVICE_PORT_");
    matches!(name, "CONFIG" | "LOG_FILTER") || is_service || is_port
}

/// What a variable is for.
pub(super) enum Found {
    /// A key, with the names that were chosen in it.
    Value(&'static Known, String),
    /// All of a table of names that may hold anything: `[scopes]`.
    Names(String),
    /// Something that other versions read.
    Later,
    /// Nothing.
    Unknown,
}

/// What the variable `ANTEROOM_` + `name` is for.
pub(super) fn find(name: &str) -> Found {
    let known = schema::KNOWN.iter().find_map(|known| {
        let pattern = known.key.strip_suffix(".*").unwrap_or(known.key);
        Some((known, key_of(pattern, name, false)?))
    });
    match known {
        Some((known, table)) if known.key.ends_with(".*") => Found::Names(table),
        Some((known, key)) => Found::Value(known, key),
        None if schema::LATER
            .iter()
            .any(|later| key_of(later, name, true).is_some()) =>
        {
            Found::Later
        }
        None => Found::Unknown,
    }
}

/// The key that `name` stands for, if it is the variable of `pattern`; or, with `deeper`, of something in it.
fn key_of(pattern: &str, name: &str, deeper: bool) -> Option<String> {
    let Some((before, behind)) = pattern.split_once(".*.") else {
        let variable = capitals(pattern);
        let rest = name.strip_prefix(&variable)?;
        return (rest.is_empty() || deeper && rest.starts_with('_')).then(|| pattern.to_owned());
    };
    let chosen = name.strip_prefix(&capitals(before))?.strip_prefix('_')?;
    let behind_capitals = format!("_{}", capitals(behind));
    let chosen = match chosen.strip_suffix(&behind_capitals) {
        Some(chosen) => chosen,
        None if deeper => &chosen[..chosen.find(&format!("{behind_capitals}_"))?],
        None => return None,
    };
    let is_number = !chosen.is_empty() && chosen.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = !chosen.is_empty()
        && chosen
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    match before {
        numbered if schema::NUMBERED.contains(&numbered) && !is_number => None,
        _ if !is_name => None,
        _ => Some(format!(
            "{before}.{}.{behind}",
            chosen.to_ascii_lowercase().replace('_', "-")
        )),
    }
}

fn capitals(key: &str) -> String {
    key.to_ascii_uppercase().replace('.', "_")
}

/// Refuses a variable that is for nothing.
pub(super) fn unknown(name: &str) -> Wrong {
    let chosen = name.split('_').nth(1).unwrap_or("NAME");
    let candidates: Vec<String> = schema::KNOWN
        .iter()
        .map(|known| capitals(known.key.trim_end_matches(".*")).replace('*', chosen))
        .collect();
    let near = schema::closest(name, candidates.iter().map(String::as_str));
    let remedy = match near {
        Some(near) => format!("did you mean {PREFIX}{near}?"),
        None => "unset it; the variable of tokens.access is ANTEROOM_TOKENS_ACCESS, and so on"
            .to_owned(),
    };
    Wrong::new("is unknown", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_variable() {
        for known in schema::KNOWN {
            let pattern = known.key.strip_suffix(".*").unwrap_or(known.key);
            let key = pattern
                .replace("provider.*", "provider.my-git")
                .replace("server.*", "server.12")
                .replace("known.*", "known.12");
            let variable = capitals(&key).replace('-', "_");
            match find(&variable) {
                Found::Value(found, found_key) => {
                    assert_eq!((found.key, found_key), (known.key, key));
                }
                Found::Names(table) => {
                    assert!(known.key.ends_with(".*"), "{variable}");
                    assert_eq!(table, key);
                }
                _ => panic!("{variable}"),
            }
        }
    }

    #[test]
    fn a_variable_is_found_or_refused() {
        for (name, expected) in [
            ("TOKENS_ACCESS", "value"),
            ("SCOPES", "names"),
            ("SCOPE_POLICY_ROLES", "names"),
            ("SCOPE_POLICY_ROLES_X", "unknown"),
            ("PROVIDER_CORP_ALLOW_CLAIMS", "names"),
            ("PROVIDER_CORP_ALLOW_CLAIMS_GROUPS", "unknown"),
            ("PROVIDER_CORP_ISSUER", "value"),
            ("PROVIDER_CORP_SCOPES", "value"),
            ("SEALING_KEYS_BEFORE", "value"),
            ("CONSENT_REMEMBER", "value"),
            ("CLIENTS_KNOWN_0_ID", "value"),
            ("CLIENTS_KNOWN_A_ID", "unknown"),
            ("TLS_CERT", "later"),
            ("SERVER_0_COMMAND", "value"),
            ("SERVER_0_IDENTITY_ASSERTION", "value"),
            ("SERVER_0_DEFAULT_SCOPES", "value"),
            ("SERVER_0_SCOPES", "names"),
            ("SERVER_0_ENVIRONMENT", "names"),
            ("SERVER_0_ENVIRONMENT_NODE_ENV", "unknown"),
            ("SERVER_A_PATH", "unknown"),
            ("SERVER__PATH", "unknown"),
            ("PROVIDER_CLIENT_ID", "unknown"),
            ("PROVIDER__CLIENT_ID", "unknown"),
            ("PROVIDER_git_CLIENT_ID", "unknown"),
            ("PROVIDER_\u{e4}_CLIENT_ID", "unknown"),
            ("tokens_access", "unknown"),
            ("TLSX", "unknown"),
            ("", "unknown"),
        ] {
            let found = match find(name) {
                Found::Value(..) => "value",
                Found::Names(_) => "names",
                Found::Later => "later",
                Found::Unknown => "unknown",
            };
            assert_eq!(found, expected, "{name}");
        }
    }
}
