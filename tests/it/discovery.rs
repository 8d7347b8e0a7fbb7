//! TODO
use crate::harness::server::server;

/// RS-01
#[tokio::test]
async fn smoke() {
    for server in [
        server().start().await,
        server()
            .public_url("https://mcp.example.com/a/b")
            .start()
            .await,
        server()
            .public_url("http://localhost:8080")
            .on_sled()
            .start()
            .await,
    ] {
        let client = server.client().await;
        let tokens = client.sign_in("mona").await;
        let who = client.whoami(&tokens.access).await;
        assert_eq!(who["subject"], "github:1");
        let tokens = crate::harness::client::Tokens::read(&client.refresh(&tokens.refresh).await);
        assert_eq!(client.initialize(&tokens.access).await.status, 200);
        assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
        assert_eq!(client.initialize(&tokens.access).await.status, 401);
    }
}
