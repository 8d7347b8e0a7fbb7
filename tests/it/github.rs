//! The GitHub connector against the stand-in, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use anteroom::clock::{ManualClock, UnixTime};
use anteroom::outbound::Outbound;
use anteroom::protocol::email_pattern::EmailPattern;
use anteroom::protocol::ids::ProviderId;
use anteroom::protocol::person_rule::{PeopleRules, PersonRule};
use anteroom::protocol::pkce::Challenge;
use anteroom::protocol::scope::Scope;
use anteroom::secret::Secret;
use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Fault, Standin};
use anteroom::upstream::github::{GitHub, GitHubSettings};
use anteroom::upstream::{Back, Intent, Kept, NotAllowed, SignIn, Upstream, UpstreamError};
use url::Url;

use crate::standin::{parameter, press, start};

const CALLBACK: &str = "http://127.0.0.1:8080/callback/github";
pub(crate) const TOKEN: &str = "/login/oauth/access_token";
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

pub(crate) fn settings(standin: &Standin, rules: PeopleRules) -> GitHubSettings {
    GitHubSettings {
        id: ProviderId::new("github"),
        label: "GitHub".to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Secret::new(CLIENT_SECRET),
        base_url: Url::parse(&standin.base_url()).unwrap(),
        api_url: Url::parse(&standin.api_url()).unwrap(),
        callback: CALLBACK.to_owned(),
        rules,
    }
}

pub(crate) fn connect(settings: GitHubSettings) -> GitHub {
    connect_at(settings, Arc::new(ManualClock::at(NOW)))
}

pub(crate) fn connect_at(settings: GitHubSettings, clock: Arc<ManualClock>) -> GitHub {
    let outbound = Outbound::new(&[], None).unwrap();
    GitHub::new(settings, outbound, clock).unwrap()
}

pub(crate) async fn github(allow: PeopleRules) -> (Standin, GitHub) {
    let standin = start().await;
    let github = connect(settings(&standin, allow));
    (standin, github)
}

/// The way of a browser through the provider, as far as its way back.
pub(crate) async fn leave(github: &GitHub, login: &str) -> (Back, Kept) {
    let departure = github
        .begin(&Secret::new("state"), Intent::Connect)
        .await
        .unwrap();
    let back = press(departure.url.as_str(), Some(login)).await;
    (
        Back {
            code: Secret::new(parameter(&back, "code").unwrap()),
            iss: None,
        },
        departure.kept,
    )
}

pub(crate) async fn sign_in(github: &GitHub, login: &str) -> Result<SignIn, UpstreamError> {
    let (code, kept) = leave(github, login).await;
    github.finish(code, kept).await
}

pub(crate) async fn refused(github: &GitHub, login: &str) -> NotAllowed {
    match sign_in(github, login).await {
        Err(UpstreamError::NotAllowed(why, _)) => *why,
        Err(error) => panic!("{login}: {error}"),
        Ok(_) => panic!("{login} was let in"),
    }
}

fn allow(rules: impl IntoIterator<Item = PersonRule>) -> PeopleRules {
    PeopleRules {
        allow: rules.into_iter().collect(),
        ..PeopleRules::default()
    }
}

/// Whoever one of these lets in.
pub(crate) fn either(rules: &[PeopleRules]) -> PeopleRules {
    allow(rules.iter().flat_map(|rules| rules.allow.clone()))
}

/// With a scope that is open to whom `to` lets in.
pub(crate) fn open_to(rules: PeopleRules, to: PeopleRules) -> PeopleRules {
    let scope = Scope::parse("files:admin").unwrap();
    PeopleRules {
        roles: vec![(scope, to.allow)],
        ..rules
    }
}

pub(crate) fn anyone() -> PeopleRules {
    allow([PersonRule::Anyone])
}

pub(crate) fn orgs(names: &[&str]) -> PeopleRules {
    allow(names.iter().map(|name| PersonRule::Org((*name).to_owned())))
}

pub(crate) fn team(org: &str, slug: &str) -> PeopleRules {
    let (org, slug) = (org.to_owned(), slug.to_owned());
    allow([PersonRule::Team { org, slug }])
}

pub(crate) fn logins(names: &[&str]) -> PeopleRules {
    allow(
        names
            .iter()
            .map(|name| PersonRule::Login((*name).to_owned())),
    )
}

pub(crate) fn ids(ids: &[u64]) -> PeopleRules {
    allow(ids.iter().map(|id| PersonRule::Id(id.to_string())))
}

pub(crate) fn emails(patterns: &[&str]) -> PeopleRules {
    let patterns = patterns
        .iter()
        .map(|text| EmailPattern::parse(text).unwrap());
    allow(patterns.map(PersonRule::Email))
}

/// CONS-17
#[tokio::test]
async fn a_departure_carries_the_state_the_exact_callback_and_a_challenge_of_its_own() {
    let (standin, github) = github(anyone()).await;
    let state = "AbC-_123";
    let departure = github
        .begin(&Secret::new(state), Intent::Connect)
        .await
        .unwrap();
    let url = departure.url.as_str();
    assert!(
        url.starts_with(&format!("{}/login/oauth/authorize?", standin.base_url())),
        "{url}"
    );
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("state", state),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameter(url, name).as_deref(), Some(value), "{name}");
    }
    let challenge = parameter(url, "code_challenge");
    let challenge = Challenge::parse(challenge.as_deref(), Some("S256")).unwrap();
    assert!(challenge.is_met_by(&departure.kept.verifier));
    let another = github
        .begin(&Secret::new(state), Intent::Connect)
        .await
        .unwrap();
    assert!(!challenge.is_met_by(&another.kept.verifier));
}

#[tokio::test]
async fn no_more_is_asked_for_than_the_allow_list_needs() {
    for (allow, scope, told) in [
        (anyone(), "user:email", 2),
        (logins(&["mona"]), "user:email", 2),
        (ids(&[1]), "user:email", 2),
        (orgs(&["acme"]), "user:email read:org", 3),
        (team("acme", "platform"), "user:email read:org", 3),
        (either(&[anyone(), orgs(&["acme"])]), "user:email", 2),
        (emails(&["*@example.com"]), "user:email", 2),
        (open_to(anyone(), orgs(&["acme"])), "user:email read:org", 3),
        (
            open_to(ids(&[1]), team("acme", "platform")),
            "user:email read:org",
            3,
        ),
        (open_to(anyone(), logins(&["mona"])), "user:email", 2),
        (
            open_to(orgs(&["acme"]), logins(&["mona"])),
            "user:email read:org",
            3,
        ),
    ] {
        let (_standin, github) = github(allow.clone()).await;
        let url = github
            .begin(&Secret::new("state"), Intent::Connect)
            .await
            .unwrap()
            .url;
        assert_eq!(
            parameter(url.as_str(), "scope").as_deref(),
            Some(scope),
            "{allow:?}"
        );
        assert_eq!(github.asks_for().len(), told, "{allow:?}");
    }
}

#[tokio::test]
async fn whoever_a_rule_names_may_enter_and_nobody_else() {
    for (allow, may, may_not) in [
        (anyone(), &["mona", "hubot"][..], &[][..]),
        (logins(&["octavia"]), &["octavia"], &["mona", "hubot"]),
        (logins(&["OCTAVIA"]), &["octavia"], &["mona"]),
        (ids(&[1]), &["mona"], &["octavia"]),
        (
            orgs(&["acme"]),
            &["mona", "octavia"],
            &["hubot", "juergen", "wanda"],
        ),
        (orgs(&["ACME"]), &["mona"], &["hubot"]),
        (orgs(&["elsewhere", "acme"]), &["mona"], &["hubot"]),
        (
            team("acme", "platform"),
            &["mona"],
            &["octavia", "hubot", "juergen"],
        ),
        (orgs(&["org-60"]), &["wanda"], &["mona"]),
        (
            either(&[ids(&[3]), orgs(&["acme"])]),
            &["mona", "hubot"],
            &["wanda"],
        ),
        (team("Acme", "PLATFORM"), &["mona"], &["octavia"]),
        // What only a provider of OpenID Connect can say is true of nobody.
        (
            allow([
                PersonRule::Domain("example.com".to_owned()),
                PersonRule::Claim {
                    name: "login".to_owned(),
                    value: "mona".to_owned(),
                },
            ]),
            &[],
            &["mona"],
        ),
        // Nothing listed is nobody, not everybody.
        (PeopleRules::default(), &[], &["mona", "hubot"]),
    ] {
        assert_enter(allow, may, may_not).await;
    }
}

/// CONS-20, P4
#[tokio::test]
async fn an_address_lets_in_if_it_is_verified_and_the_primary_one() {
    for (allow, may, may_not) in [
        (
            emails(&["*@example.com"]),
            &["mona", "octavia"][..],
            // it is not verified
            &["hubot"][..],
        ),
        (emails(&["MONA@example.com"]), &["mona"], &["octavia"]),
        // verified, and not the primary one
        (emails(&["old-mona@example.com"]), &[], &["mona"]),
        (
            emails(&["*@sub.example.com", "*@example.co"]),
            &[],
            &["mona"],
        ),
        (
            either(&[emails(&["octavia@example.com"]), team("acme", "platform")]),
            &["mona", "octavia"],
            &["hubot", "juergen"],
        ),
    ] {
        assert_enter(allow, may, may_not).await;
    }
}

async fn assert_enter(allow: PeopleRules, may: &[&str], may_not: &[&str]) {
    let (_standin, github) = github(allow.clone()).await;
    for login in may {
        let signed_in = sign_in(&github, login).await;
        assert_eq!(
            signed_in.unwrap().vouched.identity.login.as_deref(),
            Some(*login),
            "{allow:?}"
        );
    }
    for login in may_not {
        assert_eq!(refused(&github, login).await.account, *login, "{allow:?}");
    }
}

/// CONS-19, CONS-20
#[tokio::test]
async fn an_identity_is_the_number_and_only_a_verified_address() {
    let (standin, github) = github(orgs(&["acme"])).await;
    let signed_in = sign_in(&github, "mona").await.unwrap();
    assert_eq!(signed_in.vouched.identity.subject.as_str(), "github:1");
    assert_eq!(
        signed_in.vouched.identity.name.as_deref(),
        Some("Mona Lísa")
    );
    assert_eq!(
        signed_in.vouched.identity.verified_email.as_deref(),
        Some("mona@example.com")
    );
    assert_eq!(signed_in.tokens.scopes, ["user:email", "read:org"]);
    assert!(signed_in.tokens.refresh.is_none() && signed_in.tokens.expires.is_none());

    let open = connect(settings(&standin, anyone()));
    let signed_in = sign_in(&open, "hubot").await.unwrap();
    assert_eq!(signed_in.vouched.identity.name, None);
    assert_eq!(
        signed_in.vouched.identity.verified_email, None,
        "the address of hubot is not verified"
    );

    standin.grant_at_most(&[]);
    let signed_in = sign_in(&open, "mona").await.unwrap();
    assert_eq!(
        signed_in.vouched.identity.verified_email, None,
        "the token may not read addresses"
    );
}

/// U7, CONS-20
#[tokio::test]
async fn a_renamed_account_stays_the_same_person_and_its_old_name_is_not() {
    let (standin, github) = github(ids(&[1])).await;
    let before = sign_in(&github, "mona").await.unwrap().vouched.identity;
    standin.rename("mona", "lisa");
    standin.rename("hubot", "mona");
    let after = sign_in(&github, "lisa").await.unwrap().vouched.identity;
    assert_eq!(after.subject, before.subject);
    assert_eq!(after.login.as_deref(), Some("lisa"));
    assert_eq!(refused(&github, "mona").await.account, "mona");
    let open = connect(settings(&standin, anyone()));
    let successor = sign_in(&open, "mona").await.unwrap().vouched.identity;
    assert_ne!(successor.subject, before.subject);
}

#[tokio::test]
async fn every_page_is_read_where_memberships_cannot_be_asked_one_by_one() {
    for (allow, closed) in [
        (orgs(&["ORG-60"]), "/api/user/memberships"),
        (team("org-60", "everybody"), "/api/orgs/org-60/teams"),
    ] {
        let (standin, github) = github(allow).await;
        standin.fault(closed, Fault::NotForApps);
        sign_in(&github, "wanda").await.unwrap();
        let why = refused(&github, "mona").await;
        assert!(why.reasons[0].contains("does not show"), "{why:?}");
    }
}

#[tokio::test]
async fn what_is_down_for_a_while_is_never_taken_for_no() {
    let down = || Fault::Down;
    for (path, fault) in [
        (TOKEN, down()),
        (TOKEN, Fault::TooMany),
        ("/api/user", down()),
        ("/api/user", Fault::RateLimited),
        ("/api/user/memberships", down()),
        ("/api/user/memberships", Fault::RateLimited),
        ("/api/user/memberships", Fault::TooMany),
        (
            "/api/user/memberships",
            Fault::Message(403, "You have exceeded a secondary rate limit."),
        ),
        // it is in force: GitHub gave it a moment ago
        ("/api/user", Fault::Message(401, "Bad credentials")),
        ("/api/orgs", down()),
        ("/api/orgs", Fault::RateLimited),
        ("/api/user/emails", down()),
    ] {
        let allow = match path {
            "/api/orgs" => team("acme", "platform"),
            _ => orgs(&["acme"]),
        };
        let (standin, github) = github(allow).await;
        standin.fault(path, fault.clone());
        let error = sign_in(&github, "mona").await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::Unavailable(_)),
            "{path} {fault:?}: {error:?}"
        );
        standin.heal();
        sign_in(&github, "mona").await.unwrap();
    }
}

#[tokio::test]
async fn a_list_that_is_down_is_never_taken_for_an_empty_one() {
    let (standin, github) = github(orgs(&["acme"])).await;
    standin.fault("/api/user/memberships", Fault::NotForApps);
    standin.fault("/api/user/orgs", Fault::Down);
    let error = sign_in(&github, "mona").await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_provider_that_nobody_reaches_is_unavailable() {
    let (standin, github) = github(anyone()).await;
    let (code, kept) = leave(&github, "mona").await;
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = Url::parse(&format!("http://{}", unused.local_addr().unwrap())).unwrap();
    drop(unused);
    let github = connect(GitHubSettings {
        base_url: nobody,
        ..settings(&standin, anyone())
    });
    let error = github.finish(code, kept).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error:?}");
}

/// CONS-21
#[tokio::test]
async fn an_answer_that_cannot_be_understood_lets_nobody_in_and_is_not_repeated() {
    let body = |text: &str| Fault::Body(text.to_owned());
    for (path, fault) in [
        (TOKEN, body("<html>hello-there")),
        (TOKEN, body("{\"access_token\":\"hello-there\"")),
        (TOKEN, body("{}")),
        (
            TOKEN,
            body(r#"{"error":"Hello-There","error_description":"hello-there"}"#),
        ),
        (
            TOKEN,
            body(r#"{"access_token":"hello\r\n-there","token_type":"bearer"}"#),
        ),
        (TOKEN, Fault::Absent),
        ("/api/user", body("hello-there")),
        ("/api/user", body("[]")),
        ("/api/user", body(r#"{"login":"hello-there"}"#)),
        ("/api/user", body(r#"{"id":"1","login":"hello-there"}"#)),
        ("/api/user", Fault::Absent),
        ("/api/user", Fault::NotForApps),
        ("/api/user", body(r#"{"message":"hello-there"}"#)),
        ("/api/user/emails", body(r#"{"message":"hello-there"}"#)),
        ("/api/user/memberships", body(r#"{"state":"hello-there"}"#)),
        ("/api/user/memberships", body("{}")),
        ("/api/user/memberships", body("true")),
    ] {
        let (standin, github) = github(orgs(&["acme"])).await;
        standin.fault(path, fault.clone());
        let error = sign_in(&github, "mona").await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::Invalid(_)),
            "{path} {fault:?}: {error:?}"
        );
        let told = format!("{error} {error:?}").to_lowercase();
        assert!(!told.contains("there"), "{path} {fault:?}: {told}");
    }
}

/// CONS-17, CONS-19
#[tokio::test]
async fn an_error_with_status_200_is_an_error() {
    let (standin, github) = github(anyone()).await;

    let (back, kept) = leave(&github, "mona").await;
    let used = Back {
        code: back.code.clone(),
        iss: None,
    };
    let verifier = Secret::new(kept.verifier.expose());
    github.finish(back, kept).await.unwrap();
    let kept = Kept {
        verifier,
        nonce: None,
    };
    assert_eq!(
        invalid(github.finish(used, kept).await),
        "the token endpoint answers bad_verification_code"
    );

    let (code, _) = leave(&github, "mona").await;
    let (_, of_another) = leave(&github, "mona").await;
    let told = invalid(github.finish(code, of_another).await);
    assert_eq!(told, "the token endpoint answers bad_verification_code");

    let wrong = connect(GitHubSettings {
        client_secret: Secret::new("wrong"),
        ..settings(&standin, anyone())
    });
    let told = invalid(sign_in(&wrong, "mona").await);
    assert!(told.starts_with("incorrect_client_credentials"), "{told}");

    let moved = connect(GitHubSettings {
        callback: "http://127.0.0.1:8080/callback/other".to_owned(),
        ..settings(&standin, anyone())
    });
    let (code, kept) = leave(&github, "mona").await;
    let told = invalid(moved.finish(code, kept).await);
    assert!(told.starts_with("redirect_uri_mismatch"), "{told}");
}

fn invalid(finished: Result<SignIn, UpstreamError>) -> String {
    match finished {
        Err(UpstreamError::Invalid(told)) => told,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("somebody was let in"),
    }
}

#[test]
fn an_address_that_requests_cannot_go_to_is_refused() {
    let url = |text| Url::parse(text).unwrap();
    let good = GitHubSettings {
        id: ProviderId::new("github"),
        label: "GitHub".to_owned(),
        client_id: "id".to_owned(),
        client_secret: Secret::new("secret"),
        base_url: url("https://github.com"),
        api_url: url("https://api.github.com"),
        callback: CALLBACK.to_owned(),
        rules: anyone(),
    };
    for (settings, accepted) in [
        (good.clone(), true),
        (
            GitHubSettings {
                base_url: url("mailto:a@b.c"),
                ..good.clone()
            },
            false,
        ),
        (
            GitHubSettings {
                api_url: url("data:,"),
                ..good.clone()
            },
            false,
        ),
        (
            GitHubSettings {
                callback: "/callback".to_owned(),
                ..good
            },
            false,
        ),
    ] {
        let outbound = Outbound::new(&[], None).unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("\"secret\""), "{shown}");
        let made = GitHub::new(settings, outbound, Arc::new(ManualClock::at(NOW)));
        assert_eq!(made.is_ok(), accepted, "{shown}");
    }
}
