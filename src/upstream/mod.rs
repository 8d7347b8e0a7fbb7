//! The providers people sign in with.

pub mod github;
pub mod oidc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::clock::UnixTime;
use crate::protocol::identity::Identity;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::person_rule::PeopleRules;
use crate::protocol::scope::ScopeSet;
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

    /// Who may enter here, and what is open to whom.
    fn rules(&self) -> &PeopleRules;

    /// Where to send the browser, with `state`; and what to keep until it comes back.
    ///
    /// # Errors
    /// Where it cannot be told now: the provider says where its pages are, and cannot be asked.
    async fn begin(&self, state: &Secret, intent: Intent) -> Result<Departure, UpstreamError>;

    /// The provider's code, redeemed; who signed in; and whether the rules let them in.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    async fn finish(&self, back: Back, kept: Kept) -> Result<SignIn, UpstreamError>;

    /// Whether `tokens` are to be renewed before anybody uses them: the access token expires soon, or renewing is how this
    /// provider is asked whether it still vouches for somebody, and `purpose` is to ask.
    fn renews(&self, tokens: &UpstreamTokens, purpose: UseFor, now: UnixTime) -> bool;

    /// New tokens, by the refresh token. What the provider does not send again is taken over from `tokens`. Whoever calls
    /// keeps the new ones before anything else is done: the old ones may be dead.
    ///
    /// # Errors
    /// See [`UpstreamError`]; [`UpstreamError::Ended`] where the refresh token is refused, or there is none.
    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, UpstreamError>;

    /// Asks whether the provider still vouches for `person`, and the rules still let them in.
    ///
    /// # Errors
    /// See [`UpstreamError`]; [`UpstreamError::Ended`] where the tokens are revoked, or are another person's.
    async fn vouch(
        &self,
        person: &Subject,
        tokens: &UpstreamTokens,
    ) -> Result<Vouched, UpstreamError>;

    /// What the provider ends when tokens are given back.
    fn gives_back(&self) -> GivesBack;

    /// Gives the tokens back: the provider ends them.
    ///
    /// # Errors
    /// See [`UpstreamError`]; tokens that have ended already are no error.
    async fn forget(&self, tokens: &UpstreamTokens) -> Result<(), UpstreamError>;
}

/// Why somebody is sent to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To connect a client, which will act for them for a while.
    Connect,
    /// To see who they are, once.
    Identify,
}

/// What tokens are about to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseFor {
    /// To ask whether the provider still vouches for the person.
    Checking,
    /// To call the provider's API.
    Calling,
}

/// What ends at the provider when tokens are given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivesBack {
    /// These tokens alone.
    TheseTokens,
    /// Perhaps all that the person ever allowed this application (RFC 7009 §2.1).
    Everything,
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

/// What a browser brings back.
#[derive(Debug)]
pub struct Back {
    /// `code`
    pub code: Secret,
    /// `iss` (RFC 9207), where the provider sends it.
    pub iss: Option<String>,
}

/// Somebody who signed in and may enter.
#[derive(Debug)]
pub struct SignIn {
    /// Who, and what is open to them.
    pub vouched: Vouched,
    /// The provider's tokens.
    pub tokens: UpstreamTokens,
}

/// Somebody whom the provider vouches for, and who may enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Who.
    pub identity: Identity,
    /// The scopes that are not for everybody, and that are open to them.
    pub opens: ScopeSet,
}

/// What the provider issued to us. It never leaves by way of an MCP client.
#[derive(Clone, Debug)]
pub struct UpstreamTokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token, where the provider gives one.
    pub refresh: Option<Secret>,
    /// When the access token expires, where it does.
    pub expires: Option<UnixTime>,
    /// The scopes it was given for.
    pub scopes: Vec<String>,
    /// What the provider has signed about the person: the claims of its last ID token, verified, in JSON.
    pub claims: Option<String>,
}

/// Why a sign-in stops at the provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The person may not enter; `reason` is what they read, `remedy` what they can do, with a link where one helps.
    /// Where they have just signed in, the tokens that came of it are to be given back.
    #[error("not on the allow-list")]
    NotAllowed(Box<NotAllowed>, Option<Box<Unused>>),
    /// The provider cannot be reached, answers 5xx, or limits us: later it may work.
    #[error("the provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider no longer vouches for the person: the tokens were revoked, the refresh token is refused, or they are
    /// another person's by now. Never what could be our own fault or an outage.
    #[error("the provider has ended it: {0}")]
    Ended(String),
    /// The provider refuses our code, our credentials, or answers what cannot be understood: an incident of ours or
    /// theirs. Never carries what the provider sent but an `error` code.
    #[error("the provider's answer is of no use: {0}")]
    Invalid(String),
}

/// Tokens of somebody who signed in and may not enter: nobody will use them.
#[derive(Debug)]
pub struct Unused {
    /// Who. They may have sessions of before.
    pub person: Subject,
    /// What the provider gave.
    pub tokens: UpstreamTokens,
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
    claims: Option<&'a str>,
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
            claims: self.claims.as_deref(),
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
            claims: record.claims.map(str::to_owned),
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
            claims: Some("{}".into()),
        };
        let back = UpstreamTokens::from_bytes(&tokens.to_bytes()).unwrap();
        assert_eq!(back.access.expose(), "a");
        assert_eq!(back.refresh.unwrap().expose(), "r");
        assert_eq!(back.expires, Some(UnixTime(7)));
        assert_eq!(back.scopes, ["read:org"]);
        assert_eq!(back.claims.as_deref(), Some("{}"));
        assert!(UpstreamTokens::from_bytes(b"").is_none());
    }
}
