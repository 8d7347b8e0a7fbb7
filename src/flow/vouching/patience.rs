//! Providers that take for ever, and worse: nobody waits for ever, and nothing that comes late is lost.

use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::clock::ManualClock;
use crate::flow::grant::kept_until;
use crate::protocol::identity::Identity;
use crate::protocol::ids::{ClientId, Handle, Id};
use crate::protocol::person_rule::PeopleRules;
use crate::protocol::pkce::Challenge;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::session::{AuthorizationRequest, IssuedCode, Session};
use crate::seal::{SealingKey, SealingKeys};
use crate::secret::Secret;
use crate::store::SignedIn;
use crate::store::memory::MemoryStore;
use crate::upstream::{
    Back, Departure, GivesBack, Intent, Kept, SignIn, UpstreamError, UpstreamTokens, Vouched,
};

const NOW: UnixTime = UnixTime(1_000_000);
const CHECK: Duration = Duration::from_secs(300);

/// Takes for ever to renew, until it is let go; panics where it is told to.
struct Stubborn {
    id: ProviderId,
    rules: PeopleRules,
    asked: Notify,
    go_on: Notify,
    panics: Mutex<bool>,
    gives_back: Mutex<GivesBack>,
}

#[async_trait]
impl Upstream for Stubborn {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn label(&self) -> &'static str {
        "Stubborn"
    }

    fn asks_for(&self) -> Vec<String> {
        Vec::new()
    }

    fn rules(&self) -> &PeopleRules {
        &self.rules
    }

    async fn begin(&self, _: &Secret, _: Intent) -> Result<Departure, UpstreamError> {
        Err(UpstreamError::Invalid(String::new()))
    }

    async fn finish(&self, _: Back, _: Kept) -> Result<SignIn, UpstreamError> {
        Err(UpstreamError::Invalid(String::new()))
    }

    fn renews(&self, tokens: &UpstreamTokens, _: UseFor, _: UnixTime) -> bool {
        tokens.access.expose() == "old"
    }

    async fn renew(&self, _: &UpstreamTokens) -> Result<UpstreamTokens, UpstreamError> {
        assert!(!*self.panics.lock().unwrap(), "as the test wants it");
        self.asked.notify_one();
        self.go_on.notified().await;
        Ok(tokens("new"))
    }

    async fn vouch(&self, _: &Subject, _: &UpstreamTokens) -> Result<Vouched, UpstreamError> {
        Ok(Vouched {
            identity: identity(),
            opens: ScopeSet::default(),
        })
    }

    fn gives_back(&self) -> GivesBack {
        *self.gives_back.lock().unwrap()
    }

    async fn forget(&self, _: &UpstreamTokens) -> Result<(), UpstreamError> {
        Ok(())
    }
}

fn tokens(access: &str) -> UpstreamTokens {
    UpstreamTokens {
        access: Secret::new(access),
        refresh: None,
        expires: None,
        scopes: Vec::new(),
        claims: None,
    }
}

fn identity() -> Identity {
    Identity {
        subject: Subject::new("stubborn:1"),
        login: None,
        name: None,
        verified_email: None,
    }
}

/// Somebody who signed in at a stubborn provider, long enough ago that it is to be asked.
async fn signed_in() -> (Arc<Vouching>, Arc<Stubborn>) {
    let stubborn = Arc::new(Stubborn {
        id: ProviderId::new("stubborn"),
        rules: PeopleRules::default(),
        asked: Notify::new(),
        go_on: Notify::new(),
        panics: Mutex::new(false),
        gives_back: Mutex::new(GivesBack::TheseTokens),
    });
    let shared = Shared {
        store: Arc::new(MemoryStore::default()),
        clock: Arc::new(ManualClock::at(NOW + CHECK)),
        sealer: Arc::new(Sealer::new(&SealingKeys::one(SealingKey::random()))),
        live: Arc::default(),
        upstreams: vec![Arc::clone(&stubborn) as Arc<dyn Upstream>],
    };
    let lifetimes = Lifetimes {
        code: CHECK,
        access: CHECK,
        idle: CHECK,
        session: CHECK,
        reuse_grace: CHECK,
        unused_client: CHECK,
        consent: CHECK,
        upstream_check: CHECK,
        upstream_grace: CHECK,
    };
    let mut vouching = Vouching::new(shared, lifetimes);
    vouching.patience = Duration::from_millis(20);
    sign_in(&vouching).await;
    (Arc::new(vouching), stubborn)
}

async fn sign_in(vouching: &Vouching) {
    let expires = NOW + CHECK * 100;
    let redirect = RedirectUri::parse("https://a.example/cb").unwrap();
    let request = AuthorizationRequest {
        client_id: ClientId::new("c"),
        redirect: redirect.admits("https://a.example/cb").unwrap(),
        state: None,
        challenge: Challenge::parse(Some(&"c".repeat(43)), Some("S256")).unwrap(),
        resource: String::new(),
        scopes: ScopeSet::default(),
        fingerprint: [0; 32],
    };
    let session = Session {
        id: Id::new(NOW),
        subject: identity().subject,
        client_id: ClientId::new("c"),
        client_name: None,
        client_host: String::new(),
        resource: String::new(),
        scopes: ScopeSet::default(),
        created: NOW,
        used: NOW,
        refresh: None,
        expires,
    };
    let code = Handle::new(NOW);
    let signed_in = SignedIn {
        code: IssuedCode {
            digest: code.digest(),
            session: session.id,
            request,
            spent: false,
            expires,
        },
        session,
        grant_before: None,
        grant: Grant {
            tokens: vouching.seal(&identity().subject, &tokens("old")),
            identity: identity(),
            provider: ProviderId::new("stubborn"),
            opens: ScopeSet::default(),
            rules: PeopleRules::default().mark(),
            checked: NOW,
            sessions: Vec::new(),
            expires,
        },
        consent: None,
    };
    let put = vouching.store.put_code(code.id, signed_in, NOW);
    put.await.unwrap();
}

async fn access_token(vouching: &Vouching) -> String {
    let found = vouching.store.find_grant(&identity().subject, NOW).await;
    let tokens = vouching.tokens_of(&found.unwrap().unwrap()).unwrap();
    tokens.access.expose().to_owned()
}

/// CONS-15, CONS-22
#[tokio::test]
async fn nobody_waits_for_ever_and_tokens_that_come_late_are_kept() {
    let (vouching, stubborn) = signed_in().await;
    let person = identity().subject;
    for _ in 0..3 {
        // the first one waits, as long as is bearable; in the grace everybody goes on
        let status = vouching.status(&person).await.unwrap();
        assert!(matches!(status, Status::Good(grant, _) if grant.checked == NOW));
    }
    stubborn.asked.notified().await;
    assert_eq!(vouching.under_way.len(), 1, "it is still being asked");
    let at_rest = timeout(Duration::from_millis(50), vouching.at_rest());
    assert!(at_rest.await.is_err());
    assert_eq!(access_token(&vouching).await, "old");
    stubborn.go_on.notify_one();
    // whoever stops the server waits for what it still says
    vouching.at_rest().await;
    assert_eq!(access_token(&vouching).await, "new");
    assert!(vouching.troubles.is_empty());
    let status = vouching.status(&person).await.unwrap();
    assert!(matches!(status, Status::Good(grant, _) if grant.checked == NOW + CHECK));
}

#[tokio::test]
async fn a_connector_that_panics_is_an_incident_and_the_next_one_asks_again() {
    let (vouching, stubborn) = signed_in().await;
    let person = identity().subject;
    *stubborn.panics.lock().unwrap() = true;
    for _ in 0..2 {
        let status = vouching.status(&person).await.unwrap();
        assert!(matches!(status, Status::Good(grant, _) if grant.checked == NOW));
    }
    assert!(vouching.under_way.is_empty());
    assert_eq!(vouching.troubles.len(), 1);
    vouching.troubles.clear();
    *stubborn.panics.lock().unwrap() = false;
    stubborn.go_on.notify_one();
    let status = vouching.status(&person).await.unwrap();
    let kept = kept_until(&vouching.lifetimes, NOW + CHECK);
    assert!(matches!(status, Status::Good(grant, _) if grant.expires == kept));
    assert_eq!(access_token(&vouching).await, "new");
}

async fn grant_of(vouching: &Vouching) -> Option<Grant> {
    let found = vouching.store.find_grant(&identity().subject, NOW).await;
    found.unwrap()
}

/// CONS-22
#[tokio::test]
async fn renewed_tokens_that_could_not_be_kept_go_before_another_renewal() {
    let (vouching, stubborn) = signed_in().await;
    *stubborn.panics.lock().unwrap() = true;
    let grant = grant_of(&vouching).await.unwrap();
    vouching.hold(vouching.see(grant).unwrap(), tokens("new"));
    let status = vouching.status(&identity().subject).await.unwrap();
    assert!(matches!(status, Status::Good(grant, _) if grant.checked == NOW + CHECK));
    assert_eq!(access_token(&vouching).await, "new");
    assert!(vouching.unkept.is_empty());
}

/// SEC-15
#[tokio::test]
async fn tokens_that_no_key_opens_end_their_grant_so_that_the_person_can_sign_in_again() {
    let (vouching, _) = signed_in().await;
    let other = SealingKeys::one(SealingKey::random());
    vouching.sealer.exchange(&other);
    let status = vouching.status(&identity().subject).await.unwrap();
    assert!(matches!(status, Status::Ended));
    assert!(grant_of(&vouching).await.is_none());
}

/// CONS-14
#[tokio::test]
async fn a_word_from_the_future_is_asked_for_again() {
    let (vouching, _) = signed_in().await;
    let now = NOW + CHECK;
    let grant = grant_of(&vouching).await.unwrap();
    for (ahead, is_due) in [(0, false), (60, false), (61, true), (100_000, true)] {
        let checked = now + Duration::from_secs(ahead);
        let grant = Grant {
            checked,
            ..grant.clone()
        };
        assert_eq!(vouching.is_due(&grant, now), is_due, "{ahead}");
    }
    vouching.note_trouble(&grant, "down");
    assert_eq!(vouching.trouble_of(&grant, now), Some(now));
    assert_eq!(vouching.trouble_of(&grant, NOW), None);
}

/// CONS-23
#[tokio::test]
async fn nothing_is_given_back_that_somebody_who_signed_in_again_would_miss() {
    let (vouching, stubborn) = signed_in().await;
    let found = vouching.store.find_grant(&identity().subject, NOW).await;
    let grant = found.unwrap().unwrap();
    for (gives_back, token, is_missed) in [
        (GivesBack::TheseTokens, "old", true),
        (GivesBack::TheseTokens, "older", false),
        (GivesBack::Everything, "old", true),
        (GivesBack::Everything, "older", true),
    ] {
        *stubborn.gives_back.lock().unwrap() = gives_back;
        let tokens = tokens(token);
        let missed = vouching.would_be_missed(&*stubborn, grant.subject(), &tokens);
        assert_eq!(missed.await.unwrap(), is_missed, "{gives_back:?} {token}");
    }
    vouching.store.end_grant(&grant, NOW).await.unwrap();
    let tokens = tokens("old");
    let missed = vouching.would_be_missed(&*stubborn, grant.subject(), &tokens);
    assert!(!missed.await.unwrap());
}
