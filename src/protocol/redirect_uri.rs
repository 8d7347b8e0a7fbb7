//! Redirect URIs: which may be registered, and when a request's is a registered one (OAuth 2.1 §2.3, RFC 8252 §7).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::error::{ErrorCode, OAuthError};

/// A redirect URI that a client may register: kept and compared as the text it came as, never as a parsed and
/// normalised URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedirectUri(String);

/// Where an answer may go: a URI of a request that was found among the registered ones. Only [`super::client::Client`]
/// makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegisteredRedirect(String);

impl RedirectUri {
    /// Bytes of a redirect URI.
    const LONGEST: usize = 2048;

    /// Reads a redirect URI of a registration or of the configuration.
    ///
    /// # Errors
    /// `invalid_redirect_uri`, with the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        check_characters(text)?;
        let (scheme, rest) = text
            .split_once(':')
            .ok_or(broken("a redirect URI must be absolute, with a scheme"))?;
        check_query(rest)?;
        match scheme.to_ascii_lowercase().as_str() {
            "https" => check_https(rest)?,
            "http" => check_http(scheme, rest)?,
            lower => check_private_use(lower, rest)?,
        }
        Ok(Self(text.to_owned()))
    }

    /// The URI, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `requested` as a place where answers may go, if it equals this one: exactly, or but for the port where this is
    /// a loopback URI (RFC 8252 §7.3).
    #[must_use]
    pub fn admits(&self, requested: &str) -> Option<RegisteredRedirect> {
        // OAuth 2.1 §2.3.1: simple string comparison; the client picks the loopback port when it runs.
        let same = self.0 == requested
            || without_loopback_port(&self.0)
                .is_some_and(|own| without_loopback_port(requested) == Some(own));
        same.then(|| RegisteredRedirect(requested.to_owned()))
    }
}

impl RegisteredRedirect {
    /// The URI, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a person is shown: the host (`claude.ai`), or the scheme of an app (`cursor://`).
    #[must_use]
    pub fn shown_host(&self) -> String {
        let (scheme, _) = self.split();
        match self.host() {
            Some(host) => host,
            None => format!("{scheme}://"),
        }
    }

    /// Whether it leads back to the person's own machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host().is_some_and(|host| is_own_machine(&host))
    }

    /// Whether it is neither http nor https: an app's own scheme, reached through a page with a button.
    #[must_use]
    pub fn is_private_use_scheme(&self) -> bool {
        let (scheme, _) = self.split();
        scheme != "http" && scheme != "https"
    }

    /// The host of an http or https URI, in lower case; none for an app's own scheme.
    fn host(&self) -> Option<String> {
        let (_, rest) = self.split();
        let (authority, _) = split_authority(rest)?;
        (!self.is_private_use_scheme()).then(|| split_port(authority).0.to_ascii_lowercase())
    }

    /// The scheme, in lower case, and what follows the colon.
    fn split(&self) -> (String, &str) {
        let (scheme, rest) = self.0.split_once(':').unwrap_or((&self.0, ""));
        (scheme.to_ascii_lowercase(), rest)
    }
}

impl fmt::Display for RegisteredRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hosts for which http is accepted, exactly as they must be written (RFC 8252 §7.3; `localhost` as well, since
/// clients use it).
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Schemes that run code, read files, leave the browser's page or belong to the browser or the system.
const REFUSED_SCHEMES: [&str; 44] = [
    "about",
    "afp",
    "android-app",
    "blob",
    "brave",
    "cid",
    "content",
    "data",
    "edge",
    "feed",
    "file",
    "filesystem",
    "ftp",
    "ftps",
    "git",
    "gopher",
    "hcp",
    "intent",
    "jar",
    "jscript",
    "ldap",
    "ldaps",
    "livescript",
    "magnet",
    "mailto",
    "market",
    "mhtml",
    "mid",
    "mk",
    "mocha",
    "nfs",
    "opera",
    "res",
    "resource",
    "search",
    "sftp",
    "shell",
    "smb",
    "ssh",
    "tel",
    "telnet",
    "vbscript",
    "ws",
    "wss",
];

/// The same, by how they begin.
const REFUSED_PREFIXES: [&str; 9] = [
    "chrome",
    "itms",
    "javascript",
    "moz-",
    "ms-",
    "safari-",
    "search-ms",
    "view-source",
    "x-apple",
];

/// What an answer carries; a registered URI that brings its own would make the client read the wrong one.
const ANSWER_PARAMETERS: [&str; 5] = ["code", "state", "iss", "error", "response"];

fn broken(rule: &'static str) -> OAuthError {
    ErrorCode::InvalidRedirectUri.with(rule)
}

/// Only the characters of RFC 3986 §2 with complete percent-encodings: no spaces, control characters, backslashes or
/// letters of other alphabets, which browsers drop or rewrite. No fragment either (RFC 6749 §3.1.2).
fn check_characters(text: &str) -> Result<(), OAuthError> {
    if text.len() > RedirectUri::LONGEST {
        return Err(broken("a redirect URI may have 2048 bytes at most"));
    }
    if text.contains('#') {
        return Err(broken("a redirect URI must have no fragment"));
    }
    let legal =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte);
    if !text.bytes().all(legal) {
        return Err(broken(
            "a redirect URI holds a character that must be percent-encoded",
        ));
    }
    for encoded in text.split('%').skip(1) {
        let value = encoded
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or(broken(
                "a redirect URI holds an incomplete percent-encoding",
            ))?;
        if value.is_ascii_control() || value == b'\\' {
            return Err(broken(
                "a redirect URI holds an encoded control character or backslash",
            ));
        }
    }
    Ok(())
}

fn check_query(rest: &str) -> Result<(), OAuthError> {
    let Some((_, query)) = rest.split_once('?') else {
        return Ok(());
    };
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    if pairs.any(|(name, _)| ANSWER_PARAMETERS.contains(&name.as_ref())) {
        return Err(broken(
            "the query of a redirect URI must not hold parameters of the answer, such as code or state",
        ));
    }
    Ok(())
}

fn check_https(rest: &str) -> Result<(), OAuthError> {
    let (authority, path) =
        split_authority(rest).ok_or(broken("an https redirect URI must begin with https://"))?;
    let (host, port) = split_port(authority);
    check_userinfo(authority)?;
    check_host(host)?;
    check_port(port)?;
    check_path(path)
}

fn check_http(scheme: &str, rest: &str) -> Result<(), OAuthError> {
    let (authority, path) =
        split_authority(rest).ok_or(broken("an http redirect URI must begin with http://"))?;
    let (host, port) = split_port(authority);
    check_userinfo(authority)?;
    // OAuth 2.1 §2.3.1, RFC 8252 §8.3: in clear to the own machine only. As written: 127.1 and LOCALHOST are the same
    // place to a browser, and another text to us.
    if scheme != "http" || !LOOPBACK.contains(&host) {
        return Err(broken(
            "an http redirect URI must have the host localhost, 127.0.0.1 or [::1]; others need https",
        ));
    }
    check_port(port)?;
    check_path(path)
}

/// RFC 8252 §7.1. By block-list: apps choose their schemes freely, and many have no dot in it (`cursor`, `vscode`).
fn check_private_use(scheme: &str, rest: &str) -> Result<(), OAuthError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.len() < 2
        || !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        || !scheme.bytes().all(legal)
    {
        return Err(broken("the scheme of a redirect URI is not one"));
    }
    if REFUSED_SCHEMES.contains(&scheme)
        || REFUSED_PREFIXES
            .iter()
            .any(|prefix| scheme.starts_with(prefix))
    {
        return Err(broken("this scheme is refused in a redirect URI"));
    }
    // Scripts, mail addresses and numbers follow the colon directly; an app's redirect has a path (RFC 8252 §7.1).
    if !rest.starts_with('/') {
        return Err(broken(
            "a redirect URI of an app must have a slash behind the scheme",
        ));
    }
    let (authority, path) = split_authority(rest).unwrap_or(("", rest));
    check_userinfo(authority)?;
    if authority.contains(['*', '%']) {
        return Err(broken("a redirect URI must have no wildcard"));
    }
    check_path(path)
}

/// `//authority`, and the path and query behind it.
fn split_authority(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.strip_prefix("//")?;
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// The host, and the port where there is a colon for one.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let behind_brackets = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[behind_brackets..].find(':') {
        Some(at) => {
            let (host, port) = authority.split_at(behind_brackets + at);
            (host, Some(&port[1..]))
        }
        None => (authority, None),
    }
}

fn check_userinfo(authority: &str) -> Result<(), OAuthError> {
    if authority.contains('@') {
        return Err(broken("a redirect URI must have no user name"));
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), OAuthError> {
    let wrong = broken(
        "the host of a redirect URI must be a whole domain name or address, without wildcards",
    );
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').ok_or(wrong)?;
        return address.parse::<Ipv6Addr>().map(drop).map_err(|_| wrong);
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut labels = host.split('.');
    if host.len() > 253 || labels.any(|label| label.is_empty() || !label.bytes().all(legal)) {
        return Err(wrong);
    }
    // Browsers take a host whose last label is a number for an IPv4 address: 127.1, 0x7f000001, 2130706433.
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.starts_with("0x")
        || last.starts_with("0X");
    if is_number && host.parse::<Ipv4Addr>().is_err() {
        return Err(wrong);
    }
    Ok(())
}

fn check_port(port: Option<&str>) -> Result<(), OAuthError> {
    if port.is_none_or(is_port) {
        return Ok(());
    }
    Err(broken(
        "the port of a redirect URI must be a number from 1 to 65535",
    ))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
        && !text.starts_with('0')
        && text.parse::<u16>().is_ok()
}

/// No dot segments, which a browser would resolve to another path (RFC 3986 §5.2.4), however they are encoded.
fn check_path(path: &str) -> Result<(), OAuthError> {
    let path = path.split('?').next().unwrap_or(path).to_ascii_lowercase();
    let path = path.replace("%2e", ".").replace("%2f", "/");
    if path
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return Err(broken(
            "the path of a redirect URI must have no dot segments",
        ));
    }
    Ok(())
}

/// Host, and path with query, of an http loopback URI whose port is well formed or absent.
fn without_loopback_port(uri: &str) -> Option<(&str, &str)> {
    let (authority, path) = split_authority(uri.strip_prefix("http:")?)?;
    let (host, port) = split_port(authority);
    (LOOPBACK.contains(&host) && port.is_none_or(is_port)).then_some((host, path))
}

/// Whether a host in lower case means the machine on which it is resolved.
fn is_own_machine(host: &str) -> bool {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| {
            let mapped = address.to_ipv4_mapped();
            address.is_loopback() || address.is_unspecified() || mapped.is_some_and(is_own_v4)
        });
    }
    // RFC 6761 §6.3: everything under localhost.
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_own_v4)
}

fn is_own_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_unspecified()
}
