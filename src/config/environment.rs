//! `ANTEROOM_...` -> settings, so that a container needs no file.
//!
//! The variable of a key is the key in capitals, with `_` for each dot: `tokens.access` is `ANTEROOM_TOKENS_ACCESS`,
//! `provider.github.client_id` is `ANTEROOM_PROVIDER_GITHUB_CLIENT_ID`. A provider whose name holds `-` is written with
//! `_`. A `[[server]]` is counted from 0: `ANTEROOM_SERVER_0_PATH`. Lists are separated by commas. `[scopes]` is one
//! variable, which takes the place of the whole table: `ANTEROOM_SCOPES="mcp:tools:read=tools/list;files=tools/call:f_*"`.

use std::collections::BTreeMap;
use std::fmt;

use super::file;
use super::problem::{Origin, Wrong};
use super::schema::{self, Known, Shape};
use super::settings::{Setting, Settings, Value};

/// The environment, as a value: the process reads its own once, tests make theirs.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process. What is not Unicode comes with replacement characters, which no setting takes.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect()
    }

    /// What is logged, where `ANTEROOM_LOG_FILTER` says so: `info`, or `warn,anteroom::audit=info`.
    #[must_use]
    pub fn log_filter(&self) -> Option<&str> {
        self.value("ANTEROOM_LOG_FILTER")
            .filter(|filter| !filter.is_empty())
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether it sets anything.
    pub(super) fn is_empty(&self) -> bool {
        self.settings().next().is_none()
    }

    /// Lays what it sets over `settings`.
    pub(super) fn lay_over(&self, settings: &mut Settings) {
        for (variable, name, value) in self.settings() {
            let origin = Origin::Variable(variable.to_owned());
            match find(name) {
                Found::Scopes => scopes(settings, &origin, value),
                Found::Value(known, key) => lay(settings, &origin, (known, &key), value),
                Found::Later => settings.refuse("", &origin, file::later()),
                Found::Unknown => settings.refuse("", &origin, unknown(name)),
            }
        }
    }

    fn settings(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().filter_map(|(variable, value)| {
            let name = variable.strip_prefix(PREFIX)?;
            (!is_foreign(name)).then_some((variable.as_str(), name, value.as_str()))
        })
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Half of all secrets are environment variables.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

const PREFIX: &str = "ANTEROOM_";

/// `ANTEROOM_CONFIG` and `ANTEROOM_LOG_FILTER` are for the program as a whole. The others are what Kubernetes gives to every container beside a Service
/// of the name "anteroom".
fn is_foreign(name: &str) -> bool {
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

enum Found {
    Value(&'static Known, String),
    Scopes,
    Later,
    Unknown,
}

fn find(name: &str) -> Found {
    if name == "SCOPES" {
        return Found::Scopes;
    }
    let known = schema::KNOWN
        .iter()
        .filter(|known| known.key != "scopes.*")
        .find_map(|known| Some((known, key_of(known.key, name, false)?)));
    match known {
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
        "server" if !is_number => None,
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

fn lay(settings: &mut Settings, origin: &Origin, (known, key): (&Known, &str), value: &str) {
    let value = match known.shape {
        // An empty proxy is how none is written.
        Shape::Text | Shape::Secret if value.trim().is_empty() && known.key != "outbound.proxy" => {
            let wrong = Wrong::new("is empty", "give it a value, or unset it");
            return settings.refuse(key, origin, wrong);
        }
        Shape::Text | Shape::Secret => Value::Text(value.to_owned()),
        Shape::List => Value::List(items(value, ',', origin)),
        Shape::Flag => match value {
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            _ => {
                return settings.refuse(
                    key,
                    origin,
                    Wrong::new("is true or false", "write true or false"),
                );
            }
        },
    };
    let mut parts = key.splitn(3, '.');
    if let (Some(table), Some(name), Some(_)) = (parts.next(), parts.next(), parts.next()) {
        settings.open(&format!("{table}.{name}"), origin);
    }
    settings.put(Setting {
        key: key.to_owned(),
        value,
        origin: origin.clone(),
    });
}

fn scopes(settings: &mut Settings, origin: &Origin, value: &str) {
    settings.clear("scopes");
    settings.open("scopes", origin);
    for (entry, _) in items(value, ';', origin) {
        let Some((scope, methods)) = entry.split_once('=') else {
            let wrong = Wrong::new(
                "has an entry without =",
                r#"write "scope=method,method;scope=method", such as "mcp:tools:read=tools/list""#,
            );
            return settings.refuse("scopes", origin, wrong);
        };
        settings.put(Setting {
            key: format!("scopes.{}", scope.trim()),
            value: Value::List(items(methods, ',', origin)),
            origin: origin.clone(),
        });
    }
}

fn items(value: &str, between: char, origin: &Origin) -> Vec<(String, Origin)> {
    value
        .split(between)
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| (item.to_owned(), origin.clone()))
        .collect()
}

fn unknown(name: &str) -> Wrong {
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
    use std::time::Duration;

    use super::super::{Loaded, Refused, Source, read};
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(owned).collect()
    }

    /// What a container is given at least.
    const SMALLEST: [(&str, &str); 5] = [
        ("ANTEROOM_PUBLIC_URL", "https://mcp.example.com"),
        ("ANTEROOM_BACKEND", "http://localhost:9000/mcp"),
        ("ANTEROOM_PROVIDER_GITHUB_CLIENT_ID", "id"),
        ("ANTEROOM_PROVIDER_GITHUB_CLIENT_SECRET", "word"),
        ("ANTEROOM_PROVIDER_GITHUB_ALLOW_ORGS", "acme, octo"),
    ];

    fn smallest_with(variables: &[(&str, &str)]) -> Result<Loaded, Refused> {
        read(None, &environment(&[&SMALLEST, variables].concat()))
    }

    #[test]
    fn a_container_needs_no_file() {
        let loaded = smallest_with(&[]).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        let provider = &loaded.config.providers[0];
        assert_eq!(provider.id.as_str(), "github");
        assert_eq!(provider.client_secret.expose(), "word");
        assert_eq!(provider.allow.orgs, ["acme", "octo"]);
        assert_eq!(loaded.effective[0].origin, "ANTEROOM_PUBLIC_URL");
    }

    #[test]
    fn each_key_has_a_variable() {
        for known in schema::KNOWN.iter().filter(|known| known.key != "scopes.*") {
            let key = known
                .key
                .replace("provider.*", "provider.my-git")
                .replace("server.*", "server.12");
            let variable = capitals(&key).replace('-', "_");
            match find(&variable) {
                Found::Value(found, found_key) => {
                    assert_eq!((found.key, found_key), (known.key, key))
                }
                _ => panic!("{variable}"),
            }
        }
    }

    #[test]
    fn a_variable_is_found_or_refused() {
        for (name, expected) in [
            ("TOKENS_ACCESS", "value"),
            ("SCOPES", "scopes"),
            ("CONSENT_REMEMBER", "later"),
            ("TLS_CERT", "later"),
            ("PROVIDER_CORP_ISSUER", "later"),
            ("PROVIDER_CORP_ALLOW_CLAIMS_GROUPS", "later"),
            ("SERVER_0_COMMAND", "later"),
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
                Found::Scopes => "scopes",
                Found::Later => "later",
                Found::Unknown => "unknown",
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn the_environment_is_laid_over_the_file() {
        let text = "public_url = \"https://file.example\"\nlisten = \"127.0.0.1:1\"\n[tokens]\naccess = \"2h\"\n[scopes]\na = [\"ping\"]";
        let source = Source { name: "f", text };
        let over = [
            ("ANTEROOM_TOKENS_ACCESS", "5m"),
            (
                "ANTEROOM_SCOPES",
                "files = tools/call:f_*, tools/list; more=resources/read:file:///a",
            ),
            ("ANTEROOM_OUTBOUND_PROXY", ""),
        ];
        let loaded = read(Some(source), &environment(&[&SMALLEST, &over[..]].concat())).unwrap();
        assert_eq!(loaded.config.public_url.as_str(), "https://mcp.example.com");
        assert_eq!(loaded.config.listen.port(), 1);
        assert_eq!(loaded.config.tokens.access, Duration::from_secs(300));
        let scopes: Vec<String> = loaded
            .config
            .scopes
            .iter()
            .map(|(scope, methods)| format!("{scope} {}", methods.len()))
            .collect();
        assert_eq!(scopes, ["files 2", "more 1"]);
        assert!(loaded.config.outbound.proxy.is_none());
    }

    #[test]
    fn servers_are_counted_from_zero() {
        let servers = [
            ("ANTEROOM_SERVER_0_SAMPLE", "true"),
            ("ANTEROOM_SERVER_1_BACKEND", "http://b:9000"),
            ("ANTEROOM_SERVER_1_PATH", "/b"),
        ];
        let loaded = read(
            None,
            &environment(&[&SMALLEST[..1], &SMALLEST[2..], &servers].concat()),
        )
        .unwrap();
        let paths: Vec<&str> = loaded
            .config
            .servers
            .iter()
            .map(|server| server.path.as_str())
            .collect();
        assert_eq!(paths, ["/mcp", "/b"]);
        let refused = read(
            None,
            &environment(&[&SMALLEST[..1], &SMALLEST[2..], &servers[1..]].concat()),
        )
        .unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("ANTEROOM_SERVER_1_BACKEND (server.1) comes out of turn"),
            "{refused}"
        );
    }

    #[test]
    fn a_refusal_names_the_variable() {
        for (name, value, expected) in [
            (
                "ANTEROOM_TOKENS_ACESS",
                "1h",
                "ANTEROOM_TOKENS_ACESS is unknown -> did you mean ANTEROOM_TOKENS_ACCESS?",
            ),
            (
                "ANTEROOM_PROVIDER_GITHUB_CLIENT_SECRT",
                "x",
                "ANTEROOM_PROVIDER_GITHUB_CLIENT_SECRT is unknown -> did you mean ANTEROOM_PROVIDER_GITHUB_CLIENT_SECRET?",
            ),
            ("ANTEROOM_X", "1h", "ANTEROOM_X is unknown -> unset it"),
            (
                "ANTEROOM_CONSENT_REMEMBER",
                "1d",
                "ANTEROOM_CONSENT_REMEMBER is not in this version -> ",
            ),
            (
                "ANTEROOM_TOKENS_ACCESS",
                "1",
                "ANTEROOM_TOKENS_ACCESS (tokens.access) is not a duration -> ",
            ),
            (
                "ANTEROOM_TOKENS_ACCESS",
                " ",
                "ANTEROOM_TOKENS_ACCESS (tokens.access) is empty -> give it a value",
            ),
            (
                "ANTEROOM_PROVIDER_GITHUB_ALLOW_ANYONE",
                "yes",
                "ANTEROOM_PROVIDER_GITHUB_ALLOW_ANYONE (provider.github.allow.anyone) is true or false -> ",
            ),
            (
                "ANTEROOM_PROVIDER_GITHUB_ALLOW_TEAMS",
                "a/b,c",
                "ANTEROOM_PROVIDER_GITHUB_ALLOW_TEAMS (provider.github.allow.teams) holds something that is not a team -> ",
            ),
            (
                "ANTEROOM_PROVIDER_CORP_LABEL",
                "x",
                "ANTEROOM_PROVIDER_CORP_LABEL (provider.corp.kind) is \"oidc\": ",
            ),
            (
                "ANTEROOM_SCOPES",
                "a",
                "ANTEROOM_SCOPES (scopes) has an entry without = -> ",
            ),
            (
                "ANTEROOM_SCOPES",
                "",
                "ANTEROOM_SCOPES (scopes) opens nothing -> ",
            ),
            (
                "ANTEROOM_SEALING_KEY",
                "env:NONE",
                "ANTEROOM_SEALING_KEY (sealing_key) names the environment variable NONE, which is not set -> ",
            ),
        ] {
            let refused = smallest_with(&[(name, value)]).unwrap_err();
            let said: Vec<String> = refused
                .faults()
                .map(|fault| format!("{} -> {}", fault.message(), fault.remedy()))
                .collect();
            assert!(
                matches!(&said[..], [one] if one.starts_with(expected)),
                "{said:?}"
            );
        }
    }

    #[test]
    fn what_kubernetes_and_the_command_line_set_is_not_a_setting() {
        for name in [
            "CONFIG",
            "PORT",
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT_8080_TCP",
            "PORT_8080_TCP_ADDR",
            "PORT_53_UDP_PROTO",
        ] {
            let variable = format!("ANTEROOM_{name}");
            assert!(
                smallest_with(&[(&variable, "tcp://10.0.0.1:8080")]).is_ok(),
                "{name}"
            );
            assert!(environment(&[(&variable, "x")]).is_empty(), "{name}");
        }
        for name in ["PORT_8080", "PORTS", "PORT_X_TCP", "SERVICE"] {
            assert!(
                smallest_with(&[(&format!("ANTEROOM_{name}"), "x")]).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn an_environment_does_not_print_what_it_holds() {
        assert_eq!(
            format!("{:?}", environment(&[("NAME", "word")])),
            r#"{"NAME"}"#
        );
    }
}
