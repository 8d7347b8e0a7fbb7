//! A client, wherever it came from, and what it may ask for.

use serde::{Deserialize, Serialize};

use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::redirect_uri::{RedirectUri, RegisteredRedirect};
use crate::clock::UnixTime;
use crate::secret::SecretDigest;

/// A client that is known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// `client_id`
    pub id: ClientId,
    /// `client_name`: what it calls itself, without control and direction characters.
    pub name: Option<String>,
    /// `client_uri`: http or https.
    pub uri: Option<String>,
    /// Where answers may go; never empty.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it proves itself at the token endpoint.
    pub authentication: ClientAuthentication,
    /// Whether it has the refresh token grant.
    pub refreshes: bool,
    /// Where it came from.
    pub source: ClientSource,
}

/// How a client proves itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// `none`: a public client, held by PKCE alone.
    None,
    /// `client_secret_basic` or `client_secret_post`: either is accepted, whichever was registered (TOK-23).
    Secret(SecretDigest),
}

/// Where a client came from. Metadata documents and clients of the configuration are further variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClientSource {
    /// Registered itself (RFC 7591); anybody can.
    Registered {
        /// `client_id_issued_at`
        at: UnixTime,
    },
}

impl Client {
    /// The redirect URI of a request, found among the registered ones; the only one registered where the request
    /// names none (OAuth 2.1 §2.3.2).
    ///
    /// # Errors
    /// `invalid_request`: to be shown to the person, since there is no one else to tell.
    pub fn redirect_uri(&self, requested: Option<&str>) -> Result<RegisteredRedirect, OAuthError> {
        match (requested, self.redirect_uris.as_slice()) {
            (Some(requested), registered) => registered
                .iter()
                .find_map(|uri| uri.admits(requested))
                .ok_or(NOT_REGISTERED),
            (None, [only]) => only.admits(only.as_str()).ok_or(NOT_REGISTERED),
            (None, _) => Err(AMBIGUOUS),
        }
    }
}

const NOT_REGISTERED: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the redirect_uri is not one that the client registered",
};
const AMBIGUOUS: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "redirect_uri is missing, and the client registered several",
};

#[cfg(test)]
mod tests {
    use super::*;

    /// AUTHZ-05
    #[test]
    fn a_redirect_uri_may_be_left_out_where_there_is_only_one() {
        let client = |uris: &[&str]| Client {
            id: ClientId::new("c"),
            name: None,
            uri: None,
            redirect_uris: uris
                .iter()
                .map(|uri| RedirectUri::parse(uri).unwrap())
                .collect(),
            authentication: ClientAuthentication::None,
            refreshes: false,
            source: ClientSource::Registered { at: UnixTime(0) },
        };
        let one = client(&["https://a.example/cb"])
            .redirect_uri(None)
            .unwrap();
        assert_eq!(one.as_str(), "https://a.example/cb");
        let two = client(&["https://a.example/cb", "https://b.example/cb"]);
        assert!(two.redirect_uri(None).is_err());
        assert!(two.redirect_uri(Some("https://b.example/cb")).is_ok());
        assert!(two.redirect_uri(Some("https://c.example/cb")).is_err());
    }
}
