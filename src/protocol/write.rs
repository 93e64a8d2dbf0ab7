//! A write round: one ballot, one apply to each node, and where that is not enough one settle.

mod answer;
mod tally;

pub use answer::{Abandoned, Ack, ApplyAnswer, Kind, NoVote, Retry, SettleAnswer, SettlePlan, WriteStep};

use std::cmp::Reverse;

use super::ballot::Ballot;
use super::quorum::{Decided, NodeIndex, Quorum, Rule};
use super::repair::{RepairNeed, Repairs};
use super::version::Position;

/// One round of a mutation or of the slow read (W1-W4).
///
/// Bring it each answer as it arrives and do what the step says; after `Decided` or `Retry` every further answer
/// (a straggler) is only recorded, for [`repairs`](Self::repairs). The first answer of a node counts; a later
/// one replaces it only where the first was no vote.
///
/// ```
/// use anarchoredis::protocol::*;
///
/// let ballot = Ballot::new(1_000, CoordinatorId(1));
/// let mut round = WriteRound::new(Kind::Mutation, ballot, Quorum::of(3), false);
/// let ack = || ApplyAnswer::Ack(Ack { standing: Standing::default(), ran: Some(ballot), reply: "OK" });
/// assert_eq!(round.on_answer(NodeIndex(0), ack()), WriteStep::Wait);
/// assert_eq!(round.on_answer(NodeIndex(1), ack()), WriteStep::Wait);
/// let decided = Decided { rule: Rule::W1, from: NodeIndex(0) };
/// assert_eq!(round.on_answer(NodeIndex(2), ack()), WriteStep::Decided(decided));
/// ```
#[derive(Debug, Clone)]
pub struct WriteRound<R> {
    kind: Kind,
    ballot: Ballot,
    quorum: Quorum,
    keep: bool,
    hedged: bool,
    settle_hedged: bool,
    answers: Vec<Option<ApplyAnswer<R>>>,
    settles: Vec<Option<SettleAnswer>>,
    stage: Stage,
}

/// How far a round has come. A winner, once fixed, stays: at one ballot one position is settled (I3).
#[derive(Debug, Clone, Copy)]
enum Stage {
    Applying,
    Settling { winner: NodeIndex },
    Decided(Decided),
    Retried,
}

impl<R> WriteRound<R> {
    /// A round under `ballot`, which no other round has used or will (I3). `keep`: the nodes were asked to store
    /// the promise of a register that they do not have, so none may answer ABSENT.
    pub fn new(kind: Kind, ballot: Ballot, quorum: Quorum, keep: bool) -> Self {
        Self {
            kind,
            ballot,
            quorum,
            keep,
            hedged: false,
            settle_hedged: false,
            answers: quorum.indices().map(|_| None).collect(),
            settles: vec![None; quorum.nodes],
            stage: Stage::Applying,
        }
    }

    /// Takes a node's answer to apply.
    pub fn on_answer(&mut self, node: NodeIndex, answer: ApplyAnswer<R>) -> WriteStep {
        let answer = self.plausible(answer);
        if let Some(slot) = self.answers.get_mut(node.0)
            && matches!(slot, None | Some(ApplyAnswer::NoVote(_)))
        {
            *slot = Some(answer);
        }
        self.after_apply()
    }

    /// The hedge delay has passed: whoever has not answered is not waited for, once M have acknowledged. The same again
    /// after the settles were sent: whoever owes a confirmation is not waited for, once a higher ballot has refused one.
    pub fn on_hedge(&mut self) -> WriteStep {
        self.hedged = true;
        match self.stage {
            Stage::Settling { .. } => {
                self.settle_hedged = true;
                self.after_settle()
            }
            _ => self.after_apply(),
        }
    }

    /// Takes a node's answer to a settle of this round. A node that has accepted once has accepted, and silence
    /// takes nothing back.
    pub fn on_settle_answer(&mut self, node: NodeIndex, answer: SettleAnswer) -> WriteStep {
        if let Some(slot) = self.settles.get_mut(node.0)
            && (slot.is_none() || (*slot != Some(SettleAnswer::Accepted) && answer != SettleAnswer::NoVote))
        {
            *slot = Some(answer);
        }
        self.after_settle()
    }

    /// Whether the node has been sent a settle, and has said nothing to it.
    pub fn owes_settle(&self, node: NodeIndex) -> bool {
        matches!(self.stage, Stage::Settling { .. }) && self.settles.get(node.0) == Some(&None)
    }

    /// W4, as far as this round goes: what is known of the op when the driver stops here. An op of several
    /// rounds is not applied only if none of them leaves it indeterminate.
    pub fn outcome_if_abandoned(&self) -> Abandoned {
        let may_have_run =
            self.kind == Kind::Mutation && self.answers.iter().any(|a| self.may_have_run(a.as_ref()));
        if may_have_run { Abandoned::Indeterminate } else { Abandoned::NotApplied }
    }

    /// What this node answered, if it has.
    pub fn answer(&self, node: NodeIndex) -> Option<&ApplyAnswer<R>> {
        self.answers.get(node.0)?.as_ref()
    }

    /// Takes a node's reply out of its answer, where it gave one, and leaves another in its place.
    pub fn replace_reply(&mut self, node: NodeIndex, other: R) -> Option<R> {
        match self.answers.get_mut(node.0)? {
            Some(ApplyAnswer::Ack(Ack { reply, .. }) | ApplyAnswer::Absent { reply }) => {
                Some(std::mem::replace(reply, other))
            }
            _ => None,
        }
    }

    /// The acknowledgement that the round settles, or has decided for. None before, and none after R3.
    pub fn winner(&self) -> Option<(NodeIndex, &Ack<R>)> {
        let node = match self.stage {
            Stage::Settling { winner } => winner,
            Stage::Decided(decided) => decided.from,
            Stage::Applying | Stage::Retried => return None,
        };
        self.ack(node).map(|ack| (node, ack))
    }

    /// All answers, by node.
    pub fn into_answers(self) -> Vec<Option<ApplyAnswer<R>>> {
        self.answers
    }

    /// After W2: what each node still needs that has not accepted the settle, as far as is known now. Send it
    /// under the round's ballot. After W1 all are equal; after R3 there is nothing to settle; without a decision
    /// nothing is true yet.
    pub fn repairs(&self) -> Repairs {
        let (Stage::Decided(Decided { rule: Rule::W2, .. }), Some((_, winner))) = (self.stage, self.winner())
        else {
            return Repairs::new();
        };
        let unsettled = |node: &NodeIndex| self.settles.get(node.0) != Some(&Some(SettleAnswer::Accepted));
        let needs = self.quorum.indices().filter(unsettled);
        needs.map(|node| (node, self.repair_need(node, winner.standing.position))).collect()
    }

    fn repair_need(&self, node: NodeIndex, decided: Position) -> RepairNeed {
        if self.settles.get(node.0) == Some(&Some(SettleAnswer::NeedsState)) {
            return RepairNeed::State;
        }
        RepairNeed::towards(decided, self.ack(node).map(|ack| ack.standing.position))
    }

    /// An acknowledgement that contradicts I1 (or accepted < this ballot) comes from no node that runs these
    /// scripts: it is no vote, and the op may have run there.
    fn plausible(&self, answer: ApplyAnswer<R>) -> ApplyAnswer<R> {
        match &answer {
            ApplyAnswer::Ack(ack)
                if !ack.standing.keeps_i1() || ack.standing.accepted >= Some(self.ballot) =>
            {
                ApplyAnswer::NoVote(NoVote::Unknown)
            }
            _ => answer,
        }
    }

    fn after_apply(&mut self) -> WriteStep {
        match self.stage {
            Stage::Applying => self.judge(),
            // A straggler can complete W1 while the settle is under way: unanimity is a fact about the nodes.
            Stage::Settling { .. } if self.is_unanimous() => self.decide(Rule::W1, NodeIndex(0)),
            _ => WriteStep::Wait,
        }
    }

    fn judge(&mut self) -> WriteStep {
        if self.is_unanimous() {
            return self.decide(Rule::W1, NodeIndex(0));
        }
        if let Some(from) = self.first_absent().filter(|_| self.is_absent()) {
            return self.decide(Rule::R3, from);
        }
        if self.acks().count() >= self.quorum.majority() && !self.awaits_unanimity() {
            return self.settle();
        }
        if self.awaits_more() { WriteStep::Wait } else { self.retry() }
    }

    /// W1: all N acknowledged with the same position.
    fn is_unanimous(&self) -> bool {
        self.acks().count() == self.quorum.nodes && self.acks_agree()
    }

    /// Whether W1 is still possible and worth waiting for.
    fn awaits_unanimity(&self) -> bool {
        let only_acks = self.acks().count() + self.silent() == self.quorum.nodes;
        !self.hedged && only_acks && self.acks_agree()
    }

    /// R3, where it applies to this round: enough nodes say that there is nothing, and nothing was asked to be kept.
    fn is_absent(&self) -> bool {
        !self.keep && self.absents() >= self.absents_needed()
    }

    /// R3 takes M nodes for a read, and all N for a mutation: a node that is not absent may have run it (see the
    /// module's docs).
    fn absents_needed(&self) -> usize {
        match self.kind {
            Kind::Mutation => self.quorum.nodes,
            Kind::SlowRead => self.quorum.majority(),
        }
    }

    /// Whether the answers that are missing can still lead to a decision that is worth waiting for.
    fn awaits_more(&self) -> bool {
        let (acks, absents, silent) = (self.acks().count(), self.absents(), self.silent());
        let majority = self.quorum.majority();
        if self.hedged && acks + absents + self.overtaken() >= majority {
            // A majority is there, and only ABSENT or a higher ballot keeps it from deciding: `keep`, or a higher one, will. A
            // node that hangs is not worth waiting for.
            return false;
        }
        let acks_suffice = acks + silent >= majority;
        let absents_suffice = !self.keep && absents + silent >= self.absents_needed();
        silent > 0 && (acks_suffice || absents_suffice)
    }

    fn decide(&mut self, rule: Rule, from: NodeIndex) -> WriteStep {
        let decided = Decided { rule, from };
        self.stage = Stage::Decided(decided);
        WriteStep::Decided(decided)
    }

    /// W2, first half: the highest (accepted, version, digest) is what this ballot settles.
    fn settle(&mut self) -> WriteStep {
        let Some((winner, ack)) = self.acks().min_by_key(|(_, ack)| Reverse(ack.standing.rank())) else {
            return self.retry();
        };
        let position = ack.standing.position;
        let sends = self.quorum.indices().map(|node| (node, self.repair_need(node, position))).collect();
        self.stage = Stage::Settling { winner };
        WriteStep::Settle(SettlePlan { ballot: self.ballot, winner, position, sends })
    }

    /// W2, second half: M accepted; or M cannot accept any more.
    fn after_settle(&mut self) -> WriteStep {
        let Stage::Settling { winner } = self.stage else {
            return WriteStep::Wait;
        };
        let accepted = self.settles.iter().filter(|s| **s == Some(SettleAnswer::Accepted)).count();
        if accepted >= self.quorum.majority() {
            return self.decide(Rule::W2, winner);
        }
        // After the hedge delay a node that has not even answered apply is not worth waiting for: it hangs. Nor is one that owes
        // its answer to a confirmation, once a higher ballot is about. A state takes longer to arrive, and is waited for.
        let is_overtaken = self.settles.iter().any(|s| matches!(s, Some(SettleAnswer::Nack { .. })));
        let confirmation_is_late = self.settle_hedged && is_overtaken;
        let position_of = |node| self.ack(node).map(|ack| ack.standing.position);
        let is_confirmed = |node| position_of(node) == position_of(winner);
        let hangs = |node: NodeIndex| {
            (confirmation_is_late && is_confirmed(node)) || (self.hedged && self.answer(node).is_none())
        };
        let is_pending = |node: &NodeIndex| self.settles.get(node.0) == Some(&None) && !hangs(*node);
        let pending = self.quorum.indices().filter(is_pending).count();
        if accepted + pending >= self.quorum.majority() { WriteStep::Wait } else { self.retry() }
    }

    /// W3: over to another ballot. A mutation that may still be on its way somewhere must not meet a register without
    /// a promise, so from now on it is kept; a slow read is kept only where ABSENT stood in its way.
    fn retry(&mut self) -> WriteStep {
        self.stage = Stage::Retried;
        let keep = self.keep || self.kind == Kind::Mutation || self.absents() > 0;
        WriteStep::Retry(Retry { above: self.highest_nack(), expiring_at_ms: self.latest_expiry(), keep })
    }
}
