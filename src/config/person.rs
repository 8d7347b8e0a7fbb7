//! Texts -> rules about people: accounts, organisations, teams, domains, addresses and claims.

use super::problem::Wrong;
use super::{Provider, ProviderKind};
use crate::protocol::email_pattern::EmailPattern;
use crate::protocol::person_rule::PersonRule;

/// An account of GitHub: a login, or `id:` and the number.
pub(super) enum User {
    /// The number.
    Id(u64),
    /// The login.
    Login(String),
}

/// Reads an account of GitHub.
pub(super) fn user(text: &str) -> Result<User, Wrong> {
    let remedy = r#"write logins such as "octocat", without @, or numeric ids such as "id:583231", which nobody can take over"#;
    let user = match text.strip_prefix("id:") {
        Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => id.parse().ok().map(User::Id),
        Some(_) => None,
        None => account(text).map(User::Login),
    };
    user.ok_or_else(|| Wrong::new("holds something that is neither a login nor an id", remedy))
}

/// Reads an account of a provider of `OpenID` Connect: `id:` and its `sub`, the one name that is never given to somebody else
/// (`OpenID` Connect Core 1.0 §5.7).
pub(super) fn subject(text: &str) -> Result<String, Wrong> {
    // OpenID Connect Core 1.0 §2: at most 255 ASCII characters.
    let is_fit = |sub: &&str| {
        (1..=255).contains(&sub.len()) && sub.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let subject = text.strip_prefix("id:").filter(is_fit);
    subject.map(ToOwned::to_owned).ok_or_else(|| {
        Wrong::new(
            "holds something that is not an id: at OpenID providers no other name of an account stays with it",
            r#"write "id:" and the sub of the account, such as "id:110169484474386276334", or its address in allow.emails"#,
        )
    })
}

/// Reads the name of an organisation of GitHub.
pub(super) fn org(text: &str) -> Result<String, Wrong> {
    account(text).ok_or_else(|| {
        Wrong::new(
            "holds something that is not the name of an organisation",
            r#"write names of organisations as they stand in their URL, such as "acme""#,
        )
    })
}

/// Reads organisation and slug of a team of GitHub.
pub(super) fn team(text: &str) -> Result<(String, String), Wrong> {
    let team = text
        .split_once('/')
        .and_then(|(org, slug)| Some((account(org)?, account(slug)?)));
    let remedy =
        r#"write organisation and slug as they stand in the team's URL, such as "acme/platform""#;
    team.ok_or_else(|| Wrong::new("holds something that is not a team", remedy))
}

/// Reads a domain of Google Workspace, in small letters from here on.
pub(super) fn domain(text: &str) -> Result<String, Wrong> {
    let is_label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(legal)
    };
    let domain = text.to_ascii_lowercase();
    if matches!(domain.as_str(), "gmail.com" | "googlemail.com") {
        return Err(Wrong::new(
            "holds the domain of private accounts, which Google signs for nobody",
            "write people's whole addresses in allow.emails",
        ));
    }
    if domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label) {
        return Ok(domain);
    }
    Err(Wrong::new(
        "holds something that is not a domain",
        r#"write each as "acme.com", subdomains one by one, without @ and *, and what is not ASCII as "xn--...""#,
    ))
}

/// Reads addresses.
pub(super) fn email(text: &str) -> Result<EmailPattern, Wrong> {
    EmailPattern::parse(text).ok_or_else(|| {
        Wrong::new(
            "holds something that is not an address",
            r#"write whole addresses such as "mona@acme.com", or "*@acme.com" for every one of a domain"#,
        )
    })
}

/// Whether everybody can have such an address.
pub(super) fn is_public(pattern: &EmailPattern) -> bool {
    pattern
        .domain()
        .is_some_and(|domain| PUBLIC.contains(&domain))
}

/// Whether it is about accounts that Google says to belong to somebody else than their owner.
pub(super) fn is_of_workspace(pattern: &EmailPattern) -> bool {
    let is_private = |domain| matches!(domain, "gmail.com" | "googlemail.com");
    pattern.domain().is_some_and(|domain| !is_private(domain))
}

/// What such a pattern means at Google.
pub(super) const WORKSPACE_ALONE: &str = "holds for accounts of Google Workspace alone where it names a whole domain: \
                                          everybody can open a private Google account with an address that they have at work, \
                                          and keep it; write whole addresses for those";

/// Reads a value that a claim must have.
pub(super) fn claimed(text: &str) -> Result<String, Wrong> {
    if !text.trim().is_empty() && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        "holds something that no claim is",
        r#"write texts such as "mcp-users", on one line"#,
    ))
}

/// Reads what stands behind the provider in `scope_policy.roles`: `team:acme/platform`.
pub(super) fn rule(provider: &Provider, text: &str) -> Result<PersonRule, Wrong> {
    let unfit = || {
        let remedy = match provider.kind {
            ProviderKind::GitHub { .. } => {
                r#"write "PROVIDER:user:id:583231", "PROVIDER:org:acme", "PROVIDER:team:acme/platform" or "PROVIDER:email:*@acme.com""#
            }
            ProviderKind::OpenId { .. } => {
                r#"write "PROVIDER:user:id:SUB", "PROVIDER:domain:acme.com", "PROVIDER:email:*@acme.com" or "PROVIDER:claim:groups=admins""#
            }
        };
        Wrong::new("names people in a way that their provider does not", remedy)
    };
    let (kind, value) = text.split_once(':').ok_or_else(unfit)?;
    let github = matches!(provider.kind, ProviderKind::GitHub { .. });
    match (kind, github) {
        ("user", true) => user(value).map(|user| match user {
            User::Id(id) => PersonRule::Id(id.to_string()),
            User::Login(login) => PersonRule::Login(login),
        }),
        ("org", true) => org(value).map(PersonRule::Org),
        ("team", true) => team(value).map(|(org, slug)| PersonRule::Team { org, slug }),
        ("user", false) => subject(value).map(PersonRule::Id),
        ("domain", false) => domain(value).map(PersonRule::Domain),
        ("claim", false) => {
            let (name, value) = value.split_once('=').ok_or_else(unfit)?;
            let (name, value) = (claimed(name)?, claimed(value)?);
            Ok(PersonRule::Claim { name, value })
        }
        ("email", _) => email(value).map(PersonRule::Email),
        _ => Err(unfit()),
    }
}

/// A login, the name of an organisation or the slug of a team.
fn account(text: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (!text.is_empty() && text.len() <= 100 && text.bytes().all(legal)).then(|| text.to_owned())
}

/// Domains in which everybody can have an address: the large ones, as a help and not as a rule.
const PUBLIC: [&str; 28] = [
    "163.com",
    "aol.com",
    "fastmail.com",
    "gmail.com",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "outlook.com",
    "pm.me",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "web.de",
    "yahoo.com",
    "yandex.com",
    "yandex.ru",
    "zoho.com",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// P4
    #[test]
    fn a_domain_is_ascii_and_named_exactly() {
        for (text, expected) in [
            ("acme.com", Some("acme.com")),
            ("Acme.COM", Some("acme.com")),
            ("a.b-c.acme.com", Some("a.b-c.acme.com")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("b\u{fc}cher.example", None),
            ("\u{430}cme.com", None),
            ("*", None),
            ("*.acme.com", None),
            ("@acme.com", None),
            ("*@acme.com", None),
            ("acme.com.", None),
            (".acme.com", None),
            ("acme..com", None),
            ("acme", None),
            ("https://acme.com", None),
            ("acme.com/", None),
            (" acme.com", None),
            ("gmail.com", None),
            ("GoogleMail.com", None),
            ("", None),
        ] {
            assert_eq!(domain(text).ok().as_deref(), expected, "{text:?}");
        }
        assert!(domain(&format!("{}.com", "a.".repeat(126))).is_err());
    }

    #[test]
    fn an_account_at_an_openid_provider_is_its_sub() {
        for (text, expected) in [
            ("id:110169484474386276334", Some("110169484474386276334")),
            ("id:auth0|5f7c", Some("auth0|5f7c")),
            ("id:a:b", Some("a:b")),
            ("110169484474386276334", None),
            ("mona", None),
            ("mona@acme.com", None),
            ("id:", None),
            ("id:a b", None),
            ("id:\u{e4}", None),
            ("", None),
        ] {
            assert_eq!(subject(text).ok().as_deref(), expected, "{text:?}");
        }
        assert!(subject(&format!("id:{}", "a".repeat(256))).is_err());
    }

    #[test]
    fn a_pattern_of_a_domain_for_everybody_is_known() {
        for (text, expected) in [
            ("*@gmail.com", true),
            ("*@GMX.de", true),
            ("mona@gmail.com", false),
            ("*@acme.com", false),
        ] {
            assert_eq!(
                is_public(&EmailPattern::parse(text).unwrap()),
                expected,
                "{text}"
            );
        }
        assert!(PUBLIC.is_sorted());
    }
}
