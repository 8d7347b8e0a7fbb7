//! `provider.NAME.allow`: who may enter by way of a provider.

use super::Allow;
use super::person::{self, User};
use super::problem::Wrong;
use super::provider::Kind;
use super::reader::Reader;
use crate::protocol::email_pattern::EmailPattern;

/// Who may enter by way of a provider of this kind; `table` is the key of it.
pub(super) fn all(reader: &mut Reader<'_>, table: &str, kind: Kind) -> Option<Allow> {
    let key = |word: &str| format!("{table}.{word}");
    let anyone = reader.flag(&key("anyone"));
    if reader.is_set(&key("anyone")) {
        reader.note(&key("anyone"), &anyone.to_string());
    }
    let is_fit = foreign(reader, table, kind);
    let lists = match kind {
        Kind::GitHub => of_github(reader, table),
        Kind::Google | Kind::OpenId => of_openid(reader, table),
    };
    let allow = Allow { anyone, ..lists? };
    is_fit?;
    let is_empty = allow.rules().len() == usize::from(anyone);
    if is_empty && !anyone {
        let inside = key("");
        let mut problems = reader.settings.problems.iter();
        if problems.any(|problem| problem.key.starts_with(&inside)) {
            return None;
        }
        let example = match kind {
            Kind::GitHub => r#"allow.orgs = ["acme"]"#,
            Kind::Google => r#"allow.domains = ["acme.com"]"#,
            Kind::OpenId => r#"allow.emails = ["*@acme.com"]"#,
        };
        let remedy = format!(
            "write who may enter, such as {example}, or allow.anyone = true for everybody with an account"
        );
        return reader.refuse(table, Wrong::new("names nobody", remedy));
    }
    if !is_empty && anyone {
        let remedy =
            "take out anyone = true if the lists are meant, or the lists if everybody may enter";
        return reader.refuse(
            &key("anyone"),
            Wrong::new("contradicts the lists beside it", remedy),
        );
    }
    warn(reader, table, kind, &allow);
    Some(allow)
}

/// Refuses the lists that the kind of provider has no answer for.
fn foreign(reader: &mut Reader<'_>, table: &str, kind: Kind) -> Option<()> {
    let rows: &[(&str, &str, &str)] = match kind {
        Kind::GitHub => &[
            (
                "domains",
                "is for Google, which signs domains; GitHub does not",
                r#"write allow.orgs = ["acme"], or allow.emails = ["*@acme.com"] for verified addresses"#,
            ),
            (
                "claims",
                "is for providers of OpenID Connect; GitHub has no claims",
                r#"write allow.orgs = ["acme"] or allow.teams = ["acme/platform"]"#,
            ),
        ],
        Kind::Google => &[
            (
                "orgs",
                "is for GitHub alone",
                r#"write allow.domains = ["acme.com"]"#,
            ),
            (
                "teams",
                "is for GitHub alone",
                r#"write allow.domains = ["acme.com"], or whole addresses in allow.emails"#,
            ),
        ],
        Kind::OpenId => &[
            ("orgs", "is for GitHub alone", GROUPS),
            ("teams", "is for GitHub alone", GROUPS),
        ],
    };
    let mut is_fit = Some(());
    for (word, what, remedy) in rows {
        let key = format!("{table}.{word}");
        let is_set = reader.is_set(&key) || !reader.settings.names_in(&key).is_empty();
        if is_set {
            is_fit = reader.refuse(&key, Wrong::new(*what, *remedy));
        }
    }
    is_fit
}

fn of_github(reader: &mut Reader<'_>, table: &str) -> Option<Allow> {
    let key = |word: &str| format!("{table}.{word}");
    let users = reader.list(&key("users"), person::user);
    let orgs = reader.list(&key("orgs"), person::org);
    let teams = reader.list(&key("teams"), person::team);
    let emails = reader.list(&key("emails"), person::email);
    let mut allow = Allow {
        orgs: orgs?,
        teams: teams?,
        emails: emails?,
        ..Allow::default()
    };
    for user in users? {
        match user {
            User::Id(id) => allow.ids.push(id),
            User::Login(login) => allow.logins.push(login),
        }
    }
    Some(allow)
}

fn of_openid(reader: &mut Reader<'_>, table: &str) -> Option<Allow> {
    let key = |word: &str| format!("{table}.{word}");
    let subjects = reader.list(&key("users"), person::subject);
    let domains = reader.list(&key("domains"), person::domain);
    let emails = reader.list(&key("emails"), person::email);
    let claims = claims(reader, &key("claims"));
    Some(Allow {
        subjects: subjects?,
        domains: domains?,
        emails: emails?,
        claims: claims?,
        ..Allow::default()
    })
}

fn claims(reader: &mut Reader<'_>, table: &str) -> Option<Vec<(String, String)>> {
    if reader.settings.is_refused(table) {
        return None;
    }
    let mut claims = Some(Vec::new());
    for name in reader.settings.names_in(table) {
        let key = format!("{table}.{name}");
        let values = reader.list(&key, person::claimed);
        if person::claimed(&name).is_err() {
            let remedy = r#"write a name such as allow.claims.groups = ["mcp-users"]"#;
            claims = reader.refuse(&key, Wrong::new("is not the name of a claim", remedy));
        }
        match (values, &mut claims) {
            (Some(values), Some(claims)) => {
                claims.extend(values.into_iter().map(|value| (name.clone(), value)));
            }
            _ => claims = None,
        }
    }
    claims
}

/// Says what is wider open than it may seem.
fn warn(reader: &mut Reader<'_>, table: &str, kind: Kind, allow: &Allow) {
    let key = |word: &str| format!("{table}.{word}");
    if !allow.logins.is_empty() {
        let what = "goes by a name, which somebody else can take once it is given up: write id:NUMBER, which \
                    api.github.com/users/LOGIN tells";
        reader.warn(&key("users"), what);
    }
    if allow.anyone && kind == Kind::Google {
        let what = "lets in everybody with a Google account: write allow.domains or allow.emails if that is not meant";
        reader.warn(&key("anyone"), what);
    }
    let is_open = |pattern: &EmailPattern| {
        person::is_public(pattern) && !(kind == Kind::Google && person::is_of_workspace(pattern))
    };
    if allow.emails.iter().any(is_open) {
        let what = "lets in every address of a domain in which everybody can have one: write whole addresses";
        reader.warn(&key("emails"), what);
    }
    if kind == Kind::Google && allow.emails.iter().any(person::is_of_workspace) {
        reader.warn(&key("emails"), person::WORKSPACE_ALONE);
    }
    if !allow.domains.is_empty() && kind == Kind::OpenId {
        let what = "goes by the claim hd, which hardly any provider but Google has: allow.emails or allow.claims may be meant";
        reader.warn(&key("domains"), what);
    }
}

const GROUPS: &str = r#"write the claim that the provider has for groups, such as allow.claims.groups = ["mcp-users"]; or kind = "github", if it is GitHub"#;
