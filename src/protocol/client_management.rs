//! A client that looks after its registration (RFC 7592): reads it, and replaces it.

use super::client::{Client, ClientAuthentication};
use super::client_members::{Metadata, Method, invalid};
use super::error::OAuthError;
use super::register::{Asked, Registration};
use super::registration_answer::{Management, RegistrationAnswer};
use super::scope::ScopeSet;
use crate::secret::Secret;

/// What only the server says (RFC 7592 §2.2).
const OURS_TO_SAY: [(&str, &str); 4] = [
    (
        "registration_access_token",
        "registration_access_token must not be in the body",
    ),
    (
        "registration_client_uri",
        "registration_client_uri must not be in the body",
    ),
    (
        "client_secret_expires_at",
        "client_secret_expires_at must not be in the body",
    ),
    (
        "client_id_issued_at",
        "client_id_issued_at must not be in the body",
    ),
];

/// What is registered (RFC 7592 §2.1).
///
/// RFC 7592 §3 would have the secret here again. It is kept as a digest alone, so it is not: a client that has lost its
/// secret registers anew. Nor are the scope that it once asked for and its application type kept, and of the two ways
/// to send a secret, which are alike to us, Basic is told.
#[must_use]
pub fn describe(client: &Client, management: Management) -> RegistrationAnswer {
    let method = match client.authentication {
        ClientAuthentication::None => Method::None,
        ClientAuthentication::Secret(_) => Method::ClientSecretBasic,
        ClientAuthentication::Keys { .. } => Method::PrivateKeyJwt,
    };
    RegistrationAnswer::new(client, method, management)
}

/// Replaces what is registered (RFC 7592 §2.2): what the body leaves out is gone, or at its default. The client keeps
/// its identifier, its registration access token and, as long as it wants one, its secret; `fresh` is the secret of one
/// that did not have any.
///
/// # Errors
/// As with a registration; and `invalid_client_metadata` where the body is not about this client, or sets what is not
/// for the client to set.
pub fn change(
    body: &[u8],
    scopes: &ScopeSet,
    current: &Client,
    fresh: Secret,
    management: Management,
) -> Result<Registration, OAuthError> {
    let metadata = Metadata::read(body)?;
    let id = metadata.get("client_id");
    if id.is_none_or(|id| id != current.id.as_str()) {
        return Err(invalid(
            "client_id is missing, or is not that of this registration",
        ));
    }
    for (name, refusal) in OURS_TO_SAY {
        if metadata.get(name).is_some() {
            return Err(invalid(refusal));
        }
    }
    let presented = presented(&metadata, current)?;
    let asked = Asked::read(&metadata, scopes)?;
    let (authentication, secret) = match &current.authentication {
        _ if !asked.method.has_secret() => (asked.authentication(), None),
        // shown again to who has shown it: that is all that we know of it
        kept @ ClientAuthentication::Secret(_) => (kept.clone(), presented),
        _ => (ClientAuthentication::Secret(fresh.digest()), Some(fresh)),
    };
    let client = asked.client(current.id.clone(), authentication, current.source.clone());
    Ok(asked.registration(client, secret, management))
}

/// The secret in the body, which must be the current one: nobody chooses their secret (RFC 7592 §2.2).
fn presented(metadata: &Metadata, current: &Client) -> Result<Option<Secret>, OAuthError> {
    let Some(value) = metadata.get("client_secret") else {
        return Ok(None);
    };
    let secret = value.as_str().map(Secret::new);
    match (&current.authentication, secret) {
        (ClientAuthentication::Secret(digest), Some(secret)) if digest.matches(&secret) => {
            Ok(Some(secret))
        }
        _ => Err(invalid(
            "client_secret is not the current one: it may be left out, but not chosen",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::UnixTime;
    use crate::protocol::error::ErrorCode;
    use crate::protocol::ids::ClientId;
    use crate::protocol::register::{Fresh, register};

    fn management() -> Management {
        Management {
            uri: "https://mcp.example.com/register/c_1".to_owned(),
            access: Secret::new("4ccess"),
        }
    }

    fn client(method: &str) -> Client {
        let fresh = Fresh {
            id: ClientId::new("c_1"),
            secret: Secret::new("s3cret"),
            access: Secret::new("4ccess"),
            issuer: "https://mcp.example.com".to_owned(),
            uri: management().uri,
            now: UnixTime(1_795_219_200),
        };
        let body = json!({
            "client_name": "Before",
            "redirect_uris": ["https://a.example/cb"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": method,
            "jwks_uri": "https://a.example/keys",
        });
        register(body.to_string().as_bytes(), &ScopeSet::default(), fresh)
            .unwrap()
            .client
    }

    /// The client after a change, and the answer.
    fn changed(current: &Client, rest: &Value) -> Result<(Client, Value), OAuthError> {
        let mut body = json!({"client_id": "c_1", "redirect_uris": ["https://a.example/new"]});
        body.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let (body, scopes) = (body.to_string(), ScopeSet::default());
        let fresh = Secret::new("fr3sh");
        change(body.as_bytes(), &scopes, current, fresh, management()).map(|changed| {
            let answer = serde_json::to_value(changed.answer).unwrap();
            (changed.client, answer)
        })
    }

    fn proves(client: &Client, secret: &str) -> bool {
        matches!(&client.authentication, ClientAuthentication::Secret(digest) if digest.matches(&Secret::new(secret)))
    }

    /// CLI-46
    #[test]
    fn a_client_reads_what_is_registered_but_not_its_secret() {
        let described = |method| serde_json::to_value(describe(&client(method), management()));
        insta::assert_json_snapshot!(described("client_secret_post").unwrap(), @r#"
        {
          "client_id": "c_1",
          "client_id_issued_at": 1795219200,
          "client_name": "Before",
          "client_secret_expires_at": 0,
          "grant_types": [
            "authorization_code",
            "refresh_token"
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
        let public = described("none").unwrap();
        assert_eq!(public["token_endpoint_auth_method"], "none");
        assert_eq!(public.get("client_secret_expires_at"), None);
        let keys = described("private_key_jwt").unwrap();
        assert_eq!(keys["jwks_uri"], "https://a.example/keys");
    }

    /// CLI-46
    #[test]
    fn a_change_replaces_everything_but_who_the_client_is() {
        let before = client("client_secret_basic");
        let (after, answer) = changed(&before, &json!({"client_secret": "s3cret"})).unwrap();
        assert_eq!((&after.id, &after.source), (&before.id, &before.source));
        assert!(proves(&after, "s3cret"));
        assert_eq!((after.name, after.refreshes), (None, false));
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
            "https://a.example/new"
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

    /// CLI-32, CLI-46
    #[test]
    fn a_secret_is_kept_made_or_dropped_as_the_method_says() {
        for (before, after, secret, told) in [
            (
                "client_secret_basic",
                "client_secret_post",
                Some("s3cret"),
                Value::Null,
            ),
            ("client_secret_basic", "none", None, Value::Null),
            ("client_secret_basic", "private_key_jwt", None, Value::Null),
            ("none", "client_secret_post", Some("fr3sh"), json!("fr3sh")),
            ("none", "", Some("fr3sh"), json!("fr3sh")),
            (
                "private_key_jwt",
                "client_secret_basic",
                Some("fr3sh"),
                json!("fr3sh"),
            ),
            ("private_key_jwt", "none", None, Value::Null),
        ] {
            let rest =
                json!({"token_endpoint_auth_method": after, "jwks_uri": "https://a.example/k"});
            let (client, answer) = changed(&client(before), &rest).unwrap();
            for one in ["s3cret", "fr3sh"] {
                assert_eq!(
                    proves(&client, one),
                    secret == Some(one),
                    "{before} {after}"
                );
            }
            assert_eq!(answer["client_secret"], told, "{before} {after}");
            let method = if after.is_empty() {
                "client_secret_basic"
            } else {
                after
            };
            assert_eq!(answer["token_endpoint_auth_method"], method);
        }
    }

    /// CLI-39, CLI-46
    #[test]
    fn what_is_not_for_the_client_to_say_is_refused_by_name() {
        let secret = client("client_secret_basic");
        for (rest, member) in [
            (json!({"client_id": "c_2"}), "client_id "),
            (json!({"client_id": null}), "client_id "),
            (json!({"client_id": ["c_1"]}), "client_id "),
            (json!({"client_secret": "chosen"}), "client_secret "),
            (json!({"client_secret": 7}), "client_secret "),
            (
                json!({"client_secret_expires_at": 0}),
                "client_secret_expires_at ",
            ),
            (json!({"client_id_issued_at": 1}), "client_id_issued_at "),
            (
                json!({"registration_client_uri": "https://a.example/"}),
                "registration_client_uri ",
            ),
            (
                json!({"registration_access_token": "4ccess"}),
                "registration_access_token ",
            ),
            (json!({"grant_types": ["implicit"]}), "grant_types "),
        ] {
            let refused = changed(&secret, &rest).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidClientMetadata, "{rest}");
            assert!(refused.description.starts_with(member), "{rest}: {refused}");
        }
        let none = client("none");
        assert!(changed(&none, &json!({"client_secret": "s3cret"})).is_err());
        let bad_uri = changed(&none, &json!({"redirect_uris": []})).unwrap_err();
        assert_eq!(bad_uri.code, ErrorCode::InvalidRedirectUri);
    }
}
