//! From the command line's point of view: a path and the environment in, the settings or a report out.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

use super::environment::Environment;
use super::problem::{Refused, Source};
use super::reader::Reader;
use super::settings::Settings;
use super::value::MAX_FILE;
use super::{Config, check, file};

/// The settings, and what there is to say about them.
#[derive(Debug)]
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
    /// A table of the settings in force and where each comes from, without a secret.
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
        text
    }
}

/// Reads the settings of `path` and lays those of the environment over them. Without a path, `providers.toml` in the
/// working directory is read if it is there.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Loaded, Refused> {
    let name = path.unwrap_or(Path::new(FILE_NAME));
    let shown = name.display().to_string();
    match std::fs::metadata(name) {
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_none() => {
            return read(None, environment);
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
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Refused::plain(
            format!("{shown}:{line} is not UTF-8"),
            "save the file as UTF-8",
        )
    })?;
    let source = Source {
        name: &shown,
        text: &text,
    };
    read(Some(source), environment)
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
    let mut reader = Reader {
        settings,
        environment,
        source,
        warnings: Vec::new(),
        effective: Vec::new(),
    };
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
client_id = "Iv1.0123456789abcdef"
client_secret = "env:GITHUB_CLIENT_SECRET"
allow.orgs = ["acme"]
"#;
