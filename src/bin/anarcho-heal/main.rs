//! `anarcho-heal`: keeps all nodes identical and says what it did. Flags, logging and output; the work is in `anarchoredis::heal`.

mod adoption;
mod answers;
mod flags;
mod once;
mod service;

use clap::Parser;
use flags::{Command, Flags};
use std::process::ExitCode;

/// What was asked for cannot be done so.
const WRONG_USE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let default = if flags.is_service() { "info" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let file = match flags.file() {
        Ok(file) => file,
        Err(text) => return wrong_use(&text),
    };
    if file.nodes.is_empty() {
        return wrong_use("name the nodes: --node URL for each of them, or `nodes` in the file of --config");
    }
    let ended = match &flags.command {
        _ if flags.is_service() => service::run(&flags, file).await,
        Some(Command::Status) => answers::status(&flags, file).await,
        Some(Command::Explain { key }) => answers::explain(&flags, file, key).await,
        Some(Command::Verify { repair, adopt }) => answers::verify(&flags, file, *repair, *adopt).await,
        Some(Command::Adopt { scopes }) => adoption::run(&flags, file, scopes).await,
        Some(Command::Init { scopes }) => answers::init(file, scopes).await,
        Some(Command::Recover | Command::Rejoin { .. } | Command::Node { .. }) | None => {
            once::run(&flags, file).await
        }
    };
    match ended {
        Ok(code) => code,
        Err(text) => {
            eprintln!("anarcho-heal: {text}");
            ExitCode::FAILURE
        }
    }
}

fn wrong_use(text: &str) -> ExitCode {
    eprintln!("anarcho-heal: {text}");
    ExitCode::from(WRONG_USE)
}
