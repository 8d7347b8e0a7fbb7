//! What a provider signed about a person, as it is kept until they are asked about again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::claims::Claims;
use crate::upstream::UpstreamTokens;

/// The claims of an ID token, and what is to be known of them once they are no longer of now.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Word {
    /// What was signed, verified.
    pub(super) signed: Map<String, Value>,
    /// What the userinfo endpoint said too when the person signed in. From then on it is the one to be asked: what it says no
    /// longer is taken away.
    said: BTreeSet<String>,
    /// The renewal that brought the access token brought this, too.
    is_new: bool,
    /// An ID token that was at fault has come since.
    is_doubtful: bool,
}

impl Word {
    /// Of somebody who has just signed in.
    pub(super) fn of_sign_in(
        signed: Map<String, Value>,
        said: Option<&Map<String, Value>>,
    ) -> Self {
        let said = said.into_iter().flat_map(Map::keys);
        Self {
            signed,
            said: said.cloned().collect(),
            is_new: false,
            is_doubtful: false,
        }
    }

    /// The one that is kept with tokens.
    pub(super) fn of(tokens: &UpstreamTokens) -> Option<Self> {
        serde_json::from_str(tokens.claims.as_deref()?).ok()
    }

    /// Whether it is the word of the provider that is set now. Another one has other people: it takes over nobody, and is shown
    /// no token.
    pub(super) fn is_by_one_of(&self, issuers: &[String]) -> bool {
        let iss = self.signed.get("iss").and_then(Value::as_str);
        iss.is_some_and(|iss| issuers.iter().any(|issuer| issuer == iss))
    }

    /// After a renewal that brought no ID token.
    pub(super) fn unrenewed(self) -> Self {
        Self {
            is_new: false,
            ..self
        }
    }

    /// After a renewal that brought an ID token at fault.
    pub(super) fn doubted(self) -> Self {
        Self {
            is_doubtful: true,
            ..self.unrenewed()
        }
    }

    /// After a renewal that brought a good one.
    pub(super) fn renewed(self, signed: Map<String, Value>) -> Self {
        Self {
            signed,
            is_new: true,
            is_doubtful: false,
            ..self
        }
    }

    /// Whether something newer came that could not be believed.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// What is kept of it.
    pub(super) fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// Together with what the userinfo endpoint says now, if it was asked.
    pub(super) fn with(self, said: Option<Map<String, Value>>) -> Claims {
        match said {
            Some(said) if !self.is_new => Claims::since(self.signed, self.said, said),
            said => Claims::of_now(self.signed, said),
        }
    }
}
