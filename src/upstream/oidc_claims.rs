//! What an `OpenID` provider says about a person, and how much of it is believed (`OpenID` Connect Core 1.0 §5.1).

use serde_json::{Map, Value};

use crate::protocol::identity::Identity;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::plain_name::plain_name;

/// What is said about one person: by an ID token, and at the userinfo endpoint.
pub(super) struct Claims {
    /// Verified claims of an ID token.
    signed: Map<String, Value>,
    /// What the userinfo endpoint says.
    said: Map<String, Value>,
    /// Which of the two is believed where they differ.
    first: Source,
}

/// Where a claim comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The ID token.
    Signed,
    /// The userinfo endpoint.
    Said,
}

impl Claims {
    /// What both say. Where they differ, `first` is believed: the ID token if it is of now, else what was said just now.
    pub(super) fn new(
        signed: Map<String, Value>,
        said: Option<Map<String, Value>>,
        first: Source,
    ) -> Self {
        Self {
            signed,
            said: said.unwrap_or_default(),
            first,
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
        self.text("email").filter(|address| is_one_word(address))
    }

    /// `email`, if the provider says that it is verified (U8). A word about one address says nothing about another: ID token
    /// and userinfo are not mixed.
    pub(super) fn verified_email(&self) -> Option<&str> {
        let email = self.email()?;
        let mut verified = self.sources().into_iter().filter_map(|source| {
            let speaks_of_it = source.get("email").and_then(Value::as_str) == Some(email);
            source.get("email_verified").filter(|_| speaks_of_it)
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

    /// Whether anything is said under this name, or under this path where there is no such name.
    pub(super) fn claim(&self, name: &str) -> Option<&Value> {
        self.get(name).or_else(|| {
            let mut sources = self.sources().into_iter();
            sources.find_map(|source| nested(source, name))
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
        let said = |source: &'_ Map<String, Value>| source.contains_key(name);
        let source = self.sources().into_iter().find(|source| said(source))?;
        source.get(name)
    }

    fn sources(&self) -> [&Map<String, Value>; 2] {
        match self.first {
            Source::Signed => [&self.signed, &self.said],
            Source::Said => [&self.said, &self.signed],
        }
    }
}

/// `realm_access.roles` in `{"realm_access": {"roles": [...]}}`
fn nested<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let outer = claims.get(steps.next()?)?;
    steps.try_fold(outer, |value, step| value.as_object()?.get(step))
}

fn is_one_word(address: &str) -> bool {
    let breaks = |letter: char| letter.is_control() || letter.is_whitespace();
    (3..=320).contains(&address.len()) && !address.contains(breaks)
}
