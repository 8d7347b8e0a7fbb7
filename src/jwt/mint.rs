//! Claims -> access token (RFC 9068 §2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::keys::{Key, KeyError};
use super::ring::KeyRing;
use crate::protocol::claims::AccessClaims;
use crate::secret::Secret;

impl KeyRing {
    /// Signs `claims` with the key whose turn it is when they are issued. The claims are taken as they are: who asks for a token has made
    /// sure that each of them is right.
    ///
    /// # Errors
    /// [`KeyError::Sign`]
    pub fn mint(&self, claims: &AccessClaims) -> Result<Secret, KeyError> {
        let ring = self.parsed();
        let key = ring.signing_key(claims.iat)?;
        key.compact(&key.header, claims)
    }
}

impl Key {
    /// Signs `claims` behind a header that is in base64url already (RFC 7515 §7.1: the compact serialization).
    pub(super) fn compact(
        &self,
        header: &str,
        claims: &impl Serialize,
    ) -> Result<Secret, KeyError> {
        let payload = serde_json::to_vec(claims).map_err(|_| KeyError::Sign)?;
        let mut token = String::with_capacity(header.len() + payload.len() * 2 + SIGNATURE_LEN);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(Secret::new(token))
    }
}

/// Of RSA with 2048 bits, the longest, in base64url.
const SIGNATURE_LEN: usize = 342;
