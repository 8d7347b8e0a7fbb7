//! ID token -> the claims that the provider has signed, or why it is none of ours (`OpenID` Connect Core 1.0 §3.1.3.7).
//!
//! Keys, signatures and hashes are `openidconnect`'s. Its verifier is not used, because it does not look at `azp`, cannot
//! hold the second spelling of Google's issuer, and gives up a whole token for one claim of a type that it did not expect.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{AccessToken, AccessTokenHash, JsonWebKey as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::secret::{Secret, same};

/// What an ID token is held to.
pub(super) struct Expected<'a> {
    /// The spellings of the issuer.
    pub(super) issuers: &'a [String],
    /// Our `client_id`.
    pub(super) client_id: &'a str,
    /// What we sent along with the browser; none: the token comes for a refresh token.
    pub(super) nonce: Option<&'a Secret>,
    /// The access token that it came with.
    pub(super) access: &'a Secret,
    /// The present moment.
    pub(super) now: UnixTime,
}

/// Why an ID token is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ID token {0}")]
pub(super) enum IdTokenFault {
    #[error("is not a signed JWT")]
    Malformed,
    #[error("is not signed with RS256, PS256, ES256, ES384 or EdDSA")]
    Algorithm,
    #[error("is a token of another kind")]
    WrongType,
    #[error("has an unknown critical extension")]
    Critical,
    #[error("is signed with a key that the provider does not publish")]
    UnknownKey,
    #[error("has a signature that is not by the provider's key")]
    BadSignature,
    #[error("lacks a claim, or has one of the wrong type: iss, sub, aud, exp, iat")]
    Claims,
    #[error("is of another issuer")]
    WrongIssuer,
    #[error("is for another client")]
    WrongAudience,
    #[error("has expired: is the clock of this machine right?")]
    Expired,
    #[error("is issued in the future, or more than a day ago: is the clock of this machine right?")]
    WrongTime,
    #[error("does not repeat the nonce of this sign-in")]
    WrongNonce,
    #[error("is for another access token")]
    WrongHash,
}

/// Verifies an ID token with `keys`.
///
/// # Errors
/// The first fault found; [`IdTokenFault::UnknownKey`] is worth fetching the keys again for.
pub(super) fn verified(
    token: &str,
    keys: &CoreJsonWebKeySet,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, IdTokenFault> {
    let (message, signature) = token.rsplit_once('.').ok_or(IdTokenFault::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(IdTokenFault::Malformed)?;
    let header: Header = part(header)?;
    let algorithm = header.algorithm()?;
    let claims: Map<String, Value> = part(payload)?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| IdTokenFault::Malformed)?;
    let key = header.signer(keys, &algorithm, message.as_bytes(), &signature)?;
    let checked: Claims =
        serde_json::from_value(Value::Object(claims.clone())).map_err(|_| IdTokenFault::Claims)?;
    checked.check(expected)?;
    if let Some(hash) = &checked.at_hash {
        let access = AccessToken::new(expected.access.expose().to_owned());
        let own = AccessTokenHash::from_token(&access, &algorithm, key);
        if own.is_ok_and(|own| !same(own.as_bytes(), hash.as_bytes())) {
            return Err(IdTokenFault::WrongHash);
        }
    }
    Ok(claims)
}

/// The header. A key that it brings itself (`jwk`, `jku`, `x5c`, `x5u`) is never looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    cty: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
    kid: Option<String>,
}

impl Header {
    fn algorithm(&self) -> Result<CoreJwsSigningAlgorithm, IdTokenFault> {
        // RFC 7515 §4.1.11: we understand no extension, so none may be critical
        if self.crit.is_some() {
            return Err(IdTokenFault::Critical);
        }
        // an access token of RFC 9068 may be signed with the same key
        let is_jwt = |typ: &str| typ.eq_ignore_ascii_case("jwt");
        let typ = self.typ.as_deref();
        let typ = typ.map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        if self.cty.is_some() || !typ.is_none_or(is_jwt) {
            return Err(IdTokenFault::WrongType);
        }
        // never a MAC: its key would be one that others know
        Ok(match self.alg.as_str() {
            "RS256" => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            "PS256" => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            "ES256" => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            "ES384" => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            "EdDSA" => CoreJwsSigningAlgorithm::EdDsa,
            _ => return Err(IdTokenFault::Algorithm),
        })
    }

    /// The key that signed: the one that is named, or, where none is, one of those that fit.
    fn signer<'k>(
        &self,
        keys: &'k CoreJsonWebKeySet,
        algorithm: &CoreJwsSigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<&'k CoreJsonWebKey, IdTokenFault> {
        let kid = self.kid.as_deref();
        let is_named =
            |key: &&CoreJsonWebKey| kid.is_none() || key.key_id().map(|id| id.as_str()) == kid;
        let mut named = keys
            .keys()
            .iter()
            .filter(is_named)
            .take(MOST_TRIED)
            .peekable();
        if named.peek().is_none() {
            return Err(IdTokenFault::UnknownKey);
        }
        // the key decides the algorithm (RFC 8725 §3.1): one that is of another kind, or for another use, signs nothing
        let signs =
            |key: &&CoreJsonWebKey| key.verify_signature(algorithm, message, signature).is_ok();
        named.find(signs).ok_or(match kid {
            Some(_) => IdTokenFault::BadSignature,
            // who names no key may have new ones all the same
            None => IdTokenFault::UnknownKey,
        })
    }
}

/// The claims that are checked.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: NumericDate,
    iat: NumericDate,
    nbf: Option<NumericDate>,
    nonce: Option<String>,
    at_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Seconds, maybe with a fraction (RFC 7519 §2).
#[derive(Deserialize)]
#[serde(untagged)]
enum NumericDate {
    Whole(i64),
    Fraction(f64),
}

impl NumericDate {
    fn time(&self) -> UnixTime {
        match self {
            Self::Whole(seconds) => UnixTime(*seconds),
            #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
            Self::Fraction(seconds) => UnixTime(seconds.floor() as i64),
        }
    }
}

/// The moment that a claim names.
pub(super) fn time(claim: &Value) -> Option<UnixTime> {
    let date = NumericDate::deserialize(claim);
    date.ok().map(|date| date.time())
}

impl Claims {
    fn check(&self, expected: &Expected<'_>) -> Result<(), IdTokenFault> {
        if !expected.issuers.contains(&self.iss) {
            return Err(IdTokenFault::WrongIssuer);
        }
        if !self.is_for(expected.client_id) {
            return Err(IdTokenFault::WrongAudience);
        }
        if !is_subject(&self.sub) {
            return Err(IdTokenFault::Claims);
        }
        let now = expected.now.0;
        if self.exp.time().0 <= now {
            return Err(IdTokenFault::Expired);
        }
        let issued = self.iat.time().0;
        let begins = self.nbf.as_ref().map_or(issued, |nbf| nbf.time().0);
        let latest = now.saturating_add(SKEW);
        if issued > latest || begins > latest || issued < now.saturating_sub(OLDEST) {
            return Err(IdTokenFault::WrongTime);
        }
        let repeated = self.nonce.as_deref().unwrap_or_default().as_bytes();
        match expected.nonce {
            Some(nonce) if !same(nonce.expose().as_bytes(), repeated) => {
                Err(IdTokenFault::WrongNonce)
            }
            _ => Ok(()),
        }
    }

    /// Whether it is for us, and, if others can present it too, was issued to us.
    fn is_for(&self, client_id: &str) -> bool {
        let ours = |audience: &String| audience == client_id;
        let (among, alone) = match &self.aud {
            Audience::One(one) => (ours(one), true),
            Audience::Several(several) => (several.iter().any(ours), several.iter().all(ours)),
        };
        among && self.azp.as_ref().map_or(alone, ours)
    }
}

/// Whether `sub` can be the name of somebody: 1 to 255 visible ASCII characters (Core §2).
pub(super) fn is_subject(sub: &str) -> bool {
    (1..=255).contains(&sub.len()) && sub.bytes().all(|byte| byte.is_ascii_graphic())
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, IdTokenFault> {
    let json = URL_SAFE_NO_PAD.decode(text);
    let json = json.map_err(|_| IdTokenFault::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| IdTokenFault::Malformed)
}

/// How far the provider's clock may be ahead of ours, in seconds.
const SKEW: i64 = 60;
/// How long ago an ID token may be issued that we asked for just now, in seconds.
const OLDEST: i64 = 24 * 60 * 60;
/// So many keys are tried for one token.
const MOST_TRIED: usize = 16;
