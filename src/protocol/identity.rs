//! Who signed in, in the words of the provider.

use serde::{Deserialize, Serialize};

use super::ids::Subject;

/// A person as the provider described them at sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Stable and unique: what everything is keyed by.
    pub subject: Subject,
    /// The account's present name at the provider; may change hands.
    pub login: Option<String>,
    /// The name to show.
    pub name: Option<String>,
    /// An address that the provider has verified; never another.
    pub verified_email: Option<String>,
}
