//! The claims of an access token (RFC 9068 §2.2), and of the assertion by which a server behind is told who calls.

use serde::{Deserialize, Serialize};

use super::ids::{ClientId, Subject};
use crate::clock::UnixTime;

/// The payload of an access token. No e-mail address, no name, nothing of the provider's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The issuer, byte for byte the configured one.
    pub iss: String,
    /// Who signed in.
    pub sub: Subject,
    /// The resource identifier that it is for.
    pub aud: String,
    /// Which client.
    pub client_id: ClientId,
    /// When it was issued.
    pub iat: UnixTime,
    /// When it expires.
    pub exp: UnixTime,
    /// Unique.
    pub jti: String,
    /// Space-separated scopes (RFC 8693 §4.2).
    pub scope: String,
    /// The session that it dies with: an [`super::ids::Id`].
    pub sid: String,
}

/// The payload of an assertion, for the server behind alone: who calls, in the words of `OpenID` Connect Core 1.0 §5.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityClaims {
    /// The issuer, byte for byte the configured one.
    pub iss: String,
    /// Who signed in.
    pub sub: Subject,
    /// The URL of the server.
    pub aud: String,
    /// When it was issued.
    pub iat: UnixTime,
    /// When it expires.
    pub exp: UnixTime,
    /// Which client.
    pub client_id: ClientId,
    /// Space-separated scopes (RFC 8693 §4.2).
    pub scope: String,
    /// The session.
    pub sid: String,
    /// The account's present name at the provider; may change hands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// An address that the provider has verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `true` beside `email`: there is never another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}
