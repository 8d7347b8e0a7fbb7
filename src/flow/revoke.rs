//! Token revocation (RFC 7009): whichever token it is, its session ends.

use std::net::IpAddr;

use crate::protocol::error::ErrorCode;
use crate::protocol::form::Form;
use crate::protocol::ids::Id;
use crate::secret::Secret;

use super::refresh::RefreshToken;
use super::{Failure, Flows};

impl Flows {
    /// Ends the session of a token, if it is a token of this client. For any other the answer is the same and nothing
    /// happens (RFC 7009 §2.1, §2.2).
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
        let client = self.authenticate(authorization, &form, asker).await?.client;
        let Some(session) = self.session_of(&token) else {
            return Ok(());
        };
        match self.store.find_session(session, self.now()).await? {
            Some(found) if found.client_id == client.id => {
                self.end_session(session, "the client revoked it").await
            }
            _ => Ok(()),
        }
    }

    /// Whatever `token_type_hint` says, both kinds are tried: their forms differ.
    fn session_of(&self, token: &Secret) -> Option<Id> {
        let refresh = RefreshToken::parse(token, &self.sealer).map(|token| token.session);
        refresh.or_else(|| Id::parse(&self.access_claims(token)?.sid))
    }
}
