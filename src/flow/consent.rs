//! The person's decision: on to the provider they chose, or back to the client.

use std::time::Duration;

use url::Url;

use crate::event::Event;
use crate::protocol::authorize::ReturnAddress;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{Handle, ProviderId};
use crate::protocol::session::{AuthorizationRequest, PendingSignIn};
use crate::seal::Purpose;
use crate::secret::SecretDigest;

use super::{Failure, Flows};

/// How long a person may take at the provider.
const AT_PROVIDER: Duration = Duration::from_secs(10 * 60);

impl Flows {
    /// The person said no: the address of the client, and the same with the refusal.
    #[must_use]
    pub fn deny(&self, request: AuthorizationRequest) -> (ReturnAddress, String) {
        Event::ConsentDenied {
            client: &request.client_id,
        }
        .tell();
        let back = ReturnAddress::new(request.redirect, request.state, self.issuer.as_str());
        let refusal = back.refuse(&ErrorCode::AccessDenied.with("the person said no"));
        (back, refusal)
    }

    /// The person agreed, and chose a provider: where the browser goes. Only from here does anybody get to a provider
    /// (CONS-01), with a `state` that did not exist before (CONS-09). `browser` is what must come back with it.
    ///
    /// # Errors
    /// Where there is no such provider; or an incident.
    pub async fn depart(
        &self,
        request: AuthorizationRequest,
        provider: ProviderId,
        browser: SecretDigest,
    ) -> Result<Url, Failure> {
        let upstream = self.upstream(&provider).ok_or(UNKNOWN_PROVIDER)?;
        let now = self.now();
        let state = Handle::new(now);
        let departure = upstream.begin(&state.clear);
        let pending = PendingSignIn {
            state: state.digest(),
            browser,
            provider,
            upstream: self.sealer.seal(
                Purpose::PendingSignIn,
                state.id.as_bytes(),
                &departure.kept.to_bytes(),
            ),
            request,
            expires: now + AT_PROVIDER,
        };
        self.store.put_pending(state.id, pending).await?;
        Ok(departure.url)
    }
}

/// A provider that nobody can choose.
pub const UNKNOWN_PROVIDER: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "no such provider; start again from the app",
};
