//! The whole application on a socket, in the process of the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::sync::Arc;

use anteroom::app::{App, AppError, listen};
use anteroom::clock::Clock;
use anteroom::config::Backend;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use super::backend::Wire;
use super::server::{Server, server};

/// The host that requests are for, wherever it listens.
pub(crate) const HOST: &str = "mcp.example.com";

/// A server that listens before a backend, and somebody's token for it.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) serving: JoinHandle<Result<(), AppError>>,
    stop: Option<oneshot::Sender<()>>,
    _server: Server,
}

impl Listening {
    /// Before the path `/inner` at `backend`.
    pub(crate) async fn before(backend: SocketAddr) -> Self {
        let url = Url::parse(&format!("http://{backend}/inner")).unwrap();
        Self::with(Backend::Http(url)).await
    }

    /// Before any backend.
    pub(crate) async fn with(backend: Backend) -> Self {
        let server = server()
            .configure(|config| config.servers[0].backend = backend)
            .start()
            .await;
        let token = server.client().await.sign_in("mona").await.access;
        let clock = Arc::clone(&server.world.clock) as Arc<dyn Clock>;
        let app = App::with(&server.world.config, server.world.storage(), clock).await;
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = app.unwrap().serve(listener, async {
            // what arrives is only ever the word, or the end of the test
            let _ = stopped.await;
        });
        Self {
            address,
            token,
            serving: tokio::spawn(serving),
            stop: Some(stop),
            _server: server,
        }
    }

    /// Says that it is to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// A new connection, with a request on it: its first line, headers beside host and token, and body.
    pub(crate) async fn ask(&self, line: &str, headers: &str, body: &str) -> Wire {
        let mut wire = Wire::connect(self.address).await;
        let (token, length) = (&self.token, body.len());
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("content-type: application/json\r\ncontent-length: {length}\r\n")
        };
        wire.write(&format!(
            "{line}\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\
             accept: application/json, text/event-stream\r\n{length}{headers}\r\n{body}"
        ))
        .await;
        wire
    }

    /// A POST to the MCP path.
    pub(crate) async fn post(&self, headers: &str, body: &str) -> Wire {
        self.ask("POST /mcp HTTP/1.1", headers, body).await
    }
}
