//! Proof Key for Code Exchange (RFC 7636): S256, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{ErrorCode, OAuthError};
use crate::secret::{Secret, same};

/// A `code_challenge` of method S256: SHA-256 of the verifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method` of an authorization request.
    ///
    /// # Errors
    /// `invalid_request` where either is missing or not S256 (RFC 7636 §4.4.1): an absent method means `plain`.
    pub fn parse(challenge: Option<&str>, method: Option<&str>) -> Result<Self, OAuthError> {
        let challenge = challenge.ok_or(
            ErrorCode::InvalidRequest.with("code_challenge is missing: PKCE with S256 is required"),
        )?;
        if method != Some("S256") {
            return Err(ErrorCode::InvalidRequest
                .with("code_challenge_method must be S256: plain, which is meant when it is absent, is refused"));
        }
        let mut digest = [0; 32];
        match URL_SAFE_NO_PAD.decode_slice(challenge, &mut digest) {
            Ok(32) => Ok(Self(digest)),
            _ => Err(ErrorCode::InvalidRequest
                .with("code_challenge must be the 43 base64url characters of a SHA-256")),
        }
    }

    /// Whether `verifier` is well formed and the one that was challenged, compared in constant time (RFC 7636 §4.6).
    #[must_use]
    pub fn is_met_by(&self, verifier: &Secret) -> bool {
        let verifier = verifier.expose().as_bytes();
        let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        (43..=128).contains(&verifier.len())
            && verifier.iter().all(unreserved)
            && same(&Sha256::digest(verifier), &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636 Appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    /// AUTHZ-08, SEC-01
    #[test]
    fn only_s256_with_a_whole_challenge_is_accepted() {
        let padded = format!("{CHALLENGE}=");
        for (challenge, method, accepted) in [
            (Some(CHALLENGE), Some("S256"), true),
            (Some(CHALLENGE), None, false),
            (Some(CHALLENGE), Some("plain"), false),
            (Some(CHALLENGE), Some("s256"), false),
            (Some(CHALLENGE), Some(""), false),
            (Some(&CHALLENGE[..42]), Some("S256"), false),
            (Some(&padded), Some("S256"), false),
            (Some(""), Some("S256"), false),
            (None, Some("S256"), false),
            (None, None, false),
        ] {
            let read = Challenge::parse(challenge, method);
            assert_eq!(read.is_ok(), accepted, "{challenge:?} {method:?}");
        }
    }

    /// TOK-06
    #[test]
    fn a_challenge_is_met_by_its_verifier_alone() {
        let challenge = Challenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        let longer = format!("{VERIFIER}A");
        for (verifier, met) in [
            (VERIFIER, true),
            (CHALLENGE, false),
            (&VERIFIER[..42], false),
            (&longer, false),
            ("", false),
        ] {
            assert_eq!(
                challenge.is_met_by(&Secret::new(verifier)),
                met,
                "{verifier}"
            );
        }
    }
}
