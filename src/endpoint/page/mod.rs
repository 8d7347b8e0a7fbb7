//! What a person at the browser sees: the pages, the files they load, and the headers of both.

pub mod account;
pub mod asset;
pub mod consent;
pub mod failed;
pub mod help;
pub mod scope_words;
pub mod words;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, StatusCode};
use url::Url;

use words::shown_name;

/// Says what went wrong, to a person, because nobody else can be told.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// The status of the answer.
    pub status: StatusCode,
    /// The short form.
    pub title: String,
    /// What is wrong, a sentence or two.
    pub what: String,
    /// What can be done about it.
    pub remedies: Vec<ActionLine>,
    /// The registered redirect URI with the error, where it is one of an app's own scheme.
    pub back: Option<String>,
    /// What to look for in the log.
    pub request_id: String,
    /// The error code of OAuth, for who develops the client.
    pub code: Option<String>,
}

/// Something to do, with where to do it.
#[derive(Debug)]
pub struct ActionLine {
    /// The sentence.
    pub text: String,
    /// An https link, or a path of ours such as `/authorize?…`.
    pub link: Option<String>,
}

/// Tells somebody who signed in that they may not enter, and why.
#[derive(Debug, Template)]
#[template(path = "refused.html")]
pub struct RefusedPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// Who they signed in as: "octocat".
    pub account: String,
    /// The provider's name: "GitHub".
    pub provider: String,
    /// Each rule that did not let them in, a sentence each.
    pub reasons: Vec<String>,
    /// What they can do about it.
    pub actions: Vec<ActionLine>,
    /// The registered redirect URI with the refusal, where there is one.
    pub back: Option<String>,
    /// What to look for in the log.
    pub request_id: String,
}

/// Leads back to an app that has a scheme of its own: a redirect alone would leave a blank window behind (AUTHZ-25).
#[derive(Debug, Template)]
#[template(path = "return.html")]
pub struct ReturnPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// The name that the client gave itself.
    pub app: String,
    /// The registered redirect URI with the answer.
    pub url: String,
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        answer(self.status, self.render())
    }
}

impl IntoResponse for RefusedPage {
    fn into_response(self) -> Response {
        answer(StatusCode::FORBIDDEN, self.render())
    }
}

impl IntoResponse for ReturnPage {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, self.render())
    }
}

impl ActionLine {
    /// The link, if it is one that may be followed.
    fn link(&self) -> Option<&str> {
        let own_path =
            |link: &&str| link.starts_with('/') && !link.starts_with("//") && !link.contains('\\');
        self.link
            .as_deref()
            .filter(|link| link.starts_with("https://") || own_path(link))
    }

    /// What the link shows of itself: host and path. A path of ours shows nothing.
    fn place(&self) -> Option<&str> {
        self.link()?
            .strip_prefix("https://")?
            .split(['?', '#'])
            .next()
    }
}

impl ErrorPage {
    fn back(&self) -> Option<&str> {
        self.back.as_deref().filter(|url| leads_to_an_app(url))
    }
}

impl RefusedPage {
    fn back(&self) -> Option<&str> {
        self.back.as_deref().filter(|url| leads_to_an_app(url))
    }
}

impl ReturnPage {
    fn name(&self) -> String {
        shown_name(&self.app)
    }

    fn url(&self) -> Option<&str> {
        Some(self.url.as_str()).filter(|url| leads_to_an_app(url))
    }
}

fn answer(status: StatusCode, page: askama::Result<String>) -> Response {
    match page {
        Ok(page) => (status, PAGE_HEADERS, Html(page)).into_response(),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            PAGE_HEADERS,
            "This page cannot be shown.\n",
        )
            .into_response(),
    }
}

/// Whether a browser takes `url` to an app or a site, rather than running or opening it in our place. Redirect URIs
/// were checked when they were registered; a link that a page offers is checked once more.
fn leads_to_an_app(url: &str) -> bool {
    let scheme = Url::parse(url).map(|url| url.scheme().to_owned());
    scheme.is_ok_and(|scheme| !OWN_TO_BROWSERS.contains(&scheme.as_str()))
}

const OWN_TO_BROWSERS: [&str; 8] = [
    "javascript",
    "data",
    "vbscript",
    "blob",
    "file",
    "about",
    "view-source",
    "filesystem",
];

// No form-action: Chromium applies it to the whole chain of redirects behind a form, and would block the last hop.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'";

const PAGE_HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, PAGE_POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_goes_to_https_or_to_ourselves() {
        for (link, place, followed) in [
            (
                "https://github.com/settings?x=1#y",
                Some("github.com/settings"),
                true,
            ),
            ("/authorize?x=1", None, true),
            ("//evil.example", None, false),
            ("/\\evil.example", None, false),
            ("http://evil.example", None, false),
            ("javascript:alert(1)", None, false),
        ] {
            let line = ActionLine {
                text: String::new(),
                link: Some(link.to_owned()),
            };
            assert_eq!(
                (line.place(), line.link().is_some()),
                (place, followed),
                "{link}"
            );
        }
    }
}
