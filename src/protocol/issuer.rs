//! The issuer identifier, and every URL that is built from it: here and nowhere else.

use std::fmt;

/// The issuer (RFC 8414 §2): the configured `public_url`, kept as text and emitted byte for byte, without a slash at
/// the end. No URL is ever built from a request's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Reads `public_url`; one slash at the end is taken off. http is accepted for loopback hosts alone.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(_text: &str) -> Result<Self, &'static str> {
        unimplemented!()
    }

    /// The issuer, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port: `https://mcp.example.com`.
    #[must_use]
    pub fn origin(&self) -> &str {
        unimplemented!()
    }

    /// The path of it: empty, or `/a/b`.
    #[must_use]
    pub fn path(&self) -> &str {
        unimplemented!()
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
    pub fn callback(&self, provider: &super::ids::ProviderId) -> String {
        self.url(&format!("/callback/{provider}"))
    }

    /// Where the metadata of the resource at `path` are: inserted between host and path (RFC 9728 §3.1).
    #[must_use]
    pub fn resource_metadata(&self, _path: &str) -> String {
        unimplemented!()
    }

    /// Whether cookies can be `Secure` and `__Host-`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
