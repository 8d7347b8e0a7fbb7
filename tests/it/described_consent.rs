//! What a person sees of a client that describes itself on a real web site: its host, its logo, and that it has changed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::answer::{Answer, request};
use crate::harness::browser::Browser;
use crate::harness::client::Client;
use crate::harness::server::{Server, server};
use crate::harness::website::{Page, Website};
use crate::remembered::{Seen, seen};

const PATH: &str = "/client.json";
const APP: &str = "https://app.example/cb";
/// Longer than the documents of this site are fresh.
const EXPIRED: Duration = Duration::from_secs(120);

fn document(site: &Website) -> Value {
    json!({
        "client_id": site.url(PATH),
        "client_name": "Described app",
        "logo_uri": site.url("/logo"),
        "redirect_uris": [APP],
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

fn publish(site: &Website, document: &Value) {
    let page = Page::json(document).header("cache-control", "max-age=60");
    site.put(PATH, page);
}

/// A server, a site with a client on it, and the client.
async fn described() -> (Server, Website, Client) {
    let site = Website::start().await;
    publish(&site, &document(&site));
    let server = server().documents_from(&site).start().await;
    let client = Client::named(&server, &site.url(PATH), APP);
    (server, site, client)
}

async fn look(browser: &mut Browser, client: &Client) -> Answer {
    browser.open(&client.authorization_url()).await
}

/// Where the page has its picture.
fn picture(page: &Answer) -> Option<&str> {
    let (_, rest) = page.text().split_once("src=\"/logo/")?;
    let (sealed, _) = rest.split_once('"')?;
    Some(sealed)
}

/// The first bytes of a PNG of 48 by 48: all that is looked at.
fn png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x30\0\0\0\x30\x08\x06\0\0\0".to_vec();
    bytes.extend([0; 32]);
    bytes
}

/// CLI-21, CONS-03, CONS-04, CONS-05
#[tokio::test]
async fn a_page_names_the_host_that_describes_the_app_and_says_where_the_answer_goes() {
    let (server, _site, client) = described().await;
    let page = look(&mut server.browser(), &client).await;
    for told in [
        "Described app",
        "This app is described by a page at <bdi>localhost</bdi>; this server has not checked who wrote it.",
        "<bdi>app.example</bdi>",
        "This is not <bdi>localhost</bdi>, which describes the app.",
        &client.id,
        APP,
    ] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    assert!(!page.text().contains("registered itself"));
}

/// CLI-20, CONS-02
#[tokio::test]
async fn a_document_that_changes_is_asked_about_again() {
    for (member, value) in [
        ("client_name", json!("Another name")),
        ("logo_uri", json!("https://a.example/other-logo")),
        ("redirect_uris", json!([APP, "https://evil.example/cb"])),
        ("grant_types", json!(["authorization_code"])),
    ] {
        let (server, site, client) = described().await;
        let mut browser = server.browser();
        browser.sign_in(&client.authorization_url(), "mona").await;
        let mut changed = document(&site);
        changed[member] = value;
        publish(&site, &changed);
        // what is fresh is not asked for again
        let page = look(&mut browser, &client).await;
        assert_eq!(seen(&page), Seen::Remembered, "{member}");
        server.advance(EXPIRED);
        let page = look(&mut browser, &client).await;
        assert_eq!(seen(&page), Seen::Changed, "{member}");
    }
}

/// CLI-22, C2
#[tokio::test]
async fn a_logo_comes_from_us_and_only_where_it_is_a_picture() {
    let (server, site, client) = described().await;
    let page = look(&mut server.browser(), &client).await;
    assert!(
        !page.text().contains(&site.url("/logo")),
        "never hot-linked"
    );
    assert_eq!(site.hits("/logo"), 0, "only the picture is waited for");
    let path = format!("/logo/{}", picture(&page).unwrap());
    site.put(
        "/logo",
        Page::new(png()).header("content-type", "text/html"),
    );
    for _ in 0..2 {
        let logo = server.get(&path).await;
        assert_eq!(logo.status, 200);
        assert_eq!(logo.header("content-type"), "image/png");
        assert_eq!(logo.header("x-content-type-options"), "nosniff");
        assert!(logo.header("content-security-policy").contains("sandbox"));
        assert!(!logo.has_cors());
    }
    assert_eq!(site.hits("/logo"), 1);

    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    for (name, bytes) in [("/svg", &svg[..]), ("/page", b"<html>"), ("/empty", b"")] {
        site.put(
            name,
            Page::new(bytes.to_vec()).header("content-type", "image/png"),
        );
        let mut other = document(&site);
        other["logo_uri"] = json!(site.url(name));
        publish(&site, &other);
        server.advance(EXPIRED);
        let page = look(&mut server.browser(), &client).await;
        let path = format!("/logo/{}", picture(&page).unwrap());
        assert_eq!(server.get(&path).await.status, 404, "{name}");
    }
}

/// CLI-22, C1
#[tokio::test]
async fn nobody_can_make_us_fetch_a_picture_that_no_page_of_ours_shows() {
    let (server, site, client) = described().await;
    site.put("/logo", Page::new(png()));
    let page = look(&mut server.browser(), &client).await;
    let sealed = picture(&page).unwrap().to_owned();
    let cut = &sealed[..sealed.len() - 1];
    let made_up = site.url("/logo");
    for name in [cut, "x", &made_up, &sealed.repeat(2)] {
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let answer = server.send(request("GET", &format!("/logo/{name}"))).await;
        assert_eq!(answer.status, 404, "{name}");
    }
    assert_eq!(site.hits("/logo"), 0);
    // a registered client has no picture: it could borrow anybody's face
    let mut metadata = Client::at(APP);
    metadata["logo_uri"] = json!(site.url("/logo"));
    let registered = Client::register(&server, &metadata).await;
    let page = look(&mut server.browser(), &registered).await;
    assert_eq!(picture(&page), None);
}
