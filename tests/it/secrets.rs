//! After a whole run of the real program nothing secret lies about: not in the data directory, not in the log at its
//! most talkative, not on an error page.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anteroom::standin::{CLIENT_SECRET, Fault, Standin};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::process::{Answer, Client, Cookies, Http, Journey, Place, Process, REDIRECT};

/// Secrets by what they are.
#[derive(Default)]
struct Secrets(BTreeMap<String, String>);

impl Secrets {
    fn add(&mut self, what: &str, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 14, "{what} is too short to be looked for");
        self.0.insert(format!("{what} {}", self.0.len()), secret);
    }

    fn add_all<'a>(&mut self, what: &str, secrets: impl Iterator<Item = &'a String>) {
        secrets.for_each(|secret| self.add(what, secret));
    }

    /// What of them stands in `text`.
    fn found_in(&self, text: &[u8]) -> Vec<&str> {
        let found = self.0.iter().filter(|(_, secret)| stands_in(secret, text));
        found.map(|(what, _)| &**what).collect()
    }
}

/// Whether a secret stands in `text`: as it is, in base64 wherever it begins, in hexadecimal; or the bytes that it is
/// the base64 of.
fn stands_in(secret: &str, text: &[u8]) -> bool {
    let mut forms = vec![secret.as_bytes().to_vec()];
    let mut bytes = vec![secret.as_bytes().to_vec()];
    // the first half of a handle and of a refresh token is a row's identifier, and no secret
    let last = secret.rsplit('.').next().unwrap_or(secret);
    if let Ok(decoded) = URL_SAFE_NO_PAD.decode(last) {
        let start = if decoded.len() >= 48 { 24 } else { 0 };
        // what is shorter is found by chance
        if decoded.len() >= 14 {
            bytes.push(decoded[start..].to_vec());
        }
    }
    for bytes in bytes {
        let hex = hex(&bytes);
        forms.push(hex.to_uppercase().into_bytes());
        forms.push(hex.into_bytes());
        for before in 0..3 {
            let mut shifted = vec![0; before];
            shifted.extend(&bytes);
            for encoded in [
                STANDARD_NO_PAD.encode(&shifted),
                URL_SAFE_NO_PAD.encode(&shifted),
            ] {
                // the characters at both ends hold bits of the neighbours
                forms.push(encoded.as_bytes()[4..encoded.len() - 2].to_vec());
            }
        }
        forms.push(bytes);
    }
    forms.iter().any(|form| holds(text, form))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    let starts = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == part[0]);
    starts
        .into_iter()
        .any(|(at, _)| text[at..].starts_with(part))
}

/// Stands between the program and the stand-in, and notes what only they see.
#[derive(Clone)]
struct Recorder {
    to: String,
    http: reqwest::Client,
    secrets: Arc<Mutex<Secrets>>,
}

impl Recorder {
    /// Starts it: its address.
    async fn start(to: &Standin, secrets: &Arc<Mutex<Secrets>>) -> String {
        #[expect(clippy::disallowed_methods, reason = "this is the world outside")]
        let client = reqwest::Client::builder().no_proxy();
        let recorder = Self {
            to: to.base_url(),
            http: client
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            secrets: Arc::clone(secrets),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(Self::forward).with_state(recorder);
        tokio::spawn(axum::serve(listener, router).into_future());
        address
    }

    async fn forward(State(recorder): State<Self>, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        parts.headers.remove("host");
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        recorder.note_request(&body);
        let url = format!("{}{}", recorder.to, parts.uri);
        let request = recorder.http.request(parts.method, url);
        let answer = request
            .headers(parts.headers)
            .body(body)
            .send()
            .await
            .unwrap();
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if name != "transfer-encoding" {
                response = response.header(name, value);
            }
        }
        let body = answer.bytes().await.unwrap();
        recorder.note_answer(&body);
        response.body(Body::from(body)).unwrap()
    }

    fn note_request(&self, body: &Bytes) {
        for (name, value) in url::form_urlencoded::parse(body) {
            if name == "code_verifier" {
                self.secrets.lock().unwrap().add("upstream verifier", value);
            }
        }
    }

    fn note_answer(&self, body: &Bytes) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        if let Some(token) = body["access_token"].as_str() {
            self.secrets
                .lock()
                .unwrap()
                .add("upstream access token", token);
        }
    }
}

/// A run of the program, with everything secret and every refusal that was seen.
struct Run {
    http: Http,
    place: Place,
    standin: Standin,
    secrets: Arc<Mutex<Secrets>>,
    refusals: Vec<Answer>,
}

impl Run {
    async fn new() -> Self {
        let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let secrets = Arc::new(Mutex::new(Secrets::default()));
        let recorder = Recorder::start(&standin, &secrets).await;
        Self {
            http: Http::new(),
            place: Place::new(&recorder),
            standin,
            secrets,
            refusals: Vec::new(),
        }
    }

    fn note(&self, what: &str, secret: impl Into<String>) {
        self.secrets.lock().unwrap().add(what, secret);
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.place.base)
    }

    async fn register(&self) -> Client {
        let client = self
            .http
            .register(&self.place.base, "client_secret_post")
            .await
            .unwrap();
        self.note("client secret", client.secret.clone().unwrap());
        client
    }

    /// From the consent page to what our callback answers; the journey, for its cookies and verifier.
    async fn sign_in(&self, client: &Client) -> (Journey, Answer, Answer) {
        let mut journey = Journey::begin(&self.http, &self.place.base, client)
            .await
            .unwrap();
        let approved = journey.approve().await.unwrap();
        let signed_in = journey.sign_in(&approved, "mona").await.unwrap();
        self.note("verifier", &journey.verifier);
        self.note("ticket", &journey.ticket);
        self.note("upstream state", approved.parameter("state").unwrap());
        self.note("upstream code", signed_in.parameter("code").unwrap());
        self.secrets
            .lock()
            .unwrap()
            .add_all("cookie", journey.cookies.values());
        let answer = journey.come_back(&signed_in).await.unwrap();
        if let Some(code) = answer.parameter("code") {
            self.note("code", code);
        }
        (journey, signed_in, answer)
    }

    async fn ask(&self, client: &Client, path: &str, form: &[(&str, &str)]) -> Answer {
        self.http
            .ask_as(client, &self.url(path), form)
            .await
            .unwrap()
    }

    /// Tokens out of an answer: access and refresh.
    fn tokens(&self, answer: &Answer) -> (String, String) {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let tokens = (answer.text("access_token"), answer.text("refresh_token"));
        self.note("access token", &tokens.0);
        self.note("refresh token", &tokens.1);
        tokens
    }

    fn refused(&mut self, answer: Answer) {
        let is_refusal = answer.status.is_client_error()
            || answer.body.contains("error=server_error")
            || answer.parameter("error").is_some();
        assert!(is_refusal, "{answer:?}");
        self.refusals.push(answer);
    }

    /// What clients and people do when all is well: a session that goes on, and one that is revoked.
    async fn all_goes_well(&self, client: &Client) {
        for goes_on in [true, false] {
            let (journey, _, answer) = self.sign_in(client).await;
            let code = answer.parameter("code").unwrap();
            let form = [
                ("grant_type", "authorization_code"),
                ("code", &*code),
                ("code_verifier", &journey.verifier),
            ];
            let (access, refresh) = self.tokens(&self.ask(client, "/token", &form).await);
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", &*refresh),
            ];
            let (_, second) = self.tokens(&self.ask(client, "/token", &form).await);
            let (fresh, same) = self.tokens(&self.ask(client, "/token", &form).await);
            assert_eq!(second, same);
            for token in [&access, &fresh] {
                let answer = self
                    .http
                    .call(&self.url("/mcp"), token, &initialize())
                    .await
                    .unwrap();
                assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            }
            if !goes_on {
                let answer = self.ask(client, "/revoke", &[("token", &second)]).await;
                assert_eq!(answer.status, StatusCode::OK);
                let answer = self
                    .http
                    .call(&self.url("/mcp"), &fresh, &initialize())
                    .await
                    .unwrap();
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            }
        }
    }

    /// A request that the client brings itself, in the browser that comes with it and in another.
    async fn a_request_is_pushed(&mut self, client: &Client) {
        let form = [
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            (
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            ),
            ("code_challenge_method", "S256"),
        ];
        let answer = self.ask(client, "/par", &form).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let uri = answer.text("request_uri");
        let (_, handle) = uri.rsplit_once(':').unwrap();
        self.note("request_uri", handle);
        let base = self.url("/authorize");
        let url = format!("{base}?client_id={}&request_uri={uri}", client.id);
        let journey = Journey::open(&self.http, &self.place.base, &url)
            .await
            .unwrap();
        self.note("ticket", &journey.ticket);
        self.secrets
            .lock()
            .unwrap()
            .add_all("cookie", journey.cookies.values());
        for url in [&*url, &url[..url.len() - 1]] {
            let answer = self.http.get(url, &Cookies::default()).await.unwrap();
            self.refused(answer);
        }
    }

    /// What is left in the middle: somebody at the provider, and a code that nobody redeems.
    async fn some_stop_on_the_way(&self, client: &Client) {
        let mut journey = Journey::begin(&self.http, &self.place.base, client)
            .await
            .unwrap();
        let approved = journey.approve().await.unwrap();
        self.note("upstream state", approved.parameter("state").unwrap());
        self.secrets
            .lock()
            .unwrap()
            .add_all("cookie", journey.cookies.values());
        let (_, _, answer) = self.sign_in(client).await;
        assert!(answer.parameter("code").is_some());
    }

    /// What goes wrong, at the provider and by clients.
    async fn much_goes_wrong(&mut self, client: &Client) {
        let leaked = "gho_told_by_a_broken_provider";
        self.note("provider's answer", leaked);
        let bodies = [
            ("/api/user", format!(r#"{{"id": "{leaked}"}}"#)),
            ("/api/user", format!("<html>{leaked}</html>")),
            ("/login/oauth/access_token", format!("not JSON {leaked}")),
            (
                "/login/oauth/access_token",
                format!(r#"{{"error": "bad_verification_code", "error_description": "{leaked}"}}"#),
            ),
            (
                "/login/oauth/access_token",
                format!(r#"{{"access_token": ["{leaked}"]}}"#),
            ),
        ];
        for (path, body) in bodies {
            self.standin.fault(path, Fault::Body(body));
            let (journey, signed_in, answer) = self.sign_in(client).await;
            self.standin.heal();
            self.refused(answer);
            // the same answer of the provider once more
            let again = journey.come_back(&signed_in).await.unwrap();
            self.refused(again);
        }
        let (journey, _, answer) = self.sign_in(client).await;
        let code = answer.parameter("code").unwrap();
        let wrong = "a-verifier-that-is-not-the-right-one-0123456789";
        self.note("wrong verifier", wrong);
        let form = [("grant_type", "authorization_code"), ("code", &*code)];
        let form = [&form[..], &[("code_verifier", wrong)]].concat();
        let answer = self.ask(client, "/token", &form).await;
        self.refused(answer);
        let stranger = Client {
            secret: Some("a-client-secret-that-is-not-the-right-one".to_owned()),
            ..client.clone()
        };
        self.note("wrong client secret", stranger.secret.clone().unwrap());
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*code)];
        for client in [&stranger, client] {
            let answer = self.ask(client, "/token", &form).await;
            self.refused(answer);
        }
        let url = format!(
            "{}?token={code}&state={}",
            self.url("/callback/github"),
            journey.ticket
        );
        let answer = self.http.get(&url, &Cookies::default()).await.unwrap();
        self.refused(answer);
        let bearer = "e30.a-token-that-nobody-has-signed.AAAA";
        self.note("wrong access token", bearer);
        let answer = self
            .http
            .call(&self.url("/mcp"), bearer, &initialize())
            .await
            .unwrap();
        self.refused(answer);
    }
}

fn initialize() -> Value {
    let params = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    });
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}

async fn serving(place: &Place) -> Process {
    let mut process = place.start("info,anteroom=trace");
    let waiting = tokio::task::spawn_blocking(move || {
        assert!(process.wait_until_it_serves());
        process
    });
    waiting.await.unwrap()
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            // there is a socket beside them
            found.push(path);
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// SEC-04, CONS-15, CONS-16, TOK-40, AUTHZ-20, T10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_whole_run_is_in_a_file_or_in_the_log_or_on_an_error_page() {
    let mut run = Run::new().await;
    let process = serving(&run.place).await;
    let client = run.register().await;
    run.all_goes_well(&client).await;
    run.a_request_is_pushed(&client).await;
    run.some_stop_on_the_way(&client).await;
    run.much_goes_wrong(&client).await;
    run.note("provider's client secret", CLIENT_SECRET);
    process.kill();

    let log = run.place.logged();
    let sealing_key = std::fs::read_to_string(run.place.data().join("sealing.key")).unwrap();
    let secrets = std::mem::take(&mut *run.secrets.lock().unwrap());
    for what in [
        "upstream verifier",
        "upstream access token",
        "cookie",
        "code",
        "refresh token",
    ] {
        let known = secrets.0.keys().filter(|key| key.starts_with(what)).count();
        assert!(known >= 2, "the test has seen {known} of: {what}");
    }
    assert_eq!(secrets.found_in(log.as_bytes()), [""; 0], "{log}");
    assert!(
        !log.contains(sealing_key.lines().next().unwrap()),
        "the sealing key is in the log"
    );
    for refusal in &run.refusals {
        let seen = format!("{refusal:?}");
        assert_eq!(secrets.found_in(seen.as_bytes()), [""; 0], "{seen}");
    }
    let mut told = 0;
    for file in files(&run.place.data()) {
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(secrets.found_in(&bytes), [""; 0], "{}", file.display());
        told += usize::from(stands_in(&client.id, &bytes));
    }
    // what is no secret is found in the same way
    assert!(told > 0, "the files do not even name the client");
    assert!(stands_in(&client.id, log.as_bytes()), "{log}");
}

/// CONS-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_for_nobody_else_on_the_machine() {
    let run = Run::new().await;
    let process = serving(&run.place).await;
    let data = run.place.data();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("sealing.key")), 0o600);
    assert_eq!(mode(&data.join("store")), 0o700);
    process.kill();
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let secret = "uYh3kq_0s-TbXwN5r8ZpQvLmA1cDeFgH";
    let bytes = URL_SAFE_NO_PAD.decode(secret).unwrap();
    let hex = hex(secret.as_bytes()).to_uppercase();
    assert!(stands_in(secret, format!("before{secret}after").as_bytes()));
    assert!(stands_in(secret, format!("before{hex}after").as_bytes()));
    assert!(stands_in(secret, &[b"before", &*bytes, b"after"].concat()));
    for before in ["", "1", "12", "123", "1234"] {
        let text = format!("{before}{secret} after");
        assert!(stands_in(secret, STANDARD_NO_PAD.encode(&text).as_bytes()));
        assert!(stands_in(secret, URL_SAFE_NO_PAD.encode(&text).as_bytes()));
        assert!(!stands_in(secret, text.to_uppercase().as_bytes()));
    }
}
