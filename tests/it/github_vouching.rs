//! Whether GitHub still vouches for somebody, and tokens that expire: against the stand-in, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use anteroom::clock::{Clock as _, ManualClock};
use anteroom::protocol::ids::{ProviderId, Subject};
use anteroom::protocol::person_rule::PeopleRules;
use anteroom::protocol::scope::Scope;
use anteroom::secret::Secret;
use anteroom::standin::{CLIENT_ID, Fault, Standin};
use anteroom::upstream::github::{GitHub, GitHubSettings};
use anteroom::upstream::{
    GivesBack, SignIn, Upstream as _, UpstreamError, UpstreamTokens, UseFor, Vouched,
};
use url::Url;

use crate::github::{
    NOW, TOKEN, anyone, connect, connect_at, either, emails, github, ids, logins, open_to, orgs,
    settings, sign_in, team,
};
use crate::harness::client::Tokens;
use crate::harness::server::server;
use crate::standin::start;

const NOT_FROM_HERE: &str = "Although you appear to have the correct authorization credentials, the `acme` organization \
                             has an IP allow list enabled, and your IP address is not permitted.";
const CHECK: &str = "/api/applications";

async fn vouch(github: &GitHub, signed_in: &SignIn) -> Result<Vouched, UpstreamError> {
    let person = &signed_in.vouched.identity.subject;
    github.vouch(person, &signed_in.tokens).await
}

fn kind(vouched: Result<Vouched, UpstreamError>) -> &'static str {
    match vouched {
        Ok(_) => "vouches",
        Err(UpstreamError::NotAllowed(..)) => "not allowed",
        Err(UpstreamError::Unavailable(_)) => "unavailable",
        Err(UpstreamError::Ended(_)) => "ended",
        Err(UpstreamError::Invalid(_)) => "invalid",
        Err(error) => panic!("{error}"),
    }
}

/// What the stand-in was asked since `before`, without the check of the token.
fn asked_since(standin: &Standin, before: usize) -> Vec<String> {
    let mut asked = standin.asked().split_off(before);
    asked.retain(|line| !line.contains("/applications/"));
    asked
}

/// CONS-14, CONS-20
#[tokio::test]
async fn who_is_vouched_for_is_described_as_they_are_now() {
    let (standin, github) = github(open_to(anyone(), team("acme", "platform"))).await;
    let signed_in = sign_in(&github, "mona").await.unwrap();
    let again = vouch(&github, &signed_in).await.unwrap();
    assert_eq!(again.identity, signed_in.vouched.identity);
    assert_eq!(again.opens, signed_in.vouched.opens);
    assert!(again.opens.contains(&Scope::parse("files:admin").unwrap()));

    standin.rename("mona", "lisa");
    let renamed = vouch(&github, &signed_in).await.unwrap().identity;
    assert_eq!(renamed.login.as_deref(), Some("lisa"));
    assert_eq!(renamed.subject, signed_in.vouched.identity.subject);
}

/// CONS-14, CONS-22
#[tokio::test]
async fn only_what_github_says_of_the_token_ends_a_session() {
    let user = |text: &str| Fault::Body(text.to_owned());
    for (path, fault, expected) in [
        (CHECK, Fault::Down, "unavailable"),
        (CHECK, Fault::RateLimited, "unavailable"),
        (CHECK, Fault::TooMany, "unavailable"),
        (
            CHECK,
            Fault::Message(403, "You have exceeded a secondary rate limit."),
            "unavailable",
        ),
        (
            CHECK,
            Fault::Message(422, "Validation failed, or the endpoint has been spammed."),
            "unavailable",
        ),
        (CHECK, Fault::Absent, "ended"),
        (CHECK, Fault::Message(422, "Validation Failed"), "ended"),
        // a wrong address answers 404, but not in GitHub's words
        (CHECK, Fault::Message(404, ""), "invalid"),
        (CHECK, Fault::Message(401, "Bad credentials"), "invalid"),
        (CHECK, Fault::Message(403, "Forbidden"), "invalid"),
        (CHECK, Fault::Message(302, "Found"), "invalid"),
        (CHECK, user("<html>"), "invalid"),
        (CHECK, user(r#"{"error":"nothing"}"#), "invalid"),
        (CHECK, user(r#"{"user":null}"#), "invalid"),
        (CHECK, user(r#"{"user":{"login":"mona"}}"#), "invalid"),
        (CHECK, user(r#"{"user":{"id":1}}"#), "invalid"),
        (CHECK, user(r#"{"user":{"id":3,"login":"mona"}}"#), "ended"),
        ("/api/user", Fault::Down, "unavailable"),
        (
            "/api/user",
            Fault::Message(401, "Bad credentials"),
            "unavailable",
        ),
        ("/api/user", Fault::Absent, "invalid"),
        ("/api/user", user(r#"{"id":3,"login":"mona"}"#), "invalid"),
        ("/api/user/emails", Fault::Down, "unavailable"),
        ("/api/user/memberships", Fault::Down, "unavailable"),
        ("/api/user/memberships", Fault::RateLimited, "unavailable"),
        ("/api/user/memberships", Fault::Absent, "not allowed"),
        ("/api/user/memberships", Fault::NotApproved, "not allowed"),
    ] {
        assert_checked(path, fault, expected).await;
    }
}

/// CONS-14, CONS-22, CONS-27
#[tokio::test]
async fn no_fault_on_the_way_or_of_ours_shuts_anybody_out() {
    for (path, fault, expected) in [
        // not in GitHub's words: somebody on the way says so
        ("/api/user", Fault::Message(404, ""), "unavailable"),
        ("/api/user", Fault::Message(403, ""), "unavailable"),
        ("/api/user/emails", Fault::Message(404, ""), "unavailable"),
        ("/api/user/emails", Fault::Message(403, ""), "unavailable"),
        (
            "/api/user/memberships",
            Fault::Message(404, ""),
            "unavailable",
        ),
        (
            "/api/user/memberships",
            Fault::Message(403, ""),
            "unavailable",
        ),
        (
            "/api/user/memberships",
            Fault::Message(403, "You have triggered an abuse detection mechanism."),
            "unavailable",
        ),
        // that is about us
        (
            "/api/user/memberships",
            Fault::Message(403, NOT_FROM_HERE),
            "unavailable",
        ),
        (
            "/api/user/memberships",
            Fault::Body(r#"{"state":"active","role":"billing_manager"}"#.to_owned()),
            "not allowed",
        ),
    ] {
        assert_checked(path, fault, expected).await;
    }
}

/// What a check comes to under `fault`, and that it leaves nothing behind.
async fn assert_checked(path: &str, fault: Fault, expected: &str) {
    let (standin, github) = github(orgs(&["acme"])).await;
    let signed_in = sign_in(&github, "mona").await.unwrap();
    standin.fault(path, fault.clone());
    assert_eq!(
        kind(vouch(&github, &signed_in).await),
        expected,
        "{path} {fault:?}"
    );
    standin.heal();
    assert_eq!(kind(vouch(&github, &signed_in).await), "vouches");
}

/// CONS-27
#[tokio::test]
async fn a_role_is_not_taken_away_for_the_address_of_this_server() {
    let rules = open_to(anyone(), team("acme", "platform"));
    let (standin, github) = github(rules).await;
    let signed_in = sign_in(&github, "mona").await.unwrap();
    standin.fault("/api/orgs", Fault::Message(403, NOT_FROM_HERE));
    assert_eq!(kind(vouch(&github, &signed_in).await), "unavailable");
    // another rule that holds is enough
    standin.heal();
    let either = either(&[orgs(&["elsewhere", "acme"]), team("acme", "platform")]);
    let github = connect(settings(&standin, either));
    standin.fault(
        "/api/user/memberships/orgs",
        Fault::Message(403, NOT_FROM_HERE),
    );
    assert_eq!(kind(vouch(&github, &signed_in).await), "vouches");
}

/// CONS-14, CONS-27
#[tokio::test]
async fn what_changes_at_github_is_seen_by_the_next_check() {
    type Change = fn(&Standin);
    let by_team = || team("acme", "platform");
    let rows: [(PeopleRules, Change, &str); 8] = [
        (anyone(), |_| {}, "vouches"),
        (anyone(), |github| github.revoke_tokens_of("mona"), "ended"),
        (anyone(), |github| github.suspend("mona"), "ended"),
        (
            orgs(&["acme"]),
            |github| github.leave_org("mona", "acme"),
            "not allowed",
        ),
        (
            by_team(),
            |github| github.leave_team("mona", "acme", "platform"),
            "not allowed",
        ),
        (
            orgs(&["acme"]),
            |github| github.leave_team("mona", "acme", "platform"),
            "vouches",
        ),
        (
            logins(&["mona"]),
            |github| github.rename("mona", "lisa"),
            "not allowed",
        ),
        (ids(&[1]), |github| github.rename("mona", "lisa"), "vouches"),
    ];
    for (rules, change, expected) in rows {
        let shown = format!("{rules:?}");
        let (standin, github) = github(rules).await;
        let signed_in = sign_in(&github, "mona").await.unwrap();
        change(&standin);
        assert_eq!(kind(vouch(&github, &signed_in).await), expected, "{shown}");
    }
}

#[tokio::test]
async fn credentials_that_are_ours_no_more_end_no_session() {
    let (standin, github) = github(anyone()).await;
    let signed_in = sign_in(&github, "mona").await.unwrap();
    let wrong = connect(GitHubSettings {
        client_secret: Secret::new("wrong"),
        ..settings(&standin, anyone())
    });
    let Err(UpstreamError::Invalid(told)) = vouch(&wrong, &signed_in).await else {
        panic!("the wrong secret is an incident of ours")
    };
    assert!(told.contains("client_secret"), "{told}");
}

#[tokio::test]
async fn a_scope_is_open_to_whom_a_rule_names() {
    for (to, open, closed) in [
        (anyone(), &["mona", "hubot"][..], &[][..]),
        (ids(&[3]), &["hubot"], &["mona"]),
        (logins(&["MONA"]), &["mona"], &["octavia"]),
        (orgs(&["acme"]), &["mona", "octavia"], &["hubot", "juergen"]),
        (team("acme", "platform"), &["mona"], &["octavia", "juergen"]),
        (emails(&["*@example.com"]), &["octavia", "mona"], &["hubot"]),
        // listed for nobody here
        (PeopleRules::default(), &[], &["mona"]),
    ] {
        let (_standin, github) = github(open_to(anyone(), to.clone())).await;
        for (people, is_open) in [(open, true), (closed, false)] {
            for login in people {
                let signed_in = sign_in(&github, login).await.unwrap();
                let opens = &signed_in.vouched.opens;
                assert_eq!(!opens.is_empty(), is_open, "{login} {to:?}");
            }
        }
    }
}

/// CONS-27
#[tokio::test]
async fn a_membership_that_cannot_be_told_opens_nothing_and_an_outage_says_nothing() {
    let single_sign_on = || Fault::SingleSignOn("https://github.com/orgs/acme/sso".to_owned());
    for (fault, expected) in [
        (Fault::NotApproved, Ok(())),
        (single_sign_on(), Ok(())),
        (Fault::Absent, Ok(())),
        (Fault::Down, Err("unavailable")),
        (Fault::RateLimited, Err("unavailable")),
        (Fault::TooMany, Err("unavailable")),
        (Fault::Body("{}".to_owned()), Err("invalid")),
    ] {
        let (standin, github) = github(open_to(anyone(), team("acme", "platform"))).await;
        let signed_in = sign_in(&github, "mona").await.unwrap();
        assert!(!signed_in.vouched.opens.is_empty());
        standin.fault("/api/orgs", fault.clone());
        for vouched in [
            vouch(&github, &signed_in).await,
            sign_in(&github, "mona")
                .await
                .map(|signed_in| signed_in.vouched),
        ] {
            match (vouched, expected) {
                (Ok(vouched), Ok(())) => assert!(vouched.opens.is_empty(), "{fault:?}"),
                (vouched, expected) => {
                    assert_eq!(kind(vouched), expected.unwrap_err(), "{fault:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn each_membership_is_asked_for_once_however_many_rules_name_it() {
    let role = |name: &str, rules: PeopleRules| (Scope::parse(name).unwrap(), rules.allow);
    let rules = PeopleRules {
        roles: vec![
            role("a", orgs(&["ACME", "elsewhere"])),
            role("b", orgs(&["elsewhere", "acme"])),
            role("c", team("acme", "platform")),
            role("d", team("Acme", "Platform")),
        ],
        ..orgs(&["elsewhere", "acme"])
    };
    let (standin, github) = github(rules).await;
    let signed_in = sign_in(&github, "mona").await.unwrap();
    let before = standin.asked().len();
    let vouched = vouch(&github, &signed_in).await.unwrap();
    assert_eq!(vouched.opens.to_string(), "a b c d");
    let mut asked = asked_since(&standin, before);
    asked.sort();
    assert_eq!(
        asked,
        [
            "GET /api/orgs/acme/teams/platform/memberships/mona",
            "GET /api/user",
            "GET /api/user/emails",
            "GET /api/user/memberships/orgs/acme",
            "GET /api/user/memberships/orgs/elsewhere",
        ]
    );

    // A list, too.
    standin.fault("/api/user/memberships", Fault::NotForApps);
    let before = standin.asked().len();
    vouch(&github, &signed_in).await.unwrap();
    let lists = asked_since(&standin, before);
    let lists = lists.iter().filter(|line| line.ends_with("/user/orgs"));
    assert_eq!(lists.count(), 1);

    // What was found out is not kept for the next check.
    standin.heal();
    standin.leave_team("mona", "acme", "platform");
    let vouched = vouch(&github, &signed_in).await.unwrap();
    assert_eq!(vouched.opens.to_string(), "a b");
}

#[tokio::test]
async fn a_name_that_comes_with_the_check_is_not_asked_for_again() {
    let (standin, github) = github(anyone()).await;
    let signed_in = sign_in(&github, "mona").await.unwrap();
    for (user, name) in [
        (
            r#"{"user":{"id":1,"login":"mona","name":"Mona"}}"#,
            Some("Mona"),
        ),
        (r#"{"user":{"id":1,"login":"mona","name":null}}"#, None),
    ] {
        standin.fault(CHECK, Fault::Body(user.to_owned()));
        let before = standin.asked().len();
        let vouched = vouch(&github, &signed_in).await.unwrap();
        assert_eq!(vouched.identity.name.as_deref(), name);
        assert_eq!(asked_since(&standin, before), ["GET /api/user/emails"]);
    }
}

/// U7, CONS-20
#[tokio::test]
async fn a_name_that_another_took_over_changes_nothing_for_both() {
    let (standin, github) = github(open_to(anyone(), ids(&[1]))).await;
    let mona = sign_in(&github, "mona").await.unwrap();
    let hubot = sign_in(&github, "hubot").await.unwrap();
    standin.rename("mona", "lisa");
    standin.rename("hubot", "mona");

    let still_mona = vouch(&github, &mona).await.unwrap();
    assert_eq!(still_mona.identity.subject.as_str(), "github:1");
    assert_eq!(still_mona.identity.login.as_deref(), Some("lisa"));
    assert!(!still_mona.opens.is_empty());
    let still_hubot = vouch(&github, &hubot).await.unwrap();
    assert_eq!(still_hubot.identity.subject.as_str(), "github:3");
    assert_eq!(still_hubot.identity.login.as_deref(), Some("mona"));
    assert!(still_hubot.opens.is_empty());

    // The token of one does not pass for the other's, whatever they are called.
    let person = &mona.vouched.identity.subject;
    let crossed = github.vouch(person, &hubot.tokens).await;
    assert_eq!(kind(crossed), "ended");
    let elsewhere = Subject::at(&ProviderId::new("ghe"), "1");
    let crossed = github.vouch(&elsewhere, &mona.tokens).await;
    assert_eq!(kind(crossed), "ended");
}

/// U7, CONS-20
#[tokio::test]
async fn a_session_stays_that_of_the_person_when_another_takes_their_name() {
    let server = server().start().await;
    let client = server.client().await;
    let mona = client.sign_in("mona").await;
    server.standin().rename("mona", "lisa");
    server.standin().rename("hubot", "mona");
    let usurper = client.sign_in("mona").await;
    assert_eq!(usurper.claims()["sub"], "github:3");

    let renewed = Tokens::read(&client.refresh(&mona.refresh).await);
    assert_eq!(renewed.claims()["sub"], "github:1");
    let told = client.whoami(&renewed.access).await;
    assert_eq!(told["verified_email"], "mona@example.com");
    // The end of one is not the end of the other.
    client.revoke(&usurper.refresh).await;
    assert_eq!(client.initialize(&renewed.access).await.status, 200);
    assert_eq!(client.initialize(&usurper.access).await.status, 401);
}

/// A GitHub App, its clock, and mona.
async fn github_app() -> (Standin, Arc<ManualClock>, GitHub, SignIn) {
    let standin = start().await;
    standin.become_github_app();
    let clock = Arc::new(ManualClock::at(NOW));
    let rules = open_to(orgs(&["acme"]), team("acme", "platform"));
    let github = connect_at(settings(&standin, rules), Arc::clone(&clock));
    let mona = sign_in(&github, "mona").await.unwrap();
    (standin, clock, github, mona)
}

/// CONS-14
#[tokio::test]
async fn a_token_of_a_github_app_has_no_scopes_an_end_and_what_renews_it() {
    let (_standin, _clock, github, mona) = github_app().await;
    assert!(mona.tokens.scopes.is_empty());
    assert_eq!(mona.tokens.expires, Some(NOW + Duration::from_secs(28_800)));
    assert!(mona.tokens.refresh.is_some());
    assert!(!mona.vouched.opens.is_empty(), "it may see memberships");
    assert_eq!(kind(vouch(&github, &mona).await), "vouches");
}

/// CONS-14, CONS-22
#[tokio::test]
async fn tokens_are_renewed_five_minutes_before_their_end() {
    let (_standin, clock, github, mona) = github_app().await;
    let renews = |tokens: &UpstreamTokens| {
        let now = clock.now();
        let [checking, calling] =
            [UseFor::Checking, UseFor::Calling].map(|purpose| github.renews(tokens, purpose, now));
        assert_eq!(checking, calling);
        checking
    };
    let for_good = UpstreamTokens {
        expires: None,
        ..copy(&mona.tokens)
    };
    let not_renewed = UpstreamTokens {
        refresh: None,
        ..copy(&mona.tokens)
    };
    for (later, soon, ended) in [
        (0, false, false),
        (28_499, false, false),
        (1, true, false),
        (299, true, false),
        (1, true, true),
    ] {
        clock.advance(Duration::from_secs(later));
        assert_eq!(renews(&mona.tokens), soon, "{later}");
        // with nothing to renew it, it is used to its end
        assert_eq!(renews(&not_renewed), ended, "{later}");
        assert!(!renews(&for_good), "{later}");
    }
    let ended = github.renew(&not_renewed).await.unwrap_err();
    assert!(matches!(ended, UpstreamError::Ended(_)), "{ended:?}");
}

fn copy(tokens: &UpstreamTokens) -> UpstreamTokens {
    UpstreamTokens::from_bytes(&tokens.to_bytes()).unwrap()
}

/// CONS-14, CONS-22
#[tokio::test]
async fn a_renewed_token_takes_the_place_of_the_old_one() {
    let (standin, clock, github, mona) = github_app().await;
    standin.expire_tokens();
    clock.advance(Duration::from_secs(28_800));
    assert_eq!(kind(vouch(&github, &mona).await), "ended", "it is over");

    let person = &mona.vouched.identity.subject;
    let renewed = github.renew(&mona.tokens).await.unwrap();
    assert_eq!(
        renewed.expires,
        Some(clock.now() + Duration::from_secs(28_800))
    );
    assert_eq!(kind(github.vouch(person, &renewed).await), "vouches");
    // A refresh token is good once.
    let again = github.renew(&mona.tokens).await.unwrap_err();
    assert!(matches!(again, UpstreamError::Ended(_)), "{again:?}");
    // Renewed early, the token before it ends at once.
    let next = github.renew(&renewed).await.unwrap();
    assert_eq!(kind(github.vouch(person, &renewed).await), "ended");
    assert_eq!(kind(github.vouch(person, &next).await), "vouches");
    standin.revoke_tokens_of("mona");
    let revoked = github.renew(&next).await.unwrap_err();
    assert!(matches!(revoked, UpstreamError::Ended(_)), "{revoked:?}");
}

/// CONS-22
#[tokio::test]
async fn what_a_renewal_does_not_send_again_is_kept() {
    let (standin, _clock, github, mona) = github_app().await;
    let before = UpstreamTokens {
        scopes: vec!["read:org".to_owned()],
        ..copy(&mona.tokens)
    };
    for (answer, scopes, refresh, lasts) in [
        (
            r#"{"access_token":"ghu_a","token_type":"bearer"}"#,
            &["read:org"][..],
            mona.tokens.refresh.as_ref().unwrap().expose(),
            None,
        ),
        (
            r#"{"access_token":"ghu_a","token_type":"bearer","scope":"","expires_in":60}"#,
            &[],
            mona.tokens.refresh.as_ref().unwrap().expose(),
            Some(60),
        ),
        (
            r#"{"access_token":"ghu_a","token_type":"bearer","scope":"repo,user","refresh_token":"ghr_b"}"#,
            &["repo", "user"],
            "ghr_b",
            None,
        ),
    ] {
        standin.fault(TOKEN, Fault::Body(answer.to_owned()));
        let after = github.renew(&before).await.unwrap();
        assert_eq!(after.access.expose(), "ghu_a");
        assert_eq!(after.scopes, scopes, "{answer}");
        assert_eq!(after.refresh.unwrap().expose(), refresh, "{answer}");
        let lasts = lasts.map(|lasts| NOW + Duration::from_secs(lasts));
        assert_eq!(after.expires, lasts, "{answer}");
    }
}

/// CONS-19, CONS-22
#[tokio::test]
async fn a_renewal_that_fails_ends_nothing_unless_the_refresh_token_is_refused() {
    let error =
        |code: &str| Fault::Body(format!(r#"{{"error":"{code}","error_description":"<b>"}}"#));
    for (fault, expected) in [
        (error("bad_refresh_token"), "ended"),
        (error("incorrect_client_credentials"), "invalid"),
        (error("unsupported_grant_type"), "invalid"),
        (error("Hello-There"), "invalid"),
        (error("server_error"), "unavailable"),
        (error("temporarily_unavailable"), "unavailable"),
        (Fault::Down, "unavailable"),
        (Fault::TooMany, "unavailable"),
        (Fault::Absent, "invalid"),
        (Fault::Body("<html>".to_owned()), "invalid"),
        (Fault::Body("{}".to_owned()), "invalid"),
    ] {
        let (standin, _clock, github, mona) = github_app().await;
        standin.fault(TOKEN, fault.clone());
        let error = github.renew(&mona.tokens).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("<b>") && !told.contains("There"), "{told}");
        assert_eq!(kind(Err(error)), expected, "{fault:?}");
        standin.heal();
        github.renew(&mona.tokens).await.unwrap();
    }
}

/// CONS-23
#[tokio::test]
async fn forgotten_tokens_are_ended_at_the_provider() {
    let (standin, github) = github(anyone()).await;
    assert_eq!(github.gives_back(), GivesBack::TheseTokens);
    let tokens = sign_in(&github, "mona").await.unwrap().tokens;
    let other = sign_in(&github, "mona").await.unwrap();
    standin.fault(CHECK, Fault::Down);
    let error = github.forget(&tokens).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error:?}");
    standin.heal();
    github.forget(&tokens).await.unwrap();
    assert_eq!(kind(vouch(&github, &other).await), "vouches");
    github.forget(&other.tokens).await.unwrap();
    assert!(!standin.has_tokens());
    github.forget(&tokens).await.unwrap();
}

/// CONS-23
#[tokio::test]
async fn forgotten_tokens_that_have_expired_cannot_be_renewed_any_more() {
    let (standin, clock, github, mona) = github_app().await;
    standin.expire_tokens();
    clock.advance(Duration::from_secs(28_800));
    assert!(standin.has_tokens());
    standin.fault(TOKEN, Fault::Down);
    let error = github.forget(&mona.tokens).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error:?}");
    standin.heal();
    github.forget(&mona.tokens).await.unwrap();
    assert!(!standin.has_tokens());
    github.forget(&mona.tokens).await.unwrap();
}

/// CONS-23
#[tokio::test]
async fn the_token_of_a_sign_in_that_came_to_nothing_is_given_back() {
    let (standin, github) = github(orgs(&["acme"])).await;
    // whoever knows what else the person has gives it back
    let Err(UpstreamError::NotAllowed(_, unused)) = sign_in(&github, "hubot").await else {
        panic!("hubot is in no organisation")
    };
    let unused = unused.unwrap();
    assert_eq!(unused.person.as_str(), "github:3");
    github.forget(&unused.tokens).await.unwrap();
    assert!(!standin.has_tokens());
    let ended = format!("DELETE /api/applications/{CLIENT_ID}/token");
    assert!(standin.asked().contains(&ended));
    for path in ["/api/user", "/api/user/emails", "/api/user/memberships"] {
        standin.fault(path, Fault::Down);
        let error = sign_in(&github, "mona").await.unwrap_err();
        assert!(matches!(error, UpstreamError::Unavailable(_)), "{error:?}");
        assert!(!standin.has_tokens(), "{path}");
        standin.heal();
    }
}

/// CONS-14
#[tokio::test]
async fn a_token_that_github_ended_for_a_newer_one_vouches_for_nobody() {
    let (_standin, github) = github(anyone()).await;
    let first = sign_in(&github, "mona").await.unwrap();
    let second = sign_in(&github, "mona").await.unwrap();
    for _ in 0..9 {
        sign_in(&github, "mona").await.unwrap();
        sign_in(&github, "hubot").await.unwrap();
    }
    assert_eq!(kind(vouch(&github, &first).await), "ended");
    assert_eq!(kind(vouch(&github, &second).await), "vouches");
}

/// CONS-17
#[tokio::test]
async fn github_enterprise_server_may_stand_below_a_path() {
    let standin = start().await;
    let base = format!("{}/enterprise", standin.base_url());
    for (base, api) in [
        (base.clone(), format!("{base}/api/v3")),
        (format!("{base}/"), format!("{base}/api/v3/")),
    ] {
        let github = connect(GitHubSettings {
            base_url: Url::parse(&base).unwrap(),
            api_url: Url::parse(&api).unwrap(),
            ..settings(&standin, team("acme", "platform"))
        });
        let before = standin.asked().len();
        let mona = sign_in(&github, "mona").await.unwrap();
        assert_eq!(kind(vouch(&github, &mona).await), "vouches");
        github.forget(&mona.tokens).await.unwrap();
        assert!(!standin.has_tokens());
        for line in standin.asked().split_off(before) {
            let (_, path) = line.split_once(' ').unwrap();
            assert!(path.starts_with("/enterprise/"), "{line}");
        }
        let Err(UpstreamError::NotAllowed(why, unused)) = sign_in(&github, "octavia").await else {
            panic!("octavia is in no team")
        };
        github.forget(&unused.unwrap().tokens).await.unwrap();
        let link = format!("{}/orgs/acme/teams/platform", base.trim_end_matches('/'));
        assert_eq!(why.remedies[0].link, Some(link));
    }
}
