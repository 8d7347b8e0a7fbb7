//! The providers people sign in with.

pub mod github;
mod github_account;
mod github_allow;
mod github_api;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::clock::UnixTime;
use crate::protocol::identity::Identity;
use crate::protocol::ids::ProviderId;
use crate::secret::Secret;

/// A provider: we are its OAuth client.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// The provider's name in the configuration.
    fn id(&self) -> &ProviderId;

    /// The name to show: "GitHub".
    fn label(&self) -> &str;

    /// What the provider will be asked for, in words for the consent page: "your profile (read)".
    fn asks_for(&self) -> Vec<String>;

    /// Where to send the browser, with `state`; and what to keep until it comes back.
    fn begin(&self, state: &Secret) -> Departure;

    /// The provider's code, redeemed; who signed in; and whether the allow-list lets them in.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    async fn finish(&self, code: Secret, kept: Kept) -> Result<SignIn, UpstreamError>;

    /// Gives the tokens back: the provider ends them. One that takes none back leaves it at that.
    ///
    /// # Errors
    /// See [`UpstreamError`]; tokens that have ended already are no error.
    async fn forget(&self, _tokens: &UpstreamTokens) -> Result<(), UpstreamError> {
        Ok(())
    }
}

/// A browser on its way to the provider.
#[derive(Debug)]
pub struct Departure {
    /// Where it goes.
    pub url: Url,
    /// What is kept, sealed, until it comes back.
    pub kept: Kept,
}

/// What belongs to one pass through the provider.
#[derive(Debug)]
pub struct Kept {
    /// The verifier of our own PKCE with the provider.
    pub verifier: Secret,
    /// The nonce that an ID token has to repeat, where there is one.
    pub nonce: Option<Secret>,
}

/// Somebody who signed in and may enter.
#[derive(Debug)]
pub struct SignIn {
    /// Who.
    pub identity: Identity,
    /// The provider's tokens.
    pub tokens: UpstreamTokens,
}

/// What the provider issued to us. It never leaves by way of an MCP client.
#[derive(Debug)]
pub struct UpstreamTokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token, where the provider gives one.
    pub refresh: Option<Secret>,
    /// When the access token expires, where it does.
    pub expires: Option<UnixTime>,
    /// The scopes it was given for.
    pub scopes: Vec<String>,
}

/// Why a sign-in stops at the provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The person may not enter; `reason` is what they read, `remedy` what they can do, with a link where one helps.
    #[error("not on the allow-list")]
    NotAllowed(Box<NotAllowed>),
    /// The provider cannot be reached, answers 5xx, or limits us: later it may work.
    #[error("the provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider refuses our code, our credentials, or answers what cannot be understood: an incident of ours or
    /// theirs. Never carries what the provider sent but an `error` code.
    #[error("the provider's answer is of no use: {0}")]
    Invalid(String),
}

/// Why somebody may not enter, in words for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotAllowed {
    /// Who they signed in as: "octocat".
    pub account: String,
    /// Each rule that did not let them in, a sentence each.
    pub reasons: Vec<String>,
    /// What they can do about it: a sentence, and where.
    pub remedies: Vec<Remedy>,
}

/// Something to do, with where to do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The sentence.
    pub text: String,
    /// An https link to where it is done.
    pub link: Option<String>,
}

/// How what must be kept is written, before it is sealed.
#[derive(Serialize, Deserialize)]
struct KeptRecord<'a> {
    verifier: &'a str,
    nonce: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct TokensRecord<'a> {
    access: &'a str,
    refresh: Option<&'a str>,
    expires: Option<UnixTime>,
    scopes: Vec<&'a str>,
}

impl Kept {
    /// The bytes to seal.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        written(&KeptRecord {
            verifier: self.verifier.expose(),
            nonce: self.nonce.as_ref().map(Secret::expose),
        })
    }

    /// Reads what [`Self::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let record: KeptRecord<'_> = postcard::from_bytes(bytes).ok()?;
        Some(Self {
            verifier: Secret::new(record.verifier),
            nonce: record.nonce.map(Secret::new),
        })
    }
}

impl UpstreamTokens {
    /// The bytes to seal.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        written(&TokensRecord {
            access: self.access.expose(),
            refresh: self.refresh.as_ref().map(Secret::expose),
            expires: self.expires,
            scopes: self.scopes.iter().map(String::as_str).collect(),
        })
    }

    /// Reads what [`Self::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let record: TokensRecord<'_> = postcard::from_bytes(bytes).ok()?;
        Some(Self {
            access: Secret::new(record.access),
            refresh: record.refresh.map(Secret::new),
            expires: record.expires,
            scopes: record.scopes.into_iter().map(str::to_owned).collect(),
        })
    }
}

fn written(record: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // text and numbers alone: the encoder has no way to fail on them
    Zeroizing::new(postcard::to_allocvec(record).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_back_as_it_was() {
        let kept = Kept {
            verifier: Secret::new("v"),
            nonce: None,
        };
        let back = Kept::from_bytes(&kept.to_bytes()).unwrap();
        assert_eq!(back.verifier.expose(), "v");
        assert!(back.nonce.is_none());
        let tokens = UpstreamTokens {
            access: Secret::new("a"),
            refresh: Some(Secret::new("r")),
            expires: Some(UnixTime(7)),
            scopes: vec!["read:org".into()],
        };
        let back = UpstreamTokens::from_bytes(&tokens.to_bytes()).unwrap();
        assert_eq!(back.access.expose(), "a");
        assert_eq!(back.refresh.unwrap().expose(), "r");
        assert_eq!(back.expires, Some(UnixTime(7)));
        assert_eq!(back.scopes, ["read:org"]);
        assert!(UpstreamTokens::from_bytes(b"").is_none());
    }
}
