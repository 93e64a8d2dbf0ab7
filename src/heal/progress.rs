//! What a healer says: while it works, and at the end.

use serde::Serialize;

/// Hears how far a sweep is.
pub trait Progress: Send + Sync {
    /// So many registers were compared, of about so many; so many were repaired.
    fn compared(&self, seen: u64, about: u64, repaired: u64);
    /// So many bytes of values went to nodes that lacked them, since the healer's client began.
    fn moved(&self, _bytes: u64) {}
    /// Something that an operator wants to read.
    fn note(&self, line: &str);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn compared(&self, _seen: u64, _about: u64, _repaired: u64) {}
    fn note(&self, _line: &str) {}
}

/// What one node got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeRepairs {
    /// The node's address.
    pub node: String,
    /// How many registers it was given.
    pub registers: u64,
}

/// What a heal pass came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Registers compared, tombstones included.
    pub seen: u64,
    /// Registers that all nodes held alike at the first look.
    pub identical: u64,
    /// Registers that did not, at that look; some of them only because a write was under way.
    pub differing: u64,
    /// What each node was given.
    pub repaired: Vec<NodeRepairs>,
    /// Registers that could not be brought to all nodes.
    pub failed: u64,
    /// Registers that were marked dirty and are not any more.
    pub cleaned: u64,
    /// Nodes that vote again.
    pub rejoined: Vec<String>,
    /// Nodes that were not there, and why.
    pub away: Vec<String>,
    /// Whether all nodes vote and a last look found every register identical on all of them.
    pub complete: bool,
}

impl Summary {
    /// How often a node was given a register.
    pub(super) fn given(&self) -> u64 {
        self.repaired.iter().map(|node| node.registers).sum()
    }
}
