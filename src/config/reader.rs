//! Takes values out of the settings one by one, and notes on the way what is wrong, what deserves a warning and what is
//! in force.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::Effective;
use super::environment::Environment;
use super::problem::{Origin, Source, Wrong};
use super::redact;
use super::schema;
use super::settings::{Settings, Value};
use super::value::{self, Written};
use crate::secret::Secret;

/// One pass over the settings. Methods that give `None` have noted what is wrong.
pub(super) struct Reader<'a> {
    /// What was written, and what is wrong with it so far.
    pub settings: Settings,
    /// Where `env:NAME` is looked up.
    pub environment: &'a Environment,
    /// The file, to name its lines.
    pub source: Option<Source<'a>>,
    /// What is not wrong, but worth knowing.
    pub warnings: Vec<String>,
    /// What is in force.
    pub effective: Vec<Effective>,
}

impl<'a> Reader<'a> {
    /// Nothing is read yet.
    pub(super) fn new(
        settings: Settings,
        environment: &'a Environment,
        source: Option<Source<'a>>,
    ) -> Self {
        Self {
            settings,
            environment,
            source,
            warnings: Vec::new(),
            effective: Vec::new(),
        }
    }
}

impl Reader<'_> {
    /// A value that has to be there.
    pub(super) fn required<T: Written>(&mut self, key: &str) -> Option<T> {
        if self.is_set(key) {
            return self.parsed(key, "", T::read);
        }
        self.missing(key)
    }

    /// A value, or the preset.
    pub(super) fn value<T: Written>(&mut self, key: &str, preset: &T) -> Option<T> {
        self.parsed(key, &preset.print(), T::read)
    }

    /// A value that `read` reads; where none is written, it reads `preset`.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        preset: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let written = self.settings.find(key).map(|setting| setting.value.clone());
        let text = match &written {
            Some(Value::Text(text)) => text,
            _ => preset,
        };
        self.note(key, text);
        match read(text) {
            Ok(value) => Some(value),
            Err(wrong) => self.refuse(key, wrong),
        }
    }

    /// A duration inside `range`, or the preset.
    pub(super) fn lifetime(
        &mut self,
        key: &str,
        preset: Duration,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.parsed(key, &preset.print(), |text| {
            let duration = Duration::read(text)?;
            if range.contains(&duration) {
                return Ok(duration);
            }
            let (least, most) = (range.start().print(), range.end().print());
            Err(Wrong::new(
                "is too short or too long",
                format!("write a duration from {least} to {most}"),
            ))
        })
    }

    /// A text as it is written.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.settings.find(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a flag is set to true.
    pub(super) fn flag(&self, key: &str) -> bool {
        let setting = self.settings.find(key);
        setting.is_some_and(|setting| matches!(setting.value, Value::Flag(true)))
    }

    /// A flag, or the preset.
    pub(super) fn flag_or(&mut self, key: &str, preset: bool) -> bool {
        let flag = match self.settings.find(key) {
            Some(_) => self.flag(key),
            None => preset,
        };
        self.note(key, &flag.to_string());
        flag
    }

    /// A list, each item read by `read`; empty where none is written.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        self.list_in_short(key, |texts| format!("[{}]", texts.join(", ")), read)
    }

    /// The same, with `in_short` to say what of the texts is shown.
    pub(super) fn list_in_short<T>(
        &mut self,
        key: &str,
        in_short: impl Fn(&[&str]) -> String,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        let items = self.items(key);
        let texts: Vec<&str> = items.iter().map(|(text, _)| text.as_str()).collect();
        self.note(key, &in_short(&texts));
        self.each(key, &items, |_, text| read(text))
    }

    /// Secrets, each `env:NAME`, `file:PATH` or the secret itself, with `fit` to say what of the text are secrets; empty where
    /// none is written.
    pub(super) fn secrets(
        &mut self,
        key: &str,
        fit: impl Fn(&str) -> Result<Vec<Secret>, Wrong>,
    ) -> Option<Vec<Secret>> {
        let items = self.items(key);
        self.note(key, &format!("[{}]", vec!["(set)"; items.len()].join(", ")));
        if items.iter().any(|(text, origin)| is_in_clear(text, origin)) {
            self.warn(key, IN_CLEAR);
        }
        let secrets = self.each(key, &items, |reader, text| fit(&reader.resolve(text)?))?;
        Some(secrets.into_iter().flatten().collect())
    }

    fn items(&self, key: &str) -> Vec<(String, Origin)> {
        match self.settings.find(key).map(|setting| &setting.value) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    fn each<T>(
        &mut self,
        key: &str,
        items: &[(String, Origin)],
        read: impl Fn(&Self, &str) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        let mut values = Some(Vec::new());
        for (text, origin) in items {
            match (read(self, text), &mut values) {
                (Ok(value), Some(values)) => values.push(value),
                (Ok(_), None) => {}
                (Err(wrong), _) => {
                    self.settings.refuse(key, origin, wrong);
                    values = None;
                }
            }
        }
        values
    }

    /// A secret that has to be there: `env:NAME`, `file:PATH`, or the secret itself.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret> {
        self.secret_as(key, one_word)
    }

    /// The same, with `fit` to say what of the text is the secret.
    pub(super) fn secret_as(
        &mut self,
        key: &str,
        fit: impl Fn(&str) -> Result<String, Wrong>,
    ) -> Option<Secret> {
        let setting = self.settings.find(key).cloned();
        let Some((Value::Text(text), origin)) =
            setting.map(|setting| (setting.value, setting.origin))
        else {
            return self.missing(key);
        };
        self.note(key, "(set)");
        if is_in_clear(&text, &origin) {
            self.warn(key, IN_CLEAR);
        }
        match self.resolve(&text).and_then(|clear| fit(&clear)) {
            Ok(clear) => Some(Secret::new(clear)),
            Err(wrong) => self.refuse(key, wrong),
        }
    }

    /// A text that is not shown, though it may stand in the file: `env:NAME`, `file:PATH`, or itself.
    pub(super) fn unseen(&mut self, key: &str) -> Option<String> {
        self.unseen_as(key, one_word)
    }

    /// The same, with `fit` to say what of the text is meant.
    pub(super) fn unseen_as(
        &mut self,
        key: &str,
        fit: impl Fn(&str) -> Result<String, Wrong>,
    ) -> Option<String> {
        let Some(Value::Text(text)) = self.settings.find(key).map(|setting| setting.value.clone())
        else {
            return self.missing(key);
        };
        self.note(key, "(set)");
        match self.resolve(&text).and_then(|clear| fit(&clear)) {
            Ok(clear) => Some(clear),
            Err(wrong) => self.refuse(key, wrong),
        }
    }

    /// A text that may be `env:NAME` or `file:PATH` as well.
    pub(super) fn referred(&mut self, key: &str) -> Option<String> {
        let Some(Value::Text(text)) = self.settings.find(key).map(|setting| setting.value.clone())
        else {
            return self.missing(key);
        };
        self.note(key, &text);
        match self.resolve(&text).and_then(|clear| one_word(&clear)) {
            Ok(clear) => Some(clear),
            Err(wrong) => self.refuse(key, wrong),
        }
    }

    /// What stands where `env:NAME` or `file:PATH` points.
    fn resolve(&self, text: &str) -> Result<String, Wrong> {
        if let Some(path) = text.strip_prefix("file:") {
            return value::file(Path::new(path));
        }
        let Some(name) = text.strip_prefix("env:") else {
            return Ok(text.to_owned());
        };
        let wrong = |how: &str| {
            let remedy = format!("set {name} where anteroom is started, or write file:PATH");
            let what = format!("names the environment variable {name}, which is {how}");
            Wrong::new(what, remedy)
        };
        match self.environment.value(name) {
            None => Err(wrong("not set")),
            Some(clear) if clear.trim().is_empty() => Err(wrong("empty")),
            Some(clear) => Ok(clear.to_owned()),
        }
    }

    /// Whether a key is written, rightly or not.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.settings.find(key).is_some()
    }

    /// Notes that a key has to be there, unless it is there and wrong.
    pub(super) fn missing<T>(&mut self, key: &str) -> Option<T> {
        if self.settings.is_refused(key) || self.settings.is_meant(key) {
            return None;
        }
        let word = key.rsplit('.').next().unwrap_or(key);
        let example = match schema::place(key) {
            schema::Place::Value(known) => known.example,
            _ => "",
        };
        self.refuse(
            key,
            Wrong::new("is missing", format!("write {word} = {example}")),
        )
    }

    /// Notes that something is wrong with a key.
    pub(super) fn refuse<T>(&mut self, key: &str, wrong: Wrong) -> Option<T> {
        let origin = self.settings.origin(key);
        self.settings.refuse(key, &origin, wrong);
        None
    }

    /// Notes a warning.
    pub(super) fn warn(&mut self, key: &str, what: &str) {
        let key_shown = schema::printed(key);
        let warning = match self.settings.origin(key) {
            Origin::Nowhere => format!("{key_shown} {what}"),
            origin => format!("{}: {key_shown} {what}", self.place(&origin)),
        };
        self.warnings.push(warning);
    }

    /// Notes what is in force.
    pub(super) fn note(&mut self, key: &str, value: &str) {
        let origin = match self.settings.find(key) {
            Some(setting) => self.place(&setting.origin),
            None => "default".to_owned(),
        };
        self.effective.push(Effective {
            key: schema::printed(key),
            value: if value.is_empty() {
                "\"\"".to_owned()
            } else {
                redact::shown(value, &[])
            },
            origin,
        });
    }

    fn place(&self, origin: &Origin) -> String {
        match (origin, &self.source) {
            (Origin::File(span), Some(source)) => source.line(span),
            (Origin::Variable(name), _) => name.clone(),
            _ => "default".to_owned(),
        }
    }
}

/// A secret or an id without the end of its line.
fn one_word(clear: &str) -> Result<String, Wrong> {
    let clear = clear.trim_end_matches(['\r', '\n']);
    // RFC 6749 appendix A.1, A.2: client_id and client_secret are visible ASCII.
    if clear.is_empty() || !clear.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Wrong::new(
            "is empty, or holds a space or a character that is not ASCII",
            "write it again as it was given: it may have been cut or quoted on the way",
        ));
    }
    Ok(clear.to_owned())
}

fn is_in_clear(text: &str, origin: &Origin) -> bool {
    matches!(origin, Origin::File(_)) && !redact::refers(text)
}

const IN_CLEAR: &str = "stands in the file in clear: write env:NAME or file:PATH instead";
