//! Who calls, as the sample server sees it: from the gate in this process, or from what an anteroom before it says in
//! headers, or in the environment of a child.

use http::HeaderMap;
use http::request::Parts;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::protocol::principal::Principal;

/// Whoever calls.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Person {
    subject: String,
    login: Option<String>,
    name: Option<String>,
    verified_email: Option<String>,
    client_id: Option<String>,
    scopes: Vec<String>,
}

impl Person {
    /// Who sent a request; none: nobody says so. Where there is a gate in this process, headers count for nothing.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        match Principal::of(parts) {
            Ok(principal) => Some(Self::signed_in(principal)),
            Err(_) => Self::in_headers(&parts.headers),
        }
    }

    fn signed_in(principal: &Principal) -> Self {
        let identity = principal.identity();
        Self {
            subject: identity.subject.as_str().to_owned(),
            login: identity.login.clone(),
            name: identity.name.clone(),
            verified_email: identity.verified_email.clone(),
            client_id: Some(principal.client_id.as_str().to_owned()),
            scopes: principal.scopes.iter().map(ToString::to_string).collect(),
        }
    }

    /// What an anteroom in a process of its own says. Whoever reaches this server past it can say the same.
    fn in_headers(headers: &HeaderMap) -> Option<Self> {
        let told = |name| decoded(headers.get(name)?.to_str().ok()?);
        Some(Self {
            subject: told("x-anteroom-user")?,
            login: told("x-anteroom-login"),
            name: told("x-anteroom-name"),
            verified_email: told("x-anteroom-email"),
            client_id: told("x-anteroom-client"),
            scopes: told("x-anteroom-scopes")
                .map(|scopes| scopes.split(' ').map(str::to_owned).collect())
                .unwrap_or_default(),
        })
    }

    /// Whose child this process is, as an anteroom has told it in its environment.
    pub(super) fn of_process() -> Option<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "these are no settings: they tell a child whose child it is"
        )]
        let told = |variable| std::env::var(variable).ok();
        Some(Self {
            subject: told("ANTEROOM_USER")?,
            login: told("ANTEROOM_LOGIN"),
            name: told("ANTEROOM_NAME"),
            verified_email: told("ANTEROOM_EMAIL"),
            client_id: None,
            scopes: Vec::new(),
        })
    }

    /// In lines.
    pub(super) fn text(&self) -> String {
        let line = |label: &str, value: Option<&String>| {
            let value = value.map_or("none", String::as_str);
            format!("{label}: {value}")
        };
        [
            line("subject", Some(&self.subject)),
            line("login", self.login.as_ref()),
            line("name", self.name.as_ref()),
            line("verified e-mail", self.verified_email.as_ref()),
            line("client", self.client_id.as_ref()),
            line("scopes", Some(&self.scopes.join(" "))),
        ]
        .join("\n")
    }

    /// As structured content.
    pub(super) fn json(&self) -> Value {
        json!({
            "signed_in": true,
            "subject": self.subject,
            "login": self.login,
            "name": self.name,
            "verified_email": self.verified_email,
            "client_id": self.client_id,
            "scopes": self.scopes,
        })
    }
}

/// Percent-encoded UTF-8: a form of one value, in which `+` and `&` stand for themselves.
fn decoded(value: &str) -> Option<String> {
    let form = format!("={}", value.replace('+', "%2B").replace('&', "%26"));
    let (_, value) = form_urlencoded::parse(form.as_bytes()).next()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;

    use super::*;
    use crate::clock::UnixTime;
    use crate::protocol::identity::Identity;
    use crate::protocol::ids::{ClientId, Id, ProviderId, Subject};
    use crate::protocol::principal::Standing;
    use crate::protocol::scope::ScopeSet;

    fn mona() -> Principal {
        let identity = Identity {
            subject: Subject::at(&ProviderId::new("github"), "1"),
            login: Some("mona".to_owned()),
            name: Some("Mona Lísa".to_owned()),
            verified_email: None,
        };
        let client = ClientId::new("inspector");
        let session = Id::new(UnixTime(0));
        Principal {
            standing: Arc::new(Standing::new(session, client.clone(), identity)),
            client_id: client,
            scopes: ScopeSet::parse("mcp:tools:read mcp:tools:execute").unwrap(),
        }
    }

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/mcp");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const HEADERS: [(&str, &str); 5] = [
        ("x-anteroom-user", "github:1"),
        ("x-anteroom-login", "mona"),
        ("x-anteroom-name", "Mona L%C3%ADsa"),
        ("x-anteroom-client", "inspector"),
        ("x-anteroom-scopes", "mcp:tools:execute mcp:tools:read"),
    ];

    #[test]
    fn the_same_person_is_seen_from_the_gate_and_from_headers() {
        let mut gated = parts(&[]);
        gated.extensions.insert(Arc::new(mona()));
        let person = Person::of(&gated).unwrap();
        assert_eq!(
            person.text(),
            "subject: github:1\nlogin: mona\nname: Mona Lísa\nverified e-mail: none\nclient: inspector\n\
             scopes: mcp:tools:execute mcp:tools:read"
        );
        assert_eq!(person.json()["subject"], "github:1");
        assert_eq!(Person::of(&parts(&HEADERS)), Some(person));
        assert_eq!(Person::of(&parts(&[])), None);
    }

    /// P6
    #[test]
    fn where_a_gate_says_who_calls_headers_count_for_nothing() {
        let mut forged = parts(&[("x-anteroom-user", "github:2")]);
        forged.extensions.insert(Arc::new(mona()));
        assert_eq!(Person::of(&forged).unwrap().subject, "github:1");
    }

    #[test]
    fn a_value_of_a_header_is_read_as_it_was_written() {
        for (value, text) in [
            ("a b+c&d=e;f", "a b+c&d=e;f"),
            ("100%25", "100%"),
            ("%2B%26", "+&"),
            ("", ""),
        ] {
            assert_eq!(decoded(value).as_deref(), Some(text));
        }
    }
}
