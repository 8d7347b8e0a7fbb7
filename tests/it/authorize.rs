//! The authorization request: what is asked of the person, what is shown to them, and what the client is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use http::Method;
use serde_json::json;
use url::Url;

use crate::harness::answer::{Answer, parameter, request};
use crate::harness::client::{Client, LOOPBACK, STATE, Tokens};
use crate::harness::server::{Server, server};

const WEB: &str = "https://app.example/cb";

/// The refusal that went to the client, which must carry `state` and `iss`.
fn refusal(server: &Server, answer: &Answer) -> String {
    let back = answer.location();
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(parameter(&back, "iss").as_deref(), Some(server.issuer()));
    assert_eq!(parameter(&back, "code"), None);
    assert_eq!(back.fragment(), None);
    let description = parameter(&back, "error_description").unwrap();
    let is_plain = |letter: char| matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\');
    assert!(description.chars().all(is_plain), "{description}");
    parameter(&back, "error").unwrap()
}

/// AUTHZ-02, AUTHZ-04, AUTHZ-23, R1, CLI-44
#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let server = server().start().await;
    let client = server.client().await;
    let other = server.client().await;
    let twice = |name: &str, value: &str| {
        let more = url::form_urlencoded::byte_serialize(value.as_bytes());
        let more: String = more.collect();
        format!("{}&{name}={more}", client.authorization_url())
    };
    for url in [
        "https://mcp.example.com/authorize".to_owned(),
        "https://mcp.example.com/authorize?".to_owned(),
        client.authorization_url_but(&[("client_id", None)]),
        client.authorization_url_but(&[("client_id", Some(""))]),
        client.authorization_url_but(&[("client_id", Some("nobody"))]),
        client.authorization_url_but(&[("client_id", Some("https://app.example/client.json"))]),
        client.authorization_url_but(&[("client_id", Some(&client.id.to_uppercase()))]),
        twice("client_id", &client.id),
        twice("client_id", &other.id),
        client.authorization_url_but(&[("redirect_uri", Some(WEB))]),
        client.authorization_url_but(&[("redirect_uri", Some("https://evil.example/"))]),
        client.authorization_url_but(&[("redirect_uri", Some("javascript:alert(1)"))]),
        client.authorization_url_but(&[("redirect_uri", Some("//evil.example/"))]),
        twice("redirect_uri", LOOPBACK),
        twice("redirect_uri", "https://evil.example/"),
        format!("{}&scope=%ff", client.authorization_url()),
        client.authorization_url_but(&[("state", Some("\r\nSet-Cookie: a=b"))]),
        client.authorization_url_but(&[("scope", Some("mcp:tools:read\nx"))]),
        format!("{}{}", client.authorization_url(), "&x=y".repeat(101)),
    ] {
        let mut browser = server.browser();
        let answer = browser.get(&url).await;
        answer.assert_page(400);
        assert!(browser.cookie_names().is_empty(), "{url}");
        assert!(!answer.text().contains("evil.example"), "{url}");
        assert!(!answer.text().contains("33418"), "{url}");
    }
    assert!(server.standin().asked().is_empty());
}

/// What is registered, what is asked for, and whether that is the same.
const NEAR_MISSES: &[(&str, &str, bool)] = &[
    (WEB, WEB, true),
    (WEB, "https://app.example/cb/", false),
    (WEB, "https://app.example/cb?x=y", false),
    (WEB, "https://app.example/cb?", false),
    (WEB, "https://app.example/cb#x", false),
    (WEB, "https://app.example/cb/../cb", false),
    (WEB, "https://app.example/c%62", false),
    (WEB, "https://app.example/c%2562", false),
    (WEB, "https%3A%2F%2Fapp.example%2Fcb", false),
    (WEB, "https://app.example:443/cb", false),
    (WEB, "https://app.example:8443/cb", false),
    (WEB, "https://APP.example/cb", false),
    (WEB, "HTTPS://app.example/cb", false),
    (WEB, "http://app.example/cb", false),
    (WEB, "https://app.example/CB", false),
    (WEB, "https://app.example./cb", false),
    (WEB, "https://user@app.example/cb", false),
    (WEB, "https://app.example@evil.example/cb", false),
    (WEB, "https://app.example.evil.example/cb", false),
    (WEB, " https://app.example/cb", false),
    (WEB, "https://app.example/cb\t", false),
    (WEB, "https://app.example\\@evil.example/cb", false),
    ("http://127.0.0.1/", "http://127.0.0.1/", true),
    ("http://127.0.0.1/", "http://127.0.0.1:33418/", true),
    ("http://127.0.0.1:1/", "http://127.0.0.1:65535/", true),
    ("http://[::1]/", "http://[::1]:33418/", true),
    (
        "http://localhost/callback",
        "http://localhost:53682/callback",
        true,
    ),
    ("http://127.0.0.1/", "http://localhost/", false),
    ("http://localhost/", "http://127.0.0.1/", false),
    ("http://localhost/", "http://[::1]/", false),
    ("http://localhost/", "https://localhost/", false),
    ("http://localhost/", "http://localhost:1/x", false),
    ("http://localhost/", "http://localhost:1/?x", false),
    ("http://localhost/", "http://localhost:1", false),
    ("http://localhost/", "http://localhost:/", false),
    ("http://localhost/", "http://localhost:99999/", false),
    ("http://localhost/", "http://localhost.evil.example/", false),
    (
        "http://localhost/",
        "http://localhost:80@evil.example/",
        false,
    ),
    ("http://127.0.0.1/", "http://127.1/", false),
    ("http://127.0.0.1/", "http://127.0.0.2/", false),
    ("cursor://a/cb", "cursor://a/cb", true),
    ("cursor://a/cb", "cursor://a:1/cb", false),
    ("cursor://a/cb", "cursor://b/cb", false),
];

/// AUTHZ-04, AUTHZ-06, R1, R4, R5
#[tokio::test]
async fn a_redirect_uri_is_the_registered_one_but_for_the_port_of_a_loopback_address() {
    let server = server().start().await;
    for &(registered, asked, good) in NEAR_MISSES {
        let client = Client::register(&server, &Client::at(registered)).await;
        let url = client.authorization_url_but(&[("redirect_uri", Some(asked))]);
        let answer = server.get(&url).await;
        answer.assert_page(if good { 200 } else { 400 });
        // the part after `?` or behind a bad port must not decide: the page says why, and offers no way on
        assert_eq!(
            answer.text().contains("ticket"),
            good,
            "{registered} {asked}"
        );
    }
}

/// AUTHZ-05, AUTHZ-06
#[tokio::test]
async fn the_answer_goes_to_the_port_that_was_asked_for_or_to_the_only_uri_there_is() {
    let server = server().start().await;
    let client = server.client().await;
    for (asked, answered) in [
        (Some("http://127.0.0.1:50001/"), "http://127.0.0.1:50001/?"),
        (None, "http://127.0.0.1:33418/?"),
        (Some(""), "http://127.0.0.1:33418/?"),
    ] {
        let url = client.authorization_url_but(&[("redirect_uri", asked)]);
        let back = server.browser().sign_in(&url, "mona").await.location();
        assert!(back.as_str().starts_with(answered), "{back}");
    }
    let mut two = Client::public();
    two["redirect_uris"] = json!([LOOPBACK, "https://app.example/cb"]);
    let client = Client::register(&server, &two).await;
    let url = client.authorization_url_but(&[("redirect_uri", None)]);
    server.get(&url).await.assert_page(400);
}

/// One parameter, what it is instead, and what the client is told.
pub(crate) const WRONG: &[(&str, Option<&str>, &str)] = &[
    ("response_type", None, "invalid_request"),
    ("response_type", Some(""), "invalid_request"),
    ("response_type", Some("token"), "unsupported_response_type"),
    (
        "response_type",
        Some("code token"),
        "unsupported_response_type",
    ),
    ("response_type", Some("Code"), "unsupported_response_type"),
    ("response_mode", Some("fragment"), "invalid_request"),
    ("response_mode", Some("form_post"), "invalid_request"),
    ("code_challenge", None, "invalid_request"),
    ("code_challenge", Some(""), "invalid_request"),
    ("code_challenge", Some("abc"), "invalid_request"),
    (
        "code_challenge",
        Some("9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        "invalid_request",
    ),
    (
        "code_challenge",
        Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="),
        "invalid_request",
    ),
    (
        "code_challenge",
        Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"),
        "invalid_request",
    ),
    ("code_challenge_method", None, "invalid_request"),
    ("code_challenge_method", Some(""), "invalid_request"),
    ("code_challenge_method", Some("plain"), "invalid_request"),
    ("code_challenge_method", Some("s256"), "invalid_request"),
    ("code_challenge_method", Some("S512"), "invalid_request"),
    (
        "resource",
        Some("https://mcp.example.com/other"),
        "invalid_target",
    ),
    (
        "resource",
        Some("https://evil.example/mcp"),
        "invalid_target",
    ),
    (
        "resource",
        Some("https://mcp.example.com/mcp#x"),
        "invalid_target",
    ),
    ("resource", Some("/mcp"), "invalid_target"),
    ("resource", Some("x"), "invalid_target"),
    ("scope", Some("bogus"), "invalid_scope"),
    ("scope", Some("bogus openid"), "invalid_scope"),
    ("scope", Some("mcp:tools:read \u{e4}"), "invalid_scope"),
    ("scope", Some("mcp:tools:read \"x\""), "invalid_scope"),
    ("request", Some("e30.e30."), "request_not_supported"),
    ("request_uri", Some("urn:x"), "request_uri_not_supported"),
    ("prompt", Some("none"), "access_denied"),
];

/// AUTHZ-01, AUTHZ-07, AUTHZ-08, AUTHZ-10, AUTHZ-11, AUTHZ-12, AUTHZ-13, AUTHZ-15, AUTHZ-17, AUTHZ-21, K2, DISC-28
#[tokio::test]
async fn what_is_wrong_with_a_request_the_client_is_told() {
    let server = server().start().await;
    let client = server.client().await;
    let long = "s".repeat(4097);
    let too_long = ("state", Some(&*long), "invalid_request");
    for &(name, value, error) in WRONG.iter().chain([&too_long]) {
        let url = client.authorization_url_but(&[(name, value)]);
        let answer = server.get(&url).await;
        assert_eq!(refusal(&server, &answer), error, "{name}={value:?}");
        // one that is too long is not sent back
        let sent = Some(STATE).filter(|_| name != "state");
        assert_eq!(
            parameter(&answer.location(), "state").as_deref(),
            sent,
            "{name}"
        );
    }
}

/// AUTHZ-01, AUTHZ-11
#[tokio::test]
async fn a_parameter_stands_once_but_for_the_same_resource() {
    let server = server().start().await;
    let client = server.client().await;
    let url = client.authorization_url();
    for (more, error) in [
        ("state=x", "invalid_request"),
        (
            "scope=mcp:tools:read&scope=mcp:tools:read",
            "invalid_request",
        ),
        ("response_type=code", "invalid_request"),
        ("code_challenge_method=plain", "invalid_request"),
        ("unknown=x&unknown=y", "invalid_request"),
        ("resource=https://evil.example/mcp", "invalid_target"),
    ] {
        let answer = server.get(&format!("{url}&{more}")).await;
        assert_eq!(refusal(&server, &answer), error, "{more}");
    }
    for more in [
        "unknown=x",
        "login_hint=mona",
        "nonce=n&audience=a",
        "prompt=consent",
        "prompt=login",
        "response_mode=query",
        "scope=",
        "request=&request_uri=",
        "resource=https://mcp.example.com/mcp",
        "resource=https://mcp.example.com/mcp/",
        "resource=HTTPS://MCP.example.com:443/mcp",
    ] {
        server.get(&format!("{url}&{more}")).await.assert_page(200);
    }
}

/// AUTHZ-12, AUTHZ-13, AUTHZ-14
#[tokio::test]
async fn what_exists_of_the_scopes_is_granted_and_said() {
    let server = server().start().await;
    let client = server.client().await;
    let all = "mcp:prompts:list mcp:prompts:read mcp:resources:list mcp:resources:read mcp:tools:execute \
               mcp:tools:read";
    let and_stay = format!("{all} offline_access");
    for (asked, granted) in [
        (None, all),
        (Some(""), all),
        (Some("  "), all),
        (Some("openid email profile"), all),
        (Some("mcp:tools:read"), "mcp:tools:read"),
        (Some(" mcp:tools:read  mcp:tools:read "), "mcp:tools:read"),
        (Some("mcp:tools:read bogus openid"), "mcp:tools:read"),
        (Some(" offline_access"), &and_stay),
        (
            Some("mcp:tools:read offline_access"),
            "mcp:tools:read offline_access",
        ),
    ] {
        let url = client.authorization_url_but(&[("scope", asked)]);
        let page = server.get(&url).await;
        for scope in granted.split(' ') {
            assert!(
                page.text().contains(&format!("<code>{scope}</code>")),
                "{asked:?} {scope}"
            );
        }
        assert!(!page.text().contains("bogus"));
        let code = client.code_by(&url, "mona").await;
        let tokens = Tokens::read(&client.redeem(&code).await);
        assert_eq!(tokens.scope, granted, "{asked:?}");
        assert_eq!(tokens.claims()["scope"], granted);
    }
}

/// AUTHZ-09, AUTHZ-16, AUTHZ-19
#[tokio::test]
async fn the_state_comes_back_as_it_was() {
    let server = server().start().await;
    let client = server.client().await;
    let long = "+/=".repeat(1024);
    for state in [
        "gXVX/0=",
        "a b+c%20&d=e#f",
        "\u{e4}\u{1f600}",
        "{\"a\":[1]}",
        "'\"><script>",
        &long,
    ] {
        let url = client.authorization_url_but(&[("state", Some(state))]);
        let answer = server.browser().sign_in(&url, "mona").await;
        assert_eq!(answer.status, 303);
        let back = answer.location();
        assert_eq!(parameter(&back, "state").as_deref(), Some(state));
        let parameters: Vec<_> = back
            .query_pairs()
            .map(|(name, _)| name.into_owned())
            .collect();
        assert_eq!(parameters, ["code", "state", "iss"]);
        assert_eq!(back.fragment(), None);
    }
    for absent in [None, Some("")] {
        let url = client.authorization_url_but(&[("state", absent)]);
        let back = server.browser().sign_in(&url, "mona").await.location();
        assert_eq!(parameter(&back, "state"), None);
    }
}

/// AUTHZ-16
#[tokio::test]
async fn the_query_of_a_redirect_uri_stays() {
    let server = server().start().await;
    let uri = "https://app.example/cb?tenant=1&x=%20";
    let client = Client::register(&server, &Client::at(uri)).await;
    let back = server
        .browser()
        .sign_in(&client.authorization_url(), "mona")
        .await;
    let back = back.header("location").to_owned();
    assert!(back.starts_with(&format!("{uri}&code=")), "{back}");
}

/// AUTHZ-03, SEC-09
#[tokio::test]
async fn who_registers_a_web_address_does_not_get_an_open_redirector() {
    let server = server().start().await;
    let evil = "https://evil.example/cb?'\"><script>";
    let mut metadata = Client::public();
    metadata["redirect_uris"] = json!(["https://evil.example/cb", evil]);
    let client = Client::register(&server, &metadata).await;
    assert_eq!(
        client.registration["redirect_uris"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for change in [
        ("scope", Some("bogus")),
        ("response_type", Some("token")),
        ("code_challenge", None),
        ("resource", Some("https://evil.example/")),
        ("prompt", Some("none")),
        ("request_uri", Some("https://evil.example/")),
        ("response_mode", Some("web_message")),
    ] {
        let url = client.authorization_url_but(&[change]);
        let status = if change.0 == "prompt" { 403 } else { 400 };
        // who only looks ahead is told nothing
        for (method, status) in [(Method::GET, status), (Method::HEAD, 400)] {
            let answer = server
                .send(request(method.as_str(), server.local(&url)))
                .await;
            assert_eq!(answer.status, status, "{change:?}");
            assert_eq!(answer.header("location"), "");
            assert_eq!(answer.header("refresh"), "");
        }
        let answer = server.get(&url).await;
        answer.assert_page(status);
        assert!(!answer.text().contains("http-equiv"));
        // a link, which the person may press and which says where it leads
        let link = answer
            .text()
            .split("href=\"https://evil.example/cb?error=")
            .nth(1)
            .unwrap();
        assert!(link.contains("iss="), "{link}");
        assert!(link.contains("rel=\"noopener noreferrer\""), "{link}");
    }
}

/// AUTHZ-25
#[tokio::test]
async fn an_app_with_a_scheme_of_its_own_is_told_of_errors_too() {
    let server = server().start().await;
    let metadata = Client::at("cursor://anysphere.cursor-mcp/oauth/callback");
    let client = Client::register(&server, &metadata).await;
    let url = client.authorization_url_but(&[("scope", Some("bogus"))]);
    let answer = server.get(&url).await;
    answer.assert_page(400);
    let link = "href=\"cursor://anysphere.cursor-mcp/oauth/callback?error=invalid_scope&";
    assert!(answer.text().contains(link), "{}", answer.text());
}

/// AUTHZ-20
#[tokio::test]
async fn a_code_is_long_random_and_short_lived() {
    let server = server().start().await;
    let client = server.client().await;
    let (first, second) = (client.code("mona").await, client.code("mona").await);
    assert_ne!(first, second);
    assert!(first.len() >= 43, "{first}");
    let lifetime = server.world.config.tokens.code;
    assert!(lifetime <= Duration::from_secs(600));
    server.advance(lifetime.checked_sub(Duration::from_secs(1)).unwrap());
    assert_eq!(client.redeem(&first).await.status, 200);
    server.advance(Duration::from_secs(1));
    let late = client.redeem(&second).await;
    assert_eq!(
        (late.status.as_u16(), late.error()),
        (400, "invalid_grant".to_owned())
    );
}

/// AUTHZ-01, AUTHZ-23, SEC-10
#[tokio::test]
async fn pages_load_their_style_from_here_and_nothing_else() {
    for base in ["", "/a/b"] {
        let server = server()
            .public_url(&format!("https://mcp.example.com{base}"))
            .start()
            .await;
        let page = server.get(&server.client().await.authorization_url()).await;
        page.assert_page(200);
        let (head, _) = page.text().split_once("<body").unwrap();
        let loaded: Vec<&str> = head.split("href=\"").skip(1).collect();
        assert_eq!(loaded.len(), 2);
        for rest in loaded {
            let path = rest.split('"').next().unwrap();
            assert!(path.starts_with(&format!("{base}/assets/")), "{path}");
            assert_eq!(server.get(path).await.status, 200);
        }
        for never in [
            "<script",
            "<img",
            "<iframe",
            "javascript:",
            " style=",
            "onclick",
        ] {
            assert!(!page.text().contains(never), "{never}");
        }
        let posted = server
            .post_form(&server.url("/authorize"), &[("x", "y")])
            .await;
        assert_eq!(posted.status, 405);
        assert!(posted.header("allow").contains("GET"));
    }
}

/// SEC-14, DISC-28, A8
#[tokio::test]
async fn every_answer_to_a_client_says_whose_it_is() {
    let server = server()
        .public_url("https://mcp.example.com/a")
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let denied = browser.decide(&page, "deny").await.location();
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve(&page).await;
    let cancelled = browser.choose(&provider, None).await;
    let cancelled = browser.get(cancelled.as_str()).await.location();
    let good = browser
        .sign_in(&client.authorization_url(), "mona")
        .await
        .location();
    let wrong = client.authorization_url_but(&[("scope", Some("bogus"))]);
    let wrong = server.get(&wrong).await.location();
    let issuer = |back: &Url| parameter(back, "iss").unwrap();
    for back in [denied, cancelled, good, wrong] {
        assert_eq!(issuer(&back), "https://mcp.example.com/a", "{back}");
    }
}
