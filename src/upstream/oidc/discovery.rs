//! What a provider publishes about itself: its metadata and its keys, fetched when they are first needed, and kept
//! (`OpenID` Connect Discovery 1.0 §4).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;
use http::header::ACCEPT;
use oauth2::AsyncHttpClient as _;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthUrl, DiscoveryError, ProviderMetadata, TokenUrl,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use super::answer::{invalid, unsent};
use crate::clock::{Clock, UnixTime};
use crate::outbound::{Outbound, OutboundError, is_loopback_http};
use crate::upstream::UpstreamError;

/// Where a provider is described, and what is known of it.
pub(super) struct Discovery {
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    issuer: String,
    known: RwLock<Option<Arc<Known>>>,
    /// Held by whoever fetches.
    fetching: Mutex<Fetching>,
    /// How many fetches have ended.
    ended: AtomicU64,
}

/// What is known of a provider.
#[derive(Clone)]
pub(super) struct Known {
    /// Where to send the browser.
    pub(super) authorization_endpoint: AuthUrl,
    /// Where codes and refresh tokens are redeemed.
    pub(super) token_endpoint: TokenUrl,
    /// Where to ask about a person.
    pub(super) userinfo_endpoint: Option<Url>,
    /// Where tokens are given back (RFC 7009).
    pub(super) revocation_endpoint: Option<Url>,
    /// Whether every answer to the browser has `iss` (RFC 9207 §3).
    pub(super) sends_iss: bool,
    /// Whether our secret goes into the body, for want of HTTP Basic.
    pub(super) secret_in_body: bool,
    /// The keys that it signs with.
    pub(super) keys: CoreJsonWebKeySet,
    scopes: Option<Vec<String>>,
    jwks_uri: openidconnect::JsonWebKeySetUrl,
    /// When to fetch it all again.
    until: UnixTime,
}

#[derive(Default)]
struct Fetching {
    /// How the last fetch failed, if it did.
    failed: Option<Failure>,
    /// When keys were last fetched for the sake of one that was not known.
    keys_asked: Option<UnixTime>,
}

/// [`UpstreamError`] that many callers can share.
#[derive(Clone)]
enum Failure {
    Unavailable(String),
    /// What came says nothing.
    Unreadable(String),
    /// What came is wrong.
    Invalid(String),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct MoreMetadata {
    revocation_endpoint: Option<Url>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl AdditionalProviderMetadata for MoreMetadata {}

type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

impl Known {
    /// Whether a scope can be asked for, as far as the provider says.
    pub(super) fn supports(&self, scope: &str) -> bool {
        let mut listed = self.scopes.iter().flatten();
        self.scopes.is_none() || listed.any(|listed| listed == scope)
    }
}

impl Discovery {
    /// Nothing is fetched yet.
    pub(super) fn new(issuer: String, outbound: Outbound, clock: Arc<dyn Clock>) -> Self {
        Self {
            outbound,
            clock,
            issuer,
            known: RwLock::default(),
            fetching: Mutex::default(),
            ended: AtomicU64::new(0),
        }
    }

    /// What is known of the provider; fetched if it is not, or not any more. Those who ask meanwhile wait for the same
    /// fetch and share its outcome, and the next one who asks after a failure tries again.
    pub(super) async fn known(&self) -> Result<Arc<Known>, UpstreamError> {
        let ended = self.ended.load(Ordering::Acquire);
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let mut fetching = self.fetching.lock().await;
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        if self.ended.load(Ordering::Acquire) != ended
            && let Some(failure) = &fetching.failed
        {
            return Err(failure.clone().into());
        }
        let fetched = self.fetch().await;
        self.ended.fetch_add(1, Ordering::Release);
        fetching.failed = fetched.as_ref().err().cloned();
        match (fetched, self.kept()) {
            (Ok(known), _) => Ok(self.keep(known)),
            // What was good yesterday is better than nobody coming in; asked for again soon.
            (Err(Failure::Unavailable(why) | Failure::Unreadable(why)), Some(old)) => {
                tracing::warn!(issuer = %self.issuer, error = %why, "the provider is not described anew: what was known stays");
                Ok(self.keep(Known {
                    until: self.clock.now() + SOON,
                    ..Known::clone(&old)
                }))
            }
            (Err(failure), _) => Err(failure.into()),
        }
    }

    /// Newer keys than those of `old`, which has not the one that is needed; none: they were asked for less than a minute
    /// ago. Without that limit everybody who can make us read a token could have the provider flooded.
    pub(super) async fn newer(
        &self,
        old: &Arc<Known>,
    ) -> Result<Option<Arc<Known>>, UpstreamError> {
        let mut fetching = self.fetching.lock().await;
        if let Some(known) = self.kept()
            && !Arc::ptr_eq(&known, old)
        {
            return Ok(Some(known));
        }
        let now = self.clock.now();
        if fetching
            .keys_asked
            .is_some_and(|asked| now - asked < KEYS_APART)
        {
            return Ok(None);
        }
        fetching.keys_asked = Some(now);
        let keys = self.keys_at(&old.jwks_uri).await?;
        Ok(Some(self.keep(Known {
            keys,
            ..Known::clone(old)
        })))
    }

    fn kept(&self) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    fn fresh(&self) -> Option<Arc<Known>> {
        self.kept().filter(|known| self.clock.now() < known.until)
    }

    fn keep(&self, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        let mut kept = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Arc::clone(&known));
        known
    }

    async fn fetch(&self) -> Result<Known, Failure> {
        let metadata = self.metadata().await?;
        // U3: the issuer to the byte, and nothing of what was sent is told
        if metadata.issuer().as_str() != self.issuer {
            return Err(Failure::Invalid(format!(
                "the metadata are not those of the issuer {}: it must be set byte for byte as the provider writes it",
                self.issuer
            )));
        }
        self.check(
            "authorization_endpoint",
            metadata.authorization_endpoint().url(),
        )?;
        let token_endpoint = metadata.token_endpoint().cloned().ok_or_else(|| {
            Failure::Invalid("the provider's metadata have no token_endpoint".to_owned())
        })?;
        self.check("token_endpoint", token_endpoint.url())?;
        self.check("jwks_uri", metadata.jwks_uri().url())?;
        let userinfo = metadata.userinfo_endpoint().map(|it| it.url().clone());
        let more = metadata.additional_metadata();
        for (name, url) in [
            ("userinfo_endpoint", &userinfo),
            ("revocation_endpoint", &more.revocation_endpoint),
        ] {
            url.as_ref().map_or(Ok(()), |url| self.check(name, url))?;
        }
        let methods = metadata.token_endpoint_auth_methods_supported();
        let offers = |method| methods.is_some_and(|listed| listed.contains(&method));
        let scopes = metadata.scopes_supported();
        Ok(Known {
            authorization_endpoint: metadata.authorization_endpoint().clone(),
            token_endpoint,
            userinfo_endpoint: userinfo,
            revocation_endpoint: more.revocation_endpoint.clone(),
            sends_iss: more.authorization_response_iss_parameter_supported == Some(true),
            secret_in_body: offers(CoreClientAuthMethod::ClientSecretPost)
                && !offers(CoreClientAuthMethod::ClientSecretBasic),
            keys: self.keys_at(metadata.jwks_uri()).await?,
            scopes: scopes.map(|listed| listed.iter().map(|scope| scope.to_string()).collect()),
            jwks_uri: metadata.jwks_uri().clone(),
            until: self.clock.now() + DAY,
        })
    }

    async fn metadata(&self) -> Result<Metadata, Failure> {
        // Discovery §4.1: the one slash between issuer and path, whichever way the issuer ends
        let issuer = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let request = http::Request::get(format!("{issuer}/.well-known/openid-configuration"))
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| Failure::Invalid("issuer is no URL to ask at".to_owned()))?;
        let answer = self.outbound.call(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(Failure::Unreadable(format!(
                "the provider's metadata answer with status {}: is issuer right?",
                answer.status().as_u16()
            )));
        }
        serde_json::from_slice(answer.body())
            .map_err(|_| Failure::Unreadable("the provider's metadata cannot be read".to_owned()))
    }

    async fn keys_at(
        &self,
        uri: &openidconnect::JsonWebKeySetUrl,
    ) -> Result<CoreJsonWebKeySet, Failure> {
        let fetched = CoreJsonWebKeySet::fetch_async(uri, &self.outbound).await;
        fetched.map_err(|error| match error {
            DiscoveryError::Request(error) => error.into(),
            // Any other would print what the provider sent.
            _ => Failure::Unreadable("the provider's keys cannot be read".to_owned()),
        })
    }

    fn check(&self, name: &str, url: &Url) -> Result<(), Failure> {
        if may_be_asked(url, &self.issuer) {
            return Ok(());
        }
        Err(Failure::Invalid(format!(
            "{name} in the provider's metadata is not an https URL"
        )))
    }
}

/// Whether secrets may go to an endpoint: https, or this machine where the issuer is on it too.
fn may_be_asked(url: &Url, issuer: &str) -> bool {
    let is_local = Url::parse(issuer).is_ok_and(|issuer| is_loopback_http(&issuer));
    url.scheme() == "https" || is_local && is_loopback_http(url)
}

impl From<OutboundError> for Failure {
    fn from(error: OutboundError) -> Self {
        match unsent(&error) {
            UpstreamError::Unavailable(text) => Self::Unavailable(text),
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

impl From<Failure> for UpstreamError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::Unreadable(text) | Failure::Invalid(text) => invalid(&text),
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SOON: Duration = Duration::from_secs(60);
const KEYS_APART: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// U3
    #[test]
    fn an_endpoint_in_clear_is_on_this_machine_and_only_of_an_issuer_that_is_too() {
        let (public, local) = ("https://op.example", "http://127.0.0.1:9090");
        for (url, issuer, fit) in [
            ("https://op.example/token", public, true),
            ("https://elsewhere.example/token", public, true),
            ("http://op.example/token", public, false),
            ("http://127.0.0.1:9090/token", public, false),
            ("http://127.0.0.1:9090/token", local, true),
            ("http://[::1]:80/token", local, true),
            ("http://op.example/token", local, false),
            ("ftp://127.0.0.1/token", local, false),
            ("javascript:alert(1)", local, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(may_be_asked(&parsed, issuer), fit, "{url} {issuer}");
        }
    }
}
