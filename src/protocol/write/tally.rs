//! What the answers of a write round add up to.

use super::{Ack, ApplyAnswer, NoVote, SettleAnswer, WriteRound};
use crate::protocol::ballot::Ballot;
use crate::protocol::quorum::NodeIndex;

impl<R> WriteRound<R> {
    /// W3: the highest ballot that a node named in refusing.
    pub(super) fn highest_nack(&self) -> Option<Ballot> {
        let applies = self.answers.iter().filter_map(|answer| match answer {
            Some(ApplyAnswer::Nack { promised }) => Some(*promised),
            _ => None,
        });
        let settles = self.settles.iter().filter_map(|answer| match answer {
            Some(SettleAnswer::Nack { promised }) => Some(*promised),
            _ => None,
        });
        applies.chain(settles).max()
    }

    pub(super) fn latest_expiry(&self) -> Option<u64> {
        let expiries = self.answers.iter().filter_map(|answer| match answer {
            Some(ApplyAnswer::Expiring { at_ms }) => Some(*at_ms),
            _ => None,
        });
        expiries.max()
    }

    pub(super) fn may_have_run(&self, answer: Option<&ApplyAnswer<R>>) -> bool {
        match answer {
            None | Some(ApplyAnswer::NoVote(NoVote::Unknown)) => true,
            Some(ApplyAnswer::Ack(ack)) => ack.ran.is_some(),
            // Only this very round's calls carry this ballot: one of them was there before the one that was refused.
            Some(ApplyAnswer::Nack { promised }) => *promised == self.ballot,
            Some(ApplyAnswer::Expiring { .. } | ApplyAnswer::Absent { .. } | ApplyAnswer::NoVote(_)) => false,
        }
    }

    pub(super) fn ack(&self, node: NodeIndex) -> Option<&Ack<R>> {
        match self.answer(node) {
            Some(ApplyAnswer::Ack(ack)) => Some(ack),
            _ => None,
        }
    }

    pub(super) fn acks(&self) -> impl Iterator<Item = (NodeIndex, &Ack<R>)> {
        self.quorum.indices().filter_map(|node| Some((node, self.ack(node)?)))
    }

    pub(super) fn acks_agree(&self) -> bool {
        let mut positions = self.acks().map(|(_, ack)| ack.standing.position);
        let first = positions.next();
        positions.all(|position| Some(position) == first)
    }

    pub(super) fn first_absent(&self) -> Option<NodeIndex> {
        self.quorum.indices().find(|node| matches!(self.answer(*node), Some(ApplyAnswer::Absent { .. })))
    }

    pub(super) fn absents(&self) -> usize {
        self.answers.iter().filter(|answer| matches!(answer, Some(ApplyAnswer::Absent { .. }))).count()
    }

    /// How many are there, and would have acknowledged a higher ballot or a later time.
    pub(super) fn overtaken(&self) -> usize {
        let overtaken = |a: &&Option<ApplyAnswer<R>>| {
            matches!(a, Some(ApplyAnswer::Nack { .. } | ApplyAnswer::Expiring { .. }))
        };
        self.answers.iter().filter(overtaken).count()
    }

    pub(super) fn silent(&self) -> usize {
        self.answers.iter().filter(|answer| answer.is_none()).count()
    }
}
