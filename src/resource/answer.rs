//! What the gate answers itself: small JSON-RPC errors, never cached.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// An error of JSON-RPC with the HTTP status that it travels under.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code of JSON-RPC 2.0 §5.1 or of MCP.
    pub code: i32,
    /// What is wrong and what to do.
    pub message: &'static str,
    /// What the code is defined to carry.
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(status: StatusCode, code: i32, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
            data: None,
        }
    }

    /// An error of HTTP: its code is the status, which lies outside all that JSON-RPC and MCP reserve (RS-16, HTTP-32).
    #[must_use]
    pub fn http(status: StatusCode, message: &'static str) -> Self {
        Self::new(status, i32::from(status.as_u16()), message)
    }

    /// The answer to the request with this id; `null` where there is none (JSON-RPC 2.0 §5).
    #[must_use]
    pub fn answer(&self, id: Option<&RawValue>) -> Response {
        let mut response = Response::new(Body::from(self.text(id)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// The same as the text of a message.
    #[must_use]
    pub fn text(&self, id: Option<&RawValue>) -> String {
        let body = Envelope {
            jsonrpc: "2.0",
            id,
            error: Error {
                code: self.code,
                message: self.message,
                data: self.data.as_ref(),
            },
        };
        // Nothing in it can fail to serialize; an empty body would still carry the status.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: i32,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}
