//! What a person agreed to before: whose page it shortens, and what ends it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use anteroom::config::KnownClient;
use anteroom::protocol::client::Client as Kept;
use anteroom::protocol::ids::{ClientId, ProviderId};
use anteroom::protocol::redirect_uri::RedirectUri;
use anteroom::secret::Secret;
use anteroom::store::ClientChange;
use axum::extract::Request;
use serde_json::json;

use crate::harness::answer::{Answer, parameter, request};
use crate::harness::browser::{Browser, ticket};
use crate::harness::client::{Client, Tokens};
use crate::harness::server::{Builder, Server, server};

const DAY: Duration = Duration::from_secs(24 * 3600);
const COOKIE: &str = "__Host-anteroom-sign-in";

/// What the page makes of who sits at the browser.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    More,
    Changed,
    Remembered,
}

/// What a consent page takes the person for; each form has its own words, and all of them the buttons.
pub(crate) fn seen(page: &Answer) -> Seen {
    page.assert_page(200);
    assert!(!ticket(page).is_empty());
    let text = page.text();
    assert!(text.contains("Continue with GitHub") && text.contains("Deny"));
    let folded = text.contains("<details class=\"rest\">");
    let words = [
        "You let this app in before, on ",
        "It asks for more than before",
        "It has changed since you let it in",
    ];
    match words.map(|words| text.contains(words)) {
        [false, false, false] if !folded => Seen::New,
        [true, false, false] if folded => Seen::Remembered,
        [false, true, false] if !folded => Seen::More,
        [false, false, true] if !folded => Seen::Changed,
        _ => panic!("no page that there is: {text}"),
    }
}

async fn sign_in(browser: &mut Browser, client: &Client, person: &str) -> Tokens {
    let answer = browser.sign_in(&client.authorization_url(), person).await;
    let code = client.read_code(&answer.location());
    Tokens::read(&client.redeem(&code).await)
}

pub(crate) async fn look(browser: &mut Browser, client: &Client) -> Seen {
    seen(&browser.open(&client.authorization_url()).await)
}

/// CONS-24, CONS-02, A5, A1
#[tokio::test]
async fn who_agreed_before_is_asked_on_a_shorter_page() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    assert_eq!(look(&mut browser, &client).await, Seen::New);
    sign_in(&mut browser, &client, "mona").await;
    for prompt in [None, Some("consent"), Some("login")] {
        let url = client.authorization_url_but(&[("prompt", prompt)]);
        let page = browser.open(&url).await;
        assert_eq!(seen(&page), Seen::Remembered);
        let text = page.text();
        for told in [
            "on 21 November 2026",
            "A program on this computer",
            "Any program on this computer can ask in this way",
            "Test client",
            "https://mcp.example.com/mcp",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
        // a shared computer: nothing says who was here
        for told in ["mona", "Mona", "github:1"] {
            assert!(!text.contains(told), "{told}: {text}");
        }
    }
    sign_in(&mut browser, &client, "mona").await;
}

/// CONS-02, CONS-24, A5
#[tokio::test]
async fn what_is_remembered_is_of_one_person_client_place_and_resource() {
    let server = server()
        .configure(|config| {
            let mut other = config.servers[0].clone();
            other.path = "/other".to_owned();
            config.servers.push(other);
        })
        .start()
        .await;
    let mut metadata = Client::at("https://app.example/cb");
    metadata["redirect_uris"] = json!(["https://app.example/cb", "https://evil.example/cb"]);
    let client = Client::register(&server, &metadata).await;
    let twin = Client::register(&server, &metadata).await;
    let mut browser = server.browser();
    sign_in(&mut browser, &client, "mona").await;
    assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
    assert_eq!(look(&mut browser, &twin).await, Seen::New);
    assert_eq!(look(&mut server.browser(), &client).await, Seen::New);
    for (name, value) in [
        ("redirect_uri", "https://evil.example/cb"),
        ("resource", "https://mcp.example.com/other"),
    ] {
        let url = client.authorization_url_but(&[(name, Some(value))]);
        assert_eq!(seen(&browser.open(&url).await), Seen::New, "{name}");
    }
    // somebody else in the same browser
    sign_in(&mut browser, &twin, "octavia").await;
    assert_eq!(look(&mut browser, &client).await, Seen::New);
    assert_eq!(look(&mut browser, &twin).await, Seen::Remembered);
}

/// CLI-20
#[tokio::test]
async fn a_client_that_has_changed_is_read_anew() {
    type Change = fn(&mut Kept);
    let changes: [(&str, Change); 5] = [
        ("stays", |kept| kept.refreshes = !kept.refreshes),
        ("name", |kept| kept.name = Some("Claude".to_owned())),
        ("logo", |kept| {
            kept.logo = Some("https://a.example/l.png".to_owned());
        }),
        ("place", |kept| {
            let more = RedirectUri::parse("https://evil.example/cb").unwrap();
            kept.redirect_uris.push(more);
        }),
        ("proof", |kept| {
            kept.authentication = known("x").authentication();
        }),
    ];
    let server = server().start().await;
    for (what, change) in changes {
        let client = server.client().await;
        let mut browser = server.browser();
        sign_in(&mut browser, &client, "mona").await;
        assert_eq!(
            look(&mut browser, &client).await,
            Seen::Remembered,
            "{what}"
        );
        let (id, now) = (ClientId::new(&*client.id), crate::harness::server::NOW);
        let store = &server.world.store;
        let (before, _) = store.find_client(&id, now).await.unwrap().unwrap();
        let mut after = before.clone();
        change(&mut after);
        let done = store.change_client(&before, after, now).await;
        assert_eq!(done.unwrap(), ClientChange::Done, "{what}");
        assert_eq!(look(&mut browser, &client).await, Seen::Changed, "{what}");
        let url = client.authorization_url();
        client.read_code(&browser.sign_in(&url, "mona").await.location());
        assert_eq!(
            look(&mut browser, &client).await,
            Seen::Remembered,
            "{what}"
        );
    }
}

/// CONS-02, AUTHZ-15
#[tokio::test]
async fn more_scopes_are_asked_for_and_marked_and_what_was_agreed_before_stays() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let asks = |scope| client.authorization_url_but(&[("scope", Some(scope))]);
    let (read, run) = (asks("mcp:tools:read"), asks("mcp:tools:execute"));
    browser.sign_in(&read, "mona").await.location();
    let page = browser
        .open(&asks("mcp:tools:read mcp:tools:execute"))
        .await;
    assert_eq!(seen(&page), Seen::More);
    assert_eq!(page.text().matches(">New</strong>").count(), 1);
    assert!(
        page.text()
            .contains("Run tools on your behalf <strong class=\"mark\">New")
    );
    server.advance(DAY);
    browser.sign_in(&run, "mona").await.location();
    let both = asks("mcp:tools:read mcp:tools:execute");
    for url in [&read, &run, &both] {
        assert_eq!(seen(&browser.open(url).await), Seen::Remembered);
    }
}

/// CONS-02
#[tokio::test]
async fn what_was_not_read_again_is_forgotten_when_it_would_have_been() {
    let server = server()
        .configure(|config| config.consent_remember = 10 * DAY)
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let asks = |scope| client.authorization_url_but(&[("scope", Some(scope))]);
    let (read, run) = (asks("mcp:tools:read"), asks("mcp:tools:execute"));
    browser.sign_in(&read, "mona").await.location();
    server.advance(9 * DAY);
    browser.sign_in(&run, "mona").await.location();
    assert_eq!(seen(&browser.open(&read).await), Seen::Remembered);
    server.advance(DAY);
    assert_eq!(seen(&browser.open(&read).await), Seen::New);
}

/// CONS-02, SEC-07
#[tokio::test]
async fn it_is_forgotten_with_time() {
    for (remember, last, over) in [(10, 9, 1), (90, 29, 1)] {
        let server = server()
            .configure(move |config| config.consent_remember = remember * DAY)
            .start()
            .await;
        let client = server.client().await;
        let mut browser = server.browser();
        sign_in(&mut browser, &client, "mona").await;
        let cookie = browser.cookie(COOKIE).unwrap().value.clone();
        server.advance(last * DAY);
        assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
        server.advance(over * DAY);
        assert_eq!(look(&mut browser, &client).await, Seen::New);
        // not even with a cookie that the browser should have dropped
        browser.plant(COOKIE, &cookie);
        assert_eq!(look(&mut browser, &client).await, Seen::New);
    }
}

/// CONS-02
#[tokio::test]
async fn nothing_is_remembered_where_the_operator_does_not_want_it() {
    let server = server()
        .configure(|config| config.consent_remember = Duration::ZERO)
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    sign_in(&mut browser, &client, "mona").await;
    assert_eq!(look(&mut browser, &client).await, Seen::New);
    assert!(browser.cookie(COOKIE).is_some());
}

/// CONS-10, CONS-13
#[tokio::test]
async fn a_short_memory_leaves_a_sign_in_its_time() {
    for remember in [Duration::ZERO, Duration::from_secs(60)] {
        let server = server()
            .configure(move |config| config.consent_remember = remember)
            .start()
            .await;
        let client = server.client().await;
        let mut browser = server.browser();
        for _ in 0..2 {
            let page = browser.open(&client.authorization_url()).await;
            let provider = browser.approve(&page).await;
            let back = browser.choose(&provider, Some("mona")).await;
            server.advance(Duration::from_secs(599));
            client.read_code(&browser.get(back.as_str()).await.location());
        }
        assert_eq!(
            look(&mut browser, &client).await == Seen::New,
            remember.is_zero()
        );
        server.advance(remember);
        assert_eq!(look(&mut browser, &client).await, Seen::New);
    }
}

/// CONS-02
#[tokio::test]
async fn who_says_no_is_asked_everything_again() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    sign_in(&mut browser, &client, "mona").await;
    let page = browser.open(&client.authorization_url()).await;
    assert_eq!(seen(&page), Seen::Remembered);
    let back = browser.decide(&page, "deny").await.location();
    assert_eq!(parameter(&back, "error").unwrap(), "access_denied");
    assert_eq!(look(&mut browser, &client).await, Seen::New);
}

/// CONS-02, CONS-01
#[tokio::test]
async fn the_short_page_counts_for_the_one_it_was_made_for() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    sign_in(&mut browser, &client, "mona").await;
    // somebody pressed the button under name and destination: they get in
    let tokens = sign_in(&mut browser, &client, "octavia").await;
    assert_eq!(tokens.claims()["sub"], "github:2");
    // but they have not read everything, and do so the next time
    assert_eq!(look(&mut browser, &client).await, Seen::New);
    sign_in(&mut browser, &client, "octavia").await;
    assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
    // and mona is still known, once she is back
    sign_in(&mut browser, &server.client().await, "mona").await;
    assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
}

/// CONS-26, P5
#[tokio::test]
async fn whoever_planted_a_cookie_learns_nothing_of_who_signs_in_with_it() {
    let server = server().start().await;
    let client = server.client().await;
    let (mut attacker, mut victim) = (server.browser(), server.browser());
    let page = attacker.open(&client.authorization_url()).await;
    attacker.approve(&page).await;
    let planted = attacker.cookie(COOKIE).unwrap().value.clone();
    victim.plant(COOKIE, &planted);
    sign_in(&mut victim, &client, "mona").await;
    assert_ne!(victim.cookie(COOKIE).unwrap().value, planted);
    assert_eq!(look(&mut victim, &client).await, Seen::Remembered);
    assert_eq!(look(&mut attacker, &client).await, Seen::New);
    // each sign-in is a new one
    let first = victim.cookie(COOKIE).unwrap().value.clone();
    sign_in(&mut victim, &client, "mona").await;
    assert_ne!(victim.cookie(COOKIE).unwrap().value, first);
}

/// CONS-26, CONS-27
#[tokio::test]
async fn who_did_not_sign_in_is_nobody_here() {
    let allow = anteroom::config::Allow {
        logins: vec!["mona".to_owned()],
        ..Default::default()
    };
    let server = server().allow(allow).start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    sign_in(&mut browser, &client, "mona").await;
    let cookie = browser.cookie(COOKIE).unwrap().value.clone();
    let answer = browser.sign_in(&client.authorization_url(), "hubot").await;
    answer.assert_page(403);
    assert_eq!(browser.cookie(COOKIE).unwrap().value, cookie);
    assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
}

/// CONS-09, CONS-13
#[tokio::test]
async fn a_page_that_asks_neither_sets_nor_takes_the_cookie_of_a_sign_in() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    for planted in ["AAAAAAAAAAAAAAAAAAAAAA", "x"] {
        browser.plant(COOKIE, planted);
        let page = browser.open(&client.authorization_url()).await;
        let set = page.set_cookies();
        assert!(set.iter().all(|set| set.contains("-form=")), "{set:?}");
        assert_eq!(browser.cookie(COOKIE).unwrap().value, planted);
    }
    sign_in(&mut browser, &client, "mona").await;
    let page = browser.open(&client.authorization_url()).await;
    assert!(page.set_cookies().is_empty());
}

/// A client of the configuration.
fn known(secret: &str) -> Known {
    Known {
        redirect: "https://ci.acme.com/cb",
        secret: Some(Secret::new(secret)),
    }
}

struct Known {
    redirect: &'static str,
    secret: Option<Secret>,
}

impl Known {
    fn authentication(&self) -> anteroom::protocol::client::ClientAuthentication {
        use anteroom::protocol::client::ClientAuthentication;
        let secret = self.secret.as_ref().map(Secret::digest);
        secret.map_or(ClientAuthentication::None, ClientAuthentication::Secret)
    }

    fn builder(&self) -> Builder {
        let known = KnownClient {
            id: ClientId::new("ci"),
            name: Some("Continuous integration".to_owned()),
            secret: self.secret.as_ref().map(Secret::digest),
            redirect_uris: vec![RedirectUri::parse(self.redirect).unwrap()],
            scopes: None,
        };
        server().configure(move |config| config.clients.known.push(known))
    }

    async fn client(&self, server: &Server) -> Client {
        let mut client = server.client().await;
        "ci".clone_into(&mut client.id);
        client.secret = self
            .secret
            .as_ref()
            .map(|secret| secret.expose().to_owned());
        self.redirect.clone_into(&mut client.redirect_uri);
        client
    }
}

/// A request as a browser makes it when the person typed the address, or came from an app that is none.
fn typed(server: &Server, url: &str) -> Request {
    let mut request = request("GET", server.local(url));
    for (name, value) in [("sec-fetch-site", "none"), ("sec-fetch-dest", "document")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

async fn type_in(browser: &mut Browser, server: &Server, url: &str) -> Answer {
    browser.send(url, typed(server, url)).await
}

/// CONS-24, CONS-01, A1, A5, AUTHZ-15
#[tokio::test]
async fn nobody_goes_on_without_a_page() {
    let known = known("secret");
    let server = known.builder().start().await;
    let client = known.client(&server).await;
    let url = client.authorization_url();
    let mut browser = server.browser();
    assert_eq!(seen(&type_in(&mut browser, &server, &url).await), Seen::New);
    sign_in(&mut browser, &client, "mona").await;
    for _ in 0..2 {
        let page = type_in(&mut browser, &server, &url).await;
        assert_eq!(seen(&page), Seen::Remembered);
    }
    let mut stranger = server.browser();
    assert_eq!(
        seen(&type_in(&mut stranger, &server, &url).await),
        Seen::New
    );
}

/// CONS-24
#[tokio::test]
async fn the_provider_of_last_time_stands_first() {
    let known = known("secret");
    let server = known
        .builder()
        .configure(|config| {
            let mut other = config.providers[0].clone();
            other.id = ProviderId::new("other");
            other.label = "Other".to_owned();
            config.providers.push(other);
        })
        .start()
        .await;
    let client = known.client(&server).await;
    let url = client.authorization_url();
    for provider in ["github", "other"] {
        let mut browser = server.browser();
        let page = browser.open(&url).await;
        let away = browser.decide(&page, provider).await.location();
        let back = browser.choose(&away, Some("mona")).await;
        client.read_code(&browser.get(back.as_str()).await.location());
        let page = browser.open(&url).await;
        let (first, _) = page
            .text()
            .split_once("class=\"go\"")
            .unwrap()
            .1
            .split_once('>')
            .unwrap();
        assert!(first.contains(provider), "{first}");
    }
}
