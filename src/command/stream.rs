//! Streams: what a node would take from its own clock or memory layout is fixed before it is sent, or belongs to the op.
//!
//! A [`timed`](super::Call::timed) call carries the time of its op to every node, and `lua/lib/stream.lua` computes from it what a lone
//! server would compute from its clock: the id of `XADD *`, delivery times, and who has been idle for long enough (pitfall P20).

use super::chunk::MAX_PASSED;
use super::plan::Draft;
use super::refusal::Refusal;
use super::request::Request;
use super::stream_id::{check_id, id};
use super::stream_read::without_block;

/// XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value ...]
pub(super) fn xadd(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let request = draft.request;
    let (mut command, at) = exact(&request, 2)?;
    match request.arg(at) {
        b"*" => draft.timed = true,
        text if text.ends_with(b"-*") => needs_7_0(draft, "xadd ms-*")?,
        text => check_id(text)?,
    }
    command.extend(request.args().iter().skip(at).map(|arg| arg.to_vec()));
    draft.command = command;
    Ok(())
}

/// XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count]
pub(super) fn xtrim(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let (command, at) = exact(&draft.request, 2)?;
    if at < draft.request.len() {
        return Err(Refusal::syntax());
    }
    draft.command = command;
    Ok(())
}

/// The command up to behind the options that follow the key, and where that is. How much `~` trims depends on how a node has packed
/// the entries, so it becomes `=`, and the LIMIT of its effort goes.
fn exact(request: &Request<'_>, start: usize) -> Result<(Vec<Vec<u8>>, usize), Refusal> {
    let mut command: Vec<Vec<u8>> = request.args().iter().take(start).map(|arg| arg.to_vec()).collect();
    let (mut at, mut trim, mut limit) = (start, None, None);
    loop {
        let left = request.len() - at.min(request.len());
        let is_trim = request.is(at, "MAXLEN") || request.is(at, "MINID");
        if is_trim && left > 1 {
            if trim.is_some() {
                return Err(Refusal::invalid(
                    "syntax error, MAXLEN and MINID options at the same time are not compatible",
                ));
            }
            let mark = Some(request.arg(at + 1)).filter(|mark| left > 2 && matches!(*mark, b"~" | b"="));
            let threshold = at + 1 + usize::from(mark.is_some());
            command.extend([request.arg(at).to_vec(), b"=".to_vec(), request.arg(threshold).to_vec()]);
            trim = Some(mark == Some(b"~"));
            at = threshold + 1;
        } else if request.is(at, "LIMIT") && left > 1 {
            limit = Some(request.integer(at + 1)?);
            at += 2;
        } else if request.is(at, "NOMKSTREAM") && request.name() == "XADD" {
            command.push(request.arg(at).to_vec());
            at += 1;
        } else {
            return check_limit(trim, limit).map(|()| (command, at));
        }
    }
}

/// `trim` is whether it may be approximate, where there is one.
fn check_limit(trim: Option<bool>, limit: Option<i64>) -> Result<(), Refusal> {
    let words = match (limit, trim) {
        (None, _) | (Some(0..), Some(true)) => return Ok(()),
        (Some(..0), _) => "The LIMIT argument must be >= 0.",
        (Some(_), None) => "syntax error, LIMIT cannot be used without specifying a trimming strategy",
        (Some(_), Some(false)) => "syntax error, LIMIT cannot be used without the special ~ option",
    };
    Err(Refusal::invalid(words))
}

/// XREADGROUP GROUP group consumer [COUNT n] [NOACK] STREAMS key [key ...] id [id ...]
pub(super) fn xreadgroup(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    draft.timed = true;
    draft.command = without_block(&draft.request);
    Ok(())
}

/// XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID id]
pub(super) fn xclaim(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let request = draft.request;
    number(&request, 4, "Invalid min-idle-time argument for XCLAIM")?;
    let mut at = (5..request.len()).find(|at| id(request.arg(*at)).is_none()).unwrap_or(request.len());
    if at == 5 {
        return Err(unrecognized(&request, at));
    }
    while at < request.len() {
        let has_value = at + 1 < request.len();
        at += match () {
            () if request.is(at, "FORCE") || request.is(at, "JUSTID") => 1,
            () if request.is(at, "LASTID") && has_value => {
                check_id(request.arg(at + 1))?;
                2
            }
            () if has_value => {
                let options = ["IDLE", "TIME", "RETRYCOUNT"];
                let option = options.iter().find(|option| request.is(at, option));
                let option = option.ok_or_else(|| unrecognized(&request, at))?;
                number(&request, at + 1, &format!("Invalid {option} option argument for XCLAIM"))?;
                2
            }
            () => return Err(unrecognized(&request, at)),
        };
    }
    draft.timed = true;
    Ok(())
}

fn unrecognized(request: &Request<'_>, at: usize) -> Refusal {
    let option = String::from_utf8_lossy(request.arg(at)).into_owned();
    Refusal::invalid(format!("Unrecognized XCLAIM option '{option}'"))
}

/// XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]
pub(super) fn xautoclaim(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let request = draft.request;
    number(&request, 4, "Invalid min-idle-time argument for XAUTOCLAIM")?;
    let mut at = 6;
    while at < request.len() {
        at += match () {
            () if request.is(at, "COUNT") && at + 1 < request.len() => {
                let words = "COUNT must be > 0";
                // Sixteen times as much is what a server can count.
                if !(1..=i64::MAX / 16).contains(&number(&request, at + 1, words)?) {
                    return Err(Refusal::invalid(words));
                }
                2
            }
            () if request.is(at, "JUSTID") => 1,
            () => return Err(Refusal::syntax()),
        };
    }
    draft.timed = true;
    Ok(())
}

/// XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD n]
pub(super) fn xgroup_create(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    group_options(draft, &["MKSTREAM"])
}

/// XGROUP SETID key group id|$ [ENTRIESREAD n]
pub(super) fn xgroup_setid(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    group_options(draft, &[])
}

fn group_options(draft: &Draft<'_>, flags: &[&str]) -> Result<(), Refusal> {
    let request = draft.request;
    let mut at = 5;
    while at < request.len() {
        at += match () {
            () if flags.iter().any(|flag| request.is(at, flag)) => 1,
            () if request.is(at, "ENTRIESREAD") && at + 1 < request.len() => {
                needs_7_0(draft, "xgroup entriesread")?;
                if request.integer(at + 1)? < -1 {
                    return Err(Refusal::invalid("value for ENTRIESREAD must be positive or -1"));
                }
                2
            }
            () => {
                let subcommand = String::from_utf8_lossy(request.arg(1)).into_owned();
                return Err(Refusal::invalid(format!(
                    "unknown subcommand or wrong number of arguments for '{subcommand}'. Try XGROUP HELP."
                )));
            }
        };
    }
    Ok(())
}

/// XSETID key last-id [ENTRIESADDED n] [MAXDELETEDID id]
pub(super) fn xsetid(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let request = draft.request;
    check_id(request.arg(2))?;
    let mut at = 3;
    while at < request.len() {
        match () {
            () if at + 1 == request.len() => return Err(Refusal::syntax()),
            () if request.is(at, "ENTRIESADDED") => {
                if request.integer(at + 1)? < 0 {
                    return Err(Refusal::invalid("entries_added must be positive"));
                }
            }
            () if request.is(at, "MAXDELETEDID") => check_id(request.arg(at + 1))?,
            () => return Err(Refusal::syntax()),
        }
        needs_7_0(draft, "xsetid entriesadded")?;
        at += 2;
    }
    Ok(())
}

/// XDEL key id [id ...]
pub(super) fn xdel(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    check_ids(draft, 2)
}

/// XACK key group id [id ...]
pub(super) fn xack(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    check_ids(draft, 3)
}

/// A long command divides into chunks: no id may turn out to be wrong after others were deleted.
fn check_ids(draft: &Draft<'_>, start: usize) -> Result<(), Refusal> {
    if draft.request.len() <= MAX_PASSED {
        return Ok(());
    }
    draft.request.args().iter().skip(start).try_for_each(|id| check_id(id))
}

fn number(request: &Request<'_>, at: usize, words: &str) -> Result<i64, Refusal> {
    request.integer(at).map_err(|_| Refusal::invalid(words))
}

/// What Redis 7.0 added to a command would be an error on an older node, and its history another one.
fn needs_7_0(draft: &Draft<'_>, what: &str) -> Result<(), Refusal> {
    // A command of 7.0.
    if draft.table.knows("expiretime") {
        return Ok(());
    }
    Err(Refusal::NotOnEveryNode { name: what.to_owned() })
}
