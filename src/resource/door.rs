//! The door: which hosts a request may be for and which pages it may come from (DNS rebinding, HTTP-10, HTTP-11).

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// The hosts and browser origins of one MCP path.
#[derive(Clone, Debug)]
pub struct Door {
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// Who is not let in at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// For a host that is not ours.
    Host,
    /// From a page that is not allowed.
    Origin,
}

impl Door {
    /// A door for these hosts (`mcp.example.com`, `localhost:8080`) and origins (`https://app.example.com`).
    #[must_use]
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        Self {
            hosts: hosts.iter().map(|host| canonical_host(host)).collect(),
            origins: origins
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        }
    }

    /// The origin that a request comes from, if it names one.
    ///
    /// # Errors
    /// A host or an origin that is not ours; also one that stands twice, since nobody knows which one counts.
    pub fn check<'a>(
        &self,
        headers: &'a HeaderMap,
        uri: &Uri,
    ) -> Result<Option<&'a HeaderValue>, Stranger> {
        let host = single(headers, &HOST).map_err(|()| Stranger::Host)?;
        // RFC 9112 §3.2.2: a whole URL in the request line counts for more than Host; HTTP/2 has no other place.
        let named = [
            host.and_then(|host| host.to_str().ok()),
            uri.authority().map(http::uri::Authority::as_str),
        ];
        if host.is_none() && uri.authority().is_none() {
            return Err(Stranger::Host);
        }
        if host.is_some() && named[0].is_none()
            || !named.into_iter().flatten().all(|host| self.is_ours(host))
        {
            return Err(Stranger::Host);
        }
        let origin = single(headers, &ORIGIN).map_err(|()| Stranger::Origin)?;
        match origin {
            Some(origin) if !self.is_allowed(origin) => Err(Stranger::Origin),
            origin => Ok(origin),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = without_default_port(host);
        self.hosts
            .iter()
            .any(|ours| ours.eq_ignore_ascii_case(host))
    }

    fn is_allowed(&self, origin: &HeaderValue) -> bool {
        let origin = origin.as_bytes();
        self.origins
            .iter()
            .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin))
    }
}

fn canonical_host(host: &str) -> String {
    without_default_port(host).to_ascii_lowercase()
}

fn without_default_port(host: &str) -> &str {
    host.strip_suffix(":443")
        .or_else(|| host.strip_suffix(":80"))
        .unwrap_or(host)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        let hosts = ["MCP.example.com:443", "localhost:8080", "[::1]:8080"].map(str::to_owned);
        let origins = ["https://mcp.example.com", "http://localhost:6274/"].map(str::to_owned);
        Door::new(&hosts, &origins)
    }

    fn check(host: &[&str], origin: &[&str], uri: &str) -> Result<(), Stranger> {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        for origin in origin {
            headers.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        door().check(&headers, &uri.parse().unwrap()).map(|_| ())
    }

    /// HTTP-11, P8
    #[test]
    fn only_our_hosts_are_served() {
        for (hosts, uri, expected) in [
            (&["mcp.example.com"][..], "/mcp", Ok(())),
            (&["mcp.EXAMPLE.com:443"], "/mcp", Ok(())),
            (&["mcp.example.com:80"], "/mcp", Ok(())),
            (&["localhost:8080"], "/mcp", Ok(())),
            (&["[::1]:8080"], "/mcp", Ok(())),
            (&[], "http://localhost:8080/mcp", Ok(())),
            (&["localhost"], "/mcp", Err(Stranger::Host)),
            (&["localhost:8081"], "/mcp", Err(Stranger::Host)),
            (&["evil.example"], "/mcp", Err(Stranger::Host)),
            (
                &["mcp.example.com.evil.example"],
                "/mcp",
                Err(Stranger::Host),
            ),
            (&["mcp.example.com."], "/mcp", Err(Stranger::Host)),
            (&["evil@mcp.example.com"], "/mcp", Err(Stranger::Host)),
            (&[""], "/mcp", Err(Stranger::Host)),
            (&[], "/mcp", Err(Stranger::Host)),
            (
                &["mcp.example.com", "evil.example"],
                "/mcp",
                Err(Stranger::Host),
            ),
            (
                &["mcp.example.com"],
                "http://evil.example/mcp",
                Err(Stranger::Host),
            ),
            (
                &["evil.example"],
                "http://mcp.example.com/mcp",
                Err(Stranger::Host),
            ),
        ] {
            assert_eq!(check(hosts, &[], uri), expected, "{hosts:?} {uri}");
        }
    }

    /// HTTP-10
    #[test]
    fn only_allowed_pages_may_call() {
        for (origins, expected) in [
            (&[][..], Ok(())),
            (&["https://mcp.example.com"], Ok(())),
            (&["http://localhost:6274"], Ok(())),
            (&["null"], Err(Stranger::Origin)),
            (&[""], Err(Stranger::Origin)),
            (&["https://evil.example"], Err(Stranger::Origin)),
            (&["http://mcp.example.com"], Err(Stranger::Origin)),
            (&["https://mcp.example.com:8443"], Err(Stranger::Origin)),
            (
                &["https://mcp.example.com.evil.example"],
                Err(Stranger::Origin),
            ),
            (
                &["https://mcp.example.com", "https://evil.example"],
                Err(Stranger::Origin),
            ),
        ] {
            assert_eq!(
                check(&["mcp.example.com"], origins, "/mcp"),
                expected,
                "{origins:?}"
            );
        }
    }
}
