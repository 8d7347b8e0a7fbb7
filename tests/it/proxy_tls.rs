//! Servers behind the proxy that are spoken to by TLS: known by an authority of the operator's, or not spoken to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::backend::http::{BadBackend, Proxy};
use anteroom::config::Backend;
use anteroom::outbound::authority;
use http::StatusCode;
use rustls_pki_types::CertificateDer;
use serde_json::json;
use url::Url;

use crate::harness::backend::{behind_a_gate, call};
use crate::harness::client::message;
use crate::harness::gate::{post, send};
use crate::harness::log::Log;
use crate::harness::server::server;
use crate::harness::website::{Page, Website};

async fn website() -> Website {
    let site = Website::start().await;
    site.put(
        "/inner",
        Page::json(&json!({"jsonrpc": "2.0", "id": 7, "result": {}})),
    );
    site
}

fn authorities(site: &Website) -> Vec<CertificateDer<'static>> {
    authority::read(&[site.ca().to_owned()]).unwrap()
}

#[tokio::test]
async fn a_server_is_known_by_an_authority_of_the_operators() {
    let site = website().await;
    let url = Url::parse(&site.url("/inner")).unwrap();
    let proxy = Proxy::with_authorities(&url, &authorities(&site)).unwrap();
    let (router, token) = behind_a_gate(proxy);
    for _ in 0..3 {
        let answer = send(&router, post(&token, &call())).await;
        assert_eq!(
            (answer.status, &answer.body["id"]),
            (StatusCode::OK, &json!(7))
        );
    }
    assert_eq!((site.hits("/inner"), site.connections()), (3, 1));
    let headers = &site.requests("/inner")[0];
    let (host, port) = site.host();
    assert_eq!(headers["host"], format!("{host}:{port}"));
    assert_eq!(headers["x-anteroom-user"], "github:1");
    assert!(!headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_server_that_is_not_known_gets_nothing_and_the_log_says_what_to_do() {
    let (site, other) = (website().await, website().await);
    let url = Url::parse(&site.url("/inner")).unwrap();
    let strange = Url::parse(
        &site
            .url("/inner")
            .replace("localhost", "[::ffff:127.0.0.1]"),
    );
    for (url, trusted) in [
        (url, authorities(&other)),
        (strange.unwrap(), authorities(&site)),
    ] {
        let (log, _listening) = Log::listen("anteroom=info");
        let (router, token) = behind_a_gate(Proxy::with_authorities(&url, &trusted).unwrap());
        let answer = send(&router, post(&token, &call())).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!((answer.code(), &answer.body["id"]), (Some(502), &json!(7)));
        let text = log.text();
        for part in ["invalid peer certificate", "outbound.ca", url.as_str()] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    assert_eq!(site.hits("/inner"), 0);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_502() {
    let plain = crate::harness::backend::serve(axum::Router::new()).await;
    let site = website().await;
    let url = Url::parse(&format!("https://{plain}/inner")).unwrap();
    let proxy = Proxy::with_authorities(&url, &authorities(&site)).unwrap();
    let (router, token) = behind_a_gate(proxy);
    let answer = send(&router, post(&token, &call())).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
}

#[test]
fn an_authority_that_is_none_is_refused_at_the_start() {
    let url = Url::parse("https://localhost/mcp").unwrap();
    let none = CertificateDer::from(vec![1, 2, 3]);
    let refused = Proxy::with_authorities(&url, &[none]).unwrap_err();
    assert!(matches!(refused, BadBackend::Tls(_)), "{refused}");
}

#[tokio::test]
async fn the_authorities_of_the_settings_are_believed_of_a_server_too() {
    let site = website().await;
    let (ca, url) = (
        site.ca().to_owned(),
        Url::parse(&site.url("/inner")).unwrap(),
    );
    let server = server()
        .configure(move |config| {
            config.outbound.ca.push(ca);
            config.servers[0].backend = Backend::Http(url);
        })
        .start()
        .await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let answer = client
        .call(&tokens.access, "", &message("tools/list", &json!({})))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(site.hits("/inner"), 1);
}
