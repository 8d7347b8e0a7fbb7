//! GitHub and GitHub Enterprise Server: OAuth 2.0, and the user API for who it is and where they belong.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType, BasicTokenResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    TokenResponse as _, TokenUrl,
};
use serde_json::json;
use url::{ParseError, Url};

use super::github_account::{account, verified_email};
use super::github_allow::Door;
use super::github_api::{Api, under};
use super::{
    Back, Departure, GivesBack, Intent, Kept, SignIn, Upstream, UpstreamError, UpstreamTokens,
    UseFor, Vouched,
};
use crate::clock::{Clock, UnixTime};
use crate::entropy;
use crate::outbound::{Outbound, OutboundError};
use crate::protocol::identity::Identity;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::person_rule::PeopleRules;
use crate::protocol::scope::ScopeSet;
use crate::secret::Secret;

pub use super::github_allow::GitHubAllow;

/// What is to be known of the application at GitHub.
#[derive(Clone, Debug)]
pub struct GitHubSettings {
    /// The name in the configuration.
    pub id: ProviderId,
    /// The name to show.
    pub label: String,
    /// `client_id` of the OAuth App or GitHub App.
    pub client_id: String,
    /// Its `client_secret`.
    pub client_secret: Secret,
    /// `https://github.com`, or the GitHub Enterprise Server.
    pub base_url: Url,
    /// `https://api.github.com`, or `https://HOST/api/v3`.
    pub api_url: Url,
    /// Our callback, byte for byte as it is registered there.
    pub callback: String,
    /// Who may enter.
    pub allow: GitHubAllow,
    /// The same, and what is open to whom.
    pub rules: PeopleRules,
}

type OAuthClient =
    BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// The connector.
pub struct GitHub {
    settings: GitHubSettings,
    oauth: OAuthClient,
    outbound: Outbound,
    api: Api,
    clock: Arc<dyn Clock>,
}

impl GitHub {
    /// A connector; nothing is asked of GitHub yet.
    ///
    /// # Errors
    /// Where the callback or one of the addresses is no URL that requests can go to.
    pub fn new(
        settings: GitHubSettings,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ParseError> {
        for url in [&settings.base_url, &settings.api_url] {
            if url.cannot_be_a_base() {
                return Err(ParseError::RelativeUrlWithCannotBeABaseBase);
            }
        }
        let endpoint = |name| under(&settings.base_url, &["login", "oauth", name]);
        let oauth = BasicClient::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(
                settings.client_secret.expose().to_owned(),
            ))
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::from_url(endpoint("authorize")))
            .set_token_uri(TokenUrl::from_url(endpoint("access_token")))
            .set_redirect_uri(RedirectUrl::new(settings.callback.clone())?);
        Ok(Self {
            oauth,
            api: Api::new(outbound.clone(), settings.api_url.clone()),
            outbound,
            clock,
            settings,
        })
    }

    async fn redeem(&self, code: &Secret, kept: &Kept) -> Result<UpstreamTokens, UpstreamError> {
        let verifier = PkceCodeVerifier::new(kept.verifier.expose().to_owned());
        let answer = self
            .oauth
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(verifier)
            .request_async(&self.outbound)
            .await
            .map_err(refused)?;
        Ok(self.tokens(&answer))
    }

    fn tokens(&self, answer: &BasicTokenResponse) -> UpstreamTokens {
        let refresh = answer.refresh_token();
        let lasts = answer.expires_in();
        // Separated by commas (CONS-19), so that `oauth2` takes all of them for one.
        let scopes = answer.scopes().into_iter().flatten();
        let scopes = scopes.flat_map(|scopes| scopes.split([',', ' ']));
        UpstreamTokens {
            access: Secret::new(answer.access_token().secret()),
            refresh: refresh.map(|token| Secret::new(token.secret())),
            expires: lasts.map(|lasts| self.clock.now() + lasts),
            scopes: scopes
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect(),
            claims: None,
        }
    }
}

#[async_trait]
impl Upstream for GitHub {
    fn id(&self) -> &ProviderId {
        &self.settings.id
    }

    fn label(&self) -> &str {
        &self.settings.label
    }

    fn asks_for(&self) -> Vec<String> {
        let mut asked = vec![
            "your public profile (read)".to_owned(),
            "your e-mail addresses (read)".to_owned(),
        ];
        if self.settings.allow.needs_memberships() {
            asked.push("the organisations and teams you belong to (read)".to_owned());
        }
        asked
    }

    fn rules(&self) -> &PeopleRules {
        &self.settings.rules
    }

    async fn begin(&self, state: &Secret, _intent: Intent) -> Result<Departure, UpstreamError> {
        let verifier = Secret::new(URL_SAFE_NO_PAD.encode(entropy::random::<32>()));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            verifier.expose().to_owned(),
        ));
        // For the address that the server behind is told; one that is not verified is never told.
        let mut scopes = vec![Scope::new("user:email".to_owned())];
        if self.settings.allow.needs_memberships() {
            scopes.push(Scope::new("read:org".to_owned()));
        }
        let (url, _) = self
            .oauth
            .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        Ok(Departure {
            url,
            kept: Kept {
                verifier,
                nonce: None,
            },
        })
    }

    async fn finish(&self, back: Back, kept: Kept) -> Result<SignIn, UpstreamError> {
        let tokens = self.redeem(&back.code, &kept).await?;
        let account = account(&self.api, &tokens.access).await?;
        let door = Door {
            settings: &self.settings,
            api: &self.api,
            tokens: &tokens,
            account: &account,
        };
        if let Err(closed) = door.open().await {
            // Nobody will use the token again. But a link to single sign-on is good for this very token.
            if !closed.wants_token {
                // The refusal is what the person is told, whether or not this works.
                let _ = self.forget(&tokens).await;
            }
            return Err(closed.error);
        }
        let verified_email = verified_email(&self.api, &tokens.access).await?;
        let identity = Identity {
            // CONS-20: the number stays, while a login can be given up and taken by another.
            subject: Subject::at(&self.settings.id, &account.id.to_string()),
            login: Some(account.login),
            name: account.name,
            verified_email,
        };
        Ok(SignIn {
            vouched: Vouched {
                identity,
                opens: ScopeSet::default(),
            },
            tokens,
        })
    }

    fn renews(&self, _tokens: &UpstreamTokens, _purpose: UseFor, _now: UnixTime) -> bool {
        false
    }

    async fn renew(&self, _tokens: &UpstreamTokens) -> Result<UpstreamTokens, UpstreamError> {
        Err(UpstreamError::Ended("there is no refresh token".to_owned()))
    }

    async fn vouch(
        &self,
        person: &Subject,
        tokens: &UpstreamTokens,
    ) -> Result<Vouched, UpstreamError> {
        let account = account(&self.api, &tokens.access).await?;
        let identity = Identity {
            subject: Subject::at(&self.settings.id, &account.id.to_string()),
            login: Some(account.login),
            name: account.name,
            verified_email: verified_email(&self.api, &tokens.access).await?,
        };
        if identity.subject != *person {
            return Err(UpstreamError::Ended(
                "the token is another account's".to_owned(),
            ));
        }
        Ok(Vouched {
            identity,
            opens: ScopeSet::default(),
        })
    }

    fn gives_back(&self) -> GivesBack {
        GivesBack::TheseTokens
    }

    async fn forget(&self, tokens: &UpstreamTokens) -> Result<(), UpstreamError> {
        let settings = &self.settings;
        let url = under(
            &settings.api_url,
            &["applications", &settings.client_id, "token"],
        );
        let credentials = format!("{}:{}", settings.client_id, settings.client_secret.expose());
        let body = json!({ "access_token": tokens.access.expose() });
        let request = http::Request::delete(url.as_str())
            .header(
                AUTHORIZATION,
                format!("Basic {}", STANDARD.encode(credentials)),
            )
            .header(CONTENT_TYPE, "application/json");
        match self
            .api
            .send(request, body.to_string().into_bytes())
            .await?
            .status()
        {
            // 404 and 422: there is no such token any more.
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Ok(()),
            status => Err(invalid(&format!(
                "revoking a token answers {}",
                status.as_u16()
            ))),
        }
    }
}

pub(super) fn invalid(what: &str) -> UpstreamError {
    UpstreamError::Invalid(what.to_owned())
}

fn refused(error: RequestTokenError<OutboundError, BasicErrorResponse>) -> UpstreamError {
    match error {
        RequestTokenError::Request(error) => UpstreamError::Unavailable(error.to_string()),
        RequestTokenError::ServerResponse(answer) => refused_with(answer.error()),
        // Either would print what GitHub sent.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            invalid("the answer of the token endpoint cannot be read")
        }
    }
}

fn refused_with(error: &BasicErrorResponseType) -> UpstreamError {
    match error.as_ref() {
        code @ ("server_error" | "temporarily_unavailable") => {
            UpstreamError::Unavailable(format!("the token endpoint answers {code}"))
        }
        "incorrect_client_credentials" => invalid(
            "incorrect_client_credentials: client_id and client_secret are not those of the application",
        ),
        "redirect_uri_mismatch" => {
            invalid("redirect_uri_mismatch: the callback URL is not registered for the application")
        }
        code if code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
            UpstreamError::Invalid(format!("the token endpoint answers {code}"))
        }
        _ => invalid("the token endpoint answers an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CONS-21
    #[test]
    fn an_error_of_the_token_endpoint_is_told_by_its_code_alone() {
        for (code, told) in [
            (
                "bad_verification_code",
                "the token endpoint answers bad_verification_code",
            ),
            ("<script>", "the token endpoint answers an error"),
            ("a b", "the token endpoint answers an error"),
        ] {
            let error = refused_with(&BasicErrorResponseType::Extension(code.to_owned()));
            let UpstreamError::Invalid(text) = error else {
                panic!("{code}")
            };
            assert_eq!(text, told);
        }
        let later = BasicErrorResponseType::Extension("temporarily_unavailable".to_owned());
        assert!(matches!(
            refused_with(&later),
            UpstreamError::Unavailable(_)
        ));
    }
}
