//! Dynamic client registration over HTTP: answers, refusals, limits, and how long a client is remembered.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};

use crate::harness::answer::{request, request_with};
use crate::harness::client::{Client, Tokens, VERIFIER};
use crate::harness::server::{NOW, rate, server};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// CLI-30, CLI-31, CLI-32, CLI-34, CLI-35, CLI-40, CLI-46
#[tokio::test]
async fn a_client_is_answered_with_everything_that_was_registered() {
    let server = server().start().await;
    let asked = json!({
        "client_name": "T",
        "client_uri": "https://about.example/",
        "redirect_uris": ["http://127.0.0.1:33418/", "http://evil.example/", "cursor://a/cb"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "application_type": "native",
        "scope": "mcp:tools:read openid",
        "contacts": null,
        "software_id": "x",
        "anything": {"a": [1]},
    });
    let answer = server.post_json("/register", &asked).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let mut told = answer.json();
    // RFC 7592 §3: where it is managed, and with what
    let managed_at = format!("/register/{}", told["client_id"].as_str().unwrap());
    let uri = told["registration_client_uri"].take();
    assert!(uri.as_str().unwrap().ends_with(&managed_at), "{uri}");
    let access = told["registration_access_token"].take();
    assert!(access.as_str().unwrap().len() >= 43);
    told["client_id"] = json!("ID");
    let expected = json!({
        "client_id": "ID",
        "registration_client_uri": null,
        "registration_access_token": null,
        "client_id_issued_at": NOW.0,
        "client_name": "T",
        "client_uri": "https://about.example/",
        "redirect_uris": ["http://127.0.0.1:33418/", "cursor://a/cb"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
        "scope": "mcp:tools:read",
    });
    assert_eq!(told, expected);
}

/// CLI-32, CLI-33, CLI-47, TOK-20, TOK-23
#[tokio::test]
async fn a_client_that_says_nothing_of_it_gets_a_secret_that_works() {
    let server = server().start().await;
    let metadata = json!({"redirect_uris": ["https://app.example/cb"]});
    let client = Client::register(&server, &metadata).await;
    let other = Client::register(&server, &metadata).await;
    assert_ne!(client.id, other.id);
    assert_ne!(client.secret, other.secret);
    let told = &client.registration;
    assert_eq!(told["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(told["client_secret_expires_at"], 0);
    assert_eq!(told["grant_types"], json!(["authorization_code"]));
    assert_eq!(told["response_types"], json!(["code"]));
    let secret = client.secret.clone().unwrap();
    for (value, shortest) in [(&client.id, 22), (&secret, 43)] {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(
            value.len() >= shortest && value.bytes().all(is_plain),
            "{value}"
        );
        assert!(!value.starts_with("https://"));
    }
    let code = client.code("mona").await;
    let mut without = client.clone();
    without.secret = None;
    let refused = without.redeem(&code).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error()),
        (401, "invalid_client".to_owned())
    );
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &client.redirect_uri),
        ("code_verifier", VERIFIER),
        ("client_secret", &secret),
    ];
    let tokens = Tokens::read(&without.token(&form).await);
    // who did not register the grant gets nothing to refresh with
    assert_eq!(tokens.refresh, "");
    Tokens::read(&client.redeem(&client.code("mona").await).await);
}

const BAD_URIS: &[&str] = &[
    "http://evil.example/",
    "http://localhost.evil.com/",
    "http://127.0.0.1.nip.io/",
    "http://localhost@evil.example/",
    "http://localhost:80@evil.com/",
    "http://127.1/",
    "http://2130706433/",
    "https://user:word@app.example/cb",
    "https://*.example.com/cb",
    "https://app.example/cb#x",
    "https://app.example/a/../cb",
    "https://app.example\\@evil.example/",
    "https:app.example/cb",
    "//app.example/cb",
    "/cb",
    "app.example/cb",
    "",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    " javascript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "blob:https://app.example/x",
    "about:blank",
    "vbscript:x",
    "intent://x",
    "HTTPS://app.example/cb",
    "https://app.ex\u{e4}mple/cb",
];

/// Metadata, and what they are refused with.
fn bad_metadata() -> Vec<(Value, &'static str)> {
    let uri = |uri: &str| json!({"redirect_uris": [uri]});
    let with = |name: &str, value: Value| {
        let mut metadata = uri("https://app.example/cb");
        metadata[name] = value;
        metadata
    };
    let (bad_uri, bad_metadata) = ("invalid_redirect_uri", "invalid_client_metadata");
    vec![
        (json!({}), bad_uri),
        (json!({"redirect_uris": []}), bad_uri),
        (json!({"redirect_uris": null}), bad_uri),
        (
            json!({"redirect_uris": "https://app.example/cb"}),
            bad_metadata,
        ),
        (json!({"redirect_uris": [7]}), bad_metadata),
        (
            json!({"redirect_uris": vec!["https://app.example/cb"; 21]}),
            bad_uri,
        ),
        (
            uri(&format!("https://app.example/{}", "x".repeat(2048))),
            bad_uri,
        ),
        (
            with("token_endpoint_auth_method", json!("private_key_jwt")),
            bad_metadata,
        ),
        (with("token_endpoint_auth_method", json!(7)), bad_metadata),
        (
            with("grant_types", json!(["client_credentials"])),
            bad_metadata,
        ),
        (
            with("grant_types", json!("authorization_code")),
            bad_metadata,
        ),
        (with("response_types", json!(["token"])), bad_metadata),
        (with("application_type", json!("tv")), bad_metadata),
        (with("client_name", json!(["x"])), bad_metadata),
        (
            with("software_statement", json!("x.y.z")),
            "invalid_software_statement",
        ),
        (
            json!({"redirect_uris": ["http://localhost/"], "application_type": "web"}),
            bad_uri,
        ),
        (
            json!({"redirect_uris": ["https://app.example/"], "jwks": {}, "jwks_uri": "https://app.example/k"}),
            bad_metadata,
        ),
        (json!([]), bad_metadata),
        (json!("x"), bad_metadata),
        (json!(null), bad_metadata),
    ]
}

/// CLI-36, CLI-37, CLI-38, CLI-39, CLI-41, CLI-42, CLI-48, R3
#[tokio::test]
async fn what_cannot_be_registered_is_refused_by_field_and_kept_nowhere() {
    let server = server().start().await;
    let bad_uri = "invalid_redirect_uri";
    let mut cases = bad_metadata();
    for text in BAD_URIS {
        cases.push((json!({"redirect_uris": [text]}), bad_uri));
    }
    for (metadata, error) in cases {
        let answer = server.post_json("/register", &metadata).await;
        assert_eq!(answer.status, 400, "{metadata}");
        assert_eq!(answer.error(), error, "{metadata}");
    }
    server.advance(2 * DAY);
    assert_eq!(server.app.flows().sweep().await.unwrap(), 0);
}

/// CLI-39, CLI-42, C5
#[tokio::test]
async fn a_registration_is_json_and_says_so() {
    let server = server().start().await;
    let body = json!({"redirect_uris": ["https://app.example/cb"]}).to_string();
    for (kind, status) in [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("Application/JSON", 201),
        ("application/json;charset=\"utf-8\" ; x", 201),
        ("text/plain", 400),
        ("application/x-www-form-urlencoded", 400),
        ("multipart/form-data; boundary=x", 400),
        ("application/jsonx", 400),
        ("json", 400),
        (";", 400),
        ("", 400),
    ] {
        let answer = server
            .send(request_with("/register", kind, body.clone()))
            .await;
        assert_eq!(answer.status, status, "{kind}");
        if status == 400 {
            assert_eq!(answer.error(), "invalid_client_metadata", "{kind}");
        }
    }
    for body in [
        "",
        "{",
        "{}x",
        "\u{feff}{}",
        "{\"redirect_uris\":[\"https://a.example/\"]",
        "\0",
    ] {
        let answer = server
            .send(request_with("/register", "application/json", body))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (400, "invalid_client_metadata"),
            "{body}"
        );
    }
    let broken = server.send(request_with(
        "/register",
        "application/json",
        &b"{\"client_name\":\"\xff\"}"[..],
    ));
    assert_eq!(broken.await.status, 400);
    let deep = "[".repeat(50_000);
    let deep = server
        .send(request_with("/register", "application/json", deep))
        .await;
    assert_eq!(deep.error(), "invalid_client_metadata");
    let nothing = server.send(request("POST", "/register")).await;
    assert_eq!(nothing.error(), "invalid_client_metadata");
}

/// CLI-42
#[tokio::test]
async fn a_registration_is_not_endless() {
    let server = server().start().await;
    let mut metadata = json!({"redirect_uris": ["https://app.example/cb"], "x": ""});
    let fixed = metadata.to_string().len();
    for (length, status) in [(64 << 10, 201), ((64 << 10) + 1, 413), (1 << 20, 413)] {
        metadata["x"] = json!("x".repeat(length - fixed));
        let answer = server.post_json("/register", &metadata).await;
        assert_eq!(answer.status, status, "{length}");
        if status == 413 {
            assert_eq!(answer.error(), "invalid_request");
        }
    }
}

/// SEC-06, CLI-43, P12, SEC-16
#[tokio::test]
async fn an_address_that_comes_too_often_is_told_when_to_come_back() {
    let slow = rate(2, Duration::from_secs(3600));
    let server = server()
        .configure(move |config| {
            config.limits.register = slow;
            config.limits.token = slow;
        })
        .start()
        .await;
    let client = server.client().await;
    server.client().await;
    for forwarded in ["198.51.100.1", "198.51.100.2", ""] {
        let mut asked = request_with(
            "/register",
            "application/json",
            Client::public().to_string(),
        );
        asked
            .headers_mut()
            .insert("x-forwarded-for", forwarded.parse().unwrap());
        let answer = server.send(asked).await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.error(), "temporarily_unavailable");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=1800).contains(&seconds), "{seconds}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    // each endpoint has a limit of its own
    for status in [400, 400, 429] {
        let answer = client.redeem("x").await;
        assert_eq!(answer.status, status);
    }
    let answer = client.revoke("x").await;
    assert_eq!(
        (answer.status.as_u16(), answer.error().as_str()),
        (429, "temporarily_unavailable")
    );
    assert_ne!(answer.header("retry-after"), "");
    server
        .get(&client.authorization_url())
        .await
        .assert_page(200);
}

/// SEC-06, AUTHZ-23
#[tokio::test]
async fn a_person_who_comes_too_often_reads_that_on_a_page() {
    let server = server()
        .configure(|config| config.limits.authorize = rate(2, Duration::from_secs(3600)))
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    browser.open(&client.authorization_url()).await;
    for answer in [
        browser.get(&client.authorization_url()).await,
        browser.decide(&page, "github").await,
    ] {
        answer.assert_page(429);
        assert_ne!(answer.header("retry-after"), "");
    }
}

/// SEC-06, P12
#[tokio::test]
async fn addresses_are_told_apart_by_what_a_trusted_proxy_says() {
    let server = server()
        .configure(|config| {
            config.limits.register = rate(1, Duration::from_secs(3600));
            config.trusted_proxies.push("127.0.0.0/8".parse().unwrap());
        })
        .start()
        .await;
    for (forwarded, status) in [
        ("198.51.100.1", 201),
        ("198.51.100.1", 429),
        ("6.6.6.6, 198.51.100.1", 429),
        ("198.51.100.2", 201),
    ] {
        let mut asked = request_with(
            "/register",
            "application/json",
            Client::public().to_string(),
        );
        asked
            .headers_mut()
            .insert("x-forwarded-for", forwarded.parse().unwrap());
        assert_eq!(server.send(asked).await.status, status, "{forwarded}");
    }
}

/// CLI-49, DISC-29, SEC-13
#[tokio::test]
async fn where_registration_is_off_there_is_no_endpoint_for_it() {
    let server = server().without_registration().start().await;
    for answer in [
        server.post_json("/register", &Client::public()).await,
        server.get("/register").await,
        server.post_form("/register", &[("x", "y")]).await,
    ] {
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"], "not_found");
    }
    let metadata = server
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(metadata.get("registration_endpoint"), None);
    assert_eq!(metadata["token_endpoint"], "https://mcp.example.com/token");
}

/// CLI-44, SEC-07
#[tokio::test]
async fn a_client_that_nobody_signed_in_with_is_forgotten_after_a_day() {
    for server in [server().start().await, server().on_sled().start().await] {
        let (unused, used) = (server.client().await, server.client().await);
        let tokens = used.sign_in("mona").await;
        server.advance(DAY.checked_sub(Duration::from_secs(1)).unwrap());
        server
            .get(&unused.authorization_url())
            .await
            .assert_page(200);
        server.advance(Duration::from_secs(1));
        let page = server.get(&unused.authorization_url()).await;
        page.assert_page(400);
        assert!(page.text().contains("add it again"), "{}", page.text());
        for answer in [
            unused.redeem("x").await,
            unused.refresh("x").await,
            unused.revoke("x").await,
        ] {
            assert_eq!(
                (answer.status.as_u16(), answer.error().as_str()),
                (401, "invalid_client")
            );
        }
        server.get(&used.authorization_url()).await.assert_page(200);
        assert!(server.app.flows().sweep().await.unwrap() >= 1);
        let tokens = Tokens::read(&used.refresh(&tokens.refresh).await);
        // and as long as it is used it is known
        let mut last = tokens;
        for _ in 0..8 {
            server.advance(20 * DAY);
            server.app.flows().sweep().await.unwrap();
            last = Tokens::read(&used.refresh(&last.refresh).await);
        }
    }
}

/// CLI-44
#[tokio::test]
async fn a_consent_page_does_not_outlive_its_client() {
    let server = server()
        .configure(|config| config.clients.unused_expire = Duration::from_secs(300))
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    server.advance(Duration::from_secs(299));
    let provider = browser.approve(&page).await;
    let back = browser.choose(&provider, Some("mona")).await;
    let code = client.read_code(&browser.get(back.as_str()).await.location());
    // the sign-in was completed within its time, so the client is there to redeem the code
    server.advance(Duration::from_secs(60));
    Tokens::read(&client.redeem(&code).await);
}

/// CORS-01, CLI-42
#[tokio::test]
async fn other_methods_are_refused_in_json() {
    let server = server().start().await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let mut asked = Request::builder().method(method).uri("/register");
        asked = asked.header("origin", "https://web.example");
        let answer = server.send(asked.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), "POST");
        assert_eq!(answer.json()["error"], "method_not_allowed");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}
