//! What a token is worth, as it is told to who may ask (RFC 7662 §2.2).

use serde::Serialize;

use super::claims::AccessClaims;
use super::ids::{ClientId, Subject};
use super::session::Session;
use crate::clock::UnixTime;

/// The answer. Of a token that is not in force nothing is told, not even why: `{"active":false}`.
#[derive(Debug, Serialize)]
pub struct Introspection {
    active: bool,
    #[serde(flatten)]
    facts: Option<TokenFacts>,
}

impl Introspection {
    /// What is told of a token; none: it is not in force.
    #[must_use]
    pub fn of(facts: Option<TokenFacts>) -> Self {
        Self {
            active: facts.is_some(),
            facts,
        }
    }
}

/// What is told of a token in force. No login, no name, no e-mail address.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct TokenFacts {
    scope: String,
    client_id: ClientId,
    sub: Subject,
    aud: String,
    iss: String,
    exp: UnixTime,
    iat: UnixTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    sid: String,
    token_type: &'static str,
}

impl TokenFacts {
    /// Of an access token: what it says itself.
    #[must_use]
    pub fn of_access(claims: AccessClaims) -> Self {
        Self {
            scope: claims.scope,
            client_id: claims.client_id,
            sub: claims.sub,
            aud: claims.aud,
            iss: claims.iss,
            exp: claims.exp,
            iat: claims.iat,
            jti: Some(claims.jti),
            sid: claims.sid,
            token_type: "Bearer",
        }
    }

    /// Of the refresh token in force of a session. It is for nobody but the issuer, and of no type that opens anything
    /// (`N_A`, RFC 8693 §2.2.1): a resource server that is handed one must not take it for an access token.
    #[must_use]
    pub fn of_refresh(session: Session, issuer: &str) -> Self {
        Self {
            scope: session.scopes.to_string(),
            client_id: session.client_id,
            sub: session.subject,
            aud: issuer.to_owned(),
            iss: issuer.to_owned(),
            exp: session.expires,
            iat: session.used,
            jti: None,
            sid: session.id.to_string(),
            token_type: "N_A",
        }
    }

    /// Whom the token is for.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.aud
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::ProviderId;

    /// REV-05
    #[test]
    fn of_a_token_that_is_not_in_force_nothing_is_told() {
        let nothing = serde_json::to_string(&Introspection::of(None));
        assert_eq!(nothing.unwrap(), r#"{"active":false}"#);
    }

    /// REV-05
    #[test]
    fn of_an_access_token_its_claims_are_told() {
        let facts = TokenFacts::of_access(AccessClaims {
            iss: "https://mcp.example.com".to_owned(),
            sub: Subject::at(&ProviderId::new("github"), "583231"),
            aud: "https://mcp.example.com/mcp".to_owned(),
            client_id: ClientId::new("c"),
            iat: UnixTime(1_795_219_200),
            exp: UnixTime(1_795_222_800),
            jti: "j".to_owned(),
            scope: "mcp:tools:read".to_owned(),
            sid: "s".to_owned(),
        });
        insta::assert_json_snapshot!(Introspection::of(Some(facts)), @r#"
        {
          "active": true,
          "scope": "mcp:tools:read",
          "client_id": "c",
          "sub": "github:583231",
          "aud": "https://mcp.example.com/mcp",
          "iss": "https://mcp.example.com",
          "exp": 1795222800,
          "iat": 1795219200,
          "jti": "j",
          "sid": "s",
          "token_type": "Bearer"
        }
        "#);
    }
}
