//! Where somebody belongs at GitHub: asked one by one, and once.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::api::{Answer, Api, Refusal};
use super::invalid;
use crate::protocol::person_rule::PersonRule;
use crate::upstream::{UpstreamError, UpstreamTokens};

/// An organisation, or a team in one.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub(super) org: &'a str,
    pub(super) team: Option<&'a str>,
}

impl<'a> Group<'a> {
    /// The group that `rule` is about.
    pub(super) fn of(rule: &'a PersonRule) -> Option<Self> {
        match rule {
            PersonRule::Org(org) => Some(Self { org, team: None }),
            PersonRule::Team { org, slug } => Some(Self {
                org,
                team: Some(slug),
            }),
            _ => None,
        }
    }

    /// The same for every way to write the same group.
    fn key(&self) -> (String, Option<String>) {
        let team = self.team.map(str::to_ascii_lowercase);
        (self.org.to_ascii_lowercase(), team)
    }

    /// Where one membership is asked for; a private one too, unlike in the lists of members.
    fn membership(&self, login: &'a str) -> Vec<&'a str> {
        match self.team {
            None => vec!["user", "memberships", "orgs", self.org],
            Some(slug) => vec!["orgs", self.org, "teams", slug, "memberships", login],
        }
    }

    fn list(&self) -> List {
        match self.team {
            None => List::Orgs,
            Some(_) => List::Teams,
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

/// What GitHub lists of where somebody belongs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum List {
    Orgs,
    Teams,
}

impl List {
    fn path(self) -> &'static [&'static str] {
        match self {
            Self::Orgs => &["user", "orgs"],
            Self::Teams => &["user", "teams"],
        }
    }
}

/// Why somebody is no member, or cannot be told to be one.
#[derive(Clone)]
pub(super) enum Miss {
    NotMember,
    Pending,
    NotApproved,
    SingleSignOn(Option<String>),
    Address,
    NoRight,
    NotShown,
}

impl From<&Refusal> for Miss {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NotApproved => Self::NotApproved,
            Refusal::SingleSignOn(url) => Self::SingleSignOn(url.clone()),
            Refusal::Address => Self::Address,
            Refusal::NoRight => Self::NoRight,
        }
    }
}

/// The memberships of one person. What was asked is known from then on, however many rules name it: so that it lives for
/// one sign-in or one check, and no longer.
pub(super) struct Memberships<'a> {
    api: &'a Api,
    tokens: &'a UpstreamTokens,
    login: &'a str,
    known: HashMap<(String, Option<String>), Option<Miss>>,
    listed: HashMap<List, Answer<Vec<Value>>>,
}

impl<'a> Memberships<'a> {
    /// Of whom the account `login` is, whose tokens these are.
    pub(super) fn new(api: &'a Api, tokens: &'a UpstreamTokens, login: &'a str) -> Self {
        Self {
            api,
            tokens,
            login,
            known: HashMap::new(),
            listed: HashMap::new(),
        }
    }

    /// Why the person is not in `group`; none: they are.
    pub(super) async fn miss(&mut self, group: Group<'_>) -> Result<Option<Miss>, UpstreamError> {
        let key = group.key();
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let miss = self.ask(group).await?;
        self.known.insert(key, miss.clone());
        Ok(miss)
    }

    async fn ask(&mut self, group: Group<'_>) -> Result<Option<Miss>, UpstreamError> {
        let scopes = &self.tokens.scopes;
        // GitHub Apps have permissions and no scopes at all: they are asked, and answer for themselves.
        if !scopes.is_empty()
            && !scopes
                .iter()
                .any(|scope| READ_ORG.contains(&scope.as_str()))
        {
            return Ok(Some(Miss::NoRight));
        }
        let path = group.membership(self.login);
        match self
            .api
            .get::<Membership>(&self.tokens.access, &path)
            .await?
        {
            // who pays for an organisation sees nothing of it
            Answer::Found(membership) if membership.value.role.as_deref() == Some(BILLING) => {
                Ok(Some(Miss::NotMember))
            }
            Answer::Found(membership) => match membership.value.state.as_str() {
                "active" => Ok(None),
                "pending" => Ok(Some(Miss::Pending)),
                _ => Err(invalid("a membership is neither active nor pending")),
            },
            Answer::Absent => Ok(Some(Miss::NotMember)),
            // What may not be asked one by one may be in the list all the same.
            Answer::Refused(Refusal::NoRight) => self.miss_in_list(group).await,
            Answer::Refused(refusal) => Ok(Some((&refusal).into())),
        }
    }

    async fn miss_in_list(&mut self, group: Group<'_>) -> Result<Option<Miss>, UpstreamError> {
        let list = group.list();
        if !self.listed.contains_key(&list) {
            let answer = self.api.list(&self.tokens.access, list.path()).await?;
            self.listed.insert(list, answer);
        }
        Ok(match self.listed.get(&list) {
            Some(Answer::Found(mine)) if mine.value.iter().any(|entry| group.is(entry)) => None,
            Some(Answer::Found(mine)) if mine.partial => Some(Miss::SingleSignOn(None)),
            Some(Answer::Found(_)) => Some(Miss::NotShown),
            Some(Answer::Refused(refusal)) => Some(refusal.into()),
            Some(Answer::Absent) | None => Some(Miss::NoRight),
        })
    }
}

/// Scopes that let an OAuth App see memberships: the later two hold the first.
const READ_ORG: [&str; 3] = ["read:org", "write:org", "admin:org"];

const BILLING: &str = "billing_manager";

/// `GET /user/memberships/orgs/{org}`, `GET /orgs/{org}/teams/{slug}/memberships/{login}`
#[derive(Deserialize)]
struct Membership {
    state: String,
    role: Option<String>,
}
