//! The person's decision: on to the provider they chose, or back to the client.

use std::time::Duration;

use crate::event::Event;
use crate::protocol::authorize::ReturnAddress;
use crate::protocol::error::ErrorCode;
use crate::protocol::ids::{Handle, ProviderId};
use crate::protocol::session::PendingSignIn;
use crate::seal::Purpose;
use crate::secret::SecretDigest;

use super::{Failure, Flows};

/// How long a person may take at the provider.
const AT_PROVIDER: Duration = Duration::from_secs(10 * 60);

/// What the person decided.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes, signing in with this provider.
    Continue(ProviderId),
    /// No.
    Deny,
}

/// Where the browser goes next.
#[derive(Debug)]
pub enum Onward {
    /// To the provider.
    Provider(String),
    /// Back to the client, with its answer: the address, and what it is.
    Client(Box<ReturnAddress>, String),
}

/// The two cookies of a browser, as digests.
#[derive(Clone, Copy, Debug)]
pub struct Browser {
    /// The cookie that came with the consent page.
    pub shown: Option<SecretDigest>,
    /// The cookie that is set with this answer, and must come back from the provider.
    pub binding: SecretDigest,
}

impl Flows {
    /// Takes a decision on a consent form. Only from here does anybody get to a provider (CONS-01), with a `state`
    /// that did not exist before (CONS-09).
    ///
    /// # Errors
    /// Where the form is not ours, not this browser's or too old; or an incident.
    pub async fn decide(
        &self,
        ticket: &str,
        browser: Browser,
        decision: Decision,
    ) -> Result<Onward, Failure> {
        let request = self.open_ticket(ticket, browser.shown)?;
        let provider = match decision {
            Decision::Continue(provider) => provider,
            Decision::Deny => {
                Event::ConsentDenied {
                    client: &request.client_id,
                }
                .tell();
                let back =
                    ReturnAddress::new(request.redirect, request.state, self.issuer.as_str());
                let refusal = back.refuse(&ErrorCode::AccessDenied.with("the person said no"));
                return Ok(Onward::Client(Box::new(back), refusal));
            }
        };
        let upstream = self.upstream(&provider).ok_or(
            ErrorCode::InvalidRequest.with("no such provider; start again from the app"),
        )?;
        let now = self.now();
        let state = Handle::new(now);
        let departure = upstream.begin(&state.clear);
        let kept = departure.kept.to_bytes();
        let pending = PendingSignIn {
            state: state.digest(),
            browser: browser.binding,
            provider,
            upstream: self
                .sealer
                .seal(Purpose::PendingSignIn, state.id.as_bytes(), &kept),
            request,
            expires: now + AT_PROVIDER,
        };
        self.store.put_pending(state.id, pending).await?;
        Ok(Onward::Provider(departure.url.into()))
    }
}
