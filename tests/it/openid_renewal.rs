//! What becomes of an `OpenID` provider's tokens after a sign-in: renewed, vouched with and given back, at a provider that
//! remembers what it issued.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use anteroom::clock::Clock as _;
use anteroom::config::{Allow, Config, ProviderKind};
use anteroom::protocol::ids::{ProviderId, Subject};
use anteroom::secret::Secret;
use anteroom::standin::{Deviation, Fault, OpenId};
use anteroom::upstream::{Back, Intent, Upstream, UpstreamError, UpstreamTokens, UseFor, Vouched};

use crate::harness::answer::parameter;
use crate::harness::openid::MONA;
use crate::harness::server::{Server, server};

const TOKEN: &str = "/oidc/token";
const USERINFO: &str = "/oidc/userinfo";

/// Somebody who has signed in at `corp`.
struct Signed {
    server: Server,
    corp: Arc<dyn Upstream>,
    person: Subject,
    tokens: UpstreamTokens,
}

impl Signed {
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(change: impl FnOnce(&mut Config) + 'static) -> Self {
        let server = server().with_openid().configure(change).start().await;
        let corp = Arc::clone(&server.app.flows().upstreams[1]);
        let state = Secret::new("state");
        let departure = corp.begin(&state, Intent::Connect).await.unwrap();
        let back = server.browser().choose(&departure.url, Some("mona")).await;
        let back = Back {
            code: Secret::new(parameter(&back, "code").unwrap()),
            iss: parameter(&back, "iss"),
        };
        let signed_in = corp.finish(back, departure.kept).await.unwrap();
        let (_, sub) = MONA.split_once(':').unwrap();
        Self {
            person: Subject::at(&ProviderId::new("corp"), sub),
            tokens: signed_in.tokens,
            server,
            corp,
        }
    }

    fn openid(&self) -> OpenId {
        self.server.standin().openid()
    }

    async fn renew(&self) -> Result<UpstreamTokens, UpstreamError> {
        self.corp.renew(&self.tokens).await
    }

    async fn vouch(&self) -> Result<Vouched, UpstreamError> {
        self.corp.vouch(&self.person, &self.tokens).await
    }
}

/// What becomes of a session: it ends, its person is shut out, or neither.
fn verdict<T>(answer: &Result<T, UpstreamError>) -> &'static str {
    match answer {
        Ok(_) => "good",
        Err(UpstreamError::Ended(_)) => "ended",
        Err(UpstreamError::NotAllowed(..)) => "shut out",
        Err(UpstreamError::Unavailable(_)) => "later",
        Err(_) => "broken",
    }
}

/// CONS-22
#[tokio::test]
async fn tokens_turn_over_for_as_long_as_the_newest_are_used() {
    let mut it = Signed::start().await;
    let first = it.tokens.clone();
    for _ in 0..3 {
        let renewed = it.renew().await.unwrap();
        assert_ne!(renewed.access.expose(), it.tokens.access.expose());
        it.tokens = renewed;
        assert_eq!(it.vouch().await.unwrap().identity.subject.as_str(), MONA);
    }
    // the provider takes an old one for stolen, and ends everything
    assert_eq!(verdict(&it.corp.renew(&first).await), "ended");
    assert_eq!(verdict(&it.renew().await), "ended");
    // the token endpoint has the last word where it can be asked
    assert_eq!(verdict(&it.vouch().await), "later");
}

/// CONS-22
#[tokio::test]
async fn a_refresh_token_for_which_no_other_comes_is_used_again() {
    let mut it = Signed::start().await;
    it.openid().deviate(Deviation::RefreshWithoutRefreshToken);
    it.openid().deviate(Deviation::RefreshWithoutIdToken);
    for _ in 0..3 {
        it.tokens = it.renew().await.unwrap();
        assert_eq!(it.vouch().await.unwrap().identity.subject.as_str(), MONA);
    }
}

/// CONS-14, CONS-22
#[tokio::test]
async fn what_the_person_took_back_has_ended() {
    let it = Signed::start().await;
    it.openid().revoke("octavia");
    assert_eq!(verdict(&it.vouch().await), "good");
    it.openid().revoke("mona");
    assert_eq!(verdict(&it.vouch().await), "later");
    assert_eq!(verdict(&it.renew().await), "ended");
    let without = UpstreamTokens {
        refresh: None,
        ..it.tokens.clone()
    };
    assert_eq!(verdict(&it.corp.vouch(&it.person, &without).await), "ended");
}

/// CONS-14, CONS-22, U8
#[tokio::test]
async fn tokens_that_have_become_those_of_another_have_ended() {
    let it = Signed::start().await;
    it.openid().deviate(Deviation::AnotherAtUserinfo);
    assert_eq!(verdict(&it.vouch().await), "ended");
    it.server.standin().heal();
    it.openid().deviate(Deviation::AnotherAtRefresh);
    assert_eq!(verdict(&it.renew().await), "ended");
}

/// CONS-14, CONS-22
#[tokio::test]
async fn no_outage_and_no_nonsense_is_taken_for_the_end() {
    let it = Signed::start().await;
    let body = |text: &str| Fault::Body(text.to_owned());
    for (fault, outcome) in [
        (Fault::Down, "later"),
        (Fault::TooMany, "later"),
        (Fault::Html, "broken"),
        (Fault::Absent, "broken"),
        (body("{"), "broken"),
        (body("null"), "broken"),
    ] {
        let shown = format!("{fault:?}");
        for path in [TOKEN, USERINFO] {
            it.server.standin().fault(path, fault.clone());
        }
        assert_eq!(verdict(&it.renew().await), outcome, "{shown}");
        assert_eq!(verdict(&it.vouch().await), outcome, "{shown}");
        it.server.standin().heal();
    }
    let refused = r#"{"error":"invalid_client"}"#;
    it.server.standin().fault(TOKEN, body(refused));
    assert_eq!(verdict(&it.renew().await), "broken");
    it.server.standin().heal();
    // nothing was lost by all that
    assert_eq!(verdict(&it.vouch().await), "good");
    assert_eq!(verdict(&it.renew().await), "good");
}

/// CONS-22
#[tokio::test]
async fn an_error_in_a_200_body_ends_it_if_it_is_the_one_that_does() {
    let it = Signed::start().await;
    for (error, outcome) in [
        ("temporarily_unavailable", "later"),
        ("unauthorized_client", "broken"),
        ("invalid_grant", "ended"),
    ] {
        let body = format!(r#"{{"error":"{error}"}}"#);
        it.server.standin().fault(TOKEN, Fault::Body(body));
        assert_eq!(verdict(&it.renew().await), outcome, "{error}");
    }
}

/// CONS-18, CONS-22
#[tokio::test]
async fn a_renewed_id_token_at_fault_says_nothing_and_loses_no_tokens() {
    for how in [
        Deviation::WrongAudience,
        Deviation::WrongParty,
        Deviation::WrongIssuer,
        Deviation::Expired,
        Deviation::FromTomorrow,
        Deviation::WrongHash,
        Deviation::Unsigned,
        Deviation::SignedWithSecret,
        Deviation::Forged,
        Deviation::Garbage,
    ] {
        let it = Signed::start().await;
        it.openid().deviate(how);
        let renewed = it.renew().await.unwrap();
        let vouched = it.corp.vouch(&it.person, &renewed).await;
        assert_eq!(verdict(&vouched), "good", "{how:?}");
        assert_ne!(
            renewed.access.expose(),
            it.tokens.access.expose(),
            "{how:?}"
        );
    }
    let it = Signed::start().await;
    it.openid().rotate_keys().unwrap();
    assert_eq!(verdict(&it.renew().await), "good");
}

/// CONS-14
#[tokio::test]
async fn a_token_is_renewed_before_it_expires_and_vouches_for_nobody_after() {
    let mut it = Signed::start().await;
    let hour = Duration::from_secs(3600);
    let clock = Arc::clone(&it.server.world.clock);
    assert_eq!(it.tokens.expires, Some(clock.now() + hour));
    assert!(!it.corp.renews(&it.tokens, UseFor::Calling, clock.now()));
    assert!(it.corp.renews(&it.tokens, UseFor::Checking, clock.now()));
    it.server.advance(hour);
    assert!(it.corp.renews(&it.tokens, UseFor::Calling, clock.now()));
    // that it has not been renewed yet is no word of the provider
    assert_eq!(verdict(&it.vouch().await), "later");
    it.tokens = it.renew().await.unwrap();
    assert_eq!(verdict(&it.vouch().await), "good");

    let without = Signed::start_with(|config| {
        let ProviderKind::OpenId { scopes, .. } = &mut config.providers[1].kind else {
            panic!("not OpenID");
        };
        scopes.retain(|scope| scope != "offline_access");
    })
    .await;
    assert!(without.tokens.refresh.is_none());
    assert_eq!(verdict(&without.vouch().await), "good");
    without.server.advance(hour);
    assert_eq!(verdict(&without.vouch().await), "ended");
}

/// CONS-14, CONS-20, CONS-27
#[tokio::test]
async fn what_changed_at_the_provider_is_seen_when_it_is_asked_again() {
    let it = Signed::start_with(|config| {
        config.providers[1].allow = Allow {
            claims: vec![("groups".to_owned(), "mcp-users".to_owned())],
            ..Allow::default()
        };
    })
    .await;
    it.openid().change("mona", |account| {
        account.login = "lisa".to_owned();
        account.email = Some("lisa@example.com".to_owned());
    });
    let identity = it.vouch().await.unwrap().identity;
    assert_eq!(identity.subject.as_str(), MONA);
    assert_eq!(identity.login.as_deref(), Some("lisa"));
    assert_eq!(identity.verified_email.as_deref(), Some("lisa@example.com"));
    it.openid().change("lisa", |account| account.groups.clear());
    assert_eq!(verdict(&it.vouch().await), "shut out");
}

/// CONS-23
#[tokio::test]
async fn tokens_that_are_given_back_are_in_force_no_longer() {
    let it = Signed::start().await;
    assert!(it.openid().has_tokens("mona"));
    for _ in 0..2 {
        it.corp.forget(&it.tokens).await.unwrap();
        assert!(!it.openid().has_tokens("mona"));
    }
    assert_eq!(verdict(&it.renew().await), "ended");
}
