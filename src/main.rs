//! The program.

mod arguments;

use std::process::ExitCode;

use anteroom::admin::Order;
use anteroom::command;
use anteroom::command::operator::{self, Form, Target};
use anteroom::config::Outbound;
use clap::Parser as _;

use arguments::{Arguments, Command, Running};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Dev {
            listen,
            standin,
            backend,
            private_host,
            ca,
            command,
        } => {
            let outbound = Outbound {
                ca,
                private_hosts: private_host,
                ..Outbound::default()
            };
            let backend = command::behind(backend, command);
            command::dev(listen, standin, backend, outbound)
        }
        Command::Serve { config } => command::serve(config.as_deref()),
        Command::Check { config } => command::check(config.as_deref()),
        Command::Sessions(sessions) => order(sessions.order()),
        Command::Clients(clients) => order(clients.order()),
        Command::Keys(keys) => order(keys.order()),
        Command::Sample { stdio: true, .. } => command::sample_over_stdio(),
        Command::Sample { listen, .. } => command::sample(listen),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut said = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                let text = error.to_string();
                // some name their cause themselves
                if !said.contains(&text) {
                    said = format!("{said}: {text}");
                }
                cause = error.source();
            }
            eprintln!("{said}");
            ExitCode::FAILURE
        }
    }
}

/// What an operator orders, given to the server that runs.
fn order((order, running): (Order, Running)) -> command::Outcome {
    let target = Target {
        data_dir: running.data_dir,
        config: running.config,
    };
    let form = if running.json { Form::Json } else { Form::Text };
    operator::order(&target, order, form)
}
