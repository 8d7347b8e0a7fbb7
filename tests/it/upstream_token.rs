//! The provider's token in the hands of a tool in this process: fresh, renewed once, and gone with the session.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use anteroom::protocol::ids::{ClientId, Id};
use anteroom::protocol::principal::{NoUpstreamToken, Principal};
use anteroom::protocol::scope::ScopeSet;
use tokio::task::JoinSet;

use crate::harness::client::{Client, Tokens};
use crate::harness::provider::{Provider, Says};
use crate::harness::server::{Server, server};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn signed_in(provider: &Arc<Provider>) -> (Server, Client, Tokens) {
    let server = server().provider(provider).start().await;
    let client = server.client().await;
    let tokens = Provider::sign_in(&server, &client, "mona").await;
    (server, client, tokens)
}

/// What a tool finds in its request.
async fn principal(server: &Server, tokens: &Tokens) -> Principal {
    let claims = tokens.claims();
    let session = Id::parse(claims["sid"].as_str().unwrap()).unwrap();
    let standing = server.app.flows().standing(session).await.unwrap();
    Principal {
        standing: standing.unwrap(),
        client_id: ClientId::new(claims["client_id"].as_str().unwrap()),
        scopes: ScopeSet::default(),
    }
}

async fn token(principal: &Principal) -> Result<String, NoUpstreamToken> {
    let token = principal.upstream_token().await;
    token.map(|token| token.expose().to_owned())
}

/// CONS-14
#[tokio::test]
async fn a_tool_gets_the_token_of_the_person_who_calls_it() {
    let provider = Arc::new(Provider::new());
    let (server, client, tokens) = signed_in(&provider).await;
    let other = Provider::sign_in(&server, &client, "octavia").await;
    let (mona, octavia) = (
        principal(&server, &tokens).await,
        principal(&server, &other).await,
    );
    assert_eq!(token(&mona).await.as_deref(), Ok("mona-1"));
    assert_eq!(token(&octavia).await.as_deref(), Ok("octavia-2"));
    // a newer sign-in serves the older session
    Provider::sign_in(&server, &client, "mona").await;
    assert_eq!(token(&mona).await.as_deref(), Ok("mona-3"));
    client.revoke(&tokens.refresh).await;
    assert_eq!(token(&mona).await, Err(NoUpstreamToken::Ended));
}

/// CONS-14, CONS-22
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_about_to_expire_is_renewed_once_however_many_need_it() {
    let provider = Arc::new(Provider::new().with_refresh(HOUR));
    let (server, client, tokens) = signed_in(&provider).await;
    let mona = principal(&server, &tokens).await;
    server.advance(Duration::from_secs(3539));
    assert_eq!(token(&mona).await.as_deref(), Ok("mona-1"));
    server.advance(Duration::from_secs(1));
    provider.hold();
    let mut tools = JoinSet::new();
    for _ in 0..100 {
        let mona = mona.clone();
        tools.spawn(async move { token(&mona).await });
    }
    provider.waits.notified().await;
    // a check at the same moment goes by the same renewal
    let calling = tokio::spawn({
        let (client, access) = (client.clone(), tokens.access.clone());
        async move { client.initialize(&access).await.status }
    });
    provider.let_go();
    for got in tools.join_all().await {
        assert_eq!(got.as_deref(), Ok("mona-2"));
    }
    assert_eq!(calling.await.unwrap(), 200);
    let asked = provider.asked();
    assert_eq!(asked[0], "renew mona-1-refresh");
    assert!(
        asked[1..].iter().all(|asked| asked == "vouch mona-2"),
        "{asked:?}"
    );
}

/// CONS-15
#[tokio::test]
async fn while_the_provider_is_down_a_token_is_good_for_as_long_as_it_lasts() {
    let provider = Arc::new(Provider::new().with_refresh(HOUR));
    let (server, _, tokens) = signed_in(&provider).await;
    let mona = principal(&server, &tokens).await;
    provider.says(Says::ComeAgain);
    server.advance(Duration::from_secs(3599));
    assert_eq!(token(&mona).await.as_deref(), Ok("mona-1"));
    server.advance(Duration::from_secs(1));
    assert_eq!(token(&mona).await, Err(NoUpstreamToken::Unavailable));
    provider.says(Says::Yes);
    server.advance(MINUTE);
    assert_eq!(token(&mona).await.as_deref(), Ok("mona-2"));
}

/// CONS-22
#[tokio::test]
async fn a_renewal_that_the_provider_refuses_ends_the_session() {
    let provider = Arc::new(Provider::new().with_refresh(HOUR));
    let (server, client, tokens) = signed_in(&provider).await;
    let mona = principal(&server, &tokens).await;
    provider.kill("mona-1-refresh");
    server.advance(Duration::from_secs(3540));
    assert_eq!(token(&mona).await, Err(NoUpstreamToken::Ended));
    assert!(mona.standing.has_ended());
    assert_eq!(client.initialize(&tokens.access).await.status, 401);
}
