//! The real program as a process of its own, and what speaks to it over real sockets: a client, and a person's browser.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anteroom::entropy;
use anteroom::standin::{CLIENT_ID, CLIENT_SECRET};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use url::Url;

use super::patience::PATIENCE;

/// Where the clients of these tests are sent back to; nobody listens there.
pub(crate) const REDIRECT: &str = "http://127.0.0.1:7/back";

/// A directory with a configuration, for one process after another.
pub(crate) struct Place {
    directory: TempDir,
    /// The address that the program is reached at.
    pub(crate) base: String,
}

impl Place {
    /// A new one before the sample server; people sign in at `provider`, the base of a stand-in.
    pub(crate) fn new(provider: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let data = directory.path().join("data");
        let file = format!(
            r#"
public_url = "http://localhost:{port}"
listen = "127.0.0.1:{port}"
data_dir = "{data}"
[provider.github]
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
base_url = "{provider}"
api_url = "{provider}/api"
allow.anyone = true
[[server]]
path = "/mcp"
sample = true
[tokens]
reuse_grace = "60s"
[limits]
register = "1000000/m"
authorize = "1000000/m"
token = "1000000/m"
"#,
            data = data.display(),
        );
        let base = format!("http://localhost:{port}");
        Self::with(base, directory, &file)
    }

    /// A new one with this configuration, which says everything but `data_dir`; reached at `base`.
    pub(crate) fn configured(base: String, file: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let file = format!("data_dir = \"{}\"\n{file}", data.display());
        Self::with(base, directory, &file)
    }

    fn with(base: String, directory: TempDir, file: &str) -> Self {
        std::fs::write(directory.path().join("providers.toml"), file).unwrap();
        Self { directory, base }
    }

    /// Where the program keeps everything.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Where the program writes its log.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The program, just started; `filter` says what it logs.
    pub(crate) fn start(&self, filter: &str) -> Process {
        let log = File::options().create(true).append(true).open(self.log());
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        command
            .args(["serve", "--config", "providers.toml"])
            .current_dir(self.directory.path())
            .env_clear()
            .env("ANTEROOM_LOG_FILTER", filter)
            .stderr(log.unwrap());
        Process::start(command)
    }

    /// What the program said on its way, for a message.
    pub(crate) fn logged(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log()).unwrap()).into_owned()
    }
}

/// The running program. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    said: Receiver<String>,
}

impl Process {
    /// Any program, just started.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = channel();
        // read to the end, so that it never waits for a reader, and whoever waits for it need not wait for ever
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = say.send(line);
            }
        });
        Self { child, said }
    }

    /// Waits until it serves: `false` where it stopped instead.
    pub(crate) fn wait_until_it_serves(&mut self) -> bool {
        self.wait_until_it_says("anteroom is running").is_some()
    }

    /// Waits for a line that holds this: none where it stopped instead.
    pub(crate) fn wait_until_it_says(&mut self, text: &str) -> Option<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) if line.contains(text) => return Some(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("it never says {text}"),
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Process {
    /// Told to stop, as service managers do it; waits until it has.
    pub(crate) fn stop(mut self) {
        let order = format!("kill -TERM {}", self.child.id());
        let told = Command::new("sh").args(["-c", &order]).status();
        assert!(told.unwrap().success());
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it never ends");
            thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // it may be gone already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on, outside of the range that connections take theirs from: between two processes
/// nobody else gets it.
pub(crate) fn free_port() -> u16 {
    loop {
        let drawn = u16::from_be_bytes(entropy::random());
        let port = 12_000 + drawn % 18_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A connection that broke: whether what was asked for has happened, nobody knows.
#[derive(Debug)]
pub(crate) struct Gone(
    #[expect(dead_code, reason = "a test that did not expect it prints it")] reqwest::Error,
);

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) cookies: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    /// A member of the body, text.
    pub(crate) fn text(&self, member: &str) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member} in {self:?}"))
            .to_owned()
    }

    /// A parameter of the URL that it leads to.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse(self.location.as_ref()?).unwrap();
        let found = url.query_pairs().find(|(key, _)| key == name)?;
        Some(found.1.into_owned())
    }
}

/// Sends requests; each over a connection of its own, so that none outlives a process.
#[derive(Clone)]
pub(crate) struct Http(reqwest::Client);

impl Http {
    pub(crate) fn new() -> Self {
        Self::from(None)
    }

    /// The same, from an address of this machine.
    pub(crate) fn from(address: impl Into<Option<IpAddr>>) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the world outside, which speaks to the program"
        )]
        let client = reqwest::Client::builder()
            .local_address(address)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self(client)
    }

    async fn send(request: RequestBuilder) -> Result<Answer, Gone> {
        let response: Response = request.send().await.map_err(Gone)?;
        let header = |name| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let cookies = response.headers().get_all(SET_COOKIE).iter();
        Ok(Answer {
            status: response.status(),
            location: header(LOCATION),
            cookies: cookies
                .map(|value| value.to_str().unwrap().to_owned())
                .collect(),
            body: response.text().await.map_err(Gone)?,
        })
    }

    pub(crate) async fn get(&self, url: &str, cookies: &Cookies) -> Result<Answer, Gone> {
        Self::send(self.0.get(url).header(COOKIE, cookies.header())).await
    }

    pub(crate) async fn form(
        &self,
        url: &str,
        cookies: &Cookies,
        form: &[(&str, &str)],
    ) -> Result<Answer, Gone> {
        let request = self.0.post(url).header(COOKIE, cookies.header());
        Self::send(request.form(form)).await
    }

    /// A message to the MCP server.
    pub(crate) async fn call(&self, url: &str, token: &str, body: &Value) -> Result<Answer, Gone> {
        let request = self.0.post(url).bearer_auth(token);
        let request = request.header("accept", "application/json, text/event-stream");
        Self::send(request.json(body)).await
    }

    /// Sends JSON, with what the sender says of where it was forwarded from, if it says anything.
    pub(crate) async fn post_json(
        &self,
        url: &str,
        forwarded: &str,
        body: &Value,
    ) -> Result<Answer, Gone> {
        let mut request = self.0.post(url).json(body);
        if !forwarded.is_empty() {
            request = request.header("x-forwarded-for", forwarded);
        }
        Self::send(request).await
    }

    /// Registers a client.
    pub(crate) async fn register(&self, base: &str, method: &str) -> Result<Client, Gone> {
        let metadata = json!({
            "client_name": "Client of a test",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": method,
        });
        let request = self.0.post(format!("{base}/register")).json(&metadata);
        let answer = Self::send(request).await?;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        Ok(Client {
            id: answer.text("client_id"),
            secret: (method != "none").then(|| answer.text("client_secret")),
        })
    }

    /// A request of the token or the revocation endpoint.
    pub(crate) async fn ask_as(
        &self,
        client: &Client,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, Gone> {
        let mut form = form.to_vec();
        form.push(("client_id", &client.id));
        if let Some(secret) = &client.secret {
            form.push(("client_secret", secret));
        }
        self.form(url, &Cookies::default(), &form).await
    }
}

/// The cookies of one browser at one place.
#[derive(Default)]
pub(crate) struct Cookies(BTreeMap<String, String>);

impl Cookies {
    fn take(&mut self, answer: &Answer) {
        for cookie in &answer.cookies {
            let pair = cookie.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    fn header(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
        pairs.join("; ")
    }

    /// What the browser holds.
    pub(crate) fn values(&self) -> impl Iterator<Item = &String> {
        self.0.values()
    }
}

/// A registered client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

/// A way through the browser, from the authorization request on, with everything secret that was met on it.
pub(crate) struct Journey {
    http: Http,
    base: String,
    pub(crate) cookies: Cookies,
    pub(crate) verifier: String,
    pub(crate) ticket: String,
}

impl Journey {
    /// Opens the consent page.
    pub(crate) async fn begin(http: &Http, base: &str, client: &Client) -> Result<Self, Gone> {
        let verifier = URL_SAFE_NO_PAD.encode(entropy::random::<32>());
        let challenge = challenge(&verifier);
        let mut url = Url::parse(&format!("{base}/authorize")).unwrap();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("state", "of the client")
            .append_pair("resource", &format!("{base}/mcp"));
        let journey = Self::open(http, base, url.as_str()).await?;
        Ok(Self {
            verifier,
            ..journey
        })
    }

    /// Opens the consent page of somebody's authorization URL.
    pub(crate) async fn open(http: &Http, base: &str, url: &str) -> Result<Self, Gone> {
        let mut cookies = Cookies::default();
        let page = http.get(url, &cookies).await?;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        cookies.take(&page);
        let (_, rest) = page.body.split_once(r#"name="ticket" value=""#).unwrap();
        let (ticket, _) = rest.split_once('"').unwrap();
        Ok(Self {
            http: http.clone(),
            base: base.to_owned(),
            cookies,
            verifier: String::new(),
            ticket: ticket.to_owned(),
        })
    }

    /// Agrees: the provider's page.
    pub(crate) async fn approve(&mut self) -> Result<Answer, Gone> {
        let form = [("ticket", &*self.ticket), ("decision", "github")];
        let url = format!("{}/consent", self.base);
        let answer = self.http.form(&url, &self.cookies, &form).await?;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        self.cookies.take(&answer);
        Ok(answer)
    }

    /// Signs in at the provider: the way back to anteroom.
    pub(crate) async fn sign_in(&self, approved: &Answer, login: &str) -> Result<Answer, Gone> {
        let page = approved.location.as_ref().unwrap();
        let form = [("login", login)];
        let answer = self.http.form(page, &Cookies::default(), &form).await?;
        assert_eq!(answer.status, StatusCode::FOUND, "{answer:?}");
        Ok(answer)
    }

    /// Comes back from the provider.
    pub(crate) async fn come_back(&self, signed_in: &Answer) -> Result<Answer, Gone> {
        let url = signed_in.location.as_ref().unwrap();
        self.http.get(url, &self.cookies).await
    }

    /// From the consent page to the client's code.
    pub(crate) async fn code(mut self, login: &str) -> Result<Code, Gone> {
        let approved = self.approve().await?;
        let signed_in = self.sign_in(&approved, login).await?;
        let answer = self.come_back(&signed_in).await?;
        let code = answer.parameter("code");
        Ok(Code {
            code: code.unwrap_or_else(|| panic!("{answer:?}")),
            verifier: self.verifier,
        })
    }
}

/// A code in the client's hand.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) code: String,
    pub(crate) verifier: String,
}

impl Code {
    /// The form that redeems it.
    pub(crate) fn form(&self) -> [(&str, &str); 4] {
        [
            ("grant_type", "authorization_code"),
            ("code", &self.code),
            ("code_verifier", &self.verifier),
            ("redirect_uri", REDIRECT),
        ]
    }
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}
