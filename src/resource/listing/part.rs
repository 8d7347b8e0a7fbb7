//! The beginning of a message that cannot be read as a whole: whom it answers.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::resource::json::Text;
use crate::resource::message::is_id;

/// What was read so far.
#[derive(Default)]
struct Seen {
    id: Option<Box<RawValue>>,
    is_answer: bool,
    is_unclear: bool,
}

/// The id of the request that a message answers, if its beginning tells.
pub(super) fn answered_id(beginning: &str) -> Option<Box<RawValue>> {
    let mut seen = Seen::default();
    let mut reader = serde_json::Deserializer::from_str(beginning);
    // It may end anywhere: what stands before counts.
    let _ = reader.deserialize_map(&mut seen);
    let is_one = seen.is_answer && !seen.is_unclear;
    seen.id.filter(|id| is_one && is_id(id))
}

impl<'de> Visitor<'de> for &mut Seen {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // A value counts once something follows: the end may have cut it.
        let mut id = None;
        while let Some(Text(name)) = map.next_key()? {
            self.id = self.id.take().or(id.take());
            match &*name {
                "id" => {
                    self.is_unclear |= self.id.is_some();
                    id = Some(map.next_value::<Box<RawValue>>()?);
                    continue;
                }
                "result" | "error" => self.is_answer = true,
                "method" => self.is_unclear = true,
                _ => {}
            }
            if self.is_answer && self.id.is_some() {
                return Err(A::Error::custom("enough has been read"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        self.id = self.id.take().or(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_answer_tells_whom_it_answers() {
        for (beginning, id) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"tools":["#, Some("7")),
            (r#"{"id":"a","error":{"#, Some(r#""a""#)),
            (r#"{"result":{},"id":7}"#, Some("7")),
            (r#"{"result":{},"id":7,"#, None),
            (r#"{"result":{},"id":7,"x""#, Some("7")),
            (r#"{"result":{},"id":7"#, None),
            (r#"{"result":{"id":7"#, None),
            (r#"{"id":7,"method":"ping","params":{"#, None),
            (r#"{"id":7,"method":"ping","result":{"#, None),
            (r#"{"id":7,"id":8,"result":{"#, None),
            (r#"{"id":null,"result":{"#, None),
            (r#"{"id":{"a":1},"result":{"#, None),
            (r#"{"id":7"#, None),
            (r#"[{"id":7,"result":{"#, None),
            ("x", None),
            ("", None),
        ] {
            let found = answered_id(beginning);
            assert_eq!(found.as_deref().map(RawValue::get), id, "{beginning}");
        }
    }
}
