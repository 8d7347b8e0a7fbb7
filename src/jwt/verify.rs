//! Access token -> claims, or the fault that it has (RFC 9068 §4).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Header, decode_header};
use serde::Deserialize;

use super::keys::Key;
use super::ring::{KeyRing, Parsed};
use crate::clock::UnixTime;
use crate::protocol::claims::AccessClaims;
use crate::protocol::ids::{ClientId, Subject};

impl KeyRing {
    /// Verifies an access token that somebody presents for the resource `audience`. Everything is required that we
    /// mint; what can be refused cheaply is refused before the signature is computed.
    ///
    /// Header and payload are taken apart by jsonwebtoken; its validation is not used, because it lets absent claims
    /// and claims of the wrong type pass, does not look at `typ` and `crit`, and reads the time of the machine.
    ///
    /// # Errors
    /// The first fault found.
    pub fn verify(
        &self,
        token: &str,
        audience: &str,
        now: UnixTime,
    ) -> Result<AccessClaims, TokenFault> {
        if token.len() > MAX_LEN {
            return Err(TokenFault::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let header = decode_header(token).map_err(|_| TokenFault::Malformed)?;
        let ring = self.parsed();
        let key = key_of(&header, &ring, now)?;
        let payload: Payload = insecure_decode_claims(token).map_err(|_| TokenFault::Malformed)?;
        if payload.iss != self.issuer {
            return Err(TokenFault::WrongIssuer);
        }
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| TokenFault::Malformed)?;
        if !key.has_signed(message.as_bytes(), &signature) {
            return Err(TokenFault::BadSignature);
        }
        payload.claims_for(audience, now)
    }
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{}", self.description())]
pub enum TokenFault {
    /// Too long, not three parts, not JSON, a claim missing or of the wrong type.
    Malformed,
    /// Signed with a key that we do not have.
    UnknownKey,
    /// It says another algorithm than its key has.
    WrongAlgorithm,
    /// The signature is not by the key named.
    BadSignature,
    /// `typ` says that it is something else.
    WrongType,
    /// `crit`: it must not be accepted by who does not understand an extension.
    Critical,
    /// From somebody else.
    WrongIssuer,
    /// For another resource.
    WrongAudience,
    /// Too late.
    Expired,
    /// Too early.
    NotYetValid,
}

impl TokenFault {
    /// What to tell the client, in characters that may stand in a `WWW-Authenticate` parameter (RFC 6750 §3).
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Malformed => "the access token is malformed",
            Self::UnknownKey => "the access token was signed with an unknown key",
            Self::WrongAlgorithm => "the access token names the wrong algorithm",
            Self::BadSignature => "the signature of the access token is wrong",
            Self::WrongType => "the token is not an access token",
            Self::Critical => "the access token has an unknown critical extension",
            Self::WrongIssuer => "the access token was issued by somebody else",
            Self::WrongAudience => "the access token was issued for another resource",
            Self::Expired => "the access token has expired",
            Self::NotYetValid => "the access token is not valid yet",
        }
    }
}

/// The claims as they arrive. A claim that is missing or has the wrong type makes the whole unreadable; a number with
/// a fraction is none of ours.
#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: Subject,
    aud: Audience,
    client_id: ClientId,
    iat: UnixTime,
    exp: UnixTime,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<UnixTime>,
    jti: String,
    scope: String,
    sid: String,
}

impl Payload {
    fn claims_for(self, audience: &str, now: UnixTime) -> Result<AccessClaims, TokenFault> {
        let for_us = match &self.aud {
            Audience::One(one) => one == audience,
            Audience::Several(several) => several.iter().any(|one| one == audience),
        };
        if !for_us {
            return Err(TokenFault::WrongAudience);
        }
        // RFC 7519 §4.1.4: "on or after" is too late, and no leeway: the clock is the one that issued it
        if self.exp <= now {
            return Err(TokenFault::Expired);
        }
        // ... unless another instance did, which may be a little ahead
        let latest_start = UnixTime(now.0.saturating_add(MAX_AHEAD));
        if self.iat > latest_start || self.nbf.is_some_and(|nbf| nbf > latest_start) {
            return Err(TokenFault::NotYetValid);
        }
        Ok(AccessClaims {
            iss: self.iss,
            sub: self.sub,
            aud: audience.to_owned(),
            client_id: self.client_id,
            iat: self.iat,
            exp: self.exp,
            jti: self.jti,
            scope: self.scope,
            sid: self.sid,
        })
    }
}

/// The key named in the header, which decides the algorithm (RFC 8725 §3.1). `jku`, `x5u`, `jwk` and `x5c` name
/// keys too; they are never looked at.
fn key_of<'a>(header: &Header, ring: &'a Parsed, now: UnixTime) -> Result<&'a Key, TokenFault> {
    // RFC 7515 §4.1.11: we understand no extension, so none may be critical
    if header.crit.is_some() {
        return Err(TokenFault::Critical);
    }
    // RFC 9068 §4: whatever else we may sign one day, only access tokens have this type
    let typ = header.typ.as_deref().ok_or(TokenFault::WrongType)?;
    if !ACCEPTED_TYPES
        .iter()
        .any(|accepted| accepted.eq_ignore_ascii_case(typ))
    {
        return Err(TokenFault::WrongType);
    }
    let kid = header.kid.as_deref().ok_or(TokenFault::UnknownKey)?;
    let key = ring.key(kid, now).ok_or(TokenFault::UnknownKey)?;
    if header.alg != key.algorithm {
        return Err(TokenFault::WrongAlgorithm);
    }
    Ok(key)
}

/// RFC 7519 §4.1.3: a string, or an array of strings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Reads a claim that may be absent but not null.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<UnixTime>, D::Error> {
    UnixTime::deserialize(from).map(Some)
}

/// Ours have about 600 bytes; proxies rarely pass on more than this in a header.
const MAX_LEN: usize = 8 * 1024;
/// Seconds that the clock of another instance may be ahead.
const MAX_AHEAD: i64 = 30;
const ACCEPTED_TYPES: [&str; 2] = ["at+jwt", "application/at+jwt"];
