//! Users' scripts: EVAL and its kin, and the scripts that this client knows by their SHA-1.
//!
//! The text goes with each call; nodes cache nothing of it. As with Redis, a script may be forgotten at any time, and NOSCRIPT says so.

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
    draft.table.scripts().evaluate(text);
    run(draft, text)
}

pub(super) fn evalsha(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let text = draft.table.scripts().text(draft.request.arg(1)).ok_or(Refusal::NoScript)?;
    run(draft, &text)
}

/// Nodes know one spelling of all four.
fn run(draft: &mut Draft<'_>, text: &[u8]) -> Result<(), Refusal> {
    draft.command = draft.request.to_command();
    if let [name, script, ..] = draft.command.as_mut_slice() {
        *name = b"EVAL".to_vec();
        *script = text.to_vec();
    }
    Ok(())
}

/// SCRIPT LOAD script
pub(super) fn load(table: &Table, request: &Request<'_>) -> Result<Value, Refusal> {
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
