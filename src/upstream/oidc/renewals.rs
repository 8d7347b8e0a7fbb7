//! What becomes of tokens after a sign-in: renewed, vouched with, given back.

use serde_json::{Value, json};

use super::fake::{Fake, NOW, SUB, clock, with};
use crate::clock::UnixTime;
use crate::protocol::email_pattern::EmailPattern;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::person_rule::PersonRule;
use crate::secret::Secret;
use crate::upstream::{GivesBack, Upstream as _, UpstreamError, UpstreamTokens, UseFor};

pub(super) fn mona() -> Subject {
    Subject::at(&ProviderId::new("acme"), SUB)
}

pub(super) fn kind<T>(vouched: &Result<T, UpstreamError>) -> &'static str {
    match vouched {
        Ok(_) => "vouched",
        Err(UpstreamError::Ended(_)) => "ended",
        Err(UpstreamError::Unavailable(_)) => "later",
        Err(UpstreamError::NotAllowed(..)) => "refused",
        Err(_) => "invalid",
    }
}

#[tokio::test]
async fn a_refresh_token_is_kept_where_none_comes_back_and_its_end_ends_the_session() {
    let fake = Fake::start().await;
    let oidc = fake.oidc(&clock());
    let tokens = fake.sign_in(&oidc, |_| ()).await.unwrap().tokens;
    fake.gives(None, &json!({"access_token": "second"}));
    let renewed = oidc.renew(&tokens).await.unwrap();
    assert_eq!(renewed.access.expose(), "second");
    assert_eq!(renewed.refresh.as_ref().unwrap().expose(), "refresh");
    assert!(
        fake.asked("/token")
            .last()
            .unwrap()
            .body
            .contains("refresh_token=refresh")
    );
    let claims = with(fake.claims(), "groups", json!(["b"]));
    fake.gives(Some(&claims), &json!({"refresh_token": "third"}));
    let renewed = oidc.renew(&renewed).await.unwrap();
    assert_eq!(renewed.refresh.as_ref().unwrap().expose(), "third");
    assert!(renewed.claims.as_ref().unwrap().contains("groups"));
    fake.gives(
        Some(&with(fake.claims(), "sub", json!("another"))),
        &json!({}),
    );
    let error = oidc.renew(&renewed).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Ended(_)), "{error}");
    fake.gives(
        Some(&with(fake.claims(), "aud", json!("another"))),
        &json!({}),
    );
    let again = oidc.renew(&renewed).await.unwrap();
    assert_eq!(
        kind(&oidc.vouch(&mona(), &again).await),
        "vouched",
        "what is not for us says nothing"
    );
    for (status, code, ends) in [
        (400, "invalid_grant", true),
        (400, "interaction_required", true),
        (400, "login_required", true),
        (400, "consent_required", true),
        (400, "unauthorized_client", false),
        (401, "invalid_client", false),
        (503, "invalid_grant", false),
        (429, "invalid_grant", false),
    ] {
        fake.answers("/token", status, &json!({"error": code}));
        let error = oidc.renew(&renewed).await.unwrap_err();
        assert_eq!(
            matches!(error, UpstreamError::Ended(_)),
            ends,
            "{status} {code}: {error}"
        );
    }
    let without = UpstreamTokens {
        refresh: None,
        ..renewed
    };
    let error = oidc.renew(&without).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Ended(_)), "{error}");
}

#[tokio::test]
async fn new_tokens_are_not_lost_where_the_keys_cannot_be_had() {
    let fake = Fake::start().await;
    let oidc = fake.oidc(&clock());
    let tokens = fake.sign_in(&oidc, |_| ()).await.unwrap().tokens;
    let token = fake
        .pair
        .sign(&json!({"alg": "ES256", "kid": "k2"}), &fake.claims());
    fake.gives(None, &json!({"refresh_token": "second", "id_token": token}));
    fake.answers("/jwks", 503, &json!({}));
    // the keys are asked for, and then not again for a minute
    for _ in 0..2 {
        let renewed = oidc.renew(&tokens).await.unwrap();
        assert_eq!(renewed.refresh.as_ref().unwrap().expose(), "second");
        assert_eq!(kind(&oidc.vouch(&mona(), &renewed).await), "vouched");
        assert_eq!(fake.asked("/jwks").len(), 2);
    }
}

#[test]
fn to_ask_again_is_to_renew_where_that_can_be_done() {
    let fake = |refresh: bool, left: Option<i64>| UpstreamTokens {
        access: Secret::new("a"),
        refresh: refresh.then(|| Secret::new("r")),
        expires: left.map(|left| UnixTime(NOW.0 + left)),
        scopes: Vec::new(),
        claims: None,
    };
    let oidc = super::Oidc::new(
        super::fake::settings("https://op.example"),
        crate::outbound::Outbound::new(&[], None).unwrap(),
        clock(),
    );
    let oidc = oidc.unwrap();
    for (refresh, left, checking, calling) in [
        (true, Some(3600), true, false),
        (true, Some(301), true, false),
        (true, Some(300), true, true),
        (true, Some(-1), true, true),
        (true, None, true, false),
        (false, Some(-1), false, false),
    ] {
        let tokens = fake(refresh, left);
        assert_eq!(
            oidc.renews(&tokens, UseFor::Checking, NOW),
            checking,
            "{left:?}"
        );
        assert_eq!(
            oidc.renews(&tokens, UseFor::Calling, NOW),
            calling,
            "{left:?}"
        );
    }
}

/// CONS-20, P4
#[tokio::test]
async fn an_account_is_its_subject_wherever_its_name_and_address_move() {
    let fake = Fake::start().await;
    let acme = EmailPattern::parse("mona@acme.com").unwrap();
    let oidc = fake.oidc_with(&clock(), |settings| {
        settings.rules.allow = vec![
            PersonRule::Email(acme),
            PersonRule::Login("mona".to_owned()),
        ];
    });
    let owns = |sub: &'static str, login: &'static str, email: &'static str| {
        fake.says(&json!({"sub": sub, "preferred_username": login}));
        move |claims: &mut Value| {
            claims["sub"] = json!(sub);
            claims["email"] = json!(email);
            claims["email_verified"] = json!(true);
        }
    };
    let first = fake
        .sign_in(&oidc, owns("1", "mona", "mona@acme.com"))
        .await
        .unwrap();
    let second = fake
        .sign_in(&oidc, owns("2", "mona", "mona@acme.com"))
        .await
        .unwrap();
    assert_ne!(
        first.vouched.identity.subject,
        second.vouched.identity.subject
    );
    // a login lets nobody in here
    let error = fake
        .sign_in(&oidc, owns("3", "mona", "mona@evil.com"))
        .await;
    assert_eq!(kind(&error), "refused");
}

/// CONS-23
#[tokio::test]
async fn tokens_are_given_back_as_the_provider_wants_to_know_us() {
    let basic = "Basic YW50ZXJvb20rYXQrdGhlK3Byb3ZpZGVyOnMlM0FlK2NyZXQ=";
    let in_body = "&client_id=anteroom+at+the+provider&client_secret=s%3Ae+cret";
    for (methods, header, body) in [
        (Value::Null, Some(basic), ""),
        (
            json!(["client_secret_post", "client_secret_basic"]),
            Some(basic),
            "",
        ),
        (json!(["private_key_jwt"]), Some(basic), ""),
        (json!(["client_secret_post"]), None, in_body),
    ] {
        let fake = Fake::start().await;
        fake.publishes("token_endpoint_auth_methods_supported", methods.clone());
        let oidc = fake.oidc(&clock());
        let tokens = fake.sign_in(&oidc, |_| ()).await.unwrap().tokens;
        oidc.forget(&tokens).await.unwrap();
        let without = UpstreamTokens {
            refresh: None,
            ..tokens
        };
        oidc.forget(&without).await.unwrap();
        let [refresh, access] = fake.asked("/revoke").try_into().ok().unwrap();
        assert_eq!(
            refresh.body,
            format!("token=refresh&token_type_hint=refresh_token{body}")
        );
        assert_eq!(
            access.body,
            format!("token=access&token_type_hint=access_token{body}")
        );
        let redeemed = &fake.asked("/token")[0];
        assert_eq!(redeemed.body.contains("client_secret"), header.is_none());
        for asked in [&refresh, &access, redeemed] {
            let sent = asked.headers.get("authorization");
            assert_eq!(
                sent.map(|value| value.to_str().unwrap()),
                header,
                "{methods}"
            );
        }
    }
}

#[tokio::test]
async fn tokens_that_have_ended_already_are_given_back_without_an_error() {
    let fake = Fake::start().await;
    let oidc = fake.oidc(&clock());
    assert_eq!(oidc.gives_back(), GivesBack::Everything);
    let tokens = fake.sign_in(&oidc, |_| ()).await.unwrap().tokens;
    for (status, code, told) in [
        (200, "", "vouched"),
        (204, "", "vouched"),
        (400, "invalid_token", "vouched"),
        (400, "unsupported_token_type", "invalid"),
        (404, "", "invalid"),
        (503, "", "later"),
        (429, "", "later"),
    ] {
        let body = match code {
            "" => json!({}),
            code => json!({"error": code}),
        };
        fake.answers("/revoke", status, &body);
        assert_eq!(kind(&oidc.forget(&tokens).await), told, "{status} {code}");
    }
    fake.publishes("revocation_endpoint", Value::Null);
    let oidc = fake.oidc(&clock());
    oidc.forget(&tokens).await.unwrap();
}
