//! Drives rounds over the nodes: fan-out, answers in arrival order, hedge, retry under the same op id, background repair.
//!
//! ```text
//!   caller ─ submit ─▶ queue of the register ─ one batch at a time ─▶ write round ─▶ nodes
//!          ◀─ reply ──                        decided ──▶ repair queue ─ settle ──▶ nodes that differ
//!   caller ─ read ───▶ read round ─▶ nodes            (R4: through the queue, as a slow read)
//! ```
//!
//! What is sent is owned by tasks of the coordinator: a caller that goes away stops waiting, and nothing else.

mod answers;
mod attempt;
mod commit;
mod content;
mod fill;
mod hold;
mod journey;
mod mend;
mod queue;
mod read;
mod read_repair;
mod repair;
mod settle;
mod stage;
mod transfer;
mod work;

pub use mend::Mended;
pub use repair::RepairCounts;
pub use work::{Done, Work};

use crate::config::Config;
use crate::error::{Failures, NodeFailure};
use crate::node::{Node, Seat};
use crate::protocol::{Ballot, BallotClock, CoordinatorId, Epoch, NodeIndex, OpId, Quorum};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How much the difference of two clocks may have changed since it was measured, without a second round for what depends on it.
const CLOCKS_DRIFT_MS: u64 = 10;

/// One coordinator: any number of callers, one clock, one op in flight per register.
pub struct Coordinator {
    nodes: Vec<Arc<dyn Node>>,
    quorum: Quorum,
    config: Arc<Config>,
    id: CoordinatorId,
    clock: Mutex<BallotClock>,
    sequence: AtomicU64,
    queues: queue::Queues,
    repairs: repair::RepairQueue,
    fills: fill::Fills,
    holds: hold::Holds,
    closing: AtomicBool,
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator")
            .field("id", &self.id)
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl Coordinator {
    /// A coordinator over these nodes, which are all that vote. Its background repair starts at once.
    pub fn start(nodes: Vec<Arc<dyn Node>>, config: Arc<Config>) -> Arc<Coordinator> {
        let id = CoordinatorId(config.surroundings.random());
        let (repairs, jobs) = repair::RepairQueue::new(config.repair_queue);
        let coordinator = Arc::new(Coordinator {
            quorum: Quorum::of(nodes.len()),
            nodes,
            id,
            clock: Mutex::new(BallotClock::new(id)),
            sequence: AtomicU64::new(0),
            queues: queue::Queues::default(),
            repairs,
            fills: fill::Fills::default(),
            holds: hold::Holds::default(),
            closing: AtomicBool::new(false),
            config,
        });
        tokio::spawn(repair::run(Arc::downgrade(&coordinator), jobs));
        coordinator
    }

    /// How many nodes vote, and how many of them decide.
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// The nodes, in the order of their indices.
    pub fn nodes(&self) -> &[Arc<dyn Node>] {
        &self.nodes
    }

    /// Takes no further operations; those under way end as they would.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether no operation is queued or under way and no repair waits.
    pub fn is_idle(&self) -> bool {
        self.queues.is_empty() && self.repairs.counts().waiting == 0
    }

    /// What the background repair has done so far.
    pub fn repair_counts(&self) -> RepairCounts {
        self.repairs.counts()
    }

    /// The time of day, in ms since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.config.surroundings.now_us() / 1_000
    }

    /// A time that is past on the clocks of all these nodes, in ms since 1970, as near to the present as their differences allow.
    fn past_on_all(&self, voters: &Voters) -> u64 {
        let offsets = voters.together.iter().map(|index| self.node(*index).clock_offset_ms());
        let slowest_ms = offsets.min().unwrap_or_default();
        self.now_ms().saturating_add_signed(slowest_ms).saturating_sub(CLOCKS_DRIFT_MS)
    }

    fn next_ballot(&self) -> Ballot {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).next(self.config.surroundings.now_us())
    }

    fn observe(&self, ballot: Ballot) {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).observe(ballot);
    }

    /// Makes the next ballot's time later than this.
    fn observe_ms(&self, at_ms: u64) {
        self.observe(Ballot::new((at_ms + 1) * 1_000, self.id));
    }

    fn next_op(&self) -> OpId {
        OpId { coordinator: self.id, sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    fn node(&self, index: NodeIndex) -> &Arc<dyn Node> {
        &self.nodes[index.0]
    }

    fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.nodes.len()).map(NodeIndex)
    }

    /// The nodes whose answers count together now: the voters of the newest epoch among them.
    fn voters(&self) -> Voters {
        let epoch_of = |seat| match seat {
            Seat::Voter(epoch) => Some(epoch),
            Seat::Joining | Seat::Away(_) => None,
        };
        let epochs: Vec<Option<Epoch>> = self.nodes.iter().map(|node| epoch_of(node.seat())).collect();
        let together = crate::protocol::count_together(&epochs);
        for (index, epoch) in epochs.iter().enumerate() {
            if epoch.is_some() && !together.contains(&NodeIndex(index)) {
                self.nodes[index].fenced();
            }
        }
        let epoch = epochs.iter().flatten().max().copied().unwrap_or_default();
        Voters { epoch, together }
    }

    /// How long a round waits for its slowest node once a majority has answered: as long as a majority usually takes. Waiting
    /// longer for a slow node costs more than the second round that does without it.
    fn hedge_delay(&self, voters: &Voters) -> Duration {
        let mut usual: Vec<Duration> =
            voters.together.iter().map(|index| self.node(*index).usual_latency()).collect();
        usual.sort();
        let majority = usual.get(self.quorum.majority() - 1).copied().unwrap_or_default();
        majority.clamp(self.config.hedge.0, self.config.hedge.1)
    }

    /// Why each node did not help, as far as its seat tells.
    fn failures(&self, reasons: &[Option<String>]) -> Failures {
        let known = self.nodes.iter().zip(reasons).filter_map(|(node, reason)| {
            let reason = match (reason, node.seat()) {
                (Some(reason), _) => reason.clone(),
                (None, Seat::Away(reason)) => reason,
                (None, Seat::Joining) => "it is being filled from the others and does not vote yet".into(),
                (None, Seat::Voter(_)) => return None,
            };
            Some(NodeFailure { node: node.name().to_owned(), reason })
        });
        Failures(known.collect())
    }
}

/// The nodes whose answers count together.
#[derive(Default)]
struct Voters {
    epoch: Epoch,
    together: Vec<NodeIndex>,
}

impl Voters {
    fn count(&self, node: NodeIndex) -> bool {
        self.together.contains(&node)
    }
}
