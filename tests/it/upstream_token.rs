//! What a tool in the same process does with the provider's token of whoever calls it.

use anteroom::standin::Fault;
use serde_json::Value;

use crate::harness::server::server;

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

/// CONS-16
#[tokio::test]
async fn a_tool_calls_the_provider_in_the_name_of_whoever_calls_it() {
    let server = server().start().await;
    let mona = server.client().await.sign_in("mona").await;
    let octavia_client = server.client().await;
    let octavia = octavia_client.sign_in("octavia").await;
    for (tokens, login) in [(&mona, "mona"), (&octavia, "octavia")] {
        let profile = octavia_client.tool(&tokens.access, "github_profile").await;
        assert_eq!(profile["structuredContent"]["login"], login, "{profile}");
        assert!(text(&profile).contains(&format!("login: {login}")));
        assert!(!profile.to_string().contains("gho_"), "{profile}");
    }
}

#[tokio::test]
async fn what_the_provider_answers_is_told_in_words() {
    let server = server().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    for (fault, told) in [
        (Fault::Down, "status 500"),
        (Fault::Body("[]".to_owned()), "cannot be read"),
    ] {
        server.standin().fault("/api/user", fault);
        let profile = client.tool(&tokens.access, "github_profile").await;
        assert_eq!(profile["isError"], true, "{profile}");
        assert!(text(&profile).contains(told), "{profile}");
        server.standin().heal();
    }
}
