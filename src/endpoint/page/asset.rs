//! The files that pages load: from us alone, and kept for ever, since each is named by its content.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use sha2::{Digest, Sha256};

use super::PAGE_POLICY;

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

const STYLE: &str = include_str!("../../../templates/style.css");
const ICON: &str = include_str!("../../../templates/icon.svg");
