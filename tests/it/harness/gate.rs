//! A gate in the hands of a test, with sessions, a clock and tokens of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::clock::{Clock, ManualClock, UnixTime};
use anteroom::protocol::claims::AccessClaims;
use anteroom::protocol::identity::Identity;
use anteroom::protocol::ids::{ClientId, Id, Subject};
use anteroom::protocol::method_pattern::MethodPattern;
use anteroom::protocol::principal::{Principal, Standing};
use anteroom::protocol::scope::{Scope, ScopeSet};
use anteroom::resource::gate::{Gate, GateSettings};
use anteroom::resource::layer::BearerLayer;
use anteroom::resource::scope_policy::ScopePolicy;
use anteroom::resource::{Sessions, TokenFault, TokenVerifier, Unavailable};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::{Service, ServiceExt as _, service_fn};

use super::patience::in_time;

pub(crate) const HOST: &str = "mcp.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const METADATA: &str =
    "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
pub(crate) const NOW: UnixTime = UnixTime(1_795_219_200);

/// How often an open stream looks at its session.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Everything a gate needs, in the hands of a test.
pub(crate) struct World {
    pub(crate) sessions: Arc<TestSessions>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) verified: Arc<AtomicUsize>,
    settings: Option<GateSettings>,
}

#[derive(Default)]
pub(crate) struct TestSessions {
    pub(crate) standing: Mutex<HashMap<Id, Arc<Standing>>>,
    pub(crate) is_down: AtomicBool,
    pub(crate) asked: AtomicUsize,
}

#[async_trait]
impl Sessions for TestSessions {
    async fn standing(&self, session: Id) -> Result<Option<Arc<Standing>>, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Unavailable);
        }
        Ok(self.standing.lock().unwrap().get(&session).cloned())
    }
}

/// Takes `x.<claims>.good` for a signed token.
struct TestVerifier(Arc<AtomicUsize>);

impl TokenVerifier for TestVerifier {
    fn verify(
        &self,
        token: &str,
        audience: &str,
        now: UnixTime,
    ) -> Result<AccessClaims, TokenFault> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let parts: Vec<_> = token.split('.').collect();
        if parts[2] != "good" {
            return Err(TokenFault::BadSignature);
        }
        let claims = URL_SAFE_NO_PAD
            .decode(parts[1])
            .map_err(|_| TokenFault::Malformed)?;
        let claims: AccessClaims =
            serde_json::from_slice(&claims).map_err(|_| TokenFault::Malformed)?;
        match claims {
            claims if claims.aud != audience => Err(TokenFault::WrongAudience),
            claims if claims.exp <= now => Err(TokenFault::Expired),
            claims => Ok(claims),
        }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let sessions = Arc::new(TestSessions::default());
        let clock = Arc::new(ManualClock::at(NOW));
        let verified = Arc::new(AtomicUsize::new(0));
        let scopes = [
            ("tools:list", &["tools/list"][..]),
            ("tools:call", &["tools/call"]),
            ("admin", &["tools/call:delete_*"]),
            ("resources", &["resources/read", "resources/subscribe"]),
            (
                "vault",
                &[
                    "resources/read:config://vault",
                    "resources/subscribe:config://vault",
                ],
            ),
            ("prompts", &["prompts/get", "completion/complete"]),
        ];
        let scopes = scopes.iter().map(|(scope, patterns)| {
            (
                Scope::parse(scope).unwrap(),
                patterns.iter().map(|text| pattern(text)).collect(),
            )
        });
        let default = ScopeSet::parse("tools:list tools:call resources prompts").unwrap();
        let settings = GateSettings {
            verifier: Arc::new(TestVerifier(Arc::clone(&verified))),
            sessions: Arc::clone(&sessions) as Arc<dyn Sessions>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            policy: ScopePolicy::new(scopes.collect(), default),
            resource: RESOURCE.to_owned(),
            metadata_url: METADATA.to_owned(),
            hosts: vec![HOST.to_owned()],
            origins: vec![
                "https://mcp.example.com".to_owned(),
                "http://localhost:6274".to_owned(),
            ],
            session_key: [7; 32],
        };
        Self {
            sessions,
            clock,
            verified,
            settings: Some(settings),
        }
    }

    pub(crate) fn allow_host(&mut self, host: String) {
        self.settings.as_mut().unwrap().hosts.push(host);
    }

    /// The same with other scopes, each with what it opens; the first is challenged for.
    pub(crate) fn with_policy(mut self, scopes: &[(&str, &[&str])]) -> Self {
        let default = ScopeSet::parse(scopes[0].0).unwrap();
        let scopes = scopes.iter().map(|(scope, patterns)| {
            let patterns = patterns.iter().map(|text| pattern(text)).collect();
            (Scope::parse(scope).unwrap(), patterns)
        });
        let policy = ScopePolicy::new(scopes.collect(), default);
        self.settings.as_mut().unwrap().policy = policy;
        self
    }

    /// A good token of a person from whom some scopes are withheld.
    pub(crate) fn token_without(&self, scopes: &str, withheld: &str) -> String {
        let claims = self.claims("github:1", "c", scopes);
        let mut sessions = self.sessions.standing.lock().unwrap();
        let session = Id::parse(&claims.sid).unwrap();
        let identity = sessions[&session].identity.clone();
        let mut standing = Standing::new(session, ClientId::new("client"), identity);
        standing.withheld = ScopeSet::parse(withheld).unwrap();
        sessions.insert(session, Arc::new(standing));
        signed(&claims)
    }

    pub(crate) fn gate(&mut self) -> Gate {
        Gate::new(self.settings.take().unwrap()).unwrap()
    }

    /// The gate before a service.
    pub(crate) fn before<S>(&mut self, server: S) -> Router
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send,
    {
        let gate = self.gate().with_look_again(LOOK_AGAIN);
        let layer = BearerLayer::new(Arc::new(gate));
        Router::new().route("/mcp", axum::routing::any_service(server).layer(layer))
    }

    /// The gate before a server that tells what reached it.
    pub(crate) fn echo(&mut self) -> Router {
        self.before(service_fn(echo))
    }

    /// The claims of a good token: with a session of its own.
    pub(crate) fn claims(&self, person: &str, client: &str, scopes: &str) -> AccessClaims {
        let session = Id::new(NOW);
        let identity = Identity {
            subject: Subject::new(person),
            login: Some("octocat".to_owned()),
            name: Some("Zoë\r\nX-Anteroom-User: root 100%".to_owned()),
            verified_email: None,
        };
        let standing = Arc::new(Standing::new(session, ClientId::new("client"), identity));
        self.sessions
            .standing
            .lock()
            .unwrap()
            .insert(session, standing);
        AccessClaims {
            iss: "https://mcp.example.com".to_owned(),
            sub: Subject::new(person),
            aud: RESOURCE.to_owned(),
            client_id: ClientId::new(client),
            iat: NOW,
            exp: NOW + Duration::from_secs(3600),
            jti: session.to_string(),
            scope: scopes.to_owned(),
            sid: session.to_string(),
        }
    }

    pub(crate) fn token(&self, person: &str, client: &str, scopes: &str) -> String {
        signed(&self.claims(person, client, scopes))
    }

    pub(crate) fn end_all(&self) {
        self.sessions
            .standing
            .lock()
            .unwrap()
            .drain()
            .for_each(|(_, standing)| standing.end());
    }
}

pub(crate) fn pattern(text: &str) -> MethodPattern {
    let (method, name) = text
        .split_once(':')
        .map_or((text, None), |(method, name)| (method, Some(name)));
    MethodPattern {
        method: method.to_owned(),
        name: name.map(str::to_owned),
    }
}

pub(crate) fn signed(claims: &AccessClaims) -> String {
    format!(
        "x.{}.good",
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap())
    )
}

/// Tells what reached the server; answers with its own session identifier if told to.
pub(crate) async fn echo(request: Request) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers: HashMap<_, _> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let told = json!({
        "method": parts.method.as_str(),
        "headers": headers,
        "body": String::from_utf8(body.to_vec()).unwrap(),
        "subject": parts.extensions.get::<Arc<Principal>>().unwrap().identity().subject,
    });
    let mut response = axum::Json(told).into_response();
    response
        .headers_mut()
        .insert("mcp-session-id", "inner-1".parse().unwrap());
    Ok(response)
}

/// A request as clients send it.
pub(crate) fn post(token: &str, body: &str) -> Request {
    Request::post("/mcp")
        .header("host", HOST)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .header("accept", "application/json, text/event-stream")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

pub(crate) fn bodiless(method: Method, token: &str) -> Request {
    let mut request = post(token, "");
    *request.method_mut() = method;
    request.headers_mut().remove("content-type");
    request.headers_mut().remove("content-length");
    request
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn challenge(&self) -> &str {
        self.headers["www-authenticate"].to_str().unwrap()
    }

    /// The code of the JSON-RPC error.
    pub(crate) fn code(&self) -> Option<i64> {
        self.body["error"]["code"].as_i64()
    }
}

pub(crate) async fn send(router: &Router, request: Request) -> Answer {
    let response = in_time("an answer", router.clone().oneshot(request)).await;
    let (parts, body) = response.unwrap().into_parts();
    let body = in_time("the end of it", body.collect()).await;
    let body = body.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

pub(crate) fn rpc(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}
