//! Who may not enter by way of GitHub is told why, and what to do: against the stand-in, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::standin::{CLIENT_ID, Fault, Standin};
use anteroom::upstream::{NotAllowed, Upstream as _, UpstreamError};
use http::Method;

use crate::github::{
    TOKEN, anyone, either, emails, github, ids, leave, logins, orgs, refused, sign_in, team,
};
use crate::standin::send;

#[tokio::test]
async fn who_may_not_enter_is_told_why_and_what_to_do() {
    let (acme, platform) = (orgs(&["acme"]), team("acme", "platform"));
    let address = emails(&["octavia@example.com"]);
    for (allow, login, reason, link) in [
        (
            &logins(&["mona"]),
            "hubot",
            "is not one of the accounts",
            "/logout",
        ),
        (
            &address,
            "mona",
            "is not one of those that may",
            "/settings/emails",
        ),
        (&address, "hubot", "has not verified", "/settings/emails"),
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
        (
            Fault::Message(403, BEHIND_SINGLE_SIGN_ON),
            "single sign-on",
            "/orgs/acme/sso",
        ),
        (
            Fault::Message(403, NOT_FROM_HERE),
            "only to network addresses it has listed",
            "/organizations/acme/settings/security",
        ),
    ] {
        for (rules, at) in [
            (orgs(&["acme"]), "/api/user/memberships"),
            (team("acme", "platform"), "/api/orgs/acme/teams"),
        ] {
            let (standin, github) = github(rules).await;
            standin.fault(at, fault.clone());
            let why = refused(&github, "mona").await;
            assert_told(&standin, &why, reason, link);
            assert!(!format!("{why:?}").contains("evil"), "{why:?}");
        }
    }
}

const BEHIND_SINGLE_SIGN_ON: &str = "Resource protected by organization SAML enforcement.";
const NOT_FROM_HERE: &str = "Although you appear to have the correct authorization credentials, the `acme` \
                             organization has an IP allow list enabled, and your IP address is not permitted to \
                             access this resource.";

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
}

/// CONS-27
#[tokio::test]
async fn a_list_that_leaves_organisations_out_is_no_proof_of_not_belonging() {
    for (rules, closed, list) in [
        (orgs(&["acme"]), "/api/user/memberships", "/api/user/orgs"),
        (
            team("acme", "platform"),
            "/api/orgs/acme/teams",
            "/api/user/teams",
        ),
    ] {
        let (standin, github) = github(rules).await;
        standin.fault(closed, Fault::NotForApps);
        standin.fault(list, Fault::WithoutSingleSignOn);
        let why = refused(&github, "mona").await;
        assert_told(&standin, &why, "single sign-on", "/orgs/acme/sso");
    }
}

/// CONS-27
#[tokio::test]
async fn a_private_membership_counts() {
    let (standin, github) = github(orgs(&["acme"])).await;
    let shown = format!("{}/users/octavia/orgs", standin.api_url());
    let shown = send(Method::GET, &shown, &[], "").await;
    assert_eq!(
        shown.body(),
        b"[]",
        "octavia shows nobody where she belongs"
    );
    sign_in(&github, "octavia").await.unwrap();
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
    let (_standin, github) = github(either(&[
        logins(&["octavia"]),
        ids(&[1]),
        orgs(&["acme", "elsewhere"]),
        team("acme", "platform"),
        emails(&["*@acme.com"]),
    ]))
    .await;
    let why = refused(&github, "juergen").await;
    assert_eq!(
        why.reasons,
        [
            "juergen is not one of the accounts that may sign in here.",
            "juergen is invited to the organisation acme, but has not accepted yet.",
            "juergen is not a member of the organisation elsewhere.",
            "juergen is invited to the team acme/platform, but has not accepted yet.",
            "The primary e-mail address of juergen is not one of those that may sign in here.",
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
            "If you have an address that may: make it the primary one, then sign in again.",
            "Not the account you meant? Sign out of GitHub, then try again.",
        ]
    );
}

/// CONS-19
#[tokio::test]
async fn an_account_that_github_itself_keeps_out_is_told_so() {
    let (standin, github) = github(anyone()).await;
    let (back, kept) = leave(&github, "mona").await;
    standin.suspend("mona");
    let Err(UpstreamError::NotAllowed(why, _)) = github.finish(back, kept).await else {
        panic!("a suspended account was let in")
    };
    assert_told(&standin, &why, "suspended", "/logout");
    assert!(!standin.has_tokens());

    let unverified = r#"{"error":"unverified_user_email","error_description":"<b>"}"#;
    standin.fault(TOKEN, Fault::Body(unverified.to_owned()));
    let why = refused(&github, "octavia").await;
    assert_told(
        &standin,
        &why,
        "e-mail address is verified",
        "/settings/emails",
    );
}
