//! The account page: what is connected for a person, and the way to end it; and the page before it, to sign in.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::answer;
use super::failed::Choice;
use super::words::{machine_moment, moment, shown_name};
use crate::clock::UnixTime;

/// Lists what is connected. Nobody sees it but the person whose it is.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// What the person is called at the provider: "octocat".
    pub account: String,
    /// The provider's name: "GitHub".
    pub provider: String,
    /// What they have just done, a sentence.
    pub done: Option<&'static str>,
    /// What is connected; what was used last comes first.
    pub connections: Vec<ConnectionLine>,
    /// Ties the forms to this page.
    pub ticket: String,
}

/// Something that is connected. Its name is what it calls itself.
#[derive(Debug)]
pub struct ConnectionLine {
    /// Which session.
    pub id: String,
    /// The name that the client gave itself.
    pub client_name: Option<String>,
    /// The host, or the scheme of an app, where its answers went.
    pub client_host: String,
    /// Which of our servers it uses, by name.
    pub server_name: String,
    /// Which of our servers it uses: the resource identifier.
    pub resource: String,
    /// What it may do there, in words.
    pub scopes: Vec<String>,
    /// When it was connected.
    pub created: UnixTime,
    /// When it last came for tokens.
    pub used: UnixTime,
}

/// Asks who wants to see what is connected.
#[derive(Debug, Template)]
#[template(path = "sign-in.html")]
pub struct SignInPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// Where they can sign in.
    pub providers: Vec<Choice>,
    /// Ties the form to this page.
    pub ticket: String,
}

impl IntoResponse for AccountPage {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, self.render())
    }
}

impl IntoResponse for SignInPage {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, self.render())
    }
}

impl AccountPage {
    /// Whether the list is so long that nobody finds what stands below it.
    fn is_long(&self) -> bool {
        self.connections.len() > HANDFUL
    }
}

/// How many connections are seen at once.
const HANDFUL: usize = 5;

impl ConnectionLine {
    fn name(&self) -> String {
        shown_name(self.client_name.as_deref().unwrap_or_default())
    }

    /// First and last use: what it is, for programs, and for people.
    fn times(&self) -> Vec<(&'static str, String, String)> {
        [("Connected", self.created), ("Last used", self.used)]
            .into_iter()
            .filter_map(|(what, at)| Some((what, machine_moment(at)?, moment(at)?)))
            .collect()
    }
}
