//! Redirect URIs: which may be registered, and when a request's is a registered one (OAuth 2.1 §2.3, RFC 8252 §7).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::OAuthError;

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
    /// Reads a redirect URI of a registration or of the configuration.
    ///
    /// # Errors
    /// `invalid_redirect_uri`, with the rule that it breaks.
    pub fn parse(_text: &str) -> Result<Self, OAuthError> {
        unimplemented!()
    }

    /// The URI, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `requested` as a place where answers may go, if it equals this one: exactly, or but for the port where this is
    /// a loopback URI (RFC 8252 §7.3).
    #[must_use]
    pub fn admits(&self, _requested: &str) -> Option<RegisteredRedirect> {
        unimplemented!()
    }
}

impl RegisteredRedirect {
    /// The URI, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a person is shown: the host, or the scheme of an app.
    #[must_use]
    pub fn shown_host(&self) -> String {
        unimplemented!()
    }

    /// Whether it leads back to the person's own machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        unimplemented!()
    }

    /// Whether it is neither http nor https: an app's own scheme, reached through a page with a button.
    #[must_use]
    pub fn is_private_use_scheme(&self) -> bool {
        unimplemented!()
    }
}

impl fmt::Display for RegisteredRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
