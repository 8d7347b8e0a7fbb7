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
