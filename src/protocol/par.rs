//! Pushed authorization requests (RFC 9126): the `request_uri`, and the answer that tells it.

use serde::Serialize;

use super::ids::Handle;
use crate::secret::Secret;

/// What a `request_uri` of ours begins with (RFC 9126 §2.2).
const URN: &str = "urn:ietf:params:oauth:request_uri:";

/// The `request_uri` of a pushed request.
#[must_use]
pub fn request_uri(pushed: &Handle) -> Secret {
    Secret::new(format!("{URN}{}", pushed.clear.expose()))
}

/// What a `request_uri` of our form names; none where it has another form, whatever it names.
#[must_use]
pub fn pushed_by(request_uri: &str) -> Option<&str> {
    request_uri.strip_prefix(URN)
}

/// RFC 9126 §2.2
#[derive(Serialize)]
pub struct PushedAnswer<'a> {
    /// What the client sends the browser with.
    pub request_uri: &'a str,
    /// Seconds.
    pub expires_in: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

    /// EXT-40
    #[test]
    fn a_request_uri_of_ours_names_what_was_pushed_and_any_other_names_nothing() {
        let pushed = Handle::new(UnixTime(1_795_219_200));
        let uri = request_uri(&pushed);
        assert_eq!(pushed_by(uri.expose()), Some(pushed.clear.expose()));
        for (uri, named) in [
            ("urn:ietf:params:oauth:request_uri:", Some("")),
            ("urn:ietf:params:oauth:request_uri:x:y", Some("x:y")),
            ("URN:ietf:params:oauth:request_uri:x", None),
            (" urn:ietf:params:oauth:request_uri:x", None),
            ("urn:ietf:params:oauth:request_uri", None),
            ("urn:x", None),
            ("https://evil.example/request.jwt", None),
            ("", None),
        ] {
            assert_eq!(pushed_by(uri), named, "{uri}");
        }
    }
}
