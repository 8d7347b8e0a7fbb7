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

/// The text without what is hidden; none: nothing is.
pub(super) fn sift(text: &str, reach: &Reach<'_>) -> Result<Option<String>, Unreadable> {
    let mut edits = Vec::new();
    match text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .as_bytes()
        .first()
    {
        Some(b'[') => {
            let batch: Vec<&RawValue> = read(text)?;
            for message in batch {
                sift_message(message.get(), reach, &mut edits)?;
            }
        }
        Some(b'{') => sift_message(text, reach, &mut edits)?,
        _ => {
            read::<IgnoredAny>(text)?;
        }
    }
    Ok((!edits.is_empty()).then(|| apply(text, edits)))
}

/// Another text in the place of a value.
struct Edit<'a> {
    value: &'a RawValue,
    text: String,
}

/// Only results hold lists: requests, notifications and errors stay as they are.
fn sift_message<'a>(
    message: &'a str,
    reach: &Reach<'_>,
    edits: &mut Vec<Edit<'a>>,
) -> Result<(), Unreadable> {
    let message = Members::read(message, &["result"])?;
    let Some(result) = message.get("result").filter(|result| is_object(result)) else {
        return Ok(());
    };
    let known = [
        Listing::ALL[0].member(),
        Listing::ALL[1].member(),
        Listing::ALL[2].member(),
        Listing::ALL[3].member(),
        "cacheScope",
    ];
    let result = Members::read(result.get(), &known)?;
    let before = edits.len();
    for listing in Listing::ALL {
        if let Some(list) = result.get(listing.member())
            && list.get().starts_with('[')
        {
            let entries: Vec<&RawValue> = read(list.get())?;
            let open: Vec<_> = entries
                .iter()
                .filter(|entry| is_open(entry, listing, reach))
                .map(|entry| entry.get())
                .collect();
            if open.len() < entries.len() {
                let text = format!("[{}]", open.join(","));
                edits.push(Edit { value: list, text });
            }
        }
    }
    // HTTP-28: what was made for one token is not for a cache that others share.
    if let Some(scope) = result.get("cacheScope").filter(|_| edits.len() > before) {
        let text = r#""private""#.to_owned();
        edits.push(Edit { value: scope, text });
    }
    Ok(())
}

/// Whether the token may call the entry. One that nobody could call by one name is hidden.
fn is_open(entry: &RawValue, listing: Listing, reach: &Reach<'_>) -> bool {
    let Ok(members) = Members::read(entry.get(), &[listing.key()]) else {
        return false;
    };
    let name = members.get(listing.key());
    let name = name.and_then(|name| read::<Text<'_>>(name.get()).ok());
    name.is_some_and(|Text(name)| listing.opens(reach, &name))
}

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
