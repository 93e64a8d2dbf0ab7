//! Configurations: who votes in which generation.

use anarchoredis::protocol::Epoch;

use super::reads::majority;

/// A set of servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Members(u32);

impl Members {
    pub fn first(count: usize) -> Self {
        Self((1 << count) - 1)
    }

    pub fn list(self) -> Vec<usize> {
        (0..32).filter(|node| self.contains(*node)).collect()
    }

    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub fn majority(self) -> usize {
        majority(self.len())
    }

    pub fn contains(self, node: usize) -> bool {
        self.0 & (1 << node) != 0
    }

    pub fn with(self, node: usize) -> Self {
        Self(self.0 | (1 << node))
    }

    pub fn without(self, node: usize) -> Self {
        Self(self.0 & !(1 << node))
    }

    /// As an element of the register of the configuration, which lists the members of each generation after the first.
    pub fn to_item(self) -> u32 {
        self.0
    }

    pub fn from_item(item: u32) -> Self {
        Self(item)
    }
}

/// So many rejoins may fall into one generation.
const REJOINS: u64 = 1_000;

/// The generation of an epoch: the number of its membership. Rejoins count on within it.
pub fn generation(epoch: Epoch) -> usize {
    (epoch.0 / REJOINS) as usize
}

/// The first epoch of a generation.
pub fn first_epoch(generation: usize) -> Epoch {
    Epoch(generation as u64 * REJOINS)
}
