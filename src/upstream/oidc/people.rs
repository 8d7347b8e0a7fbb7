//! Who may enter by way of an `OpenID` provider, and what is open to them; and, for who may not, why and what they can
//! do.

use super::OidcSettings;
use super::claims::Claims;
use crate::protocol::email_pattern::EmailPattern;
use crate::protocol::person_rule::PersonRule;
use crate::protocol::scope::ScopeSet;
use crate::upstream::{NotAllowed, Remedy};

/// What is open to the person of whom `claims` speak.
///
/// # Errors
/// Why they may not enter.
pub(super) fn admit(settings: &OidcSettings, claims: &Claims) -> Result<ScopeSet, Box<NotAllowed>> {
    let rules = &settings.rules;
    let holds = |rule: &PersonRule| is_true(rule, claims, settings.google);
    if !rules.allow.iter().any(holds) {
        return Err(Box::new(refusal(settings, claims)));
    }
    let open = rules
        .roles
        .iter()
        .filter(|(_, rules)| rules.iter().any(holds));
    Ok(open.map(|(scope, _)| scope.clone()).collect())
}

/// Whether a rule is true of a person. What this kind of provider cannot answer is true of nobody.
fn is_true(rule: &PersonRule, claims: &Claims, google: bool) -> bool {
    match rule {
        PersonRule::Anyone => true,
        PersonRule::Id(id) => claims.subject() == id,
        PersonRule::Domain(domain) => claims.domain().as_ref() == Some(domain),
        PersonRule::Email(pattern) => claims.verified_email().is_some_and(|address| {
            pattern.matches(address) && is_of_domain(pattern, claims, google)
        }),
        PersonRule::Claim { name, value } => claims.says(name, value),
        // a login can be given up and taken by another, and organisations and teams are GitHub's
        PersonRule::Login(_) | PersonRule::Org(_) | PersonRule::Team { .. } => false,
    }
}

/// Whether an address makes somebody one of its domain. Anybody can open a private Google account with an address that they
/// have at work, and keeps it, as verified as ever, when they leave: there, only `hd` says that they belong.
fn is_of_domain(pattern: &EmailPattern, claims: &Claims, google: bool) -> bool {
    let is_private = |domain| matches!(domain, "gmail.com" | "googlemail.com");
    !google || pattern.domain().is_none_or(is_private) || claims.domain().is_some()
}

/// Why none of the rules is true. It says what the person lacks, and never who may enter.
fn refusal(settings: &OidcSettings, claims: &Claims) -> NotAllowed {
    let (allow, label) = (&settings.rules.allow, &settings.label);
    let account = claims.called();
    let mut reasons: Vec<String> = Vec::new();
    for rule in allow {
        let reason = miss(rule, claims, settings, &account);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if reasons.is_empty() {
        reasons.push(not_listed(&account));
    }
    let mut remedies = Vec::new();
    let asks_for_email = allow
        .iter()
        .any(|rule| matches!(rule, PersonRule::Email(_)));
    if asks_for_email && claims.email().is_some() && claims.verified_email().is_none() {
        remedies.push(format!(
            "Verify your e-mail address at {label}, then sign in again."
        ));
    }
    remedies.push(format!(
        "Not the account you meant? Sign out of {label}, then try again."
    ));
    remedies.push("Should you have access? Ask who runs this server.".to_owned());
    NotAllowed {
        account,
        reasons,
        remedies: remedies
            .into_iter()
            .map(|text| Remedy { text, link: None })
            .collect(),
    }
}

fn miss(rule: &PersonRule, claims: &Claims, settings: &OidcSettings, account: &str) -> String {
    let label = &settings.label;
    match rule {
        PersonRule::Domain(_) => match claims.domain() {
            Some(_) => {
                format!("{account} belongs to an organisation that may not sign in here.")
            }
            None => format!("{label} does not say that {account} belongs to an organisation."),
        },
        PersonRule::Email(pattern) => match (claims.email(), claims.verified_email()) {
            (_, Some(email)) if pattern.matches(email) => format!(
                "{label} does not say that {account} belongs to an organisation: with an address such as {email}, private \
                 accounts may not sign in here."
            ),
            (_, Some(email)) => {
                format!("{email} is not one of the addresses that may sign in here.")
            }
            (Some(email), None) => format!("{label} has not verified the address {email}."),
            (None, None) => format!("{label} does not tell an e-mail address of {account}."),
        },
        PersonRule::Claim { name, .. } => match claims.claim(name) {
            Some(_) => format!(
                "What {label} says of {account} as “{name}” is not what is asked for here: {account} is not in the group, \
                 or has not the role."
            ),
            None => format!(
                "{label} says nothing of {account} as “{name}”, the group or role that is asked for here."
            ),
        },
        _ => not_listed(account),
    }
}

fn not_listed(account: &str) -> String {
    format!("{account} is not one of the accounts that may sign in here.")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::person_rule::PeopleRules;
    use crate::protocol::scope::Scope;
    use crate::upstream::oidc::fake;

    fn claims(signed: &Value) -> Claims {
        let signed = serde_json::from_value(signed.clone());
        Claims::of_now(signed.unwrap(), None)
    }

    fn settings(rules: PeopleRules) -> OidcSettings {
        OidcSettings {
            rules,
            ..fake::settings("https://op.example")
        }
    }

    fn email(pattern: &str) -> PersonRule {
        PersonRule::Email(EmailPattern::parse(pattern).unwrap())
    }

    fn claim(name: &str, value: &str) -> PersonRule {
        PersonRule::Claim {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn domain() -> PersonRule {
        PersonRule::Domain("acme.com".to_owned())
    }

    fn verified(address: &str) -> Value {
        json!({"sub": "7", "email": address, "email_verified": true})
    }

    /// P4, U8
    #[test]
    fn a_rule_is_true_of_whom_it_names_and_of_nobody_else() {
        let acme = || email("*@acme.com");
        let unverified = json!({"sub": "7", "email": "mona@acme.com"});
        for (rule, person, holds) in [
            (PersonRule::Anyone, json!({"sub": "7"}), true),
            (PersonRule::Id("7".to_owned()), json!({"sub": "7"}), true),
            (PersonRule::Id("7".to_owned()), json!({"sub": "77"}), false),
            (PersonRule::Id("a".to_owned()), json!({"sub": "A"}), false),
            (
                PersonRule::Login("mona".to_owned()),
                json!({"sub": "mona", "preferred_username": "mona"}),
                false,
            ),
            (
                PersonRule::Org("acme".to_owned()),
                json!({"sub": "7", "org": "acme"}),
                false,
            ),
            (domain(), json!({"sub": "7", "hd": "acme.com"}), true),
            (domain(), json!({"sub": "7", "hd": "ACME.com"}), true),
            (domain(), json!({"sub": "7", "hd": "sub.acme.com"}), false),
            (domain(), json!({"sub": "7", "hd": "acme.com."}), false),
            (domain(), json!({"sub": "7", "hd": "\u{430}cme.com"}), false),
            (domain(), verified("mona@acme.com"), false),
            (acme(), verified("Mona@Acme.com"), true),
            (acme(), unverified.clone(), false),
            (acme(), verified("mona@acme.com@evil.com"), false),
            (acme(), verified("mona@evil.com@acme.com"), false),
            (acme(), verified("mona@acme.com."), false),
            (acme(), verified("mona@sub.acme.com"), false),
            (acme(), verified("mona@evilacme.com"), false),
            (acme(), verified("mona@acme\u{3002}com"), false),
            (acme(), verified("mona@\u{430}cme.com"), false),
            (acme(), verified("mona@evil.com\n@acme.com"), false),
            (
                claim("groups", "staff"),
                json!({"sub": "7", "groups": ["staff"]}),
                true,
            ),
            (claim("groups", "staff"), json!({"sub": "7"}), false),
            (claim("email", "mona@acme.com"), unverified, false),
            (
                claim("email", "mona@acme.com"),
                verified("mona@acme.com"),
                true,
            ),
        ] {
            assert_eq!(
                is_true(&rule, &claims(&person), false),
                holds,
                "{rule} {person}"
            );
        }
    }

    /// P4
    #[test]
    fn at_google_an_address_makes_nobody_one_of_a_domain_that_is_not_signed() {
        let acme = email("*@acme.com");
        let at_work =
            json!({"sub": "7", "email": "mona@acme.com", "email_verified": true, "hd": "acme.com"});
        for (rule, person, holds) in [
            (&acme, verified("mona@acme.com"), false),
            (&acme, at_work.clone(), true),
            (&email("mona@acme.com"), verified("mona@acme.com"), true),
            (&email("*@gmail.com"), verified("mona@gmail.com"), true),
            (
                &email("*@googlemail.com"),
                verified("mona@googlemail.com"),
                true,
            ),
        ] {
            assert_eq!(
                is_true(rule, &claims(&person), true),
                holds,
                "{rule} {person}"
            );
        }
        let scope = Scope::parse("admin").unwrap();
        let mut settings = settings(PeopleRules {
            allow: vec![acme.clone()],
            ..PeopleRules::default()
        });
        settings.google = true;
        let told = admit(&settings, &claims(&verified("mona@acme.com"))).unwrap_err();
        let reason = "Acme does not say that mona@acme.com belongs to an organisation: with an address such as \
                      mona@acme.com, private accounts may not sign in here.";
        assert_eq!(told.reasons, [reason]);
        settings.rules.allow = vec![PersonRule::Anyone];
        settings.rules.roles = vec![(scope, vec![acme])];
        for (person, opens) in [(verified("mona@acme.com"), ""), (at_work, "admin")] {
            let open = admit(&settings, &claims(&person)).unwrap();
            assert_eq!(open.to_string(), opens, "{person}");
        }
    }

    #[test]
    fn a_scope_of_a_role_is_open_to_whom_one_of_its_rules_is_true_of() {
        let scope = |name: &str| Scope::parse(name).unwrap();
        let settings = settings(PeopleRules {
            allow: vec![domain(), PersonRule::Id("9".to_owned())],
            roles: vec![
                (
                    scope("admin"),
                    vec![PersonRule::Id("7".to_owned()), claim("groups", "admins")],
                ),
                (scope("nobody"), Vec::new()),
            ],
            ..PeopleRules::default()
        });
        for (person, opens) in [
            (json!({"sub": "7", "hd": "acme.com"}), Some("admin")),
            (
                json!({"sub": "8", "hd": "acme.com", "groups": ["admins"]}),
                Some("admin"),
            ),
            (json!({"sub": "9"}), Some("")),
            // a role lets nobody in
            (json!({"sub": "7"}), None),
        ] {
            let admitted = admit(&settings, &claims(&person)).ok();
            let opens = opens.map(str::to_owned);
            assert_eq!(admitted.map(|scopes| scopes.to_string()), opens, "{person}");
        }
    }

    fn refused(allow: Vec<PersonRule>, person: &Value) -> NotAllowed {
        let settings = settings(PeopleRules {
            allow,
            ..PeopleRules::default()
        });
        *admit(&settings, &claims(person)).unwrap_err()
    }

    /// CONS-27
    #[test]
    fn who_may_not_enter_reads_what_they_lack_and_never_who_may() {
        let id = |id: &str| PersonRule::Id(id.to_owned());
        let group = || claim("groups", "secret");
        let both = || vec![email("*@acme.com"), domain()];
        let not_listed = "7 is not one of the accounts that may sign in here.";
        let no_email = "Acme does not tell an e-mail address of 7.";
        let no_domain = "Acme does not say that 7 belongs to an organisation.";
        let wrong_domain = "7 belongs to an organisation that may not sign in here.";
        let wrong_email = "mona@evil.com is not one of the addresses that may sign in here.";
        let no_group =
            "Acme says nothing of 7 as “groups”, the group or role that is asked for here.";
        let wrong_group = "What Acme says of 7 as “groups” is not what is asked for here: 7 is not in the group, or has \
                           not the role.";
        for (allow, person, reasons) in [
            (
                vec![id("1"), id("2")],
                json!({"sub": "7"}),
                vec![not_listed],
            ),
            (both(), json!({"sub": "7"}), vec![no_email, no_domain]),
            (
                vec![domain()],
                json!({"sub": "7", "hd": "evil.com"}),
                vec![wrong_domain],
            ),
            (
                vec![email("*@acme.com")],
                verified("mona@evil.com"),
                vec![wrong_email],
            ),
            (vec![group()], json!({"sub": "7"}), vec![no_group]),
            (
                vec![group()],
                json!({"sub": "7", "groups": ["a"]}),
                vec![wrong_group],
            ),
        ] {
            let told = refused(allow, &person);
            assert_eq!(told.reasons, reasons, "{person}");
            let all = format!("{told:?}");
            assert!(
                !all.contains("secret") && !all.contains("acme.com"),
                "{all}"
            );
            assert!(!all.contains("Verify"), "{all}");
        }
    }

    /// CONS-27, U8
    #[test]
    fn who_only_has_to_verify_an_address_is_told_so() {
        let person = json!({"sub": "7", "email": "mona@acme.com"});
        let told = refused(vec![email("*@acme.com")], &person);
        assert_eq!(told.account, "mona@acme.com");
        let mut remedies = told.remedies.iter().map(|remedy| remedy.text.as_str());
        assert_eq!(
            remedies.next(),
            Some("Verify your e-mail address at Acme, then sign in again.")
        );
        let last = remedies.next_back();
        assert_eq!(
            last,
            Some("Should you have access? Ask who runs this server.")
        );
    }
}
