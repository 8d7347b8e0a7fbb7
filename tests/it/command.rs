//! The program as it is started: what it says, and what it refuses.

use std::process::{Command, Output, Stdio};

use anteroom::command::behind;
use anteroom::config::Backend;

use crate::harness::process::Process;

#[expect(clippy::unwrap_used, reason = "a test fails by it")]
fn anteroom(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .args(arguments)
        .current_dir(directory.path())
        .env_clear()
        .output()
        .unwrap()
}

/// HTTP-12
#[test]
fn dev_listens_on_loopback_alone() {
    for arguments in [
        ["dev", "--listen", "0.0.0.0:0"],
        ["dev", "--listen", "192.0.2.1:8080"],
        ["dev", "--standin", "[::]:0"],
    ] {
        let refused = anteroom(&arguments);
        assert!(!refused.status.success(), "{arguments:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("use 127.0.0.1"), "{said}");
    }
}

/// CLI-05
#[test]
fn dev_says_what_is_wrong_with_a_private_place_of_documents() {
    for (arguments, remedy) in [
        (["dev", "--private-host", "localhost"], "write each as"),
        (
            ["dev", "--private-host", "https://localhost:8443"],
            "write each as",
        ),
        (["dev", "--ca", "nowhere.pem"], "nowhere.pem"),
    ] {
        let refused = anteroom(&[&arguments[..], &["--listen", "127.0.0.1:0"]].concat());
        assert!(!refused.status.success(), "{arguments:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn without_a_configuration_the_program_says_what_to_write() {
    for command in ["serve", "check"] {
        let refused = anteroom(&[command]);
        assert!(!refused.status.success());
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("providers.toml"), "{said}");
        assert!(said.contains("[provider.github]"), "{said}");
    }
}

#[test]
fn check_shows_what_is_in_force_without_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("providers.toml");
    let data = directory.path().join("data");
    let text = "public_url = \"https://mcp.example.com\"\nbackend = \"http://localhost:9000/mcp\"\n\
                [provider.github]\nclient_id = \"Iv1\"\nclient_secret = \"s3cret\"\nallow.orgs = [\"acme\"]\n";
    std::fs::write(&file, format!("data_dir = {data:?}\n{text}")).unwrap();
    let checked = anteroom(&["check", "--config", file.to_str().unwrap()]);
    assert!(checked.status.success());
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains("https://mcp.example.com"), "{said}");
    assert!(said.contains("[acme]"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    assert!(said.contains(data.to_str().unwrap()), "{said}");
    assert!(!data.exists(), "check writes nothing");
}

#[test]
fn the_program_takes_as_many_open_files_as_the_system_grants() {
    let limited = "ulimit -Sn 64; ulimit -Hn 512; exec \"$0\" sample --listen 127.0.0.1:0";
    let mut program = Command::new("sh");
    program
        .args(["-c", limited, env!("CARGO_BIN_EXE_anteroom")])
        .stderr(Stdio::null());
    let mut program = Process::start(program);
    let said = program.wait_until_it_says("listens on").unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["512", "512"], "{said}");
}

#[test]
fn dev_stands_before_a_program_in_the_environment_that_it_is_in_itself() {
    let words = ["npx", "-y", "a server"].map(str::to_owned).to_vec();
    let Backend::Command(command) = behind(None, words.clone()) else {
        panic!("no command")
    };
    assert_eq!(command.words, words);
    let mut names = command.environment.iter().map(|(name, _)| name.as_str());
    assert!(names.any(|name| name == "PATH"));
    let url = "http://localhost:9000/mcp".parse().ok();
    assert!(matches!(behind(url, Vec::new()), Backend::Http(_)));
    assert!(matches!(behind(None, Vec::new()), Backend::Sample));
}
