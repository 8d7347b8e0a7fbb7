//! Fewer scopes for a client of the configuration count for the sessions that it has already.

use std::sync::Arc;
use std::time::Duration;

use anteroom::config::KnownClient;
use anteroom::protocol::ids::ClientId;
use anteroom::protocol::redirect_uri::RedirectUri;
use anteroom::protocol::scope::ScopeSet;

use serde_json::json;

use crate::harness::client::{Client, LOOPBACK, Tokens, message};
use crate::harness::server::{Builder, Server, server};
use crate::introspect::{ask, trust};

const ALL: &str = "mcp:tools:execute mcp:tools:read offline_access";

/// A server whose configuration gives the client `ci` these scopes at most.
fn at_most(scopes: Option<&str>) -> Builder {
    let ci = KnownClient {
        id: ClientId::new("ci"),
        name: None,
        secret: None,
        redirect_uris: RedirectUri::parse(LOOPBACK).into_iter().collect(),
        scopes: scopes.and_then(ScopeSet::parse),
    };
    let server = server().configure(trust);
    server.configure(move |config| config.clients.known.push(ci))
}

/// The same server, after its operator has changed that.
async fn from_now_on(before: &Server, scopes: Option<&str>) -> Server {
    let store = Arc::clone(&before.world.store);
    let server = at_most(scopes).providers_of(before).store(move |_| store);
    let server = server.start().await;
    server.advance(Duration::from_secs(60));
    server
}

async fn code(client: &Client) -> String {
    let url = client.authorization_url_but(&[("scope", Some(ALL))]);
    client.code_by(&url, "mona").await
}

/// CLI-62, TOK-35
#[tokio::test]
async fn a_session_gives_no_scope_that_its_client_may_no_longer_have() {
    let before = at_most(None).start().await;
    let client = Client::named(&before, "ci", LOOPBACK);
    let tokens = Tokens::read(&client.redeem(&code(&client).await).await);
    assert_eq!(tokens.scope, ALL);
    let mut refresh = tokens.refresh;
    for (most, given) in [
        ("mcp:tools:read", "mcp:tools:read offline_access"),
        ("mcp:tools:execute", "mcp:tools:execute offline_access"),
    ] {
        let after = from_now_on(&before, Some(most)).await;
        let client = client.moved_to(&after);
        assert_eq!(ask(&after, &refresh).await.json()["scope"], given);
        // clients repeat what they were granted once: that is no error of theirs
        for asked in [None, Some(ALL)] {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", &*refresh),
            ];
            form.extend(asked.map(|asked| ("scope", asked)));
            let tokens = Tokens::read(&client.token(&form).await);
            assert_eq!(
                (&*tokens.scope, &tokens.claims()["scope"]),
                (given, &given.into())
            );
            refresh = tokens.refresh;
        }
        let other = if most == "mcp:tools:read" {
            "mcp:tools:execute"
        } else {
            "mcp:tools:read"
        };
        for asked in [other.to_owned(), format!("{other} offline_access")] {
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", &*refresh),
                ("scope", &*asked),
            ];
            let refused = client.token(&form).await;
            assert_eq!(
                (refused.status.as_u16(), &*refused.error()),
                (400, "invalid_scope")
            );
        }
    }
    // and what its operator gives back, it has again: nothing was taken from the session
    let again = from_now_on(&before, None).await;
    let tokens = Tokens::read(&client.moved_to(&again).refresh(&refresh).await);
    assert_eq!(tokens.scope, ALL);
}

/// CLI-62, TOK-37
#[tokio::test]
async fn a_session_with_no_scope_left_is_not_refreshed() {
    let before = at_most(None).start().await;
    let client = Client::named(&before, "ci", LOOPBACK);
    let tokens = Tokens::read(&client.redeem(&code(&client).await).await);
    for most in ["", "offline_access", "elsewhere"] {
        let after = from_now_on(&before, Some(most)).await;
        let refused = client.moved_to(&after).refresh(&tokens.refresh).await;
        assert_eq!(
            (refused.status.as_u16(), &*refused.error()),
            (400, "invalid_grant"),
            "{most}"
        );
        assert!(refused.text().contains("scope"), "{}", refused.text());
        let told = ask(&after, &tokens.refresh).await;
        assert_eq!(told.text(), r#"{"active":false}"#, "{most}");
    }
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

/// CLI-62
#[tokio::test]
async fn a_code_gives_no_scope_that_its_client_may_no_longer_have() {
    let before = at_most(None).start().await;
    let client = Client::named(&before, "ci", LOOPBACK);
    let code = code(&client).await;
    let nothing = from_now_on(&before, Some("elsewhere")).await;
    let refused = client.moved_to(&nothing).redeem(&code).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.error()),
        (400, "invalid_grant")
    );
    assert!(refused.text().contains("scope"), "{}", refused.text());
    // a refusal has spent nothing
    let less = from_now_on(&before, Some("mcp:tools:read")).await;
    let tokens = Tokens::read(&client.moved_to(&less).redeem(&code).await);
    assert_eq!(tokens.scope, "mcp:tools:read offline_access");
}

/// CLI-62, RS-18
#[tokio::test]
async fn a_client_is_not_sent_for_a_scope_that_it_may_never_have() {
    let before = at_most(None).start().await;
    let client = Client::named(&before, "ci", LOOPBACK);
    let tokens = Tokens::read(&client.redeem(&code(&client).await).await);
    let tool = message("tools/call", &json!({"name": "whoami", "arguments": {}}));
    let free = client.call(&tokens.access, "", &tool).await;
    assert_ne!(free.status, 403, "{}", free.text());
    // the token that it has is good for less from now on
    let after = from_now_on(&before, Some("mcp:tools:read")).await;
    let client = client.moved_to(&after);
    let refused = client.call(&tokens.access, "", &tool).await;
    assert_eq!(refused.status, 403);
    assert!(!refused.headers.contains_key("www-authenticate"));
    assert!(refused.text().contains("this client"), "{}", refused.text());
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
}
