//! A client, wherever it came from, and what it may ask for.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::redirect_uri::{RedirectUri, RegisteredRedirect};
use super::scope::ScopeSet;
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
    /// `logo_uri`: https. Only looked at where we know whose it is.
    pub logo: Option<String>,
    /// Where answers may go; never empty.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it proves itself at the token endpoint.
    pub authentication: ClientAuthentication,
    /// Whether it has the refresh token grant.
    pub refreshes: bool,
    /// The scopes that it may be given at most; none: every one.
    pub scopes: Option<ScopeSet>,
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
    /// `private_key_jwt` (RFC 7523 §2.2).
    Keys {
        /// Where its public keys are.
        keys: KeySource,
        /// Whether it may come without an assertion as well: its document lists `none` too (CLI-13, CLI-14).
        or_none: bool,
    },
}

/// Where the public keys of a client are (RFC 7591 §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// `jwks`: the key set itself, as JSON text; of each key only what verifying needs.
    Inline(String),
    /// `jwks_uri`: an https URL that is written as plainly as a
    /// [`DocumentUrl`](super::client_metadata::DocumentUrl), with any path and query.
    At(String),
}

/// Where a client came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClientSource {
    /// Registered itself (RFC 7591); anybody can.
    Registered {
        /// `client_id_issued_at`
        at: UnixTime,
        /// Digest of the registration access token (RFC 7592 §3).
        access: SecretDigest,
        /// The issuer that it registered with: to another one it is unknown (CLI-63).
        issuer: String,
    },
    /// Describes itself at its `client_id`, an https URL.
    Document,
    /// Is named in the configuration.
    Known,
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

    /// What a person agreed to of a client: another name, logo, place, way to prove itself, or whether it stays
    /// connected, is another fingerprint, and is asked about again (CLI-20). How the redirect URIs are ordered makes no difference.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut places: Vec<&str> = self.redirect_uris.iter().map(RedirectUri::as_str).collect();
        places.sort_unstable();
        let proof = &self.authentication;
        let parts = (&self.name, &self.logo, places, proof, self.refreshes);
        // what is stored in this form each day cannot fail to be written
        let written = postcard::to_allocvec(&parts).unwrap_or_default();
        Sha256::digest(written).into()
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
    use std::collections::HashSet;

    use super::*;
    use crate::secret::Secret;

    fn client(uris: &[&str]) -> Client {
        Client {
            id: ClientId::new("c"),
            name: None,
            uri: None,
            logo: None,
            redirect_uris: uris
                .iter()
                .map(|uri| RedirectUri::parse(uri).unwrap())
                .collect(),
            authentication: ClientAuthentication::None,
            refreshes: false,
            scopes: None,
            source: ClientSource::Known,
        }
    }

    /// AUTHZ-05
    #[test]
    fn a_redirect_uri_may_be_left_out_where_there_is_only_one() {
        let one = client(&["https://a.example/cb"])
            .redirect_uri(None)
            .unwrap();
        assert_eq!(one.as_str(), "https://a.example/cb");
        let two = client(&["https://a.example/cb", "https://b.example/cb"]);
        assert!(two.redirect_uri(None).is_err());
        assert!(two.redirect_uri(Some("https://b.example/cb")).is_ok());
        assert!(two.redirect_uri(Some("https://c.example/cb")).is_err());
    }

    /// CLI-20
    #[test]
    fn a_client_that_changes_who_it_is_or_where_answers_go_is_another() {
        let keys = |at: &str, or_none| ClientAuthentication::Keys {
            keys: KeySource::At(at.to_owned()),
            or_none,
        };
        let [a, b] = ["https://a.example/cb", "https://b.example/cb"];
        let (was, text) = (client(&[a, b]), |text: &str| Some(text.to_owned()));
        let secret = ClientAuthentication::Secret(Secret::new("s").digest());
        let others = [
            was.clone(),
            Client {
                name: text("A"),
                ..was.clone()
            },
            Client {
                logo: text("A"),
                ..was.clone()
            },
            Client {
                refreshes: true,
                ..was.clone()
            },
            client(&[a]),
            client(&[a, b, "http://localhost/"]),
            client(&[a, "https://b.example/cb2"]),
            Client {
                authentication: secret,
                ..was.clone()
            },
            Client {
                authentication: keys("https://a.example/k", false),
                ..was.clone()
            },
            Client {
                authentication: keys("https://a.example/k", true),
                ..was.clone()
            },
            Client {
                authentication: keys("https://b.example/k", true),
                ..was.clone()
            },
        ];
        let all: HashSet<_> = others.iter().map(Client::fingerprint).collect();
        assert_eq!(all.len(), others.len());
        let same = Client {
            uri: text("https://a.example/"),
            ..client(&[b, a])
        };
        assert_eq!(same.fingerprint(), was.fingerprint());
    }
}
