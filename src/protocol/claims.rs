//! The claims of an access token (RFC 9068 §2.2).

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
