//! What went wrong at others, tried on the whole application: each test names the advisories of our field it answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::protocol::ids::ClientId;
use anteroom::protocol::redirect_uri::RedirectUri;
use anteroom::store::ClientChange;
use axum::body::Body;
use axum::extract::Request;
use serde_json::json;

use crate::harness::answer::{encode, parameter, request};
use crate::harness::browser::ticket;
use crate::harness::client::{Client, LOOPBACK, Tokens, VERIFIER, message};
use crate::harness::log::Log;
use crate::harness::server::{NOW, Server, server};
use crate::introspect::{SECRET, ask, trust};

/// R7
#[tokio::test]
async fn nothing_but_a_registered_address_sends_anybody_anywhere() {
    let server = server().start().await;
    let client = server.client().await;
    for value in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "https:evil.example/",
        "@evil.example/",
        " //evil.example/",
    ] {
        let names = [
            "back",
            "return_to",
            "next",
            "url",
            "rd",
            "continue",
            "redirect",
            "target",
        ];
        let more = format!("&{}", encode(&names.map(|name| (name, value))));
        let wrong = client.authorization_url_but(&[("scope", Some("bogus"))]);
        let answer = server.get(&format!("{wrong}{more}")).await;
        assert!(answer.header("location").starts_with(LOOPBACK));
        let mut browser = server.browser();
        let page = browser
            .open(&format!("{}{more}", client.authorization_url()))
            .await;
        assert!(!page.text().contains("evil"));
        let provider = browser.approve(&page).await;
        let back = browser.choose(&provider, Some("mona")).await;
        let answer = browser.get(&format!("{back}{more}")).await;
        assert!(answer.header("location").starts_with(LOOPBACK));
        assert!(!answer.header("location").contains("evil"));
    }
    for path in [
        "//evil.example/",
        "/\\evil.example/",
        "/%2f%2fevil.example",
        "/evil.example//..",
    ] {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let (mut parts, body) = request.into_parts();
        let Ok(uri) = path.parse() else { continue };
        parts.uri = uri;
        let answer = server.send(Request::from_parts(parts, body)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (404, ""),
            "{path}"
        );
    }
}

/// A6, A7, A1, A3, R1, R6
#[tokio::test]
async fn what_a_stranger_registers_opens_nothing_that_the_person_did_not_read() {
    let server = server().start().await;
    let tame = server.client().await;
    let (mut attacker, mut victim) = (server.browser(), server.browser());
    let answer = victim.sign_in(&tame.authorization_url(), "mona").await;
    tame.read_code(&answer.location());
    // a client of the same name, whose answers go to the attacker
    let mut metadata = Client::at("https://evil.example/cb");
    metadata["client_name"] = json!("Test client");
    let evil = Client::register(&server, &metadata).await;
    let page = victim.open(&evil.authorization_url()).await;
    for told in [
        "An unverified app",
        "<p class=\"fact\"><bdi>evil.example</bdi></p>",
    ] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    assert!(!page.text().contains("You let this app in before"));
    // the client that the person trusts, with the attacker's address or without its proof
    for (name, value) in [
        ("redirect_uri", Some("https://evil.example/cb")),
        ("redirect_uri", Some("http://127.0.0.1.evil.example:33418/")),
        ("redirect_uri", None),
        ("client_id", Some(&*evil.id)),
        ("client_id", Some("https://evil.example/client.json")),
    ] {
        let url = tame.authorization_url_but(&[(name, value)]);
        if (name, value) == ("redirect_uri", None) {
            // left out, it is the only one that there is: the client's own
            assert!(victim.open(&url).await.text().contains("33418"));
        } else {
            let status = victim.get(&url).await.status.as_u16();
            assert!((400..=503).contains(&status), "{name} {value:?}: {status}");
        }
    }
    for (name, value) in [
        ("response_type", Some("token")),
        ("code_challenge", None),
        ("code_challenge_method", Some("plain")),
        ("resource", Some("https://evil.example/mcp")),
    ] {
        let url = tame.authorization_url_but(&[(name, value)]);
        let back = victim.get(&url).await.location();
        assert!(back.as_str().starts_with(LOOPBACK), "{back}");
        assert_eq!(parameter(&back, "code"), None, "{back}");
    }
    // the attacker agrees for the victim, and sends them to the provider or its answer
    let page = attacker.open(&evil.authorization_url()).await;
    let provider = attacker.approve(&page).await;
    let back = victim.choose(&provider, Some("mona")).await;
    victim.get(back.as_str()).await.assert_page(403);
    attacker.get(back.as_str()).await.assert_page(400);
}

/// K1, K2, K3, K6, TOK-06
#[tokio::test]
async fn a_code_without_its_verifier_is_nothing_and_stays_good_for_its_client() {
    let server = server().start().await;
    let client = server.client().await;
    let code = client.code("mona").await;
    let other = "x".repeat(43);
    for verifier in [
        None,
        Some(""),
        Some("x"),
        Some(&*other),
        Some(&VERIFIER[..42]),
    ] {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", LOOPBACK),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let answer = client.token(&form).await;
        assert_eq!(answer.status, 400, "{verifier:?}");
        let error = answer.error();
        assert!(
            matches!(&*error, "invalid_grant" | "invalid_request"),
            "{error}"
        );
    }
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", LOOPBACK),
        ("code_verifier", VERIFIER),
        ("resource", "https://mcp.example.com/other"),
    ];
    assert_eq!(client.token(&form).await.error(), "invalid_target");
    Tokens::read(&client.redeem(&code).await);
}

/// K4
#[tokio::test]
async fn who_knows_half_of_a_code_can_do_no_harm_with_it() {
    let server = server().start().await;
    let client = server.client().await;
    let code = client.code("mona").await;
    let forged = format!("{}{}", &code[..32], "A".repeat(code.len() - 32));
    for _ in 0..3 {
        assert_eq!(client.redeem(&forged).await.error(), "invalid_grant");
    }
    let tokens = Tokens::read(&client.redeem(&code).await);
    assert_eq!(client.redeem(&forged).await.error(), "invalid_grant");
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
}

/// T3, T5, AT-11, RS-08
#[tokio::test]
async fn only_an_access_token_of_ours_opens_anything() {
    let (home, abroad) = (server().start().await, server().start().await);
    let client = home.client().await;
    let spent = client.code("mona").await;
    let tokens = Tokens::read(&client.redeem(&spent).await);
    let code = client.code("mona").await;
    let mut browser = home.browser();
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve(&page).await;
    let confidential = json!({"redirect_uris": ["https://app.example/cb"]});
    let confidential = Client::register(&home, &confidential).await;
    let foreign = abroad.client().await.sign_in("mona").await;
    for (kind, token) in [
        ("refresh token", tokens.refresh.clone()),
        ("code", code),
        ("spent code", spent),
        ("state", parameter(&provider, "state").unwrap()),
        ("ticket", ticket(&page).to_owned()),
        ("client id", client.id.clone()),
        ("client secret", confidential.secret.clone().unwrap()),
        (
            "cookie",
            browser
                .cookie("__Host-anteroom-form")
                .unwrap()
                .value
                .clone(),
        ),
        ("token of a server with the same name", foreign.access),
        (
            "token of the provider",
            "gho_16C7e42F292c6912E7710c838347Ae178B4a".to_owned(),
        ),
    ] {
        assert_eq!(client.initialize(&token).await.status, 401, "{kind}");
    }
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    for token in [&tokens.access, &client.id, "gho_x"] {
        assert_eq!(client.refresh(token).await.error(), "invalid_grant");
        assert_eq!(client.redeem(token).await.error(), "invalid_grant");
    }
    assert_eq!(
        client.redeem(&tokens.refresh).await.error(),
        "invalid_grant"
    );
}

/// T3, RS-11, P9, TOK-10, DISC-01
#[tokio::test]
async fn a_token_for_one_server_is_refused_at_the_one_beside_it() {
    let server = server()
        .configure(|config| {
            let mut other = config.servers[0].clone();
            "/other".clone_into(&mut other.path);
            "Other server".clone_into(&mut other.name);
            config.servers.push(other);
        })
        .start()
        .await;
    let client = server.client().await;
    let other = "https://mcp.example.com/other";
    let page = client.authorization_url_but(&[("resource", Some(other))]);
    assert!(server.get(&page).await.text().contains("Other server"));
    let at_other = client.code_by(&page, "mona").await;
    let at_other = Tokens::read(&client.redeem(&at_other).await);
    assert_eq!(at_other.claims()["aud"], other);
    let at_first = client.sign_in("mona").await;
    for (path, token, status) in [
        ("/mcp", "", 401),
        ("/other", "", 401),
        ("/mcp", &*at_first.access, 200),
        ("/other", &*at_first.access, 401),
        ("/mcp", &*at_other.access, 401),
        ("/other", &*at_other.access, 200),
    ] {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
        let mut asked = Request::post(path)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if !token.is_empty() {
            asked = asked.header("authorization", format!("Bearer {token}"));
        }
        let body = message("initialize", &params).to_string();
        let answer = server.send(asked.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, status, "{path}");
        if status == 401 {
            let metadata = format!("oauth-protected-resource{path}\"");
            assert!(answer.header("www-authenticate").contains(&metadata));
        }
    }
    let metadata = server
        .get("/.well-known/oauth-protected-resource/other")
        .await;
    assert_eq!(metadata.json()["resource"], other);
}

/// P1, P2, P3, P9
#[tokio::test]
async fn no_header_and_no_spelling_of_the_path_goes_round_the_gate() {
    let server = server().start().await;
    let called = message("tools/list", &json!({})).to_string();
    for path in [
        "/mcp",
        "/mcp?x=/health",
        "/mcp?",
        "/mcp/",
        "//mcp",
        "/./mcp",
        "/x/../mcp",
        "/%6dcp",
        "/mcp%2f",
        "/mcp%00",
        "/mcp;x",
        "/mcp%23",
        "/mcp%3f",
        "/MCP",
        "/mcp/x",
        "/health/../mcp",
        "/health%2f..%2fmcp",
        "/mcp.json",
        "/.well-known/../mcp",
        "/.well-known/oauth-protected-resource/../../mcp",
    ] {
        let mut asked = Request::post(path)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header(
                "user-agent",
                "GoogleHC/1.0 kube-probe/1.30 ELB-HealthChecker/2.0",
            )
            .header("x-forwarded-for", "127.0.0.1");
        for name in [
            "x-forwarded-uri",
            "x-original-uri",
            "x-original-url",
            "x-rewrite-url",
        ] {
            asked = asked.header(name, "/health");
        }
        for name in [
            "x-anteroom-user",
            "x-forwarded-user",
            "x_forwarded_user",
            "x-auth-request-user",
            "remote-user",
        ] {
            asked = asked.header(name, "root");
        }
        asked = asked.header("x-http-method-override", "OPTIONS");
        let answer = server
            .send(asked.body(Body::from(called.clone())).unwrap())
            .await;
        let is_the_gate = path.split('?').next() == Some("/mcp");
        assert_eq!(answer.status, if is_the_gate { 401 } else { 404 }, "{path}");
    }
}

/// C4, C6, TOK-04, TOK-24
#[tokio::test]
async fn a_client_proves_itself_or_is_nobody() {
    let server = server().start().await;
    let mut metadata = Client::at("https://app.example/cb");
    metadata["token_endpoint_auth_method"] = json!("client_secret_post");
    let client = Client::register(&server, &metadata).await;
    let refresh = client.sign_in("mona").await.refresh;
    let mut nobody = client.clone();
    nobody.secret = None;
    let good = client.secret.clone().unwrap();
    for secret in [
        None,
        Some(""),
        Some(" "),
        Some("x"),
        Some(&good[1..]),
        Some(&good.to_lowercase()),
    ] {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", &*refresh),
        ];
        form.extend(secret.map(|secret| ("client_secret", secret)));
        let answer = nobody.token(&form).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (401, "invalid_client"),
            "{secret:?}"
        );
    }
    Tokens::read(&client.refresh(&refresh).await);
}

/// C4, TOK-04
#[tokio::test]
async fn credentials_that_cannot_be_read_are_no_failure_of_ours() {
    let server = server().configure(trust).start().await;
    for header in [
        "Basic",
        "Basic ",
        "Basic :",
        "Basic %%%",
        "Basic Og==",
        "Basic eA==",
        "basic x",
        "Bearer x",
        ":",
        "\u{7f}",
    ] {
        let Ok(header) = header.parse::<http::HeaderValue>() else {
            continue;
        };
        for path in ["/token", "/revoke", "/par", "/introspect"] {
            let mut asked = request("POST", path);
            asked.headers_mut().insert("authorization", header.clone());
            let kind = "application/x-www-form-urlencoded".parse().unwrap();
            asked.headers_mut().insert("content-type", kind);
            let answer = server.send(asked).await;
            assert!(
                matches!(answer.status.as_u16(), 400 | 401),
                "{header:?} {path}: {}",
                answer.status
            );
            assert!(matches!(
                &*answer.error(),
                "invalid_client" | "invalid_request"
            ));
        }
    }
}

/// U8, CONS-20
#[tokio::test]
async fn an_address_that_is_not_verified_is_told_to_nobody() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("hubot").await;
    let who = client.whoami(&tokens.access).await;
    assert_eq!(who["verified_email"], json!(null));
    assert!(!who.to_string().contains("hubot@example.com"));
}

/// Everything that must stay between two.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    /// Signs somebody in, refreshes, calls and revokes; what went by on the way.
    async fn of_a_whole_life(server: &Server) -> Self {
        let metadata = json!({
            "client_name": "Test client",
            "redirect_uris": ["https://app.example/cb"],
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let client = Client::register(server, &metadata).await;
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        let provider = browser.approve(&page).await;
        let back = browser.choose(&provider, Some("mona")).await;
        let code = client.read_code(&browser.get(back.as_str()).await.location());
        let first = Tokens::read(&client.redeem(&code).await);
        let second = Tokens::read(&client.refresh(&first.refresh).await);
        client.whoami(&second.access).await;
        // refused ones tell nothing either
        client.redeem(&code).await;
        client.refresh("made-up-refresh-token").await;
        client.initialize("made-up-access-token").await;
        let pushed = client.pushed().await;
        browser.open(&client.url_of(&pushed)).await;
        let again = server.browser().get(&client.url_of(&pushed)).await;
        again.assert_page(400);
        for token in [&second.access, &second.refresh, &pushed] {
            assert_eq!(ask(server, token).await.status, 200);
        }
        browser.get(back.as_str()).await;
        let cookie = |name: &str| browser.cookie(name).unwrap().value.clone();
        Self(vec![
            ("access token", first.access),
            ("refresh token", first.refresh),
            ("second access token", second.access),
            ("second refresh token", second.refresh),
            ("code", code),
            ("verifier", VERIFIER.to_owned()),
            ("client secret", client.secret.clone().unwrap()),
            ("state of the provider", parameter(&back, "state").unwrap()),
            ("code of the provider", parameter(&back, "code").unwrap()),
            ("ticket", ticket(&page).to_owned()),
            ("request_uri", pushed),
            ("secret of who introspects", SECRET.to_owned()),
            ("form cookie", cookie("__Host-anteroom-form")),
            ("sign-in cookie", cookie("__Host-anteroom-sign-in")),
            ("secret at the provider", "standin-secret".to_owned()),
            ("token of the provider", "gho_".to_owned()),
            ("address", "mona@example.com".to_owned()),
            ("made-up refresh token", "made-up-refresh-token".to_owned()),
            ("made-up access token", "made-up-access-token".to_owned()),
        ])
    }
}

/// SEC-03, CONS-15, CLI-47, AUTHZ-20
#[tokio::test]
async fn a_stolen_disk_holds_nothing_that_works() {
    let server = server().configure(trust).on_sled().start().await;
    let secrets = Secrets::of_a_whole_life(&server).await;
    let disk = server.on_disk();
    let holds = |text: &str| disk.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("Test client"), "what is no secret is found");
    // who signed in is kept as it is
    for (name, secret) in secrets.0.iter().filter(|(name, _)| *name != "address") {
        assert!(!holds(secret), "{name}");
        // of an identifier and a secret in one, the identifier may lie there
        assert!(
            secret.len() < 40 || !holds(&secret[secret.len() - 20..]),
            "{name}"
        );
    }
}

/// SEC-04, T10, CONS-16, SEC-05
#[tokio::test]
async fn a_log_tells_what_happened_and_no_secret() {
    let server = server().configure(trust).start().await;
    // the sample server's library writes down whole messages below info
    let (log, listening) = Log::listen("debug,rmcp=info,anteroom=trace");
    let first = Secrets::of_a_whole_life(&server).await;
    // what a test beside this one came to first is taken for unheard, until it is asked again who listens
    tracing::callsite::rebuild_interest_cache();
    let second = Secrets::of_a_whole_life(&server).await;
    drop(listening);
    let log = log.text();
    for event in [
        "client_registered",
        "code_issued",
        "token_issued",
        "token_refreshed",
        "code_replayed",
    ] {
        assert!(log.contains(event), "{event}: {log}");
    }
    assert!(log.contains("github:1"), "{log}");
    for (name, secret) in first.0.iter().chain(&second.0) {
        assert!(!log.contains(secret), "{name}: {log}");
    }
    assert!(!log.contains("mona"), "{log}");
}

/// A5, R6
#[tokio::test]
async fn no_answer_goes_to_an_address_of_our_own() {
    let server = server()
        .public_url("https://mcp.example.com/a")
        .start()
        .await;
    let own = "https://mcp.example.com/a/authorize?client_id=x&redirect_uri=https://evil.example/";
    let metadata = Client::at(own);
    let refused = server.post_json("/a/register", &metadata).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.error(), "invalid_redirect_uri");
    // beside a good one it is left out
    let mut metadata = Client::public();
    metadata["redirect_uris"] = json!(["https://app.example/cb", own, "https://mcp.example.com/"]);
    let client = Client::register(&server, &metadata).await;
    assert_eq!(
        client.registration["redirect_uris"],
        json!(["https://app.example/cb"])
    );
    // and who has it from before, or from the configuration, gets no answer there
    let id = ClientId::new(&*client.id);
    let store = &server.world.store;
    let (before, _) = store.find_client(&id, NOW).await.unwrap().unwrap();
    let mut after = before.clone();
    after.redirect_uris = vec![RedirectUri::parse(own).unwrap()];
    let changed = store.change_client(&before, after, NOW).await.unwrap();
    assert_eq!(changed, ClientChange::Done);
    for prompt in [None, Some("none")] {
        let change = [("redirect_uri", Some(own)), ("prompt", prompt)];
        let page = server.get(&client.authorization_url_but(&change)).await;
        page.assert_page(400);
        assert!(
            page.text().contains("this server itself"),
            "{}",
            page.text()
        );
        assert!(!page.text().contains("evil.example"));
    }
}
