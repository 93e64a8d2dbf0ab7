//! A read round: one plain read to each node, nothing written, nothing promised.

mod tally;

use std::cmp::Reverse;

use super::ballot::Ballot;
use super::quorum::{Decided, NodeIndex, Quorum, Rule};
use super::repair::{RepairNeed, Repairs};
use super::version::Standing;

/// One node's answer to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReadAnswer<R> {
    /// The register has a record there.
    Report {
        /// The highest ballot that the node has answered for this register.
        promised: Ballot,
        /// Where the node stands.
        standing: Standing,
        /// The latest expiry among the keys read that has passed by the read's time, in ms since the epoch; 0 for none. What it
        /// took away is gone for good only where a ballot of a later time stands in the way of an op of an earlier one.
        due_ms: u64,
        /// The reply.
        reply: R,
    },
    /// There is no such register there.
    Absent {
        /// What the commands answered to nothing.
        reply: R,
    },
    /// By the node's clock a key has expired that is alive at the read's time. Read again later than this.
    Expiring {
        /// The expiry, in ms since the epoch.
        at_ms: u64,
    },
    /// No answer, or a refusal. Unreachable is not absent: it enters no decision.
    NoVote,
}

/// What the driver of a read round does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStep {
    /// Bring more answers.
    Wait,
    /// The round is over: the reply is that node's. Where the rule compares histories, the caller still compares
    /// replies.
    Decided(Decided),
    /// The round is over without a decision (R4): read again, then run the slow read.
    Disagree(Disagreement),
}

/// Why a read round decided nothing, as far as the next round needs to know (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disagreement {
    /// The highest promise reported: the ballot of a slow read must be above it.
    pub above: Option<Ballot>,
    /// The next round's time must be later than this, in ms since the epoch.
    pub expiring_at_ms: Option<u64>,
    /// How many nodes gave an answer of their own; below M nothing can be decided now.
    pub reachable: usize,
}

/// One round of a read (R1-R3), linearizable or at the quorum level.
///
/// The first answer of a node counts; a later one replaces it only where the first was no vote. After `Decided` or
/// `Disagree` further answers are only recorded, for [`repairs`](Self::repairs).
///
/// ```
/// use anarchoredis::protocol::*;
///
/// let absent = || ReadAnswer::Absent { reply: () };
/// let mut round = ReadRound::new(Quorum::of(3));
/// assert_eq!(round.on_answer(NodeIndex(2), absent()), ReadStep::Wait);
/// let decided = Decided { rule: Rule::R3, from: NodeIndex(0) };
/// assert_eq!(round.on_answer(NodeIndex(0), absent()), ReadStep::Decided(decided));
/// ```
#[derive(Debug, Clone)]
pub struct ReadRound<R> {
    quorum: Quorum,
    level: Level,
    hedged: bool,
    answers: Vec<Option<ReadAnswer<R>>>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Linearizable,
    Quorum,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Reading,
    Decided(Decided),
    Disagreed,
}

impl<R> ReadRound<R> {
    /// A linearizable read (R1-R4).
    pub fn new(quorum: Quorum) -> Self {
        Self::at(Level::Linearizable, quorum)
    }

    /// A read at the quorum level: the highest of M answers. It includes every acknowledged write, but may show
    /// one that never commits.
    pub fn quorum_level(quorum: Quorum) -> Self {
        Self::at(Level::Quorum, quorum)
    }

    fn at(level: Level, quorum: Quorum) -> Self {
        let answers = quorum.indices().map(|_| None).collect();
        Self { quorum, level, hedged: false, answers, stage: Stage::Reading }
    }

    /// Takes a node's answer.
    pub fn on_answer(&mut self, node: NodeIndex, answer: ReadAnswer<R>) -> ReadStep {
        let answer = plausible(answer);
        if let Some(slot) = self.answers.get_mut(node.0)
            && matches!(slot, None | Some(ReadAnswer::NoVote))
        {
            *slot = Some(answer);
        }
        self.judge()
    }

    /// The hedge delay has passed: whoever has not answered is not waited for, once M have.
    pub fn on_hedge(&mut self) -> ReadStep {
        self.hedged = true;
        self.judge()
    }

    /// The decision, once there is one.
    pub fn decided(&self) -> Option<Decided> {
        match self.stage {
            Stage::Decided(decided) => Some(decided),
            Stage::Reading | Stage::Disagreed => None,
        }
    }

    /// What this node answered, if it has.
    pub fn answer(&self, node: NodeIndex) -> Option<&ReadAnswer<R>> {
        self.answers.get(node.0)?.as_ref()
    }

    /// Takes a node's reply out of its answer, where it gave one, and leaves another in its place.
    pub fn replace_reply(&mut self, node: NodeIndex, other: R) -> Option<R> {
        match self.answers.get_mut(node.0)? {
            Some(ReadAnswer::Report { reply, .. } | ReadAnswer::Absent { reply }) => {
                Some(std::mem::replace(reply, other))
            }
            _ => None,
        }
    }

    /// All answers, by node.
    pub fn into_answers(self) -> Vec<Option<ReadAnswer<R>>> {
        self.answers
    }

    /// After a decision for something settled (R2, or the quorum level where its highest answer is settled):
    /// what each node needs that differs or has not answered, under the winner's accepted ballot. A silent node
    /// gets a confirmation, which asks as much as it tells.
    ///
    /// Empty otherwise: R1 finds nothing that differs, R3 nothing to settle, and what no settle has chosen must
    /// not be spread without a ballot of its own (I3). Where nodes differ then, the slow read repairs; see
    /// [`is_in_doubt`](Self::is_in_doubt).
    pub fn repairs(&self) -> Repairs {
        let Some(decided) = self.settled_decision() else {
            return Repairs::new();
        };
        let need = |node| match self.answer(node) {
            Some(ReadAnswer::Report { standing, .. }) => RepairNeed::of_standing(decided, standing),
            Some(ReadAnswer::Absent { .. }) => Some(RepairNeed::State),
            Some(ReadAnswer::Expiring { .. } | ReadAnswer::NoVote) | None => Some(RepairNeed::Confirm),
        };
        self.quorum.indices().filter_map(|node| Some((node, need(node)?))).collect()
    }

    /// Whether the nodes that answered differ in a way that [`repairs`](Self::repairs) cannot mend: the register
    /// wants a slow read (with `keep`, so that a write on a single node is either completed or overruled).
    pub fn is_in_doubt(&self) -> bool {
        match self.decided().map(|decided| decided.rule) {
            Some(Rule::R3) => self.reports().count() > 0,
            Some(Rule::Quorum) if self.settled_decision().is_none() => {
                self.reports().count() > 0 && (self.absents() > 0 || !self.reports_agree())
            }
            _ => false,
        }
    }

    /// Whether M nodes report the settle that was decided, with nothing after it: at the quorum level one node's may be decided.
    pub fn is_taken_by_majority(&self) -> bool {
        let holders = self.settled_decision().map(|decided| self.holders(decided));
        holders.is_some_and(|holders| holders >= self.quorum.majority())
    }

    fn judge(&mut self) -> ReadStep {
        let Stage::Reading = self.stage else {
            return ReadStep::Wait;
        };
        let decided = match self.level {
            Level::Linearizable => self.r1().or_else(|| self.r2()).or_else(|| self.r3()),
            Level::Quorum => self.highest_of_majority(),
        };
        if let Some(decided) = decided {
            self.stage = Stage::Decided(decided);
            return ReadStep::Decided(decided);
        }
        if self.awaits_more() {
            return ReadStep::Wait;
        }
        self.stage = Stage::Disagreed;
        ReadStep::Disagree(self.disagreement())
    }

    /// R1: all N report the same promise and the same position, so no settle below that promise can land any
    /// more, and whoever works above it finds this history on every node.
    fn r1(&self) -> Option<Decided> {
        let unanimous = self.reports().count() == self.quorum.nodes && self.reports_agree();
        unanimous.then_some(Decided { rule: Rule::R1, from: NodeIndex(0) })
    }

    /// R2: M took the same settle and have executed nothing since.
    fn r2(&self) -> Option<Decided> {
        let from =
            self.reports().find(|(_, _, standing)| self.holders(standing) >= self.quorum.majority())?.0;
        Some(Decided { rule: Rule::R2, from })
    }

    /// R3: a commit leaves a record on M nodes, so where M have none there was no commit.
    fn r3(&self) -> Option<Decided> {
        let is_absent = |node: &NodeIndex| matches!(self.answer(*node), Some(ReadAnswer::Absent { .. }));
        let from = self.quorum.indices().find(is_absent)?;
        (self.absents() >= self.quorum.majority()).then_some(Decided { rule: Rule::R3, from })
    }

    /// The quorum level: any M answers include one that every acknowledged write has reached. Absent ranks lowest.
    fn highest_of_majority(&self) -> Option<Decided> {
        if self.reports().count() + self.absents() < self.quorum.majority() {
            return None;
        }
        let highest = self.reports().min_by_key(|(_, _, standing)| Reverse(standing.rank()));
        let from = highest.map(|(node, ..)| node).or_else(|| self.r3().map(|absent| absent.from))?;
        Some(Decided { rule: Rule::Quorum, from })
    }

    /// Whether the answers that are missing can still decide, and are worth waiting for: until M nodes have
    /// answered, and from then on to the hedge delay while a rule may hold.
    fn awaits_more(&self) -> bool {
        let (reachable, silent, majority) = (self.reachable(), self.silent(), self.quorum.majority());
        if silent == 0 || reachable + silent < majority {
            return false;
        }
        reachable < majority || (!self.hedged && self.may_still_decide(silent))
    }

    fn may_still_decide(&self, silent: usize) -> bool {
        let majority = self.quorum.majority();
        let (reports, absents) = (self.reports().count(), self.absents());
        if self.level == Level::Quorum {
            return reports + absents + silent >= majority;
        }
        let r1 = reports + silent == self.quorum.nodes && self.reports_agree();
        let most_held = self.reports().map(|(_, _, standing)| self.holders(standing)).max().unwrap_or(0);
        r1 || most_held + silent >= majority || absents + silent >= majority
    }

    fn disagreement(&self) -> Disagreement {
        Disagreement {
            above: self.reports().map(|(_, promised, _)| promised).max(),
            expiring_at_ms: self.latest_expiry(),
            reachable: self.reachable(),
        }
    }
}

/// A report that contradicts I1 comes from no node that runs these scripts: it is no vote.
fn plausible<R>(answer: ReadAnswer<R>) -> ReadAnswer<R> {
    match &answer {
        ReadAnswer::Report { promised, standing, .. }
            if !standing.keeps_i1() || standing.accepted > Some(*promised) =>
        {
            ReadAnswer::NoVote
        }
        _ => answer,
    }
}
