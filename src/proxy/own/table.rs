//! COMMAND: the nodes' own words about commands, of those that are run here.

use super::{int, refuse, sub, unknown_sub, wrong_arity};
use crate::proxy::dialogue::{Dialogue, Later, Step};
use crate::proxy::reply;
use crate::proxy::request::Request;
use crate::proxy::shared::Shared;
use redis::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a session knows and the table of single commands does not.
const OF_SESSIONS: [&str; 5] = ["multi", "exec", "discard", "watch", "unwatch"];

/// COMMAND [COUNT | INFO | DOCS | LIST | GETKEYS | GETKEYSANDFLAGS]
pub fn answer(with: &mut Dialogue, request: &Request) -> Step {
    let shared = Arc::clone(&with.shared);
    match (sub(request).as_str(), request.len()) {
        ("", _) => Step::Now(Value::Array(all(&shared))),
        ("count", 2) => Step::Now(int(all(&shared).len())),
        ("info", 2) => Step::Now(Value::Array(all(&shared))),
        ("info", _) => Step::Now(some(&shared, request)),
        ("list", 2) => Step::Now(Value::Array(all(&shared).iter().filter_map(name_of).collect())),
        ("list", 5) => Step::Alone(listed(shared, request.clone())),
        ("docs", _) => Step::Alone(docs(shared, request.clone())),
        ("getkeys" | "getkeysandflags", 3..) => Step::Alone(pass_on(shared, request.clone())),
        (sub @ ("count" | "getkeys" | "getkeysandflags"), _) => wrong_arity(&format!("command|{sub}")),
        ("list", _) => refuse("ERR syntax error"),
        _ => unknown_sub("command", request),
    }
}

/// The names of all commands that are answered here.
fn served(shared: &Shared) -> BTreeSet<String> {
    let commands = shared.client.table().commands();
    let run = commands.filter(|(_, refusal)| refusal.is_none()).map(|(name, _)| {
        // A container is there as soon as one of its commands is.
        name.split('|').next().unwrap_or(name).to_owned()
    });
    run.chain(super::names().chain(OF_SESSIONS).map(str::to_owned)).collect()
}

fn all(shared: &Shared) -> Vec<Value> {
    let served = served(shared);
    let entries = match shared.commands() {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    entries.into_iter().filter(|entry| name(entry).is_some_and(|name| served.contains(&name))).collect()
}

fn some(shared: &Shared, request: &Request) -> Value {
    let entries = all(shared);
    let words = request.words();
    let find = |word: &&[u8]| {
        let wanted = String::from_utf8_lossy(word).to_ascii_lowercase();
        let found = entries.iter().find(|entry| name(entry).is_some_and(|name| name == wanted));
        found.cloned().unwrap_or(Value::Nil)
    };
    Value::Array(words[2..].iter().map(find).collect())
}

fn name_of(entry: &Value) -> Option<Value> {
    match entry {
        Value::Array(fields) => fields.first().cloned(),
        _ => None,
    }
}

fn name(entry: &Value) -> Option<String> {
    text(&name_of(entry)?)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).to_ascii_lowercase()),
        Value::SimpleString(text) => Some(text.to_ascii_lowercase()),
        _ => None,
    }
}

/// A node's own answer.
fn pass_on(shared: Arc<Shared>, request: Request) -> Later {
    Box::pin(async move {
        match shared.ask_a_node(&request.words()).await {
            Ok(value) => value,
            Err(why) => reply::error(&format!("NOQUORUM no node could be asked: {why}")),
        }
    })
}

/// COMMAND LIST FILTERBY ...
fn listed(shared: Arc<Shared>, request: Request) -> Later {
    Box::pin(async move {
        let served = served(&shared);
        match pass_on(shared, request).await {
            Value::Array(names) => {
                let kept = names.into_iter().filter(|name| {
                    text(name).is_some_and(|name| served.contains(name.split('|').next().unwrap_or(&name)))
                });
                Value::Array(kept.collect())
            }
            other => other,
        }
    })
}

/// COMMAND DOCS: names and what is said of them in turn.
fn docs(shared: Arc<Shared>, request: Request) -> Later {
    Box::pin(async move {
        let served = served(&shared);
        let pairs: Vec<(Value, Value)> = match pass_on(shared, request).await {
            Value::Array(items) => {
                let mut items = items.into_iter();
                std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
            }
            Value::Map(pairs) => pairs,
            other => return other,
        };
        let is_served = |name: &Value| {
            text(name).is_some_and(|name| served.contains(name.split('|').next().unwrap_or(&name)))
        };
        Value::Map(pairs.into_iter().filter(|(name, _)| is_served(name)).collect())
    })
}
