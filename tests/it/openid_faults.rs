//! An `OpenID` provider that does not do its part: the client is told in our words, the log has the cause, and nobody is
//! signed in.

use std::time::Duration;

use anteroom::standin::{Deviation, Fault};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::harness::answer::Answer;
use crate::harness::browser::Browser;
use crate::harness::client::Client;
use crate::harness::log::Log;
use crate::harness::openid::{
    BROKEN, LATER, assert_nobody_is_signed_in, assert_nothing_is_reflected, assert_stopped, set_out,
};
use crate::harness::server::{Server, server};

const DISCOVERY: &str = "/oidc/.well-known/openid-configuration";
const KEYS: &str = "/oidc/jwks";
const TOKEN: &str = "/oidc/token";
const USERINFO: &str = "/oidc/userinfo";

fn body(text: &str) -> Fault {
    Fault::Body(text.to_owned())
}

/// Somebody on their way back from the provider.
struct Underway {
    server: Server,
    client: Client,
    browser: Browser,
    back: Url,
}

impl Underway {
    async fn start() -> Self {
        Self::at(&server().with_openid().start().await).await
    }

    async fn at(server: &Server) -> Self {
        let client = server.client().await;
        let mut browser = server.browser();
        let url = client.authorization_url();
        let back = browser.come_back("corp", &url, "mona").await;
        Self {
            server: server.clone(),
            client,
            browser,
            back,
        }
    }

    async fn arrive(&mut self) -> Answer {
        self.browser.get(self.back.as_str()).await
    }

    /// That the sign-in fails: `told` to the client, with `cause` in the log, and nothing that the provider sent anywhere.
    async fn assert_fails(mut self, told: &str, cause: &str) {
        let (log, listening) = Log::listen("warn");
        let answer = self.arrive().await;
        drop(listening);
        assert_eq!(self.client.read_refusal(&answer), told, "{cause}");
        assert_nothing_is_reflected(&answer);
        if !answer.status.is_redirection() {
            assert!(answer.text().contains("The login of corp"), "{answer:?}");
        }
        let log = log.text();
        for part in ["upstream_failed", "provider=corp", cause] {
            assert!(log.contains(part), "{part}: {log}");
        }
        for secret in [
            "code-", "access-", "refresh-", "eyJ", "@", "Unicorn", "raw", "1076915",
        ] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
        assert_nobody_is_signed_in(&self.server).await;
        // the answer of the provider was used up by the attempt
        self.arrive().await.assert_page(400);
    }
}

/// CONS-18, CONS-17, CONS-21, AUTHZ-18, U8
#[tokio::test]
async fn an_id_token_that_is_wrong_in_anything_signs_nobody_in() {
    for (how, cause) in [
        (Deviation::WrongNonce, "nonce"),
        (Deviation::WithoutNonce, "nonce"),
        (Deviation::WrongAudience, "another client"),
        (Deviation::WrongParty, "another client"),
        (Deviation::Expired, "expired"),
        (Deviation::FromTomorrow, "future"),
        (Deviation::WrongIssuer, "another issuer"),
        (Deviation::WrongHash, "another access token"),
        (Deviation::WithoutSubject, "sub"),
        (Deviation::Unsigned, "not signed with"),
        (Deviation::SignedWithSecret, "not signed with"),
        (Deviation::SignedWithPublicKey, "not signed with"),
        (Deviation::Forged, "signature"),
        (Deviation::UnpublishedKey, "does not publish"),
        (Deviation::Garbage, "not a signed JWT"),
        (Deviation::WithoutIdToken, "no ID token"),
        (Deviation::AnotherAtUserinfo, "another person"),
    ] {
        let underway = Underway::start().await;
        underway.server.standin().openid().deviate(how);
        underway.assert_fails(BROKEN, cause).await;
    }
}

/// CONS-21, AUTHZ-18
#[tokio::test]
async fn an_endpoint_that_fails_is_told_in_our_words() {
    let refused = r#"{"error":"invalid_grant","error_description":"raw words"}"#;
    let ours = r#"{"error":"invalid_client","error_description":"raw words"}"#;
    let script = r#"{"error":"<script>raw</script>"}"#;
    for (path, fault, told, cause) in [
        (TOKEN, Fault::Down, LATER, "status 500"),
        (TOKEN, Fault::TooMany, LATER, "status 429"),
        (TOKEN, Fault::Absent, BROKEN, "token endpoint"),
        (TOKEN, Fault::Unauthorized, BROKEN, "token endpoint"),
        (TOKEN, Fault::Html, BROKEN, "token endpoint"),
        (TOKEN, body(""), BROKEN, "token endpoint"),
        (TOKEN, body("{\"raw"), BROKEN, "token endpoint"),
        (TOKEN, body("null"), BROKEN, "token endpoint"),
        (TOKEN, body("{}"), BROKEN, "token endpoint"),
        (TOKEN, body(refused), BROKEN, "invalid_grant"),
        (TOKEN, body(ours), BROKEN, "invalid_client"),
        (TOKEN, body(script), BROKEN, "answers an error"),
        (USERINFO, Fault::Down, LATER, "status 500"),
        (USERINFO, Fault::TooMany, LATER, "status 429"),
        (USERINFO, Fault::Unauthorized, BROKEN, "userinfo"),
        (USERINFO, Fault::Absent, BROKEN, "userinfo"),
        (USERINFO, Fault::Html, BROKEN, "userinfo"),
        (USERINFO, body("[\"raw\"]"), BROKEN, "userinfo"),
        (USERINFO, body("{}"), BROKEN, "names nobody"),
        (USERINFO, body(r#"{"sub":null}"#), BROKEN, "names nobody"),
    ] {
        let underway = Underway::start().await;
        underway.server.standin().fault(path, fault);
        underway.assert_fails(told, cause).await;
    }
}

/// U3, CONS-21, AUTHZ-18
#[tokio::test]
async fn a_provider_that_cannot_be_discovered_stops_the_sign_in_before_it_begins() {
    for (path, fault, cause) in [
        (DISCOVERY, Fault::Down, "status 500"),
        (DISCOVERY, Fault::TooMany, "status 429"),
        (DISCOVERY, Fault::Absent, "status 404"),
        (DISCOVERY, Fault::Html, "metadata"),
        (DISCOVERY, body("{\"raw"), "metadata"),
        (DISCOVERY, body("{}"), "metadata"),
        (KEYS, Fault::Down, "status 500"),
        (KEYS, Fault::Html, "keys"),
        (KEYS, body("{}"), "keys"),
    ] {
        let server = server().with_openid().start().await;
        server.standin().fault(path, fault);
        assert_does_not_begin(&server, cause).await;
    }
    let server = server().with_openid().start().await;
    let openid = server.standin().openid();
    openid.deviate(Deviation::ForeignMetadata);
    assert_does_not_begin(&server, "byte for byte").await;
}

async fn assert_does_not_begin(server: &Server, cause: &str) {
    let client = server.client().await;
    let mut browser = server.browser();
    let (log, listening) = Log::listen("warn");
    assert_stopped(&client, &set_out(&mut browser, &client).await);
    drop(listening);
    assert!(log.text().contains(cause), "{cause}: {}", log.text());
    assert_nobody_is_signed_in(server).await;
    // whoever does not wait signs in with another provider meanwhile
    client.sign_in("mona").await;
    // and a minute later with this one, if it has healed by then
    server.standin().heal();
    server.advance(Duration::from_secs(61));
    client.sign_in_with("corp", "mona").await;
}

/// CONS-18
#[tokio::test]
async fn keys_that_were_rotated_are_found_but_not_twice_a_minute() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    client.sign_in_with("corp", "mona").await;
    let openid = server.standin().openid();
    let fetched = || {
        let asked = server.standin().asked();
        asked.iter().filter(|line| line.ends_with(KEYS)).count()
    };
    openid.rotate_keys().unwrap();
    client.sign_in_with("corp", "mona").await;
    assert_eq!(fetched(), 2);
    // whoever makes up names of keys does not make us ask again and again
    openid.deviate(Deviation::UnpublishedKey);
    for _ in 0..3 {
        let mut underway = Underway::at(&server).await;
        let answer = underway.arrive().await;
        assert_eq!(underway.client.read_refusal(&answer), BROKEN);
    }
    assert_eq!(fetched(), 2);
    server.standin().heal();
    server.advance(Duration::from_secs(60));
    openid.sign_with_rsa().unwrap();
    client.sign_in_with("corp", "mona").await;
    assert_eq!(fetched(), 3);
}

/// CONS-18, AUTHZ-18
#[tokio::test]
async fn new_keys_that_cannot_be_had_are_an_outage_and_no_forgery() {
    let underway = Underway::start().await;
    let standin = underway.server.standin();
    standin.openid().rotate_keys().unwrap();
    standin.fault(KEYS, Fault::Down);
    underway.assert_fails(LATER, "status 500").await;
}

#[tokio::test]
async fn an_answer_that_comes_late_is_an_answer() {
    let mut underway = Underway::start().await;
    let late = Duration::from_millis(200);
    for path in [TOKEN, USERINFO] {
        underway.server.standin().fault(path, Fault::Slow(late));
    }
    let before = Instant::now();
    let answer = underway.arrive().await;
    assert!(before.elapsed() >= 2 * late);
    underway.client.read_code(&answer.location());
}

/// AUTHZ-18
#[tokio::test]
async fn a_provider_that_never_answers_holds_nobody_for_longer_than_the_limit() {
    // what all that is asked of a provider may take together
    const LIMIT: Duration = Duration::from_secs(20);
    let underway = Underway::start().await;
    underway.server.standin().fault(TOKEN, Fault::Silent);
    let server = server().with_openid().start().await;
    server.standin().fault(DISCOVERY, Fault::Silent);
    let client = server.client().await;
    let mut browser = server.browser();
    let (failed, stopped) = tokio::join!(
        timeout(LIMIT, underway.assert_fails(LATER, "took too long")),
        timeout(LIMIT, set_out(&mut browser, &client)),
    );
    failed.unwrap();
    assert_stopped(&client, &stopped.unwrap());
}

/// AUTHZ-18, CONS-21
#[tokio::test]
async fn a_person_who_says_no_at_the_provider_is_told_as_access_denied() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let provider = browser.approve_with("corp", &page).await;
    let back = browser.choose(&provider, None).await;
    let answer = browser.get(back.as_str()).await;
    assert_eq!(client.read_refusal(&answer), "access_denied");
    assert!(!format!("{answer:?}").contains("<no>"));
    assert_nobody_is_signed_in(&server).await;
}
