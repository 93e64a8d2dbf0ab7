//! Commands of very many arguments, divided.
//!
//! A script passes arguments on with Lua's `unpack`, which fails at 8,000 (pitfall P36). So a long command becomes
//! several of one batch: still one op, one version.

use super::fold::Fold;
use super::refusal::Refusal;

/// The most arguments of one command inside a script, its name included.
pub(super) const MAX_PASSED: usize = 7_000;

/// The most arguments that a caller may give. Redis 6.2 ends the connection above 1,048,576, and a script call names each
/// key twice.
pub(super) const MAX_GIVEN: usize = 500_000;

/// The longest argument: what servers accept by default (proto-max-bulk-len).
pub(super) const MAX_BYTES: usize = 512 * 1024 * 1024;

/// How a command divides: its first `head` arguments are repeated, the rest goes in groups of `stride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub head: usize,
    pub stride: usize,
    pub fold: Fold,
}

/// Commands that run as one, and how their replies become one.
pub(super) struct Batch {
    pub commands: Vec<Vec<Vec<u8>>>,
    pub fold: Fold,
}

impl Batch {
    /// The command as it is, or in chunks if it is too long to be passed on.
    pub fn of(name: &str, command: Vec<Vec<u8>>, chunk: Option<Chunk>) -> Result<Self, Refusal> {
        match chunk {
            _ if command.len() <= MAX_PASSED => Ok(Self { commands: vec![command], fold: Fold::First }),
            None => Err(Refusal::TooManyArguments {
                name: name.to_owned(),
                count: command.len(),
                limit: MAX_PASSED,
            }),
            // The last group is short: no chunk may be applied if a later one fails.
            Some(chunk) if !(command.len() - chunk.head).is_multiple_of(chunk.stride) => {
                Err(Refusal::Arity { name: name.to_owned() })
            }
            Some(chunk) => Ok(Self { commands: divide(command, chunk), fold: chunk.fold }),
        }
    }
}

/// The command as it is where it is short enough, else its chunks in order. The arguments after the head must be whole
/// groups.
pub(super) fn divide(command: Vec<Vec<u8>>, chunk: Chunk) -> Vec<Vec<Vec<u8>>> {
    if command.len() <= MAX_PASSED {
        return vec![command];
    }
    let groups = (MAX_PASSED - chunk.head) / chunk.stride;
    let (head, rest) = command.split_at(chunk.head);
    rest.chunks(groups * chunk.stride).map(|part| [head, part].concat()).collect()
}
