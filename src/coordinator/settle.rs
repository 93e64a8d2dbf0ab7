//! The second half of a round that needs one: the settles of W2.

use super::attempt::{Attempt, Event};
use super::transfer::Goal;
use super::under_way::{Asked, Sent};
use crate::node::Seat;
use crate::protocol::{NodeIndex, RepairNeed, SettleAnswer, SettlePlan, WriteStep};
use crate::script::Part;
use std::sync::Arc;
use tokio::time::Instant;

impl Attempt {
    /// W2: confirmations go out at once; states only where the confirmations cannot reach a majority, the others get theirs as
    /// repairs after the decision.
    pub(super) fn settle(&mut self, plan: &SettlePlan) -> WriteStep {
        self.note_trail(true);
        let voters = self.view.voters();
        let confirms = plan
            .sends
            .iter()
            .filter(|(index, need)| *need == RepairNeed::Confirm && voters.count(*index))
            .count();
        let with_state = confirms < self.view.quorum.majority();
        let record = self.record.clone();
        self.marked = self.dirty;
        // Behind the op, where that still waits to be sent.
        let part = Arc::new(Part::confirmation(&record, plan.ballot, plan.position.digest, self.dirty));
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut step = WriteStep::Wait;
        for (index, need) in plan.sends.iter().copied() {
            // A silent node has the apply before it on the same connection, so a confirmation will mostly do.
            let silent = self.sent[index.0] && self.round.answer(index).is_none();
            if !voters.count(index) || (need == RepairNeed::State && !with_state && !silent) {
                let taken = self.round.on_settle_answer(index, SettleAnswer::NoVote);
                step = if taken == WriteStep::Wait { step } else { taken };
            } else if need == RepairNeed::Confirm || !with_state {
                let calling = self.view.node(index).send_part(self.epoch, &part, left);
                self.calls.push(Sent::Settle(Asked(index, calling)));
            } else {
                self.push_transfer(plan, index);
            }
        }
        step
    }

    /// A state may take long to arrive, but not from a node that hangs, nor at one.
    pub(super) fn give_up_on_silent(&mut self, plan: &SettlePlan) -> WriteStep {
        let mut step = self.round.on_hedge();
        for (index, need) in plan.sends.iter().copied() {
            if step != WriteStep::Wait {
                return step;
            }
            if !self.round.owes_settle(index) {
                continue;
            }
            let source = (need == RepairNeed::State).then_some(plan.winner);
            let waits_for = [Some(index), source];
            waits_for.iter().flatten().for_each(|node| self.view.node(*node).missed());
            let hangs = |node: &NodeIndex| matches!(self.view.node(*node).seat(), Seat::Away(_));
            if waits_for.iter().flatten().any(hangs) {
                step = self.round.on_settle_answer(index, SettleAnswer::NoVote);
            }
        }
        step
    }

    fn push_transfer(&mut self, plan: &SettlePlan, index: NodeIndex) {
        let coordinator = Arc::clone(&self.coordinator);
        let goal = Goal {
            register: self.work.register.clone(),
            ballot: plan.ballot,
            position: plan.position,
            source: plan.winner,
            dirty: self.dirty,
            whole: false,
            loose: false,
            taken_by_majority: false,
            brief: false,
            epoch: Some(self.epoch),
            view: Arc::clone(&self.view),
        };
        let deadline = self.deadline;
        self.calls.push(Sent::Move(Box::pin(async move {
            let answer = coordinator.transfer(&goal, index, deadline).await;
            Event::Moved(index, answer)
        })));
    }
}
