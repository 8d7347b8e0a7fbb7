//! What a child finds in its environment: what is configured, who its person is, and nothing of ours.

use crate::protocol::identity::Identity;
use crate::secret::Secret;

use super::settings::ChildSettings;

/// Variables, in the order in which they are set.
pub(super) type Variables = Vec<(String, Secret)>;

/// Whom a child belongs to, as it is told.
pub(super) struct Person<'a> {
    pub(super) identity: &'a Identity,
    pub(super) token: Option<Secret>,
}

/// The whole environment of a child; `person` is none for a shared one.
///
/// # Errors
/// Where the person's identifier cannot stand in a variable as it is: another one must not be told in its place.
pub(super) fn environment(
    settings: &ChildSettings,
    person: Option<Person<'_>>,
) -> Result<Variables, Unspeakable> {
    let mut variables: Variables = Vec::new();
    if let Some(path) = path() {
        variables.push(("PATH".to_owned(), Secret::new(path)));
    }
    variables.extend(settings.environment.iter().cloned());
    let Some(person) = person else {
        return Ok(variables);
    };
    if settings.headers {
        // what the provider does not say must not come from anywhere else
        variables.retain(|(name, _)| !TOLD.contains(&name.as_str()));
        variables.extend(told(person.identity)?);
    }
    if let (Some(name), Some(token)) = (&settings.upstream_token, person.token) {
        variables.push((name.clone(), token));
    }
    Ok(variables)
}

/// The identifier of the person has control characters.
#[derive(Debug)]
pub(super) struct Unspeakable;

/// The variables that tell who the person is.
const TOLD: [&str; 4] = [
    "ANTEROOM_USER",
    "ANTEROOM_LOGIN",
    "ANTEROOM_EMAIL",
    "ANTEROOM_NAME",
];

fn told(identity: &Identity) -> Result<Variables, Unspeakable> {
    let subject = identity.subject.as_str();
    if !is_plain(subject) {
        return Err(Unspeakable);
    }
    let values = [
        Some(subject),
        identity.login.as_deref(),
        identity.verified_email.as_deref(),
        identity.name.as_deref(),
    ];
    let told = TOLD.into_iter().zip(values);
    let told = told.filter_map(|(name, value)| Some((name, value.filter(|text| is_plain(text))?)));
    Ok(told
        .map(|(name, value)| (name.to_owned(), Secret::new(value)))
        .collect())
}

/// Whether whoever reads it line by line, or up to a NUL, reads all of it.
fn is_plain(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// Where programs are found: ours, since the child's interpreters are found there as well.
fn path() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "PATH is no setting of ours: it says where this machine has its programs"
    )]
    std::env::var("PATH").ok()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;
    use crate::backend::stdio::settings::Sharing;
    use crate::protocol::ids::{ProviderId, Subject};

    fn settings(environment: &[(&str, &str)]) -> ChildSettings {
        let environment = environment.iter();
        let environment =
            environment.map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        ChildSettings {
            server: "example".to_owned(),
            words: vec!["true".to_owned()],
            environment: environment.collect(),
            in_clear: Vec::new(),
            directory: None,
            sharing: Sharing::PerPerson,
            idle: Duration::from_secs(60),
            children: NonZeroUsize::MIN,
            headers: true,
            upstream_token: Some("TOKEN".to_owned()),
        }
    }

    fn mona() -> Identity {
        Identity {
            subject: Subject::at(&ProviderId::new("github"), "1"),
            login: Some("mona".to_owned()),
            name: Some("Mona Lísa".to_owned()),
            verified_email: None,
        }
    }

    /// All but PATH.
    fn seen(settings: &ChildSettings, person: Option<Person<'_>>) -> Vec<String> {
        let variables = environment(settings, person).unwrap().into_iter();
        variables
            .filter(|(name, _)| name != "PATH")
            .map(|(name, value)| format!("{name}={}", value.expose()))
            .collect()
    }

    #[test]
    fn a_child_is_told_its_person_and_a_shared_one_nobody() {
        let settings = settings(&[("MODE", "fast"), ("ANTEROOM_EMAIL", "set@example.com")]);
        let token = Some(Secret::new("gho_1"));
        let identity = mona();
        let person = Person {
            identity: &identity,
            token,
        };
        assert_eq!(
            seen(&settings, Some(person)),
            [
                "MODE=fast",
                "ANTEROOM_USER=github:1",
                "ANTEROOM_LOGIN=mona",
                "ANTEROOM_NAME=Mona Lísa",
                "TOKEN=gho_1"
            ]
        );
        assert_eq!(
            seen(&settings, None),
            ["MODE=fast", "ANTEROOM_EMAIL=set@example.com"]
        );
    }

    #[test]
    fn a_name_cannot_break_out_of_its_variable() {
        for name in [
            "Mona\0ANTEROOM_USER=root",
            "Mona\nANTEROOM_USER=root",
            "\u{85}",
        ] {
            let identity = Identity {
                name: Some(name.to_owned()),
                ..mona()
            };
            let told = told(&identity).unwrap();
            let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["ANTEROOM_USER", "ANTEROOM_LOGIN"], "{name:?}");
        }
    }

    #[test]
    fn a_subject_is_told_as_it_is_or_not_at_all() {
        for account in ["1\0", "1\n2"] {
            let identity = Identity {
                subject: Subject::at(&ProviderId::new("corp"), account),
                ..mona()
            };
            assert!(told(&identity).is_err(), "{account:?}");
        }
    }
}
