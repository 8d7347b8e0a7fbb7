//! The token endpoint (RFC 6749 §3.2): who asks, by which grant; and what every grant ends in.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::protocol::allowance::{NONE_LEFT, NONE_THERE, NOT_SERVED, still_allowed, still_there};
use crate::protocol::claims::AccessClaims;
use crate::protocol::client::Client;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::protocol::ids::Id;
use crate::protocol::scope::ScopeSet;
use crate::protocol::session::Session;
use crate::protocol::token::TokenRequest;
use crate::secret::Secret;

use super::{Failure, Flows};

/// Tokens for a client.
#[derive(Debug)]
pub struct Issued {
    /// The access token: a JWT.
    pub access: Secret,
    /// How long it lives.
    pub lifetime: Duration,
    /// What it may do.
    pub scopes: ScopeSet,
    /// The refresh token, for clients that have the grant.
    pub refresh: Option<Secret>,
}

impl Flows {
    /// Answers a token request that comes from `asker`.
    ///
    /// # Errors
    /// A refusal by RFC 6749 §5.2; or an incident.
    pub async fn token(
        &self,
        authorization: Option<&[u8]>,
        body: &[u8],
        asker: IpAddr,
    ) -> Result<Issued, Failure> {
        let form = Form::parse(body)?;
        form.check_no_repeats(&["resource"])?;
        let request = TokenRequest::parse(&form)?;
        let known = self.authenticate(authorization, &form, asker).await?;
        match request {
            TokenRequest::Code(request) => self.redeem_code(&known.client, request).await,
            TokenRequest::Refresh(request) if known.client.refreshes => {
                self.refresh(&known, request).await
            }
            TokenRequest::Refresh(_) => Err(ErrorCode::UnauthorizedClient
                .with("the client did not register the refresh_token grant")
                .into()),
        }
    }

    /// What is left of the scopes that a client was granted for a resource: what the resource still has, and the client may
    /// still be given (CLI-62).
    ///
    /// # Errors
    /// `invalid_grant` where that opens nothing any more, or the resource is not served any more.
    pub(super) fn left_of(
        &self,
        granted: &ScopeSet,
        resource: &str,
        client: &Client,
    ) -> Result<ScopeSet, OAuthError> {
        let resource = self.resources.granted(resource).ok_or(NOT_SERVED)?;
        let there = still_there(granted, resource).ok_or(NONE_THERE)?;
        still_allowed(&there, client).ok_or(NONE_LEFT)
    }

    /// An access token of a session: bound to its person, client and resource, and dead when it is.
    pub(super) fn mint(
        &self,
        session: &Session,
        scopes: ScopeSet,
        refresh: Option<Secret>,
    ) -> Result<Issued, Failure> {
        let now = self.now();
        let exp = (now + self.lifetimes.access).min(session.expires);
        let claims = AccessClaims {
            iss: self.issuer.as_str().to_owned(),
            sub: session.subject.clone(),
            aud: session.resource.clone(),
            client_id: session.client_id.clone(),
            iat: now,
            exp,
            jti: Id::new(now).to_string(),
            scope: scopes.to_string(),
            sid: session.id.to_string(),
        };
        Ok(Issued {
            access: self.keys.mint(&claims)?,
            lifetime: exp - now,
            scopes,
            refresh,
        })
    }

    /// When a session ends that is used now: idle life, but never beyond its absolute end.
    pub(super) fn session_end(&self, created: UnixTime) -> UnixTime {
        (self.now() + self.lifetimes.idle).min(created + self.lifetimes.session)
    }
}
