//! A client that looks after its registration (RFC 7592): reads it, and replaces it.

use std::iter;

use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, ClientAuthentication, ClientSource};
use super::error::OAuthError;
use super::register::{Fresh, Method, Registration, invalid, register, text};
use super::registration_answer::{Management, RegistrationAnswer};
use super::scope::ScopeSet;
use crate::clock::UnixTime;
use crate::secret::Secret;

/// What only a change says (RFC 7592 §2.2).
#[derive(Deserialize)]
struct Claimed {
    client_id: Option<Value>,
    client_secret: Option<Value>,
}

/// What is registered (RFC 7592 §2.1). The secret is not told again: only its digest is kept.
#[must_use]
pub fn describe(client: &Client, management: Management) -> RegistrationAnswer {
    RegistrationAnswer {
        client_id: client.id.clone(),
        client_id_issued_at: issued_at(client),
        client_secret: None,
        client_secret_expires_at: None,
        client_name: client.name.clone(),
        client_uri: client.uri.clone(),
        redirect_uris: client.redirect_uris.clone(),
        token_endpoint_auth_method: match client.authentication {
            ClientAuthentication::Secret(_) => Method::ClientSecretBasic,
            _ => Method::None,
        },
        grant_types: iter::once("authorization_code")
            .chain(client.refreshes.then_some("refresh_token"))
            .collect(),
        response_types: ["code"],
        scope: client.scopes.as_ref().map(ScopeSet::to_string),
        application_type: None,
        management,
    }
}

/// Replaces what is registered (RFC 7592 §2.2). The client keeps its identifier, its registration access token and, as
/// long as it wants one, its secret; `fresh` is the secret of one that did not have any.
///
/// # Errors
/// As with a registration; and where the body is not about this client.
pub fn change(
    body: &[u8],
    scopes: &ScopeSet,
    current: &Client,
    fresh: Secret,
    management: Management,
) -> Result<Registration, OAuthError> {
    let fresh = Fresh {
        id: current.id.clone(),
        secret: fresh,
        access: management.access,
        issuer: String::new(),
        uri: management.uri,
        now: UnixTime(0),
    };
    let mut changed = register(body, scopes, fresh)?;
    let claimed: Claimed = serde_json::from_slice(body)
        .map_err(|_| invalid("the body is not well-formed JSON, or has a member twice"))?;
    let id = text(claimed.client_id.as_ref(), "client_id is not a string")?;
    if id != Some(current.id.as_str()) {
        return Err(invalid(
            "client_id is missing, or is not that of this registration",
        ));
    }
    let secret = text(
        claimed.client_secret.as_ref(),
        "client_secret is not a string",
    )?;
    let kept = match &current.authentication {
        ClientAuthentication::Secret(digest) => Some(digest),
        _ => None,
    };
    if secret.is_some_and(|secret| !kept.is_some_and(|kept| kept.matches(&Secret::new(secret)))) {
        return Err(invalid(
            "client_secret is not the current one: it may be left out, but not chosen",
        ));
    }
    if let (Some(kept), Some(_)) = (kept, &changed.answer.client_secret) {
        changed.client.authentication = ClientAuthentication::Secret(*kept);
        changed.answer.client_secret = None;
    }
    changed.client.source = current.source.clone();
    changed.answer.client_id_issued_at = issued_at(current);
    Ok(changed)
}

fn issued_at(client: &Client) -> Option<UnixTime> {
    match client.source {
        ClientSource::Registered { at, .. } => Some(at),
        _ => None,
    }
}
