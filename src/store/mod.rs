//! What outlives a request.
//!
//! [`Store`] is the contract: each verb is one atomic step of a flow that says who won. What is acknowledged is
//! durable: after `Ok`, neither `kill -9` nor a power cut takes it back. Only a sign-in under way (a pushed or approved
//! request, a browser session) may be gone after a crash: the person begins again. Everything has an end; what has
//! expired is never returned, and [`Store::sweep`] really deletes it.
//!
//! All sessions of a person live by one [`Grant`]. The steps that make and end them keep both together: a session, in
//! force or not yet, is on the list of its person's grant, and whoever takes the last living one away takes the grant,
//! too. Only a session that nobody ends, and that expires, leaves its grant behind: [`Store::list_grants`] finds it, so
//! that it can be ended and what it holds given back. No session may be put, opened or rotated so as to outlive the
//! grant: that is for the callers to see to.

pub mod browser_session;
pub mod conformance;
pub mod engine;
mod granted;
pub mod keyed;
pub mod memory;
pub mod record;
mod rows;
pub mod sample;
pub mod sled;
mod writer;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::protocol::client::Client;
use crate::protocol::client_metadata::ClientDocument;
use crate::protocol::consent::{Consent, ConsentKey};
use crate::protocol::grant::{Grant, GrantKey};
use crate::protocol::ids::{ClientId, Id, Subject};
use crate::protocol::session::{IssuedCode, PendingSignIn, PushedRequest, RefreshState, Session};
use crate::seal::Sealed;
use crate::secret::SecretDigest;

/// What every store does. `now` is passed in; "not there" and "expired" are both `None`.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps a newly registered client until `expires`.
    async fn put_client(&self, client: Client, expires: UnixTime) -> Result<()>;

    /// Looks at a client; with it, when it will be forgotten.
    async fn find_client(&self, id: &ClientId, now: UnixTime)
    -> Result<Option<(Client, UnixTime)>>;

    /// Keeps a client until `until`, if that is later than it would be kept anyway. A client that is not there stays
    /// away: nothing is brought back.
    async fn keep_client(&self, id: &ClientId, until: UnixTime, now: UnixTime) -> Result<()>;

    /// Puts `after` in the place of `before`, the same registered client as it was seen. However many callers come at once
    /// with the same `before`, one changes it. Until when it is kept stays as it is.
    async fn change_client(
        &self,
        before: &Client,
        after: Client,
        now: UnixTime,
    ) -> Result<ClientChange>;

    /// Forgets a registered client: `true` for the one caller that did.
    async fn forget_client(&self, id: &ClientId) -> Result<bool>;

    /// Keeps the document of a client until `expires`, in the place of the one before.
    async fn put_document(&self, document: ClientDocument, expires: UnixTime) -> Result<()>;

    /// Looks at the document of a client; with it, when it will be forgotten.
    async fn find_document(
        &self,
        id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<(ClientDocument, UnixTime)>>;

    /// Marks a client's assertion as used until `expires` (RFC 7523 §3). However many callers come with the same one, it is
    /// new to one: `true`.
    async fn spend_assertion(
        &self,
        key: SecretDigest,
        expires: UnixTime,
        now: UnixTime,
    ) -> Result<bool>;

    /// Keeps a pushed request.
    async fn put_pushed(&self, id: Id, pushed: PushedRequest) -> Result<()>;

    /// Looks at a pushed request, and gives it to nobody.
    async fn find_pushed(&self, id: Id, now: UnixTime) -> Result<Option<PushedRequest>>;

    /// Gives a pushed request to a browser. The first browser has it to itself: for every other one it is not there
    /// (RFC 9126 §4).
    async fn claim_pushed(
        &self,
        id: Id,
        browser: SecretDigest,
        now: UnixTime,
    ) -> Result<Option<PushedRequest>>;

    /// What a person agreed to.
    async fn find_consent(&self, key: ConsentKey, now: UnixTime) -> Result<Option<Consent>>;

    /// Forgets what a person agreed to.
    async fn forget_consent(&self, key: ConsentKey) -> Result<()>;

    /// Keeps an approved request while the person is at the provider.
    async fn put_pending(&self, id: Id, pending: PendingSignIn) -> Result<()>;

    /// Looks at an approved request without taking it.
    async fn find_pending(&self, id: Id, now: UnixTime) -> Result<Option<PendingSignIn>>;

    /// Takes an approved request away. However many callers ask at once, one gets it.
    async fn take_pending(&self, id: Id, now: UnixTime) -> Result<Option<PendingSignIn>>;

    /// Keeps what a sign-in led to, all or nothing: a code, the session that it opens, the grant that the session lives by,
    /// in the place of the person's grant before and, where it is to be remembered, what they agreed to.
    ///
    /// The session joins those that live by the grant before: from here they live by this one, and it is kept at least as
    /// long. Whichever of them has ended or expired is taken off the list. Where they are more than [`MAX_SESSIONS`], the
    /// oldest end in the same step: the caller learns which.
    ///
    /// `None`, and nothing is kept, where the person's grant is not as it was seen, but for its list of sessions: then look
    /// again. Of many who have seen the same grant, and bring another, one is let in.
    ///
    /// # Errors
    /// Where there is a code or a session of this identifier already: a mistake of ours, and replacing what it names would
    /// bring back what has ended.
    async fn put_code(&self, id: Id, signed_in: SignedIn, now: UnixTime)
    -> Result<Option<Vec<Id>>>;

    /// Looks at a code without spending it; a spent one is still there until it expires.
    async fn find_code(&self, id: Id, now: UnixTime) -> Result<Option<IssuedCode>>;

    /// Marks a code as spent and, in the same step, puts its session in force. However many callers ask at once, one
    /// gets the session; the others, and whoever comes when the session is gone, get `None`.
    async fn spend_code(&self, id: Id, opening: Opening, now: UnixTime) -> Result<Option<Session>>;

    /// Looks at a session, in force or not yet.
    async fn find_session(&self, id: Id, now: UnixTime) -> Result<Option<Session>>;

    /// Puts `turn.to` in the place of `turn.from`, the refresh token in force. However many callers ask at once with
    /// the same `from`, one rotates; every one of them learns the session as it is after that. `None` where the
    /// session is gone.
    async fn rotate_refresh(&self, id: Id, turn: Turn, now: UnixTime) -> Result<Option<Rotation>>;

    /// Ends a session, in force or not yet: it is gone, whoever asks, and nothing brings it back. Where no other session
    /// lives by its grant, the grant goes with it, in the same step; one that has expired does not count as living. The
    /// one caller that ended it learns what is gone.
    async fn end_session(&self, id: Id, now: UnixTime) -> Result<Option<EndedSession>>;

    /// What a person gave us at the provider, and which sessions live by it: some of those may have expired.
    async fn find_grant(&self, person: &Subject, now: UnixTime) -> Result<Option<Grant>>;

    /// Puts `after` in the place of `before`, the same person's grant as it was seen. Which sessions live by it does not
    /// count, and stays as it is, so that nobody who signs out meanwhile is in the way. `false`, and nothing happens, where
    /// anything else has changed since, or the grant is gone: however many callers come at once with the same `before`,
    /// and something new, one changes it.
    async fn change_grant(&self, before: &Grant, after: Grant, now: UnixTime) -> Result<bool>;

    /// Ends a grant, and all sessions that live by it now. The one caller that ended it learns which. `None`, and nothing
    /// happens, where the grant is gone, or is not as it was seen, but for its list of sessions: somebody has signed in
    /// again, or has changed it.
    async fn end_grant(&self, before: &Grant, now: UnixTime) -> Result<Option<Vec<Id>>>;

    /// At most `max` sessions, in force or not yet, in the order of their ids, behind `after`, be that there or not. Whoever
    /// goes on behind the last one until nothing comes sees each that was there all the while once. The same holds for
    /// the other lists.
    async fn list_sessions(
        &self,
        after: Option<Id>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<Session>>;

    /// At most `max` registered clients, in the order of their ids, behind `after`; with each, when it will be forgotten.
    async fn list_clients(
        &self,
        after: Option<&ClientId>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<(Client, UnixTime)>>;

    /// At most `max` documents of clients, in the order of their ids, behind `after`; with each, when it will be forgotten.
    async fn list_documents(
        &self,
        after: Option<&ClientId>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<(ClientDocument, UnixTime)>>;

    /// Forgets the document of a client: `true` for the one caller that did.
    async fn forget_document(&self, id: &ClientId) -> Result<bool>;

    /// At most `max` grants, in the order of their keys, behind `after`.
    async fn list_grants(
        &self,
        after: Option<GrantKey>,
        max: usize,
        now: UnixTime,
    ) -> Result<Vec<Grant>>;

    /// The key, or the keys, of this name.
    async fn find_key(&self, name: &str) -> Result<Option<Sealed>>;

    /// Keeps a key, unless there is one of this name. Whoever asks, the one that is kept is returned.
    async fn put_key_if_absent(&self, name: &str, key: Sealed) -> Result<Sealed>;

    /// Puts `after` in the place of `before`, the key of this name as it was seen. `false`, and nothing happens, where it has
    /// changed since, or is not there: of many callers with the same `before`, and something new, one changes it.
    async fn change_key(&self, name: &str, before: &Sealed, after: Sealed) -> Result<bool>;

    /// Keeps the record of a browser session unless there is one under `key`: `true` if it was kept.
    async fn put_browser_session(&self, key: SecretDigest, record: BrowserRecord) -> Result<bool>;

    /// Changes the record of a browser session that is there. `false` where it is gone: a logout elsewhere is not
    /// undone.
    async fn save_browser_session(
        &self,
        key: SecretDigest,
        record: BrowserRecord,
        now: UnixTime,
    ) -> Result<bool>;

    /// Looks at a browser session.
    async fn find_browser_session(
        &self,
        key: SecretDigest,
        now: UnixTime,
    ) -> Result<Option<BrowserRecord>>;

    /// Ends a browser session.
    async fn forget_browser_session(&self, key: SecretDigest) -> Result<()>;

    /// Deletes at most `max` rows that have expired; says how many.
    async fn sweep(&self, now: UnixTime, max: usize) -> Result<usize>;
}

/// The most sessions that live by one grant: its row does not grow without bound, however often a person signs in.
pub const MAX_SESSIONS: usize = 500;

/// How a change of a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientChange {
    /// The client is what it was changed to.
    Done,
    /// Somebody else has changed it meanwhile, and it is as they left it.
    Overtaken,
    /// It is gone.
    Gone,
}

/// What a sign-in led to.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The code.
    pub code: IssuedCode,
    /// The session that it opens, not in force yet.
    pub session: Session,
    /// The person's grant before, as it was seen.
    pub grant_before: Option<Grant>,
    /// The grant that the session lives by, of the same person. Its sessions are the store's to fill in.
    pub grant: Grant,
    /// What the person agreed to, where it is to be remembered.
    pub consent: Option<(ConsentKey, Consent)>,
}

/// What is gone with a session.
#[derive(Clone, Debug)]
pub struct EndedSession {
    /// The session as it was.
    pub session: Session,
    /// The grant, where no other session lives by it: what it holds can be given back.
    pub grant: Option<Grant>,
}

/// What a session gets when its code is redeemed.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The first refresh token, for clients that have the grant.
    pub refresh: Option<RefreshState>,
    /// When the session ends unless it is used.
    pub expires: UnixTime,
}

/// One rotation of a refresh token.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Digest of the token that was presented.
    pub from: SecretDigest,
    /// Digest of the token to put in its place.
    pub to: SecretDigest,
    /// The token of `to`, sealed, for those who ask again.
    pub successor: Sealed,
    /// When the session ends unless it is used again.
    pub expires: UnixTime,
}

/// How a rotation ended.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The session as it is now.
    pub session: Session,
    /// Whether it was this caller that rotated.
    pub won: bool,
}

/// A browser session of tower-sessions, as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserRecord {
    /// Its values, as tower-sessions encodes them in JSON.
    pub values: Vec<u8>,
    /// When it ends.
    pub expires: UnixTime,
}

/// The store could not do it. What was asked for may or may not have happened.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {message}")]
pub struct StoreError {
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// A failure in words.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// A failure with its cause.
    pub fn because(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            message: message.into(),
            source: Some(source.into()),
        }
    }
}

/// The result of a verb.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
