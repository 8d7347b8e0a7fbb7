//! What clients are told about us: metadata of the authorization server (RFC 8414) and of each resource (RFC 9728).

use serde::Serialize;

use super::authorize::OFFLINE_ACCESS;
use super::issuer::Issuer;
use super::scope::{Scope, ScopeSet};

/// Authorization server metadata (RFC 8414 §2). Members whose default would be wrong for us are always said; what
/// there is not, is left out and never null.
#[derive(Debug, Serialize)]
pub struct ServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    revocation_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    introspection_endpoint: Option<String>,
    pushed_authorization_request_endpoint: String,
    jwks_uri: String,
    scopes_supported: Vec<String>,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 4],
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 4],
    revocation_endpoint_auth_methods_supported: [&'static str; 4],
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    introspection_endpoint_auth_methods_supported: Option<[&'static str; 2]>,
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_metadata_document_supported: Option<bool>,
    protected_resources: Vec<String>,
}

/// What a server may have or not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offers {
    /// Whether clients can register.
    pub registration: bool,
    /// Whether a `client_id` may be the URL of a metadata document.
    pub documents: bool,
    /// Whether somebody may introspect.
    pub introspection: bool,
}

/// Claude comes with its document only where `none` is among them (DISC-26).
const AUTHENTICATION_METHODS: [&str; 4] = [
    "none",
    "client_secret_post",
    "client_secret_basic",
    "private_key_jwt",
];

/// Of assertions of clients; for access tokens there is the key set.
const SIGNING_ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

impl ServerMetadata {
    /// The document of this issuer.
    #[must_use]
    pub fn new(issuer: &Issuer, resources: &[String], scopes: &ScopeSet, offers: Offers) -> Self {
        Self {
            issuer: issuer.as_str().to_owned(),
            authorization_endpoint: issuer.url("/authorize"),
            token_endpoint: issuer.url("/token"),
            registration_endpoint: offers.registration.then(|| issuer.url("/register")),
            revocation_endpoint: issuer.url("/revoke"),
            introspection_endpoint: offers.introspection.then(|| issuer.url("/introspect")),
            pushed_authorization_request_endpoint: issuer.url("/par"),
            jwks_uri: issuer.url("/.well-known/jwks.json"),
            scopes_supported: names(scopes),
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: ["authorization_code", "refresh_token"],
            token_endpoint_auth_methods_supported: AUTHENTICATION_METHODS,
            token_endpoint_auth_signing_alg_values_supported: SIGNING_ALGORITHMS,
            revocation_endpoint_auth_methods_supported: AUTHENTICATION_METHODS,
            revocation_endpoint_auth_signing_alg_values_supported: SIGNING_ALGORITHMS,
            introspection_endpoint_auth_methods_supported: offers
                .introspection
                .then_some(INTROSPECTION_METHODS),
            code_challenge_methods_supported: ["S256"],
            authorization_response_iss_parameter_supported: true,
            client_id_metadata_document_supported: offers.documents.then_some(true),
            protected_resources: resources.to_vec(),
        }
    }
}

/// Only clients with a secret may introspect.
const INTROSPECTION_METHODS: [&str; 2] = ["client_secret_post", "client_secret_basic"];

/// Protected resource metadata (RFC 9728 §2).
#[derive(Debug, Serialize)]
pub struct ResourceMetadata {
    resource: String,
    authorization_servers: [String; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
    resource_name: String,
}

impl ResourceMetadata {
    /// The document of a resource.
    #[must_use]
    pub fn new(issuer: &Issuer, resource: &str, name: &str, default_scopes: &ScopeSet) -> Self {
        let basic = default_scopes
            .iter()
            .filter(|scope| scope.as_str() != OFFLINE_ACCESS)
            .cloned()
            .collect();
        Self {
            resource: resource.to_owned(),
            authorization_servers: [issuer.as_str().to_owned()],
            scopes_supported: names(&basic),
            bearer_methods_supported: ["header"],
            resource_name: name.to_owned(),
        }
    }
}

fn names(scopes: &ScopeSet) -> Vec<String> {
    scopes.iter().map(Scope::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(offers: Offers) -> ServerMetadata {
        let issuer = Issuer::parse("https://mcp.example.com/").unwrap();
        let scopes = ScopeSet::parse("mcp:tools:read offline_access").unwrap();
        let resources = ["https://mcp.example.com/mcp".to_owned()];
        ServerMetadata::new(&issuer, &resources, &scopes, offers)
    }

    /// DISC-20, DISC-23, DISC-24, DISC-25, DISC-26, DISC-27, DISC-28, DISC-29, DISC-30, DISC-31, DISC-32, DISC-33, DISC-34
    #[test]
    #[expect(clippy::too_many_lines, reason = "one document, to be seen whole")]
    fn the_server_says_what_it_does_and_nothing_else() {
        let document = described(Offers {
            registration: true,
            documents: true,
            introspection: false,
        });
        insta::assert_json_snapshot!(document, @r#"
        {
          "issuer": "https://mcp.example.com",
          "authorization_endpoint": "https://mcp.example.com/authorize",
          "token_endpoint": "https://mcp.example.com/token",
          "registration_endpoint": "https://mcp.example.com/register",
          "revocation_endpoint": "https://mcp.example.com/revoke",
          "pushed_authorization_request_endpoint": "https://mcp.example.com/par",
          "jwks_uri": "https://mcp.example.com/.well-known/jwks.json",
          "scopes_supported": [
            "mcp:tools:read",
            "offline_access"
          ],
          "response_types_supported": [
            "code"
          ],
          "response_modes_supported": [
            "query"
          ],
          "grant_types_supported": [
            "authorization_code",
            "refresh_token"
          ],
          "token_endpoint_auth_methods_supported": [
            "none",
            "client_secret_post",
            "client_secret_basic",
            "private_key_jwt"
          ],
          "token_endpoint_auth_signing_alg_values_supported": [
            "RS256",
            "PS256",
            "ES256",
            "EdDSA"
          ],
          "revocation_endpoint_auth_methods_supported": [
            "none",
            "client_secret_post",
            "client_secret_basic",
            "private_key_jwt"
          ],
          "revocation_endpoint_auth_signing_alg_values_supported": [
            "RS256",
            "PS256",
            "ES256",
            "EdDSA"
          ],
          "code_challenge_methods_supported": [
            "S256"
          ],
          "authorization_response_iss_parameter_supported": true,
          "client_id_metadata_document_supported": true,
          "protected_resources": [
            "https://mcp.example.com/mcp"
          ]
        }
        "#);
    }

    /// DISC-27
    #[test]
    fn what_there_is_not_is_left_out() {
        let closed = serde_json::to_value(described(Offers::default())).unwrap();
        for name in [
            "registration_endpoint",
            "client_id_metadata_document_supported",
            "introspection_endpoint",
            "introspection_endpoint_auth_methods_supported",
        ] {
            assert_eq!(closed.get(name), None, "{name}");
        }
    }

    #[test]
    fn who_may_introspect_needs_a_secret() {
        let open = described(Offers {
            introspection: true,
            ..Offers::default()
        });
        let open = serde_json::to_value(open).unwrap();
        assert_eq!(
            open["introspection_endpoint"],
            "https://mcp.example.com/introspect"
        );
        assert_eq!(
            open["introspection_endpoint_auth_methods_supported"],
            serde_json::json!(["client_secret_post", "client_secret_basic"])
        );
    }

    /// DISC-01, DISC-06, DISC-07, DISC-08
    #[test]
    fn a_resource_names_its_server_and_the_scopes_to_begin_with() {
        let issuer = Issuer::parse("https://mcp.example.com").unwrap();
        let scopes = ScopeSet::parse("mcp:tools:read offline_access").unwrap();
        let document =
            ResourceMetadata::new(&issuer, "https://mcp.example.com/mcp", "Tools", &scopes);
        insta::assert_json_snapshot!(document, @r#"
        {
          "resource": "https://mcp.example.com/mcp",
          "authorization_servers": [
            "https://mcp.example.com"
          ],
          "scopes_supported": [
            "mcp:tools:read"
          ],
          "bearer_methods_supported": [
            "header"
          ],
          "resource_name": "Tools"
        }
        "#);
        let none = ResourceMetadata::new(&issuer, "https://h/mcp", "Tools", &ScopeSet::default());
        let none = serde_json::to_value(none).unwrap();
        assert_eq!(none.get("scopes_supported"), None);
    }
}
