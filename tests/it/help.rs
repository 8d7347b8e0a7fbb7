//! A person who opens an MCP path in a browser reads what it is; a client never does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use anteroom::resource::help::Help;
use anteroom::resource::layer::BearerLayer;
use axum::Router;
use axum::extract::Request;
use http::header::{ACCEPT, HeaderMap};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, service_fn};

use crate::harness::answer::{Answer, request};
use crate::harness::gate::{self, METADATA, World, bodiless};
use crate::harness::server::{Server, server};

/// Chromium, Firefox and Safari, when a person opens an address.
const BROWSERS: [&str; 2] = [
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
];

/// What MCP clients and their HTTP libraries send, to streams, to documents, and to look what is there.
const CLIENTS: [&str; 8] = [
    "*/*",
    "text/event-stream",
    "application/json",
    "application/json, text/event-stream",
    "text/event-stream, application/json",
    "application/json, text/plain, */*",
    "application/json, text/event-stream, text/html",
    "",
];

fn asked(method: &str, path: &str, accept: &str) -> Request {
    let mut request = request(method, path);
    request
        .headers_mut()
        .insert(ACCEPT, accept.parse().unwrap());
    request
}

async fn opened(server: &Server, path: &str) -> Answer {
    server.send(asked("GET", path, BROWSERS[0])).await
}

/// RS-01, RS-02, AUTHZ-23, AUTHZ-24
#[tokio::test]
async fn a_browser_is_shown_a_page_with_the_challenge_of_a_client() {
    let server = server().start().await;
    let refusal = server.get("/mcp").await;
    assert_eq!(refusal.json()["error"]["code"], 401);
    for accept in BROWSERS {
        let page = server.send(asked("GET", "/mcp", accept)).await;
        page.assert_page(401);
        assert_eq!(
            page.header("www-authenticate"),
            refusal.header("www-authenticate")
        );
        assert_eq!(page.header("vary"), "Accept");
        assert!(!page.has_cors());
        for said in [
            "<h1>This is an MCP server</h1>",
            "sign in with GitHub (stand-in)",
            "<code>https://mcp.example.com/mcp</code>",
            "claude mcp add --transport http mcp-example-com-mcp https://mcp.example.com/mcp",
            "ChatGPT",
            "vscode:mcp/install?",
            "cursor://anysphere.cursor-deeplink/mcp/install?",
            "npx @modelcontextprotocol/inspector",
            "href=\"/account\"",
        ] {
            assert!(page.text().contains(said), "{said}: {}", page.text());
        }
        for unsaid in ["good on this computer alone", "Other servers here"] {
            assert!(!page.text().contains(unsaid), "{unsaid}");
        }
    }
}

/// RS-01, RS-16
#[tokio::test]
async fn a_client_is_never_shown_a_page() {
    let server = server().start().await;
    for accept in CLIENTS {
        for method in ["GET", "POST", "DELETE", "PUT"] {
            let answer = server.send(asked(method, "/mcp", accept)).await;
            assert_eq!(answer.status, 401, "{method} {accept}");
            assert_eq!(answer.json()["error"]["code"], 401, "{method} {accept}");
        }
        let root = server.send(asked("GET", "/", accept)).await;
        assert_eq!(
            (root.status.as_u16(), &root.json()["error"]),
            (404, &"not_found".into())
        );
    }
    // the answer depends on it, whatever it is
    assert_eq!(server.get("/mcp").await.header("vary"), "Accept");
    for method in ["POST", "DELETE", "PUT"] {
        let answer = server.send(asked(method, "/mcp", BROWSERS[0])).await;
        assert_eq!(answer.json()["error"]["code"], 401, "{method}");
    }
    // a stream that a script in a page opens
    let mut stream = asked("GET", "/mcp", "text/event-stream");
    let headers = stream.headers_mut();
    headers.insert("sec-fetch-mode", "cors".parse().unwrap());
    headers.insert("origin", "http://localhost:6274".parse().unwrap());
    let answer = server.send(stream).await;
    assert_eq!(answer.json()["error"]["code"], 401);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "http://localhost:6274"
    );
}

/// RS-05, RS-08, SEC-15
#[tokio::test]
async fn whoever_presents_something_is_answered_as_a_client() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    server.advance(Duration::from_secs(2 * 3600));
    let expired = format!("Bearer {}", tokens.access);
    for (authorization, status) in [
        (expired.as_str(), 401),
        ("Bearer a.b.c", 401),
        ("Bearer ", 400),
        ("Bearer a b", 400),
        ("Basic YTpi", 401),
    ] {
        let mut request = asked("GET", "/mcp", BROWSERS[0]);
        let authorization = authorization.parse().unwrap();
        request.headers_mut().insert("authorization", authorization);
        let answer = server.send(request).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["error"]["code"], status);
        assert!(answer.header("www-authenticate").starts_with("Bearer "));
    }
}

/// RS-01
#[tokio::test]
async fn the_head_of_the_page_has_what_the_page_has() {
    let server = server().start().await;
    for accept in [BROWSERS[0], "*/*"] {
        let page = server.send(asked("GET", "/mcp", accept)).await;
        let head = server.send(asked("HEAD", "/mcp", accept)).await;
        assert_eq!((head.status, &head.headers), (page.status, &page.headers));
    }
    // on the wire nothing follows
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut wire = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    tokio::spawn(axum::serve(listener, server.app.router()).into_future());
    let head = "HEAD /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nAccept: text/html\r\nConnection: close\r\n\r\n";
    wire.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(head.contains("www-authenticate: Bearer "), "{head}");
    assert_eq!(body, "");
}

/// HTTP-10, HTTP-11, CORS-02
#[tokio::test]
async fn the_page_is_for_our_hosts_and_allowed_origins_alone() {
    let server = server().start().await;
    for (header, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let mut request = asked("GET", "/mcp", BROWSERS[0]);
        request.headers_mut().insert(header, value.parse().unwrap());
        let answer = server.send(request).await;
        assert_eq!(answer.status, 403, "{header}");
        assert_eq!(answer.json()["error"]["code"], 403, "{header}");
        assert!(!answer.has_cors());
    }
    let preflight = server.send(asked("OPTIONS", "/mcp", BROWSERS[0])).await;
    assert_eq!((preflight.status.as_u16(), preflight.body.len()), (204, 0));
}

#[tokio::test]
async fn each_server_has_its_page_and_names_the_others() {
    let server = server()
        .public_url("https://example.com/a/b")
        .with_openid()
        .configure(|config| {
            let mut second = config.servers[0].clone();
            second.path = "/notes".to_owned();
            second.name = r#"Ann's "notes" $(id) <b>"#.to_owned();
            config.servers.push(second);
        })
        .start()
        .await;
    let first = opened(&server, "/a/b/mcp").await;
    first.assert_page(401);
    for said in [
        "<code>https://example.com/a/b/mcp</code>",
        "sign in with GitHub (stand-in) or The login of corp",
        "<a href=\"https://example.com/a/b/notes\"><bdi>Ann&#39;s &#34;notes&#34; $(id) &#60;b&#62;</bdi></a>",
        "href=\"/a/b/account\"",
        "href=\"/a/b/assets/style.",
    ] {
        assert!(first.text().contains(said), "{said}: {}", first.text());
    }
    let second = opened(&server, "/a/b/notes").await;
    second.assert_page(401);
    for said in [
        "<h1><bdi>Ann&#39;s &#34;notes&#34; $(id) &#60;b&#62;</bdi> is an MCP server</h1>",
        "claude mcp add --transport http ann-s-notes-id-b https://example.com/a/b/notes",
        "<a href=\"https://example.com/a/b/mcp\"><bdi>MCP server</bdi></a>",
    ] {
        assert!(second.text().contains(said), "{said}: {}", second.text());
    }
    let metadata = "https://example.com/.well-known/oauth-protected-resource/a/b/notes";
    assert!(second.header("www-authenticate").contains(metadata));
}

/// DISC-11
#[tokio::test]
async fn a_browser_at_the_bare_public_url_is_led_to_the_first_server() {
    for (public_url, roots) in [
        ("https://mcp.example.com", &["/"][..]),
        ("https://mcp.example.com/a/b", &["/a/b", "/a/b/"]),
    ] {
        let server = server().public_url(public_url).start().await;
        for root in roots {
            let led = opened(&server, root).await;
            assert_eq!(led.location().as_str(), format!("{public_url}/mcp"));
            assert_eq!(led.header("cache-control"), "no-store");
            assert_eq!(led.header("vary"), "Accept");
            for method in ["POST", "DELETE", "OPTIONS"] {
                let answer = server.send(asked(method, root, BROWSERS[0])).await;
                assert_eq!(answer.status, 404, "{method} {root}");
                assert_eq!(answer.json()["error"], "not_found");
            }
            assert_eq!(server.get(root).await.json()["error"], "not_found");
        }
    }
    let server = server()
        .public_url("https://mcp.example.com/a/b")
        .start()
        .await;
    assert_eq!(opened(&server, "/").await.status, 404);
}

#[tokio::test]
async fn who_runs_it_on_this_machine_is_told_that_nobody_else_reaches_it() {
    let server = server().public_url("http://localhost:8080").start().await;
    let page = opened(&server, "/mcp").await;
    assert!(page.text().contains("good on this computer alone"));
}

/// RS-02
#[tokio::test]
async fn a_gate_has_a_page_only_where_it_was_given_one() {
    let before = |world: &mut World, help: Option<Help>| {
        let gate = world.gate();
        let gate = match help {
            Some(help) => gate.with_help(help),
            None => gate,
        };
        let layer = BearerLayer::new(gate.into());
        Router::new().route_service("/mcp", layer.layer(service_fn(gate::echo)))
    };
    let browser = || {
        let mut request = bodiless(http::Method::GET, "");
        request.headers_mut().remove("authorization");
        gate::with(request, "accept", BROWSERS[1])
    };
    let without = gate::send(&before(&mut World::new(), None), browser()).await;
    assert_eq!((without.status.as_u16(), without.code()), (401, Some(401)));
    assert_eq!(without.headers.get("vary"), None);
    let help = Help::new(HeaderMap::new(), "\"help\"");
    let with = gate::send(&before(&mut World::new(), Some(help)), browser()).await;
    assert_eq!((with.status.as_u16(), &with.body), (401, &"help".into()));
    assert!(with.challenge().contains(METADATA));
}
