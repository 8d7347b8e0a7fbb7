//! `private_key_jwt`: what a client presents to prove itself -> an assertion of that client, or the fault that it has
//! (RFC 7523 §3, with the audience of draft-ietf-oauth-rfc7523bis).
//!
//! Two steps, so that nothing is fetched for what is wrong anyway: [`Presented::parse`] checks all but the signature and
//! says which key is needed; [`Presented::verify`] checks the signature with the keys of the client.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::clock::UnixTime;
use crate::protocol::client_keys::{is_for_signatures, is_private};
use crate::protocol::ids::ClientId;
use crate::protocol::unverified_subject::{LONGEST_ASSERTION, part};
use crate::secret::SecretDigest;

/// An assertion with nothing wrong in it but, maybe, its signature.
pub struct Presented<'a> {
    message: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    kid: Option<String>,
    assertion: Assertion,
}

/// An assertion that the client has made. It is good once: see [`Self::mark`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Under what it is remembered that it was used: a digest over client and `jti`, so that no client can use up the
    /// assertions of another.
    pub mark: SecretDigest,
    /// When nobody accepts it any more, and it may be forgotten that it was used.
    pub forgotten: UnixTime,
}

impl<'a> Presented<'a> {
    /// Reads what somebody presents who says to be `client`. It must be made for one of `audiences`, to the byte.
    ///
    /// # Errors
    /// The first fault found.
    pub fn parse(
        text: &'a str,
        client: &ClientId,
        audiences: &[&str],
        now: UnixTime,
    ) -> Result<Self, AssertionFault> {
        if text.len() > LONGEST_ASSERTION {
            return Err(AssertionFault::TooLong);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(AssertionFault::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(AssertionFault::Malformed)?;
        // an alg that we know, a typ that is none of another kind of token, and no key that it brings itself: `jwk`,
        // `jku`, `x5c` and `x5u` are never looked at
        let header: Header = part(header).ok_or(AssertionFault::Malformed)?;
        let algorithm = header.algorithm()?;
        let claims: Claims = part(payload).ok_or(AssertionFault::Claims)?;
        claims.check(client, audiences, now)?;
        Ok(Self {
            message,
            signature,
            algorithm,
            kid: header.kid,
            assertion: claims.assertion(client),
        })
    }

    /// The key that it says to be signed with.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Checks the signature with the key set of the client (RFC 7517 §5). The key decides the algorithm (RFC 8725 §3.1):
    /// one that is for another is not tried.
    ///
    /// # Errors
    /// The first fault found.
    pub fn verify(&self, keys: &[u8]) -> Result<Assertion, AssertionFault> {
        let keys: KeySet = serde_json::from_slice(keys).map_err(|_| AssertionFault::KeySet)?;
        let named = keys.keys.iter().filter(|key| match &self.kid {
            Some(kid) => key.get("kid").and_then(Value::as_str) == Some(kid),
            None => true,
        });
        let mut named = named.peekable();
        if named.peek().is_none() {
            return Err(AssertionFault::UnknownKey);
        }
        let mut fit = named
            .filter_map(|key| usable(key, self.algorithm))
            .take(MOST_TRIED)
            .peekable();
        if fit.peek().is_none() {
            return Err(AssertionFault::UnfitKey);
        }
        let message = self.message.as_bytes();
        let signed = fit.any(|key| {
            jsonwebtoken::crypto::verify(self.signature, message, &key, self.algorithm)
                .unwrap_or(false)
        });
        if signed {
            Ok(self.assertion.clone())
        } else {
            Err(AssertionFault::BadSignature)
        }
    }
}

/// What is wrong with an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{}", self.description())]
pub enum AssertionFault {
    /// More than anybody needs to say who it is.
    TooLong,
    /// Not three parts, or no header in the first of them.
    Malformed,
    /// `alg` is none that is accepted.
    Algorithm,
    /// `typ` says that it is something else.
    WrongType,
    /// `crit`: it must not be accepted by who does not understand an extension.
    Critical,
    /// A claim is missing, doubled or of the wrong type.
    Claims,
    /// `iss` or `sub` is another client.
    WrongClient,
    /// Made for somebody else, or for several.
    WrongAudience,
    /// Too late.
    Expired,
    /// `exp` is so far away that we would have to remember it for too long.
    TooLasting,
    /// Too early.
    NotYetValid,
    /// The client's key set is none.
    KeySet,
    /// `kid` names no key of the client.
    UnknownKey,
    /// The key is for another algorithm, not for signatures, or too weak.
    UnfitKey,
    /// The signature is not by the key.
    BadSignature,
}

impl AssertionFault {
    /// What to tell the client.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::TooLong => "the client_assertion is longer than 8 KiB",
            Self::Malformed => "the client_assertion is not a signed JWT",
            Self::Algorithm => "alg of the client_assertion must be RS256, PS256, ES256 or EdDSA",
            Self::WrongType => {
                "typ of the client_assertion must be JWT or client-authentication+jwt"
            }
            Self::Critical => "the client_assertion has an unknown critical extension",
            Self::Claims => {
                "the client_assertion must have iss, sub, aud, exp and jti, each once and of its type, jti with 1 to \
                 256 bytes"
            }
            Self::WrongClient => "iss and sub of the client_assertion must both be the client_id",
            Self::WrongAudience => {
                "aud of the client_assertion must be the issuer or the URL of the token endpoint, and nothing else"
            }
            Self::Expired => "the client_assertion has expired",
            Self::TooLasting => "exp of the client_assertion is more than an hour away",
            Self::NotYetValid => "iat or nbf of the client_assertion is in the future",
            Self::KeySet => "the key set of the client is not a JSON object with keys",
            Self::UnknownKey => "kid of the client_assertion names no key of the client",
            Self::UnfitKey => {
                "the key of the client is not a public key for signatures by alg: RSA with 2048 to 8192 bits, P-256 or \
                 Ed25519"
            }
            Self::BadSignature => {
                "the signature of the client_assertion is not by a key of the client"
            }
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

impl Header {
    fn algorithm(&self) -> Result<Algorithm, AssertionFault> {
        // RFC 7515 §4.1.11: we understand no extension, so none may be critical
        if self.crit.is_some() {
            return Err(AssertionFault::Critical);
        }
        let is_ours = |typ: &str| {
            let lower = typ.to_ascii_lowercase();
            let kind = lower.strip_prefix("application/").unwrap_or(&lower);
            ["jwt", "client-authentication+jwt"].contains(&kind)
        };
        if self.typ.as_deref().is_some_and(|typ| !is_ours(typ)) {
            return Err(AssertionFault::WrongType);
        }
        let known = ALGORITHMS.iter().find(|(name, _)| *name == self.alg);
        known
            .map(|(_, algorithm)| *algorithm)
            .ok_or(AssertionFault::Algorithm)
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: NumericDate,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    jti: String,
}

impl Claims {
    fn check(
        &self,
        client: &ClientId,
        audiences: &[&str],
        now: UnixTime,
    ) -> Result<(), AssertionFault> {
        if self.jti.is_empty() || self.jti.len() > LONGEST_JTI {
            return Err(AssertionFault::Claims);
        }
        if self.iss != client.as_str() || self.sub != client.as_str() {
            return Err(AssertionFault::WrongClient);
        }
        // several audiences: one of the others could present it here (RFC 7523bis)
        let audience = match &self.aud {
            Audience::One(one) => one,
            Audience::Several(several) => match several.as_slice() {
                [one] => one,
                _ => return Err(AssertionFault::WrongAudience),
            },
        };
        if !audiences.contains(&audience.as_str()) {
            return Err(AssertionFault::WrongAudience);
        }
        let exp = self.exp.0;
        if exp <= now {
            return Err(AssertionFault::Expired);
        }
        if exp.0.saturating_sub(now.0) > MAX_LIFE {
            return Err(AssertionFault::TooLasting);
        }
        let latest_start = now.0.saturating_add(MAX_AHEAD);
        let starts = [&self.nbf, &self.iat].into_iter().flatten();
        if starts.into_iter().any(|start| start.0.0 > latest_start) {
            return Err(AssertionFault::NotYetValid);
        }
        Ok(())
    }

    fn assertion(&self, client: &ClientId) -> Assertion {
        let mut mark = Sha256::new();
        for part in [client.as_str(), &self.jti] {
            mark.update((part.len() as u64).to_be_bytes());
            mark.update(part);
        }
        Assertion {
            mark: SecretDigest::from_bytes(mark.finalize().into()),
            // another instance's clock may be behind ours
            forgotten: UnixTime(self.exp.0.0.saturating_add(MAX_AHEAD)),
        }
    }
}

/// RFC 7519 §4.1.3: a string, or an array of strings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Seconds since 1970, maybe with a fraction (RFC 7519 §2), which is cut off.
struct NumericDate(UnixTime);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(from)?;
        if !(0.0..LAST_MOMENT).contains(&seconds) {
            return Err(D::Error::custom("not a moment"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the fraction is to be cut off"
        )]
        let seconds = seconds as i64;
        Ok(Self(UnixTime(seconds)))
    }
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// Reads a member that may be absent but not null.
fn present<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(from).map(Some)
}

/// A key of the set, if it is one for signatures by `algorithm`. Keys that we do not understand are left out, and never make
/// the others unreadable (RFC 7517 §5).
fn usable(key: &Value, algorithm: Algorithm) -> Option<DecodingKey> {
    if is_private(key) || !is_for_signatures(key) {
        return None;
    }
    let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
    let common = &jwk.common;
    let for_algorithm = common
        .key_algorithm
        .is_none_or(|own| own == KeyAlgorithm::from(algorithm));
    let fits = match (algorithm, &jwk.algorithm) {
        (Algorithm::RS256 | Algorithm::PS256, AlgorithmParameters::RSA(rsa)) => {
            modulus_bits(&rsa.n).is_some_and(|bits| (2048..=8192).contains(&bits))
        }
        (Algorithm::ES256, AlgorithmParameters::EllipticCurve(ec)) => {
            ec.curve == EllipticCurve::P256
        }
        (Algorithm::EdDSA, AlgorithmParameters::OctetKeyPair(pair)) => {
            pair.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    (for_algorithm && fits).then(|| DecodingKey::from_jwk(&jwk).ok())?
}

fn modulus_bits(modulus: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    let first = bytes.get(leading)?;
    Some((bytes.len() - leading) * 8 - first.leading_zeros() as usize)
}

/// What discovery promises: no HMAC, and no `none`.
const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("RS256", Algorithm::RS256),
    ("PS256", Algorithm::PS256),
    ("ES256", Algorithm::ES256),
    ("EdDSA", Algorithm::EdDSA),
];
/// Each assertion is remembered until it has expired (RFC 7523 §3: one that is "unreasonably far in the future" may be
/// refused). Clients make them for five minutes; an hour is what other servers put up with at most.
const MAX_LIFE: i64 = 3600;
/// Seconds that the clock of a client may be ahead, as in FAPI 2.0 §5.3.2.1.
const MAX_AHEAD: i64 = 60;
const LONGEST_JTI: usize = 256;
/// Keys that are tried where the assertion names none.
const MOST_TRIED: usize = 5;
/// The year 9999: what is later is no moment, and up to it each second is a number of its own.
const LAST_MOMENT: f64 = 253_402_300_800.0;
