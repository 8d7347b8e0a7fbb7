//! From the command line's point of view: a path and the environment in, the settings or a report out.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::problem::{Refused, Source};
use super::reader::Reader;
use super::settings::Settings;
use super::value::MAX_FILE;
use super::{Config, check, file, preset, value};

/// The settings, and what there is to say about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings in force.
    pub config: Config,
    /// What is not wrong, but worth knowing; each names the key and where it stands.
    pub warnings: Vec<String>,
    /// What is in force and where it comes from, in the order of the reference.
    pub effective: Vec<Effective>,
}

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The dotted key.
    pub key: String,
    /// The value; `(set)` for a secret.
    pub value: String,
    /// `providers.toml:7`, the name of an environment variable, or `default`.
    pub origin: String,
}

impl Loaded {
    /// A table of the settings in force and where each comes from, without a secret; then who may enter, in words.
    #[must_use]
    pub fn explain(&self) -> String {
        let width = |column: fn(&Effective) -> &str| {
            let widths = self
                .effective
                .iter()
                .map(|line| column(line).chars().count());
            widths.max().unwrap_or_default().min(60)
        };
        let (keys, values) = (width(|line| &line.key), width(|line| &line.value));
        let mut text = String::new();
        for Effective { key, value, origin } in &self.effective {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key:keys$}  {value:values$}  {origin}");
        }
        let _ = write!(text, "\n{}", self.config.summary());
        text
    }
}

/// Reads the settings of `path` and lays those of the environment over them. Without a path, `providers.toml` in the
/// working directory is read if it is there.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Loaded, Refused> {
    let file = text_of(path)?;
    let source = file.as_ref().map(|(name, text)| Source { name, text });
    read(source, environment)
}

/// Reads `data_dir` alone, whatever else is wrong with the settings: who asks a running server something may not have all
/// the variables that the server was started with.
///
/// # Errors
/// Where the file cannot be read, is no TOML, or `data_dir` is wrong.
pub fn data_dir(path: Option<&Path>, environment: &Environment) -> Result<PathBuf, Refused> {
    let file = text_of(path)?;
    let source = file.as_ref().map(|(name, text)| Source { name, text });
    let mut settings = match source {
        Some(source) => {
            file::read(source.text)
                .map_err(|(problem, hidden)| Refused::new(Some(source), &hidden, vec![problem]))?
                .0
        }
        None => Settings::default(),
    };
    environment.lay_over(&mut settings);
    settings.problems.clear();
    let mut reader = Reader::new(settings, environment, source);
    let read = reader.parsed("data_dir", preset::DATA_DIR, value::path);
    read.ok_or_else(|| Refused::new(source, &[], reader.settings.problems))
}

/// The name and the text of the file of settings; none: there is none, and none was named.
fn text_of(path: Option<&Path>) -> Result<Option<(String, String)>, Refused> {
    let name = path.unwrap_or(Path::new(FILE_NAME));
    let shown = name.display().to_string();
    match std::fs::metadata(name) {
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_none() => {
            return Ok(None);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(absent(&format!("there is no {shown}")));
        }
        Err(error) => {
            return Err(Refused::plain(
                format!("{shown} cannot be read: {error}"),
                READABLE,
            ));
        }
        Ok(about) if !about.is_file() || about.len() > MAX_FILE => {
            let what = format!("{shown} is not a regular file of at most 1 MiB");
            return Err(Refused::plain(what, READABLE));
        }
        Ok(_) => {}
    }
    let bytes = std::fs::read(name)
        .map_err(|error| Refused::plain(format!("{shown} cannot be read: {error}"), READABLE))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        Refused::plain(
            format!("{shown}:{line} is not UTF-8"),
            "save the file as UTF-8",
        )
    })?;
    Ok(Some((shown, text)))
}

/// Reads the settings of a text and lays those of the environment over them.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(source: Option<Source<'_>>, environment: &Environment) -> Result<Loaded, Refused> {
    let (mut settings, hidden) = match source {
        Some(source) => match file::read(source.text) {
            Ok(read) => read,
            Err((problem, hidden)) => {
                return Err(Refused::new(Some(source), &hidden, vec![problem]));
            }
        },
        None if environment.is_empty() => return Err(absent("there are no settings")),
        None => (Settings::default(), Vec::new()),
    };
    environment.lay_over(&mut settings);
    let mut reader = Reader::new(settings, environment, source);
    let config = check::config(&mut reader);
    let Reader {
        settings,
        warnings,
        effective,
        ..
    } = reader;
    match config {
        Some(config) if settings.problems.is_empty() => Ok(Loaded {
            config,
            warnings,
            effective,
        }),
        _ => Err(Refused::new(source, &hidden, settings.problems)),
    }
}

fn absent(what: &str) -> Refused {
    Refused::plain(
        what,
        format!(
            "write a {FILE_NAME} like this, and start anteroom beside it or with --config:\n\n{SMALLEST}"
        ),
    )
}

const FILE_NAME: &str = "providers.toml";
const READABLE: &str = "name a providers.toml that anteroom may read";

/// The smallest useful file.
const SMALLEST: &str = r#"public_url = "https://mcp.example.com"
backend = "http://localhost:9000/mcp"

[provider.github]
client_id = "Ov23li0123456789abcd"
client_secret = "env:GITHUB_CLIENT_SECRET"
allow.orgs = ["acme"]
"#;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::schema;

    const REFERENCE: &str = include_str!("../../providers.toml");
    /// The secret that no output may hold.
    const SECRET: &str = "s3cr3t-0123456789abcdef";

    fn environment() -> Environment {
        let variables = [("GITHUB_CLIENT_ID", "id"), ("GITHUB_CLIENT_SECRET", SECRET)];
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn read_text(text: &str) -> Result<Loaded, Refused> {
        let name = "providers.toml";
        read(Some(Source { name, text }), &environment())
    }

    #[test]
    fn the_reference_loads_as_it_is() {
        let loaded = read_text(REFERENCE).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }

    #[test]
    fn what_the_reference_calls_a_default_is_the_default() {
        let commented = read_text(REFERENCE).unwrap();
        let written: Vec<&str> = REFERENCE
            .lines()
            .map(|line| {
                line.strip_prefix('#')
                    .filter(|rest| !rest.is_empty() && !rest.starts_with(' '))
                    .unwrap_or(line)
            })
            .collect();
        let written = read_text(&written.join("\n")).unwrap();
        // These have no default that could be written.
        let unwritten = [
            "sealing_key",
            "provider.github.allow.users",
            "provider.github.allow.teams",
            "provider.github.allow.emails",
            "scope_policy.default",
            "sealing_keys_before",
            "tokens.signing_key",
        ];
        assert_eq!(commented.effective.len(), written.effective.len());
        for (left, right) in commented.effective.iter().zip(&written.effective) {
            assert_eq!((&left.key, &left.value), (&right.key, &right.value));
            let is_written = right.origin.starts_with("providers.toml:");
            assert_eq!(
                is_written,
                !unwritten.contains(&right.key.as_str()),
                "{right:?}"
            );
        }
    }

    #[test]
    fn the_reference_has_every_key_and_no_other() {
        let mut table = String::new();
        let mut found: Vec<&str> = Vec::new();
        for line in REFERENCE.lines() {
            let line = line.trim_start_matches('#').trim_start();
            if let Some(header) = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                table = header
                    .trim_matches(['[', ']'])
                    .replace("server", "server.0")
                    .replace("clients.known", "clients.known.0");
            } else if let Some((key, _)) =
                line.split_once(" = ").filter(|(key, _)| !key.contains(' '))
            {
                let key = schema::join(&table, key);
                match schema::place(&key) {
                    schema::Place::Value(known) => found.push(known.key),
                    _ => panic!("{key} is in providers.toml, and unknown"),
                }
            }
        }
        for known in schema::KNOWN {
            assert!(
                found.contains(&known.key),
                "{} is not in providers.toml",
                known.key
            );
        }
    }

    /// Every table and key of the reference, as it stands there.
    #[test]
    fn what_the_reference_shows_in_comments_loads_too() {
        let shown = REFERENCE.lines().map(|line| {
            let rest = line.trim_start_matches('#').trim_start();
            let is_key = rest
                .split_once(" = ")
                .is_some_and(|(key, _)| !key.contains(' '));
            let is_shown = is_key || rest.starts_with('[') && rest.ends_with(']');
            // these contradict what stands beside them, or name files of nobody
            let is_other = [
                "allow.anyone",
                "sample",
                "directory",
                "sealing_key",
                "signing_key",
                "backend = \"http://localhost",
            ]
            .iter()
            .any(|word| rest.starts_with(word));
            if is_shown && !is_other { rest } else { "" }
        });
        let text: Vec<&str> = shown.collect();
        let text = text
            .join("\n")
            .replacen("path = \"/mcp\"", "path = \"/mcp\"\nsample = true", 1);
        let variables = [
            ("GITHUB_CLIENT_ID", "id"),
            ("GITHUB_CLIENT_SECRET", SECRET),
            ("GOOGLE_CLIENT_ID", "id"),
            ("GOOGLE_CLIENT_SECRET", SECRET),
            ("CORP_CLIENT_SECRET", SECRET),
            ("REGISTRATION_TOKEN", SECRET),
            (
                "CI_SECRET_SHA256",
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let source = Source {
            name: "providers.toml",
            text: &text,
        };
        let loaded = read(Some(source), &variables.into_iter().collect());
        let loaded = loaded.unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(loaded.config.providers.len(), 3);
        assert_eq!(loaded.config.servers.len(), 2);
        assert_eq!(loaded.config.roles[0].1.len(), 2);
    }

    #[test]
    fn the_settings_in_force_are_told_without_a_secret() {
        for secret in ["env:GITHUB_CLIENT_SECRET", SECRET] {
            let text = REFERENCE
                .replace("env:GITHUB_CLIENT_SECRET", secret)
                .replace(
                    "#proxy = \"\"",
                    &format!("proxy = \"http://me:{SECRET}@proxy:3128\""),
                );
            let loaded = read_text(&text).unwrap();
            let explained = loaded.explain();
            assert!(!explained.contains(SECRET), "{explained}");
            assert!(!format!("{loaded:?}").contains(SECRET));
            let line = explained
                .lines()
                .find(|line| line.starts_with("provider.github.client_secret "))
                .unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(
                matches!(words[..], [_, "(set)", origin] if origin.starts_with("providers.toml:")),
                "{line}"
            );
        }
    }

    /// The reference, with a secret in it and a few places torn.
    fn torn() -> impl Strategy<Value = String> {
        let text = REFERENCE.replace("env:GITHUB_CLIENT_SECRET", SECRET);
        let tears = prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                0_usize..4,
                "[a-z=\"'\n\\[\\]#. \u{e4}]{0,3}",
            ),
            1..5,
        );
        tears.prop_map(move |tears| {
            let mut torn = text.clone();
            for (index, length, insert) in tears {
                let starts: Vec<usize> = torn.char_indices().map(|(at, _)| at).collect();
                let from = index.index(starts.len());
                let start = starts[from];
                let end = starts.get(from + length).copied().unwrap_or(torn.len());
                torn.replace_range(start..end, &insert);
            }
            torn
        })
    }

    fn check_quiet(text: &str) -> Result<(), TestCaseError> {
        let (said, debug) = match read_text(text) {
            Ok(loaded) => (
                loaded.explain() + &loaded.warnings.join("\n"),
                format!("{loaded:?}"),
            ),
            Err(refused) => (refused.to_string(), format!("{refused:?}")),
        };
        prop_assert!(!said.contains(SECRET), "{}", said);
        prop_assert!(!debug.contains(SECRET), "{}", debug);
        Ok(())
    }

    proptest! {
        #[test]
        fn no_tear_in_a_file_shows_a_secret(text in torn()) {
            check_quiet(&text)?;
        }

        #[test]
        fn no_text_is_too_much(text in "([a-z_]{1,8}|provider|server|scopes|[\"'=\n\\[\\]{}#., ]|[0-9]|\\PC){0,40}") {
            check_quiet(&text)?;
        }

        #[test]
        fn no_environment_is_too_much(variables in prop::collection::vec(("[A-Z0-9_a-z\u{e4}]{0,12}(_CLIENT_ID|_PATH|_ALLOW_ORGS)?", "\\PC{0,12}"), 0..5)) {
            let variables = variables.into_iter().flat_map(|(name, value)| {
                ["", "PROVIDER_", "SERVER_", "TOKENS_"].map(|table| (format!("ANTEROOM_{table}{name}"), value.clone()))
            });
            let _ = read(None, &variables.collect()).map_err(|refused| refused.to_string());
        }
    }
}
