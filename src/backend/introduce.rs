//! What a server behind us is told of the caller.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::protocol::principal::Principal;

/// Tells the server who calls.
pub(super) fn introduce(headers: &mut HeaderMap, principal: &Principal) {
    let identity = principal.identity();
    let scopes = principal.scopes.to_string();
    let told = [
        ("x-anteroom-user", Some(identity.subject.as_str())),
        ("x-anteroom-login", identity.login.as_deref()),
        ("x-anteroom-email", identity.verified_email.as_deref()),
        ("x-anteroom-name", identity.name.as_deref()),
        ("x-anteroom-client", Some(principal.client_id.as_str())),
        ("x-anteroom-scopes", Some(scopes.as_str())),
    ];
    for (name, value) in told {
        if let Some(value) = value.and_then(header_safe) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Visible ASCII and single spaces as they are; everything else, and `%`, percent-encoded as UTF-8.
fn header_safe(text: &str) -> Option<HeaderValue> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut safe = Vec::with_capacity(text.len());
    for byte in text.trim().bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            safe.push(byte);
        } else {
            safe.extend([
                b'%',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]);
        }
    }
    HeaderValue::from_bytes(&safe).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_break_out_of_its_header() {
        for (text, expected) in [
            ("github:583231", "github:583231"),
            ("Mona Lisa", "Mona Lisa"),
            ("Zoë", "Zo%C3%AB"),
            ("a\r\nX-Anteroom-User: root", "a%0D%0AX-Anteroom-User: root"),
            ("100%", "100%25"),
            (" a ", "a"),
            ("\u{7f}\0", "%7F%00"),
            ("", ""),
        ] {
            assert_eq!(header_safe(text).unwrap(), expected, "{text:?}");
        }
    }
}
