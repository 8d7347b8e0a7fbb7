//! Which revision of MCP a message is written in, and whether its headers say the same as its body.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::json;

use super::answer::RpcError;
use super::message::{Body, Call, Message};

/// The two eras of the HTTP transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28: every request stands for itself.
    Modern,
    /// 2025-03-26 to 2025-11-25: handshake and sessions.
    Legacy,
}

/// The revisions served, newest first.
pub const SUPPORTED: [&str; 4] = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];

/// The revision without a handshake.
pub(super) const MODERN: &str = SUPPORTED[0];

/// The one revision with batches, and the one that a client without the header speaks (HTTP-02).
const FIRST: &str = SUPPORTED[3];

/// Before the header existed; SDKs send it on where a server negotiated down to it, so the server may judge.
const BEFORE_FIRST: &str = "2024-11-05";

/// `MCP-Protocol-Version`
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Method`
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Methods of older revisions that 2026-07-28 took away (HTTP-26).
const REMOVED: [&str; 5] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
];

/// Judges the headers of a POST against its body.
///
/// # Errors
/// What the client is told.
pub fn judge(headers: &HeaderMap, body: &Body<'_>) -> Result<Era, RpcError> {
    let header = single(headers, &PROTOCOL_VERSION)?;
    match body {
        Body::Single(message) => {
            let era = judge_version(header, message)?;
            judge_mirrors(headers, message, era)?;
            Ok(era)
        }
        Body::Batch(batch) => {
            let is_modern =
                |message: &Message<'_>| message.call().is_some_and(|call| call.version.is_some());
            // HTTP-42: revisions from 2025-06-18 on have no batches. A mirrored header could only speak of one entry.
            if header.is_some_and(|version| version != FIRST) || batch.iter().any(is_modern) {
                return Err(invalid(
                    "this revision of MCP has no batches: send one message",
                ));
            }
            if headers.contains_key(METHOD) || headers.contains_key(NAME) {
                return Err(mismatch("Mcp-Method and Mcp-Name cannot speak for a batch"));
            }
            Ok(Era::Legacy)
        }
    }
}

/// The version of a request without a body: the event stream and the end of a session.
///
/// # Errors
/// An unsupported version (HTTP-03).
pub fn judge_bodiless(headers: &HeaderMap) -> Result<(), RpcError> {
    match single(headers, &PROTOCOL_VERSION)? {
        Some(version) if !is_supported(version) => Err(unsupported(version)),
        _ => Ok(()),
    }
}

/// The table of the eras: what header and `_meta` say of the version (HTTP-01 to HTTP-03, HTTP-20, HTTP-23, HTTP-24).
fn judge_version(header: Option<&str>, message: &Message<'_>) -> Result<Era, RpcError> {
    let meta = message.call().and_then(|call| call.version.as_deref());
    let is_handshake = message
        .call()
        .is_some_and(|call| call.method == "initialize");
    match (header, meta) {
        (_, None) if is_handshake => Ok(Era::Legacy),
        (None, None) => Ok(Era::Legacy),
        (None, Some(_)) => Err(mismatch("MCP-Protocol-Version header is missing")),
        (Some(header), Some(meta)) if header != meta => Err(mismatch(
            "MCP-Protocol-Version header does not match the body",
        )),
        (Some(version), _) if !is_supported(version) => Err(unsupported(version)),
        (Some(version), _) if version != MODERN => Ok(Era::Legacy),
        (Some(_), _) => judge_modern(message),
    }
}

/// What a message of 2026-07-28 must be.
fn judge_modern(message: &Message<'_>) -> Result<Era, RpcError> {
    match message {
        Message::Response => Err(invalid("2026-07-28 has no responses from clients")),
        Message::Request(_, call) if call.version.is_none() => Err(RpcError::new(
            StatusCode::BAD_REQUEST,
            -32602,
            "params._meta lacks io.modelcontextprotocol/protocolVersion",
        )),
        Message::Request(_, call) if !call.has_capabilities => Err(RpcError::new(
            StatusCode::BAD_REQUEST,
            -32602,
            "params._meta lacks io.modelcontextprotocol/clientCapabilities",
        )),
        Message::Notification(_) | Message::Request(..) => Ok(Era::Modern),
    }
}

/// Compares `Mcp-Method` and `Mcp-Name` with the body. In the modern era requests must have them; in the older one
/// they mean nothing, but a server behind might go by them, so that they may not lie.
fn judge_mirrors(headers: &HeaderMap, message: &Message<'_>, era: Era) -> Result<(), RpcError> {
    let (method, name) = (single(headers, &METHOD)?, single(headers, &NAME)?);
    let Some(call) = message.call() else {
        return Ok(());
    };
    let needs_mirrors = era == Era::Modern && matches!(message, Message::Request(..));
    match method {
        Some(method) if method != call.method => {
            return Err(mismatch("Mcp-Method header does not match the body"));
        }
        None if needs_mirrors => return Err(mismatch("Mcp-Method header is missing")),
        _ => {}
    }
    match name.map(unwrap_sentinel) {
        Some(None) => Err(mismatch("Mcp-Name header is not valid base64")),
        // Of a method that is about nothing by name it could only lie.
        Some(name) if name != call.name => Err(mismatch("Mcp-Name header does not match the body")),
        None if needs_mirrors && has_mirrored_name(call) => {
            Err(mismatch("Mcp-Name header is missing"))
        }
        _ => Ok(()),
    }
}

/// Methods of which `Mcp-Name` must repeat the name; that of a task may be repeated.
fn has_mirrored_name(call: &Call<'_>) -> bool {
    matches!(
        &*call.method,
        "tools/call" | "prompts/get" | "resources/read"
    )
}

/// Whether the era has the method at all.
#[must_use]
pub fn is_removed(era: Era, method: &str) -> bool {
    era == Era::Modern && REMOVED.contains(&method)
}

/// What a client is told of a method that nobody serves. An older client expects the error in a 200 and goes on; a
/// modern one must get a 404 (HTTP-26).
#[must_use]
pub fn method_not_found(era: Era) -> RpcError {
    let status = match era {
        Era::Modern => StatusCode::NOT_FOUND,
        Era::Legacy => StatusCode::OK,
    };
    RpcError::new(status, -32601, "Method not found")
}

/// HTTP-21: `=?base64?…?=` in exactly this spelling, UTF-8 inside; anything else stands for itself.
fn unwrap_sentinel(value: &str) -> Option<Cow<'_, str>> {
    let wrapped = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(wrapped) = wrapped else {
        return Some(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(wrapped).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The one value of a header. Twice, or beyond ASCII, two readers could see different values.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, RpcError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| mismatch("an MCP header contains invalid characters")),
        (Some(_), Some(_)) => Err(mismatch("an MCP header stands twice")),
    }
}

fn is_supported(version: &str) -> bool {
    SUPPORTED.contains(&version) || version == BEFORE_FIRST
}

fn mismatch(message: &'static str) -> RpcError {
    RpcError::new(StatusCode::BAD_REQUEST, -32020, message)
}

fn invalid(message: &'static str) -> RpcError {
    RpcError::new(StatusCode::BAD_REQUEST, -32600, message)
}

/// HTTP-23: every revision is named, so that a client of either era finds one.
fn unsupported(requested: &str) -> RpcError {
    let requested: String = requested.chars().take(64).collect();
    RpcError {
        data: Some(json!({ "supported": SUPPORTED, "requested": requested })),
        ..RpcError::new(
            StatusCode::BAD_REQUEST,
            -32022,
            "Unsupported protocol version",
        )
    }
}
