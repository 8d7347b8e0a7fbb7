//! A body as the gate judges it: JSON-RPC messages, each with its method and what that method is about.

use std::borrow::Cow;

use serde_json::error::Category;
use serde_json::value::RawValue;

use super::json::{Field, Members, Messages, Params};

/// What a client posts.
#[derive(Debug)]
pub enum Body<'a> {
    /// One message.
    Single(Message<'a>),
    /// An array of messages (revision 2025-03-26 alone); never empty.
    Batch(Vec<Message<'a>>),
}

/// A JSON-RPC 2.0 message.
#[derive(Debug)]
pub enum Message<'a> {
    /// It has an id and wants an answer.
    Request(&'a RawValue, Call<'a>),
    /// It wants none; its method begins with `notifications/`.
    Notification(Call<'a>),
    /// It answers a request of the server.
    Response,
}

impl<'a> Message<'a> {
    /// The id of a request.
    #[must_use]
    pub fn id(&self) -> Option<&'a RawValue> {
        match self {
            Self::Request(id, _) => Some(id),
            Self::Notification(_) | Self::Response => None,
        }
    }

    /// What is called; a response calls nothing.
    #[must_use]
    pub fn call(&self) -> Option<&Call<'a>> {
        match self {
            Self::Request(_, call) | Self::Notification(call) => Some(call),
            Self::Response => None,
        }
    }
}

/// A method and what it is about.
#[derive(Debug)]
pub struct Call<'a> {
    /// The method, unescaped.
    pub method: Cow<'a, str>,
    /// The tool, prompt, resource or task, where the method is about one.
    pub name: Option<Cow<'a, str>>,
    /// The resources that `subscriptions/listen` wants to hear of.
    pub subscribed: Vec<Cow<'a, str>>,
    /// `_meta["io.modelcontextprotocol/protocolVersion"]`.
    pub version: Option<Cow<'a, str>>,
    /// Whether `_meta["io.modelcontextprotocol/clientCapabilities"]` is there.
    pub has_capabilities: bool,
}

/// Why a body is no message.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// What is wrong.
    pub kind: FaultKind,
    /// The id of the request, where one could be read.
    pub id: Option<&'a RawValue>,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// It is not JSON, or nested too deeply.
    Json,
    /// It is not a JSON-RPC message, or one that parsers may read in two ways.
    Message,
    /// The method needs a name that is not there.
    Name,
}

/// Reads a body.
///
/// # Errors
/// What is wrong with it: a body that two parsers could read differently never passes (RS-15).
pub fn parse(body: &[u8]) -> Result<Body<'_>, Fault<'_>> {
    let fault = |kind| Fault { kind, id: None };
    let text = std::str::from_utf8(body).map_err(|_| fault(FaultKind::Json))?;
    let messages = serde_json::from_str(text).map_err(|error| {
        fault(match error.classify() {
            Category::Data => FaultKind::Message,
            Category::Io | Category::Syntax | Category::Eof => FaultKind::Json,
        })
    })?;
    match messages {
        Messages::One(members) => judge(*members).map(Body::Single),
        Messages::Batch(batch) if batch.is_empty() => Err(fault(FaultKind::Message)),
        Messages::Batch(batch) => batch
            .into_iter()
            .map(judge)
            .collect::<Result<_, _>>()
            .map(Body::Batch),
    }
}

/// Members -> message, or what is wrong with them (JSON-RPC 2.0 §4, §5).
fn judge(members: Members<'_>) -> Result<Message<'_>, Fault<'_>> {
    let id = members.id.filter(|id| is_id(id));
    let fault = |kind| Fault { kind, id };
    let is_version_2 = matches!(&members.jsonrpc, Field::Text(version) if version == "2.0");
    if !is_version_2 || members.id.is_some() != id.is_some() {
        return Err(fault(FaultKind::Message));
    }
    match (members.method, id, members.is_answer) {
        (Field::Text(method), Some(id), false) => Ok(Message::Request(
            id,
            call(method, members.params).ok_or(fault(FaultKind::Name))?,
        )),
        // A call without an id would run where a server is lenient, and be told to nobody.
        (Field::Text(method), None, false) if method.starts_with("notifications/") => {
            let call = call(method, members.params).ok_or(fault(FaultKind::Name))?;
            Ok(Message::Notification(call))
        }
        (Field::Absent, Some(_), true) => Ok(Message::Response),
        _ => Err(fault(FaultKind::Message)),
    }
}

/// An id is a string or a number (MCP), short enough to be repeated in an answer.
fn is_id(id: &RawValue) -> bool {
    let text = id.get();
    text.len() <= 256 && text.starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9'))
}

/// The call, unless it lacks the name that its method needs.
fn call<'a>(method: Cow<'a, str>, params: Params<'a>) -> Option<Call<'a>> {
    let (name, needed) = match &*method {
        "tools/call" | "prompts/get" => (params.name, true),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => (params.uri, true),
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => (params.task, false),
        // A prompt has a name and a template a URI: with both, servers may differ on what it is about.
        "completion/complete" => match (params.reference.name, params.reference.uri) {
            (name, Field::Absent) => (name, true),
            (Field::Absent, uri) => (uri, true),
            _ => return None,
        },
        _ => match params.name {
            Field::Absent => (params.uri, false),
            name => (name, false),
        },
    };
    let name = text(name);
    (name.is_some() || !needed).then(|| Call {
        method,
        name,
        subscribed: params.subscribed,
        version: text(params.meta.version),
        has_capabilities: matches!(params.meta.capabilities, Field::Object),
    })
}

fn text(field: Field<'_>) -> Option<Cow<'_, str>> {
    match field {
        Field::Text(text) => Some(text),
        Field::Absent | Field::Object | Field::Other => None,
    }
}
