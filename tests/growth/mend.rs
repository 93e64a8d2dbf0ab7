//! The mending of a register: what it is, on every node that can be reached.

use std::rc::Rc;

use anarchoredis::protocol::{RepairNeed, Rule, SettleAnswer};

use super::admission::Seat;
use super::client::{Client, Committed};
use super::history::Command;
use super::transfer::Goal;
use super::weather::DEADLINE;

/// How often a node that has promised a higher ballot is asked again.
const TRIES: u64 = 5;

/// What mending came to: the nodes that do not hold the decision; none of it is known where there was no decision.
pub type Mended = Option<Vec<usize>>;

impl Client {
    /// Settles on each target; joining nodes too. Each call has its own deadline, however old the ballot is.
    pub async fn settle_on(self: &Rc<Self>, goal: Goal, targets: &[usize]) -> bool {
        let mut all = true;
        for target in targets {
            all &= matches!(
                self.transfer(goal, *target).await,
                SettleAnswer::Accepted | SettleAnswer::Nack { .. }
            );
        }
        all
    }

    pub async fn transfer(self: &Rc<Self>, goal: Goal, target: usize) -> SettleAnswer {
        let deadline = || self.world.now() + DEADLINE;
        match self.bring(goal, target, RepairNeed::Confirm, deadline()).await {
            SettleAnswer::NeedsState => self.bring(goal, target, RepairNeed::State, deadline()).await,
            answer => answer,
        }
    }

    /// Decides what the register is and brings every node that can be reached to it, joining ones included.
    pub async fn mend(self: &Rc<Self>) -> Mended {
        let mut missing = None;
        for _ in 0..TRIES {
            let Ok(mut committed) = self.decide(Command::Read, true).await else { return missing };
            self.finish(&mut committed).await;
            let found = self.bring_all(&committed).await;
            let is_over = found.as_ref().is_some_and(|(_, overtaken)| !overtaken);
            missing = found.map(|(missing, _)| missing);
            if is_over {
                break;
            }
        }
        missing
    }

    /// Gives every node what it lacks: those that still lack it, and whether another try is worth it.
    async fn bring_all(self: &Rc<Self>, committed: &Committed) -> Option<(Vec<usize>, bool)> {
        let Some(position) = committed.position.filter(|_| committed.rule == Rule::W2) else {
            return Some((Vec::new(), false));
        };
        let goal = Goal { ballot: committed.ballot, position, source: committed.source, epoch: None };
        let (mut missing, mut overtaken) = (Vec::new(), false);
        for node in committed.lacking() {
            if !matches!(self.seats.borrow()[node], Seat::Up(_)) {
                missing.push(node);
                continue;
            }
            let answer = self.transfer(goal, node).await;
            if let SettleAnswer::Nack { promised } = answer {
                self.observe(promised);
            }
            if answer != SettleAnswer::Accepted {
                missing.push(node);
                overtaken = true;
            }
        }
        Some((missing, overtaken))
    }
}
