//! The nodes as a coordinator knows them: who they are in one generation, and which of them count now.

use crate::config::Config;
use crate::error::{Failures, NodeFailure};
use crate::node::{Node, Seat};
use crate::protocol::{Epoch, NodeIndex, Quorum, count_together};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How much the difference of two clocks may have changed since it was measured, without a second round for what depends on it.
const CLOCKS_DRIFT_MS: u64 = 10;

/// The members of one generation. It never changes; a coordinator goes on to the next one.
pub struct View {
    generation: u64,
    /// The generation in which everything was deleted last.
    pub(super) flushed: u64,
    pub(super) nodes: Vec<Arc<dyn Node>>,
    pub(super) quorum: Quorum,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("generation", &self.generation)
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl View {
    /// These nodes are all members of the generation, in the order of their indices.
    pub fn new(generation: u64, flushed: u64, nodes: Vec<Arc<dyn Node>>) -> View {
        View { generation, flushed, quorum: Quorum::of(nodes.len()), nodes }
    }

    /// The generation that all answers belong to.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn node(&self, index: NodeIndex) -> &Arc<dyn Node> {
        &self.nodes[index.0]
    }

    pub(super) fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.nodes.len()).map(NodeIndex)
    }

    /// The nodes whose answers count together now: the voters of the newest epoch among them. Who votes in another generation
    /// votes in another configuration, or on data that was deleted since.
    pub(super) fn voters(&self) -> Voters {
        let epoch_of = |seat| match seat {
            Seat::Voter(epoch) if epoch.generation() == self.generation => Some(epoch),
            Seat::Voter(_) | Seat::Joining | Seat::Away(_) => None,
        };
        let epochs: Vec<Option<Epoch>> = self.nodes.iter().map(|node| epoch_of(node.seat())).collect();
        let together = count_together(&epochs);
        for (index, epoch) in epochs.iter().enumerate() {
            if epoch.is_some() && !together.contains(&NodeIndex(index)) {
                self.nodes[index].fenced();
            }
        }
        let epoch = epochs.iter().flatten().max().copied().unwrap_or_default();
        Voters { epoch, together }
    }

    /// Whether every node can be brought something, be it a voter or not.
    pub(super) fn is_all_there(&self) -> bool {
        !self.nodes.iter().any(|node| matches!(node.seat(), Seat::Away(_)))
    }

    /// Whether a majority can be asked now.
    pub(super) fn has_quorum(&self) -> bool {
        self.voters().together.len() >= self.quorum.majority()
    }

    /// A time that is past on the clocks of all these nodes, in ms since 1970, as near to the present as their differences allow.
    pub(super) fn past_on_all(&self, voters: &Voters, now_ms: u64) -> u64 {
        let offsets = voters.together.iter().map(|index| self.node(*index).clock_offset_ms());
        let slowest_ms = offsets.min().unwrap_or_default();
        now_ms.saturating_add_signed(slowest_ms).saturating_sub(CLOCKS_DRIFT_MS)
    }

    /// How long a round waits for its slowest node once a majority has answered: as long as a majority usually takes. Waiting
    /// longer for a slow node costs more than the second round that does without it.
    pub(super) fn hedge_delay(&self, voters: &Voters, config: &Config) -> Duration {
        let mut usual: Vec<Duration> =
            voters.together.iter().map(|index| self.node(*index).usual_latency()).collect();
        usual.sort();
        let majority = usual.get(self.quorum.majority() - 1).copied().unwrap_or_default();
        majority.clamp(config.hedge.0, config.hedge.1)
    }

    /// Why each node did not help, as far as its seat tells.
    pub(super) fn failures(&self, reasons: &[Option<String>]) -> Failures {
        let known = self.nodes.iter().enumerate().filter_map(|(place, node)| {
            let reason = match (reasons.get(place).cloned().flatten(), node.seat()) {
                (Some(reason), _) => reason,
                (None, Seat::Away(reason)) => reason,
                (None, Seat::Joining) => "it is being filled from the others and does not vote yet".into(),
                (None, Seat::Voter(epoch)) if epoch.generation() != self.generation => {
                    "it belongs to another generation of the cluster".into()
                }
                (None, Seat::Voter(_)) => return None,
            };
            Some(NodeFailure { node: node.name().to_owned(), reason })
        });
        Failures(known.collect())
    }
}

/// The nodes whose answers count together.
#[derive(Default)]
pub(super) struct Voters {
    pub(super) epoch: Epoch,
    pub(super) together: Vec<NodeIndex>,
}

impl Voters {
    pub(super) fn count(&self, node: NodeIndex) -> bool {
        self.together.contains(&node)
    }
}
