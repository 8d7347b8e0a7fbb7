//! The parameters of a query or of a form (RFC 6749 Appendix B).

use super::error::{ErrorCode, OAuthError};

/// Parameters, decoded once. A parameter without a value counts as absent (RFC 6749 §3.1).
#[derive(Debug)]
pub struct Form(Vec<(String, String)>);

/// More parameters than any request of ours has use for.
const MOST_PARAMETERS: usize = 100;

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// `invalid_request` where it is not UTF-8 after decoding, or has too many parameters.
    pub fn parse(encoded: &[u8]) -> Result<Self, OAuthError> {
        let pairs: Vec<_> = url::form_urlencoded::parse(encoded)
            .take(MOST_PARAMETERS + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > MOST_PARAMETERS {
            return Err(ErrorCode::InvalidRequest.with("more than 100 parameters"));
        }
        // the decoder puts U+FFFD where bytes are not UTF-8; nobody sends that character
        let broken = |text: &str| text.contains([char::REPLACEMENT_CHARACTER, '\0']);
        if pairs
            .iter()
            .any(|(name, value)| broken(name) || broken(value))
        {
            return Err(ErrorCode::InvalidRequest.with("a parameter is not valid UTF-8"));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter that may stand once.
    ///
    /// # Errors
    /// `invalid_request` where it stands twice.
    pub fn one(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(REPEATED),
            (value, None) => Ok(value),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// AUTHZ-01, TOK-02
    #[test]
    fn a_parameter_stands_once_and_without_a_value_it_is_absent() {
        let form = Form::parse(b"a=1&b=&c=2&c=3&resource=x&resource=y").unwrap();
        assert_eq!(form.one("a").unwrap(), Some("1"));
        assert_eq!(form.one("b").unwrap(), None);
        assert_eq!(form.one("absent").unwrap(), None);
        assert_eq!(form.one("c").unwrap_err().code, ErrorCode::InvalidRequest);
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        assert!(form.check_no_repeats(&["resource"]).is_err());
        assert!(form.check_no_repeats(&["resource", "c"]).is_ok());
    }

    #[test]
    fn values_are_decoded_once() {
        let form = Form::parse(b"state=a%2Bb%2F%3D&scope=+x+y&twice=%252F").unwrap();
        assert_eq!(form.one("state").unwrap(), Some("a+b/="));
        assert_eq!(form.one("scope").unwrap(), Some(" x y"));
        assert_eq!(form.one("twice").unwrap(), Some("%2F"));
    }

    #[test]
    fn what_is_not_text_is_refused() {
        for encoded in [&b"a=%FF"[..], b"%C3=1", b"a=\xff", b"a=%00"] {
            let refused = Form::parse(encoded).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidRequest, "{encoded:?}");
        }
        assert!(Form::parse("a=1&".repeat(200).as_bytes()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Form::parse(&bytes).map(|form| form.check_no_repeats(&[]));
        }
    }
}
