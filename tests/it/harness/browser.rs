//! A browser: keeps cookies as browsers do, and is sent on only when it is told to follow.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use anteroom::clock::{Clock as _, UnixTime};
use axum::extract::Request;
use http::HeaderValue;
use http::header::COOKIE;
use url::Url;

use super::answer::{Answer, encode, request, request_with};
use super::server::Server;

#[derive(Clone)]
pub(crate) struct Browser {
    server: Server,
    outside: reqwest::Client,
    cookies: Vec<Cookie>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    path: String,
    expires: Option<UnixTime>,
}

impl Browser {
    pub(crate) fn new(server: &Server) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "a browser is not the server: it goes where the person goes"
        )]
        let outside = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self {
            server: server.clone(),
            outside,
            cookies: Vec::new(),
        }
    }

    /// A page that the person opens, or is sent to from another site.
    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        let mut request = request("GET", self.server.local(url));
        say(&mut request, "sec-fetch-site", "cross-site");
        self.send(url, request).await
    }

    /// A form of our own page.
    pub(crate) async fn post_form(&mut self, url: &str, form: &[(&str, &str)]) -> Answer {
        let mut request = self.form(url, form);
        let origin = self.server.world.config.public_url.origin();
        say(&mut request, "sec-fetch-site", "same-origin");
        say(&mut request, "origin", origin);
        self.send(url, request).await
    }

    /// A form, without saying which page it is of: older browsers do not.
    pub(crate) fn form(&self, url: &str, form: &[(&str, &str)]) -> Request {
        let kind = "application/x-www-form-urlencoded";
        request_with(self.server.local(url), kind, encode(form))
    }

    /// Sends a request to us, with the cookies that belong to it, and keeps those of the answer.
    pub(crate) async fn send(&mut self, url: &str, mut request: Request) -> Answer {
        assert!(
            url.starts_with('/') || url.starts_with(self.server.world.config.public_url.origin()),
            "not ours: {url}"
        );
        let cookies = self.cookies_for(request.uri().path());
        if !cookies.is_empty() {
            let cookies = HeaderValue::from_str(&cookies).unwrap();
            request.headers_mut().insert(COOKIE, cookies);
        }
        let answer = self.server.send(request).await;
        for cookie in answer.set_cookies() {
            self.keep(cookie);
        }
        answer
    }

    /// The consent page of an authorization request.
    pub(crate) async fn open(&mut self, authorization_url: &str) -> Answer {
        let page = self.get(authorization_url).await;
        page.assert_page(200);
        page
    }

    /// Presses a button of a consent page: a provider, or `deny`.
    pub(crate) async fn decide(&mut self, page: &Answer, decision: &str) -> Answer {
        let form = [("ticket", ticket(page)), ("decision", decision)];
        let consent = self.server.url("/consent");
        self.post_form(&consent, &form).await
    }

    /// Agrees on a consent page: where GitHub asks who one is.
    pub(crate) async fn approve(&mut self, page: &Answer) -> Url {
        self.approve_with("github", page).await
    }

    /// The same with another provider.
    pub(crate) async fn approve_with(&mut self, provider: &str, page: &Answer) -> Url {
        self.decide(page, provider).await.location()
    }

    /// Chooses a person at the stand-in, none cancels: where the stand-in sends the browser back to.
    pub(crate) async fn choose(&self, provider: &Url, person: Option<&str>) -> Url {
        let is_standin = provider.host_str() == Some("127.0.0.1");
        assert!(is_standin, "not a stand-in: {provider}");
        let form = match person {
            Some(login) => encode(&[("login", login)]),
            None => encode(&[("cancel", "yes")]),
        };
        let post = self.outside.post(provider.as_str()).body(form);
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        let answer = post.send().await.unwrap();
        let location = answer.headers().get("location").cloned();
        let text = answer.text().await.unwrap();
        let location = location.unwrap_or_else(|| panic!("the stand-in refused: {text}"));
        location.to_str().unwrap().parse().unwrap()
    }

    /// From the authorization URL to the answer of our callback, as `person`.
    pub(crate) async fn sign_in(&mut self, authorization_url: &str, person: &str) -> Answer {
        let back = self.come_back("github", authorization_url, person).await;
        self.get(back.as_str()).await
    }

    /// From the authorization URL to the callback that the browser has not yet opened.
    pub(crate) async fn come_back(
        &mut self,
        provider: &str,
        authorization_url: &str,
        person: &str,
    ) -> Url {
        let page = self.open(authorization_url).await;
        let provider = self.approve_with(provider, &page).await;
        self.choose(&provider, Some(person)).await
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&Cookie> {
        self.cookies.iter().find(|cookie| cookie.name == name)
    }

    /// The names of all cookies.
    pub(crate) fn cookie_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.cookies.iter().map(|cookie| &*cookie.name).collect();
        names.sort_unstable();
        names
    }

    /// A cookie that somebody else managed to set.
    pub(crate) fn plant(&mut self, name: &str, value: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
        self.cookies.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path: "/".to_owned(),
            expires: None,
        });
    }

    /// The same browser, after the server was restarted.
    pub(crate) fn move_to(&mut self, server: &Server) {
        self.server = server.clone();
    }

    pub(crate) fn forget_cookie(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    pub(crate) fn forget_cookies(&mut self) {
        self.cookies.clear();
    }

    fn cookies_for(&self, path: &str) -> String {
        let now = self.server.world.clock.now();
        let sent = self.cookies.iter().filter(|cookie| {
            cookie.expires.is_none_or(|expires| expires > now)
                && (path == cookie.path
                    || path
                        .strip_prefix(cookie.path.trim_end_matches('/'))
                        .is_some_and(|rest| rest.starts_with('/')))
        });
        let sent: Vec<_> = sent
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        sent.join("; ")
    }

    /// Keeps a cookie as RFC 6265 and its successor say: what breaks their rules is dropped.
    fn keep(&mut self, header: &str) {
        let https = self.server.world.config.public_url.is_https();
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).unwrap();
        let attributes: Vec<(String, &str)> = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let attribute = |wanted: &str| {
            let mut found = attributes.iter().filter(|(name, _)| name == wanted);
            found.next().map(|(_, value)| *value)
        };
        let secure = attribute("secure").is_some();
        let path = attribute("path").unwrap_or("/");
        let is_host_cookie = secure && https && path == "/" && attribute("domain").is_none();
        if (secure && !https) || (name.starts_with("__Host-") && !is_host_cookie) {
            return;
        }
        self.cookies.retain(|cookie| cookie.name != name);
        let max_age = attribute("max-age").map(|seconds| seconds.parse::<i64>().unwrap());
        if max_age.is_some_and(|seconds| seconds <= 0) {
            return;
        }
        let lives = max_age.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        self.cookies.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path: path.to_owned(),
            expires: lives.map(|lives| self.server.world.clock.now() + lives),
        });
    }
}

fn say(request: &mut Request, name: &'static str, value: &str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}

/// The hidden field of a consent page.
pub(crate) fn ticket(page: &Answer) -> &str {
    let (_, rest) = page
        .text()
        .split_once(r#"name="ticket" value=""#)
        .unwrap_or_else(|| panic!("no consent page: {} {}", page.status, page.text()));
    rest.split('"').next().unwrap()
}
