//! The ID tokens of the stand-in's `OpenID` provider, right and wrong (`OpenID` Connect Core 1.0 §2).

use serde_json::{Map, Value, json};

use super::openid::{Grant, Provider};
use super::openid_deviation::Deviation;
use super::openid_key::{Key, unsigned};
use super::{CLIENT_ID, CLIENT_SECRET};

/// How long an ID token may be used, in seconds.
const LIFE: i64 = 300;

const DAY: i64 = 86_400;

impl Provider {
    /// None where it cannot be signed. A refreshed one has no nonce (§12.2).
    pub(super) fn id_token(
        &self,
        issuer: &str,
        grant: &Grant,
        nonce: Option<&str>,
    ) -> Option<String> {
        let account = self.accounts.get(grant.account)?;
        let mut claims = if self.deviates(Deviation::ThinIdToken) {
            Map::new()
        } else {
            account.claims(&grant.scopes)
        };
        let now = self.clock.now().0;
        for (name, value) in [
            ("iss", json!(issuer)),
            ("sub", json!(account.sub)),
            ("aud", json!(CLIENT_ID)),
            ("iat", json!(now)),
            ("exp", json!(now + LIFE)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(nonce) = nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        } else if self.deviates(Deviation::AnotherAtRefresh) {
            let another = format!("{}0", account.sub);
            claims.insert("sub".to_owned(), json!(another));
        }
        self.put_in_words(&mut claims);
        for how in &self.deviations {
            deviate(*how, &mut claims, now);
        }
        self.signed(&Value::Object(claims))
    }

    /// Some providers write truth as text.
    pub(super) fn put_in_words(&self, claims: &mut Map<String, Value>) {
        if !self.deviates(Deviation::VerifiedInWords) {
            return;
        }
        if let Some(verified) = claims.get_mut("email_verified") {
            *verified = verified.to_string().into();
        }
    }

    fn signed(&self, claims: &Value) -> Option<String> {
        let key = &self.key;
        let mut deviations = self.deviations.iter();
        let otherwise = deviations.find_map(|how| {
            Some(match how {
                Deviation::Unsigned => Some(unsigned(claims)),
                Deviation::SignedWithSecret => key.mac(CLIENT_SECRET.as_bytes(), claims),
                Deviation::SignedWithPublicKey => {
                    let public = serde_json::to_vec(&key.jwk()).ok()?;
                    key.mac(&public, claims)
                }
                Deviation::Forged => Key::es256()?.sign(&key.kid, claims),
                Deviation::UnpublishedKey => {
                    let key = Key::es256()?;
                    key.sign(&key.kid, claims)
                }
                Deviation::Garbage => Some("not-a-token".to_owned()),
                _ => return None,
            })
        });
        otherwise.unwrap_or_else(|| key.sign(&key.kid, claims))
    }
}

fn deviate(how: Deviation, claims: &mut Map<String, Value>, now: i64) {
    let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    match how {
        Deviation::WrongNonce => {
            say("nonce", json!("of-another-sign-in"));
        }
        Deviation::WrongAudience => {
            say("aud", json!("another-client"));
        }
        Deviation::WrongParty => {
            say("aud", json!([CLIENT_ID, "another-client"]));
            say("azp", json!("another-client"));
        }
        Deviation::Expired => {
            say("iat", json!(now - 2 * DAY));
            say("exp", json!(now - DAY));
        }
        Deviation::FromTomorrow => {
            say("iat", json!(now + DAY));
            say("exp", json!(now + DAY + LIFE));
        }
        Deviation::WrongIssuer => {
            say("iss", json!("https://elsewhere.example.com"));
        }
        Deviation::WithoutNonce => {
            claims.remove("nonce");
        }
        Deviation::WithoutSubject => {
            claims.remove("sub");
        }
        _ => {}
    }
}
