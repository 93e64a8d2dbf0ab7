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

/// Reads exactly `width` decimal digits.
pub(super) fn decimal(text: &str, width: usize) -> Option<u64> {
    let fits = text.len() == width && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// Reads exactly 16 lower-case hexadecimal digits.
pub(super) fn hex64(text: &str) -> Option<u64> {
    let fits = text.len() == 16 && text.bytes().all(is_lower_hex);
    fits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// Reads exactly 32 lower-case hexadecimal digits.
pub(super) fn hex128(text: &str) -> Option<u128> {
    let fits = text.len() == 32 && text.bytes().all(is_lower_hex);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
