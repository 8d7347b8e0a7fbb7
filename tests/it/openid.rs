//! Sign-in with a provider of `OpenID` Connect, beside another: each answers for its own people alone.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anteroom::clock::Clock;
use anteroom::config::ProviderKind;
use anteroom::standin::{Deviation, Standin};
use url::Url;

use crate::harness::answer::parameter;
use crate::harness::browser::Browser;
use crate::harness::client::{Client, Tokens};
use crate::harness::log::Log;
use crate::harness::openid::{MONA, assert_nobody_is_signed_in, assert_stopped, set_out, subject};
use crate::harness::server::{openid, server};

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

#[tokio::test]
async fn a_provider_may_do_what_the_specifications_let_it_do_otherwise() {
    for how in [
        Deviation::BeforeRfc9207,
        Deviation::ThinIdToken,
        Deviation::VerifiedInWords,
        Deviation::UnnamedKey,
        Deviation::AudienceInAList,
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

/// CONS-17, CONS-18
#[tokio::test]
async fn a_code_of_another_sign_in_is_of_no_use() {
    for (how, cause) in [
        (None, "invalid_grant"),
        // and if the provider forgets to look at the verifier, there is still the nonce
        (Some(Deviation::WithoutPkce), "nonce"),
    ] {
        let server = server().with_openid().start().await;
        if let Some(how) = how {
            server.standin().openid().deviate(how);
        }
        let client = server.client().await;
        let (mut thief, mut victim) = (server.browser(), server.browser());
        let stolen = callback(&mut victim, &client, "corp").await;
        let own = callback(&mut thief, &client, "corp").await;
        let code = |url| parameter(url, "code").unwrap();
        let injected = own.as_str().replace(&code(&own), &code(&stolen));
        assert_ne!(injected, own.as_str());
        let (log, listening) = Log::listen("warn");
        let answer = thief.get(&injected).await;
        drop(listening);
        assert_eq!(client.read_refusal(&answer), "server_error");
        assert!(log.text().contains(cause), "{}", log.text());
        assert_nobody_is_signed_in(&server).await;
    }
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
    let answer = set_out(&mut server.browser(), &client).await;
    assert_stopped(&client, &answer);
    client.sign_in("mona").await;

    let late = Standin::start(address).await.unwrap();
    let clock = Arc::clone(&server.world.clock) as Arc<dyn Clock>;
    late.openid().tell_time_by(clock);
    late.register_callback("https://mcp.example.com/callback/corp");
    server.advance(Duration::from_secs(61));
    let tokens = client.sign_in_with("corp", "mona").await;
    assert_eq!(subject(&tokens), MONA);
}
