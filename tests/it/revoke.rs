//! The revocation endpoint: a client ends its own sessions, at once, and nobody else's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use anteroom::clock::Clock as _;
use anteroom::protocol::ids::Id;
use serde_json::json;

use crate::harness::answer::{encode, request, request_with};
use crate::harness::client::{Client, Tokens};
use crate::harness::server::{Server, server};
use crate::registration::{ask, managed};
use crate::token::confidential;

async fn is_let_in(client: &Client, access: &str) -> bool {
    let status = client.initialize(access).await.status.as_u16();
    assert!(status == 200 || status == 401, "{status}");
    status == 200
}

/// Whether the session of tokens is still in the store.
async fn is_kept(server: &Server, tokens: &Tokens) -> bool {
    let session = Id::parse(tokens.claims()["sid"].as_str().unwrap()).unwrap();
    let now = server.world.clock.now();
    let found = server.world.store.find_session(session, now).await;
    found.unwrap().is_some()
}

/// REV-01, REV-03, REV-07, AT-13
#[tokio::test]
async fn a_revoked_token_of_either_kind_takes_its_whole_session_along_at_once() {
    let server = server().start().await;
    let client = server.client().await;
    let bystander = client.sign_in("mona").await;
    for kind in ["refresh", "access", "the refresh token before"] {
        let first = client.sign_in("mona").await;
        let tokens = Tokens::read(&client.refresh(&first.refresh).await);
        assert!(is_let_in(&client, &tokens.access).await);
        let token = match kind {
            "refresh" => &tokens.refresh,
            "access" => &tokens.access,
            _ => &first.refresh,
        };
        let answer = client.revoke(token).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "{kind}");
        assert_eq!(answer.header("cache-control"), "no-store");
        for access in [&first.access, &tokens.access] {
            assert!(!is_let_in(&client, access).await, "{kind}");
        }
        assert_eq!(
            client.refresh(&tokens.refresh).await.error(),
            "invalid_grant"
        );
        assert_eq!(client.revoke(token).await.status, 200, "{kind}, again");
    }
    assert!(is_let_in(&client, &bystander.access).await);
    Tokens::read(&client.refresh(&bystander.refresh).await);
}

/// REV-01
#[tokio::test]
async fn an_unknown_or_expired_token_is_answered_like_a_known_one() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let code = client.code("mona").await;
    server.advance(Duration::from_secs(2 * 3600));
    for token in [
        "x",
        "e30.e30.e30",
        &"a".repeat(70),
        &tokens.access,
        &code,
        &client.id,
    ] {
        let answer = client.revoke(token).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, ""),
            "{token}"
        );
    }
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

/// REV-02, T14
#[tokio::test]
async fn a_token_of_another_client_is_not_revoked_and_nothing_is_told() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    for thief in [
        server.client().await,
        Client::register(&server, &confidential()).await,
    ] {
        for token in [&tokens.access, &tokens.refresh] {
            let answer = thief.revoke(token).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
        }
    }
    assert!(is_let_in(&client, &tokens.access).await);
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

/// REV-02
#[tokio::test]
async fn a_wrong_hint_changes_nothing() {
    let server = server().start().await;
    let client = server.client().await;
    for hint in ["access_token", "refresh_token", "id_token", ""] {
        for kind in ["access", "refresh"] {
            let tokens = client.sign_in("mona").await;
            let token = if kind == "access" {
                &tokens.access
            } else {
                &tokens.refresh
            };
            let form = [
                ("token", &**token),
                ("token_type_hint", hint),
                ("client_id", &client.id),
            ];
            let answer = server.post_form("/revoke", &form).await;
            assert_eq!(answer.status, 200, "{hint} {kind}");
            assert!(!is_let_in(&client, &tokens.access).await, "{hint} {kind}");
        }
    }
}

/// REV-04, TOK-24
#[tokio::test]
async fn whoever_does_not_prove_itself_revokes_nothing() {
    let server = server().start().await;
    let client = Client::register(&server, &confidential()).await;
    let secret = client.secret.clone().unwrap();
    let tokens = client.sign_in("mona").await;
    let token = ("token", &*tokens.refresh);
    let id = ("client_id", &*client.id);
    for (form, status, error) in [
        (vec![token, id], 401, "invalid_client"),
        (vec![token], 401, "invalid_client"),
        (vec![token, ("client_id", "nobody")], 401, "invalid_client"),
        (
            vec![token, id, ("client_secret", "wrong")],
            401,
            "invalid_client",
        ),
        (vec![id, ("client_secret", &secret)], 400, "invalid_request"),
        (
            vec![id, ("client_secret", &secret), ("token", "")],
            400,
            "invalid_request",
        ),
        (
            vec![token, token, id, ("client_secret", &secret)],
            400,
            "invalid_request",
        ),
    ] {
        let answer = server.post_form("/revoke", &form).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (status, error),
            "{form:?}"
        );
    }
    let answer = server
        .post_json("/revoke", &json!({"token": tokens.refresh}))
        .await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_request")
    );
    let mut request = request_with(
        "/revoke",
        "application/x-www-form-urlencoded",
        encode(&[token]),
    );
    request
        .headers_mut()
        .insert("authorization", "Basic bm9ib2R5Ong=".parse().unwrap());
    let answer = server.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("www-authenticate")),
        (401, "Basic realm=\"anteroom\"")
    );
    assert!(is_let_in(&client, &tokens.access).await);
    assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    assert!(!is_let_in(&client, &tokens.access).await);
}

/// REV-07
#[tokio::test]
async fn nothing_is_revoked_but_by_post() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let form = [("token", &*tokens.refresh), ("client_id", &*client.id)];
    let query = format!("/revoke?{}", encode(&form));
    for method in ["GET", "PUT", "DELETE"] {
        let answer = server.send(request(method, &query)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "POST")
        );
    }
    assert!(is_let_in(&client, &tokens.access).await);
}

/// AT-13
#[tokio::test]
async fn an_end_that_another_process_brings_about_is_seen_within_a_minute() {
    let here = server().start().await;
    let client = here.client().await;
    let tokens = client.sign_in("mona").await;
    let bystander = client.sign_in("octavia").await;
    assert!(is_let_in(&client, &tokens.access).await);
    assert!(is_let_in(&client, &bystander.access).await);
    let there = client.moved_to(&here.restart().await);
    assert_eq!(there.revoke(&tokens.refresh).await.status, 200);
    here.advance(Duration::from_secs(61));
    assert!(!is_let_in(&client, &tokens.access).await);
    assert!(is_let_in(&client, &bystander.access).await);
}

/// REV-01, REV-04, CLI-46
#[tokio::test]
async fn whoever_holds_a_token_of_a_client_that_is_gone_ends_its_session() {
    let server = server().start().await;
    for metadata in [Client::public(), confidential()] {
        for kind in ["access", "refresh"] {
            let client = Client::register(&server, &metadata).await;
            let other = Client::register(&server, &metadata).await;
            let gone = Client::register(&server, &metadata).await;
            let (tokens, beside) = (client.sign_in("mona").await, client.sign_in("mona").await);
            let others = other.sign_in("mona").await;
            let token = if kind == "access" {
                &tokens.access
            } else {
                &tokens.refresh
            };
            for removed in [&client, &gone] {
                let (uri, access) = managed(removed);
                let answer = ask(&server, "DELETE", &uri, &access, &json!(null)).await;
                assert_eq!(answer.status, 204);
            }
            // not by another that is gone or was never there, and nothing of a client that is there
            let nobody = Client::named(&server, "nobody", "");
            for (who, token) in [
                (&gone, token),
                (&nobody, token),
                (&client, &others.access),
                (&client, &others.refresh),
                (&client, &client.id),
            ] {
                let answer = who.revoke(token).await;
                assert_eq!(
                    (answer.status.as_u16(), &*answer.error()),
                    (401, "invalid_client")
                );
            }
            let named = [("token", &**token), ("client_id", &*other.id)];
            let mut unproven = Client::named(&server, &other.id, "");
            unproven.secret = Some("wrong".to_owned());
            assert_eq!(
                unproven.revoke(&others.refresh).await.error(),
                "invalid_client"
            );
            server.post_form("/revoke", &named).await;
            for tokens in [&tokens, &beside, &others] {
                assert!(is_kept(&server, tokens).await, "{kind}");
            }
            let answer = client.revoke(token).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "{kind}");
            assert!(!is_kept(&server, &tokens).await, "{kind}");
            assert!(is_kept(&server, &beside).await, "{kind}");
            // as with any client that is gone, nobody is let in, and who comes with a token ends its session
            assert!(!is_let_in(&client, &beside.access).await, "{kind}");
            assert!(!is_kept(&server, &beside).await, "{kind}");
            assert!(is_let_in(&client, &others.access).await, "{kind}");
            Tokens::read(&other.refresh(&others.refresh).await);
        }
    }
}
