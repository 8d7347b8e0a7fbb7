//! What a server behind is told of the caller, through the whole server: who it is, the same signed, and the provider's
//! token; and that nobody else says any of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::config::{Backend, Server as Configured, Told};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::answer::Answer;
use crate::harness::client::{Client, Tokens, message};
use crate::harness::log::Log;
use crate::harness::provider::{Provider, Says};
use crate::harness::server::{NOW, Server, server};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// All that a server can be told.
const EVERYTHING: Told = Told {
    headers: true,
    assertion: true,
    upstream_token: true,
};

type Headers = BTreeMap<String, Vec<String>>;

/// A server behind that keeps the headers of the last request, and sends those of ours back.
#[derive(Clone)]
struct Witness {
    address: SocketAddr,
    seen: Arc<Mutex<Option<Headers>>>,
}

impl Witness {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let witness = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let router = Router::new().fallback(look).with_state(witness.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        witness
    }

    fn url(&self) -> String {
        format!("http://{}/inner", self.address)
    }

    /// What it was told of the caller since it was last asked.
    fn told(&self) -> Headers {
        let mut headers = self.seen.lock().unwrap().take().unwrap();
        headers.retain(|name, _| name.contains("anteroom"));
        headers
    }

    fn one(&self, name: &str) -> String {
        match self.told().remove(name).as_deref() {
            Some([one]) => one.clone(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn assertion(&self) -> String {
        self.one("x-anteroom-assertion")
    }
}

async fn look(State(witness): State<Witness>, request: Request) -> Response {
    let mut headers = Headers::new();
    let mut back = StatusCode::OK.into_response();
    for (name, value) in request.headers() {
        let values = headers.entry(name.to_string()).or_default();
        values.push(value.to_str().unwrap().to_owned());
        if name.as_str().starts_with("x-anteroom-") {
            back.headers_mut().insert(name, value.clone());
        }
    }
    *witness.seen.lock().unwrap() = Some(headers);
    back
}

/// A server before these, at `/mcp`, `/b` and so on.
async fn before(provider: &Arc<Provider>, behind: Vec<(Witness, Told)>) -> Server {
    let builder = server().provider(provider).configure(move |config| {
        let first = config.servers.remove(0);
        let paths = ["/mcp", "/b", "/c"].into_iter();
        config.servers = paths
            .zip(behind)
            .map(|(path, (witness, identity))| Configured {
                path: path.to_owned(),
                backend: Backend::Http(witness.url().parse().unwrap()),
                identity,
                ..first.clone()
            })
            .collect();
    });
    builder.start().await
}

async fn signed_in(provider: &Arc<Provider>, told: Told) -> (Server, Client, Tokens, Witness) {
    let witness = Witness::start().await;
    let server = before(provider, vec![(witness.clone(), told)]).await;
    let client = server.client().await;
    let tokens = Provider::sign_in(&server, &client, "mona").await;
    (server, client, tokens, witness)
}

async fn call(client: &Client, tokens: &Tokens) -> Answer {
    let list = message("tools/list", &json!({}));
    client.call(&tokens.access, "", &list).await
}

/// What a server behind does with a library of its own, and with nothing of ours but the published keys.
async fn verified(server: &Server, assertion: &str, audience: &str) -> Result<Value, ErrorKind> {
    let header = decode_header(assertion).map_err(jsonwebtoken::errors::Error::into_kind)?;
    assert_eq!(header.alg, Algorithm::ES256);
    let published = server.get(&server.url("/.well-known/jwks.json")).await;
    let keys: JwkSet = serde_json::from_slice(&published.body).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[server.issuer()]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // the time is the test's
    validation.validate_exp = false;
    let claims = decode::<Value>(assertion, &key, &validation);
    let claims = claims
        .map_err(jsonwebtoken::errors::Error::into_kind)?
        .claims;
    if header.typ.as_deref() != Some("anteroom-assertion+jwt") {
        return Err(ErrorKind::InvalidToken);
    }
    let now = server.app.flows().clock.now().0;
    if claims["exp"].as_i64().unwrap() <= now {
        return Err(ErrorKind::ExpiredSignature);
    }
    Ok(claims)
}

/// RS-13
#[tokio::test]
async fn a_server_verifies_who_calls_with_the_published_keys_alone() {
    let provider = Arc::new(Provider::new());
    let (server, client, tokens, witness) = signed_in(&provider, Told::default()).await;
    assert_eq!(call(&client, &tokens).await.status, 200);
    let assertion = witness.assertion();
    let claims = verified(&server, &assertion, &witness.url()).await.unwrap();
    let access = tokens.claims();
    let expected = json!({
        "iss": server.issuer(),
        "aud": witness.url(),
        "sub": access["sub"],
        "iat": NOW.0,
        "exp": NOW.0 + 60,
        "client_id": client.id,
        "scope": tokens.scope,
        "sid": access["sid"],
        "preferred_username": claims["preferred_username"],
        "name": claims["name"],
    });
    let told = claims.as_object().unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(told.get(name).unwrap_or(&Value::Null), value, "{name}");
    }
    // it serves many calls: whoever takes a jti only once would refuse the second
    assert!(claims.get("jti").is_none());
    for (audience, refused) in [
        ("http://other:9000/", ErrorKind::InvalidAudience),
        (server.issuer(), ErrorKind::InvalidAudience),
        (&server.resource(), ErrorKind::InvalidAudience),
    ] {
        let found = verified(&server, &assertion, audience).await;
        assert_eq!(found.unwrap_err(), refused, "{audience}");
    }
    // one that is used again has half a minute left
    server.advance(30 * SECOND);
    call(&client, &tokens).await;
    assert_eq!(witness.assertion(), assertion);
    server.advance(SECOND);
    call(&client, &tokens).await;
    assert_ne!(witness.assertion(), assertion);
    server.advance(28 * SECOND);
    assert!(verified(&server, &assertion, &witness.url()).await.is_ok());
    server.advance(SECOND);
    let late = verified(&server, &assertion, &witness.url()).await;
    assert_eq!(late.unwrap_err(), ErrorKind::ExpiredSignature);
}

/// T8, AT-11, RS-11
#[tokio::test]
async fn an_assertion_is_no_access_token_and_an_access_token_no_assertion() {
    let provider = Arc::new(Provider::new());
    let (server, client, tokens, witness) = signed_in(&provider, Told::default()).await;
    call(&client, &tokens).await;
    let assertion = Tokens {
        access: witness.assertion(),
        ..tokens.clone()
    };
    let refused = call(&client, &assertion).await;
    assert_eq!(refused.status, 401);
    assert!(witness.seen.lock().unwrap().is_none());
    for audience in [server.resource(), witness.url()] {
        assert!(verified(&server, &tokens.access, &audience).await.is_err());
    }
}

/// RS-13, P6
#[tokio::test]
async fn what_somebody_says_of_themselves_never_reaches_the_server() {
    let silent = Told {
        headers: false,
        assertion: false,
        upstream_token: false,
    };
    for (told, names) in [
        (silent, &[][..]),
        (
            Told {
                upstream_token: true,
                ..silent
            },
            &["x-anteroom-upstream-token"],
        ),
        (
            Told {
                assertion: true,
                ..silent
            },
            &["x-anteroom-assertion"],
        ),
    ] {
        let provider = Arc::new(Provider::new());
        let (server, client, tokens, witness) = signed_in(&provider, told).await;
        let mut request = Request::post(server.local(&server.resource()))
            .header("authorization", format!("Bearer {}", tokens.access))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for word in ["assertion", "upstream-token", "user", "email", "anything"] {
            for name in [
                format!("x-anteroom-{word}"),
                format!("X-ANTEROOM-{}", word.to_uppercase()),
                format!("x_anteroom_{}", word.replace('-', "_")),
                format!("x-anteroom_{word}"),
                format!("x.anteroom.{word}"),
                format!("x-anteroom-{}", word.replace('-', "_")),
            ] {
                request = request.header(name, "forged");
            }
        }
        request = request.header(
            "connection",
            "x-anteroom-assertion, x-anteroom-upstream-token",
        );
        let list = message("tools/list", &json!({})).to_string();
        let answer = server.send(request.body(Body::from(list)).unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = witness.told();
        assert_eq!(seen.keys().collect::<Vec<_>>(), names);
        assert!(!format!("{seen:?}").contains("forged"), "{seen:?}");
        let back = answer.headers.keys().map(http::HeaderName::as_str);
        assert!(!back.into_iter().any(|name| name.contains("anteroom")));
        client.revoke(&tokens.refresh).await;
    }
}

/// RS-13, CONS-14
#[tokio::test]
async fn the_token_of_the_provider_reaches_the_server_that_it_is_for_and_no_other() {
    let provider = Arc::new(Provider::new().with_refresh(HOUR));
    let witnesses = [Witness::start().await, Witness::start().await];
    let [with, without] = witnesses.clone();
    let behind = vec![(with.clone(), EVERYTHING), (without, Told::default())];
    let server = before(&provider, behind).await;
    let client = server.client().await;
    let tokens = Provider::sign_in(&server, &client, "mona").await;
    let answer = call(&client, &tokens).await;
    assert_eq!(answer.status, 200);
    assert_eq!(with.one("x-anteroom-upstream-token"), "mona-1");
    assert!(!format!("{answer:?}").contains("mona-1"), "{answer:?}");
    // renewed before it expires, and the same to everybody who calls then
    server.advance(59 * 60 * SECOND);
    let tokens = client.refresh(&tokens.refresh).await;
    call(&client, &Tokens::read(&tokens)).await;
    assert_eq!(with.one("x-anteroom-upstream-token"), "mona-2");
    assert!(witnesses[1].seen.lock().unwrap().is_none());
}

/// RS-13, CONS-15
#[tokio::test]
async fn a_server_that_needs_a_token_of_the_provider_is_not_asked_without_it() {
    let provider = Arc::new(Provider::new().with_refresh(HOUR));
    let (server, client, tokens, witness) = signed_in(&provider, EVERYTHING).await;
    provider.says(Says::ComeAgain);
    server.advance(HOUR);
    let tokens = client.refresh(&tokens.refresh).await;
    let answer = call(&client, &Tokens::read(&tokens)).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let message = answer.json()["error"]["message"].clone();
    assert_eq!(
        message,
        "the provider of the sign-in is not available now; try again later"
    );
    assert_eq!(answer.header("www-authenticate"), "");
    assert!(witness.seen.lock().unwrap().is_none());
}

/// SEC-04
#[tokio::test]
async fn nothing_that_a_server_is_told_stands_in_the_log() {
    let (log, _guard) = Log::listen("trace");
    let provider = Arc::new(Provider::new());
    let (_server, client, tokens, witness) = signed_in(&provider, EVERYTHING).await;
    call(&client, &tokens).await;
    let told = witness.told();
    assert_eq!(
        told.len(),
        2 + told.keys().filter(|name| !is_secret(name)).count()
    );
    let text = log.text();
    assert!(!text.is_empty());
    for (name, values) in told.iter().filter(|(name, _)| is_secret(name)) {
        assert!(!text.contains(&values[0]), "{name}");
        let part = values[0].rsplit('.').next().unwrap();
        assert!(!text.contains(part), "{name}");
    }
}

fn is_secret(name: &str) -> bool {
    ["x-anteroom-assertion", "x-anteroom-upstream-token"].contains(&name)
}
