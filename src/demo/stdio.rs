//! The sample server as somebody's child: over stdin and stdout, and told in its environment whose child it is.

use std::error::Error;
use std::sync::Arc;

use rmcp::ServiceExt as _;
use rmcp::model::{CallToolResult, ContentBlock};
use rmcp::transport::io::stdio_pipes;
use serde_json::{Map, Value};

use super::Sample;

/// Answers until stdin is closed, or `shutdown` is over.
///
/// # Errors
/// Where whoever is at the other end does not speak MCP.
pub async fn serve(shutdown: impl Future<Output = ()>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut sample = Sample::new(Vec::new());
    sample.person = Person::of_process().map(Arc::new);
    let served = async {
        sample.serve(stdio_pipes()).await?.waiting().await?;
        Ok(())
    };
    tokio::select! {
        served = served => served,
        () = shutdown => Ok(()),
    }
}

/// The person that a child was told of, as it was told.
pub(super) struct Person(Vec<(&'static str, String)>);

impl Person {
    fn of_process() -> Option<Self> {
        let told = TOLD.into_iter().filter_map(|(name, variable)| {
            #[expect(
                clippy::disallowed_methods,
                reason = "these are no settings: they tell a child whose child it is"
            )]
            let value = std::env::var(variable).ok()?;
            Some((name, value))
        });
        let told: Vec<_> = told.collect();
        let is_known = told.iter().any(|(name, _)| *name == "subject");
        is_known.then_some(Self(told))
    }

    /// The answer to `whoami`.
    pub(super) fn tell(&self) -> CallToolResult {
        let lines = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut told: Map<_, _> = self
            .0
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        told.insert("signed_in".to_owned(), Value::Bool(true));
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        result.structured_content = Some(Value::Object(told));
        result
    }
}

const TOLD: [(&str, &str); 4] = [
    ("subject", "ANTEROOM_USER"),
    ("login", "ANTEROOM_LOGIN"),
    ("name", "ANTEROOM_NAME"),
    ("verified_email", "ANTEROOM_EMAIL"),
];
