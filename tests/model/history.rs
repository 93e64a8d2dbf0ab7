//! The register of the model, a list, and the histories that produce it.

use std::rc::Rc;

use anarchoredis::protocol::{Ballot, Digest, OpId, Position, Version};

use super::rng::mix;

/// What clients ask for. Every id is appended by one op only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// RPUSH.
    Append(u32),
    /// An RPUSH that fails unless the length's parity is this: the model's WRONGTYPE.
    AppendIf { odd: bool, id: u32 },
    /// LPOP: on nothing it answers nil, which is where ABSENT is dangerous.
    Pop,
    /// LRANGE 0 -1.
    Read,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Length(usize),
    Popped(Option<u32>),
    Values(Vec<u32>),
    Error,
}

impl Command {
    /// The new value, unless the command only reads or fails; and the reply.
    pub fn run(self, value: &[u32]) -> (Option<Vec<u32>>, Reply) {
        match self {
            Self::Append(id) => appended(value, id),
            Self::AppendIf { odd, id } if (value.len() % 2 == 1) == odd => appended(value, id),
            Self::AppendIf { .. } => (None, Reply::Error),
            Self::Pop => {
                (Some(value.iter().skip(1).copied().collect()), Reply::Popped(value.first().copied()))
            }
            Self::Read => (None, Reply::Values(value.to_vec())),
        }
    }

    pub fn is_read(self) -> bool {
        self == Self::Read
    }
}

fn appended(value: &[u32], id: u32) -> (Option<Vec<u32>>, Reply) {
    let longer: Vec<u32> = value.iter().copied().chain([id]).collect();
    let length = longer.len();
    (Some(longer), Reply::Length(length))
}

/// One op as a node's history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub op: OpId,
    /// Which client's op it is, whatever its id: what the checker counts (I5).
    pub client: usize,
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
    value: Vec<u32>,
}

impl State {
    pub fn position(&self) -> Position {
        self.0.as_ref().map(|link| link.position).unwrap_or_default()
    }

    pub fn value(&self) -> &[u32] {
        self.0.as_ref().map_or(&[], |link| &link.value)
    }

    pub fn last(&self) -> Option<(&State, &Entry)> {
        self.0.as_ref().map(|link| (&link.before, &link.entry))
    }

    /// All entries, the last first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::successors(self.last(), |(before, _)| before.last()).map(|(_, entry)| entry)
    }

    pub fn push(&self, entry: Entry, value: Vec<u32>, over: DigestOver) -> State {
        let Position { version, digest } = self.position();
        let position =
            Position { version: Version(version.0 + 1), digest: digest_after(digest, &entry, over) };
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

/// What a digest is taken over, beside the digest before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DigestOver {
    /// The op's id and the ballot under which it ran: what the scripts do.
    #[default]
    IdAndBallot,
    /// The id alone: enough where an op has one content whenever it runs.
    Id,
}

/// By the ops, not by the value, so that I2 is worth checking.
fn digest_after(digest: Digest, entry: &Entry, over: DigestOver) -> Digest {
    let ran = match over {
        DigestOver::IdAndBallot => [entry.ran.time_us(), entry.ran.coordinator().0],
        DigestOver::Id => [0, 0],
    };
    let words = [entry.op.coordinator.0, entry.op.sequence, ran[0], ran[1]];
    let text = digest.to_string();
    let (high, low) = text.split_at(text.len() / 2);
    let seed = |half: &str| u64::from_str_radix(half, 16).unwrap_or(1);
    let fold = |seed: u64| words.iter().fold(seed, |hash, word| mix(hash.rotate_left(7) ^ *word));
    let bits = (u128::from(fold(seed(high))) << 64) | u128::from(fold(seed(low) ^ 0xabcd));
    Digest::from_bytes(bits.to_be_bytes())
}
