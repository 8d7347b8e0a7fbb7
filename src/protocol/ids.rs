//! Identifiers, each its own type.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::entropy;
use crate::secret::{Secret, SecretDigest};

/// An identifier of ours: 6 bytes of time, then 144 random bits, so that rows made together lie together in the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id([u8; Self::LEN]);

impl Id {
    /// Bytes in an identifier; 32 characters in base64url.
    pub const LEN: usize = 24;

    /// A new identifier.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        let mut bytes = entropy::random::<{ Self::LEN }>();
        bytes[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
        Self(bytes)
    }

    /// The bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The identifier that `bytes` are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Reads the printed form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(Self::LEN) => Some(Self(bytes)),
            _ => None,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; Self::LEN / 3 * 4];
        let written = URL_SAFE_NO_PAD
            .encode_slice(self.0, &mut text)
            .map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text[..written]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// A value handed out that opens a row once: the row's identifier, and a secret of which the row keeps the digest.
/// Authorization codes and the `state` sent to a provider are handles.
#[derive(Debug)]
pub struct Handle {
    /// Which row.
    pub id: Id,
    /// What is handed out: identifier and secret in one string of base64url.
    pub clear: Secret,
}

impl Handle {
    const SECRET_LEN: usize = 24;

    /// A new handle.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        let id = Id::new(now);
        let mut bytes = [0; Id::LEN + Self::SECRET_LEN];
        bytes[..Id::LEN].copy_from_slice(id.as_bytes());
        bytes[Id::LEN..].copy_from_slice(&entropy::random::<{ Self::SECRET_LEN }>());
        Self {
            id,
            clear: Secret::new(URL_SAFE_NO_PAD.encode(bytes)),
        }
    }

    /// Reads a handle that somebody presents. Whether it is a right one, only the digest in the row can tell.
    #[must_use]
    pub fn parse(presented: &str) -> Option<Self> {
        let mut bytes = [0; Id::LEN + Self::SECRET_LEN];
        let written = URL_SAFE_NO_PAD.decode_slice(presented, &mut bytes).ok()?;
        let (id, _) = bytes.split_first_chunk::<{ Id::LEN }>()?;
        (written == bytes.len()).then(|| Self {
            id: Id::from_bytes(*id),
            clear: Secret::new(presented),
        })
    }

    /// What the row keeps.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        self.clear.digest()
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Names it.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text of it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The `client_id` of a client (RFC 6749 §2.2), byte for byte.
    ClientId
}
text_id! {
    /// The name of a provider in the configuration: `github` in `[provider.github]`.
    ProviderId
}
text_id! {
    /// Who signed in, for ever the same and never a login or an e-mail address: `github:583231`.
    Subject
}

impl Subject {
    /// The subject that the provider knows as `account`.
    #[must_use]
    pub fn at(provider: &ProviderId, account: &str) -> Self {
        Self(format!("{provider}:{account}"))
    }

    /// Whether it is this provider that knows them.
    #[must_use]
    pub fn is_at(&self, provider: &ProviderId) -> bool {
        let rest = self.0.strip_prefix(provider.as_str());
        rest.is_some_and(|rest| rest.starts_with(':'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_made_later_sort_later_and_none_comes_twice() {
        let [first, second] = [1_795_219_200, 1_795_219_201].map(|now| Id::new(UnixTime(now)));
        assert!(first < second);
        assert!(first.to_string().len() == 32 && first.to_string() != second.to_string());
        assert_ne!(Id::new(UnixTime(0)), Id::new(UnixTime(0)));
        // a clock before 1970 or at the end of time
        assert_ne!(Id::new(UnixTime(-1)), Id::new(UnixTime(i64::MAX)));
    }

    /// CLI-47
    #[test]
    fn what_is_handed_out_needs_no_encoding_anywhere() {
        let handle = Handle::new(UnixTime(1_795_219_200));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(handle.clear.expose().bytes().all(plain));
        assert!(handle.id.to_string().bytes().all(plain));
    }

    #[test]
    fn a_handle_is_opened_by_its_own_digest_alone() {
        let [one, other] = [0, 0].map(|now| Handle::new(UnixTime(now)));
        let presented = Handle::parse(one.clear.expose()).unwrap();
        assert_eq!(presented.id, one.id);
        assert!(one.digest().matches(&presented.clear));
        assert!(!other.digest().matches(&presented.clear));
        // K4: the right row and a wrong secret
        let forged = format!("{}{}", one.id, &other.clear.expose()[32..]);
        let forged = Handle::parse(&forged).unwrap();
        assert_eq!(forged.id, one.id);
        assert!(!one.digest().matches(&forged.clear));
    }

    #[test]
    fn a_subject_belongs_to_one_provider() {
        let subject = Subject::at(&ProviderId::new("github"), "583231");
        for (provider, knows) in [
            ("github", true),
            ("git", false),
            ("github:583231", false),
            ("", false),
        ] {
            assert_eq!(
                subject.is_at(&ProviderId::new(provider)),
                knows,
                "{provider}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_identifier_reads_as_it_prints(bytes: [u8; Id::LEN]) {
            let id = Id::from_bytes(bytes);
            prop_assert_eq!(Id::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn a_text_is_an_identifier_or_a_handle_only_as_it_would_be_printed(text in "[A-Za-z0-9_=+/-]{0,70}|\\PC*") {
            if let Some(id) = Id::parse(&text) {
                prop_assert_eq!(id.to_string(), text.as_str());
            }
            if let Some(handle) = Handle::parse(&text) {
                prop_assert_eq!(handle.clear.expose(), text.as_str());
                prop_assert_eq!(handle.id.to_string(), &text[..32]);
            }
        }
    }
}
