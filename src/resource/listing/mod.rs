//! Lists of what a server has: an answer holds only what the token that asked may call.

mod events;
mod sift;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::value::RawValue;

use crate::protocol::principal::Principal;
use crate::resource::answer::RpcError;
use crate::resource::reach::{Reach, Subject};
use crate::resource::scope_policy::ScopePolicy;
use crate::resource::stream::is_event_stream;

use events::SiftedEvents;

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

/// Hides from the answers to one request what its token may not call.
#[derive(Clone, Debug)]
pub(super) struct ListFilter {
    /// Which scope opens what.
    pub(super) policy: Arc<ScopePolicy>,
    /// Who asks.
    pub(super) principal: Arc<Principal>,
    /// The id of the request, where there is one alone.
    pub(super) id: Option<Box<RawValue>>,
}

/// Bytes that a list, or one event of a stream with lists in it, may have.
const ANSWER_LIMIT: usize = 16 << 20;

/// What an answer says of its bytes, which are others now.
const OF_THE_BYTES: [HeaderName; 6] = [
    ETAG,
    ACCEPT_RANGES,
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-md5"),
];

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
        match method {
            "tools/list" => Some(Self::Tools),
            "resources/list" => Some(Self::Resources),
            "resources/templates/list" => Some(Self::ResourceTemplates),
            "prompts/list" => Some(Self::Prompts),
            _ => None,
        }
    }

    /// Whether there can be entries that are not open to the token.
    #[must_use]
    pub fn can_hide(self, reach: &Reach<'_>) -> bool {
        !reach.opens_every_name(self.opener())
    }

    /// Whether the entry with this name or URI is open to the token. A template is as soon as one of its URIs can be.
    #[must_use]
    pub fn opens(self, reach: &Reach<'_>, entry: &str) -> bool {
        let subject = match self {
            Self::Tools | Self::Prompts => Subject::Name(entry),
            Self::Resources => Subject::Uri(entry),
            Self::ResourceTemplates => Subject::Template(entry),
        };
        reach.opens(self.opener(), subject)
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
        if !is_one_kind || is_encoded(&head.headers) {
            return self.refuse("it is encoded, or has two content types");
        }
        if is_stream {
            forget_bytes(&mut head.headers);
            let body = Body::new(SiftedEvents::new(body, self));
            return Response::from_parts(head, body);
        }
        let Ok(whole) = Limited::new(body, ANSWER_LIMIT).collect().await else {
            return self.refuse("it broke off, or is too long");
        };
        let whole = whole.to_bytes();
        match self.sift(&whole) {
            Ok(None) => Response::from_parts(head, Body::from(whole)),
            Ok(Some(sifted)) => {
                forget_bytes(&mut head.headers);
                let no_store = HeaderValue::from_static("no-store");
                head.headers.insert(CACHE_CONTROL, no_store);
                head.headers
                    .insert(CONTENT_LENGTH, HeaderValue::from(sifted.len()));
                Response::from_parts(head, Body::from(sifted))
            }
            Err(sift::Unreadable) => self.refuse("it is not JSON, or can be read in two ways"),
        }
    }

    /// The messages in `whole` without what is hidden, if anything is.
    fn sift(&self, whole: &Bytes) -> Result<Option<String>, sift::Unreadable> {
        if whole.trim_ascii().is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(whole).map_err(|_| sift::Unreadable)?;
        sift::sift(text, &self.reach())
    }

    fn reach(&self) -> Reach<'_> {
        Reach {
            policy: &self.policy,
            principal: &self.principal,
        }
    }

    /// What stands in the place of an answer that cannot be read.
    fn refuse(&self, reason: &'static str) -> Response {
        self.warn(reason);
        RpcError::http(StatusCode::BAD_GATEWAY, UNREADABLE).answer(self.id.as_deref())
    }

    fn warn(&self, reason: &'static str) {
        let session = &self.principal.standing.session;
        tracing::warn!(session.id = %session, reason, "a list of the MCP server is held back");
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
