//! The bridge between MCP clients over HTTP and children on stdio, with children in the hands of the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod capable;
mod clients;
mod eras;
mod notices;
mod patience;
mod people;
mod questions;
mod sessions;
mod wire;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anteroom::backend::stdio::hub::Hub;
use anteroom::backend::stdio::{Lease, Lend, NoChild, service};
use anteroom::clock::UnixTime;
use anteroom::protocol::identity::Identity;
use anteroom::protocol::ids::{ClientId, Id, Subject};
use anteroom::protocol::principal::{Principal, Standing};
use anteroom::protocol::scope::ScopeSet;
use anteroom::resource::gate::JudgedBody;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::StatusCode;
use http_body_util::BodyExt as _;
use rmcp::model::ProtocolVersion;
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tower::ServiceExt as _;

use self::wire::Wire;
use crate::harness::patience::{PATIENCE, in_time};
use crate::harness::revision::{MODERN, meta};

/// A bridge, behind a gate that believes what it is told.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) lent: Arc<TestChildren>,
    wires: AsyncMutex<mpsc::UnboundedReceiver<Wire>>,
}

type Running = (RunningService<RoleClient, Hub>, Hub);

type Start = Box<dyn Fn(DuplexStream) + Send + Sync>;

/// Children in this process: one for all, or one for each person.
pub(crate) struct TestChildren {
    start: Start,
    is_shared: bool,
    lifecycle: ClientLifecycleMode,
    running: AsyncMutex<HashMap<String, Running>>,
    pub(crate) none: Mutex<Option<NoChild>>,
    /// Leases that are held.
    pub(crate) held: Arc<AtomicUsize>,
}

struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Lend for TestChildren {
    async fn lend(&self, principal: &Arc<Principal>) -> Result<Lease, NoChild> {
        if let Some(none) = self.none.lock().unwrap().clone() {
            return Err(none);
        }
        let whose = if self.is_shared {
            String::new()
        } else {
            principal.identity().subject.as_str().to_owned()
        };
        let mut running = self.running.lock().await;
        if running
            .get(&whose)
            .is_none_or(|(child, _)| child.peer().is_transport_closed())
        {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            (self.start)(theirs);
            let hub = if self.is_shared {
                Hub::default()
            } else {
                Hub::of_one_person()
            };
            let (read, write) = tokio::io::split(ours);
            let wire = AsyncRwTransport::new_client(read, write).with_max_line_length(1 << 28);
            let lifecycle = self.lifecycle.clone();
            let child = hub.clone().serve_with_lifecycle(hub.over(wire), lifecycle);
            running.insert(whose.clone(), (child.await.unwrap(), hub));
        }
        let (child, hub) = &running[&whose];
        self.held.fetch_add(1, Ordering::SeqCst);
        Ok(Lease {
            peer: child.peer().clone(),
            hub: hub.clone(),
            held: Box::new(Held(Arc::clone(&self.held))),
        })
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Whose {
    Everybody,
    OnePerson,
}

/// A child for one person, or for all, that the test plays in a revision.
pub(crate) fn played(whose: Whose, version: &'static str) -> World {
    let (to, wires) = mpsc::unbounded_channel();
    let start = move |stream| {
        let to = to.clone();
        tokio::spawn(async move {
            let mut wire = Wire::new(stream);
            wire.shake_hands(version).await;
            let _ = to.send(wire);
        });
    };
    world(
        whose,
        ClientLifecycleMode::Initialize,
        Box::new(start),
        wires,
    )
}

/// A child of one person that is a server of the library.
pub(crate) fn capable(lifecycle: ClientLifecycleMode) -> World {
    let (_, wires) = mpsc::unbounded_channel();
    let start = |stream| {
        tokio::spawn(async move {
            let server = rmcp::ServiceExt::serve(capable::Capable, stream);
            let _ = server.await.unwrap().waiting().await;
        });
    };
    world(Whose::OnePerson, lifecycle, Box::new(start), wires)
}

pub(crate) fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    }
}

fn world(
    whose: Whose,
    lifecycle: ClientLifecycleMode,
    start: Start,
    wires: mpsc::UnboundedReceiver<Wire>,
) -> World {
    let lent = Arc::new(TestChildren {
        start,
        is_shared: matches!(whose, Whose::Everybody),
        lifecycle,
        running: AsyncMutex::default(),
        none: Mutex::default(),
        held: Arc::default(),
    });
    let bridge = service(Arc::clone(&lent) as _, std::future::pending());
    let router = Router::new()
        .route_service("/mcp", bridge)
        .layer(from_fn(believe));
    World {
        router,
        lent,
        wires: AsyncMutex::new(wires),
    }
}

/// The person is who the header says, by way of the client behind an `@`.
async fn believe(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let person = parts.headers.get("x-person").map(|person| {
        let person = person.to_str().unwrap();
        principal(person)
    });
    parts
        .extensions
        .insert(person.unwrap_or_else(|| principal("mona")));
    let bytes = body.collect().await.unwrap().to_bytes();
    if parts.method == "POST" {
        parts.extensions.insert(JudgedBody(bytes.clone()));
    }
    if parts.headers.contains_key("x-no-gate") {
        parts.extensions.clear();
    }
    next.run(Request::from_parts(parts, Body::from(bytes)))
        .await
}

fn principal(person: &str) -> Arc<Principal> {
    let (person, client) = person.split_once('@').unwrap_or((person, "client"));
    let identity = Identity {
        subject: Subject::new(person),
        login: None,
        name: None,
        verified_email: None,
    };
    let client_id = ClientId::new(client);
    let standing = Standing::new(
        Id::new(UnixTime(1_795_219_200)),
        client_id.clone(),
        identity,
    );
    Arc::new(Principal {
        standing: Arc::new(standing),
        client_id,
        scopes: ScopeSet::default(),
    })
}

/// What comes back for a request, event by event.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    body: Body,
    seen: Vec<u8>,
}

impl Answer {
    /// The next message: of an event stream, or the whole of a JSON body; none at its end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, self.read()).await.unwrap()
    }

    async fn read(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.seen.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<_> = self.seen.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let data = event.lines().find_map(|line| line.strip_prefix("data:"));
                if let Some(message) = data.and_then(|data| serde_json::from_str(data).ok()) {
                    return Some(message);
                }
                continue;
            }
            let Some(frame) = self.body.frame().await else {
                let rest = std::mem::take(&mut self.seen);
                return serde_json::from_slice(&rest).ok();
            };
            self.seen.extend_from_slice(frame.unwrap().data_ref()?);
        }
    }

    /// The next message that has this method.
    pub(crate) async fn next_of(&mut self, method: &str) -> Value {
        loop {
            let message = self.next().await.unwrap();
            if message["method"] == method {
                return message;
            }
        }
    }

    /// The answer itself; what came before is given to the second.
    pub(crate) async fn last(mut self) -> (Value, Vec<Value>) {
        let mut before = Vec::new();
        while let Some(message) = self.next().await {
            if message.get("id").is_some() && message.get("method").is_none() {
                return (message, before);
            }
            before.push(message);
        }
        panic!("no answer after {before:?}");
    }
}

/// A client's session of the older revisions.
#[derive(Clone)]
pub(crate) struct Session {
    router: Router,
    pub(crate) person: &'static str,
    pub(crate) id: String,
}

impl World {
    /// A message of a person, with headers.
    pub(crate) async fn post(
        &self,
        person: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        post(&self.router, person, headers, body).await
    }

    /// The next child, once it has shaken hands.
    pub(crate) async fn child(&self) -> Wire {
        let mut wires = self.wires.lock().await;
        let wire = tokio::time::timeout(PATIENCE, wires.recv());
        wire.await.unwrap().unwrap()
    }

    pub(crate) async fn session(&self, person: &'static str) -> Session {
        self.session_with(person, "2025-11-25", &json!({})).await.0
    }

    pub(crate) async fn session_with(
        &self,
        person: &'static str,
        version: &str,
        capabilities: &Value,
    ) -> (Session, Value) {
        let params = json!({
            "protocolVersion": version, "capabilities": capabilities,
            "clientInfo": { "name": "raw", "version": "1" },
        });
        let answer = self.post(person, &[], &rpc(0, "initialize", &params)).await;
        assert_eq!(answer.status, StatusCode::OK);
        let id = answer.headers["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let (told, _) = answer.last().await;
        let router = self.router.clone();
        let session = Session { router, person, id };
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(session.post(&ready).await.status, StatusCode::ACCEPTED);
        (session, told)
    }

    /// A request of 2026-07-28, with members for its `_meta`.
    pub(crate) async fn modern(
        &self,
        person: &str,
        id: u32,
        method: &str,
        params: &Value,
    ) -> Answer {
        let mut params = params.clone();
        let mut meta = meta(MODERN);
        for (key, value) in params["_meta"].as_object().cloned().unwrap_or_default() {
            meta[key] = value;
        }
        params["_meta"] = meta;
        let name = params.get("name").or(params.get("uri")).cloned();
        let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
        if let Some(name) = name.as_ref().and_then(Value::as_str) {
            headers.push(("mcp-name", name));
        }
        self.post(person, &headers, &rpc(id, method, &params)).await
    }

    /// Waits until as many leases are held.
    pub(crate) async fn held(&self, expected: usize) {
        let wait = async {
            while self.lent.held.load(Ordering::SeqCst) != expected {
                tokio::task::yield_now().await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, wait).await.is_ok(),
            "{} are held, not {expected}",
            self.lent.held.load(Ordering::SeqCst)
        );
    }
}

impl Session {
    pub(crate) async fn post(&self, body: &Value) -> Answer {
        post(
            &self.router,
            self.person,
            &[("mcp-session-id", &self.id)],
            body,
        )
        .await
    }

    /// A request, whose answer is waited for elsewhere.
    pub(crate) async fn ask(&self, id: u32, method: &str, params: &Value) -> Answer {
        self.post(&rpc(id, method, params)).await
    }

    pub(crate) async fn cancel(&self, id: u32) {
        let params = json!({ "requestId": id, "reason": "enough" });
        let cancelled =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        assert_eq!(self.post(&cancelled).await.status, StatusCode::ACCEPTED);
    }

    /// The stream of what is said without being asked.
    pub(crate) async fn stream(&self) -> Answer {
        let request = Request::get("/mcp")
            .header("accept", "text/event-stream")
            .header("mcp-session-id", &self.id)
            .header("x-person", self.person);
        send(&self.router, request.body(Body::empty()).unwrap()).await
    }
}

async fn post(router: &Router, person: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut request = Request::post("/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("x-person", person);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::from(body.to_string());
    send(router, request.body(body).unwrap()).await
}

async fn send(router: &Router, mut request: Request) -> Answer {
    request
        .headers_mut()
        .insert("host", "localhost".parse().unwrap());
    let response = in_time("an answer", router.clone().oneshot(request)).await;
    let (parts, body) = response.unwrap().into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
        seen: Vec::new(),
    }
}

pub(crate) fn rpc(id: u32, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A call of a tool.
pub(crate) fn tool(name: &str) -> Value {
    json!({ "name": name, "arguments": {} })
}

/// What a tool answers.
pub(crate) fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}
