//! Parameters as they come in a query or a form: each at most once, an empty one as if it were absent.

use super::error::{ErrorCode, OAuthError};

/// The parameters of a request (`application/x-www-form-urlencoded`), in the order in which they came. Unlike the
/// extractors of a web framework it sees repetitions, which RFC 6749 §3.1 and §3.2 forbid.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Parameters in one request; honest clients send about ten.
    const MOST: usize = 100;

    /// Reads a query or the body of a form.
    ///
    /// # Errors
    /// `invalid_request` where it is not correctly encoded, or too much.
    pub fn parse(encoded: &[u8]) -> Result<Self, OAuthError> {
        let mut parameters = Vec::new();
        for pair in encoded.split(|byte| *byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            if parameters.len() == Self::MOST {
                return Err(ErrorCode::InvalidRequest.with("there are more than 100 parameters"));
            }
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            parameters.push((clean(name)?, clean(value)?));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter that may come once. One without a value counts as absent (RFC 6749 §3.1, §3.2).
    ///
    /// # Errors
    /// `invalid_request` where it comes twice, even if one of the two is empty: another reader could take the other.
    pub fn one(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.named(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(repeated()),
            (Some(value), None) if !value.is_empty() => Ok(Some(value)),
            _ => Ok(None),
        }
    }

    /// The values of a parameter that may come more than once (`resource`, RFC 8707 §2), without empty ones.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.named(name).filter(|value| !value.is_empty())
    }

    /// Checks that no parameter comes twice, known or not, but for those in `except` (RFC 6749 §3.1, §3.2).
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn check_no_repeats(&self, except: &[&str]) -> Result<(), OAuthError> {
        let repeats = self.0.iter().enumerate().any(|(at, (name, _))| {
            !except.contains(&name.as_str())
                && self.0[..at].iter().any(|(earlier, _)| earlier == name)
        });
        if repeats { Err(repeated()) } else { Ok(()) }
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

fn repeated() -> OAuthError {
    ErrorCode::InvalidRequest.with("a parameter is given twice: only resource may be repeated")
}

/// A name or value decoded. Control characters stand in no parameter of OAuth (RFC 6749 Appendix A), and would only
/// serve to split headers and logs.
fn clean(encoded: &[u8]) -> Result<String, OAuthError> {
    let text = decode(encoded).ok_or(
        ErrorCode::InvalidRequest.with("a parameter is not correctly percent-encoded UTF-8"),
    )?;
    if text.chars().any(char::is_control) {
        return Err(ErrorCode::InvalidRequest.with("a parameter holds a control character"));
    }
    Ok(text)
}

/// Undoes form encoding, once: `+` is a space, `%` is followed by two hexadecimal digits, and UTF-8 comes out.
pub(super) fn decode(encoded: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next())? << 4 | hex(rest.next())?,
            other => *other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    let value = char::from(*digit?).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(encoded: &str) -> Form {
        Form::parse(encoded.as_bytes()).unwrap()
    }

    /// AUTHZ-01, TOK-02
    #[test]
    fn a_parameter_counts_once_and_only_with_a_value() {
        for (encoded, read) in [
            ("a=1", Ok(Some("1"))),
            ("b=1", Ok(None)),
            ("", Ok(None)),
            ("a=", Ok(None)),
            ("a", Ok(None)),
            ("&&a=1&&", Ok(Some("1"))),
            ("a=1&A=2", Ok(Some("1"))),
            ("a=b=c", Ok(Some("b=c"))),
            ("a=1&a=2", Err(())),
            ("a=1&a=1", Err(())),
            ("a=1&a=", Err(())),
            ("a=1&%61=2", Err(())),
        ] {
            let form = form(encoded);
            assert_eq!(form.one("a").map_err(|_| ()), read, "{encoded}");
        }
    }

    /// AUTHZ-01, TOK-02
    #[test]
    fn any_repetition_is_refused_but_that_of_resource() {
        for (encoded, accepted) in [
            ("a=1&b=2&resource=x&resource=y", true),
            ("a=1&unknown=1&unknown=2", false),
            ("unknown=&unknown=", false),
            ("resource=x&a=1&a=1", false),
        ] {
            let checked = form(encoded).check_no_repeats(&["resource"]);
            assert_eq!(checked.is_ok(), accepted, "{encoded}");
        }
        let form = form("resource=x&resource=&resource=y");
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    /// AUTHZ-09
    #[test]
    fn a_value_is_decoded_exactly_once() {
        for (encoded, value) in [
            ("s=gXVX%2F0%2B%3D%3D", "gXVX/0+=="),
            ("s=a+b%20c", "a b c"),
            ("s=%252F", "%2F"),
            ("s=%C3%A4", "ä"),
            ("s=ä", "ä"),
        ] {
            assert_eq!(form(encoded).one("s").unwrap(), Some(value), "{encoded}");
        }
    }

    #[test]
    fn what_is_not_well_encoded_is_refused() {
        let many = "a=1&".repeat(101);
        for encoded in [
            &b"s=%"[..],
            b"s=%4",
            b"s=%zz",
            b"s=%+1",
            b"s=%ff",
            b"s=\xff",
            b"s=%00",
            b"s=a%0D%0Ab",
            b"s=a\n",
            b"s%7f=1",
            b"s=%C2%85",
            many.as_bytes(),
        ] {
            let refused = Form::parse(encoded).err().map(|error| error.code);
            assert_eq!(refused, Some(ErrorCode::InvalidRequest), "{encoded:?}");
        }
        assert!(Form::parse("a=1&".repeat(100).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn no_input_makes_the_reader_panic(encoded: Vec<u8>, name: String) {
            if let Ok(form) = Form::parse(&encoded) {
                let _ = form.one(&name);
                let _ = form.check_no_repeats(&[&name]);
            }
        }

        #[test]
        fn what_was_encoded_comes_back(name in "[^\\p{Cc}]{1,20}", value in "[^\\p{Cc}]{1,40}") {
            let encoded = url::form_urlencoded::Serializer::new(String::new())
                .append_pair(&name, &value)
                .finish();
            prop_assert_eq!(form(&encoded).one(&name).unwrap(), Some(value.as_str()));
        }
    }
}
