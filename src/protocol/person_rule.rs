//! Rules about people: who may enter by way of a provider, and to whom a scope is open.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::email_pattern::EmailPattern;
use super::scope::{Scope, ScopeSet};

/// Something that is true of some people at a provider. Which rules a provider can answer depends on its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum PersonRule {
    /// Everybody with an account.
    Anyone,
    /// The account of this identifier, which nobody can take over: GitHub's number, the `sub` of `OpenID` Connect.
    Id(String),
    /// The account that has this name now.
    Login(String),
    /// Members of this organisation.
    Org(String),
    /// Members of this team.
    Team {
        /// The organisation that it is in.
        org: String,
        /// Its name in URLs.
        slug: String,
    },
    /// Accounts that the provider has signed to be of this domain (`hd`), in lower case.
    Domain(String),
    /// Accounts whose address, verified by the provider, is one of these.
    Email(EmailPattern),
    /// Accounts of which the provider says this: the claim is this text, or a list that holds it.
    Claim {
        /// The name of the claim.
        name: String,
        /// The text.
        value: String,
    },
}

/// As in `scope_policy.roles`, behind the provider's name: `team:acme/platform`.
impl fmt::Display for PersonRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Id(id) => write!(f, "user:id:{id}"),
            Self::Login(login) => write!(f, "user:{login}"),
            Self::Org(org) => write!(f, "org:{org}"),
            Self::Team { org, slug } => write!(f, "team:{org}/{slug}"),
            Self::Domain(domain) => write!(f, "domain:{domain}"),
            Self::Email(pattern) => write!(f, "email:{pattern}"),
            Self::Claim { name, value } => write!(f, "claim:{name}={value}"),
        }
    }
}

/// What is decided about people at one provider.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PeopleRules {
    /// Whose word on people it is: where the provider is, and who we are there. People of one are not those of another, even
    /// where the provider's name in the configuration stays the same.
    pub realm: String,
    /// Who may enter: whoever one of these is true of.
    pub allow: Vec<PersonRule>,
    /// Scopes that are not for everybody, each with those at this provider to whom it is open. A scope that is open to
    /// nobody here is listed too, with no rule.
    pub roles: Vec<(Scope, Vec<PersonRule>)>,
}

impl PeopleRules {
    /// Differs wherever the rules do. What was found out under other rules is not good any more.
    #[must_use]
    pub fn mark(&self) -> [u8; 32] {
        // text, lists and names alone: there is nothing in it that JSON cannot hold
        Sha256::digest(serde_json::to_vec(self).unwrap_or_default()).into()
    }

    /// Every rule, those of the roles too.
    pub fn all(&self) -> impl Iterator<Item = &PersonRule> {
        let roles = self.roles.iter().flat_map(|(_, rules)| rules);
        self.allow.iter().chain(roles)
    }

    /// The scopes that are not for everybody.
    #[must_use]
    pub fn reserved(&self) -> ScopeSet {
        self.roles.iter().map(|(scope, _)| scope.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_differs_where_rules_or_the_realm_do() {
        let of = |realm: &str, allow: &[PersonRule]| {
            let rules = PeopleRules {
                realm: realm.to_owned(),
                allow: allow.to_vec(),
                roles: Vec::new(),
            };
            rules.mark()
        };
        let here = of("https://a.example anteroom", &[PersonRule::Anyone]);
        assert_eq!(
            here,
            of("https://a.example anteroom", &[PersonRule::Anyone])
        );
        assert_ne!(
            here,
            of("https://b.example anteroom", &[PersonRule::Anyone])
        );
        assert_ne!(here, of("https://a.example another", &[PersonRule::Anyone]));
        assert_ne!(here, of("https://a.example anteroom", &[]));
    }
}
