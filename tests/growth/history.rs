//! The register of the model, a list that may expire, and the histories that produce it.

use std::rc::Rc;

use anarchoredis::protocol::{Ballot, Digest, OpId, Position, Version};

use super::rng::mix;

/// A list, and when it expires. Without elements it does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Value {
    pub items: Vec<u32>,
    pub expiry: Option<u64>,
}

impl Value {
    pub fn exists(&self) -> bool {
        !self.items.is_empty()
    }

    /// What is left of it at a time.
    pub fn at(&self, time: u64) -> Value {
        if self.is_due(time) { Value::default() } else { self.clone() }
    }

    pub fn is_due(&self, time: u64) -> bool {
        self.exists() && self.expiry.is_some_and(|expiry| expiry <= time)
    }
}

/// What clients ask for. Every id is appended by one op only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// RPUSH: keeps the expiry.
    Append(u32),
    /// LPOP.
    Pop,
    /// DEL.
    Delete,
    /// LRANGE 0 -1.
    Read,
    /// PEXPIREAT.
    ExpireAt(u64),
    /// PERSIST.
    Persist,
    /// RPUSH, where the list has this length: the change of the configuration in this generation.
    Change(usize, u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    Count(usize),
    Popped(Option<u32>),
    Values(Vec<u32>),
}

impl Command {
    pub fn is_read(self) -> bool {
        self == Self::Read
    }

    /// The value afterwards, and the reply.
    pub fn run(self, value: &Value) -> (Value, Reply) {
        let mut after = value.clone();
        let flag = |holds: bool| Reply::Count(usize::from(holds));
        let reply = match self {
            Self::Append(id) => {
                after.items.push(id);
                Reply::Count(after.items.len())
            }
            Self::Pop if value.exists() => Reply::Popped(Some(after.items.remove(0))),
            Self::Pop => Reply::Popped(None),
            Self::Delete => {
                after = Value::default();
                flag(value.exists())
            }
            Self::Read => Reply::Values(value.items.clone()),
            Self::ExpireAt(at) => {
                after.expiry = value.exists().then_some(at);
                flag(value.exists())
            }
            Self::Change(generation, members) => {
                let is_next = value.items.len() == generation;
                after.items.extend(is_next.then_some(members));
                flag(is_next)
            }
            Self::Persist => {
                after.expiry = None;
                flag(value.expiry.is_some())
            }
        };
        if after.exists() { (after, reply) } else { (Value::default(), reply) }
    }
}

/// One op as a node's history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub op: OpId,
    pub command: Command,
    pub ran: Ballot,
    pub reply: Reply,
}

/// A history with the value that it produced; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct State(Option<Rc<Link>>);

#[derive(Debug)]
struct Link {
    before: State,
    entry: Entry,
    position: Position,
    value: Value,
}

impl State {
    pub fn position(&self) -> Position {
        self.0.as_ref().map(|link| link.position).unwrap_or_default()
    }

    pub fn value(&self) -> Value {
        self.0.as_ref().map(|link| link.value.clone()).unwrap_or_default()
    }

    pub fn last(&self) -> Option<(&State, &Entry)> {
        self.0.as_ref().map(|link| (&link.before, &link.entry))
    }

    /// All entries, the last first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::successors(self.last(), |(before, _)| before.last()).map(|(_, entry)| entry)
    }

    pub fn push(&self, entry: Entry, value: Value) -> State {
        let Position { version, digest } = self.position();
        let position = Position { version: Version(version.0 + 1), digest: digest_after(digest, &entry) };
        State(Some(Rc::new(Link { before: self.clone(), entry, position, value })))
    }

    /// Whether `earlier` is this history or a beginning of it.
    pub fn extends(&self, earlier: &State) -> bool {
        let mut here = self;
        while here.position().version > earlier.position().version {
            match here.last() {
                Some((before, _)) => here = before,
                None => return false,
            }
        }
        here.position() == earlier.position()
    }
}

/// Over the digest before it, the op's id and the ballot under which it ran, as the scripts take it.
fn digest_after(digest: Digest, entry: &Entry) -> Digest {
    let words = [entry.op.coordinator.0, entry.op.sequence, entry.ran.time_us(), entry.ran.coordinator().0];
    let text = digest.to_string();
    let (high, low) = text.split_at(text.len() / 2);
    let seed = |half: &str| u64::from_str_radix(half, 16).unwrap_or(1);
    let fold = |seed: u64| words.iter().fold(seed, |hash, word| mix(hash.rotate_left(7) ^ *word));
    let bits = (u128::from(fold(seed(high))) << 64) | u128::from(fold(seed(low) ^ 0xabcd));
    Digest::from_bytes(bits.to_be_bytes())
}
