//! Pushed authorization requests (RFC 9126): checked while the client is there to be told, and picked up by a browser.

use std::net::IpAddr;
use std::time::Duration;

use crate::protocol::authorize::{self, Refusal};
use crate::protocol::client::Client;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::protocol::ids::Handle;
use crate::protocol::par::{pushed_by, request_uri};
use crate::protocol::session::{AuthorizationRequest, PushedRequest};
use crate::secret::Secret;

use super::authorize::{Stop, Visitor};
use super::{Failure, Flows};

/// How long a pushed request waits for its browser.
const LIFETIME: Duration = Duration::from_secs(90);

/// A request that was pushed.
#[derive(Debug)]
pub struct Pushed {
    /// What the client sends the browser with.
    pub request_uri: Secret,
    /// How long it is good.
    pub lifetime: Duration,
}

impl Flows {
    /// Keeps an authorization request that comes from the client itself. It proves itself as for tokens, and its request
    /// is held to every rule that it would be held to in a browser.
    ///
    /// # Errors
    /// Where the client does not prove itself, or its request breaks a rule; or an incident.
    pub async fn push(
        &self,
        authorization: Option<&[u8]>,
        body: &[u8],
        asker: IpAddr,
    ) -> Result<Pushed, Failure> {
        let form = Form::parse(body)?;
        form.check_no_repeats(&["resource"])?;
        let client = self.authenticate(authorization, &form, asker).await?.client;
        if form
            .one("client_id")?
            .is_some_and(|id| id != client.id.as_str())
        {
            return Err(OTHER_CLIENT.into());
        }
        // RFC 9126 §2.1: a request that was pushed cannot be pushed again
        if form.one("request_uri")?.is_some() {
            return Err(NESTED.into());
        }
        let request = authorize::check(&form, &client, &self.offered()).map_err(|refusal| {
            // RFC 9126 §2.3: there is no browser that could be sent anywhere
            match refusal {
                Refusal::Page(error) | Refusal::Redirect(_, error) => error,
            }
        })?;
        let now = self.now();
        let handle = Handle::new(now);
        let pushed = PushedRequest {
            digest: handle.digest(),
            request,
            browser: None,
            expires: now + LIFETIME,
        };
        self.store.put_pushed(handle.id, pushed).await?;
        Ok(Pushed {
            request_uri: request_uri(&handle),
            lifetime: LIFETIME,
        })
    }

    /// The request that a browser comes with: the pushed one that it names, or what its parameters say. Beside the name
    /// of a pushed one no parameter but `client_id` counts (RFC 9126 §4).
    pub(super) async fn requested(
        &self,
        form: &Form,
        client: &Client,
        visitor: &Visitor,
    ) -> Result<AuthorizationRequest, Stop> {
        match form.one("request_uri").ok().flatten().and_then(pushed_by) {
            Some(named) => Ok(self.pick_up(named, client, visitor).await?),
            // a name of any other form is refused there: nothing is ever fetched
            None => authorize::check(form, client, &self.offered()).map_err(Stop::Refused),
        }
    }

    /// Gives a pushed request to the first browser that comes with it. Peek, check, claim: who does not know all of the
    /// name, or is another client, takes it from nobody (K4).
    async fn pick_up(
        &self,
        named: &str,
        client: &Client,
        visitor: &Visitor,
    ) -> Result<AuthorizationRequest, Failure> {
        let handle = Handle::parse(named).ok_or(GONE)?;
        let now = self.now();
        let found = self.store.find_pushed(handle.id, now).await?;
        let found = found
            .filter(|pushed| pushed.digest == handle.digest())
            .filter(|pushed| pushed.request.client_id == client.id)
            .ok_or(GONE)?;
        // what was checked, was checked for the client as it was then: its redirect URIs above all
        if found.request.fingerprint != client.fingerprint() {
            return Err(CHANGED.into());
        }
        self.check_served(&found.request)?;
        let claimed = self.store.claim_pushed(handle.id, visitor.browser, now);
        Ok(claimed.await?.ok_or(GONE)?.request)
    }
}

const OTHER_CLIENT: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "client_id is not that of the client that proved itself",
};
const NESTED: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "request_uri is not allowed in a request that is pushed",
};
const GONE: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequestUri,
    description: "the link was used in another browser, or has expired; start again from the app",
};
const CHANGED: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequestUri,
    description: "the app has changed since it made the link; start again from the app",
};
