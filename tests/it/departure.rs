//! Providers that cannot even be left for: who wanted to sign in there is told, and can try again.

use std::sync::Arc;

use anteroom::upstream::Intent;
use url::Url;

use crate::changed_meanwhile::remove;
use crate::harness::answer::{Answer, parameter};
use crate::harness::browser::{Browser, ticket};
use crate::harness::client::STATE;
use crate::harness::provider::{Provider, Says};
use crate::harness::server::{Server, server};

/// What the provider's troubles are called in the log, and nowhere else.
const CAUSES: [&str; 2] = ["status 502", "no JSON"];

async fn two() -> (Server, [Arc<Provider>; 2]) {
    let corp = Arc::new(Provider::new().named("corp").labelled("Acme login"));
    let other = Arc::new(Provider::new().named("other").labelled("Other place"));
    let server = server().provider(&corp).provider(&other).start().await;
    (server, [corp, other])
}

async fn leave_for_account(browser: &mut Browser, page: &Answer, provider: &str) -> Answer {
    let form = [("ticket", ticket(page)), ("provider", provider)];
    browser.post_form("/account/sign-in", &form).await
}

/// AUTHZ-18, CONS-21, CONS-09
#[tokio::test]
async fn who_cannot_leave_for_a_provider_is_told_and_can_try_again_or_another_one() {
    let (server, [corp, other]) = two().await;
    let client = server.client().await;
    for (trouble, status, error) in [
        (Says::ComeAgain, 503, "temporarily_unavailable"),
        (Says::Nonsense, 502, "server_error"),
    ] {
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        corp.receives_with(trouble);
        let failed = browser.decide(&page, "corp").await;
        failed.assert_page(status);
        let text = failed.text();
        let again = text.find("value=\"corp\">Try Acme login again<").unwrap();
        let elsewhere = text
            .find("value=\"other\">Continue with Other place<")
            .unwrap();
        assert!(again < elsewhere, "{text}");
        assert!(!CAUSES.iter().any(|cause| text.contains(cause)), "{text}");
        let (_, back) = text.split_once("href=\"http://127.0.0.1:33418/").unwrap();
        let back = back.split('"').next().unwrap().replace("&#38;", "&");
        let back: Url = format!("{}{back}", client.redirect_uri).parse().unwrap();
        assert_eq!(parameter(&back, "error").as_deref(), Some(error));
        assert_eq!(parameter(&back, "state").as_deref(), Some(STATE));
        assert_eq!(parameter(&back, "iss").as_deref(), Some(server.issuer()));
        // nobody left, and so nothing is kept
        assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
        // the same form, at another provider, and at this one
        let sent = browser.decide(&failed, "other").await.location();
        let back = Provider::way_back(&server, "other", &sent, "mona");
        client.read_code(&browser.get(&back).await.location());
        browser.decide(&failed, "corp").await.assert_page(status);
        corp.receives_with(Says::Yes);
        let sent = browser.decide(&failed, "corp").await.location();
        let back = Provider::way_back(&server, "corp", &sent, "mona");
        client.read_code(&browser.get(&back).await.location());
    }
    assert_eq!(other.intents(), [Intent::Connect; 2]);
}

/// CONS-21, CONS-09, CONS-25
#[tokio::test]
async fn who_cannot_leave_for_their_account_page_can_try_again_too() {
    let (server, [corp, _]) = two().await;
    let mut browser = server.browser();
    let page = browser.get("/account").await;
    corp.receives_with(Says::ComeAgain);
    let failed = leave_for_account(&mut browser, &page, "corp").await;
    failed.assert_page(503);
    let text = failed.text();
    for told in [
        "Acme login cannot be reached",
        "action=\"/account/sign-in\"",
        "href=\"/account\"",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!CAUSES.iter().any(|cause| text.contains(cause)), "{text}");
    assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
    corp.receives_with(Says::Yes);
    let sent = leave_for_account(&mut browser, &failed, "corp")
        .await
        .location();
    let back = Provider::way_back(&server, "corp", &sent, "mona");
    let open = browser.get(&back).await.location();
    let page = browser.get(open.as_str()).await;
    assert!(page.text().contains("<bdi>mona</bdi>"), "{}", page.text());
    assert_eq!(corp.intents(), [Intent::Identify]);
}

/// CONS-16, CLI-20
#[tokio::test]
async fn the_tokens_of_a_sign_in_that_outlives_its_client_are_given_back() {
    let (server, [corp, _]) = two().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let sent = browser.decide(&page, "corp").await.location();
    let back = Provider::way_back(&server, "corp", &sent, "mona");
    corp.hold_arrivals();
    let arriving = tokio::spawn(async move { browser.get(&back).await });
    corp.waits.notified().await;
    remove(&server, &client).await;
    corp.let_go();
    arriving.await.unwrap().assert_page(400);
    assert_eq!(corp.asked_at_last(1).await, ["forget mona-1"]);
}

/// CONS-16
#[tokio::test]
async fn a_browser_that_hangs_up_while_the_provider_is_asked_leaves_no_tokens_behind() {
    let (server, [corp, _]) = two().await;
    let mut browser = server.browser();
    let page = browser.get("/account").await;
    let sent = leave_for_account(&mut browser, &page, "corp").await;
    let back = Provider::way_back(&server, "corp", &sent.location(), "mona");
    corp.hold_arrivals();
    let arriving = tokio::spawn(async move { browser.get(&back).await });
    corp.waits.notified().await;
    arriving.abort();
    assert!(arriving.await.unwrap_err().is_cancelled());
    corp.let_go();
    assert_eq!(corp.asked_at_last(1).await, ["forget mona-1"]);
}
