//! The parameters of a query or of a form (RFC 6749 Appendix B).

use std::fmt;

use super::error::{ErrorCode, OAuthError};

/// Parameters, decoded once. A parameter without a value counts as absent (RFC 6749 §3.1).
pub struct Form(Vec<(String, String)>);

/// More parameters than any request of ours has use for.
const MOST_PARAMETERS: usize = 100;

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// `invalid_request` where it is not correctly encoded text, or has too many parameters.
    pub fn parse(encoded: &[u8]) -> Result<Self, OAuthError> {
        let mut parameters = Vec::new();
        for pair in encoded.split(|byte| *byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            if parameters.len() == MOST_PARAMETERS {
                return Err(ErrorCode::InvalidRequest.with("more than 100 parameters"));
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || clean(halves.next().unwrap_or_default());
            parameters.push((half()?, half()?));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter that may stand once.
    ///
    /// # Errors
    /// `invalid_request` where it stands twice, be it once without a value: another reader could take the other one.
    pub fn one(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.0.iter().filter(|(present, _)| present == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(REPEATED),
            (first, None) => Ok(first
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty())),
        }
    }

    /// Whether a parameter stands there, be it without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(present, _)| present == name)
    }

    /// The values of a parameter that may stand several times.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(present, value)| present == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// That no parameter stands twice, but for those of `except` (RFC 6749 §3.1, §3.2; RFC 8707 §2).
    ///
    /// # Errors
    /// `invalid_request` where one does.
    pub fn check_no_repeats(&self, except: &[&str]) -> Result<(), OAuthError> {
        let mut names: Vec<&str> = self
            .0
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !except.contains(name))
            .collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(REPEATED);
        }
        Ok(())
    }
}

const REPEATED: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "a parameter stands more than once",
};

/// By hand: the values are codes, verifiers and secrets.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form(..)")
    }
}

/// A name or a value. No parameter of OAuth has control characters (RFC 6749 Appendix A); what they could do is to
/// break lines of headers and logs.
fn clean(encoded: &[u8]) -> Result<String, OAuthError> {
    decode(encoded)
        .filter(|text| !text.contains(char::is_control))
        .ok_or(
            ErrorCode::InvalidRequest
                .with("a parameter is not percent-encoded UTF-8, or has control characters"),
        )
}

/// Undoes form encoding, once (RFC 6749 Appendix B). The decoder of the URL standard is not used, because it lets broken
/// escapes stand and puts U+FFFD in the place of what is not UTF-8.
pub(super) fn decode(encoded: &[u8]) -> Option<String> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            other => *other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUTHZ-01, TOK-02
    #[test]
    fn a_parameter_stands_once_and_without_a_value_it_is_absent() {
        let form = Form::parse(b"a=1&b=&c=2&c=3&resource=x&resource=y").unwrap();
        assert_eq!(form.one("a").unwrap(), Some("1"));
        assert_eq!(form.one("b").unwrap(), None);
        assert!(form.has("b") && !form.has("absent"));
        assert_eq!(form.one("absent").unwrap(), None);
        assert_eq!(form.one("c").unwrap_err().code, ErrorCode::InvalidRequest);
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        assert!(form.check_no_repeats(&["resource"]).is_err());
        assert!(form.check_no_repeats(&["resource", "c"]).is_ok());
    }

    /// AUTHZ-01, TOK-02
    #[test]
    fn an_empty_repetition_is_one_too() {
        for (encoded, read) in [
            ("a=1&b=1", Ok(Some("1"))),
            ("a=1&A=2", Ok(Some("1"))),
            ("&&a=1&&", Ok(Some("1"))),
            ("a=b=c", Ok(Some("b=c"))),
            ("a", Ok(None)),
            ("=1", Ok(None)),
            ("a=1&a=", Err(REPEATED)),
            ("a=&a=1", Err(REPEATED)),
            ("a&a", Err(REPEATED)),
            ("a=1&%61=2", Err(REPEATED)),
        ] {
            let form = Form::parse(encoded.as_bytes()).unwrap();
            assert_eq!(form.one("a"), read, "{encoded}");
            assert_eq!(
                form.check_no_repeats(&[]).is_err(),
                read.is_err(),
                "{encoded}"
            );
        }
    }

    #[test]
    fn values_are_decoded_once() {
        for (encoded, value) in [
            ("s=a%2Bb%2F%3D", "a+b/="),
            ("s=+x+y%20z", " x y z"),
            ("s=%252F", "%2F"),
            ("s=%C3%A4%c3%a4\u{e4}", "\u{e4}\u{e4}\u{e4}"),
            ("s=%EF%BF%BD", "\u{fffd}"),
        ] {
            let form = Form::parse(encoded.as_bytes()).unwrap();
            assert_eq!(form.one("s").unwrap(), Some(value), "{encoded}");
        }
    }

    #[test]
    fn what_is_not_text_is_refused() {
        for encoded in [
            &b"a=%FF"[..],
            b"%C3=1",
            b"a=\xff",
            b"a=%00",
            b"a=%",
            b"a=%4",
            b"a=%zz",
            b"a=%+1",
            b"a=b%0D%0Ac",
            b"a=b\n",
            b"a%7F=1",
            b"a=%C2%85",
        ] {
            let refused = Form::parse(encoded).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidRequest, "{encoded:?}");
        }
        assert!(Form::parse("a=1&".repeat(101).as_bytes()).is_err());
        assert!(Form::parse("a=1&".repeat(100).as_bytes()).is_ok());
    }

    #[test]
    fn a_form_does_not_print_what_is_in_it() {
        let form = Form::parse(b"code=c0de&client_secret=s3cret").unwrap();
        assert_eq!(format!("{form:?}"), "Form(..)");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Form::parse(&bytes).map(|form| form.check_no_repeats(&[]));
        }

        #[test]
        fn what_was_encoded_comes_back(name in "[^\\p{Cc}]{1,20}", value in "[^\\p{Cc}]{1,40}") {
            let encoded = url::form_urlencoded::Serializer::new(String::new())
                .append_pair(&name, &value)
                .finish();
            let form = Form::parse(encoded.as_bytes()).unwrap();
            proptest::prop_assert_eq!(form.one(&name).unwrap(), Some(value.as_str()));
        }
    }
}
