//! Scopes that are not for everybody: given to whom the provider says, taken back and given back as it says, at once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::harness::answer::Answer;
use crate::harness::client::{Client, Tokens, message};
use crate::harness::provider::{Provider, Says};
use crate::harness::server::{Server, server};
use crate::introspect::{ask, trust};

const CHECK: Duration = Duration::from_secs(300);
const REST: Duration = Duration::from_secs(30);
const READ: &str = "mcp:tools:read";
const EXECUTE: &str = "mcp:tools:execute";
const BOTH: &str = "mcp:tools:execute mcp:tools:read";

/// A provider at which `mcp:tools:execute` is for some people alone.
fn provider() -> Arc<Provider> {
    Arc::new(Provider::new().with_rules(&["anyone"], &[EXECUTE]))
}

async fn start(provider: &Arc<Provider>) -> (Server, Client) {
    let server = server().configure(trust).provider(provider).start().await;
    let client = server.client().await;
    (server, client)
}

/// Signs `mona` in for these scopes: the answer of our callback.
async fn arrive(server: &Server, client: &Client, scopes: &str) -> Answer {
    let url = client.authorization_url_but(&[("scope", Some(scopes))]);
    Provider::arrive(server, &url, "mona").await
}

async fn sign_in(server: &Server, client: &Client, scopes: &str) -> Tokens {
    let answer = arrive(server, client, scopes).await;
    Tokens::read(&client.redeem(&client.read_code(&answer.location())).await)
}

/// Calls a tool, which needs `mcp:tools:execute`.
async fn execute(client: &Client, tokens: &Tokens) -> Answer {
    let opened = client.initialize(&tokens.access).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    let session = opened.header("mcp-session-id").to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    client.call(&tokens.access, &session, &initialized).await;
    let add = json!({"name": "add", "arguments": {"a": 1, "b": 2}});
    client
        .call(&tokens.access, &session, &message("tools/call", &add))
        .await
}

async fn introspected(server: &Server, token: &str) -> String {
    let told = ask(server, token).await.json();
    told["scope"].as_str().unwrap_or_default().to_owned()
}

/// SEC-11
#[tokio::test]
async fn a_scope_that_is_not_for_everybody_is_given_to_whom_it_is_open() {
    let provider = provider();
    let (server, client) = start(&provider).await;
    for (opens, given) in [
        ("", READ),
        (EXECUTE, BOTH),
        ("mcp:prompts:read", READ),
        (BOTH, BOTH),
    ] {
        provider.opens(opens);
        let tokens = sign_in(&server, &client, BOTH).await;
        assert_eq!(tokens.scope, given, "{opens}");
        assert_eq!(tokens.claims()["scope"], given);
        let refreshed = Tokens::read(&client.refresh(&tokens.refresh).await);
        assert_eq!(refreshed.scope, given);
        assert_eq!(introspected(&server, &refreshed.refresh).await, given);
        assert_eq!(introspected(&server, &refreshed.access).await, given);
        let is_open = given == BOTH;
        let status = if is_open { 200 } else { 403 };
        assert_eq!(execute(&client, &refreshed).await.status, status);
    }
}

/// SEC-11, AUTHZ-18
#[tokio::test]
async fn whoever_may_have_nothing_of_what_a_client_asks_for_is_not_signed_in() {
    let provider = provider();
    let (server, client) = start(&provider).await;
    for asked in [EXECUTE, "mcp:tools:execute offline_access"] {
        let answer = arrive(&server, &client, asked).await;
        // they read why, and take the answer back to the app
        answer.assert_page(403);
        for told in [
            "<bdi>mona</bdi>",
            "None of what the app at 127.0.0.1 asks for is open to you.",
            "Ask whoever runs this server",
        ] {
            assert!(answer.text().contains(told), "{told}: {}", answer.text());
        }
        assert_eq!(client.read_refusal(&answer), "access_denied");
        // nobody will use what they gave us
        let asked = provider.asked_at_last(1).await;
        assert!(asked[0].starts_with("forget mona-"), "{asked:?}");
    }
}

/// SEC-11, CONS-16
#[tokio::test]
async fn what_is_not_kept_is_given_back_unless_that_ends_what_others_live_by() {
    let provider = Provider::new().with_rules(&["anyone"], &[EXECUTE]);
    let provider = Arc::new(provider.that_forgets_everything());
    let (server, client) = start(&provider).await;
    arrive(&server, &client, EXECUTE).await.assert_page(403);
    assert_eq!(provider.asked_at_last(1).await, ["forget mona-1"]);
    let tokens = sign_in(&server, &client, READ).await;
    arrive(&server, &client, EXECUTE).await.assert_page(403);
    assert!(provider.asked_at_last(1).await.is_empty());
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
}

/// SEC-11, CONS-14, CONS-27, U4
#[tokio::test]
async fn a_role_that_is_lost_closes_at_once_and_opens_again_when_it_is_given_back() {
    let provider = provider();
    let (server, client) = start(&provider).await;
    provider.opens(EXECUTE);
    let tokens = sign_in(&server, &client, BOTH).await;
    assert_eq!(execute(&client, &tokens).await.status, 200);
    provider.opens("");
    server.advance(Duration::from_secs(299));
    assert_eq!(execute(&client, &tokens).await.status, 200);
    server.advance(Duration::from_secs(1));
    assert_eq!(execute(&client, &tokens).await.status, 403);
    assert_eq!(introspected(&server, &tokens.access).await, READ);
    assert_eq!(introspected(&server, &tokens.refresh).await, READ);
    let less = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(less.scope, READ);
    assert_eq!(execute(&client, &less).await.status, 403);
    provider.opens(EXECUTE);
    server.advance(CHECK);
    // the same token opens what it did before; the one that was issued meanwhile never did
    assert_eq!(execute(&client, &tokens).await.status, 200);
    assert_eq!(execute(&client, &less).await.status, 403);
    assert_eq!(introspected(&server, &tokens.access).await, BOTH);
    let again = Tokens::read(&client.refresh(&less.refresh).await);
    assert_eq!(again.scope, BOTH);
    assert_eq!(execute(&client, &again).await.status, 200);
}

/// SEC-11, CONS-27
#[tokio::test]
async fn a_newer_sign_in_tells_what_is_open_in_the_older_sessions_too() {
    let provider = provider();
    let (server, client) = start(&provider).await;
    provider.opens(EXECUTE);
    let tokens = sign_in(&server, &client, BOTH).await;
    assert_eq!(execute(&client, &tokens).await.status, 200);
    provider.opens("");
    sign_in(&server, &client, BOTH).await;
    assert_eq!(execute(&client, &tokens).await.status, 403);
}

/// SEC-11, CONS-27
#[tokio::test]
async fn with_nothing_left_a_refresh_token_is_worth_nothing() {
    let provider = provider();
    let (server, client) = start(&provider).await;
    provider.opens(EXECUTE);
    let only = sign_in(&server, &client, EXECUTE).await;
    let both = sign_in(&server, &client, BOTH).await;
    provider.opens("");
    server.advance(CHECK);
    let answer = client.refresh(&only.refresh).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_grant")
    );
    assert_eq!(
        ask(&server, &only.refresh).await.json()["active"],
        json!(false)
    );
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &both.refresh),
        ("scope", EXECUTE),
    ];
    let answer = client.token(&form).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_scope")
    );
    Tokens::read(&client.refresh(&both.refresh).await);
}

/// RS-18, SEC-11
#[tokio::test]
async fn a_client_is_not_sent_for_a_scope_that_its_person_cannot_be_given() {
    let provider = provider();
    let (server, client) = start(&provider).await;
    let tokens = sign_in(&server, &client, "mcp:tools:execute mcp:prompts:list").await;
    let refused = execute(&client, &tokens).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("www-authenticate"), "");
    assert_eq!(refused.json()["error"]["code"], 403);
    let told = refused.json()["error"]["message"].clone();
    assert!(told.as_str().is_some_and(|told| told.contains("not open")));
    // one that they can be given is named, as ever
    let list = message("tools/list", &json!({}));
    let opened = client.initialize(&tokens.access).await;
    let session = opened.header("mcp-session-id").to_owned();
    let refused = client.call(&tokens.access, &session, &list).await;
    assert_eq!(refused.status, 403);
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains(r#"error="insufficient_scope""#));
    assert!(challenge.contains(r#"scope="mcp:prompts:list mcp:tools:read""#));
}

/// SEC-11, CONS-27
#[tokio::test]
async fn what_was_open_under_other_rules_is_closed_until_the_provider_was_asked() {
    let provider = provider();
    provider.opens(EXECUTE);
    let (before, client) = start(&provider).await;
    let tokens = sign_in(&before, &client, BOTH).await;
    assert_eq!(execute(&client, &tokens).await.status, 200);
    let other = Arc::new(Provider::new().with_rules(&["anyone"], &[EXECUTE, "mcp:prompts:read"]));
    other.opens(EXECUTE);
    other.says(Says::ComeAgain);
    let after = before.restart_with(&other).await;
    let client = client.moved_to(&after);
    // neither what was open nor that something is closed is told
    assert_eq!(client.initialize(&tokens.access).await.status, 503);
    assert_eq!(client.refresh(&tokens.refresh).await.status, 503);
    assert_eq!(ask(&after, &tokens.access).await.status, 503);
    other.says(Says::Yes);
    after.advance(REST);
    assert_eq!(execute(&client, &tokens).await.status, 200);
}
