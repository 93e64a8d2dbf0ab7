//! What a row of our table says of a command.

use super::block::Block;
use super::call::Access;
use super::chunk::Chunk;
use super::fold::{Fold, Join};
use super::pick::Pick;
use super::plan::Draft;
use super::refusal::Refusal;
use super::request::Request;
use super::table::Table;
use super::walk::Walk;
use redis::Value;

/// Changes a call in the making.
pub(super) type Treatment = fn(&mut Draft<'_>) -> Result<(), Refusal>;

/// Answers without any node.
pub(super) type Answer = fn(&Table, &Request<'_>) -> Result<Value, Refusal>;

/// Reads a command that may block, given the indices of its keys; none where it does not.
pub(super) type Blocking = fn(&Request<'_>, &[usize]) -> Result<Option<Block>, Refusal>;

/// How one command is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub name: &'static str,
    pub kind: Kind,
    pub access: Access,
    pub keys: KeyRule,
    /// Rewrites the command, or refuses some of its forms.
    pub treat: Option<Treatment>,
    /// How it divides if it has very many arguments.
    pub chunk: Option<Chunk>,
    pub hash_replies: bool,
    pub integer_reply: bool,
    pub unordered: bool,
    pub wakes: bool,
    /// Whether, and how, it waits.
    pub block: Option<Blocking>,
    /// Even where it blocks, its keys must be in one register.
    pub is_whole: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Call,
    /// Keys of several registers: one call each.
    Split(Join),
    Pick(fn(&Table, &Request<'_>) -> Result<Pick, Refusal>),
    Walk(fn(&Table, &Request<'_>) -> Result<Walk, Refusal>),
    /// One node's own answer.
    Ask,
    /// The whole cluster, by a new generation.
    Flush,
    Local(Answer),
    Publish,
    Census,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum KeyRule {
    /// Where COMMAND says.
    Table,
    /// One key at this index.
    At(usize),
    /// The indices that the function finds, given the command's name.
    By(fn(&str, &Request<'_>) -> Result<Vec<usize>, Refusal>),
}

pub(super) const fn row(name: &'static str, kind: Kind, access: Access) -> Row {
    let keys = KeyRule::Table;
    Row {
        name,
        kind,
        access,
        keys,
        treat: None,
        chunk: None,
        hash_replies: false,
        integer_reply: false,
        unordered: false,
        wakes: false,
        block: None,
        is_whole: false,
    }
}

pub(super) const fn read(name: &'static str) -> Row {
    row(name, Kind::Call, Access::Read)
}

pub(super) const fn write(name: &'static str) -> Row {
    row(name, Kind::Call, Access::Write)
}

pub(super) const fn local(name: &'static str, answer: Answer) -> Row {
    row(name, Kind::Local(answer), Access::Read)
}

/// Tells nothing of the data: any one node's own answer.
pub(super) const fn ask(name: &'static str) -> Row {
    row(name, Kind::Ask, Access::Read)
}

impl Row {
    /// Keys of several registers are served register by register.
    pub const fn split(self, join: Join) -> Self {
        Self { kind: Kind::Split(join), ..self }
    }

    pub const fn at(self, index: usize) -> Self {
        Self { keys: KeyRule::At(index), ..self }
    }

    pub const fn keys(self, rule: fn(&str, &Request<'_>) -> Result<Vec<usize>, Refusal>) -> Self {
        Self { keys: KeyRule::By(rule), ..self }
    }

    pub const fn by(self, treat: Treatment) -> Self {
        Self { treat: Some(treat), ..self }
    }

    pub const fn chunked(self, head: usize, stride: usize, fold: Fold) -> Self {
        Self { chunk: Some(Chunk { head, stride, fold }), ..self }
    }

    /// An integer that may be above 2^53, where a script's own integers end.
    pub const fn integer(self) -> Self {
        Self { integer_reply: true, ..self }
    }

    /// Order or bytes of the reply are the node's own.
    pub const fn unordered(self) -> Self {
        Self { unordered: true, ..self }
    }

    pub const fn blocking(self, block: Blocking) -> Self {
        Self { block: Some(block), ..self }
    }

    pub const fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// It can give something to those who wait for a list, a sorted set or a stream, or end their wait.
    pub const fn waking(self) -> Self {
        Self { wakes: true, ..self }
    }

    /// Arithmetic in the server's own `long double`, which is not the same on every processor (pitfall P25): the reply,
    /// which is the value stored, becomes part of the digest.
    pub const fn hashed(self) -> Self {
        Self { hash_replies: true, ..self }
    }
}
