//! The providers people sign in with.

pub mod github;
mod github_account;
mod github_allow;
mod github_api;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

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
