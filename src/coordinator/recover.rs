//! Decides a register without a vote, from what all nodes hold: only where so many of them may have forgotten something that no vote
//! can be had. Whoever calls it has seen to it that nobody votes meanwhile.

use super::transfer::{Goal, REPAIR_PATIENCE};
use super::view::View;
use super::{Coordinator, Mended};
use crate::command::Register;
use crate::error::{Error, Failures, NodeFailure};
use crate::protocol::{NodeIndex, Position, SettleAnswer};
use crate::script::{DigestPage, Held, digest_of_call};
use futures_util::future::join_all;
use std::sync::Arc;
use tokio::time::Instant;

/// How often a register is decided anew because a node has promised a higher ballot meanwhile.
const TRIES: usize = 5;

impl Coordinator {
    /// Settles the history with the highest (accepted, version, digest) of all nodes on all nodes, under a ballot above all that any
    /// of them remembers to have promised. Repeated after an interruption it finds its own settle the highest.
    ///
    /// The view's calls must name the tokens of the caller's pass: otherwise another pass may end between what is read here and what is
    /// settled, and what the nodes have voted on since would be undone.
    pub async fn recover(&self, register: &Register, view: &Arc<View>) -> Result<Mended, Error> {
        self.decide_alone(register, view, None).await
    }

    /// As [`recover`](Self::recover), but one node's history wins whatever the others hold: they are nothing but copies of it.
    pub async fn copy_from(
        &self,
        register: &Register,
        view: &Arc<View>,
        source: NodeIndex,
    ) -> Result<Mended, Error> {
        self.decide_alone(register, view, Some(source)).await
    }

    async fn decide_alone(
        &self,
        register: &Register,
        view: &Arc<View>,
        truth: Option<NodeIndex>,
    ) -> Result<Mended, Error> {
        let mut failures = Vec::new();
        for _ in 0..TRIES {
            let held = self.held_by_all(view, register).await?;
            let promised = held.iter().flatten().filter_map(|held| held.promised.max(held.accepted));
            promised.for_each(|ballot| self.observe(ballot));
            let rank = |held: &Held| (held.accepted, held.version, held.digest);
            let ranked = held
                .iter()
                .enumerate()
                .filter(|(place, _)| truth.is_none_or(|truth| truth.0 == *place))
                .filter_map(|(place, held)| Some((rank(held.as_ref()?), place)));
            let (generation, ballot) = (view.generation(), self.next_ballot());
            let Some(((_, version, digest), source)) = ranked.max() else {
                return Ok(Mended { position: None, generation, repaired: Vec::new(), missed: Vec::new() });
            };
            let position = Position { version, digest };
            let lacks = |held: &Option<Held>| {
                held.is_none_or(|held| (held.version, held.digest) != (version, digest))
            };
            let repaired: Vec<usize> = (0..held.len()).filter(|place| lacks(&held[*place])).collect();
            let goal = Goal {
                register: register.clone(),
                ballot,
                position,
                source: NodeIndex(source),
                dirty: false,
                whole: false,
                loose: false,
                // Copies may be let go of: what they are made of stays where it is.
                taken_by_majority: truth.is_some(),
                brief: false,
                epoch: None,
                view: Arc::clone(view),
            };
            failures = self.settle_on_all(goal, &repaired).await;
            if failures.is_empty() {
                let position = Some(position);
                return Ok(Mended { position, generation, repaired, missed: Vec::new() });
            }
        }
        Err(Error::NotApplied {
            why: "a register could not be settled on all nodes",
            failures: Failures(failures),
        })
    }

    /// Unreachable is not absent: without an answer of every node nothing is decided.
    async fn held_by_all(&self, view: &Arc<View>, register: &Register) -> Result<Vec<Option<Held>>, Error> {
        let records = [register.record_key()];
        let asked = view.nodes.iter().map(|node| async {
            let encode = |ticket: &crate::script::Ticket<'_>| digest_of_call(ticket, &records);
            let reply = node.send_in(view.generation(), &encode, self.config.answer_timeout).await;
            let failed = |reason: String| NodeFailure { node: node.name().to_owned(), reason };
            let page = DigestPage::parse(reply.map_err(|error| failed(error.to_string()))?);
            let rows = page.map_err(|error| failed(error.to_string()))?.rows;
            rows.into_iter().next().map(|row| row.held).ok_or_else(|| failed("an empty answer".into()))
        });
        let (held, failed): (Vec<_>, Vec<_>) = join_all(asked).await.into_iter().partition(Result::is_ok);
        let failures: Vec<NodeFailure> = failed.into_iter().filter_map(Result::err).collect();
        if failures.is_empty() {
            return Ok(held.into_iter().filter_map(Result::ok).collect());
        }
        Err(Error::NotApplied { why: "not every node said what it holds", failures: Failures(failures) })
    }

    /// Those that hold it are told first. The others get the whole in one step: page by page they would first have to let go of what they
    /// hold, and nobody knows yet that a majority has taken this settle.
    async fn settle_on_all(&self, goal: Goal, lacking: &[usize]) -> Vec<NodeFailure> {
        let deadline = Instant::now() + REPAIR_PATIENCE;
        let view = Arc::clone(&goal.view);
        let (hold, lack): (Vec<NodeIndex>, Vec<NodeIndex>) =
            view.indices().partition(|index| !lacking.contains(&index.0));
        let whole = Goal { whole: !goal.taken_by_majority, ..goal.clone() };
        let ways =
            hold.into_iter().map(|index| (index, &goal)).chain(lack.into_iter().map(|index| (index, &whole)));
        let mut failures = Vec::new();
        for (index, goal) in ways {
            let answer = self.transfer(goal, index, deadline).await;
            if let SettleAnswer::Nack { promised } = answer {
                self.observe(promised);
            }
            if answer != SettleAnswer::Accepted {
                let node = view.node(index).name().to_owned();
                failures.push(NodeFailure { node, reason: format!("{answer:?}") });
            }
        }
        failures
    }
}
