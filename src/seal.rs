//! Sealing: what must not lie in the store in clear (AEAD), and marks that only we can make (HMAC), all from one key.

use serde::{Deserialize, Serialize};

/// Something encrypted and authenticated, with the identifier of the key in front.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(..)")
    }
}
