//! `scope_policy.roles`: scopes that only some people can be given.

use super::person;
use super::problem::Wrong;
use super::reader::Reader;
use super::{Provider, ProviderKind};
use crate::protocol::ids::ProviderId;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::person_rule::PersonRule;
use crate::protocol::scope::Scope;

/// A scope, and those to whom it is open.
type Role = (Scope, Vec<(ProviderId, PersonRule)>);

/// The roles, in the order of the file. `scopes` and `providers` are those that there are; none: something is wrong with
/// them, and that is what needs a word.
pub(super) fn all(
    reader: &mut Reader<'_>,
    scopes: Option<&[(Scope, Vec<MethodPattern>)]>,
    providers: Option<&[Provider]>,
) -> Option<Vec<Role>> {
    if reader.settings.is_refused(TABLE) {
        return None;
    }
    let names = reader.settings.names_in(TABLE);
    let roles: Vec<Option<Role>> = names
        .iter()
        .map(|name| role(reader, name, scopes, providers))
        .collect();
    roles.into_iter().collect()
}

fn role(
    reader: &mut Reader<'_>,
    name: &str,
    scopes: Option<&[(Scope, Vec<MethodPattern>)]>,
    providers: Option<&[Provider]>,
) -> Option<Role> {
    let key = format!("{TABLE}.{name}");
    let people = reader.list(&key, |text| match providers {
        Some(providers) => one(providers, text).map(Some),
        None => Ok(None),
    })?;
    let exists =
        |scope: &Scope| scopes.is_none_or(|scopes| scopes.iter().any(|(known, _)| known == scope));
    let Some(scope) = Scope::parse(name).filter(exists) else {
        let remedy = "write a scope that stands on the left in [scopes] or in scopes of a server, or add it there";
        return reader.refuse(&key, Wrong::new("is not a scope in [scopes]", remedy));
    };
    if people.is_empty() {
        let remedy = r#"write to whom, such as ["github:team:acme/platform"], or take the scope out of [scopes]"#;
        return reader.refuse(&key, Wrong::new("is open to nobody", remedy));
    }
    let people: Vec<(ProviderId, PersonRule)> = people.into_iter().collect::<Option<_>>()?;
    let is_public = |rule: &PersonRule| matches!(rule, PersonRule::Email(pattern) if person::is_public(pattern));
    if people.iter().any(|(_, rule)| is_public(rule)) {
        let what = "is open to every address of a domain in which everybody can have one";
        reader.warn(&key, what);
    }
    let is_at_google = |id: &ProviderId| {
        let mut here = providers.into_iter().flatten();
        here.any(|provider| {
            provider.id == *id && matches!(provider.kind, ProviderKind::OpenId { google: true, .. })
        })
    };
    let is_of_workspace = |rule: &PersonRule| matches!(rule, PersonRule::Email(pattern) if person::is_of_workspace(pattern));
    if people
        .iter()
        .any(|(id, rule)| is_at_google(id) && is_of_workspace(rule))
    {
        reader.warn(&key, person::WORKSPACE_ALONE);
    }
    Some((scope, people))
}

/// Reads `PROVIDER:KIND:VALUE`.
fn one(providers: &[Provider], text: &str) -> Result<(ProviderId, PersonRule), Wrong> {
    let Some((name, rule)) = text.split_once(':') else {
        let remedy = r#"write each as "PROVIDER:KIND:VALUE", such as "github:team:acme/platform""#;
        return Err(Wrong::new(
            "holds something that names no provider and nobody there",
            remedy,
        ));
    };
    let Some(provider) = providers
        .iter()
        .find(|provider| provider.id.as_str() == name)
    else {
        let ids: Vec<&str> = providers
            .iter()
            .map(|provider| provider.id.as_str())
            .collect();
        let remedy = format!("begin it with one that there is: {}", ids.join(", "));
        return Err(Wrong::new("names a provider that there is not", remedy));
    };
    Ok((provider.id.clone(), person::rule(provider, rule)?))
}

const TABLE: &str = "scope_policy.roles";
