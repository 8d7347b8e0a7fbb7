//! What a fetch asks, and which answers it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::outbound::stranger::{
    Fetch as _, FetchFault, Fetched, Freshness, Limits, PrivateHost, StrangerClient,
};
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Answers, Silence, body, client, fault, hurried, wanted};
use crate::harness::website::{Page, Website};

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
