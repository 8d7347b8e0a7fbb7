//! Where a fetch connects, and where it does not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use anteroom::outbound::stranger::{
    Fetch as _, FetchFault, PrivateHost, Standing, StrangerClient, Wanted,
};
use tokio::net::TcpListener;

use super::{Answers, NOBODY, Silence, address, body, client, fault, hurried, outsider, wanted};
use crate::harness::server::server;
use crate::harness::website::{Page, Website};

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
        let found = fault(&client, wanted("https://docs.example/a")).await;
        assert_eq!(found, FetchFault::NotPublic, "{answer:?}");
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

/// CLI-04, C1
#[tokio::test]
async fn a_name_without_addresses_is_unknown_and_reads_like_one_of_the_network_behind_us() {
    let website = Website::start().await;
    for lookup in [Answers::new([]), Answers::new([&[]])] {
        let client = outsider(&website).with_lookup(lookup);
        let error = client.get(wanted("https://docs.example/a")).await;
        let mut error = error.unwrap_err();
        assert_eq!(error.cause, FetchFault::Unknown);
        let said = error.to_string();
        error.cause = FetchFault::NotPublic;
        assert_eq!(said, error.to_string());
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
    // another test of these, in a process with that environment
    let test = "stranger::answer::a_page_is_asked_for_by_name_without_cookies_or_credentials";
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

/// CLI-17
#[tokio::test]
async fn names_that_never_answer_keep_no_known_client_from_being_found() {
    let website = Website::start().await;
    let known = Answers::new([&[address(&website)]]);
    let client = outsider(&website)
        .with_lookup(Arc::new(Silence))
        .with_known_lookup(known.clone())
        .with_limits(hurried());
    let stranger = wanted("https://docs.example/");
    let friend = Wanted {
        standing: Standing::Known,
        ..stranger.clone()
    };
    assert_eq!(fault(&client, stranger).await, FetchFault::TooSlow);
    assert_eq!(fault(&client, friend).await, FetchFault::NotPublic);
    assert_eq!(known.asked(), ["docs.example."]);
}
