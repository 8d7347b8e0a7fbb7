//! Sessions live and die with the word of their provider: it is asked for again when it is old, once for everybody who
//! waits, and never taken for what it is not.

use std::sync::Arc;
use std::time::Duration;

use anteroom::flow::operate::SessionChoice;
use anteroom::standin::Fault;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::client::{Client, Tokens};
use crate::harness::log::Log;
use crate::harness::provider::{Provider, Says};
use crate::harness::server::{Server, server};
use crate::introspect::{ask, trust};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// `tokens.upstream_check`
const CHECK: Duration = Duration::from_secs(300);
/// How long a provider that could not be asked is not asked again.
const REST: Duration = Duration::from_secs(30);

/// A server with a provider in the hands of the test, a client of it, and `mona` signed in.
async fn signed_in(provider: &Arc<Provider>) -> (Server, Client, Tokens) {
    let server = server().configure(trust).provider(provider).start().await;
    let client = server.client().await;
    let tokens = Provider::sign_in(&server, &client, "mona").await;
    (server, client, tokens)
}

async fn call(client: &Client, tokens: &Tokens) -> u16 {
    client.initialize(&tokens.access).await.status.as_u16()
}

async fn is_refused(client: &Client, tokens: &Tokens) -> bool {
    let answer = client.refresh(&tokens.refresh).await;
    answer.status == 400 && answer.error() == "invalid_grant"
}

/// CONS-14
#[tokio::test]
async fn the_word_of_a_provider_is_good_for_a_while_and_then_asked_for_again() {
    let provider = Arc::new(Provider::new());
    let (server, client, mut tokens) = signed_in(&provider).await;
    for _ in 0..3 {
        for _ in 0..4 {
            server.advance(MINUTE + Duration::from_secs(14));
            assert_eq!(call(&client, &tokens).await, 200);
            tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
        }
        assert!(provider.asked().is_empty());
        server.advance(4 * SECOND);
        assert_eq!(call(&client, &tokens).await, 200);
        assert_eq!(provider.asked(), ["vouch mona-1"]);
    }
}

/// CONS-14, CONS-22, AT-13, REV-05
#[tokio::test]
async fn whoever_is_revoked_at_the_provider_is_out_within_the_window() {
    for first in ["call", "refresh", "introspect"] {
        let (log, _listening) = Log::listen("info");
        let provider = Arc::new(Provider::new());
        let (server, client, tokens) = signed_in(&provider).await;
        let beside = Provider::sign_in(&server, &server.client().await, "mona").await;
        let other = Provider::sign_in(&server, &client, "octavia").await;
        assert_eq!(call(&client, &tokens).await, 200);
        assert_eq!(call(&client, &beside).await, 200);
        provider.kill("mona-2");
        server.advance(CHECK);
        match first {
            "call" => assert_eq!(call(&client, &tokens).await, 401),
            "refresh" => assert!(is_refused(&client, &tokens).await),
            _ => {
                let told = ask(&server, &tokens.access).await;
                assert_eq!(told.json()["active"], false);
            }
        }
        // all sessions of the person are over, and those of others are not
        for tokens in [&tokens, &beside] {
            assert_eq!(call(&client, tokens).await, 401, "{first}");
            let told = ask(&server, &tokens.access).await;
            assert_eq!(told.json()["active"], false, "{first}");
        }
        assert!(is_refused(&client, &tokens).await);
        assert_eq!(call(&client, &other).await, 200);
        let told = log.text();
        assert_eq!(told.matches("the provider ended it").count(), 2, "{told}");
        assert_eq!(told.matches("upstream_ended").count(), 1, "{told}");
        Provider::sign_in(&server, &client, "mona").await;
    }
}

/// CONS-15, SEC-16
#[tokio::test]
async fn while_the_provider_is_down_for_an_hour_nobody_is_logged_out() {
    for trouble in [Says::ComeAgain, Says::Nonsense] {
        let (log, _listening) = Log::listen("info");
        let provider = Arc::new(Provider::new());
        let (server, client, mut tokens) = signed_in(&provider).await;
        provider.says(trouble);
        for _ in 0..60 {
            server.advance(MINUTE);
            assert_eq!(call(&client, &tokens).await, 200);
            tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
            assert_eq!(call(&client, &tokens).await, 200);
        }
        let asked = provider.asked_at_last(55).await.len();
        assert!((55..=56).contains(&asked), "{asked}");
        let told = log.text().matches("upstream_unknown").count();
        assert_eq!(told, 1, "once for all of it");
        assert!(!log.text().contains("upstream_known_again"));
        assert!(!log.text().contains("session_ended"));
        provider.says(Says::Yes);
        server.advance(MINUTE);
        assert_eq!(call(&client, &tokens).await, 200);
        for _ in 0..10_000 {
            if log.text().contains("upstream_known_again") {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(log.text().contains("upstream_known_again"));
    }
}

/// CONS-15
#[tokio::test]
async fn what_the_provider_answers_in_its_troubles_ends_nothing() {
    for fault in [
        Fault::Down,
        Fault::TooMany,
        Fault::RateLimited,
        Fault::Body("{".to_owned()),
        Fault::Body("[]".to_owned()),
        Fault::Body(r#"{"message":"Bad credentials"}"#.to_owned()),
    ] {
        let server = server().start().await;
        let client = server.client().await;
        let tokens = client.sign_in("mona").await;
        server.standin().fault("/api", fault.clone());
        server.advance(CHECK);
        assert_eq!(call(&client, &tokens).await, 200, "{fault:?}");
        let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
        server.standin().heal();
        server.advance(REST);
        assert_eq!(call(&client, &tokens).await, 200, "{fault:?}");
        assert!(server.standin().has_tokens());
    }
}

/// CONS-15, SEC-15, SEC-16
#[tokio::test]
async fn after_the_grace_everybody_has_to_wait_and_nobody_loses_anything() {
    let provider = Arc::new(Provider::new());
    let (server, client, mut tokens) = signed_in(&provider).await;
    provider.says(Says::ComeAgain);
    server.advance(Duration::from_secs(300 + 24 * 3600 - 1));
    tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(call(&client, &tokens).await, 200);
    server.advance(SECOND);
    for _ in 0..3 {
        server.advance(REST);
        let answer = client.initialize(&tokens.access).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(answer.header("www-authenticate"), "");
        let answer = client.refresh(&tokens.refresh).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (503, "temporarily_unavailable")
        );
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(ask(&server, &tokens.access).await.status, 503);
    }
    provider.says(Says::Yes);
    server.advance(REST);
    assert_eq!(call(&client, &tokens).await, 200);
    tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(call(&client, &tokens).await, 200);
}

/// CONS-14, CONS-22
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_calls_at_the_moment_of_the_check_one_asks_the_provider() {
    let provider = Arc::new(Provider::new());
    let (server, client, tokens) = signed_in(&provider).await;
    let beside = Provider::sign_in(&server, &client, "mona").await;
    provider.asked();
    server.advance(CHECK);
    provider.hold();
    let mut calls = JoinSet::new();
    for number in 0..1000 {
        let (client, tokens) = (client.clone(), tokens.clone());
        let beside = beside.clone();
        calls.spawn(async move {
            match number % 3 {
                0 => call(&client, &tokens).await,
                1 => call(&client, &beside).await,
                _ => client.refresh(&tokens.refresh).await.status.as_u16(),
            }
        });
    }
    provider.waits.notified().await;
    // those that are late go by the same answer
    let late = tokio::spawn({
        let (client, tokens) = (client.clone(), tokens.clone());
        async move { call(&client, &tokens).await }
    });
    provider.let_go();
    assert!(calls.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(late.await.ok(), Some(200));
    assert_eq!(provider.asked(), ["vouch mona-2"]);
}

/// CONS-14, CONS-22
#[tokio::test]
async fn nobody_waits_for_a_provider_that_was_in_trouble_just_now() {
    let provider = Arc::new(Provider::new());
    let (server, client, tokens) = signed_in(&provider).await;
    let other = Provider::sign_in(&server, &client, "octavia").await;
    provider.says(Says::ComeAgain);
    server.advance(CHECK);
    assert_eq!(call(&client, &tokens).await, 200);
    assert_eq!(provider.asked(), ["vouch mona-1"]);
    server.advance(Duration::from_secs(29));
    assert_eq!(call(&client, &tokens).await, 200);
    assert!(provider.asked().is_empty());
    // it is asked again while they go on
    provider.hold();
    server.advance(SECOND);
    for _ in 0..3 {
        let called = timeout(5 * SECOND, call(&client, &tokens)).await;
        assert_eq!(called, Ok(200));
    }
    provider.waits.notified().await;
    assert_eq!(provider.asked(), ["vouch mona-1"]);
    // one person's trouble keeps nobody else from being asked about
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { call(&client, &other).await }
    });
    provider.waits.notified().await;
    assert_eq!(provider.asked(), ["vouch octavia-2"]);
    provider.kill("mona-1");
    provider.says(Says::Yes);
    provider.let_go();
    assert_eq!(waiting.await.ok(), Some(200));
    server.advance(REST);
    assert_eq!(call(&client, &tokens).await, 401);
}

/// CONS-22
#[tokio::test]
async fn a_caller_who_hangs_up_does_not_break_off_a_renewal() {
    let provider = Arc::new(Provider::new().with_refresh(CHECK));
    let (server, client, tokens) = signed_in(&provider).await;
    server.advance(CHECK);
    provider.hold();
    tokio::select! {
        _ = call(&client, &tokens) => panic!("the provider has not answered"),
        () = provider.waits.notified() => {}
    }
    provider.let_go();
    let asked = provider.asked_at_last(2).await;
    assert_eq!(asked, ["renew mona-1-refresh", "vouch mona-2"]);
    assert_eq!(call(&client, &tokens).await, 200);
    // each refresh token is good once: with the first one it would be over now
    server.advance(CHECK);
    assert_eq!(call(&client, &tokens).await, 200);
    assert_eq!(provider.asked(), ["renew mona-2-refresh", "vouch mona-3"]);
}

/// CONS-22
#[tokio::test]
async fn renewed_tokens_are_kept_although_the_provider_fails_right_after() {
    let provider = Arc::new(Provider::new().with_refresh(CHECK));
    let (server, client, tokens) = signed_in(&provider).await;
    server.advance(CHECK);
    provider.hold();
    let calling = tokio::spawn({
        let (client, tokens) = (client.clone(), tokens.clone());
        async move { call(&client, &tokens).await }
    });
    provider.waits.notified().await;
    // a session beside it ends meanwhile
    let beside = Provider::sign_in(&server, &client, "octavia").await;
    client.revoke(&beside.refresh).await;
    provider.fail_after(1);
    provider.let_go();
    assert_eq!(calling.await.ok(), Some(200));
    provider.says(Says::Yes);
    server.advance(REST);
    provider.asked();
    assert_eq!(call(&client, &tokens).await, 200);
    assert_eq!(provider.asked_at_last(1).await, ["vouch mona-3"]);
}

/// CONS-22
#[tokio::test]
async fn a_refresh_token_that_the_provider_refuses_ends_the_session() {
    let provider = Arc::new(Provider::new().with_refresh(CHECK));
    let (server, client, tokens) = signed_in(&provider).await;
    provider.kill("mona-1-refresh");
    server.advance(CHECK);
    assert!(is_refused(&client, &tokens).await);
    assert_eq!(call(&client, &tokens).await, 401);
    assert_eq!(provider.asked(), ["renew mona-1-refresh"]);
}

/// CONS-27, U4, CONS-23
#[tokio::test]
async fn whoever_is_no_longer_allowed_is_out_at_the_next_check_and_at_each_refresh() {
    for first in ["call", "refresh"] {
        let provider = Arc::new(Provider::new());
        let (server, client, tokens) = signed_in(&provider).await;
        provider.says(Says::NotAllowed);
        server.advance(CHECK);
        if first == "call" {
            assert_eq!(call(&client, &tokens).await, 401);
        }
        assert!(is_refused(&client, &tokens).await);
        assert_eq!(call(&client, &tokens).await, 401);
        // what they gave us is given back
        let asked = provider.asked_at_last(2).await;
        assert_eq!(asked, ["vouch mona-1", "forget mona-1"]);
    }
}

/// CONS-27, U4
#[tokio::test]
async fn other_rules_are_asked_about_at_once() {
    let provider = Arc::new(Provider::new());
    let (before, client, tokens) = signed_in(&provider).await;
    let same = Arc::new(Provider::new());
    let after = before.restart_with(&same).await;
    assert_eq!(call(&client.moved_to(&after), &tokens).await, 200);
    assert!(same.asked().is_empty());
    let other = Arc::new(Provider::new().with_rules(&["octavia"], &[]));
    other.says(Says::ComeAgain);
    let after = before.restart_with(&other).await;
    let client = client.moved_to(&after);
    // whoever was let in under other rules is neither let in nor logged out before it was asked
    for _ in 0..2 {
        assert_eq!(call(&client, &tokens).await, 503);
        assert_eq!(client.refresh(&tokens.refresh).await.status, 503);
        assert_eq!(ask(&after, &tokens.access).await.status, 503);
        assert_eq!(ask(&after, &tokens.refresh).await.status, 503);
    }
    assert_eq!(other.asked(), ["vouch mona-1"]);
    other.says(Says::Yes);
    after.advance(REST);
    assert_eq!(call(&client, &tokens).await, 200);
    let other = Arc::new(Provider::new().with_rules(&["lisa"], &[]));
    other.says(Says::NotAllowed);
    let after = before.restart_with(&other).await;
    let client = client.moved_to(&after);
    assert_eq!(call(&client, &tokens).await, 401);
    assert!(is_refused(&client, &tokens).await);
}

/// CONS-14
#[tokio::test]
async fn with_its_provider_out_of_the_configuration_a_session_ends() {
    let provider = Arc::new(Provider::new());
    let (before, client, tokens) = signed_in(&provider).await;
    let other = Arc::new(Provider::new().named("corp"));
    let after = before.restart_with(&other).await;
    let client = client.moved_to(&after);
    assert_eq!(call(&client, &tokens).await, 401);
    assert!(is_refused(&client, &tokens).await);
    assert!(other.asked().is_empty());
}

/// CONS-14, CONS-22
#[tokio::test]
async fn whoever_signs_in_during_a_check_keeps_what_they_got() {
    let provider = Arc::new(Provider::new());
    let (server, client, tokens) = signed_in(&provider).await;
    server.advance(CHECK);
    provider.hold();
    let calling = tokio::spawn({
        let (client, tokens) = (client.clone(), tokens.clone());
        async move { call(&client, &tokens).await }
    });
    provider.waits.notified().await;
    let newer = Provider::sign_in(&server, &client, "mona").await;
    provider.kill("mona-1");
    provider.let_go();
    // what it said was about tokens that nobody uses any more
    assert_eq!(calling.await.ok(), Some(200));
    for tokens in [&tokens, &newer] {
        assert_eq!(call(&client, tokens).await, 200);
        Tokens::read(&client.refresh(&tokens.refresh).await);
    }
    server.advance(CHECK);
    provider.asked();
    assert_eq!(call(&client, &tokens).await, 200);
    assert_eq!(provider.asked(), ["vouch mona-2"]);
}

/// CONS-23
#[tokio::test]
async fn the_last_session_of_a_person_gives_back_what_they_gave_us() {
    let provider = Arc::new(Provider::new());
    let (server, client, first) = signed_in(&provider).await;
    let second = Provider::sign_in(&server, &client, "mona").await;
    // the newer tokens serve both sessions
    assert_eq!(provider.asked_at_last(1).await, ["forget mona-1"]);
    client.revoke(&second.refresh).await;
    assert_eq!(call(&client, &first).await, 200);
    assert!(provider.asked_at_last(1).await.is_empty());
    client.revoke(&first.refresh).await;
    assert_eq!(provider.asked_at_last(1).await, ["forget mona-2"]);
}

/// CONS-23
#[tokio::test]
async fn what_would_end_everything_at_the_provider_is_left_alone_while_anybody_needs_it() {
    let provider = Arc::new(Provider::new().that_forgets_everything());
    let (server, client, first) = signed_in(&provider).await;
    let second = Provider::sign_in(&server, &client, "mona").await;
    client.revoke(&first.refresh).await;
    assert!(provider.asked_at_last(1).await.is_empty());
    client.revoke(&second.refresh).await;
    assert_eq!(provider.asked_at_last(1).await, ["forget mona-2"]);
}

/// CONS-23
#[tokio::test]
async fn at_github_the_token_is_gone_with_the_last_session() {
    let server = server().start().await;
    let client = server.client().await;
    let first = client.sign_in("mona").await;
    let second = client.sign_in("mona").await;
    client.revoke(&first.refresh).await;
    assert!(server.standin().has_tokens());
    client.revoke(&second.refresh).await;
    for _ in 0..10_000 {
        if !server.standin().has_tokens() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!(
        "the token was not given back: {:?}",
        server.standin().asked()
    );
}

/// CONS-23
#[tokio::test]
async fn what_a_person_gave_us_is_given_back_when_their_sessions_have_expired() {
    let provider = Arc::new(Provider::new());
    let (server, _, _) = signed_in(&provider).await;
    let client = server.client().await;
    let other = Provider::sign_in(&server, &client, "octavia").await;
    let sweep = async || server.app.flows().sweep().await.is_ok();
    assert!(sweep().await);
    server.advance(20 * DAY);
    Tokens::read(&client.refresh(&other.refresh).await);
    server.advance(Duration::from_secs(10 * 24 * 3600 - 3599));
    assert!(sweep().await);
    provider.asked();
    server.advance(Duration::from_secs(3599));
    // not more than once an hour
    assert!(sweep().await);
    assert!(provider.asked_at_last(1).await.is_empty());
    server.advance(SECOND);
    assert!(sweep().await);
    assert_eq!(provider.asked_at_last(1).await, ["forget mona-1"]);
    server.advance(HOUR);
    assert!(sweep().await);
    assert!(provider.asked_at_last(1).await.is_empty());
}

/// CONS-23, CLI-46
#[tokio::test]
async fn the_sessions_of_a_client_that_is_gone_end_and_are_given_back() {
    let provider = Arc::new(Provider::new());
    let (server, client, tokens) = signed_in(&provider).await;
    let stays = server.client().await;
    let beside = Provider::sign_in(&server, &stays, "octavia").await;
    let elsewhere = server.restart().await;
    let there = client.moved_to(&elsewhere);
    assert_eq!(call(&there, &tokens).await, 200);
    crate::changed_meanwhile::remove(&server, &client).await;
    assert_eq!(call(&client, &tokens).await, 401);
    assert_eq!(provider.asked_at_last(1).await, ["forget mona-1"]);
    // another process sees it within a minute
    server.advance(MINUTE);
    assert_eq!(call(&there, &tokens).await, 401);
    assert_eq!(call(&stays, &beside).await, 200);
    // nobody comes with a token of this one, behind another session of the person
    let known = server.client().await;
    Provider::sign_in(&server, &known, "lisa").await;
    let gone = server.client().await;
    Provider::sign_in(&server, &gone, "lisa").await;
    crate::changed_meanwhile::remove(&server, &gone).await;
    provider.asked();
    crate::changed_meanwhile::remove(&server, &stays).await;
    assert!(server.app.flows().sweep().await.is_ok());
    assert_eq!(provider.asked_at_last(1).await, ["forget octavia-2"]);
    let all = SessionChoice::default();
    let left = server.app.flows().sessions(&all, None);
    let left = left.await.ok().map(|page| page.found.len());
    assert_eq!(left, Some(1));
}

/// TOK-33, CONS-22
#[tokio::test]
async fn a_repeated_refresh_is_no_reuse_because_it_had_to_wait_for_the_provider() {
    let provider = Arc::new(Provider::new());
    let server = server()
        .configure(|config| config.tokens.upstream_check = 5 * SECOND)
        .provider(&provider)
        .start()
        .await;
    let client = server.client().await;
    let first = Provider::sign_in(&server, &client, "mona").await.refresh;
    let second = Tokens::read(&client.refresh(&first).await).refresh;
    server.advance(9 * SECOND);
    provider.hold();
    let again = tokio::spawn({
        let (client, first) = (client.clone(), first.clone());
        async move { client.refresh(&first).await }
    });
    provider.waits.notified().await;
    server.advance(5 * SECOND);
    provider.let_go();
    let again = again.await.ok().map(|answer| Tokens::read(&answer).refresh);
    assert_eq!(again, Some(second.clone()));
    Tokens::read(&client.refresh(&second).await);
}

/// CONS-14, CONS-20
#[tokio::test]
async fn the_server_behind_is_told_what_the_provider_said_last() {
    let provider = Arc::new(Provider::new());
    let (server, client, tokens) = signed_in(&provider).await;
    let told = client.whoami(&tokens.access).await;
    assert_eq!(told["verified_email"], serde_json::Value::Null);
    provider.verifies_email("mona@example.com");
    server.advance(CHECK);
    let told = client.whoami(&tokens.access).await;
    assert_eq!(told["verified_email"], "mona@example.com", "{told}");
    // whoever has seen the one before sees the end, too
    provider.kill("mona-1");
    server.advance(CHECK);
    assert_eq!(call(&client, &tokens).await, 401);
}

/// CONS-14, CONS-22, AT-13
#[tokio::test]
async fn whoever_takes_back_at_github_what_they_allowed_is_out_within_the_window() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    assert_eq!(call(&client, &tokens).await, 200);
    server.standin().revoke_tokens_of("mona");
    server.advance(CHECK);
    assert_eq!(call(&client, &tokens).await, 401);
    assert!(is_refused(&client, &tokens).await);
}
