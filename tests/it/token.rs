//! The token endpoint and the code grant: who may redeem what, once, and what the access token says.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::answer::{Answer, encode, request, request_with};
use crate::harness::client::{Client, Tokens, VERIFIER};
use crate::harness::server::{Server, rate, server};

const FORM: &str = "application/x-www-form-urlencoded";

/// A request of the token endpoint as it stands here.
pub(crate) async fn post(
    server: &Server,
    authorization: Option<&str>,
    form: &[(&str, &str)],
) -> Answer {
    let url = server.url("/token");
    let mut request = request_with(server.local(&url), FORM, encode(form));
    if let Some(authorization) = authorization {
        let headers = request.headers_mut();
        headers.insert("authorization", authorization.parse().unwrap());
    }
    server.send(request).await
}

/// Metadata of a client that has a secret.
pub(crate) fn confidential() -> Value {
    let mut metadata = Client::public();
    metadata["token_endpoint_auth_method"] = json!("client_secret_basic");
    metadata
}

fn redemption<'a>(client: &'a Client, code: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &client.redirect_uri),
        ("code_verifier", VERIFIER),
        ("client_id", &client.id),
    ]
}

/// The form but for one parameter; none takes it out.
fn but<'a>(
    form: &[(&'a str, &'a str)],
    name: &'a str,
    value: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let mut form = form.to_vec();
    form.retain(|(key, _)| *key != name);
    form.extend(value.map(|value| (name, value)));
    form
}

async fn is_let_in(client: &Client, access: &str) -> bool {
    let status = client.initialize(access).await.status.as_u16();
    assert!(status == 200 || status == 401, "{status}");
    status == 200
}

/// TOK-01, SEC-13
#[tokio::test]
async fn the_token_endpoint_takes_forms_by_post_and_nothing_else() {
    let server = server().start().await;
    let client = server.client().await;
    let code = client.code("mona").await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let answer = server.send(request(method, "/token")).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), "POST", "{method}");
        answer.json();
    }
    let form = redemption(&client, &code);
    let object = json!({"grant_type": "authorization_code", "code": code, "client_id": client.id});
    for (kind, body) in [
        ("application/json", object.to_string()),
        ("text/plain", encode(&form)),
        ("application/x-www-form-urlencodedx", encode(&form)),
        ("", encode(&form)),
        ("multipart/form-data; boundary=a", encode(&form)),
    ] {
        let answer = server.send(request_with("/token", kind, body)).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (400, "invalid_request"),
            "{kind}"
        );
    }
    let in_query = format!("/token?{}", encode(&form));
    let answer = server.send(request_with(&in_query, FORM, "")).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "invalid_request")
    );
    let kind = "Application/X-WWW-Form-Urlencoded; charset=utf-8";
    let answer = server
        .send(request_with("/token", kind, encode(&form)))
        .await;
    Tokens::read(&answer);
}

/// TOK-02, TOK-04, TOK-05
#[tokio::test]
async fn a_malformed_request_is_told_what_is_wrong_and_takes_nothing_away() {
    let server = server().start().await;
    let client = server.client().await;
    let code = client.code("mona").await;
    let good = redemption(&client, &code);
    for (form, error) in [
        (vec![], "invalid_request"),
        (but(&good, "grant_type", None), "invalid_request"),
        (but(&good, "grant_type", Some("")), "invalid_request"),
        (
            but(&good, "grant_type", Some("password")),
            "unsupported_grant_type",
        ),
        (
            but(&good, "grant_type", Some("client_credentials")),
            "unsupported_grant_type",
        ),
        (
            but(&good, "grant_type", Some("Authorization_Code")),
            "unsupported_grant_type",
        ),
        (
            but(&good, "grant_type", Some("refresh_token")),
            "invalid_request",
        ),
        (but(&good, "code", None), "invalid_request"),
        (but(&good, "code", Some("")), "invalid_request"),
        ([&good[..], &[("code", &*code)]].concat(), "invalid_request"),
        (
            [&good[..], &[("grant_type", "authorization_code")]].concat(),
            "invalid_request",
        ),
        (
            [&good[..], &[("code_verifier", VERIFIER)]].concat(),
            "invalid_request",
        ),
        (
            [&good[..], &[("client_id", &*client.id)]].concat(),
            "invalid_request",
        ),
    ] {
        let answer = post(&server, None, &form).await;
        assert_eq!(answer.status, 400, "{form:?}");
        assert_eq!(answer.error(), error, "{form:?}");
        assert_eq!(answer.header("pragma"), "no-cache");
    }
    let harmless = [
        ("scope", "mcp:tools:read"),
        ("unknown", "1"),
        ("resource", ""),
    ];
    Tokens::read(&post(&server, None, &[&good[..], &harmless].concat()).await);
}

/// TOK-02, TOK-04
#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let server = server().start().await;
    for bytes in [
        &b"grant_type=authorization_code&code=%FF%FE"[..],
        b"\xff\xfe",
        b"&&&=&=",
    ] {
        let answer = server
            .send(request_with("/token", FORM, bytes.to_vec()))
            .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (400, "invalid_request")
        );
    }
}

/// TOK-06, TOK-08, K1, K4, K6, TOK-09
#[tokio::test]
async fn a_wrong_redemption_is_refused_and_the_right_one_after_it_succeeds() {
    let server = server().start().await;
    let client = server.client().await;
    let other = server.client().await;
    let code = client.code("mona").await;
    let good = redemption(&client, &code);
    let made_up = URL_SAFE_NO_PAD.encode([7; 40]);
    let mut same_row = URL_SAFE_NO_PAD.decode(&code).unwrap();
    same_row[39] ^= 1;
    let same_row = URL_SAFE_NO_PAD.encode(same_row);
    let long = "a".repeat(129);
    let grant = "invalid_grant";
    for (name, value, error) in [
        ("code", Some(&*made_up), grant),
        ("code", Some(&*same_row), grant),
        ("code", Some("no code at all"), grant),
        ("client_id", Some(&*other.id), grant),
        ("redirect_uri", Some("http://127.0.0.1:33418"), grant),
        ("redirect_uri", Some("http://localhost:33418/"), grant),
        ("redirect_uri", Some("http://127.0.0.1:33419/"), grant),
        ("code_verifier", None, grant),
        ("code_verifier", Some(""), grant),
        ("code_verifier", Some("short"), grant),
        ("code_verifier", Some(&*long), grant),
        (
            "code_verifier",
            Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"),
            grant,
        ),
        // the challenge itself, as with the method plain
        (
            "code_verifier",
            Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            grant,
        ),
        (
            "resource",
            Some("https://mcp.example.com/other"),
            "invalid_target",
        ),
        (
            "resource",
            Some("https://elsewhere.example/mcp"),
            "invalid_target",
        ),
        ("resource", Some("not a URI"), "invalid_target"),
    ] {
        let form = but(&good, name, value);
        let answer = post(&server, None, &form).await;
        assert_eq!(answer.status, 400, "{name} {value:?}");
        assert_eq!(answer.error(), error, "{name} {value:?}");
    }
    let resource = server.resource();
    let right = but(&good, "redirect_uri", None);
    let right = but(&right, "resource", Some(&resource));
    let tokens = Tokens::read(&post(&server, None, &right).await);
    assert_eq!(tokens.claims()["aud"], resource);
}

/// TOK-03, TOK-10, AT-01, AT-02, AT-03, AT-04, AT-05
#[tokio::test]
async fn an_access_token_says_who_may_do_what_where_for_how_long_and_nothing_more() {
    let server = server().start().await;
    let client = server.client().await;
    let redeemed = client.redeem(&client.code("mona").await).await;
    assert_eq!(redeemed.header("pragma"), "no-cache");
    let tokens = Tokens::read(&redeemed);
    assert_eq!(tokens.header()["typ"], "at+jwt");
    assert_eq!(tokens.header()["alg"], "ES256");
    let claims = tokens.claims();
    assert_eq!(claims["iss"], "https://mcp.example.com");
    assert_eq!(claims["aud"], "https://mcp.example.com/mcp");
    assert_eq!(claims["sub"], "github:1");
    assert_eq!(claims["client_id"], client.id);
    assert_eq!(claims["scope"], tokens.scope);
    let (iat, exp) = (
        claims["iat"].as_u64().unwrap(),
        claims["exp"].as_u64().unwrap(),
    );
    assert_eq!((exp - iat, tokens.expires_in), (3600, 3600));
    let names: BTreeSet<&String> = claims.as_object().unwrap().keys().collect();
    let expected = [
        "aud",
        "client_id",
        "exp",
        "iat",
        "iss",
        "jti",
        "scope",
        "sid",
        "sub",
    ];
    assert!(names.into_iter().eq(expected), "{claims}");
    for told in ["mona", "example.com\"", "gho_", "Lísa"] {
        let claims = claims.to_string().replace("https://mcp.example.com", "");
        assert!(!claims.contains(told), "{claims}");
    }
    assert!(tokens.access.len() < 4096);
    let mut known = BTreeSet::from([claims["jti"].to_string()]);
    for _ in 0..3 {
        let refreshed = Tokens::read(&client.refresh(&tokens.refresh).await);
        assert!(known.insert(refreshed.claims()["jti"].to_string()));
    }
}

/// TOK-30
#[tokio::test]
async fn a_client_without_the_refresh_grant_gets_no_refresh_token_and_may_not_refresh() {
    let server = server().start().await;
    let mut metadata = Client::public();
    metadata["grant_types"] = json!(["authorization_code"]);
    let client = Client::register(&server, &metadata).await;
    let answer = client.redeem(&client.code("mona").await).await;
    assert_eq!(answer.json().get("refresh_token"), None, "no null either");
    assert!(is_let_in(&client, &Tokens::read(&answer).access).await);
    let answer = client.refresh("anything").await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.error()),
        (400, "unauthorized_client")
    );
}

/// TOK-07, K5, AT-13
#[tokio::test]
async fn a_code_replayed_rightly_ends_its_session_and_a_wrong_replay_ends_nothing() {
    let server = server().start().await;
    let client = server.client().await;
    let other = server.client().await;
    let code = client.code("mona").await;
    let tokens = Tokens::read(&client.redeem(&code).await);
    assert!(is_let_in(&client, &tokens.access).await);
    let good = redemption(&client, &code);
    for (name, value) in [
        (
            "code_verifier",
            Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"),
        ),
        ("code_verifier", None),
        ("client_id", Some(&*other.id)),
        ("redirect_uri", Some("http://127.0.0.1:1/")),
    ] {
        let answer = post(&server, None, &but(&good, name, value)).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (400, "invalid_grant")
        );
    }
    assert!(is_let_in(&client, &tokens.access).await);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    let replayed = client.redeem(&code).await;
    assert_eq!(
        (replayed.status.as_u16(), &*replayed.error()),
        (400, "invalid_grant")
    );
    assert!(!is_let_in(&client, &tokens.access).await);
    let refreshed = client.refresh(&tokens.refresh).await;
    assert_eq!(
        (refreshed.status.as_u16(), &*refreshed.error()),
        (400, "invalid_grant")
    );
}

/// TOK-07, K5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_redemptions_at_once_one_succeeds() {
    for on_sled in [false, true] {
        let builder = if on_sled {
            server().on_sled()
        } else {
            server()
        };
        let server = builder.start().await;
        let client = server.client().await;
        let code = client.code("mona").await;
        let mut racers = JoinSet::new();
        for _ in 0..64 {
            let (client, code) = (client.clone(), code.clone());
            racers.spawn(async move { client.redeem(&code).await });
        }
        let answers = racers.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1, "on sled: {on_sled}");
        assert!(lost.iter().all(|answer| answer.error() == "invalid_grant"));
        let tokens = Tokens::read(won[0]);
        assert!(
            !is_let_in(&client, &tokens.access).await,
            "63 replays ended it"
        );
    }
}

/// AUTHZ-20
#[tokio::test]
async fn a_code_lives_ten_minutes() {
    for (seconds, status) in [(599, 200), (600, 400)] {
        let server = server().start().await;
        let client = server.client().await;
        let code = client.code("mona").await;
        server.advance(Duration::from_secs(seconds));
        let answer = client.redeem(&code).await;
        assert_eq!(answer.status, status, "{seconds} {}", answer.text());
    }
}

/// Every way in which a client may show who it is, and the answer: none is success.
async fn assert_authentication(server: &Server, client: &Client, rows: &[Row<'_>]) {
    for (authorization, body, refused) in rows {
        let form = [
            &[("grant_type", "refresh_token"), ("refresh_token", "dead")],
            *body,
        ]
        .concat();
        let answer = post(server, authorization.as_deref(), &form).await;
        // a dead refresh token is the answer to whoever has proved itself
        let (status, error) = refused.unwrap_or((400, "invalid_grant"));
        let what = format!("{} {authorization:?} {body:?}", client.id);
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (status, error),
            "{what}"
        );
        let challenge = match (status, authorization) {
            (401, Some(_)) => "Basic realm=\"anteroom\"",
            _ => "",
        };
        assert_eq!(answer.header("www-authenticate"), challenge, "{what}");
    }
}

type Row<'a> = (
    Option<String>,
    &'a [(&'a str, &'a str)],
    Option<(u16, &'a str)>,
);

const NOT_PROVED: Option<(u16, &str)> = Some((401, "invalid_client"));

fn basic(id: &str, secret: &str) -> String {
    encoded(format!("{id}:{secret}"))
}

fn encoded(credentials: impl AsRef<[u8]>) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

/// TOK-20, TOK-21, TOK-22, TOK-23
#[tokio::test]
async fn a_client_with_a_secret_proves_itself_with_it_in_exactly_one_place() {
    let server = server().start().await;
    let client = Client::register(&server, &confidential()).await;
    let (id, secret) = (&*client.id, client.secret.as_deref().unwrap());
    // what is unreserved may be encoded, too
    let escaped = format!("%{:02X}{}", secret.as_bytes()[0], &secret[1..]);
    let lower = basic(id, secret).replacen("Basic", "bAsIc", 1);
    let both = Some((400, "invalid_request"));
    let rows: &[Row<'_>] = &[
        (Some(basic(id, secret)), &[], None),
        (Some(lower), &[], None),
        (Some(basic(id, &escaped)), &[], None),
        (Some(basic(id, secret)), &[("client_id", id)], None),
        (Some(basic(id, secret)), &[("client_secret", "")], None),
        (None, &[("client_id", id), ("client_secret", secret)], None),
        (Some(basic(id, secret)), &[("client_secret", secret)], both),
        (Some(basic(id, secret)), &[("client_id", "other")], both),
    ];
    assert_authentication(&server, &client, rows).await;
}

/// TOK-04, TOK-24, C4, C6
#[tokio::test]
async fn a_client_with_a_secret_is_not_believed_without_it() {
    let server = server().start().await;
    let client = Client::register(&server, &confidential()).await;
    let other = Client::register(&server, &confidential()).await;
    let (id, secret) = (&*client.id, client.secret.as_deref().unwrap());
    let others = other.secret.as_deref().unwrap();
    let bodies: [&[(&str, &str)]; 7] = [
        &[],
        &[("client_id", id)],
        &[("client_id", id), ("client_secret", "")],
        &[("client_id", id), ("client_secret", "wrong")],
        &[("client_id", id), ("client_secret", others)],
        &[("client_secret", secret)],
        &[("client_id", id), ("client_assertion", "e30.e30.")],
    ];
    let headers = [
        basic(id, ""),
        basic(id, "wrong"),
        basic(id, others),
        basic(&other.id, secret),
        basic("nobody", secret),
        basic("", secret),
        basic("%zz", "%"),
        encoded("no colon"),
        encoded([0xFF, b':', 0xFE]),
        "Basic".to_owned(),
        "Basic !!!!".to_owned(),
        format!("Bearer {secret}"),
    ];
    let in_body = bodies.map(|body| (None, body, NOT_PROVED));
    assert_authentication(&server, &client, &in_body).await;
    let in_header = headers.map(|header| (Some(header), &[][..], NOT_PROVED));
    assert_authentication(&server, &client, &in_header).await;
}

/// TOK-20, TOK-24, C6
#[tokio::test]
async fn a_client_without_a_secret_presents_none() {
    let server = server().start().await;
    let client = server.client().await;
    let id = &*client.id;
    let rows: &[Row<'_>] = &[
        (None, &[("client_id", id)], None),
        (None, &[("client_id", id), ("client_secret", "")], None),
        (
            None,
            &[("client_id", id), ("client_secret", "anything")],
            NOT_PROVED,
        ),
        (Some(basic(id, "anything")), &[], NOT_PROVED),
        (None, &[("client_id", "nobody")], NOT_PROVED),
        (
            None,
            &[("client_id", "http://client.example/metadata.json")],
            NOT_PROVED,
        ),
    ];
    assert_authentication(&server, &client, rows).await;
}

/// AT-06, AT-07
#[tokio::test]
async fn the_keys_are_published_without_their_private_parts() {
    use anteroom::config::Algorithm::{EdDsa, Es256, Rs256};
    for (algorithm, alg, kty) in [
        (Es256, "ES256", "EC"),
        (EdDsa, "EdDSA", "OKP"),
        (Rs256, "RS256", "RSA"),
    ] {
        let server = server().configure(move |config| config.tokens.algorithm = algorithm);
        let server = server.start().await;
        let client = server.client().await;
        let tokens = client.sign_in("mona").await;
        let answer = server.get("/.well-known/jwks.json").await;
        assert!(answer.header("cache-control").contains("max-age="));
        let keys = answer.json()["keys"].clone();
        assert_eq!(keys.as_array().unwrap().len(), 1);
        let key = keys[0].as_object().unwrap();
        assert_eq!(
            (&key["alg"], &key["kty"], &key["use"]),
            (&json!(alg), &json!(kty), &json!("sig"))
        );
        assert_eq!(tokens.header()["kid"], key["kid"]);
        assert_eq!(tokens.header()["alg"], alg);
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(!key.contains_key(private), "{alg} {private}");
        }
        assert!(is_let_in(&client, &tokens.access).await);
    }
}

#[tokio::test]
async fn a_restart_keeps_keys_clients_and_sessions() {
    let first = server().on_sled().start().await;
    let client = first.client().await;
    let tokens = client.sign_in("mona").await;
    let code = client.code("octavia").await;
    let keys = first.get("/.well-known/jwks.json").await.json();
    let second = first.restart().await;
    assert_eq!(second.get("/.well-known/jwks.json").await.json(), keys);
    let client = client.moved_to(&second);
    assert!(is_let_in(&client, &tokens.access).await);
    Tokens::read(&client.refresh(&tokens.refresh).await);
    Tokens::read(&client.redeem(&code).await);
}

/// AT-06, AT-10, T2
#[tokio::test]
async fn nobody_else_can_make_an_access_token() {
    let server = server().start().await;
    let client = server.client().await;
    let access = client.sign_in("mona").await.access;
    let parts: Vec<&str> = access.split('.').collect();
    let jwks = server.get("/.well-known/jwks.json").await;
    let key = jwks.json()["keys"][0].clone();
    let forge = |header: &Value, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
        let head = URL_SAFE_NO_PAD.encode(header.to_string());
        let signed = format!("{head}.{}", parts[1]);
        format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()))
        )
    };
    let mut forged = Vec::new();
    for alg in ["none", "None", "NONE", ""] {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": key["kid"]});
        forged.push(forge(&header, &|_| Vec::new()));
    }
    let point = [key["x"].as_str().unwrap(), key["y"].as_str().unwrap()]
        .map(|half| URL_SAFE_NO_PAD.decode(half).unwrap());
    for secret in [
        jwks.body.to_vec(),
        key.to_string().into_bytes(),
        point.concat(),
        Vec::new(),
    ] {
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": key["kid"]});
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        forged.push(forge(&header, &|signed| {
            hmac::sign(&mac, signed).as_ref().to_vec()
        }));
    }
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["sub"] = json!("github:2");
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    forged.push(format!("{}.{claims}.{}", parts[0], parts[2]));
    for token in forged {
        assert!(!is_let_in(&client, &token).await, "{token}");
    }
    assert!(is_let_in(&client, &access).await);
}

/// AT-11, T5
#[tokio::test]
async fn each_kind_of_token_is_good_for_its_own_purpose_alone() {
    let server = server().start().await;
    let client = Client::register(&server, &confidential()).await;
    let code = client.code("mona").await;
    let tokens = client.sign_in("mona").await;
    let secret = client.secret.clone().unwrap();
    for (what, value) in [
        ("code", &code),
        ("refresh token", &tokens.refresh),
        ("client secret", &secret),
        ("client id", &client.id),
    ] {
        assert!(!is_let_in(&client, value).await, "{what} at the MCP server");
    }
    for (what, value) in [
        ("code", &code),
        ("access token", &tokens.access),
        ("client secret", &secret),
    ] {
        let answer = client.refresh(value).await;
        assert_eq!(answer.error(), "invalid_grant", "{what} as a refresh token");
    }
    for (what, value) in [
        ("refresh token", &tokens.refresh),
        ("access token", &tokens.access),
    ] {
        let answer = client.redeem(value).await;
        assert_eq!(answer.error(), "invalid_grant", "{what} as a code");
    }
    Tokens::read(&client.redeem(&code).await);
    Tokens::read(&client.refresh(&tokens.refresh).await);
    assert!(is_let_in(&client, &tokens.access).await);
}

/// TOK-26, SEC-06, SEC-16
#[tokio::test]
async fn too_many_token_requests_are_told_to_wait_and_lose_nothing() {
    let minute = Duration::from_secs(60);
    let server = server().configure(move |config| config.limits.token = rate(3, minute));
    let server = server.start().await;
    let client = Client::register(&server, &confidential()).await;
    let tokens = client.sign_in("mona").await;
    for _ in 0..2 {
        let answer = post(
            &server,
            Some(&basic(&client.id, "guess")),
            &[("grant_type", "refresh_token"), ("refresh_token", "dead")],
        )
        .await;
        assert_eq!(answer.error(), "invalid_client");
    }
    for answer in [
        client.refresh(&tokens.refresh).await,
        client.revoke(&tokens.refresh).await,
    ] {
        assert_eq!(
            (answer.status.as_u16(), &*answer.error()),
            (429, "temporarily_unavailable")
        );
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    }
    assert!(is_let_in(&client, &tokens.access).await);
}
