//! Relative times become absolute ones (pitfall P21), so that every node drops a key at the same time.

use super::call::Access;
use super::options::Options;
use super::plan::Draft;
use super::refusal::Refusal;
use super::request::Request;

/// Above 2^53 ms (the year 287396) a script's numbers lose digits, and the record would not tell the expiry exactly.
const LATEST_MS: i64 = 1 << 53;

/// What the number of an expiry option counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    seconds: bool,
    relative: bool,
}

pub(super) const EX: Unit = Unit { seconds: true, relative: true };
pub(super) const PX: Unit = Unit { seconds: false, relative: true };
pub(super) const EXAT: Unit = Unit { seconds: true, relative: false };
pub(super) const PXAT: Unit = Unit { seconds: false, relative: false };

/// SET key value [NX|XX] [GET] [KEEPTTL | EX s | PX ms | EXAT s | PXAT ms]
pub(super) fn set(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let options = Options::parse(&draft.request, 3, true)?;
    let Some((unit, index)) = options.expiry else {
        return Ok(());
    };
    let at = deadline(draft, unit, index)?;
    draft.command = draft.request.args().iter().take(3).map(|arg| arg.to_vec()).collect();
    draft.command.extend(options.flags.iter().map(|flag| flag.as_bytes().to_vec()));
    push_expiry(draft, at);
    Ok(())
}

/// SETEX key seconds value
pub(super) fn setex(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    set_with(draft, EX)
}

/// PSETEX key milliseconds value
pub(super) fn psetex(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    set_with(draft, PX)
}

fn set_with(draft: &mut Draft<'_>, unit: Unit) -> Result<(), Refusal> {
    let at = deadline(draft, unit, 2)?;
    draft.command = vec![b"SET".to_vec(), draft.request.arg(1).to_vec(), draft.request.arg(3).to_vec()];
    push_expiry(draft, at);
    Ok(())
}

/// GETEX key [PERSIST | EX s | PX ms | EXAT s | PXAT ms]
pub(super) fn getex(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let options = Options::parse(&draft.request, 2, false)?;
    match options.expiry {
        Some((unit, index)) => getex_with(draft, unit, index)?,
        None if options.flags.is_empty() => {
            draft.command = vec![b"GET".to_vec(), draft.request.arg(1).to_vec()];
            draft.access = Access::Read;
        }
        None => {}
    }
    Ok(())
}

/// Redis looks at the key before it looks at the number: a number that is none goes to the node, which says what is wrong.
fn getex_with(draft: &mut Draft<'_>, unit: Unit, index: usize) -> Result<(), Refusal> {
    draft.command = vec![b"GETEX".to_vec(), draft.request.arg(1).to_vec()];
    let Ok(number) = draft.request.integer(index) else {
        draft.command.extend([b"PXAT".to_vec(), draft.request.arg(index).to_vec()]);
        return Ok(());
    };
    match absolute(number, unit, draft.now_ms).filter(|_| number > 0) {
        Some(at) => push_expiry(draft, within_reach(draft.name, at)?),
        None => draft.command.extend([b"PXAT".to_vec(), b"0".to_vec()]),
    }
    Ok(())
}

fn push_expiry(draft: &mut Draft<'_>, at: i64) {
    let at = draft.expire(at);
    draft.command.extend([b"PXAT".to_vec(), at.to_string().into_bytes()]);
}

/// As SET, SETEX and GETEX count: only later than 1970.
fn deadline(draft: &Draft<'_>, unit: Unit, index: usize) -> Result<i64, Refusal> {
    let number = draft.request.integer(index)?;
    match absolute(number, unit, draft.now_ms) {
        Some(at) if number > 0 => within_reach(draft.name, at),
        _ => Err(invalid_time(draft.name)),
    }
}

/// `None` where the sum does not fit.
pub(super) fn absolute(number: i64, unit: Unit, now_ms: u64) -> Option<i64> {
    let ms = if unit.seconds { number.checked_mul(1000)? } else { number };
    let base = if unit.relative { i64::try_from(now_ms).ok()? } else { 0 };
    ms.checked_add(base)
}

pub(super) fn invalid_time(name: &str) -> Refusal {
    Refusal::invalid(format!("invalid expire time in '{name}' command"))
}

pub(super) fn within_reach(name: &str, at: i64) -> Result<i64, Refusal> {
    if at <= LATEST_MS {
        return Ok(at);
    }
    Err(Refusal::invalid(format!(
        "invalid expire time in '{name}' command: later than {LATEST_MS} ms after 1970"
    )))
}

/// EXPIRE key seconds [NX|XX|GT|LT]
pub(super) fn expire(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    expire_at(draft, EX)
}

/// PEXPIRE key milliseconds [NX|XX|GT|LT]
pub(super) fn pexpire(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    expire_at(draft, PX)
}

/// EXPIREAT key seconds-since-1970 [NX|XX|GT|LT]
pub(super) fn expireat(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    expire_at(draft, EXAT)
}

/// PEXPIREAT key milliseconds-since-1970 [NX|XX|GT|LT]
pub(super) fn pexpireat(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    expire_at(draft, PXAT)
}

fn expire_at(draft: &mut Draft<'_>, unit: Unit) -> Result<(), Refusal> {
    check_conditions(&draft.request)?;
    let number = draft.request.integer(2)?;
    let at = absolute(number, unit, draft.now_ms).ok_or_else(|| invalid_time(draft.name))?;
    let at = draft.expire(within_reach(draft.name, at)?);
    draft.command = vec![b"PEXPIREAT".to_vec(), draft.request.arg(1).to_vec(), at.to_string().into_bytes()];
    draft.command.extend(draft.request.args().iter().skip(3).map(|flag| flag.to_vec()));
    Ok(())
}

fn check_conditions(request: &Request<'_>) -> Result<(), Refusal> {
    let known = ["NX", "XX", "GT", "LT"];
    for index in 3..request.len() {
        if !known.iter().any(|flag| request.is(index, flag)) {
            // Servers show it up to its first zero byte.
            let option = request.arg(index).split(|byte| *byte == 0).next().unwrap_or_default();
            let option = String::from_utf8_lossy(option);
            return Err(Refusal::invalid(format!("Unsupported option {option}")));
        }
    }
    let has = |flag| request.has(3, flag);
    if has("NX") && (has("XX") || has("GT") || has("LT")) {
        return Err(Refusal::invalid("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if has("GT") && has("LT") {
        return Err(Refusal::invalid("GT and LT options at the same time are not compatible"));
    }
    Ok(())
}
