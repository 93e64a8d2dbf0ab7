//! How many nodes there are, and how many are enough.

/// A node's place in the list of the nodes of a round, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// The N nodes that vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// N: how many vote.
    pub nodes: usize,
}

impl Quorum {
    /// The quorum of `nodes` voting nodes.
    pub fn of(nodes: usize) -> Self {
        Self { nodes }
    }

    /// M = N/2+1: any two sets of this many nodes share one.
    pub fn majority(self) -> usize {
        self.nodes / 2 + 1
    }

    /// All places, in order.
    pub(super) fn indices(self) -> impl Iterator<Item = NodeIndex> {
        (0..self.nodes).map(NodeIndex)
    }
}

/// Which rule of the protocol decided a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// All N acknowledged one ballot with the same position: one round trip.
    W1,
    /// M acknowledged, and M took the settle of the highest of them: two round trips.
    W2,
    /// All N report the same promise and the same position.
    R1,
    /// M report the same settle, and nothing after it.
    R2,
    /// The register does not exist: M reports for a read, all N for a mutation.
    R3,
    /// The weaker level: the highest of any M reports. It may show a write that never commits.
    Quorum,
}

/// How a round ended, and whose answer is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// The rule that holds.
    pub rule: Rule,
    /// The node whose reply, standing and state are the decision's.
    pub from: NodeIndex,
}
