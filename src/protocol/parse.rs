//! Fixed-width text: the only form in which ballots, op ids and digests cross the Lua border.
//!
//! Lua compares strings, and keeps numbers exact only to 2^53; so every number is written with a fixed count of
//! decimal digits or lower-case hexadecimal digits, and the order of the text is the order of the values.

use std::error::Error;
use std::fmt;

/// A text that a node sent is not the ballot, op id or digest that it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    expected: &'static str,
    found: String,
}

impl ParseError {
    pub(super) fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.to_owned() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {:?}", self.expected, self.found)
    }
}

impl Error for ParseError {}

/// Reads exactly 16 decimal digits.
pub(super) fn decimal16(text: &[u8]) -> Option<u64> {
    digits(text, 10)
}

/// Reads exactly 16 lower-case hexadecimal digits.
pub(super) fn hex64(text: &[u8]) -> Option<u64> {
    digits(text, 16)
}

/// Reads exactly 32 lower-case hexadecimal digits.
pub(super) fn hex128(text: &[u8]) -> Option<u128> {
    let (high, low) = text.split_at_checked(16)?;
    Some(u128::from(hex64(high)?) << 64 | u128::from(hex64(low)?))
}

/// Every answer of a node has a dozen of these numbers: nothing is decided between one digit and the next.
#[inline]
fn digits(text: &[u8], base: u8) -> Option<u64> {
    let text: &[u8; 16] = text.try_into().ok()?;
    let (mut read, mut largest) = (0_u64, 0);
    for byte in text {
        let value = VALUES[usize::from(*byte)];
        largest = value.max(largest);
        read = read.wrapping_mul(u64::from(base)).wrapping_add(u64::from(value));
    }
    (largest < base).then_some(read)
}

/// What each byte is worth as a digit; 255 where it is none.
const VALUES: [u8; 256] = {
    let (mut values, mut value) = ([255; 256], 0);
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Writes a number as decimal digits, with leading zeros to the width of `to`.
pub(super) fn write_decimal(mut number: u64, to: &mut [u8]) {
    for place in to.iter_mut().rev() {
        *place = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

/// Writes a number as 16 lower-case hexadecimal digits.
pub(super) fn write_hex(number: u64, to: &mut [u8]) {
    for (place, shift) in to.iter_mut().zip((0..64).step_by(4).rev()) {
        *place = b"0123456789abcdef"[(number >> shift & 15) as usize];
    }
}

/// Digits are text.
pub(super) fn as_text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}
