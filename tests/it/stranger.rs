//! Fetching what strangers name, from a real web site: whoever chooses the URL does not choose where we connect.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anteroom::outbound::resolver::Lookup;
use anteroom::outbound::stranger::{
    Fetch as _, FetchFault, Fetched, Freshness, Limits, PrivateHost, StrangerClient, Wanted,
};
use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use crate::harness::server::server;
use crate::harness::website::{Page, Website};

/// A public address that belongs to nobody: 2000::/16 was never given out.
const NOBODY: &str = "[2000::1]:0";

/// A resolver that says what it was told to, one answer after another, the last one for ever.
struct Answers {
    answers: Vec<Vec<SocketAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn new<const N: usize>(answers: [&[SocketAddr]; N]) -> Arc<Self> {
        Arc::new(Self {
            answers: answers.into_iter().map(<[_]>::to_vec).collect(),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Lookup for Answers {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut asked = self.asked.lock().unwrap();
        let answer = self.answers.get(asked.len()).or(self.answers.last());
        asked.push(name.to_owned());
        answer.cloned().ok_or(io::ErrorKind::NotFound.into())
    }
}

/// A resolver that never answers.
struct Silence;

#[async_trait]
impl Lookup for Silence {
    async fn addresses(&self, _name: &str) -> io::Result<Vec<SocketAddr>> {
        pending().await
    }
}

/// A client that may ask `website`.
fn client(website: &Website) -> StrangerClient {
    let (host, port) = website.host();
    let private = PrivateHost { host, port };
    StrangerClient::new(&[website.ca().to_owned()], vec![private]).unwrap()
}

/// A client that believes the authority of `website`, but may not ask it.
fn outsider(website: &Website) -> StrangerClient {
    StrangerClient::new(&[website.ca().to_owned()], Vec::new()).unwrap()
}

fn wanted(url: &str) -> Wanted {
    Wanted {
        url: Url::parse(url).unwrap(),
        accept: "application/json",
        limit: 64 << 10,
        etag: None,
    }
}

async fn fault(client: &StrangerClient, wanted: Wanted) -> FetchFault {
    match client.get(wanted).await {
        Ok(fetched) => panic!("{fetched:?}"),
        Err(error) => error.cause,
    }
}

async fn body(client: &StrangerClient, url: &str) -> Bytes {
    match client.get(wanted(url)).await.unwrap() {
        Fetched::Page { body, .. } => body,
        Fetched::Unchanged(_) => panic!("{url}"),
    }
}

/// The address of `website`, as if it stood at the usual port.
fn address(website: &Website) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], website.host().1))
}

/// Time limits of a tenth of a second.
fn hurried() -> Limits {
    Limits {
        connect: Duration::from_millis(100),
        total: Duration::from_millis(100),
    }
}

/// CLI-03, CLI-06
#[tokio::test]
async fn a_page_is_asked_for_by_name_without_cookies_or_credentials() {
    let website = Website::start().await;
    let page = Page::json(&json!({"a": 1}))
        .header("set-cookie", "known=1; Path=/")
        .header("cache-control", "max-age=60")
        .header("etag", "\"1\"");
    website.put("/a", page);
    let client = client(&website);
    for _ in 0..2 {
        let fetched = client.get(wanted(&website.url("/a"))).await.unwrap();
        let Fetched::Page {
            body,
            content_type,
            freshness,
        } = fetched
        else {
            panic!("{fetched:?}")
        };
        assert_eq!(body, r#"{"a":1}"#);
        assert_eq!(content_type.as_deref(), Some("application/json"));
        let expected = Freshness {
            lifetime: Some(Duration::from_secs(60)),
            etag: Some("\"1\"".to_owned()),
        };
        assert_eq!(freshness, expected);
    }
    let requests = website.requests("/a");
    assert_eq!(requests.len(), 2);
    for headers in requests {
        let mut sent: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        sent.sort_unstable();
        let (host, port) = website.host();
        let expected = [
            ("accept", "application/json"),
            ("accept-encoding", "identity"),
            ("host", &format!("{host}:{port}")),
            (
                "user-agent",
                concat!("anteroom/", env!("CARGO_PKG_VERSION")),
            ),
        ];
        assert_eq!(sent, expected);
    }
}

/// CLI-04, C1
#[tokio::test]
async fn a_connection_is_never_used_again() {
    let website = Website::start().await;
    website.put("/a", Page::new("a"));
    let lookup = Answers::new([&[address(&website)]]);
    let client = client(&website).with_lookup(lookup.clone());
    for fetches in 1..=3 {
        assert_eq!(body(&client, &website.url("/a")).await, "a");
        assert_eq!(website.connections(), fetches);
        assert_eq!(lookup.asked().len(), fetches);
    }
}

/// CLI-05
#[tokio::test]
async fn a_private_host_is_asked_where_the_settings_name_it_with_its_port() {
    let (website, other) = (Website::start().await, Website::start().await);
    website.put("/a", Page::new("a"));
    other.put("/a", Page::new("a"));
    let server = server().documents_from(&website).start().await;
    let outbound = &server.world.config.outbound;
    let private = outbound.private_hosts.iter().cloned();
    let private = private.map(|(host, port)| PrivateHost { host, port });
    let mut authorities = outbound.ca.clone();
    authorities.push(other.ca().to_owned());
    let client = StrangerClient::new(&authorities, private.collect()).unwrap();
    assert_eq!(body(&client, &website.url("/a")).await, "a");
    for url in [
        other.url("/a"),
        "https://localhost/a".to_owned(),
        website.url("/a").replace("localhost", "127.0.0.1"),
        website.url("/a").replace("localhost", "a.localhost"),
        website.url("/a").replace("localhost", "localhost."),
        website.url("/a").replace("https", "http"),
        website.url("/a").replace("localhost", "user@localhost"),
    ] {
        let found = fault(&client, wanted(&url)).await;
        assert_eq!(found, FetchFault::NotAllowed, "{url}");
    }
    assert_eq!((website.connections(), other.connections()), (1, 0));
}

/// CLI-04, CLI-06, C1
#[tokio::test]
async fn a_url_that_is_not_plainly_that_of_a_public_web_site_is_not_asked() {
    let website = Website::start().await;
    let lookup = Answers::new([&[address(&website)]]);
    let client = outsider(&website).with_lookup(lookup.clone());
    let port = website.host().1;
    for url in [
        "http://docs.example/",
        "ftp://docs.example/",
        "data:application/json,{}",
        "file:///etc/passwd",
        "https://user@docs.example/",
        "https://:password@docs.example/",
        "https://docs.example@localhost/",
        "https://docs.example:80/",
        "https://docs.example:8443/",
        &format!("https://docs.example:{port}/"),
        "https://docs.example./",
        "https://localhost/",
        &format!("https://localhost:{port}/"),
        "https://localhost./",
        "https://a.localhost/",
        "https://intranet/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        // addresses, public ones too: no resolver sees them
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://127.0.0.1/",
        &format!("https://127.0.0.1:{port}/"),
        "https://127.0.0.1./",
        "https://127.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://0/",
        "https://%31%32%37.0.0.1/",
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[fd00:ec2::254]/",
    ] {
        let found = fault(&client, wanted(url)).await;
        assert_eq!(found, FetchFault::NotAllowed, "{url}");
    }
    assert_eq!(website.connections(), 0);
    assert_eq!(lookup.asked(), [""; 0]);
}

/// CLI-04, C1
#[tokio::test]
async fn a_name_with_an_address_that_is_not_public_gets_no_connection() {
    let website = Website::start().await;
    let (public, loopback) = (NOBODY.parse().unwrap(), address(&website));
    let mapped = SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], loopback.port()));
    let metadata = SocketAddr::from(([169, 254, 169, 254], 0));
    for answer in [
        &[loopback][..],
        &[public, loopback],
        &[loopback, public],
        &[public, public, public, mapped],
        &[mapped],
        &[metadata],
    ] {
        let lookup = Answers::new([answer]);
        let client = outsider(&website).with_lookup(lookup.clone());
        let error = client.get(wanted("https://docs.example/a")).await;
        let error = error.unwrap_err();
        assert_eq!(error.cause, FetchFault::NotPublic, "{answer:?}");
        assert_eq!(
            error.to_string(),
            "docs.example is not asked: it has an address that is not public"
        );
        assert_eq!(lookup.asked(), ["docs.example."]);
    }
    assert_eq!(website.connections(), 0);
}

/// CLI-04, C1
#[tokio::test]
async fn a_name_that_turns_private_after_it_was_checked_gains_nothing() {
    let website = Website::start().await;
    website.put("/a", Page::new("secret"));
    let lookup = Answers::new([&[NOBODY.parse().unwrap()], &[address(&website)]]);
    let client = outsider(&website)
        .with_lookup(lookup.clone())
        .with_limits(hurried());
    let found = fault(&client, wanted("https://docs.example/a")).await;
    let went_out = matches!(found, FetchFault::Connect | FetchFault::TooSlow);
    assert!(went_out, "{found:?}");
    assert_eq!(lookup.asked().len(), 1);
    let found = fault(&client, wanted("https://docs.example/a")).await;
    assert_eq!(found, FetchFault::NotPublic);
    assert_eq!(lookup.asked().len(), 2);
    assert_eq!(website.connections(), 0);
}

/// CLI-04
#[tokio::test]
async fn a_name_without_addresses_is_unknown() {
    let website = Website::start().await;
    for lookup in [Answers::new([]), Answers::new([&[]])] {
        let client = outsider(&website).with_lookup(lookup);
        let found = fault(&client, wanted("https://docs.example/")).await;
        assert_eq!(found, FetchFault::Unknown);
    }
    let real = outsider(&website);
    let found = fault(&real, wanted("https://nobody.invalid/")).await;
    assert_eq!(found, FetchFault::Unknown);
}

/// CLI-04
#[tokio::test]
async fn a_certificate_must_be_for_the_name_and_of_an_authority_that_is_believed() {
    let website = Website::start().await;
    website.put("/a", Page::new("a"));
    let lookup = Answers::new([&[address(&website)]]);
    let elsewhere = PrivateHost {
        host: "docs.example".to_owned(),
        port: 443,
    };
    let another = StrangerClient::new(&[website.ca().to_owned()], vec![elsewhere]).unwrap();
    let another = another.with_lookup(lookup);
    let found = fault(&another, wanted("https://docs.example/a")).await;
    assert_eq!(found, FetchFault::Connect);

    let (host, port) = website.host();
    let doubtful = StrangerClient::new(&[], vec![PrivateHost { host, port }]).unwrap();
    let found = fault(&doubtful, wanted(&website.url("/a"))).await;
    assert_eq!(found, FetchFault::Connect);
    assert_eq!((website.connections(), website.hits("/a")), (2, 0));
}

/// CLI-03, C1
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let website = Website::start().await;
    website.put("/to", Page::new("reached"));
    let client = client(&website);
    for status in [300, 301, 302, 303, 305, 307, 308] {
        let page = Page::new("").status(status).header("location", "/to");
        website.put("/from", page);
        let found = fault(&client, wanted(&website.url("/from"))).await;
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(found, FetchFault::Redirect(status));
    }
    assert_eq!((website.hits("/from"), website.hits("/to")), (7, 0));
}

/// CLI-03
#[tokio::test]
async fn no_status_but_200_counts() {
    let website = Website::start().await;
    let client = client(&website);
    for status in [
        201, 202, 203, 204, 205, 206, 304, 400, 401, 404, 410, 429, 500, 503,
    ] {
        let page = Page::new("").status(status).header("etag", "\"1\"");
        website.put("/a", page);
        let found = fault(&client, wanted(&website.url("/a"))).await;
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(found, FetchFault::Status(status));
    }
    let mut malformed = wanted(&website.url("/a"));
    website.put("/a", Page::new("").status(304));
    for etag in ["1", "", "*", "\"1\", \"2\"", "\"1\"\r\nx: y", "\"é\""] {
        malformed.etag = Some(etag.to_owned());
        let found = fault(&client, malformed.clone()).await;
        assert_eq!(
            found,
            FetchFault::Status(StatusCode::NOT_MODIFIED),
            "{etag}"
        );
    }
    for headers in website.requests("/a") {
        assert!(headers.get("if-none-match").is_none(), "{headers:?}");
    }
}

/// CLI-03, CLI-16
#[tokio::test]
async fn a_copy_with_an_entity_tag_is_asked_after() {
    let website = Website::start().await;
    let page = Page::new("")
        .status(304)
        .header("cache-control", "max-age=9");
    website.put("/a", page.header("etag", "\"1\""));
    for etag in ["\"1\"", "W/\"1\""] {
        let mut wanted = wanted(&website.url("/a"));
        wanted.etag = Some(etag.to_owned());
        let fetched = client(&website).get(wanted).await.unwrap();
        let Fetched::Unchanged(freshness) = fetched else {
            panic!("{fetched:?}")
        };
        assert_eq!(freshness.lifetime, Some(Duration::from_secs(9)));
        assert_eq!(freshness.etag.as_deref(), Some("\"1\""));
        let sent = website.requests("/a").pop().unwrap();
        assert_eq!(sent["if-none-match"], etag);
    }
}

/// CLI-07, C1
#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let website = Website::start().await;
    let client = client(&website);
    let limit = 64 << 10;
    for (length, fits) in [
        (0, true),
        (limit, true),
        (limit + 1, false),
        (10 << 20, false),
    ] {
        for page in [
            Page::new(vec![b' '; length]),
            Page::new(vec![b' '; length]).in_pieces(),
        ] {
            website.put("/a", page);
            let fetched = client.get(wanted(&website.url("/a"))).await;
            let fetched = fetched.map_err(|error| error.cause);
            match (fetched, fits) {
                (Ok(Fetched::Page { body, .. }), true) => assert_eq!(body.len(), length),
                (Err(FetchFault::TooLarge), false) => {}
                (other, _) => panic!("{length}: {other:?}"),
            }
        }
    }
}

/// CLI-07
#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_waited_for() {
    let website = Website::start().await;
    let page = Page::new("{}").drip(Duration::from_secs(3600));
    website.put("/a", page.header("content-length", "65537"));
    let found = fault(&client(&website), wanted(&website.url("/a"))).await;
    assert_eq!(found, FetchFault::TooLarge);
}

/// CLI-07, C1
#[tokio::test]
async fn a_compressed_body_is_refused() {
    let website = Website::start().await;
    let client = client(&website);
    for coding in [
        "gzip",
        "br",
        "GZIP",
        "identity, gzip",
        "identity,",
        "aes128gcm",
    ] {
        let page = Page::new(vec![0x1f, 0x8b, 8, 0]);
        website.put("/a", page.header("content-encoding", coding));
        let found = fault(&client, wanted(&website.url("/a"))).await;
        assert_eq!(found, FetchFault::Encoded, "{coding}");
    }
    let twice = Page::new("").header("content-encoding", "identity");
    website.put("/a", twice.header("content-encoding", "zstd"));
    let found = fault(&client, wanted(&website.url("/a"))).await;
    assert_eq!(found, FetchFault::Encoded);
    let transfer = Page::new("{}").in_pieces();
    website.put("/a", transfer.header("transfer-encoding", "gzip, chunked"));
    let found = fault(&client, wanted(&website.url("/a"))).await;
    assert_eq!(found, FetchFault::Encoded);
    website.put("/a", Page::new("{}").header("content-encoding", "Identity"));
    assert_eq!(body(&client, &website.url("/a")).await, "{}");
}

/// CLI-07, C1
#[tokio::test]
async fn whoever_is_slow_is_not_waited_for() {
    let website = Website::start().await;
    let every = Duration::from_millis(20);
    website.put("/drip", Page::new(vec![b' '; 60_000]).drip(every));
    website.put("/hang", Page::new("").hang());
    // long enough for a connection on a busy machine
    let limits = Limits {
        total: Duration::from_millis(700),
        ..Limits::default()
    };
    let patient = client(&website).with_limits(limits);
    let began = Instant::now();
    for path in ["/drip", "/hang"] {
        let found = fault(&patient, wanted(&website.url(path))).await;
        assert_eq!(found, FetchFault::TooSlow, "{path}");
        assert_eq!(website.hits(path), 1);
    }
    let silent = client(&website).with_lookup(Arc::new(Silence));
    let silent = silent.with_limits(hurried());
    for url in [&website.url("/drip"), "https://docs.example/"] {
        let found = fault(&silent, wanted(url)).await;
        assert_eq!(found, FetchFault::TooSlow, "{url}");
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    let usual = Limits::default();
    assert!(usual.total <= Duration::from_secs(5) && usual.connect < usual.total);
}

#[tokio::test]
async fn a_broken_answer_is_told_from_nobody_there() {
    let website = Website::start().await;
    website.put("/a", Page::new("0123456789").broken());
    let found = fault(&client(&website), wanted(&website.url("/a"))).await;
    assert_eq!(found, FetchFault::Broken);

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed_at = closed.local_addr().unwrap();
    drop(closed);
    let usual = PrivateHost {
        host: "docs.example".to_owned(),
        port: 443,
    };
    let client = StrangerClient::new(&[], vec![usual]).unwrap();
    let client = client.with_lookup(Answers::new([&[closed_at]]));
    let found = fault(&client, wanted("https://docs.example/a")).await;
    assert_eq!(found, FetchFault::Connect);
}

#[test]
fn a_file_without_certificates_is_refused_by_name() {
    let absent = PathBuf::from("/nowhere/ca.pem");
    let Err(error) = StrangerClient::new(&[absent], Vec::new()) else {
        panic!("it was accepted")
    };
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
}

/// CLI-06, C1
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    // the test next to this one, in a process with that environment
    let test = "stranger::a_page_is_asked_for_by_name_without_cookies_or_credentials";
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", test])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(variable, &url);
    }
    let output = child.stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::select! {
        output = output => {
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
        }
        _ = proxy.accept() => panic!("the proxy was asked"),
    }
}
