//! How far one token reaches: the policy, as it stands to the scopes that are held.

use super::message::Call;
use super::revision::{self, Era};
use super::scope_policy::{Need, ScopePolicy, literals};
use crate::protocol::principal::Principal;
use crate::protocol::scope::Scope;

/// What is open to one principal.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// Which scope opens what.
    pub policy: &'a ScopePolicy,
    /// Who calls.
    pub principal: &'a Principal,
}

/// What a method is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Nothing that has a name.
    Nothing,
    /// A tool, a prompt, a task.
    Name(&'a str),
    /// A resource.
    Uri(&'a str),
    /// The resources of a template (RFC 6570): one of them at least.
    Template(&'a str),
    /// All resources of a template.
    EveryUri(&'a str),
}

impl<'a> Reach<'a> {
    /// Whether a call of `method` about `subject` would be admitted.
    #[must_use]
    pub fn opens(&self, method: &str, subject: Subject<'_>) -> bool {
        self.grants_all(method, subject) && !self.is_unclear(method, subject)
    }

    /// Whether it would, if what it is about could be read in one way alone.
    #[must_use]
    pub fn opens_one_reading(&self, method: &str, subject: Subject<'_>) -> bool {
        self.grants_all(method, subject) && self.is_unclear(method, subject)
    }

    /// Whether a call of `method` would be admitted whatever it is about.
    #[must_use]
    pub fn opens_every_name(&self, method: &str) -> bool {
        self.policy.opens_every_name(method, &self.principal.scopes)
    }

    /// Whether scopes open some names alone to this token, and what is called could be read as another name than the one
    /// judged.
    #[must_use]
    pub fn is_ambiguous(&self, call: &Call<'_>) -> bool {
        operations(call).any(|(method, subject)| self.is_unclear(method, subject))
    }

    /// What is lacking for a call; none: nobody serves the method.
    #[must_use]
    pub fn lacking_scopes(&self, era: Era, call: &Call<'_>) -> Option<Vec<&'a Scope>> {
        if revision::is_removed(era, &call.method) {
            return None;
        }
        let mut lacking = Vec::new();
        let needs = operations(call).flat_map(|(method, subject)| self.needs(method, subject));
        for need in needs {
            match need {
                Need::Unknown => return None,
                need if self.grants(&need) => {}
                Need::Open => {}
                // one that the person and the client can get, where there is one
                Need::AnyOf(scopes) => {
                    let withheld = &self.principal.standing.withheld;
                    let mut open = scopes.iter().filter(|scope| !withheld.contains(scope));
                    lacking.extend(open.next().or(scopes.first()));
                }
            }
        }
        Some(lacking)
    }

    /// All that has to be granted.
    fn needs(&self, method: &str, subject: Subject<'_>) -> Vec<Need<'a>> {
        let need = match subject {
            Subject::Nothing => self.policy.needed(method, None),
            Subject::Name(name) | Subject::Uri(name) => self.policy.needed(method, Some(name)),
            Subject::Template(template) => self.policy.needed_by_template(method, template),
            Subject::EveryUri(template) => {
                return self.policy.needed_by_every_uri(method, template);
            }
        };
        vec![need]
    }

    fn grants_all(&self, method: &str, subject: Subject<'_>) -> bool {
        let needs = self.needs(method, subject);
        needs.iter().all(|need| self.grants(need))
    }

    fn grants(&self, need: &Need<'_>) -> bool {
        match need {
            Need::Open => true,
            Need::AnyOf(scopes) => {
                let held = &self.principal.scopes;
                scopes.iter().any(|scope| held.contains(scope))
            }
            Need::Unknown => false,
        }
    }

    fn is_unclear(&self, method: &str, subject: Subject<'_>) -> bool {
        self.policy.tells_names_apart(method)
            && !self.opens_every_name(method)
            && !match subject {
                Subject::Nothing => true,
                Subject::Name(name) => self.has_one_need(method, name),
                Subject::Uri(uri) => self.policy.has_one_reading(method, uri),
                // any URI of it stands for all: the literals are to be in their normal form
                Subject::Template(template) | Subject::EveryUri(template) => {
                    let uri = literals(template).join("x");
                    self.policy.has_one_reading(method, &uri)
                }
            }
    }

    /// Whether a server that cuts white space off a name serves nothing else than what is judged. Control characters end a
    /// name for some.
    fn has_one_need(&self, method: &str, name: &str) -> bool {
        let trimmed = name.trim();
        !name.chars().any(char::is_control)
            && (trimmed == name
                || self.policy.needed(method, Some(trimmed))
                    == self.policy.needed(method, Some(name)))
    }
}

/// Each method that a call amounts to, with what it is about.
fn operations<'a>(call: &'a Call<'_>) -> impl Iterator<Item = (&'a str, Subject<'a>)> {
    let method = &*call.method;
    let subject = match call.name.as_deref() {
        Some(uri) if method.starts_with("resources/") => Subject::Uri(uri),
        Some(name) => Subject::Name(name),
        None => Subject::Nothing,
    };
    // What completes the arguments of a prompt or template, or tells of a resource's changes, is as closed as the thing itself.
    let thing = match (method, call.name.as_deref()) {
        ("completion/complete", Some(uri)) if call.completes_uri => {
            // values are completed for all URIs, whichever is meant
            Some(("resources/read", Subject::EveryUri(uri)))
        }
        ("completion/complete", Some(name)) => Some(("prompts/get", Subject::Name(name))),
        ("resources/subscribe", Some(uri)) => Some(("resources/read", Subject::Uri(uri))),
        _ => None,
    };
    // A wish to hear of a resource is a subscription, whatever the revision calls it.
    let listens = method == "subscriptions/listen";
    let heard = call.subscribed.iter().filter(move |_| listens);
    let heard = heard.flat_map(|uri| {
        let uri = Subject::Uri(uri);
        [("resources/subscribe", uri), ("resources/read", uri)]
    });
    std::iter::once((method, subject)).chain(thing).chain(heard)
}
