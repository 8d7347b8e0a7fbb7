//! One request on its way to a child, and all that comes back for it.

#![expect(
    deprecated,
    reason = "logging is deprecated by 2026-07-28; older clients and children use it"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http::request::Parts;
use rmcp::model::{
    ClientCapabilities, ClientRequest, CustomRequest, ErrorData, Extensions, LoggingLevel,
    ProgressToken, RequestId, RequestMetaObject, ServerNotification, ServerResult,
    TASKS_EXTENSION_ID,
};
use rmcp::service::{
    Peer, PeerRequestOptions, RequestContext, RequestHandle, RoleClient, RoleServer, ServiceError,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::front::Lent;
use super::hub::Calling;
use super::wire::is_refusal;
use super::{Lease, NoChild};
use crate::protocol::ids::ClientId;
use crate::protocol::principal::Principal;
use crate::resource::gate::JudgedBody;

/// A request of somebody, and the child that answers it.
pub(super) struct Asked {
    /// The child, in use until this is dropped.
    pub(super) lease: Arc<Lease>,
    /// Who asks.
    pub(super) principal: Arc<Principal>,
    body: Bytes,
}

/// Who waits for the answer to a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Which client it is.
    pub(super) client: ClientId,
    /// Where the client can be reached.
    pub(super) peer: Peer<RoleServer>,
    /// The request, in the client's numbers.
    pub(super) request: RequestId,
    /// What the client calls its progress, if it wants to hear of it.
    pub(super) token: Option<ProgressToken>,
    /// Whether it speaks 2026-07-28 or later.
    pub(super) is_modern: bool,
    /// What the client wants logged of this request (2026-07-28).
    pub(super) level: Option<LoggingLevel>,
    /// What the client can be asked for.
    pub(super) capabilities: ClientCapabilities,
}

/// What is sent on, with every member as it came.
#[derive(Deserialize)]
struct Sent {
    method: String,
    params: Option<Value>,
}

/// How long a child may take to read that a request was given up.
const READS: Duration = Duration::from_secs(5);

/// How long a child may take for what is no call.
const BESIDES: Duration = Duration::from_secs(30);

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

impl Asked {
    /// What the front has put into the extensions of the HTTP request.
    pub(super) fn of(extensions: &Extensions) -> Result<Self, ErrorData> {
        let of = |parts: &Parts| {
            Some(Self {
                lease: Arc::clone(&parts.extensions.get::<Lent>()?.0),
                principal: Arc::clone(parts.extensions.get::<Arc<Principal>>()?),
                body: parts.extensions.get::<JudgedBody>()?.0.clone(),
            })
        };
        let asked = extensions.get::<Parts>().and_then(of);
        asked.ok_or_else(|| {
            ErrorData::internal_error("this server answers behind its gate alone", None)
        })
    }

    pub(super) fn child(&self) -> &Peer<RoleClient> {
        &self.lease.peer
    }

    /// Whether the child speaks 2026-07-28 or later.
    pub(super) fn is_child_modern(&self) -> bool {
        let told = self.child().peer_info();
        told.is_some_and(|told| !told.protocol_version.has_initialize())
    }

    /// Whether the child logs, and wants to be told how much.
    pub(super) fn takes_level(&self) -> bool {
        let told = self.child().peer_info();
        !self.is_child_modern() && told.is_some_and(|told| told.capabilities.logging.is_some())
    }

    /// Sends the request to the child as it is, and waits for its answer.
    pub(super) async fn send(
        &self,
        context: &RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        self.call(context, self.meta(context), None).await
    }

    /// Sends the request to the child with other `_meta`, and waits for its answer, for the client's end, or for the child's.
    pub(super) async fn call(
        &self,
        context: &RequestContext<RoleServer>,
        meta: RequestMetaObject,
        level: Option<LoggingLevel>,
    ) -> Result<ServerResult, ErrorData> {
        let mut sent: Sent = serde_json::from_slice(&self.body)
            .map_err(|_| ErrorData::invalid_request("the request cannot be read", None))?;
        if let Some(Value::Object(params)) = &mut sent.params {
            params.remove("_meta");
        }
        let request = ClientRequest::CustomRequest(CustomRequest::new(sent.method, sent.params));
        let options = PeerRequestOptions::no_options().with_meta(meta);
        let child = &self.lease;
        let handle = tokio::select! {
            () = context.ct.cancelled() => {
                child.hub.lose_count();
                return Err(given_up());
            }
            () = child.hub.ended() => return Err(ended()),
            handle = child.peer.send_request_with_option(request, options) => handle.map_err(told)?,
        };
        let (number, token) = (handle.id.clone(), handle.progress_token.clone());
        let caller = self.caller(context, level);
        let (calling, heard) = child.hub.call(number, token, caller);
        wait(context, handle, &calling, heard).await
    }

    /// Waits for something that the child does besides the request, for the client's end, or for the child's.
    pub(super) async fn besides<T>(
        &self,
        hung_up: impl Future<Output = ()>,
        done: impl Future<Output = T>,
    ) -> Result<T, ErrorData> {
        tokio::select! {
            () = hung_up => Err(given_up()),
            () = self.lease.hub.ended() => Err(ended()),
            done = timeout(BESIDES, done) => done.map_err(|_| {
                let what = "the MCP server did not answer in time; try again";
                ErrorData::internal_error(what, None)
            }),
        }
    }

    fn caller(&self, context: &RequestContext<RoleServer>, level: Option<LoggingLevel>) -> Caller {
        Caller {
            client: self.principal.client_id.clone(),
            peer: context.peer.clone(),
            request: context.id.clone(),
            token: context.meta.get_progress_token(),
            is_modern: is_modern(context),
            level,
            capabilities: context.client_capabilities().unwrap_or_default(),
        }
    }

    /// The `_meta` of the request as this child understands it: in the older revisions the handshake says who the client
    /// is, and a child of 2026-07-28 is not to ask of a client what it could not answer.
    pub(super) fn meta(&self, context: &RequestContext<RoleServer>) -> RequestMetaObject {
        let mut meta = context.meta.clone();
        meta.remove(PROTOCOL_VERSION);
        if !self.is_child_modern() {
            meta.remove(CLIENT_INFO);
            meta.remove(CLIENT_CAPABILITIES);
            meta.remove(LOG_LEVEL);
            return meta;
        }
        let mut capabilities = if is_modern(context) {
            meta.client_capabilities().unwrap_or_default()
        } else {
            ClientCapabilities::default()
        };
        if let Some(extensions) = &mut capabilities.extensions {
            extensions.remove(TASKS_EXTENSION_ID);
        }
        meta.set_client_capabilities(capabilities);
        meta
    }
}

/// Whether the client of a request speaks 2026-07-28 or later.
pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| !version.has_initialize())
}

/// What went wrong at the child, in words for the client.
pub(super) fn told(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        ServiceError::UnexpectedResponse => {
            ErrorData::internal_error("the MCP server answered something else", None)
        }
        error if is_refusal(&error) => {
            ErrorData::internal_error(NoChild::TooMany.to_string(), None)
        }
        _ => ended(),
    }
}

fn ended() -> ErrorData {
    let what = "the MCP server ended before it answered; try again";
    ErrorData::internal_error(what, None)
}

fn given_up() -> ErrorData {
    ErrorData::internal_error("the request was cancelled", None)
}

/// Passes on what is said of a request, until there is an answer.
async fn wait(
    context: &RequestContext<RoleServer>,
    mut handle: RequestHandle<RoleClient>,
    calling: &Calling,
    mut heard: mpsc::Receiver<ServerNotification>,
) -> Result<ServerResult, ErrorData> {
    let answer = loop {
        let said = tokio::select! {
            biased;
            () = context.ct.cancelled() => break None,
            answer = &mut handle.rx => break Some(answer),
            () = calling.ended() => return Err(ended()),
            Some(said) = heard.recv() => said,
        };
        tokio::select! {
            () = context.ct.cancelled() => break None,
            _ = context.peer.send_notification(said) => {}
        }
    };
    let Some(answer) = answer else {
        let reason = Some("the client gave the request up".to_owned());
        let _ = timeout(READS, handle.cancel(reason)).await;
        return Err(given_up());
    };
    calling.answered();
    // what was said before the answer is told before it
    while let Ok(said) = heard.try_recv() {
        tokio::select! {
            () = context.ct.cancelled() => return Err(given_up()),
            _ = context.peer.send_notification(said) => {}
        }
    }
    answer.map_err(|_| ended())?.map_err(told)
}
