//! The people who can sign in at the stand-in: each is there for a case.

/// Somebody with an account.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) name: Option<&'static str>,
    /// What they are there for.
    pub(super) about: &'static str,
    pub(super) email: &'static str,
    pub(super) email_verified: bool,
    pub(super) orgs: Vec<Membership>,
    /// GitHub has locked them out.
    pub(super) suspended: bool,
}

impl Person {
    /// Somebody nobody has heard of.
    pub(super) fn new(id: u64, login: &str) -> Self {
        Self {
            id,
            login: login.to_owned(),
            name: None,
            about: "",
            email: "new@example.com",
            email_verified: true,
            orgs: Vec::new(),
            suspended: false,
        }
    }

    /// Whether they are there for a case, and so can be chosen.
    pub(super) fn is_listed(&self) -> bool {
        !self.about.is_empty()
    }
}

/// What somebody is in an organisation.
#[derive(Clone)]
pub(super) struct Membership {
    pub(super) org: String,
    /// Invited, and has not said yes.
    pub(super) pending: bool,
    /// Shown to everybody, not to its members alone.
    pub(super) public: bool,
    /// The slugs of their teams there.
    pub(super) teams: Vec<&'static str>,
}

/// Everybody.
pub(super) fn all() -> Vec<Person> {
    // Two pages of each list: who reads the first alone misses half.
    let sixty = (1..=60).map(|number| Membership {
        org: format!("org-{number:02}"),
        pending: false,
        public: true,
        teams: vec!["everybody"],
    });
    vec![
        Person {
            id: 1,
            login: "mona".to_owned(),
            name: Some("Mona Lísa"),
            about: "member of acme, team acme/platform",
            email: "mona@example.com",
            email_verified: true,
            orgs: acme(false, &["platform"]),
            suspended: false,
        },
        Person {
            id: 2,
            login: "octavia".to_owned(),
            name: Some("Octavia Ångström"),
            about: "private member of acme, in no team",
            email: "octavia@example.com",
            email_verified: true,
            orgs: private(acme(false, &[])),
            suspended: false,
        },
        Person {
            id: 3,
            login: "hubot".to_owned(),
            name: None,
            about: "in no organisation, no verified e-mail address",
            email: "hubot@example.com",
            email_verified: false,
            orgs: Vec::new(),
            suspended: false,
        },
        Person {
            id: 4,
            login: "juergen".to_owned(),
            name: Some("Jürgen Weiß"),
            about: "invited to acme and acme/platform, has not accepted",
            email: "juergen@example.com",
            email_verified: true,
            orgs: acme(true, &["platform"]),
            suspended: false,
        },
        Person {
            id: 5,
            login: "wanda".to_owned(),
            name: Some("王 Wanda"),
            about: "member of 60 organisations, org-01 to org-60",
            email: "wanda@example.com",
            email_verified: true,
            orgs: sixty.collect(),
            suspended: false,
        },
    ]
}

fn acme(pending: bool, teams: &'static [&'static str]) -> Vec<Membership> {
    vec![Membership {
        org: "acme".to_owned(),
        pending,
        public: !pending,
        teams: teams.to_vec(),
    }]
}

fn private(mut memberships: Vec<Membership>) -> Vec<Membership> {
    for membership in &mut memberships {
        membership.public = false;
    }
    memberships
}
