//! What a client is told of its registration (RFC 7591 §3.2.1, RFC 7592 §3).

use std::iter;

use serde::Serialize;
use serde_json::Value;

use super::client::{Client, ClientAuthentication, ClientSource, KeySource};
use super::client_members::{ApplicationType, Method};
use super::ids::ClientId;
use super::redirect_uri::RedirectUri;
use crate::clock::UnixTime;
use crate::secret::Secret;

/// Everything as it was registered in the end. What there is not, is left out.
#[derive(Debug, Serialize)]
pub struct RegistrationAnswer {
    client_id: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_issued_at: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<Exposed>,
    /// 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    redirect_uris: Vec<RedirectUri>,
    token_endpoint_auth_method: Method,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    grant_types: Vec<&'static str>,
    response_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<ApplicationType>,
    registration_client_uri: String,
    registration_access_token: Exposed,
}

/// Where and with what a registration is managed (RFC 7592 §3).
#[derive(Debug)]
pub struct Management {
    /// `registration_client_uri`
    pub uri: String,
    /// `registration_access_token`, new or as it was presented: only its digest is kept.
    pub access: Secret,
}

#[derive(Debug)]
struct Exposed(Secret);

impl Serialize for Exposed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl RegistrationAnswer {
    /// What can be told of a client from what is kept of it.
    pub(super) fn new(client: &Client, method: Method, management: Management) -> Self {
        let (jwks, jwks_uri) = match &client.authentication {
            ClientAuthentication::Keys { keys, .. } => match keys {
                KeySource::Inline(text) => (serde_json::from_str(text).ok(), None),
                KeySource::At(uri) => (None, Some(uri.clone())),
            },
            _ => (None, None),
        };
        Self {
            client_id: client.id.clone(),
            client_id_issued_at: match client.source {
                ClientSource::Registered { at, .. } => Some(at),
                _ => None,
            },
            client_secret: None,
            // RFC 7591 §3.2.1: wherever a secret was issued, also where it cannot be shown again
            client_secret_expires_at: method.has_secret().then_some(0),
            client_name: client.name.clone(),
            client_uri: client.uri.clone(),
            logo_uri: client.logo.clone(),
            redirect_uris: client.redirect_uris.clone(),
            token_endpoint_auth_method: method,
            jwks,
            jwks_uri,
            grant_types: iter::once("authorization_code")
                .chain(client.refreshes.then_some("refresh_token"))
                .collect(),
            response_types: ["code"],
            scope: None,
            application_type: None,
            registration_client_uri: management.uri,
            registration_access_token: Exposed(management.access),
        }
    }
    /// What is told only when it is asked for.
    pub(super) fn with(
        mut self,
        secret: Option<Secret>,
        scope: Option<String>,
        application_type: Option<ApplicationType>,
    ) -> Self {
        self.client_secret = secret.map(Exposed);
        self.scope = scope;
        self.application_type = application_type;
        self
    }

    pub(super) fn leave_out_all_but(&mut self, redirect_uris: &[RedirectUri]) {
        self.redirect_uris = redirect_uris.to_vec();
    }
}
