//! The command line: what can be written, and what it orders.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;

use anteroom::admin::{Choice, KeyKind, Order};
use anteroom::config::{backend_url, private_host};
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use url::Url;

// what it is about stands in Cargo.toml
#[derive(Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Everything on this machine with nothing to configure: a stand-in for GitHub, an MCP server, and anteroom
    Dev {
        /// Where to listen: a loopback address
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where the stand-in for GitHub listens
        #[arg(long, default_value = "127.0.0.1:0")]
        standin: SocketAddr,
        /// The MCP server to stand before, instead of the sample
        #[arg(long, value_name = "URL", value_parser = BackendUrl)]
        backend: Option<Url>,
        /// Where the metadata document of a client that you develop is read although it is no public address, such as
        /// localhost:8443; can be repeated
        #[arg(long, value_name = "HOST:PORT", value_parser = private_host)]
        private_host: Vec<(String, u16)>,
        /// The certificate authority of such a place, as a PEM file; can be repeated
        #[arg(long, value_name = "FILE")]
        ca: Vec<PathBuf>,
        /// A program to stand before, instead of the sample, with its arguments: an MCP server that speaks over stdin and
        /// stdout. It is started for each person, here, and finds the whole environment of this shell in its own, but for
        /// `ANTEROOM_...`; behind `anteroom serve` it finds none of it
        #[arg(last = true, value_name = "COMMAND", conflicts_with = "backend")]
        command: Vec<String>,
    },
    /// Stand before the MCP servers of the configuration
    Serve {
        /// The configuration; absent: providers.toml in this directory, if it is there
        #[arg(long, env = "ANTEROOM_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Check the configuration without using the network, and show what is in force
    Check {
        /// The configuration; absent: providers.toml in this directory, if it is there
        #[arg(long, env = "ANTEROOM_CONFIG")]
        config: Option<PathBuf>,
    },
    /// List the people's sessions, or end them
    #[command(subcommand)]
    Sessions(Sessions),
    /// List, show or remove clients
    #[command(subcommand)]
    Clients(Clients),
    /// List or rotate the keys that sign tokens and seal what is kept
    #[command(subcommand)]
    Keys(Keys),
    /// The sample MCP server alone, without any authorization
    Sample {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
        /// Speak over stdin and stdout instead, as a child of whoever starts it
        #[arg(long, conflicts_with = "listen")]
        stdio: bool,
    },
}

/// Reads the URL of a server, by the rules of `backend` in the configuration. What is refused is not shown: there may be a
/// password in it.
#[derive(Clone)]
struct BackendUrl;

impl TypedValueParser for BackendUrl {
    type Value = Url;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Url, clap::Error> {
        backend_url(value.to_str().unwrap_or_default()).map_err(|wrong| {
            let message = format!("the URL of --backend {wrong}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// Which server is asked: the one that runs, found by its `data_dir`.
#[derive(Args)]
pub(crate) struct Running {
    /// The directory that the server runs with; absent: that of the configuration
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The configuration; absent: providers.toml in this directory, if it is there
    #[arg(long, env = "ANTEROOM_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Write one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Some of the sessions.
#[derive(Args)]
pub(crate) struct Chosen {
    /// Those of this person, such as github:583231
    #[arg(long)]
    person: Option<String>,
    /// Those of this client, by its identifier
    #[arg(long)]
    client: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Sessions {
    /// List every session, oldest first
    List {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        running: Running,
    },
    /// End sessions: what they hold is worth nothing from then on
    #[command(group(ArgGroup::new("which").required(true).multiple(true).args(["session", "person", "client", "all"])))]
    Revoke {
        /// The session of this id
        session: Option<String>,
        #[command(flatten)]
        chosen: Chosen,
        /// All of them
        #[arg(long, conflicts_with_all = ["session", "person", "client"])]
        all: bool,
        #[command(flatten)]
        running: Running,
    },
}

#[derive(Subcommand)]
pub(crate) enum Clients {
    /// List every client
    List {
        #[command(flatten)]
        running: Running,
    },
    /// Show all that is kept of a client
    Show {
        /// Its identifier: the `client_id`
        id: String,
        #[command(flatten)]
        running: Running,
    },
    /// Forget a client, and end its sessions
    Remove {
        /// Its identifier: the `client_id`
        id: String,
        #[command(flatten)]
        running: Running,
    },
}

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// List every key
    List {
        #[command(flatten)]
        running: Running,
    },
    /// Put a new key in the place of the one in use; nobody is signed out
    Rotate {
        /// Which key to replace
        #[arg(default_value = "signing")]
        kind: Kind,
        #[command(flatten)]
        running: Running,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// The key that signs access tokens
    Signing,
    /// The key that seals what is kept
    Sealing,
}

impl Sessions {
    pub(crate) fn order(self) -> (Order, Running) {
        match self {
            Self::List { chosen, running } => (Order::ListSessions(choice(None, chosen)), running),
            Self::Revoke {
                session,
                chosen,
                all,
                running,
            } => {
                let choice = choice(session, chosen);
                (Order::RevokeSessions(Choice { all, ..choice }), running)
            }
        }
    }
}

impl Clients {
    pub(crate) fn order(self) -> (Order, Running) {
        match self {
            Self::List { running } => (Order::ListClients, running),
            Self::Show { id, running } => (Order::ShowClient { id }, running),
            Self::Remove { id, running } => (Order::RemoveClient { id }, running),
        }
    }
}

impl Keys {
    pub(crate) fn order(self) -> (Order, Running) {
        match self {
            Self::List { running } => (Order::ListKeys, running),
            Self::Rotate { kind, running } => {
                let kind = match kind {
                    Kind::Signing => KeyKind::Signing,
                    Kind::Sealing => KeyKind::Sealing,
                };
                (Order::RotateKey { kind }, running)
            }
        }
    }
}

fn choice(session: Option<String>, chosen: Chosen) -> Choice {
    Choice {
        session,
        person: chosen.person,
        client: chosen.client,
        all: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `dev` is to stand before.
    fn behind(line: &[&str]) -> Result<(Option<Url>, Vec<String>), String> {
        match Arguments::try_parse_from(line) {
            Ok(Arguments {
                command: Command::Dev {
                    backend, command, ..
                },
            }) => Ok((backend, command)),
            Ok(_) => panic!("not dev: {line:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn every_word_behind_the_dashes_is_the_programs() {
        let dev = ["anteroom", "dev"];
        for words in [
            &["server"][..],
            &["npx", "-y", "x", "--backend", "y", "--listen", "--", "-h"],
            &["sh", "-c", "exec a 'b c' $D", ""],
        ] {
            let line = [&dev[..], &["--listen", "127.0.0.1:0", "--"], words].concat();
            assert_eq!(behind(&line).unwrap().1, words, "{line:?}");
        }
        assert_eq!(behind(&dev), Ok((None, Vec::new())));
        assert_eq!(behind(&["anteroom", "dev", "--"]), Ok((None, Vec::new())));
    }

    #[test]
    fn dev_stands_before_one_server() {
        let url = ["anteroom", "dev", "--backend", "http://localhost:9000/mcp"];
        assert!(behind(&url).unwrap().0.is_some());
        let refused = behind(&[&url[..], &["--", "server"]].concat()).unwrap_err();
        assert!(refused.contains("cannot be used with"), "{refused}");
        let refused = behind(&["anteroom", "dev", "server"]).unwrap_err();
        assert!(refused.contains("-- <COMMAND>..."), "{refused}");
    }

    #[test]
    fn a_server_is_written_as_in_the_configuration_and_a_password_is_not_shown() {
        for (url, wrong) in [
            ("http://me:s3cr3t@h/mcp", "has a user or a password in it"),
            ("http://s3cr3t@h", "has a user or a password in it"),
            ("https://h/mcp?token=s3cr3t", "has a query or a fragment"),
            ("ftp://s3cr3t", "is not an http or https URL"),
            ("s3cr3t", "is not a URL"),
        ] {
            for line in [&["--backend", url][..], &[&format!("--backend={url}")]] {
                let refused = behind(&[&["anteroom", "dev"], line].concat()).unwrap_err();
                assert!(
                    refused.contains(&format!("--backend {wrong}: ")),
                    "{refused}"
                );
                assert!(!refused.contains("s3cr3t"), "{refused}");
            }
        }
    }

    #[test]
    fn the_help_says_what_the_program_finds_in_its_environment() {
        let said = Arguments::try_parse_from(["anteroom", "dev", "--help"]).err();
        let said = said.map(|said| said.to_string()).unwrap_or_default();
        assert!(said.contains("[-- <COMMAND>...]"), "{said}");
        assert!(
            said.contains("the whole environment of this shell"),
            "{said}"
        );
        assert!(said.contains("ANTEROOM_..."), "{said}");
    }
}
