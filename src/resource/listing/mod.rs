//! Lists of what a server has: an answer holds only what the token that asked may call.

mod events;
mod part;
mod room;
mod sift;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::response::Response;
use bytes::BytesMut;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::protocol::principal::Principal;
use crate::resource::answer::RpcError;
use crate::resource::reach::{Reach, Subject};
use crate::resource::scope_policy::ScopePolicy;
use crate::resource::stream::is_event_stream;

use events::SiftedEvents;
pub use room::Room;
use room::{FREE, Place};
use sift::{Sifted, Unreadable};

/// A list that a server can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// `tools/list`
    Tools,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    ResourceTemplates,
    /// `prompts/list`
    Prompts,
}

/// What is to be done with an answer that is not the same for every token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// There can be entries that are not open to this token. What cannot be read is held back.
    Hide,
    /// All of them are open to it, and the answer is not for others. What cannot be read passes.
    Mark,
    /// The same, where the head alone says so.
    Head,
}

/// Hides from the answers to one request what its token may not call.
#[derive(Clone, Debug)]
pub(super) struct ListFilter {
    /// What is to be done.
    pub(super) care: Care,
    /// Which scope opens what.
    pub(super) policy: Arc<ScopePolicy>,
    /// Who asks.
    pub(super) principal: Arc<Principal>,
    /// The id of the request, where there is one alone.
    pub(super) id: Option<Box<RawValue>>,
    /// Room for what is read, shared with others.
    pub(super) room: Room,
}

/// Bytes that a list, or one event of a stream with lists in it, may have.
const ANSWER_LIMIT: usize = 16 << 20;

/// How long the server may take for a list once it has begun to send it.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What an answer says of its bytes, which are others now.
const OF_THE_BYTES: [HeaderName; 6] = [
    ETAG,
    ACCEPT_RANGES,
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-md5"),
];

const UNREADABLE_FAILURE: &str =
    "the MCP server did not do what was asked, and what it says of that cannot be read";

const UNREADABLE: &str = "the list that the server sent cannot be read, so that nobody knows what of it is open to this token";

impl Listing {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Tools,
        Self::Resources,
        Self::ResourceTemplates,
        Self::Prompts,
    ];

    /// The list that `method` asks for.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|list| list.method() == method)
    }

    /// Whether there can be entries that are not open to the token.
    #[must_use]
    pub fn can_hide(self, reach: &Reach<'_>) -> bool {
        !reach.opens_every_name(self.opener())
    }

    /// Whether the entry with this name or URI is open to the token. A template is as soon as one of its URIs can be.
    #[must_use]
    pub fn opens(self, reach: &Reach<'_>, entry: &str) -> bool {
        reach.opens(self.opener(), self.subject(entry))
    }

    /// Whether `policy` makes of it one list for one token and another for the next.
    #[must_use]
    pub fn is_personal(self, policy: &ScopePolicy) -> bool {
        policy.tells_tokens_apart(self.method(), self.opener())
    }

    /// Whether the entry would be open, if it could be read in one way alone.
    fn opens_one_reading(self, reach: &Reach<'_>, entry: &str) -> bool {
        reach.opens_one_reading(self.opener(), self.subject(entry))
    }

    fn subject(self, entry: &str) -> Subject<'_> {
        match self {
            Self::Tools | Self::Prompts => Subject::Name(entry),
            Self::Resources => Subject::Uri(entry),
            Self::ResourceTemplates => Subject::Template(entry),
        }
    }

    /// What of the name of an entry may stand in a log: of a URI neither user nor query.
    fn shown(self, entry: &str) -> &str {
        match self {
            Self::Tools | Self::Prompts => entry,
            Self::Resources | Self::ResourceTemplates => {
                let entry = entry.split(['?', '#']).next().unwrap_or_default();
                entry.rsplit('@').next().unwrap_or_default()
            }
        }
    }

    /// The method that asks for it.
    const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::ResourceTemplates => "resources/templates/list",
            Self::Prompts => "prompts/list",
        }
    }

    /// The method that an entry is there for.
    const fn opener(self) -> &'static str {
        match self {
            Self::Tools => "tools/call",
            Self::Resources | Self::ResourceTemplates => "resources/read",
            Self::Prompts => "prompts/get",
        }
    }

    /// The member of a result that holds the list.
    const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The member of an entry that the entry is called by.
    const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }
}

impl ListFilter {
    /// Whether the answer itself is read.
    pub(super) fn reads(&self) -> bool {
        self.care != Care::Head
    }

    /// The answer without what is hidden. One that cannot be read is not handed on.
    pub(super) async fn apply(self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        let mut kinds = head.headers.get_all(CONTENT_TYPE).iter();
        let (kind, is_one_kind) = (kinds.next(), kinds.next().is_none());
        let is_json = kind.is_some_and(|kind| {
            let kind = kind.as_bytes().to_ascii_lowercase();
            kind.windows(4).any(|part| part == b"json")
        });
        let is_stream = is_event_stream(&head.headers);
        // What is no success is read by clients as a message only where it says that it is one.
        if !(is_json || is_stream || head.status.is_success()) {
            return Response::from_parts(head, body);
        }
        let is_legible = is_one_kind && !is_encoded(&head.headers);
        // HTTP-15 for streams: nobody repeats one without asking, and it has no ETag to ask with
        let keep = HeaderValue::from_static(if is_stream { "no-cache" } else { "no-store" });
        head.headers.insert(CACHE_CONTROL, keep);
        match self.care {
            Care::Hide if !is_legible => {
                return self.refuse(head, "it is encoded, or has two content types");
            }
            Care::Hide | Care::Mark if is_legible => {}
            _ => return Response::from_parts(head, body),
        }
        if is_stream {
            forget_bytes(&mut head.headers);
            let body = Body::new(SiftedEvents::new(body, self));
            return Response::from_parts(head, body);
        }
        match timeout(TIME_LIMIT, self.collect(body)).await {
            Ok(Ok((whole, _place))) => self.sifted(head, whole).await,
            Ok(Err(reason)) => self.refuse(head, reason),
            Err(_) => self.refuse(head, "it took too long"),
        }
    }

    /// The whole body, with the room that it takes. Room is asked for once, so that nobody who has some waits for more.
    async fn collect(&self, mut body: Body) -> Result<(Bytes, Option<Place>), &'static str> {
        let announced = body.size_hint().upper();
        let announced = announced.and_then(|length| usize::try_from(length).ok());
        let expected = announced.unwrap_or(ANSWER_LIMIT).min(ANSWER_LIMIT);
        let mut place = None;
        let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(|_| "it broke off")?.into_data() else {
                continue;
            };
            let length = first.len() + rest.len() + piece.len();
            if length > ANSWER_LIMIT {
                return Err("it is too long");
            }
            if length > FREE && place.is_none() {
                place = self.room.wait_for(expected.max(length)).await;
            }
            if first.is_empty() && rest.is_empty() {
                first = piece;
            } else {
                // A body in one piece is not copied.
                rest.extend_from_slice(&std::mem::take(&mut first));
                rest.extend_from_slice(&piece);
            }
        }
        let whole = if rest.is_empty() {
            first
        } else {
            rest.freeze()
        };
        Ok((whole, place))
    }

    /// The answer with this body.
    async fn sifted(self, mut head: Parts, whole: Bytes) -> Response {
        let sifted = if whole.len() > FREE {
            let (filter, whole) = (self.clone(), whole.clone());
            let sifting = spawn_blocking(move || filter.sift(&whole));
            sifting.await.unwrap_or(Err(Unreadable))
        } else {
            self.sift(&whole)
        };
        match sifted {
            Ok(Sifted { text: None, .. }) => Response::from_parts(head, Body::from(whole)),
            Ok(sifted) => {
                self.tell(&sifted);
                let text = sifted.text.unwrap_or_default();
                forget_bytes(&mut head.headers);
                let length = HeaderValue::from(text.len());
                head.headers.insert(CONTENT_LENGTH, length);
                Response::from_parts(head, Body::from(text))
            }
            Err(Unreadable) if self.care == Care::Mark => {
                Response::from_parts(head, Body::from(whole))
            }
            Err(Unreadable) => self.refuse(head, "it is not JSON, or can be read in two ways"),
        }
    }

    /// The messages in `whole` without what is hidden, if anything is.
    fn sift(&self, whole: &[u8]) -> Result<Sifted, Unreadable> {
        if whole.trim_ascii().is_empty() {
            return Ok(Sifted::default());
        }
        let text = std::str::from_utf8(whole).map_err(|_| Unreadable)?;
        sift::sift(text, &self.reach())
    }

    fn reach(&self) -> Reach<'_> {
        Reach {
            policy: &self.policy,
            principal: &self.principal,
        }
    }

    /// What stands in the place of an answer that cannot be read. A failure stays one, and of the same kind: clients go by
    /// its status.
    fn refuse(&self, mut head: Parts, reason: &'static str) -> Response {
        self.warn(reason);
        if head.status.is_success() {
            return RpcError::http(StatusCode::BAD_GATEWAY, UNREADABLE).answer(self.id.as_deref());
        }
        let error = RpcError::http(head.status, UNREADABLE_FAILURE);
        let (error, body) = error.answer(self.id.as_deref()).into_parts();
        forget_bytes(&mut head.headers);
        head.headers.remove(CONTENT_ENCODING);
        head.headers.extend(error.headers);
        Response::from_parts(head, body)
    }

    fn warn(&self, reason: &'static str) {
        let session = &self.principal.standing.session;
        tracing::warn!(session.id = %session, reason, "a list of the MCP server is held back");
    }

    /// Why a person misses something.
    fn tell(&self, sifted: &Sifted) {
        if sifted.hidden > 0 {
            let session = &self.principal.standing.session;
            let (hidden, ambiguous) = (sifted.hidden, &sifted.ambiguous);
            tracing::debug!(session.id = %session, hidden, ?ambiguous, "entries of a list are hidden");
        }
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn forget_bytes(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    for name in OF_THE_BYTES {
        headers.remove(name);
    }
}
