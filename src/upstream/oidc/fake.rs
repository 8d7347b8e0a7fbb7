//! An `OpenID` provider on loopback that answers as it is told, and key pairs that sign whatever they are given. Tests
//! alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::{Oidc, OidcSettings};
use crate::clock::{ManualClock, UnixTime};
use crate::outbound::Outbound;
use crate::protocol::ids::ProviderId;
use crate::protocol::person_rule::{PeopleRules, PersonRule};
use crate::secret::Secret;
use crate::upstream::{Back, Departure, Intent, SignIn, Upstream as _, UpstreamError};

pub(super) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(super) const CLIENT: &str = "anteroom at the provider";
pub(super) const SUB: &str = "248289761001";

/// A key pair of a provider.
pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Ec(&'static str, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Pair {
    pub(super) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(super) fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::Ec("P-256", pair.unwrap())
    }

    pub(super) fn p384() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING);
        Self::Ec("P-384", pair.unwrap())
    }

    pub(super) fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": text(&public.n), "e": text(&public.e)})
            }
            Self::Ec(curve, pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "kid": kid, "x": text(x), "y": text(y)})
            }
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(pair.public_key().as_ref())})
            }
        }
    }

    /// A token that this pair really signed, whatever it says.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = message.join(".");
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn RsaEncoding = match header["alg"].as_str() {
                    Some("PS256") => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let signed = pair.sign(padding, &random, message.as_bytes(), &mut signature);
                signed.unwrap();
                signature
            }
            Self::Ec(_, pair) => {
                let signature = pair.sign(&random, message.as_bytes()).unwrap();
                signature.as_ref().to_vec()
            }
            Self::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A request that the provider got.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

#[derive(Default)]
struct Told {
    answers: HashMap<String, (u16, String)>,
    asked: Vec<Asked>,
}

/// The provider.
pub(super) struct Fake {
    pub(super) url: String,
    pub(super) pair: Pair,
    told: Arc<Mutex<Told>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&told));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let fake = Self {
            url,
            pair: Pair::p256(),
            told,
        };
        fake.answers(METADATA, 200, &fake.metadata());
        fake.answers("/jwks", 200, &json!({"keys": [fake.pair.jwk("k1")]}));
        fake.says(&json!({"sub": SUB}));
        fake.answers("/revoke", 200, &json!({}));
        fake
    }

    pub(super) fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "issuer": self.url,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "revocation_endpoint": at("/revoke"),
            "jwks_uri": at("/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    /// Metadata with one member that is another; null takes it out.
    pub(super) fn publishes(&self, name: &str, value: Value) {
        self.answers(METADATA, 200, &with(self.metadata(), name, value));
    }

    pub(super) fn answers(&self, path: &str, status: u16, body: &Value) {
        self.answers_text(path, status, &body.to_string());
    }

    pub(super) fn answers_text(&self, path: &str, status: u16, body: &str) {
        let mut told = self.told.lock().unwrap();
        let answer = (status, body.to_owned());
        told.answers.insert(path.to_owned(), answer);
    }

    /// What the userinfo endpoint says.
    pub(super) fn says(&self, claims: &Value) {
        self.answers("/userinfo", 200, claims);
    }

    /// What was asked at `path`.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let told = self.told.lock().unwrap();
        let asked = told.asked.iter().filter(|asked| asked.path == path);
        asked.cloned().collect()
    }

    pub(super) fn claims(&self) -> Value {
        json!({"iss": self.url, "sub": SUB, "aud": CLIENT, "exp": NOW.0 + 300, "iat": NOW.0})
    }

    pub(super) fn claims_for(&self, departure: &Departure) -> Value {
        let nonce = departure.kept.nonce.as_ref().unwrap();
        with(self.claims(), "nonce", nonce.expose().into())
    }

    /// What the token endpoint answers from now on.
    pub(super) fn gives(&self, claims: Option<&Value>, more: &Value) {
        let mut body =
            json!({"access_token": "access", "token_type": "Bearer", "expires_in": 3600});
        if let Some(claims) = claims {
            let header = json!({"alg": "ES256", "kid": "k1"});
            body["id_token"] = self.pair.sign(&header, claims).into();
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            body = with(body, name, value.clone());
        }
        self.answers("/token", 200, &body);
    }

    pub(super) fn oidc(&self, clock: &Arc<ManualClock>) -> Oidc {
        self.oidc_with(clock, |_| ())
    }

    pub(super) fn oidc_with(
        &self,
        clock: &Arc<ManualClock>,
        change: impl FnOnce(&mut OidcSettings),
    ) -> Oidc {
        let mut settings = settings(&self.url);
        change(&mut settings);
        let clock = Arc::<ManualClock>::clone(clock);
        Oidc::new(settings, Outbound::new(&[], None).unwrap(), clock).unwrap()
    }

    /// Signs in; `change` forges the ID token.
    pub(super) async fn sign_in(
        &self,
        oidc: &Oidc,
        change: impl FnOnce(&mut Value),
    ) -> Result<SignIn, UpstreamError> {
        let state = Secret::new("state");
        let departure = oidc.begin(&state, Intent::Connect).await?;
        let mut claims = self.claims_for(&departure);
        change(&mut claims);
        self.gives(Some(&claims), &json!({"refresh_token": "refresh"}));
        oidc.finish(back(), departure.kept).await
    }
}

pub(super) fn settings(issuer: &str) -> OidcSettings {
    OidcSettings {
        id: ProviderId::new("acme"),
        label: "Acme".to_owned(),
        issuer: issuer.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Secret::new("s:e cret"),
        scopes: ["openid", "email", "profile", "offline_access"]
            .map(str::to_owned)
            .to_vec(),
        google: false,
        callback: "http://localhost:8080/callback/acme".to_owned(),
        rules: PeopleRules {
            allow: vec![PersonRule::Anyone],
            ..PeopleRules::default()
        },
    }
}

async fn answer(
    State(told): State<Arc<Mutex<Told>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let mut told = told.lock().unwrap();
    let path = uri.path().to_owned();
    let answer = told.answers.get(&path).cloned();
    told.asked.push(Asked {
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let (status, body) = answer.unwrap_or((404, String::new()));
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// `object` with this member; null takes it out.
pub(super) fn with(mut object: Value, name: &str, value: Value) -> Value {
    match (value, object.as_object_mut()) {
        (Value::Null, Some(members)) => drop(members.remove(name)),
        (value, _) => object[name] = value,
    }
    object
}

/// What an incident says; any other error is a surprise.
pub(super) fn invalid(error: UpstreamError) -> String {
    match error {
        UpstreamError::Invalid(text) => text,
        other => panic!("{other}"),
    }
}

/// What a browser brings back from a provider that sends no `iss`.
pub(super) fn back() -> Back {
    Back {
        code: Secret::new("code"),
        iss: None,
    }
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(NOW))
}

const METADATA: &str = "/.well-known/openid-configuration";
