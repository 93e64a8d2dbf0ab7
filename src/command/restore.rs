//! RESTORE, whose time to live becomes absolute.

use super::expiry::{PX, PXAT, Unit, absolute, invalid_time, within_reach};
use super::plan::Draft;
use super::refusal::Refusal;
use super::request::{Request, integer};

/// RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]
pub(super) fn restore(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let request = draft.request;
    let (replace, unit) = restore_options(&request)?;
    let words = |ttl: &[u8]| {
        vec![b"RESTORE".to_vec(), request.arg(1).to_vec(), ttl.to_vec(), request.arg(3).to_vec()]
    };
    let replace = replace.then(|| b"REPLACE".to_vec());
    // Redis looks whether the key is there before it looks at the number: a wrong one goes to the node, which refuses it.
    let Some(ttl) = integer(request.arg(2)).filter(|ttl| *ttl >= 0) else {
        draft.command = words(request.arg(2));
        draft.command.extend(replace);
        return Ok(());
    };
    let at = if ttl == 0 { Some(0) } else { absolute(ttl, unit, draft.now_ms) };
    let at = within_reach(draft.name, at.ok_or_else(|| invalid_time(draft.name))?)?;
    let at = if at > 0 { draft.expire(at) } else { 0 };
    draft.command = words(at.to_string().as_bytes());
    draft.command.extend(replace);
    draft.command.extend((at > 0).then(|| b"ABSTTL".to_vec()));
    Ok(())
}

/// Whether REPLACE is given, and what the ttl counts. IDLETIME and FREQ are checked and dropped: they steer an eviction
/// that nodes must not do.
fn restore_options(request: &Request<'_>) -> Result<(bool, Unit), Refusal> {
    let (mut replace, mut unit) = (false, PX);
    let (mut idle, mut frequency) = (false, false);
    let mut index = 4;
    while index < request.len() {
        index += match () {
            () if request.is(index, "REPLACE") => {
                replace = true;
                1
            }
            () if request.is(index, "ABSTTL") => {
                unit = PXAT;
                1
            }
            () if index + 1 == request.len() => return Err(Refusal::syntax()),
            () if request.is(index, "IDLETIME") && !frequency => {
                idle = true;
                usage(request, index, 0..=i64::MAX, "Invalid IDLETIME value, must be >= 0")?
            }
            () if request.is(index, "FREQ") && !idle => {
                frequency = true;
                usage(request, index, 0..=255, "Invalid FREQ value, must be >= 0 and <= 255")?
            }
            () => return Err(Refusal::syntax()),
        };
    }
    Ok((replace, unit))
}

fn usage(
    request: &Request<'_>,
    index: usize,
    range: std::ops::RangeInclusive<i64>,
    words: &str,
) -> Result<usize, Refusal> {
    if range.contains(&request.integer(index + 1)?) { Ok(2) } else { Err(Refusal::invalid(words)) }
}
