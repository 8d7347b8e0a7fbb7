//! Who may enter by way of GitHub, and what is open to them.
//!
//! GitHub can answer the rules about everybody, accounts, organisations, teams and the primary address. What only a
//! provider of `OpenID` Connect can say, domains and claims, is true of nobody here.

use super::GitHubSettings;
use super::account::{Account, Email};
use super::api::Api;
use super::membership::{Group, Memberships, Miss};
use super::refusal::Refused;
use crate::protocol::ids::Subject;
use crate::protocol::person_rule::{PeopleRules, PersonRule};
use crate::protocol::scope::ScopeSet;
use crate::upstream::{Unused, UpstreamError, UpstreamTokens};

/// Whether GitHub has to be asked where people belong. Where everybody may enter it does not matter, unless a scope is
/// only for some.
pub(super) fn needs_memberships(rules: &PeopleRules) -> bool {
    let asks = |rules: &[PersonRule]| {
        let everybody = rules.contains(&PersonRule::Anyone);
        !everybody && rules.iter().any(|rule| Group::of(rule).is_some())
    };
    asks(&rules.allow) || rules.roles.iter().any(|(_, rules)| asks(rules))
}

/// Somebody before the rules.
pub(super) struct Door<'a> {
    pub(super) moment: Moment,
    settings: &'a GitHubSettings,
    account: &'a Account,
    email: &'a Email,
    memberships: Memberships<'a>,
}

/// When somebody stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// They sign in, and read why they may not.
    SignIn,
    /// They were let in before, and it is asked whether they still may be.
    Check,
}

/// The door stays closed.
pub(super) struct Closed {
    /// For whom, where that is known.
    pub(super) person: Option<Subject>,
    pub(super) error: UpstreamError,
    /// What the person can do about it is done for the token that they signed in with.
    pub(super) wants_token: bool,
}

impl From<UpstreamError> for Closed {
    fn from(error: UpstreamError) -> Self {
        Self {
            person: None,
            error,
            wants_token: false,
        }
    }
}

impl Closed {
    /// Whether the tokens are neither of use any more nor handed over, for want of a person or of an answer.
    pub(super) fn comes_to_nothing(&self) -> bool {
        let is_refusal = matches!(self.error, UpstreamError::NotAllowed(..));
        !(self.wants_token || is_refusal && self.person.is_some())
    }

    /// Why, with the tokens that nobody will use. But a link to single sign-on is good for this very token.
    pub(super) fn with(self, tokens: UpstreamTokens) -> UpstreamError {
        match (self.error, self.person) {
            (UpstreamError::NotAllowed(why, None), Some(person)) if !self.wants_token => {
                UpstreamError::NotAllowed(why, Some(Box::new(Unused { person, tokens })))
            }
            (error, _) => error,
        }
    }
}

impl<'a> Door<'a> {
    pub(super) fn new(
        settings: &'a GitHubSettings,
        api: &'a Api,
        tokens: &'a UpstreamTokens,
        account: &'a Account,
        email: &'a Email,
    ) -> Self {
        Self {
            moment: Moment::SignIn,
            settings,
            account,
            email,
            memberships: Memberships::new(api, tokens, &account.login),
        }
    }

    /// Lets the person in if one of the rules holds.
    pub(super) async fn open(&mut self) -> Result<(), Closed> {
        let allow = &self.settings.rules.allow;
        if self.holds_one(allow).await? {
            return Ok(());
        }
        let mut refused = Refused::new(self.settings, &self.account.login);
        let mut wants_token = false;
        for rule in allow {
            match rule {
                PersonRule::Id(_) | PersonRule::Login(_) => refused.not_listed(),
                PersonRule::Email(_) => refused.by_email(self.email),
                _ => {}
            }
            if let Some(group) = Group::of(rule)
                && let Some(miss) = self.memberships.miss(group).await?
            {
                wants_token |= matches!(miss, Miss::SingleSignOn(_));
                refused.by_group(group, &miss);
            }
        }
        Err(Closed {
            person: None,
            error: UpstreamError::NotAllowed(Box::new(refused.told()), None),
            wants_token,
        })
    }

    /// The scopes that are open to the person, of those that are not for everybody. A membership that GitHub will not
    /// tell us of opens none; where it cannot be asked, nothing is said at all.
    pub(super) async fn opens(&mut self) -> Result<ScopeSet, UpstreamError> {
        let settings = self.settings;
        let mut open = Vec::new();
        for (scope, rules) in &settings.rules.roles {
            if self.holds_one(rules).await? {
                open.push(scope.clone());
            }
        }
        Ok(open.into_iter().collect())
    }

    /// Whether one of the rules is true of the person. What is known already is gone through first.
    async fn holds_one(&mut self, rules: &[PersonRule]) -> Result<bool, UpstreamError> {
        if rules.iter().any(|rule| self.is_known_by(rule)) {
            return Ok(true);
        }
        let mut our_address = false;
        for group in rules.iter().filter_map(Group::of) {
            match self.memberships.miss(group).await? {
                None => return Ok(true),
                Some(miss) => our_address |= matches!(miss, Miss::Address),
            }
        }
        if our_address && self.moment == Moment::Check {
            // that is about this server, and says nothing about the person
            let why = "an organisation does not list the network address of this server";
            return Err(UpstreamError::Unavailable(why.to_owned()));
        }
        Ok(false)
    }

    /// Whether a rule is true that needs no question.
    fn is_known_by(&self, rule: &PersonRule) -> bool {
        match rule {
            PersonRule::Anyone => true,
            PersonRule::Id(id) => *id == self.account.id.to_string(),
            PersonRule::Login(login) => login.eq_ignore_ascii_case(&self.account.login),
            PersonRule::Email(pattern) => match self.email {
                Email::Verified(address) => pattern.matches(address),
                Email::Unverified | Email::Hidden => false,
            },
            PersonRule::Org(_)
            | PersonRule::Team { .. }
            | PersonRule::Domain(_)
            | PersonRule::Claim { .. } => false,
        }
    }
}
