//! On the way to a provider: where the browser goes, what is kept until it comes back, and what a provider that fails is
//! to people and clients.

use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use crate::event::Event;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{Handle, ProviderId};
use crate::protocol::session::{PendingSignIn, SignInFor};
use crate::seal::Purpose;
use crate::secret::SecretDigest;
use crate::upstream::{Departure, Intent, UpstreamError};

use super::{Flows, StoreError};

/// How long a person may take at the provider.
const AT_PROVIDER: Duration = Duration::from_secs(10 * 60);

/// How long all that is asked of a provider may take together: less than a request may.
pub(super) const ASKING: Duration = Duration::from_secs(20);

/// A browser that may leave for a provider. Nothing is kept of it yet.
#[derive(Debug)]
pub struct Ready {
    provider: ProviderId,
    purpose: SignInFor,
    state: Handle,
    departure: Departure,
}

/// A provider that did not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFault {
    /// Its name: "GitHub".
    pub provider: String,
    /// How it failed.
    pub kind: FaultKind,
    /// What happened, for the log alone.
    pub cause: String,
}

/// How a provider failed, as far as people and clients are told (CONS-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It cannot be reached, or has no time: later it may work.
    Unavailable,
    /// It refuses us, or what it answers is of no use.
    Invalid,
}

impl FaultKind {
    /// What the client is told (RFC 6749 §4.1.2.1).
    #[must_use]
    pub fn error(self) -> OAuthError {
        match self {
            Self::Unavailable => ErrorCode::TemporarilyUnavailable
                .with("the provider of the sign-in is not available now; try again later"),
            Self::Invalid => ErrorCode::ServerError.with("the sign-in failed at the provider"),
        }
    }
}

impl Flows {
    /// Gets a browser ready to leave for a provider, with a `state` that did not exist before (CONS-09). Nothing is kept, so
    /// that whoever cannot leave has lost nothing.
    ///
    /// # Errors
    /// Where there is no such provider; inside, where it cannot be asked for its pages.
    pub async fn prepare(
        &self,
        provider: ProviderId,
        purpose: SignInFor,
    ) -> Result<Result<Ready, ProviderFault>, OAuthError> {
        let upstream = self.upstream(&provider).ok_or(UNKNOWN_PROVIDER)?;
        let intent = match purpose {
            SignInFor::Client { .. } => Intent::Connect,
            SignInFor::Account => Intent::Identify,
        };
        let state = Handle::new(self.now());
        let begun = timeout(ASKING, upstream.begin(&state.clear, intent)).await;
        Ok(match begun.unwrap_or_else(|_| Err(too_slow())) {
            Ok(departure) => Ok(Ready {
                provider,
                purpose,
                state,
                departure,
            }),
            Err(error) => Err(self.fault(&provider, error)),
        })
    }

    /// Keeps what must be there when the browser comes back: where it goes now. `browser` is what must come back with it.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn depart(&self, ready: Ready, browser: SecretDigest) -> Result<Url, StoreError> {
        let state = ready.state;
        let pending = PendingSignIn {
            state: state.digest(),
            browser,
            provider: ready.provider,
            upstream: self.sealer.seal(
                Purpose::PendingSignIn,
                state.id.as_bytes(),
                &ready.departure.kept.to_bytes(),
            ),
            purpose: ready.purpose,
            expires: self.now() + AT_PROVIDER,
        };
        self.store.put_pending(state.id, pending).await?;
        Ok(ready.departure.url)
    }

    /// What the fault of a provider is to others. The cause is for the log.
    pub(super) fn fault(&self, provider: &ProviderId, error: UpstreamError) -> ProviderFault {
        let (kind, cause) = match error {
            UpstreamError::Unavailable(cause) => (FaultKind::Unavailable, cause),
            UpstreamError::Invalid(cause) | UpstreamError::Ended(cause) => {
                (FaultKind::Invalid, cause)
            }
            error @ UpstreamError::NotAllowed(..) => (FaultKind::Invalid, error.to_string()),
        };
        Event::UpstreamFailed {
            provider,
            cause: &cause,
        }
        .tell();
        ProviderFault {
            provider: self.label(provider),
            kind,
            cause,
        }
    }

    /// A provider's name for people.
    #[must_use]
    pub fn label(&self, provider: &ProviderId) -> String {
        self.upstream(provider).map_or_else(
            || provider.to_string(),
            |upstream| upstream.label().to_owned(),
        )
    }
}

pub(super) fn too_slow() -> UpstreamError {
    UpstreamError::Unavailable("it took too long".to_owned())
}

/// A provider that nobody can choose.
pub const UNKNOWN_PROVIDER: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "no such provider; start again from the app",
};
