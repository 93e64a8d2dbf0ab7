//! CONFIG: what tools ask of a server before they believe it, with the values that hold here.

use super::{bulk, refuse, sub, unknown_sub, wrong_arity};
use crate::proxy::dialogue::{Dialogue, Step};
use crate::proxy::request::Request;
use redis::Value;
use std::sync::atomic::Ordering;

/// CONFIG GET | SET | RESETSTAT | REWRITE
pub fn answer(with: &mut Dialogue, request: &Request) -> Step {
    match (sub(request).as_str(), request.len()) {
        ("get", 3..) => Step::Now(get(with, request)),
        ("set", 4..) if request.len().is_multiple_of(2) => set(with, request),
        ("resetstat", 2) => {
            with.shared.stats.reset();
            Step::Now(Value::Okay)
        }
        ("rewrite", 2) => refuse("ERR The server is running without a config file"),
        ("", _) => wrong_arity("config"),
        (sub @ ("get" | "set" | "resetstat" | "rewrite"), _) => wrong_arity(&format!("config|{sub}")),
        _ => unknown_sub("config", request),
    }
}

/// What holds now. Of memory and persistence there is none here: those are the nodes'.
fn values(with: &Dialogue) -> Vec<(&'static str, String)> {
    let shared = &with.shared;
    let settings = &shared.settings;
    let address = settings.listen.first().or(settings.listen_tls.first());
    let (host, port) = address.and_then(|address| address.rsplit_once(':')).unwrap_or_default();
    let socket = settings.unix_socket.as_ref().map(|path| path.display().to_string());
    let slower_than = shared.slowlog.slower_than_us.load(Ordering::Relaxed);
    vec![
        ("appendfsync", "no".into()),
        ("appendonly", "no".into()),
        ("bind", host.trim_matches(['[', ']']).into()),
        ("client-query-buffer-limit", settings.limits.request.to_string()),
        ("databases", "1".into()),
        ("dir", String::new()),
        ("latency-tracking", "yes".into()),
        ("list-max-listpack-size", "-2".into()),
        ("maxclients", settings.max_clients.to_string()),
        ("maxmemory", "0".into()),
        ("maxmemory-policy", "noeviction".into()),
        ("notify-keyspace-events", String::new()),
        ("port", if settings.listen.is_empty() { "0".into() } else { port.into() }),
        ("proto-max-bulk-len", settings.limits.word.to_string()),
        ("save", String::new()),
        ("slowlog-log-slower-than", slower_than.to_string()),
        ("slowlog-max-len", shared.slowlog.kept.load(Ordering::Relaxed).to_string()),
        ("timeout", shared.idle_seconds.load(Ordering::Relaxed).to_string()),
        ("tls-port", if settings.listen_tls.is_empty() { "0".into() } else { port.into() }),
        ("unixsocket", socket.unwrap_or_default()),
    ]
}

fn get(with: &Dialogue, request: &Request) -> Value {
    let words = request.words();
    let patterns = words[2..].iter().map(|word| word.to_ascii_lowercase()).collect::<Vec<_>>();
    let fits = |name: &str| patterns.iter().any(|pattern| matches(pattern, name.as_bytes()));
    let pairs = values(with).into_iter().filter(|(name, _)| fits(name));
    Value::Map(pairs.map(|(name, value)| (bulk(name), bulk(value))).collect())
}

fn set(with: &Dialogue, request: &Request) -> Step {
    let words = request.words();
    for pair in words[2..].chunks_exact(2) {
        let name = String::from_utf8_lossy(pair[0]).to_ascii_lowercase();
        let value = String::from_utf8_lossy(pair[1]).into_owned();
        if let Err(why) = set_one(with, &name, &value) {
            return refuse(&why);
        }
    }
    Step::Now(Value::Okay)
}

fn set_one(with: &Dialogue, name: &str, value: &str) -> Result<(), String> {
    let shared = &with.shared;
    let failed =
        |why: &str| format!("ERR CONFIG SET failed (possibly related to argument '{name:.64}') - {why}");
    let bad = |_| failed("argument couldn't be parsed into an integer");
    match name {
        "slowlog-log-slower-than" => {
            shared.slowlog.slower_than_us.store(value.parse().map_err(bad)?, Ordering::Relaxed);
        }
        "slowlog-max-len" => shared.slowlog.kept.store(value.parse().map_err(bad)?, Ordering::Relaxed),
        "timeout" => shared.idle_seconds.store(value.parse().map_err(bad)?, Ordering::Relaxed),
        _ => match values(with).into_iter().find(|(known, _)| *known == name) {
            Some((_, now)) if now == value => {}
            Some(_) => {
                return Err(failed(
                    "it cannot be changed here: it is set when anarcho-proxy is started, or on the nodes",
                ));
            }
            None => {
                return Err(format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{name:.64}'"
                ));
            }
        },
    }
    Ok(())
}

/// Glob patterns as far as names of settings need them: `*` and `?`. Linear, whatever the pattern: only the last star is tried again.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place, mut star) = (0, 0, None);
    while place < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[place] => (at, place) = (at + 1, place + 1),
            _ => match star {
                Some((stood, taken)) => {
                    star = Some((stood, taken + 1));
                    (at, place) = (stood + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}
