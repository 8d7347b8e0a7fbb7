//! Who may register, and what a client may do with its registration afterwards (RFC 7592).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anteroom::config::Registration;
use anteroom::secret::Secret;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http::HeaderValue;
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::harness::answer::{Answer, request_with};
use crate::harness::client::{Client, LOOPBACK, Tokens};
use crate::harness::log::Log;
use crate::harness::server::{Server, rate, server};

const HOUR: Duration = Duration::from_secs(3600);
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const INITIAL: &str = "initial-access-token-of-the-operator-0123456789";
const NO_ERROR: &str = "Bearer realm=\"anteroom\"";
const BAD_TOKEN: &str = "Bearer realm=\"anteroom\", error=\"invalid_token\"";

/// Where a client manages its registration, and the key to it.
pub(crate) fn managed(client: &Client) -> (String, String) {
    let member = |name: &str| client.registration[name].as_str().unwrap().to_owned();
    (
        member("registration_client_uri"),
        member("registration_access_token"),
    )
}

/// A request at a whole URL of ours, with a token unless it is empty.
pub(crate) async fn ask(
    server: &Server,
    method: &str,
    url: &str,
    token: &str,
    body: &Value,
) -> Answer {
    let mut asked = Request::builder().method(method).uri(server.local(url));
    if !token.is_empty() {
        asked = asked.header("authorization", format!("Bearer {token}"));
    }
    let asked = if *body == Value::Null {
        asked.body(Body::empty())
    } else {
        asked
            .header("content-type", JSON)
            .body(Body::from(body.to_string()))
    };
    server.send(asked.unwrap()).await
}

/// The metadata of a change: what was registered, with one member put in its place.
pub(crate) fn changed(client: &Client, name: &str, value: Value) -> Value {
    let mut metadata = Client::public();
    metadata["client_id"] = json!(client.id);
    metadata[name] = value;
    metadata
}

fn assert_refused(answer: &Answer, challenge: &str, shown: &str) {
    assert_eq!(answer.status, 401, "{shown}");
    assert_eq!(answer.error(), "invalid_token", "{shown}");
    assert_eq!(answer.header("www-authenticate"), challenge, "{shown}");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

/// CLI-46, CLI-31
#[tokio::test]
async fn a_client_reads_changes_and_removes_its_registration() {
    for public_url in ["https://mcp.example.com", "https://example.com/auth/x"] {
        let server = server().public_url(public_url).start().await;
        let client = server.client().await;
        let (uri, token) = managed(&client);
        assert_eq!(uri, format!("{public_url}/register/{}", client.id));
        let read = ask(&server, "GET", &uri, &token, &Value::Null).await;
        assert_eq!(read.status, 200, "{}", read.text());
        assert_eq!(read.header("cache-control"), "no-store");
        assert_eq!(read.header("access-control-allow-origin"), "*");
        assert_eq!(read.json(), client.registration);

        let metadata = changed(&client, "client_name", json!("Another name"));
        let answer = ask(&server, "PUT", &uri, &token, &metadata).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        let mut expected = client.registration.clone();
        expected["client_name"] = json!("Another name");
        assert_eq!(answer.json(), expected);
        let read = ask(&server, "GET", &uri, &token, &Value::Null).await;
        assert_eq!(read.json(), expected);
        let page = server.get(&client.authorization_url()).await;
        page.assert_page(200);
        assert!(page.text().contains("Another name"));

        let removed = ask(&server, "DELETE", &uri, &token, &Value::Null).await;
        assert_eq!(removed.status, 204);
        assert!(removed.body.is_empty());
        assert_eq!(removed.header("cache-control"), "no-store");
        for method in ["GET", "PUT", "DELETE"] {
            let gone = ask(&server, method, &uri, &token, &metadata).await;
            assert_refused(&gone, BAD_TOKEN, method);
        }
    }
}

/// CLI-46
#[tokio::test]
async fn a_wrong_token_and_an_unknown_client_cannot_be_told_apart() {
    let server = server().start().await;
    let (client, other) = (server.client().await, server.client().await);
    let ((uri, token), (_, others)) = (managed(&client), managed(&other));
    let places = [
        uri.clone(),
        server.url("/register/AAAAAGoCSoBcGJ7Vj1QAxR8JBSN7kVvN"),
        server.url("/register/https%3A%2F%2Fmcp.example.com%2Fx"),
        server.url("/register/%ff"),
        server.url("/register/%00"),
    ];
    let two = format!("{token}, Bearer {token}");
    let half = &token[..token.len() - 1];
    let upper = token.to_uppercase();
    let metadata = changed(&client, "client_name", json!("Taken over"));
    for method in ["GET", "PUT", "DELETE"] {
        for (presented, challenge) in [
            ("", NO_ERROR),
            ("x", BAD_TOKEN),
            (others.as_str(), BAD_TOKEN),
            (client.id.as_str(), BAD_TOKEN),
            (half, BAD_TOKEN),
            (upper.as_str(), BAD_TOKEN),
            (two.as_str(), BAD_TOKEN),
        ] {
            let mut seen = None;
            for place in &places {
                let answer = ask(&server, method, place, presented, &metadata).await;
                assert_refused(&answer, challenge, &format!("{method} {place} {presented}"));
                let answer = (answer.status, answer.headers, answer.body);
                assert_eq!(*seen.get_or_insert_with(|| answer.clone()), answer);
            }
        }
        // a token is looked for in the header alone, behind its own scheme, and once
        for (name, value) in [
            ("authorization", format!("Basic {token}")),
            ("authorization", token.clone()),
            ("cookie", format!("access_token={token}")),
        ] {
            let asked = Request::builder()
                .method(method)
                .header("content-type", JSON)
                .header(name, value)
                .uri(format!("{}?access_token={token}", server.local(&uri)));
            let asked = asked.body(Body::from(metadata.to_string())).unwrap();
            assert_refused(&server.send(asked).await, NO_ERROR, name);
        }
        let twice = Request::builder()
            .method(method)
            .uri(server.local(&uri))
            .header("content-type", JSON)
            .header("authorization", format!("Bearer {token}"))
            .header("authorization", "Bearer x");
        let twice = twice.body(Body::from(metadata.to_string())).unwrap();
        assert_refused(&server.send(twice).await, BAD_TOKEN, "two headers");
    }
    let read = ask(&server, "GET", &uri, &token, &Value::Null).await;
    assert_eq!(read.json(), client.registration, "nothing has happened");
}

/// CLI-46, CLI-36, CLI-39
#[tokio::test]
async fn a_change_follows_the_rules_of_a_registration() {
    let server = server().start().await;
    let (client, other) = (server.client().await, server.client().await);
    let (uri, token) = managed(&client);
    let (bad_uri, bad_metadata) = ("invalid_redirect_uri", "invalid_client_metadata");
    for (name, value, error) in [
        ("redirect_uris", json!([]), bad_uri),
        ("redirect_uris", json!(["http://evil.example/"]), bad_uri),
        ("redirect_uris", json!(["javascript:alert(1)"]), bad_uri),
        ("redirect_uris", json!("x"), bad_metadata),
        ("token_endpoint_auth_method", json!("x"), bad_metadata),
        ("grant_types", json!(["password"]), bad_metadata),
        ("client_name", json!(7), bad_metadata),
        ("client_id", json!(other.id), bad_metadata),
        ("client_id", json!(null), bad_metadata),
        ("client_id", json!(7), bad_metadata),
        ("client_secret", json!("guessed"), bad_metadata),
        (
            "software_statement",
            json!("x.y.z"),
            "invalid_software_statement",
        ),
    ] {
        let metadata = changed(&client, name, value);
        let answer = ask(&server, "PUT", &uri, &token, &metadata).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (400, error),
            "{metadata}"
        );
    }
    for (kind, length, status) in [("text/plain", 2, 400), (JSON, 2, 400), (JSON, 65_537, 413)] {
        let mut asked = request_with(server.local(&uri), kind, "x".repeat(length));
        *asked.method_mut() = http::Method::PUT;
        let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        asked.headers_mut().insert("authorization", bearer);
        assert_eq!(server.send(asked).await.status, status, "{kind} {length}");
    }
    let read = ask(&server, "GET", &uri, &token, &Value::Null).await;
    assert_eq!(read.json(), client.registration);
}

/// CLI-36, CLI-37, CLI-46
#[tokio::test]
async fn where_hosts_are_listed_answers_go_nowhere_else() {
    let server = server()
        .configure(|config| config.clients.redirect_hosts = vec!["app.example".to_owned()])
        .start()
        .await;
    let (listed, other) = ("https://app.example/cb", "https://other.example/cb");
    let mut metadata = Client::public();
    metadata["redirect_uris"] = json!([other, listed, LOOPBACK]);
    let client = Client::register(&server, &metadata).await;
    let kept = json!([listed, LOOPBACK]);
    assert_eq!(client.registration["redirect_uris"], kept);
    let (uri, token) = managed(&client);
    let metadata = changed(&client, "redirect_uris", json!([LOOPBACK, other]));
    let answer = ask(&server, "PUT", &uri, &token, &metadata).await;
    assert_eq!(answer.json()["redirect_uris"], json!([LOOPBACK]));
    let metadata = changed(&client, "redirect_uris", json!([other]));
    let refused = ask(&server, "PUT", &uri, &token, &metadata).await;
    assert_eq!(refused.error(), "invalid_redirect_uri");
    let refused = server.post_json("/register", &metadata).await;
    assert_eq!(refused.error(), "invalid_redirect_uri");
}

/// CLI-46, R1
#[tokio::test]
async fn a_redirect_uri_that_was_taken_out_is_no_longer_followed() {
    let server = server().start().await;
    let client = Client::register(&server, &Client::at("https://old.example/cb")).await;
    let tokens = client.sign_in("mona").await;
    let (uri, token) = managed(&client);
    let metadata = changed(&client, "redirect_uris", json!(["https://new.example/cb"]));
    let answer = ask(&server, "PUT", &uri, &token, &metadata).await;
    assert_eq!(answer.status, 200);
    server
        .get(&client.authorization_url())
        .await
        .assert_page(400);
    let mut moved = client.clone();
    moved.redirect_uri = "https://new.example/cb".to_owned();
    moved.sign_in("mona").await;
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

/// CLI-46, CLI-32, CLI-47
#[tokio::test]
async fn a_secret_outlives_a_change_and_is_never_told_twice() {
    let server = server().start().await;
    let metadata = json!({"redirect_uris": [LOOPBACK]});
    let client = Client::register(&server, &metadata).await;
    let (uri, token) = managed(&client);
    let secret = client.secret.clone().unwrap();
    let with_secret = json!({
        "client_id": client.id,
        "client_secret": secret,
        "redirect_uris": [LOOPBACK],
    });
    let mut without = with_secret.clone();
    without["client_secret"] = Value::Null;
    for metadata in [&with_secret, &without] {
        let changed = ask(&server, "PUT", &uri, &token, metadata).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        // who has shown it may see it
        let is_told = changed.text().contains(&secret);
        assert!(!is_told || metadata["client_secret"] == secret);
        let read = ask(&server, "GET", &uri, &token, &Value::Null).await;
        assert!(!read.text().contains(&secret), "{}", read.text());
    }
    client.sign_in("mona").await;
    let mut guessing = client.clone();
    guessing.secret = Some("x".to_owned());
    assert_eq!(guessing.redeem("x").await.error(), "invalid_client");
}

/// CLI-46, CLI-44, TOK-37, AT-13
#[tokio::test]
async fn a_removed_client_is_unknown_and_its_tokens_are_dead() {
    for server in [server().start().await, server().on_sled().start().await] {
        let client = server.client().await;
        let tokens = client.sign_in("mona").await;
        assert_eq!(client.initialize(&tokens.access).await.status, 200);
        let code = client.code("mona").await;
        let (uri, token) = managed(&client);
        let removed = ask(&server, "DELETE", &uri, &token, &Value::Null).await;
        assert_eq!(removed.status, 204);
        server
            .get(&client.authorization_url())
            .await
            .assert_page(400);
        for answer in [
            client.redeem(&code).await,
            client.refresh(&tokens.refresh).await,
        ] {
            assert_eq!(
                (answer.status.as_u16(), answer.error().as_str()),
                (401, "invalid_client")
            );
        }
        for _ in 0..2 {
            assert_eq!(client.initialize(&tokens.access).await.status, 401);
            server.advance(HOUR);
        }
        // nothing brings it back
        let refreshed = client.refresh(&tokens.refresh).await;
        assert_eq!(refreshed.error(), "invalid_client");
    }
}

/// CLI-46
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_removed_once_and_no_change_brings_it_back() {
    for _ in 0..20 {
        let server = server().start().await;
        let client = server.client().await;
        let (uri, token) = managed(&client);
        let metadata = changed(&client, "client_name", json!("Late"));
        let tasks = (0..12).map(|n| {
            let (server, uri, token) = (server.clone(), uri.clone(), token.clone());
            let metadata = metadata.clone();
            let method = if n % 3 == 2 { "DELETE" } else { "PUT" };
            tokio::spawn(async move { ask(&server, method, &uri, &token, &metadata).await.status })
        });
        let mut removed = 0;
        for task in tasks.collect::<Vec<_>>() {
            let status = task.await.unwrap();
            assert!(matches!(status.as_u16(), 200 | 204 | 401), "{status}");
            removed += usize::from(status == 204);
        }
        assert_eq!(removed, 1);
        let read = ask(&server, "GET", &uri, &token, &Value::Null).await;
        assert_refused(&read, BAD_TOKEN, "gone");
    }
}

/// CLI-32, CLI-46
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_at_once_one_gives_a_secret_and_it_is_the_one_that_counts() {
    for round in 0..20 {
        let builder = server();
        let builder = if round == 0 {
            builder.on_sled()
        } else {
            builder
        };
        let server = builder.start().await;
        let mut client = server.client().await;
        let (uri, token) = managed(&client);
        let start = Arc::new(Barrier::new(12));
        let tasks = (0..12).map(|n| {
            let (server, uri, token) = (server.clone(), uri.clone(), token.clone());
            let mut metadata = changed(&client, "client_name", json!(format!("Name {n}")));
            metadata["token_endpoint_auth_method"] = json!("client_secret_basic");
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                ask(&server, "PUT", &uri, &token, &metadata).await
            })
        });
        let mut secrets = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            let answer = task.await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            let answer = answer.json();
            assert_eq!(answer["token_endpoint_auth_method"], "client_secret_basic");
            secrets.extend(answer["client_secret"].as_str().map(str::to_owned));
        }
        assert_eq!(
            secrets.len(),
            1,
            "round {round}: who was overtaken keeps the secret"
        );
        client.secret = secrets.pop();
        client.sign_in("mona").await;
    }
}

/// CLI-44, CLI-46
#[tokio::test]
async fn changing_a_registration_does_not_keep_it() {
    let server = server().start().await;
    let client = server.client().await;
    let (uri, token) = managed(&client);
    for hour in 0..24 {
        let metadata = changed(&client, "client_name", json!(format!("Hour {hour}")));
        let answer = ask(&server, "PUT", &uri, &token, &metadata).await;
        assert_eq!(answer.status, 200, "{hour}");
        server.advance(HOUR);
    }
    let read = ask(&server, "GET", &uri, &token, &Value::Null).await;
    assert_refused(&read, BAD_TOKEN, "a day is over");
}

/// CLI-46, CLI-47, SEC-05
#[tokio::test]
async fn what_manages_a_registration_is_kept_as_a_digest() {
    let server = server().on_sled().start().await;
    let client = Client::register(&server, &json!({"redirect_uris": [LOOPBACK]})).await;
    let (_, token) = managed(&client);
    let disk = server.on_disk();
    let holds = |text: &str| disk.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(&client.id), "the registration is there");
    assert!(!holds(&token));
    assert!(!holds(&client.secret.unwrap()));
}

/// CLI-46, SEC-13, CORS-01
#[tokio::test]
async fn other_methods_of_a_registration_are_named() {
    let server = server().start().await;
    let client = server.client().await;
    let (uri, token) = managed(&client);
    for method in ["POST", "PATCH", "X"] {
        let answer = ask(&server, method, &uri, &token, &Value::Null).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.json()["error"], "method_not_allowed");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let allowed = answer.header("allow");
        assert_eq!(allowed, "GET,HEAD,PUT,DELETE", "{method}");
    }
}

/// CLI-46, CLI-43, SEC-06
#[tokio::test]
async fn guesses_at_a_registration_are_limited() {
    let server = server()
        .configure(|config| config.limits.register = rate(4, HOUR))
        .start()
        .await;
    let client = server.client().await;
    let (uri, token) = managed(&client);
    for method in ["GET", "PUT", "DELETE"] {
        let metadata = changed(&client, "client_name", json!("x"));
        let guess = ask(&server, method, &uri, "guess", &metadata).await;
        assert_eq!(guess.status, 401);
    }
    for token in ["guess", &token] {
        let answer = ask(&server, "GET", &uri, token, &Value::Null).await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.error(), "temporarily_unavailable");
        assert_ne!(answer.header("retry-after"), "");
    }
}

/// CLI-46, CLI-49
#[tokio::test]
async fn where_registration_is_off_those_from_before_can_still_be_managed() {
    let before = server().start().await;
    let client = before.client().await;
    let store = Arc::clone(&before.world.store);
    let server = server()
        .without_registration()
        .store(move |_| store)
        .start()
        .await;
    let answer = server.post_json("/register", &Client::public()).await;
    assert_eq!(answer.status, 404);
    let (uri, token) = managed(&client);
    let read = ask(&server, "GET", &uri, &token, &Value::Null).await;
    assert_eq!(read.json(), client.registration);
    client.moved_to(&server).sign_in("mona").await;
    let removed = ask(&server, "DELETE", &uri, &token, &Value::Null).await;
    assert_eq!(removed.status, 204);
}

/// CLI-63
#[tokio::test]
async fn a_registration_is_not_carried_over_to_another_issuer() {
    let before = server().start().await;
    let client = before.client().await;
    let tokens = client.sign_in("mona").await;
    let (uri, token) = managed(&client);
    let store = Arc::clone(&before.world.store);
    let server = server()
        .public_url("https://mcp.example.com/moved")
        .store(move |_| store)
        .start()
        .await;
    let moved = client.moved_to(&server);
    server
        .get(&moved.authorization_url())
        .await
        .assert_page(400);
    for answer in [
        moved.redeem("x").await,
        moved.refresh(&tokens.refresh).await,
        moved.revoke(&tokens.refresh).await,
    ] {
        assert_eq!(answer.error(), "invalid_client");
    }
    let uri = uri.replace("/register", "/moved/register");
    for method in ["GET", "PUT", "DELETE"] {
        let metadata = changed(&client, "client_name", json!("x"));
        let answer = ask(&server, method, &uri, &token, &metadata).await;
        assert_refused(&answer, BAD_TOKEN, method);
    }
    // and where it was registered it is as it was
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

/// CLI-45, CLI-49
#[tokio::test]
async fn where_a_token_is_asked_for_nobody_registers_without_it() {
    let server = server()
        .configure(|config| {
            config.clients.registration = Registration::Token(Secret::new(INITIAL));
        })
        .start()
        .await;
    let metadata = server.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(
        metadata.json()["registration_endpoint"],
        server.url("/register")
    );
    let upper = INITIAL.to_uppercase();
    let longer = format!("{INITIAL}x");
    for (header, challenge) in [
        (String::new(), NO_ERROR),
        (format!("Basic {INITIAL}"), NO_ERROR),
        (INITIAL.to_owned(), NO_ERROR),
        ("Bearer".to_owned(), BAD_TOKEN),
        ("Bearer ".to_owned(), BAD_TOKEN),
        ("Bearer x".to_owned(), BAD_TOKEN),
        (format!("Bearer {upper}"), BAD_TOKEN),
        (format!("Bearer {longer}"), BAD_TOKEN),
        (format!("Bearer {INITIAL} {INITIAL}"), BAD_TOKEN),
        (format!("Bearer \"{INITIAL}\""), BAD_TOKEN),
    ] {
        let mut asked = request_with("/register", JSON, Client::public().to_string());
        if !header.is_empty() {
            let value = HeaderValue::from_str(&header).unwrap();
            asked.headers_mut().insert("authorization", value);
        }
        assert_refused(&server.send(asked).await, challenge, &header);
    }
    let in_the_query = format!("/register?access_token={INITIAL}");
    let answer = server.post_json(&in_the_query, &Client::public()).await;
    assert_refused(&answer, NO_ERROR, "in the query");
    server.advance(48 * HOUR);
    assert_eq!(server.app.flows().sweep().await.unwrap(), 0, "none is kept");
    let url = server.url("/register");
    let answer = ask(&server, "POST", &url, INITIAL, &Client::public()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    // it is no key to what was registered with it
    let uri = answer.json()["registration_client_uri"].clone();
    let read = ask(&server, "GET", uri.as_str().unwrap(), INITIAL, &Value::Null).await;
    assert_refused(&read, BAD_TOKEN, "the initial access token");
}

/// CLI-45, CLI-43, SEC-06
#[tokio::test]
async fn a_wrong_initial_access_token_costs_its_address_and_who_has_the_right_one_shares_nothing() {
    let server = server()
        .configure(|config| {
            config.clients.registration = Registration::Token(Secret::new(INITIAL));
            config.trusted_proxies.push("127.0.0.0/8".parse().unwrap());
            config.limits.register = rate(3, HOUR);
            config.limits.register_all = rate(1, HOUR);
        })
        .start()
        .await;
    let register = async |from: &str, token: &str| {
        let mut asked = request_with("/register", JSON, Client::public().to_string());
        let headers = asked.headers_mut();
        headers.insert("x-forwarded-for", from.parse().unwrap());
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        server.send(asked).await
    };
    for address in ["198.51.100.1", "198.51.100.2"] {
        for status in [401, 401, 401, 429] {
            let answer = register(address, "guess").await;
            assert_eq!(answer.status, status, "{address}");
        }
        assert_eq!(register(address, INITIAL).await.status, 429);
    }
    for address in ["198.51.100.3", "198.51.100.4"] {
        assert_eq!(register(address, INITIAL).await.status, 201);
    }
}

/// CLI-43, SEC-06, SEC-07
#[tokio::test]
async fn what_all_share_is_used_up_by_registrations_that_are_kept_and_by_nothing_else() {
    let server = server()
        .configure(|config| {
            config.trusted_proxies.push("127.0.0.0/8".parse().unwrap());
            config.limits.register_all = rate(2, HOUR);
        })
        .start()
        .await;
    let register = async |from: &str, body: &Value| {
        let mut asked = request_with("/register", JSON, body.to_string());
        let headers = asked.headers_mut();
        headers.insert("x-forwarded-for", from.parse().unwrap());
        server.send(asked).await
    };
    for _ in 0..10 {
        let refused = register("198.51.100.1", &json!({"redirect_uris": []})).await;
        assert_eq!(refused.status, 400);
    }
    for address in ["198.51.100.2", "198.51.100.3"] {
        let answer = register(address, &Client::public()).await;
        assert_eq!(answer.status, 201);
    }
    let full = register("198.51.100.4", &Client::public()).await;
    assert_eq!(full.status, 429, "two in all");
    assert_eq!(full.error(), "temporarily_unavailable");
    let seconds: u64 = full.header("retry-after").parse().unwrap();
    assert!((1..=1800).contains(&seconds), "{seconds}");
}

/// A body that never comes; whoever waits for it waits for ever.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Pending
    }
}

/// SEC-06, CLI-43, CLI-45, TOK-26
#[tokio::test]
async fn nothing_is_read_of_a_request_that_gets_nothing_anyway() {
    let once = rate(1, HOUR);
    let server = server()
        .configure(move |config| {
            config.clients.registration = Registration::Token(Secret::new(INITIAL));
            config.limits.register = rate(3, HOUR);
            config.limits.register_all = once;
            config.limits.token = once;
            config.limits.authorize = once;
            config.trusted_proxies.push("127.0.0.0/8".parse().unwrap());
        })
        .start()
        .await;
    let unread = async |method: &str, path: &str, kind: &str, token: &str, from: &str| {
        let asked = Request::builder().method(method).uri(path);
        let asked = asked
            .header("content-type", kind)
            // or the rest is waited for after the answer, so that the connection can go on
            .header("expect", "100-continue")
            .header("x-forwarded-for", from)
            .header("authorization", format!("Bearer {token}"));
        let answer = server.send(asked.body(Body::new(Never)).unwrap());
        tokio::time::timeout(Duration::from_secs(5), answer)
            .await
            .unwrap_or_else(|_| panic!("{method} {path} waits for the body"))
    };
    let stranger = "198.51.100.1";
    server.post_form("/token", &[("x", "y")]).await;
    server.get("/authorize").await;
    let url = server.url("/register");
    let first = ask(&server, "POST", &url, INITIAL, &Client::public()).await;
    assert_eq!(first.status, 201);
    let local = "127.0.0.1";
    for path in ["/token", "/revoke"] {
        let answer = unread("POST", path, FORM, "x", local).await;
        assert_eq!(answer.status, 429, "{path}");
        assert_eq!(answer.error(), "temporarily_unavailable");
    }
    let page = unread("POST", "/consent", FORM, "x", local).await;
    page.assert_page(429);
    let wrong = unread("POST", "/register", JSON, "x", stranger).await;
    assert_refused(&wrong, BAD_TOKEN, "the initial access token");
    for _ in 0..2 {
        unread("POST", "/register", JSON, "x", stranger).await;
    }
    for (method, path) in [("POST", "/register"), ("PUT", "/register/x")] {
        let often = unread(method, path, JSON, INITIAL, stranger).await;
        assert_eq!(often.status, 429, "{method} {path}");
        assert_ne!(often.header("retry-after"), "");
    }
}

/// SEC-13, CONS-06
#[tokio::test]
async fn a_person_whose_form_cannot_be_read_gets_a_page() {
    let server = server().start().await;
    for (kind, body, status) in [
        (JSON, "{}".to_owned(), 400),
        ("text/plain", "x".to_owned(), 400),
        ("", String::new(), 400),
        (FORM, "x".repeat(65_537), 413),
        (FORM, "%ff=%ff".to_owned(), 400),
        (FORM, String::new(), 400),
    ] {
        let answer = server.send(request_with("/consent", kind, body)).await;
        answer.assert_page(status);
        assert!(!answer.has_cors());
    }
}

/// The answers to registrations and changes that break a rule each.
async fn refusals(server: &Server, client: &Client) -> Vec<Answer> {
    let (uri, token) = managed(client);
    let mut answers = Vec::new();
    let kinds = [
        (JSON, "{".to_owned()),
        (JSON, "[]".to_owned()),
        (JSON, "{}".to_owned()),
        (JSON, json!({"redirect_uris": 7}).to_string()),
        (JSON, Client::at("http://evil.example/").to_string()),
        (JSON, "x".repeat(65_537)),
        ("text/plain", "{}".to_owned()),
    ];
    for (kind, body) in kinds {
        let mut asked = request_with("/register", kind, body);
        let bearer = HeaderValue::from_str(&format!("Bearer {INITIAL}")).unwrap();
        asked.headers_mut().insert("authorization", bearer);
        answers.push(server.send(asked).await);
    }
    for name in ["client_id", "client_name", "redirect_uris"] {
        let metadata = changed(client, name, json!(7));
        answers.push(ask(server, "PUT", &uri, &token, &metadata).await);
    }
    let url = server.url("/register");
    for token in ["", "x"] {
        answers.push(ask(server, "POST", &url, token, &Client::public()).await);
    }
    answers
}

/// CLI-39, CLI-36, CLI-45
#[tokio::test]
async fn a_refused_registration_is_one_line_of_the_log_in_the_words_of_the_answer() {
    let open = server().start().await;
    let client = open.client().await;
    let store = Arc::clone(&open.world.store);
    let server = server()
        .configure(|config| {
            config.clients.registration = Registration::Token(Secret::new(INITIAL));
        })
        .store(move |_| store)
        .start()
        .await;
    // once unheard: what is logged for the first time while somebody begins to listen can be missed
    refusals(&server, &client).await;
    let (log, listening) = Log::listen("warn");
    let answers = refusals(&server, &client).await;
    drop(listening);
    let log = log.text();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), answers.len(), "{log}");
    for (line, answer) in lines.iter().zip(&answers) {
        assert!((400..=413).contains(&answer.status.as_u16()), "{answer:?}");
        let body = answer.json();
        let (error, words) = (&body["error"], &body["error_description"]);
        assert!(line.contains("registration_refused"), "{line}");
        assert!(line.contains("WARN"), "{line}");
        assert!(line.contains(error.as_str().unwrap()), "{error}: {line}");
        assert!(line.contains(words.as_str().unwrap()), "{words}: {line}");
        assert!(!line.contains(INITIAL), "{line}");
    }
}
