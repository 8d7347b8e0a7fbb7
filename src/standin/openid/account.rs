//! The people of the stand-in's `OpenID` provider: each is there for a case.

use serde_json::{Map, Value, json};

/// Somebody with an account at the `OpenID` provider.
#[derive(Clone, Debug)]
pub struct Account {
    /// What they press on the page; `preferred_username`.
    pub login: String,
    /// What they are there for.
    pub about: &'static str,
    /// `sub`: never another's, and never another.
    pub sub: String,
    /// `name`
    pub name: Option<String>,
    /// `email`
    pub email: Option<String>,
    /// `email_verified`
    pub email_verified: bool,
    /// `groups`
    pub groups: Vec<String>,
    /// `hd`: the Google Workspace that the account belongs to.
    pub domain: Option<String>,
}

impl Account {
    /// What the provider says of them to whom they allowed `scopes` (`OpenID` Connect Core 1.0 §5.4), but for `sub`.
    pub(super) fn claims(&self, scopes: &[String]) -> Map<String, Value> {
        let has = |scope: &str| scopes.iter().any(|given| given == scope);
        let mut claims = Map::new();
        if has("profile") {
            claims.insert("preferred_username".to_owned(), json!(self.login));
            if let Some(name) = &self.name {
                claims.insert("name".to_owned(), json!(name));
            }
        }
        if let Some(email) = self.email.as_ref().filter(|_| has("email")) {
            claims.insert("email".to_owned(), json!(email));
            claims.insert("email_verified".to_owned(), json!(self.email_verified));
        }
        claims.insert("groups".to_owned(), json!(self.groups));
        if let Some(domain) = &self.domain {
            claims.insert("hd".to_owned(), json!(domain));
        }
        claims
    }
}

/// Everybody.
pub(super) fn all() -> Vec<Account> {
    vec![
        Account {
            name: Some("Mona Lísa".to_owned()),
            groups: vec!["mcp-users".to_owned(), "platform".to_owned()],
            domain: Some("example.com".to_owned()),
            ..account("mona", "in the groups mcp-users and platform", 1)
        },
        Account {
            name: Some("Octavia Ångström".to_owned()),
            domain: Some("example.com".to_owned()),
            ..account("octavia", "in no group", 2)
        },
        Account {
            email_verified: false,
            ..account("hubot", "no group, no verified e-mail address", 3)
        },
        Account {
            name: Some("Jürgen Weiß".to_owned()),
            groups: vec!["mcp-users-elsewhere".to_owned()],
            domain: Some("example.org".to_owned()),
            ..account("juergen", "of example.org; in mcp-users-elsewhere", 4)
        },
        Account {
            name: Some("王 Wanda".to_owned()),
            email: None,
            groups: (1..=60)
                .map(|number| format!("group-{number:02}"))
                .collect(),
            ..account("wanda", "in 60 groups, no e-mail address", 5)
        },
    ]
}

fn account(login: &str, about: &'static str, number: u32) -> Account {
    Account {
        login: login.to_owned(),
        about,
        // longer than any number that a double holds
        sub: format!("1076915035000615{number:05}"),
        name: None,
        email: Some(format!("{login}@example.com")),
        email_verified: true,
        groups: Vec::new(),
        domain: None,
    }
}
