//! SLOWLOG, LATENCY, MONITOR, TIME, ROLE: the proxy as the server that it looks like.

use super::{int, integer, refuse, sub, unknown_sub, wrong_arity};
use crate::client::steps::reply_or_error;
use crate::proxy::dialogue::{Dialogue, Step};
use crate::proxy::request::Request;
use redis::Value;

/// SLOWLOG GET [count] | LEN | RESET
pub fn slowlog(with: &mut Dialogue, request: &Request) -> Step {
    let log = &with.shared.slowlog;
    match (sub(request).as_str(), request.len()) {
        ("get", 2) => Step::Now(log.newest(10)),
        ("get", 3) => match integer(request.word(2)) {
            Some(-1) => Step::Now(log.newest(usize::MAX)),
            Some(count) if count >= 0 => Step::Now(log.newest(usize::try_from(count).unwrap_or(usize::MAX))),
            _ => refuse("ERR count should be greater than or equal to -1"),
        },
        ("len", 2) => Step::Now(int(log.len())),
        ("reset", 2) => {
            log.reset();
            Step::Now(Value::Okay)
        }
        ("", _) => wrong_arity("slowlog"),
        (sub @ ("get" | "len" | "reset"), _) => wrong_arity(&format!("slowlog|{sub}")),
        _ => unknown_sub("slowlog", request),
    }
}

/// LATENCY HISTOGRAM [command ...] | LATEST | HISTORY event | RESET. Single events are not kept: SLOWLOG and the metrics tell of them.
pub fn latency(with: &mut Dialogue, request: &Request) -> Step {
    let wanted = |from: usize| {
        let words = request.words();
        let names = words.get(from..).unwrap_or_default().iter();
        names.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect::<Vec<_>>()
    };
    match (sub(request).as_str(), request.len()) {
        ("histogram", _) => Step::Now(with.shared.stats.histogram(&wanted(2))),
        ("latest", 2) | ("history", 3) => Step::Now(Value::Array(Vec::new())),
        ("reset", _) => Step::Now(int(0)),
        ("doctor" | "graph" | "help", _) => {
            refuse("ERR 'latency' is refused here: see LATENCY HISTOGRAM, SLOWLOG and the metrics")
        }
        ("", _) => wrong_arity("latency"),
        _ => unknown_sub("latency", request),
    }
}

/// MONITOR
pub fn monitor(with: &mut Dialogue) -> Step {
    with.monitors = true;
    with.peer.told().monitors = true;
    Step::Now(Value::Okay)
}

/// TIME, as the operations' times are taken.
pub fn time(with: &Dialogue) -> Value {
    let now_us = with.shared.client.config().surroundings.now_us();
    let text = |number: u64| Value::BulkString(number.to_string().into_bytes());
    Value::Array(vec![text(now_us / 1_000_000), text(now_us % 1_000_000)])
}

/// ROLE: nobody replicates from here in Redis' own way.
pub fn role() -> Value {
    Value::Array(vec![Value::BulkString(b"master".to_vec()), Value::Int(0), Value::Array(Vec::new())])
}

/// SCRIPT KILL
pub fn kill_scripts(with: &Dialogue) -> Step {
    let client = with.client.clone();
    Step::Alone(Box::pin(async move { reply_or_error(client.kill_scripts().await.map(|()| Value::Okay)) }))
}

/// FUNCTION LIST | FLUSH: there are none. Anything else is refused, as the store refuses it.
pub fn function(with: &Dialogue, request: &Request) -> Step {
    match sub(request).as_str() {
        "list" => Step::Now(Value::Array(Vec::new())),
        "flush" => Step::Now(Value::Okay),
        _ => Step::Now(reply_or_error(with.client.plan(&request.words()).map(|_| Value::Nil))),
    }
}

/// What the proxy is asked as a server and has no answer of its own to.
pub fn other(name: &str, request: &Request) -> Step {
    match name {
        "module" if sub(request) == "list" => Step::Now(Value::Array(Vec::new())),
        "shutdown" => {
            refuse("ERR 'shutdown' is refused: end anarcho-proxy with SIGTERM; nodes are not its to end")
        }
        "lastsave" => refuse("ERR 'lastsave' is refused: the proxy saves nothing, ask a node"),
        name => refuse(&format!("ERR '{name}' is refused: it is about one server; ask a node")),
    }
}

/// One command as MONITOR shows it; what could be a password is left out.
pub fn monitored(now_us: u64, address: &str, request: &Request) -> String {
    let mut line = format!("{}.{:06} [0 {address}]", now_us / 1_000_000, now_us % 1_000_000);
    for word in request.words() {
        line.push_str(&format!(" \"{}\"", quoted(word)));
    }
    line
}

fn quoted(word: &[u8]) -> String {
    let escaped = word.escape_ascii().to_string();
    // A single quote needs no escape between double ones.
    escaped.replace("\\'", "'")
}
