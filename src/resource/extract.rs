//! The caller as an argument: of handlers of axum, and of tools and prompts of rmcp.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, StatusCode};
use rmcp::ErrorData;
use rmcp::handler::server::common::{AsRequestContext, FromContextPart};

use crate::protocol::principal::Principal;

/// A request that came through no gate: the program has put what it called before none, or beside it. That is an error of
/// the program and never 401: no token would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no gate stands before this route: nobody knows who calls")]
pub struct NoGate;

impl Principal {
    /// Who calls, from the parts of a request that came through a gate. In a tool of rmcp they are
    /// `Extension(parts): Extension<http::request::Parts>`, where the tool does not take a `Principal` itself.
    ///
    /// # Errors
    /// There was no gate.
    pub fn of(parts: &Parts) -> Result<&Self, NoGate> {
        Self::in_extensions(&parts.extensions)
    }

    /// The same, from the extensions of a request.
    ///
    /// # Errors
    /// There was no gate.
    pub fn in_extensions(extensions: &Extensions) -> Result<&Self, NoGate> {
        let principal = extensions.get::<Arc<Self>>();
        principal.map(AsRef::as_ref).ok_or(NoGate)
    }
}

/// `async fn handler(caller: Principal)`
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = NoGate;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoGate> {
        Self::of(parts).cloned()
    }
}

/// `async fn handler(caller: Option<Principal>)`, for what stands behind a gate in one place and open in another.
impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = NoGate;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, NoGate> {
        Ok(Self::of(parts).ok().cloned())
    }
}

/// `#[tool] async fn tool(&self, caller: Principal)`
impl<C: AsRequestContext> FromContextPart<C> for Principal {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let parts = context.as_request_context().extensions.get::<Parts>();
        let principal = parts.ok_or(NoGate).and_then(Self::of);
        principal.cloned().map_err(|none| {
            tracing::error!(error = %none, "a tool is answered with an error");
            ErrorData::internal_error(none.to_string(), None)
        })
    }
}

impl IntoResponse for NoGate {
    fn into_response(self) -> Response {
        tracing::error!(error = %self, "a request is answered 500");
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
