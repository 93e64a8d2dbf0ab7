//! Users' scripts: EVAL and its kin, and the scripts that this client knows by their SHA-1.
//!
//! The text goes with each call; nodes cache nothing of it. As with Redis, a script may be forgotten at any time, and NOSCRIPT says so.

use super::call::Access;
use super::plan::Draft;
use super::refusal::Refusal;
use super::request::Request;
use super::table::Table;
use redis::Value;
use sha1_smol::Sha1;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many scripts that were only evaluated are remembered, as Redis 7.4 does; those that were loaded stay.
const EVALUATED: usize = 500;

/// The scripts that EVAL and SCRIPT LOAD have brought; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Scripts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    texts: HashMap<String, Arc<[u8]>>,
    /// Those that were only evaluated, the oldest first.
    evaluated: VecDeque<String>,
}

impl Scripts {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, text: &[u8]) -> String {
        let sha = Sha1::from(text).hexdigest();
        let mut known = self.known();
        known.evaluated.retain(|other| *other != sha);
        known.texts.insert(sha.clone(), text.into());
        sha
    }

    fn evaluate(&self, text: &[u8]) {
        let sha = Sha1::from(text).hexdigest();
        let mut known = self.known();
        if known.texts.contains_key(&sha) {
            return;
        }
        known.texts.insert(sha.clone(), text.into());
        known.evaluated.push_back(sha);
        if known.evaluated.len() > EVALUATED {
            let oldest = known.evaluated.pop_front().unwrap_or_default();
            known.texts.remove(&oldest);
        }
    }

    fn text(&self, sha: &[u8]) -> Option<Arc<[u8]>> {
        let sha = String::from_utf8_lossy(sha).to_ascii_lowercase();
        self.known().texts.get(&sha).cloned()
    }
}

/// EVAL script numkeys [key ...] [arg ...] and its kin
pub(super) fn declared(_name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    match usize::try_from(request.integer(2)?) {
        Ok(count) if count > request.len() - 3 => {
            Err(Refusal::invalid("Number of keys can't be greater than number of args"))
        }
        Ok(count) => Ok((3..3 + count).collect()),
        Err(_) => Err(Refusal::invalid("Number of keys can't be negative")),
    }
}

pub(super) fn eval(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let text = draft.request.arg(1);
    flags_of(text)?;
    draft.table.scripts().evaluate(text);
    run(draft, text)
}

pub(super) fn evalsha(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let text = draft.table.scripts().text(draft.request.arg(1)).ok_or(Refusal::NoScript)?;
    run(draft, &text)
}

/// What a first line such as `#!lua flags=no-writes` says of a script, in Redis 7.0's words where it says it wrongly.
#[derive(Debug, Default, PartialEq)]
struct Flags {
    /// It may run as a read, and nowhere else.
    no_writes: bool,
}

/// The others allow more than is ever done here: to run with memory short (a node that is short of it does not take part), on a
/// replica that is behind (there are none), in Redis Cluster (it is none), on keys of several slots (those of other registers stay
/// refused).
const OTHER_FLAGS: [&str; 4] = ["allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

fn has_flags(text: &[u8]) -> bool {
    text.starts_with(b"#!")
}

fn flags_of(text: &[u8]) -> Result<Flags, Refusal> {
    let mut flags = Flags::default();
    if !has_flags(text) {
        return Ok(flags);
    }
    let end = text.iter().position(|byte| *byte == b'\n');
    let line =
        end.and_then(|end| text.get(..end)).ok_or_else(|| Refusal::invalid("Invalid script shebang"))?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    match words.next().unwrap_or_default() {
        "#!lua" => {}
        engine => {
            return Err(Refusal::invalid(format!("Unexpected engine in script shebang: {engine}")));
        }
    }
    for option in words {
        let Some(list) = option.strip_prefix("flags=") else {
            return Err(Refusal::invalid(format!("Unknown lua shebang option: {option}")));
        };
        for flag in list.split(',').filter(|_| !list.is_empty()) {
            match flag {
                "no-writes" => flags.no_writes = true,
                other if OTHER_FLAGS.contains(&other) => {}
                other => {
                    return Err(Refusal::invalid(format!("Unexpected flag in script shebang: {other}")));
                }
            }
        }
    }
    Ok(flags)
}

/// Nodes know one spelling of all four.
fn run(draft: &mut Draft<'_>, text: &[u8]) -> Result<(), Refusal> {
    let flags = flags_of(text)?;
    if flags.no_writes {
        draft.access = Access::Read;
    } else if has_flags(text) && draft.access == Access::Read {
        return Err(Refusal::invalid("Can not execute a script with write flag using *_ro command."));
    }
    draft.command = draft.request.to_command();
    if let [name, script, ..] = draft.command.as_mut_slice() {
        *name = b"EVAL".to_vec();
        *script = text.to_vec();
    }
    Ok(())
}

/// SCRIPT LOAD script
pub(super) fn load(table: &Table, request: &Request<'_>) -> Result<Value, Refusal> {
    flags_of(request.arg(2))?;
    Ok(Value::BulkString(table.scripts().load(request.arg(2)).into_bytes()))
}

/// SCRIPT EXISTS sha [sha ...]
pub(super) fn exists(table: &Table, request: &Request<'_>) -> Result<Value, Refusal> {
    let shas = request.args().iter().skip(2);
    let is_known = |sha: &&[u8]| Value::Int(table.scripts().text(sha).is_some().into());
    Ok(Value::Array(shas.map(is_known).collect()))
}

/// SCRIPT FLUSH [ASYNC|SYNC]
pub(super) fn flush(table: &Table, request: &Request<'_>) -> Result<Value, Refusal> {
    let is_mode = request.is(2, "ASYNC") || request.is(2, "SYNC");
    if request.len() > 3 || (request.len() == 3 && !is_mode) {
        return Err(Refusal::invalid("SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    *table.scripts().known() = Known::default();
    Ok(Value::Okay)
}
