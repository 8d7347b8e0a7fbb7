//! Lists in JSON-RPC answers: hidden entries are cut out of the text, and every other byte of it stays.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Listing;
use crate::resource::json::{Text, folds_to};
use crate::resource::reach::Reach;

/// It is not JSON, or two parsers could read it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// What came of a text.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// The text without what is hidden; none: it stays as it is.
    pub(super) text: Option<String>,
    /// Whether a request is answered in it.
    pub(super) has_answer: bool,
    /// How many entries are hidden.
    pub(super) hidden: usize,
    /// Some of those that would be open if they could be read in one way alone.
    pub(super) ambiguous: Vec<String>,
}

/// Hides what is not open.
pub(super) fn sift(text: &str, reach: &Reach<'_>) -> Result<Sifted, Unreadable> {
    let mut sieve = Sieve {
        reach,
        edits: Vec::new(),
        sifted: Sifted::default(),
    };
    match text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .as_bytes()
        .first()
    {
        Some(b'[') => {
            let batch: Vec<&RawValue> = read(text)?;
            for message in batch {
                sieve.sift_message(message.get())?;
            }
        }
        Some(b'{') => sieve.sift_message(text)?,
        _ => {
            read::<IgnoredAny>(text)?;
        }
    }
    let Sieve {
        edits, mut sifted, ..
    } = sieve;
    sifted.text = (!edits.is_empty()).then(|| apply(text, edits));
    Ok(sifted)
}

/// What is found while messages are read.
struct Sieve<'a, 'r> {
    reach: &'r Reach<'r>,
    edits: Vec<Edit<'a>>,
    sifted: Sifted,
}

/// Another text in the place of a value.
struct Edit<'a> {
    value: &'a RawValue,
    text: String,
}

impl<'a> Sieve<'a, '_> {
    /// Only results hold lists: requests, notifications and errors stay as they are.
    fn sift_message(&mut self, message: &'a str) -> Result<(), Unreadable> {
        let message = Members::read(message, &["result"])?;
        let result = message.get("result");
        let is_answer = result.is_some() || message.get("error").is_some();
        self.sifted.has_answer |= is_answer && message.get("method").is_none();
        let Some(result) = result.filter(|result| is_object(result)) else {
            return Ok(());
        };
        let known = [
            Listing::ALL[0].member(),
            Listing::ALL[1].member(),
            Listing::ALL[2].member(),
            Listing::ALL[3].member(),
            CACHE_SCOPE,
        ];
        let result = Members::read(result.get(), &known)?;
        let mut is_list = false;
        for listing in Listing::ALL {
            if let Some(list) = result.get(listing.member())
                && list.get().starts_with('[')
            {
                is_list = true;
                self.sift_list(list, listing)?;
            }
        }
        // HTTP-28: what others get otherwise is not for a cache that they share, even where this token sees all of it.
        let scope = result.get(CACHE_SCOPE).filter(|_| is_list);
        if let Some(scope) = scope.filter(|scope| scope.get() != PRIVATE) {
            let text = PRIVATE.to_owned();
            self.edits.push(Edit { value: scope, text });
        }
        Ok(())
    }

    fn sift_list(&mut self, list: &'a RawValue, listing: Listing) -> Result<(), Unreadable> {
        if !listing.can_hide(self.reach) {
            return Ok(());
        }
        let entries: Vec<&RawValue> = read(list.get())?;
        let mut open = Vec::with_capacity(entries.len());
        for entry in &entries {
            if self.is_open(entry, listing) {
                open.push(entry.get());
            }
        }
        if open.len() < entries.len() {
            self.sifted.hidden += entries.len() - open.len();
            let text = format!("[{}]", open.join(","));
            self.edits.push(Edit { value: list, text });
        }
        Ok(())
    }

    /// Whether the token may call the entry. One that nobody could call by one name is hidden.
    fn is_open(&mut self, entry: &RawValue, listing: Listing) -> bool {
        let Ok(members) = Members::read(entry.get(), &[listing.key()]) else {
            self.tell("(an entry with two names)");
            return false;
        };
        let name = members.get(listing.key());
        let Some(Text(name)) = name.and_then(|name| read::<Text<'_>>(name.get()).ok()) else {
            return false;
        };
        let is_open = listing.opens(self.reach, &name);
        if !is_open && listing.opens_one_reading(self.reach, &name) {
            self.tell(listing.shown(&name));
        }
        is_open
    }

    fn tell(&mut self, name: &str) {
        if self.sifted.ambiguous.len() < TOLD {
            let name = name.chars().take(TOLD_LENGTH).collect();
            self.sifted.ambiguous.push(name);
        }
    }
}

/// Who may keep an answer (MCP 2026-07-28).
const CACHE_SCOPE: &str = "cacheScope";

const PRIVATE: &str = r#""private""#;

/// Ambiguous entries of a list that are named.
const TOLD: usize = 10;

/// Characters of the name of one.
const TOLD_LENGTH: usize = 100;

/// Puts the edits in the places of the values, which lie apart in `text`.
fn apply(text: &str, mut edits: Vec<Edit<'_>>) -> String {
    let start = |edit: &Edit<'_>| edit.value.get().as_ptr().addr() - text.as_ptr().addr();
    edits.sort_by_key(start);
    let mut sifted = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in &edits {
        let start = start(edit);
        sifted.push_str(&text[copied..start]);
        sifted.push_str(&edit.text);
        copied = start + edit.value.get().len();
    }
    sifted.push_str(&text[copied..]);
    sifted
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|_| Unreadable)
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// The members of an object, as they stand in the text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members, if no two have the same name, and none is spelled almost like one of `known`: a client may take the
    /// other one.
    fn read(object: &'a str, known: &[&str]) -> Result<Self, Unreadable> {
        let members: Self = read(object)?;
        let mut names: Vec<&str> = members.0.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let stands_twice = names.windows(2).any(|pair| pair[0] == pair[1]);
        let is_almost = |name: &&str| {
            let like = |known: &&str| name != known && folds_to(name, known);
            known.iter().any(like)
        };
        if stands_twice || names.iter().any(is_almost) {
            return Err(Unreadable);
        }
        Ok(members)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
