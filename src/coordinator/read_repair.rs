//! What a decided read leaves to be mended.

use super::Coordinator;
use super::Work;
use super::read::Reading;
use super::repair::Repair;
use crate::protocol::{Decided, NodeIndex, ReadAnswer, RepairNeed, Rule};
use std::sync::Arc;

/// Up to this age a settle is sent again under its own ballot.
const SETTLES_AGAIN_MS: u64 = 10_000;

impl Coordinator {
    /// The answers that come after the decision tell who needs a repair.
    pub(super) fn finish_later(self: &Arc<Self>, work: Work, mut reading: Reading, decided: Decided) {
        let coordinator = Arc::clone(self);
        tokio::spawn(async move {
            let patience = coordinator.config.answer_timeout;
            let rest = async {
                while let Some((index, reply)) = reading.calls.next().await {
                    let answer = coordinator.read_answer(&work.register, reading.view.node(index), reply);
                    reading.round.on_answer(index, answer);
                }
            };
            // A node that says nothing in that time is found by the next sweep.
            let _ = tokio::time::timeout(patience, rest).await;
            coordinator.repair_after_read(&work, &reading, decided);
        });
    }

    pub(super) fn repair_after_read(self: &Arc<Self>, work: &Work, reading: &Reading, decided: Decided) {
        let round = &reading.round;
        if round.is_in_doubt() {
            self.request_repair(Repair::Doubt { register: work.register.clone() });
            return;
        }
        let Some(ReadAnswer::Report { standing, .. }) = round.answer(decided.from) else {
            return;
        };
        let Some(ballot) = standing.accepted else { return };
        // Nodes that are known to be away were marked dirty by the settle that they missed.
        let answered = |node: &NodeIndex| {
            matches!(round.answer(*node), Some(ReadAnswer::Report { .. } | ReadAnswer::Absent { .. }))
        };
        let targets =
            round.repairs().into_iter().filter(|(node, need)| answered(node) || *need == RepairNeed::State);
        let targets: Vec<(NodeIndex, RepairNeed)> = targets.collect();
        // At the quorum level the settle may be one node's alone: a history that a majority has yet to take replaces nothing.
        let taken_by_majority = round.is_taken_by_majority();
        let is_unproven = !taken_by_majority && targets.iter().any(|(_, need)| *need == RepairNeed::State);
        let targets: Vec<NodeIndex> = targets.into_iter().map(|(node, _)| node).collect();
        // A node that has promised a higher ballot refuses this settle. Another round is at work there, or its coordinator died.
        let overtaken = |node: &NodeIndex| match round.answer(*node) {
            Some(ReadAnswer::Report { promised, .. }) => *promised > ballot,
            _ => false,
        };
        // A node without a record takes no ballot that is old: it might have purged a later one.
        let is_old = ballot.time_ms() + SETTLES_AGAIN_MS < self.now_ms();
        let refuses =
            |node: &NodeIndex| is_old && matches!(round.answer(*node), Some(ReadAnswer::Absent { .. }));
        let register = work.register.clone();
        if is_unproven || targets.iter().any(overtaken) || targets.iter().any(refuses) {
            self.request_repair(Repair::Doubt { register });
        } else if !targets.is_empty() {
            let (position, source) = (standing.position, decided.from);
            let view = Arc::clone(&reading.view);
            let settle =
                Repair::Settle { register, ballot, position, source, targets, taken_by_majority, view };
            self.request_repair(settle);
        }
    }

    /// As `compare_replies` of a write: equal histories, other replies (P54).
    pub(super) fn compare_reads(self: &Arc<Self>, work: &Work, reading: &Reading, decided: Decided) {
        let round = &reading.round;
        if work.unordered || !matches!(decided.rule, Rule::R1 | Rule::R2) {
            return;
        }
        let Some(ReadAnswer::Report { standing: ours, reply: reply_here, .. }) = round.answer(decided.from)
        else {
            return;
        };
        let odd = reading.view.indices().any(|index| match round.answer(index) {
            Some(ReadAnswer::Report { standing, reply, .. }) => {
                standing.position == ours.position && reply != reply_here
            }
            _ => false,
        });
        if odd {
            tracing::error!(register = %work.register, "nodes with the same history answer differently: data was changed behind the protocol");
            self.request_repair(Repair::Rewrite { register: work.register.clone() });
        }
    }
}
