//! PEM -> a signing key that somebody brings (RFC 7468), or what is wrong with it.

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::keys::{KeyError, KeyMaterial};
use crate::secret::Secret;

impl KeyMaterial {
    /// Reads the private key in a PEM text. The key decides the algorithm.
    ///
    /// # Errors
    /// [`KeyError::Given`], with what to do.
    pub fn from_pem(text: &Secret) -> Result<Self, KeyError> {
        let text = text.expose();
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            KeyError::Given(if text.contains("ENCRYPTED PRIVATE KEY") {
                GivenKeyFault::Encrypted
            } else {
                GivenKeyFault::NoKey
            })
        })?;
        let PrivateKeyDer::Pkcs8(key) = &key else {
            return Err(KeyError::Given(GivenKeyFault::NotPkcs8));
        };
        Self::from_pkcs8(key.secret_pkcs8_der())
            .map_err(|_| KeyError::Given(GivenKeyFault::OtherKind))
    }
}

/// What is wrong with a key that somebody brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GivenKeyFault {
    /// No private key in PEM.
    #[error(
        "holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----: make one with `openssl genpkey \
         -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    NoKey,
    /// It needs a password.
    #[error(
        "is encrypted, and anteroom has no password for it: take the encryption off with `openssl pkcs8 -in old.pem \
         -out new.pem`, and let anteroom alone read the file"
    )]
    Encrypted,
    /// SEC1 or PKCS#1.
    #[error(
        "is not in PKCS#8 but in an older form: turn it into one with `openssl pkcs8 -topk8 -nocrypt -in old.pem -out \
         new.pem`"
    )]
    NotPkcs8,
    /// Of a kind or size that is not for signing here.
    #[error(
        "is none of the keys that can sign here: P-256, Ed25519, or RSA with 2048 to 8192 bits; make one with `openssl \
         genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    OtherKind,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::keys::Algorithm;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn pem(label: &str, der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    fn fault(text: &str) -> KeyError {
        KeyMaterial::from_pem(&Secret::new(text)).unwrap_err()
    }

    /// AT-06
    #[test]
    fn a_key_of_each_kind_is_read_from_pem() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            let key = KeyMaterial::generate(algorithm).unwrap();
            let text = pem("PRIVATE KEY", &key.to_bytes()[1..]);
            let windows = format!("Bag Attributes\r\n{}", text.replace('\n', "\r\n"));
            for text in [text, windows] {
                let read = KeyMaterial::from_pem(&Secret::new(text)).unwrap();
                assert_eq!(read.algorithm(), algorithm);
                assert_eq!(read.kid().unwrap(), key.kid().unwrap());
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused_with_the_remedy() {
        let key = KeyMaterial::generate(Algorithm::Es256).unwrap();
        let der = &key.to_bytes()[1..];
        let whole = pem("PRIVATE KEY", der);
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let p384 = p384.to_pkcs8v1().unwrap();
        for (text, said) in [
            (String::new(), "openssl genpkey"),
            ("c2hvcnQ=".to_owned(), "openssl genpkey"),
            (pem("PUBLIC KEY", der), "openssl genpkey"),
            (pem("CERTIFICATE", der), "openssl genpkey"),
            (whole[..whole.len() / 2].to_owned(), "openssl genpkey"),
            (pem("EC PRIVATE KEY", der), "-topk8 -nocrypt"),
            (pem("RSA PRIVATE KEY", der), "-topk8 -nocrypt"),
            (pem("ENCRYPTED PRIVATE KEY", der), "no password"),
            (pem("PRIVATE KEY", &der[..40]), "P-256, Ed25519"),
            (pem("PRIVATE KEY", b"garbage"), "P-256, Ed25519"),
            (pem("PRIVATE KEY", p384.as_ref()), "P-256, Ed25519"),
        ] {
            let message = fault(&text).to_string();
            assert!(message.starts_with("tokens.signing_key "), "{message}");
            assert!(message.contains(said), "{text}: {message}");
        }
    }
}
