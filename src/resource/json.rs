//! The members of a JSON-RPC message that the gate judges, read in one pass and without building the rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A message as it stands in the body; whether it makes sense is for [`super::message`] to say.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    pub(super) jsonrpc: Field<'a>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) method: Field<'a>,
    pub(super) params: Params<'a>,
    pub(super) is_answer: bool,
}

/// What is judged of `params`.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    pub(super) name: Field<'a>,
    pub(super) uri: Field<'a>,
    pub(super) task: Field<'a>,
    pub(super) reference: Reference<'a>,
    pub(super) subscribed: Filter<'a>,
    pub(super) meta: Meta<'a>,
}

/// `params.ref` of `completion/complete`.
#[derive(Debug, Default)]
pub(super) struct Reference<'a> {
    pub(super) name: Field<'a>,
    pub(super) uri: Field<'a>,
}

/// What is judged of `params._meta`.
#[derive(Debug, Default)]
pub(super) struct Meta<'a> {
    pub(super) version: Field<'a>,
    pub(super) capabilities: Field<'a>,
}

/// A member that should be a text.
#[derive(Debug, Default)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Object,
    Other,
}

/// A body: one message, or a batch of them.
#[derive(Debug)]
pub(super) enum Messages<'a> {
    One(Box<Members<'a>>),
    Batch(Vec<Members<'a>>),
}

/// Entries that a batch may have: each costs memory and a judgement.
const BATCH_LIMIT: usize = 100;

/// Members that an object may have at the levels that are read: duplicates are looked for among them.
const MEMBERS_LIMIT: usize = 128;

impl<'de: 'a, 'a> Deserialize<'de> for Messages<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MessagesVisitor)
    }
}

struct MessagesVisitor;

impl<'de> Visitor<'de> for MessagesVisitor {
    type Value = Messages<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut members = Box::<Members<'de>>::default();
        members.read_members(map)?;
        Ok(Messages::One(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut batch = Vec::new();
        loop {
            let mut members = Members::default();
            if seq.next_element_seed(Fill(&mut members))?.is_none() {
                return Ok(Messages::Batch(batch));
            }
            if batch.len() == BATCH_LIMIT {
                return Err(A::Error::custom("too many messages in one batch"));
            }
            batch.push(members);
        }
    }
}

/// An object of which some members are read.
trait Level<'de>: Default {
    /// The members that are read.
    const KNOWN: &'static [&'static str];

    /// Reads the value of the member `KNOWN[index]`.
    fn read<A: MapAccess<'de>>(&mut self, index: usize, map: &mut A) -> Result<(), A::Error>;

    /// Reads all members. One that stands twice is refused, however it is spelled in JSON: another parser might see
    /// the other one. So is one that a careless parser takes for a member that is judged.
    fn read_members<A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let mut read = 0_u32;
        let mut others: Vec<Cow<'de, str>> = Vec::new();
        while let Some(key) = map.next_key_seed(Key(Self::KNOWN))? {
            match key {
                Named::Known(index) if read & (1 << index) == 0 => {
                    read |= 1 << index;
                    self.read(index, &mut map)?;
                }
                Named::Other(name) if !others.contains(&name) && others.len() < MEMBERS_LIMIT => {
                    others.push(name);
                    map.next_value::<Skip>()?;
                }
                Named::Known(_) | Named::Other(_) => {
                    return Err(A::Error::custom("a member stands twice"));
                }
            }
        }
        Ok(())
    }
}

impl<'de> Level<'de> for Members<'de> {
    const KNOWN: &'static [&'static str] =
        &["jsonrpc", "id", "method", "params", "result", "error"];

    fn read<A: MapAccess<'de>>(&mut self, index: usize, map: &mut A) -> Result<(), A::Error> {
        match index {
            0 => self.jsonrpc = map.next_value()?,
            1 => self.id = Some(map.next_value()?),
            2 => self.method = map.next_value()?,
            3 => map.next_value_seed(Fill(&mut self.params))?,
            _ => {
                self.is_answer = true;
                map.next_value::<Skip>()?;
            }
        }
        Ok(())
    }
}

impl<'de> Level<'de> for Params<'de> {
    const KNOWN: &'static [&'static str] = &[
        "name",
        "uri",
        "taskId",
        "ref",
        "notifications",
        "_meta",
        "arguments",
    ];

    fn read<A: MapAccess<'de>>(&mut self, index: usize, map: &mut A) -> Result<(), A::Error> {
        match index {
            0 => self.name = map.next_value()?,
            1 => self.uri = map.next_value()?,
            2 => self.task = map.next_value()?,
            3 => map.next_value_seed(Fill(&mut self.reference))?,
            4 => map.next_value_seed(Fill(&mut self.subscribed))?,
            5 => map.next_value_seed(Fill(&mut self.meta))?,
            _ => {
                map.next_value::<Skip>()?;
            }
        }
        Ok(())
    }
}

impl<'de> Level<'de> for Reference<'de> {
    const KNOWN: &'static [&'static str] = &["name", "uri"];

    fn read<A: MapAccess<'de>>(&mut self, index: usize, map: &mut A) -> Result<(), A::Error> {
        match index {
            0 => self.name = map.next_value()?,
            _ => self.uri = map.next_value()?,
        }
        Ok(())
    }
}

impl<'de> Level<'de> for Meta<'de> {
    const KNOWN: &'static [&'static str] = &[
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientCapabilities",
    ];

    fn read<A: MapAccess<'de>>(&mut self, index: usize, map: &mut A) -> Result<(), A::Error> {
        match index {
            0 => self.version = map.next_value()?,
            _ => self.capabilities = map.next_value()?,
        }
        Ok(())
    }
}

/// `params.notifications` of `subscriptions/listen`: the resources in it.
#[derive(Debug, Default)]
pub(super) struct Filter<'a>(pub(super) Vec<Cow<'a, str>>);

impl<'de> Level<'de> for Filter<'de> {
    const KNOWN: &'static [&'static str] = &["resourceSubscriptions"];

    fn read<A: MapAccess<'de>>(&mut self, _: usize, map: &mut A) -> Result<(), A::Error> {
        let uris = map.next_value::<Option<Uris<'de>>>()?;
        self.0 = uris.map_or_else(Vec::new, |uris| uris.0);
        Ok(())
    }
}

/// A list of URIs, no longer than an object may have members.
struct Uris<'a>(Vec<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Uris<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Uris<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of URIs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut uris = Vec::new();
                while let Some(Text(uri)) = list.next_element()? {
                    if uris.len() == MEMBERS_LIMIT {
                        return Err(A::Error::custom("too many URIs"));
                    }
                    uris.push(uri);
                }
                Ok(Uris(uris))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Fills an object in place; `null` is taken for an empty one, as some clients write it where they have nothing to say.
struct Fill<'s, T>(&'s mut T);

impl<'de, T: Level<'de>> DeserializeSeed<'de> for Fill<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Level<'de>> Visitor<'de> for Fill<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.read_members(map)
    }
}

/// The name of a member: one of the known ones by its place, or another.
enum Named<'a> {
    Known(usize),
    Other(Cow<'a, str>),
}

struct Key(&'static [&'static str]);

impl Key {
    fn known<E: Error>(&self, name: &str) -> Result<Option<usize>, E> {
        if let Some(index) = self.0.iter().position(|known| *known == name) {
            return Ok(Some(index));
        }
        if self.0.iter().any(|known| folds_to(name, known)) {
            return Err(E::custom(
                "a member is spelled almost like one that is judged",
            ));
        }
        Ok(None)
    }
}

/// Whether a parser that ignores case, as Go's does, takes `name` for `known`. It folds two letters beyond ASCII.
pub(super) fn folds_to(name: &str, known: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(known);
    }
    let folded = name.chars().map(|letter| match letter {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(known.chars().map(|letter| letter.to_ascii_lowercase()))
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Named<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Named<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        let known = self.known(name)?;
        Ok(known.map_or(Named::Other(Cow::Borrowed(name)), Named::Known))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let known = self.known(name)?;
        Ok(known.map_or_else(|| Named::Other(Cow::Owned(name.to_owned())), Named::Known))
    }
}

/// A text, borrowed unless it is written with escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Field::deserialize(deserializer)? {
            Field::Text(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("a text is wanted")),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor::<true>)
    }
}

/// A value that is not looked at. Read by recursion, so that the parser's limit of depth holds in it too.
struct Skip;

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(FieldVisitor::<false>)
            .map(|_| Self)
    }
}

/// Reads any value; `KEEP` tells whether a text is wanted.
struct FieldVisitor<const KEEP: bool>;

impl<'de, const KEEP: bool> Visitor<'de> for FieldVisitor<KEEP> {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(if KEEP {
            Field::Text(Cow::Owned(text.to_owned()))
        } else {
            Field::Other
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<Skip, Skip>()?.is_some() {}
        Ok(Field::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<Skip>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }
}
