//! What a client is told of its registration (RFC 7591 §3.2.1, RFC 7592 §3).

use serde::Serialize;

use super::ids::ClientId;
use super::redirect_uri::RedirectUri;
use super::register::{ApplicationType, Method};
use crate::clock::UnixTime;
use crate::secret::Secret;

/// RFC 7591 §3.2.1: everything as it was registered in the end. What there is not, is left out.
#[derive(Debug, Serialize)]
pub struct RegistrationAnswer {
    pub(super) client_id: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_id_issued_at: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_secret: Option<Exposed>,
    /// 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_secret_expires_at: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_uri: Option<String>,
    pub(super) redirect_uris: Vec<RedirectUri>,
    pub(super) token_endpoint_auth_method: Method,
    pub(super) grant_types: Vec<&'static str>,
    pub(super) response_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) application_type: Option<ApplicationType>,
    #[serde(flatten)]
    pub(super) management: Management,
}

#[derive(Debug)]
pub(super) struct Exposed(pub(super) Secret);

impl Serialize for Exposed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// Where and with what a registration is managed (RFC 7592 §3).
#[derive(Debug, Serialize)]
pub struct Management {
    /// `registration_client_uri`
    #[serde(rename = "registration_client_uri")]
    pub uri: String,
    /// `registration_access_token`, new or as it was presented: only its digest is kept.
    #[serde(rename = "registration_access_token", serialize_with = "in_clear")]
    pub access: Secret,
}

fn in_clear<S: serde::Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}
