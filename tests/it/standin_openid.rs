//! The stand-in as a provider of `OpenID` Connect itself, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use anteroom::clock::{Clock, ManualClock, UnixTime};
use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Deviation, Fault, Standin};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::standin::{CALLBACK, CHALLENGE, FORM, VERIFIER, encode, parameter, press, send, start};

const ASKED: [(&str, &str); 8] = [
    ("response_type", "code"),
    ("client_id", CLIENT_ID),
    ("redirect_uri", CALLBACK),
    ("scope", "openid email profile offline_access"),
    ("state", "a+b/c=="),
    ("nonce", "n-0S6_WzA2Mj"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

/// The address of the page, with some parameters replaced or, where the value is empty, left out.
fn authorize(standin: &Standin, changes: &[(&str, &str)]) -> String {
    let mut pairs = ASKED.to_vec();
    pairs.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    pairs.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    let issuer = standin.openid().issuer();
    format!("{issuer}/authorize?{}", encode(&pairs))
}

async fn code_of(standin: &Standin, login: &str) -> String {
    let back = press(&authorize(standin, &[]), Some(login)).await;
    parameter(&back, "code").unwrap()
}

/// Posts a form to an endpoint with the credentials of the application: status and body.
async fn post(standin: &Standin, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let basic = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let basic = format!("Basic {basic}");
    let url = format!("{}{path}", standin.openid().issuer());
    let headers = [FORM, ("authorization", basic.as_str())];
    let answer = send(Method::POST, &url, &headers, &encode(form)).await;
    let body = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status().as_u16(), body)
}

async fn redeem(standin: &Standin, code: &str, verifier: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", verifier),
    ];
    post(standin, "/token", &form).await
}

async fn refresh(standin: &Standin, token: &Value) -> (u16, Value) {
    let token = token.as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    post(standin, "/token", &form).await
}

async fn tokens_of(standin: &Standin, login: &str) -> Value {
    let (status, tokens) = redeem(standin, &code_of(standin, login).await, VERIFIER).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

async fn get(standin: &Standin, path: &str) -> Value {
    let url = format!("{}{path}", standin.openid().issuer());
    let answer = send(Method::GET, &url, &[], "").await;
    assert_eq!(answer.status(), 200);
    serde_json::from_slice(answer.body()).unwrap()
}

async fn userinfo(standin: &Standin, tokens: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let url = format!("{}/userinfo", standin.openid().issuer());
    let answer = send(Method::GET, &url, &[("authorization", &bearer)], "").await;
    let body = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status().as_u16(), body)
}

/// The claims of an ID token, checked with what is published.
async fn verified(standin: &Standin, tokens: &Value) -> Result<Value, jsonwebtoken::errors::Error> {
    let token = tokens["id_token"].as_str().unwrap();
    let keys: JwkSet = serde_json::from_value(get(standin, "/jwks").await).unwrap();
    let header = jsonwebtoken::decode_header(token)?;
    let key = keys.find(header.kid.as_deref().unwrap_or_default());
    let key = key.ok_or(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)?;
    let algorithm: Algorithm = key.common.key_algorithm.unwrap().to_string().parse()?;
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[CLIENT_ID]);
    validation.set_issuer(&[standin.openid().issuer()]);
    let key = DecodingKey::from_jwk(key)?;
    Ok(jsonwebtoken::decode(token, &key, &validation)?.claims)
}

/// A part of an ID token, unchecked.
fn part(tokens: &Value, place: usize) -> Value {
    let token = tokens["id_token"].as_str().unwrap();
    let part = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn discovery_names_every_endpoint_below_the_issuer() {
    let standin = start().await;
    let issuer = standin.openid().issuer();
    let metadata = get(&standin, "/.well-known/openid-configuration").await;
    assert_eq!(metadata["issuer"], issuer);
    for endpoint in [
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
        "revocation_endpoint",
    ] {
        let url = metadata[endpoint].as_str().unwrap();
        assert!(url.starts_with(&format!("{issuer}/")), "{endpoint}: {url}");
    }
    let promised = "authorization_response_iss_parameter_supported";
    assert_eq!(metadata[promised], true);
    standin.openid().deviate(Deviation::BeforeRfc9207);
    let metadata = get(&standin, "/.well-known/openid-configuration").await;
    assert_eq!(metadata.get(promised), None);
}

#[tokio::test]
async fn the_openid_page_offers_its_own_people_and_loads_nothing() {
    let standin = start().await;
    let page = send(Method::GET, &authorize(&standin, &[]), &[], "").await;
    let html = std::str::from_utf8(page.body()).unwrap();
    for told in ["Octavia Ångström", "value=\"wanda\"", "an OpenID provider"] {
        assert!(html.contains(told), "{told}");
    }
    for foreign in ["<script", "src=", "href=", "url("] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}

#[tokio::test]
async fn the_answer_carries_code_state_and_issuer() {
    let standin = start().await;
    let issuer = standin.openid().issuer();
    for login in [Some("mona"), None] {
        let back = press(&authorize(&standin, &[]), login).await;
        assert_eq!(parameter(&back, "state").as_deref(), Some("a+b/c=="));
        assert_eq!(parameter(&back, "iss").as_ref(), Some(&issuer));
        assert_eq!(parameter(&back, "code").is_some(), login.is_some());
        let error = login.is_none().then_some("access_denied");
        assert_eq!(parameter(&back, "error").as_deref(), error);
    }
    standin.openid().deviate(Deviation::AnswerWithoutIssuer);
    let back = press(&authorize(&standin, &[]), Some("mona")).await;
    assert_eq!(parameter(&back, "iss"), None);
    standin.heal();
    standin.openid().deviate(Deviation::ForeignAnswer);
    let back = press(&authorize(&standin, &[]), Some("mona")).await;
    assert_ne!(parameter(&back, "iss"), Some(issuer));
}

#[tokio::test]
async fn whoever_forgets_what_protects_a_sign_in_reads_a_page() {
    let standin = start().await;
    for change in [
        ("client_id", "somebody"),
        ("redirect_uri", "https://mcp.example.com/callback/corp"),
        ("response_type", "token"),
        ("scope", "email"),
        ("state", ""),
        ("nonce", ""),
        ("code_challenge", ""),
        ("code_challenge_method", "plain"),
    ] {
        let url = authorize(&standin, &[change]);
        let page = send(Method::GET, &url, &[], "").await;
        assert_eq!(page.status(), 400, "{change:?}");
        let post = send(Method::POST, &url, &[FORM], "login=mona").await;
        assert_eq!(post.status(), 400, "{change:?}");
    }
}

#[tokio::test]
async fn a_code_becomes_tokens_once_for_who_knows_verifier_and_secret() {
    let standin = start().await;
    let code = code_of(&standin, "mona").await;
    assert_eq!(redeem(&standin, &code, CHALLENGE).await.0, 400);
    let code = code_of(&standin, "mona").await;
    let (_, tokens) = redeem(&standin, &code, VERIFIER).await;
    let again = redeem(&standin, &code, VERIFIER).await;
    assert_eq!((again.0, &again.1["error"]), (400, &json!("invalid_grant")));

    let claims = verified(&standin, &tokens).await.unwrap();
    assert_eq!(claims["sub"], "107691503500061500001");
    assert_eq!(claims["nonce"], "n-0S6_WzA2Mj");
    assert_eq!(claims["groups"], json!(["mcp-users", "platform"]));
    assert_eq!(claims["hd"], "example.com");
    assert_eq!(claims["email_verified"], true);
    let (status, shown) = userinfo(&standin, &tokens).await;
    assert_eq!((status, &shown["sub"]), (200, &claims["sub"]));
    assert_eq!(shown["preferred_username"], "mona");

    let url = format!("{}/token", standin.openid().issuer());
    for (secret, status) in [("wrong", 401), (CLIENT_SECRET, 400)] {
        let form = encode(&[
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT_ID),
            ("client_secret", secret),
        ]);
        let answer = send(Method::POST, &url, &[FORM], &form).await;
        assert_eq!(answer.status(), status, "{secret}");
    }
}

#[tokio::test]
async fn a_key_of_either_kind_verifies_and_an_old_one_is_gone() {
    let standin = start().await;
    let before = tokens_of(&standin, "mona").await;
    assert_eq!(part(&before, 0)["alg"], "ES256");
    standin.openid().sign_with_rsa().unwrap();
    verified(&standin, &before).await.unwrap_err();
    let tokens = tokens_of(&standin, "mona").await;
    assert_eq!(part(&tokens, 0)["alg"], "RS256");
    verified(&standin, &tokens).await.unwrap();
    standin.openid().rotate_keys().unwrap();
    verified(&standin, &tokens).await.unwrap_err();
    let tokens = tokens_of(&standin, "mona").await;
    verified(&standin, &tokens).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_turns_over_and_its_second_use_ends_everything() {
    let standin = start().await;
    let first = tokens_of(&standin, "mona").await;
    let (status, second) = refresh(&standin, &first["refresh_token"]).await;
    assert_eq!(status, 200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let claims = verified(&standin, &second).await.unwrap();
    assert_eq!(claims.get("nonce"), None);
    let (status, again) = refresh(&standin, &first["refresh_token"]).await;
    assert_eq!((status, &again["error"]), (400, &json!("invalid_grant")));
    assert_eq!(refresh(&standin, &second["refresh_token"]).await.0, 400);
    assert_eq!(userinfo(&standin, &second).await.0, 401);
    assert!(!standin.openid().has_tokens("mona"));

    let without = authorize(&standin, &[("scope", "openid")]);
    let back = press(&without, Some("mona")).await;
    let code = parameter(&back, "code").unwrap();
    let (_, tokens) = redeem(&standin, &code, VERIFIER).await;
    assert_eq!(tokens.get("refresh_token"), None);
    assert_eq!(part(&tokens, 1).get("email"), None, "it was not asked for");

    standin
        .openid()
        .deviate(Deviation::RefreshWithoutRefreshToken);
    standin.openid().deviate(Deviation::RefreshWithoutIdToken);
    let kept = tokens_of(&standin, "mona").await;
    for _ in 0..2 {
        let (status, fresh) = refresh(&standin, &kept["refresh_token"]).await;
        assert_eq!(status, 200);
        assert_eq!(fresh.get("refresh_token"), None);
        assert_eq!(fresh.get("id_token"), None);
    }
}

#[tokio::test]
async fn tokens_end_by_time_by_the_person_and_by_the_application() {
    let standin = start().await;
    let openid = standin.openid();
    let clock = Arc::new(ManualClock::at(UnixTime(1_000_000)));
    openid.tell_time_by(Arc::clone(&clock) as Arc<dyn Clock>);
    openid.access_tokens_live(Duration::from_secs(60));
    let tokens = tokens_of(&standin, "mona").await;
    assert_eq!(tokens["expires_in"], 60);
    assert_eq!(userinfo(&standin, &tokens).await.0, 200);
    clock.advance(Duration::from_secs(60));
    assert_eq!(userinfo(&standin, &tokens).await.0, 401);

    let hubot = tokens_of(&standin, "hubot").await;
    let (_, tokens) = refresh(&standin, &tokens["refresh_token"]).await;
    openid.revoke("mona");
    assert_eq!(userinfo(&standin, &tokens).await.0, 401);
    assert_eq!(refresh(&standin, &tokens["refresh_token"]).await.0, 400);

    let another = tokens_of(&standin, "hubot").await;
    let token = hubot["refresh_token"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(post(&standin, "/revoke", &[("token", token)]).await.0, 200);
        assert_eq!(userinfo(&standin, &another).await.0, 401);
    }
}

#[tokio::test]
async fn an_account_changes_and_its_subject_stays() {
    let standin = start().await;
    let before = tokens_of(&standin, "octavia").await;
    standin.openid().change("mona", |account| {
        account.email = Some("lisa@example.com".to_owned());
        account.groups.clear();
    });
    standin.openid().change("octavia", |account| {
        account.email = Some("mona@example.com".to_owned());
    });
    let (_, shown) = userinfo(&standin, &before).await;
    assert_eq!(shown["email"], "mona@example.com");
    assert_eq!(shown["sub"], part(&before, 1)["sub"]);
    let mona = part(&tokens_of(&standin, "mona").await, 1);
    assert_eq!(
        (&mona["email"], &mona["groups"]),
        (&json!("lisa@example.com"), &json!([]))
    );
}

#[tokio::test]
async fn an_id_token_is_as_wrong_as_it_is_ordered_to_be() {
    let standin = start().await;
    let right = part(&tokens_of(&standin, "mona").await, 1);
    for (how, claim) in [
        (Deviation::WrongNonce, "nonce"),
        (Deviation::WithoutNonce, "nonce"),
        (Deviation::WrongAudience, "aud"),
        (Deviation::WrongParty, "azp"),
        (Deviation::AudienceInAList, "aud"),
        (Deviation::WrongIssuer, "iss"),
        (Deviation::WithoutSubject, "sub"),
        (Deviation::WrongHash, "at_hash"),
        (Deviation::ThinIdToken, "email"),
        (Deviation::VerifiedInWords, "email_verified"),
        (Deviation::Expired, "exp"),
        (Deviation::FromTomorrow, "iat"),
    ] {
        standin.openid().deviate(how);
        let wrong = part(&tokens_of(&standin, "mona").await, 1);
        assert_ne!(wrong.get(claim), right.get(claim), "{how:?}");
        standin.heal();
    }
    for (how, algorithm) in [
        (Deviation::Unsigned, "none"),
        (Deviation::SignedWithSecret, "HS256"),
        (Deviation::SignedWithPublicKey, "HS256"),
        (Deviation::Forged, "ES256"),
        (Deviation::UnpublishedKey, "ES256"),
    ] {
        standin.openid().deviate(how);
        let tokens = tokens_of(&standin, "mona").await;
        assert_eq!(part(&tokens, 0)["alg"], algorithm, "{how:?}");
        assert_eq!(part(&tokens, 1)["sub"], right["sub"], "{how:?}");
        verified(&standin, &tokens).await.unwrap_err();
        standin.heal();
    }
    standin.openid().deviate(Deviation::UnnamedKey);
    let tokens = tokens_of(&standin, "mona").await;
    assert_eq!(part(&tokens, 0).get("kid"), None);
    standin.heal();
    standin.openid().deviate(Deviation::WithoutPkce);
    let code = code_of(&standin, "mona").await;
    assert_eq!(redeem(&standin, &code, CHALLENGE).await.0, 200);
    standin.heal();
    standin.openid().deviate(Deviation::WithoutIdToken);
    assert_eq!(tokens_of(&standin, "mona").await.get("id_token"), None);
    standin.openid().deviate(Deviation::AnotherAtUserinfo);
    let (_, shown) = userinfo(&standin, &tokens_of(&standin, "mona").await).await;
    assert_ne!(shown["sub"], right["sub"]);
    standin.heal();
    standin.openid().deviate(Deviation::AnotherAtRefresh);
    let tokens = tokens_of(&standin, "mona").await;
    assert_eq!(part(&tokens, 1)["sub"], right["sub"]);
    let (_, fresh) = refresh(&standin, &tokens["refresh_token"]).await;
    assert_ne!(part(&fresh, 1)["sub"], right["sub"]);
}

#[tokio::test]
async fn an_answer_can_be_late_or_never_come() {
    let standin = start().await;
    let late = Duration::from_millis(50);
    standin.fault("/oidc/jwks", Fault::Slow(late));
    let before = tokio::time::Instant::now();
    get(&standin, "/jwks").await;
    assert!(before.elapsed() >= late);
    standin.fault("/oidc/jwks", Fault::Silent);
    let waiting = tokio::time::timeout(late, get(&standin, "/jwks"));
    waiting.await.unwrap_err();
    standin.fault("/oidc/jwks", Fault::Html);
    let url = format!("{}/jwks", standin.openid().issuer());
    let answer = send(Method::GET, &url, &[], "").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
}
