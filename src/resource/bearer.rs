//! The `Authorization` header (RFC 6750 §2.1): the only place where a token is looked for.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::TokenFault;
use super::challenge::Denial;

/// Longer than any token of ours by far; what is longer is not even hashed.
const TOKEN_LIMIT: usize = 8 << 10;

/// What a request presents behind `Bearer`. Whether it can be a token at all is for [`check`] to say, which reads each
/// byte; a token that is known by its digest needs no second look.
///
/// # Errors
/// No token, or more than one.
pub fn presented(headers: &HeaderMap) -> Result<&[u8], Denial> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(Denial::NoToken),
        (Some(value), None) => value.as_bytes().trim_ascii(),
        (Some(_), Some(_)) => return Err(Denial::BadHeader),
    };
    let end = value
        .iter()
        .position(|&byte| byte == b' ')
        .unwrap_or(value.len());
    let (scheme, presented) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        // Other credentials are not ours to judge: nobody has signed in here.
        return Err(Denial::NoToken);
    }
    if presented.len() > TOKEN_LIMIT {
        return Err(Denial::BadToken(TokenFault::Malformed));
    }
    Ok(presented.trim_ascii_start())
}

/// The token that is presented, if it has the characters and the shape of one (RFC 6750 §2.1, RFC 7515 §3.1).
///
/// # Errors
/// It is not one token, or not a signed one.
pub fn check(presented: &[u8]) -> Result<&str, Denial> {
    let is_token = !presented.is_empty() && presented.iter().all(|&byte| is_token_byte(byte));
    let token = std::str::from_utf8(presented).map_err(|_| Denial::BadHeader)?;
    if !is_token {
        return Err(Denial::BadHeader);
    }
    if token.split('.').count() == 3 {
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
        presented(&headers).and_then(check).map(str::to_owned)
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
