//! The policy: what is as closed as the thing it is about, what a challenge names, and lists against the gate itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use http::{HeaderName, StatusCode};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::service_fn;

use crate::harness::gate::{World, post, rpc, send};
use crate::listing::{EVERYTHING, POLICY};

/// Status and code, and the scopes of the challenge, if there is one.
async fn outcome(router: &Router, token: &str, body: &str) -> (u16, Option<i64>, String) {
    let answer = send(router, post(token, body)).await;
    let challenge = answer.headers.contains_key("www-authenticate");
    let scopes = challenge.then(|| {
        let (_, scopes) = answer.challenge().split_once(" scope=\"").unwrap();
        scopes.trim_end_matches('"').to_owned()
    });
    (
        answer.status.as_u16(),
        answer.code(),
        scopes.unwrap_or_default(),
    )
}

fn complete(reference: &Value) -> String {
    let argument = json!({"name": "x", "value": ""});
    rpc(
        "completion/complete",
        &json!({"ref": reference, "argument": argument}),
    )
}

/// RS-06, RS-14
#[tokio::test]
async fn completions_are_as_closed_as_what_they_are_about() {
    let mut world = World::new().with_policy(&POLICY);
    let prompt = |name: &str| complete(&json!({"type": "ref/prompt", "name": name}));
    let template = |uri: &str| complete(&json!({"type": "ref/resource", "uri": uri}));
    let some = world.token("github:1", "c", "list prompts read");
    let little = world.token("github:1", "c", "list");
    let none = world.token("github:1", "c", "prompts");
    let all = world.token("github:1", "c", EVERYTHING);
    let router = world.echo();
    for (token, body, status, scopes) in [
        (&some, prompt("review"), 200, ""),
        (
            &some,
            prompt("secret_plan"),
            403,
            "list prompts read secret",
        ),
        (&some, template("file:///{path}"), 200, ""),
        (&some, template("file:///a"), 200, ""),
        // its values are those of all its URIs
        (&some, template("{+uri}"), 403, "list prompts read vault"),
        (&some, template("va{x}"), 403, "list prompts read vault"),
        (
            &some,
            template("vault://{key}"),
            403,
            "list prompts read vault",
        ),
        (
            &some,
            template("vault://key"),
            403,
            "list prompts read vault",
        ),
        (&some, template("VAULT://{key}"), 400, ""),
        (&some, template("vault%3A//{key}"), 200, ""),
        (&little, prompt("review"), 403, "list prompts"),
        (&little, template("{+uri}"), 403, "list read vault"),
        (&none, prompt("secret_plan"), 403, "list prompts secret"),
        (&all, prompt("secret_plan"), 200, ""),
        (&all, template("VAULT://{key}"), 200, ""),
    ] {
        let (got, _, asked) = outcome(&router, token, &body).await;
        assert_eq!((got, &*asked), (status, scopes), "{body}");
    }
}

/// RS-14
#[tokio::test]
async fn a_bare_origin_is_as_closed_as_its_root() {
    let policy = [
        ("read", &["resources/read", "resources/list"][..]),
        ("secret", &["resources/read:https://a.example/*"]),
    ];
    let mut world = World::new().with_policy(&policy);
    let token = world.token("github:1", "c", "read");
    let all = world.token("github:1", "c", "read secret");
    let router = world.echo();
    for (token, uri, status) in [
        (&token, "https://a.example", 400),
        (&token, "https://a.example/", 403),
        (&token, "https://b.example", 200),
        (&token, "https://b.example/x#y", 400),
        (&token, "https://me@b.example/", 400),
        (&all, "https://a.example", 200),
        (&all, "https://me@b.example/x#y", 200),
    ] {
        let read = rpc("resources/read", &json!({ "uri": uri }));
        let (got, ..) = outcome(&router, token, &read).await;
        assert_eq!(got, status, "{uri}");
    }
}

/// RS-18
#[tokio::test]
async fn a_request_to_listen_is_short() {
    let mut world = World::new().with_policy(&POLICY);
    let token = world.token("github:1", "c", EVERYTHING);
    let router = world.echo();
    for (length, status) in [(60 << 10, 200), (65 << 10, 413)] {
        let listen = rpc("subscriptions/listen", &json!({"x": "x".repeat(length)}));
        assert_eq!(outcome(&router, &token, &listen).await.0, status);
    }
    let call = rpc(
        "tools/call",
        &json!({"name": "add", "x": "x".repeat(65 << 10)}),
    );
    assert_eq!(outcome(&router, &token, &call).await.0, 200);
}

/// RS-14
#[tokio::test]
async fn completions_about_what_nobody_may_have_are_refused() {
    let policy = [
        ("a", &["completion/complete"][..]),
        ("b", &["resources/read:file:///open/*"]),
    ];
    let mut world = World::new().with_policy(&policy);
    let token = world.token("github:1", "c", "a b");
    let router = world.echo();
    for (reference, code) in [
        (json!({"type": "ref/prompt", "name": "p"}), Some(-32601)),
        (
            json!({"type": "ref/resource", "uri": "file:///{path}"}),
            None,
        ),
        (
            json!({"type": "ref/resource", "uri": "file:///closed/{path}"}),
            Some(-32601),
        ),
        (
            json!({"type": "ref/resource", "uri": "file:///open/{path}"}),
            None,
        ),
        (
            json!({"type": "ref/prompt", "uri": "file:///open/{path}", "name": "p"}),
            Some(-32602),
        ),
        (json!({}), Some(-32602)),
    ] {
        let (_, got, _) = outcome(&router, &token, &complete(&reference)).await;
        assert_eq!(got, code, "{reference}");
    }
}

/// RS-06, RS-14
#[tokio::test]
async fn changes_are_told_only_of_what_may_be_read() {
    let mut world = World::new().with_policy(&POLICY);
    let token = world.token("github:1", "c", "read");
    let all = world.token("github:1", "c", EVERYTHING);
    let router = world.echo();
    for (uri, status, scopes) in [
        ("file:///a", 200, ""),
        ("vault://key", 403, "read vault"),
        ("VAULT://key", 400, ""),
    ] {
        let listened = json!({"notifications": {"resourceSubscriptions": ["file:///b", uri]}});
        for body in [
            rpc("resources/subscribe", &json!({ "uri": uri })),
            rpc("subscriptions/listen", &listened),
        ] {
            let (got, _, asked) = outcome(&router, &token, &body).await;
            assert_eq!((got, &*asked), (status, scopes), "{body}");
            assert_eq!(outcome(&router, &all, &body).await.0, 200, "{body}");
        }
    }
}

/// RS-06, RS-18
#[tokio::test]
async fn a_challenge_names_everything_for_the_whole_batch_that_the_person_can_get() {
    let policy = [
        ("call", &["tools/call"][..]),
        ("admin", &["tools/call:delete_*", "prompts/get:p"]),
        ("owner", &["tools/call:delete_*"]),
        ("root", &["tools/call:delete_everything"]),
        ("read", &["resources/read:file:///*"]),
    ];
    let mut world = World::new().with_policy(&policy);
    let tool = |name: &str| rpc("tools/call", &json!({ "name": name }));
    let read = rpc("resources/read", &json!({"uri": "file:///a"}));
    let prompt = rpc("prompts/get", &json!({"name": "p"}));
    let batch = |entries: &[&str]| format!("[{}]", entries.join(","));
    let one = tool("delete_one");
    let every = tool("delete_everything");
    let free = world.token("github:1", "c", "call");
    let owner = world.token("github:1", "c", "call owner");
    let not_admin = world.token_without("call", "admin");
    let neither = world.token_without("call", "admin owner");
    let router = world.echo();
    for (token, body, status, scopes) in [
        (&free, one.clone(), 403, "admin call"),
        (&owner, one.clone(), 200, ""),
        (&owner, every.clone(), 403, "call owner root"),
        (
            &free,
            batch(&[&tool("add"), &one, &read]),
            403,
            "admin call read",
        ),
        (
            &free,
            batch(&[&read, &every, &prompt, &one]),
            403,
            "admin call read root",
        ),
        (&owner, batch(&[&one, &read]), 403, "call owner read"),
        // what the person cannot get is not asked for; what it is the only way to cannot be had
        (&not_admin, one.clone(), 403, "call owner"),
        (&not_admin, prompt.clone(), 403, ""),
        (&neither, one.clone(), 403, ""),
        (&not_admin, batch(&[&read, &prompt]), 403, ""),
        (&not_admin, batch(&[&read, &one]), 403, "call owner read"),
        (
            &free,
            batch(&[&tool("add"), &rpc("prompts/get", &json!({"name": "q"}))]),
            200,
            "",
        ),
    ] {
        let (got, _, asked) = outcome(&router, token, &body).await;
        assert_eq!((got, &*asked), (status, scopes), "{body}");
    }
}

/// RS-14
#[tokio::test]
async fn a_name_that_some_would_cut_is_refused_where_names_decide() {
    let mut world = World::new().with_policy(&POLICY);
    let some = world.token("github:1", "c", "call prompts");
    let all = world.token("github:1", "c", EVERYTHING);
    let router = world.echo();
    for (method, closed) in [("tools/call", "delete_all"), ("prompts/get", "secret_plan")] {
        for (name, status) in [
            (format!(" {closed}"), 400),
            (format!("\u{3000}{closed} "), 400),
            (format!("\t{closed}"), 400),
            (format!("{closed}\0"), 400),
            (format!("x\0{closed}"), 400),
            ("a\u{85}".to_owned(), 400),
            (format!("{closed} "), 403),
            (" padded ".to_owned(), 200),
            ("say hello, wörld".to_owned(), 200),
        ] {
            let body = rpc(method, &json!({ "name": name }));
            let (got, code, _) = outcome(&router, &some, &body).await;
            assert_eq!(got, status, "{name:?}");
            assert_eq!(code == Some(-32602), status == 400, "{name:?}");
            assert_eq!(outcome(&router, &all, &body).await.0, 200, "{name:?}");
        }
    }
}

/// Names are compared byte for byte: another spelling is another tool, and has what all others have. Where only open names
/// are named, it has nothing.
///
/// RS-14
#[tokio::test]
async fn another_spelling_of_a_name_is_another_name() {
    let wide = [
        ("call", &["tools/call"][..]),
        ("admin", &["tools/call:delete_*", "tools/call:caf\u{e9}"]),
    ];
    let narrow = [
        ("call", &["tools/call:add", "tools/call:get_*"][..]),
        ("admin", &["tools/call:delete_*"]),
    ];
    let spellings = [
        "Delete_x",
        "DELETE_X",
        "delete\u{ff3f}x",
        "d\u{435}lete_x",
        "cafe\u{301}",
    ];
    for (policy, code) in [(&wide[..], None), (&narrow, Some(-32601))] {
        let mut world = World::new().with_policy(policy);
        let token = world.token("github:1", "c", "call");
        let router = world.echo();
        for name in spellings {
            let body = rpc("tools/call", &json!({ "name": name }));
            assert_eq!(outcome(&router, &token, &body).await.1, code, "{name}");
        }
        let body = rpc("tools/call", &json!({"name": "delete_x"}));
        assert_eq!(outcome(&router, &token, &body).await.0, 403);
    }
}

const SCOPES: [&str; 4] = ["a", "b", "c", "d"];

/// Names and patterns of few letters, so that they meet.
fn patterns(method: &'static str) -> impl Strategy<Value = Vec<String>> {
    let named = move |name: String| format!("{method}:{name}");
    let pattern = prop_oneof![
        1 => Just(method.to_owned()),
        3 => "[xy*]{1,4}".prop_map(named),
        2 => "(x|y)://[xy*]{0,3}".prop_map(named),
    ];
    prop::collection::vec(pattern, 0..3)
}

fn policies() -> impl Strategy<Value = Vec<Vec<String>>> {
    let one = (
        patterns("tools/call"),
        patterns("resources/read"),
        patterns("prompts/get"),
    );
    let one = one.prop_map(|(tools, resources, prompts)| [tools, resources, prompts].concat());
    prop::collection::vec(one, SCOPES.len()..=SCOPES.len())
}

/// Open and closed ones, templates, and such that nobody should call.
fn names() -> impl Strategy<Value = Vec<String>> {
    let odd = [
        "", " x", "X", "x\0", "x://../y", "X://x", "x://%78", "{", "x}", "é",
    ];
    let name = prop_oneof![
        4 => "[xy]{1,4}",
        4 => "(x|y)://[xy]{0,3}",
        2 => "(x|y|)(://)?[xy]{0,2}\\{[xy]?\\}[xy]{0,2}",
        1 => select(odd.to_vec()).prop_map(str::to_owned),
    ];
    prop::collection::vec(name, 0..12)
}

/// A server whose lists have these names, and that carries out every call.
fn listing_server(world: &mut World, names: &[String]) -> Router {
    let entries: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "uri": name, "uriTemplate": name, "x": 1}))
        .collect();
    let result = json!({"tools": entries, "resources": entries, "resourceTemplates": entries, "prompts": entries});
    let answer = json!({"jsonrpc": "2.0", "id": 7, "result": result}).to_string();
    world.before(service_fn(move |_: Request| {
        let headers = [(HeaderName::from_static("content-type"), "application/json")];
        let response = (headers, answer.clone()).into_response();
        async { Ok::<_, Infallible>(response) }
    }))
}

async fn check_lists(policy: &[(&str, &[&str])], scopes: &str, names: &[String]) {
    let mut world = World::new().with_policy(policy);
    let token = world.token("github:1", "c", scopes);
    let router = listing_server(&mut world, names);
    for (list, member, method, key) in [
        ("tools/list", "tools", "tools/call", "name"),
        ("prompts/list", "prompts", "prompts/get", "name"),
        ("resources/list", "resources", "resources/read", "uri"),
        (
            "resources/templates/list",
            "resourceTemplates",
            "resources/read",
            "uri",
        ),
    ] {
        let answer = send(&router, post(&token, &rpc(list, &json!({})))).await;
        assert_eq!(answer.status, StatusCode::OK);
        let listed = answer.body["result"][member].as_array().unwrap().iter();
        let listed: Vec<_> = listed
            .map(|entry| entry["name"].as_str().unwrap())
            .collect();
        let mut admitted = Vec::new();
        for name in names {
            // one URI of a template stands for all
            let uri = name
                .replace("{}", "y")
                .replace("{x}", "")
                .replace("{y}", "xy");
            let called = if member == "resourceTemplates" {
                &uri
            } else {
                name
            };
            let answer = send(&router, post(&token, &rpc(method, &json!({ key: called })))).await;
            if answer.status == 200 && answer.code().is_none() {
                admitted.push(&**name);
            }
        }
        if member == "resourceTemplates" {
            let hidden: Vec<_> = admitted
                .iter()
                .filter(|name| !listed.contains(name))
                .collect();
            assert!(
                hidden.is_empty(),
                "templates hidden though open: {hidden:?}"
            );
        } else {
            assert_eq!(listed, admitted, "{list}");
        }
    }
}

/// RS-14
#[test]
fn a_list_holds_exactly_what_the_gate_admits() {
    let runtime = Runtime::new().unwrap();
    let held = subsequence(SCOPES.to_vec(), 0..=SCOPES.len());
    proptest!(ProptestConfig::with_cases(200), |(opened in policies(), held in held, names in names())| {
        let lists = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];
        let opened: Vec<Vec<&str>> = opened
            .iter()
            .map(|patterns| patterns.iter().map(String::as_str).collect())
            .collect();
        let mut policy: Vec<(&str, &[&str])> = vec![("list", &lists)];
        policy.extend(SCOPES.iter().zip(&opened).map(|(scope, patterns)| (*scope, &**patterns)));
        let scopes = format!("list {}", held.join(" "));
        runtime.block_on(check_lists(&policy, scopes.trim(), &names));
    });
}
