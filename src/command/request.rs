//! A command as the caller wrote it.

use super::refusal::Refusal;

/// The arguments of one command, its name first.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    args: &'a [&'a [u8]],
}

impl<'a> Request<'a> {
    /// Wraps arguments; there must be a name.
    pub fn new(args: &'a [&'a [u8]]) -> Result<Self, Refusal> {
        if args.is_empty() { Err(Refusal::Empty) } else { Ok(Self { args }) }
    }

    /// The name, upper case.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(self.arg(0)).to_ascii_uppercase()
    }

    /// All arguments, the name included.
    pub fn args(&self) -> &'a [&'a [u8]] {
        self.args
    }

    /// How many, the name included.
    pub(super) fn len(&self) -> usize {
        self.args.len()
    }

    /// The argument at `index`, empty where there is none.
    pub(super) fn arg(&self, index: usize) -> &'a [u8] {
        self.args.get(index).copied().unwrap_or_default()
    }

    /// Whether the argument at `index` is this option, in any case.
    pub(super) fn is(&self, index: usize, option: &str) -> bool {
        self.args.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(option.as_bytes()))
    }

    /// Whether any argument from `start` on is this option.
    pub(super) fn has(&self, start: usize, option: &str) -> bool {
        (start..self.len()).any(|index| self.is(index, option))
    }

    /// The argument at `index` as Redis reads integers, or Redis' words for what is wrong with it.
    pub(super) fn integer(&self, index: usize) -> Result<i64, Refusal> {
        integer(self.arg(index)).ok_or_else(Refusal::not_an_integer)
    }

    /// Copies of all arguments.
    pub(super) fn to_command(self) -> Vec<Vec<u8>> {
        self.args.iter().map(|arg| arg.to_vec()).collect()
    }
}

/// Integers in the one spelling that Redis takes: no plus, no spaces, no leading zero.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        b"0" => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let text = std::str::from_utf8(text).ok()?;
    canonical.then(|| text.parse().ok()).flatten()
}
