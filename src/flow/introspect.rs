//! Token introspection (RFC 7662): what a token is worth now, for clients that the operator has chosen.

use std::net::IpAddr;

use url::Url;

use crate::event::Event;
use crate::protocol::allowance::{open_to_person, still_allowed, still_there};
use crate::protocol::claims::AccessClaims;
use crate::protocol::client::{Client, ClientAuthentication, ClientSource};
use crate::protocol::client_metadata::DocumentUrl;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::protocol::ids::{ClientId, Id};
use crate::protocol::introspect::{Introspection, TokenFacts};
use crate::protocol::scope::ScopeSet;
use crate::protocol::session::Session;
use crate::secret::Secret;

use super::client::{FoundClient, Need};
use super::refresh::RefreshToken;
use super::{Failure, Flows};

impl Flows {
    /// Whether there is anybody who may introspect.
    #[must_use]
    pub fn introspects(&self) -> bool {
        self.admission.known.iter().any(may_introspect)
    }

    /// Says what a token is worth. Only clients of the configuration that have a secret may ask: anybody can register a
    /// client, a confidential one too, and could find out with it which of the strings in their hands are tokens.
    ///
    /// A session is looked up each time, so that a token is dead here from the moment that it is dead anywhere, and its
    /// provider is asked where that is due. Asking changes nothing of a token: a refresh token that was used before is
    /// merely not in force.
    ///
    /// # Errors
    /// Where the client may not ask, or `token` is missing; or an incident.
    pub async fn introspect(
        &self,
        authorization: Option<&[u8]>,
        body: &[u8],
        asker: IpAddr,
    ) -> Result<Introspection, Failure> {
        let form = Form::parse(body)?;
        form.check_no_repeats(&[])?;
        let client = self.authenticate(authorization, &form, asker).await?.client;
        if !may_introspect(&client) {
            Event::ClientAuthenticationFailed { client: &client.id }.tell();
            return Err(NOT_TRUSTED.into());
        }
        let token = form
            .one("token")?
            .map(Secret::new)
            .ok_or(ErrorCode::InvalidRequest.with("token is missing"))?;
        let facts = self.facts(&token).await?;
        Ok(Introspection::of(
            facts.filter(|facts| self.may_see(&client, facts)),
        ))
    }

    /// What there is to say of a token in force. `token_type_hint` is not needed: the forms of the two kinds differ.
    async fn facts(&self, token: &Secret) -> Result<Option<TokenFacts>, Failure> {
        let now = self.now();
        if let Some(token) = RefreshToken::parse(token, &self.marks) {
            let found = self.store.find_session(token.session, now).await?;
            let in_force = found.filter(|session| {
                let state = session.refresh.as_ref();
                state.is_some_and(|state| state.current.matches(&token.clear))
            });
            let Some(session) = in_force else {
                return Ok(None);
            };
            let Some((grant, _)) = self.vouched(&session.subject).await? else {
                return Ok(None);
            };
            let withheld = self.vouching.withheld(&grant);
            let usable = self.usable(session, &withheld).await?;
            return Ok(usable.map(|session| TokenFacts::of_refresh(session, self.issuer.as_str())));
        }
        let Some(claims) = self.access_claims(token) else {
            return Ok(None);
        };
        let Some(session) = Id::parse(&claims.sid) else {
            return Ok(None);
        };
        let found = self.in_force(session).await?;
        Ok(found.map(|found| {
            let beyond = self.beyond(&found.session.client_id);
            let withheld = self.vouching.withheld(&found.grant).union(&beyond);
            TokenFacts::of_access(self.only_open(claims, &withheld))
        }))
    }

    /// What its resource still has of what was granted; none where that is nothing, or there is no such resource.
    fn there(&self, granted: &ScopeSet, resource: &str) -> Option<ScopeSet> {
        still_there(granted, self.resources.granted(resource)?)
    }

    /// An access token with the scopes of it that still open something to its person.
    fn only_open(&self, mut claims: AccessClaims, withheld: &ScopeSet) -> AccessClaims {
        if let Some(scopes) = ScopeSet::parse(&claims.scope) {
            let there = self.there(&scopes, &claims.aud).unwrap_or_default();
            claims.scope = there.without(withheld).to_string();
        }
        claims
    }

    /// A session as its client can refresh it now, with the scopes that it would get; none where it cannot: its resource is not
    /// served any more, its client is gone, may no longer come, has no such grant any more, or may be given nothing of it.
    async fn usable(
        &self,
        mut session: Session,
        withheld: &ScopeSet,
    ) -> Result<Option<Session>, Failure> {
        let Some(there) = self.there(&session.scopes, &session.resource) else {
            return Ok(None);
        };
        let Some(open) = open_to_person(&there, withheld) else {
            return Ok(None);
        };
        session.scopes = open;
        let id = &session.client_id;
        let known = match self.find_client(id, Need::Here).await {
            Err(Failure::Refused(_)) => return Ok(None),
            found => found?,
        };
        let Some(FoundClient { client, .. }) = known else {
            // a document that is not at hand now may well be there when the client comes
            return Ok(DocumentUrl::parse(id)?.map(|_| session));
        };
        let scopes = still_allowed(&session.scopes, &client).filter(|_| client.refreshes);
        Ok(scopes.map(|scopes| {
            session.scopes = scopes;
            session
        }))
    }

    /// A client that has the name of one of our resources, however it is written, is that resource's server: it sees what
    /// is for itself, so no token of another resource and no refresh token (RFC 7662 §4, REV-06). Where that resource is not
    /// served any more it sees nothing, and not everything.
    fn may_see(&self, client: &Client, facts: &TokenFacts) -> bool {
        match self.resources.find(client.id.as_str()) {
            Some(own) => facts.audience() == own.identifier,
            None => !self.is_at_our_origin(&client.id),
        }
    }

    /// Whether a client is named as only our resources are.
    fn is_at_our_origin(&self, client: &ClientId) -> bool {
        let ours = Url::parse(self.issuer.as_str()).map(|url| url.origin());
        Url::parse(client.as_str()).is_ok_and(|url| Ok(url.origin()) == ours)
    }

    /// The claims of an access token of ours, whichever resource it is for. Whether its session has ended, they do not
    /// tell.
    pub(super) fn access_claims(&self, token: &Secret) -> Option<AccessClaims> {
        self.resources.iter().find_map(|resource| {
            let audience = &resource.identifier;
            let verified = self.keys.verify(token.expose(), audience, self.now());
            verified.ok()
        })
    }
}

fn may_introspect(client: &Client) -> bool {
    matches!(client.source, ClientSource::Known)
        && matches!(client.authentication, ClientAuthentication::Secret(_))
}

const NOT_TRUSTED: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "only a client with a secret that is named in the configuration may introspect",
};
