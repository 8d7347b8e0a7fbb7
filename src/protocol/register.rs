//! Dynamic client registration (RFC 7591): what a client says of itself -> [`Client`], and what it is told.

use super::client::{Client, ClientAuthentication, ClientSource, KeySource};
use super::client_members::{Members, Metadata, Method, invalid, text};
use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::registration_answer::{Management, RegistrationAnswer};
use super::scope::{Scope, ScopeSet};
use crate::clock::UnixTime;
use crate::secret::Secret;

/// What a new client is given.
#[derive(Debug)]
pub struct Fresh {
    /// `client_id`
    pub id: ClientId,
    /// `client_secret`, if it wants one. Of the alphabet `[A-Za-z0-9_-]`, since some clients encode it and some do not.
    pub secret: Secret,
    /// `registration_access_token` (RFC 7592 §3)
    pub access: Secret,
    /// The issuer that it registers with.
    pub issuer: String,
    /// `registration_client_uri` (RFC 7592 §3)
    pub uri: String,
    /// `client_id_issued_at`
    pub now: UnixTime,
}

/// A registered client, and the answer to it.
#[derive(Debug)]
pub struct Registration {
    /// To be kept.
    pub client: Client,
    /// To be answered: the only time that the secret is seen in clear.
    pub answer: RegistrationAnswer,
}

/// What a registration asks for.
pub(super) struct Asked {
    members: Members,
    pub(super) method: Method,
    keys: Option<KeySource>,
    scope: Option<String>,
}

/// Registers a client. `scopes` are those that exist here.
///
/// # Errors
/// By RFC 7591 §3.2.2: `invalid_redirect_uri` or `invalid_client_metadata`, with the member and the rule.
pub fn register(body: &[u8], scopes: &ScopeSet, fresh: Fresh) -> Result<Registration, OAuthError> {
    let asked = Asked::read(&Metadata::read(body)?, scopes)?;
    let secret = asked.method.has_secret().then_some(fresh.secret);
    let authentication = match &secret {
        Some(secret) => ClientAuthentication::Secret(secret.digest()),
        None => asked.authentication(),
    };
    let source = ClientSource::Registered {
        at: fresh.now,
        access: fresh.access.digest(),
        issuer: fresh.issuer,
    };
    let management = Management {
        uri: fresh.uri,
        access: fresh.access,
    };
    let client = asked.client(fresh.id, authentication, source);
    Ok(asked.registration(client, secret, management))
}

impl Asked {
    pub(super) fn read(metadata: &Metadata, scopes: &ScopeSet) -> Result<Self, OAuthError> {
        if metadata.get("software_statement").is_some() {
            return Err(ErrorCode::InvalidSoftwareStatement
                .with("software_statement is not accepted: leave it out"));
        }
        let method = text(
            metadata.get("token_endpoint_auth_method"),
            "token_endpoint_auth_method is not a string",
        )?;
        // RFC 7591 §2: the default
        let method = Method::parse(method.unwrap_or("client_secret_basic")).ok_or(invalid(
            "token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt",
        ))?;
        let scope = text(metadata.get("scope"), "scope is not a string")?;
        Ok(Self {
            members: metadata.members()?,
            method,
            // keys that prove nothing here are ignored
            keys: match method {
                Method::PrivateKeyJwt => Some(metadata.keys()?),
                _ => None,
            },
            scope: scope.and_then(|scope| known(scope, scopes)),
        })
    }

    /// How it proves itself without a secret.
    pub(super) fn authentication(&self) -> ClientAuthentication {
        match &self.keys {
            Some(keys) => ClientAuthentication::Keys {
                keys: keys.clone(),
                or_none: false,
            },
            None => ClientAuthentication::None,
        }
    }

    pub(super) fn client(
        &self,
        id: ClientId,
        authentication: ClientAuthentication,
        source: ClientSource,
    ) -> Client {
        Client {
            id,
            name: self.members.name.clone(),
            uri: self.members.page.clone(),
            logo: self.members.logo.clone(),
            redirect_uris: self.members.redirect_uris.clone(),
            authentication,
            refreshes: self.members.refreshes,
            scopes: None,
            source,
        }
    }

    /// `secret` is what is told of it in clear.
    pub(super) fn registration(
        self,
        client: Client,
        secret: Option<Secret>,
        management: Management,
    ) -> Registration {
        let kind = self.members.application_type;
        let answer = RegistrationAnswer::new(&client, self.method, management)
            .with(secret, self.scope, kind);
        Registration { client, answer }
    }
}

impl Method {
    pub(super) fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

impl Registration {
    /// Leaves out the https redirect URIs that are on none of `hosts`, as it is with other entries that are not
    /// acceptable (CLI-37); where `hosts` is empty, only those that are addresses of this server itself.
    ///
    /// # Errors
    /// `invalid_redirect_uri` where nothing is left.
    pub fn keep_to_hosts(mut self, hosts: &[String]) -> Result<Self, OAuthError> {
        let uris = &mut self.client.redirect_uris;
        if let ClientSource::Registered { issuer, .. } = &self.client.source {
            uris.retain(|uri| uri.host_allowed(hosts) && !uri.is_at(issuer));
        }
        if uris.is_empty() {
            return Err(ErrorCode::InvalidRedirectUri
                .with("redirect_uris are all on hosts that this server does not send answers to"));
        }
        self.answer.leave_out_all_but(uris);
        Ok(self)
    }
}

/// What is known here of the scopes asked for: never a reason to refuse (CLI-40).
fn known(asked: &str, scopes: &ScopeSet) -> Option<String> {
    let known = asked
        .split_whitespace()
        .filter_map(Scope::parse)
        .collect::<ScopeSet>()
        .intersection(scopes);
    (!known.is_empty()).then(|| known.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn registration(body: &str) -> Result<Registration, OAuthError> {
        let fresh = Fresh {
            id: ClientId::new("c_1"),
            secret: Secret::new("s3cret"),
            access: Secret::new("4ccess"),
            issuer: "https://mcp.example.com".to_owned(),
            uri: "https://mcp.example.com/register/c_1".to_owned(),
            now: UnixTime(1_795_219_200),
        };
        let scopes = ScopeSet::parse("mcp:tools:read offline_access").unwrap();
        register(body.as_bytes(), &scopes, fresh)
    }

    fn registered(body: &str) -> Result<Value, OAuthError> {
        registration(body).map(|registration| serde_json::to_value(registration.answer).unwrap())
    }

    /// CLI-30, CLI-31, CLI-32, CLI-34, CLI-35, CLI-40, CLI-46
    #[test]
    fn a_public_client_is_answered_with_all_that_was_registered_and_no_nulls() {
        let body = r#"{"client_name":"T","redirect_uris":["http://127.0.0.1:33418/"],
            "token_endpoint_auth_method":"none","application_type":"native","scope":"claudeai mcp:tools:read",
            "logo_uri":"https://a.example/l.png",
            "grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],
            "response_types":["code"],"contacts":null,"anything":{"a":[1]}}"#;
        insta::assert_json_snapshot!(registered(body).unwrap(), @r#"
        {
          "application_type": "native",
          "client_id": "c_1",
          "client_id_issued_at": 1795219200,
          "client_name": "T",
          "grant_types": [
            "authorization_code",
            "refresh_token"
          ],
          "logo_uri": "https://a.example/l.png",
          "redirect_uris": [
            "http://127.0.0.1:33418/"
          ],
          "registration_access_token": "4ccess",
          "registration_client_uri": "https://mcp.example.com/register/c_1",
          "response_types": [
            "code"
          ],
          "scope": "mcp:tools:read",
          "token_endpoint_auth_method": "none"
        }
        "#);
    }

    /// CLI-32, CLI-33, CLI-46
    #[test]
    fn a_client_that_says_nothing_gets_a_secret_for_basic() {
        let answer = registered(r#"{"redirect_uris":["https://a.example/cb"]}"#).unwrap();
        insta::assert_json_snapshot!(answer, @r#"
        {
          "client_id": "c_1",
          "client_id_issued_at": 1795219200,
          "client_secret": "s3cret",
          "client_secret_expires_at": 0,
          "grant_types": [
            "authorization_code"
          ],
          "redirect_uris": [
            "https://a.example/cb"
          ],
          "registration_access_token": "4ccess",
          "registration_client_uri": "https://mcp.example.com/register/c_1",
          "response_types": [
            "code"
          ],
          "token_endpoint_auth_method": "client_secret_basic"
        }
        "#);
    }

    /// CLI-47
    #[test]
    fn what_is_kept_of_the_secrets_is_their_digests() {
        let kept = registration(r#"{"redirect_uris":["https://a.example/cb"]}"#).unwrap();
        let ClientAuthentication::Secret(digest) = &kept.client.authentication else {
            panic!("{:?}", kept.client)
        };
        assert!(digest.matches(&Secret::new("s3cret")));
        let ClientSource::Registered { access, issuer, .. } = &kept.client.source else {
            panic!("{:?}", kept.client)
        };
        assert!(access.matches(&Secret::new("4ccess")));
        assert_eq!(issuer, "https://mcp.example.com");
        let printed = format!("{kept:?}");
        assert!(!printed.contains("s3cret") && !printed.contains("4ccess"));
    }

    /// CLI-14, CLI-30
    #[test]
    fn a_client_may_prove_itself_with_keys() {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "wcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcE"});
        for (member, value) in [
            ("jwks", json!({"keys": [key]})),
            ("jwks_uri", json!("https://a.example/keys")),
        ] {
            let body = json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "private_key_jwt",
                member: value.clone()});
            let kept = registration(&body.to_string()).unwrap();
            assert!(matches!(
                kept.client.authentication,
                ClientAuthentication::Keys { or_none: false, .. }
            ));
            let answer = serde_json::to_value(kept.answer).unwrap();
            assert_eq!(answer[member], value);
            assert_eq!(answer["token_endpoint_auth_method"], "private_key_jwt");
            assert_eq!(answer.get("client_secret"), None);
            assert_eq!(answer.get("client_secret_expires_at"), None);
        }
    }

    /// CLI-39, CLI-48
    #[test]
    fn what_we_cannot_keep_to_is_refused() {
        let refusal = |rest: Value| {
            let mut body = json!({"redirect_uris": ["https://a.example/cb"]});
            body.as_object_mut()
                .unwrap()
                .extend(rest.as_object().unwrap().clone());
            registered(&body.to_string()).unwrap_err().code
        };
        let method = |name: &str| json!({"token_endpoint_auth_method": name});
        let keys = |name: &str, value: Value| json!({"token_endpoint_auth_method": "private_key_jwt", name: value});
        for rest in [
            method("private_key_jwt"),
            method("client_secret_jwt"),
            method("tls_client_auth"),
            json!({"token_endpoint_auth_method": ["none"]}),
            keys("jwks", json!({})),
            keys("jwks", json!({"keys": [{"kty": "oct", "k": "AQAB"}]})),
            keys("jwks_uri", json!("http://a.example/k")),
            json!({"jwks": {"keys": []}, "jwks_uri": "https://a.example/k"}),
            json!({"scope": ["a"]}),
            json!({"grant_types": ["client_credentials"]}),
        ] {
            assert_eq!(
                refusal(rest.clone()),
                ErrorCode::InvalidClientMetadata,
                "{rest}"
            );
        }
        let statement = refusal(json!({"software_statement": "x.y.z"}));
        assert_eq!(statement, ErrorCode::InvalidSoftwareStatement);
    }

    /// CLI-40
    #[test]
    fn empty_values_are_none() {
        let plain = registered(r#"{"redirect_uris":["http://localhost/cb"]}"#).unwrap();
        for empty in ["\"\"", "null"] {
            let mut body = json!({"redirect_uris": ["http://localhost/cb", ""], "grant_types": [], "response_types": [""]});
            for name in [
                "client_name",
                "client_uri",
                "logo_uri",
                "scope",
                "token_endpoint_auth_method",
                "application_type",
                "jwks",
                "jwks_uri",
                "software_statement",
                "contacts",
            ] {
                body[name] = serde_json::from_str(empty).unwrap();
            }
            assert_eq!(registered(&body.to_string()).unwrap(), plain);
        }
    }

    /// CLI-36, CLI-37
    #[test]
    fn where_hosts_are_listed_the_others_are_left_out() {
        let body = r#"{"redirect_uris":["https://a.example/cb","https://b.example/cb","http://localhost/cb"]}"#;
        let kept = |hosts: &[&str], body: &str| {
            let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let kept = registration(body).unwrap().keep_to_hosts(&hosts)?;
            let answer = serde_json::to_value(&kept.answer).unwrap();
            assert_eq!(answer["redirect_uris"], json!(kept.client.redirect_uris));
            Ok::<_, OAuthError>(answer["redirect_uris"].clone())
        };
        let all = json!([
            "https://a.example/cb",
            "https://b.example/cb",
            "http://localhost/cb"
        ]);
        assert_eq!(kept(&[], body).unwrap(), all);
        let some = json!(["https://b.example/cb", "http://localhost/cb"]);
        assert_eq!(kept(&["b.example"], body).unwrap(), some);
        let refused = kept(
            &["b.example"],
            r#"{"redirect_uris":["https://a.example/cb"]}"#,
        );
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidRedirectUri);
    }

    /// CLI-42
    #[test]
    fn no_registration_makes_a_large_row() {
        let uri = |at: usize| format!("https://a.example/{at:02}{}", "x".repeat(182));
        let body = json!({
            "client_name": "\u{1f600}".repeat(4000),
            "client_uri": format!("https://a.example/{}", "x".repeat(1006)),
            "logo_uri": format!("https://a.example/{}", "x".repeat(1006)),
            "redirect_uris": (0..20).map(uri).collect::<Vec<_>>(),
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": format!("https://a.example/{}", "x".repeat(2030)),
            "software_id": "x".repeat(10_000),
        });
        let client = registration(&body.to_string()).unwrap().client;
        assert!(client.logo.is_some() && client.uri.is_some());
        let row = postcard::to_allocvec(&client).unwrap();
        assert!((8_000..10_000).contains(&row.len()), "{}", row.len());
    }
}
