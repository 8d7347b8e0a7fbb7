//! What becomes of tokens after a sign-in: renewed, vouched with, given back.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Fake, NOW, SUB, clock, with};
use crate::clock::UnixTime;
use crate::protocol::email_pattern::EmailPattern;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::person_rule::PersonRule;
use crate::protocol::scope::Scope;
use crate::secret::Secret;
use crate::upstream::{GivesBack, Upstream as _, UpstreamError, UpstreamTokens, UseFor};

fn mona() -> Subject {
    Subject::at(&ProviderId::new("acme"), SUB)
}

fn kind<T>(vouched: &Result<T, UpstreamError>) -> &'static str {
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
    let said = fake.asked("/userinfo").len();
    assert_eq!(
        kind(&oidc.vouch(&mona(), &again).await),
        "vouched",
        "what is not for us says nothing"
    );
    assert_eq!(fake.asked("/userinfo").len(), said + 1);
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

#[tokio::test]
async fn a_provider_vouches_for_whom_it_knows_and_nobody_else() {
    let fake = Fake::start().await;
    let clock = clock();
    let oidc = fake.oidc(&clock);
    let tokens = fake.sign_in(&oidc, |_| ()).await.unwrap().tokens;
    let without = UpstreamTokens {
        refresh: None,
        ..tokens.clone()
    };
    let other = Subject::at(&ProviderId::new("acme"), "another");
    assert_eq!(kind(&oidc.vouch(&other, &tokens).await), "ended");
    for (status, body, told) in [
        (200, json!({"sub": SUB}), "vouched"),
        (200, json!({"sub": "another"}), "ended"),
        (200, json!({}), "invalid"),
        (200, json!({"sub": ""}), "invalid"),
        (200, json!({"sub": 7}), "invalid"),
        (200, json!({"status": "maintenance"}), "invalid"),
        (200, json!({"sub": SUB, "error": null}), "vouched"),
        // it was renewed just now: the token endpoint has the last word
        (401, json!({}), "later"),
        (403, json!({"error": "invalid_token"}), "later"),
        (403, json!({"error": "insufficient_scope"}), "invalid"),
        (404, json!({}), "invalid"),
        (429, json!({}), "later"),
        (500, json!({}), "later"),
    ] {
        fake.answers("/userinfo", status, &body);
        assert_eq!(
            kind(&oidc.vouch(&mona(), &tokens).await),
            told,
            "{status} {body}"
        );
    }
    for (status, body) in [(401, json!({})), (403, json!({"error": "invalid_token"}))] {
        fake.answers("/userinfo", status, &body);
        assert_eq!(kind(&oidc.vouch(&mona(), &without).await), "ended");
    }
    clock.advance(Duration::from_secs(3600));
    fake.answers("/userinfo", 401, &json!({}));
    assert_eq!(kind(&oidc.vouch(&mona(), &tokens).await), "later");
    fake.says(&json!({"sub": SUB}));
    assert_eq!(kind(&oidc.vouch(&mona(), &tokens).await), "vouched");
    let error = oidc.vouch(&mona(), &without).await.unwrap_err();
    let UpstreamError::Ended(text) = error else {
        panic!("{error}")
    };
    assert!(text.contains("offline_access"), "{text}");
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_last_word_holds_until_it_expires() {
    let fake = Fake::start().await;
    fake.publishes("userinfo_endpoint", Value::Null);
    for (refresh, expires, told_now, told_later) in [
        (true, Some(NOW.0 + 3600), "vouched", "later"),
        (false, Some(NOW.0 + 3600), "vouched", "ended"),
        // the ID token is good for 300 seconds
        (false, None, "vouched", "ended"),
        (true, None, "vouched", "vouched"),
    ] {
        let clock = clock();
        let oidc = fake.oidc(&clock);
        let tokens = fake.sign_in(&oidc, |_| ()).await.unwrap().tokens;
        let tokens = UpstreamTokens {
            refresh: tokens.refresh.filter(|_| refresh),
            expires: expires.map(UnixTime),
            ..tokens
        };
        assert_eq!(kind(&oidc.vouch(&mona(), &tokens).await), told_now);
        clock.advance(Duration::from_secs(3600));
        let later = oidc.vouch(&mona(), &tokens).await;
        assert_eq!(kind(&later), told_later, "{refresh} {expires:?}");
    }
}

/// CONS-27
#[tokio::test]
async fn what_a_person_is_no_longer_shuts_them_out_at_the_next_check() {
    let fake = Fake::start().await;
    let clock = clock();
    let group = |value: &str| PersonRule::Claim {
        name: "groups".to_owned(),
        value: value.to_owned(),
    };
    let admin = Scope::parse("mcp:admin").unwrap();
    let oidc = fake.oidc_with(&clock, |settings| {
        settings.rules.allow = vec![group("staff")];
        settings.rules.roles = vec![(admin.clone(), vec![group("admins")])];
    });
    let in_groups = |groups: Value| move |claims: &mut Value| claims["groups"] = groups;
    let both = json!(["staff", "admins"]);
    let signed_in = fake.sign_in(&oidc, in_groups(both.clone())).await.unwrap();
    assert!(signed_in.vouched.opens.contains(&admin));
    let tokens = signed_in.tokens;
    // what was signed at a sign-in is believed less than what is said afterwards, however soon
    fake.says(&json!({"sub": SUB, "groups": []}));
    assert_eq!(kind(&oidc.vouch(&mona(), &tokens).await), "refused");
    fake.says(&json!({"sub": SUB, "groups": ["staff"]}));
    let vouched = oidc.vouch(&mona(), &tokens).await.unwrap();
    assert!(!vouched.opens.contains(&admin));
    // what a renewal brings is of now
    let claims = with(fake.claims(), "groups", both);
    fake.gives(Some(&claims), &json!({}));
    let renewed = oidc.renew(&tokens).await.unwrap();
    let vouched = oidc.vouch(&mona(), &renewed).await.unwrap();
    assert!(vouched.opens.contains(&admin));
    // and by the next one without an ID token it is of before
    fake.gives(None, &json!({}));
    let renewed = oidc.renew(&renewed).await.unwrap();
    let vouched = oidc.vouch(&mona(), &renewed).await.unwrap();
    assert!(!vouched.opens.contains(&admin));
}

/// CONS-27
#[tokio::test]
async fn what_userinfo_says_no_longer_does_not_live_on_in_an_old_id_token() {
    let fake = Fake::start().await;
    let admin = Scope::parse("mcp:admin").unwrap();
    let oidc = fake.oidc_with(&clock(), |settings| {
        let rule = PersonRule::Claim {
            name: "realm_access.roles".to_owned(),
            value: "admins".to_owned(),
        };
        settings.rules.roles = vec![(admin.clone(), vec![rule])];
    });
    let roles = json!({"roles": ["admins"]});
    let signs = |claims: &mut Value| {
        claims["realm_access"] = json!({"roles": ["admins"]});
        claims["email"] = json!("mona@acme.com");
        claims["email_verified"] = json!(true);
    };
    let address = json!({"sub": SUB, "email": "mona@acme.com", "email_verified": true});
    let all = with(address, "realm_access", roles);
    for (said_then, keeps) in [(all, false), (json!({"sub": SUB}), true)] {
        fake.says(&said_then);
        let tokens = fake.sign_in(&oidc, signs).await.unwrap().tokens;
        // Keycloak leaves out what is empty
        fake.says(&json!({"sub": SUB}));
        fake.gives(None, &json!({}));
        let renewed = oidc.renew(&tokens).await.unwrap();
        for tokens in [tokens, renewed] {
            let vouched = oidc.vouch(&mona(), &tokens).await.unwrap();
            assert_eq!(vouched.opens.contains(&admin), keeps, "{said_then}");
            let address = vouched.identity.verified_email;
            assert_eq!(address.is_some(), keeps, "{said_then}");
        }
    }
}

/// CONS-18
#[tokio::test]
async fn where_only_id_tokens_speak_one_at_fault_leaves_nobody_vouched_for() {
    let fake = Fake::start().await;
    fake.publishes("userinfo_endpoint", Value::Null);
    let oidc = fake.oidc(&clock());
    let mut tokens = fake.sign_in(&oidc, |_| ()).await.unwrap().tokens;
    let foreign = with(fake.claims(), "aud", json!("another"));
    for (claims, told) in [
        (Some(fake.claims()), "vouched"),
        (Some(foreign), "invalid"),
        (None, "invalid"),
        (Some(fake.claims()), "vouched"),
        (None, "vouched"),
    ] {
        fake.gives(claims.as_ref(), &json!({}));
        tokens = oidc.renew(&tokens).await.unwrap();
        assert_eq!(
            kind(&oidc.vouch(&mona(), &tokens).await),
            told,
            "{claims:?}"
        );
    }
}

/// CONS-20
#[tokio::test]
async fn tokens_of_another_issuer_are_shown_to_nobody_and_vouch_for_nobody() {
    let before = Fake::start().await;
    let tokens = before.sign_in(&before.oidc(&clock()), |_| ()).await;
    let tokens = tokens.unwrap().tokens;
    let fake = Fake::start().await;
    let oidc = fake.oidc(&clock());
    fake.gives(Some(&fake.claims()), &json!({}));
    let renewed = oidc.renew(&tokens).await;
    assert_eq!(kind(&renewed), "ended");
    assert_eq!(kind(&oidc.vouch(&mona(), &tokens).await), "ended");
    assert_eq!(kind(&oidc.forget(&tokens).await), "ended");
    for path in ["/token", "/userinfo", "/revoke"] {
        assert!(fake.asked(path).is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_fraction_of_a_second_in_exp_does_not_make_a_word_last_for_ever() {
    let fake = Fake::start().await;
    fake.publishes("userinfo_endpoint", Value::Null);
    let clock = clock();
    let oidc = fake.oidc(&clock);
    let fraction = |claims: &mut Value| claims["exp"] = json!(300.5 + 1_800_000_000.0);
    let tokens = UpstreamTokens {
        refresh: None,
        expires: None,
        ..fake.sign_in(&oidc, fraction).await.unwrap().tokens
    };
    assert_eq!(kind(&oidc.vouch(&mona(), &tokens).await), "vouched");
    clock.advance(Duration::from_secs(301));
    assert_eq!(kind(&oidc.vouch(&mona(), &tokens).await), "ended");
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
