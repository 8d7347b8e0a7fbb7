//! What an operator asks of a running server, and does to it, with the real program on both ends of the socket.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, absolute};
use std::process::{Command, Output, Stdio};

use anteroom::admin::{AdminError, Socket};
use anteroom::protocol::ids::ClientId;
use anteroom::standin::Standin;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::client::Client as Described;
use crate::harness::process::{Client, Http, Journey, Place, Process};
use crate::harness::server::server;
use crate::harness::website::{Page, Website};
use crate::remembered::{Seen, look};

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
    assert!(first["resource"].as_str().unwrap().ends_with("/mcp"));
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

    let done = running.told(&["sessions", "revoke", "--all"]);
    assert_eq!(
        done,
        [json!({ "line": "done", "said": "2 sessions ended" })]
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
        // the name of an account, which is nobody's subject here
        &["sessions", "revoke", "--person", "github:mona"],
        &["sessions", "revoke", "--client", "nobody"],
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

/// CONS-24, CLI-04
#[tokio::test]
async fn who_was_connected_to_a_client_that_is_removed_is_asked_anew() {
    let site = Website::start().await;
    let redirect = "http://127.0.0.1/cb";
    let document = json!({
        "client_id": site.url("/client.json"),
        "client_name": "Described app",
        "redirect_uris": [redirect],
        "token_endpoint_auth_method": "none",
    });
    site.put("/client.json", Page::json(&document));
    let server = server().documents_from(&site).start().await;
    let client = Described::named(&server, &site.url("/client.json"), redirect);
    let mut browser = server.browser();
    let url = client.authorization_url();
    let sign_in = browser.sign_in(&url, "mona").await;
    client.read_code(&sign_in.location());
    assert_eq!(look(&mut browser, &client).await, Seen::Remembered);
    let flows = server.app.flows();
    let id = ClientId::new(site.url("/client.json"));
    let kept = flows.kept_client(&id).await.unwrap().unwrap();
    assert_eq!(flows.remove_client(&kept).await.unwrap(), 1);
    assert_eq!(look(&mut browser, &client).await, Seen::New);
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
    let taken = Socket::bind(&place.data()).err();
    assert!(matches!(taken, Some(AdminError::Taken(_))), "{taken:?}");
    process.stop();
    assert!(!socket.exists());
}

/// P15
#[tokio::test]
async fn a_socket_is_made_out_of_reach_and_takes_nothing_of_others_away() {
    let room = tempfile::tempdir().unwrap();
    // as long as the path of a socket may be
    let length = 107 - room.path().as_os_str().len() - "//admin.sock".len();
    let data = room.path().join("d".repeat(length));
    // of a process that was killed while it made its own
    std::fs::create_dir_all(data.join(".sock")).unwrap();
    std::fs::write(data.join(".sock/s"), "").unwrap();
    let first = Socket::bind(&data).unwrap();
    let path = data.join("admin.sock");
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1);
    std::fs::remove_file(&path).unwrap();
    let second = Socket::bind(&data).unwrap();
    drop(first);
    assert!(UnixStream::connect(&path).is_ok());
    drop(second);
    assert!(!path.exists());
    let longer = Socket::bind(&data.with_file_name("d".repeat(length + 1))).err();
    let is_right = matches!(longer, Some(AdminError::Bind { .. }));
    assert!(is_right, "{longer:?}");
}

#[tokio::test]
async fn a_server_without_a_socket_serves_people() {
    let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let place = Place::new(&standin.base_url());
    let data = place.data().join("d".repeat(100));
    configure(
        &place,
        place.data().to_str().unwrap(),
        data.to_str().unwrap(),
    );
    let mut process = place.start("info");
    assert!(process.wait_until_it_serves(), "{}", place.logged());
    let logged = place.logged();
    assert!(
        logged.contains("nobody can order anything here"),
        "{logged}"
    );
    let told = refused(&order(&data, &["sessions", "list"]));
    assert!(told.contains("cannot be connected to"), "{told}");
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let place = Place::new(&standin.base_url());
    let file = place.data().join("sealing.key");
    std::fs::create_dir_all(&file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!place.start("info").wait_until_it_serves());
    let logged = place.logged();
    let said = "sealing.key cannot be read or written: Is a directory";
    assert!(logged.contains(said), "{logged}");
}

/// AT-06
#[tokio::test]
async fn a_check_refuses_the_signing_key_that_a_start_refuses() {
    let place = Place::new("http://127.0.0.1:9");
    let pem = place.data().with_file_name("signing.pem");
    let text = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    std::fs::write(&pem, text).unwrap();
    let setting = format!("[tokens]\nsigning_key = \"file:{}\"", pem.display());
    configure(&place, "[tokens]", &setting);
    let output = Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .args(["check", "--config"])
        .arg(place.data().with_file_name("providers.toml"))
        .env_clear()
        .output()
        .unwrap();
    let told = refused(&output);
    assert!(
        told.contains("tokens.signing_key is none of the keys"),
        "{told}"
    );
    assert!(!place.start("info").wait_until_it_serves());
}

#[tokio::test]
async fn who_stops_reading_is_told_nothing_more() {
    let running = Running::start().await;
    running.sign_in("mona").await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .args(["sessions", "list", "--data-dir"])
        .arg(running.place.data())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// Other words in the configuration.
fn configure(place: &Place, from: &str, to: &str) {
    let file = place.data().with_file_name("providers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_answered_and_harms_nobody() {
    let running = Running::start().await;
    let mona = running.sign_in("mona").await;
    let socket = running.place.data().join("admin.sock");
    let long = format!("{{\"order\":\"{}\"}}", "x".repeat(1 << 20));
    for said in [
        "",
        "\n",
        "{}\n",
        "null\n",
        "{\"order\":\"format-disk\"}\n",
        // of another version: what it names is not known here, and nothing is not all
        "{\"order\":\"revoke-sessions\"}\n",
        "{\"order\":\"revoke-sessions\",\"resource\":\"r\"}\n",
        "{\"order\":\"revoke-sessions\",\"all\":true,\"resource\":\"r\"}\n",
        "{\"order\":\"revoke-sessions\",\"all\":true,\"person\":\"github:1\"}\n",
        "{\"order\":\"list-sessions\",\"resource\":\"r\"}\n",
        "{\"order\":\"show-client\",\"id\":\"c\",\"resource\":\"r\"}\n",
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
    assert!(running.honours(&mona).await);
    assert_eq!(running.told(&["sessions", "list"]).len(), 1);
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
    let place = absolute(directory.path().join("elsewhere")).unwrap();
    let expected = format!("no anteroom runs with {}", place.display());
    assert!(told.contains(&expected), "{told}");
    assert!(told.contains("--data-dir"), "{told}");
}
