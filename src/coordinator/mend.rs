//! Makes every node that can be reached hold the same history of one register: what the healer does, and what a repair in doubt does.
//!
//! There is no write path of its own: a slow read decides (R4, W1/W2), and the settle that it ends with is the repair.

use super::commit::Committed;
use super::transfer::{Goal, REPAIR_PATIENCE};
use super::view::View;
use super::{Coordinator, Work};
use crate::command::Register;
use crate::error::Error;
use crate::node::Seat;
use crate::protocol::{NodeIndex, Position, Rule, SettleAnswer, WriteRound};
use crate::script::Executed;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a node that has promised a higher ballot is asked again.
const TRIES: usize = 20;
/// What is waited before the second try; every further one waits that much longer.
const PAUSE: Duration = Duration::from_millis(5);

/// What mending a register came to.
#[derive(Clone, Debug)]
pub struct Mended {
    /// What all nodes hold that were reached; none where the register does not exist.
    pub position: Option<Position>,
    /// The generation whose members the indices are.
    pub generation: u64,
    /// The nodes that were given something, by index.
    pub repaired: Vec<usize>,
    /// The nodes that may not hold it now, by index: away, or not brought to it.
    pub missed: Vec<usize>,
}

impl Mended {
    /// Whether every node of the cluster holds it now.
    pub fn is_complete(&self) -> bool {
        self.missed.is_empty()
    }
}

impl Coordinator {
    /// Decides what the register is and brings every node that can be reached to it, joining ones included.
    pub async fn mend(self: &Arc<Self>, register: &Register) -> Result<Mended, Error> {
        self.mend_with(register, false).await
    }

    /// Decides what the register is and settles it on all nodes, also where they agree already; says whether all took it.
    pub async fn settle_all(self: &Arc<Self>, register: &Register) -> Result<bool, Error> {
        let deadline = Instant::now() + self.config.operation_timeout;
        let work = Arc::new(Work::nothing(register.clone()));
        let (committed, mut attempt) = self.decide(&work, true, deadline, None).await?;
        attempt.finish().await;
        let Some(position) = committed.position else { return Ok(false) };
        let goal = Goal {
            register: register.clone(),
            ballot: committed.ballot,
            position,
            source: committed.source,
            dirty: false,
            whole: false,
            loose: false,
            taken_by_majority: committed.rule == Rule::W2,
            brief: false,
            epoch: None,
            view: Arc::clone(&attempt.view),
        };
        let all: Vec<NodeIndex> = goal.view.indices().collect();
        Ok(self.settle_on(&goal, &all).await)
    }

    /// As [`mend`](Self::mend), but sends the state also to nodes whose history is right: their values may not be.
    pub async fn rewrite(self: &Arc<Self>, register: &Register) -> Result<Mended, Error> {
        self.mend_with(register, true).await
    }

    async fn mend_with(self: &Arc<Self>, register: &Register, rewrite: bool) -> Result<Mended, Error> {
        let mended = self.try_to_mend(register, rewrite).await;
        self.holds.forget(register);
        mended
    }

    async fn try_to_mend(self: &Arc<Self>, register: &Register, rewrite: bool) -> Result<Mended, Error> {
        let view = self.view();
        let all = view.indices().map(|index| index.0).collect();
        let generation = view.generation();
        let mut last = Mended { position: None, generation, repaired: Vec::new(), missed: all };
        for tried in 0..TRIES {
            // Another op comes first, time and again: those of this coordinator wait for a moment.
            tokio::time::sleep(PAUSE * u32::try_from(tried).unwrap_or(1)).await;
            let _hold = if tried > 0 { Some(self.holds.hold(register).await) } else { None };
            let deadline = Instant::now() + self.config.operation_timeout;
            // `keep`: a write that only one node has is completed or overruled, never left (P17).
            let (committed, mut attempt) =
                self.decide(&Arc::new(Work::nothing(register.clone())), true, deadline, None).await?;
            attempt.finish().await;
            let (mended, overtaken) =
                self.bring_all(register, &committed, &attempt.view, &attempt.round, rewrite).await;
            last = mended;
            if !overtaken {
                break;
            }
        }
        self.note_mended(&last, &view);
        Ok(last)
    }

    fn note_mended(&self, mended: &Mended, view: &Arc<View>) {
        if mended.generation != view.generation() {
            return;
        }
        for (places, done) in [(&mended.repaired, true), (&mended.missed, false)] {
            for place in places {
                let node = view.node(NodeIndex(*place)).name();
                self.telemetry.repair_requested(node);
                self.telemetry.repair_ended(node, done);
            }
        }
    }

    /// Gives every node that lacks the decision what it lacks. Also says whether it is worth another try.
    async fn bring_all(
        &self,
        register: &Register,
        committed: &Committed,
        view: &Arc<View>,
        round: &WriteRound<Executed>,
        rewrite: bool,
    ) -> (Mended, bool) {
        let deadline = Instant::now() + REPAIR_PATIENCE;
        let generation = view.generation();
        let mut mended =
            Mended { position: committed.position, generation, repaired: Vec::new(), missed: Vec::new() };
        let Some(position) = committed.position else {
            return (mended, false);
        };
        let source = if rewrite {
            self.majority_source(view, register, committed).await
        } else {
            Some(committed.source)
        };
        let Some(source) = source else {
            mended.missed = view.indices().map(|index| index.0).collect();
            return (mended, false);
        };
        let goal = Goal {
            register: register.clone(),
            ballot: committed.ballot,
            position,
            source,
            dirty: false,
            whole: rewrite,
            loose: false,
            taken_by_majority: committed.rule == Rule::W2,
            brief: false,
            epoch: None,
            view: Arc::clone(view),
        };
        let mut overtaken = false;
        for index in lacking(committed, round, rewrite, view.indices().filter(|index| *index != source)) {
            if matches!(view.node(index).seat(), Seat::Away(_)) {
                mended.missed.push(index.0);
                continue;
            }
            match self.transfer(&goal, index, deadline).await {
                SettleAnswer::Accepted => mended.repaired.push(index.0),
                SettleAnswer::Nack { promised } => {
                    self.observe(promised);
                    overtaken = true;
                    mended.missed.push(index.0);
                }
                // The source has run a later op before its state was fetched, or the node does not answer.
                SettleAnswer::NeedsState | SettleAnswer::NoVote => {
                    overtaken = true;
                    mended.missed.push(index.0);
                }
            }
        }
        (mended, overtaken)
    }

    /// Where equal histories hold unequal values, the value that a majority holds; none where there is no such value.
    async fn majority_source(
        &self,
        view: &Arc<View>,
        register: &Register,
        committed: &Committed,
    ) -> Option<NodeIndex> {
        let position = committed.position?;
        let mut held: Vec<(NodeIndex, Vec<u8>)> = Vec::new();
        for index in view.indices() {
            if let Some(content) = self.content(view, register, index, position).await {
                held.push((index, content));
            }
        }
        let count = |content: &Vec<u8>| held.iter().filter(|(_, other)| other == content).count();
        held.iter().find(|(_, content)| count(content) >= view.quorum.majority()).map(|(index, _)| *index)
    }
}

fn lacking(
    committed: &Committed,
    round: &WriteRound<Executed>,
    rewrite: bool,
    others: impl Iterator<Item = NodeIndex>,
) -> Vec<NodeIndex> {
    if rewrite {
        return others.collect();
    }
    match committed.rule {
        Rule::W2 => round.repairs().into_iter().map(|(index, _)| index).collect(),
        _ => Vec::new(),
    }
}
