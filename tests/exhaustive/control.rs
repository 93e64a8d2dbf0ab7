//! The unsound shortcuts: switches in the driver of the model, never in the rounds. `tests/model/control.rs` has the same.

use anarchoredis::protocol::{
    Ack, ApplyAnswer, Decided, Kind, NoVote, NodeIndex, Quorum, ReadAnswer, Rule, Standing, WriteRound,
};

/// What the driver does wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Control {
    /// Nothing: the real rules.
    #[default]
    Sound,
    /// Commits on a majority of equal digests without a settle.
    MajorityWithoutSettle,
    /// R2 without version = settled.
    UnsettledCountsAsSettled,
    /// The highest version instead of the highest accepted.
    HighestVersionWins,
    /// ABSENT counts as a promise.
    AbsentIsAPromise,
    /// A retry under a new op id.
    RetryUnderNewOpId,
    /// A node that restarted with older data (none), and still votes.
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
    /// Falsifies an answer to apply before it enters the round.
    pub fn rewrite_apply<R: Default>(self, answer: ApplyAnswer<R>) -> ApplyAnswer<R> {
        match (self, answer) {
            (Self::AbsentIsAPromise, ApplyAnswer::Absent { reply }) => {
                ApplyAnswer::Ack(Ack { standing: Standing::default(), ran: None, reply })
            }
            (Self::HighestVersionWins, ApplyAnswer::Ack(ack)) => {
                let standing = Standing { position: ack.standing.position, ..Standing::default() };
                ApplyAnswer::Ack(Ack { standing, ..ack })
            }
            (Self::UnreachableIsAbsent, ApplyAnswer::NoVote(NoVote::Unknown)) => {
                ApplyAnswer::Absent { reply: R::default() }
            }
            (_, answer) => answer,
        }
    }

    /// Falsifies an answer to read before it enters the round.
    pub fn rewrite_read(self, answer: ReadAnswer<()>) -> ReadAnswer<()> {
        match (self, answer) {
            (
                Self::UnsettledCountsAsSettled,
                ReadAnswer::Report { promised, mut standing, due_ms, reply },
            ) => {
                if standing.accepted.is_some() {
                    standing.settled = standing.position.version;
                }
                ReadAnswer::Report { promised, standing, due_ms, reply }
            }
            (Self::UnreachableIsAbsent, ReadAnswer::NoVote) => ReadAnswer::Absent { reply: () },
            (_, answer) => answer,
        }
    }

    /// A decision that the round itself does not take.
    pub fn shortcut(self, kind: Kind, quorum: Quorum, round: &WriteRound<()>) -> Option<Decided> {
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

    /// An answer that came late and ranks above the winner.
    pub fn better_winner(self, quorum: Quorum, round: &WriteRound<()>) -> Option<NodeIndex> {
        let (_, winner) = round.winner().filter(|_| self == Self::WinnerNotFixed)?;
        (0..quorum.nodes).map(NodeIndex).find(|node| match round.answer(*node) {
            Some(ApplyAnswer::Ack(ack)) => ack.standing.rank() > winner.standing.rank(),
            _ => false,
        })
    }
}
