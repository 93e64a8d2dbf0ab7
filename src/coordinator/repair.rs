//! Read repair in the background: a bounded queue; what overflows or fails is marked dirty on the nodes, where healers find it.

use super::Coordinator;
use super::transfer::{Goal, REPAIR_PATIENCE};
use super::view::View;
use crate::command::Register;
use crate::node::Seat;
use crate::protocol::{Ballot, NodeIndex, Position, SettleAnswer};
use crate::script::mark_call;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Something that a round left to be mended.
#[derive(Clone, Debug)]
pub(super) enum Repair {
    /// These nodes do not hold what was settled.
    Settle {
        register: Register,
        ballot: Ballot,
        position: Position,
        source: NodeIndex,
        targets: Vec<NodeIndex>,
        /// See [`Goal`].
        taken_by_majority: bool,
        /// Where the indices lead.
        view: Arc<View>,
    },
    /// Nodes differ, and no settle says who is right: a slow read decides.
    Doubt { register: Register },
    /// Nodes hold equal histories and unequal values: the majority's value goes to all.
    Rewrite { register: Register },
}

impl Repair {
    /// Whether the other one, asked for later, leaves nothing for this one to do: an older settle would come too late.
    fn gives_way_to(&self, later: &Repair) -> bool {
        match (self, later) {
            (Repair::Settle { ballot: older, .. }, Repair::Settle { ballot: newer, .. }) => newer > older,
            (Repair::Settle { .. }, _) | (Repair::Doubt { .. }, Repair::Rewrite { .. }) => true,
            _ => false,
        }
    }

    fn register(&self) -> &Register {
        match self {
            Repair::Settle { register, .. } | Repair::Doubt { register } | Repair::Rewrite { register } => {
                register
            }
        }
    }
}

/// What the background repair has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairCounts {
    /// Asked for.
    pub requested: u64,
    /// Done: the node holds what was decided.
    pub done: u64,
    /// Failed, or overtaken by a later write; marked dirty.
    pub failed: u64,
    /// Not taken because the queue was full; marked dirty.
    pub overflowed: u64,
    /// Waiting or under way.
    pub waiting: u64,
}

/// The queue. A register waits in it once, however often it is asked for, with the repair that covers the others.
pub(super) struct RepairQueue {
    jobs: mpsc::Sender<Repair>,
    waiting: Mutex<HashMap<Register, Repair>>,
    requested: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    overflowed: AtomicU64,
    under_way: AtomicU64,
}

impl RepairQueue {
    pub(super) fn new(at_most: usize) -> (RepairQueue, mpsc::Receiver<Repair>) {
        let (jobs, receiver) = mpsc::channel(at_most.max(1));
        let queue = RepairQueue {
            jobs,
            waiting: Mutex::default(),
            requested: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
        };
        (queue, receiver)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<Register, Repair>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a repair in; says whether there was room.
    fn take(&self, repair: Repair) -> bool {
        self.requested.fetch_add(1, Ordering::Relaxed);
        let register = repair.register().clone();
        if let Some(older) = self.waiting().get_mut(&register) {
            if older.gives_way_to(&repair) {
                *older = repair;
            }
            return true;
        }
        self.waiting().insert(register.clone(), repair.clone());
        let room = self.jobs.try_send(repair).is_ok();
        if !room {
            self.waiting().remove(&register);
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
        room
    }

    /// One that did not wait in the queue.
    pub(super) fn note(&self, done: bool) {
        self.requested.fetch_add(1, Ordering::Relaxed);
        if done { &self.done } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> RepairCounts {
        RepairCounts {
            requested: self.requested.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            overflowed: self.overflowed.load(Ordering::Relaxed),
            waiting: u64::try_from(self.waiting().len()).unwrap_or(u64::MAX)
                + self.under_way.load(Ordering::Relaxed),
        }
    }
}

/// Works the queue off until the coordinator is gone.
pub(super) async fn run(coordinator: Weak<Coordinator>, mut jobs: mpsc::Receiver<Repair>) {
    let at_once = coordinator.upgrade().map_or(1, |coordinator| coordinator.config.repairs_at_once.max(1));
    let stream = futures_util::stream::poll_fn(move |context| jobs.poll_recv(context));
    let work = |job: Repair| {
        let coordinator = coordinator.clone();
        async move {
            if let Some(coordinator) = coordinator.upgrade() {
                coordinator.carry_out(job).await;
            }
        }
    };
    stream.for_each_concurrent(at_once, work).await;
}

/// How long a doubt is left alone: most are a write under way, which a ballot would disturb.
const DOUBT_RESTS: Duration = Duration::from_millis(50);

impl Coordinator {
    /// Asks for a repair. Never waits; what finds no room is marked dirty on the nodes.
    pub(super) fn request_repair(self: &Arc<Self>, repair: Repair) {
        let register = repair.register().clone();
        if let Repair::Settle { targets, view, .. } = &repair {
            targets.iter().for_each(|target| self.telemetry.repair_requested(view.node(*target).name()));
        }
        if !self.repairs.take(repair) {
            self.telemetry.overflowed.inc();
            let coordinator = Arc::clone(self);
            tokio::spawn(async move { coordinator.mark_dirty(&register).await });
        }
    }

    async fn clear_doubt(self: &Arc<Self>, register: &Register) -> bool {
        if self.is_alike(register).await {
            return true;
        }
        self.mend(register).await.is_ok_and(|mended| mended.is_complete())
    }

    async fn carry_out(self: Arc<Self>, repair: Repair) {
        let register = repair.register().clone();
        if matches!(repair, Repair::Doubt { .. }) {
            tokio::time::sleep(DOUBT_RESTS).await; // what comes up meanwhile is the same doubt
        }
        // From here on a new finding about the register is a new request.
        self.repairs.under_way.fetch_add(1, Ordering::Relaxed);
        let repair = self.repairs.waiting().remove(&register).unwrap_or(repair);
        let mended = match repair {
            Repair::Settle { register, ballot, position, source, targets, taken_by_majority, view } => {
                // Where others write too, all of a large register would come too late; what it parted at is known, mostly.
                let brief = self.trails.know(&register);
                let goal = Goal {
                    register: register.clone(),
                    ballot,
                    position,
                    source,
                    dirty: false,
                    whole: false,
                    loose: false,
                    taken_by_majority,
                    brief,
                    epoch: None,
                    view,
                };
                // All is there but the settle, and a later op overtook it: one more decision, and the ops after it wait.
                self.settle_on(&goal, &targets).await
                    || self.fills.wait_for_a_settle(&register, &targets)
                        && self.mend(&register).await.is_ok_and(|mended| mended.is_complete())
                    || brief && {
                        tokio::time::sleep(DOUBT_RESTS).await;
                        self.clear_doubt(&register).await
                    }
            }
            Repair::Doubt { register } => self.clear_doubt(&register).await,
            Repair::Rewrite { register } => {
                self.rewrite(&register).await.is_ok_and(|mended| mended.is_complete())
            }
        };
        if mended {
            self.repairs.done.fetch_add(1, Ordering::Relaxed);
        } else {
            self.repairs.failed.fetch_add(1, Ordering::Relaxed);
            self.mark_dirty(&register).await;
        }
        self.repairs.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// Settles the goal on each target that can be reached; says whether all of them hold it now, or a later ballot.
    pub(super) async fn settle_on(&self, goal: &Goal, targets: &[NodeIndex]) -> bool {
        let deadline = Instant::now() + REPAIR_PATIENCE;
        let mut all = true;
        for target in targets {
            let node = goal.view.node(*target);
            let done = !matches!(node.seat(), Seat::Away(_)) && {
                let answer = self.transfer(goal, *target, deadline).await;
                // A higher promise: another round is at work there, and repairs what it decides.
                matches!(answer, SettleAnswer::Accepted | SettleAnswer::Nack { .. })
            };
            self.telemetry.repair_ended(node.name(), done);
            all &= done;
        }
        all
    }

    /// Remembers on every node that answers that the register wants a healer.
    pub(super) async fn mark_dirty(&self, register: &Register) {
        let mark = self.next_ballot().to_string();
        self.telemetry.marked.inc();
        for node in &self.view().nodes {
            let patience = self.config.answer_timeout;
            let calling = node.send(&|ticket| mark_call(ticket.fence, register.id(), &mark), patience);
            if let Err(error) = calling.await {
                tracing::debug!(node = node.name(), %error, "could not mark a register dirty");
            }
        }
    }
}
