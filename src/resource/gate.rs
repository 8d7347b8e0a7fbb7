//! The gate: every check between a request's arrival and the MCP server, in the order of HTTP-16.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::header::{
    ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, IF_RANGE, RANGE,
    TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::value::RawValue;

use super::answer::RpcError;
use super::caller::Callers;
use super::challenge::{Challenges, Denial, UnquotableUrl};
use super::content;
use super::door::{Door, Stranger};
use super::help::Help;
use super::listing::{Care, ListFilter, Listing, Room};
use super::mcp_session::{NotYours, SESSION_ID, SessionKey};
use super::message::{self, Body as Messages, Fault, FaultKind, Message};
use super::reach::Reach;
use super::revision::{self, Era};
use super::scope_policy::ScopePolicy;
use super::stream::{self, Watch};
use super::token_cache::TokenCache;
use super::{Sessions, TokenVerifier};
use crate::clock::Clock;
use crate::protocol::principal::Principal;
use crate::protocol::scope::Scope;

/// What a gate is made of.
pub struct GateSettings {
    /// Who checks tokens.
    pub verifier: Arc<dyn TokenVerifier>,
    /// Who knows whether their sessions are in force.
    pub sessions: Arc<dyn Sessions>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Which scope opens what.
    pub policy: ScopePolicy,
    /// The resource identifier: the audience that tokens must have.
    pub resource: String,
    /// Where the metadata of the resource are (RFC 9728 §3.1).
    pub metadata_url: String,
    /// The hosts that requests may be for, with the port where it is not the scheme's.
    pub hosts: Vec<String>,
    /// The browser origins that may call.
    pub origins: Vec<String>,
    /// The key that session identifiers of the older transport are bound with.
    pub session_key: [u8; 32],
}

/// Stands before one MCP path. Cheap to share; a token is verified once and then known.
pub struct Gate {
    callers: Callers,
    policy: Arc<ScopePolicy>,
    challenges: Challenges,
    door: Door,
    session_key: SessionKey,
    body_limit: usize,
    look_again: Duration,
    help: Option<Help>,
    /// For the lists that are being filtered.
    room: Room,
}

/// A request that passed every check.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) request: Request,
    pub(super) admission: Admission,
}

/// What the answer to an admitted request is finished with.
#[derive(Debug)]
pub(super) struct Admission {
    principal: Arc<Principal>,
    judgement: Judgement,
}

/// What was found of a request.
#[derive(Debug)]
struct Judgement {
    era: Era,
    /// Where the answer is not the same for every token.
    filter: Option<ListFilter>,
}

/// The body of an admitted POST, as it was judged; in the extensions of the request, for whoever has to send it twice, or
/// to answer in the place of the server.
#[derive(Clone, Debug)]
pub struct JudgedBody(pub Bytes);

/// The answer to a request that is not admitted; boxed, because it is rare and large.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Box<Response>);

/// Verified tokens that one gate knows.
const SEEN_LIMIT: usize = 100_000;

/// Bytes that a body may have.
const BODY_LIMIT: usize = 4 << 20;

/// How long a session found in force is not asked for again. An end that this process brings about is seen at once.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How often it is looked whether the session of an open stream has ended, or is to be asked for.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Bytes that a request to listen may have: it is kept for as long as its stream is open.
const LISTEN_LIMIT: usize = 64 << 10;

const NOT_OPEN: &str = "this operation is not open to the person who signed in, or not to this client; signing in again changes nothing";

const LISTENS_TO_MUCH: &str =
    "a request to listen may have 64 KiB: listen to fewer resources at once";

const AMBIGUOUS: &str =
    "the name or URI can be read in more than one way: write it in its normal form";

/// Opens a stream of changes (MCP 2026-07-28).
const LISTEN: &str = "subscriptions/listen";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl Gate {
    /// A gate.
    ///
    /// # Errors
    /// A metadata URL that cannot stand in a header.
    pub fn new(settings: GateSettings) -> Result<Self, UnquotableUrl> {
        let challenged = settings.policy.default_scopes().clone();
        Ok(Self {
            challenges: Challenges::new(settings.metadata_url, challenged)?,
            door: Door::new(&settings.hosts, &settings.origins),
            session_key: SessionKey::new(&settings.session_key, &settings.resource),
            callers: Callers {
                verifier: settings.verifier,
                sessions: settings.sessions,
                clock: settings.clock,
                resource: settings.resource,
                seen: TokenCache::new(SEEN_LIMIT),
                ask_again: ASK_AGAIN,
            },
            policy: Arc::new(settings.policy),
            body_limit: BODY_LIMIT,
            look_again: LOOK_AGAIN,
            help: None,
            room: Room::new(),
        })
    }

    /// The same gate with a page for a person who opens the path in a browser.
    #[must_use]
    pub fn with_help(mut self, help: Help) -> Self {
        self.help = Some(help);
        self
    }

    /// The same gate with another limit for bodies, in bytes.
    #[must_use]
    pub fn with_body_limit(self, body_limit: usize) -> Self {
        Self { body_limit, ..self }
    }

    /// The same gate with another time after which a known session is asked for again.
    #[must_use]
    pub fn with_ask_again(mut self, ask_again: Duration) -> Self {
        self.callers.ask_again = ask_again;
        self
    }

    /// The same gate with another time after which it is looked at the session of an open stream.
    #[must_use]
    pub fn with_look_again(self, look_again: Duration) -> Self {
        Self { look_again, ..self }
    }

    /// Host and Origin: the origin, where the request comes from a page that is allowed.
    pub(super) fn check_door(&self, request: &Request) -> Result<Option<HeaderValue>, Refusal> {
        let origin = self
            .door
            .check(request.headers(), request.uri())
            .map_err(|stranger| {
                let message = match stranger {
                    Stranger::Host => "this host is not served here: check public_url",
                    Stranger::Origin => {
                        "this origin is not allowed: name it in origins of the server"
                    }
                };
                Refusal::from(RpcError::http(StatusCode::FORBIDDEN, message))
            })?;
        Ok(origin.cloned())
    }

    /// Everything after the door: token, body, headers, method, scope, session.
    pub(super) async fn admit(&self, request: Request) -> Result<Admitted, Refusal> {
        let (mut parts, body) = request.into_parts();
        let principal = match self.callers.principal(&parts.headers).await {
            Ok(principal) => principal,
            Err(denial) => return Err(self.deny(denial, &parts).into()),
        };
        // RS-13: the token is for us. Browsers' cookies are none of the server's business either.
        parts.headers.remove(AUTHORIZATION);
        parts.headers.remove(COOKIE);
        let (judgement, body) = if parts.method == Method::POST {
            let bytes = content::read(&parts.headers, body, self.body_limit).await?;
            let judgement = self.judge(&parts.headers, &bytes, &principal)?;
            parts.extensions.insert(JudgedBody(bytes.clone()));
            // A stream is taken up again by GET alone: a server that looks here would repeat what nobody asked for now.
            parts.headers.remove(LAST_EVENT_ID);
            if parts.headers.remove(TRANSFER_ENCODING).is_some() {
                let length = HeaderValue::from(bytes.len());
                parts.headers.insert(CONTENT_LENGTH, length);
            }
            (judgement, Body::from(bytes))
        } else if parts.method == Method::GET || parts.method == Method::DELETE {
            revision::judge_bodiless(&parts.headers)?;
            // What has not been judged is not handed on.
            for header in [CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_TYPE] {
                parts.headers.remove(header);
            }
            let era = Era::Legacy;
            // A stream that is taken up again repeats answers of any kind.
            let lists: &[_] = if parts.method == Method::GET {
                &Listing::ALL
            } else {
                &[]
            };
            let filter = self.filter(&principal, era, lists, None);
            let filter = filter.filter(|filter| filter.care == Care::Hide);
            (Judgement { era, filter }, Body::empty())
        } else {
            return Err(method_not_allowed());
        };
        if judgement.filter.as_ref().is_some_and(ListFilter::reads) {
            for header in [ACCEPT_ENCODING, RANGE, IF_RANGE] {
                parts.headers.remove(header);
            }
        }
        self.open_session(&mut parts, judgement.era, &principal)?;
        parts.extensions.insert(Arc::clone(&principal));
        let admission = Admission {
            principal,
            judgement,
        };
        let request = Request::from_parts(parts, body);
        Ok(Admitted { request, admission })
    }

    /// What a request without principal is answered.
    fn deny(&self, denial: Denial, parts: &Parts) -> Response {
        let refusal = self.challenges.deny(denial);
        match &self.help {
            Some(help) if denial == Denial::NoToken => {
                help.answer(&parts.method, &parts.headers, refusal)
            }
            _ => refusal,
        }
    }

    /// What of the server's answer the client gets to see.
    pub(super) async fn finish(&self, response: Response, admission: Admission) -> Response {
        let Admission {
            principal,
            judgement,
        } = admission;
        let mut response = match judgement.filter {
            None => response,
            // Boxed, so that the usual way needs no room for the rare one.
            Some(filter) => Box::pin(filter.apply(response)).await,
        };
        match judgement.era {
            Era::Legacy => self.session_key.seal(response.headers_mut(), &principal),
            // HTTP-29: 2026-07-28 has no sessions
            Era::Modern => {
                response.headers_mut().remove(SESSION_ID);
            }
        }
        let watch = Watch {
            sessions: Arc::clone(&self.callers.sessions),
            clock: Arc::clone(&self.callers.clock),
            ask_again: self.callers.ask_again,
            look_again: self.look_again,
        };
        stream::guard(response, principal, &watch)
    }

    /// Message, revision, methods, scopes.
    fn judge(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        principal: &Arc<Principal>,
    ) -> Result<Judgement, Refusal> {
        let is_long = body.len() > LISTEN_LIMIT;
        let body = message::parse(body).map_err(|fault| fault_answer(&fault))?;
        let messages = match &body {
            Messages::Single(message) => std::slice::from_ref(message),
            Messages::Batch(batch) => batch,
        };
        let first_id = messages.iter().find_map(Message::id);
        let refuse = |error: RpcError, id| Refusal::from(error.answer(id));
        let era = revision::judge(headers, &body).map_err(|error| refuse(error, first_id))?;
        let reach = self.reach(principal);
        let mut lacking = Vec::new();
        for message in messages {
            let Some(call) = message.call() else { continue };
            if is_long && call.method == LISTEN {
                let error = RpcError::http(StatusCode::PAYLOAD_TOO_LARGE, LISTENS_TO_MUCH);
                return Err(refuse(error, message.id()));
            }
            if reach.is_ambiguous(call) {
                let error = RpcError::new(StatusCode::BAD_REQUEST, -32602, AMBIGUOUS);
                return Err(refuse(error, message.id()));
            }
            let lacks = reach.lacking_scopes(era, call);
            lacking.extend(
                lacks.ok_or_else(|| refuse(revision::method_not_found(era), message.id()))?,
            );
        }
        if lacking.is_empty() {
            let lists = messages.iter().filter_map(Message::call);
            let lists = lists.filter_map(|call| Listing::of(&call.method));
            let lists: Vec<_> = lists.collect();
            let only_id = first_id.filter(|_| messages.len() == 1);
            let filter = self.filter(principal, era, &lists, only_id);
            return Ok(Judgement { era, filter });
        }
        // RS-18: whoever is told of a scope asks for it, and this person, or this client, cannot be given it
        let is_withheld = |scope: &&Scope| principal.standing.withheld.contains(scope);
        if lacking.iter().any(is_withheld) {
            return Err(refuse(
                RpcError::http(StatusCode::FORBIDDEN, NOT_OPEN),
                first_id,
            ));
        }
        // The token's own as well: clients ask for what the challenge names and forget what they had.
        let needed = principal
            .scopes
            .union(&lacking.into_iter().cloned().collect());
        Err(self.challenges.insufficient_scope(&needed, first_id).into())
    }

    fn reach<'a>(&'a self, principal: &'a Principal) -> Reach<'a> {
        Reach {
            policy: &self.policy,
            principal,
        }
    }

    /// What looks after the answer, if one of these lists is not the same for every token.
    fn filter(
        &self,
        principal: &Arc<Principal>,
        era: Era,
        lists: &[Listing],
        id: Option<&RawValue>,
    ) -> Option<ListFilter> {
        let reach = self.reach(principal);
        let care = if lists.iter().any(|list| list.can_hide(&reach)) {
            Care::Hide
        } else if lists.iter().any(|list| list.is_personal(&self.policy)) {
            // Only 2026-07-28 says in the answer itself who may keep it.
            match era {
                Era::Modern => Care::Mark,
                Era::Legacy => Care::Head,
            }
        } else {
            return None;
        };
        Some(ListFilter {
            care,
            policy: Arc::clone(&self.policy),
            principal: Arc::clone(principal),
            id: id.map(ToOwned::to_owned),
            room: self.room.clone(),
        })
    }

    /// The session identifier of the older transport is the caller's own, and goes on as the server made it.
    fn open_session(
        &self,
        parts: &mut Parts,
        era: Era,
        principal: &Principal,
    ) -> Result<(), Refusal> {
        if era == Era::Modern {
            parts.headers.remove(SESSION_ID);
            return Ok(());
        }
        self.session_key
            .open(&mut parts.headers, principal)
            .map_err(|NotYours| {
                Refusal::from(RpcError::new(
                    StatusCode::NOT_FOUND,
                    -32600,
                    "there is no such session: initialize again",
                ))
            })
    }
}

impl From<Response> for Refusal {
    fn from(answer: Response) -> Self {
        Self(Box::new(answer))
    }
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        error.answer(None).into()
    }
}

fn fault_answer(fault: &Fault<'_>) -> Response {
    let (code, message) = match fault.kind {
        FaultKind::Json => (-32700, "the body is not JSON, or nested too deeply"),
        FaultKind::Message => (
            -32600,
            "the body is not one JSON-RPC 2.0 message with each member once",
        ),
        FaultKind::Name => (-32602, "params lacks the name or URI that the method needs"),
    };
    RpcError::new(StatusCode::BAD_REQUEST, code, message).answer(fault.id)
}

fn method_not_allowed() -> Refusal {
    let message = "an MCP path knows POST, GET and DELETE";
    let mut response = RpcError::http(StatusCode::METHOD_NOT_ALLOWED, message).answer(None);
    response.headers_mut().insert(
        ALLOW,
        HeaderValue::from_static("GET, POST, DELETE, OPTIONS"),
    );
    response.into()
}
