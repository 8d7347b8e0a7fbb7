//! `POST /register` (RFC 7591 §3).

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::Endpoints;
use super::error::{answered, for_bearer, for_client, too_many_of_all};
use super::rate_limit::Shared;
use super::request::{Bearer, Counted, JsonBody, Registrations, Unreadable};
use crate::event::Event;
use crate::flow::register::{Checked, MayRegister, Rush};

/// Registers a client.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    Admitted { visit, may }: Admitted,
    body: Result<JsonBody, Unreadable>,
) -> Response {
    let body = match body {
        Ok(body) => body.0,
        Err(unreadable) => return refuse(unreadable),
    };
    let checked = match endpoints.flows.check_registration(&may, &body) {
        Ok(checked) => checked,
        Err(failure) => return for_client(&failure, false),
    };
    let rush = match rush(&endpoints, &visit, &checked) {
        Ok(rush) => rush,
        Err(seconds) => return too_many_of_all(seconds),
    };
    let registered = endpoints.flows.register(checked, rush).await;
    let answer = registered.map(|registered| (StatusCode::CREATED, Json(registered.answer)));
    answered(answer, false)
}

/// Whether there is room for one more, and how much. What all share is counted last, so that what is refused anyway uses up
/// none of it; and whoever has the operator's token has no part in it. The error is the seconds to wait.
fn rush(
    endpoints: &Endpoints,
    visit: &Counted<Registrations>,
    checked: &Checked,
) -> Result<Rush, u64> {
    if checked.is_invited() {
        return Ok(Rush::Calm);
    }
    visit.count_all(endpoints, Shared::Registrations)?;
    Ok(if endpoints.limits.is_crowded() {
        Rush::Crowded
    } else {
        Rush::Calm
    })
}

/// A body that cannot be read is a registration that is refused, as one that breaks a rule.
pub(super) fn refuse(unreadable: Unreadable) -> Response {
    Event::RegistrationRefused {
        error: &unreadable.error,
    }
    .tell();
    unreadable.into_response()
}

/// A request whose body is worth reading: the address has not come too often, and it may register.
pub struct Admitted {
    visit: Counted<Registrations>,
    may: MayRegister,
}

impl FromRequestParts<Arc<Endpoints>> for Admitted {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        endpoints: &Arc<Endpoints>,
    ) -> Result<Self, Response> {
        let visit = Counted::<Registrations>::from_request_parts(parts, endpoints).await?;
        let Ok(bearer) = Bearer::from_request_parts(parts, endpoints).await;
        let may = endpoints
            .flows
            .admit_registration(bearer.token.as_ref())
            .map_err(|failure| for_bearer(&failure, bearer.is_presented))?;
        Ok(Self { visit, may })
    }
}
