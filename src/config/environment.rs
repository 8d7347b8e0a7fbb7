//! `ANTEROOM_...` -> settings, so that a container needs no file.

use std::collections::BTreeMap;
use std::fmt;

use super::entries::{self, items};
use super::file;
use super::problem::{Origin, Wrong};
use super::schema::{Known, Shape};
use super::settings::{Setting, Settings, Value};
use super::variable::{self, Found, PREFIX};

/// The environment, as a value: the process reads its own once, tests make theirs.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process. What is not Unicode comes with replacement characters, which no setting takes.
    #[must_use]
    pub fn of_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
        let variables = std::env::vars_os();
        variables
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

    /// All of it, for a child that is to find the same in its own.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.0.iter();
        variables.map(|(name, value)| (name.as_str(), value.as_str()))
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
            match variable::find(name) {
                Found::Names(table) => names(settings, &origin, &table, value),
                Found::Value(known, key) => lay(settings, &origin, (known, &key), value),
                Found::Later => settings.refuse("", &origin, file::later()),
                Found::Unknown => settings.refuse("", &origin, variable::unknown(name)),
            }
        }
    }

    fn settings(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().filter_map(|(variable, value)| {
            let name = variable.strip_prefix(PREFIX)?;
            (!variable::is_foreign(name)).then_some((variable.as_str(), name, value.as_str()))
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

fn lay(settings: &mut Settings, origin: &Origin, (known, key): (&Known, &str), value: &str) {
    let value = match known.shape {
        // An empty proxy is how none is written.
        Shape::Text | Shape::Secret | Shape::Number
            if value.trim().is_empty() && known.key != "outbound.proxy" =>
        {
            let wrong = Wrong::new("is empty", "give it a value, or unset it");
            return settings.refuse(key, origin, wrong);
        }
        Shape::Text | Shape::Secret | Shape::Number => Value::Text(value.to_owned()),
        // it would mean "any", where somebody forgot to say which
        Shape::List | Shape::Secrets | Shape::Words if value.trim().is_empty() => {
            let wrong = Wrong::new("is empty", "give it a value, or unset it");
            return settings.refuse(key, origin, wrong);
        }
        // the words of a command may hold commas, and be empty
        Shape::Words if value.trim_start().starts_with('[') => {
            let Ok(words) = serde_json::from_str::<Vec<String>>(value) else {
                let remedy = r#"write npx,-y,x or ["npx", "-y", "x"]"#;
                let wrong = Wrong::new("begins with [ and is not a list of texts", remedy);
                return settings.refuse(key, origin, wrong);
            };
            Value::List(
                words
                    .into_iter()
                    .map(|word| (word, origin.clone()))
                    .collect(),
            )
        }
        Shape::List | Shape::Secrets | Shape::Words => Value::List(items(value, ',', origin)),
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
    if let Some((before, _)) = known.key.split_once(".*.") {
        open(settings, origin, before, key);
    }
    settings.put(Setting {
        key: key.to_owned(),
        value,
        origin: origin.clone(),
    });
}

/// Opens the table of a name that was chosen in `key`, behind `before`.
fn open(settings: &mut Settings, origin: &Origin, before: &str, key: &str) {
    let words = before.split('.').count() + 1;
    let table: Vec<&str> = key.split('.').take(words).collect();
    settings.open(&table.join("."), origin);
}

/// A table of names that may hold anything: what is written takes the place of the whole.
fn names(settings: &mut Settings, origin: &Origin, table: &str, value: &str) {
    if value.trim().is_empty() && table != "scopes" {
        // it would open to everybody what the file opens to some
        let wrong = Wrong::new("is empty", "give it a value, or unset it");
        return settings.refuse(table, origin, wrong);
    }
    settings.clear(table);
    settings.open(table, origin);
    if let Some((before @ ("provider" | "server"), _)) = table.split_once('.') {
        open(settings, origin, before, table);
    }
    match entries::read(table, value, origin) {
        Ok(entries) => entries.into_iter().for_each(|(name, value)| {
            settings.put(Setting {
                key: format!("{table}.{name}"),
                value,
                origin: origin.clone(),
            });
        }),
        Err(wrong) => settings.refuse(table, origin, wrong),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::load::{Loaded, read};
    use crate::config::problem::{Refused, Source};

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
        (
            "ANTEROOM_PROVIDER_GITHUB_ALLOW_EMAILS",
            "*@acme.com, *@octo.com",
        ),
    ];

    fn smallest_with(variables: &[(&str, &str)]) -> Result<Loaded, Refused> {
        read(None, &environment(&[&SMALLEST, variables].concat()))
    }

    #[test]
    fn a_container_needs_no_file() {
        let loaded = smallest_with(&[("ANTEROOM_PROXY_TRUSTED", "10.0.0.1")]).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        let provider = &loaded.config.providers[0];
        assert_eq!(provider.id.as_str(), "github");
        assert_eq!(provider.client_secret.expose(), "word");
        let emails: Vec<String> = provider
            .allow
            .emails
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(emails, ["*@acme.com", "*@octo.com"]);
        assert_eq!(loaded.effective[0].origin, "ANTEROOM_PUBLIC_URL");
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
    fn a_table_of_names_is_one_variable_and_takes_the_place_of_the_whole() {
        let text = "[scope_policy.roles]\nmine = [\"github:org:acme\"]\n[provider.corp]\nallow.claims.old = [\"x\"]";
        let source = Source { name: "f", text };
        let over = [
            ("ANTEROOM_PROVIDER_CORP_ISSUER", "https://login.acme.com/"),
            ("ANTEROOM_PROVIDER_CORP_CLIENT_ID", "id"),
            ("ANTEROOM_PROVIDER_CORP_CLIENT_SECRET", "word"),
            (
                "ANTEROOM_PROVIDER_CORP_ALLOW_CLAIMS",
                "groups=admins, staff; https://acme.com/role=mcp",
            ),
            (
                "ANTEROOM_SCOPE_POLICY_ROLES",
                "mcp:tools:execute=corp:claim:groups=admins, github:email:*@acme.com",
            ),
        ];
        let loaded = read(Some(source), &environment(&[&SMALLEST, &over[..]].concat())).unwrap();
        let corp = loaded
            .config
            .providers
            .iter()
            .find(|provider| provider.id.as_str() == "corp");
        let claims: Vec<String> = corp
            .unwrap()
            .allow
            .claims
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            claims,
            ["groups=admins", "groups=staff", "https://acme.com/role=mcp"]
        );
        let [(scope, to)] = &loaded.config.roles[..] else {
            panic!("{:?}", loaded.config.roles)
        };
        let to: Vec<String> = to.iter().map(|(id, rule)| format!("{id}:{rule}")).collect();
        assert_eq!(scope.as_str(), "mcp:tools:execute");
        assert_eq!(to, ["corp:claim:groups=admins", "github:email:*@acme.com"]);
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
        let rows = r#"
            TOKENS_ACESS 1h => is unknown -> did you mean ANTEROOM_TOKENS_ACCESS?
            PROVIDER_GITHUB_CLIENT_SECRT x => is unknown -> did you mean ANTEROOM_PROVIDER_GITHUB_CLIENT_SECRET?
            X 1h => is unknown -> unset it
            LOG_AUDIT x => is not in this version -> take it out
            TOKENS_UPSTREAM_CHECK 1d => (tokens.upstream_check) is too short or too long -> write a duration from 10s to 1h
            SCOPE_POLICY_ROLE x => is unknown -> did you mean ANTEROOM_SCOPE_POLICY_ROLES?
            SCOPE_POLICY_ROLES => (scope_policy.roles) is empty -> give it a value
            SCOPE_POLICY_ROLES files:admin => (scope_policy.roles) has an entry without = -> write "scope=role
            SCOPE_POLICY_ROLES mcp:tools:read= => (scope_policy.roles."mcp:tools:read") is open to nobody -> write to whom
            SEALING_KEYS_BEFORE env:NONE => (sealing_keys_before) names the environment variable NONE, which is not set -> set NONE
            TOKENS_SIGNING_KEY env:NONE => (tokens.signing_key) names the environment variable NONE, which is not set -> set NONE
            PROVIDER_GITHUB_ALLOW_CLAIMS groups=a => (provider.github.allow.claims) is for providers of OpenID Connect; GitHub has no claims -> write
            PROVIDER_GITHUB_ALLOW_CLAIMS x => (provider.github.allow.claims) has an entry without = -> write "claim=text
            PROVIDER_GITHUB_ISSUER https://a.example => (provider.github.issuer) is for providers of OpenID Connect -> write
            CLIENTS_KNOWN_1_ID x => (clients.known.1) comes out of turn -> count from 0
            CLIENTS_KNOWN_0_ID x => (clients.known.0.redirect_uris) is missing -> write redirect_uris
            TOKENS_ACCESS 1 => (tokens.access) is not a duration -> write a number and its unit
            TOKENS_ACCESS => (tokens.access) is empty -> give it a value
            CLIENTS_DOCUMENT_HOSTS => (clients.document_hosts) is empty -> give it a value
            PROVIDER_GITHUB_ALLOW_ANYONE yes => (provider.github.allow.anyone) is true or false -> write true
            PROVIDER_GITHUB_ALLOW_TEAMS a/b,c => (provider.github.allow.teams) holds something that is not a team
            PROVIDER_GITHUB_KIND gitlab => (provider.github.kind) is not a kind of provider -> write
            SCOPES a => (scopes) has an entry without = -> write
            SCOPES => (scopes) opens nothing -> write scopes
            SEALING_KEY env:NONE => (sealing_key) names the environment variable NONE, which is not set -> set NONE
        "#;
        for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let (variable, expected) = row.split_once(" => ").unwrap();
            let (name, value) = variable.split_once(' ').unwrap_or((variable, ""));
            let name = format!("{PREFIX}{name}");
            let refused = smallest_with(&[(&name, value)]).unwrap_err();
            let said: Vec<String> = refused
                .faults()
                .map(|fault| format!("{} -> {}", fault.message(), fault.remedy()))
                .collect();
            let expected = format!("{name} {expected}");
            assert!(
                matches!(&said[..], [one] if one.starts_with(&expected)),
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
