//! Who calls: from the token of a request to its principal, once verified and then known.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde_json::Value;

use super::bearer;
use super::challenge::Denial;
use super::token_cache::{SeenToken, TokenCache, TokenDigest};
use super::{Sessions, TokenFault, TokenVerifier};
use crate::clock::{Clock, UnixTime};
use crate::protocol::ids::Id;
use crate::protocol::principal::{Principal, Standing};
use crate::protocol::scope::ScopeSet;

/// Finds out who calls at one resource.
pub struct Callers {
    /// Who checks tokens.
    pub verifier: Arc<dyn TokenVerifier>,
    /// Who knows whether their sessions are in force.
    pub sessions: Arc<dyn Sessions>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The audience that tokens must have.
    pub resource: String,
    /// Tokens verified before, for this resource alone.
    pub seen: TokenCache,
    /// How long a session found in force is not asked for again.
    pub ask_again: Duration,
}

impl Callers {
    /// Whom the request speaks for.
    ///
    /// # Errors
    /// Why nobody.
    pub async fn principal(&self, headers: &HeaderMap) -> Result<Arc<Principal>, Denial> {
        let presented = bearer::presented(headers)?;
        let digest = TokenDigest::of(presented);
        let now = self.clock.now();
        if let Some(seen) = self.seen.find(&digest, now) {
            if seen.is_settled(self.ask_again, now) {
                return Ok(Arc::clone(&seen.principal));
            }
            return Box::pin(self.confirm(&digest, &seen, now)).await;
        }
        // Boxed, so that the usual way needs no room for the rare one.
        Box::pin(self.verify(bearer::check(presented)?, digest, now)).await
    }

    /// A token not seen before: signature and claims, then its session.
    async fn verify(
        &self,
        token: &str,
        digest: TokenDigest,
        now: UnixTime,
    ) -> Result<Arc<Principal>, Denial> {
        let verified = self.verifier.verify(token, &self.resource, now);
        let claims = verified.map_err(|fault| {
            if fault == TokenFault::WrongAudience {
                self.tell_audience(token);
            }
            Denial::BadToken(fault)
        })?;
        let scopes =
            ScopeSet::parse(&claims.scope).ok_or(Denial::BadToken(TokenFault::Malformed))?;
        let session = Id::parse(&claims.sid).ok_or(Denial::BadToken(TokenFault::Malformed))?;
        let standing = self.standing(session).await?;
        if standing.identity.subject != claims.sub {
            return Err(Denial::SessionEnded);
        }
        let principal = Arc::new(Principal {
            client_id: claims.client_id,
            scopes: scopes.without(&standing.withheld),
            standing,
        });
        let seen = SeenToken::new(Arc::clone(&principal), scopes, claims.exp, now);
        self.seen.insert(digest, Arc::new(seen), now);
        Ok(principal)
    }

    /// A known token whose session has not been asked for in a while.
    async fn confirm(
        &self,
        digest: &TokenDigest,
        seen: &SeenToken,
        now: UnixTime,
    ) -> Result<Arc<Principal>, Denial> {
        let known = &seen.principal.standing;
        match self.standing(known.session).await {
            Ok(standing) if Arc::ptr_eq(&standing, known) => {
                seen.confirm(now);
                Ok(Arc::clone(&seen.principal))
            }
            // Another object stands for the session now: only that one tells who the person is, and what is open to them.
            Ok(standing) => {
                let principal = Arc::new(Principal {
                    client_id: seen.principal.client_id.clone(),
                    scopes: seen.scopes.without(&standing.withheld),
                    standing,
                });
                let scopes = seen.scopes.clone();
                let again = SeenToken::new(Arc::clone(&principal), scopes, seen.expires, now);
                self.seen.insert(*digest, Arc::new(again), now);
                Ok(principal)
            }
            Err(denial) => {
                if denial == Denial::SessionEnded {
                    self.seen.forget(digest);
                }
                Err(denial)
            }
        }
    }

    /// A client that takes the token of one server to another signs in again and again. Only who runs them can see why.
    fn tell_audience(&self, token: &str) {
        let claims = token.split('.').nth(1);
        let claims = claims.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        let claims = claims.and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
        let audience = claims.as_ref().map(|claims| &claims["aud"]);
        tracing::info!(
            resource = self.resource,
            audience = audience.map(|audience| format!("{audience:.200}")),
            "a token is for another resource than the one it was sent to"
        );
    }

    async fn standing(&self, session: Id) -> Result<Arc<Standing>, Denial> {
        match self.sessions.standing(session).await {
            Ok(Some(standing)) if !standing.has_ended() => Ok(standing),
            Ok(_) => Err(Denial::SessionEnded),
            Err(unavailable) => {
                tracing::warn!(session.id = %session, error = %unavailable, "a request is answered 503");
                Err(Denial::Outage)
            }
        }
    }
}
