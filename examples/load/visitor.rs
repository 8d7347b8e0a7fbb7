//! One MCP client with the browser of its person: registers, signs in, redeems, refreshes, calls.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::http::{Answer, Connection, Message};

/// A client and a browser that share a connection to the server.
pub(crate) struct Visitor {
    pub(crate) server: Connection,
    pub(crate) baseline: Connection,
    provider: Option<(String, Connection)>,
    origin: String,
    client_id: String,
    cookies: Vec<(String, String)>,
}

/// What the token endpoint gave.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Visitor {
    /// Somebody new to the server at `origin`.
    pub(crate) fn new(origin: &Url, baseline: SocketAddr) -> Result<Self> {
        let (address, host) = place(origin)?;
        Ok(Self {
            server: Connection::new(address, host),
            baseline: Connection::new(baseline, baseline.to_string()),
            provider: None,
            origin: origin.as_str().trim_end_matches('/').to_owned(),
            client_id: String::new(),
            cookies: Vec::new(),
        })
    }

    /// RFC 7591
    pub(crate) async fn register(&mut self) -> Result<()> {
        let body = json!({
            "client_name": "load",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let message = Message::post("/register", JSON, body.to_string());
        let answer = self.server.expect(StatusCode::CREATED, message).await?;
        self.client_id = text(&answer, "client_id")?;
        Ok(())
    }

    /// From the authorization request to the code: consent page, approval, the provider, and back.
    pub(crate) async fn approve(&mut self, resource: &str) -> Result<String> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("state", "load")
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &format!("{}{resource}", self.origin))
            .finish();
        let page = self
            .browse(Message::get(&format!("/authorize?{query}")))
            .await?;
        let page = String::from_utf8_lossy(&page.body);
        let ticket = field(&page, "ticket").context("the consent page has no ticket")?;
        let provider = field(&page, "decision").context("the consent page has no button")?;

        let form = form(&[("ticket", &ticket), ("decision", &provider)]);
        let origin = self.origin.clone();
        let headers = [
            ("content-type", FORM),
            ("origin", &origin),
            ("sec-fetch-site", "same-origin"),
        ];
        let approved = self
            .browse(Message::post("/consent", &headers, form))
            .await?;
        let back = self.sign_in_at(&location(&approved)?).await?;
        let back = path_and_query(&back);
        let done = self.browse(Message::get(&back)).await?;
        let (_, code) = location(&done)?
            .query_pairs()
            .find(|(name, _)| name == "code")
            .map(|(name, code)| (name.into_owned(), code.into_owned()))
            .context("no code in the answer to the client")?;
        Ok(code)
    }

    /// RFC 6749 §4.1.3
    pub(crate) async fn redeem(&mut self, code: &str, resource: &str) -> Result<Tokens> {
        let resource = format!("{}{resource}", self.origin);
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("client_id", &self.client_id),
            ("code_verifier", VERIFIER),
            ("resource", &resource),
        ]);
        self.tokens(body).await
    }

    /// RFC 6749 §6
    pub(crate) async fn refresh(&mut self, refresh: &str) -> Result<Tokens> {
        let body = form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", &self.client_id),
        ]);
        self.tokens(body).await
    }

    /// RFC 7009
    pub(crate) async fn revoke(&mut self, refresh: &str) -> Result<()> {
        let body = form(&[("token", refresh), ("client_id", &self.client_id)]);
        let headers = [("content-type", FORM)];
        let message = Message::post("/revoke", &headers, body);
        self.server.expect(StatusCode::OK, message).await.map(drop)
    }

    async fn tokens(&mut self, body: String) -> Result<Tokens> {
        let headers = [("content-type", FORM)];
        let message = Message::post("/token", &headers, body);
        let answer = self.server.expect(StatusCode::OK, message).await?;
        Ok(Tokens {
            access: text(&answer, "access_token")?,
            refresh: text(&answer, "refresh_token")?,
        })
    }

    /// Signs in at the stand-in as somebody who was never there before; the URL that leads back.
    async fn sign_in_at(&mut self, departure: &Url) -> Result<Url> {
        let (address, host) = place(departure)?;
        if self
            .provider
            .as_ref()
            .is_none_or(|(known, _)| *known != host)
        {
            let connection = Connection::new(address, host.clone());
            self.provider = Some((host, connection));
        }
        let (_, provider) = self.provider.as_mut().context("no provider")?;
        let path = path_and_query(departure);
        let login = format!("visitor-{}", VISITORS.fetch_add(1, Ordering::Relaxed));
        let headers = [("content-type", FORM)];
        let chosen = Message::post(&path, &headers, form(&[("login", &login)]));
        location(&provider.send(chosen).await?)
    }

    /// As a browser does: with its cookies, and keeping new ones.
    async fn browse(&mut self, message: Message<'_>) -> Result<Answer> {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut headers = message.headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let message = Message {
            headers: &headers,
            ..message
        };
        let answer = self.server.send(message).await?;
        if !(answer.status.is_success() || answer.status.is_redirection()) {
            let body = String::from_utf8_lossy(&answer.body);
            bail!("{}: {body}", answer.status);
        }
        for cookie in answer.headers.get_all("set-cookie") {
            self.keep_cookie(cookie.to_str()?);
        }
        Ok(answer)
    }

    fn keep_cookie(&mut self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap_or_default();
        let Some((name, value)) = pair.split_once('=') else {
            return;
        };
        self.cookies.retain(|(known, _)| known != name);
        if !value.is_empty() && !cookie.contains("Max-Age=0") {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// The headers of a JSON body.
pub(crate) const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Where a URL on this machine is, and what it is called.
pub(crate) fn place(url: &Url) -> Result<(SocketAddr, String)> {
    let host = url.host_str().context("a URL without host")?;
    let port = url.port_or_known_default().context("a URL without port")?;
    let address = match host {
        "localhost" | "127.0.0.1" => SocketAddr::from(([127, 0, 0, 1], port)),
        _ => bail!("{url} is not on this machine: only loopback is loaded"),
    };
    Ok((address, format!("{host}:{port}")))
}

fn location(answer: &Answer) -> Result<Url> {
    let Some(location) = answer.header("location") else {
        let body = String::from_utf8_lossy(&answer.body);
        bail!("{} instead of a redirect: {body}", answer.status);
    };
    Ok(Url::parse(location)?)
}

fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The value of the first element of a page that has this name.
fn field(page: &str, name: &str) -> Option<String> {
    let named = page.find(&format!("name=\"{name}\""))?;
    let from = page[..named].rfind('<')?;
    let tag = &page[from..from + page[from..].find('>')?];
    let (_, value) = tag.split_once("value=\"")?;
    let (value, _) = value.split_once('"')?;
    Some(value.to_owned())
}

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn text(answer: &Answer, member: &str) -> Result<String> {
    let body: Value = serde_json::from_slice(&answer.body)?;
    let text = body[member].as_str().map(str::to_owned);
    text.with_context(|| format!("no {member} in {body}"))
}

const FORM: &str = "application/x-www-form-urlencoded";
const REDIRECT: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "a-verifier-of-no-use-to-anybody-but-this-load";

/// Everybody is a person of their own, as in life: the sessions of one share what the provider gave.
static VISITORS: AtomicU64 = AtomicU64::new(0);
