//! The page of a provider that did not do its part: which one, what can be done, and the way back.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::REFRESH;
use http::{HeaderValue, StatusCode};

use super::words::shown_name;
use super::{answer, leads_to_an_app};

/// Says that a provider failed, to the person who was to sign in there. Nothing of what it sent stands here.
#[derive(Debug, Template)]
#[template(path = "failed.html")]
pub struct FailedPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// The provider's name: "GitHub".
    pub provider: String,
    /// What is wrong with it.
    pub trouble: Trouble,
    /// The form that was handed in, where it can be handed in again.
    pub again: Option<Again>,
    /// Where the person came from.
    pub way: Way,
    /// What to look for in the log.
    pub request_id: String,
}

/// What is wrong with a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot be reached, or has no time.
    Unavailable,
    /// What it answers is of no use.
    Invalid,
}

/// Where a person came from.
#[derive(Debug)]
pub enum Way {
    /// From an app: its registered redirect URI, with the error.
    App(String),
    /// The same, where nothing can be tried again and the app waits. Where it listens on the web, the browser goes there by
    /// itself after a while.
    Waiting {
        /// The name that the app gave itself.
        app: String,
        /// Its registered redirect URI, with the error.
        url: String,
    },
    /// From their account page.
    Account,
}

/// A form to be handed in once more, at the same provider or at another.
#[derive(Debug)]
pub struct Again {
    /// Our path that it goes to.
    pub path: &'static str,
    /// Its field with the provider.
    pub field: &'static str,
    /// What ties it to the page that it was on.
    pub ticket: String,
    /// The providers; the one that failed comes first.
    pub providers: Vec<Choice>,
}

/// A provider to sign in at.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its id.
    pub id: String,
    /// Its name: "GitHub".
    pub label: String,
}

impl IntoResponse for FailedPage {
    fn into_response(self) -> Response {
        let status = match (&self.way, self.trouble) {
            // AUTHZ-18: for the app it is in the answer that the browser takes there
            (Way::Waiting { .. }, _) => StatusCode::OK,
            (_, Trouble::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            (_, Trouble::Invalid) => StatusCode::BAD_GATEWAY,
        };
        let goes_to = self.goes_to().map(|url| format!("{READING}; url={url}"));
        let mut response = answer(status, self.render());
        if let Some(Ok(goes_to)) = goes_to.map(HeaderValue::try_from) {
            response.headers_mut().insert(REFRESH, goes_to);
        }
        response
    }
}

impl FailedPage {
    /// Back to the app, with the error.
    fn back(&self) -> Option<&str> {
        match &self.way {
            Way::App(url) | Way::Waiting { url, .. } => {
                Some(url.as_str()).filter(|url| leads_to_an_app(url))
            }
            Way::Account => None,
        }
    }

    /// Where the browser goes by itself: a site. An app with a scheme of its own is opened by a person (AUTHZ-25).
    fn goes_to(&self) -> Option<&str> {
        match &self.way {
            Way::Waiting { url, .. } => Some(url.as_str()).filter(|url| is_of_the_web(url)),
            Way::App(_) | Way::Account => None,
        }
    }

    /// To which app.
    fn app(&self) -> Option<String> {
        match &self.way {
            Way::Waiting { app, .. } => self.goes_to().map(|_| shown_name(app)),
            Way::App(_) | Way::Account => None,
        }
    }
}

fn is_of_the_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// How many seconds somebody has to read the page.
const READING: u8 = 20;
