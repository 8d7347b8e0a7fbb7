//! Every revision of clients, with every revision of children.

use rmcp::model::{
    CallToolRequestParams, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Whose, World, capable, modern, played, rpc, text, tool};

async fn address(world: &World) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, world.router.clone()).into_future());
    format!("http://{address}/mcp")
}

#[tokio::test]
async fn official_clients_of_every_era_use_children_of_every_era() {
    let auto = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    };
    for child in [ClientLifecycleMode::Initialize, modern()] {
        let world = capable(child.clone());
        let url = address(&world).await;
        for (mode, version) in [
            (
                ClientLifecycleMode::Initialize,
                ProtocolVersion::V_2025_11_25,
            ),
            (modern(), ProtocolVersion::V_2026_07_28),
            (auto.clone(), ProtocolVersion::V_2026_07_28),
        ] {
            let transport = StreamableHttpClientTransport::from_uri(url.clone());
            let client = ().serve_with_lifecycle(transport, mode.clone()).await.unwrap();
            let told = client.peer_info().unwrap();
            assert_eq!(told.protocol_version, version, "{child:?}");
            assert_eq!(told.server_info.as_ref().unwrap().name, "capable");
            assert_eq!(told.instructions.as_deref(), Some("one of everything"));
            assert!(told.capabilities.completions.is_some());

            let tools = client.list_all_tools().await.unwrap();
            assert_eq!(tools.len(), 2, "{child:?} {mode:?}: pages");
            let arguments = json!({ "a": { "deep": [1, null] } });
            let call = CallToolRequestParams::new("echo")
                .with_arguments(arguments.as_object().cloned().unwrap());
            let answer = client.call_tool(call).await.unwrap();
            let echoed: Value =
                serde_json::from_str(&answer.content[0].as_text().unwrap().text).unwrap();
            assert_eq!(echoed, arguments);
            assert_eq!(client.list_all_resources().await.unwrap().len(), 1);
            let memo = ReadResourceRequestParams::new("memo://1");
            assert_eq!(client.read_resource(memo).await.unwrap().contents.len(), 1);
            assert_eq!(client.list_all_prompts().await.unwrap().len(), 1);
            let prompt = client.get_prompt(GetPromptRequestParams::new("greet"));
            assert_eq!(prompt.await.unwrap().messages.len(), 1);
            let values = client.complete_prompt_simple("greet", "language", "r");
            assert_eq!(values.await.unwrap(), ["rust"]);
            client.cancel().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_child_of_an_old_revision_serves_clients_of_2026_07_28() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let world = played(Whose::OnePerson, version);
        let nothing = json!({});
        let asked = world.modern("mona", 5, "tools/list", &nothing);
        let child = async {
            let mut child = world.child().await;
            let asked = child.next().await;
            let meta = asked["params"]["_meta"].to_string();
            assert!(
                !meta.contains("io.modelcontextprotocol/"),
                "{version}: {meta}"
            );
            let tools = json!([{ "name": "t", "inputSchema": { "type": "object" } }]);
            child.answer(&asked, &json!({ "tools": tools })).await;
            child
        };
        let (answer, mut child) = tokio::join!(asked, child);
        let (answer, _) = answer.last().await;
        let result = &answer["result"];
        assert_eq!(answer["id"], 5);
        assert_eq!(result["tools"][0]["name"], "t");
        assert_eq!(result["resultType"], "complete", "{version}");
        assert_eq!(result["ttlMs"], 0);
        assert_eq!(result["cacheScope"], "private");

        for (method, code, expected, status) in [
            ("resources/read", -32002, -32602, 200),
            ("resources/read", -32601, -32601, 404),
            ("x/custom", -32601, -32601, 404),
            ("x/custom", -31999, -31999, 200),
        ] {
            let params = json!({ "uri": "memo://2" });
            let asked = world.modern("mona", 6, method, &params);
            let refused = async {
                let asked = child.next().await;
                let error = json!({ "code": code, "message": "no such", "data": { "uri": 2 } });
                let error = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error });
                child.say(&error).await;
            };
            let (answer, ()) = tokio::join!(asked, refused);
            assert_eq!(answer.status, status, "{method} {code}");
            let (answer, _) = answer.last().await;
            let error = json!({ "code": expected, "message": "no such", "data": { "uri": 2 } });
            assert_eq!(answer["error"], error, "{method} {code}");
        }
    }
}

#[tokio::test]
async fn nobody_else_is_given_an_answer_from_a_cache() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let nothing = json!({});
    let asked = world.modern("mona", 1, "tools/list", &nothing);
    let answered = async {
        let mut child = world.child().await;
        let asked = child.next().await;
        let list = json!({ "tools": [], "ttlMs": 5000, "cacheScope": "public" });
        child.answer(&asked, &list).await;
        child
    };
    let (answer, _child) = tokio::join!(asked, answered);
    let (answer, _) = answer.last().await;
    assert_eq!(answer["result"]["ttlMs"], 5000);
    assert_eq!(answer["result"]["cacheScope"], "private");
}

#[tokio::test]
async fn each_older_revision_is_agreed_on_with_the_client_and_not_with_the_child() {
    for child in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let world = played(Whose::OnePerson, child);
        for client in ["2025-03-26", "2025-06-18", "2025-11-25"] {
            let (session, told) = world.session_with("mona", client, &json!({})).await;
            let result = &told["result"];
            assert_eq!(result["protocolVersion"], client, "{child}");
            assert_eq!(result["serverInfo"]["name"], "played");
            assert_eq!(result["instructions"], "be kind");
            assert_eq!(result["capabilities"]["resources"]["subscribe"], true);
            let (pong, _) = session.ask(1, "ping", &json!({})).await.last().await;
            assert_eq!(pong["result"], json!({}));
        }
    }
}

#[tokio::test]
async fn what_no_revision_knows_goes_to_the_child_as_it_came() {
    let world = played(Whose::OnePerson, "2025-06-18");
    let session = world.session("mona").await;
    let mut child = world.child().await;
    let params = json!({
        "name": "t", "arguments": { "n": 1 }, "later": { "deep": [true] },
        "_meta": { "traceparent": "00-1", "x": { "y": 1 }, "progressToken": "mine" },
    });
    let asked = session.ask(3, "tools/call", &params);
    let answered = async {
        let asked = child.next().await;
        let mut meta = asked["params"]["_meta"].clone();
        assert_ne!(meta["progressToken"], "mine", "tokens are the child's own");
        meta.as_object_mut().unwrap().remove("progressToken");
        assert_eq!(meta, json!({ "traceparent": "00-1", "x": { "y": 1 } }));
        assert_eq!(asked["params"]["later"], json!({ "deep": [true] }));
        let mut result = text("done");
        result["isError"] = json!(true);
        result["structuredContent"] = json!({ "s": [1] });
        result["_meta"] = json!({ "z": 1 });
        child.answer(&asked, &result).await;
        result
    };
    let (answer, result) = tokio::join!(asked, answered);
    assert_eq!(answer.last().await.0["result"], result);

    let params = json!({ "any": [1, 2] });
    let asked = session.ask(4, "x/custom", &params);
    let answered = async {
        let asked = child.next().await;
        assert_eq!(asked["method"], "x/custom");
        assert_eq!(asked["params"]["any"], json!([1, 2]));
        child
            .answer(&asked, &json!({ "other": { "thing": 1 } }))
            .await;
    };
    let (answer, ()) = tokio::join!(asked, answered);
    let (answer, _) = answer.last().await;
    assert_eq!(answer["result"], json!({ "other": { "thing": 1 } }));
}

#[tokio::test]
async fn a_question_in_an_answer_reaches_clients_of_2026_07_28_alone() {
    let world = capable(modern());
    let meta = json!({ "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} } });
    for (meta, elicits) in [(meta, true), (json!({}), false)] {
        let mut params = tool("ask");
        params["_meta"] = meta;
        let answer = world.modern("mona", 1, "tools/call", &params).await;
        let (answer, _) = answer.last().await;
        assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
        let state = format!("elicits: {elicits}");
        assert_eq!(answer["result"]["requestState"], state);
    }
    let (session, _) = world
        .session_with("mona", "2025-11-25", &json!({ "elicitation": {} }))
        .await;
    let (answer, _) = session
        .ask(1, "tools/call", &tool("ask"))
        .await
        .last()
        .await;
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
}

#[tokio::test]
async fn a_batch_is_refused_in_words() {
    let world = played(Whose::OnePerson, "2025-03-26");
    let batch = json!([rpc(1, "tools/list", &json!({})), rpc(2, "ping", &json!({}))]);
    let answer = world.post("mona", &[], &batch).await;
    assert_eq!(answer.status, 400);
    let (answer, _) = answer.last().await;
    assert_eq!(answer["error"]["code"], -32600);
    let told = answer["error"]["message"].as_str().unwrap();
    assert!(told.contains("one by one"), "{told}");
    world.held(0).await;
}
