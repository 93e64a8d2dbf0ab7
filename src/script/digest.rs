//! `digest`: the version digests of registers, page by page.

use super::call::Ticket;
use super::parse::{Malformed, bytes, fields, integer, next, optional, text};
use super::{Name, script};
use crate::protocol::{Ballot, Digest, Version};
use redis::{Cmd, Value};

/// One register as one node holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestRow {
    /// The register's id.
    pub register: Vec<u8>,
    /// Length and digest of the history, and its last settle; none where the node has no record.
    pub held: Option<Held>,
}

/// What a node holds of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The history's length.
    pub version: Version,
    /// The history's digest.
    pub digest: Digest,
    /// The highest ballot that it has answered.
    pub promised: Option<Ballot>,
    /// The ballot of its last settle.
    pub accepted: Option<Ballot>,
}

/// A page of rows.
#[derive(Clone, Debug)]
pub struct DigestPage {
    /// The cursor of the next page; none after the last.
    pub next: Option<String>,
    /// The rows.
    pub rows: Vec<DigestRow>,
}

/// The `EVALSHA` for a page of a node's own registers.
pub fn digest_scan_call(ticket: &Ticket<'_>, cursor: &str, count: usize) -> Cmd {
    page_call(ticket, "scan", cursor, count)
}

/// The `EVALSHA` for a page of the registers that a node remembers as dirty.
pub fn dirty_call(ticket: &Ticket<'_>, cursor: &str, count: usize) -> Cmd {
    page_call(ticket, "dirty", cursor, count)
}

/// The `EVALSHA` that counts a page of a node's keys, without those of the protocol.
pub fn count_call(ticket: &Ticket<'_>, cursor: &str, count: usize) -> Cmd {
    page_call(ticket, "count", cursor, count)
}

fn page_call(ticket: &Ticket<'_>, what: &str, cursor: &str, count: usize) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script(Name::Digest).sha).arg(0).arg(ticket.fence).arg(ticket.deadline_ms);
    cmd.arg(what).arg(cursor).arg(count);
    cmd
}

/// The `EVALSHA` for the digests of these records.
pub fn digest_of_call(ticket: &Ticket<'_>, records: &[Vec<u8>]) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script(Name::Digest).sha).arg(records.len());
    for record in records {
        cmd.arg(record.as_slice());
    }
    cmd.arg(ticket.fence).arg(ticket.deadline_ms).arg("of");
    cmd
}

pub(super) fn open(value: Value) -> Result<(Option<String>, Vec<Value>), Malformed> {
    let mut items = fields(value)?;
    let status = text(next(&mut items)?)?;
    if status != "PAGE" {
        return Err(Malformed(status));
    }
    let cursor = text(next(&mut items)?)?;
    Ok(((cursor != "0").then_some(cursor), fields(next(&mut items)?)?.collect()))
}

impl DigestPage {
    /// Reads the script's reply.
    pub fn parse(value: Value) -> Result<DigestPage, Malformed> {
        let (next, rows) = open(value)?;
        let rows = rows.into_iter().map(row).collect::<Result<_, _>>()?;
        Ok(DigestPage { next, rows })
    }
}

fn row(value: Value) -> Result<DigestRow, Malformed> {
    let mut items = fields(value)?;
    let register = bytes(next(&mut items)?)?;
    let version = next(&mut items)?;
    if version == Value::BulkString(Vec::new()) {
        return Ok(DigestRow { register, held: None });
    }
    let version = Version(integer(version)?);
    let digest = optional::<Digest>(&mut items)?.unwrap_or(Digest::EMPTY);
    let promised = optional(&mut items)?;
    let accepted = optional(&mut items)?;
    Ok(DigestRow { register, held: Some(Held { version, digest, promised, accepted }) })
}

/// A register on the dirty set, with the ballot at which it was marked.
pub type Dirty = (Vec<u8>, String);

/// A page of dirty registers, and the cursor of the next page.
pub fn parse_dirty(value: Value) -> Result<(Option<String>, Vec<Dirty>), Malformed> {
    let (cursor, rows) = open(value)?;
    let mut dirty = Vec::new();
    for row in rows {
        let mut items = fields(row)?;
        dirty.push((bytes(next(&mut items)?)?, text(next(&mut items)?)?));
    }
    Ok((cursor, dirty))
}

/// How many users' keys a page had, and the cursor of the next page.
pub fn parse_count(value: Value) -> Result<(Option<String>, u64), Malformed> {
    let (cursor, rows) = open(value)?;
    let mut rows = rows.into_iter();
    Ok((cursor, integer(next(&mut rows)?)?))
}

/// The `EVALSHA` that drops a register from a joining node: no voter has it.
pub fn forget_call(fence: &str, record: &[u8]) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script(Name::Admit).sha).arg(1).arg(record).arg("forget").arg(fence);
    cmd
}

/// The `EVALSHA` that remembers on a node that another one misses the register's last settle.
pub fn mark_call(fence: &str, register: &[u8], mark: &str) -> Cmd {
    dirty_set_call("mark", fence, register, mark)
}

/// The `EVALSHA` that takes a register off the dirty set, unless it was marked again since.
pub fn clean_call(fence: &str, register: &[u8], marked: &str) -> Cmd {
    dirty_set_call("clean", fence, register, marked)
}

/// The `EVALSHA` that remembers on a node how the last sweep ended.
pub fn swept_call(fence: &str, text: &str) -> Cmd {
    note_call("swept", fence, text)
}

/// The `EVALSHA` that tells others that whoever fills a node, under this token, goes on with it.
pub fn filling_call(fence: &str, text: &str) -> Cmd {
    note_call("filling", fence, text)
}

fn note_call(what: &str, fence: &str, text: &str) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script(Name::Admit).sha).arg(0).arg(what).arg(fence).arg(text);
    cmd
}

fn dirty_set_call(what: &str, fence: &str, register: &[u8], mark: &str) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script(Name::Admit).sha).arg(0).arg(what).arg(fence).arg(register).arg(mark);
    cmd
}
