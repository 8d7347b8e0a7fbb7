//! A store that fails: nobody loses a token for it, and what has ended stays ended.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::clock::UnixTime;
use anteroom::config::Config;
use anteroom::flow::operate::SessionChoice;
use anteroom::protocol::client::Client as Registered;
use anteroom::protocol::client_metadata::ClientDocument;
use anteroom::protocol::consent::{Consent, ConsentKey};
use anteroom::protocol::grant::{Grant, GrantKey};
use anteroom::protocol::ids::{ClientId, Id, Subject};
use anteroom::protocol::session::{IssuedCode, PendingSignIn, PushedRequest, Session};
use anteroom::seal::Sealed;
use anteroom::secret::SecretDigest;
use anteroom::store::{
    BrowserRecord, ClientChange, EndedSession, Opening, Result, Rotation, SignedIn, Store,
    StoreError, Turn,
};
use async_trait::async_trait;
use tokio::sync::Notify;

use crate::harness::answer::{Answer, parameter};
use crate::harness::client::{Client, STATE, Tokens};
use crate::harness::log::Log;
use crate::harness::provider::Provider;
use crate::harness::server::{Builder, Server, rate, server};
use crate::introspect::{ask, trust};

const CHECK: Duration = Duration::from_secs(300);
const REST: Duration = Duration::from_secs(30);

/// What is wrong with a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It fails and does nothing.
    Fails,
    /// It does what it should, and says that it failed.
    LosesTheAnswer,
    /// It does what it should, and answers when it is let go.
    Waits,
}

/// A store with trouble to order.
pub(crate) struct Unsteady {
    store: Arc<dyn Store>,
    trouble: Mutex<Option<(&'static str, Trouble)>>,
    /// How often a verb in trouble is looked at before it has it.
    looks: Mutex<usize>,
    /// Somebody waits.
    waits: Notify,
    /// Somebody was told that it failed.
    fails: Notify,
    go_on: Notify,
}

impl Unsteady {
    /// From now on `verb`, or every one where it is empty, has this trouble.
    pub(crate) fn order(&self, verb: &'static str, trouble: Trouble) {
        *self.trouble.lock().unwrap() = Some((verb, trouble));
    }

    /// The same once it has done what it should so many times.
    fn order_after(&self, times: usize, verb: &'static str, trouble: Trouble) {
        // before it, and after it
        *self.looks.lock().unwrap() = 2 * times;
        self.order(verb, trouble);
    }

    pub(crate) fn heal(&self) {
        *self.trouble.lock().unwrap() = None;
    }

    fn trouble_of(&self, verb: &str) -> Option<Trouble> {
        let trouble = *self.trouble.lock().unwrap();
        let (_, trouble) = trouble.filter(|(at, _)| at.is_empty() || *at == verb)?;
        let mut looks = self.looks.lock().unwrap();
        if *looks > 0 {
            *looks -= 1;
            return None;
        }
        Some(trouble)
    }

    fn before(&self, verb: &str) -> Result<()> {
        match self.trouble_of(verb) {
            Some(Trouble::Fails) => {
                self.fails.notify_one();
                Err(StoreError::because(
                    "it does nothing",
                    "the disk is on fire",
                ))
            }
            _ => Ok(()),
        }
    }

    async fn after(&self, verb: &str) -> Result<()> {
        match self.trouble_of(verb) {
            Some(Trouble::LosesTheAnswer) => {
                self.fails.notify_one();
                Err(StoreError::new("the line is dead"))
            }
            Some(Trouble::Waits) => {
                self.waits.notify_one();
                self.go_on.notified().await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

macro_rules! delegate {
    ($($verb:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for Unsteady {
            $(async fn $verb(&self, $($argument: $type),*) -> Result<$answer> {
                self.before(stringify!($verb))?;
                let answer = self.store.$verb($($argument),*).await?;
                self.after(stringify!($verb)).await?;
                Ok(answer)
            })*
        }
    };
}

delegate! {
    put_client(client: Registered, expires: UnixTime) -> ();
    find_client(id: &ClientId, now: UnixTime) -> Option<(Registered, UnixTime)>;
    keep_client(id: &ClientId, until: UnixTime, now: UnixTime) -> ();
    change_client(before: &Registered, after: Registered, now: UnixTime) -> ClientChange;
    forget_client(id: &ClientId) -> bool;
    put_document(document: ClientDocument, expires: UnixTime) -> ();
    find_document(id: &ClientId, now: UnixTime) -> Option<(ClientDocument, UnixTime)>;
    spend_assertion(key: SecretDigest, expires: UnixTime, now: UnixTime) -> bool;
    put_pushed(id: Id, pushed: PushedRequest) -> ();
    find_pushed(id: Id, now: UnixTime) -> Option<PushedRequest>;
    claim_pushed(id: Id, browser: SecretDigest, now: UnixTime) -> Option<PushedRequest>;
    find_consent(key: ConsentKey, now: UnixTime) -> Option<Consent>;
    forget_consent(key: ConsentKey) -> ();
    put_pending(id: Id, pending: PendingSignIn) -> ();
    find_pending(id: Id, now: UnixTime) -> Option<PendingSignIn>;
    take_pending(id: Id, now: UnixTime) -> Option<PendingSignIn>;
    put_code(id: Id, signed_in: SignedIn, now: UnixTime) -> Option<Vec<Id>>;
    find_code(id: Id, now: UnixTime) -> Option<IssuedCode>;
    spend_code(id: Id, opening: Opening, now: UnixTime) -> Option<Session>;
    find_session(id: Id, now: UnixTime) -> Option<Session>;
    rotate_refresh(id: Id, turn: Turn, now: UnixTime) -> Option<Rotation>;
    end_session(id: Id, now: UnixTime) -> Option<EndedSession>;
    find_grant(person: &Subject, now: UnixTime) -> Option<Grant>;
    change_grant(before: &Grant, after: Grant, now: UnixTime) -> bool;
    end_grant(before: &Grant, now: UnixTime) -> Option<Vec<Id>>;
    list_sessions(after: Option<Id>, max: usize, now: UnixTime) -> Vec<Session>;
    list_clients(after: Option<&ClientId>, max: usize, now: UnixTime) -> Vec<(Registered, UnixTime)>;
    list_documents(after: Option<&ClientId>, max: usize, now: UnixTime) -> Vec<(ClientDocument, UnixTime)>;
    forget_document(id: &ClientId) -> bool;
    list_grants(after: Option<GrantKey>, max: usize, now: UnixTime) -> Vec<Grant>;
    find_key(name: &str) -> Option<Sealed>;
    put_key_if_absent(name: &str, key: Sealed) -> Sealed;
    change_key(name: &str, before: &Sealed, after: Sealed) -> bool;
    put_browser_session(key: SecretDigest, record: BrowserRecord) -> bool;
    save_browser_session(key: SecretDigest, record: BrowserRecord, now: UnixTime) -> bool;
    find_browser_session(key: SecretDigest, now: UnixTime) -> Option<BrowserRecord>;
    forget_browser_session(key: SecretDigest) -> ();
    sweep(now: UnixTime, max: usize) -> usize;
}

/// A server over an unsteady store.
pub(crate) async fn unsteady() -> (Server, Arc<Unsteady>) {
    unsteady_but(|_| {}).await
}

async fn unsteady_but(change: fn(&mut Config)) -> (Server, Arc<Unsteady>) {
    over_unsteady(server().configure(trust).configure(change)).await
}

async fn over_unsteady(server: Builder) -> (Server, Arc<Unsteady>) {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let server = server.with_key_file();
    let server = server.store(move |store| {
        let store = Arc::new(Unsteady {
            store,
            trouble: Mutex::default(),
            looks: Mutex::default(),
            waits: Notify::new(),
            fails: Notify::new(),
            go_on: Notify::new(),
        });
        *keep.lock().unwrap() = Some(Arc::clone(&store));
        store
    });
    let server = server.start().await;
    let store = kept.lock().unwrap().take().unwrap();
    (server, store)
}

/// SEC-15, SEC-16, REV-05
#[tokio::test]
async fn our_outage_is_not_held_against_who_introspects() {
    let (server, store) = unsteady_but(|config| {
        config.limits.token = rate(2, Duration::from_secs(3600));
    })
    .await;
    let access = server.client().await.sign_in("mona").await.access;
    store.order("", Trouble::Fails);
    for _ in 0..4 {
        assert_come_again("introspect", &ask(&server, &access).await);
    }
    store.heal();
    assert_eq!(ask(&server, &access).await.json()["active"], true);
}

/// That an answer makes nobody throw anything away.
fn assert_come_again(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{what} {}", answer.text());
    assert_eq!(answer.header("retry-after"), "5", "{what}");
    assert_eq!(answer.headers.get("www-authenticate"), None, "{what}");
    assert!(
        !answer.text().contains("invalid_"),
        "{what} {}",
        answer.text()
    );
    assert!(!answer.text().contains("fire"), "{what} {}", answer.text());
}

/// SEC-15, SEC-16, REV-04
#[tokio::test]
async fn while_the_store_fails_clients_are_told_to_come_again_and_lose_nothing() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let code = client.code("octavia").await;
    let pushed = client.pushed().await;
    store.order("", Trouble::Fails);
    for (what, answer) in [
        ("refresh", client.refresh(&tokens.refresh).await),
        ("code", client.redeem(&code).await),
        ("revoke", client.revoke(&tokens.refresh).await),
        ("par", client.push(&[]).await),
        ("introspect", ask(&server, &tokens.access).await),
        (
            "register",
            server.post_json("/register", &Client::public()).await,
        ),
    ] {
        assert_come_again(what, &answer);
        assert_eq!(answer.error(), "temporarily_unavailable", "{what}");
    }
    assert_come_again("mcp", &client.initialize(&tokens.access).await);
    for url in [client.authorization_url(), client.url_of(&pushed)] {
        let page = server.browser().get(&url).await;
        page.assert_page(503);
        assert!(!page.text().contains("fire"));
    }
    assert_eq!(server.get("/.well-known/jwks.json").await.status, 200);
    store.heal();
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    assert_eq!(ask(&server, &tokens.access).await.json()["active"], true);
    Tokens::read(&client.refresh(&tokens.refresh).await);
    Tokens::read(&client.redeem(&code).await);
    Tokens::read(
        &client
            .redeem(&client.code_by(&client.url_of(&pushed), "mona").await)
            .await,
    );
}

#[tokio::test]
async fn an_operator_is_told_what_an_incident_comes_from() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    store.order("", Trouble::Fails);
    let (log, listening) = Log::listen("error");
    assert_eq!(client.initialize(&tokens.access).await.status, 503);
    assert_eq!(client.refresh(&tokens.refresh).await.status, 503);
    drop(listening);
    let told = log.text().matches("the disk is on fire").count();
    assert_eq!(told, 2, "{}", log.text());
}

/// SEC-15, AUTHZ-18
#[tokio::test]
async fn a_sign_in_that_the_store_fails_ends_with_an_answer_and_the_next_one_works() {
    for verb in [
        "find_browser_session",
        "find_consent",
        "forget_consent",
        "save_browser_session",
        "put_pending",
        "find_pending",
        "take_pending",
        "put_code",
    ] {
        let (server, store) = unsteady().await;
        let client = server.client().await;
        let mut browser = server.browser();
        let url = client.authorization_url();
        let first = browser.sign_in(&url, "mona").await;
        client.read_code(&first.location());
        store.order(verb, Trouble::Fails);
        let mut answer = browser.get(&url).await;
        if answer.status == 200 {
            let says_no = verb == "forget_consent";
            let decision = if says_no { "deny" } else { "github" };
            answer = browser.decide(&answer, decision).await;
        }
        if answer.status == 303 {
            let back = browser.choose(&answer.location(), Some("mona")).await;
            answer = browser.get(back.as_str()).await;
        }
        if verb == "put_code" {
            // it is known by then whose answer this is
            let back = answer.location();
            assert_eq!(parameter(&back, "error").unwrap(), "server_error");
            assert_eq!(parameter(&back, "state").unwrap(), STATE);
        } else {
            answer.assert_page(503);
            assert!(answer.text().contains("Nothing was granted"), "{verb}");
        }
        store.heal();
        let next = browser.sign_in(&url, "mona").await;
        client.read_code(&next.location());
    }
}

/// SEC-15, AUTHZ-18
#[tokio::test]
async fn a_sign_in_does_not_fail_for_what_would_only_be_remembered() {
    for verb in ["forget_browser_session", "put_browser_session"] {
        for trouble in [Trouble::Fails, Trouble::LosesTheAnswer] {
            let (server, store) = unsteady().await;
            let client = server.client().await;
            let mut browser = server.browser();
            let page = browser.open(&client.authorization_url()).await;
            let provider = browser.approve(&page).await;
            let back = browser.choose(&provider, Some("mona")).await;
            store.order(verb, trouble);
            let answer = browser.get(back.as_str()).await;
            store.heal();
            Tokens::read(&client.redeem(&client.read_code(&answer.location())).await);
            let next = browser.sign_in(&client.authorization_url(), "mona").await;
            client.read_code(&next.location());
        }
    }
}

/// SEC-15, EXT-40
#[tokio::test]
async fn a_pushed_request_that_was_claimed_before_a_failure_is_there_on_reload() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let mut known = server.browser();
    known.sign_in(&client.authorization_url(), "mona").await;
    known.forget_cookie("__Host-anteroom-form");
    for (mut browser, verb) in [
        (server.browser(), "claim_pushed"),
        (known.clone(), "claim_pushed"),
        (known, "find_consent"),
    ] {
        let url = client.url_of(&client.pushed().await);
        store.order(verb, Trouble::LosesTheAnswer);
        browser.get(&url).await.assert_page(503);
        store.heal();
        let page = browser.open(&url).await;
        browser.approve(&page).await;
        // it was claimed indeed
        server.browser().get(&url).await.assert_page(400);
    }
}

/// SEC-15, SEC-16
#[tokio::test]
async fn whichever_step_fails_the_same_request_succeeds_afterwards() {
    for verb in [
        "find_client",
        "find_session",
        "rotate_refresh",
        "find_code",
        "spend_code",
    ] {
        let (server, store) = unsteady().await;
        let client = server.client().await;
        let tokens = client.sign_in("mona").await;
        let code = client.code("octavia").await;
        store.order(verb, Trouble::Fails);
        let answers = [
            client.refresh(&tokens.refresh).await,
            client.redeem(&code).await,
        ];
        let failed: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status != 200)
            .collect();
        assert!(!failed.is_empty(), "{verb}");
        for answer in &failed {
            assert_come_again(verb, answer);
        }
        store.heal();
        Tokens::read(&client.refresh(&tokens.refresh).await);
        if answers[1].status != 200 {
            Tokens::read(&client.redeem(&code).await);
        }
    }
}

/// TOK-33, TOK-39
#[tokio::test]
async fn a_rotation_whose_answer_the_store_lost_is_found_again() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    store.order("rotate_refresh", Trouble::LosesTheAnswer);
    assert_come_again("refresh", &client.refresh(&tokens.refresh).await);
    store.heal();
    let again = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_ne!(again.refresh, tokens.refresh);
    Tokens::read(&client.refresh(&again.refresh).await);
}

/// SEC-15, AT-13
#[tokio::test]
async fn a_session_whose_end_is_in_doubt_is_over_here() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    store.order("end_session", Trouble::LosesTheAnswer);
    assert_come_again("revoke", &client.revoke(&tokens.refresh).await);
    store.heal();
    assert_eq!(client.initialize(&tokens.access).await.status, 401);
}

/// AT-13, REV-03
#[tokio::test]
async fn a_client_that_hangs_up_while_it_revokes_has_revoked() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    store.order("end_session", Trouble::Waits);
    tokio::select! {
        _ = client.revoke(&tokens.refresh) => panic!("the store has not answered"),
        () = store.waits.notified() => {}
    }
    // the request is gone, and only now the store answers
    store.heal();
    store.go_on.notify_one();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.initialize(&tokens.access).await.status, 401);
}

/// AT-13
#[tokio::test]
async fn a_session_that_ends_while_it_is_looked_up_is_over_for_everybody() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    // somebody has found the session and its grant, and has not yet told
    store.order("find_grant", Trouble::Waits);
    let (looking, access) = (client.clone(), tokens.access.clone());
    let looking = tokio::spawn(async move { looking.initialize(&access).await });
    store.waits.notified().await;
    store.heal();
    assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    // they look again, since something has ended meanwhile
    store.order("find_session", Trouble::Waits);
    store.go_on.notify_one();
    store.waits.notified().await;
    store.heal();
    assert_eq!(client.initialize(&tokens.access).await.status, 401);
    store.go_on.notify_one();
    assert_eq!(looking.await.unwrap().status, 401);
    assert_eq!(client.initialize(&tokens.access).await.status, 401);
}

/// CONS-22, SEC-15
#[tokio::test]
async fn renewed_tokens_are_kept_although_the_store_fails_for_a_moment() {
    for trouble in [Trouble::Fails, Trouble::LosesTheAnswer] {
        let provider = Arc::new(Provider::new().with_refresh(CHECK));
        let (server, store) = over_unsteady(server().provider(&provider)).await;
        let client = server.client().await;
        let tokens = Provider::sign_in(&server, &client, "mona").await;
        server.advance(CHECK);
        // that it writes is tried before the provider is asked
        store.order_after(1, "change_grant", trouble);
        let calling = tokio::spawn({
            let (client, access) = (client.clone(), tokens.access.clone());
            async move { client.initialize(&access).await.status }
        });
        store.fails.notified().await;
        store.heal();
        assert_eq!(calling.await.unwrap(), 200, "{trouble:?}");
        server.advance(CHECK);
        assert_eq!(client.initialize(&tokens.access).await.status, 200);
        let asked = provider.asked();
        let renewed = ["renew mona-1-refresh", "renew mona-2-refresh"];
        assert_eq!([&*asked[0], &*asked[2]], renewed, "{asked:?}");
    }
}

/// CONS-14, CONS-22
#[tokio::test]
async fn whoever_looked_before_a_check_and_would_ask_after_it_goes_by_its_answer() {
    let provider = Arc::new(Provider::new());
    let (server, store) = over_unsteady(server().provider(&provider)).await;
    let client = server.client().await;
    let tokens = Provider::sign_in(&server, &client, "mona").await;
    server.advance(Duration::from_secs(300));
    // somebody has seen that the provider is to be asked, and has not yet asked
    store.order("find_grant", Trouble::Waits);
    let (looking, access) = (client.clone(), tokens.access.clone());
    let looking = tokio::spawn(async move { looking.initialize(&access).await.status });
    store.waits.notified().await;
    store.heal();
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    store.go_on.notify_one();
    assert_eq!(looking.await.unwrap(), 200);
    assert_eq!(provider.asked(), ["vouch mona-1"]);
}

/// CONS-22, SEC-15
#[tokio::test]
async fn nothing_is_renewed_while_the_store_could_not_keep_it_and_nobody_is_turned_away() {
    let provider = Arc::new(Provider::new().with_refresh(CHECK));
    let (server, store) = over_unsteady(server().provider(&provider)).await;
    let client = server.client().await;
    let tokens = Provider::sign_in(&server, &client, "mona").await;
    store.order("change_grant", Trouble::Fails);
    for _ in 0..3 {
        server.advance(CHECK);
        assert_eq!(client.initialize(&tokens.access).await.status, 200);
    }
    assert!(provider.asked().is_empty());
    store.heal();
    server.advance(REST);
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    let asked = provider.asked_at_last(2).await;
    assert_eq!(asked, ["renew mona-1-refresh", "vouch mona-2"]);
}

/// CONS-22, SEC-15
#[tokio::test]
async fn whoever_the_provider_has_ended_does_not_go_on_because_that_cannot_be_kept() {
    let provider = Arc::new(Provider::new());
    let (server, store) = over_unsteady(server().provider(&provider)).await;
    let client = server.client().await;
    let tokens = Provider::sign_in(&server, &client, "mona").await;
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    provider.kill("mona-1");
    store.order("end_grant", Trouble::Fails);
    for wait in [CHECK, Duration::ZERO, REST, Duration::ZERO] {
        server.advance(wait);
        assert_eq!(client.initialize(&tokens.access).await.status, 503);
        assert_eq!(client.refresh(&tokens.refresh).await.status, 503);
    }
    store.heal();
    server.advance(REST);
    assert_eq!(client.initialize(&tokens.access).await.status, 401);
}

/// TOK-20
#[tokio::test]
async fn a_code_whose_session_ends_while_it_is_redeemed_was_not_used_twice() {
    let (log, _listening) = Log::listen("info");
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let code = client.code("mona").await;
    store.order("find_grant", Trouble::Waits);
    let redeeming = tokio::spawn({
        let client = client.clone();
        async move { client.redeem(&code).await }
    });
    store.waits.notified().await;
    store.heal();
    let all = SessionChoice::default();
    server.app.flows().revoke_sessions(&all).await.unwrap();
    store.go_on.notify_one();
    let answer = redeeming.await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_grant")
    );
    assert!(!log.text().contains("code_replayed"), "{}", log.text());
}

/// CLI-46, AT-13
#[tokio::test]
async fn a_client_that_hangs_up_while_it_is_removed_has_no_session_left() {
    let (server, store) = unsteady().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    store.order("forget_client", Trouble::Waits);
    tokio::select! {
        () = crate::changed_meanwhile::remove(&server, &client) => panic!("the store has not answered"),
        () = store.waits.notified() => {}
    }
    store.heal();
    store.go_on.notify_one();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.initialize(&tokens.access).await.status, 401);
}
