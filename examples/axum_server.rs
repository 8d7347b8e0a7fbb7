//! The parts of anteroom in an axum server of one's own: a website, and behind the gate a handler that speaks JSON-RPC by
//! hand, with the caller as an argument.
//!
//! `cargo run --example axum_server` has people from a stand-in for GitHub; `cargo run --example axum_server providers.toml`
//! signs in where the file says.

use std::error::Error;
use std::net::SocketAddr;

use anteroom::command::stand_in;
use anteroom::standin::Standin;
use anteroom::{App, Backend, Config, Environment, Principal};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Answers any request with who sent it. A server that does more is better written with rmcp.
async fn mcp(caller: Principal, Json(message): Json<Value>) -> Json<Value> {
    let text = format!("{} calls {}", caller.identity().subject, message["method"]);
    let result = json!({ "content": [{ "type": "text", "text": text }] });
    Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let standin = Standin::start(([127, 0, 0, 1], 0).into()).await?;
    let mut config = match std::env::args().nth(1) {
        Some(file) => {
            anteroom::config::load(Some(file.as_ref()), &Environment::of_process())?.config
        }
        None => Config::dev(
            ([127, 0, 0, 1], 8080).into(),
            stand_in(&standin)?,
            Backend::Here,
        ),
    };
    config.servers[0].backend = Backend::Here;

    let app = App::new(&config).await?;
    let path = &config.servers[0].path;
    let behind_the_gate = Router::new().route(path, post(mcp)).layer(app.layer(path)?);
    let router = Router::new()
        .route("/", get("The website of this program"))
        .merge(behind_the_gate)
        .merge(app.authorization_router());

    let background = app.background();
    let listener = TcpListener::bind(config.listen).await?;
    println!("connector: {}", config.public_url.resource(path));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async move {
            drop(tokio::signal::ctrl_c().await);
            app.stop();
        })
        .await?;
    background.finish().await;
    Ok(())
}
