//! The GitHub connector against the stand-in, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use anteroom::clock::{ManualClock, UnixTime};
use anteroom::outbound::Outbound;
use anteroom::protocol::ids::ProviderId;
use anteroom::protocol::person_rule::PeopleRules;
use anteroom::protocol::pkce::Challenge;
use anteroom::secret::Secret;
use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Fault, Standin};
use anteroom::upstream::github::{GitHub, GitHubAllow, GitHubSettings};
use anteroom::upstream::{Back, Intent, Kept, NotAllowed, SignIn, Upstream, UpstreamError};
use url::Url;

use crate::standin::{parameter, press, start};

const CALLBACK: &str = "http://127.0.0.1:8080/callback/github";
const TOKEN: &str = "/login/oauth/access_token";
const NOW: UnixTime = UnixTime(1_800_000_000);

fn settings(standin: &Standin, allow: GitHubAllow) -> GitHubSettings {
    GitHubSettings {
        id: ProviderId::new("github"),
        label: "GitHub".to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Secret::new(CLIENT_SECRET),
        base_url: Url::parse(&standin.base_url()).unwrap(),
        api_url: Url::parse(&standin.api_url()).unwrap(),
        callback: CALLBACK.to_owned(),
        rules: PeopleRules::default(),
        allow,
    }
}

fn connect(settings: GitHubSettings) -> GitHub {
    let outbound = Outbound::new(&[], None).unwrap();
    GitHub::new(settings, outbound, Arc::new(ManualClock::at(NOW))).unwrap()
}

async fn github(allow: GitHubAllow) -> (Standin, GitHub) {
    let standin = start().await;
    let github = connect(settings(&standin, allow));
    (standin, github)
}

/// The way of a browser through the provider, as far as its way back.
async fn leave(github: &GitHub, login: &str) -> (Back, Kept) {
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

async fn sign_in(github: &GitHub, login: &str) -> Result<SignIn, UpstreamError> {
    let (code, kept) = leave(github, login).await;
    github.finish(code, kept).await
}

async fn refused(github: &GitHub, login: &str) -> NotAllowed {
    match sign_in(github, login).await {
        Err(UpstreamError::NotAllowed(why)) => *why,
        Err(error) => panic!("{login}: {error}"),
        Ok(_) => panic!("{login} was let in"),
    }
}

fn anyone() -> GitHubAllow {
    GitHubAllow {
        anyone: true,
        ..GitHubAllow::default()
    }
}

fn orgs(names: &[&str]) -> GitHubAllow {
    GitHubAllow {
        orgs: names.iter().copied().map(str::to_owned).collect(),
        ..GitHubAllow::default()
    }
}

fn team(org: &str, slug: &str) -> GitHubAllow {
    GitHubAllow {
        teams: vec![(org.to_owned(), slug.to_owned())],
        ..GitHubAllow::default()
    }
}

fn logins(names: &[&str]) -> GitHubAllow {
    GitHubAllow {
        logins: names.iter().copied().map(str::to_owned).collect(),
        ..GitHubAllow::default()
    }
}

fn ids(ids: &[u64]) -> GitHubAllow {
    GitHubAllow {
        ids: ids.to_vec(),
        ..GitHubAllow::default()
    }
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
        (
            GitHubAllow {
                anyone: true,
                ..orgs(&["acme"])
            },
            "user:email",
            2,
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
            GitHubAllow {
                ids: vec![3],
                ..orgs(&["acme"])
            },
            &["mona", "hubot"],
            &["wanda"],
        ),
        // Nothing listed is nobody, not everybody.
        (GitHubAllow::default(), &[], &["mona", "hubot"]),
    ] {
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

#[tokio::test]
async fn who_may_not_enter_is_told_why_and_what_to_do() {
    let (acme, platform) = (orgs(&["acme"]), team("acme", "platform"));
    for (allow, login, reason, link) in [
        (
            &logins(&["mona"]),
            "hubot",
            "is not one of the accounts",
            "/logout",
        ),
        (
            &acme,
            "hubot",
            "of the organisation acme.",
            "/orgs/acme/people",
        ),
        (
            &platform,
            "octavia",
            "of the team acme/platform.",
            "/orgs/acme/teams/platform",
        ),
        (
            &acme,
            "juergen",
            "has not accepted",
            "/orgs/acme/invitation",
        ),
        (
            &platform,
            "juergen",
            "has not accepted",
            "/orgs/acme/invitation",
        ),
    ] {
        let (standin, github) = github(allow.clone()).await;
        let why = refused(&github, login).await;
        assert_told(&standin, &why, reason, link);
    }
}

#[tokio::test]
async fn what_the_organisation_asks_for_is_told_apart_from_not_belonging() {
    let sso = Fault::SingleSignOn("https://evil.example/orgs/acme/sso".to_owned());
    let application = "/settings/connections/applications/standin-client";
    for (fault, reason, link) in [
        (
            Fault::NotApproved,
            "only to applications it has approved",
            application,
        ),
        (sso, "single sign-on", "/orgs/acme/sso"),
    ] {
        let (standin, github) = github(orgs(&["acme"])).await;
        standin.fault("/api/user/memberships", fault);
        let why = refused(&github, "mona").await;
        assert_told(&standin, &why, reason, link);
        assert!(!format!("{why:?}").contains("evil"), "{why:?}");
    }
}

fn assert_told(standin: &Standin, why: &NotAllowed, reason: &str, link: &str) {
    assert!(
        why.reasons.iter().any(|told| told.contains(reason)),
        "{reason} {why:?}"
    );
    let link = format!("{}{link}", standin.base_url());
    assert!(
        why.remedies
            .iter()
            .any(|todo| todo.link.as_ref() == Some(&link)),
        "{link} {why:?}"
    );
    let logout = format!("{}/logout", standin.base_url());
    assert_eq!(
        why.remedies.last().unwrap().link.as_ref(),
        Some(&logout),
        "{why:?}"
    );
}

#[tokio::test]
async fn a_link_to_single_sign_on_is_passed_on_where_it_leads_to_the_provider() {
    let (standin, github) = github(orgs(&["acme"])).await;
    let link = format!(
        "{}/orgs/acme/sso?authorization_request=A",
        standin.base_url()
    );
    standin.fault("/api/user/memberships", Fault::SingleSignOn(link.clone()));
    let why = refused(&github, "mona").await;
    assert_eq!(why.remedies[0].link.as_ref(), Some(&link));
    assert!(
        standin.has_tokens(),
        "the link is good for the token of this sign-in"
    );

    standin.fault("/api/user/memberships", Fault::NotForApps);
    standin.fault("/api/user/orgs", Fault::WithoutSingleSignOn);
    let why = refused(&github, "mona").await;
    assert!(why.reasons[0].contains("single sign-on"), "{why:?}");
}

#[tokio::test]
async fn a_scope_that_was_not_granted_is_named() {
    // Without any scope it may be a GitHub App, which is asked; with others it is an OAuth App, which need not be.
    for granted in [&["user:email"][..], &[]] {
        let (standin, github) = github(orgs(&["acme"])).await;
        standin.grant_at_most(granted);
        let why = refused(&github, "mona").await;
        assert!(why.reasons[0].contains("(read:org)"), "{granted:?} {why:?}");
        let link = format!(
            "{}/settings/connections/applications/{CLIENT_ID}",
            standin.base_url()
        );
        assert_eq!(why.remedies[0].link.as_ref(), Some(&link), "{granted:?}");
    }
}

#[tokio::test]
async fn each_rule_that_refuses_gives_its_reason_and_no_remedy_comes_twice() {
    let allow = GitHubAllow {
        logins: vec!["octavia".to_owned()],
        teams: vec![("acme".to_owned(), "platform".to_owned())],
        ..orgs(&["acme", "elsewhere"])
    };
    let (_standin, github) = github(allow).await;
    let why = refused(&github, "juergen").await;
    assert_eq!(
        why.reasons,
        [
            "juergen is not one of the accounts that may sign in here.",
            "juergen is invited to the organisation acme, but has not accepted yet.",
            "juergen is not a member of the organisation elsewhere.",
            "juergen is invited to the team acme/platform, but has not accepted yet.",
        ]
    );
    let todo: Vec<_> = why
        .remedies
        .iter()
        .map(|remedy| remedy.text.as_str())
        .collect();
    assert_eq!(
        todo,
        [
            "Accept the invitation to acme, then sign in again.",
            "Ask an owner of elsewhere to invite you.",
            "Not the account you meant? Sign out of GitHub, then try again.",
        ]
    );
}

#[tokio::test]
async fn the_token_of_a_refused_sign_in_is_given_back() {
    let (standin, github) = github(orgs(&["acme"])).await;
    refused(&github, "hubot").await;
    assert!(!standin.has_tokens());
    assert!(
        standin
            .asked()
            .contains(&format!("DELETE /api/applications/{CLIENT_ID}/token"))
    );
    // A refusal stays a refusal where giving back fails.
    standin.fault("/api/applications", Fault::Down);
    assert_eq!(refused(&github, "hubot").await.account, "hubot");
}

#[tokio::test]
async fn forgotten_tokens_are_ended_at_the_provider() {
    let (standin, github) = github(anyone()).await;
    let tokens = sign_in(&github, "mona").await.unwrap().tokens;
    assert!(standin.has_tokens());
    standin.fault("/api/applications", Fault::Down);
    let error = github.forget(&tokens).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error:?}");
    standin.heal();
    github.forget(&tokens).await.unwrap();
    assert!(!standin.has_tokens());
    github.forget(&tokens).await.unwrap();
}

#[tokio::test]
async fn an_expiring_token_is_kept_with_its_refresh_token_and_its_end() {
    let (standin, github) = github(anyone()).await;
    let (code, kept) = leave(&github, "mona").await;
    let answer = r#"{"access_token":"ghu_a","expires_in":28800,"refresh_token":"ghr_b","scope":"","token_type":"bearer"}"#;
    standin.fault(TOKEN, Fault::Body(answer.to_owned()));
    standin.fault(
        "/api/user",
        Fault::Body(r#"{"id":7,"login":"app-user"}"#.to_owned()),
    );
    standin.fault("/api/user/emails", Fault::NotForApps);
    let signed_in = github.finish(code, kept).await.unwrap();
    assert_eq!(signed_in.vouched.identity.subject.as_str(), "github:7");
    assert_eq!(
        signed_in.tokens.expires,
        Some(NOW + Duration::from_secs(28800))
    );
    assert_eq!(signed_in.tokens.refresh.unwrap().expose(), "ghr_b");
    assert!(signed_in.tokens.scopes.is_empty());
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
        allow: anyone(),
        rules: PeopleRules::default(),
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
