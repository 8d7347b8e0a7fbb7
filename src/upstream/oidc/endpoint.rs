//! Two endpoints of an `OpenID` provider: userinfo (`OpenID` Connect Core 1.0 §5.3) and revocation (RFC 7009).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use oauth2::{AsyncHttpClient as _, HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::answer::{invalid, plain_code, unsent};
use crate::outbound::Outbound;
use crate::secret::Secret;
use crate::upstream::{UpstreamError, UpstreamTokens};

/// What the userinfo endpoint answers.
pub(super) enum Userinfo {
    /// This is who it is.
    Said(Map<String, Value>),
    /// The access token is not good, or not any more.
    Refused,
}

/// Asks about the person whose access token it is.
pub(super) async fn userinfo(
    outbound: &Outbound,
    url: &Url,
    access: &Secret,
) -> Result<Userinfo, UpstreamError> {
    let request = http::Request::get(url.as_str())
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", access.expose()))
        .body(Vec::new())
        .map_err(|_| invalid("the access token cannot be sent in a header"))?;
    let answer = outbound.call(request).await;
    let answer = answer.map_err(|error| unsent(&error))?;
    match answer.status() {
        StatusCode::OK => said(answer.body()).map(Userinfo::Said),
        _ if is_refused(&answer) => Ok(Userinfo::Refused),
        status => Err(invalid(&format!(
            "the userinfo endpoint answers with status {}",
            status.as_u16()
        ))),
    }
}

/// What is said about somebody. An answer about nobody is none: a page of a provider that is being maintained must not look
/// like another person.
fn said(body: &[u8]) -> Result<Map<String, Value>, UpstreamError> {
    let said: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| invalid("the answer of the userinfo endpoint is no JSON object"))?;
    match said.get("sub").and_then(Value::as_str) {
        Some(sub) if !sub.is_empty() => Ok(said),
        _ => Err(invalid(
            "the userinfo endpoint names nobody: sub is missing",
        )),
    }
}

/// Whether the token is what is wrong (RFC 6750 §3.1).
fn is_refused(answer: &HttpResponse) -> bool {
    let challenges = answer.headers().get_all(WWW_AUTHENTICATE).into_iter();
    let mut challenges = challenges.filter_map(|value| value.to_str().ok());
    answer.status() == StatusCode::UNAUTHORIZED
        || error_code(answer).as_deref() == Some("invalid_token")
        || challenges.any(|challenge| challenge.contains("error=\"invalid_token\""))
}

/// We as the client of a provider, and how it wants to see that.
pub(super) struct Credentials<'a> {
    pub(super) client_id: &'a str,
    pub(super) client_secret: &'a Secret,
    pub(super) in_body: bool,
}

/// Gives tokens back. `oauth2` would do it too, but not over loopback http.
pub(super) async fn revoke(
    outbound: &Outbound,
    url: &Url,
    tokens: &UpstreamTokens,
    credentials: &Credentials<'_>,
) -> Result<(), UpstreamError> {
    let request = revocation(url, tokens, credentials)
        .map_err(|_| invalid("revocation_endpoint is no URL to ask at"))?;
    let answer = outbound.call(request).await;
    let answer = answer.map_err(|error| unsent(&error))?;
    let code = error_code(&answer);
    match (answer.status(), code.as_deref().and_then(plain_code)) {
        (status, _) if status.is_success() => Ok(()),
        // what has ended already is no error (Google says so with 400)
        (_, Some("invalid_token")) => Ok(()),
        (_, Some(code)) => Err(invalid(&format!("the revocation endpoint answers {code}"))),
        (status, None) => Err(invalid(&format!(
            "the revocation endpoint answers with status {}",
            status.as_u16()
        ))),
    }
}

fn revocation(
    url: &Url,
    tokens: &UpstreamTokens,
    credentials: &Credentials<'_>,
) -> Result<HttpRequest, http::Error> {
    // RFC 7009 §2.1: with the refresh token all access tokens of its grant end
    let (token, kind) = match &tokens.refresh {
        Some(refresh) => (refresh, "refresh_token"),
        None => (&tokens.access, "access_token"),
    };
    let (client_id, secret) = (credentials.client_id, credentials.client_secret.expose());
    let mut form = Serializer::new(String::new());
    form.append_pair("token", token.expose())
        .append_pair("token_type_hint", kind);
    let mut request = http::Request::post(url.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if credentials.in_body {
        form.append_pair("client_id", client_id)
            .append_pair("client_secret", secret);
    } else {
        // RFC 6749 §2.3.1: both are encoded before they are joined
        let [id, secret] =
            [client_id, secret].map(|text| byte_serialize(text.as_bytes()).collect::<String>());
        let basic = STANDARD.encode(format!("{id}:{secret}"));
        request = request.header(AUTHORIZATION, format!("Basic {basic}"));
    }
    request.body(form.finish().into_bytes())
}

fn error_code(answer: &HttpResponse) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: String,
    }
    let body = serde_json::from_slice::<Body>(answer.body());
    body.map(|body| body.error).ok()
}
