//! Who may enter by way of GitHub; and, for who may not, why and what they can do.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::github::{GitHubSettings, invalid};
use super::github_account::Account;
use super::github_api::{Answer, Api, Refusal, under};
use super::{NotAllowed, Remedy, UpstreamError, UpstreamTokens};

/// Who may enter: whoever one of the rules names.
#[derive(Clone, Debug, Default)]
pub struct GitHubAllow {
    /// Everybody with an account.
    pub anyone: bool,
    /// Accounts by login, upper or lower case.
    pub logins: Vec<String>,
    /// Accounts by number.
    pub ids: Vec<u64>,
    /// Members of these organisations.
    pub orgs: Vec<String>,
    /// Members of these teams: organisation and slug.
    pub teams: Vec<(String, String)>,
}

impl GitHubAllow {
    /// Whether GitHub has to be asked where people belong.
    pub(super) fn needs_memberships(&self) -> bool {
        let groups = !self.orgs.is_empty() || !self.teams.is_empty();
        groups && !self.anyone
    }

    fn names(&self, account: &Account) -> bool {
        let mut logins = self.logins.iter();
        self.anyone
            || self.ids.contains(&account.id)
            || logins.any(|login| login.eq_ignore_ascii_case(&account.login))
    }
}

/// One sign-in before the allow-list.
pub(super) struct Door<'a> {
    pub(super) settings: &'a GitHubSettings,
    pub(super) api: &'a Api,
    pub(super) tokens: &'a UpstreamTokens,
    pub(super) account: &'a Account,
}

/// The door stays closed.
pub(super) struct Closed {
    pub(super) error: UpstreamError,
    /// What the person can do about it is done for the token that they signed in with.
    pub(super) wants_token: bool,
}

impl From<UpstreamError> for Closed {
    fn from(error: UpstreamError) -> Self {
        Self {
            error,
            wants_token: false,
        }
    }
}

impl Door<'_> {
    /// Goes through the rules until one lets the person in.
    pub(super) async fn open(&self) -> Result<(), Closed> {
        let allow = &self.settings.allow;
        if allow.names(self.account) {
            return Ok(());
        }
        let mut told = self.nobody_yet();
        let mut wants_token = false;
        let orgs = allow.orgs.iter().map(|org| Group { org, team: None });
        let teams = allow.teams.iter().map(|(org, slug)| Group {
            org,
            team: Some(slug),
        });
        for group in orgs.chain(teams) {
            let Some(miss) = self.miss(&group).await? else {
                return Ok(());
            };
            wants_token |= matches!(miss, Miss::SingleSignOn(_));
            told.reasons.push(self.reason(&group, &miss));
            for remedy in self.remedies(&group, &miss) {
                if !told.remedies.contains(&remedy) {
                    told.remedies.push(remedy);
                }
            }
        }
        told.remedies.push(Remedy {
            text: format!(
                "Not the account you meant? Sign out of {}, then try again.",
                self.settings.label
            ),
            link: Some(self.link(&["logout"])),
        });
        Err(Closed {
            error: UpstreamError::NotAllowed(Box::new(told)),
            wants_token,
        })
    }

    fn nobody_yet(&self) -> NotAllowed {
        let allow = &self.settings.allow;
        let login = &self.account.login;
        let mut reasons = Vec::new();
        let accounts = !allow.logins.is_empty() || !allow.ids.is_empty();
        if accounts || !allow.needs_memberships() {
            reasons.push(format!(
                "{login} is not one of the accounts that may sign in here."
            ));
        }
        NotAllowed {
            account: login.clone(),
            reasons,
            remedies: Vec::new(),
        }
    }

    /// Why `group` does not let the person in; none: it does.
    async fn miss(&self, group: &Group<'_>) -> Result<Option<Miss>, UpstreamError> {
        let scopes = &self.tokens.scopes;
        // GitHub Apps have permissions and no scopes at all: they are asked, and answer for themselves.
        if !scopes.is_empty()
            && !scopes
                .iter()
                .any(|scope| READ_ORG.contains(&scope.as_str()))
        {
            return Ok(Some(Miss::NoRight));
        }
        let path = group.membership(&self.account.login);
        match self
            .api
            .get::<Membership>(&self.tokens.access, &path)
            .await?
        {
            Answer::Found(membership) => match membership.value.state.as_str() {
                "active" => Ok(None),
                "pending" => Ok(Some(Miss::Pending)),
                _ => Err(invalid("a membership is neither active nor pending")),
            },
            Answer::Absent => Ok(Some(Miss::NotMember)),
            // What may not be asked one by one may be in the list all the same.
            Answer::Refused(Refusal::NoRight) => self.miss_in_list(group).await,
            Answer::Refused(refusal) => Ok(Some(refusal.into())),
        }
    }

    async fn miss_in_list(&self, group: &Group<'_>) -> Result<Option<Miss>, UpstreamError> {
        let listed = self
            .api
            .list::<Value>(&self.tokens.access, group.list())
            .await?;
        Ok(match listed {
            Answer::Found(mine) if mine.value.iter().any(|entry| group.is(entry)) => None,
            Answer::Found(mine) if mine.partial => Some(Miss::SingleSignOn(None)),
            Answer::Found(_) => Some(Miss::NotShown),
            Answer::Absent => Some(Miss::NoRight),
            Answer::Refused(refusal) => Some(refusal.into()),
        })
    }

    fn reason(&self, group: &Group<'_>, miss: &Miss) -> String {
        let login = &self.account.login;
        let label = &self.settings.label;
        let org = group.org;
        let group = group.name();
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

    fn remedies(&self, group: &Group<'_>, miss: &Miss) -> Vec<Remedy> {
        let org = group.org;
        let application = [
            "settings",
            "connections",
            "applications",
            &self.settings.client_id,
        ];
        let remedy = |text: String, path: &[&str]| Remedy {
            text,
            link: Some(self.link(path)),
        };
        match miss {
            Miss::NotMember => vec![match group.team {
                None => remedy(
                    format!("Ask an owner of {org} to invite you."),
                    &["orgs", org, "people"],
                ),
                Some(slug) => remedy(
                    format!("Ask a maintainer of {org}/{slug} to add you."),
                    &["orgs", org, "teams", slug],
                ),
            }],
            Miss::Pending => vec![remedy(
                format!("Accept the invitation to {org}, then sign in again."),
                &["orgs", org, "invitation"],
            )],
            Miss::NotApproved => vec![
                remedy(
                    format!("Ask for the approval of {org}: choose “Request” beside its name."),
                    &application,
                ),
                remedy(
                    format!("If you own {org}: approve the application."),
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
            Miss::NoRight => vec![remedy(
                "Revoke the access of this application, then sign in again and grant all that it asks for.".to_owned(),
                &application,
            )],
            Miss::NotShown => vec![remedy(
                format!("A GitHub App must be installed in {org} by an owner, with the permission to read members."),
                &["organizations", org, "settings", "installations"],
            )],
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

/// Scopes that let an OAuth App see memberships: the later two hold the first.
const READ_ORG: [&str; 3] = ["read:org", "write:org", "admin:org"];

/// An organisation, or a team in one.
struct Group<'a> {
    org: &'a str,
    team: Option<&'a str>,
}

impl<'a> Group<'a> {
    fn name(&self) -> String {
        match self.team {
            None => format!("the organisation {}", self.org),
            Some(slug) => format!("the team {}/{slug}", self.org),
        }
    }

    /// Where one membership is asked for; a private one too, unlike in the lists of members.
    fn membership(&self, login: &'a str) -> Vec<&'a str> {
        match self.team {
            None => vec!["user", "memberships", "orgs", self.org],
            Some(slug) => vec!["orgs", self.org, "teams", slug, "memberships", login],
        }
    }

    fn list(&self) -> &'static [&'static str] {
        match self.team {
            None => &["user", "orgs"],
            Some(_) => &["user", "teams"],
        }
    }

    /// Whether an entry of that list is this one.
    fn is(&self, entry: &Value) -> bool {
        let same = |value: &Value, name: &str| {
            let text = value.as_str();
            text.is_some_and(|text| text.eq_ignore_ascii_case(name))
        };
        match self.team {
            None => same(&entry["login"], self.org),
            Some(slug) => {
                same(&entry["slug"], slug) && same(&entry["organization"]["login"], self.org)
            }
        }
    }
}

/// Why a group does not let somebody in.
enum Miss {
    NotMember,
    Pending,
    NotApproved,
    SingleSignOn(Option<String>),
    NoRight,
    NotShown,
}

impl From<Refusal> for Miss {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotApproved => Self::NotApproved,
            Refusal::SingleSignOn(url) => Self::SingleSignOn(url),
            Refusal::NoRight => Self::NoRight,
        }
    }
}

/// `GET /user/memberships/orgs/{org}`, `GET /orgs/{org}/teams/{slug}/memberships/{login}`
#[derive(Deserialize)]
struct Membership {
    state: String,
}
