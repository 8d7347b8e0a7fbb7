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

/// A redirect that a request may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenRedirect {
    /// Where the answer goes.
    pub redirect: RegisteredRedirect,
    /// Whether the request named it.
    pub was_sent: bool,
}

impl Client {
    /// The redirect URI of a request, found among the registered ones; the only one registered where the request
    /// names none (OAuth 2.1 §2.3.2).
    ///
    /// # Errors
    /// `invalid_request`: to be shown to the person, since there is no one else to tell.
    pub fn redirect_uri(&self, requested: Option<&str>) -> Result<ChosenRedirect, OAuthError> {
        let found = match (requested, self.redirect_uris.as_slice()) {
            (Some(requested), registered) => {
                registered.iter().find_map(|uri| uri.admits(requested))
            }
            (None, [only]) => only.admits(only.as_str()),
            (None, _) => {
                return Err(ErrorCode::InvalidRequest.with(
                    "redirect_uri is missing: it may be left out only where exactly one is registered",
                ));
            }
        };
        let redirect = found.ok_or(
            ErrorCode::InvalidRequest
                .with("redirect_uri is not one of those that the client registered"),
        )?;
        Ok(ChosenRedirect {
            redirect,
            was_sent: requested.is_some(),
        })
    }
}
