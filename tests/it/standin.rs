//! The stand-in for GitHub itself, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::standin::{CLIENT_ID, CLIENT_SECRET, Fault, Standin};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use url::Url;

pub(crate) const CALLBACK: &str = "http://localhost:8080/callback/github";
// RFC 7636 Appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A stand-in on any free port.
pub(crate) async fn start() -> Standin {
    Standin::start("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

/// Presses a button on the page at `url`: a person, or "Cancel". Answers where the browser is sent.
pub(crate) async fn press(url: &str, login: Option<&str>) -> String {
    let page = send(Method::GET, url, &[], "").await;
    assert_eq!(
        page.status(),
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(page.body())
    );
    let button = login.map_or("cancel=yes".to_owned(), |login| format!("login={login}"));
    let answer = send(Method::POST, url, &[FORM], &button).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// A parameter in the query of `url`.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    let mut pairs = url.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("accept", "application/json");

/// Sends a request as it is.
pub(crate) async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> http::Response<Vec<u8>> {
    let mut request = http::Request::builder().method(method).uri(url);
    request = request.header("user-agent", "test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::<bytes::Bytes>::from(body.to_owned()))
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    http::Response::from_parts(head, body.into())
}

pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

const ASKED: [(&str, &str); 6] = [
    ("client_id", CLIENT_ID),
    ("redirect_uri", CALLBACK),
    ("state", "a+b/c=="),
    ("scope", "read:org user:email"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

/// The address of the page, with some parameters replaced or, where the value is empty, left out.
fn authorize(standin: &Standin, changes: &[(&str, &str)]) -> String {
    let instead = |name: &str| changes.iter().find(|(other, _)| *other == name);
    let pairs = ASKED.iter().map(|pair| *instead(pair.0).unwrap_or(pair));
    let pairs: Vec<_> = pairs.filter(|(_, value)| !value.is_empty()).collect();
    format!(
        "{}/login/oauth/authorize?{}",
        standin.base_url(),
        encode(&pairs)
    )
}

async fn redeem(standin: &Standin, code: &str, changes: &[(&str, &str)]) -> Value {
    let mut pairs = vec![
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    pairs.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    pairs.extend(changes);
    let url = format!("{}/login/oauth/access_token", standin.base_url());
    let answer = send(Method::POST, &url, &[FORM, JSON], &encode(&pairs)).await;
    assert_eq!(
        answer.status(),
        StatusCode::OK,
        "GitHub's errors are 200 too"
    );
    serde_json::from_slice(answer.body()).unwrap()
}

async fn token_of(standin: &Standin, login: &str) -> String {
    let back = press(&authorize(standin, &[]), Some(login)).await;
    let code = parameter(&back, "code").unwrap();
    let answer = redeem(standin, &code, &[]).await;
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn api(standin: &Standin, token: &str, path: &str) -> (StatusCode, Value) {
    let bearer = format!("Bearer {token}");
    let url = format!("{}{path}", standin.api_url());
    let answer = send(Method::GET, &url, &[("authorization", &bearer)], "").await;
    (
        answer.status(),
        serde_json::from_slice(answer.body()).unwrap(),
    )
}

async fn application(standin: &Standin, method: Method, what: &str, token: &str) -> StatusCode {
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"))
    );
    let url = format!("{}/applications/{CLIENT_ID}/{what}", standin.api_url());
    let body = json!({ "access_token": token }).to_string();
    let headers = [
        ("authorization", basic.as_str()),
        ("content-type", "application/json"),
    ];
    send(method, &url, &headers, &body).await.status()
}

#[tokio::test]
async fn the_page_offers_people_works_without_script_and_loads_nothing() {
    let standin = start().await;
    let page = send(Method::GET, &authorize(&standin, &[]), &[], "").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let html = std::str::from_utf8(page.body()).unwrap();
    for login in ["mona", "octavia", "hubot", "juergen", "wanda"] {
        assert!(
            html.contains(&format!("name=\"login\" value=\"{login}\"")),
            "{login}"
        );
    }
    assert!(html.contains("Octavia Ångström") && html.contains("read:org, user:email"));
    for foreign in ["<script", "src=", "href=", "url("] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}

#[tokio::test]
async fn the_answer_repeats_the_state_byte_for_byte() {
    let standin = start().await;
    let back = press(&authorize(&standin, &[]), Some("mona")).await;
    assert!(back.starts_with(&format!("{CALLBACK}?code=")), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("a+b/c=="));
    let back = press(&authorize(&standin, &[]), None).await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("a+b/c=="));
}

#[tokio::test]
async fn a_malformed_request_is_a_page_and_never_a_redirect() {
    let standin = start().await;
    let foreign = "https://mcp.example.com/callback/github";
    for change in [
        ("client_id", "somebody"),
        ("client_id", ""),
        ("redirect_uri", foreign),
        ("redirect_uri", "http://localhost.evil.example/"),
        ("redirect_uri", "javascript:alert(1)"),
        ("redirect_uri", ""),
        ("state", ""),
        ("code_challenge_method", "plain"),
        ("code_challenge_method", ""),
        ("code_challenge", ""),
        ("code_challenge", "<b>"),
    ] {
        let url = authorize(&standin, &[change]);
        for (method, body) in [(Method::GET, ""), (Method::POST, "login=mona")] {
            let answer = send(method, &url, &[FORM], body).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{change:?}");
            assert!(!answer.headers().contains_key("location"), "{change:?}");
        }
    }
    let nobody = send(
        Method::POST,
        &authorize(&standin, &[]),
        &[FORM],
        "login=nobody",
    )
    .await;
    assert_eq!(nobody.status(), StatusCode::BAD_REQUEST);
    standin.register_callback(foreign);
    let back = press(
        &authorize(&standin, &[("redirect_uri", foreign)]),
        Some("mona"),
    )
    .await;
    assert!(back.starts_with(foreign), "{back}");
}

#[tokio::test]
async fn a_code_is_spent_once_by_who_knows_its_verifier_and_the_secret() {
    let standin = start().await;
    let bad_code = "bad_verification_code";
    for (change, error) in [
        (("client_secret", "wrong"), "incorrect_client_credentials"),
        (("client_id", "somebody"), "incorrect_client_credentials"),
        (
            ("redirect_uri", "http://localhost:8080/other"),
            "redirect_uri_mismatch",
        ),
        (("code_verifier", CHALLENGE), bad_code),
        (("code_verifier", ""), bad_code),
        (("code", "made-up"), bad_code),
    ] {
        let back = press(&authorize(&standin, &[]), Some("mona")).await;
        let code = parameter(&back, "code").unwrap();
        let answer = redeem(&standin, &code, &[change]).await;
        assert_eq!(answer["error"], error, "{change:?}");
        assert!(answer.get("access_token").is_none(), "{change:?}");
    }
    let back = press(&authorize(&standin, &[]), Some("mona")).await;
    let code = parameter(&back, "code").unwrap();
    let answer = redeem(&standin, &code, &[]).await;
    assert_eq!(
        (&answer["token_type"], &answer["scope"]),
        (&json!("bearer"), &json!("read:org,user:email"))
    );
    assert_eq!(redeem(&standin, &code, &[]).await["error"], bad_code);
}

#[tokio::test]
async fn who_does_not_ask_for_json_gets_a_form() {
    let standin = start().await;
    let url = format!("{}/login/oauth/access_token", standin.base_url());
    let answer = send(Method::POST, &url, &[FORM], "client_id=somebody").await;
    assert_eq!(
        answer.headers()["content-type"],
        "application/x-www-form-urlencoded"
    );
    let body = std::str::from_utf8(answer.body()).unwrap();
    assert!(
        body.starts_with("error=incorrect_client_credentials&error_description="),
        "{body}"
    );
}

#[tokio::test]
async fn people_are_shown_to_themselves() {
    let standin = start().await;
    let mona = token_of(&standin, "mona").await;
    let juergen = token_of(&standin, "juergen").await;
    let team = "/orgs/acme/teams/platform/memberships/mona";
    for (token, path, field, value) in [
        (&mona, "/user", "/id", json!(1)),
        (&mona, "/user", "/name", json!("Mona Lísa")),
        (&mona, "/user/emails", "/1/email", json!("mona@example.com")),
        (&mona, "/user/orgs", "/0/login", json!("acme")),
        (&mona, "/user/teams", "/0/organization/login", json!("acme")),
        (
            &mona,
            "/user/memberships/orgs/acme",
            "/state",
            json!("active"),
        ),
        (
            &juergen,
            "/user/memberships/orgs/acme",
            "/state",
            json!("pending"),
        ),
        (&mona, team, "/state", json!("active")),
    ] {
        let (status, body) = api(&standin, token, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(body.pointer(field), Some(&value), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_theirs_to_see_is_absent() {
    let standin = start().await;
    let mona = token_of(&standin, "mona").await;
    let wanda = token_of(&standin, "wanda").await;
    for (token, path, status) in [
        (wanda.as_str(), "/user/memberships/orgs/acme", 404),
        (&mona, "/orgs/acme/teams/other/memberships/mona", 404),
        (&mona, "/orgs/acme/teams/platform/memberships/octavia", 404),
        (&wanda, "/orgs/acme/teams/platform/memberships/mona", 404),
        (&mona, "/elsewhere", 404),
        ("made-up", "/user", 401),
    ] {
        assert_eq!(
            api(&standin, token, path).await.0.as_u16(),
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn whoever_does_not_say_who_they_are_is_refused() {
    let standin = start().await;
    let token = token_of(&standin, "mona").await;
    let host = standin.base_url().replace("http://", "");
    for (agent, status) in [("", "403"), ("user-agent: test\r\n", "200")] {
        let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
        let request = format!(
            "GET /api/user HTTP/1.1\r\nhost: {host}\r\n{agent}authorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_name_the_next() {
    let standin = start().await;
    let bearer = format!("Bearer {}", token_of(&standin, "wanda").await);
    for list in ["orgs", "teams"] {
        let mut url = format!("{}/user/{list}?per_page=100", standin.api_url());
        let mut seen = Vec::new();
        loop {
            let answer = send(Method::GET, &url, &[("authorization", &bearer)], "").await;
            let page: Vec<Value> = serde_json::from_slice(answer.body()).unwrap();
            seen.push(page.len());
            let Some(link) = answer.headers().get("link") else {
                break;
            };
            let next = link.to_str().unwrap().split('>').next().unwrap();
            url = next.trim_start_matches('<').to_owned();
        }
        assert_eq!(seen, [30, 30], "{list}");
    }
}

#[tokio::test]
async fn what_was_not_granted_is_not_shown() {
    let standin = start().await;
    standin.grant_at_most(&["user:email"]);
    let token = token_of(&standin, "mona").await;
    for (path, status) in [
        ("/user", 200),
        ("/user/emails", 200),
        ("/user/orgs", 403),
        ("/user/teams", 403),
        ("/user/memberships/orgs/acme", 403),
        ("/orgs/acme/teams/platform/memberships/mona", 403),
    ] {
        assert_eq!(
            api(&standin, &token, path).await.0.as_u16(),
            status,
            "{path}"
        );
    }
    standin.grant_at_most(&["read:org"]);
    let token = token_of(&standin, "mona").await;
    assert_eq!(api(&standin, &token, "/user/emails").await.0.as_u16(), 404);
}

#[tokio::test]
async fn the_application_can_ask_about_its_tokens_and_end_them() {
    let standin = start().await;
    let (first, second) = (
        token_of(&standin, "mona").await,
        token_of(&standin, "mona").await,
    );
    let hubot = token_of(&standin, "hubot").await;
    assert_eq!(
        application(&standin, Method::POST, "token", &first).await,
        200
    );
    assert_eq!(
        application(&standin, Method::DELETE, "token", &first).await,
        204
    );
    assert_eq!(
        application(&standin, Method::DELETE, "token", &first).await,
        404
    );
    assert_eq!(
        application(&standin, Method::POST, "token", &first).await,
        404
    );
    assert_eq!(api(&standin, &first, "/user").await.0.as_u16(), 401);
    assert_eq!(api(&standin, &second, "/user").await.0.as_u16(), 200);
    let third = token_of(&standin, "mona").await;
    assert_eq!(
        application(&standin, Method::DELETE, "grant", &third).await,
        204
    );
    for token in [&second, &third] {
        assert_eq!(api(&standin, token, "/user").await.0.as_u16(), 401);
    }
    assert_eq!(api(&standin, &hubot, "/user").await.0.as_u16(), 200);
    standin.revoke_tokens_of("hubot");
    assert_eq!(api(&standin, &hubot, "/user").await.0.as_u16(), 401);

    let url = format!("{}/applications/{CLIENT_ID}/token", standin.api_url());
    let body = json!({ "access_token": "any" }).to_string();
    let json = ("content-type", "application/json");
    let stranger = send(
        Method::POST,
        &url,
        &[("authorization", "Basic eDp5"), json],
        &body,
    )
    .await;
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn of_more_than_ten_tokens_with_the_same_scopes_the_oldest_ends() {
    let standin = start().await;
    let mut tokens = Vec::new();
    standin.grant_at_most(&["user:email"]);
    let other_scopes = token_of(&standin, "mona").await;
    standin.grant_at_most(&["read:org"]);
    let other_person = token_of(&standin, "hubot").await;
    for _ in 0..12 {
        tokens.push(token_of(&standin, "mona").await);
    }
    tokens.extend([other_scopes, other_person]);
    for (number, token) in tokens.iter().enumerate() {
        let expected = if number < 2 { 401 } else { 200 };
        let (status, _) = api(&standin, token, "/user").await;
        assert_eq!(status.as_u16(), expected, "{number}");
    }
}

#[tokio::test]
async fn tokens_of_a_github_app_expire_and_are_renewed_once() {
    let standin = start().await;
    standin.become_github_app();
    let back = press(&authorize(&standin, &[]), Some("mona")).await;
    let first = redeem(&standin, &parameter(&back, "code").unwrap(), &[]).await;
    assert_eq!(
        (&first["scope"], &first["expires_in"]),
        (&json!(""), &json!(28_800))
    );
    let access = first["access_token"].as_str().unwrap();
    let refresh = first["refresh_token"].as_str().unwrap();
    let memberships = "/user/memberships/orgs/acme";
    assert_eq!(api(&standin, access, memberships).await.0, 200);

    standin.expire_tokens();
    assert_eq!(api(&standin, access, "/user").await.0, 401);
    let checked = application(&standin, Method::POST, "token", access).await;
    assert_eq!(checked, 404);
    let renew = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("code", ""),
    ];
    let wrong = [renew[0], renew[1], ("client_secret", "wrong")];
    assert_eq!(
        redeem(&standin, "", &wrong).await["error"],
        "incorrect_client_credentials"
    );
    let second = redeem(&standin, "", &renew).await;
    let access = second["access_token"].as_str().unwrap();
    assert_eq!(api(&standin, access, "/user").await.0, 200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(
        redeem(&standin, "", &renew).await["error"],
        "bad_refresh_token"
    );
    // Ended, it takes what renews it along.
    application(&standin, Method::DELETE, "token", access).await;
    assert!(!standin.has_tokens());
}

#[tokio::test]
async fn people_leave_and_are_locked_out() {
    let standin = start().await;
    let mona = token_of(&standin, "mona").await;
    let team = "/orgs/acme/teams/platform/memberships/mona";
    let org = "/user/memberships/orgs/acme";
    assert_eq!(api(&standin, &mona, team).await.0, 200);
    standin.leave_team("mona", "acme", "platform");
    assert_eq!(api(&standin, &mona, team).await.0, 404);
    assert_eq!(api(&standin, &mona, org).await.0, 200);
    standin.leave_org("mona", "acme");
    assert_eq!(api(&standin, &mona, org).await.0, 404);
    standin.suspend("mona");
    let (status, told) = api(&standin, &mona, "/user").await;
    assert_eq!(status, 403);
    assert_eq!(told["message"], "Sorry. Your account was suspended.");
}

#[tokio::test]
async fn a_fault_answers_until_it_is_healed() {
    let standin = start().await;
    let token = token_of(&standin, "mona").await;
    standin.fault("/api/user/orgs", Fault::Down);
    let url = format!("{}/user/orgs", standin.api_url());
    assert_eq!(
        send(Method::GET, &url, &[], "").await.status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(api(&standin, &token, "/user").await.0, StatusCode::OK);
    standin.heal();
    assert_eq!(api(&standin, &token, "/user/orgs").await.0, StatusCode::OK);
    let asked = standin.asked();
    assert_eq!(asked.last().map(String::as_str), Some("GET /api/user/orgs"));
}

#[tokio::test]
async fn a_dropped_stand_in_is_gone() {
    let standin = start().await;
    let host = standin.base_url().replace("http://", "");
    tokio::net::TcpStream::connect(&host).await.unwrap();
    drop(standin);
    while tokio::net::TcpStream::connect(&host).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
