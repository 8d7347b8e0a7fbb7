//! The ID tokens of the stand-in's `OpenID` provider, right and wrong (`OpenID` Connect Core 1.0 §2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::deviation::Deviation;
use super::key::{Key, unsigned};
use super::{Grant, Provider};
use crate::standin::{CLIENT_ID, CLIENT_SECRET};

/// How long an ID token may be used, in seconds.
const LIFE: i64 = 300;

const DAY: i64 = 86_400;

/// What an ID token is about.
pub(super) struct About<'a> {
    pub(super) issuer: &'a str,
    pub(super) grant: &'a Grant,
    /// A refreshed one has none (§12.2).
    pub(super) nonce: Option<&'a str>,
    /// The access token that it comes with.
    pub(super) access: &'a Value,
}

impl Provider {
    /// None where it cannot be signed.
    pub(super) fn id_token(&self, about: &About<'_>) -> Option<String> {
        let account = self.accounts.get(about.grant.account)?;
        let mut claims = if self.deviates(Deviation::ThinIdToken) {
            Map::new()
        } else {
            account.claims(&about.grant.scopes)
        };
        let now = self.clock.now().0;
        for (name, value) in [
            ("iss", json!(about.issuer)),
            ("sub", json!(account.sub)),
            ("aud", json!(CLIENT_ID)),
            ("iat", json!(now)),
            ("exp", json!(now + LIFE)),
            ("at_hash", json!(hash_of(about.access))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(nonce) = about.nonce {
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
                Deviation::Forged => Key::es256()?.sign(Some(&key.kid), claims),
                Deviation::UnpublishedKey => {
                    let key = Key::es256()?;
                    key.sign(Some(&key.kid), claims)
                }
                Deviation::UnnamedKey => key.sign(None, claims),
                Deviation::Garbage => Some("not-a-token".to_owned()),
                _ => return None,
            })
        });
        otherwise.unwrap_or_else(|| key.sign(Some(&key.kid), claims))
    }
}

/// The left half of the digest (§3.1.3.6); the keys here all go with SHA-256.
fn hash_of(access: &Value) -> String {
    let digest = Sha256::digest(access.as_str().unwrap_or_default());
    URL_SAFE_NO_PAD.encode(&digest[..digest.len() / 2])
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
        Deviation::AudienceInAList => {
            say("aud", json!([CLIENT_ID]));
            say("azp", json!(CLIENT_ID));
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
        Deviation::WrongHash => {
            say("at_hash", json!(hash_of(&json!("another-token"))));
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
