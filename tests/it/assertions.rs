//! Clients that prove themselves with what they signed (`private_key_jwt`), through the whole application: good ones, forged
//! ones, used ones, and keys that change or cannot be had.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use anteroom::clock::UnixTime;
use anteroom::protocol::ids::ClientId;
use anteroom::secret::{Secret, SecretDigest};
use anteroom::store::Store as _;
use anteroom::store::sled::SledStore;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::answer::Answer;
use crate::harness::client::{Client, LOOPBACK, Tokens, VERIFIER};
use crate::harness::log::Log;
use crate::harness::server::{Server, server};
use crate::harness::website::{Page, Website};

const DOCUMENT: &str = "/oauth/client.json";
const KEYS: &str = "/oauth/jwks.json";
const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Longer than a copy of this site's documents is fresh.
const EXPIRED: Duration = Duration::from_secs(120);

/// A key pair of a client.
enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A key pair with the name that its client gave it.
struct Key {
    pair: Pair,
    kid: &'static str,
}

impl Key {
    fn new(alg: &str, kid: &'static str) -> Self {
        let rsa = |padding| Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), padding);
        let pair = match alg {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "ES256" => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            _ => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
        };
        Self { pair, kid }
    }

    fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Rsa(pair, _) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "kid": self.kid, "use": "sig", "n": text(&public.n), "e": text(&public.e)})
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y})
            }
            Pair::Ed(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x})
            }
        }
    }

    /// A JWT that this key really signed, whatever it says.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = match &self.pair {
            Pair::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    *padding,
                    &SystemRandom::new(),
                    message.as_bytes(),
                    &mut signature,
                )
                .unwrap();
                signature
            }
            Pair::Ec(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
                signature.as_ref().to_vec()
            }
            Pair::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    parts.join(".")
}

/// A client with keys, on its web site and at a server.
struct Signing {
    site: Website,
    server: Server,
    client: Client,
    alg: &'static str,
    key: Key,
}

impl Signing {
    /// A client whose document names these methods and its keys, at `jwks_uri` or inline.
    async fn start(alg: &'static str, methods: &[&str], inline: bool) -> Self {
        let site = Website::start().await;
        let key = Key::new(alg, "k1");
        publish(&site, methods, inline, &[&key]);
        let server = server().documents_from(&site).on_sled().start().await;
        let client = Client::named(&server, &site.url(DOCUMENT), LOOPBACK);
        Self {
            site,
            server,
            client,
            alg,
            key,
        }
    }

    /// As `ChatGPT` does.
    async fn like_chatgpt() -> Self {
        Self::start("RS256", &["none", "private_key_jwt"], false).await
    }

    fn claims(&self, jti: &str) -> Value {
        let now = self.server.app.flows().clock.now().0;
        json!({"iss": self.client.id, "sub": self.client.id, "aud": self.server.issuer(),
            "iat": now, "exp": now + 300, "jti": jti})
    }

    fn header(&self) -> Value {
        json!({"alg": self.alg, "kid": self.key.kid, "typ": "JWT"})
    }

    fn assertion(&self, jti: &str) -> String {
        self.key.sign(&self.header(), &self.claims(jti))
    }

    async fn redeem(&self, code: &str, assertion: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", LOOPBACK),
            ("code_verifier", VERIFIER),
        ];
        self.post("/token", &form, assertion).await
    }

    async fn refresh(&self, token: &str, assertion: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post("/token", &form, assertion).await
    }

    /// A request without `client_id`: the assertion says who it is.
    async fn post(&self, path: &str, form: &[(&str, &str)], assertion: &str) -> Answer {
        let proof = [
            ("client_assertion_type", BEARER),
            ("client_assertion", assertion),
        ];
        let url = self.server.url(path);
        self.server.post_form(&url, &[form, &proof].concat()).await
    }

    async fn sign_in(&self) -> Tokens {
        let code = self.client.code("mona").await;
        Tokens::read(&self.redeem(&code, &self.assertion("sign-in")).await)
    }
}

/// A document like that of `ChatGPT`, with the plural member that no specification has.
fn publish(site: &Website, methods: &[&str], inline: bool, keys: &[&Key]) {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    let keys = json!({ "keys": keys });
    let mut document = json!({
        "client_id": site.url(DOCUMENT),
        "client_name": "Signing app",
        "redirect_uris": [LOOPBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": methods,
    });
    if inline {
        document["jwks"] = keys;
    } else {
        document["jwks_uri"] = json!(site.url(KEYS));
        site.put(KEYS, Page::json(&keys));
    }
    let document = Page::json(&document).header("cache-control", "max-age=60");
    site.put(DOCUMENT, document);
}

fn assert_invalid_client(answer: &Answer, says: &str) {
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (401, "invalid_client"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains(says), "{says}: {}", answer.text());
}

fn assert_later(answer: &Answer) {
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (503, "temporarily_unavailable")
    );
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
}

/// TOK-25, CLI-13, CLI-14, DISC-30, T6, T7
#[tokio::test]
async fn a_client_like_chatgpt_signs_in_refreshes_and_revokes_with_assertions_each_good_once() {
    let mut it = Signing::like_chatgpt().await;
    let tokens = it.sign_in().await;
    let again = it.refresh(&tokens.refresh, &it.assertion("sign-in")).await;
    assert_invalid_client(&again, "used before");
    // older clients make theirs for the token endpoint
    let mut claims = it.claims("refresh");
    claims["aud"] = json!([it.server.url("/token")]);
    let refresh = it.key.sign(&it.header(), &claims);
    let tokens = Tokens::read(&it.refresh(&tokens.refresh, &refresh).await);
    it.server = it.server.restart().await;
    for used in ["sign-in", "refresh"] {
        let again = it.refresh(&tokens.refresh, &it.assertion(used)).await;
        assert_invalid_client(&again, "used before");
    }
    let tokens = Tokens::read(&it.refresh(&tokens.refresh, &it.assertion("third")).await);
    let revoke = [("token", &*tokens.refresh)];
    let again = it.post("/revoke", &revoke, &it.assertion("third")).await;
    assert_invalid_client(&again, "used before");
    assert_eq!(
        it.post("/revoke", &revoke, &it.assertion("fourth"))
            .await
            .status,
        200
    );
    let dead = it.refresh(&tokens.refresh, &it.assertion("fifth")).await;
    assert_eq!(dead.error(), "invalid_grant");
    // ... for an answer that is no yes, too
    let again = it.refresh(&tokens.refresh, &it.assertion("fifth")).await;
    assert_invalid_client(&again, "used before");
}

/// T6
#[tokio::test]
async fn a_used_assertion_is_remembered_on_the_disk_until_nobody_would_accept_it() {
    let folder = tempfile::tempdir().unwrap();
    let mark = |text: &str| -> SecretDigest { Secret::new(text).digest() };
    let (now, end) = (UnixTime(1000), UnixTime(1360));
    let spend = async |folder: &Path, text: &str, now: UnixTime| {
        let store = SledStore::open(folder).unwrap();
        store.spend_assertion(mark(text), end, now).await.unwrap()
    };
    assert!(spend(folder.path(), "one", now).await);
    assert!(!spend(folder.path(), "one", now).await);
    assert!(spend(folder.path(), "other", now).await);
    assert!(!spend(folder.path(), "one", UnixTime(1359)).await);
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.sweep(UnixTime(1359), 100).await.unwrap(), 0);
    assert_eq!(store.sweep(UnixTime(1360), 100).await.unwrap(), 2);
}

/// T6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_with_one_assertion_at_a_time_one_gets_in() {
    let it = Signing::like_chatgpt().await;
    let tokens = it.sign_in().await;
    let assertion = it.assertion("race");
    let mut racers = JoinSet::new();
    for _ in 0..32 {
        let (server, assertion, refresh) =
            (it.server.clone(), assertion.clone(), tokens.refresh.clone());
        racers.spawn(async move {
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", &*refresh),
                ("client_assertion_type", BEARER),
                ("client_assertion", &*assertion),
            ];
            let answer = server.post_form(&server.url("/token"), &form).await;
            answer.status.as_u16()
        });
    }
    let mut statuses = racers.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[1..], [401; 31]);
}

/// TOK-25, CLI-14, DISC-30
#[tokio::test]
async fn each_algorithm_that_discovery_lists_is_accepted_with_keys_of_either_place() {
    let server = server().start().await;
    let metadata = server
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    let listed = &metadata["token_endpoint_auth_signing_alg_values_supported"];
    let algorithms = ["RS256", "PS256", "ES256", "EdDSA"];
    assert_eq!(*listed, json!(algorithms));
    for alg in algorithms {
        for inline in [false, true] {
            let it = Signing::start(alg, &["private_key_jwt"], inline).await;
            it.sign_in().await;
            assert_eq!(it.site.hits(KEYS), usize::from(!inline), "{alg}");
        }
    }
}

/// CLI-13, CLI-14
#[tokio::test]
async fn who_says_that_it_signs_has_to_unless_it_says_that_it_need_not() {
    for (methods, free) in [
        (&["private_key_jwt"][..], false),
        (&["none", "private_key_jwt"], true),
    ] {
        let it = Signing::start("EdDSA", methods, true).await;
        let code = it.client.code("mona").await;
        if free {
            let tokens = Tokens::read(&it.client.redeem(&code).await);
            Tokens::read(&it.client.refresh(&tokens.refresh).await);
        } else {
            assert_invalid_client(&it.client.redeem(&code).await, "client_assertion");
            assert_invalid_client(&it.client.revoke(&code).await, "client_assertion");
        }
        // a secret is none of its methods, and an assertion that is wrong does not count as none
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", "x"),
            ("client_secret", "s"),
        ];
        assert_invalid_client(&it.client.token(&form).await, "");
        assert_invalid_client(&it.redeem(&code, "e30.e30.e30").await, "");
    }
}

/// TOK-25, T2, T7
#[tokio::test]
async fn what_another_client_signed_or_for_another_place_or_with_another_key_proves_nothing() {
    let it = Signing::like_chatgpt().await;
    let tokens = it.sign_in().await;
    let other = Key::new("RS256", "k1");
    let with = |name: &str, value: Value| {
        let mut claims = it.claims("forged");
        claims[name] = value;
        it.key.sign(&it.header(), &claims)
    };
    let now = it.server.app.flows().clock.now().0;
    let mut hmac = it.header();
    hmac["alg"] = json!("HS256");
    let forged = message(&hmac, &it.claims("forged"));
    let secret = EncodingKey::from_secret(it.key.jwk().to_string().as_bytes());
    let mac = jsonwebtoken::crypto::sign(forged.as_bytes(), &secret, Algorithm::HS256).unwrap();
    let mut none = it.header();
    none["alg"] = json!("none");
    for (assertion, says) in [
        (with("aud", json!(it.server.resource())), "aud"),
        (with("aud", json!(it.server.url("/revoke"))), "aud"),
        (
            with("aud", json!([it.server.issuer(), it.server.url("/token")])),
            "aud",
        ),
        (
            with("aud", json!(format!("{}/", it.server.issuer()))),
            "aud",
        ),
        (
            with("iss", json!("https://app.example/client.json")),
            "iss and sub",
        ),
        (with("exp", json!(now)), "expired"),
        (with("exp", json!(now + 3601)), "more than an hour"),
        (with("exp", json!((now + 300).to_string())), "exp"),
        (with("jti", json!(null)), "jti"),
        (with("nbf", json!(now + 61)), "future"),
        (format!("{forged}.{mac}"), "alg"),
        (format!("{}.", message(&none, &it.claims("forged"))), "alg"),
        (other.sign(&it.header(), &it.claims("forged")), "signature"),
        (it.assertion("forged")[..200].to_owned(), ""),
        ("x".repeat(9000), "8 KiB"),
    ] {
        assert_invalid_client(&it.refresh(&tokens.refresh, &assertion).await, says);
    }
    // none of them used up what the client makes itself
    Tokens::read(&it.refresh(&tokens.refresh, &it.assertion("forged")).await);
}

/// TOK-25, CLI-60
#[tokio::test]
async fn who_registered_with_keys_proves_itself_with_them_as_well() {
    let site = Website::start().await;
    let server = server().documents_from(&site).start().await;
    let key = Key::new("ES256", "k1");
    site.put(KEYS, Page::json(&json!({"keys": [key.jwk()]})));
    for (place, keys) in [
        ("jwks", json!({"keys": [key.jwk()]})),
        ("jwks_uri", json!(site.url(KEYS))),
    ] {
        let mut metadata = Client::public();
        metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
        metadata[place] = keys;
        let it = Signing {
            site: Website::start().await,
            client: Client::register(&server, &metadata).await,
            server: server.clone(),
            alg: "ES256",
            key: Key::new("ES256", "k1"),
        };
        let code = it.client.code("mona").await;
        assert_invalid_client(&it.client.redeem(&code).await, "client_assertion");
        assert_invalid_client(&it.redeem(&code, &it.assertion("one")).await, "signature");
        // the same jti is good for each client
        let assertion = key.sign(&it.header(), &it.claims("one"));
        Tokens::read(&it.redeem(&code, &assertion).await);
    }
    assert_eq!(site.hits(KEYS), 1);
}

/// TOK-25, TOK-22
#[tokio::test]
async fn a_client_id_beside_an_assertion_is_that_of_the_assertion() {
    let it = Signing::like_chatgpt().await;
    let registered = it.server.client().await;
    let form = |id: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", "x"),
            ("client_id", id),
        ];
        form.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    for (id, jti, error) in [
        (&it.client.id, "one", "invalid_grant"),
        (&registered.id, "two", ""),
    ] {
        let form = form(id);
        let form = form.each_ref().map(|(name, value)| (&**name, &**value));
        let answer = it.post("/token", &form, &it.assertion(jti)).await;
        if error.is_empty() {
            assert!(
                matches!(&*answer.error(), "invalid_request" | "invalid_client"),
                "{}",
                answer.text()
            );
        } else {
            assert_eq!(answer.error(), error);
        }
    }
    // an assertion proves nothing for who registered without keys
    let mut claims = it.claims("three");
    for name in ["iss", "sub"] {
        claims[name] = json!(registered.id);
    }
    let assertion = it.key.sign(&it.header(), &claims);
    assert_invalid_client(&it.refresh("x", &assertion).await, "");
}

/// CLI-14, CLI-18
#[tokio::test]
async fn keys_that_cannot_be_had_are_no_reason_to_refuse_a_client() {
    let it = Signing::like_chatgpt().await;
    let code = it.client.code("mona").await;
    it.site.put(KEYS, Page::new("<html></html>").status(503));
    let assertion = it.assertion("one");
    assert_later(&it.redeem(&code, &assertion).await);
    // nothing is fetched for what is wrong anyway
    let hits = it.site.hits(KEYS);
    let mut claims = it.claims("two");
    claims["aud"] = json!("https://app.example");
    let wrong = it.key.sign(&it.header(), &claims);
    assert_invalid_client(&it.redeem(&code, &wrong).await, "aud");
    assert_eq!(it.site.hits(KEYS), hits);
    // neither code nor assertion was spent
    publish(&it.site, &["private_key_jwt"], false, &[&it.key]);
    Tokens::read(&it.redeem(&code, &assertion).await);
}

/// CLI-14, CLI-16
#[tokio::test]
async fn a_client_changes_its_keys_and_a_made_up_one_is_looked_for_seldom() {
    let mut it = Signing::like_chatgpt().await;
    let tokens = it.sign_in().await;
    let next = Key::new("RS256", "k2");
    publish(&it.site, &["private_key_jwt"], false, &[&next]);
    it.server.advance(61 * SECOND);
    it.key = next;
    let tokens = Tokens::read(&it.refresh(&tokens.refresh, &it.assertion("new")).await);
    assert_eq!(it.site.hits(KEYS), 2);
    let made_up = |kid: &str, jti: &str| {
        let mut header = it.header();
        header["kid"] = json!(kid);
        it.key.sign(&header, &it.claims(jti))
    };
    for kid in ["k3", "../k2", ""] {
        // we have not looked since it was asked for: it may be there by now
        assert_later(&it.refresh(&tokens.refresh, &made_up(kid, "made up")).await);
    }
    assert_eq!(it.site.hits(KEYS), 2);
    it.server.advance(61 * SECOND);
    assert_invalid_client(
        &it.refresh(&tokens.refresh, &made_up("k3", "later")).await,
        "kid",
    );
    assert_eq!(it.site.hits(KEYS), 3);
}

/// CLI-14, CLI-18
#[tokio::test]
async fn a_key_set_that_is_none_for_a_while_makes_no_client_throw_its_tokens_away() {
    let half = Page::new("{\"keys\":").header("content-type", "application/json");
    for (bad, rule) in [
        (Page::new("<html></html>"), "Content-Type"),
        (half, "JSON object"),
    ] {
        let mut it = Signing::like_chatgpt().await;
        let tokens = it.sign_in().await;
        it.site.put(KEYS, bad);
        it.server.advance(2 * HOUR);
        let tokens = Tokens::read(&it.refresh(&tokens.refresh, &it.assertion("old")).await);
        it.server.advance(61 * SECOND);
        it.key = Key::new("RS256", "k2");
        let (log, listening) = Log::listen("warn");
        assert_later(&it.refresh(&tokens.refresh, &it.assertion("new")).await);
        drop(listening);
        let log = log.text();
        assert!(log.contains("document_refused"), "{log}");
        assert!(log.contains(rule), "{log}");
    }
}

/// CLI-14
#[tokio::test]
async fn a_new_key_in_a_document_is_found_within_a_minute() {
    let mut it = Signing::start("ES256", &["private_key_jwt"], true).await;
    let tokens = it.sign_in().await;
    it.server.advance(30 * SECOND);
    let next = Key::new("ES256", "k2");
    publish(&it.site, &["private_key_jwt"], true, &[&next]);
    it.key = next;
    assert_later(&it.refresh(&tokens.refresh, &it.assertion("early")).await);
    let hits = it.site.hits(DOCUMENT);
    it.server.advance(30 * SECOND);
    Tokens::read(&it.refresh(&tokens.refresh, &it.assertion("new")).await);
    assert_eq!(it.site.hits(DOCUMENT), hits + 1);
}

/// CLI-14, CLI-18
#[tokio::test]
async fn a_key_that_its_owner_took_out_of_the_document_opens_nothing_once_that_is_seen() {
    let it = Signing::start("ES256", &["private_key_jwt"], true).await;
    let mut tokens = it.sign_in().await;
    let next = Key::new("ES256", "k1");
    publish(&it.site, &["private_key_jwt"], true, &[&next]);
    it.server.advance(EXPIRED);
    assert_invalid_client(
        &it.refresh(&tokens.refresh, &it.assertion("old")).await,
        "signature",
    );
    let by_next = |jti: &str| next.sign(&it.header(), &it.claims(jti));
    tokens = Tokens::read(&it.refresh(&tokens.refresh, &by_next("new")).await);
    // ... nor does it when the site is gone, or this process
    it.site.put(DOCUMENT, Page::new("").status(503));
    it.server.advance(EXPIRED);
    for server in [it.server.clone(), it.server.restart().await] {
        let it = Signing {
            site: Website::start().await,
            client: it.client.moved_to(&server),
            server,
            alg: "ES256",
            key: Key::new("ES256", "k1"),
        };
        let old = it.key.sign(&it.header(), &it.claims("old"));
        assert_invalid_client(&it.refresh(&tokens.refresh, &old).await, "signature");
        let new = next.sign(&it.header(), &it.claims(&tokens.refresh));
        tokens = Tokens::read(&it.refresh(&tokens.refresh, &new).await);
    }
}

/// CLI-14, CLI-17
#[tokio::test]
async fn whoever_holds_a_key_that_was_taken_out_cannot_ask_until_nobody_looks_any_more() {
    for inline in [true, false] {
        let it = Signing::start("ES256", &["private_key_jwt"], inline).await;
        let tokens = it.sign_in().await;
        let next = Key::new("ES256", "k2");
        publish(&it.site, &["private_key_jwt"], inline, &[&next]);
        it.server.advance(2 * HOUR);
        for number in 0..30 {
            let id = it.site.url(&format!("/{number}.json"));
            Client::named(&it.server, &id, LOOPBACK).refresh("x").await;
        }
        assert_later(&it.refresh(&tokens.refresh, &it.assertion("old")).await);
    }
}

/// CLI-23, CLI-39
#[tokio::test]
async fn who_registers_names_no_place_for_keys_from_which_nothing_is_fetched() {
    let site = Website::start().await;
    let key = Key::new("ES256", "k1");
    site.put(KEYS, Page::json(&json!({"keys": [key.jwk()]})));
    let mut metadata = Client::public();
    metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
    metadata["jwks_uri"] = json!(site.url(KEYS));
    let open = server().documents_from(&site).start().await;
    let before = Signing {
        client: Client::register(&open, &metadata).await,
        server: open,
        alg: "ES256",
        key,
        site,
    };
    let code = before.client.code("mona").await;
    for closed in [true, false] {
        let server = server().documents_from(&before.site);
        let server = server.configure(move |config| {
            if closed {
                config.clients.metadata_documents = false;
            } else {
                config.clients.document_hosts = vec!["app.example".to_owned()];
            }
        });
        let server = server.start().await;
        let answer = server.post_json(&server.url("/register"), &metadata).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (400, "invalid_client_metadata")
        );
        assert!(answer.text().contains("give jwks"), "{}", answer.text());
        // who registered before
        let id = ClientId::new(&*before.client.id);
        let found = before
            .server
            .app
            .flows()
            .store
            .find_client(&id, UnixTime(0));
        let (kept, until) = found.await.unwrap().unwrap();
        server
            .app
            .flows()
            .store
            .put_client(kept, until)
            .await
            .unwrap();
        let moved = Signing {
            client: before.client.moved_to(&server),
            server,
            site: Website::start().await,
            alg: "ES256",
            key: Key::new("ES256", "k1"),
        };
        let answer = moved.redeem(&code, &moved.assertion("moved")).await;
        assert_invalid_client(&answer, "register again");
    }
    assert_eq!(before.site.hits(KEYS), 0);
    Tokens::read(&before.redeem(&code, &before.assertion("one")).await);
}
