//! Pushed authorization requests: checked when the client brings them, and good for one browser, for a short while.

use std::collections::BTreeSet;
use std::time::Duration;

use anteroom::config::KnownClient;
use anteroom::protocol::client::Client as Registered;
use anteroom::protocol::ids::{ClientId, Handle};
use anteroom::protocol::redirect_uri::RedirectUri;
use anteroom::secret::Secret;
use anteroom::store::ClientChange;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::json;
use tokio::task::JoinSet;

use crate::authorize::WRONG;
use crate::harness::answer::{Answer, encode, parameter, request, request_with};
use crate::harness::client::{Client, LOOPBACK, STATE, Tokens};
use crate::harness::server::{NOW, Server, rate, server};
use crate::token::confidential;

const URN: &str = "urn:ietf:params:oauth:request_uri:";
const FORM: &str = "application/x-www-form-urlencoded";

/// That a browser is told that the link is of no use.
fn assert_gone(answer: &Answer, what: &str) {
    answer.assert_page(400);
    assert!(answer.text().contains("invalid_request_uri"), "{what}");
    assert!(!answer.text().contains("ticket"), "{what}");
}

/// A form of one's own, without any credentials but those in it.
async fn push_as(server: &Server, client: &Client, more: &[(&str, &str)]) -> Answer {
    let mut form = client.query();
    form.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
    server.post_form("/par", &form).await
}

/// EXT-40, SEC-03
#[tokio::test]
async fn a_pushed_request_leads_to_tokens_like_any_other() {
    let server = server().start().await;
    let mut by_post = confidential();
    by_post["token_endpoint_auth_method"] = json!("client_secret_post");
    for metadata in [Client::public(), confidential(), by_post] {
        let client = Client::register(&server, &metadata).await;
        let answer = client.push(&[("scope", Some("mcp:tools:read"))]).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        let uri = body["request_uri"].as_str().unwrap();
        assert_eq!(body, json!({"request_uri": uri, "expires_in": 90}));
        let handle = Handle::parse(uri.strip_prefix(URN).unwrap());
        assert!(handle.is_some(), "{uri}");
        let mut browser = server.browser();
        let page = browser.open(&client.url_of(uri)).await;
        // the name opens nothing more once the page is there: nothing of it goes on
        assert!(!page.text().contains(URN));
        let provider = browser.approve(&page).await;
        let back = browser.choose(&provider, Some("mona")).await;
        let back = browser.get(back.as_str()).await.location();
        assert_eq!(parameter(&back, "state").as_deref(), Some(STATE));
        let tokens = Tokens::read(&client.redeem(&client.read_code(&back)).await);
        assert_eq!(tokens.scope, "mcp:tools:read");
        assert_eq!(client.initialize(&tokens.access).await.status, 200);
    }
}

/// EXT-40
#[tokio::test]
async fn who_says_no_to_a_pushed_request_is_heard_by_its_client() {
    let server = server().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.url_of(&client.pushed().await)).await;
    let back = browser.decide(&page, "deny").await.location();
    assert!(back.as_str().starts_with(&client.redirect_uri), "{back}");
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some(STATE));
}

/// EXT-40, A3
#[tokio::test]
async fn a_pushed_request_is_for_the_first_browser_which_may_reload_it() {
    let server = server().start().await;
    let client = server.client().await;
    let url = client.url_of(&client.pushed().await);
    let (mut first, mut other) = (server.browser(), server.browser());
    first.open(&url).await;
    for _ in 0..2 {
        assert_gone(&other.get(&url).await, "in another browser");
        first.open(&url).await;
    }
    // a browser that keeps no cookies is another one each time
    first.forget_cookies();
    assert_gone(&first.get(&url).await, "without cookies");
    // one that was there before is known by its cookie, whatever it came for then
    other.open(&client.authorization_url()).await;
    assert_gone(&other.get(&url).await, "in another browser");
    let url = client.url_of(&client.pushed().await);
    other.open(&url).await;
    assert_gone(&server.browser().get(&url).await, "in a third one");
}

/// EXT-40
#[tokio::test]
async fn a_browser_that_only_looks_ahead_takes_a_pushed_request_from_nobody() {
    let server = server().start().await;
    let client = server.client().await;
    let url = client.url_of(&client.pushed().await);
    let head = request("HEAD", server.local(&url));
    let mut ahead = request("GET", server.local(&url));
    let purpose = "prefetch;prerender".parse().unwrap();
    ahead.headers_mut().insert("sec-purpose", purpose);
    for request in [head, ahead] {
        let answer = server.browser().send(&url, request).await;
        assert_eq!(answer.status, 400);
        assert!(answer.set_cookies().is_empty());
    }
    server.browser().open(&url).await;
}

/// EXT-40
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_browsers_at_once_one_gets_a_pushed_request() {
    let server = server().start().await;
    let client = server.client().await;
    let url = client.url_of(&client.pushed().await);
    let mut browsers = JoinSet::new();
    for _ in 0..16 {
        let (mut browser, url) = (server.browser(), url.clone());
        browsers.spawn(async move { (browser.get(&url).await, browser) });
    }
    let mut winners = Vec::new();
    while let Some(came) = browsers.join_next().await {
        let (answer, browser) = came.unwrap();
        if answer.status == 200 {
            winners.push(browser);
        } else {
            assert_gone(&answer, "too late");
        }
    }
    assert_eq!(winners.len(), 1);
    winners[0].open(&url).await;
}

/// EXT-40, SEC-07
#[tokio::test]
async fn a_pushed_request_is_of_no_use_after_90_seconds_and_is_deleted() {
    let server = server().start().await;
    let client = server.client().await;
    let [in_time, too_late] = [client.pushed().await, client.pushed().await];
    server.advance(Duration::from_secs(89));
    let mut browser = server.browser();
    let page = browser.open(&client.url_of(&in_time)).await;
    assert_eq!(server.app.flows().sweep().await.unwrap(), 0);
    server.advance(Duration::from_secs(1));
    assert_gone(&browser.get(&client.url_of(&in_time)).await, "a reload");
    let fresh = server.browser().get(&client.url_of(&too_late)).await;
    assert_gone(&fresh, "a first visit");
    assert_eq!(server.app.flows().sweep().await.unwrap(), 2);
    assert_gone(
        &browser.get(&client.url_of(&in_time)).await,
        "after a sweep",
    );
    // the page that was opened in time is as good as any
    let provider = browser.approve(&page).await;
    let back = browser.choose(&provider, Some("mona")).await;
    let code = client.read_code(&browser.get(back.as_str()).await.location());
    Tokens::read(&client.redeem(&code).await);
}

/// EXT-40
#[tokio::test]
async fn a_pushed_request_of_another_client_opens_nothing_and_is_not_taken_away() {
    let server = server().start().await;
    let (client, thief) = (server.client().await, server.client().await);
    let pushed = client.pushed().await;
    let mut browser = server.browser();
    assert_gone(&browser.get(&thief.url_of(&pushed)).await, "another client");
    for id in ["", "nobody"] {
        let url = client.url_of(&pushed).replace(&client.id, id);
        let answer = browser.get(&url).await;
        answer.assert_page(400);
    }
    server.browser().open(&client.url_of(&pushed)).await;
}

/// EXT-40, K4
#[tokio::test]
async fn a_forged_name_opens_nothing_and_takes_nothing_away() {
    let server = server().start().await;
    let client = server.client().await;
    let pushed = client.pushed().await;
    let named = pushed.strip_prefix(URN).unwrap();
    let other = client.pushed().await;
    let other = other.strip_prefix(URN).unwrap();
    // the first half says which, the second half is the secret
    let (id, secret) = named.split_at(32);
    for forged in [
        format!("{id}{}", &other[32..]),
        format!("{}{secret}", &other[..32]),
        format!("{id}{}", secret.to_ascii_uppercase()),
        format!("{id}{}", "A".repeat(32)),
        id.to_owned(),
        format!("{named}A"),
        named[..63].to_owned(),
        format!("{named}="),
        format!("{URN}{named}"),
        format!("../{named}"),
        "%00".to_owned(),
        "x".repeat(5000),
        String::new(),
    ] {
        let url = client.url_of(&format!("{URN}{forged}"));
        assert_gone(&server.browser().get(&url).await, &forged);
    }
    server.browser().open(&client.url_of(&pushed)).await;
}

/// EXT-40, AUTHZ-21
#[tokio::test]
async fn a_name_that_is_not_of_our_form_is_not_supported_and_never_fetched() {
    let server = server().start().await;
    let mut metadata = Client::public();
    metadata["redirect_uris"] = json!([LOOPBACK, "http://127.0.0.1/other"]);
    let two = Client::register(&server, &metadata).await;
    let one = server.client().await;
    let pushed = one.pushed().await;
    for uri in [
        "https://evil.example/request.jwt",
        "http://169.254.169.254/",
        "urn:x",
        &pushed.to_ascii_uppercase(),
        &format!(" {pushed}"),
        &pushed.replace("urn:", "urn::"),
    ] {
        // its only redirect URI is known although the request does not say it
        let back = server.get(&one.url_of(uri)).await.location();
        assert!(back.as_str().starts_with(LOOPBACK), "{back}");
        let error = parameter(&back, "error");
        assert_eq!(error.as_deref(), Some("request_uri_not_supported"), "{uri}");
        // of two, nobody knows which: a page says it
        server.get(&two.url_of(uri)).await.assert_page(400);
    }
    // nor two names, be one of them right
    let twice = format!("{}&request_uri=urn:x", one.url_of(&pushed));
    let back = server.get(&twice).await.location();
    assert_eq!(
        parameter(&back, "error").as_deref(),
        Some("invalid_request")
    );
    server.browser().open(&one.url_of(&pushed)).await;
}

/// EXT-40, R7
#[tokio::test]
async fn beside_the_name_of_a_pushed_request_no_parameter_counts() {
    let server = server().start().await;
    let client = server.client().await;
    let answer = client.push(&[("scope", Some("mcp:tools:read"))]).await;
    let uri = answer.json()["request_uri"].as_str().unwrap().to_owned();
    let more = [
        ("redirect_uri", "https://evil.example/"),
        ("state", "evil"),
        ("state", "worse"),
        ("scope", "mcp:tools:execute"),
        ("resource", "https://evil.example/mcp"),
        ("code_challenge", "x"),
        ("code_challenge_method", "plain"),
        ("response_type", "token"),
        ("response_mode", "fragment"),
        ("request", "e30.e30."),
        ("prompt", "none"),
    ];
    let url = format!("{}&{}", client.url_of(&uri), encode(&more));
    let mut browser = server.browser();
    let page = browser.open(&url).await;
    assert!(!page.text().contains("evil"), "{}", page.text());
    assert!(
        !page.text().contains("mcp:tools:execute"),
        "{}",
        page.text()
    );
    let provider = browser.approve(&page).await;
    let back = browser.choose(&provider, Some("mona")).await;
    let back = browser.get(back.as_str()).await.location();
    assert_eq!(parameter(&back, "state").as_deref(), Some(STATE));
    let tokens = Tokens::read(&client.redeem(&client.read_code(&back)).await);
    assert_eq!(tokens.scope, "mcp:tools:read");
}

/// EXT-40, AUTHZ-02, AUTHZ-08, AUTHZ-10, AUTHZ-21, R1
#[tokio::test]
async fn what_is_wrong_with_a_pushed_request_its_client_is_told_at_once() {
    let server = server().start().await;
    for metadata in [Client::public(), confidential()] {
        let client = Client::register(&server, &metadata).await;
        let own = [
            (
                "redirect_uri",
                Some("https://evil.example/"),
                "invalid_request",
            ),
            (
                "redirect_uri",
                Some("http://localhost:33418/"),
                "invalid_request",
            ),
            (
                "request_uri",
                Some("https://evil.example/"),
                "invalid_request",
            ),
            (
                "request_uri",
                Some(&*client.pushed().await),
                "invalid_request",
            ),
        ]
        .map(|(name, value, error)| (name, value.map(str::to_owned), error));
        let known = WRONG.iter().filter(|(name, ..)| *name != "request_uri");
        let known = known.map(|&(name, value, error)| (name, value.map(str::to_owned), error));
        for (name, value, error) in known.chain(own) {
            let answer = client.push(&[(name, value.as_deref())]).await;
            assert_eq!(answer.error(), error, "{name}={value:?}");
            let status = if error == "access_denied" { 403 } else { 400 };
            assert_eq!(answer.status, status, "{name}={value:?}");
            assert_eq!(answer.headers.get("location"), None, "{name}={value:?}");
        }
    }
}

/// EXT-40, TOK-20, TOK-22, TOK-24
#[tokio::test]
async fn who_does_not_prove_itself_pushes_nothing() {
    let server = server().start().await;
    let public = server.client().await;
    let client = Client::register(&server, &confidential()).await;
    let secret = client.secret.clone().unwrap();
    let wrong = [
        (&client, vec![], 401),
        (&client, vec![("client_secret", "wrong")], 401),
        (&client, vec![("client_secret", "")], 401),
        (&public, vec![("client_secret", &*secret)], 401),
        (&client, vec![("client_id", &*public.id)], 400),
        (&client, vec![("client_secret", &*secret); 2], 400),
    ];
    for (who, more, status) in wrong {
        let answer = push_as(&server, who, &more).await;
        let error = match status {
            401 => "invalid_client",
            _ => "invalid_request",
        };
        let told = (answer.status.as_u16(), answer.error());
        assert_eq!(told, (status, error.to_owned()), "{more:?}");
    }
    let right = push_as(&server, &client, &[("client_secret", &*secret)]).await;
    assert_eq!(right.status, 201);
    let wrong = push_by_header(&server, &client, Some(&client.id), (&client.id, "wrong")).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.header("www-authenticate")),
        (401, "Basic realm=\"anteroom\"")
    );
}

/// Pushes the request of `client` as that of the client `named`, with other credentials.
async fn push_by_header(
    server: &Server,
    client: &Client,
    named: Option<&str>,
    (id, secret): (&str, &str),
) -> Answer {
    let mut form = client.query();
    form.retain(|(name, _)| name != "client_id");
    form.extend(named.map(|id| ("client_id".to_owned(), id.to_owned())));
    let mut pushed = request_with("/par", FORM, encode(&form));
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let basic = HeaderValue::try_from(basic).unwrap_or(HeaderValue::from_static(""));
    pushed.headers_mut().insert("authorization", basic);
    server.send(pushed).await
}

/// EXT-40, TOK-22
#[tokio::test]
async fn a_request_is_pushed_by_the_client_that_it_names() {
    let server = server().configure(|config| {
        config.clients.known.push(KnownClient {
            id: ClientId::new("a+b"),
            name: None,
            secret: Some(Secret::new("s3cret").digest()),
            redirect_uris: vec![RedirectUri::parse(LOOPBACK).unwrap()],
            scopes: None,
        });
    });
    let server = server.start().await;
    let public = server.client().await;
    let client = Client::register(&server, &confidential()).await;
    let own = (&*client.id, &*client.secret.clone().unwrap());
    // its id reads in two ways, and only one is its name
    let known = ("a+b", "s3cret");
    for (credentials, named, status) in [
        (own, Some(&*client.id), 201),
        (own, None, 201),
        (own, Some(&*public.id), 400),
        (own, Some("nobody"), 400),
        (known, Some("a+b"), 201),
        (known, None, 201),
        (known, Some("a b"), 400),
    ] {
        let answer = push_by_header(&server, &client, named, credentials).await;
        assert_eq!(answer.status, status, "{named:?}: {}", answer.text());
        if status == 400 {
            assert_eq!(answer.error(), "invalid_request", "{named:?}");
        }
    }
}

/// EXT-40
#[tokio::test]
async fn nothing_is_pushed_but_by_post() {
    let server = server().start().await;
    let client = server.client().await;
    let query = format!("/par?{}", encode(&client.query()));
    for method in ["GET", "PUT", "DELETE"] {
        let answer = server.send(request(method, &query)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "POST")
        );
    }
    // credentials and parameters in the URL are not read
    let answer = server.send(request_with(&query, FORM, "")).await;
    assert_eq!(answer.error(), "invalid_client");
    let answer = server
        .post_json("/par", &json!({"client_id": client.id}))
        .await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_request")
    );
    let padding = "x".repeat(64 << 10);
    let answer = push_as(&server, &client, &[("padding", &padding)]).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (413, "invalid_request")
    );
}

/// EXT-40, SEC-16
#[tokio::test]
async fn who_pushes_too_often_is_told_to_wait() {
    let minute = Duration::from_secs(60);
    let server = server().configure(move |config| config.limits.authorize = rate(3, minute));
    let server = server.start().await;
    let client = server.client().await;
    let names: BTreeSet<_> = [
        client.pushed().await,
        client.pushed().await,
        client.pushed().await,
    ]
    .into_iter()
    .collect();
    assert_eq!(names.len(), 3, "no name comes twice");
    let answer = client.push(&[]).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.error(), "temporarily_unavailable");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 60);
}

/// EXT-40, CLI-20
#[tokio::test]
async fn a_client_that_has_changed_or_is_gone_has_nothing_pushed() {
    let server = server().start().await;
    let client = server.client().await;
    let store = &server.world.store;
    let now = NOW;
    let id = ClientId::new(&client.id);
    let (kept, _) = store.find_client(&id, now).await.unwrap().unwrap();
    let url = client.url_of(&client.pushed().await);
    let renamed = Registered {
        name: Some("Another".to_owned()),
        ..kept.clone()
    };
    let changed = store.change_client(&kept, renamed.clone(), now).await;
    assert_eq!(changed.unwrap(), ClientChange::Done);
    assert_gone(&server.browser().get(&url).await, "it has another name");
    let changed = store.change_client(&renamed, kept, now).await;
    assert_eq!(changed.unwrap(), ClientChange::Done);
    let mut browser = server.browser();
    browser.open(&url).await;
    assert!(store.forget_client(&id).await.unwrap());
    let answer = browser.get(&url).await;
    answer.assert_page(400);
    assert!(!answer.text().contains("ticket"));
}

/// EXT-40
#[tokio::test]
async fn a_pushed_request_outlives_a_restart_with_its_browser() {
    let server = server().on_sled().start().await;
    let client = server.client().await;
    let url = client.url_of(&client.pushed().await);
    let mut browser = server.browser();
    browser.open(&url).await;
    let after = server.restart().await;
    browser.move_to(&after);
    browser.open(&url).await;
    assert_gone(&after.browser().get(&url).await, "in another browser");
}
