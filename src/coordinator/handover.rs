//! What a decided round leaves to be done, and who does it when.
//!
//! Where two coordinators write one register, their rounds cross now and then: a node runs both ops where the others run one, and from then
//! on its history is another one. Every further round takes two round trips until it is repaired, and a repair finds its source moved on
//! as long as somebody writes. So whoever decides repairs first, and goes on then; and where the other one came between, leaves it a moment
//! to do the same.

use super::Coordinator;
use super::attempt::Attempt;
use super::commit::Committed;
use super::repair::Repair;
use super::transfer::Goal;
use crate::node::Seat;
use crate::protocol::{ApplyAnswer, Ballot, NodeIndex, Position, Rule, SettleAnswer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The longest that the next op waits for the repair of the nodes that took part.
const LONGEST: Duration = Duration::from_millis(50);

/// The least that is given to answers that are still on their way.
const SHORTEST: Duration = Duration::from_millis(5);

/// A decision that not all nodes hold.
pub(super) struct Unsettled {
    attempt: Attempt,
    ballot: Ballot,
    position: Position,
    source: NodeIndex,
    rule: Rule,
    /// How long it took from the first round on.
    took: Duration,
}

impl Coordinator {
    /// After a decision: what is not known to be held by all nodes, if anything.
    pub(super) fn after(
        self: &Arc<Self>,
        attempt: Attempt,
        committed: &Committed,
        took: Duration,
    ) -> Option<Unsettled> {
        let Some(position) = committed.position else {
            self.leave(attempt);
            return None;
        };
        let (ballot, source, rule) = (committed.ballot, committed.source, committed.rule);
        if !attempt.has_stragglers() && rule != Rule::W2 {
            return None;
        }
        let left = Unsettled { attempt, ballot, position, source, rule, took };
        // One key is repaired in the background as soon, and ops on it need not wait for that.
        if left.attempt.work().is_of_several_keys() && left.attempt.has_met_another() {
            return Some(left);
        }
        self.repair_later(left);
        None
    }

    /// Waits for the stragglers in the background, then repairs whoever differs.
    pub(super) fn repair_later(self: &Arc<Self>, mut left: Unsettled) {
        if !left.attempt.has_stragglers() {
            self.repair_after(&left);
            return;
        }
        let coordinator = Arc::clone(self);
        tokio::spawn(async move {
            left.attempt.finish().await;
            coordinator.repair_after(&left);
        });
    }

    fn repair_after(self: &Arc<Self>, left: &Unsettled) {
        let attempt = &left.attempt;
        // A node that is away gets nothing now, and those that took the settle remember it where they knew that then.
        let waits =
            |node: NodeIndex| attempt.is_marked() && matches!(attempt.view.node(node).seat(), Seat::Away(_));
        let lacking = attempt.round.repairs().into_iter().map(|(node, _)| node);
        let targets: Vec<NodeIndex> = lacking.filter(|node| !waits(*node)).collect();
        if !targets.is_empty() {
            self.request_repair(Repair::Settle {
                register: attempt.work().register.clone(),
                ballot: left.ballot,
                position: left.position,
                source: left.source,
                targets,
                taken_by_majority: left.rule == Rule::W2,
                view: Arc::clone(&attempt.view),
            });
        }
    }

    /// Two coordinators met on the register: repairs the nodes that took part before the next op changes what they are repaired from.
    pub(super) async fn hand_over(self: &Arc<Self>, mut left: Unsettled) {
        // A node that has not answered by now is none that met anybody.
        let _ = timeout(left.took.clamp(SHORTEST, LONGEST), left.attempt.finish()).await;
        let parted = left.attempt.parted();
        let is_all = parted.len() == left.attempt.round.repairs().len();
        let bringing = self.bring_along(left.goal(), parted);
        if timeout(LONGEST, bringing).await.unwrap_or(false) && is_all {
            return;
        }
        // Somebody else is at work: a moment in which it can finish, and repair what it decides.
        tokio::time::sleep(left.took.min(LONGEST).mul_f64(self.config.surroundings.fraction())).await;
        let register = &left.attempt.work().register;
        if self.queues.has_waiting(register) {
            // The next round finds the same, most likely, and repairs it. If not, this does.
            self.request_repair(Repair::Doubt { register: register.clone() });
        } else {
            self.repair_later(left);
        }
    }

    async fn bring_along(&self, goal: Goal, parted: Vec<NodeIndex>) -> bool {
        let deadline = Instant::now() + LONGEST;
        let mut all = true;
        for target in &parted {
            let node = goal.view.node(*target).name();
            self.telemetry.repair_requested(node);
            let done = self.transfer(&goal, *target, deadline).await == SettleAnswer::Accepted;
            self.telemetry.repair_ended(node, done);
            self.repairs.note(done);
            all &= done;
        }
        all
    }
}

impl Unsettled {
    fn goal(&self) -> Goal {
        Goal {
            register: self.attempt.work().register.clone(),
            ballot: self.ballot,
            position: self.position,
            source: self.source,
            dirty: false,
            whole: false,
            loose: false,
            taken_by_majority: self.rule == Rule::W2,
            brief: true,
            epoch: None,
            view: Arc::clone(&self.attempt.view),
        }
    }
}

impl Attempt {
    /// Whether another coordinator's op came between on some node.
    fn has_met_another(&self) -> bool {
        let refused = |answer: &ApplyAnswer<_>| matches!(answer, ApplyAnswer::Nack { .. });
        let mut positions = self.view.indices().filter_map(|index| match self.round.answer(index) {
            Some(ApplyAnswer::Ack(ack)) => Some(ack.standing.position),
            _ => None,
        });
        let first = positions.next();
        positions.any(|position| Some(position) != first)
            || self.view.indices().any(|index| self.round.answer(index).is_some_and(refused))
    }

    /// The nodes that took part and do not hold what was decided.
    fn parted(&self) -> Vec<NodeIndex> {
        let took_part = |index: &NodeIndex| matches!(self.round.answer(*index), Some(ApplyAnswer::Ack(_)));
        self.round.repairs().into_iter().map(|(index, _)| index).filter(took_part).collect()
    }
}
