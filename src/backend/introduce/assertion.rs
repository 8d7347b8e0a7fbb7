//! Who calls, signed: a server that verifies it need not trust whoever else can reach it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::clock::{Clock, UnixTime};
use crate::jwt::keys::KeyError;
use crate::jwt::ring::KeyRing;
use crate::protocol::claims::IdentityClaims;
use crate::protocol::principal::Principal;

/// Makes the assertions for one server, each good for a minute. One serves many calls, so none has a `jti`: a server that
/// takes one only once would refuse the second call.
pub struct Assertions {
    ring: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    issuer: String,
    audience: String,
}

/// How long an assertion is good.
const LIFE: Duration = Duration::from_secs(60);

impl Assertions {
    /// Assertions of `issuer` for the server at `audience`.
    #[must_use]
    pub fn new(
        ring: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        issuer: impl Into<String>,
        audience: impl Into<String>,
    ) -> Self {
        Self {
            ring,
            clock,
            issuer: issuer.into(),
            audience: audience.into(),
        }
    }

    /// The time by which they are issued.
    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// The assertion about a caller with these scopes, issued `now`.
    ///
    /// # Errors
    /// [`KeyError::Sign`]
    pub(super) fn about(
        &self,
        principal: &Principal,
        scope: String,
        now: UnixTime,
    ) -> Result<HeaderValue, KeyError> {
        let signed = self
            .ring
            .mint_assertion(&self.claims(principal, scope, now))?;
        let mut value = HeaderValue::from_str(signed.expose()).map_err(|_| KeyError::Sign)?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn claims(&self, principal: &Principal, scope: String, now: UnixTime) -> IdentityClaims {
        let identity = principal.identity().clone();
        IdentityClaims {
            iss: self.issuer.clone(),
            sub: identity.subject,
            aud: self.audience.clone(),
            iat: now,
            exp: now + LIFE,
            client_id: principal.client_id.clone(),
            scope,
            sid: principal.standing.session.to_string(),
            preferred_username: identity.login,
            name: identity.name,
            email_verified: identity.verified_email.is_some().then_some(true),
            email: identity.verified_email,
        }
    }
}

impl std::fmt::Debug for Assertions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assertions")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::clock::ManualClock;
    use crate::jwt::kept::KeptKeys;
    use crate::jwt::keys::{Algorithm, KeyMaterial};
    use crate::protocol::identity::Identity;
    use crate::protocol::ids::{ClientId, Id, Subject};
    use crate::protocol::principal::Standing;
    use crate::protocol::scope::ScopeSet;

    const NOW: UnixTime = UnixTime(1_795_219_200);

    #[test]
    fn whatever_somebody_is_called_is_said_as_it_is() {
        let key = KeyMaterial::generate(Algorithm::Es256).unwrap();
        let issuer = "https://a.example";
        let ring = KeyRing::new(issuer.to_owned(), &KeptKeys::first(key, NOW)).unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let assertions = Assertions::new(Arc::new(ring), clock, issuer, "http://b:9000/");
        let name = "Zoë \"\\\r\nX-Anteroom-User: root\u{0}";
        let identity = Identity {
            subject: Subject::new("github:1"),
            login: None,
            name: Some(name.to_owned()),
            verified_email: None,
        };
        let client_id = ClientId::new("c");
        let principal = Principal {
            standing: Arc::new(Standing::new(Id::new(NOW), client_id.clone(), identity)),
            client_id,
            scopes: ScopeSet::default(),
        };
        let said = assertions.about(&principal, "a".to_owned(), NOW).unwrap();
        assert!(said.is_sensitive());
        let said = said.to_str().unwrap().to_owned();
        let payload = said.split('.').nth(1).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["name"], name);
        assert_eq!(payload["sub"], "github:1");
        // it serves many calls
        assert!(payload.get("jti").is_none(), "{payload}");
    }
}
