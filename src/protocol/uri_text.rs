//! The text of URIs that strangers choose: what may stand in it, and how it is told from a disguise.

use url::{Host, Url};

/// Which rule a URL breaks that we are to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlFault {
    TooLong,
    Characters,
    NotHttps,
    UserName,
    Fragment,
    DotSegments,
    Disguised,
}

const LONGEST: usize = 2048;

/// Reads an https URL as it must be written: what the URL standard prints must be the very text that was given, so that
/// there is one text for each place, and a person who reads it reads what we would ask.
pub(super) fn parse_https(text: &str) -> Result<Url, UrlFault> {
    if text.len() > LONGEST {
        return Err(UrlFault::TooLong);
    }
    if !has_uri_characters(text) || !is_well_escaped(text) {
        return Err(UrlFault::Characters);
    }
    let after = text.strip_prefix("https://").ok_or(UrlFault::NotHttps)?;
    if after.contains('#') {
        return Err(UrlFault::Fragment);
    }
    let authority = after.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlFault::UserName);
    }
    if has_dot_segment(&after[authority.len()..]) {
        return Err(UrlFault::DotSegments);
    }
    let url = Url::parse(text).map_err(|_| UrlFault::Disguised)?;
    // RFC 3986 §3.2.2: an empty label, as in `a.example.`, is another text for the same host
    let has_empty_label = match url.host() {
        Some(Host::Domain(name)) => name.split('.').any(str::is_empty),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => false,
        None => true,
    };
    // a path that is left out is printed as `/`
    let printed = url.as_str();
    let is_as_printed = printed == text || printed.strip_suffix('/') == Some(text);
    if !is_as_printed || has_empty_label || url.port() == Some(0) {
        return Err(UrlFault::Disguised);
    }
    Ok(url)
}

/// Whether all of it may stand in a URI (RFC 3986 §2). Backslashes, tabs and line breaks are what parsers disagree on.
pub(super) fn has_uri_characters(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains(['\\', '"', '<', '>', '^', '`', '{', '|', '}'])
}

/// RFC 3986 §2.1, and no control character or backslash behind an escape. Nothing here decodes them, but what the URI
/// passes through may do.
pub(super) fn is_well_escaped(text: &str) -> bool {
    text.split('%').skip(1).all(|escape| {
        escape
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .is_some_and(|byte| !byte.is_ascii_control() && byte != b'\\')
    })
}

/// Whether a part of the path is `.` or `..`, also where dots or slashes are escaped.
pub(super) fn has_dot_segment(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let decoded = path.to_ascii_lowercase().replace("%2e", ".");
    decoded
        .replace("%2f", "/")
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
}

/// Host and port of an authority; none where the port is no number from 1 to 65535 written plainly.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[end_of_host..].find(':') {
        None => Some((authority, None)),
        Some(colon) => {
            let (host, port) = authority.split_at(end_of_host + colon);
            let digits = &port[1..];
            let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
            (plain && !digits.is_empty()).then_some(())?;
            Some((host, Some(digits.parse().ok()?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_we_fetch_is_https_and_written_plainly() {
        for text in [
            "https://a.example/k",
            "https://a.example",
            "https://a.example/",
            "https://a.example:8443/keys?v=1&w=%20",
            "https://a.example/a%2Fb/.../c",
            "https://xn--bcher-kva.example/",
            "https://192.0.2.7/k",
            "https://[2001:db8::1]/k",
        ] {
            assert!(parse_https(text).is_ok(), "{text}");
        }
        let long = format!("https://a.example/{}", "x".repeat(LONGEST));
        for (text, fault) in [
            (long.as_str(), UrlFault::TooLong),
            ("https://a.example/a b", UrlFault::Characters),
            ("https://a.example\\@b.example/", UrlFault::Characters),
            ("https://a.example/%2", UrlFault::Characters),
            ("https://a.example/%0d%0a", UrlFault::Characters),
            ("https://b\u{fc}cher.example/", UrlFault::Characters),
            ("http://a.example/k", UrlFault::NotHttps),
            ("HTTPS://a.example/k", UrlFault::NotHttps),
            ("https:a.example/k", UrlFault::NotHttps),
            ("https:/a.example/k", UrlFault::NotHttps),
            ("data:text/plain,x", UrlFault::NotHttps),
            ("", UrlFault::NotHttps),
            ("https://u@a.example/", UrlFault::UserName),
            ("https://@a.example/", UrlFault::UserName),
            ("https://a.example/#", UrlFault::Fragment),
            ("https://a.example/a/../k", UrlFault::DotSegments),
            ("https://a.example/%2E%2e/k", UrlFault::DotSegments),
            ("https://a.example/a%2f..%2fk", UrlFault::DotSegments),
            ("https://A.example/k", UrlFault::Disguised),
            ("https://a.example:443/k", UrlFault::Disguised),
            ("https://a.example:/k", UrlFault::Disguised),
            ("https://a.example:0/k", UrlFault::Disguised),
            ("https://a.example:08443/k", UrlFault::Disguised),
            ("https://a.example:99999/k", UrlFault::Disguised),
            ("https://a.example./k", UrlFault::Disguised),
            ("https://a..example/k", UrlFault::Disguised),
            ("https://%61.example/k", UrlFault::Disguised),
            ("https://0x7f.1/k", UrlFault::Disguised),
            ("https://2130706433/k", UrlFault::Disguised),
            ("https://[0:0::1]/k", UrlFault::Disguised),
            ("https:///k", UrlFault::Disguised),
            ("https://", UrlFault::Disguised),
        ] {
            assert_eq!(parse_https(text).err(), Some(fault), "{text}");
        }
    }
}
