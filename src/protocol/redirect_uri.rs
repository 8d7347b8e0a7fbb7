//! Redirect URIs: which may be registered, and when a request's is a registered one (OAuth 2.1 §2.3, RFC 8252 §7).

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use url::{Host, Url, form_urlencoded};

use super::error::{ErrorCode, OAuthError};
use super::uri_text::{has_dot_segment, has_uri_characters, is_well_escaped, split_port};

/// A redirect URI that a client may register: kept and compared as the text it came as, never as a parsed and
/// normalised URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedirectUri(String);

/// Where an answer may go: a URI of a request that was found among the registered ones. Only [`RedirectUri::admits`]
/// makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegisteredRedirect(String);

const LONGEST: usize = 2048;

/// Hosts of the person's own machine, as they must be written (RFC 8252 §7.3, §8.3).
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Schemes that run code, read files, or belong to the browser or the system: an answer sent there would reach somebody
/// else than an app. A block-list, since apps choose their schemes freely, many without a dot (`cursor`, `vscode`).
const NEVER_AN_APP: &str = "about afp android-app blob brave callto cid content data edge facetime feed file filesystem \
    ftp ftps git gopher hcp intent irc ircs jar jscript ldap ldaps livescript magnet mailto market mhtml mid mk mms mocha \
    news nfs nntp opera res resource rtsp search sftp shell sip sips smb sms smsto ssh tel telnet urn vbscript ws wss";

/// The same, by how they begin.
const NEVER_BEGINS_AN_APP: [&str; 13] = [
    "chrome",
    "googlechrome",
    "itms",
    "javascript",
    "microsoft-edge",
    "moz-",
    "ms-",
    "safari-",
    "search-ms",
    "view-source",
    "x-apple",
    "x-safari",
    "x-web-search",
];

/// What answers carry (RFC 6749 §4.1.2, RFC 9207 §2): a second one in the registered query would be read instead.
const ANSWER_PARAMETERS: [&str; 5] = ["code", "state", "iss", "error", "error_description"];

impl RedirectUri {
    /// Reads a redirect URI of a registration or of the configuration: https; http to the person's own machine; or a
    /// scheme of an app's own.
    ///
    /// # Errors
    /// `invalid_redirect_uri`, with the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        if text.len() > LONGEST {
            return Err(refused("a redirect URI is longer than 2048 bytes"));
        }
        if !has_uri_characters(text) || text.contains('*') {
            return Err(refused(
                "a redirect URI has characters that no URI has, such as spaces, or a wildcard",
            ));
        }
        if text.contains('#') {
            return Err(refused("a redirect URI has a fragment"));
        }
        if !is_well_escaped(text) {
            return Err(refused(
                "a redirect URI has a broken escape, or an escaped control character or backslash",
            ));
        }
        check_query(text)?;
        let (scheme, rest) = text
            .split_once(':')
            .ok_or(refused("a redirect URI is not absolute"))?;
        match scheme {
            "https" | "http" => check_web(text, scheme, rest)?,
            _ => check_app(text, scheme, rest)?,
        }
        Ok(Self(text.to_owned()))
    }

    /// The URI, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `requested` as a place where answers may go, if it equals this one: exactly, or but for the port where this is
    /// a loopback URI (RFC 8252 §7.3). Neither is normalised; a host by another name is another host.
    #[must_use]
    pub fn admits(&self, requested: &str) -> Option<RegisteredRedirect> {
        let equal = requested == self.0
            || match (loopback_parts(&self.0), loopback_parts(requested)) {
                (Some(registered), Some(asked)) => registered == asked,
                _ => false,
            };
        equal.then(|| RegisteredRedirect(requested.to_owned()))
    }

    /// Whether it is on one of `hosts`. This is about https alone: http to the person's own machine and schemes of apps
    /// are on nobody's host. Where `hosts` is empty, every host will do.
    #[must_use]
    pub fn host_allowed(&self, hosts: &[String]) -> bool {
        host_allowed(&self.0, hosts)
    }

    /// Whether it leads to scheme, host and port of `issuer`: answers would open a URL of ours that a stranger wrote.
    #[must_use]
    pub fn is_at(&self, issuer: &str) -> bool {
        is_at(&self.0, issuer)
    }
}

impl RegisteredRedirect {
    /// The URI, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As [`RedirectUri::host_allowed`]: a client may have registered before the list was made.
    #[must_use]
    pub fn host_allowed(&self, hosts: &[String]) -> bool {
        host_allowed(&self.0, hosts)
    }

    /// What a person is shown: the host, or the scheme of an app with the host that it names.
    #[must_use]
    pub fn shown_host(&self) -> String {
        let scheme = self.0.split(':').next().unwrap_or_default();
        if self.is_private_use_scheme() {
            let rest = self.0.get(scheme.len() + 1..).unwrap_or_default();
            let host = rest.strip_prefix("//").unwrap_or_default();
            let host = host.split(['/', '?']).next().unwrap_or_default();
            return match host {
                "" => format!("{scheme}:"),
                host => format!("{scheme}://{host}"),
            };
        }
        shown_host(&self.0).unwrap_or_else(|| self.0.clone())
    }

    /// Whether it leads back to the person's own machine: to any address of it, over https too, since this is about
    /// who can listen there, and not about which ports are alike.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        if self.is_private_use_scheme() {
            return false;
        }
        Url::parse(&self.0).is_ok_and(|url| leads_to_own_machine(&url))
    }

    /// As [`RedirectUri::is_at`].
    #[must_use]
    pub fn is_at(&self, issuer: &str) -> bool {
        is_at(&self.0, issuer)
    }

    /// Whether it is neither http nor https: an app's own scheme, reached through a page with a button.
    #[must_use]
    pub fn is_private_use_scheme(&self) -> bool {
        !self.0.starts_with("https:") && !self.0.starts_with("http:")
    }
}

impl fmt::Display for RegisteredRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn host_allowed(uri: &str, hosts: &[String]) -> bool {
    if hosts.is_empty() || !uri.starts_with("https:") {
        return true;
    }
    let url = Url::parse(uri).ok();
    let host = url.as_ref().and_then(Url::host_str);
    host.is_some_and(|host| hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host)))
}

fn is_at(uri: &str, issuer: &str) -> bool {
    match (Url::parse(uri), Url::parse(issuer)) {
        (Ok(uri), Ok(issuer)) => uri.origin() == issuer.origin(),
        _ => false,
    }
}

/// The host of a web address as a person is shown it: with the port where it is another than usual, since it may be somebody
/// else's; but not on the person's own machine, where it is another each time.
#[must_use]
pub fn shown_host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) if !leads_to_own_machine(&url) => format!("{host}:{port}"),
        _ => host.to_owned(),
    })
}

fn leads_to_own_machine(url: &Url) -> bool {
    match url.host() {
        // RFC 6761 §6.3: all names under localhost
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => is_own_machine(address),
        Some(Host::Ipv6(address)) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.to_ipv4_mapped().is_some_and(is_own_machine)
        }
        None => false,
    }
}

fn is_own_machine(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

fn check_query(text: &str) -> Result<(), OAuthError> {
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    if names.any(|name| ANSWER_PARAMETERS.contains(&name.as_ref())) {
        return Err(refused(
            "the query of a redirect URI has a parameter of the answer, such as code or state",
        ));
    }
    Ok(())
}

fn check_web(text: &str, scheme: &str, rest: &str) -> Result<(), OAuthError> {
    let url = Url::parse(text).map_err(|_| refused("a redirect URI cannot be read as a URL"))?;
    let Some(after) = rest.strip_prefix("//") else {
        return Err(refused("a redirect URI has no host"));
    };
    let authority = after.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(refused("a redirect URI has a user name"));
    }
    if authority.contains('%') || has_dot_segment(&after[authority.len()..]) {
        return Err(refused(
            "a redirect URI has dot segments, or escapes in the host",
        ));
    }
    let (host, _) = split_port(authority).ok_or(refused("a redirect URI has a bad port"))?;
    if scheme == "http" && !LOOPBACK_HOSTS.contains(&host) {
        return Err(refused(
            "a redirect URI with http must be on localhost, 127.0.0.1 or [::1], written so",
        ));
    }
    // what the URL parser makes of the host must be what is written: 127.1, 0x7f.1 and the like are disguises
    let as_written = match url.host() {
        // RFC 3986 §3.2.2: an empty label, as in `a.example.`, is another text for the same host
        Some(Host::Domain(domain)) => {
            domain.eq_ignore_ascii_case(host) && !host.split('.').any(str::is_empty)
        }
        Some(Host::Ipv4(address)) => address.to_string() == host,
        Some(Host::Ipv6(address)) => format!("[{address}]") == host,
        None => false,
    };
    if !as_written {
        return Err(refused("the host of a redirect URI is not written plainly"));
    }
    Ok(())
}

fn check_app(text: &str, scheme: &str, rest: &str) -> Result<(), OAuthError> {
    // RFC 3986 §3.1
    let well_formed = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let lower = scheme.to_ascii_lowercase();
    if !well_formed || matches!(lower.as_str(), "http" | "https") {
        return Err(refused(
            "the scheme of a redirect URI is not written plainly, in small letters",
        ));
    }
    // a single letter is a drive of Windows; `x-browser-https` opens a page
    if lower.len() < 2
        || lower.contains("http")
        || NEVER_AN_APP.split(' ').any(|scheme| scheme == lower)
        || NEVER_BEGINS_AN_APP
            .iter()
            .any(|begin| lower.starts_with(begin))
    {
        return Err(refused(
            "a redirect URI has a scheme that no answer may be sent to",
        ));
    }
    let path = rest.split('?').next().unwrap_or_default();
    // RFC 8252 §7.1: a path. Scripts, addresses and numbers follow the colon at once.
    if !rest.starts_with('/') || path.contains('@') || has_dot_segment(path) {
        return Err(refused(
            "a redirect URI of an app has no slash after its scheme, a user name, or dot segments",
        ));
    }
    // browsers would not follow it
    Url::parse(text).map_err(|_| refused("a redirect URI cannot be read as a URL"))?;
    Ok(())
}

/// Host and all that follows the port, where it is http to the person's own machine.
fn loopback_parts(uri: &str) -> Option<(&str, &str)> {
    let after = uri.strip_prefix("http://")?;
    let end = after.find(['/', '?', '#', '\\']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    let (host, _) = split_port(authority)?;
    LOOPBACK_HOSTS.contains(&host).then_some((host, rest))
}

fn refused(rule: &'static str) -> OAuthError {
    ErrorCode::InvalidRedirectUri.with(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 14] = [
        "https://claude.ai/api/mcp/auth_callback",
        "https://a.example",
        "https://a.example:8443/cb?x=1",
        "https://192.0.2.7/cb",
        "http://localhost/callback",
        "http://localhost:3334/oauth/callback",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418",
        "http://[::1]:9/cb",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "com.example.app:/cb",
        "vscode://a/b",
        "https://a.example/a%2Fb/...",
        "https://a.example/cb?next=%2F..%2Fx&codes=1",
    ];

    const BAD_HTTPS: [&str; 32] = [
        "https:",
        "https:/a.example",
        "https://",
        "https:///cb",
        "https://a.example/cb#f",
        "https://user@a.example/cb",
        "https://a.example@evil.example/",
        "https://*.example/cb",
        "https://a.example/../cb",
        "https://a.example/%2e%2E/cb",
        "https://a.example/./cb",
        "https://a.example\\@evil.example/",
        "https://a.example/c b",
        "https://a.example/\u{e4}",
        "https://a.example:0/cb",
        "https://a.example:/cb",
        "https://a.example:99999/cb",
        "https://a.example:0443/cb",
        "https://%61.example/cb",
        "https://0x7f.1/cb",
        "HTTPS://a.example/cb",
        "https://a.example./cb",
        "https://a..example/cb",
        "https://a.example/..%2Fcb",
        "https://a.example/%2e%2fcb",
        "https://a.example/%0d%0aSet-Cookie:x",
        "https://a.example/%00",
        "https://a.example/%5Cevil",
        "https://a.example/%zz",
        "https://a.example/%2",
        "https://a.example/cb?code=x",
        "https://a.example/cb?x=1&st%61te=x",
    ];

    const BAD_HTTP: [&str; 12] = [
        "http://a.example/cb",
        "http://localhost.evil.example/",
        "http://127.0.0.1.nip.io/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.0.0.2/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://localhost@evil.example/",
        "http://localhost:80@evil.example/",
        "http://[::ffff:127.0.0.1]/",
    ];

    const BAD_APPS: [&str; 39] = [
        "",
        "/cb",
        "//a.example/cb",
        "a.example/cb",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "javascript://a.example/alert(1)",
        "JavaScript:/alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "data:/text/html,x",
        "vbscript:/x",
        "DATA://x/y",
        "file:///etc/passwd",
        "blob:https://a.example/x",
        "about:blank",
        "vbscript:x",
        "intent://x",
        "ms-settings:x",
        "1app:/cb",
        "cursor:",
        "cursor://user@host/",
        "C:/cb",
        "app:callback",
        "urn:ietf:wg:oauth:2.0:oob",
        "view-source:https://a.example/",
        "search-ms://query=x",
        "chrome-untrusted://x/",
        "googlechromes://evil.example/cb",
        "microsoft-edge-https://evil.example/cb",
        "x-safari-https://evil.example/cb",
        "touch-https://evil.example/cb",
        "LiveScript:/x",
        "shell://x",
        "ssh://a.example/",
        "sms:/5550100",
        "FaceTime://x",
        "app://cb?iss=https://evil.example",
    ];

    /// CLI-36, CLI-38, R3, R4, R8
    #[test]
    fn what_may_be_registered() {
        for uri in GOOD {
            assert_eq!(RedirectUri::parse(uri).unwrap().as_str(), uri);
        }
        let long = |length| format!("https://a.example/{}", "x".repeat(length - 18));
        assert!(RedirectUri::parse(&long(LONGEST)).is_ok());
        let too_long = long(LONGEST + 1);
        let bad = BAD_HTTPS.iter().chain(&BAD_HTTP).chain(&BAD_APPS);
        for uri in bad.copied().chain([too_long.as_str()]) {
            let refused = RedirectUri::parse(uri).map_err(|error| error.code);
            assert_eq!(refused, Err(ErrorCode::InvalidRedirectUri), "{uri:?}");
        }
    }

    /// CLI-36
    #[test]
    fn a_list_of_hosts_is_about_https() {
        let hosts = ["a.example".to_owned(), "B.example".to_owned()];
        for (uri, allowed) in [
            ("https://a.example/cb", true),
            ("https://A.Example:8443/cb", true),
            ("https://b.example/cb", true),
            ("https://c.example/a.example", false),
            ("https://x.a.example/", false),
            ("https://a.example.evil.example/", false),
            ("https://localhost/cb", false),
            ("http://localhost/cb", true),
            ("http://127.0.0.1:5/cb", true),
            ("cursor://evil.example/cb", true),
        ] {
            let uri = RedirectUri::parse(uri).unwrap();
            assert_eq!(uri.host_allowed(&hosts), allowed, "{uri:?}");
            let place = uri.admits(uri.as_str()).unwrap();
            assert_eq!(place.host_allowed(&hosts), allowed, "{uri:?}");
            assert!(uri.host_allowed(&[]));
        }
    }

    #[test]
    fn a_person_sees_the_host_or_the_scheme_and_is_told_of_their_own_machine() {
        for (uri, shown, is_loopback, is_app) in [
            (
                "https://Claude.ai/api/mcp/auth_callback",
                "claude.ai",
                false,
                false,
            ),
            (
                "https://a.example:8443/cb@localhost",
                "a.example:8443",
                false,
                false,
            ),
            (
                "https://localhost.evil.example/",
                "localhost.evil.example",
                false,
                false,
            ),
            ("http://localhost:3334/cb", "localhost", true, false),
            ("http://127.0.0.1:33418/", "127.0.0.1", true, false),
            ("http://[::1]/cb", "[::1]", true, false),
            ("https://a.example:443/cb", "a.example", false, false),
            ("https://localhost:5/cb", "localhost", true, false),
            ("https://app.localhost/cb", "app.localhost", true, false),
            ("https://127.8.8.8/cb", "127.8.8.8", true, false),
            ("https://0.0.0.0/cb", "0.0.0.0", true, false),
            (
                "cursor://anysphere.cursor-mcp/cb",
                "cursor://anysphere.cursor-mcp",
                false,
                true,
            ),
            ("app://localhost/cb", "app://localhost", false, true),
        ] {
            let place = RedirectUri::parse(uri).unwrap().admits(uri).unwrap();
            assert_eq!(place.shown_host(), shown, "{uri}");
            assert_eq!(place.is_loopback(), is_loopback, "{uri}");
            assert_eq!(place.is_private_use_scheme(), is_app, "{uri}");
        }
    }
}
