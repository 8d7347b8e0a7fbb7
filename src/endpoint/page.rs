//! What a person at the browser sees: the pages, the files they load, and the headers of both.

use std::sync::LazyLock;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, StatusCode};
use sha2::{Digest, Sha256};
use url::Url;

/// Asks whether an app may enter. Everything that the app says of itself is untrusted.
#[derive(Debug, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// The name that the client gave itself.
    pub client_name: Option<String>,
    /// The client id.
    pub client_id: String,
    /// The host of the website that the client names (`client_uri`), not verified.
    pub client_uri_host: Option<String>,
    /// Where the answer goes: the host, or the scheme of an app.
    pub redirect_host: String,
    /// Where the answer goes, in full.
    pub redirect_uri: String,
    /// Whether the answer goes to a program on the person's own machine.
    pub loopback: bool,
    /// Whether the answer goes to an app by a scheme of its own.
    pub app_scheme: bool,
    /// Which of our servers it wants to use, by name.
    pub server_name: String,
    /// Which of our servers it wants to use: the resource identifier.
    pub resource: String,
    /// What it could do there.
    pub scopes: Vec<ScopeLine>,
    /// Where the person can sign in.
    pub providers: Vec<ProviderLine>,
    /// Ties the decision to this page.
    pub ticket: String,
}

/// A scope, and what it means to a person.
#[derive(Debug)]
pub struct ScopeLine {
    /// The scope.
    pub scope: String,
    /// See [`scope_words`].
    pub words: String,
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

impl IntoResponse for ConsentPage {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, self.render())
    }
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

impl ConsentPage {
    fn name(&self) -> String {
        shown_name(self.client_name.as_deref().unwrap_or_default())
    }

    /// All of the name, where the heading shows less.
    fn full_name(&self) -> Option<String> {
        let full = plain(self.client_name.as_deref()?);
        (full.chars().count() > NAME_LENGTH).then_some(full)
    }

    /// The host that stands behind a client id which is a URL.
    fn described_at(&self) -> Option<String> {
        let url = Url::parse(&self.client_id)
            .ok()
            .filter(|url| url.scheme() == "https")?;
        url.host_str().map(str::to_owned)
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

/// What a scope means, in words for the consent page.
#[must_use]
pub fn scope_words(scope: &str) -> String {
    match scope {
        "mcp:tools:read" => "See which tools there are",
        "mcp:tools:execute" => "Run tools on your behalf",
        "mcp:resources:list" => "See which resources there are",
        "mcp:resources:read" => "Read resources",
        "mcp:prompts:list" => "See which prompts there are",
        "mcp:prompts:read" => "Use prompts",
        "offline_access" => "Stay connected when you are not there (until you revoke it)",
        other => return format!("Do what this server calls “{other}”"),
    }
    .to_owned()
}

/// The path of the style sheet. Its name changes with its content, so it can be kept for ever.
pub fn style_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| named_by_content("style", STYLE, "css"));
    &PATH
}

/// Answers with the style sheet.
pub async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

/// The path of the icon, named like the style sheet.
pub fn icon_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| named_by_content("icon", ICON, "svg"));
    &PATH
}

/// Answers with the icon.
pub async fn icon() -> Response {
    file("image/svg+xml", ICON)
}

fn named_by_content(name: &str, content: &str, kind: &str) -> String {
    let digest = Sha256::digest(content);
    let [a, b, c, d, ..] = digest[..] else {
        return format!("/assets/{name}.{kind}");
    };
    format!("/assets/{name}.{a:02x}{b:02x}{c:02x}{d:02x}.{kind}")
}

fn file(content_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (headers, content).into_response()
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

/// A name as a heading can bear it: plain, and not too long.
fn shown_name(name: &str) -> String {
    let plain = plain(name);
    if plain.is_empty() {
        return "an app without a name".to_owned();
    }
    let ellipsis = (plain.chars().count() > NAME_LENGTH).then_some('…');
    plain.chars().take(NAME_LENGTH).chain(ellipsis).collect()
}

/// A name in one line, without invisible characters that turn or hide text, and without quotation marks that end ours.
fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .filter(|c| !hides_or_turns_text(*c))
        .map(harmless)
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn harmless(c: char) -> char {
    match c {
        '"' | '“' | '”' | '„' | '«' | '»' => '\'',
        c if c.is_control() => ' ',
        c => c,
    }
}

/// Bidirectional controls, and blanks without width. Joiners stay: emoji and Persian need them.
fn hides_or_turns_text(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Whether a browser takes `url` to an app or a site, rather than running or opening it in our place. Redirect URIs
/// were checked when they were registered; a link that a page offers is checked once more.
fn leads_to_an_app(url: &str) -> bool {
    let scheme = Url::parse(url).map(|url| url.scheme().to_owned());
    scheme.is_ok_and(|scheme| !OWN_TO_BROWSERS.contains(&scheme.as_str()))
}

const STYLE: &str = include_str!("../../templates/style.css");
const ICON: &str = include_str!("../../templates/icon.svg");

/// Characters of a client's name in a heading.
const NAME_LENGTH: usize = 60;

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

    #[test]
    fn a_name_cannot_dress_up() {
        for (name, shown) in [
            ("Claude", "Claude"),
            (" two\n\twords ", "two words"),
            ("\u{202E}elgoog\u{202C}", "elgoog"),
            ("x” (verified) “", "x' (verified) '"),
            ("\u{200B}\u{FEFF}", "an app without a name"),
            ("", "an app without a name"),
        ] {
            assert_eq!(shown_name(name), shown, "{name:?}");
        }
        assert_eq!(
            shown_name(&"W".repeat(200)).chars().count(),
            NAME_LENGTH + 1
        );
    }

    #[test]
    fn an_unknown_scope_is_shown_by_its_name() {
        assert_eq!(scope_words("mcp:tools:execute"), "Run tools on your behalf");
        assert_eq!(
            scope_words("files:admin"),
            "Do what this server calls “files:admin”"
        );
    }
}
