//! The account page: who gets to see what is connected, and who can end it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use anteroom::config::Allow;
use anteroom::standin::Fault;
use http::Method;
use serde_json::json;

use crate::harness::answer::{Answer, request};
use crate::harness::browser::{Browser, ticket};
use crate::harness::client::{Client, Tokens};
use crate::harness::provider::Provider;
use crate::harness::server::{Server, rate, server};
use crate::outage::{Trouble, unsteady};
use crate::remembered::{Seen, look};

const COOKIE: &str = "__Host-anteroom-sign-in";

/// Presses the button of the page before the account page: where the provider asks who one is. Whoever is signed in signs
/// out first.
async fn leave(browser: &mut Browser, server: &Server) -> Answer {
    let mut page = browser.get(&server.url("/account")).await;
    if is_open(&page) {
        let form = [("ticket", ticket(&page))];
        page = press(browser, server, "/account/sign-out", &form).await;
    }
    page.assert_page(200);
    assert!(page.text().contains("Sign in with GitHub"), "{page:?}");
    let form = [("ticket", ticket(&page)), ("provider", "github")];
    let sign_in = server.url("/account/sign-in");
    browser.post_form(&sign_in, &form).await
}

/// The callback of a sign-in for the account page, that the browser has not yet opened.
async fn callback(browser: &mut Browser, server: &Server, person: Option<&str>) -> String {
    let provider = leave(browser, server).await.location();
    browser.choose(&provider, person).await.into()
}

/// Signs in on the account page, and opens it.
pub(crate) async fn visit(browser: &mut Browser, server: &Server, person: &str) -> Answer {
    let back = callback(browser, server, Some(person)).await;
    let answer = browser.get(&back).await;
    assert_eq!(answer.location().as_str(), server.url("/account"));
    account(browser, server).await
}

/// The account page of somebody who is signed in.
async fn account(browser: &mut Browser, server: &Server) -> Answer {
    let page = browser.get(&server.url("/account")).await;
    page.assert_page(200);
    assert!(is_open(&page), "nobody is signed in: {}", page.text());
    page
}

fn is_open(page: &Answer) -> bool {
    page.text().contains("Sign out</button>")
}

/// Connects a client, in a browser of its own.
async fn connect(server: &Server, client: &Client, person: &str) -> Tokens {
    let mut browser = server.browser();
    connect_in(&mut browser, client, person).await
}

async fn connect_in(browser: &mut Browser, client: &Client, person: &str) -> Tokens {
    let answer = browser.sign_in(&client.authorization_url(), person).await;
    Tokens::read(&client.redeem(&client.read_code(&answer.location())).await)
}

async fn named(server: &Server, name: &str, redirect_uri: &str) -> Client {
    let mut metadata = Client::at(redirect_uri);
    metadata["client_name"] = json!(name);
    Client::register(server, &metadata).await
}

/// The session of an access token, as the forms name it.
fn session(tokens: &Tokens) -> String {
    tokens.claims()["sid"].as_str().unwrap().to_owned()
}

async fn works(client: &Client, tokens: &Tokens) -> bool {
    match client.initialize(&tokens.access).await.status.as_u16() {
        200 => true,
        401 => false,
        other => panic!("neither in force nor ended: {other}"),
    }
}

/// Hands in a form of the account page, which leads back to it: what it says then.
async fn press(
    browser: &mut Browser,
    server: &Server,
    path: &str,
    form: &[(&str, &str)],
) -> Answer {
    let answer = browser.post_form(&server.url(path), form).await;
    assert_eq!(answer.location().as_str(), server.url("/account"));
    browser.get(&server.url("/account")).await
}

/// CONS-25, CONS-16, AUTHZ-23, T11
#[tokio::test]
async fn who_is_signed_in_sees_what_is_connected_to_them_and_to_nobody_else() {
    let server = server().start().await;
    let bot = named(&server, "Tame bot", "https://app.example:8443/cb").await;
    let desk = named(&server, "Desktop", "http://127.0.0.1:33418/").await;
    let other = named(&server, "Not of mona", "https://other.example/cb").await;
    let first = connect(&server, &bot, "mona").await;
    server.advance(Duration::from_secs(3660));
    let second = connect(&server, &desk, "mona").await;
    connect(&server, &other, "octavia").await;
    server.advance(Duration::from_secs(120));
    Tokens::read(&bot.refresh(&first.refresh).await);
    let mut browser = server.browser();
    let page = visit(&mut browser, &server, "mona").await;
    for told in [
        "<strong><bdi>mona</bdi></strong>",
        "GitHub",
        "Tame bot",
        "app.example:8443",
        "Desktop",
        "127.0.0.1",
        "MCP server",
        "https://mcp.example.com/mcp",
        "Run tools on your behalf",
        "anyone can choose any name",
        "<time datetime=\"2026-11-21T00:00Z\">21 November 2026, 00:00 UTC</time>",
        "<time datetime=\"2026-11-21T01:03Z\">21 November 2026, 01:03 UTC</time>",
        &session(&first),
        &session(&second),
    ] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    let tame = page.text().find("Tame bot").unwrap();
    let desktop = page.text().find("Desktop").unwrap();
    assert!(tame < desktop, "what was used last stands first");
    for secret in [
        "Not of mona",
        "octavia",
        "mona@",
        "gho_",
        "eyJ",
        &first.access,
        &first.refresh,
        &second.refresh,
    ] {
        assert!(!page.text().contains(secret), "{secret}: {}", page.text());
    }
    assert!(!page.has_cors());
    let mut empty = server.browser();
    let page = visit(&mut empty, &server, "hubot").await;
    assert!(
        page.text()
            .contains("No app is connected with this account")
    );
    assert!(!page.text().contains("/account/revoke"), "{}", page.text());
}

/// CONS-25, CONS-11
#[tokio::test]
async fn a_sign_in_for_a_client_opens_no_account_page_and_the_reverse() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    connect_in(&mut browser, &client, "mona").await;
    let page = browser.get(&server.url("/account")).await;
    page.assert_page(200);
    assert!(!is_open(&page), "{}", page.text());
    assert!(!page.text().contains("mona"), "{}", page.text());
    // and who signs in to see what is connected is given no code, and has agreed to nothing
    let mut other = server.browser();
    let back = callback(&mut other, &server, Some("octavia")).await;
    let answer = other.get(&back).await;
    assert_eq!(answer.location().as_str(), server.url("/account"));
    assert_eq!(look(&mut other, &client).await, Seen::New);
    // not even what the other one was for
    let page = other.open(&client.authorization_url()).await;
    let consent = [("ticket", ticket(&page)), ("provider", "github")];
    let sign_in = server.url("/account/sign-in");
    other.post_form(&sign_in, &consent).await.assert_page(403);
    let page = browser.get(&server.url("/account")).await;
    let decision = [("ticket", ticket(&page)), ("decision", "github")];
    let consent = server.url("/consent");
    browser
        .post_form(&consent, &decision)
        .await
        .assert_page(400);
}

/// CONS-25, CONS-02
#[tokio::test]
async fn who_revokes_one_ends_that_one_at_once_and_is_asked_everything_the_next_time() {
    let server = server().on_sled().start().await;
    let mut browser = server.browser();
    let [one, other] = [
        named(&server, "One", "https://one.example/cb").await,
        named(&server, "Other", "https://other.example/cb").await,
    ];
    let ends = connect_in(&mut browser, &one, "mona").await;
    let stays = connect_in(&mut browser, &other, "mona").await;
    assert_eq!(look(&mut browser, &one).await, Seen::Remembered);
    assert!(works(&one, &ends).await && works(&other, &stays).await);
    let page = visit(&mut browser, &server, "mona").await;
    let (ended, ticket) = (session(&ends), ticket(&page));
    let form = [("ticket", ticket), ("session", ended.as_str())];
    let page = press(&mut browser, &server, "/account/revoke", &form).await;
    page.assert_page(200);
    assert!(page.text().contains("role=\"status\">Disconnected."));
    assert!(!page.text().contains(&ended), "{}", page.text());
    assert!(page.text().contains(&session(&stays)), "{}", page.text());
    assert!(!works(&one, &ends).await && works(&other, &stays).await);
    let refused = one.refresh(&ends.refresh).await;
    assert_eq!(refused.error(), "invalid_grant");
    Tokens::read(&other.refresh(&stays.refresh).await);
    assert_eq!(look(&mut browser, &one).await, Seen::New);
    assert_eq!(look(&mut browser, &other).await, Seen::Remembered);
    // said once; and a second press, on an old page, ends nothing else
    let page = account(&mut browser, &server).await;
    assert!(!page.text().contains("role=\"status\""), "{}", page.text());
    let page = press(&mut browser, &server, "/account/revoke", &form).await;
    assert!(page.text().contains("was not connected any more"));
    assert!(works(&other, &stays).await);
}

/// CONS-25
#[tokio::test]
async fn who_revokes_all_ends_all_of_theirs() {
    let server = server().start().await;
    let mut browser = server.browser();
    let [one, two] = [
        named(&server, "One", "https://one.example/cb").await,
        named(&server, "Two", "https://two.example/cb").await,
    ];
    let mine = [
        connect_in(&mut browser, &one, "mona").await,
        connect(&server, &two, "mona").await,
        connect(&server, &two, "mona").await,
    ];
    let not_mine = connect(&server, &two, "octavia").await;
    let page = visit(&mut browser, &server, "mona").await;
    assert!(page.text().contains("Disconnect all 3 connections"));
    let form = [("ticket", ticket(&page))];
    let page = press(&mut browser, &server, "/account/revoke-all", &form).await;
    assert!(page.text().contains("Everything is disconnected."));
    assert!(page.text().contains("No app is connected"));
    assert!(!works(&one, &mine[0]).await);
    assert!(!works(&two, &mine[1]).await && !works(&two, &mine[2]).await);
    assert!(works(&two, &not_mine).await);
    assert_eq!(look(&mut browser, &one).await, Seen::New);
}

/// CONS-25
#[tokio::test]
async fn nobody_ends_what_is_another_persons() {
    let server = server().start().await;
    let client = server.client().await;
    let hers = connect(&server, &client, "octavia").await;
    let mut browser = server.browser();
    let page = visit(&mut browser, &server, "mona").await;
    let mut answers = Vec::new();
    for of in [
        session(&hers),
        "A".repeat(32),
        "x".to_owned(),
        "../revoke-all".to_owned(),
    ] {
        let form = [("ticket", ticket(&page)), ("session", of.as_str())];
        let page = press(&mut browser, &server, "/account/revoke", &form).await;
        page.assert_page(200);
        let notice = page.text().split("role=\"status\">").nth(1).unwrap();
        answers.push(notice.split('<').next().unwrap().to_owned());
    }
    answers.dedup();
    assert_eq!(answers, ["That app was not connected any more."]);
    let form = [("ticket", ticket(&page))];
    press(&mut browser, &server, "/account/revoke-all", &form).await;
    assert!(works(&client, &hers).await);
}

/// CONS-25
#[tokio::test]
async fn who_revokes_all_ends_all_of_it_or_nothing() {
    for (verb, trouble, ends) in [
        // they end in one step, and not one after the other
        ("end_session", Trouble::Fails, true),
        ("end_grant", Trouble::Fails, false),
        ("end_grant", Trouble::LosesTheAnswer, true),
    ] {
        let (server, store) = unsteady().await;
        let client = server.client().await;
        let mine = [
            connect(&server, &client, "mona").await,
            connect(&server, &client, "mona").await,
        ];
        let mut browser = server.browser();
        let page = visit(&mut browser, &server, "mona").await;
        assert!(works(&client, &mine[0]).await);
        store.order(verb, trouble);
        let form = [("ticket", ticket(&page))];
        let url = server.url("/account/revoke-all");
        let answer = browser.post_form(&url, &form).await;
        store.heal();
        if verb == "end_session" {
            assert_eq!(answer.location().as_str(), server.url("/account"));
        } else {
            answer.assert_page(503);
            let text = answer.text();
            assert!(text.contains("may still be connected"), "{text}");
            assert!(text.contains("href=\"/account\""), "{text}");
        }
        for tokens in &mine {
            let works = works(&client, tokens).await;
            assert_eq!(works, !ends, "{verb} {trouble:?}");
        }
    }
}

/// CONS-25
#[tokio::test]
async fn what_was_done_is_not_said_to_have_failed_because_the_word_of_it_is_lost() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let hers = connect(&server, &client, "mona").await;
    let mut browser = server.browser();
    let page = visit(&mut browser, &server, "mona").await;
    let id = session(&hers);
    let form = [("ticket", ticket(&page)), ("session", id.as_str())];
    store.order("save_browser_session", Trouble::Fails);
    let url = server.url("/account/revoke");
    let answer = browser.post_form(&url, &form).await;
    store.heal();
    answer.assert_page(503);
    assert!(answer.text().contains("This was done"), "{answer:?}");
    assert!(answer.text().contains("href=\"/account\""), "{answer:?}");
    assert!(!works(&client, &hers).await);
    account(&mut browser, &server).await;
}

/// CONS-25, CONS-16
#[tokio::test]
async fn an_account_page_opens_though_it_is_not_known_whether_its_tokens_would_be_missed() {
    let (server, store) = unsteady().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &server, Some("mona")).await;
    store.order("find_grant", Trouble::Fails);
    let answer = browser.get(&back).await;
    assert_eq!(answer.location().as_str(), server.url("/account"));
    store.heal();
    account(&mut browser, &server).await;
}

const ACTIONS: [&str; 3] = [
    "/account/revoke",
    "/account/revoke-all",
    "/account/sign-out",
];

/// CONS-06, CONS-25, A4
#[tokio::test]
async fn a_form_that_the_page_did_not_send_does_nothing() {
    let server = server().start().await;
    let client = server.client().await;
    let hers = connect(&server, &client, "mona").await;
    let id = session(&hers);
    let (mut victim, mut attacker) = (server.browser(), server.browser());
    let page = visit(&mut victim, &server, "mona").await;
    let own = ticket(&page).to_owned();
    let before = server.browser().get(&server.url("/account")).await;
    let strange = visit(&mut attacker, &server, "octavia").await;
    // the same person, in another browser
    let mut elsewhere = server.browser();
    let twin = visit(&mut elsewhere, &server, "mona").await;
    let mut damaged = own.clone().into_bytes();
    damaged[40] ^= 1;
    let damaged = String::from_utf8(damaged).unwrap();
    for action in ACTIONS {
        let url = server.url(action);
        for forged in [
            ticket(&strange),
            ticket(&twin),
            ticket(&before),
            &damaged,
            "",
            "x",
        ] {
            let form = [("ticket", forged), ("session", id.as_str())];
            victim.post_form(&url, &form).await.assert_page(403);
        }
        let form = [("ticket", own.as_str()), ("session", id.as_str())];
        // sent by a page of another site, or of a neighbour
        for site in ["cross-site", "same-site", "none", ""] {
            let mut request = victim.form(&url, &form);
            let headers = request.headers_mut();
            headers.insert("sec-fetch-site", site.parse().unwrap());
            victim.send(&url, request).await.assert_page(403);
        }
        // the victim's own ticket, in the attacker's browser
        attacker.post_form(&url, &form).await.assert_page(403);
        // no cookie; half a form; twice the same field; not a form at all
        let mut stripped = victim.clone();
        stripped.forget_cookie("__Host-anteroom-form");
        stripped.post_form(&url, &form).await.assert_page(403);
        let half = [("session", id.as_str())];
        victim.post_form(&url, &half).await.assert_page(403);
        let twice = [("ticket", own.as_str()), ("ticket", own.as_str())];
        victim.post_form(&url, &twice).await.assert_page(400);
        assert_eq!(victim.get(&url).await.status, 405);
    }
    account(&mut victim, &server).await;
    assert!(works(&client, &hers).await);
}

/// CONS-06, CONS-25, CONS-26
#[tokio::test]
async fn a_form_is_good_for_the_sign_in_that_it_was_made_for() {
    let server = server().start().await;
    let client = server.client().await;
    let hers = connect(&server, &client, "mona").await;
    let id = session(&hers);
    let mut browser = server.browser();
    let page = visit(&mut browser, &server, "mona").await;
    let form = [("ticket", ticket(&page)), ("session", id.as_str())];
    let replayed = async |browser: &mut Browser| {
        // to sign out, any form of this browser will do
        for action in &ACTIONS[..2] {
            let answer = browser.post_form(&server.url(action), &form).await;
            answer.assert_page(403);
            assert!(answer.text().contains("href=\"/account\""), "{answer:?}");
        }
    };
    let out = press(&mut browser, &server, "/account/sign-out", &form[..1]).await;
    assert!(!is_open(&out), "{}", out.text());
    replayed(&mut browser).await;
    visit(&mut browser, &server, "octavia").await;
    replayed(&mut browser).await;
    visit(&mut browser, &server, "mona").await;
    replayed(&mut browser).await;
    account(&mut browser, &server).await;
    assert!(works(&client, &hers).await);
}

/// CONS-11, CONS-10, CONS-25
#[tokio::test]
async fn an_attackers_sign_in_is_not_finished_in_the_browser_of_another() {
    let server = server().start().await;
    let (mut attacker, mut victim) = (server.browser(), server.browser());
    for victim_is_in in [false, true] {
        if victim_is_in {
            visit(&mut victim, &server, "octavia").await;
        }
        let stolen = callback(&mut attacker, &server, Some("mona")).await;
        let asked = server.standin().asked().len();
        victim.get(&stolen).await.assert_page(403);
        assert_eq!(server.standin().asked().len(), asked);
        let page = victim.get(&server.url("/account")).await;
        assert!(!page.text().contains("mona"), "{}", page.text());
        assert_eq!(is_open(&page), victim_is_in);
        // and it is good for nobody any more
        attacker.get(&stolen).await.assert_page(400);
    }
    // an answer is good once
    let back = callback(&mut victim, &server, Some("octavia")).await;
    assert_eq!(victim.get(&back).await.status, 303);
    victim.get(&back).await.assert_page(400);
    // nor can another site send anybody off
    let page = attacker.get(&server.url("/account")).await;
    let url = server.url("/account/sign-in");
    let form = [("ticket", ticket(&page)), ("provider", "github")];
    victim.post_form(&url, &form).await.assert_page(403);
    let mut request = attacker.form(&url, &form);
    let headers = request.headers_mut();
    headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    attacker.send(&url, request).await.assert_page(403);
}

/// CONS-26, CONS-08, P5
#[tokio::test]
async fn the_cookie_of_before_a_sign_in_opens_nothing_after_it() {
    let server = server().start().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &server, Some("mona")).await;
    let planted = browser.cookie(COOKIE).unwrap().value.clone();
    browser.get(&back).await.location();
    let fresh = browser.cookie(COOKIE).unwrap().value.clone();
    assert_ne!(planted, fresh);
    account(&mut browser, &server).await;
    let mut thief = server.browser();
    thief.plant(COOKIE, &planted);
    assert!(!is_open(&thief.get(&server.url("/account")).await));
    // somebody else signs in by a page that was opened before: the one between is worth nothing either
    let mut tab = server.browser();
    let page = tab.get(&server.url("/account")).await;
    let form = tab.cookie("__Host-anteroom-form").unwrap().value.clone();
    browser.plant("__Host-anteroom-form", &form);
    let form = [("ticket", ticket(&page)), ("provider", "github")];
    let sign_in = server.url("/account/sign-in");
    let provider = browser.post_form(&sign_in, &form).await.location();
    let back = browser.choose(&provider, Some("octavia")).await;
    browser.get(back.as_str()).await.location();
    let page = account(&mut browser, &server).await;
    assert!(page.text().contains("<bdi>octavia</bdi>"), "{page:?}");
    assert_ne!(browser.cookie(COOKIE).unwrap().value, fresh);
    thief.plant(COOKIE, &fresh);
    assert!(!is_open(&thief.get(&server.url("/account")).await));
}

/// CONS-25, CONS-26
#[tokio::test]
async fn who_signs_out_leaves_nothing_in_the_browser_and_nothing_disconnected() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let hers = connect_in(&mut browser, &client, "mona").await;
    let page = visit(&mut browser, &server, "mona").await;
    let mut copy = browser.clone();
    let form = [("ticket", ticket(&page))];
    let page = press(&mut browser, &server, "/account/sign-out", &form).await;
    assert!(!is_open(&page));
    assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
    assert!(!is_open(&copy.get(&server.url("/account")).await));
    assert!(works(&client, &hers).await);
    // whoever sits there now is nobody
    assert_eq!(look(&mut browser, &client).await, Seen::New);
}

/// CONS-25
#[tokio::test]
async fn a_sign_in_lasts_for_half_an_hour() {
    let server = server().start().await;
    let client = server.client().await;
    let hers = connect(&server, &client, "mona").await;
    let mut browser = server.browser();
    let page = visit(&mut browser, &server, "mona").await;
    server.advance(Duration::from_secs(1799));
    account(&mut browser, &server).await;
    server.advance(Duration::from_secs(1));
    assert!(!is_open(&browser.get(&server.url("/account")).await));
    let id = session(&hers);
    let form = [("ticket", ticket(&page)), ("session", id.as_str())];
    for action in &ACTIONS[..2] {
        let answer = browser.post_form(&server.url(action), &form).await;
        answer.assert_page(403);
    }
    assert!(works(&client, &hers).await);
}

/// CONS-25, CONS-26
#[tokio::test]
async fn who_signs_out_too_late_is_forgotten_all_the_same() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    connect_in(&mut browser, &client, "mona").await;
    let page = visit(&mut browser, &server, "mona").await;
    server.advance(Duration::from_secs(24 * 3600));
    assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
    let form = [("ticket", ticket(&page))];
    let page = press(&mut browser, &server, "/account/sign-out", &form).await;
    assert!(!is_open(&page));
    assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
    assert_eq!(look(&mut browser, &client).await, Seen::New);
    // and once more, where nothing is left to end
    press(&mut browser, &server, "/account/sign-out", &form).await;
}

/// CONS-25, CONS-26
#[tokio::test]
async fn an_account_page_closes_when_somebody_else_signs_in_with_the_browser() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    visit(&mut browser, &server, "mona").await;
    connect_in(&mut browser, &client, "mona").await;
    account(&mut browser, &server).await;
    connect_in(&mut browser, &client, "octavia").await;
    let page = browser.get(&server.url("/account")).await;
    assert!(!is_open(&page), "{}", page.text());
    assert!(!page.text().contains("mona"), "{}", page.text());
}

/// SEC-09, CONS-25, C2
#[tokio::test]
async fn what_a_client_calls_itself_is_text_on_the_account_page() {
    let server = server().start().await;
    let name = "<script>alert(1)</script>\u{202e}\" onclick=\"x";
    let client = named(&server, name, "https://app.example/cb").await;
    connect(&server, &client, "mona").await;
    let page = visit(&mut server.browser(), &server, "mona").await;
    for mark in ["<script", "\u{202e}", "\" onclick", "<script>"] {
        assert!(!page.text().contains(mark), "{mark}: {}", page.text());
    }
    assert!(page.text().contains("&#60;script&#62;"), "{}", page.text());
}

/// AUTHZ-22, AUTHZ-23, CONS-25
#[tokio::test]
async fn the_account_page_works_under_an_issuer_with_a_path() {
    let server = server()
        .public_url("https://mcp.example.com/a/b")
        .start()
        .await;
    let client = server.client().await;
    let hers = connect(&server, &client, "mona").await;
    let mut browser = server.browser();
    let page = visit(&mut browser, &server, "mona").await;
    let (id, text) = (session(&hers), page.text());
    assert!(text.contains("action=\"/a/b/account/revoke\""), "{text}");
    assert!(text.contains("action=\"/a/b/account/sign-out\""), "{text}");
    let form = [("ticket", ticket(&page)), ("session", id.as_str())];
    let page = press(&mut browser, &server, "/account/revoke", &form).await;
    page.assert_page(200);
    assert!(!works(&client, &hers).await);
    let refused = browser
        .post_form(&server.url("/account/revoke"), &[("ticket", "x")])
        .await;
    assert!(refused.text().contains("href=\"/a/b/account\""));
    assert_eq!(server.get("/account").await.status, 404);
    let consent = browser.open(&client.authorization_url()).await;
    assert!(consent.text().contains("href=\"/a/b/account\""));
    for method in [Method::OPTIONS, Method::GET] {
        let mut request = request(method.as_str(), "/a/b/account");
        let headers = request.headers_mut();
        headers.insert("origin", "https://evil.example".parse().unwrap());
        assert!(!server.send(request).await.has_cors());
    }
}

/// CONS-09, CONS-25
#[tokio::test]
async fn only_who_is_sent_to_the_provider_gets_the_cookie_for_the_way_back() {
    let server = server().start().await;
    let mut browser = server.browser();
    let page = browser.get(&server.url("/account")).await;
    assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
    assert!(server.standin().asked().is_empty());
    let form = [("ticket", ticket(&page)), ("provider", "nobody")];
    let url = server.url("/account/sign-in");
    browser.post_form(&url, &form).await.assert_page(400);
    assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
    let answer = leave(&mut browser, &server).await;
    let url = answer.location();
    assert!(url.as_str().starts_with(&server.standin().base_url()));
    assert_eq!(browser.cookie_names().len(), 2);
}

/// CONS-16
#[tokio::test]
async fn a_sign_in_for_the_account_page_keeps_no_tokens_and_takes_none_from_the_clients() {
    let server = server().start().await;
    let given_back = async |server: &Server, times: usize| {
        let delete = "DELETE /api/applications/standin-client/token";
        for _ in 0..2000 {
            let asked = server.standin().asked();
            if asked.iter().filter(|line| *line == delete).count() == times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the tokens were not given back");
    };
    visit(&mut server.browser(), &server, "hubot").await;
    given_back(&server, 1).await;
    assert!(!server.standin().has_tokens());
    let client = server.client().await;
    let hers = connect(&server, &client, "mona").await;
    visit(&mut server.browser(), &server, "mona").await;
    given_back(&server, 2).await;
    assert!(server.standin().has_tokens());
    assert_eq!(client.whoami(&hers.access).await["login"], "mona");
}

/// CONS-16
#[tokio::test]
async fn tokens_are_not_given_back_where_that_would_end_what_the_clients_live_by() {
    let corp = Provider::new().named("corp").that_forgets_everything();
    let (corp, other) = (Arc::new(corp), Arc::new(Provider::new().named("other")));
    let server = server().provider(&corp).provider(&other).start().await;
    let client = server.client().await;
    for (name, provider, given_back) in [
        ("corp", &corp, vec![]),
        ("other", &other, vec!["forget mona-3"]),
    ] {
        let visit = async || {
            let mut browser = server.browser();
            let page = browser.get("/account").await;
            let form = [("ticket", ticket(&page)), ("provider", name)];
            let there = browser
                .post_form("/account/sign-in", &form)
                .await
                .location();
            let back = Provider::way_back(&server, name, &there, "mona");
            browser.get(&back).await.location();
            provider.asked_at_last(1).await
        };
        // nothing of theirs is here yet
        assert_eq!(visit().await, ["forget mona-1"]);
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        let there = browser.approve_with(name, &page).await;
        let back = Provider::way_back(&server, name, &there, "mona");
        client.read_code(&browser.get(&back).await.location());
        assert_eq!(visit().await, given_back, "{name}");
    }
}

/// CONS-27, CONS-25
#[tokio::test]
async fn who_may_not_enter_reads_why_on_a_page_that_leads_to_no_app() {
    let allow = Allow {
        logins: vec!["mona".to_owned()],
        ..Allow::default()
    };
    let server = server().allow(allow).start().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &server, Some("hubot")).await;
    let page = browser.get(&back).await;
    page.assert_page(403);
    assert!(page.text().contains("You may not enter"));
    assert!(!page.text().contains("Back to the app"), "{}", page.text());
    assert!(page.text().contains("href=\"/account\""), "{page:?}");
    assert!(!is_open(&browser.get(&server.url("/account")).await));
}

/// CONS-21, CONS-25
#[tokio::test]
async fn a_provider_that_fails_opens_nothing_and_is_named() {
    let server = server().start().await;
    for (fault, status) in [
        (Fault::Down, 503),
        (Fault::TooMany, 503),
        (Fault::Body("<html>raw</html>".to_owned()), 502),
    ] {
        let mut browser = server.browser();
        let back = callback(&mut browser, &server, Some("mona")).await;
        server.standin().fault("/api/user", fault);
        let page = browser.get(&back).await;
        page.assert_page(status);
        for told in ["GitHub", "href=\"/account\"", "<dt>Request</dt>"] {
            assert!(page.text().contains(told), "{told}: {}", page.text());
        }
        for untold in ["Back to the app", "raw", "error="] {
            assert!(!page.text().contains(untold), "{untold}: {}", page.text());
        }
        server.standin().heal();
        assert!(!is_open(&browser.get(&server.url("/account")).await));
        visit(&mut browser, &server, "mona").await;
    }
    // it may have been the person's no, or a rule of the provider
    let mut browser = server.browser();
    let back = callback(&mut browser, &server, None).await;
    let page = browser.get(&back).await;
    page.assert_page(403);
    for told in [
        "refused at GitHub",
        "or you said no there",
        "href=\"/account\"",
    ] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    assert!(!is_open(&browser.get(&server.url("/account")).await));
}

/// CONS-13, CONS-25
#[tokio::test]
async fn a_client_is_connected_in_another_tab_while_the_account_page_is_open() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve(&page).await;
    let back = browser.choose(&provider, Some("mona")).await;
    // its answer comes after somebody signed in on the account page
    visit(&mut browser, &server, "mona").await;
    let answer = browser.get(back.as_str()).await;
    let tokens = Tokens::read(&client.redeem(&client.read_code(&answer.location())).await);
    let page = account(&mut browser, &server).await;
    assert!(page.text().contains(&session(&tokens)), "{}", page.text());
}

/// SEC-07
#[tokio::test]
async fn the_account_page_is_limited_like_every_other() {
    let server = server()
        .configure(|config| config.limits.authorize = rate(5, Duration::from_secs(60)))
        .start()
        .await;
    let mut browser = server.browser();
    for _ in 0..5 {
        browser.get(&server.url("/account")).await.assert_page(200);
    }
    let page = browser.get(&server.url("/account")).await;
    page.assert_page(429);
    assert!(!page.text().contains("sign-in"), "{}", page.text());
    for action in ACTIONS.iter().chain(&["/account/sign-in"]) {
        let answer = browser.post_form(&server.url(action), &[("x", "y")]).await;
        answer.assert_page(429);
    }
}
