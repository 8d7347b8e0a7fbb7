//! The refresh grant: rotation, the same answer for whoever asks again, and the end of the session for whoever comes
//! with an old token.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::task::JoinSet;

use crate::harness::answer::Answer;
use crate::harness::client::{Client, Tokens};
use crate::harness::server::server;

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn refresh_with(client: &Client, token: &str, more: &[(&str, &str)]) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    client.token(&[&form[..], more].concat()).await
}

fn assert_dead(answer: &Answer) {
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_grant")
    );
}

async fn status_at_mcp(client: &Client, access: &str) -> u16 {
    client.initialize(access).await.status.as_u16()
}

/// TOK-03, TOK-31, TOK-40
#[tokio::test]
async fn each_refresh_gives_a_new_token_of_random_bytes() {
    let server = server().start().await;
    let client = server.client().await;
    let mut tokens = client.sign_in("mona").await;
    let first = tokens.clone();
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        assert!(seen.insert(tokens.refresh.clone()));
        let bytes = URL_SAFE_NO_PAD.decode(&tokens.refresh).unwrap();
        // 24 bytes name the session, 24 are random, 12 show that it is ours
        assert_eq!(bytes.len(), 60);
        server.advance(SECOND);
        tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
        assert_eq!(tokens.scope, first.scope);
        assert_eq!(tokens.claims()["sid"], first.claims()["sid"]);
        assert_eq!(tokens.claims()["sub"], first.claims()["sub"]);
        assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
    }
}

/// TOK-33
#[tokio::test]
async fn whoever_lost_the_answer_gets_it_again_within_the_grace() {
    let server = server().start().await;
    let client = server.client().await;
    let first = client.sign_in("mona").await.refresh;
    let second = Tokens::read(&client.refresh(&first).await).refresh;
    server.advance(Duration::from_secs(9));
    let again = Tokens::read(&client.refresh(&first).await);
    assert_eq!(again.refresh, second);
    assert_eq!(status_at_mcp(&client, &again.access).await, 200);
    let third = Tokens::read(&client.refresh(&second).await).refresh;
    assert_ne!(third, second);
}

/// TOK-32, TOK-33, TOK-37, AT-13
#[tokio::test]
async fn an_old_refresh_token_ends_the_session_and_its_access_tokens() {
    // how many refreshes follow, and how long after the last of them the old token comes
    for (refreshes, later) in [(1, GRACE), (2, Duration::ZERO), (2, GRACE), (5, DAY)] {
        let server = server().start().await;
        let client = server.client().await;
        let first = client.sign_in("mona").await;
        let mut tokens = first.clone();
        for _ in 0..refreshes {
            tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
        }
        assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
        server.advance(later);
        assert_dead(&client.refresh(&first.refresh).await);
        assert_dead(&client.refresh(&tokens.refresh).await);
        for access in [&first.access, &tokens.access] {
            assert_eq!(
                status_at_mcp(&client, access).await,
                401,
                "{refreshes} {later:?}"
            );
        }
    }
}

/// TOK-33
#[tokio::test]
async fn without_a_grace_each_token_is_good_once() {
    let server = server().configure(|config| config.tokens.reuse_grace = Duration::ZERO);
    let server = server.start().await;
    let client = server.client().await;
    let first = client.sign_in("mona").await.refresh;
    let second = Tokens::read(&client.refresh(&first).await).refresh;
    assert_dead(&client.refresh(&first).await);
    assert_dead(&client.refresh(&second).await);
}

/// TOK-31, TOK-33, T17
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_refreshes_at_once_all_get_the_same_token_of_one_rotation() {
    for on_sled in [false, true] {
        let builder = if on_sled {
            server().on_sled()
        } else {
            server()
        };
        let server = builder.start().await;
        let client = server.client().await;
        let first = client.sign_in("mona").await.refresh;
        let mut racers = JoinSet::new();
        for _ in 0..32 {
            let (client, first) = (client.clone(), first.clone());
            racers.spawn(async move { Tokens::read(&client.refresh(&first).await) });
        }
        let answers = racers.join_all().await;
        let tokens: BTreeSet<_> = answers.iter().map(|tokens| &tokens.refresh).collect();
        assert_eq!(tokens.len(), 1, "on sled: {on_sled}");
        for tokens in &answers {
            assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
        }
        let second = &answers[0].refresh;
        let third = Tokens::read(&client.refresh(second).await).refresh;
        assert!(third != *second && third != first);
        // were there another rotation between the first and the second, this would not be the one before
        assert_eq!(Tokens::read(&client.refresh(second).await).refresh, third);
    }
}

/// K4, TOK-34, TOK-37
#[tokio::test]
async fn a_made_up_token_has_no_effect_on_the_session_that_it_names() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let bytes = URL_SAFE_NO_PAD.decode(&tokens.refresh).unwrap();
    let mut made_up: Vec<String> = (0..bytes.len())
        .map(|place| {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1;
            URL_SAFE_NO_PAD.encode(bytes)
        })
        .collect();
    made_up.push(URL_SAFE_NO_PAD.encode(&bytes[..59]));
    made_up.push(URL_SAFE_NO_PAD.encode([&*bytes, &[0]].concat()));
    made_up.push(format!("{}=", tokens.refresh));
    made_up.push(format!(" {}", tokens.refresh));
    made_up.push(tokens.claims()["sid"].as_str().unwrap().to_owned());
    for token in made_up {
        assert_dead(&client.refresh(&token).await);
    }
    assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

/// TOK-34
#[tokio::test]
async fn a_refresh_token_is_good_for_its_own_client_alone_and_another_cannot_end_it() {
    let server = server().start().await;
    let client = server.client().await;
    let thief = server.client().await;
    let old = client.sign_in("mona").await.refresh;
    let tokens = Tokens::read(&client.refresh(&old).await);
    server.advance(GRACE);
    for token in [&tokens.refresh, &old] {
        assert_dead(&thief.refresh(token).await);
    }
    assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

/// TOK-35
#[tokio::test]
async fn a_refresh_narrows_the_scope_of_one_access_token_and_never_widens_it() {
    let server = server().start().await;
    let client = server.client().await;
    let url = client.authorization_url_but(&[("scope", Some("mcp:tools:read mcp:tools:execute"))]);
    let code = client.code_by(&url, "mona").await;
    let mut tokens = Tokens::read(&client.redeem(&code).await);
    assert_eq!(tokens.scope, "mcp:tools:execute mcp:tools:read");
    for (asked, granted) in [
        ("mcp:tools:read", "mcp:tools:read"),
        ("mcp:tools:read offline_access", "mcp:tools:read"),
        (
            "mcp:tools:execute mcp:tools:read",
            "mcp:tools:execute mcp:tools:read",
        ),
        ("", "mcp:tools:execute mcp:tools:read"),
    ] {
        let answer = refresh_with(&client, &tokens.refresh, &[("scope", asked)]).await;
        tokens = Tokens::read(&answer);
        assert_eq!(tokens.scope, granted, "{asked}");
        assert_eq!(tokens.claims()["scope"], granted, "{asked}");
    }
    for asked in [
        "mcp:prompts:read",
        "mcp:tools:read mcp:prompts:read",
        "unknown",
        "\"",
    ] {
        let answer = refresh_with(&client, &tokens.refresh, &[("scope", asked)]).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (400, "invalid_scope"),
            "{asked}"
        );
    }
    let kept = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(kept.scope, "mcp:tools:execute mcp:tools:read");
}

/// TOK-36, TOK-09
#[tokio::test]
async fn a_refresh_is_for_the_resource_of_its_session() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    for foreign in [
        "https://elsewhere.example/mcp",
        "https://mcp.example.com/other",
    ] {
        let answer = refresh_with(&client, &tokens.refresh, &[("resource", foreign)]).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (400, "invalid_target"),
            "{foreign}"
        );
    }
    let resource = server.resource();
    let two = [
        ("resource", &*resource),
        ("resource", "https://elsewhere.example/mcp"),
    ];
    let answer = refresh_with(&client, &tokens.refresh, &two).await;
    assert_eq!(answer.error(), "invalid_target");
    let answer = refresh_with(&client, &tokens.refresh, &[("resource", &resource)]).await;
    let tokens = Tokens::read(&answer);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(tokens.claims()["aud"], resource);
}

/// TOK-38
#[tokio::test]
async fn a_session_that_nobody_uses_ends() {
    for (idle, lives) in [
        (Duration::from_secs(30 * 86_400 - 1), true),
        (30 * DAY, false),
    ] {
        let server = server().start().await;
        let client = server.client().await;
        let mut tokens = client.sign_in("mona").await;
        for _ in 0..2 {
            server.advance(20 * DAY);
            tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
        }
        server.advance(idle);
        let answer = client.refresh(&tokens.refresh).await;
        if lives {
            Tokens::read(&answer);
        } else {
            assert_dead(&answer);
        }
    }
}

/// TOK-38, AT-04
#[tokio::test]
async fn a_session_ends_in_the_end_however_often_it_is_used() {
    let server = server().start().await;
    let client = server.client().await;
    let mut tokens = client.sign_in("mona").await;
    for _ in 0..8 {
        server.advance(20 * DAY);
        tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    }
    server.advance(Duration::from_secs(20 * 86_400 - 100));
    tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert!(
        tokens.expires_in <= 100,
        "{}: no longer than its session",
        tokens.expires_in
    );
    assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
    server.advance(100 * SECOND);
    assert_dead(&client.refresh(&tokens.refresh).await);
    server.advance(60 * SECOND);
    assert_eq!(status_at_mcp(&client, &tokens.access).await, 401);
}

/// TOK-38, SEC-07
#[tokio::test]
async fn what_has_ended_is_deleted() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    server.advance(31 * DAY);
    assert!(
        server.app.flows().sweep().await.unwrap() >= 2,
        "the code and the session"
    );
    assert_eq!(server.app.flows().sweep().await.unwrap(), 0);
    assert_dead(&client.refresh(&tokens.refresh).await);
}
