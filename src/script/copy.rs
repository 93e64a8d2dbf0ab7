//! `copy`: many small registers at a time, from a node that votes to one that is being filled.

use super::Name;
use super::call::{Ticket, evalsha_of};
use super::parse::{Malformed, bytes, fields, integer, next, text};
use redis::{Cmd, Value};

/// Registers of one node, as the script packed them.
#[derive(Clone, Debug)]
pub struct Copies {
    /// Where the scan goes on.
    pub next: Option<String>,
    /// How many registers they are.
    pub registers: u64,
    /// For the other node's ears only.
    pub packed: Vec<u8>,
    /// Records that had no room: to be asked for by name.
    pub left: Vec<Vec<u8>>,
}

/// The `EVALSHA` for the registers of one page of a node's scan, up to about so many bytes.
pub fn copy_scan_call(ticket: &Ticket<'_>, cursor: &str, count: usize, limit: usize) -> Cmd {
    let mut cmd = evalsha_of(Name::Copy, ticket, &[], "out");
    cmd.arg(limit).arg(cursor).arg(count);
    cmd
}

/// The `EVALSHA` for these registers, up to about so many bytes.
pub fn copy_of_call(ticket: &Ticket<'_>, records: &[Vec<u8>], limit: usize) -> Cmd {
    let mut cmd = evalsha_of(Name::Copy, ticket, records, "out");
    cmd.arg(limit);
    cmd
}

/// The `EVALSHA` that gives copies to a node that is being filled.
pub fn copy_in_call(ticket: &Ticket<'_>, packed: &[u8]) -> Cmd {
    let mut cmd = evalsha_of(Name::Copy, ticket, &[], "in");
    cmd.arg(packed);
    cmd
}

impl Copies {
    /// Reads what a node gave.
    pub fn parse(value: Value) -> Result<Copies, Malformed> {
        let mut items = fields(value)?;
        let status = text(next(&mut items)?)?;
        if status != "COPIES" {
            return Err(Malformed(status));
        }
        let cursor = text(next(&mut items)?)?;
        Ok(Copies {
            next: (cursor != "0").then_some(cursor),
            registers: integer(next(&mut items)?)?,
            packed: bytes(next(&mut items)?)?,
            left: fields(next(&mut items)?)?.map(bytes).collect::<Result<_, _>>()?,
        })
    }
}

/// How many of the copies the other node took.
pub fn parse_copied(value: Value) -> Result<u64, Malformed> {
    let mut items = fields(value)?;
    let status = text(next(&mut items)?)?;
    match status.as_str() {
        "COPIED" => integer(next(&mut items)?),
        "REFUSED" => Err(Malformed(text(next(&mut items)?)?)),
        _ => Err(Malformed(status)),
    }
}
