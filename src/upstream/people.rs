//! Who may enter by way of an `OpenID` provider, and what is open to them; and, for who may not, why and what they can
//! do.

use super::oidc_claims::Claims;
use super::{NotAllowed, Remedy};
use crate::protocol::person_rule::{PeopleRules, PersonRule};
use crate::protocol::scope::ScopeSet;

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
