//! Makes every node that can be reached hold the same history of one register: what the healer does, and what a repair in doubt does.
//!
//! There is no write path of its own: a slow read decides (R4, W1/W2), and the settle that it ends with is the repair.

use super::commit::Committed;
use super::transfer::{Goal, REPAIR_PATIENCE};
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
        let all = self.indices().map(|index| index.0).collect();
        let mut last = Mended { position: None, repaired: Vec::new(), missed: all };
        for tried in 0..TRIES {
            // Another op comes first, time and again: those of this coordinator wait for a moment.
            tokio::time::sleep(PAUSE * u32::try_from(tried).unwrap_or(1)).await;
            let _hold = if tried > 0 { Some(self.holds.hold(register).await) } else { None };
            let deadline = Instant::now() + self.config.operation_timeout;
            // `keep`: a write that only one node has is completed or overruled, never left (P17).
            let (committed, mut attempt) =
                self.decide(&Arc::new(Work::nothing(register.clone())), true, deadline, None).await?;
            attempt.finish().await;
            let (mended, overtaken) = self.bring_all(register, &committed, &attempt.round, rewrite).await;
            last = mended;
            if !overtaken {
                break;
            }
        }
        Ok(last)
    }

    /// Gives every node that lacks the decision what it lacks. Also says whether it is worth another try.
    async fn bring_all(
        &self,
        register: &Register,
        committed: &Committed,
        round: &WriteRound<Executed>,
        rewrite: bool,
    ) -> (Mended, bool) {
        let deadline = Instant::now() + REPAIR_PATIENCE;
        let mut mended = Mended { position: committed.position, repaired: Vec::new(), missed: Vec::new() };
        let Some(position) = committed.position else {
            return (mended, false);
        };
        let source =
            if rewrite { self.majority_source(register, committed).await } else { Some(committed.source) };
        let Some(source) = source else {
            mended.missed = self.indices().map(|index| index.0).collect();
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
            epoch: None,
        };
        let mut overtaken = false;
        for index in self.lacking(committed, round, rewrite, source) {
            if matches!(self.node(index).seat(), Seat::Away(_)) {
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

    fn lacking(
        &self,
        committed: &Committed,
        round: &WriteRound<Executed>,
        rewrite: bool,
        source: NodeIndex,
    ) -> Vec<NodeIndex> {
        if rewrite {
            return self.indices().filter(|index| *index != source).collect();
        }
        match committed.rule {
            Rule::W2 => round.repairs().into_iter().map(|(index, _)| index).collect(),
            _ => Vec::new(),
        }
    }

    /// Where equal histories hold unequal values, the value that a majority holds; none where there is no such value.
    async fn majority_source(&self, register: &Register, committed: &Committed) -> Option<NodeIndex> {
        let position = committed.position?;
        let mut held: Vec<(NodeIndex, Vec<u8>)> = Vec::new();
        for index in self.indices() {
            if let Some(content) = self.content(register, index, position).await {
                held.push((index, content));
            }
        }
        let count = |content: &Vec<u8>| held.iter().filter(|(_, other)| other == content).count();
        held.iter().find(|(_, content)| count(content) >= self.quorum.majority()).map(|(index, _)| *index)
    }
}
