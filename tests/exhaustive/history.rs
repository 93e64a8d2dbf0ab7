//! What is asked, and the histories that come of it, in the smallest form that tells two of them apart.

use std::sync::Arc;

use anarchoredis::protocol::{Ballot, Digest, OpId, Position, Version};

/// What the nodes run, on a list. The element that an append brings is the number of its client's op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    Append,
    /// An append that fails unless the length's parity is this: the model's WRONGTYPE.
    AppendIf {
        odd: bool,
    },
    Pop,
    Read,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    Length(usize),
    Popped(Option<u8>),
    Values(Vec<u8>),
    Error,
}

impl Command {
    /// The new value, unless the command only reads or fails; and the reply.
    pub fn run(self, client: u8, value: &[u8]) -> (Option<Vec<u8>>, Reply) {
        match self {
            Self::Append => appended(client, value),
            Self::AppendIf { odd } if (value.len() % 2 == 1) == odd => appended(client, value),
            Self::AppendIf { .. } => (None, Reply::Error),
            Self::Pop => {
                (Some(value.iter().skip(1).copied().collect()), Reply::Popped(value.first().copied()))
            }
            Self::Read => (None, Reply::Values(value.to_vec())),
        }
    }
}

fn appended(client: u8, value: &[u8]) -> (Option<Vec<u8>>, Reply) {
    let longer = [value, &[client]].concat();
    let length = longer.len();
    (Some(longer), Reply::Length(length))
}

/// One op as a node's history has it. Its reply follows from the ops before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    pub op: OpId,
    /// Which client's op it is, whatever its id: what is counted for I5.
    pub client: u8,
    pub command: Command,
    pub ran: Ballot,
}

/// What a digest is taken over, beside the digest before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DigestOver {
    /// The op's id and the ballot under which it ran: what the scripts do.
    #[default]
    IdAndBallot,
    /// The id alone.
    Id,
}

/// The most ops that a digest of four bytes an op can name.
const LONGEST: usize = 4;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct History {
    entries: Arc<[Entry]>,
    position: Position,
    over: DigestOver,
}

impl History {
    pub fn position(&self) -> Position {
        self.position
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn holds(&self, client: u8) -> bool {
        self.entries.iter().any(|entry| entry.client == client)
    }

    pub fn push(&self, entry: Entry, over: DigestOver) -> Self {
        let entries: Arc<[Entry]> = self.entries.iter().copied().chain([entry]).collect();
        let position = Position { version: Version(entries.len() as u64), digest: digest(&entries, over) };
        Self { entries, position, over }
    }

    /// The history of its first ops.
    pub fn first(&self, ops: usize) -> Self {
        let first = self.entries[..ops].iter();
        first.fold(Self::default(), |history, entry| history.push(*entry, self.over))
    }

    /// The value after its first ops.
    pub fn value_after(&self, ops: usize) -> Vec<u8> {
        let mut value = Vec::new();
        for entry in &self.entries[..ops] {
            value = entry.command.run(entry.client, &value).0.unwrap_or(value);
        }
        value
    }

    pub fn value(&self) -> Vec<u8> {
        self.value_after(self.entries.len())
    }

    /// What the op at this place answered when it ran.
    pub fn reply_of(&self, place: usize) -> Reply {
        let entry = self.entries[place];
        entry.command.run(entry.client, &self.value_after(place)).1
    }

    pub fn extends(&self, earlier: &Self) -> bool {
        self.extends_first(earlier, earlier.entries.len())
    }

    /// Whether this history begins with the first ops of that one.
    pub fn extends_first(&self, other: &Self, ops: usize) -> bool {
        let same = |(a, b): (&Entry, &Entry)| a.op == b.op && a.ran == b.ran;
        self.entries.len() >= ops && self.entries.iter().zip(&other.entries[..ops]).all(same)
    }

    /// The same ops in the same order, whenever they ran.
    pub fn same_ops(&self, other: &Self) -> bool {
        let ops = |history: &Self| -> Vec<_> { history.entries.iter().map(|e| (e.op, e.command)).collect() };
        ops(self) == ops(other)
    }
}

/// Four bytes for each op: no two histories of the model share a digest.
fn digest(entries: &[Entry], over: DigestOver) -> Digest {
    assert!(entries.len() <= LONGEST, "a digest names {LONGEST} ops");
    let mut bytes = [0; 16];
    for (four, entry) in bytes.chunks_exact_mut(4).zip(entries) {
        let ran = match over {
            DigestOver::IdAndBallot => [entry.ran.time_us(), entry.ran.coordinator().0],
            DigestOver::Id => [0, 0],
        };
        let words = [entry.op.coordinator.0, entry.op.sequence, ran[0], ran[1]];
        four.iter_mut().zip(words).for_each(|(byte, word)| *byte = word as u8);
    }
    Digest::from_bytes(bytes)
}
