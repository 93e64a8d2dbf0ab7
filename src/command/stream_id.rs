//! Ids of stream entries.

use super::refusal::Refusal;

/// `ms` or `ms-sequence`, both of 64 bits.
pub(super) fn id(text: &[u8]) -> Option<(u64, u64)> {
    let mut parts = text.splitn(2, |byte| *byte == b'-');
    let ms = parts.next().and_then(number)?;
    let sequence = parts.next().map_or(Some(0), number)?;
    Some((ms, sequence))
}

pub(super) fn check_id(text: &[u8]) -> Result<(), Refusal> {
    match id(text) {
        Some(_) => Ok(()),
        None => Err(Refusal::invalid("Invalid stream ID specified as stream command argument")),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}
