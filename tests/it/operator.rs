//! What an operator asks of a running server, and does to it, with the real program on both ends of the socket.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use anteroom::standin::Standin;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::process::{Client, Http, Journey, Place, Process};

/// A server that runs, and somebody at each end of it.
struct Running {
    standin: Standin,
    place: Place,
    process: Process,
    http: Http,
}

/// A client of somebody who signed in, and its tokens.
struct Connected {
    client: Client,
    access: String,
    refresh: String,
}

impl Running {
    async fn start() -> Self {
        let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let place = Place::new(&standin.base_url());
        let mut process = place.start("info");
        assert!(process.wait_until_it_serves());
        Self {
            standin,
            place,
            process,
            http: Http::new(),
        }
    }

    async fn sign_in(&self, login: &str) -> Connected {
        let base = &self.place.base;
        let client = self.http.register(base, "none").await.unwrap();
        let journey = Journey::begin(&self.http, base, &client).await.unwrap();
        let code = journey.code(login).await.unwrap();
        let url = format!("{base}/token");
        let answer = self.http.ask_as(&client, &url, &code.form()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        Connected {
            access: answer.text("access_token"),
            refresh: answer.text("refresh_token"),
            client,
        }
    }

    /// Whether the door opens; what the server behind says of a ping out of the blue is its own matter.
    async fn honours(&self, connected: &Connected) -> bool {
        let url = format!("{}/mcp", self.place.base);
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        let answer = self.http.call(&url, &connected.access, &ping).await;
        answer.unwrap().status != StatusCode::UNAUTHORIZED
    }

    fn order(&self, arguments: &[&str]) -> Output {
        order(&self.place.data(), arguments)
    }

    /// What an order tells, a JSON object a line.
    fn told(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.order(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn order(data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .env_clear()
        .output()
        .unwrap()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_while_the_server_runs() {
    let running = Running::start().await;
    let mona = running.sign_in("mona").await;
    let octavia = running.sign_in("octavia").await;
    let again = running.sign_in("mona").await;

    let listed = running.told(&["sessions", "list"]);
    assert_eq!(listed.len(), 3);
    let of_client = |client: &Client| {
        let found = listed.iter().find(|line| line["client"] == client.id);
        found.unwrap().clone()
    };
    let (first, second) = (of_client(&mona.client), of_client(&octavia.client));
    assert_eq!(
        (&first["person"], &first["login"]),
        (&json!("github:1"), &json!("mona"))
    );
    assert_eq!(second["person"], "github:2");
    let of_mona = running.told(&["sessions", "list", "--person", "github:1"]);
    assert_eq!(of_mona.len(), 2);
    let both = ["--person", "github:1", "--client", &octavia.client.id];
    assert!(
        running
            .told(&[&["sessions", "list"], &both[..]].concat())
            .is_empty()
    );

    let first = first["id"].as_str().unwrap();
    let output = running.order(&["sessions", "revoke", first]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "1 session ended\n"
    );
    assert!(!running.honours(&mona).await);
    assert!(running.honours(&again).await);
    assert!(running.honours(&octavia).await);
    let told = refused(&running.order(&["sessions", "revoke", first]));
    assert!(told.contains("there is no such session"), "{told}");

    assert!(
        running
            .order(&["sessions", "revoke", "--all"])
            .status
            .success()
    );
    assert!(!running.honours(&again).await);
    assert!(!running.honours(&octavia).await);
    assert!(running.told(&["sessions", "list"]).is_empty());
}

#[tokio::test]
async fn a_revocation_that_names_nothing_is_refused() {
    let running = Running::start().await;
    let mona = running.sign_in("mona").await;
    for arguments in [
        &["sessions", "revoke"][..],
        &["sessions", "revoke", "--all", "--person", "github:1"],
        &["sessions", "revoke", "not-an-id"],
    ] {
        refused(&running.order(arguments));
    }
    assert!(running.honours(&mona).await);
}

#[tokio::test]
async fn a_client_is_shown_whole_and_removed_with_its_sessions() {
    let running = Running::start().await;
    let mona = running.sign_in("mona").await;
    let octavia = running.sign_in("octavia").await;
    let listed = running.told(&["clients", "list"]);
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|line| line["source"] == "registered"));

    let shown = running.told(&["clients", "show", &mona.client.id]);
    assert_eq!(shown[0]["sessions"], 1);
    assert_eq!(shown[0]["authentication"], "none");
    let output = running.order(&["clients", "remove", &mona.client.id]);
    assert!(output.status.success(), "{output:?}");
    assert!(!running.honours(&mona).await);
    assert!(running.honours(&octavia).await);
    let told = refused(&running.order(&["clients", "show", &mona.client.id]));
    assert!(told.contains("there is no such client"), "{told}");
    let url = format!("{}/token", running.place.base);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &mona.refresh),
    ];
    let answer = running
        .http
        .ask_as(&mona.client, &url, &form)
        .await
        .unwrap();
    assert_eq!(answer.text("error"), "invalid_client");
}

/// AT-08, SEC-08
#[tokio::test]
async fn keys_are_listed_and_rotated_without_signing_anybody_out() {
    let running = Running::start().await;
    let mona = running.sign_in("mona").await;
    let states = |keys: &[Value]| -> Vec<String> {
        let told = keys.iter();
        told.map(|key| format!("{} {}", key["kind"], key["state"]).replace('"', ""))
            .collect()
    };
    let keys = running.told(&["keys", "list"]);
    assert_eq!(states(&keys), ["signing in use", "sealing in use"]);
    let published = running.told(&["keys", "rotate"]);
    assert_eq!(states(&published[..1]), ["signing published"]);
    let sealing = running.told(&["keys", "rotate", "sealing"]);
    assert_eq!(states(&sealing[..1]), ["sealing in use"]);
    let keys = running.told(&["keys", "list"]);
    let expected = [
        "signing in use",
        "signing published",
        "sealing retired",
        "sealing in use",
    ];
    assert_eq!(states(&keys), expected);
    assert!(running.honours(&mona).await);
    let url = format!("{}/token", running.place.base);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &mona.refresh),
    ];
    let answer = running.http.ask_as(&mona.client, &url, &form).await;
    assert_eq!(answer.unwrap().status, StatusCode::OK);
}

/// SEC-04
#[tokio::test]
async fn nothing_that_is_told_opens_anything() {
    let running = Running::start().await;
    let mona = running.sign_in("mona").await;
    for arguments in [
        &["sessions", "list"][..],
        &["clients", "list"],
        &["clients", "show", &mona.client.id],
        &["keys", "list"],
    ] {
        for form in [&[][..], &["--json"]] {
            let output = running.order(&[arguments, form].concat());
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            for secret in [mona.access.as_str(), &mona.refresh, "gho_", "@example.com"] {
                assert!(!text.contains(secret), "{arguments:?}: {text}");
            }
        }
    }
}

/// P15
#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_server() {
    let running = Running::start().await;
    let socket = running.place.data().join("admin.sock");
    let mode = socket.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mode = running
        .place
        .data()
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    let Running {
        process,
        place,
        standin: _standin,
        ..
    } = running;
    process.kill();
    let told = refused(&order(&place.data(), &["sessions", "list"]));
    assert!(told.contains("no anteroom runs with"), "{told}");
    assert!(told.contains("anteroom serve"), "{told}");
    // what a killed server has left is in nobody's way
    let mut process = place.start("info");
    assert!(process.wait_until_it_serves());
    let output = order(&place.data(), &["sessions", "list"]);
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_answered_and_harms_nobody() {
    let running = Running::start().await;
    let socket = running.place.data().join("admin.sock");
    let long = format!("{{\"order\":\"{}\"}}", "x".repeat(1 << 20));
    for said in [
        "",
        "\n",
        "{}\n",
        "null\n",
        "{\"order\":\"format-disk\"}\n",
        &long,
        "\u{0}\n",
    ] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // a server that has heard enough may close before all is said
        let _ = stream.write_all(said.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        if said.len() < 100 {
            assert!(answer.contains("\"line\":\"failed\""), "{said:?}: {answer}");
        }
    }
    assert!(running.told(&["sessions", "list"]).is_empty());
}

#[test]
fn who_asks_needs_none_of_the_variables_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("providers.toml");
    let text = "data_dir = \"elsewhere\"\n[provider.github]\nclient_secret = \"env:NOT_SET\"\n";
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .args(["sessions", "list"])
        .current_dir(directory.path())
        .env_clear()
        .output()
        .unwrap();
    let told = refused(&output);
    assert!(told.contains("no anteroom runs with elsewhere"), "{told}");
}
