//! XREAD and XREADGROUP: where their keys are, when they block, and XREAD on streams of several registers.

use super::call::{Access, Call, Part, Plan};
use super::fold::Join;
use super::plan::Draft;
use super::refusal::Refusal;
use super::request::Request;
use super::scopes::Scopes;
use super::table::Table;
use super::timeout::milliseconds;
use std::collections::BTreeMap;

/// Ids for newer servers' XREAD: the last entry. Older ones refuse it, so replies may differ where states do not.
const LAST_ENTRY: &[u8] = b"+";

/// XREAD [COUNT n] [BLOCK ms] STREAMS key [key ...] id [id ...]: the keys are the first half of what follows STREAMS.
pub(super) fn xread_keys(_name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    streams(request, false)
}

/// XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [NOACK] STREAMS key [key ...] id [id ...]
pub(super) fn xreadgroup_keys(_name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    streams(request, true)
}

fn streams(request: &Request<'_>, of_group: bool) -> Result<Vec<usize>, Refusal> {
    let (mut at, mut has_group) = (1, false);
    while at < request.len() {
        let left = request.len() - at - 1;
        at += match () {
            () if request.is(at, "BLOCK") && left > 0 => milliseconds(request, at + 1).map(|_| 2)?,
            () if request.is(at, "COUNT") && left > 0 => request.integer(at + 1).map(|_| 2)?,
            () if request.is(at, "GROUP") && left > 1 => {
                has_group = true;
                only_of_a_group("GROUP", of_group).map(|()| 3)?
            }
            () if request.is(at, "NOACK") => only_of_a_group("NOACK", of_group).map(|()| 1)?,
            () if request.is(at, "STREAMS") && left > 0 => {
                let keys = halves(at + 1, left)?;
                let missing = of_group && !has_group;
                return if missing { Err(no_group()) } else { Ok(keys) };
            }
            () => return Err(Refusal::syntax()),
        };
    }
    Err(Refusal::syntax())
}

/// Where an option stands, before the streams; `options` steps over the others' values.
fn option_at(request: &Request<'_>, name: &str) -> Option<usize> {
    let mut at = 1;
    while at < request.len() && !request.is(at, "STREAMS") {
        if request.is(at, name) {
            return Some(at);
        }
        at += match () {
            () if request.is(at, "GROUP") => 3,
            () if request.is(at, "NOACK") => 1,
            () => 2,
        };
    }
    None
}

/// Where BLOCK stands.
pub(super) fn block_at(request: &Request<'_>) -> Option<usize> {
    option_at(request, "BLOCK")
}

/// The group's name.
pub(super) fn group(request: &Request<'_>) -> Option<Vec<u8>> {
    option_at(request, "GROUP").map(|at| request.arg(at + 1).to_vec())
}

/// The same command, not blocking.
pub(super) fn without_block(request: &Request<'_>) -> Vec<Vec<u8>> {
    let mut words = request.to_command();
    while let Some(at) = {
        let left: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        Request::new(&left).ok().and_then(|left| block_at(&left))
    } {
        words.drain(at..at + 2);
    }
    words
}

fn no_group() -> Refusal {
    Refusal::invalid("Missing GROUP option for XREADGROUP")
}

fn only_of_a_group(option: &str, of_group: bool) -> Result<(), Refusal> {
    if of_group {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "The {option} option is only supported by XREADGROUP. You called XREAD instead."
    )))
}

fn halves(first: usize, count: usize) -> Result<Vec<usize>, Refusal> {
    if count.is_multiple_of(2) {
        return Ok((first..first + count / 2).collect());
    }
    // The same words for both commands.
    Err(Refusal::invalid(
        "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
    ))
}

/// XREAD on streams of one register.
pub(super) fn xread(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    draft.unordered = draft.request.args().contains(&LAST_ENTRY);
    Ok(())
}

/// XREAD on streams of several registers: one call each, as they say nothing of each other.
pub(super) fn split(table: &Table, request: &Request<'_>, indices: &[usize]) -> Plan {
    let mut groups: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (place, index) in indices.iter().enumerate() {
        groups.entry(table.scopes().id_of(request.arg(*index))).or_default().push(place);
    }
    let parts = groups.into_values().map(|places| part(table.scopes(), request, indices, &places)).collect();
    Plan::Split(parts, Join::Streams)
}

fn part(scopes: &Scopes, request: &Request<'_>, indices: &[usize], places: &[usize]) -> Part {
    let first = indices.first().copied().unwrap_or_default();
    let at = |place: &usize| request.arg(first + place).to_vec();
    let (mut keys, mut firsts) = (Vec::new(), Vec::new());
    for place in places.iter().filter(|place| **place < indices.len()) {
        let key = at(place);
        if !keys.contains(&key) {
            keys.push(key);
            firsts.push(*place);
        }
    }
    let mut command: Vec<Vec<u8>> = request.args().iter().take(first).map(|arg| arg.to_vec()).collect();
    command.extend(places.iter().map(at));
    command.extend(places.iter().map(|place| at(&(indices.len() + place))));
    let unordered = command.iter().any(|arg| arg == LAST_ENTRY);
    let call = Call { unordered, ..Call::plain(scopes, keys, vec![command]) };
    Part { access: Access::Read, call, places: firsts }
}
