//! The parts of anteroom in a server of the program's own: a website, and behind the gate a handler that speaks MCP by
//! hand, with the caller as an argument.
//!
//! `cargo run --example axum_server` has people from a stand-in for GitHub; `cargo run --example axum_server providers.toml`
//! signs in where the file says.

use std::error::Error;
use std::net::SocketAddr;

use anteroom::command::stand_in;
use anteroom::standin::Standin;
use anteroom::{App, Backend, Config, Environment, Principal};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A server with one tool, which says who calls. One that does more is better written with rmcp.
async fn mcp(caller: Principal, Json(message): Json<Value>) -> Response {
    let Some(id) = message.get("id") else {
        // a notification
        return StatusCode::ACCEPTED.into_response();
    };
    let (method, params) = (message["method"].as_str(), &message["params"]);
    let result = match (method.unwrap_or_default(), params["name"].as_str()) {
        ("initialize", _) => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "axum_server", "version": "1" },
        }),
        ("ping", _) => json!({}),
        ("tools/list", _) => json!({ "tools": [{
            "name": "whoami",
            "description": "Who calls",
            "inputSchema": { "type": "object" },
        }] }),
        ("tools/call", Some("whoami")) => {
            json!({ "content": [{ "type": "text", "text": caller.identity().subject.as_str() }] })
        }
        _ => {
            let error = json!({ "code": -32601, "message": "there is no such method, or tool" });
            return Json(json!({ "jsonrpc": "2.0", "id": id, "error": error })).into_response();
        }
    };
    Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // people of its own only where no file says where they sign in
    let standin;
    let mut config = if let Some(file) = std::env::args().nth(1) {
        anteroom::config::load(Some(file.as_ref()), &Environment::of_process())?.config
    } else {
        standin = Standin::start(([127, 0, 0, 1], 0).into()).await?;
        let listen = ([127, 0, 0, 1], 8080).into();
        Config::dev(listen, stand_in(&standin)?, Backend::Here)
    };
    config.servers[0].backend = Backend::Here;

    let app = App::new(&config).await?;
    let path = &config.servers[0].path;
    // where clients look for it: below the path of the public URL, if that has one
    let route = format!("{}{path}", config.public_url.path());
    let behind_the_gate = Router::new()
        .route(&route, post(mcp))
        .layer(app.layer(path)?);
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
