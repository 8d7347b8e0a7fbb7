//! Why GitHub does not let somebody in here, and what they can do, in words for them.

use url::Url;

use super::GitHubSettings;
use super::account::Email;
use super::api::under;
use super::membership::{Group, Miss};
use crate::upstream::{NotAllowed, Remedy};

/// A refusal, rule by rule.
pub(super) struct Refused<'a> {
    settings: &'a GitHubSettings,
    told: NotAllowed,
}

impl<'a> Refused<'a> {
    /// Of the account `login`, for no reason yet.
    pub(super) fn new(settings: &'a GitHubSettings, login: &str) -> Self {
        let told = NotAllowed {
            account: login.to_owned(),
            reasons: Vec::new(),
            remedies: Vec::new(),
        };
        Self { settings, told }
    }

    /// The account is none of those that are listed.
    pub(super) fn not_listed(&mut self) {
        let login = &self.told.account;
        let reason = format!("{login} is not one of the accounts that may sign in here.");
        self.add(reason, []);
    }

    /// The address is none of those that may sign in, or is not known to be theirs.
    pub(super) fn by_email(&mut self, email: &Email) {
        let login = &self.told.account;
        let label = &self.settings.label;
        let settings = ["settings", "emails"];
        let (reason, remedy) = match email {
            Email::Verified(_) => (
                format!(
                    "The primary e-mail address of {login} is not one of those that may sign in here."
                ),
                self.remedy(
                    "If you have an address that may: make it the primary one, then sign in again.",
                    &settings,
                ),
            ),
            Email::Unverified => (
                format!("{label} has not verified the primary e-mail address of {login}."),
                self.remedy(
                    "Verify your primary e-mail address, then sign in again.",
                    &settings,
                ),
            ),
            Email::Hidden => (
                format!(
                    "{label} did not let this application see the e-mail address of {login} (user:email)."
                ),
                self.grant_all(),
            ),
        };
        self.add(reason, [remedy]);
    }

    /// The person is not in a group that may sign in, or cannot be told to be.
    pub(super) fn by_group(&mut self, group: Group<'_>, miss: &Miss) {
        let reason = self.reason(group, miss);
        let remedies = self.remedies(group, miss);
        self.add(reason, remedies);
    }

    /// The whole of it.
    pub(super) fn told(mut self) -> NotAllowed {
        if self.told.reasons.is_empty() {
            self.not_listed();
        }
        let label = &self.settings.label;
        let text = format!("Not the account you meant? Sign out of {label}, then try again.");
        let last = self.remedy(&text, &["logout"]);
        self.told.remedies.push(last);
        self.told
    }

    fn add(&mut self, reason: String, remedies: impl IntoIterator<Item = Remedy>) {
        if !self.told.reasons.contains(&reason) {
            self.told.reasons.push(reason);
        }
        for remedy in remedies {
            if !self.told.remedies.contains(&remedy) {
                self.told.remedies.push(remedy);
            }
        }
    }

    fn reason(&self, group: Group<'_>, miss: &Miss) -> String {
        let login = &self.told.account;
        let label = &self.settings.label;
        let org = group.org;
        let group = match group.team {
            None => format!("the organisation {org}"),
            Some(slug) => format!("the team {org}/{slug}"),
        };
        match miss {
            Miss::NotMember => format!("{login} is not a member of {group}."),
            Miss::Pending => format!("{login} is invited to {group}, but has not accepted yet."),
            Miss::NotApproved => format!(
                "The organisation {org} shows its members only to applications it has approved, and has not approved \
                 this one."
            ),
            Miss::SingleSignOn(_) => format!(
                "The organisation {org} asks for its single sign-on before it shows its members, and this sign-in \
                 was without."
            ),
            Miss::Address => format!(
                "The organisation {org} shows its members only to network addresses it has listed, and the one of \
                 this server is not among them."
            ),
            Miss::NoRight => format!(
                "{label} did not let this application see the organisations of {login} (read:org), so that it cannot \
                 tell whether {login} is a member of {group}."
            ),
            Miss::NotShown => {
                format!(
                    "{label} does not show this application that {login} is a member of {group}."
                )
            }
        }
    }

    fn remedies(&self, group: Group<'_>, miss: &Miss) -> Vec<Remedy> {
        let org = group.org;
        match miss {
            Miss::NotMember => vec![match group.team {
                None => self.remedy(
                    &format!("Ask an owner of {org} to invite you."),
                    &["orgs", org, "people"],
                ),
                Some(slug) => self.remedy(
                    &format!("Ask a maintainer of {org}/{slug} to add you."),
                    &["orgs", org, "teams", slug],
                ),
            }],
            Miss::Pending => vec![self.remedy(
                &format!("Accept the invitation to {org}, then sign in again."),
                &["orgs", org, "invitation"],
            )],
            Miss::NotApproved => vec![
                self.remedy(
                    &format!("Ask for the approval of {org}: choose “Request” beside its name."),
                    &self.application(),
                ),
                self.remedy(
                    &format!("If you own {org}: approve the application."),
                    &["organizations", org, "settings", "oauth_application_policy"],
                ),
            ],
            Miss::SingleSignOn(url) => {
                let url = url.as_ref().filter(|url| self.is_ours(url));
                vec![Remedy {
                    text: format!("Go through the single sign-on of {org}, then sign in again."),
                    link: Some(url.cloned().unwrap_or_else(|| self.link(&["orgs", org, "sso"]))),
                }]
            }
            Miss::Address => vec![self.remedy(
                &format!("Ask an owner of {org} to list the address of this server."),
                &["organizations", org, "settings", "security"],
            )],
            Miss::NoRight => vec![self.grant_all()],
            Miss::NotShown => vec![self.remedy(
                &format!("A GitHub App must be installed in {org} by an owner, with the permission to read members."),
                &["organizations", org, "settings", "installations"],
            )],
        }
    }

    fn grant_all(&self) -> Remedy {
        self.remedy(
            "Revoke the access of this application, then sign in again and grant all that it asks for.",
            &self.application(),
        )
    }

    /// The page of what the person has allowed the application.
    fn application(&self) -> [&str; 4] {
        let client_id = &self.settings.client_id;
        ["settings", "connections", "applications", client_id]
    }

    fn remedy(&self, text: &str, path: &[&str]) -> Remedy {
        Remedy {
            text: text.to_owned(),
            link: Some(self.link(path)),
        }
    }

    fn link(&self, path: &[&str]) -> String {
        under(&self.settings.base_url, path).into()
    }

    /// Whether a link from a header leads to where the person signed in, and nowhere else.
    fn is_ours(&self, link: &str) -> bool {
        Url::parse(link).is_ok_and(|link| link.origin() == self.settings.base_url.origin())
    }
}

/// GitHub gives an account without a verified address no token, so that its name is not known.
pub(super) fn unverified(settings: &GitHubSettings) -> NotAllowed {
    let mut refused = Refused::new(settings, "an account without a verified e-mail address");
    refused.by_email(&Email::Unverified);
    let mut told = refused.told();
    told.reasons = vec![format!(
        "{} lets nobody sign in to applications before their primary e-mail address is verified.",
        settings.label
    )];
    told
}

/// A suspended account may not ask who it is, so that its name is not known.
pub(super) fn suspended(settings: &GitHubSettings) -> NotAllowed {
    let mut told = Refused::new(settings, "a suspended account").told();
    told.reasons = vec![format!(
        "The account is suspended at {}, which says nothing more of it.",
        settings.label
    )];
    told
}
