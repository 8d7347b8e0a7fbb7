//! The sample server as somebody's child: over stdin and stdout, and told in its environment whose child it is.

use std::error::Error;
use std::sync::Arc;

use rmcp::ServiceExt as _;
use rmcp::transport::io::stdio_pipes;

use super::Sample;
use super::person::Person;

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
