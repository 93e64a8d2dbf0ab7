//! Drives rounds over the nodes: fan-out, answers in arrival order, hedge, retry under the same op id, background repair.
//!
//! ```text
//!   caller ─ submit ─▶ queue of the register ─ one batch at a time ─▶ write round ─▶ nodes
//!          ◀─ reply ──                        decided ──▶ repair queue ─ settle ──▶ nodes that differ
//!   caller ─ read ───▶ read round ─▶ nodes            (R4: through the queue, as a slow read)
//! ```
//!
//! What is sent is owned by tasks of the coordinator: a caller that goes away stops waiting, and nothing else.

mod adopt;
mod answers;
mod attempt;
mod commit;
mod content;
mod fill;
mod fills;
mod handover;
mod hold;
mod journey;
mod mend;
mod queue;
mod read;
mod read_repair;
mod recover;
mod repair;
mod settle;
mod stage;
mod trail;
mod transfer;
mod under_way;
mod view;
mod waiting;
mod work;

pub use mend::Mended;
pub use repair::RepairCounts;
pub use view::View;
pub use work::{Done, Work};

use crate::config::Config;
use crate::protocol::{Ballot, BallotClock, CoordinatorId, OpId, Quorum};
use crate::telemetry::Telemetry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// One coordinator: any number of callers, one clock, one op in flight per register.
pub struct Coordinator {
    view: RwLock<Arc<View>>,
    config: Arc<Config>,
    id: CoordinatorId,
    clock: Mutex<BallotClock>,
    sequence: AtomicU64,
    queues: queue::Queues,
    repairs: repair::RepairQueue,
    fills: fills::Fills,
    holds: hold::Holds,
    trails: trail::Trails,
    closing: AtomicBool,
    pub(crate) telemetry: Arc<Telemetry>,
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator")
            .field("id", &self.id)
            .field("view", &self.view())
            .finish_non_exhaustive()
    }
}

impl Coordinator {
    /// A coordinator over the nodes of this view. Its background repair starts at once.
    pub fn start(view: View, config: Arc<Config>) -> Arc<Coordinator> {
        let id = CoordinatorId(config.surroundings.random());
        let (repairs, jobs) = repair::RepairQueue::new(config.repair_queue);
        let coordinator = Arc::new(Coordinator {
            view: RwLock::new(Arc::new(view)),
            id,
            clock: Mutex::new(BallotClock::new(id)),
            sequence: AtomicU64::new(0),
            queues: queue::Queues::default(),
            repairs,
            fills: fills::Fills::default(),
            holds: hold::Holds::default(),
            trails: trail::Trails::default(),
            closing: AtomicBool::new(false),
            telemetry: Arc::default(),
            config,
        });
        tokio::spawn(repair::run(Arc::downgrade(&coordinator), jobs));
        coordinator
    }

    /// The nodes as they are now known. A round keeps the view that it began with.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every round that begins from now on goes to the nodes of this view, unless a later generation is known already.
    pub fn follow(&self, view: View) {
        let mut current = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation() < view.generation() {
            *current = Arc::new(view);
        }
    }

    /// How many nodes vote, and how many of them decide.
    pub fn quorum(&self) -> Quorum {
        self.view().quorum
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
}
