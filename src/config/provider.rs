//! `[provider.NAME]`: what a provider needs, by its kind.

use url::{Host, Url};

use super::address;
use super::allow;
use super::preset;
use super::problem::{Origin, Wrong};
use super::reader::Reader;
use super::value;
use super::{Provider, ProviderKind};
use crate::protocol::authorize::OFFLINE_ACCESS;
use crate::protocol::ids::ProviderId;
use crate::protocol::issuer::is_loopback;
use crate::protocol::scope::Scope;

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
    let providers: Vec<Provider> = providers.into_iter().collect::<Option<_>>()?;
    for (number, provider) in providers.iter().enumerate() {
        let mut before = providers[..number].iter();
        if before.any(|other| other.label == provider.label) {
            let what = "is what another provider is called, too: people cannot tell them apart";
            reader.warn(&format!("provider.{}.label", provider.id), what);
        }
    }
    Some(providers)
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
    let kind = kind(reader, name)?;
    let foreign = foreign(reader, &table, kind);
    let kind_settings = match kind {
        Kind::GitHub => github(reader, &table),
        Kind::Google | Kind::OpenId => openid(reader, &table, kind),
    };
    let label = match &kind_settings {
        Some(ProviderKind::GitHub { .. }) => preset::GITHUB_LABEL.to_owned(),
        Some(ProviderKind::OpenId { google: true, .. }) => preset::GOOGLE_LABEL.to_owned(),
        Some(ProviderKind::OpenId { issuer, .. }) => host_of(issuer).unwrap_or(name.to_owned()),
        None => name.to_owned(),
    };
    let label = reader.parsed(&key("label"), &label, value::title);
    let client_id = reader.referred(&key("client_id"));
    let client_secret = reader.secret(&key("client_secret"));
    let allow = allow::all(reader, &key("allow"), kind);
    foreign?;
    let provider = Provider {
        id: ProviderId::new(name),
        label: label?,
        kind: kind_settings?,
        client_id: client_id?,
        client_secret: client_secret?,
        allow: allow?,
    };
    warn(reader, &table, &provider);
    Some(provider)
}

/// `provider.NAME.kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    GitHub,
    Google,
    OpenId,
}

/// The kind follows from the name where the name is github or google, else it is oidc.
fn kind(reader: &mut Reader<'_>, name: &str) -> Option<Kind> {
    let preset = match name {
        "github" | "google" => name,
        _ => "oidc",
    };
    let key = format!("provider.{name}.kind");
    reader.parsed(&key, preset, |kind| match kind {
        "github" => Ok(Kind::GitHub),
        "google" => Ok(Kind::Google),
        "oidc" => Ok(Kind::OpenId),
        _ => Err(Wrong::new(
            "is not a kind of provider",
            r#"write "github" (GitHub Enterprise Server too), "google", or "oidc" for any provider of OpenID Connect"#,
        )),
    })
}

/// Refuses the keys that are for providers of another kind.
fn foreign(reader: &mut Reader<'_>, table: &str, kind: Kind) -> Option<()> {
    let (what, rows) = match kind {
        Kind::GitHub => (
            "is for providers of OpenID Connect",
            [
                (
                    "issuer",
                    r#"write base_url for GitHub Enterprise Server, or kind = "oidc" if it is not GitHub"#,
                ),
                (
                    "scopes",
                    "take it out: what GitHub is asked for follows from who may enter",
                ),
            ],
        ),
        Kind::Google => ("is for GitHub alone", GOOGLE_IS_KNOWN),
        Kind::OpenId => ("is for GitHub alone", ISSUER_INSTEAD),
    };
    let mut is_fit = Some(());
    for (word, remedy) in rows {
        let key = format!("{table}.{word}");
        if reader.is_set(&key) {
            is_fit = reader.refuse(&key, Wrong::new(what, remedy));
        }
    }
    is_fit
}

fn github(reader: &mut Reader<'_>, table: &str) -> Option<ProviderKind> {
    let base_url = reader.parsed(
        &format!("{table}.base_url"),
        preset::GITHUB_BASE_URL,
        address::provider_url,
    )?;
    let preset = api_of(&base_url);
    let api_url = reader.parsed(&format!("{table}.api_url"), &preset, address::provider_url)?;
    Some(ProviderKind::GitHub { base_url, api_url })
}

fn openid(reader: &mut Reader<'_>, table: &str, kind: Kind) -> Option<ProviderKind> {
    let google = kind == Kind::Google;
    let key = format!("{table}.issuer");
    let issuer = match kind {
        Kind::Google => reader.parsed(&key, preset::GOOGLE_ISSUER, google_issuer),
        _ if reader.is_set(&key) => reader.parsed(&key, "", other_issuer),
        _ => reader.missing(&key),
    };
    let scopes = scopes(reader, &format!("{table}.scopes"), kind);
    Some(ProviderKind::OpenId {
        issuer: issuer?,
        scopes: scopes?,
        google,
    })
}

fn google_issuer(text: &str) -> Result<String, Wrong> {
    let issuer = address::issuer(text)?;
    let is_local = Url::parse(&issuer).is_ok_and(|url| is_loopback(&url));
    if issuer == preset::GOOGLE_ISSUER || is_local {
        return Ok(issuer);
    }
    let remedy = r#"take it out if it is Google; else write kind = "oidc", and name the provider as you like"#;
    Err(Wrong::new("is not the issuer of Google", remedy))
}

fn other_issuer(text: &str) -> Result<String, Wrong> {
    let issuer = address::issuer(text)?;
    if host_of(&issuer).as_deref() == Some("accounts.google.com") {
        let remedy = r#"write kind = "google" in its place: Google is asked in a way of its own"#;
        return Err(Wrong::new("is the issuer of Google", remedy));
    }
    Ok(issuer)
}

/// What to ask for (`OpenID` Connect Core 1.0 §5.4, §11).
fn scopes(reader: &mut Reader<'_>, key: &str, kind: Kind) -> Option<Vec<String>> {
    let preset = match kind {
        Kind::Google => &OPENID_SCOPES[..3],
        _ => &OPENID_SCOPES[..],
    };
    if !reader.is_set(key) {
        reader.note(key, &format!("[{}]", preset.join(", ")));
        return Some(preset.iter().map(|scope| (*scope).to_owned()).collect());
    }
    let scopes = reader.list(key, |text| match Scope::parse(text) {
        Some(scope) if kind == Kind::Google && scope.as_str() == OFFLINE_ACCESS => Err(Wrong::new(
            "holds offline_access, which Google refuses",
            "take it out: Google is asked for refresh tokens in a way of its own",
        )),
        Some(scope) => Ok(scope.as_str().to_owned()),
        None => Err(Wrong::new(
            "holds something that is not a scope",
            r#"write each scope as a text of its own: ["openid", "email"]"#,
        )),
    })?;
    if scopes.iter().any(|scope| scope == "openid") {
        return Some(scopes);
    }
    let remedy = r#"write "openid" among them: without it, nobody says who is signing in"#;
    reader.refuse(key, Wrong::new("leaves out openid", remedy))
}

/// Says what will not go as somebody may think.
fn warn(reader: &mut Reader<'_>, table: &str, provider: &Provider) {
    let ProviderKind::OpenId { scopes, google, .. } = &provider.kind else {
        return;
    };
    let leaves_out = |wanted: &str| !scopes.iter().any(|scope| scope == wanted);
    let key = format!("{table}.scopes");
    if !google && leaves_out(OFFLINE_ACCESS) {
        let what = "leaves out offline_access: sessions end when the provider's access token expires, because it cannot be \
                    asked again";
        reader.warn(&key, what);
    }
    if !provider.allow.emails.is_empty() && leaves_out("email") {
        let what = "leaves out email, though allow.emails goes by addresses: it may be that nobody can enter";
        reader.warn(&key, what);
    }
}

const GOOGLE_IS_KNOWN: [(&str, &str); 2] = {
    let remedy = "take it out: where Google is asked is known";
    [("base_url", remedy), ("api_url", remedy)]
};

const ISSUER_INSTEAD: [(&str, &str); 2] = {
    let remedy =
        r#"write issuer in its place, or kind = "github" if it is GitHub Enterprise Server"#;
    [("base_url", remedy), ("api_url", remedy)]
};

const OPENID_SCOPES: [&str; 4] = ["openid", "email", "profile", OFFLINE_ACCESS];

fn host_of(issuer: &str) -> Option<String> {
    Url::parse(issuer).ok()?.host_str().map(ToOwned::to_owned)
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
