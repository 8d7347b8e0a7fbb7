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
