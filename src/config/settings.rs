//! What was written, wherever it was written: the settings of the file, with those of the environment laid over them.

use super::problem::{Origin, Problem, Wrong};

/// A value as it was written.
#[derive(Clone)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// Texts, each where it stands.
    List(Vec<(String, Origin)>),
}

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct Setting {
    /// The dotted key.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Where the value stands.
    pub origin: Origin,
}

/// Everything that was written.
#[derive(Default)]
pub(super) struct Settings {
    /// In the order of the file.
    entries: Vec<Setting>,
    /// The tables with a name or a number of their own: `provider.github`, `server.0`.
    tables: Vec<(String, Origin)>,
    /// What was wrong already.
    pub problems: Vec<Problem>,
    /// Keys that are not there, but were probably meant by an unknown key.
    pub meant: Vec<String>,
}

impl Settings {
    /// Writes a value, over the one that is there.
    pub(super) fn put(&mut self, setting: Setting) {
        match self
            .entries
            .iter_mut()
            .find(|entry| entry.key == setting.key)
        {
            Some(entry) => *entry = setting,
            None => self.entries.push(setting),
        }
    }

    /// Takes out every value in a table, so that another table can stand in its place.
    pub(super) fn clear(&mut self, table: &str) {
        self.entries
            .retain(|entry| inside(&entry.key, table).is_none());
    }

    /// Opens a table, unless it is open.
    pub(super) fn open(&mut self, table: &str, origin: &Origin) {
        if self.table(table).is_none() {
            self.tables.push((table.to_owned(), origin.clone()));
        }
    }

    /// Where a table was opened.
    pub(super) fn table(&self, table: &str) -> Option<&Origin> {
        self.tables
            .iter()
            .find(|(name, _)| name == table)
            .map(|(_, origin)| origin)
    }

    /// The names of the tables in `table`, with where they were opened.
    pub(super) fn tables_in(&self, table: &str) -> Vec<(String, Origin)> {
        self.tables
            .iter()
            .filter_map(|(name, origin)| Some((inside(name, table)?.to_owned(), origin.clone())))
            .collect()
    }

    /// The numbers of the tables in a row in `table`, from 0 without a gap. None: one comes out of turn.
    pub(super) fn numbered_tables(&mut self, table: &str) -> Option<Vec<String>> {
        let mut tables = self.tables_in(table);
        // `server.0.identity` is a table in one of them
        tables.retain(|(name, _)| !name.contains('.'));
        // the environment knows an order of texts alone, in which 10 stands before 2
        tables.sort_by_key(|(name, _)| name.parse::<usize>().ok());
        for (number, (name, origin)) in tables.iter().enumerate() {
            if *name != number.to_string() {
                let remedy = format!("count from 0: the next one is {table} {number}");
                let wrong = Wrong::new("comes out of turn", remedy);
                self.refuse(&format!("{table}.{name}"), origin, wrong);
                return None;
            }
        }
        Some(tables.into_iter().map(|(name, _)| name).collect())
    }

    /// The value of a key.
    pub(super) fn find(&self, key: &str) -> Option<&Setting> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The names of the values in a table.
    pub(super) fn names_in(&self, table: &str) -> Vec<String> {
        self.entries
            .iter()
            .filter_map(|entry| inside(&entry.key, table))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Where a key stands; where it does not, the table it belongs to.
    pub(super) fn origin(&self, key: &str) -> Origin {
        if let Some(setting) = self.find(key) {
            return setting.origin.clone();
        }
        let mut table = key;
        loop {
            if let Some(origin) = self.table(table) {
                return origin.clone();
            }
            match table.rsplit_once('.') {
                Some((parent, _)) => table = parent,
                None => return Origin::Nowhere,
            }
        }
    }

    /// Whether an unknown key was probably meant to be this one, so that its absence needs no word of its own.
    pub(super) fn is_meant(&self, key: &str) -> bool {
        self.meant.iter().any(|meant| meant == key)
    }

    /// Whether something is wrong with a key already.
    pub(super) fn is_refused(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key == key)
    }

    /// Notes a problem.
    pub(super) fn refuse(&mut self, key: &str, origin: &Origin, wrong: Wrong) {
        self.problems.push(wrong.at(key, origin));
    }
}

/// What is left of `key` inside `table`.
fn inside<'a>(key: &'a str, table: &str) -> Option<&'a str> {
    key.strip_prefix(table)?.strip_prefix('.')
}
