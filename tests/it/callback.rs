//! The way back from the provider: in the browser that agreed, once, and what the client is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use anteroom::config::{Allow, ProviderKind};
use anteroom::protocol::ids::ProviderId;
use anteroom::standin::Fault;
use serde_json::json;
use tokio::time::sleep;
use url::Url;

use crate::changed_meanwhile::remove;
use crate::harness::answer::{Answer, parameter};
use crate::harness::browser::Browser;
use crate::harness::client::{Client, STATE, Tokens};
use crate::harness::server::{Server, server};
use crate::outage::{Trouble, unsteady};

/// Agrees, and signs in as mona: the callback that the browser has not yet opened.
async fn callback(browser: &mut Browser, client: &Client) -> String {
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve(&page).await;
    browser.choose(&provider, Some("mona")).await.into()
}

/// The refusal that the client got, with everything that must stand beside it.
fn refusal(server: &Server, back: &Url) -> String {
    assert_eq!(parameter(back, "state").as_deref(), Some(STATE));
    assert_eq!(parameter(back, "iss").as_deref(), Some(server.issuer()));
    assert_eq!(parameter(back, "code"), None);
    assert_eq!(back.fragment(), None);
    parameter(back, "error").unwrap()
}

/// What the page of a provider that failed tells: the refusal that its button takes to the client.
fn told(server: &Server, page: &Answer) -> String {
    // a browser gets no 5xx in place of the redirect
    page.assert_page(200);
    let text = page.text();
    let error = if text.contains("cannot be reached") {
        "temporarily_unavailable"
    } else {
        "server_error"
    };
    for said in [
        "GitHub",
        "tell whoever runs this server",
        "<dt>Request</dt>",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(
        !text.contains("<form"),
        "what was approved is used up: {text}"
    );
    let back = link(text, "Back to the app");
    assert_eq!(refusal(server, &back), error);
    // and where nobody presses it, a client that listens on the web hears of it all the same
    let by_itself = match back.scheme() {
        "http" | "https" => format!("20; url={back}"),
        _ => String::new(),
    };
    assert_eq!(page.header("refresh"), by_itself);
    assert_eq!(text.contains("You are taken back"), !by_itself.is_empty());
    error.to_owned()
}

/// Where the link with these words leads.
fn link(text: &str, words: &str) -> Url {
    let (before, _) = text.split_once(&format!(">{words}</a>")).unwrap();
    let (_, link) = before.rsplit_once("href=\"").unwrap();
    let link = link.split('"').next().unwrap();
    link.replace("&#38;", "&").parse().unwrap()
}

/// CONS-28, CONS-16, CONS-20, AUTHZ-16, TOK-03, AT-04, AT-05
#[tokio::test]
async fn seven_steps_lead_from_a_client_to_a_tool_that_knows_who_calls() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve(&page).await;
    let back = browser.choose(&provider, Some("mona")).await;
    let answer = browser.get(back.as_str()).await;
    assert_eq!(answer.status, 303);
    let code = client.read_code(&answer.location());
    let redeemed = client.redeem(&code).await;
    let tokens = Tokens::read(&redeemed);
    assert_eq!(tokens.expires_in, 3600);
    let time = |claim: &str| tokens.claims()[claim].as_u64().unwrap();
    assert_eq!(time("exp") - time("iat"), tokens.expires_in);
    assert_eq!(tokens.claims()["sub"], "github:1");
    let who = client.whoami(&tokens.access).await;
    assert_eq!(who["subject"], "github:1");
    assert_eq!(who["login"], "mona");
    assert_eq!(who["verified_email"], "mona@example.com");
    assert_eq!(who["client_id"], client.id);
    for (name, told) in [
        ("page", page.text().to_owned()),
        ("provider", provider.to_string()),
        ("callback", format!("{answer:?}")),
        ("token", redeemed.text().to_owned()),
        ("whoami", who.to_string()),
        ("claims", tokens.claims().to_string()),
    ] {
        assert!(!told.contains("gho_"), "{name}");
        assert!(!told.contains("standin-secret"), "{name}");
    }
    for personal in ["mona", "Mona", "@"] {
        assert!(!tokens.claims().to_string().contains(personal));
    }
}

/// CONS-10, CONS-11, A3, A7, R6, U2
#[tokio::test]
async fn an_answer_in_another_browser_is_refused_and_good_for_nobody_any_more() {
    let server = server().start().await;
    let client = server.client().await;
    for victim_was_here in [false, true] {
        let (mut attacker, mut victim) = (server.browser(), server.browser());
        if victim_was_here {
            victim
                .sign_in(&client.authorization_url(), "octavia")
                .await
                .location();
        }
        let stolen = callback(&mut attacker, &client).await;
        let asked = server.standin().asked().len();
        let answer = victim.get(&stolen).await;
        answer.assert_page(403);
        assert!(!answer.text().contains("code="), "{}", answer.text());
        // not even the code was tried
        assert_eq!(server.standin().asked().len(), asked);
        attacker.get(&stolen).await.assert_page(400);
    }
}

/// CONS-11
#[tokio::test]
async fn an_answer_needs_the_cookie_of_the_approval() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &client).await;
    browser.forget_cookies();
    browser.get(&back).await.assert_page(403);
    let back = callback(&mut browser, &client).await;
    // the page of another approval does not take the first one's cookie away
    callback(&mut browser, &client).await;
    client.read_code(&browser.get(&back).await.location());
}

/// CONS-10, U2
#[tokio::test]
async fn an_answer_is_good_once() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &client).await;
    client.read_code(&browser.get(&back).await.location());
    browser.get(&back).await.assert_page(400);
    browser.get(&back).await.assert_page(400);
}

/// CONS-10, U2
#[tokio::test]
async fn of_two_answers_at_once_one_is_taken() {
    let server = server().on_sled().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &client).await;
    let mut double = browser.clone();
    let (one, other) = tokio::join!(browser.get(&back), double.get(&back));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 400]);
}

/// CONS-10, SEC-14, U2, AUTHZ-23
#[tokio::test]
async fn a_wrong_answer_goes_nowhere_and_takes_nothing_away() {
    let server = server()
        .configure(|config| {
            let mut other = config.providers[0].clone();
            other.id = ProviderId::new("other");
            config.providers.push(other);
        })
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let good = callback(&mut browser, &client).await;
    let good: Url = good.parse().unwrap();
    let state = parameter(&good, "state").unwrap();
    let mut bent = state.clone().into_bytes();
    bent[60] = if bent[60] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent).unwrap();
    let issuer = server.issuer();
    for wrong in [
        format!("{issuer}/callback/github"),
        format!("{issuer}/callback/github?code=x"),
        format!("{issuer}/callback/github?code=x&state="),
        format!("{issuer}/callback/github?code=x&state=x"),
        format!("{issuer}/callback/github?code=x&state={bent}"),
        format!("{issuer}/callback/github?code=x&state={}", &state[..63]),
        format!("{issuer}/callback/github?code=x&state={state}&state={state}"),
        format!("{issuer}/callback/github?code=x&code=y&state={state}"),
        format!("{issuer}/callback/github?error=x&error=y&state={state}"),
        format!("{issuer}/callback/github?error=access_denied&state={bent}"),
        format!("{issuer}/callback/github?code=%ff&state={state}"),
        format!("{issuer}/callback/other?code=x&state={state}"),
        format!("{issuer}/callback/nobody?code=x&state={state}"),
        format!("{issuer}/callback/GITHUB?code=x&state={state}"),
    ] {
        browser.get(&wrong).await.assert_page(400);
    }
    client.read_code(&browser.get(good.as_str()).await.location());
}

/// CONS-10
#[tokio::test]
async fn a_person_has_ten_minutes_at_the_provider() {
    let server = server().start().await;
    let client = server.client().await;
    for (seconds, good) in [(599, true), (600, false), (3600, false)] {
        let mut browser = server.browser();
        let back = callback(&mut browser, &client).await;
        server.advance(Duration::from_secs(seconds));
        let answer = browser.get(&back).await;
        if good {
            client.read_code(&answer.location());
        } else {
            answer.assert_page(400);
        }
    }
}

/// CONS-13, CONS-12
#[tokio::test]
async fn two_tabs_sign_in_beside_each_other() {
    let server = server().start().await;
    let first = server.client().await;
    let second = Client::register(&server, &Client::at("https://app.example/cb")).await;
    let mut browser = server.browser();
    let pages = [
        browser.open(&first.authorization_url()).await,
        browser.open(&second.authorization_url()).await,
    ];
    let providers = [
        browser.approve(&pages[0]).await,
        browser.approve(&pages[1]).await,
    ];
    let back = [
        browser.choose(&providers[0], Some("mona")).await,
        browser.choose(&providers[1], Some("octavia")).await,
    ];
    // in the other order
    let answer = browser.get(back[1].as_str()).await.location();
    let tokens = Tokens::read(&second.redeem(&second.read_code(&answer)).await);
    assert_eq!(tokens.claims()["sub"], "github:2");
    let answer = browser.get(back[0].as_str()).await.location();
    let tokens = Tokens::read(&first.redeem(&first.read_code(&answer)).await);
    assert_eq!(tokens.claims()["sub"], "github:1");
}

/// CONS-13
#[tokio::test]
async fn two_tabs_approve_before_either_has_its_answer() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let url = client.authorization_url();
    browser.sign_in(&url, "mona").await.location();
    let page = browser.open(&url).await;
    // both forms leave with the cookie of before
    let mut tab = browser.clone();
    let providers = [tab.approve(&page).await, browser.approve(&page).await];
    for provider in providers {
        let back = browser.choose(&provider, Some("mona")).await;
        client.read_code(&browser.get(back.as_str()).await.location());
    }
}

/// AUTHZ-18, AUTHZ-17, CONS-21
#[tokio::test]
async fn what_the_provider_says_no_to_reaches_the_client_in_our_words() {
    let server = server().start().await;
    let client = server.client().await;
    for (error, expected) in [
        ("access_denied", "access_denied"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("server_error", "server_error"),
        ("redirect_uri_mismatch", "server_error"),
        ("<script>alert(1)</script>", "server_error"),
    ] {
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        let provider = browser.approve(&page).await;
        let mut back: Url = server.url("/callback/github").parse().unwrap();
        back.query_pairs_mut()
            .append_pair("error", error)
            .append_pair("error_description", "raw words of the provider")
            .append_pair("error_uri", "https://evil.example/")
            .append_pair("state", &parameter(&provider, "state").unwrap());
        let answer = browser.get(back.as_str()).await;
        // who said no knows what happened, and needs no page
        let got = if expected == "access_denied" {
            let said = parameter(&answer.location(), "error_description").unwrap();
            assert!(said.contains("or the person said no"), "{said}");
            refusal(&server, &answer.location())
        } else {
            told(&server, &answer)
        };
        assert_eq!(got, expected, "{error}");
        for raw in ["raw", "evil", "alert", "redirect_uri_mismatch"] {
            assert!(!format!("{answer:?}").contains(raw), "{answer:?}");
        }
        assert!(answer.set_cookies().is_empty(), "{answer:?}");
    }
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve(&page).await;
    let back = browser.choose(&provider, None).await;
    let location = browser.get(back.as_str()).await.location();
    assert_eq!(refusal(&server, &location), "access_denied");
    // neither code nor error
    let page = browser.open(&client.authorization_url()).await;
    let state = parameter(&browser.approve(&page).await, "state").unwrap();
    let back = server.url(&format!("/callback/github?state={state}"));
    assert_eq!(told(&server, &browser.get(&back).await), "server_error");
}

/// AUTHZ-18, CONS-19, CONS-21, SEC-16
#[tokio::test]
async fn a_provider_that_fails_is_named_on_a_page_with_an_answer_for_the_client() {
    let server = server().start().await;
    let client = server.client().await;
    let (token, user) = ("/login/oauth/access_token", "/api/user");
    let body = |text: &str| Fault::Body(text.to_owned());
    for (path, fault, expected) in [
        (token, Fault::Down, "temporarily_unavailable"),
        (token, Fault::TooMany, "temporarily_unavailable"),
        (
            token,
            body(r#"{"error":"bad_verification_code","error_description":"raw"}"#),
            "server_error",
        ),
        (
            token,
            body(r#"{"error":"incorrect_client_credentials"}"#),
            "server_error",
        ),
        (token, body("<html>raw</html>"), "server_error"),
        (token, body(""), "server_error"),
        (token, body("{}"), "server_error"),
        (token, body("null"), "server_error"),
        (token, Fault::Absent, "server_error"),
        (user, Fault::Down, "temporarily_unavailable"),
        (user, Fault::RateLimited, "temporarily_unavailable"),
        (user, body("[]"), "server_error"),
        (user, body("{}"), "server_error"),
        (user, body(r#"{"login":"mona"}"#), "server_error"),
        (user, body(r#"{"id":"1","login":"mona"}"#), "server_error"),
        (user, body(r#"{"id":null,"login":"mona"}"#), "server_error"),
        (user, Fault::Absent, "server_error"),
    ] {
        let shown = format!("{path} {fault:?}");
        let mut browser = server.browser();
        let back = callback(&mut browser, &client).await;
        server.standin().fault(path, fault);
        let page = browser.get(&back).await;
        assert_eq!(told(&server, &page), expected, "{shown}");
        assert!(!page.text().contains("raw"), "{}", page.text());
        server.standin().heal();
        browser.get(&back).await.assert_page(400);
    }
}

/// AUTHZ-18
#[tokio::test]
async fn a_provider_that_nobody_reaches_is_told_as_such() {
    let server = server()
        .configure(|config| {
            config.providers[0].kind = ProviderKind::GitHub {
                base_url: "http://127.0.0.1:1".parse().unwrap(),
                api_url: "http://127.0.0.1:1/api".parse().unwrap(),
            };
        })
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let state = parameter(&browser.approve(&page).await, "state").unwrap();
    let back = server.url(&format!("/callback/github?code=x&state={state}"));
    assert_eq!(
        told(&server, &browser.get(&back).await),
        "temporarily_unavailable"
    );
}

/// AUTHZ-18
#[tokio::test]
async fn an_app_with_a_scheme_of_its_own_is_told_by_the_same_button() {
    let server = server().start().await;
    let client = Client::register(&server, &Client::at("cursor://a/cb")).await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &client).await;
    server.standin().fault("/api/user", Fault::Down);
    let page = browser.get(&back).await;
    assert_eq!(told(&server, &page), "temporarily_unavailable");
    assert_eq!(link(page.text(), "Back to the app").scheme(), "cursor");
}

/// CONS-27, AUTHZ-23
#[tokio::test]
async fn who_is_not_on_the_list_reads_why_and_finds_the_way_back() {
    let allow = Allow {
        logins: vec!["mona".to_owned()],
        orgs: vec!["acme".to_owned()],
        ..Allow::default()
    };
    let server = server().allow(allow).start().await;
    for (redirect, link) in [
        (
            "https://app.example/cb",
            "https://app.example/cb?error=access_denied&",
        ),
        (
            "http://127.0.0.1:33418/",
            "http://127.0.0.1:33418/?error=access_denied&",
        ),
        ("cursor://a/cb", "cursor://a/cb?error=access_denied&"),
    ] {
        let client = Client::register(&server, &Client::at(redirect)).await;
        for (person, enters) in [
            ("mona", true),
            ("octavia", true),
            ("hubot", false),
            ("juergen", false),
            ("wanda", false),
        ] {
            let mut browser = server.browser();
            let answer = browser.sign_in(&client.authorization_url(), person).await;
            if enters {
                assert!(!answer.text().contains("You may not enter"), "{person}");
                continue;
            }
            answer.assert_page(403);
            for told in ["You may not enter", person, "acme", link, "iss="] {
                assert!(
                    answer.text().contains(told),
                    "{person} {told}: {}",
                    answer.text()
                );
            }
            assert!(!answer.text().contains("code="), "{person}");
        }
    }
}

/// CLI-20, CONS-16
#[tokio::test]
async fn the_provider_is_asked_for_nothing_where_the_client_is_gone() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &client).await;
    remove(&server, &client).await;
    let asked = server.standin().asked().len();
    browser.get(&back).await.assert_page(400);
    assert_eq!(server.standin().asked().len(), asked);
}

/// CONS-16, AUTHZ-18
#[tokio::test]
async fn the_tokens_of_a_sign_in_that_cannot_be_kept_are_given_back() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &client).await;
    store.order("put_code", Trouble::Fails);
    let answer = browser.get(&back).await;
    assert_eq!(refusal(&server, &answer.location()), "server_error");
    for _ in 0..2000 {
        if !server.standin().has_tokens() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("the tokens were not given back");
}

/// AUTHZ-25, AUTHZ-16, AUTHZ-23
#[tokio::test]
async fn an_app_with_a_scheme_of_its_own_is_reached_by_a_button() {
    let server = server().start().await;
    let uri = "cursor://anysphere.cursor-mcp/oauth/callback";
    let client = Client::register(&server, &Client::at(uri)).await;
    let mut browser = server.browser();
    let answer = browser.sign_in(&client.authorization_url(), "mona").await;
    answer.assert_page(200);
    let link = |text: &str| -> Url {
        let (_, rest) = text.split_once(&format!("href=\"{uri}?")).unwrap();
        let query = rest
            .split('"')
            .next()
            .unwrap()
            .replace("&#38;", "&")
            .replace("&amp;", "&");
        format!("{uri}?{query}").parse().unwrap()
    };
    let code = client.read_code(&link(answer.text()));
    Tokens::read(&client.redeem(&code).await);
    let page = browser.open(&client.authorization_url()).await;
    let denied = browser.decide(&page, "deny").await;
    denied.assert_page(200);
    assert_eq!(refusal(&server, &link(denied.text())), "access_denied");
}

#[tokio::test]
async fn a_sign_in_goes_on_after_a_restart() {
    for server in [server().start().await, server().on_sled().start().await] {
        let client = server.client().await;
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        let server = server.restart().await;
        browser.move_to(&server);
        let provider = browser.approve(&page).await;
        let server = server.restart().await;
        browser.move_to(&server);
        let back = browser.choose(&provider, Some("mona")).await;
        let back = browser.get(back.as_str()).await.location();
        let server = server.restart().await;
        let client = client.moved_to(&server);
        let tokens = Tokens::read(&client.redeem(&client.read_code(&back)).await);
        let client = client.moved_to(&server.restart().await);
        assert_eq!(client.whoami(&tokens.access).await["login"], "mona");
    }
}

/// U7, CONS-19, CONS-20
#[tokio::test]
async fn a_person_is_their_number_and_not_their_name() {
    let server = server().start().await;
    let client = server.client().await;
    assert_eq!(client.sign_in("mona").await.claims()["sub"], "github:1");
    server.standin().rename("mona", "lisa");
    assert_eq!(client.sign_in("lisa").await.claims()["sub"], "github:1");
    server.standin().rename("hubot", "mona");
    let tokens = client.sign_in("mona").await;
    assert_eq!(tokens.claims()["sub"], "github:3");
    assert_eq!(
        client.whoami(&tokens.access).await["verified_email"],
        json!(null)
    );
}

/// P5, CONS-08
#[tokio::test]
async fn a_planted_cookie_is_not_taken_over() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    for planted in ["AAAAAAAAAAAAAAAAAAAAAA", "x", "", "%00", "\"a\""] {
        browser.plant("__Host-anteroom-sign-in", planted);
        let provider = browser.approve(&page).await;
        let cookie = browser.cookie("__Host-anteroom-sign-in").unwrap();
        assert_ne!(cookie.value, planted);
        let back = browser.choose(&provider, Some("mona")).await;
        client.read_code(&browser.get(back.as_str()).await.location());
    }
    // under the plain name, which a neighbour can set, it is nothing at all
    let value = browser
        .cookie("__Host-anteroom-sign-in")
        .unwrap()
        .value
        .clone();
    let back = callback(&mut browser, &client).await;
    browser.forget_cookies();
    browser.plant("anteroom-sign-in", &value);
    browser.get(&back).await.assert_page(403);
}

/// CONS-13
#[tokio::test]
async fn each_approval_renews_the_cookie_that_must_come_back() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    for approval in 0..2 {
        let page = browser.open(&client.authorization_url()).await;
        let answer = browser.decide(&page, "github").await;
        assert_eq!(answer.status, 303);
        let set = answer.set_cookies();
        assert!(
            set.iter()
                .any(|cookie| cookie.contains("anteroom-sign-in=")
                    && cookie.contains("Max-Age=3600")),
            "{approval}: {set:?}"
        );
    }
}
