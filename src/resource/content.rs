//! The body of a POST: JSON in UTF-8, not encoded, not too long, not too slow.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;

use super::answer::RpcError;

/// How long a client may take to send a body.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The whole body.
///
/// # Errors
/// What the client is told.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, RpcError> {
    check_headers(headers, limit)?;
    let mut collecting = std::pin::pin!(collect(body, limit));
    // Most bodies arrive with their head: no timer is set for them.
    if let Some(read) = collecting.as_mut().now_or_never() {
        return read;
    }
    match Box::pin(tokio::time::timeout(TIME_LIMIT, collecting)).await {
        Ok(read) => read,
        Err(_) => Err(RpcError::http(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long",
        )),
    }
}

/// A body in one piece, as most are, is not copied.
async fn collect(mut body: Body, limit: usize) -> Result<Bytes, RpcError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| RpcError::http(StatusCode::BAD_REQUEST, "the body broke off"))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if first.len() + rest.len() + piece.len() > limit {
            return Err(too_large());
        }
        if first.is_empty() {
            first = piece;
        } else {
            rest.extend_from_slice(&piece);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

fn check_headers(headers: &HeaderMap, limit: usize) -> Result<(), RpcError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    if announced
        .and_then(|length| length.parse().ok())
        .is_some_and(|length: usize| length > limit)
    {
        return Err(too_large());
    }
    // A compressed body would be judged by nobody, and one in another charset read differently by the server.
    let is_encoded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|encoding| encoding != "identity");
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) if is_json(kind) && !is_encoded => Ok(()),
        _ => Err(RpcError::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/json in UTF-8 without Content-Encoding",
        )),
    }
}

fn is_json(kind: &HeaderValue) -> bool {
    let Ok(kind) = kind.to_str() else {
        return false;
    };
    let mut parts = kind.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

fn too_large() -> RpcError {
    RpcError::http(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
}
