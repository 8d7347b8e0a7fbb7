//! The text of `providers.toml` -> settings: TOML, with unknown keys and wrong types refused.

use std::ops::Range;

use serde_spanned::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::problem::{Origin, Problem, Wrong};
use super::redact;
use super::schema::{self, Known, Place, Shape};
use super::settings::{Setting, Settings, Value};

/// What must not be shown of a text.
pub(super) type Hidden = Vec<Range<usize>>;

/// Reads a file: the settings, with what is wrong with them. The error is for a text that is not TOML.
pub(super) fn read(text: &str) -> Result<(Settings, Hidden), (Problem, Hidden)> {
    let table = DeTable::parse(text).map_err(|error| {
        let origin = error.span().map_or(Origin::Nowhere, Origin::File);
        let what = format!("the file is not TOML: {}", error.message());
        let remedy = match error.message() {
            message if message.contains("duplicate") => "write each key and each [table] once",
            _ => r#"write key = "value", with texts in double quotes"#,
        };
        let wrong = Wrong::new(what, remedy);
        (wrong.at("", &origin), redact::unreadable(text))
    })?;
    let mut reader = Reader {
        settings: Settings::default(),
        hidden: Vec::new(),
    };
    reader.table("", table.get_ref());
    Ok((reader.settings, reader.hidden))
}

struct Reader {
    settings: Settings,
    hidden: Vec<Range<usize>>,
}

impl Reader {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            self.entry(path, key, value);
        }
    }

    fn entry(&mut self, path: &str, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let path = schema::join(path, key.get_ref());
        let origin = Origin::File(key.span());
        match (schema::place(&path), value.get_ref()) {
            (Place::Value(known), _) => self.value(&path, known, value),
            (Place::Table, DeValue::Table(table)) => {
                self.settings.open(&path, &origin);
                self.table(&path, table);
            }
            (Place::Tables, DeValue::Array(tables)) => self.tables(&path, &origin, tables),
            (Place::Table, _) => {
                let wrong = Wrong::new(
                    "is a table",
                    format!(
                        "write {}, and its keys on the lines below",
                        schema::header(&path)
                    ),
                );
                self.refuse(&path, &origin, wrong, value);
            }
            (Place::Tables, _) => self.refuse(&path, &origin, in_a_row(&path), value),
            (Place::Later, _) => self.refuse(&path, &origin, later(), value),
            (Place::Unknown, _) => {
                let near = schema::nearest(&path);
                self.refuse(&path, &origin, unknown(&path, near.as_deref()), value);
                self.settings.meant.extend(near);
            }
        }
    }

    fn tables(&mut self, path: &str, origin: &Origin, tables: &DeArray<'_>) {
        for (number, entry) in tables.iter().enumerate() {
            let numbered = format!("{path}.{number}");
            if let DeValue::Table(table) = entry.get_ref() {
                self.settings.open(&numbered, &Origin::File(entry.span()));
                self.table(&numbered, table);
            } else {
                self.refuse(path, origin, in_a_row(path), entry);
            }
        }
    }

    fn value(&mut self, path: &str, known: &Known, value: &Spanned<DeValue<'_>>) {
        let origin = Origin::File(value.span());
        match (known.shape, value.get_ref()) {
            (Shape::Secret | Shape::Secrets, _) => self.hide_secrets(value),
            (Shape::Words, DeValue::Array(words)) => {
                words.iter().skip(1).for_each(|word| self.hide(word));
            }
            (Shape::Words, _) => self.hide(value),
            _ => {}
        }
        let read = match (known.shape, value.get_ref()) {
            (Shape::Text | Shape::Secret, DeValue::String(text)) => {
                Some(Value::Text(text.to_string()))
            }
            (Shape::Flag, DeValue::Boolean(flag)) => Some(Value::Flag(*flag)),
            (Shape::Number, DeValue::Integer(number)) => {
                let number = u64::from_str_radix(number.as_str(), number.radix());
                number.ok().map(|number| Value::Text(number.to_string()))
            }
            (Shape::List | Shape::Secrets | Shape::Words, DeValue::Array(items)) => items
                .iter()
                .map(item)
                .collect::<Option<_>>()
                .map(Value::List),
            _ => None,
        };
        let Some(read) = read else {
            let written = match known.shape {
                Shape::Text | Shape::Secret => "is a text, in quotes",
                Shape::Flag => "is true or false, without quotes",
                Shape::List | Shape::Secrets | Shape::Words => "is a list of texts, in brackets",
                Shape::Number => "is a number, without quotes",
            };
            let word = path.rsplit('.').next().unwrap_or(path);
            let is_variable = known.key == "server.*.environment.*";
            let remedy = match value.get_ref() {
                DeValue::Array(_) | DeValue::Table(_) => None,
                // not itself: it may be a secret
                _ => is_variable.then(|| format!("write the value in quotes: {word} = \"...\"")),
            };
            let remedy = remedy.unwrap_or_else(|| format!("write {word} = {}", known.example));
            let wrong = Wrong::new(written, remedy);
            self.settings.refuse(path, &origin, wrong);
            return;
        };
        self.settings.put(Setting {
            key: path.to_owned(),
            value: read,
            origin,
        });
    }

    /// Refuses a key, and hides what stands behind it: nobody knows whether it is a secret.
    fn refuse(&mut self, path: &str, origin: &Origin, wrong: Wrong, value: &Spanned<DeValue<'_>>) {
        self.settings.refuse(path, origin, wrong);
        self.hide(value);
    }

    /// Hides a secret, or each of several, but for those that only say where they are.
    fn hide_secrets(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(text) if redact::refers(text) => {}
            DeValue::Array(items) => items.iter().for_each(|item| self.hide_secrets(item)),
            _ => self.hide(value),
        }
    }

    fn hide(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => table.values().for_each(|value| self.hide(value)),
            DeValue::Array(array) => array.iter().for_each(|value| self.hide(value)),
            _ => self.hidden.push(value.span()),
        }
    }
}

fn item(value: &Spanned<DeValue<'_>>) -> Option<(String, Origin)> {
    let text = value.get_ref().as_str()?;
    Some((text.to_owned(), Origin::File(value.span())))
}

fn in_a_row(path: &str) -> Wrong {
    Wrong::new(
        "is a list of tables",
        format!("write [[{path}]], in two brackets"),
    )
}

/// A key that other versions read.
pub(super) fn later() -> Wrong {
    Wrong::new(
        "is not in this version",
        "take it out: here it would do nothing",
    )
}

fn unknown(path: &str, near: Option<&str>) -> Wrong {
    let (table, word) = path.rsplit_once('.').unwrap_or(("", path));
    let remedy = match near {
        Some(near) => match near.rsplit_once('.') {
            Some((place, near)) if place == table => format!("did you mean {near}?"),
            None if table.is_empty() => format!("did you mean {near}?"),
            None => {
                format!("did you mean {near} at the top of the file, before the first [table]?")
            }
            Some((place, near)) => format!("did you mean {near} in [{place}]?"),
        },
        None => format!("known here: {}", schema::words_in(table).join(", ")),
    };
    let what = if word.is_empty() {
        "an empty key is unknown"
    } else {
        "is unknown"
    };
    Wrong::new(what, remedy)
}
