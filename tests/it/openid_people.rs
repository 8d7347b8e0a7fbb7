//! Who somebody is at a provider of `OpenID` Connect: their `sub`, and nothing that another can take over. Who may enter.

use anteroom::config::Allow;
use anteroom::protocol::email_pattern::EmailPattern;
use anteroom::standin::{Account, Deviation};

use crate::harness::answer::Answer;
use crate::harness::client::{Client, Tokens};
use crate::harness::openid::{MONA, OCTAVIA, subject};
use crate::harness::server::{Builder, Server, server};
use crate::remembered::{Seen, look};

fn change(server: &Server, login: &str, change: impl FnOnce(&mut Account)) {
    server.standin().openid().change(login, change);
}

/// CONS-20, U7
#[tokio::test]
async fn an_address_that_moves_to_another_account_moves_nothing_else() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    let mona = client.sign_in_with("corp", "mona").await;
    change(&server, "mona", |account| {
        account.email = Some("lisa@example.com".to_owned());
    });
    change(&server, "octavia", |account| {
        account.email = Some("mona@example.com".to_owned());
    });
    let octavia = client.sign_in_with("corp", "octavia").await;
    assert_eq!(subject(&octavia), OCTAVIA);
    for (tokens, whose) in [(&mona, MONA), (&octavia, OCTAVIA)] {
        assert_eq!(client.whoami(&tokens.access).await["subject"], whose);
    }
    // what one of them gives up, the other keeps
    assert_eq!(client.revoke(&octavia.refresh).await.status, 200);
    assert_eq!(client.initialize(&octavia.access).await.status, 401);
    let fresh = Tokens::read(&client.refresh(&mona.refresh).await);
    assert_eq!(client.whoami(&fresh.access).await["subject"], MONA);
}

/// CONS-20, U7
#[tokio::test]
async fn a_name_that_another_takes_over_opens_nothing() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    let before = client.sign_in_with("corp", "mona").await;
    change(&server, "mona", |account| account.login = "lisa".to_owned());
    change(&server, "octavia", |account| {
        account.login = "mona".to_owned();
    });
    let successor = client.sign_in_with("corp", "mona").await;
    assert_eq!(subject(&successor), OCTAVIA);
    let after = client.sign_in_with("corp", "lisa").await;
    assert_eq!(subject(&after), MONA);
    assert_eq!(client.whoami(&before.access).await["subject"], MONA);
}

/// CONS-20, U7
#[tokio::test]
async fn the_same_subject_at_three_providers_is_three_people() {
    let server = server().with_openid().with_openid_as("other").start().await;
    let client = server.client().await;
    change(&server, "octavia", |account| account.sub = "1".to_owned());
    let github = client.sign_in("mona").await;
    let corp = client.sign_in_with("corp", "octavia").await;
    let other = client.sign_in_with("other", "octavia").await;
    let all = [
        (&github, "github:1"),
        (&corp, "corp:1"),
        (&other, "other:1"),
    ];
    for (tokens, whose) in all {
        assert_eq!(subject(tokens), whose);
        assert_eq!(client.whoami(&tokens.access).await["subject"], whose);
    }
    assert_eq!(client.revoke(&github.refresh).await.status, 200);
    assert_eq!(client.initialize(&github.access).await.status, 401);
    assert_eq!(client.initialize(&corp.access).await.status, 200);
    assert_eq!(client.initialize(&other.access).await.status, 200);
}

/// CONS-20, CONS-24, U7
#[tokio::test]
async fn what_one_person_agreed_to_is_asked_of_their_namesake_elsewhere() {
    let server = server().with_openid().start().await;
    let (client, another) = (server.client().await, server.client().await);
    change(&server, "octavia", |account| account.sub = "1".to_owned());
    let mut browser = server.browser();
    let url = client.authorization_url();
    let back = browser.come_back("corp", &url, "octavia").await;
    client.read_code(&browser.get(back.as_str()).await.location());
    assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
    // who sits there now is 1 too, but at GitHub
    let answer = browser.sign_in(&another.authorization_url(), "mona").await;
    another.read_code(&answer.location());
    assert_eq!(look(&mut browser, &another).await, Seen::Remembered);
    assert_eq!(look(&mut browser, &client).await, Seen::New);
}

/// The server whose `corp` lets only these in.
fn closed(allow: Allow) -> Builder {
    server()
        .with_openid()
        .configure(|config| config.providers[1].allow = allow)
}

async fn sign_in(server: &Server, client: &Client, person: &str) -> Answer {
    let mut browser = server.browser();
    let url = client.authorization_url();
    let back = browser.come_back("corp", &url, person).await;
    browser.get(back.as_str()).await
}

/// That these may enter, and those may not and read why.
async fn assert_enters(server: &Server, may: &[&str], may_not: &[&str]) {
    let client = server.client().await;
    for person in may {
        let answer = sign_in(server, &client, person).await;
        client.read_code(&answer.location());
    }
    for person in may_not {
        let answer = sign_in(server, &client, person).await;
        answer.assert_page(403);
        assert!(answer.text().contains("The login of corp"), "{person}");
        assert_eq!(client.read_refusal(&answer), "access_denied", "{person}");
    }
}

/// CONS-23
#[tokio::test]
async fn tokens_of_a_refused_sign_in_are_given_back_unless_a_session_could_end_with_them() {
    let allow = Allow {
        emails: vec![EmailPattern::parse("*@example.com").unwrap()],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    let client = server.client().await;
    let given_back = || {
        let asked = server.standin().asked();
        let revoked = asked.iter().filter(|line| line.ends_with("/revoke"));
        revoked.count()
    };
    let answer = sign_in(&server, &client, "mona").await;
    client.read_code(&answer.location());
    change(&server, "mona", |account| {
        account.email = Some("mona@elsewhere.example".to_owned());
    });
    sign_in(&server, &client, "mona").await.assert_page(403);
    sign_in(&server, &client, "hubot").await.assert_page(403);
    for _ in 0..2000 {
        if given_back() > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(given_back(), 1);
    let openid = server.standin().openid();
    assert!(!openid.has_tokens("hubot") && openid.has_tokens("mona"));
}

/// U8, CONS-20
#[tokio::test]
async fn an_address_opens_the_door_only_where_the_provider_has_verified_it() {
    let allow = Allow {
        emails: vec![EmailPattern::parse("*@example.com").unwrap()],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    assert_enters(&server, &["mona", "octavia"], &["hubot", "wanda"]).await;
    change(&server, "hubot", |account| {
        account.email = Some("mona@example.com".to_owned());
    });
    change(&server, "wanda", |account| {
        account.email = Some("a@evil.example@example.com".to_owned());
    });
    assert_enters(&server, &["mona"], &["hubot", "wanda"]).await;
    // the truth in words is true, and a lie in words is none
    let openid = server.standin().openid();
    openid.deviate(Deviation::VerifiedInWords);
    assert_enters(&server, &["mona"], &["hubot"]).await;
}

/// CONS-20
#[tokio::test]
async fn a_domain_is_what_the_provider_has_signed_and_not_the_text_behind_the_at() {
    let allow = Allow {
        domains: vec!["example.com".to_owned()],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    assert_enters(&server, &["mona"], &["hubot", "juergen", "wanda"]).await;
    change(&server, "juergen", |account| {
        account.email = Some("juergen@example.com".to_owned());
    });
    assert_enters(&server, &[], &["juergen"]).await;
    // at userinfo it is said, but not signed
    server.standin().openid().deviate(Deviation::ThinIdToken);
    assert_enters(&server, &[], &["mona"]).await;
}

#[tokio::test]
async fn who_is_out_of_the_group_is_out() {
    let allow = Allow {
        claims: vec![("groups".to_owned(), "mcp-users".to_owned())],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    assert_enters(&server, &["mona"], &["octavia", "juergen", "wanda"]).await;
    change(&server, "mona", |account| {
        account.groups.retain(|group| group != "mcp-users");
    });
    assert_enters(&server, &[], &["mona"]).await;
    change(&server, "octavia", |account| {
        account.groups.push("mcp-users".to_owned());
    });
    assert_enters(&server, &["octavia"], &[]).await;
}

/// CONS-27
#[tokio::test]
async fn an_account_is_let_in_by_its_subject_whatever_it_is_called() {
    let (_, sub) = MONA.split_once(':').unwrap();
    let allow = Allow {
        subjects: vec![sub.to_owned()],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    assert_enters(&server, &["mona"], &["octavia"]).await;
    change(&server, "mona", |account| account.login = "lisa".to_owned());
    change(&server, "octavia", |account| {
        account.login = "mona".to_owned();
        account.email = Some("mona@example.com".to_owned());
    });
    assert_enters(&server, &["lisa"], &["mona"]).await;
}

/// CONS-20
#[tokio::test]
async fn a_subject_is_taken_as_it_is_or_not_at_all() {
    let server = server().with_openid().start().await;
    let client = server.client().await;
    let longest = "a".repeat(255);
    for sub in ["auth0|5f7c8ec7c33c6c004bbafe82", "../a?b=c#d", &longest] {
        change(&server, "mona", |account| account.sub = sub.to_owned());
        let tokens = client.sign_in_with("corp", "mona").await;
        assert_eq!(subject(&tokens), format!("corp:{sub}"));
        assert_eq!(client.initialize(&tokens.access).await.status, 200);
    }
    let too_long = "a".repeat(256);
    for sub in ["", " ", "a b", "a\nb", "\u{e9}", "1\u{200b}", &too_long] {
        change(&server, "mona", |account| account.sub = sub.to_owned());
        let answer = sign_in(&server, &client, "mona").await;
        assert_eq!(client.read_refusal(&answer), "server_error", "{sub:?}");
    }
}

#[tokio::test]
async fn what_a_person_is_called_is_text() {
    let allow = Allow {
        subjects: vec!["nobody".to_owned()],
        ..Allow::default()
    };
    let server = closed(allow).start().await;
    let client = server.client().await;
    change(&server, "mona", |account| {
        account.email = Some("\"><script>alert(1)</script>\u{202e}@example.com".to_owned());
    });
    change(&server, "wanda", |account| {
        account.login = "wanda<script>".to_owned();
        account.name = Some("<script>alert(1)</script>".to_owned());
    });
    for person in ["mona", "wanda<script>"] {
        let answer = sign_in(&server, &client, person).await;
        answer.assert_page(403);
        for raw in ["<script", "\u{202e}"] {
            assert!(!answer.text().contains(raw), "{}", answer.text());
        }
        assert!(answer.text().contains("script&#62;"), "{}", answer.text());
    }
}
