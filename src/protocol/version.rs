//! Where a node stands: how long its history is, which history it is, and what of it was settled.

use std::fmt;
use std::str::FromStr;

use super::ballot::Ballot;
use super::parse::{self, ParseError};

/// The length of a history: how many ops produced the value. 0: none yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one history: a hash over the previous digest, the op's id and the ballot under which the op ran.
///
/// Equal digests mean that the same ops ran in the same order at the same times (I2). The text is 32 lower-case
/// hexadecimal digits, or empty at version 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Option<u128>);

impl Digest {
    /// The digest of the history without ops.
    pub const EMPTY: Self = Self(None);

    /// The digest with these 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Some(u128::from_be_bytes(bytes)))
    }

    /// Whether this is the digest at version 0.
    pub fn is_empty(self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |bits| write!(f, "{bits:032x}"))
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Ok(Self::EMPTY);
        }
        let bits = parse::hex128(text.as_bytes());
        bits.map(|bits| Self(Some(bits)))
            .ok_or_else(|| ParseError::new("a digest (32 hex digits, or none)", text))
    }
}

/// One point in one history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// How many ops.
    pub version: Version,
    /// Which ops.
    pub digest: Digest,
}

/// What an answer says of the register on its node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Standing {
    /// The ballot of the last settle that the node took; `None` at first.
    pub accepted: Option<Ballot>,
    /// The version at that settle; the ops after it were executed but not settled here.
    pub settled: Version,
    /// Where the node's history ends.
    pub position: Position,
}

impl Standing {
    /// What W2 takes the highest of: accepted ballot, then version, then digest.
    ///
    /// The accepted ballot comes first: an isolated coordinator can push one node's version far ahead of what was
    /// committed, but only a majority's answers lead to a settle.
    pub fn rank(&self) -> (Option<Ballot>, Version, Digest) {
        (self.accepted, self.position.version, self.position.digest)
    }

    /// Whether exactly this history was settled here: nothing was executed after the settle (R2 counts only these).
    pub fn is_settled(&self) -> bool {
        self.accepted.is_some() && self.settled == self.position.version
    }

    /// Invariant I1 as far as one answer shows it: settled ≤ version, and nothing is settled without a settle.
    pub(super) fn keeps_i1(&self) -> bool {
        self.settled <= self.position.version && (self.accepted.is_some() || self.settled == Version(0))
    }
}
