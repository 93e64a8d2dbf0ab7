//! Commands that the proxy answers itself: what concerns a connection, or the proxy as the server that it looks like.

mod anarcho;
mod auth;
mod client;
mod config;
mod info;
mod server;
mod subscribe;
mod table;
mod wait;

pub use anarcho::level;
pub use server::monitored;
pub use subscribe::{delivered, is_allowed, pong, refusal};

use super::dialogue::{Dialogue, Step};
use super::reply;
use super::request::Request;
use crate::client::Client;
use crate::error::{Failures, NodeFailure};
use crate::node::Seat;
use redis::Value;

/// Those commands, by name. Their subcommands are told apart where they are answered.
const NAMES: [&str; 30] = [
    "acl",
    "anarcho",
    "asking",
    "auth",
    "client",
    "cluster",
    "command",
    "config",
    "function",
    "hello",
    "info",
    "lastsave",
    "latency",
    "module",
    "monitor",
    "quit",
    "readonly",
    "readwrite",
    "reset",
    "role",
    "shutdown",
    "slowlog",
    "time",
    "wait",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
];

/// Whether the proxy answers it.
pub fn is_ours(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter()
}

/// Whether it is one of ours that a node would run as well, as far as its name and the number of its arguments go.
pub fn can_be_queued(with: &Dialogue, name: &str, request: &Request) -> bool {
    // A command at a level of its own is no part of a transaction.
    let is_anarchos = name == "anarcho" && sub(request) != "with";
    is_ours(name) && (is_anarchos || with.shared.client.table().check(&request.words()).is_ok())
}

/// Answers it, if it is one of ours.
pub fn answer(with: &mut Dialogue, name: &str, request: &Request) -> Option<Step> {
    if name == "script" && sub(request) == "kill" && request.len() == 2 {
        return Some(server::kill_scripts(with));
    }
    if !is_ours(name) {
        return None;
    }
    if name != "anarcho"
        && let Err(refusal) = with.shared.client.table().check(&request.words())
    {
        return Some(Step::Now(refusal.into_reply()));
    }
    let step = match name {
        "anarcho" => anarcho::answer(with, request),
        "hello" => auth::hello(with, request),
        "auth" => auth::auth(with, request),
        "quit" => auth::quit(with),
        "reset" => auth::reset(with),
        "acl" => auth::acl(with, request),
        "client" => client::answer(with, request),
        "command" => table::answer(with, request),
        "config" => config::answer(with, request),
        "info" => info::answer(with, request),
        "wait" => wait::answer(with, request),
        "subscribe" | "psubscribe" | "ssubscribe" | "unsubscribe" | "punsubscribe" | "sunsubscribe" => {
            subscribe::answer(with, name, request)
        }
        "slowlog" => server::slowlog(with, request),
        "latency" => server::latency(with, request),
        "monitor" => server::monitor(with),
        "time" => Step::Now(server::time(with)),
        "role" => Step::Now(server::role()),
        "function" => server::function(with, request),
        "lastsave" | "module" | "shutdown" => server::other(name, request),
        "cluster" | "readonly" | "readwrite" | "asking" => {
            Step::Now(reply::error("ERR This instance has cluster support disabled"))
        }
        _ => return None,
    };
    Some(step)
}

/// The subcommand, in lower case.
fn sub(request: &Request) -> String {
    String::from_utf8_lossy(request.word(1)).to_ascii_lowercase()
}

fn refuse(text: &str) -> Step {
    Step::Now(reply::error(text))
}

fn wrong_arity(name: &str) -> Step {
    refuse(&format!("ERR wrong number of arguments for '{name}' command"))
}

fn unknown_sub(name: &str, request: &Request) -> Step {
    let sub = String::from_utf8_lossy(request.word(1)).into_owned();
    refuse(&format!("ERR unknown subcommand '{sub:.128}'. Try {} HELP.", name.to_ascii_uppercase()))
}

fn bulk(text: impl Into<Vec<u8>>) -> Value {
    Value::BulkString(text.into())
}

fn int(number: impl TryInto<i64>) -> Value {
    Value::Int(number.try_into().unwrap_or(i64::MAX))
}

/// An integer as Redis reads one.
fn integer(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

/// Why nodes do not vote.
pub fn failures(client: &Client) -> Failures {
    let failed = client.nodes().into_iter().filter_map(|node| match node.seat {
        Seat::Voter(_) => None,
        Seat::Joining => Some(NodeFailure { node: node.address, reason: "it does not vote yet".into() }),
        Seat::Away(reason) => Some(NodeFailure { node: node.address, reason }),
    });
    Failures(failed.collect())
}
