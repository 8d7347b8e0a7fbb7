//! Google and every other provider of `OpenID` Connect.

mod answer;
#[cfg(test)]
mod checks;
mod claims;
mod discovery;
mod endpoint;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod forged;
mod id_token;
#[cfg(test)]
mod passes;
mod people;
#[cfg(test)]
mod renewals;
mod request;
mod word;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, TokenResponse as _,
};
use serde_json::{Map, Value};
use url::ParseError;

use self::answer::{OAuthClient, Redeemed, TokenAnswer, invalid, refused};
use self::claims::Claims;
use self::discovery::{Discovery, Known};
use self::endpoint::{Credentials, Userinfo};
use self::id_token::{Expected, IdTokenFault};
use self::word::Word;
use super::{
    Back, Departure, GivesBack, Intent, Kept, NotAllowed, SignIn, Unused, Upstream, UpstreamError,
    UpstreamTokens, UseFor, Vouched,
};
use crate::clock::{Clock, UnixTime};
use crate::entropy;
use crate::outbound::Outbound;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::person_rule::PeopleRules;
use crate::secret::Secret;

/// What is to be known of the application at an `OpenID` provider.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The name in the configuration.
    pub id: ProviderId,
    /// The name to show.
    pub label: String,
    /// The issuer, byte for byte as the provider writes it.
    pub issuer: String,
    /// Our `client_id` there.
    pub client_id: String,
    /// Its `client_secret`.
    pub client_secret: Secret,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Whether it is Google.
    pub google: bool,
    /// Our callback, byte for byte as it is registered there.
    pub callback: String,
    /// Who may enter, and what is open to whom.
    pub rules: PeopleRules,
}

/// The connector.
pub struct Oidc {
    settings: OidcSettings,
    callback: RedirectUrl,
    issuers: Vec<String>,
    discovery: Discovery,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
}

impl Oidc {
    /// A connector; nothing is asked of the provider yet.
    ///
    /// # Errors
    /// Where the callback is no URL.
    pub fn new(
        settings: OidcSettings,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ParseError> {
        let mut issuers = vec![settings.issuer.clone()];
        // CONS-18: Google's ID tokens may name the host alone
        let host = settings.issuer.split_once("://").map(|(_, host)| host);
        issuers.extend(host.filter(|_| settings.google).map(str::to_owned));
        Ok(Self {
            callback: RedirectUrl::new(settings.callback.clone())?,
            issuers,
            discovery: Discovery::new(
                settings.issuer.clone(),
                outbound.clone(),
                Arc::clone(&clock),
            ),
            outbound,
            clock,
            settings,
        })
    }

    fn client(&self, known: &Known) -> OAuthClient {
        let settings = &self.settings;
        let secret = settings.client_secret.expose().to_owned();
        oauth2::Client::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(secret))
            .set_auth_type(if known.secret_in_body {
                AuthType::RequestBody
            } else {
                AuthType::BasicAuth
            })
            .set_auth_uri(known.authorization_endpoint.clone())
            .set_token_uri(known.token_endpoint.clone())
            .set_redirect_uri(self.callback.clone())
    }

    /// RFC 9207 §2.4: the answer is from the provider that the browser was sent to (SEC-14).
    fn check_issuer(&self, known: &Known, back: &Back) -> Result<(), UpstreamError> {
        match &back.iss {
            Some(iss) if *iss == self.settings.issuer => Ok(()),
            None if !known.sends_iss => Ok(()),
            Some(_) => Err(invalid(&format!(
                "the answer to the browser has another iss than {}",
                self.settings.issuer
            ))),
            None => Err(invalid("the answer to the browser lacks iss")),
        }
    }

    fn tokens(&self, answer: &TokenAnswer, before: Option<&UpstreamTokens>) -> UpstreamTokens {
        let refresh = answer.refresh_token().map(|it| Secret::new(it.secret()));
        let scopes = answer
            .scopes()
            .map(|scopes| scopes.iter().map(|it| it.to_string()).collect());
        UpstreamTokens {
            access: Secret::new(answer.access_token().secret()),
            refresh: refresh.or_else(|| before?.refresh.clone()),
            expires: answer.expires_in().map(|lasts| self.clock.now() + lasts),
            // RFC 6749 §5.1: none are told where they are those that were asked for
            scopes: scopes.unwrap_or_else(|| {
                before.map_or_else(|| self.settings.scopes.clone(), |it| it.scopes.clone())
            }),
            claims: before.and_then(|it| it.claims.clone()),
        }
    }

    /// The claims of an ID token, verified; with the provider's newer keys if those that are known do not have its key.
    async fn signed(
        &self,
        known: &Arc<Known>,
        id_token: &str,
        access: &Secret,
        nonce: Option<&Secret>,
    ) -> Result<Map<String, Value>, UpstreamError> {
        let expected = Expected {
            issuers: &self.issuers,
            client_id: &self.settings.client_id,
            nonce,
            access,
            now: self.clock.now(),
        };
        let mut verified = id_token::verified(id_token, &known.keys, &expected);
        if verified.as_ref().err() == Some(&IdTokenFault::UnknownKey)
            && let Some(newer) = self.discovery.newer(known).await?
        {
            verified = id_token::verified(id_token, &newer.keys, &expected);
        }
        verified.map_err(|fault| invalid(&fault.to_string()))
    }

    async fn userinfo(
        &self,
        known: &Known,
        access: &Secret,
    ) -> Result<Option<Userinfo>, UpstreamError> {
        match &known.userinfo_endpoint {
            Some(url) => endpoint::userinfo(&self.outbound, url, access)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// What the provider says about a person by now. Where it cannot be asked, it says so by tokens that are good still.
    async fn said_now(
        &self,
        tokens: &UpstreamTokens,
        signed: &Map<String, Value>,
    ) -> Result<Option<Map<String, Value>>, UpstreamError> {
        let known = self.discovery.known().await?;
        let is_over = |time: UnixTime| time <= self.clock.now();
        let has_expired = tokens.expires.is_some_and(is_over);
        // nobody but the ID token says how long it holds what can never be asked again
        let signed_until = signed.get("exp").and_then(id_token::time);
        let asks = known.userinfo_endpoint.is_some();
        let holds = asks || tokens.expires.is_some() || !signed_until.is_some_and(is_over);
        if tokens.refresh.is_none() && (has_expired || !holds) {
            return Err(UpstreamError::Ended(
                "the access token has expired, and there is no refresh token: add offline_access to the scopes of the \
                 provider"
                    .to_owned(),
            ));
        }
        match self.userinfo(&known, &tokens.access).await? {
            Some(Userinfo::Said(said)) => Ok(Some(said)),
            Some(Userinfo::Refused) | None if has_expired => {
                let later = "the access token has expired, and is not renewed yet";
                Err(UpstreamError::Unavailable(later.to_owned()))
            }
            // It was renewed just now: the token endpoint says when it is over.
            Some(Userinfo::Refused) if tokens.refresh.is_some() => {
                let later =
                    "the userinfo endpoint refuses an access token that was renewed just now";
                Err(UpstreamError::Unavailable(later.to_owned()))
            }
            Some(Userinfo::Refused) => {
                let ended = "the userinfo endpoint refuses the access token";
                Err(UpstreamError::Ended(ended.to_owned()))
            }
            None => Ok(None),
        }
    }

    fn admitted(&self, claims: &Claims) -> Result<Vouched, Box<NotAllowed>> {
        Ok(Vouched {
            opens: people::admit(&self.settings, claims)?,
            identity: claims.identity(&self.settings.id),
        })
    }

    /// What is kept after a renewal. An ID token that is at fault says nothing, and the new tokens must not be lost for it,
    /// since those before may be dead by now.
    async fn word_after(
        &self,
        known: &Arc<Known>,
        before: Word,
        answer: &TokenAnswer,
        access: &Secret,
    ) -> Result<Word, UpstreamError> {
        let Some(id_token) = &answer.extra_fields().id_token else {
            return Ok(before.unrenewed());
        };
        match self.signed(known, id_token, access, None).await {
            Ok(signed) if before.signed.get("sub") != signed.get("sub") => Err(another_person()),
            Ok(signed) => Ok(before.renewed(signed)),
            Err(fault) => {
                if !before.is_doubtful() {
                    tracing::warn!(
                        provider = %self.settings.id,
                        error = %fault,
                        "a renewed ID token cannot be believed: what was signed before stays"
                    );
                }
                Ok(before.doubted())
            }
        }
    }
}

#[async_trait]
impl Upstream for Oidc {
    fn id(&self) -> &ProviderId {
        &self.settings.id
    }

    fn label(&self) -> &str {
        &self.settings.label
    }

    fn asks_for(&self) -> Vec<String> {
        request::in_words(&self.settings)
    }

    fn rules(&self) -> &PeopleRules {
        &self.settings.rules
    }

    async fn begin(&self, state: &Secret, intent: Intent) -> Result<Departure, UpstreamError> {
        let known = self.discovery.known().await?;
        let [verifier, nonce] =
            [(), ()].map(|()| Secret::new(URL_SAFE_NO_PAD.encode(entropy::random::<32>())));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            verifier.expose().to_owned(),
        ));
        let scopes = request::scopes(&self.settings, &known, intent);
        let more = request::more(&self.settings, &scopes, intent);
        let client = self.client(&known);
        let mut request = client
            .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .add_extra_param("nonce", nonce.expose().to_owned());
        for (name, value) in more {
            request = request.add_extra_param(name, value);
        }
        Ok(Departure {
            url: request.url().0,
            kept: Kept {
                verifier,
                nonce: Some(nonce),
            },
        })
    }

    async fn finish(&self, back: Back, kept: Kept) -> Result<SignIn, UpstreamError> {
        let known = self.discovery.known().await?;
        self.check_issuer(&known, &back)?;
        let nonce = kept.nonce.as_ref();
        let nonce = nonce.ok_or_else(|| invalid("the sign-in was begun without a nonce"))?;
        let answer = self
            .client(&known)
            .exchange_code(AuthorizationCode::new(back.code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(kept.verifier.expose().to_owned()))
            .request_async(&self.outbound)
            .await
            .map_err(|error| refused(error, Redeemed::Code))?;
        let mut tokens = self.tokens(&answer, None);
        let id_token = answer.extra_fields().id_token.as_deref();
        let id_token = id_token.ok_or_else(|| invalid("the token endpoint sends no ID token"))?;
        let signed = self
            .signed(&known, id_token, &tokens.access, Some(nonce))
            .await?;
        let said = match self.userinfo(&known, &tokens.access).await? {
            Some(Userinfo::Said(said)) => Some(said),
            Some(Userinfo::Refused) => {
                return Err(invalid(
                    "the userinfo endpoint refuses the new access token",
                ));
            }
            None => None,
        };
        // Core §5.3.2: else it could be about anybody
        if said
            .as_ref()
            .is_some_and(|said| said.get("sub") != signed.get("sub"))
        {
            return Err(invalid("the userinfo endpoint speaks of another person"));
        }
        tokens.claims = Word::of_sign_in(signed.clone(), said.as_ref()).to_text();
        let claims = Claims::of_now(signed, said);
        match self.admitted(&claims) {
            Ok(vouched) => Ok(SignIn { vouched, tokens }),
            Err(why) => {
                let person = claims.identity(&self.settings.id).subject;
                let unused = Unused { person, tokens };
                Err(UpstreamError::NotAllowed(why, Some(Box::new(unused))))
            }
        }
    }

    fn renews(&self, tokens: &UpstreamTokens, purpose: UseFor, now: UnixTime) -> bool {
        let expires_soon = || tokens.expires.is_some_and(|expires| expires <= now + SOON);
        tokens.refresh.is_some() && (purpose == UseFor::Checking || expires_soon())
    }

    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, UpstreamError> {
        let refresh = tokens.refresh.as_ref();
        let refresh =
            refresh.ok_or_else(|| UpstreamError::Ended("there is no refresh token".to_owned()))?;
        let before = Word::of(tokens);
        if before
            .as_ref()
            .is_some_and(|word| !word.is_by_one_of(&self.issuers))
        {
            return Err(another_issuer());
        }
        let known = self.discovery.known().await?;
        let refresh = RefreshToken::new(refresh.expose().to_owned());
        let client = self.client(&known);
        let answer = client
            .exchange_refresh_token(&refresh)
            .request_async(&self.outbound);
        let answer = answer
            .await
            .map_err(|error| refused(error, Redeemed::RefreshToken))?;
        let mut renewed = self.tokens(&answer, Some(tokens));
        if let Some(before) = before {
            let word = self.word_after(&known, before, &answer, &renewed.access);
            renewed.claims = word.await?.to_text();
        }
        Ok(renewed)
    }

    async fn vouch(
        &self,
        person: &Subject,
        tokens: &UpstreamTokens,
    ) -> Result<Vouched, UpstreamError> {
        let word = Word::of(tokens)
            .ok_or_else(|| invalid("nothing that the provider signed is kept of the person"))?;
        if !word.is_by_one_of(&self.issuers) {
            return Err(another_issuer());
        }
        let said = self.said_now(tokens, &word.signed).await?;
        let is_theirs = |claims: &Map<String, Value>| {
            let sub = claims.get("sub").and_then(Value::as_str);
            sub.is_some_and(|sub| Subject::at(&self.settings.id, sub) == *person)
        };
        if !is_theirs(&word.signed) || said.as_ref().is_some_and(|said| !is_theirs(said)) {
            return Err(another_person());
        }
        if said.is_none() && word.is_doubtful() {
            return Err(invalid("the last ID token cannot be believed"));
        }
        self.admitted(&word.with(said))
            .map_err(|why| UpstreamError::NotAllowed(why, None))
    }

    fn gives_back(&self) -> GivesBack {
        GivesBack::Everything
    }

    async fn forget(&self, tokens: &UpstreamTokens) -> Result<(), UpstreamError> {
        if Word::of(tokens).is_some_and(|word| !word.is_by_one_of(&self.issuers)) {
            return Err(another_issuer());
        }
        let known = self.discovery.known().await?;
        let Some(url) = &known.revocation_endpoint else {
            return Ok(());
        };
        let credentials = Credentials {
            client_id: &self.settings.client_id,
            client_secret: &self.settings.client_secret,
            in_body: known.secret_in_body,
        };
        endpoint::revoke(&self.outbound, url, tokens, &credentials).await
    }
}

fn another_person() -> UpstreamError {
    UpstreamError::Ended("the tokens are another person's".to_owned())
}

fn another_issuer() -> UpstreamError {
    UpstreamError::Ended("the tokens are of another issuer than the one that is set".to_owned())
}

/// An access token that expires within this is renewed before it is used.
const SOON: Duration = Duration::from_secs(5 * 60);
