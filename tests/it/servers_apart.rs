//! What was granted for one server does not reach the one beside it: each way in which they could be confused, tried.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::sync::Arc;

use anteroom::config::KnownClient;
use anteroom::protocol::ids::ClientId;
use anteroom::protocol::redirect_uri::RedirectUri;
use anteroom::protocol::scope::ScopeSet;
use serde_json::json;

use crate::harness::answer::Answer;
use crate::harness::browser::ticket;
use crate::harness::client::{Client, LOOPBACK, Tokens, VERIFIER};
use crate::harness::provider::Provider;
use crate::harness::server::Server;
use crate::introspect::{ask, trust};
use crate::remembered::{Seen, seen};
use crate::servers::{NOTES, PAY, asking, scopes, sign_in, tool, two};

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

fn refused(error: &str) -> (u16, String) {
    (400, error.to_owned())
}

/// What a client has got, and where it is good.
fn granted(tokens: &Tokens) -> (String, String) {
    let audience = tokens.claims()["aud"].as_str().unwrap().to_owned();
    (audience, tokens.scope.clone())
}

fn at(resource: &str, scopes: &str) -> (String, String) {
    (resource.to_owned(), scopes.to_owned())
}

/// CONS-03, CONS-04
#[tokio::test]
async fn the_page_says_at_which_server_and_what_each_scope_opens_there() {
    let server = two().start().await;
    let client = server.client().await;
    for (resource, name, words, others) in [
        (
            Some(NOTES),
            "Notes",
            "See which tools there are</span>",
            ["Payroll", PAY],
        ),
        (
            None,
            "Notes",
            "See which tools there are</span>",
            ["Payroll", PAY],
        ),
        (
            Some(PAY),
            "Payroll",
            "See which tools there are; run these tools on your behalf: “add”</span>",
            ["Notes", NOTES],
        ),
    ] {
        let url = asking(&client, resource, Some("read"));
        let page = server.browser().open(&url).await;
        let heading = format!("asks to use <bdi>{name}</bdi></h1>");
        let place = resource.unwrap_or(NOTES);
        for told in [&*heading, &format!("<bdi>{place}</bdi>"), words] {
            assert!(page.text().contains(told), "{told}: {}", page.text());
        }
        for other in others {
            assert!(!page.text().contains(other), "{other}: {}", page.text());
        }
    }
}

/// CONS-03, CONS-05
#[tokio::test]
async fn the_words_of_a_server_cannot_leave_their_place_on_the_page() {
    let server = two().configure(|config| {
        "<b>Pay & Roll</b>".clone_into(&mut config.servers[1].name);
        let opens = &["tools/call:</span><script>*", "prompts/get:“a”"][..];
        config.servers[1].scopes = Some(scopes(&[("read", opens)], "read"));
    });
    let server = server.start().await;
    let client = server.client().await;
    let page = server
        .browser()
        .open(&asking(&client, Some(PAY), None))
        .await;
    for told in [
        "<bdi>&#60;b&#62;Pay &#38; Roll&#60;/b&#62;</bdi>",
        "on your behalf: “&#60;/span&#62;&#60;script&#62;*”; use these prompts: “&#39;a&#39;”</span>",
    ] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
}

/// CONS-02, CONS-24
#[tokio::test]
async fn who_agreed_at_one_server_is_asked_everything_at_the_other() {
    let server = two().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let notes = asking(&client, Some(NOTES), Some("read"));
    let pay = asking(&client, Some(PAY), Some("read"));
    let first = asking(&client, None, Some("read"));
    browser.sign_in(&notes, "mona").await;
    assert_eq!(seen(&browser.open(&notes).await), Seen::Remembered);
    assert_eq!(seen(&browser.open(&first).await), Seen::Remembered);
    assert_eq!(seen(&browser.open(&pay).await), Seen::New);
    browser.sign_in(&pay, "mona").await;
    // each remembers what was agreed to there
    let all = asking(&client, Some(PAY), Some("read admin"));
    browser.sign_in(&all, "mona").await;
    assert_eq!(seen(&browser.open(&all).await), Seen::Remembered);
    let more = asking(&client, Some(NOTES), Some("read write"));
    assert_eq!(seen(&browser.open(&more).await), Seen::More);
}

/// TOK-09
#[tokio::test]
async fn a_code_is_good_at_the_server_that_the_person_read_of() {
    let server = two().start().await;
    let client = server.client().await;
    for (own, other) in [(NOTES, PAY), (PAY, NOTES)] {
        let code = client
            .code_by(&asking(&client, Some(own), Some("read")), "mona")
            .await;
        let redeem = async |resources: &[&str]| {
            let mut form = vec![
                ("grant_type", "authorization_code"),
                ("code", &*code),
                ("code_verifier", VERIFIER),
                ("scope", "read write admin"),
            ];
            form.extend(resources.iter().map(|resource| ("resource", *resource)));
            client.token(&form).await
        };
        for wrong in [&[other][..], &[own, other], &["https://mcp.example.com"]] {
            assert_eq!(refusal(&redeem(wrong).await), refused("invalid_target"));
        }
        // a refusal has spent nothing, and widened nothing
        assert_eq!(
            granted(&Tokens::read(&redeem(&[own]).await)),
            at(own, "read")
        );
    }
}

/// TOK-35, TOK-36
#[tokio::test]
async fn a_refresh_stays_at_its_server_with_the_scopes_of_it() {
    let server = two().start().await;
    let client = server.client().await;
    let mut refresh = sign_in(&client, NOTES, "read write").await.refresh;
    for (resource, scope, outcome) in [
        (Some(PAY), None, Err("invalid_target")),
        (Some(PAY), Some("read"), Err("invalid_target")),
        (Some("https://mcp.example.com"), None, Err("invalid_target")),
        (None, Some("admin"), Err("invalid_scope")),
        (Some(NOTES), Some("read admin"), Err("invalid_scope")),
        (None, Some("read"), Ok("read")),
        (Some(NOTES), None, Ok("read write")),
    ] {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", &*refresh),
        ];
        form.extend(resource.map(|resource| ("resource", resource)));
        form.extend(scope.map(|scope| ("scope", scope)));
        let answer = client.token(&form).await;
        match outcome {
            Err(error) => assert_eq!(refusal(&answer), refused(error), "{resource:?} {scope:?}"),
            Ok(scopes) => {
                let tokens = Tokens::read(&answer);
                assert_eq!(granted(&tokens), at(NOTES, scopes));
                refresh = tokens.refresh;
            }
        }
    }
}

/// EXT-40, AUTHZ-10, RS-11
#[tokio::test]
async fn what_was_pushed_for_one_server_is_not_turned_to_the_other_on_the_way() {
    let server = two().start().await;
    let client = server.client().await;
    let pushed = client
        .push(&[("resource", Some(NOTES)), ("scope", Some("read"))])
        .await
        .json();
    let url = client.url_of(pushed["request_uri"].as_str().unwrap());
    let url = format!("{url}&resource=https%3A%2F%2Fmcp.example.com%2Fpay&scope=admin");
    let mut browser = server.browser();
    let page = browser.open(&url).await;
    assert!(page.text().contains("asks to use <bdi>Notes</bdi>"));
    let there = browser.approve(&page).await;
    let back = browser.choose(&there, Some("mona")).await;
    let code = client.read_code(&browser.get(back.as_str()).await.location());
    let tokens = Tokens::read(&client.redeem(&code).await);
    assert_eq!(granted(&tokens), at(NOTES, "read"));
}

/// CONS-12, RS-11
#[tokio::test]
async fn a_form_decides_for_the_server_that_its_page_named() {
    let server = two().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser
        .open(&asking(&client, Some(NOTES), Some("read")))
        .await;
    // another page is open beside it, for the other server
    browser
        .open(&asking(&client, Some(PAY), Some("admin")))
        .await;
    let form = [
        ("ticket", ticket(&page)),
        ("decision", "github"),
        ("resource", PAY),
        ("scope", "admin"),
    ];
    let there = browser.post_form(&server.url("/consent"), &form).await;
    let mut back = browser.choose(&there.location(), Some("mona")).await;
    back.query_pairs_mut().append_pair("resource", PAY);
    let code = client.read_code(&browser.get(back.as_str()).await.location());
    let tokens = Tokens::read(&client.redeem(&code).await);
    assert_eq!(granted(&tokens), at(NOTES, "read"));
}

async fn arrive(server: &Server, client: &Client, resource: &str, scope: &str) -> Answer {
    let url = asking(client, Some(resource), Some(scope));
    Provider::arrive(server, &url, "mona").await
}

/// SEC-11, AUTHZ-13
#[tokio::test]
async fn a_role_opens_its_scope_where_there_is_such_a_scope_and_nowhere_else() {
    let provider = Arc::new(Provider::new().with_rules(&["anyone"], &["admin"]));
    let server = two().provider(&provider).start().await;
    let client = server.client().await;
    let tokens = async |resource, scope| {
        let answer = arrive(&server, &client, resource, scope).await;
        Tokens::read(&client.redeem(&client.read_code(&answer.location())).await)
    };
    // without the role: nothing of it anywhere
    arrive(&server, &client, PAY, "admin")
        .await
        .assert_page(403);
    let pay = tokens(PAY, "read admin").await;
    assert_eq!(granted(&pay), at(PAY, "read"));
    assert_eq!(
        tool(&server, PAY, &pay.access, "subtract").await.status,
        403
    );
    // with it: at the server that has the scope
    provider.opens("admin");
    let pay = tokens(PAY, "read admin").await;
    assert_eq!(granted(&pay), at(PAY, "admin read"));
    assert_eq!(
        tool(&server, PAY, &pay.access, "subtract").await.status,
        200
    );
    let notes = tokens(NOTES, "read admin").await;
    assert_eq!(granted(&notes), at(NOTES, "read"));
    assert_eq!(
        tool(&server, NOTES, &notes.access, "subtract").await.status,
        403
    );
}

/// SEC-11
#[tokio::test]
async fn a_role_is_for_a_scope_of_that_name_at_every_server_that_has_it() {
    let provider = Arc::new(Provider::new().with_rules(&["anyone"], &["read"]));
    let server = two().provider(&provider).start().await;
    let client = server.client().await;
    for resource in [NOTES, PAY] {
        let answer = arrive(&server, &client, resource, "read").await;
        assert_eq!(client.read_refusal(&answer), "access_denied", "{resource}");
    }
}

/// CLI-62, AUTHZ-13
#[tokio::test]
async fn a_client_with_scopes_of_one_server_gets_nothing_at_the_other() {
    let clerk = |scopes| KnownClient {
        id: ClientId::new("clerk"),
        name: None,
        secret: None,
        redirect_uris: RedirectUri::parse(LOOPBACK).into_iter().collect(),
        scopes: ScopeSet::parse(scopes),
    };
    let server = two().configure(move |config| config.clients.known.push(clerk("admin")));
    let server = server.start().await;
    let client = Client::named(&server, "clerk", LOOPBACK);
    for asked in [None, Some("read"), Some("admin"), Some("write admin")] {
        let answer = server.get(&asking(&client, Some(NOTES), asked)).await;
        assert_eq!(client.read_refusal(&answer), "invalid_scope", "{asked:?}");
    }
    let tokens = sign_in(&client, PAY, "read admin offline_access").await;
    assert_eq!(granted(&tokens), at(PAY, "admin offline_access"));
}

/// REV-06, RS-11
#[tokio::test]
async fn what_is_told_of_a_token_names_its_server_and_the_scopes_there() {
    let server = two().configure(trust).start().await;
    let client = server.client().await;
    for (resource, scopes) in [(NOTES, "read write"), (PAY, "admin read")] {
        let tokens = sign_in(&client, resource, scopes).await;
        let told = ask(&server, &tokens.access).await.json();
        assert_eq!(
            (&told["aud"], &told["scope"]),
            (&json!(resource), &json!(scopes))
        );
        let told = ask(&server, &tokens.refresh).await.json();
        assert_eq!(told["scope"], scopes);
    }
}

/// RS-11, AUTHZ-10
#[tokio::test]
async fn the_other_server_is_not_reached_by_another_spelling_of_its_name() {
    let server = two().start().await;
    let client = server.client().await;
    for (asked, audience) in [
        ("https://mcp.example.com/pay/", Some(PAY)),
        ("HTTPS://MCP.EXAMPLE.COM:443/pay", Some(PAY)),
        ("https://mcp.example.com/mcp/../pay", Some(PAY)),
        ("https://mcp.example.com/PAY", None),
        ("https://mcp.example.com/pay%2f", None),
        ("https://mcp.example.com/pay?x", None),
        ("https://mcp.example.com/pay#x", None),
        ("https://mcp.example.com/payroll", None),
    ] {
        let url = asking(&client, Some(asked), Some("read"));
        let page = server.get(&url).await;
        let Some(audience) = audience else {
            assert_eq!(client.read_refusal(&page), "invalid_target", "{asked}");
            continue;
        };
        // what the page names is what the token is for
        assert!(
            page.text().contains(&format!("<bdi>{audience}</bdi>")),
            "{asked}"
        );
        let tokens = Tokens::read(&client.redeem(&client.code_by(&url, "mona").await).await);
        assert_eq!(granted(&tokens), at(audience, "read"), "{asked}");
    }
    // two different servers in one request are not one of them
    let both = asking(&client, Some(NOTES), None);
    let both = format!("{both}&resource=https%3A%2F%2Fmcp.example.com%2Fpay");
    assert_eq!(
        client.read_refusal(&server.get(&both).await),
        "invalid_target"
    );
}

/// CONS-25
#[tokio::test]
async fn the_account_page_says_for_which_server_each_connection_is() {
    let server = two().start().await;
    let client = server.client().await;
    sign_in(&client, NOTES, "read").await;
    sign_in(&client, PAY, "read").await;
    let mut browser = server.browser();
    let page = crate::account::visit(&mut browser, &server, "mona").await;
    let uses = |name: &str, resource: &str, words: &str| {
        format!(
            "<dt>May use</dt><dd><bdi>{name}</bdi> <span class=\"place\"><bdi>{resource}</bdi></span></dd>\n\
             <dt>May do</dt><dd><ul><li>{words}</li></ul></dd>"
        )
    };
    let at_pay = "See which tools there are; run these tools on your behalf: “add”";
    for told in [
        uses("Notes", NOTES, "See which tools there are"),
        uses("Payroll", PAY, at_pay),
    ] {
        assert!(page.text().contains(&told), "{told}: {}", page.text());
    }
}
