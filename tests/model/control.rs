//! The unsound shortcuts: switches in the driver of the model, never in the rounds.

use anarchoredis::protocol::{
    Ack, ApplyAnswer, Ballot, CoordinatorId, Decided, Kind, NodeIndex, Quorum, ReadAnswer, Rule, Standing,
    WriteRound,
};

use super::history::DigestOver;
use super::node::Seen;
use super::weather::Season;

/// What the driver does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing: the real rules.
    Sound,
    /// Nothing: the real rules, over digests that leave the ballot out.
    SoundOverIds,
    /// Commits on a majority of equal digests without a settle.
    MajorityWithoutSettle,
    /// R1 without comparing the promised ballot. Over digests that leave the ballot out: with it, the
    /// counter-example is too long for a random search, and is told as a trace of its own.
    PromiseNotCompared,
    /// R2 without version = settled.
    UnsettledCountsAsSettled,
    /// The highest version instead of the highest accepted.
    HighestVersionWins,
    /// ABSENT counts as a promise.
    AbsentIsAPromise,
    /// A retry under a new op id.
    RetryUnderNewOpId,
    /// A node that restarted with older data, and still votes.
    RestartWithOlderData,
    /// An unreachable node is taken for an absent register.
    UnreachableIsAbsent,
    /// ABSENT of M nodes, not of all N, decides a mutation.
    AbsentByMajority,
    /// The retry of a mutation does not ask absent nodes to keep the promise.
    RetryWithoutKeep,
    /// The transport delivers an apply twice while the register is absent.
    ApplyDeliveredTwice,
    /// A settle chooses again, among more answers, instead of keeping the winner of the ballot (I3).
    WinnerNotFixed,
    /// What the quorum level read is spread at its accepted ballot though no settle chose it.
    UnsettledRepair,
    /// Out of time with silent nodes is reported as "not applied" (W4).
    SilentMeansNotApplied,
}

impl Control {
    /// All that must be caught.
    pub const UNSOUND: [Self; 14] = [
        Self::MajorityWithoutSettle,
        Self::PromiseNotCompared,
        Self::UnsettledCountsAsSettled,
        Self::HighestVersionWins,
        Self::AbsentIsAPromise,
        Self::RetryUnderNewOpId,
        Self::RestartWithOlderData,
        Self::UnreachableIsAbsent,
        Self::AbsentByMajority,
        Self::RetryWithoutKeep,
        Self::ApplyDeliveredTwice,
        Self::WinnerNotFixed,
        Self::UnsettledRepair,
        Self::SilentMeansNotApplied,
    ];

    /// The season in which a control shows best; the real rules are searched in all of them.
    pub fn season(self) -> Option<Season> {
        match self {
            Self::Sound | Self::SoundOverIds => None,
            Self::AbsentByMajority | Self::RetryWithoutKeep | Self::ApplyDeliveredTwice => {
                Some(Season::Emptiness)
            }
            Self::PromiseNotCompared => Some(Season::LostSettles),
            _ => Some(Season::Mixed),
        }
    }

    /// What the nodes' digests are taken over.
    pub fn digest_over(self) -> DigestOver {
        match self {
            Self::SoundOverIds | Self::PromiseNotCompared => DigestOver::Id,
            _ => DigestOver::IdAndBallot,
        }
    }

    /// Falsifies an answer to apply before it enters the round.
    pub fn rewrite_apply(self, answer: ApplyAnswer<Seen>) -> ApplyAnswer<Seen> {
        match (self, answer) {
            (Self::AbsentIsAPromise, ApplyAnswer::Absent { reply }) => {
                ApplyAnswer::Ack(Ack { standing: Standing::default(), ran: None, reply })
            }
            (Self::HighestVersionWins, ApplyAnswer::Ack(ack)) => {
                let standing = Standing { position: ack.standing.position, ..Standing::default() };
                ApplyAnswer::Ack(Ack { standing, ..ack })
            }
            (_, answer) => answer,
        }
    }

    /// Falsifies an answer to read before it enters the round.
    pub fn rewrite_read(self, answer: ReadAnswer<Seen>) -> ReadAnswer<Seen> {
        match (self, answer) {
            (Self::PromiseNotCompared, ReadAnswer::Report { standing, due_ms, reply, .. }) => {
                let promised = Ballot::new(u64::MAX, CoordinatorId(0));
                ReadAnswer::Report { promised, standing, due_ms, reply }
            }
            (
                Self::UnsettledCountsAsSettled,
                ReadAnswer::Report { promised, mut standing, due_ms, reply },
            ) => {
                if standing.accepted.is_some() {
                    standing.settled = standing.position.version;
                }
                ReadAnswer::Report { promised, standing, due_ms, reply }
            }
            (_, answer) => answer,
        }
    }

    /// A decision that the round itself does not take.
    pub fn shortcut(self, kind: Kind, quorum: Quorum, round: &WriteRound<Seen>) -> Option<Decided> {
        let nodes = || (0..quorum.nodes).map(NodeIndex);
        let position = |node| match round.answer(node) {
            Some(ApplyAnswer::Ack(ack)) => Some(ack.standing.position),
            _ => None,
        };
        let is_absent = |node: &NodeIndex| matches!(round.answer(*node), Some(ApplyAnswer::Absent { .. }));
        match self {
            Self::MajorityWithoutSettle => {
                let equals = |node| nodes().filter(|other| position(*other) == position(node)).count();
                let from = nodes().find(|n| position(*n).is_some() && equals(*n) >= quorum.majority())?;
                Some(Decided { rule: Rule::W1, from })
            }
            Self::AbsentByMajority if kind == Kind::Mutation => {
                let from = nodes().find(is_absent)?;
                let enough = nodes().filter(is_absent).count() >= quorum.majority();
                enough.then_some(Decided { rule: Rule::R3, from })
            }
            _ => None,
        }
    }
}
