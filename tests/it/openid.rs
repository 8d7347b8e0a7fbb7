//! Sign-in with a provider of `OpenID` Connect, beside another: each answers for its own people alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anteroom::clock::Clock;
use anteroom::config::{Allow, ProviderKind};
use anteroom::protocol::email_pattern::EmailPattern;
use anteroom::standin::{Account, Deviation, Standin};
use serde_json::Value;
use url::Url;

use crate::harness::answer::{Answer, parameter};
use crate::harness::browser::Browser;
use crate::harness::client::{Client, Tokens};
use crate::harness::server::{Builder, Server, openid, server};

const MONA: &str = "corp:107691503500061500001";
const OCTAVIA: &str = "corp:107691503500061500002";

/// CONS-17, CONS-20, CONS-16
#[tokio::test]
async fn a_person_signs_in_with_openid_end_to_end() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve_with("corp", &page).await;
    for (name, value) in [
        ("response_type", "code"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", "https://mcp.example.com/callback/corp"),
    ] {
        assert_eq!(parameter(&provider, name).as_deref(), Some(value), "{name}");
    }
    let nonce = parameter(&provider, "nonce").unwrap();
    assert!(nonce.len() >= 22, "{nonce}");
    let another = browser.approve_with("corp", &page).await;
    for fresh in ["nonce", "state", "code_challenge"] {
        assert_ne!(parameter(&another, fresh), parameter(&provider, fresh));
    }
    let back = browser.choose(&provider, Some("mona")).await;
    let answer = browser.get(back.as_str()).await;
    let code = client.read_code(&answer.location());
    let tokens = Tokens::read(&client.redeem(&code).await);
    assert_eq!(tokens.claims()["sub"], MONA);
    let who = client.whoami(&tokens.access).await;
    assert_eq!(who["subject"], MONA, "{who}");
    for told in [
        format!("{answer:?}"),
        who.to_string(),
        tokens.access.clone(),
    ] {
        for secret in ["access-", "refresh-", "standin-secret"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
    for personal in ["mona", "Mona", "@"] {
        assert!(!tokens.claims().to_string().contains(personal));
    }
}

/// CONS-17, SEC-14
#[tokio::test]
async fn every_provider_is_offered_and_each_of_them_works() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    let page = server.browser().open(&client.authorization_url()).await;
    for offered in ["Continue with GitHub", "Continue with The login of corp"] {
        assert!(page.text().contains(offered), "{}", page.text());
    }
    let corp = client.sign_in_with("corp", "mona").await;
    let github = client.sign_in("mona").await;
    assert_eq!(subject(&corp), MONA);
    assert_eq!(subject(&github), "github:1");
    for (tokens, subject) in [(&corp, MONA), (&github, "github:1")] {
        let fresh = Tokens::read(&client.refresh(&tokens.refresh).await);
        let who = client.whoami(&fresh.access).await;
        assert_eq!(who["subject"], subject);
    }
}

fn subject(tokens: &Tokens) -> Value {
    tokens.claims()["sub"].clone()
}

#[tokio::test]
async fn a_provider_may_do_what_the_specifications_let_it_do_otherwise() {
    for how in [
        Deviation::BeforeRfc9207,
        Deviation::ThinIdToken,
        Deviation::VerifiedInWords,
    ] {
        let server = server().with_openid().start().await;
        server.standin().openid().deviate(how);
        let client = server.client().await;
        let tokens = client.sign_in_with("corp", "mona").await;
        assert_eq!(subject(&tokens), MONA, "{how:?}");
    }
    let server = server().with_openid().start().await;
    server.standin().openid().sign_with_rsa().unwrap();
    let client = server.client().await;
    assert_eq!(subject(&client.sign_in_with("corp", "mona").await), MONA);
}

#[tokio::test]
async fn google_is_asked_for_a_refresh_token_in_its_own_way() {
    let server = server()
        .with_openid_as("google")
        .configure(|config| {
            let ProviderKind::OpenId { scopes, google, .. } = &mut config.providers[1].kind else {
                panic!("not OpenID");
            };
            scopes.retain(|scope| scope != "offline_access");
            *google = true;
        })
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve_with("google", &page).await;
    let asked = |name| parameter(&provider, name).unwrap_or_default();
    assert_eq!(asked("access_type"), "offline");
    assert!(asked("prompt").contains("consent"), "{provider}");
    assert!(!asked("scope").contains("offline_access"), "{provider}");
    let back = browser.choose(&provider, Some("mona")).await;
    let answer = browser.get(back.as_str()).await;
    client.read_code(&answer.location());
}

/// The callback that the browser has not yet opened.
async fn callback(browser: &mut Browser, client: &Client, provider: &str) -> Url {
    let url = client.authorization_url();
    browser.come_back(provider, &url, "mona").await
}

/// SEC-14, CONS-17
#[tokio::test]
async fn the_callback_of_one_provider_is_closed_to_answers_of_another() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    for (begun, elsewhere) in [("corp", "github"), ("github", "corp")] {
        let mut browser = server.browser();
        let right = callback(&mut browser, &client, begun).await;
        let mut wrong = right.clone();
        wrong.set_path(&format!("/callback/{elsewhere}"));
        let asked = server.standin().asked().len();
        browser.get(wrong.as_str()).await.assert_page(400);
        assert_eq!(server.standin().asked().len(), asked, "the code was tried");
        // nothing was taken away from whom it belongs to
        client.read_code(&browser.get(right.as_str()).await.location());
    }
}

/// SEC-14, CONS-17
#[tokio::test]
async fn an_answer_that_names_another_issuer_or_none_is_refused_before_its_code_is_tried() {
    for how in [Deviation::ForeignAnswer, Deviation::AnswerWithoutIssuer] {
        let server = server().with_openid().start().await;
        server.standin().openid().deviate(how);
        let client = server.client().await;
        let mut browser = server.browser();
        let back = callback(&mut browser, &client, "corp").await;
        let answer = browser.get(back.as_str()).await;
        assert_eq!(client.read_refusal(&answer), "server_error", "{how:?}");
        assert_no_code_was_tried(server.standin());
    }
    // who does not promise `iss` is still held to it where it comes
    let server = server().with_openid().start().await;
    server.standin().openid().deviate(Deviation::BeforeRfc9207);
    let client = server.client().await;
    let mut browser = server.browser();
    let back = callback(&mut browser, &client, "corp").await;
    let foreign = format!("{back}&iss=https%3A%2F%2Felsewhere.example.com");
    let answer = browser.get(&foreign).await;
    assert_eq!(client.read_refusal(&answer), "server_error");
    assert_no_code_was_tried(server.standin());
}

fn assert_no_code_was_tried(standin: &Standin) {
    let asked = standin.asked();
    assert!(!asked.iter().any(|line| line.ends_with("/token")));
}

/// SEC-14, CONS-17
#[tokio::test]
async fn a_provider_that_passes_its_visitors_on_to_another_gets_no_code_of_that_one() {
    let evil = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let provider = openid("evil", &evil);
    let server = server()
        .with_openid()
        .configure(|config| config.providers.push(provider))
        .start()
        .await;
    evil.register_callback("https://mcp.example.com/callback/evil");
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let at_evil = browser.approve_with("evil", &page).await;
    // the person chose evil, which sends them on to corp, with all that we gave it
    let base = server.standin().base_url();
    let at_corp: Url = at_evil
        .as_str()
        .replace(&evil.base_url(), &base)
        .parse()
        .unwrap();
    let back = browser.choose(&at_corp, Some("mona")).await;
    let answer = browser.get(back.as_str()).await;
    assert_eq!(client.read_refusal(&answer), "server_error");
    assert_no_code_was_tried(&evil);
    assert_no_code_was_tried(server.standin());
}

async fn change(server: &Server, login: &str, change: impl FnOnce(&mut Account)) {
    server.standin().openid().change(login, change);
    // whoever is asked about from here on is asked about anew
    server.advance(Duration::from_secs(1));
}

/// CONS-20, U7
#[tokio::test]
async fn an_address_that_moves_to_another_account_moves_nothing_else() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    let mona = client.sign_in_with("corp", "mona").await;
    change(&server, "mona", |account| {
        account.email = Some("lisa@example.com".to_owned());
    })
    .await;
    change(&server, "octavia", |account| {
        account.email = Some("mona@example.com".to_owned());
    })
    .await;
    let octavia = client.sign_in_with("corp", "octavia").await;
    assert_eq!(subject(&octavia), OCTAVIA);
    for (tokens, whose) in [(&mona, MONA), (&octavia, OCTAVIA)] {
        assert_eq!(client.whoami(&tokens.access).await["subject"], whose);
    }
    // what one of them gives up, the other keeps
    assert_eq!(client.revoke(&octavia.refresh).await.status, 200);
    assert_eq!(client.initialize(&octavia.access).await.status, 401);
    let fresh = Tokens::read(&client.refresh(&mona.refresh).await);
    assert_eq!(client.whoami(&fresh.access).await["subject"], MONA);
}

/// CONS-20, U7
#[tokio::test]
async fn a_name_that_another_takes_over_opens_nothing() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    let before = client.sign_in_with("corp", "mona").await;
    change(&server, "mona", |account| account.login = "lisa".to_owned()).await;
    change(&server, "octavia", |account| {
        account.login = "mona".to_owned();
    })
    .await;
    let successor = client.sign_in_with("corp", "mona").await;
    assert_eq!(subject(&successor), OCTAVIA);
    let after = client.sign_in_with("corp", "lisa").await;
    assert_eq!(subject(&after), MONA);
    assert_eq!(client.whoami(&before.access).await["subject"], MONA);
}

/// CONS-20, U7
#[tokio::test]
async fn the_same_subject_at_three_providers_is_three_people() {
    let server = server().with_openid().with_openid_as("other").start().await;
    let client = server.client().await;
    change(&server, "octavia", |account| account.sub = "1".to_owned()).await;
    let github = client.sign_in("mona").await;
    let corp = client.sign_in_with("corp", "octavia").await;
    let other = client.sign_in_with("other", "octavia").await;
    let all = [
        (&github, "github:1"),
        (&corp, "corp:1"),
        (&other, "other:1"),
    ];
    for (tokens, whose) in all {
        assert_eq!(subject(tokens), whose);
        assert_eq!(client.whoami(&tokens.access).await["subject"], whose);
    }
    assert_eq!(client.revoke(&github.refresh).await.status, 200);
    assert_eq!(client.initialize(&github.access).await.status, 401);
    assert_eq!(client.initialize(&corp.access).await.status, 200);
    assert_eq!(client.initialize(&other.access).await.status, 200);
}

/// CONS-20, U7
#[tokio::test]
async fn what_one_person_agreed_to_is_not_agreed_to_by_their_namesake_elsewhere() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    change(&server, "octavia", |account| account.sub = "1".to_owned()).await;
    let mut browser = server.browser();
    let url = client.authorization_url();
    let back = browser.come_back("corp", &url, "octavia").await;
    client.read_code(&browser.get(back.as_str()).await.location());
    let known = browser.open(&url).await;
    let mut another = server.browser();
    let answer = another.sign_in(&url, "mona").await;
    client.read_code(&answer.location());
    let now = server.world.clock.now();
    let grants = server.world.store.list_grants(None, 9, now).await.unwrap();
    assert_eq!(grants.len(), 2);
    assert!(known.text().contains("The login of corp"));
}

/// The server whose `corp` lets only these in.
fn closed(allow: Allow) -> Builder {
    server()
        .with_openid()
        .configure(|config| config.providers[1].allow = allow)
}

async fn sign_in(server: &Server, client: &Client, person: &str) -> Answer {
    let mut browser = server.browser();
    let url = client.authorization_url();
    let back = browser.come_back("corp", &url, person).await;
    browser.get(back.as_str()).await
}

/// That these may enter, and those may not and read why.
async fn assert_enters(server: &Server, may: &[&str], may_not: &[&str]) {
    let client = server.client().await;
    for person in may {
        let answer = sign_in(server, &client, person).await;
        client.read_code(&answer.location());
    }
    for person in may_not {
        let answer = sign_in(server, &client, person).await;
        answer.assert_page(403);
        assert!(answer.text().contains("The login of corp"), "{person}");
        assert_eq!(client.read_refusal(&answer), "access_denied", "{person}");
    }
}

/// U8, CONS-20
#[tokio::test]
async fn an_address_opens_the_door_only_where_the_provider_has_verified_it() {
    let allow = Allow {
        emails: vec![EmailPattern::parse("*@example.com").unwrap()],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    assert_enters(&server, &["mona", "octavia"], &["hubot", "wanda"]).await;
    change(&server, "hubot", |account| {
        account.email = Some("mona@example.com".to_owned());
    })
    .await;
    change(&server, "wanda", |account| {
        account.email = Some("a@evil.example@example.com".to_owned());
    })
    .await;
    assert_enters(&server, &["mona"], &["hubot", "wanda"]).await;
    // the truth in words is true, and a lie in words is none
    let openid = server.standin().openid();
    openid.deviate(Deviation::VerifiedInWords);
    assert_enters(&server, &["mona"], &["hubot"]).await;
}

/// CONS-20
#[tokio::test]
async fn a_domain_is_what_the_provider_has_signed_and_not_the_text_behind_the_at() {
    let allow = Allow {
        domains: vec!["example.com".to_owned()],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    assert_enters(&server, &["mona"], &["hubot", "juergen", "wanda"]).await;
    change(&server, "juergen", |account| {
        account.email = Some("juergen@example.com".to_owned());
    })
    .await;
    assert_enters(&server, &[], &["juergen"]).await;
    // at userinfo it is said, but not signed
    server.standin().openid().deviate(Deviation::ThinIdToken);
    assert_enters(&server, &[], &["mona"]).await;
}

#[tokio::test]
async fn who_is_out_of_the_group_is_out() {
    let allow = Allow {
        claims: vec![("groups".to_owned(), "mcp-users".to_owned())],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    assert_enters(&server, &["mona"], &["octavia", "juergen", "wanda"]).await;
    change(&server, "mona", |account| {
        account.groups.retain(|group| group != "mcp-users");
    })
    .await;
    assert_enters(&server, &[], &["mona"]).await;
    change(&server, "octavia", |account| {
        account.groups.push("mcp-users".to_owned());
    })
    .await;
    assert_enters(&server, &["octavia"], &[]).await;
}

/// CONS-27
#[tokio::test]
async fn an_account_is_let_in_by_its_subject_whatever_it_is_called() {
    let (_, sub) = MONA.split_once(':').unwrap();
    let allow = Allow {
        subjects: vec![sub.to_owned()],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    assert_enters(&server, &["mona"], &["octavia"]).await;
    change(&server, "mona", |account| account.login = "lisa".to_owned()).await;
    change(&server, "octavia", |account| {
        account.login = "mona".to_owned();
        account.email = Some("mona@example.com".to_owned());
    })
    .await;
    assert_enters(&server, &["lisa"], &["mona"]).await;
}

/// AUTHZ-18
#[tokio::test]
async fn a_server_starts_before_its_provider_and_signs_in_once_that_is_there() {
    let place = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = place.local_addr().unwrap();
    drop(place);
    let server = server()
        .with_openid()
        .configure(move |config| {
            let ProviderKind::OpenId { issuer, .. } = &mut config.providers[1].kind else {
                panic!("not OpenID");
            };
            *issuer = format!("http://{address}/oidc");
        })
        .start()
        .await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let answer = browser.decide(&page, "corp").await;
    assert!(!answer.status.is_success(), "{}", answer.text());
    client.sign_in("mona").await;

    let late = Standin::start(address).await.unwrap();
    let clock = Arc::clone(&server.world.clock) as Arc<dyn Clock>;
    late.openid().tell_time_by(clock);
    late.register_callback("https://mcp.example.com/callback/corp");
    server.advance(Duration::from_secs(61));
    let tokens = client.sign_in_with("corp", "mona").await;
    assert_eq!(subject(&tokens), MONA);
}
