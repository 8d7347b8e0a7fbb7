//! What an `OpenID` provider says about a person, and how much of it is believed (`OpenID` Connect Core 1.0 §5.1).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::protocol::identity::Identity;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::plain_name::plain_name;

/// What is said about one person: by an ID token, and at the userinfo endpoint.
pub(super) struct Claims {
    /// Verified claims of an ID token.
    signed: Map<String, Value>,
    /// Those of them that do not count any more.
    outdated: BTreeSet<String>,
    /// What the userinfo endpoint says.
    said: Map<String, Value>,
    /// Whom to ask, one after the other.
    order: [Source; 2],
}

/// Where a claim comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The ID token.
    Signed,
    /// The userinfo endpoint.
    Said,
}

impl Claims {
    /// What both say now. Where they differ, the ID token is believed.
    pub(super) fn of_now(signed: Map<String, Value>, said: Option<Map<String, Value>>) -> Self {
        Self {
            signed,
            outdated: BTreeSet::new(),
            said: said.unwrap_or_default(),
            order: [Source::Signed, Source::Said],
        }
    }

    /// What is said now, and what was signed before where that is the only word there is: of what userinfo has `told` once, it
    /// is the one to say that it is no longer so. Many providers leave out what is empty.
    pub(super) fn since(
        signed: Map<String, Value>,
        told: BTreeSet<String>,
        said: Map<String, Value>,
    ) -> Self {
        Self {
            signed,
            outdated: told,
            said,
            order: [Source::Said, Source::Signed],
        }
    }

    /// `sub`
    pub(super) fn subject(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    /// The person, with nothing that was not verified or could play tricks where it is shown.
    pub(super) fn identity(&self, provider: &ProviderId) -> Identity {
        Identity {
            // CONS-20: `sub` stays, while a name or an address can be given up and taken by another
            subject: Subject::at(provider, self.subject()),
            login: self.login(),
            name: self.text("name").and_then(|name| plain_name(name, 200)),
            verified_email: self.verified_email().map(str::to_owned),
        }
    }

    /// What the person is called in words for them.
    pub(super) fn called(&self) -> String {
        let names = ["email", "preferred_username", "name"].into_iter();
        let mut names = names.filter_map(|name| plain_name(self.text(name)?, 200));
        names.next().unwrap_or_else(|| self.subject().to_owned())
    }

    /// `email`, whether or not it is verified.
    pub(super) fn email(&self) -> Option<&str> {
        self.text("email").filter(|address| is_plain(address))
    }

    /// `email`, if the provider says that it is verified (U8). A word about one address says nothing about another: ID token
    /// and userinfo are not mixed.
    pub(super) fn verified_email(&self) -> Option<&str> {
        let email = self.email()?;
        let mut verified = self.order.into_iter().filter_map(|source| {
            let all = match source {
                Source::Signed => &self.signed,
                Source::Said => &self.said,
            };
            let speaks_of_it = all.get("email").and_then(Value::as_str) == Some(email);
            let verified = self.word_of(source, "email_verified");
            verified.filter(|_| speaks_of_it)
        });
        let is_verified = verified.next().is_some_and(|verified| match verified {
            Value::Bool(verified) => *verified,
            Value::String(text) => text == "true",
            _ => false,
        });
        is_verified.then_some(email)
    }

    /// `hd`: the domain that the account belongs to, if it is signed.
    pub(super) fn domain(&self) -> Option<String> {
        let domain = self.signed.get("hd")?.as_str()?;
        Some(domain.to_ascii_lowercase())
    }

    /// Whether anything is said under this name, or under this path where there is no such name. Who says anything under the
    /// first step of a path says all that there is under it.
    pub(super) fn claim(&self, name: &str) -> Option<&Value> {
        self.get(name).or_else(|| {
            let mut steps = name.split('.');
            let outer = self.get(steps.next()?)?;
            steps.try_fold(outer, |value, step| value.as_object()?.get(step))
        })
    }

    /// Whether a claim is `value`, or a list that holds it. What has a rule of its own is not believed by way of this one:
    /// an address must be verified, and `hd` signed.
    pub(super) fn says(&self, name: &str, value: &str) -> bool {
        match name {
            "email" => self.verified_email() == Some(value),
            "hd" => self.signed.get("hd").and_then(Value::as_str) == Some(value),
            _ => match self.claim(name) {
                Some(Value::String(text)) => text == value,
                Some(Value::Array(list)) => list.iter().any(|entry| entry.as_str() == Some(value)),
                _ => false,
            },
        }
    }

    fn login(&self) -> Option<String> {
        let login = self.text("preferred_username")?;
        let plain =
            (1..=100).contains(&login.len()) && login.bytes().all(|byte| byte.is_ascii_graphic());
        plain.then(|| login.to_owned())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let mut sources = self.order.into_iter();
        sources.find_map(|source| self.word_of(source, name))
    }

    fn word_of(&self, source: Source, name: &str) -> Option<&Value> {
        match source {
            Source::Signed => self
                .signed
                .get(name)
                .filter(|_| !self.outdated.contains(name)),
            Source::Said => self.said.get(name),
        }
    }
}

/// Whether an address is one word of letters that show and do not move or hide what stands around them.
fn is_plain(address: &str) -> bool {
    !address.contains(char::is_whitespace)
        && plain_name(address, LONGEST_ADDRESS).as_deref() == Some(address)
}

/// RFC 5321 §4.5.3.1: a local part, an `@` and a domain.
const LONGEST_ADDRESS: usize = 320;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn claims(signed: Value, said: Value) -> Claims {
        Claims::of_now(map(signed), Some(map(said)))
    }

    fn since(signed: Value, told: &[&str], said: Value) -> Claims {
        let told = told.iter().map(|name| (*name).to_owned()).collect();
        Claims::since(map(signed), told, map(said))
    }

    /// CONS-27
    #[test]
    fn what_userinfo_said_once_and_says_no_longer_is_not_so_any_more() {
        let flat = json!({"groups": ["admin"]});
        let roles = json!({"realm_access": {"roles": ["admin"]}});
        let clients = json!({"realm_access": {"other": ["admin"]}});
        for (signed, told, said, name, holds) in [
            (&flat, &["groups"][..], json!({}), "groups", false),
            (&flat, &[], json!({}), "groups", true),
            (&flat, &[], json!({"groups": []}), "groups", false),
            (&flat, &["groups"], flat.clone(), "groups", true),
            (&json!({}), &["groups"], flat.clone(), "groups", true),
            (
                &roles,
                &["realm_access"],
                json!({}),
                "realm_access.roles",
                false,
            ),
            (&roles, &[], json!({}), "realm_access.roles", true),
            (
                &roles,
                &[],
                json!({"realm_access": {}}),
                "realm_access.roles",
                false,
            ),
            (&roles, &[], clients.clone(), "realm_access.roles", false),
        ] {
            let claims = since(signed.clone(), told, said.clone());
            assert_eq!(
                claims.says(name, "admin"),
                holds,
                "{signed} {told:?} {said}"
            );
        }
        // at a sign-in too, one source is not filled up from the other
        assert!(!claims(clients, roles).says("realm_access.roles", "admin"));
    }

    /// U8
    #[test]
    fn an_address_that_userinfo_takes_back_is_not_that_of_the_person_any_more() {
        let mona = json!("mona@acme.com");
        let verified = json!({"email": mona, "email_verified": true});
        let bare = json!({"email": mona});
        let other = json!({"email": "mona@evil.com"});
        let both = &["email", "email_verified"][..];
        for (told, said, holds) in [
            (both, json!({}), false),
            (both, bare.clone(), false),
            (both, verified.clone(), true),
            (&["email"], json!({}), false),
            (&["email"], other.clone(), false),
            (&["email"], bare, true),
            (&[], json!({}), true),
            (&[], other, false),
        ] {
            let claims = since(verified.clone(), told, said.clone());
            assert_eq!(claims.verified_email().is_some(), holds, "{told:?} {said}");
        }
    }

    /// U8
    #[test]
    fn an_address_counts_only_if_who_tells_it_says_that_it_is_verified() {
        let mona = json!("mona@acme.com");
        let told = |verified: Value| json!({"email": mona, "email_verified": verified});
        let other = json!({"email": "mona@evil.com", "email_verified": true});
        for (signed, said, verified) in [
            (told(json!(true)), json!({}), true),
            (told(json!("true")), json!({}), true),
            (json!({}), told(json!(true)), true),
            (json!({"email": mona}), told(json!(true)), true),
            (told(json!(true)), other.clone(), true),
            (json!({"email": mona}), json!({}), false),
            (told(json!(false)), json!({}), false),
            (told(json!(false)), told(json!(true)), false),
            (told(json!("false")), json!({}), false),
            (told(json!("True")), json!({}), false),
            (told(json!(1)), json!({}), false),
            (told(json!([true])), json!({}), false),
            (told(json!(null)), json!({}), false),
            // a word about another address, or about none
            (json!({"email": mona}), other, false),
            (
                json!({"email": mona}),
                json!({"email_verified": true}),
                false,
            ),
            (
                json!({"email_verified": true}),
                json!({"email": mona}),
                false,
            ),
        ] {
            let claims = claims(signed.clone(), said.clone());
            let found = claims.verified_email().is_some();
            assert_eq!(found, verified, "{signed} {said}");
            assert_eq!(
                claims.says("email", "mona@acme.com"),
                verified,
                "{signed} {said}"
            );
        }
        for address in [
            "",
            "a b@acme.com",
            "mona@acme.com\n",
            "mona@acme.com\u{2028}",
            "mona@acme.com\u{202e}",
        ] {
            let claims = claims(json!({"email": address, "email_verified": true}), json!({}));
            assert_eq!(claims.verified_email(), None, "{address:?}");
        }
    }

    #[test]
    fn a_domain_is_a_signed_one() {
        for (signed, said, domain) in [
            (json!({"hd": "acme.com"}), json!({}), Some("acme.com")),
            (json!({"hd": "Acme.COM"}), json!({}), Some("acme.com")),
            (json!({}), json!({"hd": "acme.com"}), None),
            (
                json!({"hd": "evil.com"}),
                json!({"hd": "acme.com"}),
                Some("evil.com"),
            ),
            (json!({"hd": ["acme.com"]}), json!({}), None),
        ] {
            for claims in [
                claims(signed.clone(), said.clone()),
                since(signed.clone(), &["hd"], said.clone()),
            ] {
                assert_eq!(claims.domain().as_deref(), domain, "{signed} {said}");
                let says = signed["hd"] == "acme.com";
                assert_eq!(claims.says("hd", "acme.com"), says, "{signed} {said}");
            }
        }
    }

    #[test]
    fn a_claim_is_a_text_or_a_list_that_holds_it() {
        let roles = json!({"realm_access": {"roles": ["admin"]}});
        for (signed, said, name, holds) in [
            (json!({"groups": "admin"}), json!({}), "groups", true),
            (json!({"groups": ["a", "admin"]}), json!({}), "groups", true),
            (json!({}), json!({"groups": ["admin"]}), "groups", true),
            (json!({"groups": "Admin"}), json!({}), "groups", false),
            (json!({"groups": "admins"}), json!({}), "groups", false),
            (json!({"groups": "a admin"}), json!({}), "groups", false),
            (json!({"groups": [["admin"]]}), json!({}), "groups", false),
            (
                json!({"groups": {"admin": true}}),
                json!({}),
                "groups",
                false,
            ),
            (
                json!({"groups": []}),
                json!({"groups": ["admin"]}),
                "groups",
                false,
            ),
            (
                json!({"groups": null}),
                json!({"groups": ["admin"]}),
                "groups",
                false,
            ),
            (json!({}), json!({}), "groups", false),
            (roles.clone(), json!({}), "realm_access.roles", true),
            (json!({}), roles.clone(), "realm_access.roles", true),
            (
                roles.clone(),
                json!({"realm_access.roles": []}),
                "realm_access.roles",
                false,
            ),
            (roles.clone(), json!({}), "realm_access.roles.admin", false),
            (roles.clone(), json!({}), "realm_access", false),
            (
                json!({"https://acme.com/roles": ["admin"]}),
                json!({}),
                "https://acme.com/roles",
                true,
            ),
        ] {
            let claims = claims(signed.clone(), said.clone());
            assert_eq!(
                claims.says(name, "admin"),
                holds,
                "{name} in {signed} {said}"
            );
        }
    }

    /// CONS-20
    #[test]
    fn a_person_is_shown_without_tricks() {
        let provider = ProviderId::new("acme");
        for (said, login, name) in [
            (
                json!({"preferred_username": "mona", "name": "Mona"}),
                Some("mona"),
                Some("Mona"),
            ),
            (json!({"preferred_username": "mona lisa"}), None, None),
            (json!({"preferred_username": "mo\r\nna"}), None, None),
            (json!({"preferred_username": "möna"}), None, None),
            (json!({"preferred_username": "x".repeat(101)}), None, None),
            (json!({"preferred_username": ""}), None, None),
            (
                json!({"name": "A\r\nX-B: c\u{202e}"}),
                None,
                Some("A X-B: c"),
            ),
            (json!({"name": "\u{0}"}), None, None),
            (json!({"name": 7}), None, None),
        ] {
            let identity = claims(json!({"sub": "7"}), said.clone()).identity(&provider);
            assert_eq!(identity.subject.as_str(), "acme:7");
            assert_eq!(identity.login.as_deref(), login, "{said}");
            assert_eq!(identity.name.as_deref(), name, "{said}");
        }
    }
}
