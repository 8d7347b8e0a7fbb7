//! Whether an `OpenID` provider still vouches for somebody: whose word counts, and what is no word at all.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Fake, NOW, SUB, clock, with};
use super::renewals::{kind, mona};
use crate::clock::UnixTime;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::person_rule::PersonRule;
use crate::protocol::scope::Scope;
use crate::upstream::{Upstream as _, UpstreamError, UpstreamTokens};

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
