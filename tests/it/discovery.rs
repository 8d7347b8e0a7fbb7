//! How a client finds its way: the well-known documents, and that nothing in a request can bend them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};

use crate::harness::answer::{Answer, parameter, request};
use crate::harness::client::{Client, Tokens};
use crate::harness::server::{Server, server};

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const SERVER: &str = "/.well-known/oauth-authorization-server";

/// DISC-01, DISC-03, DISC-04, DISC-06, DISC-07, DISC-08, DISC-09, DISC-10, RS-20
#[tokio::test]
async fn the_resource_says_who_lets_people_in() {
    let server = server().start().await;
    let expected = json!({
        "resource": "https://mcp.example.com/mcp",
        "authorization_servers": ["https://mcp.example.com"],
        "scopes_supported": [
            "mcp:prompts:list", "mcp:prompts:read", "mcp:resources:list", "mcp:resources:read",
            "mcp:tools:execute", "mcp:tools:read",
        ],
        "bearer_methods_supported": ["header"],
        "resource_name": "MCP server",
    });
    for path in [format!("{RESOURCE}/mcp"), RESOURCE.to_owned()] {
        let answer = server.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json(), expected, "{path}");
    }
    let challenge = server.send(request("POST", "/mcp")).await;
    assert_eq!(challenge.status, 401);
    let expected = format!("resource_metadata=\"https://mcp.example.com{RESOURCE}/mcp\"");
    assert!(challenge.header("www-authenticate").contains(&expected));
}

/// DISC-20, DISC-23, DISC-24, DISC-25, DISC-26, DISC-27, DISC-28, DISC-29, DISC-30, DISC-31, DISC-32, DISC-33, DISC-34, DISC-35
#[tokio::test]
async fn the_authorization_server_describes_itself_at_the_root() {
    let server = server().start().await;
    let answer = server.get(SERVER).await;
    assert_eq!(answer.status, 200);
    let methods = [
        "none",
        "client_secret_post",
        "client_secret_basic",
        "private_key_jwt",
    ];
    let algorithms = ["RS256", "PS256", "ES256", "EdDSA"];
    let expected = json!({
        "issuer": "https://mcp.example.com",
        "authorization_endpoint": "https://mcp.example.com/authorize",
        "token_endpoint": "https://mcp.example.com/token",
        "registration_endpoint": "https://mcp.example.com/register",
        "revocation_endpoint": "https://mcp.example.com/revoke",
        "pushed_authorization_request_endpoint": "https://mcp.example.com/par",
        "jwks_uri": "https://mcp.example.com/.well-known/jwks.json",
        "scopes_supported": [
            "mcp:prompts:list", "mcp:prompts:read", "mcp:resources:list", "mcp:resources:read",
            "mcp:tools:execute", "mcp:tools:read", "offline_access",
        ],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
        "protected_resources": ["https://mcp.example.com/mcp"],
    });
    assert_eq!(answer.json(), expected);
}

/// DISC-02, DISC-11, DISC-22, DISC-42, SEC-13
#[tokio::test]
async fn where_there_is_no_document_there_is_a_404_that_a_client_can_read() {
    let server = server().start().await;
    for path in [
        "/mcp/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource/mcp/x",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/oauth-authorization-server/",
        "/mcp/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/mcp",
        "/mcp/.well-known/openid-configuration",
        "/.well-known/",
        "/.well-known/anything",
        "/.well-known/mcp.json",
        "/token/x",
        "/register/x/y",
        "/",
        "/?x",
        "/favicon.ico",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json(), json!({"error": "not_found"}), "{path}");
    }
}

/// DISC-05, DISC-37
#[tokio::test]
async fn a_slash_too_many_is_a_404_and_never_a_redirect() {
    let server = server().start().await;
    let token = server.client().await.sign_in("mona").await.access;
    for path in ["/mcp/", "//mcp", "/mcp//", "/token/", "/register/"] {
        for method in ["GET", "POST", "DELETE"] {
            let mut request = request(method, path);
            let bearer = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", bearer);
            let answer = server.send(request).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert_eq!(answer.header("location"), "");
        }
    }
}

/// DISC-12, DISC-36, DISC-37, CORS-04
#[tokio::test]
async fn documents_may_be_kept_for_minutes_and_are_the_same_for_everybody() {
    let server = server().start().await;
    for path in [
        SERVER,
        RESOURCE,
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/jwks.json",
    ] {
        let plain = server.get(path).await;
        assert_eq!(plain.status, 200);
        assert_eq!(plain.header("cache-control"), "public, max-age=300");
        for version in ["2025-03-26", "2025-06-18", "2026-07-28", "1900-01-01", "x"] {
            let asked = Request::get(path).header("mcp-protocol-version", version);
            let answer = server.send(asked.body(Body::empty()).unwrap()).await;
            assert_eq!((answer.status, &answer.body), (plain.status, &plain.body));
        }
        let head = server.send(request("HEAD", path)).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        assert_eq!(head.header("content-type"), "application/json");
        let length = head.header("content-length");
        assert_eq!(length, plain.body.len().to_string());
        let preflight = Request::options(path)
            .header("origin", "https://web.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "mcp-protocol-version");
        let answer = server.send(preflight.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let allowed = answer.header("access-control-allow-headers");
        assert!(allowed.contains("MCP-Protocol-Version"), "{allowed}");
    }
}

/// Every word of an answer.
fn everything(answer: &Answer) -> String {
    format!("{:?} {:?}", answer.headers, answer.body)
}

/// DISC-13, P12
#[tokio::test]
async fn no_header_of_a_request_gets_into_an_answer() {
    let server = server().start().await;
    let client = server.client().await;
    let authorize = client.authorization_url();
    for path in [
        SERVER,
        RESOURCE,
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/jwks.json",
        "/mcp",
        "/nowhere",
        "/authorize",
        "/token",
        server.local(&authorize),
        "/callback/github?state=x&code=y",
    ] {
        let plain = server.get(path).await;
        let spoofed = Request::get(path)
            .header("host", "evil.example")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "gopher")
            .header("x-forwarded-prefix", "/evil.example")
            .header("x-forwarded-for", "evil.example")
            .header("forwarded", "host=evil.example;proto=gopher")
            .header("x-original-url", "/evil.example")
            .header("x-mcp-oauth-proxy-url", "https://evil.example")
            .header("referer", "https://evil.example/")
            .header("origin", "https://evil.example");
        let answer = server.send(spoofed.body(Body::empty()).unwrap()).await;
        let told = everything(&answer);
        assert!(!told.contains("evil"), "{path}: {told}");
        assert!(!told.contains("gopher"), "{path}: {told}");
        if path != "/mcp" {
            assert_eq!(answer.status, plain.status, "{path}");
        }
        if path.starts_with("/.well-known") {
            assert_eq!(answer.body, plain.body, "{path}");
        }
        // a target in absolute form names a host too (RFC 9112 §3.2.2)
        let absolute = format!("https://evil.example{path}");
        let answer = server.send(request("GET", &absolute)).await;
        assert!(!everything(&answer).contains("evil"), "{path}");
    }
}

/// Every string of a document that is a URL.
fn urls(document: &Value) -> Vec<&str> {
    match document {
        Value::String(text) if text.contains("://") => vec![text],
        Value::Array(items) => items.iter().flat_map(urls).collect(),
        Value::Object(members) => members.values().flat_map(urls).collect(),
        _ => Vec::new(),
    }
}

/// The issuer in the metadata, in the resource's, in the answers to the client and in the token.
async fn issuers(server: &Server) -> Vec<String> {
    let issuer = &server.world.config.public_url;
    let metadata = server.get(&format!("{SERVER}{}", issuer.path())).await;
    let metadata = metadata.json();
    let resource = server.get(&issuer.resource_metadata("/mcp")).await.json();
    assert_eq!(resource["resource"], server.resource());
    for url in urls(&metadata).into_iter().chain(urls(&resource)) {
        let rest = url.strip_prefix(issuer.as_str());
        assert!(
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            "{url}"
        );
    }
    for member in ["authorization", "token", "registration", "revocation"] {
        let url = metadata[format!("{member}_endpoint")].as_str().unwrap();
        assert_ne!(server.get(url).await.status, 404, "{url}");
    }
    let keys = server.get(metadata["jwks_uri"].as_str().unwrap()).await;
    assert_eq!(keys.json()["keys"].as_array().unwrap().len(), 1);
    let client = server.client().await;
    let back = server
        .browser()
        .sign_in(&client.authorization_url(), "mona")
        .await;
    let back = back.location();
    let wrong = client.authorization_url_but(&[("response_type", Some("token"))]);
    let refused = server.get(&wrong).await.location();
    assert_eq!(
        parameter(&refused, "error").unwrap(),
        "unsupported_response_type"
    );
    let code = client.read_code(&back);
    let tokens = Tokens::read(&client.redeem(&code).await);
    assert_eq!(client.whoami(&tokens.access).await["login"], "mona");
    assert_eq!(tokens.claims()["aud"], server.resource());
    [
        metadata["issuer"].as_str().map(str::to_owned),
        resource["authorization_servers"][0]
            .as_str()
            .map(str::to_owned),
        parameter(&back, "iss"),
        parameter(&refused, "iss"),
        tokens.claims()["iss"].as_str().map(str::to_owned),
    ]
    .map(Option::unwrap)
    .to_vec()
}

/// DISC-04, DISC-06, DISC-20, DISC-21, DISC-28, DISC-34, A8, SEC-14, AUTHZ-16, AUTHZ-17
#[tokio::test]
async fn the_issuer_is_the_same_to_the_byte_wherever_it_is_named() {
    for issuer in [
        "https://mcp.example.com",
        "https://mcp.example.com:8443",
        "https://mcp.example.com/a/b",
        "http://localhost:8080",
        "http://127.0.0.1:8080/x",
    ] {
        let server = server().public_url(issuer).start().await;
        for named in issuers(&server).await {
            assert_eq!(named, issuer);
        }
    }
}

/// DISC-02, DISC-21, DISC-22
#[tokio::test]
async fn an_issuer_with_a_path_is_found_by_inserting_it() {
    let issuer = "https://mcp.example.com/a/b";
    let server = server().public_url(issuer).start().await;
    for (path, status) in [
        ("/.well-known/oauth-authorization-server/a/b", 200),
        ("/.well-known/oauth-protected-resource/a/b/mcp", 200),
        ("/.well-known/oauth-protected-resource", 200),
        ("/a/b/.well-known/jwks.json", 200),
        ("/.well-known/oauth-authorization-server", 404),
        ("/.well-known/oauth-authorization-server/a", 404),
        ("/a/b/.well-known/oauth-authorization-server", 404),
        ("/a/b/.well-known/openid-configuration", 404),
        ("/.well-known/openid-configuration/a/b", 404),
        ("/.well-known/oauth-protected-resource/mcp", 404),
        ("/.well-known/oauth-protected-resource/a/b", 404),
        ("/authorize", 404),
        ("/token", 404),
        ("/mcp", 404),
        ("/a/b/mcp", 401),
        ("/a/b/token", 405),
        ("/a/b/authorize", 400),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
}

/// DISC-35, AUTHZ-10, AUTHZ-14, TOK-10
#[tokio::test]
async fn a_client_of_2025_03_26_needs_no_metadata_no_resource_and_no_scope() {
    let server = server().start().await;
    let client = server.client().await;
    let url = client.authorization_url_but(&[("resource", None)]);
    assert!(url.starts_with("https://mcp.example.com/authorize?"));
    let code = client.code_by(&url, "mona").await;
    let tokens = Tokens::read(&client.redeem(&code).await);
    assert_eq!(tokens.claims()["aud"], "https://mcp.example.com/mcp");
    assert_eq!(tokens.scope.split(' ').count(), 6, "{}", tokens.scope);
    assert_eq!(client.whoami(&tokens.access).await["signed_in"], true);
}

fn preflight(path: &str, origin: &str) -> Request {
    Request::options(path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,mcp-param-x",
        )
        .body(Body::empty())
        .unwrap()
}

/// CORS-01, CORS-02, CORS-03, CORS-05, CORS-06
#[tokio::test]
async fn any_web_page_may_use_what_goes_without_cookies() {
    let server = server().start().await;
    for path in [
        "/token",
        "/register",
        "/register/x",
        "/revoke",
        "/par",
        SERVER,
        RESOURCE,
        "/.well-known/jwks.json",
    ] {
        let asked = server.send(preflight(path, "https://web.example")).await;
        assert!(matches!(asked.status.as_u16(), 200 | 204), "{path}");
        assert_eq!(
            asked.header("access-control-allow-methods"),
            "GET, POST, PUT, DELETE, OPTIONS"
        );
        let allowed = asked.header("access-control-allow-headers").to_lowercase();
        for name in [
            "authorization",
            "content-type",
            "accept",
            "mcp-protocol-version",
            "mcp-session-id",
            "last-event-id",
            "mcp-method",
            "mcp-name",
            "mcp-param-x",
        ] {
            assert!(allowed.contains(name), "{path} {name}: {allowed}");
        }
        assert_eq!(asked.header("access-control-max-age"), "3600");
        let answer = server.post_form(path, &[("x", "y")]).await;
        for answer in [asked, answer] {
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
            assert_eq!(answer.header("access-control-allow-credentials"), "");
            let exposed = answer.header("access-control-expose-headers");
            for name in ["WWW-Authenticate", "Mcp-Session-Id", "Retry-After"] {
                assert!(exposed.contains(name), "{path}: {exposed}");
            }
        }
    }
}

/// CORS-01, CORS-03, CORS-05, CORS-06, CORS-07, HTTP-10
#[tokio::test]
async fn the_mcp_path_is_open_to_the_origins_that_are_configured() {
    // as `dev` sets it
    let inspector = "http://localhost:6274";
    let server = server().start().await;
    let asked = server.send(preflight("/mcp", inspector)).await;
    assert_eq!(asked.status, 204);
    assert_eq!(asked.header("access-control-allow-origin"), inspector);
    let post = |origin: &str| {
        let post = Request::post("/mcp").header("origin", origin);
        post.body(Body::empty()).unwrap()
    };
    let challenge = server.send(post(inspector)).await;
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.header("access-control-allow-origin"), inspector);
    assert!(challenge.header("vary").to_lowercase().contains("origin"));
    let stranger = server.send(post("https://evil.example")).await;
    assert_eq!(stranger.status, 403);
    assert!(!everything(&stranger).contains("evil"));
    let asked = server.send(preflight("/mcp", "https://evil.example")).await;
    assert_eq!(asked.header("access-control-allow-origin"), "");
}

/// CORS-01, AUTHZ-22
#[tokio::test]
async fn what_a_person_sees_is_for_no_other_origin() {
    let server = server().start().await;
    let client: Client = server.client().await;
    let authorize = client.authorization_url();
    for path in [
        server.local(&authorize),
        "/authorize",
        "/consent",
        "/callback/github",
        "/callback/github?state=x&code=y",
        "/callback/nobody",
    ] {
        for method in ["GET", "POST", "OPTIONS", "PUT"] {
            let asked = Request::builder().method(method).uri(path);
            let asked = asked
                .header("origin", "https://web.example")
                .header("access-control-request-method", "GET");
            let answer = server.send(asked.body(Body::empty()).unwrap()).await;
            assert!(!answer.has_cors(), "{method} {path}: {answer:?}");
        }
    }
}

/// AT-01, AT-07
#[tokio::test]
async fn the_published_keys_are_public_and_those_of_the_tokens() {
    let server = server().start().await;
    let tokens = server.client().await.sign_in("mona").await;
    let keys = server.get("/.well-known/jwks.json").await.json();
    let key = &keys["keys"][0];
    let header = tokens.header();
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(key["kid"], header["kid"]);
    assert_eq!(key["alg"], header["alg"]);
    for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        assert_eq!(key.get(private), None, "{private}");
    }
}
