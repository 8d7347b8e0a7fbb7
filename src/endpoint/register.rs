//! `POST /register` (RFC 7591 §3).

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::Endpoints;
use super::error::{for_bearer, for_client, no_store, too_many_of_all};
use super::request::{Bearer, Counted, JsonBody, Registrations, Unreadable};
use crate::event::Event;
use crate::flow::register::{MayRegister, Rush};

/// Registers a client.
pub async fn post(
    State(endpoints): State<Arc<Endpoints>>,
    Admitted(may): Admitted,
    body: Result<JsonBody, Unreadable>,
) -> Response {
    let body = match body {
        Ok(body) => body.0,
        Err(unreadable) => return refuse(unreadable),
    };
    let rush = if endpoints.limits.is_crowded() {
        Rush::Crowded
    } else {
        Rush::Calm
    };
    match endpoints.flows.register(may, &body, rush).await {
        Ok(registration) => {
            let mut response = (StatusCode::CREATED, Json(registration.answer)).into_response();
            no_store(&mut response);
            response
        }
        Err(failure) => for_client(&failure, false),
    }
}

/// A body that cannot be read is a registration that is refused, as one that breaks a rule.
pub(super) fn refuse(unreadable: Unreadable) -> Response {
    Event::RegistrationRefused {
        error: &unreadable.error,
    }
    .tell();
    unreadable.into_response()
}

/// A request whose body is worth reading. The address has not come too often; it may register; and there is room for one
/// more. Last, since what all share must not be used up by those who get nothing anyway.
pub struct Admitted(MayRegister);

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
        endpoints.limits.check_all().map_err(|limited| {
            Event::RateLimited {
                endpoint: "register_all",
                address: visit.address(),
            }
            .tell();
            too_many_of_all(limited.retry_after.as_secs())
        })?;
        Ok(Self(may))
    }
}
