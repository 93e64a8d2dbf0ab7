//! What the answers of a read round add up to.

use super::{ReadAnswer, ReadRound, Stage};
use crate::protocol::ballot::Ballot;
use crate::protocol::quorum::{Decided, NodeIndex, Rule};
use crate::protocol::version::{Position, Standing};

impl<R> ReadRound<R> {
    /// How many nodes gave an answer of their own.
    pub(super) fn reachable(&self) -> usize {
        self.answers.iter().filter(|answer| !matches!(answer, None | Some(ReadAnswer::NoVote))).count()
    }

    pub(super) fn latest_expiry(&self) -> Option<u64> {
        let expiries = self.answers.iter().filter_map(|answer| match answer {
            Some(ReadAnswer::Expiring { at_ms }) => Some(*at_ms),
            _ => None,
        });
        expiries.max()
    }

    /// What was decided, where a settle has chosen it.
    pub(super) fn settled_decision(&self) -> Option<&Standing> {
        let Stage::Decided(Decided { rule: Rule::R2 | Rule::Quorum, from }) = self.stage else {
            return None;
        };
        match self.answer(from) {
            Some(ReadAnswer::Report { standing, .. }) if standing.is_settled() => Some(standing),
            _ => None,
        }
    }

    /// How many report exactly this settle with nothing after it (R2); 0 where `standing` is not settled itself. A key that is due
    /// counts as gone only by a settle of a later time: an op of an earlier one could still take its expiry away.
    pub(super) fn holders(&self, standing: &Standing) -> usize {
        let Some(accepted) = standing.accepted.filter(|_| standing.is_settled()) else {
            return 0;
        };
        let holds = |answer: &&Option<ReadAnswer<R>>| matches!(answer, Some(ReadAnswer::Report { standing: other, due_ms, .. }) if other == standing && *due_ms <= accepted.time_ms());
        self.answers.iter().filter(holds).count()
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = (NodeIndex, Ballot, &Standing)> {
        self.quorum.indices().filter_map(|node| match self.answer(node) {
            Some(ReadAnswer::Report { promised, standing, .. }) => Some((node, *promised, standing)),
            _ => None,
        })
    }

    pub(super) fn reports_agree(&self) -> bool {
        let mut pairs = self.reports().map(|(_, promised, standing)| (promised, standing.position));
        let first: Option<(Ballot, Position)> = pairs.next();
        pairs.all(|pair| Some(pair) == first)
    }

    pub(super) fn absents(&self) -> usize {
        self.answers.iter().filter(|answer| matches!(answer, Some(ReadAnswer::Absent { .. }))).count()
    }

    pub(super) fn silent(&self) -> usize {
        self.answers.iter().filter(|answer| answer.is_none()).count()
    }
}
