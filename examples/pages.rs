//! Every page that people see, with made-up words, as one JSON document: path -> status, headers and body.
//! `tests/e2e/pages.test.mjs` shows them to a browser.

#[path = "../tests/it/samples.rs"]
mod samples;

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};

use anteroom::endpoint::page::asset::{icon, icon_path, style, style_path};
use axum::body::to_bytes;
use axum::response::Response;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut answers = BTreeMap::new();
    for (name, page) in samples::pages() {
        answers.insert(format!("/{name}"), answer(page).await?);
    }
    answers.insert(style_path().to_owned(), answer(style().await).await?);
    answers.insert(icon_path().to_owned(), answer(icon().await).await?);
    serde_json::to_writer(stdout(), &answers)?;
    stdout().flush()?;
    Ok(())
}

async fn answer(response: Response) -> anyhow::Result<Value> {
    let (parts, body) = response.into_parts();
    let headers: BTreeMap<_, _> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let body = to_bytes(body, usize::MAX).await?;
    Ok(json!({
        "status": parts.status.as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    }))
}
