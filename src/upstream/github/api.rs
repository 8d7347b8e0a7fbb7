//! GitHub's REST API: what an answer means, and every page of a list.

use http::header::{ACCEPT, AUTHORIZATION, LINK, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use oauth2::HttpResponse;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::invalid;
use crate::outbound::Outbound;
use crate::secret::Secret;
use crate::upstream::UpstreamError;

/// The API at its address.
pub(super) struct Api {
    outbound: Outbound,
    url: Url,
}

/// What the API says about one thing.
pub(super) enum Answer<T> {
    /// Here it is.
    Found(Found<T>),
    /// There is no such thing, or the token must not know of it.
    Absent,
    /// The token may not ask.
    Refused(Refusal),
}

/// A thing, and what its headers say.
pub(super) struct Found<T> {
    pub(super) value: T,
    /// Organisations were left out of it for want of single sign-on.
    pub(super) partial: bool,
    /// It is a page of a list, and there is a next one.
    next: bool,
}

/// Why a token may not ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The organisation has not approved the application.
    NotApproved,
    /// The organisation asks for single sign-on; where, as GitHub says it.
    SingleSignOn(Option<String>),
    /// The organisation answers certain addresses alone, and ours is none of them.
    Address,
    /// The token lacks a scope, or the GitHub App a permission.
    NoRight,
}

impl Api {
    pub(super) fn new(outbound: Outbound, url: Url) -> Self {
        Self { outbound, url }
    }

    /// `GET` of one thing.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        token: &Secret,
        path: &[&str],
    ) -> Result<Answer<T>, UpstreamError> {
        self.get_url(token, &under(&self.url, path)).await
    }

    /// Every page of a list. Who stopped at the first would miss memberships.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        token: &Secret,
        path: &[&str],
    ) -> Result<Answer<Vec<T>>, UpstreamError> {
        let mut all = Vec::new();
        let mut partial = false;
        for page in 1..=MOST_PAGES {
            let mut url = under(&self.url, path);
            // 50: a hundred teams with all that is said of them can be larger than any answer that is read.
            // Counted by us: the address in `Link` is theirs, and the token goes nowhere but to `api_url`.
            url.query_pairs_mut()
                .append_pair("per_page", "50")
                .append_pair("page", &page.to_string());
            let found = match self.get_url::<Vec<T>>(token, &url).await? {
                Answer::Found(found) => found,
                Answer::Absent => return Ok(Answer::Absent),
                Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
            };
            all.extend(found.value);
            partial |= found.partial;
            if !found.next {
                return Ok(Answer::Found(Found {
                    value: all,
                    partial,
                    next: false,
                }));
            }
        }
        Err(invalid("a list has no last page"))
    }

    /// Sends a request to the API.
    pub(super) async fn send(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<HttpResponse, UpstreamError> {
        let request = request
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .body(body)
            .map_err(|_| invalid("the token cannot be sent in a header"))?;
        let sent = self.outbound.send(request).await;
        let answer = sent.map_err(|error| UpstreamError::Unavailable(error.to_string()))?;
        match later(&answer) {
            Some(why) => Err(UpstreamError::Unavailable(why)),
            None => Ok(answer),
        }
    }

    /// What a token does not open is an answer. A token that opens nothing is none: GitHub gave it or vouched for it a
    /// moment ago, and says in the next check whether it has ended since.
    async fn get_url<T: DeserializeOwned>(
        &self,
        token: &Secret,
        url: &Url,
    ) -> Result<Answer<T>, UpstreamError> {
        let bearer = format!("Bearer {}", token.expose());
        let request = http::Request::get(url.as_str()).header(AUTHORIZATION, bearer);
        let answer = self.send(request, Vec::new()).await?;
        let path = url.path();
        match answer.status() {
            StatusCode::OK => Ok(Answer::Found(Found {
                value: serde_json::from_slice(answer.body())
                    .map_err(|_| invalid(&format!("GET {path} answers what cannot be read")))?,
                partial: single_sign_on(answer.headers()).is_some(),
                next: has_next(answer.headers()),
            })),
            StatusCode::UNAUTHORIZED => Err(UpstreamError::Unavailable(format!(
                "GET {path} answers 401 to a token that is in force; if it stays so, api_url is another GitHub's"
            ))),
            StatusCode::FORBIDDEN if is_suspended(&answer) => {
                Err(UpstreamError::Ended("the account is suspended".to_owned()))
            }
            // A balancer on the way says so too, or a wrong address: GitHub gives a reason.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN if is_wordless(&answer) => {
                Err(UpstreamError::Unavailable(format!(
                    "GET {path} answers {} in no words of GitHub; if it stays so, api_url is wrong",
                    answer.status().as_u16()
                )))
            }
            // Some of what is behind single sign-on is said not to be there.
            StatusCode::NOT_FOUND if single_sign_on(answer.headers()).is_none() => {
                Ok(Answer::Absent)
            }
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(Answer::Refused(refusal(&answer))),
            status => Err(invalid(&format!("GET {path} answers {}", status.as_u16()))),
        }
    }
}

/// The address of `path` under `base`; what is in `path` stays in its segment.
pub(super) fn under(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

const MOST_PAGES: usize = 100;

/// An answer that says nothing about what was asked: it may come later. Taking one for "no" would send people away who
/// belong, and taking it for "yes" would let in who does not.
fn later(answer: &HttpResponse) -> Option<String> {
    let status = answer.status();
    if status.is_server_error() {
        return Some(format!("it answers with status {}", status.as_u16()));
    }
    let headers = answer.headers();
    let used_up = headers
        .get("x-ratelimit-remaining")
        .is_some_and(|left| left == "0");
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::FORBIDDEN
            && (used_up || headers.contains_key(RETRY_AFTER) || is_limit(&message(answer)));
    // 422 is for what is malformed, and for who asks too often.
    let spammed = status == StatusCode::UNPROCESSABLE_ENTITY && {
        let body = String::from_utf8_lossy(answer.body()).to_lowercase();
        body.contains("spammed") || body.contains("too quickly")
    };
    (limited || spammed).then(|| "it limits our requests for a while".to_owned())
}

fn is_limit(message: &str) -> bool {
    message.contains("rate limit") || message.contains("abuse detection")
}

fn is_wordless(answer: &HttpResponse) -> bool {
    single_sign_on(answer.headers()).is_none() && message(answer).is_empty()
}

/// The account, not the installation of a GitHub App, which GitHub can suspend too.
fn is_suspended(answer: &HttpResponse) -> bool {
    let message = message(answer);
    message.contains("your account") && message.contains("suspended")
}

fn refusal(answer: &HttpResponse) -> Refusal {
    if let Some(sso) = single_sign_on(answer.headers()) {
        let url = sso
            .split(';')
            .find_map(|part| part.trim().strip_prefix("url="));
        return Refusal::SingleSignOn(url.map(str::to_owned));
    }
    let message = message(answer);
    if message.contains("oauth app access restrictions") {
        return Refusal::NotApproved;
    }
    if message.contains("saml enforcement") {
        return Refusal::SingleSignOn(None);
    }
    if message.contains("ip allow list") {
        return Refusal::Address;
    }
    Refusal::NoRight
}

fn single_sign_on(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-github-sso")?.to_str().ok()
}

fn has_next(headers: &HeaderMap) -> bool {
    let links = headers.get_all(LINK).into_iter();
    links
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("rel=\"next\""))
}

/// What GitHub says in words, in lower case; empty: it is not GitHub's API that answers.
pub(super) fn message(answer: &HttpResponse) -> String {
    #[derive(Deserialize)]
    struct Body {
        message: String,
    }
    let body = serde_json::from_slice::<Body>(answer.body());
    body.map(|body| body.message.to_lowercase())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], message: &str) -> HttpResponse {
        let body = serde_json::json!({ "message": message }).to_string();
        let mut answer = http::Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(body.into_bytes()).unwrap()
    }

    #[test]
    fn later_is_told_from_no() {
        for (answer, is_later) in [
            (answer(500, &[], ""), true),
            (answer(502, &[], "Server Error"), true),
            (answer(429, &[], ""), true),
            (answer(403, &[("x-ratelimit-remaining", "0")], ""), true),
            (answer(403, &[("retry-after", "60")], ""), true),
            (
                answer(403, &[], "You have exceeded a secondary rate limit"),
                true,
            ),
            (
                answer(403, &[("x-ratelimit-remaining", "4999")], "Not accessible"),
                false,
            ),
            (
                answer(403, &[], "API rate limit exceeded for user ID 1."),
                true,
            ),
            (
                answer(403, &[], "You have triggered an abuse detection mechanism."),
                true,
            ),
            (answer(404, &[("x-ratelimit-remaining", "0")], ""), false),
            (answer(422, &[], "Validation Failed"), false),
            (answer(422, &[], "was submitted too quickly"), true),
            (answer(422, &[], "The endpoint has been spammed"), true),
            (answer(200, &[("x-ratelimit-remaining", "0")], ""), false),
        ] {
            assert_eq!(later(&answer).is_some(), is_later, "{answer:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let approval = "the `acme` organization has enabled OAuth App access restrictions";
        let saml = "Resource protected by organization SAML enforcement";
        let url = "https://github.com/orgs/acme/sso?authorization_request=A";
        let header = format!("required; url={url}");
        let sso = |url: Option<&str>| Refusal::SingleSignOn(url.map(str::to_owned));
        for (answer, expected) in [
            (answer(403, &[], approval), Refusal::NotApproved),
            (
                answer(403, &[("x-github-sso", &header)], saml),
                sso(Some(url)),
            ),
            (
                answer(403, &[("x-github-sso", "required")], saml),
                sso(None),
            ),
            (answer(403, &[], saml), sso(None)),
            (
                answer(403, &[], "Resource not accessible by integration"),
                Refusal::NoRight,
            ),
            (
                answer(
                    403,
                    &[],
                    "the `acme` organization has an IP allow list enabled, and your IP address is not permitted",
                ),
                Refusal::Address,
            ),
        ] {
            assert_eq!(refusal(&answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn a_suspended_account_is_told_from_a_suspended_installation() {
        for (message, expected) in [
            ("Sorry. Your account was suspended.", true),
            ("Your account is suspended.", true),
            ("This installation has been suspended", false),
            ("Resource not accessible by integration", false),
            ("", false),
        ] {
            assert_eq!(
                is_suspended(&answer(403, &[], message)),
                expected,
                "{message}"
            );
        }
    }

    #[test]
    fn a_name_stays_in_its_segment() {
        for (base, name, url) in [
            (
                "https://api.github.com",
                "acme",
                "https://api.github.com/orgs/acme",
            ),
            (
                "https://ghe.acme.com/api/v3/",
                "acme",
                "https://ghe.acme.com/api/v3/orgs/acme",
            ),
            (
                "https://api.github.com",
                "a/../b?c#d",
                "https://api.github.com/orgs/a%2F..%2Fb%3Fc%23d",
            ),
        ] {
            assert_eq!(
                under(&Url::parse(base).unwrap(), &["orgs", name]).as_str(),
                url
            );
        }
    }
}
