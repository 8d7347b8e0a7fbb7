//! A client that changes, or goes away, while somebody signs in with it: they are told, and nobody is sent anywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use anteroom::config::{Allow, KnownClient};
use anteroom::protocol::ids::ClientId;
use anteroom::protocol::redirect_uri::RedirectUri;
use serde_json::{Value, json};

use crate::harness::answer::{Answer, parameter};
use crate::harness::browser::Browser;
use crate::harness::client::{Client, LOOPBACK, Tokens};
use crate::harness::server::{Server, server};
use crate::harness::website::{Page, Website};
use crate::registration::{ask, changed, managed};
use crate::remembered::{Seen, look};

/// The redirect URI of a host that was taken over.
const TAKEN_OVER: &str = "https://old.example/cb";
const CHANGED: &str = "has changed";
const UNKNOWN: &str = "No such client";

/// Takes the redirect URI of a client out.
async fn move_away(server: &Server, client: &Client) {
    let (uri, token) = managed(client);
    let metadata = changed(client, "redirect_uris", json!(["https://new.example/cb"]));
    let answer = ask(server, "PUT", &uri, &token, &metadata).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

pub(crate) async fn remove(server: &Server, client: &Client) {
    let (uri, token) = managed(client);
    let answer = ask(server, "DELETE", &uri, &token, &Value::Null).await;
    assert_eq!(answer.status, 204);
}

/// Does to a client what it is put through, and says what people are told then.
async fn put_through(server: &Server, client: &Client, is_removed: bool) -> &'static str {
    if is_removed {
        remove(server, client).await;
        UNKNOWN
    } else {
        move_away(server, client).await;
        CHANGED
    }
}

/// That somebody is told so, and neither sent nor linked to the place that the client has left.
fn assert_told(answer: &Answer, says: &str, shown: &str) {
    answer.assert_page(400);
    assert!(answer.text().contains(says), "{shown}: {}", answer.text());
    assert!(
        !answer.text().contains("old.example"),
        "{shown}: {}",
        answer.text()
    );
}

/// Nothing is left of a sign-in but what goes by itself: no row of a session that was opened.
async fn kept_rows(server: &Server) -> usize {
    server.advance(Duration::from_secs(3600));
    server.app.flows().sweep().await.unwrap()
}

/// CLI-20, CONS-12, R1
#[tokio::test]
async fn a_sign_in_that_outlives_its_client_ends_on_a_page() {
    for is_removed in [false, true] {
        for outcome in ["signed in", "cancelled", "not allowed", "failed"] {
            let shown = format!("{outcome}, removed: {is_removed}");
            let mut builder = server();
            if outcome == "not allowed" {
                builder = builder.allow(Allow {
                    logins: vec!["hubot".to_owned()],
                    ..Allow::default()
                });
            }
            let server = builder.start().await;
            let client = Client::register(&server, &Client::at(TAKEN_OVER)).await;
            let mut browser = server.browser();
            let page = browser.open(&client.authorization_url()).await;
            let provider = browser.approve(&page).await;
            let person = (outcome != "cancelled").then_some("mona");
            let mut back = browser.choose(&provider, person).await;
            if outcome == "failed" {
                let state = parameter(&back, "state").unwrap();
                back.query_pairs_mut().clear().append_pair("state", &state);
            }
            let says = put_through(&server, &client, is_removed).await;
            assert_told(&browser.get(back.as_str()).await, says, &shown);
            // used up, as by any other end
            let again = browser.get(back.as_str()).await;
            again.assert_page(400);
            assert!(!again.text().contains(says), "{shown}");
            if is_removed {
                let left = kept_rows(&server).await;
                assert_eq!(left, 0, "{shown}: neither code nor session");
            }
        }
    }
}

/// CLI-20, CONS-09, R1
#[tokio::test]
async fn a_consent_page_that_outlives_its_client_leads_nowhere() {
    for is_removed in [false, true] {
        for decision in ["github", "deny"] {
            let server = server().start().await;
            let client = Client::register(&server, &Client::at(TAKEN_OVER)).await;
            let mut browser = server.browser();
            let page = browser.open(&client.authorization_url()).await;
            let before = browser.cookie_names().len();
            let says = put_through(&server, &client, is_removed).await;
            let answer = browser.decide(&page, decision).await;
            assert_told(&answer, says, decision);
            assert_eq!(browser.cookie_names().len(), before, "no browser is bound");
        }
    }
}

/// CONS-02
#[tokio::test]
async fn who_says_no_to_a_client_that_has_changed_is_heard() {
    let server = server().start().await;
    let client = Client::register(&server, &Client::at(TAKEN_OVER)).await;
    let mut browser = server.browser();
    browser.sign_in(&client.authorization_url(), "mona").await;
    assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
    let page = browser.open(&client.authorization_url()).await;
    move_away(&server, &client).await;
    assert_told(&browser.decide(&page, "deny").await, CHANGED, "deny");
    let mut back = Client::at(TAKEN_OVER);
    back["client_id"] = json!(client.id);
    let (uri, token) = managed(&client);
    assert_eq!(ask(&server, "PUT", &uri, &token, &back).await.status, 200);
    assert_eq!(look(&mut browser, &client).await, Seen::New);
}

/// CLI-20
#[tokio::test]
async fn a_client_of_the_configuration_is_held_to_what_it_is_when_a_sign_in_ends() {
    for now_there in [false, true] {
        let known = |uri: &str| KnownClient {
            id: ClientId::new("ci"),
            name: None,
            secret: None,
            redirect_uris: vec![RedirectUri::parse(uri).unwrap()],
            scopes: None,
        };
        let first = known(TAKEN_OVER);
        let before = server().configure(|config| config.clients.known.push(first));
        let before = before.start().await;
        let client = Client::named(&before, "ci", TAKEN_OVER);
        let mut browser = before.browser();
        let back = callback(&mut browser, &client).await;
        let store = Arc::clone(&before.world.store);
        let second = now_there.then(|| known("https://new.example/cb"));
        let after = server().configure(|config| config.clients.known.extend(second));
        let after = after.store(move |_| store).start().await;
        browser.move_to(&after);
        let says = if now_there { CHANGED } else { UNKNOWN };
        assert_told(&browser.get(&back).await, says, says);
    }
}

/// CLI-18, CLI-20
#[tokio::test]
async fn a_document_that_is_not_at_hand_stops_nobody_and_one_that_has_changed_does() {
    const PATH: &str = "/client.json";
    let site = Website::start().await;
    let publish = |redirect: &str| {
        let document = json!({
            "client_id": site.url(PATH),
            "client_name": "Described app",
            "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        site.put(
            PATH,
            Page::json(&document).header("cache-control", "max-age=60"),
        );
    };
    publish(LOOPBACK);
    let server = server().documents_from(&site).start().await;
    let client = Client::named(&server, &site.url(PATH), LOOPBACK);
    // after a restart nobody has seen the document of a client that nobody has signed in with
    let mut browser = server.browser();
    let back = callback(&mut browser, &client).await;
    let after = server.restart().await;
    browser.move_to(&after);
    let client = client.moved_to(&after);
    let code = client.read_code(&browser.get(&back).await.location());
    Tokens::read(&client.redeem(&code).await);

    let back = callback(&mut browser, &client).await;
    publish("https://new.example/cb");
    after.advance(Duration::from_secs(120));
    // somebody else comes, and it is fetched anew
    let page = after.browser().get(&client.authorization_url()).await;
    page.assert_page(400);
    assert_told(&browser.get(&back).await, CHANGED, "a document");
}

/// Agrees, and signs in as mona: the callback that the browser has not yet opened.
async fn callback(browser: &mut Browser, client: &Client) -> String {
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve(&page).await;
    browser.choose(&provider, Some("mona")).await.into()
}
