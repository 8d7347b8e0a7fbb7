//! Who calls, signed: a server that verifies it need not trust whoever else can reach it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;

use crate::clock::{Clock, UnixTime};
use crate::jwt::keys::KeyError;
use crate::jwt::ring::KeyRing;
use crate::protocol::claims::IdentityClaims;
use crate::protocol::ids::{ClientId, Id};
use crate::protocol::principal::{Principal, Standing};

/// Makes the assertions for one server, each good for a minute, and keeps them for half of it: a signature costs more than
/// everything else that is done for a call.
pub struct Assertions {
    ring: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    issuer: String,
    audience: String,
    kept: Cache<Key, Arc<Kept>>,
}

/// Session and scopes: two tokens of one session may have different scopes.
type Key = (Id, String);

struct Kept {
    value: HeaderValue,
    /// Whom it is about. Another object stands in its place once something about them changes; it is not kept alive here.
    standing: Weak<Standing>,
    client_id: ClientId,
    issued: UnixTime,
}

/// How long an assertion is good.
const LIFE: Duration = Duration::from_secs(60);

/// How long one is used again: whoever gets it then has as long to look at it.
const AGAIN: Duration = Duration::from_secs(30);

/// Assertions kept at once, of about a kilobyte each.
const LIMIT: u64 = 10_000;

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
            // by the clock of the machine, and only to free the memory
            kept: Cache::builder()
                .max_capacity(LIMIT)
                .time_to_live(LIFE)
                .build(),
        }
    }

    /// The assertion about a caller.
    ///
    /// # Errors
    /// [`KeyError::Sign`]
    pub fn about(&self, principal: &Principal) -> Result<HeaderValue, KeyError> {
        let now = self.clock.now();
        let key = (principal.standing.session, principal.scopes.to_string());
        if let Some(kept) = self.kept.get(&key)
            && kept.is_good(principal, now)
        {
            return Ok(kept.value.clone());
        }
        let claims = self.claims(principal, key.1.clone(), now);
        let signed = self.ring.mint_assertion(&claims)?;
        let mut value = HeaderValue::from_str(signed.expose()).map_err(|_| KeyError::Sign)?;
        value.set_sensitive(true);
        let kept = Kept {
            value: value.clone(),
            standing: Arc::downgrade(&principal.standing),
            client_id: principal.client_id.clone(),
            issued: now,
        };
        self.kept.insert(key, Arc::new(kept));
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
            jti: Id::new(now).to_string(),
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

impl Kept {
    /// Whether it says of this caller what would be said now, for long enough.
    fn is_good(&self, principal: &Principal, now: UnixTime) -> bool {
        // a clock that went back: how long it is good is not known
        let is_young = self.issued <= now && now - self.issued <= AGAIN;
        let is_same = self.standing.as_ptr() == Arc::as_ptr(&principal.standing);
        is_young && is_same && self.client_id == principal.client_id
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
    use crate::protocol::ids::Subject;
    use crate::protocol::scope::ScopeSet;

    const NOW: UnixTime = UnixTime(1_795_219_200);

    fn assertions() -> (Assertions, Arc<ManualClock>) {
        let key = KeyMaterial::generate(Algorithm::Es256).unwrap();
        let issuer = "https://a.example";
        let ring = KeyRing::new(issuer.to_owned(), &KeptKeys::first(key, NOW)).unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        let assertions = Assertions::new(Arc::new(ring), time, issuer, "http://b:9000/");
        (assertions, clock)
    }

    fn principal(session: Id, client: &str, scopes: &str, name: &str) -> Principal {
        let identity = Identity {
            subject: Subject::new("github:1"),
            login: None,
            name: Some(name.to_owned()),
            verified_email: None,
        };
        let client_id = ClientId::new(client);
        Principal {
            standing: Arc::new(Standing::new(session, client_id.clone(), identity)),
            client_id,
            scopes: ScopeSet::parse(scopes).unwrap(),
        }
    }

    #[test]
    fn an_assertion_is_used_again_while_half_a_minute_is_left_and_it_says_the_same() {
        let (assertions, clock) = assertions();
        let session = Id::new(NOW);
        let mona = principal(session, "c", "a b", "Mona");
        let first = assertions.about(&mona).unwrap();
        assert!(first.is_sensitive());
        clock.advance(AGAIN);
        assert_eq!(assertions.about(&mona).unwrap(), first);
        for other in [
            principal(session, "c", "a", "Mona"),
            principal(session, "d", "a b", "Mona"),
            principal(session, "c", "a b", "Mona Lisa"),
            principal(Id::new(NOW), "c", "a b", "Mona"),
        ] {
            assert_ne!(assertions.about(&other).unwrap(), first, "{other:?}");
        }
        clock.advance(Duration::from_secs(1));
        assert_ne!(assertions.about(&mona).unwrap(), first);
    }

    #[test]
    fn whatever_somebody_is_called_is_said_as_it_is() {
        let (assertions, _) = assertions();
        let name = "Zoë \"\\\r\nX-Anteroom-User: root\u{0}";
        let said = assertions.about(&principal(Id::new(NOW), "c", "a", name));
        let said = said.unwrap().to_str().unwrap().to_owned();
        let payload = said.split('.').nth(1).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["name"], name);
        assert_eq!(payload["sub"], "github:1");
    }

    #[test]
    fn what_is_kept_keeps_no_session_alive() {
        let (assertions, _) = assertions();
        let mona = principal(Id::new(NOW), "c", "a", "Mona");
        assertions.about(&mona).unwrap();
        assert_eq!(Arc::strong_count(&mona.standing), 1);
    }
}
