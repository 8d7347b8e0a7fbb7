//! Attacks on the way to the server behind, byte by byte through the whole application: what reaches it, and what does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use crate::harness::backend::{Played, Wire, call};
use crate::harness::listening::{HOST, Listening};

/// What the server sees of a request that the gate lets through.
async fn seen(backend: &Played, line: &str, headers: &str) -> String {
    let served = Listening::before(backend.address).await;
    let client = served.ask(line, headers, &call()).await;
    let (mut wire, request) = backend.asked().await;
    wire.answer("200 OK", "connection: close\r\n", "{}").await;
    drop(client);
    request
}

/// The lines of a head, each in small letters.
fn lines(request: &str) -> Vec<String> {
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    head.lines().map(str::to_ascii_lowercase).collect()
}

/// Every way to write `name`.
fn spellings(name: &str) -> Vec<String> {
    let mut spelled = vec![
        name.to_owned(),
        name.to_ascii_uppercase(),
        name.to_ascii_lowercase(),
    ];
    for sign in [
        '_', '.', '~', '!', '#', '$', '%', '&', '\'', '*', '+', '^', '`', '|',
    ] {
        spelled.push(name.replace('-', &sign.to_string()));
        spelled.push(name.replacen('-', &sign.to_string(), 1));
    }
    spelled
}

/// P6, P2, P12
#[tokio::test]
async fn whoever_says_who_they_are_is_not_heard_however_they_spell_it() {
    let names = [
        "X-Anteroom-User",
        "X-Anteroom-Login",
        "X-Anteroom-Email",
        "X-Anteroom-Scopes",
        "X-Anteroom-Assertion",
        "X-Anteroom-Upstream-Token",
        "X-Forwarded-User",
        "X-Forwarded-For",
        "X-Forwarded-Uri",
        "X-Forwarded-Host",
        "X-Auth-Request-User",
        "X-Original-Url",
        "X-Original-Method",
        "X-Rewrite-Url",
        "X-Http-Method-Override",
        "X-Real-Ip",
        "X-Mcp-Oauth-Proxy-Url",
        "Remote-User",
        "Forwarded",
    ];
    let all: BTreeSet<_> = names.iter().flat_map(|name| spellings(name)).collect();
    let all: Vec<_> = all
        .iter()
        .map(|name| format!("{name}: forged\r\n"))
        .collect();
    let backend = Played::start().await;
    // a head may have a hundred lines
    for some in all.chunks(40) {
        let headers = format!(
            "Connection: X-Anteroom-User, x-anteroom-client\r\n{}",
            some.concat()
        );
        let request = seen(&backend, "POST /mcp HTTP/1.1", &headers).await;
        let kept: Vec<_> = lines(&request)
            .into_iter()
            .filter(|line| line.ends_with(": forged") && !line.starts_with("x-mcp-oauth-proxy-url"))
            .collect();
        assert!(kept.is_empty(), "{kept:?}");
        let ours = lines(&request);
        let users: Vec<_> = ours
            .iter()
            .filter(|line| line.contains("anteroom") && line.contains("user"))
            .collect();
        assert_eq!(users.len(), 1, "{users:?}");
        assert!(
            users[0].starts_with("x-anteroom-user: github:"),
            "{users:?}"
        );
        assert!(
            ours.iter()
                .any(|line| line.starts_with("x-anteroom-client: "))
        );
    }
}

/// RS-13, P6, T16
#[tokio::test]
async fn credentials_and_cookies_never_reach_the_server() {
    let backend = Played::start().await;
    let headers = "Cookie: a=secret\r\ncookie: b=secret\r\nProxy-Authorization: Basic secret\r\n\
        Proxy_Authorization: secret\r\nX-Authorization_: secret\r\nCookie2: secret\r\n\
        COOKIE_: secret\r\nConnection: authorization, cookie, accept\r\n";
    let request = seen(&backend, "POST /mcp HTTP/1.1", headers).await;
    assert!(!request.contains("secret"), "{request}");
    assert!(
        !request.to_ascii_lowercase().contains("bearer"),
        "{request}"
    );
    // what is in the list is for the connection, and for it alone
    for line in lines(&request) {
        let name = line.split(':').next().unwrap();
        let unwanted = [
            "authorization",
            "cookie",
            "accept",
            "connection",
            "accept-encoding",
        ];
        assert!(!unwanted.contains(&name), "{line}");
    }
}

/// P3, P10, P2
#[tokio::test]
async fn nothing_but_exactly_the_path_leads_to_the_server() {
    let backend = Played::start().await;
    let served = Listening::before(backend.address).await;
    for path in [
        "/mcp/",
        "/mcp/../x",
        "/mcp/..",
        "/x/../mcp",
        "//mcp",
        "/mcp//",
        "/./mcp",
        "/mcp/.",
        "/mcp%2f..",
        "/mcp%2F",
        "/mcp%00",
        "/mcp%20",
        "/mcp%23",
        "/mcp%3f",
        "/mcp;x",
        "/mcp;/../x",
        "/mcp\\",
        "\\mcp",
        "/%2e%2e/mcp",
        "/%6dcp",
        "/mcp/%2e%2e/x",
        "/MCP",
        "/mcp.",
        "mcp",
        "*",
        "/mcp ",
        "/mcp\t",
        "/mcp\u{e9}",
        "http://evil.example/mcp",
        "http://evil.example@mcp.example.com/mcp",
        "http://mcp.example.com:1/mcp",
        "mcp.example.com:443",
        "http://mcp.example.com/mcp/../x",
        "//mcp.example.com/mcp",
    ] {
        let wire = served
            .ask(
                &format!("POST {path} HTTP/1.1"),
                "connection: close\r\n",
                &call(),
            )
            .await;
        let answer = wire.rest().await;
        let status = answer.get(9..12).unwrap_or("none");
        assert!(
            ["400", "403", "404", "none"].contains(&status),
            "{path}: {answer}"
        );
        assert!(!answer.contains("/inner"), "{path}: {answer}");
    }
    assert_untouched(&backend, served).await;
}

/// The next request that the server sees is this one.
async fn assert_untouched(backend: &Played, served: Listening) {
    let body = crate::harness::gate::rpc("tools/call", &serde_json::json!({"name": "last"}));
    let client = served.post("", &body).await;
    let (mut wire, request) = backend.asked().await;
    assert!(request.ends_with(&body), "{request}");
    wire.answer("200 OK", "", "{}").await;
    drop(client);
}

/// P3, P10
#[tokio::test]
async fn the_path_at_the_server_is_the_configured_one_whatever_stands_in_the_request() {
    let backend = Played::start().await;
    for (path, expected) in [
        ("/mcp", "/inner"),
        ("/mcp?", "/inner"),
        ("/mcp?/../../x", "/inner?/../../x"),
        ("/mcp?a=b#c", "/inner?a=b"),
        ("/mcp#/../x", "/inner"),
        (
            "/mcp?%2e%2e%2f%0d%0aX-A:%20b",
            "/inner?%2e%2e%2f%0d%0aX-A:%20b",
        ),
        ("/mcp?http://evil.example/", "/inner?http://evil.example/"),
        ("http://mcp.example.com/mcp", "/inner"),
        ("http://mcp.example.com/mcp?a", "/inner?a"),
        ("https://mcp.example.com/mcp", "/inner"),
    ] {
        let request = seen(&backend, &format!("POST {path} HTTP/1.1"), "").await;
        let mut lines = request.lines();
        assert_eq!(
            lines.next().unwrap(),
            format!("POST {expected} HTTP/1.1"),
            "{path}"
        );
        let hosts: Vec<_> = lines.filter(|line| line.starts_with("host:")).collect();
        assert_eq!(hosts, [format!("host: {}", backend.address)], "{path}");
    }
}

/// P3, P6
#[tokio::test]
async fn a_head_that_two_servers_could_read_differently_reaches_nobody() {
    let backend = Played::start().await;
    let served = Listening::before(backend.address).await;
    let body = call();
    let length = body.len();
    let token = &served.token;
    for (what, headers) in [
        (
            "a space before the colon",
            "X-Anteroom-User : root\r\n".to_owned(),
        ),
        (
            "a space in the name",
            "X-Anteroom User: root\r\n".to_owned(),
        ),
        (
            "a folded line",
            "x-a: b\r\n X-Anteroom-User: root\r\n".to_owned(),
        ),
        (
            "a line that ends early",
            "x-a: b\rX-Anteroom-User: root\r\n".to_owned(),
        ),
        ("two lengths", format!("content-length: {}\r\n", length - 1)),
        ("two hosts", "host: evil.example\r\n".to_owned()),
        ("two tokens", "authorization: Bearer a.b.c\r\n".to_owned()),
        (
            "a strange transfer encoding",
            "transfer-encoding: xchunked\r\n".to_owned(),
        ),
    ] {
        let mut wire = Wire::connect(served.address).await;
        wire.write(&format!(
            "POST /mcp HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\
             accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        ))
        .await;
        let answer = wire.rest().await;
        let status = answer.get(9..12).unwrap_or("none");
        assert!(
            ["400", "401", "403", "none"].contains(&status),
            "{what}: {answer}"
        );
    }
    assert_untouched(&backend, served).await;
}

/// P6
#[tokio::test]
async fn a_request_hidden_in_a_body_is_a_body() {
    let backend = Played::start().await;
    let hidden = "POST /admin HTTP/1.1\\r\\nhost: inner\\r\\n\\r\\n";
    let params = serde_json::json!({"name": "add", "arguments": {"text": hidden}});
    let body = crate::harness::gate::rpc("tools/call", &params);
    let served = Listening::before(backend.address).await;
    let mut wire = Wire::connect(served.address).await;
    let (length, token) = (body.len(), &served.token);
    // length and chunks at once: the chunks count (RFC 9112 section 6.3), and what goes on has a length alone
    wire.write(&format!(
        "POST /mcp HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\
         accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    ))
    .await;
    let (_wire, request) = backend.asked().await;
    let lengths: Vec<_> = lines(&request)
        .into_iter()
        .filter(|line| line.starts_with("content-length") || line.starts_with("transfer"))
        .collect();
    assert_eq!(lengths, [format!("content-length: {length}")]);
    assert!(request.ends_with(&body), "{request}");
}

/// P6, SEC-15
#[tokio::test]
async fn of_the_servers_answer_only_the_answer_comes_back() {
    let backend = Played::start().await;
    let served = Listening::before(backend.address).await;
    let mut client = served.post("", &call()).await;
    let (mut wire, _) = backend.asked().await;
    let headers = "www-authenticate: Bearer realm=inner\r\nproxy-authenticate: Basic inner\r\n\
        set-cookie: __Host-anteroom=inner\r\nset_cookie: inner\r\naccess-control-allow-origin: inner\r\n\
        x-anteroom-user: inner\r\nx-forwarded-user: inner\r\nlocation: http://inner/\r\nrefresh: 0;url=inner\r\n\
        content-location: /inner\r\nalt-svc: h3=inner\r\nclear-site-data: \"inner\"\r\n\
        strict-transport-security: inner\r\nx-accel-redirect: /inner\r\nx-sendfile: /inner\r\n\
        connection: x-hop\r\nx-hop: inner\r\nkeep-alive: inner\r\nupgrade: inner\r\ntrailer: inner\r\n";
    wire.answer("403 Forbidden", headers, "{}").await;
    let answer = client.read().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(!answer.contains("inner"), "{answer}");
}

/// P6
#[tokio::test]
async fn what_a_server_sends_after_its_answer_is_not_handed_on() {
    let backend = Played::start().await;
    let served = Listening::before(backend.address).await;
    let mut client = served.post("te: trailers\r\n", &call()).await;
    let (mut wire, _) = backend.asked().await;
    wire.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n")
        .await;
    wire.write("2\r\n{}\r\n0\r\nx-late: late\r\nset-cookie: late\r\n\r\n")
        .await;
    let mut answer = client.read().await.unwrap();
    served.post("connection: close\r\n", "").await.rest().await;
    drop(served);
    answer.push_str(&client.rest().await);
    assert!(!answer.contains("late"), "{answer}");
}
