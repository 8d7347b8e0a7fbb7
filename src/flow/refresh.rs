//! The refresh token grant (RFC 6749 §6), with rotation and reuse detection (OAuth 2.1 §4.3.1).
//!
//! A refresh token is the session's identifier, a random secret, and a tag that only we can make. The session's row
//! keeps digests of the token in force and of the one before it. The tag tells, without keeping more, whether an older
//! token was once ours: reuse of it ends the session, while a made-up one has no effect on anybody (K4).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;
use crate::entropy;
use crate::event::Event;
use crate::protocol::allowance::{NONE_OF_THEM, NONE_OPEN, of_use, open_to_person};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{Id, Subject};
use crate::protocol::resource_indicator::within_grant;
use crate::protocol::scope::ScopeSet;
use crate::protocol::session::{Rotated, Session};
use crate::protocol::token::{RefreshRequest, refreshed_scopes};
use crate::seal::{Marks, Purpose};
use crate::secret::{Secret, same};
use crate::store::Turn;

use super::client::FoundClient;
use super::token::Issued;
use super::{Failure, Flows};

/// A refresh token: `base64url(session | secret | tag)`.
#[derive(Debug)]
pub(super) struct RefreshToken {
    /// Whose.
    pub(super) session: Id,
    /// What the client holds.
    pub(super) clear: Secret,
}

const SECRET_LEN: usize = 24;
const TAG_LEN: usize = 12;
const BODY_LEN: usize = Id::LEN + SECRET_LEN;

impl RefreshToken {
    /// A new token of a session.
    pub(super) fn new(session: Id, marks: &Marks) -> Self {
        let mut bytes = [0; BODY_LEN + TAG_LEN];
        bytes[..Id::LEN].copy_from_slice(session.as_bytes());
        bytes[Id::LEN..BODY_LEN].copy_from_slice(&entropy::random::<SECRET_LEN>());
        let tag = marks.tag(Purpose::RefreshTag, &bytes[..BODY_LEN]);
        bytes[BODY_LEN..].copy_from_slice(&tag[..TAG_LEN]);
        Self {
            session,
            clear: Secret::new(URL_SAFE_NO_PAD.encode(bytes)),
        }
    }

    /// A token that somebody presents, if we made it.
    pub(super) fn parse(presented: &Secret, marks: &Marks) -> Option<Self> {
        let mut bytes = [0; BODY_LEN + TAG_LEN];
        let written = URL_SAFE_NO_PAD
            .decode_slice(presented.expose(), &mut bytes)
            .ok()?;
        let (session, _) = bytes.split_first_chunk::<{ Id::LEN }>()?;
        let tag = marks.tag(Purpose::RefreshTag, &bytes[..BODY_LEN]);
        (written == bytes.len() && same(&bytes[BODY_LEN..], &tag[..TAG_LEN])).then(|| Self {
            session: Id::from_bytes(*session),
            clear: presented.clone(),
        })
    }
}

/// What a presented token is to its session.
enum Freshness<'a> {
    /// The one in force.
    Current,
    /// The one before, so recently that its answer may have been lost.
    JustRotated(&'a Rotated),
    /// An older one: it has leaked, or the client lost its place.
    Reused,
}

impl Flows {
    /// Refreshes: peek, check, ask the provider where that is due, rotate, mint. Whoever asks again with the token before
    /// within the grace window gets the same refresh token (two windows, one lost reply); outside it the session ends.
    pub(super) async fn refresh(
        &self,
        known: &FoundClient,
        request: RefreshRequest,
    ) -> Result<Issued, Failure> {
        let client = &known.client;
        let token = RefreshToken::parse(&request.token, &self.marks).ok_or(DEAD)?;
        let now = self.now();
        let found = self.store.find_session(token.session, now).await?;
        // TOK-34: with another client it is as if there were no such token
        let mut session = found
            .filter(|session| session.client_id == client.id)
            .ok_or(DEAD)?;
        let left = self.left_of(&session.scopes, &session.resource, client)?;
        within_grant(
            &self.resources,
            &session.resource,
            request.resources.iter().map(String::as_str),
        )?;
        // whoever asks for all that was granted once is not at fault where it is less by now
        let asked = refreshed_scopes(&session.scopes, request.scopes.as_ref())?;
        let mut scopes = of_use(asked.intersection(&left), &asked).ok_or(NONE_OF_THEM)?;
        let freshness = self.freshness_of(&token, &session, now);
        // a stolen token ends its session, whatever the provider says
        if !matches!(freshness, Freshness::Reused) {
            scopes = self.open_still(&session.subject, &left, &scopes).await?;
        }
        let mut rotated = None;
        if let Freshness::Current = freshness {
            (session, rotated) = self.rotate(&token, &session).await?;
        }
        let successor = match rotated {
            Some(successor) => successor,
            None => self.answer_again(&token, &session, now).await?,
        };
        Event::TokenRefreshed {
            client: &client.id,
            subject: &session.subject,
            session: session.id,
        }
        .tell();
        self.keep_client(known).await?;
        self.mint(&session, scopes, Some(successor))
    }

    /// What of `scopes`, which are of those that are `left`, is open to the person, for whom the provider has to vouch still
    /// (CONS-22, CONS-27, U4).
    async fn open_still(
        &self,
        person: &Subject,
        left: &ScopeSet,
        scopes: &ScopeSet,
    ) -> Result<ScopeSet, Failure> {
        let (grant, _) = self.vouched(person).await?.ok_or(DEAD)?;
        let withheld = self.vouching.withheld(&grant);
        if open_to_person(left, &withheld).is_none() {
            return Err(NONE_OPEN.into());
        }
        Ok(open_to_person(scopes, &withheld).ok_or(NONE_OF_THEM_OPEN)?)
    }

    /// What `token` was to its session when it came, at `now`: asking the provider may have taken a while.
    fn freshness_of<'a>(
        &self,
        token: &RefreshToken,
        session: &'a Session,
        now: UnixTime,
    ) -> Freshness<'a> {
        let Some(state) = &session.refresh else {
            return Freshness::Reused;
        };
        if state.current.matches(&token.clear) {
            return Freshness::Current;
        }
        match &state.previous {
            Some(previous)
                if previous.digest.matches(&token.clear)
                    && now < previous.at + self.lifetimes.reuse_grace =>
            {
                Freshness::JustRotated(previous)
            }
            _ => Freshness::Reused,
        }
    }

    /// Puts a new token in the place of `token`: the session after it, and the new token; none where another request
    /// was faster.
    async fn rotate(
        &self,
        token: &RefreshToken,
        session: &Session,
    ) -> Result<(Session, Option<Secret>), Failure> {
        let next = RefreshToken::new(session.id, &self.marks);
        let turn = Turn {
            from: token.clear.digest(),
            to: next.clear.digest(),
            successor: self.sealer.seal(
                Purpose::RefreshSuccessor,
                session.id.as_bytes(),
                next.clear.expose().as_bytes(),
            ),
            expires: self.session_end(session.created),
        };
        let rotation = self
            .store
            .rotate_refresh(session.id, turn, self.now())
            .await?
            .ok_or(DEAD)?;
        Ok((rotation.session, rotation.won.then_some(next.clear)))
    }

    /// The answer that `token` got before, while it is fresh; afterwards its reuse ends the session.
    async fn answer_again(
        &self,
        token: &RefreshToken,
        session: &Session,
        now: UnixTime,
    ) -> Result<Secret, Failure> {
        if let Freshness::JustRotated(previous) = self.freshness_of(token, session, now) {
            let clear = self.sealer.open(
                Purpose::RefreshSuccessor,
                session.id.as_bytes(),
                &previous.successor,
            )?;
            Event::RefreshAnsweredAgain {
                session: session.id,
            }
            .tell();
            return Ok(Secret::new(String::from_utf8_lossy(&clear)));
        }
        Event::RefreshReused {
            client: &session.client_id,
            subject: &session.subject,
            session: session.id,
        }
        .tell();
        self.end_session(session.id, "an old refresh token was used")
            .await?;
        Err(ErrorCode::InvalidGrant
            .with("the refresh token was used before; its session is now revoked")
            .into())
    }
}

// TOK-37: a dead refresh token is always invalid_grant, and nothing else is
const DEAD: OAuthError = OAuthError {
    code: ErrorCode::InvalidGrant,
    description: "the refresh token is unknown, revoked or expired",
};

const NONE_OF_THEM_OPEN: OAuthError = OAuthError {
    code: ErrorCode::InvalidScope,
    description: "none of the scopes that are asked for is open to the person any more",
};
