//! Providers that cannot even be left for, and what ends at one with the tokens of a sign-in that keeps none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use anteroom::app::App;
use anteroom::clock::{Clock, UnixTime};
use anteroom::protocol::identity::Identity;
use anteroom::protocol::ids::{ProviderId, Subject};
use anteroom::protocol::person_rule::PeopleRules;
use anteroom::protocol::scope::ScopeSet;
use anteroom::secret::Secret;
use anteroom::upstream::{
    Back, Departure, GivesBack, Intent, Kept, SignIn, Upstream, UpstreamError, UpstreamTokens,
    UseFor, Vouched,
};
use async_trait::async_trait;
use tokio::sync::Notify;
use url::Url;

use crate::changed_meanwhile::remove;
use crate::harness::answer::{Answer, parameter};
use crate::harness::browser::{Browser, ticket};
use crate::harness::client::{Client, STATE};
use crate::harness::server::{Server, server};

/// A provider that does as it is told, and asks nobody.
struct Puppet {
    id: ProviderId,
    label: &'static str,
    rules: PeopleRules,
    gives_back: GivesBack,
    /// What its next departures are like.
    trouble: Mutex<Option<Trouble>>,
    /// Why people were sent here.
    intents: Mutex<Vec<Intent>>,
    /// Whether it takes its time to say who signed in; that somebody waits for it; and that it goes on.
    holds: Mutex<bool>,
    waits: Notify,
    go_on: Notify,
    /// The tokens that were given back.
    forgotten: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
enum Trouble {
    Unavailable,
    Invalid,
}

impl Puppet {
    fn new(id: &str, label: &'static str, gives_back: GivesBack) -> Arc<Self> {
        Arc::new(Self {
            id: ProviderId::new(id),
            label,
            rules: PeopleRules::default(),
            gives_back,
            trouble: Mutex::default(),
            intents: Mutex::default(),
            holds: Mutex::default(),
            waits: Notify::new(),
            go_on: Notify::new(),
            forgotten: Mutex::default(),
        })
    }

    fn hold(&self) {
        *self.holds.lock().unwrap() = true;
    }

    fn let_go(&self) {
        *self.holds.lock().unwrap() = false;
        self.go_on.notify_one();
    }

    /// The tokens that were given back, once there are any: nobody waits for it.
    async fn forgotten_at_last(&self) -> Vec<String> {
        for _ in 0..10_000 {
            if !self.forgotten.lock().unwrap().is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.forgotten.lock().unwrap().clone()
    }

    fn order(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap() = trouble;
    }

    fn vouched(&self) -> Vouched {
        Vouched {
            identity: Identity {
                subject: Subject::at(&self.id, "1"),
                login: None,
                name: Some("Mona".to_owned()),
                verified_email: None,
            },
            opens: ScopeSet::default(),
        }
    }
}

#[async_trait]
impl Upstream for Puppet {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn label(&self) -> &str {
        self.label
    }

    fn asks_for(&self) -> Vec<String> {
        Vec::new()
    }

    fn rules(&self) -> &PeopleRules {
        &self.rules
    }

    async fn begin(&self, state: &Secret, intent: Intent) -> Result<Departure, UpstreamError> {
        let trouble = *self.trouble.lock().unwrap();
        match trouble {
            Some(Trouble::Unavailable) => Err(UpstreamError::Unavailable("raw cause".to_owned())),
            Some(Trouble::Invalid) => Err(UpstreamError::Invalid("raw cause".to_owned())),
            None => {
                self.intents.lock().unwrap().push(intent);
                let url = format!("https://idp.example/authorize?state={}", state.expose());
                Ok(Departure {
                    url: url.parse().unwrap(),
                    kept: Kept {
                        verifier: Secret::new("v"),
                        nonce: None,
                    },
                })
            }
        }
    }

    async fn finish(&self, back: Back, _: Kept) -> Result<SignIn, UpstreamError> {
        let holds = *self.holds.lock().unwrap();
        if holds {
            self.waits.notify_one();
            self.go_on.notified().await;
        }
        Ok(SignIn {
            vouched: self.vouched(),
            tokens: UpstreamTokens {
                access: back.code,
                refresh: None,
                expires: None,
                scopes: Vec::new(),
                claims: None,
            },
        })
    }

    fn renews(&self, _: &UpstreamTokens, _: UseFor, _: UnixTime) -> bool {
        false
    }

    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, UpstreamError> {
        Ok(tokens.clone())
    }

    async fn vouch(&self, _: &Subject, _: &UpstreamTokens) -> Result<Vouched, UpstreamError> {
        Ok(self.vouched())
    }

    fn gives_back(&self) -> GivesBack {
        self.gives_back
    }

    async fn forget(&self, tokens: &UpstreamTokens) -> Result<(), UpstreamError> {
        let given_back = tokens.access.expose().to_owned();
        self.forgotten.lock().unwrap().push(given_back);
        Ok(())
    }
}

/// The same server with other providers than it has.
async fn with(server: &Server, upstreams: Vec<Arc<dyn Upstream>>) -> Server {
    let world = &server.world;
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let app = App::with_providers(&world.config, world.storage(), clock, upstreams).await;
    server.serving(app.unwrap().router())
}

/// Two providers: the first gives back everything, the other one its tokens.
async fn two() -> (Server, [Arc<Puppet>; 2]) {
    let corp = Puppet::new("corp", "Acme login", GivesBack::Everything);
    let other = Puppet::new("other", "Other place", GivesBack::TheseTokens);
    let upstreams: Vec<Arc<dyn Upstream>> = vec![corp.clone(), other.clone()];
    let server = with(&server().start().await, upstreams).await;
    (server, [corp, other])
}

/// The provider's answer to a browser that was sent to it.
fn answered(server: &Server, provider: &str, sent: &Url, code: &str) -> String {
    assert!(sent.as_str().starts_with("https://idp.example/"), "{sent}");
    let state = parameter(sent, "state").unwrap();
    server.url(&format!("/callback/{provider}?code={code}&state={state}"))
}

async fn connect(server: &Server, client: &Client, provider: &str, code: &str) {
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let sent = browser.decide(&page, provider).await.location();
    let back = answered(server, provider, &sent, code);
    client.read_code(&browser.get(&back).await.location());
}

async fn leave_for_account(browser: &mut Browser, page: &Answer, provider: &str) -> Answer {
    let form = [("ticket", ticket(page)), ("provider", provider)];
    browser.post_form("/account/sign-in", &form).await
}

/// AUTHZ-18, CONS-21, CONS-09
#[tokio::test]
async fn who_cannot_leave_for_a_provider_is_told_and_can_try_again_or_another_one() {
    let (server, [corp, other]) = two().await;
    let client = server.client().await;
    for (trouble, status, error) in [
        (Trouble::Unavailable, 503, "temporarily_unavailable"),
        (Trouble::Invalid, 502, "server_error"),
    ] {
        let mut browser = server.browser();
        let page = browser.open(&client.authorization_url()).await;
        corp.order(Some(trouble));
        let failed = browser.decide(&page, "corp").await;
        failed.assert_page(status);
        let text = failed.text();
        let again = text.find("value=\"corp\">Try Acme login again<").unwrap();
        let elsewhere = text
            .find("value=\"other\">Continue with Other place<")
            .unwrap();
        assert!(again < elsewhere, "{text}");
        assert!(!text.contains("raw cause"), "{text}");
        let (_, back) = text.split_once("href=\"http://127.0.0.1:33418/").unwrap();
        let back = back.split('"').next().unwrap().replace("&#38;", "&");
        let back: Url = format!("{}{back}", client.redirect_uri).parse().unwrap();
        assert_eq!(parameter(&back, "error").as_deref(), Some(error));
        assert_eq!(parameter(&back, "state").as_deref(), Some(STATE));
        assert_eq!(parameter(&back, "iss").as_deref(), Some(server.issuer()));
        // nobody left, and so nothing is kept
        assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
        // the same form, at another provider, and at this one
        let sent = browser.decide(&failed, "other").await.location();
        let back = answered(&server, "other", &sent, "x");
        client.read_code(&browser.get(&back).await.location());
        browser.decide(&failed, "corp").await.assert_page(status);
        corp.order(None);
        let sent = browser.decide(&failed, "corp").await.location();
        let back = answered(&server, "corp", &sent, "x");
        client.read_code(&browser.get(&back).await.location());
    }
    let intents = other.intents.lock().unwrap();
    assert_eq!(*intents, [Intent::Connect; 2]);
}

/// CONS-21, CONS-09, CONS-25
#[tokio::test]
async fn who_cannot_leave_for_their_account_page_can_try_again_too() {
    let (server, [corp, _]) = two().await;
    let mut browser = server.browser();
    let page = browser.get("/account").await;
    corp.order(Some(Trouble::Unavailable));
    let failed = leave_for_account(&mut browser, &page, "corp").await;
    failed.assert_page(503);
    let text = failed.text();
    for told in [
        "Acme login cannot be reached",
        "action=\"/account/sign-in\"",
        "href=\"/account\"",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("raw cause"), "{text}");
    assert_eq!(browser.cookie_names(), ["__Host-anteroom-form"]);
    corp.order(None);
    let sent = leave_for_account(&mut browser, &failed, "corp").await;
    let back = answered(&server, "corp", &sent.location(), "x");
    let open = browser.get(&back).await.location();
    let page = browser.get(open.as_str()).await;
    assert!(page.text().contains("<bdi>Mona</bdi>"), "{}", page.text());
    assert_eq!(*corp.intents.lock().unwrap(), [Intent::Identify]);
}

/// CONS-16
#[tokio::test]
async fn tokens_are_not_given_back_where_that_would_end_what_the_clients_live_by() {
    let (server, [corp, other]) = two().await;
    let client = server.client().await;
    let visit = async |provider: &'static str, code: &'static str| {
        let mut browser = server.browser();
        let page = browser.get("/account").await;
        let sent = leave_for_account(&mut browser, &page, provider).await;
        let back = answered(&server, provider, &sent.location(), code);
        browser.get(&back).await.location();
        // what nobody waits for has its turn
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    visit("corp", "before").await;
    visit("other", "before").await;
    connect(&server, &client, "corp", "kept").await;
    connect(&server, &client, "other", "kept").await;
    visit("corp", "beside").await;
    visit("other", "beside").await;
    assert_eq!(*corp.forgotten.lock().unwrap(), ["before"]);
    assert_eq!(*other.forgotten.lock().unwrap(), ["before", "beside"]);
}

/// CONS-16, CLI-20
#[tokio::test]
async fn the_tokens_of_a_sign_in_that_outlives_its_client_are_given_back() {
    let (server, [corp, _]) = two().await;
    let client = server.client().await;
    let mut browser = server.browser();
    let page = browser.open(&client.authorization_url()).await;
    let sent = browser.decide(&page, "corp").await.location();
    let back = answered(&server, "corp", &sent, "late");
    corp.hold();
    let arriving = tokio::spawn(async move { browser.get(&back).await });
    corp.waits.notified().await;
    remove(&server, &client).await;
    corp.let_go();
    arriving.await.unwrap().assert_page(400);
    assert_eq!(corp.forgotten_at_last().await, ["late"]);
}

/// CONS-16
#[tokio::test]
async fn a_browser_that_hangs_up_while_the_provider_is_asked_leaves_no_tokens_behind() {
    let (server, [corp, _]) = two().await;
    let mut browser = server.browser();
    let page = browser.get("/account").await;
    let sent = leave_for_account(&mut browser, &page, "corp").await;
    let back = answered(&server, "corp", &sent.location(), "left");
    corp.hold();
    let arriving = tokio::spawn(async move { browser.get(&back).await });
    corp.waits.notified().await;
    arriving.abort();
    assert!(arriving.await.unwrap_err().is_cancelled());
    corp.let_go();
    assert_eq!(corp.forgotten_at_last().await, ["left"]);
}
