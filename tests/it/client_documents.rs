//! Clients that describe themselves at their `client_id`, with a real web site: sign-in, outages, changes, and who is let in.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use anteroom::config::KnownClient;
use anteroom::protocol::ids::ClientId;
use anteroom::protocol::redirect_uri::RedirectUri;
use serde_json::{Value, json};

use crate::harness::answer::{Answer, parameter};
use crate::harness::client::{Client, LOOPBACK, Tokens};
use crate::harness::log::Log;
use crate::harness::server::{Builder, Server, server};
use crate::harness::website::{Page, Website};
use crate::introspect::{ask, trust};

const PATH: &str = "/client.json";
const APP: &str = "https://app.example/cb";
/// Longer than a copy of this site's documents is fresh.
const EXPIRED: Duration = Duration::from_secs(120);

/// A document like Claude's, with a grant that nobody here has.
fn document(site: &Website) -> Value {
    json!({
        "client_id": site.url(PATH),
        "client_name": "Described app",
        "redirect_uris": [APP, LOOPBACK],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

fn with(mut document: Value, name: &str, value: Value) -> Value {
    document[name] = value;
    document
}

async fn site() -> Website {
    let site = Website::start().await;
    publish(&site, &document(&site));
    site
}

fn publish(site: &Website, document: &Value) {
    site.put(
        PATH,
        Page::json(document).header("cache-control", "max-age=60"),
    );
}

fn at(site: &Website) -> Builder {
    server().documents_from(site)
}

fn client(server: &Server, site: &Website) -> Client {
    Client::named(server, &site.url(PATH), LOOPBACK)
}

/// Whatever the site is asked for from now on, it is as good as gone.
fn down(site: &Website) {
    let wall = Page::new("<html>Are you human?</html>").status(403);
    site.put(PATH, wall.header("content-type", "text/html"));
}

async fn authorize(client: &Client, server: &Server) -> Answer {
    server.browser().get(&client.authorization_url()).await
}

fn assert_refused(answer: &Answer, status: u16, says: &[&str]) {
    answer.assert_page(status);
    for words in says {
        assert!(answer.text().contains(words), "{words}: {}", answer.text());
    }
    assert!(
        !answer.text().contains("no such client"),
        "{}",
        answer.text()
    );
    assert!(
        !answer.text().contains(r#"name="ticket""#),
        "{}",
        answer.text()
    );
}

/// That a client is asked to come again, and keeps what it has.
fn assert_unavailable(answer: &Answer) {
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (503, "temporarily_unavailable")
    );
    assert!(
        answer
            .header("retry-after")
            .parse::<u64>()
            .unwrap_or_default()
            > 0
    );
}

fn assert_invalid_client(answer: &Answer, says: &str) {
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (401, "invalid_client")
    );
    assert!(answer.text().contains(says), "{says}: {}", answer.text());
}

async fn is_kept(server: &Server, site: &Website) -> bool {
    let id = ClientId::new(site.url(PATH));
    let now = server.app.flows().clock.now();
    server
        .world
        .store
        .find_document(&id, now)
        .await
        .unwrap()
        .is_some()
}

/// CLI-01, CLI-03, CLI-12, CLI-15, CLI-25
#[tokio::test]
async fn a_client_signs_in_refreshes_and_revokes_by_what_it_says_of_itself() {
    let site = site().await;
    let server = at(&site).start().await;
    // another port of the same loopback URI, as for every client
    let client = Client::named(&server, &site.url(PATH), "http://127.0.0.1:49211/");
    let tokens = client.sign_in("mona").await;
    assert_eq!(tokens.claims()["client_id"], site.url(PATH));
    assert_eq!(client.whoami(&tokens.access).await["login"], "mona");
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    assert_eq!(
        client.refresh(&tokens.refresh).await.error(),
        "invalid_grant"
    );
    assert_eq!(site.hits(PATH), 1);
    let asked = &site.requests(PATH)[0];
    assert!(
        asked["accept"]
            .to_str()
            .unwrap()
            .contains("application/json")
    );
    for name in ["cookie", "authorization"] {
        assert!(asked.get(name).is_none(), "{name}");
    }
    let unregistered = [("redirect_uri", Some("https://app.example/cb/"))];
    let url = client.authorization_url_but(&unregistered);
    assert_refused(&server.browser().get(&url).await, 400, &["redirect_uri"]);
}

/// K7, CLI-60
#[tokio::test]
async fn who_describes_itself_or_is_configured_is_held_to_the_rules_of_all() {
    let site = site().await;
    let known = KnownClient {
        id: ClientId::new("ci"),
        name: None,
        secret: None,
        redirect_uris: vec![RedirectUri::parse(LOOPBACK).unwrap()],
        scopes: None,
    };
    let server = at(&site).configure(|config| config.clients.known.push(known));
    let server = server.start().await;
    for id in [site.url(PATH), "ci".to_owned()] {
        let client = Client::named(&server, &id, LOOPBACK);
        for (name, value, error) in [
            ("code_challenge", None, "invalid_request"),
            ("code_challenge_method", None, "invalid_request"),
            ("code_challenge_method", Some("plain"), "invalid_request"),
            (
                "resource",
                Some("https://evil.example/mcp"),
                "invalid_target",
            ),
        ] {
            let url = client.authorization_url_but(&[(name, value)]);
            let back = server.browser().get(&url).await.location();
            assert_eq!(
                parameter(&back, "error").as_deref(),
                Some(error),
                "{id} {name}"
            );
        }
        let url =
            client.authorization_url_but(&[("redirect_uri", Some("http://localhost:33418/"))]);
        server.browser().get(&url).await.assert_page(400);
        // nobody gets past the consent page
        server.browser().open(&client.authorization_url()).await;
        let code = client.code("mona").await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", LOOPBACK),
        ];
        assert_eq!(client.token(&form).await.error(), "invalid_grant");
        Tokens::read(&client.redeem(&code).await);
    }
}

/// CLI-18, CLI-19, CLI-25
#[tokio::test]
async fn after_a_restart_while_the_site_is_down_a_refresh_works_and_a_new_sign_in_does_not() {
    let site = site().await;
    let server = at(&site).on_sled().start().await;
    let (first, other) = (client(&server, &site), client(&server, &site));
    let mut tokens = first.sign_in("mona").await;
    let code = other.code("mona").await;
    down(&site);
    let restarted = server.restart().await;
    let (first, other) = (first.moved_to(&restarted), other.moved_to(&restarted));
    tokens = Tokens::read(&first.refresh(&tokens.refresh).await);
    assert_eq!(site.hits(PATH), 1, "a fresh copy was kept");
    assert_eq!(other.redeem(&code).await.status, 200);
    restarted.advance(EXPIRED);
    tokens = Tokens::read(&first.refresh(&tokens.refresh).await);
    assert_eq!(site.hits(PATH), 2, "it was tried");
    let page = authorize(&first, &restarted).await;
    assert_refused(&page, 400, &["describes itself at localhost", "status 403"]);
    // however often: from some time on the site is not asked any more
    for _ in 0..10 {
        tokens = Tokens::read(&first.refresh(&tokens.refresh).await);
    }
    assert!(site.hits(PATH) < 10);
    assert_eq!(first.revoke(&tokens.refresh).await.status, 200);
    assert_eq!(
        first.refresh(&tokens.refresh).await.error(),
        "invalid_grant"
    );
    publish(&site, &document(&site));
    let restarted = restarted.restart().await;
    first.moved_to(&restarted).sign_in("mona").await;
}

/// CLI-03, CLI-09, CLI-17, CLI-19, C1
#[tokio::test]
async fn what_cannot_be_read_is_named_to_the_person_and_forgotten() {
    let site = Website::start().await;
    let good = document(&site);
    let page = |value: &Value| Page::json(value);
    let html = || Page::new("<html></html>").header("content-type", "text/html");
    for (bad, says) in [
        (page(&good).status(403), "localhost answers with status 403"),
        (html().status(503), "localhost answers with status 503"),
        (page(&good).status(204), "status 204"),
        (
            page(&good).status(302).header("location", "/other.json"),
            "redirect",
        ),
        (html(), "breaks a rule"),
        (page(&json!([good])), "breaks a rule"),
        (
            page(&with(
                good.clone(),
                "client_id",
                json!(site.url("/client.json/")),
            )),
            "breaks a rule",
        ),
        (
            page(&with(
                good.clone(),
                "client_id",
                json!("https://app.example/client.json"),
            )),
            "breaks a rule",
        ),
        (
            page(&with(good.clone(), "redirect_uris", json!([]))),
            "redirect_uris",
        ),
        (
            page(&with(good.clone(), "padding", json!("x".repeat(10 << 20)))),
            "too large",
        ),
        (page(&good).broken(), "broke off"),
    ] {
        let server = at(&site).start().await;
        let client = client(&server, &site);
        site.put(PATH, bad);
        let before = site.hits(PATH);
        for _ in 0..2 {
            assert_refused(
                &authorize(&client, &server).await,
                400,
                &["describes itself at localhost", says],
            );
        }
        assert_eq!(site.hits(PATH), before + 2, "{says}: a failure is not kept");
        assert_eq!(site.hits("/other.json"), 0);
        site.put(PATH, page(&good));
        client.sign_in("mona").await;
    }
}

/// CLI-18, SEC-15
#[tokio::test]
async fn what_cannot_be_fetched_never_makes_a_client_throw_its_tokens_away() {
    let site = Website::start().await;
    let server = at(&site).start().await;
    let client = client(&server, &site);
    for _ in 0..2 {
        down(&site);
        assert_unavailable(&client.refresh("any").await);
        assert_unavailable(&client.revoke("any").await);
        // a rule is another thing: whoever makes the client can keep it
        let broken = with(document(&site), "redirect_uris", json!("none"));
        site.put(PATH, Page::json(&broken));
        assert_invalid_client(&client.refresh("any").await, "redirect_uris");
    }
    site.put(PATH, Page::json(&document(&site)));
    assert_eq!(client.refresh("any").await.error(), "invalid_grant");
}

/// CLI-19
#[tokio::test]
async fn each_document_that_is_not_read_is_one_line_of_the_log_with_client_and_cause() {
    let site = Website::start().await;
    let bare = with(document(&site), "redirect_uris", json!([]));
    for (page, event, cause) in [
        (Page::json(&bare), "document_refused", "redirect_uris"),
        (
            Page::new("").status(500),
            "document_unavailable",
            "status 500",
        ),
    ] {
        site.put(PATH, page);
        let server = at(&site).start().await;
        let client = client(&server, &site);
        // once unheard
        authorize(&client, &server).await.assert_page(400);
        for at_token in [false, true] {
            let (log, listening) = Log::listen("warn");
            if at_token {
                client.refresh("any").await.error();
            } else {
                authorize(&client, &server).await.assert_page(400);
            }
            drop(listening);
            let log = log.text();
            assert_eq!(log.lines().count(), 1, "{log}");
            for part in ["WARN", event, cause, &client.id] {
                assert!(log.contains(part), "{part}: {log}");
            }
        }
    }
}

/// CLI-16, CLI-17
#[tokio::test]
async fn whoever_makes_us_look_too_often_has_to_wait() {
    let site = Website::start().await;
    let server = at(&site).start().await;
    let ask = async |number: usize| {
        let id = site.url(&format!("/{number}.json"));
        let client = Client::named(&server, &id, LOOPBACK);
        (authorize(&client, &server).await, client)
    };
    for number in 0..100 {
        let (page, client) = ask(number).await;
        if page.status == 429 {
            assert_refused(&page, 429, &["localhost", "Wait"]);
            assert!(page.header("retry-after").parse::<u64>().unwrap() > 0);
            assert_unavailable(&client.refresh("any").await);
            return;
        }
        page.assert_page(400);
    }
    panic!("a hundred documents were fetched for one asker");
}

/// CLI-15, CLI-16, CLI-18
#[tokio::test]
async fn a_document_that_changes_counts_once_the_copy_has_expired() {
    let site = site().await;
    let server = at(&site).on_sled().start().await;
    let old = client(&server, &site);
    let tokens = old.sign_in("mona").await;
    let moved = with(
        document(&site),
        "redirect_uris",
        json!(["http://127.0.0.1/moved"]),
    );
    publish(&site, &moved);
    let new = Client::named(&server, &site.url(PATH), "http://127.0.0.1:5/moved");
    assert_eq!(authorize(&old, &server).await.status, 200);
    authorize(&new, &server).await.assert_page(400);
    server.advance(EXPIRED);
    new.sign_in("mona").await;
    authorize(&old, &server).await.assert_page(400);
    // what it was before does not come back with a restart
    down(&site);
    let restarted = server.restart().await;
    let (old, new) = (old.moved_to(&restarted), new.moved_to(&restarted));
    assert_eq!(authorize(&new, &restarted).await.status, 200);
    authorize(&old, &restarted).await.assert_page(400);
    Tokens::read(&new.refresh(&tokens.refresh).await);
}

/// CLI-18
#[tokio::test]
async fn a_document_that_breaks_a_rule_now_ends_no_session_and_begins_none() {
    let site = site().await;
    let server = at(&site).start().await;
    let client = client(&server, &site);
    let mut tokens = client.sign_in("mona").await;
    let secret = with(document(&site), "client_secret", json!("s3cret"));
    site.put(PATH, Page::json(&secret));
    server.advance(EXPIRED);
    for server in [server.clone(), server.restart().await] {
        let client = client.moved_to(&server);
        tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
        let page = authorize(&client, &server).await;
        assert_refused(&page, 400, &["breaks a rule", "client_secret"]);
    }
}

/// CLI-17, CLI-44
#[tokio::test]
async fn who_only_asks_fills_nothing() {
    let site = site().await;
    let server = at(&site).start().await;
    let client = client(&server, &site);
    assert_eq!(authorize(&client, &server).await.status, 200);
    assert_eq!(client.refresh("any").await.error(), "invalid_grant");
    assert!(!is_kept(&server, &site).await);
    let tokens = client.sign_in("mona").await;
    assert!(is_kept(&server, &site).await);
    // in use it is kept, however long; without, it goes
    let month = Duration::from_secs(29 * 24 * 3600);
    let mut refresh = tokens.refresh;
    for _ in 0..6 {
        server.advance(month);
        refresh = Tokens::read(&client.refresh(&refresh).await).refresh;
    }
    for _ in 0..12 {
        server.advance(month);
    }
    assert!(is_kept(&server, &site).await, "a year after the last use");
    server.advance(month);
    server.advance(month);
    assert!(!is_kept(&server, &site).await);
}

/// C3
#[tokio::test]
async fn a_client_id_is_shared_by_many_installations_and_none_ends_another() {
    let site = site().await;
    let server = at(&site).start().await;
    let client = client(&server, &site);
    let mut installed = Vec::new();
    for person in ["mona", "mona", "hubot"] {
        installed.push(client.sign_in(person).await.refresh);
    }
    let again = client.sign_in("mona").await.refresh;
    assert_eq!(client.revoke(&again).await.status, 200);
    for refresh in installed {
        Tokens::read(&client.refresh(&refresh).await);
    }
}

/// CLI-04, CLI-05
#[tokio::test]
async fn a_document_on_this_machine_is_not_fetched_unless_that_is_set() {
    let site = site().await;
    let ca = site.ca().to_owned();
    let server = server().configure(|config| config.outbound.ca.push(ca));
    let server = server.start().await;
    let client = client(&server, &site);
    let page = authorize(&client, &server).await;
    assert_refused(
        &page,
        400,
        &["describes itself at localhost", "localhost is not asked"],
    );
    assert_unavailable(&client.refresh("any").await);
    assert_eq!(site.connections(), 0);
}

/// CLI-23
#[tokio::test]
async fn only_clients_of_the_hosts_that_are_set_are_looked_up() {
    let site = site().await;
    for (hosts, registered) in [(Some(&["app.example", "host"]), false), (None, true)] {
        let server = at(&site).configure(move |config| match hosts {
            Some(hosts) => config.clients.document_hosts = hosts.map(str::to_owned).to_vec(),
            None => config.clients.metadata_documents = false,
        });
        let server = server.start().await;
        let client = client(&server, &site);
        let says = if registered {
            "has to be registered"
        } else {
            "accepted here"
        };
        assert_refused(&authorize(&client, &server).await, 400, &[says]);
        assert_invalid_client(&client.refresh("any").await, says);
        let metadata = server
            .get("/.well-known/oauth-authorization-server")
            .await
            .json();
        let member = &metadata["client_id_metadata_document_supported"];
        assert_eq!(*member, if registered { Value::Null } else { json!(true) });
    }
    assert_eq!(site.connections(), 0);
    let server =
        at(&site).configure(|config| config.clients.document_hosts = vec!["LOCALHOST".to_owned()]);
    let server = server.start().await;
    client(&server, &site).sign_in("mona").await;
}

/// CLI-23, CLI-60
#[tokio::test]
async fn a_url_of_the_configuration_is_not_fetched() {
    let site = site().await;
    let known = KnownClient {
        id: ClientId::new(site.url(PATH)),
        name: Some("Known app".to_owned()),
        secret: None,
        redirect_uris: vec![RedirectUri::parse(LOOPBACK).unwrap()],
        scopes: None,
    };
    let server = at(&site).configure(|config| {
        config.clients.known.push(known);
        config.clients.document_hosts = vec!["app.example".to_owned()];
        config.clients.redirect_hosts = vec!["app.example".to_owned()];
    });
    let server = server.start().await;
    let client = client(&server, &site);
    let tokens = client.sign_in("mona").await;
    Tokens::read(&client.refresh(&tokens.refresh).await);
    let elsewhere = client.authorization_url_but(&[("redirect_uri", Some(APP))]);
    server.browser().get(&elsewhere).await.assert_page(400);
    assert_eq!(site.connections(), 0);
    assert!(!is_kept(&server, &site).await);
}

/// CLI-23
#[tokio::test]
async fn answers_go_to_no_other_hosts_than_those_that_are_set() {
    let site = site().await;
    // it registered before the list was made
    let open = at(&site).start().await;
    let registered = Client::register(&open, &Client::at(APP)).await;
    for (hosts, status) in [
        (&["other.example"][..], 400),
        (&["app.example"], 200),
        (&[], 200),
    ] {
        let server = at(&site).configure(|config| {
            config.clients.redirect_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        });
        let store = Arc::clone(&open.world.store);
        let server = server.store(move |_| store).start().await;
        let described = client(&server, &site);
        for client in [&described, &registered] {
            for changes in [&[][..], &[("scope", Some("\""))]] {
                let to_app = [&[("redirect_uri", Some(APP))], changes].concat();
                let page = server
                    .browser()
                    .get(&client.authorization_url_but(&to_app))
                    .await;
                let expected = if changes.is_empty() { status } else { 400 };
                page.assert_page(expected);
                // of an error, a host that is not set is not even named as a way back
                let named = page.text().contains("app.example/cb");
                assert!(status == 200 || !named, "{hosts:?} {}", page.text());
            }
        }
        assert_eq!(authorize(&described, &server).await.status, 200);
    }
}

/// REV-05, CLI-23
#[tokio::test]
async fn the_refresh_token_of_a_described_client_is_in_force_while_it_may_come() {
    let site = site().await;
    let before = at(&site).configure(trust).start().await;
    let tokens = client(&before, &site).sign_in("mona").await;
    for may_come in [true, false] {
        let store = Arc::clone(&before.world.store);
        let after = at(&site).configure(trust).providers_of(&before);
        let after = after.store(move |_| store);
        let after = after.configure(move |config| config.clients.metadata_documents = may_come);
        let told = ask(&after.start().await, &tokens.refresh).await;
        assert_eq!(told.status, 200);
        assert_eq!(told.json()["active"], may_come);
    }
}
