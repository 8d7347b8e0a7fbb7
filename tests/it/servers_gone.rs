//! A server, or a scope of one, that is taken out of the configuration: what was granted for it is worth nothing, and it is
//! all there again when it is put back.

use std::sync::Arc;

use anteroom::config::Config;

use crate::account::visit;
use crate::harness::answer::Answer;
use crate::harness::client::{Client, Tokens};
use crate::harness::server::{Server, server};
use crate::introspect::{SECRET, ask, ask_as, known, trust};
use crate::servers::{NOTES, PAY, asking, call, configure, initialize, scopes, sign_in};

async fn start() -> Server {
    server().configure(trust).configure(configure).start().await
}

/// The same servers over the same store, after their operator has changed this.
async fn after(before: &Server, change: Change) -> Server {
    let store = Arc::clone(&before.world.store);
    let server = server().configure(trust).configure(configure);
    let server = server.configure(change).providers_of(before);
    server.store(move |_| store).start().await
}

fn without_notes(config: &mut Config) {
    config.servers.remove(0);
}

fn without_pay(config: &mut Config) {
    config.servers.remove(1);
}

fn nothing(_: &mut Config) {}

/// What an operator changes.
type Change = fn(&mut Config);

/// Both servers, each with how it is taken out, and the one that is left then.
const GONE: [(&str, Change, &str); 2] = [(NOTES, without_notes, PAY), (PAY, without_pay, NOTES)];

fn assert_dead(answer: &Answer, shown: &str) {
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_grant"),
        "{shown}"
    );
}

/// RS-11, TOK-37, TOK-36, REV-05
#[tokio::test]
async fn tokens_of_a_server_that_is_gone_open_nothing_and_are_not_made_anew() {
    for (gone, change, left) in GONE {
        let before = start().await;
        let client = before.client().await;
        let tokens = sign_in(&client, gone, "read").await;
        let url = asking(&client, Some(gone), Some("read"));
        let code = client.code_by(&url, "mona").await;
        let now = after(&before, change).await;
        let there = client.moved_to(&now);
        for (url, status) in [(left, 401), (gone, 404)] {
            let answer = call(&now, url, &tokens.access, "", &initialize()).await;
            assert_eq!(answer.status, status, "{url}");
        }
        for resource in [None, Some(gone), Some(left)] {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", &*tokens.refresh),
            ];
            form.extend(resource.map(|resource| ("resource", resource)));
            assert_dead(&there.token(&form).await, gone);
        }
        assert_dead(&there.redeem(&code).await, gone);
        for token in [&tokens.access, &tokens.refresh] {
            let told = ask(&now, token).await;
            assert_eq!(told.text(), r#"{"active":false}"#, "{gone}");
        }
        // nobody can ask for it either, and what is left is as it was
        let asked = now.get(&asking(&there, Some(gone), None)).await;
        assert_eq!(there.read_refusal(&asked), "invalid_target");
        sign_in(&there, left, "read").await;
        // where it is put back, nothing has been taken from anybody
        let again = after(&before, nothing).await;
        let client = client.moved_to(&again);
        let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
        assert_eq!(tokens.claims()["aud"], gone);
        Tokens::read(&client.redeem(&code).await);
    }
}

/// REV-06, RS-11
#[tokio::test]
async fn a_server_that_is_gone_is_told_of_no_token_of_the_one_that_is_left() {
    fn name_pay(config: &mut Config) {
        config.clients.known.push(known(PAY, Some(SECRET)));
    }
    let before = server().configure(trust).configure(configure);
    let before = before.configure(name_pay).start().await;
    let client = before.client().await;
    let tokens = sign_in(&client, PAY, "read").await;
    let told = async |server, token| {
        let told = ask_as(server, PAY, SECRET, token).await.json();
        told["active"] == true
    };
    assert!(told(&before, &tokens.access).await);
    let now = after(&before, |config| {
        without_pay(config);
        name_pay(config);
    });
    let now = now.await;
    let others = sign_in(&client.moved_to(&now), NOTES, "read").await;
    for token in [
        &others.access,
        &others.refresh,
        &tokens.access,
        &tokens.refresh,
    ] {
        assert!(!told(&now, token).await);
    }
    assert_eq!(ask(&now, &others.access).await.json()["active"], true);
}

/// CONS-25
#[tokio::test]
async fn the_account_page_says_that_a_server_is_gone_and_ends_what_was_for_it() {
    let before = start().await;
    let client = before.client().await;
    let tokens = sign_in(&client, PAY, "admin offline_access").await;
    let now = after(&before, without_pay).await;
    let mut browser = now.browser();
    let page = visit(&mut browser, &now, "mona").await;
    for told in [
        &format!("<bdi>{PAY}</bdi>"),
        "<ul><li>Nothing: that server is not served here any more</li></ul>",
    ] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    let (_, session) = page.text().split_once(r#"name="session" value=""#).unwrap();
    let form = [
        ("ticket", crate::harness::browser::ticket(&page)),
        ("session", session.split('"').next().unwrap()),
    ];
    browser.post_form(&now.url("/account/revoke"), &form).await;
    let again = after(&before, nothing).await;
    assert_dead(
        &client.moved_to(&again).refresh(&tokens.refresh).await,
        "ended",
    );
}

fn assert_told(answer: &Answer) {
    answer.assert_page(400);
    let told = "The server that the app asks for is not served here any more";
    assert!(answer.text().contains(told), "{}", answer.text());
    assert!(!answer.text().contains("code="), "{}", answer.text());
}

/// CONS-12, AUTHZ-10
#[tokio::test]
async fn a_sign_in_that_outlives_its_server_ends_on_a_page() {
    for (gone, change, _) in GONE {
        let before = start().await;
        let client = before.client().await;
        let url = asking(&client, Some(gone), Some("read"));
        let pushed = client.push(&[("resource", Some(gone))]).await;
        let pushed = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        let (mut asked, mut gone_by) = (before.browser(), before.browser());
        let page = asked.open(&url).await;
        let back = gone_by.come_back("github", &url, "mona").await;
        let now = after(&before, change).await;
        asked.move_to(&now);
        gone_by.move_to(&now);
        // nobody is sent to a provider for it, or lets it in
        assert_told(&asked.decide(&page, "github").await);
        assert_told(&gone_by.get(back.as_str()).await);
        assert_told(&now.browser().get(&client.url_of(&pushed)).await);
        // another browser that hands in the form is not asked anew
        let mut other = now.browser();
        other.open(&asking(&client, None, None)).await;
        assert_told(&other.decide(&page, "github").await);
    }
}

fn without_write(config: &mut Config) {
    config.servers[0].scopes = Some(scopes(&[("read", &["tools/list"])], "read"));
}

fn without_any_of_them(config: &mut Config) {
    config.servers[0].scopes = Some(scopes(&[("look", &["tools/list"])], "look"));
}

fn as_at_the_other(config: &mut Config) {
    config.servers[0].scopes = config.servers[1].scopes.clone();
}

/// TOK-35, REV-05
#[tokio::test]
async fn a_scope_that_its_server_has_no_longer_is_not_given_again() {
    const ALL: &str = "offline_access read write";
    let before = start().await;
    let client = before.client().await;
    let mut tokens = sign_in(&client, NOTES, ALL).await;
    for change in [without_write, as_at_the_other] {
        let now = after(&before, change).await;
        for token in [&tokens.access, &tokens.refresh] {
            assert_eq!(
                ask(&now, token).await.json()["scope"],
                "offline_access read"
            );
        }
        // whoever repeats what they were granted once is not at fault
        for asked in [None, Some(ALL)] {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", &*tokens.refresh),
            ];
            form.extend(asked.map(|asked| ("scope", asked)));
            let less = Tokens::read(&client.moved_to(&now).token(&form).await);
            assert_eq!(less.scope, "offline_access read");
            tokens.refresh = less.refresh;
        }
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &*tokens.refresh),
            ("scope", "write"),
        ];
        assert_eq!(
            client.moved_to(&now).token(&form).await.error(),
            "invalid_scope"
        );
    }
    let again = after(&before, nothing).await;
    let all = Tokens::read(&client.moved_to(&again).refresh(&tokens.refresh).await);
    assert_eq!(all.scope, ALL);
}

/// TOK-35, TOK-37, REV-05
#[tokio::test]
async fn with_none_of_its_scopes_left_a_session_gives_nothing() {
    let before = start().await;
    let client: Client = before.client().await;
    let tokens = sign_in(&client, NOTES, "write offline_access").await;
    let url = asking(&client, Some(NOTES), Some("write"));
    let code = client.code_by(&url, "mona").await;
    for change in [without_write, without_any_of_them] {
        let now = after(&before, change).await;
        let client = client.moved_to(&now);
        assert_dead(&client.refresh(&tokens.refresh).await, "refreshed");
        assert_dead(&client.redeem(&code).await, "redeemed");
        let told = ask(&now, &tokens.refresh).await;
        assert_eq!(told.text(), r#"{"active":false}"#);
    }
    Tokens::read(&client.refresh(&tokens.refresh).await);
    Tokens::read(&client.redeem(&code).await);
}
