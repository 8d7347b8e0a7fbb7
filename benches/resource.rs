//! What the gate costs: a call with a token seen before, beside the same call without a gate, and the parser alone.

#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot be set up has nothing to measure"
)]

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anteroom::clock::{Clock, SystemClock, UnixTime};
use anteroom::protocol::claims::AccessClaims;
use anteroom::protocol::identity::Identity;
use anteroom::protocol::ids::{ClientId, Id, Subject};
use anteroom::protocol::method_pattern::MethodPattern;
use anteroom::protocol::principal::Standing;
use anteroom::protocol::scope::{Scope, ScopeSet};
use anteroom::resource::gate::{Gate, GateSettings};
use anteroom::resource::layer::{Bearer, BearerLayer};
use anteroom::resource::mcp_session::SESSION_ID;
use anteroom::resource::scope_policy::ScopePolicy;
use anteroom::resource::token_cache::TokenDigest;
use anteroom::resource::{Sessions, TokenFault, TokenVerifier, Unavailable, message};
use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use divan::Bencher;
use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service, service_fn};

fn main() {
    divan::main();
}

const LEGACY: &str = r#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"add","arguments":{"a":40.5,"b":1.5},"_meta":{"progressToken":17}}}"#;

const MODERN: &str = r#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"add","arguments":{"a":40.5,"b":1.5},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;

const LIST: &str = r#"{"jsonrpc":"2.0","id":17,"method":"tools/list","params":{}}"#;

/// What most tokens have: everything but the tools for administrators.
const USUAL: &str =
    "mcp:prompts:list mcp:prompts:read mcp:resources:list mcp:tools:execute mcp:tools:read";

/// Everything.
const EVERYTHING: &str = "files:admin mcp:prompts:list mcp:prompts:read mcp:resources:list mcp:tools:execute mcp:tools:read";

/// Everybody is who the bench says, with these scopes.
struct Everybody(Arc<Standing>, &'static str);

#[async_trait]
impl Sessions for Everybody {
    async fn standing(&self, _: Id) -> Result<Option<Arc<Standing>>, Unavailable> {
        Ok(Some(Arc::clone(&self.0)))
    }
}

impl TokenVerifier for Everybody {
    fn verify(&self, _: &str, audience: &str, now: UnixTime) -> Result<AccessClaims, TokenFault> {
        Ok(AccessClaims {
            iss: "https://mcp.example.com".to_owned(),
            sub: self.0.identity.subject.clone(),
            aud: audience.to_owned(),
            client_id: ClientId::new("https://client.example/id"),
            iat: now,
            exp: now + Duration::from_secs(3600),
            jti: self.0.session.to_string(),
            scope: self.1.to_owned(),
            sid: self.0.session.to_string(),
        })
    }
}

async fn server(_: Request) -> Result<Response, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// A server with a hundred tools, as large as tools are, of which ten are for administrators.
async fn listing_server(_: Request) -> Result<Response, Infallible> {
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Body::from(TOOLS.as_str())).unwrap())
}

static TOOLS: LazyLock<String> = LazyLock::new(|| {
    let tool = |at: usize| {
        let kind = if at.is_multiple_of(10) {
            "delete"
        } else {
            "read"
        };
        format!(
            r#"{{"name":"{kind}_{at}","title":"A tool","description":"{}","inputSchema":{{"type":"object","properties":{{"path":{{"type":"string","description":"{}"}}}},"required":["path"]}}}}"#,
            "What it is good for. ".repeat(10),
            "Which file. ".repeat(5),
        )
    };
    let tools: Vec<_> = (0..100).map(tool).collect();
    format!(
        r#"{{"jsonrpc":"2.0","id":17,"result":{{"tools":[{}]}}}}"#,
        tools.join(",")
    )
});

fn gate() -> Gate {
    gate_for(USUAL)
}

fn gate_for(held: &'static str) -> Gate {
    let identity = Identity {
        subject: Subject::new("github:583231"),
        login: None,
        name: None,
        verified_email: None,
    };
    let standing = Arc::new(Standing::new(
        Id::new(SystemClock.now()),
        ClientId::new("client"),
        identity,
    ));
    let everybody = Arc::new(Everybody(standing, held));
    let pattern = |method: &str, name: Option<&str>| MethodPattern {
        method: method.to_owned(),
        name: name.map(str::to_owned),
    };
    let scopes = [
        ("mcp:tools:read", vec![pattern("tools/list", None)]),
        ("mcp:tools:execute", vec![pattern("tools/call", None)]),
        ("files:admin", vec![pattern("tools/call", Some("delete_*"))]),
    ];
    let scopes = scopes.map(|(scope, patterns)| (Scope::parse(scope).unwrap(), patterns));
    Gate::new(GateSettings {
        verifier: Arc::clone(&everybody) as Arc<dyn TokenVerifier>,
        sessions: everybody,
        clock: Arc::new(SystemClock),
        policy: ScopePolicy::new(scopes.to_vec(), ScopeSet::default()),
        resource: "https://mcp.example.com/mcp".to_owned(),
        metadata_url: "https://mcp.example.com/.well-known/oauth-protected-resource/mcp".to_owned(),
        hosts: vec!["mcp.example.com".to_owned()],
        origins: vec!["https://mcp.example.com".to_owned()],
        session_key: [7; 32],
    })
    .unwrap()
}

/// As long as an ES256 token of ours.
fn token() -> String {
    format!("{}.{}.{}", "h".repeat(86), "c".repeat(420), "s".repeat(86))
}

fn request(token: &str, body: &'static str) -> Request {
    Request::post("/mcp")
        .header("host", "mcp.example.com")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .header("accept", "application/json, text/event-stream")
        .header("user-agent", "bench")
        .body(Body::from(body))
        .unwrap()
}

fn modern_request(token: &str) -> Request {
    let mut request = request(token, MODERN);
    for (name, value) in [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "add"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// One call, polled by hand, so that no scheduler is measured.
fn call<S>(service: &mut S, request: Request) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let Ok(response) = service.call(request).now_or_never().unwrap();
    response
}

/// Measures calls of `service`, with the making of each request: it lies in the cache then, as it does when a server has
/// just read it. What the gate costs is the difference to `bare_service`. The first call makes the token known.
fn measure<S>(bencher: Bencher<'_, '_>, service: &mut S, make: impl Fn() -> Request)
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    assert_eq!(call(service, make()).status(), 200);
    bencher.bench_local(|| call(service, make()));
}

#[divan::bench(sample_size = 1000)]
fn bare_service(bencher: Bencher<'_, '_>) {
    let token = token();
    measure(bencher, &mut service_fn(server), || request(&token, LEGACY));
}

#[divan::bench(sample_size = 1000)]
fn gate_older_revision(bencher: Bencher<'_, '_>) {
    let token = token();
    let mut gated = BearerLayer::new(Arc::new(gate())).layer(service_fn(server));
    measure(bencher, &mut gated, || request(&token, LEGACY));
}

#[divan::bench(sample_size = 1000)]
fn gate_older_revision_with_session(bencher: Bencher<'_, '_>) {
    let token = token();
    let open = service_fn(|_: Request| async {
        let mut response = Response::new(Body::empty());
        response
            .headers_mut()
            .insert(SESSION_ID, "0123456789abcdef".parse().unwrap());
        Ok::<_, Infallible>(response)
    });
    let gate = Arc::new(gate());
    let mut opener = BearerLayer::new(Arc::clone(&gate)).layer(open);
    let session = call(&mut opener, request(&token, LEGACY)).headers()[SESSION_ID].clone();
    let mut gated: Bearer<_> = BearerLayer::new(gate).layer(service_fn(server));
    measure(bencher, &mut gated, || {
        let mut request = request(&token, LEGACY);
        request.headers_mut().insert(SESSION_ID, session.clone());
        request
    });
}

#[divan::bench(sample_size = 1000)]
fn gate_2026_07_28(bencher: Bencher<'_, '_>) {
    let token = token();
    let mut gated = BearerLayer::new(Arc::new(gate())).layer(service_fn(server));
    measure(bencher, &mut gated, || modern_request(&token));
}

/// A list of which everything is open to the token: the gate does not look at the answer.
/// A list has to come in time, and that is told by a runtime.
fn timers() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

#[divan::bench(sample_size = 100)]
fn list_of_100_tools_open(bencher: Bencher<'_, '_>) {
    let clock = timers();
    let _in = clock.enter();
    let token = token();
    let gate = Arc::new(gate_for(EVERYTHING));
    let mut gated = BearerLayer::new(gate).layer(service_fn(listing_server));
    measure(bencher, &mut gated, || request(&token, LIST));
}

/// The same list, read and written anew without ten tools: 45 kB.
#[divan::bench(sample_size = 100)]
fn list_of_100_tools_filtered(bencher: Bencher<'_, '_>) {
    let clock = timers();
    let _in = clock.enter();
    let token = token();
    let mut gated = BearerLayer::new(Arc::new(gate())).layer(service_fn(listing_server));
    measure(bencher, &mut gated, || request(&token, LIST));
}

#[divan::bench]
fn parse_older_revision() -> bool {
    message::parse(divan::black_box(LEGACY.as_bytes())).is_ok()
}

#[divan::bench]
fn parse_2026_07_28() -> bool {
    message::parse(divan::black_box(MODERN.as_bytes())).is_ok()
}

/// What it would cost to build values of everything.
#[divan::bench]
fn parse_2026_07_28_into_values() -> bool {
    serde_json::from_slice::<serde_json::Value>(divan::black_box(MODERN.as_bytes())).is_ok()
}

#[divan::bench(sample_size = 1000)]
fn digest_of_a_token(bencher: Bencher<'_, '_>) {
    let token = token();
    bencher.bench_local(|| TokenDigest::of(divan::black_box(token.as_bytes())));
}
