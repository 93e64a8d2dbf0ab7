//! Commands that walk through keys or elements by a cursor.
//!
//! A cursor is one node's own, so ours says whose it is. Where that node is away, or was started anew, the walk through its part begins
//! again on another one: as with Redis, what stays from the first call to the last is given at least once, some of it twice.

use super::call::Call;
use super::key::is_reserved;
use super::refusal::Refusal;
use super::request::{Request, integer};
use super::table::Table;

/// A walk, or one step of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walk {
    /// HSCAN, SSCAN, ZSCAN: one step through the elements of a key. The cursor in the call is to be replaced.
    Elements {
        /// The read, with its cursor at index 2.
        call: Box<Call>,
        /// As the caller gave it.
        cursor: Cursor,
    },
    /// SCAN: one step through the keys.
    Keys {
        /// As the caller gave it.
        cursor: Cursor,
        /// What the caller asks for.
        filter: Filter,
    },
    /// KEYS: all at once.
    All(Filter),
    /// RANDOMKEY.
    Any,
    /// DBSIZE.
    Count,
}

/// What SCAN is to give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// MATCH and COUNT with their values, as a node takes them.
    pub options: Vec<Vec<u8>>,
    /// TYPE, lower case.
    pub kind: Option<String>,
}

/// Where a walk stands. In the number that the caller sees, from the highest bit: the node's own cursor (44 bits), which admission of
/// the node it belongs to (12 bits of a hash), how many nodes are done (4 bits), and the node's place in the list, from 1 (4 bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The node's own; 0 where its part has not begun.
    pub own: u64,
    /// Of the admission under which it was given.
    pub tag: u64,
    /// How many nodes' keys have been given whole.
    pub done: usize,
    /// The node's place; `None` at the very beginning.
    pub node: Option<usize>,
}

impl Cursor {
    /// The most nodes that a cursor can tell apart.
    pub const NODES: usize = 15;

    /// Reads what a caller sends.
    pub fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let number: Option<u64> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| Refusal::invalid("invalid cursor"))?;
        let small = |bits: u64| usize::try_from(bits & 0xf).unwrap_or_default();
        Ok(Self {
            own: number >> 20,
            tag: (number >> 8) & 0xfff,
            done: small(number >> 4),
            node: small(number).checked_sub(1),
        })
    }

    /// What the caller sees; `None` where the node's own cursor is too large for it.
    pub fn number(self) -> Option<u64> {
        let node = u64::try_from(self.node? + 1).ok().filter(|node| *node <= 0xf)?;
        let done = u64::try_from(self.done).ok().filter(|done| *done <= 0xf)?;
        let fits = self.own < 1 << 44;
        fits.then_some((self.own << 20) | ((self.tag & 0xfff) << 8) | (done << 4) | node)
    }
}

impl Walk {
    /// The read of one step through a key's elements, at the node's own cursor.
    pub fn step(call: &Call, own: u64) -> Call {
        let mut call = call.clone();
        if let Some(cursor) = call.commands.first_mut().and_then(|command| command.get_mut(2)) {
            *cursor = own.to_string().into_bytes();
        }
        call
    }
}

/// Whether a key that a node names is a user's.
pub fn is_users(key: &[u8]) -> bool {
    !is_reserved(key)
}

/// HSCAN key cursor [...] and its kin
pub(super) fn elements(table: &Table, request: &Request<'_>) -> Result<Walk, Refusal> {
    let key = request.arg(1).to_vec();
    let cursor = Cursor::parse(request.arg(2))?;
    let plain = Call::plain(table.scopes(), vec![key], vec![request.to_command()]);
    let call = Call { unordered: true, ..plain };
    Ok(Walk::Elements { call: Box::new(call), cursor })
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub(super) fn keys(_: &Table, request: &Request<'_>) -> Result<Walk, Refusal> {
    let cursor = Cursor::parse(request.arg(1))?;
    let mut filter = Filter::default();
    for index in (2..request.len()).step_by(2) {
        if index + 1 >= request.len() {
            return Err(Refusal::syntax());
        }
        let value = request.arg(index + 1);
        if request.is(index, "TYPE") {
            filter.kind = Some(String::from_utf8_lossy(value).to_ascii_lowercase());
            continue;
        }
        if request.is(index, "COUNT") {
            match integer(value) {
                Some(1..) => {}
                Some(_) => return Err(Refusal::syntax()),
                None => return Err(Refusal::not_an_integer()),
            }
        } else if !request.is(index, "MATCH") {
            return Err(Refusal::syntax());
        }
        filter.options.extend([request.arg(index).to_vec(), value.to_vec()]);
    }
    Ok(Walk::Keys { cursor, filter })
}

/// KEYS pattern
pub(super) fn all(_: &Table, request: &Request<'_>) -> Result<Walk, Refusal> {
    let options = [&b"MATCH"[..], request.arg(1), b"COUNT", b"1000"].map(<[u8]>::to_vec).to_vec();
    Ok(Walk::All(Filter { options, kind: None }))
}

/// DBSIZE
pub(super) fn count(_: &Table, _: &Request<'_>) -> Result<Walk, Refusal> {
    Ok(Walk::Count)
}

/// RANDOMKEY
pub(super) fn any(_: &Table, _: &Request<'_>) -> Result<Walk, Refusal> {
    Ok(Walk::Any)
}
