//! An MCP client: registers, sends a browser to sign in, redeems, refreshes, revokes, calls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use axum::body::Body;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::answer::{Answer, encode, parameter, request_with};
use super::server::Server;

pub(crate) const STATE: &str = "gXVX/0=+ \u{e4}&";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const LOOPBACK: &str = "http://127.0.0.1:33418/";

/// A registered client.
#[derive(Clone)]
pub(crate) struct Client {
    server: Server,
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) redirect_uri: String,
    /// The answer to its registration.
    pub(crate) registration: Value,
}

/// What a client is given in the end.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    /// Empty where there is none.
    pub(crate) refresh: String,
    pub(crate) scope: String,
    pub(crate) expires_in: u64,
}

impl Tokens {
    /// Reads an answer of the token endpoint.
    pub(crate) fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(answer.header("cache-control"), "no-store");
        Self {
            access: body["access_token"].as_str().unwrap().to_owned(),
            refresh: body["refresh_token"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            scope: body["scope"].as_str().unwrap().to_owned(),
            expires_in: body["expires_in"].as_u64().unwrap(),
        }
    }

    /// The claims of the access token, unchecked.
    pub(crate) fn claims(&self) -> Value {
        self.part(1)
    }

    /// The header of the access token, unchecked.
    pub(crate) fn header(&self) -> Value {
        self.part(0)
    }

    fn part(&self, place: usize) -> Value {
        let part = self.access.split('.').nth(place).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }
}

impl Client {
    /// The metadata of a public client on the person's machine.
    pub(crate) fn public() -> Value {
        json!({
            "client_name": "Test client",
            "redirect_uris": [LOOPBACK],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        })
    }

    /// The same at another redirect URI.
    pub(crate) fn at(redirect_uri: &str) -> Value {
        let mut metadata = Self::public();
        metadata["redirect_uris"] = json!([redirect_uri]);
        metadata
    }

    pub(crate) async fn register(server: &Server, metadata: &Value) -> Self {
        let answer = server.post_json(&server.url("/register"), metadata).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let registration = answer.json();
        Self {
            server: server.clone(),
            id: registration["client_id"].as_str().unwrap().to_owned(),
            secret: registration["client_secret"].as_str().map(str::to_owned),
            redirect_uri: registration["redirect_uris"][0]
                .as_str()
                .unwrap()
                .to_owned(),
            registration,
        }
    }

    /// A client that registers nowhere: its id is known, or the URL of the document that describes it.
    pub(crate) fn named(server: &Server, id: &str, redirect_uri: &str) -> Self {
        Self {
            server: server.clone(),
            id: id.to_owned(),
            secret: None,
            redirect_uri: redirect_uri.to_owned(),
            registration: Value::Null,
        }
    }

    /// The same client, at another process.
    pub(crate) fn moved_to(&self, server: &Server) -> Self {
        Self {
            server: server.clone(),
            ..self.clone()
        }
    }

    /// The parameters of a good authorization request.
    pub(crate) fn query(&self) -> Vec<(String, String)> {
        [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect_uri),
            ("state", STATE),
            ("code_challenge", &challenge(VERIFIER)),
            ("code_challenge_method", "S256"),
            ("resource", &self.server.resource()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    pub(crate) fn authorization_url(&self) -> String {
        self.authorization_url_but(&[])
    }

    /// A good authorization URL but for these parameters; none takes one out.
    pub(crate) fn authorization_url_but(&self, changes: &[(&str, Option<&str>)]) -> String {
        let query = self.query_but(changes);
        format!("{}?{}", self.server.url("/authorize"), encode(&query))
    }

    fn query_but(&self, changes: &[(&str, Option<&str>)]) -> Vec<(String, String)> {
        let mut query = self.query();
        for (name, value) in changes {
            query.retain(|(key, _)| key != name);
            query.extend(value.map(|value| ((*name).to_owned(), value.to_owned())));
        }
        query
    }

    /// Pushes a good authorization request but for these parameters, with this client's credentials.
    pub(crate) async fn push(&self, changes: &[(&str, Option<&str>)]) -> Answer {
        let query = self.query_but(&[changes, &[("client_id", None)]].concat());
        let form: Vec<_> = query
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        self.post("/par", &form).await
    }

    /// Pushes a good authorization request: its name.
    pub(crate) async fn pushed(&self) -> String {
        let answer = self.push(&[]).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["request_uri"].as_str().unwrap().to_owned()
    }

    /// The authorization URL of a pushed request.
    pub(crate) fn url_of(&self, request_uri: &str) -> String {
        let query = [("client_id", &*self.id), ("request_uri", request_uri)];
        format!("{}?{}", self.server.url("/authorize"), encode(&query))
    }

    /// Signs `person` in with a fresh browser: the code.
    pub(crate) async fn code(&self, person: &str) -> String {
        self.code_by(&self.authorization_url(), person).await
    }

    /// The same by an authorization URL of one's own.
    pub(crate) async fn code_by(&self, authorization_url: &str, person: &str) -> String {
        let mut browser = self.server.browser();
        let answer = browser.sign_in(authorization_url, person).await;
        self.read_code(&answer.location())
    }

    /// The same with another provider than GitHub: the code.
    pub(crate) async fn code_with(&self, provider: &str, person: &str) -> String {
        let mut browser = self.server.browser();
        let url = self.authorization_url();
        let back = browser.come_back(provider, &url, person).await;
        self.read_code(&browser.get(back.as_str()).await.location())
    }

    /// The same with another provider than GitHub: the tokens.
    pub(crate) async fn sign_in_with(&self, provider: &str, person: &str) -> Tokens {
        let code = self.code_with(provider, person).await;
        Tokens::read(&self.redeem(&code).await)
    }

    /// The code of a redirect to this client, which must be what was promised (RFC 9207).
    pub(crate) fn read_code(&self, back: &Url) -> String {
        assert!(back.as_str().starts_with(&self.redirect_uri), "{back}");
        assert_eq!(parameter(back, "error"), None, "{back}");
        assert_eq!(
            parameter(back, "iss").as_deref(),
            Some(self.server.issuer())
        );
        parameter(back, "code").unwrap()
    }

    /// The error that this client is told, with everything that must stand beside it: by a redirect, or by the link of a
    /// page that the person reads first.
    pub(crate) fn read_refusal(&self, answer: &Answer) -> String {
        let back = self.way_back(answer);
        let back = back.unwrap_or_else(|| panic!("no way back: {}", answer.text()));
        assert!(back.as_str().starts_with(&self.redirect_uri), "{back}");
        assert_eq!(parameter(&back, "state").as_deref(), Some(STATE));
        assert_eq!(
            parameter(&back, "iss").as_deref(),
            Some(self.server.issuer())
        );
        assert_eq!(parameter(&back, "code"), None, "{back}");
        assert_eq!(back.fragment(), None, "{back}");
        // where the browser goes by itself in the end, it is the same way
        let by_itself = answer.header("refresh").split_once("url=");
        if let Some((_, url)) = by_itself {
            assert_eq!(url, back.as_str());
        }
        parameter(&back, "error").unwrap()
    }

    /// Where an answer leads back to this client, if it does.
    fn way_back(&self, answer: &Answer) -> Option<Url> {
        if answer.status.is_redirection() {
            return Some(answer.location());
        }
        answer.assert_page(answer.status.as_u16());
        let start = format!("href=\"{}?", self.redirect_uri);
        let (_, rest) = answer.text().split_once(&start)?;
        let query = rest.split('"').next()?.replace("&#38;", "&");
        format!("{}?{query}", self.redirect_uri).parse().ok()
    }

    /// Does everything: a fresh browser, consent, `person` at the provider, code, tokens.
    pub(crate) async fn sign_in(&self, person: &str) -> Tokens {
        let code = self.code(person).await;
        Tokens::read(&self.redeem(&code).await)
    }

    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.token(&form).await
    }

    pub(crate) async fn revoke(&self, token: &str) -> Answer {
        self.post("/revoke", &[("token", token)]).await
    }

    /// A token request with this client's credentials.
    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.post("/token", form).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.push(("client_id", &self.id));
        let kind = "application/x-www-form-urlencoded";
        let url = self.server.url(path);
        let mut request = request_with(self.server.local(&url), kind, encode(&form));
        if let Some(secret) = &self.secret {
            let basic = STANDARD.encode(format!("{}:{secret}", self.id));
            let basic = format!("Basic {basic}").parse().unwrap();
            request.headers_mut().insert("authorization", basic);
        }
        self.server.send(request).await
    }

    /// One message to the MCP server; `session` is empty before there is one.
    pub(crate) async fn call(&self, access: &str, session: &str, message: &Value) -> Answer {
        let resource = self.server.resource();
        let mut request = Request::post(self.server.local(&resource))
            .header("authorization", format!("Bearer {access}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if !session.is_empty() {
            request = request
                .header("mcp-session-id", session)
                .header("mcp-protocol-version", "2025-11-25");
        }
        let request = request.body(Body::from(message.to_string())).unwrap();
        self.server.send(request).await
    }

    /// The first message of a client.
    pub(crate) async fn initialize(&self, access: &str) -> Answer {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        self.call(access, "", &message("initialize", &params)).await
    }

    /// What the sample server says of who is signed in.
    pub(crate) async fn whoami(&self, access: &str) -> Value {
        self.tool(access, "whoami").await["structuredContent"].clone()
    }

    /// The result of a tool of the sample server that takes no arguments, in a session of its own.
    pub(crate) async fn tool(&self, access: &str, name: &str) -> Value {
        let opened = self.initialize(access).await;
        assert_eq!(opened.status, 200, "{}", opened.text());
        let session = opened.header("mcp-session-id").to_owned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = self.call(access, &session, &initialized).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let call = message("tools/call", &json!({"name": name, "arguments": {}}));
        let answer = self.call(access, &session, &call).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        rpc_result(&answer)
    }
}

/// The challenge to a verifier (RFC 7636 §4.2).
pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A JSON-RPC request.
pub(crate) fn message(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// The result of a JSON-RPC answer, as JSON or in the event stream that it came in.
pub(crate) fn rpc_result(answer: &Answer) -> Value {
    let text = answer.text();
    let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let json = data.find(|data| data.contains("jsonrpc")).unwrap_or(text);
    let response: Value = serde_json::from_str(json).unwrap();
    assert_eq!(response["error"], Value::Null, "{response}");
    response["result"].clone()
}
