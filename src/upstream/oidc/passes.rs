//! Passes through an `OpenID` provider that answers rightly, wrongly, or not at all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use serde_json::{Value, json};

use super::fake::{CLIENT, Fake, NOW, Pair, SUB, back, clock, invalid, with};
use crate::protocol::person_rule::PersonRule;
use crate::secret::Secret;
use crate::upstream::{Back, Intent, NotAllowed, Upstream as _, UpstreamError};

const METADATA: &str = "/.well-known/openid-configuration";

fn parameters(url: &url::Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// CONS-17
#[tokio::test]
async fn a_browser_goes_out_with_pkce_nonce_and_state() {
    let fake = Fake::start().await;
    let oidc = fake.oidc(&clock());
    assert!(fake.asked(METADATA).is_empty());
    let departure = oidc.begin(&Secret::new("s"), Intent::Connect).await;
    let departure = departure.unwrap();
    let place = format!("{}/authorize?", fake.url);
    assert!(departure.url.as_str().starts_with(&place));
    let sent = parameters(&departure.url);
    let verifier = PkceCodeVerifier::new(departure.kept.verifier.expose().to_owned());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", "http://localhost:8080/callback/acme"),
        ("state", "s"),
        ("scope", "openid email profile offline_access"),
        ("prompt", "consent"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("nonce", departure.kept.nonce.as_ref().unwrap().expose()),
    ] {
        assert_eq!(sent.get(name).map(String::as_str), Some(value), "{name}");
    }
    let verifier = departure.kept.verifier.expose().to_owned();
    fake.gives(Some(&fake.claims_for(&departure)), &json!({}));
    oidc.finish(back(), departure.kept).await.unwrap();
    let [redeemed] = fake.asked("/token").try_into().ok().unwrap();
    let sent = format!("code_verifier={verifier}");
    assert!(redeemed.body.contains(&sent), "{}", redeemed.body);
    let userinfo = &fake.asked("/userinfo")[0];
    assert_eq!(userinfo.headers["authorization"], "Bearer access");
}

/// CONS-20
#[tokio::test]
async fn a_browser_comes_back_as_somebody() {
    let fake = Fake::start().await;
    let oidc = fake.oidc(&clock());
    fake.says(&json!({"sub": SUB, "name": "Mona\r\nX-B: c", "preferred_username": "mona"}));
    let with_email = |claims: &mut Value| {
        claims["email"] = json!("mona@acme.com");
        claims["email_verified"] = json!("true");
    };
    let signed_in = fake.sign_in(&oidc, with_email).await.unwrap();
    let identity = signed_in.vouched.identity;
    assert_eq!(identity.subject.as_str(), format!("acme:{SUB}"));
    assert_eq!(identity.login.as_deref(), Some("mona"));
    assert_eq!(identity.name.as_deref(), Some("Mona X-B: c"));
    assert_eq!(identity.verified_email.as_deref(), Some("mona@acme.com"));
    let tokens = signed_in.tokens;
    assert_eq!(tokens.access.expose(), "access");
    assert_eq!(tokens.refresh.unwrap().expose(), "refresh");
    assert_eq!(tokens.expires, Some(NOW + Duration::from_secs(3600)));
    assert!(tokens.claims.unwrap().contains("mona@acme.com"));
}

#[tokio::test]
async fn what_is_asked_for_depends_on_the_provider_and_on_what_for() {
    let connect = "openid email profile offline_access";
    for (google, supported, intent, scope, prompt) in [
        (
            false,
            json!(["openid"]),
            Intent::Connect,
            "openid email profile",
            None,
        ),
        (
            false,
            json!(["openid", "offline_access"]),
            Intent::Connect,
            connect,
            Some("consent"),
        ),
        (
            false,
            Value::Null,
            Intent::Identify,
            "openid email profile",
            Some("login"),
        ),
        (
            true,
            json!(["openid"]),
            Intent::Connect,
            "openid email profile",
            Some("consent select_account"),
        ),
        (
            true,
            json!(["openid"]),
            Intent::Identify,
            "openid email profile",
            Some("select_account"),
        ),
    ] {
        let fake = Fake::start().await;
        fake.publishes("scopes_supported", supported.clone());
        let oidc = fake.oidc_with(&clock(), |settings| {
            settings.google = google;
            settings.rules.allow = vec![PersonRule::Domain("acme.com".to_owned())];
        });
        let sent = parameters(&oidc.begin(&Secret::new("s"), intent).await.unwrap().url);
        assert_eq!(sent["scope"], scope, "{google} {supported} {intent:?}");
        assert_eq!(
            sent.get("prompt").map(String::as_str),
            prompt,
            "{google} {supported} {intent:?}"
        );
        let offline = (google && intent == Intent::Connect).then_some("offline");
        assert_eq!(sent.get("access_type").map(String::as_str), offline);
        assert_eq!(
            sent.get("hd").map(String::as_str),
            google.then_some("acme.com")
        );
    }
}

/// U3
#[tokio::test]
async fn metadata_of_another_issuer_or_with_endpoints_in_clear_are_refused() {
    let fake = Fake::start().await;
    let url = fake.url.clone();
    for (name, value, told) in [
        ("issuer", json!(format!("{url}/")), "byte for byte"),
        ("issuer", json!("https://evil.example"), "byte for byte"),
        ("issuer", Value::Null, "cannot be read"),
        ("token_endpoint", Value::Null, "token_endpoint"),
        (
            "token_endpoint",
            json!("http://op.example/token"),
            "not an https URL",
        ),
        (
            "authorization_endpoint",
            json!("javascript:alert(1)"),
            "not an https URL",
        ),
        (
            "authorization_endpoint",
            json!("http://op.example/"),
            "not an https URL",
        ),
        (
            "userinfo_endpoint",
            json!("http://169.254.169.254/"),
            "not an https URL",
        ),
        (
            "revocation_endpoint",
            json!("http://op.example/"),
            "not an https URL",
        ),
        (
            "jwks_uri",
            json!("http://op.example/jwks"),
            "not an https URL",
        ),
        ("jwks_uri", json!("/jwks"), "cannot be read"),
    ] {
        fake.publishes(name, value.clone());
        let oidc = fake.oidc(&clock());
        let begun = oidc.begin(&Secret::new("s"), Intent::Connect).await;
        let text = invalid(begun.unwrap_err());
        assert!(text.contains(told), "{name} {value}: {text}");
        assert!(
            !text.contains("evil.example") && !text.contains("alert"),
            "{text}"
        );
        assert_eq!(
            text.contains(&url),
            name == "issuer" && !value.is_null(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_provider_is_asked_once_for_many_and_again_after_a_failure_or_a_day() {
    let fake = Fake::start().await;
    let clock = clock();
    let oidc = Arc::new(fake.oidc(&clock));
    fake.answers(METADATA, 503, &json!({}));
    let all_at_once = || async {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let oidc = Arc::clone(&oidc);
                tokio::spawn(async move { oidc.begin(&Secret::new("s"), Intent::Connect).await })
            })
            .collect();
        let mut begun = Vec::new();
        for task in tasks {
            begun.push(task.await.unwrap());
        }
        begun
    };
    let begun = all_at_once().await;
    let is_later = |it: &Result<_, _>| matches!(it, Err(UpstreamError::Unavailable(_)));
    assert!(begun.iter().all(is_later));
    assert_eq!(fake.asked(METADATA).len(), 1);
    fake.answers(METADATA, 200, &fake.metadata());
    assert!(all_at_once().await.iter().all(Result::is_ok));
    assert_eq!(fake.asked(METADATA).len(), 2);
    clock.advance(Duration::from_secs(24 * 60 * 60 - 1));
    assert!(all_at_once().await.iter().all(Result::is_ok));
    assert_eq!(fake.asked(METADATA).len(), 2);
    clock.advance(Duration::from_secs(1));
    fake.answers(METADATA, 503, &json!({}));
    // what was good yesterday
    assert!(all_at_once().await.iter().all(Result::is_ok));
    assert_eq!(fake.asked(METADATA).len(), 3);
    for (path, status, body) in [
        (METADATA, 404, json!({})),
        (METADATA, 200, json!("<html>")),
        ("/jwks", 403, json!({})),
        ("/jwks", 200, json!({"keys": 7})),
    ] {
        clock.advance(Duration::from_secs(60));
        fake.answers(METADATA, 200, &fake.metadata());
        fake.answers(path, status, &body);
        let begun = all_at_once().await;
        assert!(begun.iter().all(Result::is_ok), "{path} {status}");
    }
    assert_eq!(fake.asked(METADATA).len(), 7);
    fake.answers("/jwks", 200, &json!({"keys": [fake.pair.jwk("k1")]}));
    // what is wrong is no outage
    for (name, value) in [
        ("issuer", json!("https://evil.example")),
        ("token_endpoint", json!("http://op.example/token")),
    ] {
        clock.advance(Duration::from_secs(60));
        fake.publishes(name, value);
        assert!(all_at_once().await.iter().all(Result::is_err), "{name}");
    }
}

/// CONS-17, SEC-14
#[tokio::test]
async fn an_answer_of_another_provider_is_not_redeemed() {
    for (announced, sent, passes) in [
        (false, None, true),
        (false, Some(""), true),
        (true, Some(""), true),
        (true, None, false),
        (false, Some("/"), false),
        (false, Some("x"), false),
    ] {
        let fake = Fake::start().await;
        fake.publishes(
            "authorization_response_iss_parameter_supported",
            json!(announced),
        );
        let oidc = fake.oidc(&clock());
        let departure = oidc
            .begin(&Secret::new("s"), Intent::Connect)
            .await
            .unwrap();
        fake.gives(Some(&fake.claims_for(&departure)), &json!({}));
        let back = Back {
            iss: sent.map(|suffix| format!("{}{suffix}", fake.url)),
            ..back()
        };
        let finished = oidc.finish(back, departure.kept).await;
        assert_eq!(finished.is_ok(), passes, "{announced} {sent:?}");
        assert_eq!(fake.asked("/token").len(), usize::from(passes));
    }
}

/// CONS-18
#[tokio::test]
async fn a_key_that_is_not_known_is_asked_for_once_a_minute() {
    let mut fake = Fake::start().await;
    let clock = clock();
    let oidc = fake.oidc(&clock);
    fake.sign_in(&oidc, |_| ()).await.unwrap();
    assert_eq!(fake.asked("/jwks").len(), 1);
    // rotated, and published at once
    fake.pair = Pair::p256();
    fake.answers(
        "/jwks",
        200,
        &json!({"keys": [with(fake.pair.jwk("k1"), "kid", Value::Null)]}),
    );
    let unknown = "signed with a key that the provider does not publish";
    let error = fake.sign_in(&oidc, |_| ()).await.unwrap_err();
    assert!(invalid(error).contains("signature"));
    assert_eq!(fake.asked("/jwks").len(), 1, "the key was known by name");
    let sign_in = async |kid: &str, fake: &Fake| {
        let departure = oidc
            .begin(&Secret::new("s"), Intent::Connect)
            .await
            .unwrap();
        let claims = fake.claims_for(&departure);
        let token = fake
            .pair
            .sign(&json!({"alg": "ES256", "kid": kid}), &claims);
        fake.gives(None, &json!({"id_token": token}));
        oidc.finish(back(), departure.kept).await
    };
    for _ in 0..2 {
        let text = invalid(sign_in("k2", &fake).await.unwrap_err());
        assert!(text.contains(unknown), "{text}");
        assert_eq!(fake.asked("/jwks").len(), 2);
    }
    fake.answers("/jwks", 200, &json!({"keys": [fake.pair.jwk("k2")]}));
    assert!(sign_in("k2", &fake).await.is_err());
    clock.advance(Duration::from_secs(60));
    sign_in("k2", &fake).await.unwrap();
    sign_in("k2", &fake).await.unwrap();
    assert_eq!(fake.asked("/jwks").len(), 3);
}

const EVIL: &str = "<script>mona@acme.com";

/// Wrong answers of a provider: where, with which status and body, and what is told of it.
fn wrong_answers() -> Vec<(&'static str, u16, Value, &'static str)> {
    let unreadable = "cannot be read";
    let refused = json!({"error": "invalid_grant", "error_description": EVIL});
    let unknown = json!({"error": "invalid_client"});
    vec![
        ("/token", 400, refused, "answers invalid_grant"),
        ("/token", 200, json!({"error": EVIL}), "answers an error"),
        ("/token", 401, unknown, "client_id and client_secret"),
        ("/token", 200, json!({"access_token": EVIL}), unreadable),
        ("/token", 200, json!([EVIL]), unreadable),
        ("/token", 500, json!({"error": EVIL}), "status 500"),
        ("/token", 429, json!({}), "status 429"),
        ("/userinfo", 200, json!([EVIL]), "no JSON object"),
        ("/userinfo", 200, json!({"sub": EVIL}), "another person"),
        ("/userinfo", 200, json!({}), "names nobody"),
        ("/userinfo", 403, json!({"error": EVIL}), "status 403"),
        ("/userinfo", 401, json!({}), "refuses the new access token"),
        ("/userinfo", 503, json!({}), "status 503"),
        ("/jwks", 200, json!({"keys": EVIL}), unreadable),
        ("/jwks", 404, json!({}), unreadable),
        ("/jwks", 500, json!({}), "status 500"),
        (METADATA, 404, json!({"error": EVIL}), "is issuer right?"),
        (METADATA, 200, json!({"issuer": EVIL}), unreadable),
        (METADATA, 502, json!(EVIL), "status 502"),
    ]
}

/// CONS-21
#[tokio::test]
async fn what_a_provider_sends_in_error_is_told_by_its_kind_and_never_raw() {
    for (path, status, body, told) in wrong_answers() {
        let fake = Fake::start().await;
        let oidc = fake.oidc(&clock());
        fake.answers(path, status, &body);
        let ends = async {
            let departure = oidc.begin(&Secret::new("s"), Intent::Connect).await?;
            if path != "/token" {
                fake.gives(Some(&fake.claims_for(&departure)), &json!({}));
            }
            oidc.finish(back(), departure.kept).await
        };
        let error = ends.await.unwrap_err();
        let is_later = matches!(error, UpstreamError::Unavailable(_));
        assert_eq!(is_later, status >= 429, "{path} {body}: {error}");
        let text = error.to_string();
        assert!(text.contains(told), "{path} {body}: {text}");
        assert!(!text.contains("script") && !text.contains("mona"), "{text}");
    }
}

#[tokio::test]
async fn a_sign_in_without_an_id_token_is_nobodys() {
    let fake = Fake::start().await;
    let oidc = fake.oidc(&clock());
    let departure = oidc
        .begin(&Secret::new("s"), Intent::Connect)
        .await
        .unwrap();
    fake.gives(None, &json!({}));
    let text = invalid(oidc.finish(back(), departure.kept).await.unwrap_err());
    assert!(text.contains("no ID token"), "{text}");
}

/// CONS-27, U8
#[tokio::test]
async fn who_may_not_enter_reads_why_and_their_tokens_are_handed_over_to_be_given_back() {
    let fake = Fake::start().await;
    let oidc = fake.oidc_with(&clock(), |settings| {
        let acme = crate::protocol::email_pattern::EmailPattern::parse("*@acme.com");
        settings.rules.allow = vec![PersonRule::Email(acme.unwrap())];
    });
    let unverified = |claims: &mut Value| claims["email"] = json!("mona@acme.com");
    let error = fake.sign_in(&oidc, unverified).await.unwrap_err();
    let UpstreamError::NotAllowed(told, unused) = error else {
        panic!("{error}")
    };
    let NotAllowed {
        account, reasons, ..
    } = *told;
    assert_eq!(account, "mona@acme.com");
    assert_eq!(
        reasons,
        ["Acme has not verified the address mona@acme.com."]
    );
    // they may have sessions of before, which would end with these tokens
    assert!(fake.asked("/revoke").is_empty());
    let unused = unused.unwrap();
    assert_eq!(unused.person.as_str(), format!("acme:{SUB}"));
    assert_eq!(unused.tokens.refresh.unwrap().expose(), "refresh");
}
