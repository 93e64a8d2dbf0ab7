//! `purge`: which records are tombstones that may go, and their end.

use super::Name;
use super::call::{Ticket, evalsha_of};
use super::parse::{Malformed, bytes, fields, integer, next, optional, text};
use crate::protocol::{Ballot, Digest, Position, Version};
use redis::{Cmd, Value};

/// What a node says of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go, if all nodes say so of the same one.
    Go(Tombstone),
    /// It has no value and is old enough, but its last op was never settled.
    Unsettled,
    /// It holds a value, or did until lately.
    Stays,
    /// There is no record.
    Nothing,
}

/// The record that a purge is about: the call drops exactly this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Where its history ends.
    pub position: Position,
    /// The ballot of its settle, which is also its highest promise.
    pub accepted: Option<Ballot>,
}

/// What became of it on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// It is gone.
    Gone,
    /// It is not, or not any more, the one that was named.
    Kept,
}

/// The `EVALSHA` for a page of the node's own tombstones.
pub fn purge_scan_call(ticket: &Ticket<'_>, cursor: &str, count: usize) -> Cmd {
    let mut cmd = evalsha_of(Name::Purge, ticket, &[], "scan");
    cmd.arg(cursor).arg(count);
    cmd
}

/// The `EVALSHA` for the verdict on each of these records.
pub fn purge_of_call(ticket: &Ticket<'_>, records: &[Vec<u8>]) -> Cmd {
    evalsha_of(Name::Purge, ticket, records, "of")
}

/// The `EVALSHA` that drops this tombstone.
pub fn purge_drop_call(ticket: &Ticket<'_>, record: &[u8], tombstone: &Tombstone) -> Cmd {
    let mut cmd = evalsha_of(Name::Purge, ticket, &[record.to_vec()], "drop");
    let accepted = tombstone.accepted.map(|ballot| ballot.to_string()).unwrap_or_default();
    cmd.arg(tombstone.position.version.0).arg(tombstone.position.digest.to_string()).arg(accepted);
    cmd
}

/// One page of a node's records.
#[derive(Clone, Debug)]
pub struct PurgePage {
    /// The cursor of the next page; none after the last.
    pub next: Option<String>,
    /// The verdict on each register.
    pub rows: Vec<(Vec<u8>, Verdict)>,
    /// How many of the page's records have no value, the young ones too.
    pub tombstones: u64,
}

/// Reads a page.
pub fn purge_page(value: Value) -> Result<PurgePage, Malformed> {
    let mut items = fields(value)?;
    let status = text(next(&mut items)?)?;
    if status != "PAGE" {
        return Err(Malformed(status));
    }
    let cursor = text(next(&mut items)?)?;
    let rows = fields(next(&mut items)?)?.map(row).collect::<Result<_, _>>()?;
    let tombstones = integer(next(&mut items)?)?;
    Ok(PurgePage { next: (cursor != "0").then_some(cursor), rows, tombstones })
}

fn row(value: Value) -> Result<(Vec<u8>, Verdict), Malformed> {
    let mut items = fields(value)?;
    let register = bytes(next(&mut items)?)?;
    let what = text(next(&mut items)?)?;
    let version = Version(integer(next(&mut items)?)?);
    let digest = optional::<Digest>(&mut items)?.unwrap_or(Digest::EMPTY);
    let accepted = optional(&mut items)?;
    let verdict = match what.as_str() {
        "GO" => Verdict::Go(Tombstone { position: Position { version, digest }, accepted }),
        "UNSETTLED" => Verdict::Unsettled,
        "STAYS" => Verdict::Stays,
        "NONE" => Verdict::Nothing,
        other => return Err(Malformed(other.to_owned())),
    };
    Ok((register, verdict))
}

/// Reads the answer to a drop.
pub fn parse_purged(value: Value) -> Result<Purged, Malformed> {
    let mut items = fields(value)?;
    match text(next(&mut items)?)?.as_str() {
        "PURGED" => Ok(Purged::Gone),
        "KEPT" => Ok(Purged::Kept),
        other => Err(Malformed(other.to_owned())),
    }
}
