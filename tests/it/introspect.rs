//! Introspection: what a token is worth at this moment, told to clients that the operator chose, and to nobody else.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::time::Duration;

use anteroom::config::{Config, KnownClient};
use anteroom::protocol::ids::ClientId;
use anteroom::protocol::redirect_uri::RedirectUri;
use anteroom::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::harness::answer::{Answer, encode, request, request_with};
use crate::harness::client::{Client, Tokens};
use crate::harness::server::{Server, rate, server};
use crate::registration::{ask as registration, changed, managed};
use crate::token::confidential;

const FORM: &str = "application/x-www-form-urlencoded";
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// The client that may introspect.
pub(crate) const WHO: &str = "inspector";
/// Its secret.
pub(crate) const SECRET: &str = "the-secret-of-who-may-introspect-0123456789";

/// Names a client in the configuration that may introspect.
pub(crate) fn trust(config: &mut Config) {
    config.clients.known.push(known(WHO, Some(SECRET)));
}

pub(crate) fn known(id: &str, secret: Option<&str>) -> KnownClient {
    KnownClient {
        id: ClientId::new(id),
        name: None,
        secret: secret.map(|secret| Secret::new(secret).digest()),
        redirect_uris: vec![RedirectUri::parse("https://inspector.example/cb").unwrap()],
        scopes: None,
    }
}

/// What the trusted client is told of a token.
pub(crate) async fn ask(server: &Server, token: &str) -> Answer {
    ask_as(server, WHO, SECRET, token).await
}

pub(crate) async fn ask_as(server: &Server, id: &str, secret: &str, token: &str) -> Answer {
    let form = [
        ("client_id", id),
        ("client_secret", secret),
        ("token", token),
    ];
    server.post_form("/introspect", &form).await
}

async fn assert_dead(server: &Server, token: &str, what: &str) {
    let answer = ask(server, token).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, r#"{"active":false}"#),
        "{what}"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
}

async fn assert_alive(server: &Server, token: &str) {
    let answer = ask(server, token).await;
    assert_eq!(answer.json()["active"], true, "{}", answer.text());
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// REV-05, REV-07
#[tokio::test]
async fn of_a_token_in_force_is_told_what_it_is_and_no_name_of_a_person() {
    let server = server().configure(trust).start().await;
    let client = server.client().await;
    let first = client.sign_in("mona").await;
    server.advance(Duration::from_secs(60));
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*first.refresh),
        ("scope", "mcp:tools:read"),
    ];
    let tokens = Tokens::read(&client.token(&form).await);
    let mut expected = tokens.claims();
    expected["active"] = json!(true);
    expected["token_type"] = json!("Bearer");
    let answer = ask(&server, &tokens.access).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json(), expected);
    assert_eq!(expected["scope"], "mcp:tools:read");
    assert_eq!(expected["aud"], server.resource());
    assert_eq!(expected["sub"], "github:1");
    // of the refresh token: whatever it can still give, and that it opens nothing itself
    let answer = ask(&server, &tokens.refresh).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let idle = server.world.config.tokens.refresh;
    assert_eq!(
        answer.json(),
        json!({
            "active": true,
            "scope": first.scope,
            "client_id": client.id,
            "sub": "github:1",
            "aud": server.issuer(),
            "iss": server.issuer(),
            "exp": expected["iat"].as_u64().unwrap() + idle.as_secs(),
            "iat": expected["iat"],
            "sid": expected["sid"],
            "token_type": "N_A",
        })
    );
    for token in [&first.access, &tokens.access, &tokens.refresh] {
        let text = ask(&server, token).await.text().to_lowercase();
        assert!(!text.contains("mona"), "{text}");
    }
}

/// Tokens of another server with the same name, and the same sealing key, but a signing key and a store of its own.
async fn signed_in_elsewhere() -> Tokens {
    let server = server().start().await;
    server.client().await.sign_in("mona").await
}

/// REV-05
#[tokio::test]
async fn of_anything_else_is_told_that_it_is_not_in_force() {
    let server = server().configure(trust).start().await;
    let client = server.client().await;
    let first = client.sign_in("mona").await;
    let tokens = Tokens::read(&client.refresh(&first.refresh).await);
    let code = client.code("mona").await;
    let foreign = signed_in_elsewhere().await;
    let (head, signature) = tokens.access.rsplit_once('.').unwrap();
    let (header, payload) = head.split_once('.').unwrap();
    for (token, what) in [
        ("x", "one that is none"),
        ("e30.e30.e30", "three parts"),
        (&"a".repeat(80), "of the length of a refresh token"),
        (&"a.".repeat(30_000), "a long one"),
        (&code, "a code"),
        (&client.id, "an identifier"),
        (
            &first.refresh,
            "a refresh token that was used, within its grace",
        ),
        (&tokens.refresh[1..], "a refresh token, cut"),
        (&foreign.access, "an access token of another key"),
        (&foreign.refresh, "a refresh token of a session elsewhere"),
        (&format!("{head}."), "an access token without signature"),
        (&format!("{header}.{payload}x.{signature}"), "a forged one"),
        (&format!(" {}", tokens.access), "one with a blank"),
        (&format!("Bearer {}", tokens.access), "a header"),
    ] {
        assert_dead(&server, token, what).await;
    }
    // to ask was no use of a token: nothing has ended
    assert_alive(&server, &first.access).await;
    assert_alive(&server, &tokens.refresh).await;
    server.advance(Duration::from_secs(3600));
    assert_dead(&server, &first.refresh, "a refresh token that was used").await;
    assert_dead(&server, &tokens.access, "an expired access token").await;
    assert_alive(&server, &tokens.refresh).await;
    Tokens::read(&client.refresh(&tokens.refresh).await);
    server.advance(server.world.config.tokens.refresh);
    assert_dead(&server, &tokens.refresh, "a token of an expired session").await;
}

/// REV-05, AT-13
#[tokio::test]
async fn a_session_that_has_ended_anywhere_is_dead_here_at_once() {
    let here = server().configure(trust).start().await;
    let client = here.client().await;
    let there = here.restart().await;
    for revoked_there in [false, true] {
        let tokens = client.sign_in("mona").await;
        let bystander = client.sign_in("mona").await;
        // somebody uses it, so that it is known here as in force
        assert_eq!(client.initialize(&tokens.access).await.status, 200);
        assert_alive(&here, &tokens.access).await;
        assert_alive(&here, &tokens.refresh).await;
        let at = if revoked_there { &there } else { &here };
        let answer = client.moved_to(at).revoke(&tokens.access).await;
        assert_eq!(answer.status, 200);
        assert_dead(&here, &tokens.access, "access").await;
        assert_dead(&here, &tokens.refresh, "refresh").await;
        assert_alive(&here, &bystander.access).await;
    }
    // reuse of an old refresh token ends a session, too
    let first = client.sign_in("mona").await;
    let second = Tokens::read(&client.refresh(&first.refresh).await);
    here.advance(Duration::from_secs(61));
    assert_eq!(
        client.refresh(&first.refresh).await.error(),
        "invalid_grant"
    );
    assert_dead(&here, &second.access, "of a stolen session").await;
    assert_dead(&here, &second.refresh, "of a stolen session").await;
}

/// REV-05, TOK-24, T14
#[tokio::test]
async fn whoever_is_not_trusted_is_told_nothing_of_any_token() {
    let server = server()
        .configure(|config| {
            trust(config);
            config.clients.known.push(known("open", None));
        })
        .start()
        .await;
    let public = server.client().await;
    let registered = Client::register(&server, &confidential()).await;
    let own = registered.secret.clone().unwrap();
    let tokens = registered.sign_in("mona").await;
    let own = [("client_id", &*registered.id), ("client_secret", &*own)];
    for (who, credentials) in [
        ("nobody", vec![]),
        ("a stranger", vec![("client_id", "x")]),
        ("without its secret", vec![("client_id", WHO)]),
        (
            "with a wrong one",
            vec![("client_id", WHO), ("client_secret", "wrong")],
        ),
        ("with that of another", vec![("client_id", WHO), own[1]]),
        (
            "a public client that registered",
            vec![("client_id", &*public.id)],
        ),
        ("a public known one", vec![("client_id", "open")]),
        (
            "the same, with a secret",
            vec![("client_id", "open"), ("client_secret", SECRET)],
        ),
        (
            "a confidential client that registered, with its own token",
            own.to_vec(),
        ),
    ] {
        let mut told = Vec::new();
        for token in [&*tokens.access, &tokens.refresh, "x", ""] {
            let mut form = credentials.clone();
            form.push(("token", token));
            let answer = server.post_form("/introspect", &form).await;
            assert_eq!(answer.status, 401, "{who}");
            assert_eq!(answer.error(), "invalid_client", "{who}");
            told.push(answer.text().to_owned());
        }
        told.dedup();
        assert_eq!(told.len(), 1, "{who} can tell tokens apart: {told:?}");
    }
    assert_alive(&server, &tokens.access).await;
}

/// REV-05, TOK-20, TOK-22
#[tokio::test]
async fn who_may_ask_proves_itself_by_header_or_by_body_and_not_by_both() {
    let server = server().configure(trust).start().await;
    let client = server.client().await;
    let token = client.sign_in("mona").await.access;
    let send = async |header: &str, form: &[(&str, &str)]| {
        let mut asked = request_with("/introspect", FORM, encode(form));
        let header = header.parse().unwrap();
        asked.headers_mut().insert("authorization", header);
        server.send(asked).await
    };
    let right = basic(WHO, SECRET);
    let answer = send(&right, &[("token", &token)]).await;
    assert_eq!(answer.json()["active"], true);
    // the access token itself opens nothing here
    for wrong in [
        basic(WHO, "wrong"),
        basic("x", SECRET),
        format!("Bearer {token}"),
    ] {
        let answer = send(&wrong, &[("token", &token)]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("www-authenticate")),
            (401, "Basic realm=\"anteroom\"")
        );
    }
    let both = [
        ("client_id", WHO),
        ("client_secret", SECRET),
        ("token", &*token),
    ];
    assert_eq!(send(&right, &both).await.error(), "invalid_request");
}

/// REV-05, REV-07
#[tokio::test]
async fn a_question_is_a_form_by_post_with_one_token() {
    let server = server().configure(trust).start().await;
    let client = server.client().await;
    let token = client.sign_in("mona").await.access;
    let form = [
        ("client_id", WHO),
        ("client_secret", SECRET),
        ("token", &*token),
    ];
    let query = format!("/introspect?{}", encode(&form));
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = server.send(request(method, &query)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "POST"),
            "{method}"
        );
        assert!(!answer.text().contains("active"), "{method}");
    }
    // nothing in the URL is read
    let answer = server.send(request_with(&query, FORM, "")).await;
    assert_eq!(answer.error(), "invalid_client");
    let answer = server
        .send(request_with(&query, FORM, encode(&form[..2])))
        .await;
    assert_eq!(answer.error(), "invalid_request");
    for (form, status) in [
        (vec![form[0], form[1]], 400),
        (vec![form[0], form[1], ("token", "")], 400),
        (vec![form[0], form[1], form[2], form[2]], 400),
        (vec![form[0], form[1], form[2], ("x", "1"), ("x", "2")], 400),
    ] {
        let answer = server.post_form("/introspect", &form).await;
        assert_eq!(answer.status, status, "{form:?}");
        assert_eq!(answer.error(), "invalid_request", "{form:?}");
    }
    let body: Value = form.iter().map(|(n, v)| (*n, json!(v))).collect();
    let answer = server.post_json("/introspect", &body).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_request")
    );
    let long = "x".repeat(64 << 10);
    let answer = ask(&server, &long).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (413, "invalid_request")
    );
}

/// REV-05
#[tokio::test]
async fn a_hint_changes_nothing() {
    let server = server().configure(trust).start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    for token in [&tokens.access, &tokens.refresh] {
        let plain = ask(&server, token).await;
        for hint in ["access_token", "refresh_token", "id_token", "", "\u{e4}"] {
            let form = [
                ("client_id", WHO),
                ("client_secret", SECRET),
                ("token_type_hint", hint),
                ("token", token),
            ];
            let answer = server.post_form("/introspect", &form).await;
            assert_eq!(answer.text(), plain.text(), "{hint}");
        }
    }
}

/// CORS-01
#[tokio::test]
async fn no_web_page_may_introspect() {
    let server = server().configure(trust).start().await;
    let client = server.client().await;
    let token = client.sign_in("mona").await.access;
    let form = [
        ("client_id", WHO),
        ("client_secret", SECRET),
        ("token", &*token),
    ];
    for method in [Method::OPTIONS, Method::POST] {
        let mut asked = request_with("/introspect", FORM, encode(&form));
        *asked.method_mut() = method.clone();
        let headers = asked.headers_mut();
        headers.insert("origin", "https://web.example".parse().unwrap());
        headers.insert("access-control-request-method", "POST".parse().unwrap());
        let answer = server.send(asked).await;
        assert!(!answer.has_cors(), "{method}: {answer:?}");
        assert_eq!(answer.status == 200, method == Method::POST);
    }
}

/// DISC-25, DISC-31
#[tokio::test]
async fn introspection_is_offered_where_somebody_may_ask() {
    let offered = server().configure(trust).start().await;
    let metadata = offered.get(METADATA).await.json();
    assert_eq!(
        metadata["introspection_endpoint"],
        offered.url("/introspect")
    );
    assert_eq!(
        metadata["introspection_endpoint_auth_methods_supported"],
        json!(["client_secret_post", "client_secret_basic"])
    );
    let nobody = server();
    let only_public = server().configure(|config| config.clients.known.push(known("open", None)));
    for builder in [nobody, only_public] {
        let server = builder.start().await;
        let metadata = server.get(METADATA).await.json();
        let members = metadata.as_object().unwrap().keys();
        let told: Vec<_> = members
            .filter(|name| name.contains("introspection"))
            .collect();
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(ask(&server, "x").await.status, 404);
    }
}

/// REV-06, RS-11
#[tokio::test]
async fn a_caller_that_is_a_resource_server_sees_what_is_for_itself() {
    const TOOLS: &str = "https://mcp.example.com/mcp";
    const NOTES: &str = "https://mcp.example.com/notes";
    let server = server().configure(|config| {
        let mut notes = config.servers[0].clone();
        notes.path = "/notes".to_owned();
        config.servers.push(notes);
        trust(config);
        let resources = [TOOLS, NOTES].map(|resource| known(resource, Some(SECRET)));
        config.clients.known.extend(resources);
    });
    let server = server.start().await;
    let client = server.client().await;
    for (resource, other) in [(TOOLS, NOTES), (NOTES, TOOLS)] {
        let url = client.authorization_url_but(&[("resource", Some(resource))]);
        let code = client.code_by(&url, "mona").await;
        let tokens = Tokens::read(&client.redeem(&code).await);
        let seen = ask_as(&server, resource, SECRET, &tokens.access)
            .await
            .json();
        assert_eq!(
            (&seen["active"], &seen["aud"]),
            (&json!(true), &json!(resource))
        );
        for (who, token) in [
            (other, &tokens.access),
            (other, &tokens.refresh),
            (resource, &tokens.refresh),
        ] {
            let answer = ask_as(&server, who, SECRET, token).await;
            assert_eq!(answer.text(), r#"{"active":false}"#, "{who}");
        }
        // who is no resource server sees both kinds of both resources
        assert_alive(&server, &tokens.access).await;
        assert_alive(&server, &tokens.refresh).await;
    }
}

/// REV-06
#[tokio::test]
async fn a_resource_server_is_told_from_others_however_its_name_is_written() {
    for name in [
        "https://mcp.example.com/mcp/",
        "https://MCP.example.com/mcp",
        "https://mcp.example.com:443/mcp",
    ] {
        let server = server().configure(move |config| {
            let mut notes = config.servers[0].clone();
            notes.path = "/notes".to_owned();
            config.servers.push(notes);
            trust(config);
            config.clients.known.push(known(name, Some(SECRET)));
        });
        let server = server.start().await;
        let client = server.client().await;
        let own = client.sign_in("mona").await;
        let notes = server.url("/notes");
        let url = client.authorization_url_but(&[("resource", Some(&notes))]);
        let other = Tokens::read(&client.redeem(&client.code_by(&url, "mona").await).await);
        for (token, active) in [
            (&own.access, true),
            (&own.refresh, false),
            (&other.access, false),
            (&other.refresh, false),
        ] {
            let seen = ask_as(&server, name, SECRET, token).await.json();
            assert_eq!(seen["active"], active, "{name}");
            assert_alive(&server, token).await;
        }
    }
}

/// REV-05, CLI-46
#[tokio::test]
async fn a_refresh_token_that_its_client_can_no_longer_use_is_not_in_force() {
    let server = server().configure(trust).start().await;
    let (client, other) = (server.client().await, server.client().await);
    let (tokens, others) = (client.sign_in("mona").await, other.sign_in("mona").await);
    let (uri, access) = managed(&client);
    let change = async |metadata: &Value| {
        let answer = registration(&server, "PUT", &uri, &access, metadata).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    change(&changed(
        &client,
        "grant_types",
        json!(["authorization_code"]),
    ))
    .await;
    assert_dead(&server, &tokens.refresh, "without the grant").await;
    change(&changed(&client, "client_name", json!("With it"))).await;
    assert_alive(&server, &tokens.refresh).await;
    let removed = registration(&server, "DELETE", &uri, &access, &Value::Null).await;
    assert_eq!(removed.status, 204);
    assert_dead(&server, &tokens.refresh, "the client is gone").await;
    assert_dead(&server, &tokens.access, "the client is gone").await;
    assert_alive(&server, &others.refresh).await;
}

/// REV-05, SEC-16
#[tokio::test]
async fn who_guesses_too_often_is_told_to_wait_and_who_may_ask_is_not() {
    let minute = Duration::from_secs(60);
    let server = server().configure(trust).configure(move |config| {
        config.limits.token = rate(3, minute);
    });
    let server = server.start().await;
    for _ in 0..3 {
        assert_eq!(ask_as(&server, WHO, "guess", "x").await.status, 401);
    }
    let answer = ask_as(&server, WHO, "guess", "x").await;
    assert_eq!(answer.status, 429);
    // whatever it is sent, and be it nonsense, a resource server of the same address goes on
    for _ in 0..10 {
        assert_eq!(ask(&server, "x").await.text(), r#"{"active":false}"#);
    }
    assert_eq!(answer.error(), "temporarily_unavailable");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 60);
}
