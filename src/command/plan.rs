//! From a request and its row to a plan.

use super::call::{Access, Call, Plan};
use super::chunk::{Batch, Chunk, MAX_BYTES, MAX_GIVEN};
use super::fold::{Fold, Join};
use super::key::{is_reserved, shown};
use super::local;
use super::publish;
use super::refusal::Refusal;
use super::request::Request;
use super::row::{KeyRule, Kind, Row};
use super::spec::Spec;
use super::split::split;
use super::stream_read;
use super::table::Table;
use std::collections::HashSet;

/// A call in the making, which a row's treatment may change.
pub(super) struct Draft<'a> {
    pub request: Request<'a>,
    pub table: &'a Table,
    pub now_ms: u64,
    pub name: &'a str,
    /// The indices of the keys in the request.
    pub keys: &'a [usize],
    pub access: Access,
    pub command: Vec<Vec<u8>>,
    /// Commands after it whose replies bear witness of what it stored.
    pub witness: Option<Vec<Vec<u8>>>,
    pub lowest_expiry_ms: u64,
    pub hash_replies: bool,
    pub unordered: bool,
    pub timed: bool,
    pub chunk: Option<Chunk>,
}

pub(super) fn plan(
    table: &Table,
    row: &'static Row,
    spec: &Spec,
    request: &Request<'_>,
    now_ms: u64,
) -> Result<Plan, Refusal> {
    check_size(row.name, request)?;
    let indices = match row.keys {
        KeyRule::Table => spec.key_indices(request),
        KeyRule::At(index) => index_of_key(row.name, request, index)?,
        KeyRule::By(rule) => rule(row.name, request)?,
    };
    for index in &indices {
        if is_reserved(request.arg(*index)) {
            return Err(Refusal::ReservedKey { key: shown(request.arg(*index)) });
        }
    }
    if let Some(block) = row.block.map_or(Ok(None), |block| block(request, &indices))? {
        return match elsewhere(table, request, &indices) {
            Some((first, second)) if row.is_whole => {
                Err(Refusal::cross_register(table.scopes(), row.name, first, second))
            }
            _ => Ok(Plan::Block(block.within(table.scopes()))),
        };
    }
    match row.kind {
        Kind::Publish => Ok(Plan::Publish(publish::publish(row, request))),
        Kind::Census => publish::census(row, request).map(Plan::Census),
        Kind::Local(answer) => answer(table, request).map(Plan::Local),
        Kind::Ask => Ok(Plan::Ask(request.to_command())),
        Kind::Flush => local::flush(request).map(|()| Plan::Flush),
        Kind::Pick(pick) => pick(table, request).map(Plan::Pick),
        Kind::Walk(walk) => walk(table, request).map(Plan::Walk),
        Kind::Split(Join::Streams) if elsewhere(table, request, &indices).is_some() => {
            Ok(stream_read::split(table, request, &indices))
        }
        Kind::Split(join) if elsewhere(table, request, &indices).is_some() => {
            split(table, row, join, request, &indices)
        }
        Kind::Split(_) | Kind::Call => one_register(table, row, request, &indices, now_ms),
    }
}

fn one_register(
    table: &Table,
    row: &'static Row,
    request: &Request<'_>,
    indices: &[usize],
    now_ms: u64,
) -> Result<Plan, Refusal> {
    if let Some((first, second)) = elsewhere(table, request, indices) {
        return Err(table.cross_register(row.name, first, second));
    }
    let mut draft = Draft::new(table, row, *request, indices, now_ms);
    if let Some(treat) = row.treat {
        treat(&mut draft)?;
    }
    let access = draft.access;
    let call = draft.into_call(row)?;
    Ok(match access {
        Access::Read => Plan::Read(call),
        Access::Write => Plan::Write(call),
    })
}

impl<'a> Draft<'a> {
    fn new(
        table: &'a Table,
        row: &'static Row,
        request: Request<'a>,
        keys: &'a [usize],
        now_ms: u64,
    ) -> Self {
        Self {
            request,
            table,
            now_ms,
            name: row.name,
            keys,
            access: row.access,
            command: Vec::new(),
            witness: None,
            lowest_expiry_ms: 0,
            hash_replies: row.hash_replies,
            unordered: row.unordered,
            timed: false,
            chunk: row.chunk,
        }
    }

    /// Notes an absolute expiry, and answers what the nodes are told. One that has passed is as past as any: the key goes at once on
    /// every node, whatever its clock says. (0 would say that no expiry is set.)
    pub fn expire(&mut self, at: i64) -> i64 {
        match u64::try_from(at) {
            Ok(at_ms) if at_ms > self.now_ms => {
                self.lowest_expiry_ms = at_ms;
                at
            }
            _ => 1,
        }
    }

    fn into_call(self, row: &Row) -> Result<Call, Refusal> {
        let command = if self.command.is_empty() { self.request.to_command() } else { self.command };
        let mut batch = Batch::of(row.name, command, self.chunk)?;
        if let Some(witness) = self.witness {
            batch.commands.push(witness);
            batch.fold = Fold::First;
        }
        Ok(Call {
            register: self
                .table
                .scopes()
                .register_of(self.keys.first().map_or(b"", |index| self.request.arg(*index))),
            keys: unique(self.keys.iter().map(|index| self.request.arg(*index))),
            commands: batch.commands,
            lowest_expiry_ms: self.lowest_expiry_ms,
            hash_replies: self.hash_replies,
            fold: batch.fold,
            integer_reply: row.integer_reply,
            unordered: self.unordered,
            timed: self.timed,
            wakes: row.wakes && self.access == Access::Write,
        })
    }
}

/// Each key once, in the order of its first mention.
pub(super) fn unique<'k>(keys: impl Iterator<Item = &'k [u8]>) -> Vec<Vec<u8>> {
    let mut keys = keys.peekable();
    let Some(first) = keys.next() else { return Vec::new() };
    if keys.peek().is_none() {
        return vec![first.to_vec()];
    }
    let mut seen = HashSet::from([first]);
    let others = keys.filter(|key| seen.insert(*key)).map(<[u8]>::to_vec);
    std::iter::once(first.to_vec()).chain(others).collect()
}

/// The first key, and the first one that is not in its register.
fn elsewhere<'a>(table: &Table, request: &Request<'a>, indices: &[usize]) -> Option<(&'a [u8], &'a [u8])> {
    let mut keys = indices.iter().map(|index| request.arg(*index));
    let first = keys.next()?;
    let second = keys.find(|key| !table.scopes().share(key, first))?;
    Some((first, second))
}

fn index_of_key(name: &str, request: &Request<'_>, index: usize) -> Result<Vec<usize>, Refusal> {
    if request.len() > index { Ok(vec![index]) } else { Err(Refusal::Arity { name: name.to_owned() }) }
}

fn check_size(name: &str, request: &Request<'_>) -> Result<(), Refusal> {
    if request.len() > MAX_GIVEN {
        return Err(Refusal::TooManyArguments {
            name: name.to_owned(),
            count: request.len(),
            limit: MAX_GIVEN,
        });
    }
    match request.args().iter().find(|arg| arg.len() > MAX_BYTES) {
        Some(arg) => Err(Refusal::invalid(format!(
            "an argument of '{name}' is {} bytes long: servers take at most {MAX_BYTES}",
            arg.len()
        ))),
        None => Ok(()),
    }
}
