//! The authorization code grant (RFC 6749 §4.1.3).

use crate::event::Event;
use crate::protocol::allowance::{NONE_OPEN, open_to_person};
use crate::protocol::client::Client;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{Handle, Id};
use crate::protocol::scope::ScopeSet;
use crate::protocol::session::{IssuedCode, RefreshState};
use crate::protocol::token::{CodeRequest, check_redemption};
use crate::store::Opening;

use super::refresh::RefreshToken;
use super::token::Issued;
use super::{Failure, Flows};

impl Flows {
    /// Redeems a code: peek, check, spend, mint. A request that is wrong changes nothing; one that is right in
    /// everything, but comes too late, ends the session: somebody has the client's code (OAuth 2.1 §4.1.3).
    pub(super) async fn redeem_code(
        &self,
        client: &Client,
        request: CodeRequest,
    ) -> Result<Issued, Failure> {
        let handle = Handle::parse(request.code.expose()).ok_or(UNKNOWN_CODE)?;
        let now = self.now();
        let code = self.store.find_code(handle.id, now).await?;
        let code = code
            .filter(|code| code.digest == handle.digest())
            .ok_or(UNKNOWN_CODE)?;
        check_redemption(&code, &request, &client.id, &self.resources)?;
        if code.spent {
            return Err(self.replayed(client, &code).await?.into());
        }
        let granted = &code.request;
        let scopes = self.left_of(&granted.scopes, &granted.resource, client)?;
        let scopes = self.open_now(code.session, scopes).await?;
        let refresh = client
            .refreshes
            .then(|| RefreshToken::new(code.session, &self.marks));
        let opening = Opening {
            refresh: refresh.as_ref().map(|token| RefreshState {
                current: token.clear.digest(),
                previous: None,
            }),
            expires: match refresh {
                Some(_) => self.session_end(now),
                None => now + self.lifetimes.access,
            },
        };
        let Some(session) = self.store.spend_code(handle.id, opening, now).await? else {
            // somebody was faster, or the session has ended since: its provider may have been asked
            let found = self.store.find_code(handle.id, now).await?;
            return Err(match found {
                Some(found) if found.spent => self.replayed(client, &found).await?.into(),
                _ => ENDED.into(),
            });
        };
        Event::TokenIssued {
            client: &client.id,
            subject: &session.subject,
            session: session.id,
        }
        .tell();
        self.mint(&session, scopes, refresh.map(|token| token.clear))
    }

    /// What of `scopes` is open to the person of a session, as far as their provider vouches for them. They signed in a
    /// moment ago: it is rarely asked.
    async fn open_now(&self, session: Id, scopes: ScopeSet) -> Result<ScopeSet, Failure> {
        let found = self.store.find_session(session, self.now()).await?;
        let person = found.ok_or(ENDED)?.subject;
        let (grant, _) = self.vouched(&person).await?.ok_or(ENDED)?;
        let withheld = self.vouching.withheld(&grant);
        Ok(open_to_person(&scopes, &withheld).ok_or(NONE_OPEN)?)
    }

    async fn replayed(&self, client: &Client, code: &IssuedCode) -> Result<OAuthError, Failure> {
        let session: Id = code.session;
        Event::CodeReplayed {
            client: &client.id,
            session,
        }
        .tell();
        self.end_session(session, "its code was used twice").await?;
        Ok(ErrorCode::InvalidGrant.with("the code was used before; its tokens are now revoked"))
    }
}

const UNKNOWN_CODE: OAuthError = OAuthError {
    code: ErrorCode::InvalidGrant,
    description: "the code is unknown or has expired",
};
const ENDED: OAuthError = OAuthError {
    code: ErrorCode::InvalidGrant,
    description: "the session of the code has ended",
};
