//! Token revocation (RFC 7009): whichever token it is, its session ends.

use std::net::IpAddr;

use crate::protocol::client_credentials::Credentials;
use crate::protocol::error::ErrorCode;
use crate::protocol::form::Form;
use crate::protocol::ids::Id;
use crate::protocol::session::Session;
use crate::secret::Secret;

use super::authenticate::no_such_client;
use super::refresh::RefreshToken;
use super::{Failure, Flows, StoreError};

impl Flows {
    /// Ends the session of a token, if it is a token of this client. For any other the answer is the same and nothing
    /// happens (RFC 7009 §2.1, §2.2). Where the client is gone, nobody could ever prove to be it: whoever holds the token,
    /// and says whose it is, ends the session then.
    ///
    /// # Errors
    /// Where the client does not prove itself, or `token` is missing; or an incident.
    pub async fn revoke(
        &self,
        authorization: Option<&[u8]>,
        body: &[u8],
        asker: IpAddr,
    ) -> Result<(), Failure> {
        let form = Form::parse(body)?;
        form.check_no_repeats(&[])?;
        let token = form
            .one("token")?
            .map(Secret::new)
            .ok_or(ErrorCode::InvalidRequest.with("token is missing"))?;
        let credentials = Credentials::parse(authorization, &form)?;
        let known = self.prove(&credentials, asker).await?;
        let session = match self.session_of(&token) {
            Some(session) => self.store.find_session(session, self.now()).await?,
            None => None,
        };
        match (known, session) {
            (Some(known), Some(session)) if session.client_id == known.client.id => {
                self.end_session(session.id, "the client revoked it").await
            }
            (Some(_), _) => Ok(()),
            (None, Some(session)) if self.is_orphan(&session, &credentials).await? => {
                let why = "whoever holds a token of it revoked it: its client is gone";
                self.end_session(session.id, why).await
            }
            (None, _) => Err(no_such_client(&credentials)),
        }
    }

    /// Whether a session is of the client that is named, and that is gone. One that registered with another issuer is not:
    /// there it is known.
    async fn is_orphan(
        &self,
        session: &Session,
        credentials: &Credentials,
    ) -> Result<bool, StoreError> {
        if credentials
            .readings()
            .all(|(id, _)| id != session.client_id)
        {
            return Ok(false);
        }
        let registered = self.store.find_client(&session.client_id, self.now());
        Ok(registered.await?.is_none())
    }

    /// Whatever `token_type_hint` says, both kinds are tried: their forms differ.
    fn session_of(&self, token: &Secret) -> Option<Id> {
        let refresh = RefreshToken::parse(token, &self.marks).map(|token| token.session);
        refresh.or_else(|| Id::parse(&self.access_claims(token)?.sid))
    }
}
