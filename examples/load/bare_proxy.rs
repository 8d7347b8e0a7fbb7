//! What a proxied call is compared with: the least that a proxy of the same kind can be, without any authorization.

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, Version, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

/// Hands everything on to `backend` until the process is ended; writes its port.
pub(crate) async fn serve(backend: &str) -> Result<()> {
    let backend: Uri = backend.parse().context("a URL of a backend")?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let app = Router::new().fallback(pass).with_state((client, backend));
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}

async fn pass(
    State((client, backend)): State<(Client<HttpConnector, Body>, Uri)>,
    mut request: Request,
) -> Response {
    *request.uri_mut() = backend;
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().remove(header::HOST);
    match client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
