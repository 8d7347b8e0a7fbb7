//! The consent page: what a person needs to know to notice a fraud, and nothing else.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::answer;
use super::words::{day, is_cut, plain, shown_name};
use crate::protocol::consent::Familiarity;

/// Asks whether an app may enter. Everything that the app says of itself is untrusted. Who agreed to the same before gets
/// it shorter: what the app could do is folded, where the answer goes and how long it stays never is. It does not say who they are, since
/// somebody else may sit there.
#[derive(Debug, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// The name that the client gave itself.
    pub client_name: Option<String>,
    /// The client id.
    pub client_id: String,
    /// Where the client comes from.
    pub origin: Origin,
    /// The path of its logo, served by us.
    pub logo: Option<String>,
    /// The host of the website that the client names (`client_uri`), not verified.
    pub client_uri_host: Option<String>,
    /// Where the answer goes: the host, or the scheme of an app.
    pub redirect_host: String,
    /// Where the answer goes, in full.
    pub redirect_uri: String,
    /// What it is that the answer goes to.
    pub destination: Destination,
    /// Which of our servers it wants to use, by name.
    pub server_name: String,
    /// Which of our servers it wants to use: the resource identifier.
    pub resource: String,
    /// What it could do there.
    pub scopes: Vec<ScopeLine>,
    /// How long it stays connected, a sentence or two.
    pub stays: String,
    /// Where the person can sign in; where they did last time comes first.
    pub providers: Vec<ProviderLine>,
    /// Whether they agreed to the same before.
    pub familiarity: Familiarity,
    /// Ties the decision to this page.
    pub ticket: String,
}

/// Where a client comes from: what we know of who is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a document: the host of the client id, which we have asked.
    Document {
        /// The host.
        host: String,
    },
    /// It registered itself, as anybody can.
    Registered,
    /// From our configuration.
    Known,
}

/// What it is that the answer goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A program on the person's own machine.
    Computer,
    /// An app with a scheme of its own.
    App,
    /// A website.
    Site,
}

/// A scope, and what it means to a person.
#[derive(Debug)]
pub struct ScopeLine {
    /// The scope.
    pub scope: String,
    /// What it opens there: see [`scope_words`](super::scope_words::scope_words).
    pub words: String,
    /// Whether they have not agreed to it before, though to others.
    pub is_new: bool,
}

/// A provider to sign in at.
#[derive(Debug)]
pub struct ProviderLine {
    /// Its id, which is the decision's value.
    pub id: String,
    /// Its name: "GitHub".
    pub label: String,
    /// What it will be asked for, a phrase each.
    pub asks_for: Vec<String>,
}

impl IntoResponse for ConsentPage {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, self.render())
    }
}

impl ConsentPage {
    /// The name that it gave itself; the operator's for a client of theirs.
    fn name(&self) -> String {
        match (&self.client_name, &self.origin) {
            (None, Origin::Known) => shown_name(&self.client_id),
            (name, _) => shown_name(name.as_deref().unwrap_or_default()),
        }
    }

    /// All of the name, where the heading shows less.
    fn full_name(&self) -> Option<String> {
        let name = self.client_name.as_deref()?;
        is_cut(name).then(|| plain(name))
    }

    /// The host of the document, where the answer goes to a site that is not it: another port may be somebody else's.
    fn described_elsewhere(&self) -> Option<&str> {
        match &self.origin {
            Origin::Document { host } if self.destination == Destination::Site => {
                Some(host.as_str()).filter(|host| *host != self.redirect_host)
            }
            _ => None,
        }
    }

    /// Whether what the app could do is folded.
    fn is_short(&self) -> bool {
        matches!(self.familiarity, Familiarity::Remembered { .. })
    }

    /// The day when they agreed to the same.
    fn agreed_on(&self) -> Option<String> {
        match self.familiarity {
            Familiarity::Remembered { at } => day(at),
            _ => None,
        }
    }
}
