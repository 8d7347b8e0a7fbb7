//! Refusals and incidents as HTTP: one table of status codes, and who reads what.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::Endpoints;
use super::page::failed::{Again, FailedPage, Trouble, Way};
use super::page::{ActionLine, ErrorPage};
use crate::event::Causes;
use crate::flow::departure::{FaultKind, ProviderFault};
use crate::flow::{DocumentError, Failure};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::Id;

/// RFC 6749 §5.2
#[derive(Serialize)]
struct ErrorBody {
    error: &'static str,
    error_description: &'static str,
}

/// The one table of status codes.
fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidClient | ErrorCode::InvalidToken => StatusCode::UNAUTHORIZED,
        ErrorCode::AccessDenied => StatusCode::FORBIDDEN,
        ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// An error for a client, never to be kept by anybody on the way.
pub fn json_error(status: StatusCode, error: &OAuthError) -> Response {
    let body = ErrorBody {
        error: error.code.as_str(),
        error_description: error.description,
    };
    let mut response = (status, Json(body)).into_response();
    no_store(&mut response);
    response
}

/// Marks an answer as one that nobody may keep (RFC 6749 §5.1).
pub fn no_store(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
}

/// What a client is answered, which nobody may keep; `with_header` as for [`for_client`].
pub fn answered(result: Result<impl IntoResponse, Failure>, with_header: bool) -> Response {
    match result {
        Ok(answer) => {
            let mut response = answer.into_response();
            no_store(&mut response);
            response
        }
        Err(failure) => for_client(&failure, with_header),
    }
}

/// A failure for a client. `with_header`: whether it tried the `Authorization` header, and is to be told how it works
/// (RFC 6749 §5.2). An incident of ours is 503, so that no client throws its tokens away (SEC-15).
pub fn for_client(failure: &Failure, with_header: bool) -> Response {
    match failure {
        Failure::Refused(error) => refused(error, with_header),
        Failure::Document { cause, .. } => match cause {
            // a rule is the client's to keep: it is told which
            DocumentError::Refused(error) => {
                let error = ErrorCode::InvalidClient.with(error.description);
                refused(&error, with_header)
            }
            // never invalid_client: the client would throw its tokens away (CLI-18)
            DocumentError::Fetch(_) | DocumentError::Keys(_) => unavailable(
                "what the client publishes about itself cannot be fetched now; try again later",
                RETRY_FETCH,
            ),
            DocumentError::TooMany { retry_after } => unavailable(
                "too many clients are looked up now; wait as long as Retry-After says",
                retry_after.as_secs(),
            ),
        },
        // told when it was asked; never invalid_grant: nobody is logged out by an outage (SEC-16)
        Failure::Upstream(_) => unavailable(
            "the provider of the sign-in cannot be asked now; try again later",
            RETRY_FETCH,
        ),
        incident => {
            tracing::error!(error = %Causes(incident), "a request failed for a reason of ours");
            unavailable("try again later", 5)
        }
    }
}

/// A failure for whoever needs a bearer token (RFC 6750 §3). `is_presented`: whether there was one; who sent none is not
/// told of an error (§3.1).
pub fn for_bearer(failure: &Failure, is_presented: bool) -> Response {
    let mut response = for_client(failure, false);
    if matches!(failure, Failure::Refused(error) if error.code == ErrorCode::InvalidToken) {
        let challenge = if is_presented {
            r#"Bearer realm="anteroom", error="invalid_token""#
        } else {
            r#"Bearer realm="anteroom""#
        };
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

fn refused(error: &OAuthError, with_header: bool) -> Response {
    let mut response = json_error(status(error.code), error);
    if error.code == ErrorCode::InvalidClient && with_header {
        response.headers_mut().insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"anteroom\""),
        );
    }
    response
}

fn unavailable(why: &'static str, seconds: u64) -> Response {
    let error = ErrorCode::TemporarilyUnavailable.with(why);
    let mut response = json_error(StatusCode::SERVICE_UNAVAILABLE, &error);
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

/// Too many requests of one address (RFC 6585 §4): told apart from every error that ends a session (SEC-16).
pub fn too_many(seconds: u64) -> Response {
    wait(
        "too many requests from this address; wait as long as Retry-After says",
        seconds,
    )
}

/// Too many requests of all addresses together.
pub fn too_many_of_all(seconds: u64) -> Response {
    wait(
        "too many requests at this time; wait as long as Retry-After says",
        seconds,
    )
}

fn wait(description: &'static str, seconds: u64) -> Response {
    let error = ErrorCode::TemporarilyUnavailable.with(description);
    let mut response = json_error(StatusCode::TOO_MANY_REQUESTS, &error);
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

/// A failure for a person.
pub fn for_person(endpoints: &Endpoints, failure: &Failure) -> Response {
    match failure {
        Failure::Refused(error) => refusal_page(endpoints, error, None),
        Failure::Document { host, cause } => document_page(endpoints, host, cause),
        incident => {
            let page = ErrorPage {
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "This did not work".to_owned(),
                what: "Something went wrong on this server. Nothing was granted to anybody."
                    .to_owned(),
                remedies: vec![start_again("Try again in a few minutes")],
                ..blank(endpoints)
            };
            tracing::error!(error = %Causes(incident), request = %page.request_id, "a sign-in failed for a reason of ours");
            page.into_response()
        }
    }
}

/// A failure for a person on their account page.
pub fn account_failed(endpoints: &Endpoints, failure: &Failure) -> Response {
    let page = ErrorPage {
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "This did not work".to_owned(),
        what: "Something went wrong on this server. Some apps may still be connected.".to_owned(),
        remedies: vec![open_account("Open your account page anew", endpoints)],
        ..blank(endpoints)
    };
    tracing::error!(error = %Causes(failure), request = %page.request_id, "the account page failed for a reason of ours");
    page.into_response()
}

/// The way to the account page.
pub(super) fn open_account(text: &str, endpoints: &Endpoints) -> ActionLine {
    ActionLine {
        text: text.to_owned(),
        link: Some(format!("{}/account", endpoints.flows.issuer.path())),
    }
}

/// An app whose description cannot be had, for a person: told apart from an app that is not known (CLI-19). There is no way
/// back to it, since the description says where it listens.
fn document_page(endpoints: &Endpoints, host: &str, cause: &DocumentError) -> Response {
    let (what, remedies) = match cause {
        DocumentError::Fetch(error) => (
            format!("The app describes itself at {host}, but {error}."),
            vec![
                start_again("Try again in a few minutes"),
                start_again(
                    "If it stays like this, tell whoever makes the app what you read here: its description must be \
                     there for every program that asks, without a redirect and without a check for browsers",
                ),
            ],
        ),
        DocumentError::Refused(error) | DocumentError::Keys(error) => (
            format!(
                "The app describes itself at {host}, but the description breaks a rule: {}.",
                error.description
            ),
            vec![start_again(
                "Tell whoever makes the app what you read here: only they can change its description",
            )],
        ),
        DocumentError::TooMany { retry_after } => {
            return too_many_of(
                endpoints,
                format!(
                    "The app describes itself at {host}. Too many apps had to be looked up in a short time."
                ),
                retry_after.as_secs(),
            );
        }
    };
    let page = ErrorPage {
        status: StatusCode::BAD_REQUEST,
        title: "This app cannot be looked up".to_owned(),
        what,
        remedies,
        ..blank(endpoints)
    };
    tracing::info!(%cause, %host, request = %page.request_id, "a person was told that an app cannot be looked up");
    page.into_response()
}

/// A refusal for a person, with a way back to the app where one is known.
pub fn refusal_page(endpoints: &Endpoints, error: &OAuthError, back: Option<String>) -> Response {
    let page = ErrorPage {
        status: match error.code {
            ErrorCode::AccessDenied => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        },
        title: "This sign-in cannot go on".to_owned(),
        what: sentence(error.description),
        remedies: match &back {
            Some(url) => vec![ActionLine {
                text: "Go back to the app, which is told what is wrong".to_owned(),
                link: Some(url.clone()).filter(|url| url.starts_with("https:")),
            }],
            None => vec![start_again("Go back to the app and connect it again")],
        },
        // AUTHZ-25: an app with a scheme of its own is reached by a button
        back: back.filter(|url| !url.starts_with("https:")),
        code: Some(error.code.as_str().to_owned()),
        ..blank(endpoints)
    };
    tracing::info!(error = %error, request = %page.request_id, "an authorization request was refused on a page");
    page.into_response()
}

/// A provider that did not do its part, for a person: who, what they can do, and the way back for a client that waits.
pub fn provider_failed(
    endpoints: &Endpoints,
    fault: ProviderFault,
    way: Way,
    again: Option<Again>,
) -> Response {
    let page = FailedPage {
        base: endpoints.flows.issuer.path().to_owned(),
        provider: fault.provider,
        trouble: match fault.kind {
            FaultKind::Unavailable => Trouble::Unavailable,
            FaultKind::Invalid => Trouble::Invalid,
        },
        again,
        way,
        request_id: request_id(endpoints),
    };
    tracing::info!(cause = %fault.cause, request = %page.request_id, "a person was told that a provider failed");
    page.into_response()
}

/// Too many requests, for a person.
pub fn too_many_page(endpoints: &Endpoints, seconds: u64) -> Response {
    let what = "There were too many requests from this address in a short time.";
    too_many_of(endpoints, what.to_owned(), seconds)
}

fn too_many_of(endpoints: &Endpoints, what: String, seconds: u64) -> Response {
    let page = ErrorPage {
        status: StatusCode::TOO_MANY_REQUESTS,
        title: "Too many attempts".to_owned(),
        what,
        remedies: vec![start_again("Wait a minute, then try again")],
        ..blank(endpoints)
    };
    let mut response = page.into_response();
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

/// An error page that says nothing yet.
pub(super) fn blank(endpoints: &Endpoints) -> ErrorPage {
    ErrorPage {
        base: endpoints.flows.issuer.path().to_owned(),
        status: StatusCode::BAD_REQUEST,
        title: String::new(),
        what: String::new(),
        remedies: Vec::new(),
        back: None,
        request_id: request_id(endpoints),
        code: None,
    }
}

/// What stands on a page and in the log, so that one finds the other.
pub fn request_id(endpoints: &Endpoints) -> String {
    let id = Id::new(endpoints.flows.clock.now()).to_string();
    id[id.len() - 10..].to_owned()
}

fn start_again(text: &str) -> ActionLine {
    ActionLine {
        text: text.to_owned(),
        link: None,
    }
}

/// A description as a sentence.
pub(super) fn sentence(description: &str) -> String {
    let mut letters = description.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

/// Seconds after which a fetch that failed may be tried again.
const RETRY_FETCH: u64 = 30;

#[derive(Serialize)]
struct Nothing {
    error: &'static str,
}

/// 404 for everything that is not there: JSON, since clients probe (DISC-11, SEC-13).
pub async fn not_found() -> Response {
    let body = Nothing { error: "not_found" };
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// 405; `Allow` is set by the router.
pub async fn method_not_allowed() -> Response {
    let body = Nothing {
        error: "method_not_allowed",
    };
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}

/// A panic: an answer without any detail, so that the next request is served.
#[must_use]
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    let error = ErrorCode::ServerError.with("something went wrong on this server");
    json_error(StatusCode::INTERNAL_SERVER_ERROR, &error)
}
