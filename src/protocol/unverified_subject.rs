//! Whom a client assertion names (RFC 7523 §3), before anybody has verified it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ids::ClientId;

/// Bytes of an assertion: those of real clients have about 800.
pub const LONGEST_ASSERTION: usize = 8 << 10;
const LONGEST_SUBJECT: usize = 2048;

/// The `sub` of a JWT that nobody has verified: good for choosing the keys, and for nothing else. It is bounded and plain, since it will be looked up and logged.
pub(super) fn unverified_subject(assertion: &str) -> Option<ClientId> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    if assertion.len() > LONGEST_ASSERTION {
        return None;
    }
    let mut parts = assertion.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let Claims { sub } = part(payload)?;
    let is_plain =
        !sub.is_empty() && sub.len() <= LONGEST_SUBJECT && !sub.contains(char::is_control);
    is_plain.then(|| ClientId::new(sub))
}

/// Header or payload of a JWT: base64url of a JSON object. An array would be read as the members in their order.
#[must_use]
pub fn part<T: DeserializeOwned>(encoded: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    if json.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn an_assertion_names_one_plain_subject_or_nobody() {
        let url = "https://a.example/client.json";
        for sub in ["c", url, "\u{e4}"] {
            let assertion = jwt(&format!(
                r#"{{"iss":"x","exp":1,"sub":"{sub}","x":{{"sub":"d"}}}}"#
            ));
            assert_eq!(unverified_subject(&assertion), Some(ClientId::new(sub)));
        }
        let long = jwt(&format!(
            r#"{{"sub":"c","x":"{}"}}"#,
            "x".repeat(LONGEST_ASSERTION)
        ));
        let long_id = jwt(&format!(
            r#"{{"sub":"{}"}}"#,
            "c".repeat(LONGEST_SUBJECT + 1)
        ));
        for assertion in [
            "",
            "x",
            "..",
            "a.b",
            "e30.e30.",
            "e30.!!.c2ln",
            "a.b.c.d.e",
            &jwt(r#"{"sub":"c"}"#).replacen('.', "..", 1),
            &jwt("{}"),
            &jwt(r#"{"sub":""}"#),
            &jwt(r#"{"sub":null}"#),
            &jwt(r#"{"sub":7}"#),
            &jwt(r#"{"sub":["c"]}"#),
            &jwt(r#"{"sub":"c","sub":"d"}"#),
            &jwt(r#"{"sub":"c\nlevel=error"}"#),
            &jwt(r#"{"sub":"c"} {"sub":"d"}"#),
            &jwt(r#"["c"]"#),
            &jwt("\"c\""),
            &jwt(&"[".repeat(4000)),
            &long,
            &long_id,
        ] {
            assert_eq!(unverified_subject(assertion), None, "{assertion:.40}");
        }
    }
}
