//! What a client gets to see of a server: its answer without what stays inside, or a failure in the form of JSON-RPC.

use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode, Version};
use hyper_util::client::legacy;
use tokio::time::Instant;
use url::Url;

use super::connect::is_certificate_fault;
use super::headers;
use super::news::{Due, Kind, News};
use crate::backend::introduce::NoIntroduction;
use crate::event::Causes;
use crate::resource::answer::RpcError;
use crate::resource::message::{self, Body as Messages};

/// Why there is no answer of the server.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing stands before the proxy that says who calls.
    NoGate,
    /// The server cannot be told who calls.
    NoIntroduction(NoIntroduction),
    /// The query of the client cannot stand in a URL.
    Query,
    /// There is no connection.
    Unreachable(legacy::Error),
    /// The connection broke before there was an answer: the request may have been read.
    Broke(legacy::Error),
    /// It did not begin to answer.
    Silent,
    /// It sends the request on to where nobody configured.
    Redirect(Option<Url>),
    /// It sends the request on, again and again.
    Loop,
    /// This process is about to stop.
    Stopping,
}

impl Trouble {
    /// Whether anything can have reached the server makes the difference.
    pub(super) fn not_sent(error: legacy::Error) -> Self {
        if error.is_connect() {
            Self::Unreachable(error)
        } else {
            Self::Broke(error)
        }
    }

    /// The answer to a request with this body, and the news for the operator.
    pub(super) fn answer(self, news: &News, judged: &[u8]) -> Response {
        let (status, message) = self.told();
        self.tell(news);
        let mut response = failure(status, message, judged);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(RETRY_AFTER, soon);
        }
        response
    }

    fn told(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoGate => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "no gate stands before this proxy",
            ),
            Self::NoIntroduction(nobody) => {
                let error = nobody.error();
                (error.status, error.message)
            }
            Self::Query => (StatusCode::BAD_REQUEST, "the query cannot be passed on"),
            Self::Unreachable(_) => (
                StatusCode::BAD_GATEWAY,
                "the MCP server cannot be reached: try again later",
            ),
            Self::Broke(_) => (
                StatusCode::BAD_GATEWAY,
                "the connection to the MCP server broke before it answered: the call may have been carried out",
            ),
            Self::Silent => (
                StatusCode::GATEWAY_TIMEOUT,
                "the MCP server does not answer: the call may have been carried out",
            ),
            Self::Redirect(_) | Self::Loop => (
                StatusCode::BAD_GATEWAY,
                "the MCP server redirects: its operator has to see to it",
            ),
            Self::Stopping => (
                StatusCode::SERVICE_UNAVAILABLE,
                "this server is about to restart: try again",
            ),
        }
    }

    /// What of it the operator is told; nothing where it is the client's, or was told where it came about.
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::NoIntroduction(_) | Self::Query | Self::Stopping => None,
            Self::NoGate => Some(Kind::NoGate),
            Self::Unreachable(error) if is_certificate_fault(error) => Some(Kind::Certificate),
            Self::Unreachable(_) => Some(Kind::Unreachable),
            Self::Broke(_) => Some(Kind::Broke),
            Self::Silent => Some(Kind::Silent),
            Self::Redirect(_) => Some(Kind::Redirect),
            Self::Loop => Some(Kind::Loop),
        }
    }

    fn tell(&self, news: &News) {
        let Some(kind) = self.kind() else { return };
        let Some(Due { left_out }) = news.trouble(kind, Instant::now()) else {
            return;
        };
        let server = &*news.server;
        match self {
            Self::NoIntroduction(_) | Self::Query | Self::Stopping => {}
            Self::NoGate => tracing::error!(server, left_out, "no gate stands before the proxy"),
            Self::Unreachable(error) if is_certificate_fault(error) => tracing::warn!(
                server,
                left_out,
                error = %Causes(error),
                "the certificate of the MCP server is not accepted: name the PEM file of its authority in outbound.ca, \
                 or write the host that it is for into backend"
            ),
            Self::Unreachable(error) => {
                tracing::warn!(server, left_out, error = %Causes(error), "the MCP server cannot be reached");
            }
            Self::Broke(error) => tracing::warn!(
                server,
                left_out,
                error = %Causes(error),
                "the connection to the MCP server broke before it answered"
            ),
            Self::Silent => tracing::warn!(server, left_out, "the MCP server does not answer"),
            Self::Redirect(Some(to)) => tracing::warn!(
                server,
                left_out,
                %to,
                "the MCP server redirects, and is not followed there: if that is where it is, write it as the backend"
            ),
            Self::Redirect(None) => tracing::warn!(
                server,
                left_out,
                "the MCP server redirects, and does not say where: write the URL at which it answers as the backend"
            ),
            Self::Loop => tracing::warn!(
                server,
                left_out,
                "the MCP server redirects again and again: write the URL at which it answers as the backend"
            ),
        }
    }
}

/// What of the server's answer may be seen outside.
pub(super) fn hand_back(mut response: Response, news: &News, judged: &[u8]) -> Response {
    let status = response.status();
    let server = &*news.server;
    // Ours is the only challenge: after a server's own 401 a client would throw a good token away.
    if matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    ) {
        if let Some(Due { left_out }) = news.trouble(Kind::Credentials, Instant::now()) {
            tracing::warn!(
                server,
                left_out,
                %status,
                "the MCP server wants credentials of its own: let it trust this proxy, which tells it who calls"
            );
        }
        let message = "the MCP server wants credentials of its own: its operator has to see to it";
        return failure(StatusCode::BAD_GATEWAY, message, judged);
    }
    // Nothing was asked of it that another protocol could answer.
    if status.is_informational() {
        if let Some(Due { left_out }) = news.trouble(Kind::Protocol, Instant::now()) {
            tracing::warn!(server, left_out, %status, "the MCP server answers in another protocol");
        }
        let message = "the MCP server answers in another protocol";
        return failure(StatusCode::BAD_GATEWAY, message, judged);
    }
    news.well();
    headers::clean_answer(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    // what the connection left there is for nobody
    response.extensions_mut().clear();
    response
}

/// An error under the id of the one request that the body is; under `null` where it is none, or several.
fn failure(status: StatusCode, message: &'static str, judged: &[u8]) -> Response {
    let read = message::parse(judged);
    let id = match &read {
        Ok(Messages::Single(message)) => message.id(),
        Ok(Messages::Batch(_)) | Err(_) => None,
    };
    RpcError::http(status, message).answer(id)
}

/// Whether a request that may have reached the server can be sent again: it changes nothing there (RFC 9110 §9.2.2).
pub(super) fn can_be_repeated(method: &http::Method, judged: &[u8]) -> bool {
    if method.is_idempotent() {
        return true;
    }
    let Ok(Messages::Single(message)) = message::parse(judged) else {
        return false;
    };
    message.call().is_some_and(|call| {
        let only_asks = [
            "ping",
            "server/discover",
            "resources/read",
            "prompts/get",
            "completion/complete",
        ];
        call.method.ends_with("/list") || only_asks.contains(&&*call.method)
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn what_only_asks_can_be_repeated_and_a_call_of_a_tool_cannot() {
        for (method, body, expected) in [
            (Method::GET, "", true),
            (Method::DELETE, "", true),
            (
                Method::POST,
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
                true,
            ),
            (
                Method::POST,
                r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
                true,
            ),
            (
                Method::POST,
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
                false,
            ),
            (
                Method::POST,
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a/list"}}"#,
                false,
            ),
            (
                Method::POST,
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
                false,
            ),
            (
                Method::POST,
                r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
                false,
            ),
            (
                Method::POST,
                r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
                false,
            ),
            (Method::POST, "", false),
        ] {
            assert_eq!(
                can_be_repeated(&method, body.as_bytes()),
                expected,
                "{method} {body}"
            );
        }
    }
}
