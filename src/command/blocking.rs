//! The commands that block, one by one: their arguments, checked in Redis' order and refused in its words.

use super::block::Block;
use super::plan::unique;
use super::refusal::Refusal;
use super::request::{Request, integer};
use super::stream_read::{block_at, group, without_block};
use super::timeout::{milliseconds, seconds};

type Planned = Result<Option<Block>, Refusal>;

const LIST_HEAD: (&str, &str) = ("LLEN", "LPOP");
const LIST_TAIL: (&str, &str) = ("LLEN", "RPOP");
const LOWEST: (&str, &str) = ("ZCARD", "ZPOPMIN");
const HIGHEST: (&str, &str) = ("ZCARD", "ZPOPMAX");

/// BLPOP key [key ...] timeout
pub(super) fn blpop(request: &Request<'_>, keys: &[usize]) -> Planned {
    first_of(request, keys, LIST_HEAD)
}

/// BRPOP key [key ...] timeout
pub(super) fn brpop(request: &Request<'_>, keys: &[usize]) -> Planned {
    first_of(request, keys, LIST_TAIL)
}

/// BZPOPMIN key [key ...] timeout
pub(super) fn bzpopmin(request: &Request<'_>, keys: &[usize]) -> Planned {
    first_of(request, keys, LOWEST)
}

/// BZPOPMAX key [key ...] timeout
pub(super) fn bzpopmax(request: &Request<'_>, keys: &[usize]) -> Planned {
    first_of(request, keys, HIGHEST)
}

fn first_of(request: &Request<'_>, keys: &[usize], how: (&'static str, &'static str)) -> Planned {
    let timeout = seconds(request, request.len() - 1)?;
    let keys = unique(keys.iter().map(|index| request.arg(*index)));
    Ok(Some(Block::take(timeout, keys, how, Vec::new())))
}

/// BLMPOP|BZMPOP timeout numkeys key [key ...] LEFT|RIGHT|MIN|MAX [COUNT count]
pub(super) fn popped(_name: &str, request: &Request<'_>) -> Result<Vec<usize>, Refusal> {
    seconds(request, 1)?;
    let count =
        integer(request.arg(2)).and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or_else(|| Refusal::invalid("numkeys should be greater than 0"))?;
    // The end to pop from must follow the keys.
    if count >= request.len() - 3 {
        return Err(Refusal::syntax());
    }
    Ok((3..3 + count).collect())
}

pub(super) fn blmpop(request: &Request<'_>, keys: &[usize]) -> Planned {
    several(request, keys, [("LEFT", LIST_HEAD), ("RIGHT", LIST_TAIL)])
}

pub(super) fn bzmpop(request: &Request<'_>, keys: &[usize]) -> Planned {
    several(request, keys, [("MIN", LOWEST), ("MAX", HIGHEST)])
}

fn several(
    request: &Request<'_>,
    keys: &[usize],
    ends: [(&str, (&'static str, &'static str)); 2],
) -> Planned {
    let timeout = seconds(request, 1)?;
    let at = 3 + keys.len();
    let (_, how) = ends.into_iter().find(|(end, _)| request.is(at, end)).ok_or_else(Refusal::syntax)?;
    let at_most = match request.len() - at - 1 {
        0 => b"1".to_vec(),
        2 if request.is(at + 1, "COUNT") => match integer(request.arg(at + 2)) {
            Some(1..) => request.arg(at + 2).to_vec(),
            _ => return Err(Refusal::invalid("count should be greater than 0")),
        },
        _ => return Err(Refusal::syntax()),
    };
    let keys = unique(keys.iter().map(|index| request.arg(*index)));
    Ok(Some(Block::take(timeout, keys, how, at_most)))
}

/// BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout
pub(super) fn blmove(request: &Request<'_>, _keys: &[usize]) -> Planned {
    let is_end = |at: usize| request.is(at, "LEFT") || request.is(at, "RIGHT");
    if !is_end(3) || !is_end(4) {
        return Err(Refusal::syntax());
    }
    let timeout = seconds(request, 5)?;
    let command = vec![b"LMOVE".to_vec(), request.arg(3).to_vec(), request.arg(4).to_vec()];
    Ok(Some(Block::relocate(timeout, request.arg(1), request.arg(2), command)))
}

/// BRPOPLPUSH source destination timeout
pub(super) fn brpoplpush(request: &Request<'_>, _keys: &[usize]) -> Planned {
    let timeout = seconds(request, 3)?;
    Ok(Some(Block::relocate(timeout, request.arg(1), request.arg(2), vec![b"RPOPLPUSH".to_vec()])))
}

/// XREAD ... BLOCK milliseconds ... STREAMS key [key ...] id [id ...]
pub(super) fn xread(request: &Request<'_>, keys: &[usize]) -> Planned {
    streams(request, keys, None)
}

/// XREADGROUP GROUP group consumer ... BLOCK milliseconds ...: only what is new is waited for; anything else is answered at once.
pub(super) fn xreadgroup(request: &Request<'_>, keys: &[usize]) -> Planned {
    let ids = keys.iter().map(|index| request.arg(index + keys.len()));
    if !ids.clone().all(|id| id == b">") {
        return Ok(None);
    }
    streams(request, keys, group(request))
}

fn streams(request: &Request<'_>, keys: &[usize], group: Option<Vec<u8>>) -> Planned {
    let Some(at) = block_at(request) else { return Ok(None) };
    let timeout = milliseconds(request, at + 1)?;
    let words = without_block(request);
    let (head, rest) = words.split_at(words.len() - 2 * keys.len());
    let (keys, ids) = rest.split_at(keys.len());
    Ok(Some(Block::read(timeout, keys.to_vec(), head.to_vec(), ids.to_vec(), group)))
}
