//! The `Authorization` header (RFC 6750 §2.1): the only place where a token is looked for.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::TokenFault;
use super::challenge::Denial;

/// Longer than any token of ours by far; what is longer is not even hashed.
const TOKEN_LIMIT: usize = 8 << 10;

/// The token of a request.
///
/// # Errors
/// No token, not a token, or more than one.
pub fn token(headers: &HeaderMap) -> Result<&str, Denial> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(Denial::NoToken),
        (Some(value), None) => value.to_str().map_err(|_| Denial::BadHeader)?,
        (Some(_), Some(_)) => return Err(Denial::BadHeader),
    };
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        // Other credentials are not ours to judge: nobody has signed in here.
        return Err(Denial::NoToken);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() || !token.bytes().all(is_token_byte) {
        return Err(Denial::BadHeader);
    }
    let has_shape =
        token.len() <= TOKEN_LIMIT && token.bytes().filter(|&byte| byte == b'.').count() == 2;
    if has_shape {
        Ok(token)
    } else {
        Err(Denial::BadToken(TokenFault::Malformed))
    }
}

/// RFC 6750 §2.1, `b64token`
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<String, Denial> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        token(&headers).map(str::to_owned)
    }

    /// RS-08
    #[test]
    fn one_bearer_token_is_read_and_nothing_else() {
        let malformed = Denial::BadToken(TokenFault::Malformed);
        let long = format!("Bearer {}.b.c", "a".repeat(TOKEN_LIMIT));
        for (header, expected) in [
            ("Bearer a.b.c", Ok("a.b.c".to_owned())),
            ("bearer a.b.c", Ok("a.b.c".to_owned())),
            ("BEARER   a.b.c ", Ok("a.b.c".to_owned())),
            ("Bearer", Err(Denial::BadHeader)),
            ("Bearer ", Err(Denial::BadHeader)),
            ("Bearer a.b.c d.e.f", Err(Denial::BadHeader)),
            ("Bearer a.b.c,d.e.f", Err(Denial::BadHeader)),
            ("Bearer \"a.b.c\"", Err(Denial::BadHeader)),
            ("Bearer a.b", Err(malformed)),
            ("Bearer a.b.c.d", Err(malformed)),
            (&long, Err(malformed)),
            ("Basic YTpi", Err(Denial::NoToken)),
            ("Bearera.b.c", Err(Denial::NoToken)),
            ("", Err(Denial::NoToken)),
        ] {
            assert_eq!(read(&[header.as_bytes()]), expected, "{header}");
        }
        assert_eq!(read(&[]), Err(Denial::NoToken));
        assert_eq!(
            read(&[b"Bearer a.b.c", b"Bearer a.b.c"]),
            Err(Denial::BadHeader)
        );
        assert_eq!(read(&[b"Bearer a.b.\xFF"]), Err(Denial::BadHeader));
    }
}
