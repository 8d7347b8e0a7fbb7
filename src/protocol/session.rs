//! What is kept of one person's connection of one client, from the consent to the last refresh.

use serde::{Deserialize, Serialize};

use super::consent::Agreement;
use super::ids::{ClientId, Id, ProviderId, Subject};
use super::pkce::Challenge;
use super::redirect_uri::RegisteredRedirect;
use super::scope::ScopeSet;
use crate::clock::UnixTime;
use crate::seal::Sealed;
use crate::secret::SecretDigest;

/// An authorization request that passed every check: what the person is asked, and what the code will be bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client_id: ClientId,
    /// Where the answer goes.
    pub redirect: RegisteredRedirect,
    /// The client's `state`, byte for byte.
    pub state: Option<String>,
    /// PKCE (RFC 7636).
    pub challenge: Challenge,
    /// The resource identifier that the tokens are for (RFC 8707).
    pub resource: String,
    /// What may be granted: asked for, or the default.
    pub scopes: ScopeSet,
    /// What the client was when it asked: [`Client::fingerprint`](super::client::Client::fingerprint).
    pub fingerprint: [u8; 32],
}

/// An authorization request that was pushed (RFC 9126).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedRequest {
    /// Digest of the `request_uri` that the client was given.
    pub digest: SecretDigest,
    /// What was asked.
    pub request: AuthorizationRequest,
    /// The browser that has come with it: whoever is first. Another one is refused.
    pub browser: Option<SecretDigest>,
    /// When it is too late.
    pub expires: UnixTime,
}

/// An approved request that waits for the provider's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingSignIn {
    /// Digest of the `state` that the provider was given.
    pub state: SecretDigest,
    /// The browser that approved: the only one that may come back.
    pub browser: SecretDigest,
    /// The provider chosen.
    pub provider: ProviderId,
    /// Our own PKCE verifier and, for `OpenID` Connect, the nonce: sealed.
    pub upstream: Sealed,
    /// What for.
    pub purpose: SignInFor,
    /// When it is too late.
    pub expires: UnixTime,
}

/// What somebody signs in for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignInFor {
    /// To connect a client.
    Client {
        /// What was approved.
        request: Box<AuthorizationRequest>,
        /// How.
        agreement: Agreement,
    },
    /// To see what is connected.
    Account,
}

/// An authorization code that was handed out (RFC 6749 §4.1.2). It stays, spent, until it expires, so that a replay is
/// told from an unknown code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCode {
    /// Digest of the code.
    pub digest: SecretDigest,
    /// The session that it opens.
    pub session: Id,
    /// What it was issued for.
    pub request: AuthorizationRequest,
    /// Whether it has been redeemed.
    pub spent: bool,
    /// When it is too late.
    pub expires: UnixTime,
}

/// One person, one client, one resource: what a token is bound to, and dies with. What the provider gave stands in the
/// person's [`Grant`](super::grant::Grant), by which it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `sid` in every access token.
    pub id: Id,
    /// Who signed in.
    pub subject: Subject,
    /// For which client.
    pub client_id: ClientId,
    /// What the client called itself then.
    pub client_name: Option<String>,
    /// Where its answers went, to be shown: the host of its redirect URI.
    pub client_host: String,
    /// For which resource.
    pub resource: String,
    /// What was granted.
    pub scopes: ScopeSet,
    /// When the person signed in.
    pub created: UnixTime,
    /// When the client last came for tokens.
    pub used: UnixTime,
    /// The refresh token in force; none before the code is redeemed, and none for clients without the grant.
    pub refresh: Option<RefreshState>,
    /// When it ends unless it is used.
    pub expires: UnixTime,
}

/// The refresh token in force and the one before it: one row, rewritten at each rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshState {
    /// Digest of the token in force.
    pub current: SecretDigest,
    /// The token before it.
    pub previous: Option<Rotated>,
}

/// A refresh token that was used, and the answer that it got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// Digest of the token that was used.
    pub digest: SecretDigest,
    /// When.
    pub at: UnixTime,
    /// The token that took its place, sealed: whoever asks again within the grace window gets the same one.
    pub successor: Sealed,
}
