//! `server.command`: an MCP server that is started as a child, and everything that goes with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::preset;
use super::problem::Wrong;
use super::reader::Reader;
use super::redact;
use super::variable::PREFIX;
use super::{ChildSessions, Command, Told};
use crate::secret::Secret;

/// What is read besides `command`, and does nothing without it.
const BESIDES: [&str; 6] = [
    "environment",
    "directory",
    "sessions",
    "idle",
    "children",
    "upstream_token_variable",
];

/// The command of a server. `told` is what the child is told of the caller.
pub(super) fn command(reader: &mut Reader<'_>, server: &str, told: Told) -> Option<Command> {
    let key = |word: &str| format!("{server}.{word}");
    let words = words(reader, &key("command"));
    let environment = environment(reader, &key("environment"));
    let directory = directory(reader, &key("directory"));
    let sessions = reader.value(&key("sessions"), &ChildSessions::PerUser);
    let idle = reader.lifetime(&key("idle"), preset::CHILD_IDLE, MINUTE..=DAY);
    let children = reader.value(&key("children"), &preset::CHILDREN);
    let variable = variable(reader, &key("upstream_token_variable"), told);
    if sessions == Some(ChildSessions::Shared) && reader.is_set(&key("children")) {
        let what = "does nothing: sessions is \"shared\", so there is one child";
        reader.warn(&key("children"), what);
    }
    let (environment, variable) = (environment?, variable?);
    if told.upstream_token && environment.iter().any(|(name, _)| *name == variable) {
        let remedy = "write another name in upstream_token_variable, or take this one out";
        let wrong = Wrong::new("is where the provider's token of the caller goes", remedy);
        return reader.refuse(&key(&format!("environment.{variable}")), wrong);
    }
    Some(Command {
        words: words?,
        environment,
        directory: directory?,
        sessions: sessions?,
        idle: idle?,
        children: children?,
        upstream_token_variable: variable,
        in_clear: Vec::new(),
    })
}

impl Command {
    /// The program, and how many arguments it has. They themselves may be secrets: many programs want them there.
    #[must_use]
    pub fn in_short(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        in_short(&words)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("words", &self.in_short())
            .field("environment", &self.environment)
            .field("directory", &self.directory)
            .field("sessions", &self.sessions)
            .field("idle", &self.idle)
            .field("children", &self.children)
            .field("upstream_token_variable", &self.upstream_token_variable)
            .finish_non_exhaustive()
    }
}

fn in_short(words: &[&str]) -> String {
    let Some((program, arguments)) = words.split_first() else {
        return String::new();
    };
    let program = redact::shown(program, &[]);
    match arguments.len() {
        0 => program,
        1 => format!("{program} with 1 argument"),
        count => format!("{program} with {count} arguments"),
    }
}

/// Whether one child is for everybody.
pub(super) fn is_shared(reader: &Reader<'_>, server: &str) -> bool {
    reader.text(&format!("{server}.sessions")) == Some("shared")
}

/// Refuses what is about a command, at a server that has none.
pub(super) fn refuse_besides(reader: &mut Reader<'_>, server: &str) -> Option<()> {
    let mut nothing = Some(());
    for word in BESIDES {
        let key = format!("{server}.{word}");
        if reader.is_set(&key) || reader.settings.table(&key).is_some() {
            let remedy = "take it out: this server is not started by anteroom";
            nothing = reader.refuse(&key, Wrong::new("is about a command", remedy));
        }
    }
    nothing
}

fn words(reader: &mut Reader<'_>, key: &str) -> Option<Vec<String>> {
    let words = reader.list_in_short(key, in_short, word)?;
    let example = r#"write the program and each of its arguments, such as ["npx", "-y", "x"]"#;
    let first = words.first().map_or("", String::as_str);
    let program = first.trim();
    if program.is_empty() {
        return reader.refuse(key, Wrong::new("names no program", example));
    }
    if program != first {
        let remedy = "take it out: no program is found under such a name";
        let wrong = Wrong::new("has white space before or behind the program", remedy);
        return reader.refuse(key, wrong);
    }
    // `npx -y x` as one word: no program on the PATH is called so
    let name = program.split_whitespace().next().unwrap_or_default();
    if words.len() == 1 && name != program && !name.contains('/') {
        let remedy = format!("no shell takes it apart: {example}");
        return reader.refuse(key, Wrong::new("is one word with spaces in it", remedy));
    }
    Some(words)
}

fn word(text: &str) -> Result<String, Wrong> {
    if text.contains('\0') {
        return Err(holds_nul());
    }
    Ok(text.to_owned())
}

/// The variables of the child, in the order of the file.
fn environment(reader: &mut Reader<'_>, table: &str) -> Option<Vec<(String, Secret)>> {
    if reader.settings.is_refused(table) {
        return None;
    }
    let names = reader.settings.names_in(table);
    let variables: Vec<Option<_>> = names
        .into_iter()
        .map(|name| {
            let key = format!("{table}.{name}");
            let value = reader.unseen_as(&key, variable_value)?;
            match variable_name(&name) {
                Ok(()) => Some((name, Secret::new(value))),
                Err(wrong) => reader.refuse(&key, wrong),
            }
        })
        .collect();
    variables.into_iter().collect()
}

fn variable_value(text: &str) -> Result<String, Wrong> {
    if text.contains('\0') {
        return Err(holds_nul());
    }
    // a file ends with the end of a line
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// POSIX.1-2024 base definitions §8.1, with small letters as well.
pub(super) fn is_variable(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = name.bytes().next();
    first.is_some_and(|byte| !byte.is_ascii_digit()) && name.bytes().all(is_word)
}

/// Whether a variable is one of ours, in any letters.
pub(super) fn is_ours(name: &str) -> bool {
    name.to_ascii_uppercase().starts_with(PREFIX)
}

fn variable_name(name: &str) -> Result<(), Wrong> {
    if !is_variable(name) {
        return Err(Wrong::new(
            "is not the name of a variable",
            "write letters, digits and _, and no digit at the beginning",
        ));
    }
    if is_ours(name) {
        return Err(Wrong::new(
            "begins with ANTEROOM_, which is how children are told who calls",
            "write another name",
        ));
    }
    Ok(())
}

#[expect(
    clippy::option_option,
    reason = "the outer one is for wrong, as everywhere in these files"
)]
fn directory(reader: &mut Reader<'_>, key: &str) -> Option<Option<PathBuf>> {
    if !reader.is_set(key) {
        reader.note(key, "where anteroom runs");
        return Some(None);
    }
    let read = |text: &str| {
        let is_there = !text.contains('\0') && Path::new(text).is_dir();
        is_there.then(|| Some(PathBuf::from(text))).ok_or_else(|| {
            Wrong::new(
                "names a folder that is not there",
                "make it, or name another; relative paths begin where anteroom is started",
            )
        })
    };
    reader.parsed(key, "", read)
}

/// Where the child finds the provider's token of the caller.
fn variable(reader: &mut Reader<'_>, key: &str, told: Told) -> Option<String> {
    let preset = preset::UPSTREAM_TOKEN_VARIABLE;
    if reader.is_set(key) && !told.upstream_token {
        reader.warn(key, "does nothing: upstream_token of identity is false");
    }
    reader.parsed(key, preset, |text| {
        if text != preset {
            variable_name(text)?;
        }
        Ok(text.to_owned())
    })
}

fn holds_nul() -> Wrong {
    Wrong::new("holds a NUL", "take it out: no program can be given one")
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_a_child_has_a_name_as_in_posix_and_none_of_ours() {
        for (name, accepted) in [
            ("NODE_ENV", true),
            ("_x1", true),
            ("http_proxy", true),
            ("ANTEROOM", true),
            ("", false),
            ("1A", false),
            ("A-B", false),
            ("A.B", false),
            ("A=B", false),
            ("A\0", false),
            ("\u{c4}", false),
            ("ANTEROOM_USER", false),
            ("Anteroom_user", false),
        ] {
            assert_eq!(variable_name(name).is_ok(), accepted, "{name:?}");
        }
    }
}
