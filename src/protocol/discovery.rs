//! The metadata documents (RFC 8414, RFC 9728).

use serde::Serialize;

use super::scope::{Scope, ScopeSet};

/// What the authorization server says of itself (RFC 8414 §2). Members whose defaults would be wrong are written out;
/// nothing is null, and no list is empty.
#[derive(Clone, Debug, Serialize)]
pub struct ServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    revocation_endpoint: String,
    jwks_uri: String,
    scopes_supported: Vec<String>,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protected_resources: Vec<String>,
}

impl ServerMetadata {
    /// The document of `issuer`, whose endpoints all stand under it. `offline_access` is listed beside `scopes`, for
    /// clients that ask for a refresh token that way; `registration` says whether clients can register themselves.
    #[must_use]
    pub fn new(issuer: &str, resources: &[String], scopes: &ScopeSet, registration: bool) -> Self {
        let url = |path: &str| format!("{issuer}{path}");
        let offline: ScopeSet = Scope::parse(OFFLINE_ACCESS).into_iter().collect();
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: url("/authorize"),
            token_endpoint: url("/token"),
            registration_endpoint: registration.then(|| url("/register")),
            revocation_endpoint: url("/revoke"),
            jwks_uri: url("/.well-known/jwks.json"),
            scopes_supported: names(&scopes.union(&offline)),
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: ["authorization_code", "refresh_token"],
            token_endpoint_auth_methods_supported: AUTHENTICATION,
            revocation_endpoint_auth_methods_supported: AUTHENTICATION,
            code_challenge_methods_supported: ["S256"],
            authorization_response_iss_parameter_supported: true,
            protected_resources: resources.to_vec(),
        }
    }
}

/// What a protected MCP server says of itself (RFC 9728 §2).
#[derive(Clone, Debug, Serialize)]
pub struct ResourceMetadata {
    resource: String,
    authorization_servers: [String; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
    resource_name: String,
}

impl ResourceMetadata {
    /// The document of `resource`. Only the scopes of ordinary use are listed, since clients ask for all that are;
    /// `offline_access` is no matter of the resource's.
    #[must_use]
    pub fn new(issuer: &str, resource: &str, name: &str, default_scopes: &ScopeSet) -> Self {
        let mut scopes = names(default_scopes);
        scopes.retain(|scope| scope != OFFLINE_ACCESS);
        Self {
            resource: resource.to_owned(),
            authorization_servers: [issuer.to_owned()],
            scopes_supported: scopes,
            bearer_methods_supported: ["header"],
            resource_name: name.to_owned(),
        }
    }
}

const OFFLINE_ACCESS: &str = "offline_access";

/// Claude looks for `none` here before it uses a public client.
const AUTHENTICATION: [&str; 3] = ["none", "client_secret_post", "client_secret_basic"];

fn names(scopes: &ScopeSet) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}
