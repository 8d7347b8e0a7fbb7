//! The issuer identifier, and every URL that is built from it: here and nowhere else.

use std::fmt;

use url::{Host, Url};

use super::ids::ProviderId;

/// The issuer (RFC 8414 §2): the configured `public_url`, kept as text and emitted byte for byte, without a slash at
/// the end. No URL is ever built from a request's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Reads `public_url`; one slash at the end is taken off. http is accepted for loopback hosts alone.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let url = Url::parse(text).map_err(|_| "is not a URL")?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err("is http on a host that is not loopback"),
            _ => return Err("is not an https URL"),
        }
        // RFC 8414 §2: no query and no fragment.
        if text.contains(['?', '#']) {
            return Err("has a query or a fragment");
        }
        if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
            return Err("has a user or a password in it");
        }
        // RFC 8414 §3.3: clients compare the issuer as text, but many read it as a URL before they do. So only a text
        // that reads and prints the same is taken: lower case, no default port, no dot segments.
        let printed = url.as_str();
        let printed = if url.path() == "/" {
            &printed[..printed.len() - 1]
        } else {
            printed
        };
        if printed != text {
            return Err(
                "is not written the way browsers write it (lower case, no default port, no dot segments)",
            );
        }
        if let Some(name) = url.domain()
            && !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Err("has a host that is not a name or an address");
        }
        let issuer = Self(text.to_owned());
        if issuer.path().is_empty() || is_plain_path(issuer.path()) {
            Ok(issuer)
        } else {
            Err("has a path that is not plain")
        }
    }

    /// The issuer of a process that serves this machine alone: `http://localhost:8080`.
    #[must_use]
    pub fn localhost(port: u16) -> Self {
        match port {
            80 => Self("http://localhost".to_owned()),
            port => Self(format!("http://localhost:{port}")),
        }
    }

    /// The issuer, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port: `https://mcp.example.com`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0[..self.origin_len()]
    }

    /// Host and port, as they stand in a `Host` header: `mcp.example.com`.
    #[must_use]
    pub fn authority(&self) -> &str {
        let origin = self.origin();
        origin
            .split_once("://")
            .map_or(origin, |(_, authority)| authority)
    }

    /// The path of it: empty, or `/a/b`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0[self.origin_len()..]
    }

    /// The URL of `path`, which begins with a slash, under the issuer.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The resource identifier of the MCP server at `path`.
    #[must_use]
    pub fn resource(&self, path: &str) -> String {
        self.url(path)
    }

    /// Where a provider sends the browser back to.
    #[must_use]
    pub fn callback(&self, provider: &ProviderId) -> String {
        self.url(&format!("/callback/{provider}"))
    }

    /// Where the metadata of the resource at `path` are: inserted between host and path (RFC 9728 §3.1).
    #[must_use]
    pub fn resource_metadata(&self, path: &str) -> String {
        format!(
            "{}/.well-known/oauth-protected-resource{}{path}",
            self.origin(),
            self.path()
        )
    }

    /// Whether cookies can be `Secure` and `__Host-`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    fn origin_len(&self) -> usize {
        let host = self.0.find("://").map_or(0, |at| at + "://".len());
        self.0[host..]
            .find('/')
            .map_or(self.0.len(), |at| host + at)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the host of `url` is this machine: `localhost`, 127.0.0.0/8 or `[::1]`, the whole host and not its beginning.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether `path` is `/a`, `/a/b` and so on: unreserved characters (RFC 3986 §2.3), no empty and no dot segments, no
/// slash at the end. Such a path means the same to every router, proxy and client.
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|segment| {
            !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(unreserved)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DISC-34, AUTHZ-26, R8
    #[test]
    fn an_issuer_is_https_or_on_loopback_and_nothing_that_looks_like_it() {
        for (text, accepted) in [
            ("https://mcp.example.com", true),
            ("https://mcp.example.com:8443", true),
            ("https://192.0.2.1", true),
            ("https://[2001:db8::1]", true),
            ("http://localhost:8080", true),
            ("http://localhost", true),
            ("http://127.0.0.1:8080", true),
            ("http://127.8.9.10", true),
            ("http://[::1]:8080", true),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://evil.example/localhost", false),
            ("http://localhost@evil.example", false),
            ("http://evil.localhost", false),
            ("http://localhost.", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("http://0.0.0.0", false),
            ("http://10.0.0.1", false),
            ("http://mcp.example.com", false),
            ("ftp://mcp.example.com", false),
            ("file:///etc/passwd", false),
            ("localhost:8080", false),
            ("mcp.example.com", false),
            ("https://*.example.com", false),
            ("https://", false),
            ("", false),
            ("/", false),
        ] {
            assert_eq!(Issuer::parse(text).is_ok(), accepted, "{text:?}");
        }
    }

    /// DISC-23
    #[test]
    fn an_issuer_reads_and_prints_the_same_everywhere() {
        for (text, kept) in [
            ("https://mcp.example.com", Some("https://mcp.example.com")),
            ("https://mcp.example.com/", Some("https://mcp.example.com")),
            (
                "https://mcp.example.com/a/b",
                Some("https://mcp.example.com/a/b"),
            ),
            (
                "https://mcp.example.com/a/b/",
                Some("https://mcp.example.com/a/b"),
            ),
            (
                "https://mcp.example.com/A",
                Some("https://mcp.example.com/A"),
            ),
            ("https://mcp.example.com//", None),
            ("https://mcp.example.com/a//", None),
            ("https://mcp.example.com/a//b", None),
            ("https://MCP.example.com", None),
            ("HTTPS://mcp.example.com", None),
            ("https://mcp.example.com:443", None),
            ("http://localhost:80", None),
            ("http://127.1", None),
            ("http://2130706433", None),
            ("https://bücher.example", None),
            ("https://mcp.example.com/a/../b", None),
            ("https://mcp.example.com/./a", None),
            ("https://mcp.example.com/%61", None),
            ("https://mcp.example.com/a b", None),
            ("https://mcp.example.com/{a}", None),
            ("https://mcp.example.com\\a", None),
            (" https://mcp.example.com", None),
            ("https://mcp.example.com\n", None),
            ("https://mcp.example.com?", None),
            ("https://mcp.example.com?a=b", None),
            ("https://mcp.example.com/?a=b", None),
            ("https://mcp.example.com#", None),
            ("https://mcp.example.com/a#b", None),
            ("https://user@mcp.example.com", None),
            ("https://@mcp.example.com", None),
            ("https://user:word@mcp.example.com", None),
        ] {
            let issuer = Issuer::parse(text).ok();
            assert_eq!(issuer.as_ref().map(Issuer::as_str), kept, "{text:?}");
        }
    }

    /// DISC-13
    #[test]
    fn every_url_is_built_from_the_issuer() {
        for (text, origin, path, metadata) in [
            (
                "https://h.example",
                "https://h.example",
                "",
                "https://h.example/.well-known/oauth-protected-resource/mcp",
            ),
            (
                "https://h.example/a/b",
                "https://h.example",
                "/a/b",
                "https://h.example/.well-known/oauth-protected-resource/a/b/mcp",
            ),
            (
                "http://[::1]:8080",
                "http://[::1]:8080",
                "",
                "http://[::1]:8080/.well-known/oauth-protected-resource/mcp",
            ),
        ] {
            let issuer = Issuer::parse(text).unwrap();
            assert_eq!(issuer.origin(), origin);
            assert_eq!(issuer.path(), path);
            assert_eq!(issuer.resource_metadata("/mcp"), metadata);
            assert_eq!(issuer.resource("/mcp"), format!("{text}/mcp"));
            let callback = issuer.callback(&ProviderId::new("github"));
            assert_eq!(callback, format!("{text}/callback/github"));
        }
    }

    #[test]
    fn the_issuer_of_this_machine_is_one_that_would_be_accepted() {
        for port in [1, 80, 443, 8080, 65535] {
            let issuer = Issuer::localhost(port);
            assert_eq!(Issuer::parse(issuer.as_str()), Ok(issuer));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_or_kept(text in "(https?://)?[a-z0-9.:/@?#%\\[\\]\\\\é ]{0,40}") {
            if let Ok(issuer) = Issuer::parse(&text) {
                let kept = issuer.as_str();
                proptest::prop_assert_eq!(text.strip_suffix('/').unwrap_or(&text), kept);
                proptest::prop_assert_eq!(format!("{}{}", issuer.origin(), issuer.path()), kept);
            }
        }
    }
}
