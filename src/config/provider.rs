//! `[provider.NAME]`: what a provider needs, and who may enter through it.

use url::{Host, Url};

use super::address;
use super::preset;
use super::problem::{Origin, Wrong};
use super::reader::Reader;
use super::value::{self, Written};
use super::{Allow, Provider, ProviderKind};
use crate::protocol::ids::ProviderId;

/// The providers, in the order of the file; at least one.
pub(super) fn all(reader: &mut Reader<'_>) -> Option<Vec<Provider>> {
    let tables = reader.settings.tables_in("provider");
    // `provider.github` is a provider, `provider.github.allow` is a part of one.
    let names: Vec<(String, Origin)> = tables
        .into_iter()
        .filter(|(name, _)| !name.contains('.'))
        .collect();
    if names.is_empty() {
        let remedy = "write [provider.github] with client_id, client_secret and allow, so that people can sign in";
        return reader.refuse("provider", Wrong::new("is missing", remedy));
    }
    let providers: Vec<Option<Provider>> = names
        .iter()
        .map(|(name, origin)| provider(reader, name, origin))
        .collect();
    providers.into_iter().collect()
}

fn provider(reader: &mut Reader<'_>, name: &str, origin: &Origin) -> Option<Provider> {
    let table = format!("provider.{name}");
    let key = |word: &str| format!("{table}.{word}");
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 40 || !name.bytes().all(legal) {
        let remedy =
            "name it with a-z, 0-9 and -: it is the end of the callback URL, and can never change";
        let wrong = Wrong::new("is not a name for a provider", remedy);
        reader.settings.refuse(&table, origin, wrong);
        return None;
    }
    is_github(reader, name)?;
    let label = reader.parsed(&key("label"), preset::GITHUB_LABEL, value::title);
    let client_id = reader.referred(&key("client_id"));
    let client_secret = reader.secret(&key("client_secret"));
    let base_url = reader.parsed(
        &key("base_url"),
        preset::GITHUB_BASE_URL,
        address::provider_url,
    );
    let preset = base_url.as_ref().map(api_of).unwrap_or_default();
    let api_url = match &base_url {
        Some(_) => reader.parsed(&key("api_url"), &preset, address::provider_url),
        None => None,
    };
    let allow = allow(reader, &key("allow"));
    Some(Provider {
        id: ProviderId::new(name),
        label: label?,
        kind: ProviderKind::GitHub {
            base_url: base_url?,
            api_url: api_url?,
        },
        client_id: client_id?,
        client_secret: client_secret?,
        allow: allow?,
    })
}

/// The kind follows from the name where the name is github or google, else it is oidc.
fn is_github(reader: &mut Reader<'_>, name: &str) -> Option<()> {
    let key = format!("provider.{name}.kind");
    let preset = match name {
        "github" | "google" => name,
        _ => "oidc",
    };
    let remedy =
        r#"write kind = "github" for GitHub or GitHub Enterprise Server, or take the provider out"#;
    reader.parsed(&key, preset, |kind| match kind {
        "github" => Ok(()),
        "google" | "oidc" => Err(Wrong::new(
            format!(r#"is "{kind}": sign-in with OpenID Connect is not in this version yet"#),
            remedy,
        )),
        _ => Err(Wrong::new("is not a kind of provider", remedy)),
    })
}

/// Where the API of a GitHub is.
fn api_of(base_url: &Url) -> String {
    let base = base_url.as_str().trim_end_matches('/');
    match base_url.host() {
        Some(Host::Domain(host)) if host == "github.com" || host.ends_with(".ghe.com") => {
            format!("https://api.{host}")
        }
        _ => format!("{base}/api/v3"),
    }
}

fn allow(reader: &mut Reader<'_>, table: &str) -> Option<Allow> {
    let key = |word: &str| format!("{table}.{word}");
    let anyone = reader.flag(&key("anyone"));
    if reader.is_set(&key("anyone")) {
        reader.note(&key("anyone"), &anyone.to_string());
    }
    let users = reader.list(&key("users"), User::read);
    let orgs = reader.list(&key("orgs"), |text| {
        account(text).ok_or_else(|| {
            Wrong::new(
                "holds something that is not the name of an organisation",
                ORG,
            )
        })
    });
    let teams = reader.list(&key("teams"), team);
    let (users, orgs, teams) = (users?, orgs?, teams?);
    let is_empty = users.is_empty() && orgs.is_empty() && teams.is_empty();
    if is_empty && !anyone {
        if ["anyone", "users", "orgs", "teams"]
            .iter()
            .any(|word| reader.settings.is_refused(&key(word)))
        {
            return None;
        }
        let remedy = r#"write who may enter, such as allow.orgs = ["acme"], or allow.anyone = true for everybody with an account"#;
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
    let mut allow = Allow {
        anyone,
        orgs,
        teams,
        ..Allow::default()
    };
    for user in users {
        match user {
            User::Id(id) => allow.ids.push(id),
            User::Login(login) => allow.logins.push(login),
        }
    }
    Some(allow)
}

/// An entry of `allow.users`.
enum User {
    Id(u64),
    Login(String),
}

impl Written for User {
    fn read(text: &str) -> Result<Self, Wrong> {
        let remedy = r#"write logins such as "octocat", without @, or numeric ids such as "id:583231", which nobody can take over"#;
        let user = match text.strip_prefix("id:") {
            Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
                id.parse().ok().map(User::Id)
            }
            Some(_) => None,
            None => account(text).map(User::Login),
        };
        user.ok_or_else(|| Wrong::new("holds something that is neither a login nor an id", remedy))
    }

    fn print(&self) -> String {
        match self {
            Self::Id(id) => format!("id:{id}"),
            Self::Login(login) => login.clone(),
        }
    }
}

const ORG: &str = r#"write names of organisations as they stand in their URL, such as "acme""#;

fn team(text: &str) -> Result<(String, String), Wrong> {
    let team = text
        .split_once('/')
        .and_then(|(org, slug)| Some((account(org)?, account(slug)?)));
    let remedy =
        r#"write organisation and slug as they stand in the team's URL, such as "acme/platform""#;
    team.ok_or_else(|| Wrong::new("holds something that is not a team", remedy))
}

/// A login, the name of an organisation or the slug of a team.
fn account(text: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (!text.is_empty() && text.len() <= 100 && text.bytes().all(legal)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_follows_from_where_github_is() {
        for (base, api) in [
            ("https://github.com", "https://api.github.com"),
            ("https://acme.ghe.com", "https://api.acme.ghe.com"),
            ("https://git.acme.com", "https://git.acme.com/api/v3"),
            (
                "https://git.acme.com/git",
                "https://git.acme.com/git/api/v3",
            ),
            (
                "https://github.com.evil.example",
                "https://github.com.evil.example/api/v3",
            ),
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090/api/v3"),
        ] {
            assert_eq!(api_of(&Url::parse(base).unwrap()), api);
        }
    }
}
