//! GitHub and GitHub Enterprise Server: OAuth 2.0, and the user API for who it is and where they belong.

mod account;
mod api;
mod membership;
mod refusal;
mod rules;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, Scope,
    TokenResponse as _, TokenUrl,
};
use url::{ParseError, Url};

use self::account::{Account, account_of, email};
use self::api::{Api, under};
use self::refusal::suspended;
use self::rules::{Closed, Door, Moment, needs_memberships};
use self::token::{end, owner, refused};
use super::{
    Back, Departure, GivesBack, Intent, Kept, SignIn, Upstream, UpstreamError, UpstreamTokens,
    UseFor, Vouched,
};
use crate::clock::{Clock, UnixTime};
use crate::entropy;
use crate::outbound::Outbound;
use crate::protocol::identity::Identity;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::person_rule::PeopleRules;
use crate::secret::Secret;

/// How long before their end tokens are renewed: nothing that begins with them takes as long.
const BEFORE_THE_END: Duration = Duration::from_secs(5 * 60);

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
    /// Who may enter, and what is open to whom.
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
            .map_err(|error| refused(&self.settings, error))?;
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

    /// Who has just signed in, if they may.
    async fn arrived(&self, tokens: &UpstreamTokens) -> Result<Vouched, Closed> {
        let account = account_of(&self.api, &tokens.access).await;
        let account = account.map_err(|error| match error {
            UpstreamError::Ended(_) => {
                UpstreamError::NotAllowed(Box::new(suspended(&self.settings)), None)
            }
            error => error,
        })?;
        self.admit(account, tokens, Moment::SignIn).await
    }

    /// The person behind `account`, if the rules let them in.
    async fn admit(
        &self,
        account: Account,
        tokens: &UpstreamTokens,
        moment: Moment,
    ) -> Result<Vouched, Closed> {
        let email = email(&self.api, &tokens.access).await?;
        let mut door = Door::new(&self.settings, &self.api, tokens, &account, &email);
        door.moment = moment;
        if let Err(mut closed) = door.open().await {
            closed.person = Some(self.subject(&account));
            return Err(closed);
        }
        let opens = door.opens().await?;
        let identity = Identity {
            subject: self.subject(&account),
            login: Some(account.login),
            name: account.name,
            verified_email: email.verified(),
        };
        Ok(Vouched { identity, opens })
    }

    /// CONS-20: the number stays, while a login can be given up and taken by another.
    fn subject(&self, account: &Account) -> Subject {
        Subject::at(&self.settings.id, &account.id.to_string())
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
        if needs_memberships(&self.settings.rules) {
            asked.push("the organisations and teams you belong to (read)".to_owned());
        }
        asked
    }

    fn rules(&self) -> &PeopleRules {
        &self.settings.rules
    }

    async fn begin(&self, state: &Secret, intent: Intent) -> Result<Departure, UpstreamError> {
        let verifier = Secret::new(URL_SAFE_NO_PAD.encode(entropy::random::<32>()));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            verifier.expose().to_owned(),
        ));
        // For the address that the server behind is told; one that is not verified is never told.
        let mut scopes = vec![Scope::new("user:email".to_owned())];
        if needs_memberships(&self.settings.rules) {
            scopes.push(Scope::new("read:org".to_owned()));
        }
        let mut request = self
            .oauth
            .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
            .add_scopes(scopes)
            .set_pkce_challenge(challenge);
        if intent == Intent::Identify {
            // who signs in to look is asked as whom
            request = request.add_extra_param("prompt", "select_account");
        }
        let (url, _) = request.url();
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
        match self.arrived(&tokens).await {
            Ok(vouched) => Ok(SignIn { vouched, tokens }),
            Err(closed) => {
                if closed.comes_to_nothing() {
                    // GitHub ends this token and no other. What the person is told does not depend on whether it works.
                    let _ = self.forget(&tokens).await;
                }
                Err(closed.with(tokens))
            }
        }
    }

    /// GitHub is asked without renewing: while a token is in force, it says so. Without a refresh token, one that still
    /// has some minutes is used until it ends.
    fn renews(&self, tokens: &UpstreamTokens, _purpose: UseFor, now: UnixTime) -> bool {
        let early = match tokens.refresh {
            Some(_) => BEFORE_THE_END,
            None => Duration::ZERO,
        };
        tokens.expires.is_some_and(|end| end <= now + early)
    }

    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, UpstreamError> {
        let Some(refresh) = &tokens.refresh else {
            return Err(UpstreamError::Ended(
                "the token has expired, and there is no refresh token".to_owned(),
            ));
        };
        let answer = self
            .oauth
            .exchange_refresh_token(&RefreshToken::new(refresh.expose().to_owned()))
            .request_async(&self.outbound)
            .await
            .map_err(|error| refused(&self.settings, error))?;
        let mut renewed = self.tokens(&answer);
        renewed.refresh = renewed.refresh.or_else(|| tokens.refresh.clone());
        if answer.scopes().is_none() {
            renewed.scopes.clone_from(&tokens.scopes);
        }
        Ok(renewed)
    }

    async fn vouch(
        &self,
        person: &Subject,
        tokens: &UpstreamTokens,
    ) -> Result<Vouched, UpstreamError> {
        let owner = owner(&self.settings, &self.api, tokens).await?;
        let tells_name = owner.tells_name();
        let mut account = Account::try_from(owner)?;
        if self.subject(&account) != *person {
            return Err(UpstreamError::Ended(
                "the token is another account's".to_owned(),
            ));
        }
        if !tells_name {
            let shown = account_of(&self.api, &tokens.access).await?;
            if shown.id != account.id {
                return Err(invalid("GitHub says of a token that it is of two accounts"));
            }
            account = shown;
        }
        let admitted = self.admit(account, tokens, Moment::Check).await;
        admitted.map_err(|closed| closed.error)
    }

    fn gives_back(&self) -> GivesBack {
        GivesBack::TheseTokens
    }

    async fn forget(&self, tokens: &UpstreamTokens) -> Result<(), UpstreamError> {
        let renewed;
        let mut last = tokens;
        // GitHub takes back what is in force alone, and a refresh token ends with its access token.
        if tokens.refresh.is_some() && tokens.expires.is_some_and(|end| end <= self.clock.now()) {
            renewed = match self.renew(tokens).await {
                Err(UpstreamError::Ended(_)) => return Ok(()),
                renewed => renewed?,
            };
            last = &renewed;
        }
        end(&self.settings, &self.api, last).await
    }
}

pub(super) fn invalid(what: &str) -> UpstreamError {
    UpstreamError::Invalid(what.to_owned())
}
