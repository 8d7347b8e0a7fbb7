//! A provider in the hands of a test: what it says and when, and what it was asked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anteroom::clock::UnixTime;
use anteroom::protocol::identity::Identity;
use anteroom::protocol::ids::{ProviderId, Subject};
use anteroom::protocol::person_rule::{PeopleRules, PersonRule};
use anteroom::protocol::scope::{Scope, ScopeSet};
use anteroom::secret::Secret;
use anteroom::upstream::{
    Back, Departure, GivesBack, Intent, Kept, NotAllowed, SignIn, Upstream, UpstreamError,
    UpstreamTokens, UseFor, Vouched,
};
use async_trait::async_trait;
use tokio::sync::Notify;
use url::Url;

use super::answer::{Answer, encode, parameter};
use super::client::{Client, Tokens};
use super::server::{NOW, Server};

/// What a provider says when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Yes,
    /// 5xx, 429, no connection.
    ComeAgain,
    /// What cannot be understood.
    Nonsense,
    NotAllowed,
}

impl Says {
    fn told(self) -> Result<(), UpstreamError> {
        match self {
            Self::Yes => Ok(()),
            Self::ComeAgain => Err(UpstreamError::Unavailable("status 502".to_owned())),
            Self::Nonsense => Err(UpstreamError::Invalid("no JSON".to_owned())),
            Self::NotAllowed => Err(UpstreamError::NotAllowed(
                Box::new(NotAllowed {
                    account: "mona".to_owned(),
                    reasons: vec!["mona is no member of acme".to_owned()],
                    remedies: Vec::new(),
                }),
                None,
            )),
        }
    }
}

/// Where people sign in.
const PAGE: &str = "https://provider.example/authorize";

/// Everybody signs in by the code that is their name. Their first tokens are called `mona-1`; tokens that took the place of
/// others are dead only where the test says so.
pub(crate) struct Provider {
    id: ProviderId,
    label: &'static str,
    rules: PeopleRules,
    gives_back: GivesBack,
    lasts: Option<Duration>,
    world: Mutex<World>,
    /// Somebody waits for an answer that is held back.
    pub(crate) waits: Notify,
    go_on: Notify,
}

struct World {
    says: Says,
    /// The same to those who are about to leave for it.
    receives: Says,
    holds: bool,
    holds_arrivals: bool,
    answers_left: Option<usize>,
    opens: ScopeSet,
    email: Option<String>,
    tokens: usize,
    dead: BTreeSet<String>,
    asked: Vec<String>,
    intents: Vec<Intent>,
}

impl Provider {
    /// One whose tokens last for ever.
    pub(crate) fn new() -> Self {
        Self {
            id: ProviderId::new("github"),
            label: "GitHub",
            rules: rules(&["anyone"], &[]),
            gives_back: GivesBack::TheseTokens,
            lasts: None,
            world: Mutex::new(World {
                says: Says::Yes,
                receives: Says::Yes,
                holds: false,
                holds_arrivals: false,
                answers_left: None,
                opens: ScopeSet::default(),
                email: None,
                tokens: 0,
                dead: BTreeSet::new(),
                asked: Vec::new(),
                intents: Vec::new(),
            }),
            waits: Notify::new(),
            go_on: Notify::new(),
        }
    }

    /// The same with refresh tokens, each good once, and access tokens that last so long.
    pub(crate) fn with_refresh(self, lasts: Duration) -> Self {
        let lasts = Some(lasts);
        Self { lasts, ..self }
    }

    /// The same with these people, and these scopes for some of them alone.
    pub(crate) fn with_rules(self, allow: &[&str], reserved: &[&str]) -> Self {
        let rules = rules(allow, reserved);
        Self { rules, ..self }
    }

    /// The same by another name.
    pub(crate) fn named(self, name: &str) -> Self {
        let id = ProviderId::new(name);
        Self { id, ..self }
    }

    /// The same, by what people call it.
    pub(crate) fn labelled(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    /// The same, which ends all that a person ever allowed where any of it is given back.
    pub(crate) fn that_forgets_everything(self) -> Self {
        Self {
            gives_back: GivesBack::Everything,
            ..self
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// From now on it says this.
    pub(crate) fn says(&self, says: Says) {
        let mut world = self.world();
        world.says = says;
        world.answers_left = None;
    }

    /// From now on it says this to those who are about to leave for it.
    pub(crate) fn receives_with(&self, says: Says) {
        self.world().receives = says;
    }

    /// Why people left for it.
    pub(crate) fn intents(&self) -> Vec<Intent> {
        self.world().intents.clone()
    }

    /// It says yes so many times, and then that it is to be asked again.
    pub(crate) fn fail_after(&self, answers: usize) {
        self.world().answers_left = Some(answers);
    }

    /// From now on nobody gets an answer.
    pub(crate) fn hold(&self) {
        self.world().holds = true;
    }

    /// From now on nobody who comes back from it gets any further.
    pub(crate) fn hold_arrivals(&self) {
        self.world().holds_arrivals = true;
    }

    /// Everybody who waits gets the answer as it is now.
    pub(crate) fn let_go(&self) {
        self.world().holds = false;
        self.world().holds_arrivals = false;
        self.go_on.notify_waiters();
    }

    /// These scopes are open to everybody from now on.
    pub(crate) fn opens(&self, scopes: &str) {
        self.world().opens = ScopeSet::parse(scopes).unwrap();
    }

    /// It has verified the address of everybody.
    pub(crate) fn verifies_email(&self, email: &str) {
        self.world().email = Some(email.to_owned());
    }

    /// A token is dead: `mona-1`.
    pub(crate) fn kill(&self, token: &str) {
        self.world().dead.insert(token.to_owned());
    }

    /// Everything it was asked since it was last looked: `vouch mona-1`.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.world().asked)
    }

    /// The same, once it is as many as `count`: what is done in the background takes its time.
    pub(crate) async fn asked_at_last(&self, count: usize) -> Vec<String> {
        for _ in 0..10_000 {
            if self.world().asked.len() >= count {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.asked()
    }

    /// Signs `person` in with a fresh browser: what our callback answers.
    pub(crate) async fn arrive(server: &Server, url: &str, person: &str) -> Answer {
        let mut browser = server.browser();
        let page = browser.open(url).await;
        let there = browser.approve(&page).await;
        let back = Self::way_back(server, "github", &there, person);
        browser.get(&back).await
    }

    /// Where a browser goes that was sent `there`, to the provider of this name, once `person` has signed in.
    pub(crate) fn way_back(server: &Server, name: &str, there: &Url, person: &str) -> String {
        assert!(there.as_str().starts_with(PAGE), "{there}");
        let state = parameter(there, "state").unwrap();
        let back = encode(&[("code", person), ("state", &state)]);
        server.url(&format!("/callback/{name}?{back}"))
    }

    /// Does everything: the tokens of `person` for `client`.
    pub(crate) async fn sign_in(server: &Server, client: &Client, person: &str) -> Tokens {
        let answer = Self::arrive(server, &client.authorization_url(), person).await;
        Tokens::read(&client.redeem(&client.read_code(&answer.location())).await)
    }

    async fn answer(&self, question: &str, token: &str) -> Result<(), UpstreamError> {
        self.world().asked.push(format!("{question} {token}"));
        self.wait_while(|world| world.holds).await;
        let mut world = self.world();
        match world.answers_left {
            Some(0) => world.says = Says::ComeAgain,
            Some(left) => world.answers_left = Some(left - 1),
            None => {}
        }
        if world.dead.contains(token) {
            return Err(UpstreamError::Ended("it is dead".to_owned()));
        }
        world.says.told()
    }

    async fn wait_while(&self, held: impl Fn(&World) -> bool) {
        loop {
            let go_on = self.go_on.notified();
            if !held(&self.world()) {
                break;
            }
            self.waits.notify_one();
            go_on.await;
        }
    }

    fn vouched(&self, person: &str) -> Vouched {
        let world = self.world();
        Vouched {
            identity: Identity {
                subject: Subject::at(&self.id, person),
                login: Some(person.to_owned()),
                name: None,
                verified_email: world.email.clone(),
            },
            opens: world.opens.clone(),
        }
    }

    fn tokens(&self, person: &str, now: UnixTime) -> UpstreamTokens {
        let mut world = self.world();
        world.tokens += 1;
        let name = format!("{person}-{}", world.tokens);
        UpstreamTokens {
            refresh: self.lasts.map(|_| Secret::new(format!("{name}-refresh"))),
            access: Secret::new(name),
            expires: self.lasts.map(|lasts| now + lasts),
            scopes: Vec::new(),
            claims: None,
        }
    }
}

/// `mona` of `mona-1`.
fn person_of(tokens: &UpstreamTokens) -> &str {
    tokens.access.expose().split('-').next().unwrap()
}

fn rules(allow: &[&str], reserved: &[&str]) -> PeopleRules {
    let allow = allow.iter().map(|who| match *who {
        "anyone" => PersonRule::Anyone,
        login => PersonRule::Login(login.to_owned()),
    });
    let roles = reserved
        .iter()
        .map(|scope| (Scope::parse(scope).unwrap(), Vec::new()));
    PeopleRules {
        allow: allow.collect(),
        roles: roles.collect(),
        ..PeopleRules::default()
    }
}

#[async_trait]
impl Upstream for Provider {
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
        let mut world = self.world();
        world.receives.told()?;
        world.intents.push(intent);
        let mut url = Url::parse(PAGE).unwrap();
        url.query_pairs_mut().append_pair("state", state.expose());
        let kept = Kept {
            verifier: Secret::new("v"),
            nonce: None,
        };
        Ok(Departure { url, kept })
    }

    async fn finish(&self, back: Back, _: Kept) -> Result<SignIn, UpstreamError> {
        self.wait_while(|world| world.holds_arrivals).await;
        let person = back.code.expose();
        Ok(SignIn {
            vouched: self.vouched(person),
            tokens: self.tokens(person, NOW),
        })
    }

    fn renews(&self, tokens: &UpstreamTokens, _: UseFor, now: UnixTime) -> bool {
        let soon = now + Duration::from_secs(60);
        tokens.refresh.is_some() && tokens.expires.is_some_and(|expires| expires <= soon)
    }

    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, UpstreamError> {
        let refresh = tokens.refresh.as_ref().unwrap().expose().to_owned();
        self.answer("renew", &refresh).await?;
        // each is good once
        self.kill(&refresh);
        let expires = tokens.expires.unwrap();
        Ok(self.tokens(person_of(tokens), expires))
    }

    async fn vouch(&self, _: &Subject, tokens: &UpstreamTokens) -> Result<Vouched, UpstreamError> {
        self.answer("vouch", tokens.access.expose()).await?;
        Ok(self.vouched(person_of(tokens)))
    }

    fn gives_back(&self) -> GivesBack {
        self.gives_back
    }

    async fn forget(&self, tokens: &UpstreamTokens) -> Result<(), UpstreamError> {
        let token = tokens.access.expose();
        self.world().asked.push(format!("forget {token}"));
        self.kill(token);
        Ok(())
    }
}
