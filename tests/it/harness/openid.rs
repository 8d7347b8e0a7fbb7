//! What tests of sign-in with `corp`, the provider of `OpenID` Connect, share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::clock::Clock as _;
use serde_json::Value;

use super::answer::Answer;
use super::browser::Browser;
use super::client::{Client, Tokens};
use super::server::Server;

pub(crate) const MONA: &str = "corp:107691503500061500001";
pub(crate) const OCTAVIA: &str = "corp:107691503500061500002";

/// What a client is told where the provider is down,
pub(crate) const LATER: &str = "temporarily_unavailable";
/// and where its answer is of no use.
pub(crate) const BROKEN: &str = "server_error";

pub(crate) fn subject(tokens: &Tokens) -> Value {
    tokens.claims()["sub"].clone()
}

/// Agrees, and chooses `corp`.
pub(crate) async fn set_out(browser: &mut Browser, client: &Client) -> Answer {
    let page = browser.open(&client.authorization_url()).await;
    browser.decide(&page, "corp").await
}

/// That nobody is sent to the provider: the person reads a page, or the client is told.
pub(crate) fn assert_stopped(client: &Client, answer: &Answer) {
    assert_nothing_is_reflected(answer);
    if answer.status.is_redirection() {
        assert!([LATER, BROKEN].contains(&&*client.read_refusal(answer)));
    } else {
        assert!(answer.status.is_server_error(), "{answer:?}");
        answer.assert_page(answer.status.as_u16());
    }
}

pub(crate) fn assert_nothing_is_reflected(answer: &Answer) {
    let all = format!("{answer:?}");
    for sent in ["raw", "Unicorn", "refused", "code-", "access-", "refresh-"] {
        assert!(!all.contains(sent), "{sent}: {all}");
    }
}

pub(crate) async fn assert_nobody_is_signed_in(server: &Server) {
    let now = server.world.clock.now();
    let store = &server.world.store;
    assert!(store.list_sessions(None, 9, now).await.unwrap().is_empty());
    assert!(store.list_grants(None, 9, now).await.unwrap().is_empty());
}
