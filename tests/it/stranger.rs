//! Fetching what strangers name, from a real web site.

use crate::harness::server::server;
use crate::harness::website::{Page, Website};

#[tokio::test]
async fn the_web_site_is_believed_by_its_own_authority() {
    let website = Website::start().await;
    website.put("/a", Page::new("hello"));
    let server = server().documents_from(&website).start().await;
    let ca = reqwest::Certificate::from_pem(
        &std::fs::read(&server.world.config.outbound.ca[0]).unwrap(),
    )
    .unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the test, asking the web site"
    )]
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([ca])
        .build()
        .unwrap();
    let text = client
        .get(website.url("/a"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(text, "hello");
    assert_eq!((website.hits("/a"), website.connections()), (1, 1));
}
