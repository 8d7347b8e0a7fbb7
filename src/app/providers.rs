//! Settings of the providers -> their connectors.

use std::sync::Arc;

use super::AppError;
use crate::clock::Clock;
use crate::config::{Config, Provider, ProviderKind};
use crate::outbound::Outbound;
use crate::protocol::person_rule::PeopleRules;
use crate::upstream::Upstream;
use crate::upstream::github::{GitHub, GitHubSettings};
use crate::upstream::oidc::{Oidc, OidcSettings};

/// The connectors, in the order of the configuration. None of them asks its provider anything yet.
pub(super) fn upstreams(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Upstream>>, AppError> {
    let outbound = Outbound::new(&config.outbound.ca, config.outbound.proxy.clone())?;
    let providers = config.providers.iter();
    providers
        .map(|provider| upstream(config, provider, outbound.clone(), Arc::clone(clock)))
        .collect()
}

fn upstream(
    config: &Config,
    provider: &Provider,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Upstream>, AppError> {
    let made: Result<Arc<dyn Upstream>, _> = match &provider.kind {
        ProviderKind::GitHub { base_url, api_url } => {
            let settings = GitHubSettings {
                id: provider.id.clone(),
                label: provider.label.clone(),
                client_id: provider.client_id.clone(),
                client_secret: provider.client_secret.clone(),
                base_url: base_url.clone(),
                api_url: api_url.clone(),
                callback: config.public_url.callback(&provider.id),
                rules: rules(config, provider),
            };
            GitHub::new(settings, outbound, clock).map(|made| Arc::new(made) as _)
        }
        ProviderKind::OpenId {
            issuer,
            scopes,
            google,
        } => {
            let settings = OidcSettings {
                id: provider.id.clone(),
                label: provider.label.clone(),
                issuer: issuer.clone(),
                client_id: provider.client_id.clone(),
                client_secret: provider.client_secret.clone(),
                scopes: scopes.clone(),
                google: *google,
                callback: config.public_url.callback(&provider.id),
                rules: rules(config, provider),
            };
            Oidc::new(settings, outbound, clock).map(|made| Arc::new(made) as _)
        }
    };
    made.map_err(|error| AppError::Provider(provider.id.to_string(), error.to_string()))
}

/// What is decided about the people of one provider. A scope that is open to nobody there is listed all the same: it is
/// not for everybody.
fn rules(config: &Config, provider: &Provider) -> PeopleRules {
    let roles = config.roles.iter().map(|(scope, rules)| {
        let here = rules.iter().filter(|(id, _)| *id == provider.id);
        (scope.clone(), here.map(|(_, rule)| rule.clone()).collect())
    });
    PeopleRules {
        realm: realm(provider),
        allow: provider.allow.rules(),
        roles: roles.collect(),
    }
}

/// Where the provider is, and who we are there.
fn realm(provider: &Provider) -> String {
    let client_id = &provider.client_id;
    match &provider.kind {
        ProviderKind::GitHub { base_url, api_url } => format!("{base_url} {api_url} {client_id}"),
        ProviderKind::OpenId { issuer, .. } => format!("{issuer} {client_id}"),
    }
}
