//! How long a command may wait, in Redis' spellings and words.

use super::refusal::Refusal;
use super::request::{Request, integer};
use std::time::Duration;

/// A time-out in seconds, as Redis reads it; 0 is for ever.
pub(super) fn seconds(request: &Request<'_>, at: usize) -> Result<Option<Duration>, Refusal> {
    let text = std::str::from_utf8(request.arg(at)).unwrap_or_default();
    let seconds: f64 = match text.parse() {
        Ok(seconds) if !f64::is_nan(seconds) => seconds,
        _ => return Err(Refusal::invalid("timeout is not a float or out of range")),
    };
    if seconds * 1_000.0 >= i64::MAX as f64 {
        return Err(Refusal::invalid("timeout is out of range"));
    }
    if seconds < 0.0 {
        return Err(Refusal::invalid("timeout is negative"));
    }
    Ok((seconds > 0.0).then(|| Duration::from_millis((seconds * 1_000.0).ceil() as u64)))
}

/// A time-out in milliseconds.
pub(super) fn milliseconds(request: &Request<'_>, at: usize) -> Result<Option<Duration>, Refusal> {
    let ms = integer(request.arg(at))
        .ok_or_else(|| Refusal::invalid("timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| Refusal::invalid("timeout is negative"))?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}
