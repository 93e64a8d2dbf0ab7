//! A register's state as it travels between nodes: `snapshot` gives it, `stage` and `settle` take it.

use super::answer::standing;
use super::call::evalsha;
use super::parse::{Malformed, bytes, fields, integer, next, parsed, text};
use super::{Name, Ticket};
use crate::protocol::{Ballot, Digest, Standing};
use redis::{Cmd, Value};

/// How a key's value is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One element: the bytes.
    String,
    /// The elements from head to tail.
    List,
    /// Field and value in turn.
    Hash,
    /// The members, in no order.
    Set,
    /// Member and score in turn.
    Zset,
    /// One element: the server's own DUMP (streams, module types).
    Dump,
    /// The key does not exist.
    Gone,
    /// Too large for one answer: elements are the real form and the length.
    Large,
    /// Left for a later answer.
    Later,
    /// Collected on the node: elements are the staging key, the real form and the length.
    Staged,
    /// A stream with its groups and what is pending, as `lua/lib/entries.lua` writes it: for servers that cannot read the DUMP.
    Stream,
}

const FORMS: [(Form, &str); 11] = [
    (Form::String, "string"),
    (Form::List, "list"),
    (Form::Hash, "hash"),
    (Form::Set, "set"),
    (Form::Zset, "zset"),
    (Form::Dump, "dump"),
    (Form::Gone, "gone"),
    (Form::Large, "large"),
    (Form::Later, "later"),
    (Form::Staged, "staged"),
    (Form::Stream, "stream"),
];

impl Form {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        FORMS[self as usize].1
    }

    fn parse(word: &str) -> Result<Form, Malformed> {
        let found = FORMS.iter().find(|(_, known)| *known == word);
        found.map(|(form, _)| *form).ok_or_else(|| Malformed(word.into()))
    }
}

/// One key of a register, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The key.
    pub key: Vec<u8>,
    /// How the elements are to be read.
    pub form: Form,
    /// Absolute expiry in milliseconds since 1970; 0 for none.
    pub expiry_ms: u64,
    /// The value.
    pub elements: Vec<Vec<u8>>,
}

/// A register's state at one digest, with what its history remembers.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The highest ballot that the node had answered.
    pub promised: Ballot,
    /// Where its history stood.
    pub standing: Standing,
    /// The remembered op ids with their replies, opaque.
    pub ops: Vec<u8>,
    /// The register has, or had, a key other than its id.
    pub multi: bool,
    /// Only what changed since the digest that was asked for.
    pub delta: bool,
    /// More keys than one call takes, so none are here: go by their names.
    pub many: bool,
    /// The log of the last versions, opaque.
    pub log: Vec<Vec<u8>>,
    /// The keys.
    pub states: Vec<KeyState>,
}

impl Snapshot {
    /// About how many bytes it takes on the wire.
    pub fn bytes(&self) -> usize {
        let states =
            self.states.iter().flat_map(|state| state.elements.iter()).map(|element| element.len() + 16);
        let log = self.log.iter().map(|entry| entry.len() + 16);
        self.ops.len() + states.sum::<usize>() + log.sum::<usize>() + 64 * self.states.len()
    }
}

/// The answers of `snapshot`, but slices.
#[derive(Clone, Debug)]
pub enum SnapshotReply {
    /// The state.
    Snapshot(Snapshot),
    /// No record.
    Absent,
    /// The server no longer has a key that the record lists: it must not be the source of a repair.
    Lost(Vec<u8>),
    /// The admission that the call named is not the node's.
    Fenced,
    /// The call came after its deadline.
    Expired,
}

/// A part of one large key, or of the names of a register's keys.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The history that it belongs to: a slice of another one must not be mixed in.
    pub digest: Digest,
    /// Where the next slice begins; none after the last.
    pub next: Option<String>,
    /// Elements as in [`KeyState`].
    pub elements: Vec<Vec<u8>>,
}

/// What to ask `snapshot` for.
#[derive(Clone, Debug)]
pub enum Want<'a> {
    /// The whole register.
    All,
    /// What changed since the first of these digests, or the whole where not all of them are in the log.
    Since(&'a [Digest]),
    /// Some keys.
    Keys(&'a [Vec<u8>]),
    /// Some keys, streams among them as [`Form::Stream`].
    Streams(&'a [Vec<u8>]),
    /// A part of one key: where it begins, and how many elements (bytes of a string).
    Slice(&'a [Vec<u8>], &'a str, usize),
    /// Names of the register's keys: where they begin, and about how many.
    Names(&'a str, usize),
}

/// The `EVALSHA` of `snapshot` for one node.
pub fn snapshot_call(ticket: &Ticket<'_>, record: &[u8], want: &Want<'_>, limit: usize) -> Cmd {
    let (word, keys): (_, &[Vec<u8>]) = match want {
        Want::All => ("all", &[]),
        Want::Since(_) => ("since", &[]),
        Want::Keys(keys) => ("keys", keys),
        Want::Streams(keys) => ("streams", keys),
        Want::Slice(key, ..) => ("slice", key),
        Want::Names(..) => ("names", &[]),
    };
    let mut cmd = evalsha(Name::Snapshot, ticket, record, keys, 64);
    cmd.arg(word).arg(limit);
    match want {
        Want::Since(digests) => cmd.arg(digests.iter().map(Digest::to_string).collect::<Vec<_>>().join(",")),
        Want::Slice(_, position, count) | Want::Names(position, count) => cmd.arg(*position).arg(*count),
        Want::All | Want::Keys(_) | Want::Streams(_) => &mut cmd,
    };
    cmd
}

/// The `EVALSHA` of `stage` for one node: appends elements to a staging key, or writes bytes at their place in a string; it is dropped
/// after `ttl_ms` if nobody settles it.
#[allow(clippy::too_many_arguments)] // the script's own
pub fn stage_call(
    ticket: &Ticket<'_>,
    record: &[u8],
    stage: &[u8],
    form: Form,
    first: bool,
    place: Option<usize>,
    ttl_ms: u64,
    elements: &[Vec<u8>],
) -> Cmd {
    let room = elements.iter().map(|element| element.len() + 16).sum();
    let mut cmd = evalsha(Name::Stage, ticket, record, &[stage.to_vec()], room);
    let place = place.map(|place| format!("@{place}")).unwrap_or_default();
    cmd.arg(form.as_str()).arg(format!("{}{place}", u8::from(first))).arg(ttl_ms);
    for element in elements {
        cmd.arg(element.as_slice());
    }
    cmd
}

/// Whether a reply of `stage` says that the slice is in its place.
pub fn is_staged(reply: Value) -> Result<bool, Malformed> {
    Ok(text(next(&mut fields(reply)?)?)? == "STAGED")
}

pub(super) fn states(value: Value) -> Result<Vec<KeyState>, Malformed> {
    fields(value)?.map(key_state).collect()
}

fn key_state(value: Value) -> Result<KeyState, Malformed> {
    let mut items = fields(value)?;
    Ok(KeyState {
        key: bytes(next(&mut items)?)?,
        form: Form::parse(&text(next(&mut items)?)?)?,
        expiry_ms: integer(next(&mut items)?)?,
        elements: strings(next(&mut items)?)?,
    })
}

fn strings(value: Value) -> Result<Vec<Vec<u8>>, Malformed> {
    fields(value)?.map(bytes).collect()
}

impl SnapshotReply {
    /// Reads the script's reply.
    pub fn parse(value: Value) -> Result<SnapshotReply, Malformed> {
        let mut items = fields(value)?;
        let status = text(next(&mut items)?)?;
        Ok(match status.as_str() {
            "SNAPSHOT" => SnapshotReply::Snapshot(snapshot(&mut items)?),
            "ABSENT" => SnapshotReply::Absent,
            "LOST" => SnapshotReply::Lost(bytes(next(&mut items)?)?),
            "FENCED" => SnapshotReply::Fenced,
            "EXPIRED" => SnapshotReply::Expired,
            _ => return Err(Malformed(status)),
        })
    }
}

fn snapshot(items: &mut std::vec::IntoIter<Value>) -> Result<Snapshot, Malformed> {
    let (promised, standing) = (parsed(items)?, standing(items)?);
    let (ops, multi) = (bytes(next(items)?)?, text(next(items)?)? == "1");
    let mode = text(next(items)?)?;
    Ok(Snapshot {
        promised,
        standing,
        ops,
        multi,
        delta: mode == "delta",
        many: mode == "many",
        log: strings(next(items)?)?,
        states: states(next(items)?)?,
    })
}

impl Slice {
    /// Reads the script's reply; `None` where the register is no longer what it was.
    pub fn parse(value: Value) -> Result<Option<Slice>, Malformed> {
        let mut items = fields(value)?;
        if text(next(&mut items)?)? != "SLICE" {
            return Ok(None);
        }
        let _version = integer(next(&mut items)?)?;
        let digest = parsed(&mut items)?;
        let following = text(next(&mut items)?)?;
        let elements = strings(next(&mut items)?)?;
        Ok(Some(Slice { digest, next: (following != "0").then_some(following), elements }))
    }
}
