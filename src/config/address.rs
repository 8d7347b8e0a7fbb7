//! Texts -> addresses: where we listen, where we are reached, and where we call.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::Url;

use super::problem::Wrong;
use super::value::Written;
use crate::protocol::issuer::{Issuer, is_loopback};

impl Written for Issuer {
    fn read(text: &str) -> Result<Self, Wrong> {
        let remedy = r#"write the address that people reach anteroom at, such as "https://mcp.example.com"; http is for localhost alone"#;
        Self::parse(text).map_err(|what| Wrong::new(what, remedy))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Written for SocketAddr {
    fn read(text: &str) -> Result<Self, Wrong> {
        let remedy = r#"write a numeric address and a port, such as "127.0.0.1:8080", or "0.0.0.0:8080" for every interface"#;
        text.parse()
            .map_err(|_| Wrong::new("is not an address with a port", remedy))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Written for IpNet {
    fn read(text: &str) -> Result<Self, Wrong> {
        let remedy = r#"write networks such as "10.0.0.0/8", or single addresses"#;
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(Self::from))
            .map_err(|_| Wrong::new("holds something that is not a network", remedy))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

/// The URL of something that anteroom calls: http or https, nothing in it but host, port and path.
fn plain_url(text: &str) -> Result<Url, Wrong> {
    let remedy = r#"write a URL such as "http://localhost:9000/mcp""#;
    let url = Url::parse(text).map_err(|_| Wrong::new("is not a URL", remedy))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Wrong::new("is not an http or https URL", remedy));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new("has a user or a password in it", remedy));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new("has a query or a fragment", remedy));
    }
    Ok(url)
}

/// The URL of a provider: https, or http on loopback; without a slash at the end.
pub(super) fn provider_url(text: &str) -> Result<Url, Wrong> {
    let url = plain_url(text.strip_suffix('/').unwrap_or(text))?;
    if url.scheme() == "http" && !is_loopback(&url) {
        let remedy = "write https: the client secret and people's tokens go there";
        return Err(Wrong::new("is http on a host that is not loopback", remedy));
    }
    Ok(url)
}

/// The issuer of a provider of `OpenID` Connect, kept as it is written: it is compared as text (`OpenID` Connect Discovery
/// 1.0 §4.3), a slash at the end included.
pub(super) fn issuer(text: &str) -> Result<String, Wrong> {
    let remedy = r#"write it as the provider does, such as "https://login.acme.com/realms/main""#;
    if text.contains("/.well-known/") {
        let remedy = "write what stands before /.well-known: the value of issuer in that document";
        return Err(Wrong::new(
            "is the address of a document about the issuer",
            remedy,
        ));
    }
    // The URL parser forgives spaces and backslashes; comparing texts does not.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if !text.bytes().all(is_plain) {
        return Err(Wrong::new("is not a URL", remedy));
    }
    let url = plain_url(text).map_err(|wrong| Wrong::new(wrong.what, remedy))?;
    if url.scheme() == "http" && !is_loopback(&url) {
        let remedy = "write https: the client secret and people's tokens go there";
        return Err(Wrong::new("is http on a host that is not loopback", remedy));
    }
    let tenant = url.path_segments().and_then(|mut path| path.next());
    let of_many = ["common", "organizations", "consumers"];
    if url.host_str() == Some("login.microsoftonline.com")
        && tenant.is_some_and(|tenant| of_many.contains(&tenant))
    {
        let remedy =
            r#"write the tenant in its place: "https://login.microsoftonline.com/TENANT-ID/v2.0""#;
        return Err(Wrong::new("stands for many issuers", remedy));
    }
    Ok(text.to_owned())
}

/// The URL of an MCP server behind us: http where it stands on the same machine or in the same private network, https
/// elsewhere.
pub(super) fn backend_url(text: &str) -> Result<Url, Wrong> {
    plain_url(text)
}

/// The proxy that anteroom goes out through; the empty text is for none.
pub(super) fn proxy(text: &str) -> Result<Option<Url>, Wrong> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
        _ => Err(Wrong::new(
            "is not the URL of a proxy",
            r#"write a URL such as "http://proxy.example.com:3128", or "" for none"#,
        )),
    }
}

/// A browser origin (RFC 6454 §6.2), as browsers send it.
pub(super) fn origin(text: &str) -> Result<String, Wrong> {
    let remedy = r#"write each as browsers send it: "https://app.example.com", without a path; http is for localhost alone"#;
    let url = Url::parse(text)
        .map_err(|_| Wrong::new("holds something that is not an origin", remedy))?;
    // Url takes a * for the name of a host; browsers do not send one.
    if url.origin().ascii_serialization() != text || text.contains('*') {
        return Err(Wrong::new("holds something that is not an origin", remedy));
    }
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if is_loopback(&url) => Ok(text.to_owned()),
        _ => Err(Wrong::new(
            "holds an origin that is neither https nor on loopback",
            remedy,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (text, accepted) in [
            ("https://app.example.com", true),
            ("https://app.example.com:8443", true),
            ("http://localhost:6274", true),
            ("http://127.0.0.1:6274", true),
            ("https://app.example.com/", false),
            ("https://app.example.com/a", false),
            ("https://App.example.com", false),
            ("https://app.example.com:443", false),
            ("http://app.example.com", false),
            ("http://localhost.evil.example", false),
            ("null", false),
            ("*", false),
            ("https://*.example.com", false),
            ("data:text/plain,x", false),
            ("", false),
        ] {
            assert_eq!(origin(text).is_ok(), accepted, "{text:?}");
        }
    }

    #[test]
    fn a_provider_is_reached_by_https_or_on_loopback() {
        for (text, read) in [
            ("https://github.com", Some("https://github.com/")),
            ("https://github.com/", Some("https://github.com/")),
            (
                "https://ghe.acme.com/api/v3/",
                Some("https://ghe.acme.com/api/v3"),
            ),
            ("http://localhost:9090", Some("http://localhost:9090/")),
            ("http://127.0.0.1:9090", Some("http://127.0.0.1:9090/")),
            ("http://github.com", None),
            ("http://localhost.evil.example", None),
            ("https://user:word@github.com", None),
            ("https://github.com?a", None),
            ("ftp://github.com", None),
            ("github.com", None),
        ] {
            let url = provider_url(text).ok();
            assert_eq!(url.as_ref().map(Url::as_str), read, "{text:?}");
        }
    }

    #[test]
    fn an_issuer_is_kept_byte_for_byte() {
        for (text, accepted) in [
            ("https://login.acme.com", true),
            ("https://login.acme.com/", true),
            ("https://login.acme.com/realms/main", true),
            ("https://Login.acme.com:443/a//", true),
            ("http://localhost:9090/oidc", true),
            ("http://127.0.0.1:9090", true),
            ("https://login.microsoftonline.com/72f988bf/v2.0", true),
            ("https://login.microsoftonline.com/common/v2.0", false),
            (
                "https://login.microsoftonline.com/organizations/v2.0",
                false,
            ),
            ("http://login.acme.com", false),
            ("http://localhost.evil.example", false),
            (
                "https://login.acme.com/.well-known/openid-configuration",
                false,
            ),
            (" https://login.acme.com", false),
            ("https://login.acme.com\n", false),
            ("https:\\\\login.acme.com", false),
            ("https://me@login.acme.com", false),
            ("https://login.acme.com?a", false),
            ("https://login.acme.com#a", false),
            ("login.acme.com", false),
            ("accounts.google.com", false),
            ("", false),
        ] {
            let read = issuer(text).ok();
            assert_eq!(read.as_deref(), accepted.then_some(text), "{text:?}");
        }
    }

    #[test]
    fn a_server_behind_is_reached_by_http_or_https() {
        for (text, accepted) in [
            ("http://localhost:9000/mcp", true),
            ("http://mcp:9000", true),
            ("http://[::1]:9000/a/b", true),
            ("https://localhost:9000/mcp", true),
            ("https://mcp.acme.com", true),
            ("https://me@mcp.acme.com", false),
            ("https://tools.example.com/mcp", true),
            ("unix:/run/mcp.sock", false),
            ("http://localhost:9000/mcp?a=b", false),
            ("http://localhost:9000/mcp#a", false),
            ("http://me@localhost:9000/mcp", false),
            ("localhost:9000", false),
            ("", false),
        ] {
            assert_eq!(backend_url(text).is_ok(), accepted, "{text:?}");
        }
    }
}
