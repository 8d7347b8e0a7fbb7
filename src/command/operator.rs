//! What an operator asks of a running server from the command line: `sessions`, `clients`, `keys`.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{Outcome, run, say};
use crate::admin::{ClientLine, ClientWhole, KeyKind, KeyLine, Line, Order, SessionLine, ask};
use crate::clock::UnixTime;
use crate::config;
use crate::config::environment::Environment;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which server: the one that runs with this directory, or with that of this configuration.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// `data_dir` itself.
    pub data_dir: Option<PathBuf>,
    /// The configuration; absent: providers.toml in this directory, if it is there.
    pub config: Option<PathBuf>,
}

impl Target {
    fn data_dir(&self) -> Result<PathBuf, config::Refused> {
        match &self.data_dir {
            Some(named) => Ok(named.clone()),
            None => config::data_dir(self.config.as_deref(), &Environment::of_process()),
        }
    }
}

/// Gives `order` to the server that runs, and writes its answer.
///
/// # Errors
/// Where none runs, or it could not do what was ordered.
pub fn order(target: &Target, order: Order, form: Form) -> Outcome {
    let data_dir = target.data_dir()?;
    run(async move {
        let said = ask(&data_dir, &order, |line| {
            written(&match form {
                Form::Text => text(&line),
                Form::Json => json(&line),
            })
        })
        .await?;
        match form {
            Form::Text if !said.is_empty() => say(&format!("{said}\n")),
            Form::Json if is_a_deed(&order) => say(&json(&Line::Done { said })),
            _ => {}
        }
        Ok(())
    })
}

/// Whether what came of it is all that is told.
fn is_a_deed(order: &Order) -> bool {
    matches!(order, Order::RevokeSessions(_) | Order::RemoveClient { .. })
}

/// Writes to standard output, if anybody reads it still.
fn written(text: &str) -> ControlFlow<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

fn json(line: &Line) -> String {
    // numbers and text alone: there is nothing in it that JSON cannot hold
    let mut written = serde_json::to_string(line).unwrap_or_default();
    written.push('\n');
    written
}

fn text(line: &Line) -> String {
    match line {
        Line::Session(session) => session_text(session),
        Line::Client(client) => client_text(client),
        Line::ClientWhole(client) => whole_text(client),
        Line::Key(key) => key_text(key),
        _ => String::new(),
    }
}

fn session_text(session: &SessionLine) -> String {
    let login = session.login.as_deref().map(shown).unwrap_or_default();
    let name = session.client_name.as_deref().map(shown);
    format!(
        "{id}\n  person   {person}  {login}\n  client   {client}  {name}\n  resource {resource}\n  scopes   {scopes}\n  \
         since    {created}   last used {used}   vouched for {checked}   ends {expires}\n",
        id = session.id,
        person = shown(&session.person),
        client = shown(&session.client),
        name = name.unwrap_or_default(),
        resource = session.resource,
        scopes = session.scopes,
        created = moment(session.created),
        used = moment(session.used),
        checked = session.checked.map_or_else(|| "never".to_owned(), moment),
        expires = moment(session.expires),
    )
}

fn client_text(client: &ClientLine) -> String {
    let name = client.name.as_deref().map(shown).unwrap_or_default();
    let until = client.expires.map(|at| format!("until {}", moment(at)));
    format!(
        "{:10}  {}  {name}  {}\n",
        client.source,
        shown(&client.id),
        until.unwrap_or_default()
    )
}

fn whole_text(client: &ClientWhole) -> String {
    let places = client.redirect_uris.iter();
    let places = places.map(|uri| format!("  redirect URI    {}\n", shown(uri)));
    format!(
        "{short}{places}  authentication  {authentication}\n  scopes          {scopes}\n  sessions        {sessions}\n",
        short = client_text(&client.short),
        places = places.collect::<String>(),
        authentication = client.authentication,
        scopes = client.scopes.as_deref().unwrap_or("every one"),
        sessions = client.sessions,
    )
}

fn key_text(key: &KeyLine) -> String {
    let kind = match key.kind {
        KeyKind::Signing => "signing",
        KeyKind::Sealing => "sealing",
    };
    let made = key.made.map(|at| format!("made {}", moment(at)));
    let until = key.until.map(|at| format!("until {}", moment(at)));
    format!(
        "{kind}  {id}  {algorithm:7}  {state:9}  {made}  {until}\n",
        id = key.id,
        algorithm = key.algorithm,
        state = key.state,
        made = made.unwrap_or_default(),
        until = until.unwrap_or_default(),
    )
}

/// A moment in UTC: `2026-11-21 10:33`.
fn moment(at: i64) -> String {
    let Some(at) = UnixTime(at).utc() else {
        return "never".to_owned();
    };
    let (date, time) = (at.date(), at.time());
    format!("{date} {:02}:{:02}", time.hour(), time.minute())
}

/// Text that somebody else chose, for a terminal: what could move the cursor or turn the line round is shown as its code.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' '..='~' => c.to_string(),
            c if c.is_alphanumeric() => c.to_string(),
            c => c.escape_unicode().to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_named_does_nothing_to_a_terminal() {
        for (text, expected) in [
            ("Claude Code", "Claude Code"),
            ("Jürgen 王", "Jürgen 王"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\nb", "a\\u{a}b"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(moment(0), "1970-01-01 00:00");
        assert_eq!(moment(1_795_257_180), "2026-11-21 10:33");
        assert_eq!(moment(i64::MAX), "never");
    }
}
