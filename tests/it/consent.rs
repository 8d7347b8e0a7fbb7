//! The consent page and the decision: who is asked what, in which browser, and what is kept of it.

use std::time::Duration;

use anteroom::clock::Clock as _;
use anteroom::config::KnownClient;
use anteroom::protocol::client::{Client as Kept, ClientAuthentication, ClientSource};
use anteroom::protocol::ids::ClientId;
use anteroom::protocol::redirect_uri::RedirectUri;
use anteroom::store::ClientChange;
use serde_json::json;

use crate::harness::answer::parameter;
use crate::harness::browser::ticket;
use crate::harness::client::{Client, STATE};
use crate::harness::server::server;

/// CONS-01, CONS-07, CONS-09, A1, A2, A9, AUTHZ-23, AUTHZ-24
#[tokio::test]
async fn a_fresh_browser_is_asked_before_anybody_else_is() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    assert_eq!(page.header("refresh"), "");
    assert!(!page.text().contains(&server.standin().base_url()));
    assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
    assert!(server.standin().asked().is_empty());
}

/// CONS-03, CONS-04, CONS-05
#[tokio::test]
async fn the_page_says_who_asks_for_what_and_where_the_answer_goes() {
    let server = server().start().await;
    let mut metadata = Client::at("https://app.example:8443/oauth/cb");
    metadata["client_name"] = json!("Tame bot");
    metadata["client_uri"] = json!("https://about.example/x");
    let client = Client::register(&server, &metadata).await;
    let url = client.authorization_url_but(&[("scope", Some("mcp:tools:execute offline_access"))]);
    let page = server.get(&url).await;
    for told in [
        "Tame bot",
        "Its name is not verified",
        "<p class=\"fact\"><bdi>app.example:8443</bdi></p>",
        "https://app.example:8443/oauth/cb",
        "about.example",
        &client.id,
        "MCP server",
        "https://mcp.example.com/mcp",
        "mcp:tools:execute",
        "Run tools on your behalf",
        "offline_access",
        "your public profile (read)",
        "Continue with GitHub",
        "Deny",
    ] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    assert!(!page.text().contains("mcp:tools:read"));
    let warning = "Continue only if you just started connecting it";
    assert!(!page.text().contains(warning));
    for redirect in [
        "http://127.0.0.1/",
        "http://localhost:1/cb",
        "com.example.app:/cb",
    ] {
        let client = Client::register(&server, &Client::at(redirect)).await;
        let page = server.get(&client.authorization_url()).await;
        assert!(page.text().contains(warning), "{redirect}");
    }
}

/// C2, SEC-09, CLI-42, CONS-05
#[tokio::test]
async fn what_a_client_says_of_itself_is_text() {
    let server = server().start().await;
    for name in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "</title></bdi><b>bold",
        "{{7*7}}{% if x %}",
        "&lt;already&gt;",
        "'; DROP TABLE clients",
    ] {
        let mut metadata = Client::at("https://app.example/cb");
        metadata["client_name"] = json!(name);
        metadata["client_uri"] = json!("https://about.example/\"><script>");
        metadata["logo_uri"] = json!("https://tracker.example/logo.svg");
        metadata["tos_uri"] = json!("javascript:alert(1)");
        let client = Client::register(&server, &metadata).await;
        assert_eq!(client.registration["client_name"], name);
        let page = server.get(&client.authorization_url()).await;
        page.assert_page(200);
        let text = page.text();
        for never in [
            "<script",
            "<img",
            "<b>",
            "onerror=alert(1)>",
            "tracker.example",
            "javascript:",
        ] {
            assert!(!text.contains(never), "{name}: {never}");
        }
        assert!(text.contains("{{7*7}}") == name.contains("{{"), "{name}");
    }
}

/// CLI-42, C2
#[tokio::test]
async fn a_name_cannot_dress_up_as_another() {
    let server = server().start().await;
    let mut metadata = Client::public();
    let name = "Cl\u{200b}au\u{202e}de\r\n\u{0}\u{7}\u{feff} is verified";
    metadata["client_name"] = json!(name);
    let client = Client::register(&server, &metadata).await;
    let page = server.get(&client.authorization_url()).await;
    for hidden in ['\u{200b}', '\u{202e}', '\u{0}', '\u{7}', '\u{feff}'] {
        assert!(!page.text().contains(hidden), "{hidden:?}");
    }
    assert!(page.text().contains("This app registered itself"));
    metadata["client_name"] = json!("x".repeat(5000));
    let client = Client::register(&server, &metadata).await;
    let page = server.get(&client.authorization_url()).await;
    assert!(!page.text().contains(&"x".repeat(201)));
}

/// CONS-08, CONS-09
#[tokio::test]
async fn cookies_are_bound_to_this_host_and_hidden_from_scripts() {
    for (issuer, form, sign_in, secure) in [
        (
            "https://mcp.example.com/a",
            "__Host-anteroom-form",
            "__Host-anteroom-sign-in",
            true,
        ),
        (
            "http://localhost:8080",
            "anteroom-form",
            "anteroom-sign-in",
            false,
        ),
    ] {
        let server = server().public_url(issuer).start().await;
        let client = server.client().await;
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        let answer = browser.decide(&page, "github").await;
        let [set_form, set_sign_in] = [page.set_cookies(), answer.set_cookies()].map(|cookies| {
            assert_eq!(cookies.len(), 1, "{cookies:?}");
            cookies[0].to_owned()
        });
        for (name, set) in [(form, set_form), (sign_in, set_sign_in)] {
            let mut parts = set.split("; ");
            assert!(
                parts.next().unwrap().starts_with(&format!("{name}=")),
                "{set}"
            );
            let attributes: Vec<_> = parts.map(str::to_ascii_lowercase).collect();
            let has = |wanted: &str| attributes.iter().any(|attribute| attribute == wanted);
            assert!(
                has("httponly") && has("samesite=lax") && has("path=/"),
                "{set}"
            );
            assert_eq!(has("secure"), secure, "{set}");
            assert!(!set.to_lowercase().contains("domain"), "{set}");
        }
        let mut names = [form, sign_in];
        names.sort_unstable();
        assert_eq!(browser.cookie_names(), names);
    }
}

/// CONS-09
#[tokio::test]
async fn only_the_answer_to_an_approval_binds_the_browser() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    browser.open(&client.authorization_url()).await;
    browser.decide(&page, "deny").await.location();
    browser
        .get("https://mcp.example.com/callback/github")
        .await
        .assert_page(400);
    browser
        .get("https://mcp.example.com/authorize")
        .await
        .assert_page(400);
    browser.get("https://mcp.example.com/consent").await;
    browser.decide(&page, "nobody").await.assert_page(400);
    assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
    browser.approve(&page).await;
    let both = ["__Host-anteroom-form", "__Host-anteroom-sign-in"];
    assert_eq!(browser.cookie_names(), both);
}

/// CONS-09, CONS-17, AUTHZ-19
#[tokio::test]
async fn an_approval_leads_to_the_provider_with_a_fresh_state_and_pkce() {
    let server = server()
        .public_url("https://mcp.example.com/a")
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let answer = browser.decide(&page, "github").await;
        assert_eq!(answer.status, 303);
        assert_eq!(answer.header("cache-control"), "no-store");
        let url = answer.location();
        let told = |name: &str| parameter(&url, name).unwrap();
        assert_eq!(
            told("redirect_uri"),
            "https://mcp.example.com/a/callback/github"
        );
        assert_eq!(told("code_challenge_method"), "S256");
        assert!(told("state").len() >= 43);
        for own in [STATE, &client.id, &client.redirect_uri, ticket(&page)] {
            assert!(!url.as_str().contains(own), "{url}");
        }
        seen.push(told("state"));
        seen.push(told("code_challenge"));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4, "a state and a challenge each");
}

/// CONS-06, A4, R6, AUTHZ-23
#[tokio::test]
async fn a_form_is_good_in_the_browser_that_it_was_shown_in() {
    let server = server().start().await;
    let client = server.client().await;
    let (mut attacker, mut victim) = (server.browser(), server.browser());
    let page = attacker.open(&client.authorization_url()).await;
    let consent = server.url("/consent");
    // a browser that was never here
    victim.decide(&page, "github").await.assert_page(403);
    // one that has a form of its own is refused, and asked: nothing is decided
    let own = victim.open(&client.authorization_url()).await;
    for decision in ["github", "deny"] {
        let asked = victim.decide(&page, decision).await;
        asked.assert_page(403);
        assert!(asked.headers.get("location").is_none());
        assert!(asked.set_cookies().is_empty());
        assert_ne!(ticket(&asked), ticket(&page));
        // a page for this browser alone
        victim.clone().approve(&asked).await;
    }
    assert_eq!(victim.cookie_names(), ["__Host-anteroom-form"]);
    // one that hands in its own form from a page of somebody else
    let form = [("ticket", ticket(&own)), ("decision", "github")];
    for site in ["cross-site", "same-site", "none"] {
        let mut request = victim.form(&consent, &form);
        request
            .headers_mut()
            .insert("sec-fetch-site", site.parse().unwrap());
        victim.send(&consent, request).await.assert_page(403);
    }
    // browsers that do not say where a form comes from are held by the cookie
    let request = victim.form(&consent, &form);
    victim.send(&consent, request).await.location();
    // a cookie of the plain name is one that a neighbour can set
    let shown = attacker.cookie("__Host-anteroom-form").unwrap();
    let shown = shown.value.clone();
    victim.forget_cookies();
    victim.plant("anteroom-form", &shown);
    victim.decide(&page, "github").await.assert_page(403);
    // and without the cookie nothing goes
    victim.forget_cookies();
    victim.decide(&own, "github").await.assert_page(403);
    assert_eq!(server.standin().asked().len(), 0);
}

/// CONS-13, CONS-06
#[tokio::test]
async fn two_tabs_of_a_browser_that_was_never_here_can_both_be_answered() {
    let server = server().start().await;
    let client = server.client().await;
    let (mut browser, mut other) = (server.browser(), server.browser());
    let [first, _] = [
        other.open(&client.authorization_url()).await,
        browser.open(&client.authorization_url()).await,
    ];
    let asked = browser.decide(&first, "github").await;
    let provider = browser.approve(&asked).await;
    let back = browser.choose(&provider, Some("mona")).await;
    client.read_code(&browser.get(back.as_str()).await.location());
    // whose client has changed, or is gone by then, is told so
    let id = ClientId::new(&*client.id);
    let now = server.world.clock.now();
    let store = &server.world.store;
    let (before, _) = store.find_client(&id, now).await.unwrap().unwrap();
    let mut after = before.clone();
    after.name = Some("Another".to_owned());
    let changed = store.change_client(&before, after, now).await.unwrap();
    assert_eq!(changed, ClientChange::Done);
    let page = browser.decide(&first, "github").await;
    page.assert_page(400);
    assert!(
        page.text().contains("The app has changed"),
        "{}",
        page.text()
    );
    assert!(store.forget_client(&id).await.unwrap());
    let page = browser.decide(&first, "github").await;
    page.assert_page(400);
    assert!(page.text().contains("No such client"), "{}", page.text());
}

/// CONS-06
#[tokio::test]
async fn a_form_that_is_not_ours_or_too_old_decides_nothing() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let good = ticket(&page).to_owned();
    let mut bent = good.clone().into_bytes();
    let middle = bent.len() / 2;
    bent[middle] = if bent[middle] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent).unwrap();
    let consent = server.url("/consent");
    for form in [
        vec![],
        vec![("decision", "github")],
        vec![("ticket", &*good)],
        vec![("ticket", ""), ("decision", "github")],
        vec![("ticket", "x"), ("decision", "github")],
        vec![("ticket", &*bent), ("decision", "github")],
        vec![("ticket", &good[1..]), ("decision", "github")],
        vec![("ticket", &*good), ("decision", "gitlab")],
        vec![
            ("ticket", &*good),
            ("ticket", &*good),
            ("decision", "github"),
        ],
        vec![
            ("ticket", &*good),
            ("decision", "deny"),
            ("decision", "github"),
        ],
    ] {
        browser.post_form(&consent, &form).await.assert_page(400);
    }
    let other = crate::harness::server::server().start().await;
    let elsewhere = other
        .browser()
        .open(&other.client().await.authorization_url())
        .await;
    assert_ne!(ticket(&elsewhere), good);
    server.advance(Duration::from_secs(15 * 60 - 1));
    browser.approve(&page).await;
    server.advance(Duration::from_secs(1));
    browser.decide(&page, "github").await.assert_page(400);
    browser.decide(&page, "deny").await.assert_page(400);
}

/// AUTHZ-18, AUTHZ-17, AUTHZ-19
#[tokio::test]
async fn who_says_no_is_sent_back_with_that() {
    let server = server().start().await;
    for redirect in ["http://127.0.0.1:33418/", "https://app.example/cb"] {
        let client = Client::register(&server, &Client::at(redirect)).await;
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        let answer = browser.decide(&page, "deny").await;
        assert_eq!(answer.status, 303);
        let back = answer.location();
        assert!(back.as_str().starts_with(redirect));
        assert_eq!(parameter(&back, "error").unwrap(), "access_denied");
        assert_eq!(parameter(&back, "state").unwrap(), STATE);
        assert_eq!(parameter(&back, "iss").unwrap(), server.issuer());
        assert_eq!(parameter(&back, "code"), None);
    }
    assert!(server.standin().asked().is_empty());
}

/// R2, CONS-12
#[tokio::test]
async fn a_decision_cannot_change_what_was_asked() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let url = client.authorization_url_but(&[("scope", Some("mcp:tools:read"))]);
    let page = browser.open(&url).await;
    let form = [
        ("ticket", ticket(&page)),
        ("decision", "github"),
        ("redirect_uri", "https://evil.example/"),
        ("client_id", "evil"),
        ("scope", "mcp:tools:execute"),
        ("state", "evil"),
        ("code_challenge", "evil"),
    ];
    let consent = server.url("/consent?redirect_uri=https://evil.example/&client_id=evil");
    let provider = browser.post_form(&consent, &form).await.location();
    let mut back = browser.choose(&provider, Some("mona")).await;
    back.query_pairs_mut()
        .append_pair("redirect_uri", "https://evil.example/")
        .append_pair("scope", "mcp:tools:execute")
        .append_pair("resource", "https://evil.example/");
    let back = browser.get(back.as_str()).await.location();
    assert_eq!(parameter(&back, "state").unwrap(), STATE);
    let answer = client.redeem(&client.read_code(&back)).await;
    assert_eq!(answer.json()["scope"], "mcp:tools:read");
}

/// SEC-07
#[tokio::test]
async fn a_flood_of_authorization_requests_keeps_nothing() {
    let server = server().start().await;
    let client = server.client().await;
    server.app.flows().sweep().await.unwrap();
    let mut browser = server.browser();
    for _ in 0..50 {
        server
            .get(&client.authorization_url())
            .await
            .assert_page(200);
        browser.open(&client.authorization_url()).await;
    }
    server.advance(Duration::from_secs(2 * 3600));
    assert_eq!(server.app.flows().sweep().await.unwrap(), 0);
    // what was approved is kept, and goes with its time
    let page = browser.open(&client.authorization_url()).await;
    browser.approve(&page).await;
    server.advance(Duration::from_secs(2 * 3600));
    let now = server.world.clock.now();
    assert!(server.app.flows().sweep().await.unwrap() >= 1, "{now:?}");
}

/// CONS-03, CONS-04, CLI-21
#[tokio::test]
async fn a_client_of_the_configuration_is_the_operators() {
    let server = server()
        .configure(|config| {
            let redirect = RedirectUri::parse("https://ci.acme.com/cb").unwrap();
            for (id, name) in [("ci", Some("Continuous integration")), ("nameless", None)] {
                config.clients.known.push(KnownClient {
                    id: ClientId::new(id),
                    name: name.map(str::to_owned),
                    secret: None,
                    redirect_uris: vec![redirect.clone()],
                    scopes: None,
                });
            }
        })
        .start()
        .await;
    let mut client = server.client().await;
    "https://ci.acme.com/cb".clone_into(&mut client.redirect_uri);
    for (id, name) in [("ci", "Continuous integration"), ("nameless", "nameless")] {
        id.clone_into(&mut client.id);
        let page = server.get(&client.authorization_url()).await;
        let text = page.text();
        assert!(
            text.contains("The operator of this server set it up"),
            "{text}"
        );
        assert!(
            text.contains(&format!("“<bdi>{name}</bdi>” asks")),
            "{text}"
        );
        assert!(text.contains("<bdi>ci.acme.com</bdi>"), "{text}");
        assert!(!text.contains("registered itself"), "{text}");
    }
}

/// CONS-03
#[tokio::test]
async fn the_page_says_how_long_the_app_stays_connected() {
    let server = server().start().await;
    let mut metadata = Client::public();
    metadata["grant_types"] = json!(["authorization_code"]);
    for (metadata, said) in [
        (metadata, "It stays connected for 1 hour."),
        (
            Client::public(),
            "It stays connected for 180 days at most, and ends sooner if it is not used for 30 days.",
        ),
    ] {
        let client = Client::register(&server, &metadata).await;
        let page = server.get(&client.authorization_url()).await;
        assert!(page.text().contains(said), "{}", page.text());
    }
}

/// AUTHZ-25
#[tokio::test]
async fn the_way_back_to_an_app_bears_its_name() {
    let server = server().start().await;
    let mut metadata = Client::at("cursor://anysphere.cursor-mcp/cb");
    for (name, shown) in [
        (json!("Cursor"), "Return to <bdi>Cursor</bdi>"),
        (
            json!(null),
            "Return to <bdi>cursor://anysphere.cursor-mcp</bdi>",
        ),
    ] {
        metadata["client_name"] = name;
        let client = Client::register(&server, &metadata).await;
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        let denied = browser.decide(&page, "deny").await;
        assert!(denied.text().contains(shown), "{}", denied.text());
        let back = browser.sign_in(&client.authorization_url(), "mona").await;
        assert!(back.text().contains(shown), "{}", back.text());
    }
}

/// CLI-22, C2
#[tokio::test]
async fn a_logo_is_shown_only_where_we_know_whose_it_is() {
    let server = server().start().await;
    let flows = server.app.flows();
    let mut metadata = Client::public();
    metadata["logo_uri"] = json!("https://claude.ai/logo.png");
    let client = Client::register(&server, &metadata).await;
    let page = server.get(&client.authorization_url()).await;
    assert!(!page.text().contains("<img"), "{}", page.text());
    let logo = "https://claude.ai/logo.png";
    let of = |source| Kept {
        id: ClientId::new("https://claude.ai/client.json"),
        name: None,
        uri: None,
        logo: Some(logo.to_owned()),
        redirect_uris: Vec::new(),
        authentication: ClientAuthentication::None,
        refreshes: true,
        scopes: None,
        source,
    };
    for (source, shown) in [(ClientSource::Document, true), (ClientSource::Known, false)] {
        let link = flows.logo_link(&of(source.clone()));
        assert_eq!(link.is_some(), shown, "{source:?}");
        assert!(link.is_none_or(|link| !link.contains("claude")));
    }
}

/// CLI-22, AUTHZ-22
#[tokio::test]
async fn nothing_is_fetched_by_a_link_that_we_did_not_make() {
    let server = server()
        .public_url("https://mcp.example.com/a")
        .start()
        .await;
    let client = server.client().await;
    let page = server.get(&client.authorization_url()).await;
    let out_of_reach = Kept {
        id: ClientId::new("https://127.0.0.1/client.json"),
        name: None,
        uri: None,
        logo: Some("https://127.0.0.1/logo.png".to_owned()),
        redirect_uris: Vec::new(),
        authentication: ClientAuthentication::None,
        refreshes: true,
        scopes: None,
        source: ClientSource::Document,
    };
    let ours = server.app.flows().logo_link(&out_of_reach).unwrap();
    for link in [
        "x",
        "https:%2F%2Fevil.example%2Flogo.png",
        "%ff",
        "aHR0cHM6Ly9ldmlsLmV4YW1wbGUv",
        &ours[..ours.len() - 1],
        // sealed by us, for something else
        ticket(&page),
        // ours, and not to be had: the page does without it
        &ours,
    ] {
        let answer = server.get(&format!("/a/logo/{link}")).await;
        assert_eq!(answer.status, 404, "{link}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        let policy = answer.header("content-security-policy");
        assert_eq!(policy, "default-src 'none'; sandbox");
        assert!(answer.body.is_empty() && !answer.has_cors(), "{link}");
    }
}
