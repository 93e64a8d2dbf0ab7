//! CLIENT: who is connected, and what each wants.

use super::{bulk, int, integer, refuse, sub, unknown_sub, wrong_arity};
use crate::proxy::clients::{Peer, Unblock};
use crate::proxy::dialogue::{Dialogue, Step, Wants};
use crate::proxy::request::Request;
use crate::proxy::shared::Pause;
use redis::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// CLIENT subcommand ...
pub fn answer(with: &mut Dialogue, request: &Request) -> Step {
    let ok = Step::Now(Value::Okay);
    match (sub(request).as_str(), request.len()) {
        ("id", 2) => Step::Now(int(with.peer.id)),
        ("info", 2) => Step::Now(text(with.peer.line() + "\n")),
        ("list", _) => list(with, request),
        ("getname", 2) => match with.peer.told().name.clone() {
            name if name.is_empty() => Step::Now(Value::Nil),
            name => Step::Now(bulk(name)),
        },
        ("setname", 3) => match set_name(with, request.word(2)) {
            Ok(()) => ok,
            Err(why) => refuse(&why),
        },
        ("setinfo", 4) => set_info(with, request),
        ("no-evict", 3) => flag(with, request, |peer, on| peer.told().no_evict = on),
        ("no-touch", 3) => flag(with, request, |peer, on| peer.told().no_touch = on),
        ("reply", 3) => reply(with, request),
        ("kill", 3..) => kill(with, request),
        ("pause", 3 | 4) => pause(with, request),
        ("unpause", 2) => {
            with.shared.pause.send_replace(None);
            ok
        }
        ("unblock", 3 | 4) => unblock(with, request),
        ("getredir", 2) => Step::Now(int(-1)),
        ("trackinginfo", 2) => Step::Now(tracking()),
        ("tracking", 3..) if request.word(2).eq_ignore_ascii_case(b"off") => ok,
        ("tracking" | "caching", 3..) => refuse(
            "ERR 'client|tracking' is refused: nodes do not tell the proxy of changes, so no client could be told in time",
        ),
        ("", _) => wrong_arity("client"),
        (
            sub @ ("id" | "info" | "getname" | "setname" | "setinfo" | "no-evict" | "no-touch" | "reply"
            | "kill" | "pause" | "unpause" | "unblock" | "getredir" | "trackinginfo" | "tracking"
            | "caching"),
            _,
        ) => wrong_arity(&format!("client|{sub}")),
        _ => unknown_sub("client", request),
    }
}

fn text(text: String) -> Value {
    Value::VerbatimString { format: redis::VerbatimFormat::Text, text }
}

/// Gives the connection a name.
pub fn set_name(with: &Dialogue, name: &[u8]) -> Result<(), String> {
    let words = "ERR Client names cannot contain spaces, newlines or special characters.";
    with.peer.told().name = shown(name).ok_or(words)?;
    Ok(())
}

/// What may stand in a line of CLIENT LIST.
fn shown(word: &[u8]) -> Option<String> {
    let is_plain = word.iter().all(|byte| (b'!'..=b'~').contains(byte));
    is_plain.then(|| String::from_utf8_lossy(word).into_owned())
}

fn set_info(with: &Dialogue, request: &Request) -> Step {
    let option = String::from_utf8_lossy(request.word(2)).to_ascii_lowercase();
    let Some(value) = shown(request.word(3)) else {
        return refuse(&format!("ERR {option} cannot contain spaces, newlines or special characters."));
    };
    let mut told = with.peer.told();
    match option.as_str() {
        "lib-name" => told.library = value,
        "lib-ver" => told.version = value,
        _ => return refuse(&format!("ERR Unrecognized option '{option:.128}'")),
    }
    Step::Now(Value::Okay)
}

fn flag(with: &Dialogue, request: &Request, set: impl FnOnce(&Peer, bool)) -> Step {
    match request.word(2).to_ascii_lowercase().as_slice() {
        b"on" => set(&with.peer, true),
        b"off" => set(&with.peer, false),
        _ => return refuse("ERR syntax error"),
    }
    Step::Now(Value::Okay)
}

fn reply(with: &mut Dialogue, request: &Request) -> Step {
    match request.word(2).to_ascii_lowercase().as_slice() {
        b"on" => with.wants = Wants::All,
        b"off" => with.wants = Wants::None,
        // It is not answered itself either, and what follows it is not.
        b"skip" if with.wants == Wants::All => with.wants = Wants::SkipsNext,
        b"skip" if with.wants == Wants::SkipsNext => with.wants = Wants::SkipsAgain,
        b"skip" => {}
        _ => return refuse("ERR syntax error"),
    }
    Step::Now(Value::Okay)
}

/// The kinds of clients that Redis tells apart.
const TYPES: [&str; 5] = ["normal", "master", "replica", "slave", "pubsub"];

fn unknown_type(kind: &str) -> Step {
    refuse(&format!("ERR Unknown client type '{kind:.128}'"))
}

fn list(with: &Dialogue, request: &Request) -> Step {
    let words = request.words();
    let lines = |peers: Vec<Arc<Peer>>| {
        Step::Now(text(peers.iter().map(|peer| peer.line() + "\n").collect::<String>()))
    };
    match words.get(2).map(|word| word.to_ascii_lowercase()).as_deref() {
        None => lines(with.shared.clients.all()),
        Some(b"type") if words.len() == 4 => {
            let kind = String::from_utf8_lossy(words[3]).to_ascii_lowercase();
            if !TYPES.contains(&kind.as_str()) {
                return unknown_type(&kind);
            }
            let mut peers = with.shared.clients.all();
            peers.retain(|peer| peer.kind() == kind);
            lines(peers)
        }
        Some(b"id") if words.len() > 3 => {
            let ids: Option<Vec<i64>> = words[3..].iter().map(|word| integer(word)).collect();
            let Some(ids) = ids else { return refuse("ERR Invalid client ID") };
            let known = ids.into_iter().filter_map(|id| with.shared.clients.get(u64::try_from(id).ok()?));
            lines(known.collect())
        }
        _ => refuse("ERR syntax error"),
    }
}

/// CLIENT KILL address, or by filters: how many were killed.
fn kill(with: &mut Dialogue, request: &Request) -> Step {
    let words = request.words();
    if words.len() == 3 {
        let address = String::from_utf8_lossy(words[2]);
        let found = with.shared.clients.all().into_iter().find(|peer| peer.address == address);
        let Some(peer) = found else { return refuse("ERR No such client") };
        end(with, &peer);
        return Step::Now(Value::Okay);
    }
    let mut skips_me = true;
    let mut doomed = with.shared.clients.all();
    for pair in words[2..].chunks(2) {
        let [filter, value] = pair else { return refuse("ERR syntax error") };
        let value = String::from_utf8_lossy(value).into_owned();
        match filter.to_ascii_lowercase().as_slice() {
            b"id" => match value.parse::<u64>() {
                Ok(id) if id > 0 => doomed.retain(|peer| peer.id == id),
                _ => return refuse("ERR client-id should be greater than 0"),
            },
            b"addr" => doomed.retain(|peer| peer.address == value),
            b"laddr" => doomed.retain(|peer| peer.local == value),
            b"user" if !with.shared.users.knows(&value) => {
                return refuse(&format!("ERR No such user '{value:.128}'"));
            }
            b"user" => doomed.retain(|peer| peer.told().user == value),
            b"type" if !TYPES.contains(&value.to_ascii_lowercase().as_str()) => return unknown_type(&value),
            b"type" => doomed.retain(|peer| peer.kind() == value.to_ascii_lowercase()),
            b"maxage" => match value.parse::<u64>() {
                Ok(seconds) => doomed.retain(|peer| peer.age().as_secs() >= seconds),
                Err(_) => return refuse("ERR maxage is not an integer or out of range"),
            },
            b"skipme" => match value.to_ascii_lowercase().as_str() {
                "yes" => skips_me = true,
                "no" => skips_me = false,
                _ => return refuse("ERR syntax error"),
            },
            _ => return refuse("ERR syntax error"),
        }
    }
    doomed.retain(|peer| !(skips_me && peer.id == with.peer.id));
    doomed.iter().for_each(|peer| end(with, peer));
    Step::Now(int(doomed.len()))
}

/// Itself it ends only after the reply.
fn end(with: &mut Dialogue, peer: &Peer) {
    if peer.id == with.peer.id {
        with.leaves = true;
    } else {
        peer.kill();
    }
}

/// CLIENT UNBLOCK id [TIMEOUT | ERROR]
fn unblock(with: &Dialogue, request: &Request) -> Step {
    let Some(id) = integer(request.word(2)) else {
        return refuse("ERR value is not an integer or out of range");
    };
    let how = match request.word(3).to_ascii_lowercase().as_slice() {
        b"" | b"timeout" => Unblock::Timeout,
        b"error" => Unblock::Error,
        _ => return refuse("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
    };
    let peer = u64::try_from(id).ok().and_then(|id| with.shared.clients.get(id));
    Step::Now(int(i64::from(peer.is_some_and(|peer| peer.unblock(how)))))
}

fn pause(with: &Dialogue, request: &Request) -> Step {
    let Some(millis) = integer(request.word(2)).and_then(|millis| u64::try_from(millis).ok()) else {
        return refuse("ERR timeout is not an integer or out of range");
    };
    let writes_only = match request.word(3).to_ascii_lowercase().as_slice() {
        b"" | b"all" => false,
        b"write" => true,
        _ => return refuse("ERR CLIENT PAUSE mode must be WRITE or ALL"),
    };
    let Some(until) = Instant::now().checked_add(Duration::from_millis(millis)) else {
        return refuse("ERR timeout is out of range");
    };
    with.shared.pause.send_replace(Some(Pause { until, writes_only }));
    Step::Now(Value::Okay)
}

fn tracking() -> Value {
    Value::Map(vec![
        (bulk("flags"), Value::Set(vec![bulk("off")])),
        (bulk("redirect"), int(-1)),
        (bulk("prefixes"), Value::Array(Vec::new())),
    ])
}
