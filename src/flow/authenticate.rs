//! How a client proves itself: with a secret, with an assertion that it signed, or not at all where that will do.

use std::net::IpAddr;

use url::Url;

use crate::document::{DocumentError, KeySet};
use crate::event::Event;
use crate::jwt::assertion::{Assertion, AssertionFault, Presented};
use crate::protocol::client::{ClientAuthentication, KeySource};
use crate::protocol::client_credentials::Credentials;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::secret::Secret;

use super::client::{FoundClient, Need, tell, unavailable};
use super::{Failure, Flows};

impl Flows {
    /// The client that makes a request of an endpoint where clients prove themselves (RFC 6749 §3.2.1).
    pub(super) async fn authenticate(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
        asker: IpAddr,
    ) -> Result<FoundClient, Failure> {
        let credentials = Credentials::parse(authorization, form)?;
        match self.prove(&credentials, asker).await? {
            Some(known) => Ok(known),
            None => Err(no_such_client(&credentials)),
        }
    }

    /// The client that presents `credentials`; none where there is no such client, which is not the same as one that does
    /// not prove itself.
    pub(super) async fn prove(
        &self,
        credentials: &Credentials,
        asker: IpAddr,
    ) -> Result<Option<FoundClient>, Failure> {
        let proven = self.prove_one(credentials, asker).await;
        if let Err(Failure::Refused(_)) = &proven {
            tell_failed(credentials);
        }
        proven
    }

    async fn prove_one(
        &self,
        credentials: &Credentials,
        asker: IpAddr,
    ) -> Result<Option<FoundClient>, Failure> {
        for (id, _) in credentials.readings() {
            let Some(known) = self.find_client(&id, Need::LastGood(asker)).await? else {
                continue;
            };
            let client = &known.client;
            return match (&client.authentication, credentials.assertion()) {
                (ClientAuthentication::Keys { .. }, Some(assertion)) => self
                    .prove_with_keys(known, assertion, asker)
                    .await
                    .map(Some),
                (ClientAuthentication::Keys { or_none: false, .. }, None) => {
                    Err(NO_ASSERTION.into())
                }
                _ if credentials.prove(client) => Ok(Some(known)),
                _ => Err(NOT_PROVEN.into()),
            };
        }
        Ok(None)
    }

    /// An assertion is for us alone: for the issuer or, of older clients, the URL of the token endpoint, at whichever endpoint
    /// it is presented (RFC 7523bis); and it is good once, whatever the request then comes to.
    async fn prove_with_keys(
        &self,
        mut known: FoundClient,
        assertion: &Secret,
        asker: IpAddr,
    ) -> Result<FoundClient, Failure> {
        let now = self.now();
        let token_endpoint = self.issuer.url("/token");
        let audiences = [self.issuer.as_str(), &token_endpoint];
        let id = known.client.id.clone();
        let presented =
            Presented::parse(assertion.expose(), &id, &audiences, now).map_err(not_valid)?;
        let mut verified = self.verify(&known, &presented, asker).await?;
        if verified == Err(AssertionFault::UnknownKey)
            && let Some(again) = self.look_again(&known, asker).await?
        {
            known = again;
            verified = self.verify(&known, &presented, asker).await?;
        }
        let assertion = verified.map_err(not_valid)?;
        let (mark, until) = (assertion.mark, assertion.forgotten);
        if self.store.spend_assertion(mark, until, now).await? {
            return Ok(known);
        }
        Event::AssertionReplayed { client: &id }.tell();
        Err(REPLAYED.into())
    }

    /// Whether a client has signed what it presents.
    async fn verify(
        &self,
        known: &FoundClient,
        presented: &Presented<'_>,
        asker: IpAddr,
    ) -> Result<Result<Assertion, AssertionFault>, Failure> {
        match &known.client.authentication {
            ClientAuthentication::Keys {
                keys: KeySource::Inline(keys),
                ..
            } => Ok(presented.verify(keys.as_bytes())),
            ClientAuthentication::Keys {
                keys: KeySource::At(place),
                ..
            } => {
                let keys = self.keys_at(known, place, presented.kid(), asker).await?;
                Ok(presented.verify(&keys.0))
            }
            // it has taken its keys out just now
            _ => Err(NOT_PROVEN.into()),
        }
    }

    /// The key set of a client; fetched again where it does not have the key `kid`, so that a client can change its keys. Where
    /// that fails, the last good one will do for a day.
    async fn keys_at(
        &self,
        known: &FoundClient,
        place: &str,
        kid: Option<&str>,
        address: IpAddr,
    ) -> Result<KeySet, Failure> {
        let client = &known.client;
        if known.is_registered() && self.admission.check_keys(client).is_err() {
            return Err(KEYS_NOT_FETCHED.into());
        }
        let url = Url::parse(place).map_err(|_| NO_KEYS)?;
        let asker = self.asker(known, address);
        let documents = &self.admission.documents;
        let cause = match documents.keys(&url, asker, kid).await {
            Ok(keys) => return Ok(keys),
            Err(cause) => cause,
        };
        tell(&client.id, &cause);
        let last = match cause {
            // or whoever holds a key that was taken out asks until we may not look any more
            DocumentError::TooMany { .. } => None,
            _ => documents.last_keys(&url, kid),
        };
        last.ok_or_else(|| unavailable(url.host_str().unwrap_or_default(), cause))
    }
}

/// The answer to credentials of a client that does not exist.
pub(super) fn no_such_client(credentials: &Credentials) -> Failure {
    tell_failed(credentials);
    UNKNOWN.into()
}

fn tell_failed(credentials: &Credentials) {
    Event::ClientAuthenticationFailed {
        client: &credentials.client_id,
    }
    .tell();
}

fn not_valid(fault: AssertionFault) -> OAuthError {
    ErrorCode::InvalidClient.with(fault.description())
}

const NOT_PROVEN: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the client did not prove itself with the method it registered",
};
const NO_ASSERTION: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the client has to prove itself with a client_assertion (private_key_jwt)",
};
const REPLAYED: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the client_assertion was used before: each needs a jti of its own",
};
const NO_KEYS: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the jwks_uri of the client cannot be read as a URL",
};
const KEYS_NOT_FETCHED: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the jwks_uri of the client is not fetched here any more: register again, with jwks",
};
const UNKNOWN: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "no such client: it was never registered here or has expired, register again",
};
