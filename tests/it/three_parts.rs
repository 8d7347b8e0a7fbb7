//! Three parts as three processes: a reverse proxy at the public address, anteroom behind it, and the MCP server behind
//! that, which knows of sign-in what the headers say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Standin};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reqwest::header::AUTHORIZATION;
use rmcp::RoleClient;
use rmcp::model::CallToolRequestParams;
use rmcp::service::RunningService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use crate::harness::client::message;
use crate::harness::process::{Cookies, Http, Place, Process, free_port};
use crate::harness::visitor::{connect, sign_in};

/// The paths that anteroom has to get, with all that lies below them: the MCP server, which it guards, is one. All others
/// are the website's.
const ANTEROOMS: [&str; 15] = [
    "/mcp",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
    "/register",
    "/authorize",
    "/par",
    "/consent",
    "/callback",
    "/token",
    "/revoke",
    "/introspect",
    "/account",
    "/assets",
    "/logo",
];

/// The reverse proxy: what it knows of the places behind it.
struct Public {
    client: Client<HttpConnector, Body>,
    anteroom: SocketAddr,
    /// Where everything goes that is not anteroom's; none: everything is.
    website: Option<SocketAddr>,
}

impl Public {
    fn target(&self, path: &str) -> SocketAddr {
        let is_anterooms = ANTEROOMS.iter().any(|ours| {
            let rest = path.strip_prefix(ours);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        match self.website {
            Some(website) if !is_anterooms => website,
            _ => self.anteroom,
        }
    }
}

/// Passes a request on as it is, with `Host` as the client sent it, and says who sent it.
async fn pass(
    State(public): State<Arc<Public>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Response {
    let target = public.target(request.uri().path());
    let path = request.uri().path_and_query().unwrap();
    let uri: Uri = format!("http://{target}{path}").parse().unwrap();
    *request.uri_mut() = uri;
    let forwarded = HeaderValue::from_str(&peer.ip().to_string()).unwrap();
    request.headers_mut().append("x-forwarded-for", forwarded);
    match public.client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// All three, and the provider.
struct Parts {
    place: Place,
    anteroom: SocketAddr,
    _processes: [Process; 2],
    _standin: Standin,
}

impl Parts {
    /// Started from the back to the front.
    async fn start(limits: &str, website: Option<SocketAddr>) -> Self {
        let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (sample, backend) = waiting(sample).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = listener.local_addr().unwrap().port();
        let anteroom = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = format!(
            r#"
public_url = "http://localhost:{public}"
listen = "{anteroom}"
backend = "{backend}"
proxy.trusted = ["127.0.0.1/32"]
[provider.github]
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
base_url = "{provider}"
api_url = "{provider}/api"
allow.anyone = true
[limits]
{limits}
"#,
            provider = standin.base_url(),
        );
        let place = Place::configured(format!("http://localhost:{public}"), &file);
        let mut process = place.start("info");
        let (process, serves) = waiting(move || {
            let serves = process.wait_until_it_serves();
            (process, serves)
        })
        .await;
        assert!(serves, "{}", place.logged());
        let public = Public {
            client: Client::builder(TokioExecutor::new()).build_http(),
            anteroom,
            website,
        };
        let router = Router::new().fallback(pass).with_state(Arc::new(public));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, service).into_future());
        Self {
            place,
            anteroom,
            _processes: [sample, process],
            _standin: standin,
        }
    }

    /// A person who has signed in at the public address, and the client there.
    async fn connect(&self, login: &str) -> RunningService<RoleClient, ()> {
        let token = sign_in(&self.place.base, login).await;
        connect(&format!("{}/mcp", self.place.base), &token).await
    }
}

/// Waits for a process on a thread of its own.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// `anteroom sample`, and where it listens.
fn sample() -> (Process, Url) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command
        .args(["sample", "--listen", "127.0.0.1:0"])
        .env_clear()
        .stderr(Stdio::null());
    let mut process = Process::start(command);
    let said = process.wait_until_it_says("listens on ").unwrap();
    let (_, rest) = said.split_once("listens on ").unwrap();
    let (url, _) = rest.split_once(',').unwrap();
    (process, url.parse().unwrap())
}

async fn whoami(client: &RunningService<RoleClient, ()>) -> Value {
    let called = client.call_tool(CallToolRequestParams::new("whoami")).await;
    called.unwrap().structured_content.unwrap()
}

/// RS-13, DISC-13
#[tokio::test]
async fn whoever_signs_in_at_the_public_address_is_known_to_the_server_behind_both() {
    let parts = Parts::start("", None).await;
    for (login, name) in [("mona", "Mona Lísa"), ("octavia", "Octavia Ångström")] {
        let client = parts.connect(login).await;
        assert_eq!(client.list_all_tools().await.unwrap().len(), 12);
        let told = whoami(&client).await;
        assert_eq!(told["login"], login, "{told}");
        assert_eq!(told["name"], name, "{told}");
        assert!(
            told["subject"].as_str().unwrap().starts_with("github:"),
            "{told}"
        );
        let add = json!({ "a": 2, "b": 3 }).as_object().cloned().unwrap();
        let add = CallToolRequestParams::new("add").with_arguments(add);
        let sum = client.call_tool(add).await.unwrap();
        assert_eq!(sum.content[0].as_text().unwrap().text, "5");
        client.cancel().await.unwrap();
    }
    // a stranger is told where to sign in, at the public address
    let url = format!("{}/mcp", parts.place.base);
    let list = message("tools/list", &json!({}));
    let refused = Http::new().call(&url, "a.b.c", &list).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let metadata = format!(
        "{}/.well-known/oauth-protected-resource/mcp",
        parts.place.base
    );
    let metadata = Http::new().get(&metadata, &Cookies::default()).await;
    assert_eq!(metadata.unwrap().text("resource"), url);
}

/// SEC-06, P12
#[tokio::test]
async fn limits_count_people_and_not_the_proxy() {
    let parts = Parts::start("register = \"1/h\"", None).await;
    let metadata = json!({ "redirect_uris": ["http://127.0.0.1:7/back"], "token_endpoint_auth_method": "none" });
    let register = async |from: u8, base: &str, forwarded: &str| {
        let http = Http::from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, from)));
        let url = format!("{base}/register");
        let answer = http.post_json(&url, forwarded, &metadata).await;
        answer.unwrap().status.as_u16()
    };
    let base = &parts.place.base.replace("localhost", "127.0.0.1");
    assert_eq!(register(2, base, "").await, 201);
    assert_eq!(register(2, base, "").await, 429);
    assert_eq!(register(3, base, "").await, 201);
    // what the client claims to have been forwarded stands left of what the proxy says
    assert_eq!(register(2, base, "198.51.100.1").await, 429);
    // who goes past the proxy is believed nothing
    let past = &format!("http://{}", parts.anteroom);
    assert_eq!(register(4, past, "198.51.100.2").await, 201);
    assert_eq!(register(4, past, "198.51.100.3").await, 429);
}

/// A website beside anteroom at the same public address; it notes what it is asked for.
async fn website() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = async |request: Request| {
        let is_told = request.headers().contains_key(AUTHORIZATION);
        format!("the website's {} {is_told}", request.uri().path())
    };
    tokio::spawn(axum::serve(listener, Router::new().fallback(page)).into_future());
    address
}

#[tokio::test]
async fn beside_a_website_anteroom_needs_these_paths_and_no_other() {
    let parts = Parts::start("", Some(website().await)).await;
    let client = parts.connect("mona").await;
    assert_eq!(whoami(&client).await["login"], "mona");
    client.cancel().await.unwrap();
    let http = Http::new();
    for (path, is_anterooms) in [
        ("/", false),
        ("/mcpx", false),
        ("/.well-known/security.txt", false),
        ("/account", true),
        ("/.well-known/jwks.json", true),
        ("/.well-known/oauth-protected-resource", true),
        ("/assets/style.css", true),
    ] {
        let url = format!("{}{path}", parts.place.base);
        let answer = http.get(&url, &Cookies::default()).await.unwrap();
        let is_websites = answer.body == format!("the website's {path} false");
        assert_eq!(is_websites, !is_anterooms, "{path}: {answer:?}");
    }
}
