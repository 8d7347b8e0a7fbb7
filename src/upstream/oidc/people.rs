//! Who may enter by way of an `OpenID` provider, and what is open to them; and, for who may not, why and what they can
//! do.

use super::claims::Claims;
use crate::protocol::person_rule::{PeopleRules, PersonRule};
use crate::protocol::scope::ScopeSet;
use crate::upstream::{NotAllowed, Remedy};

/// What is open to the person of whom `claims` speak.
///
/// # Errors
/// Why they may not enter, with the provider named by `label`.
pub(super) fn admit(
    rules: &PeopleRules,
    claims: &Claims,
    label: &str,
) -> Result<ScopeSet, Box<NotAllowed>> {
    if !rules.allow.iter().any(|rule| is_true(rule, claims)) {
        return Err(Box::new(refusal(&rules.allow, claims, label)));
    }
    let open = rules.roles.iter().filter(|(_, rules)| {
        let mut rules = rules.iter();
        rules.any(|rule| is_true(rule, claims))
    });
    Ok(open.map(|(scope, _)| scope.clone()).collect())
}

/// Whether a rule is true of a person. What this kind of provider cannot answer is true of nobody.
fn is_true(rule: &PersonRule, claims: &Claims) -> bool {
    match rule {
        PersonRule::Anyone => true,
        PersonRule::Id(id) => claims.subject() == id,
        PersonRule::Domain(domain) => claims.domain().as_ref() == Some(domain),
        PersonRule::Email(pattern) => claims
            .verified_email()
            .is_some_and(|address| pattern.matches(address)),
        PersonRule::Claim { name, value } => claims.says(name, value),
        // a login can be given up and taken by another, and organisations and teams are GitHub's
        PersonRule::Login(_) | PersonRule::Org(_) | PersonRule::Team { .. } => false,
    }
}

/// Why none of the rules is true. It says what the person lacks, and never who may enter.
fn refusal(allow: &[PersonRule], claims: &Claims, label: &str) -> NotAllowed {
    let account = claims.called();
    let mut reasons: Vec<String> = Vec::new();
    for rule in allow {
        let reason = miss(rule, claims, label, &account);
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

fn miss(rule: &PersonRule, claims: &Claims, label: &str, account: &str) -> String {
    match rule {
        PersonRule::Domain(_) => match claims.domain() {
            Some(_) => {
                format!("{account} belongs to an organisation that may not sign in here.")
            }
            None => format!("{label} does not say that {account} belongs to an organisation."),
        },
        PersonRule::Email(_) => match (claims.email(), claims.verified_email()) {
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
    use crate::protocol::email_pattern::EmailPattern;
    use crate::protocol::scope::Scope;
    use crate::upstream::oidc::claims::Source;

    fn claims(signed: &Value) -> Claims {
        let signed = serde_json::from_value(signed.clone());
        Claims::new(signed.unwrap(), None, Source::Signed)
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
            assert_eq!(is_true(&rule, &claims(&person)), holds, "{rule} {person}");
        }
    }

    #[test]
    fn a_scope_of_a_role_is_open_to_whom_one_of_its_rules_is_true_of() {
        let scope = |name: &str| Scope::parse(name).unwrap();
        let rules = PeopleRules {
            allow: vec![domain(), PersonRule::Id("9".to_owned())],
            roles: vec![
                (
                    scope("admin"),
                    vec![PersonRule::Id("7".to_owned()), claim("groups", "admins")],
                ),
                (scope("nobody"), Vec::new()),
            ],
        };
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
            let admitted = admit(&rules, &claims(&person), "Acme").ok();
            let opens = opens.map(str::to_owned);
            assert_eq!(admitted.map(|scopes| scopes.to_string()), opens, "{person}");
        }
    }

    fn refused(allow: Vec<PersonRule>, person: &Value) -> NotAllowed {
        let rules = PeopleRules {
            allow,
            roles: Vec::new(),
        };
        *admit(&rules, &claims(person), "Acme").unwrap_err()
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
