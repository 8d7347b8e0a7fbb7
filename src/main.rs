//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anteroom::command;
use anteroom::config::{Outbound, private_host};
use clap::{Parser, Subcommand};
use url::Url;

/// Sign-in with GitHub in front of any MCP server.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything on this machine with nothing to configure: a stand-in for GitHub, an MCP server, and anteroom
    Dev {
        /// Where to listen: a loopback address
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where the stand-in for GitHub listens
        #[arg(long, default_value = "127.0.0.1:0")]
        standin: SocketAddr,
        /// The MCP server to stand before, instead of the sample
        #[arg(long)]
        backend: Option<Url>,
        /// Where the metadata document of a client that you develop is read although it is no public address, such as
        /// localhost:8443; can be repeated
        #[arg(long, value_name = "HOST:PORT", value_parser = private_host)]
        private_host: Vec<(String, u16)>,
        /// The certificate authority of such a place, as a PEM file; can be repeated
        #[arg(long, value_name = "FILE")]
        ca: Vec<PathBuf>,
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
    /// The sample MCP server alone, without any authorization
    Sample {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Dev {
            listen,
            standin,
            backend,
            private_host,
            ca,
        } => {
            let outbound = Outbound {
                ca,
                private_hosts: private_host,
                ..Outbound::default()
            };
            command::dev(listen, standin, backend, outbound)
        }
        Command::Serve { config } => command::serve(config.as_deref()),
        Command::Check { config } => command::check(config.as_deref()),
        Command::Sample { listen } => command::sample(listen),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
