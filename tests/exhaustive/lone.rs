//! The coordinator that comes alone, later, and reaches no more than a majority: it must be able to decide, and
//! must find all that was committed.

use anarchoredis::protocol::{
    Ack, ApplyAnswer, Ballot, BallotClock, CoordinatorId, Decided, Kind, NoVote, NodeIndex, OpId, Quorum,
    RepairNeed, Retry, SettlePlan, WriteRound, WriteStep,
};

use super::control::Control;
use super::history::{Command, History};
use super::ledger::Ledger;
use super::node::{Apply, Node, Seen, Settle};
use super::state::State;
use super::system::System;

/// A coordinator of its own, whose clock is behind all others.
const LONE: CoordinatorId = CoordinatorId(99);

struct Lone<'a> {
    system: &'a System,
    nodes: Vec<Node>,
    reached: &'a [usize],
}

impl System {
    /// Whether a slow read decides within two rounds from here, whichever majority it reaches, with a history that extends all
    /// that was committed. It depends on the nodes and the ledger only, which many states share.
    pub fn is_decidable(&self, state: &State) -> bool {
        let mut nodes: Vec<Node> = state.sites.iter().map(|site| site.node.clone()).collect();
        nodes.sort_by_cached_key(super::state::hash);
        let key = (nodes, state.ledger.clone());
        if self.decidable.lock().expect("no checker panicked").contains(&key) {
            return true;
        }
        let (nodes, ledger) = &key;
        let decides = majorities(nodes.len()).iter().all(|reached| self.decides(nodes, reached, ledger));
        decides && {
            self.decidable.lock().expect("no checker panicked").insert(key);
            true
        }
    }

    fn decides(&self, nodes: &[Node], reached: &[usize], ledger: &Ledger) -> bool {
        let mut lone = Lone { system: self, nodes: nodes.to_vec(), reached };
        let mut clock = BallotClock::new(LONE);
        let mut keep = false;
        for _ in 0..rounds_at_most(nodes.len()) {
            match lone.slow_read(&mut clock, keep) {
                Ok(history) => return history.extends(&ledger.committed) && !ledger.denies(&history),
                Err(Some(retry)) => {
                    retry.above.into_iter().for_each(|ballot| clock.observe(ballot));
                    keep = retry.keep;
                }
                Err(None) => return false,
            }
        }
        false
    }
}

/// Two rounds: one that learns which ballots are used, one above them. Where two nodes are all, the first NACK ends the
/// round, before the other node could name a higher ballot: then one more.
fn rounds_at_most(nodes: usize) -> usize {
    if nodes == 2 { 3 } else { 2 }
}

impl Lone<'_> {
    /// One round: every node that is reached answers, and takes what is settled.
    fn slow_read(&mut self, clock: &mut BallotClock, keep: bool) -> Result<History, Option<Retry>> {
        let ballot = clock.next(0);
        let mut round = WriteRound::new(Kind::SlowRead, ballot, Quorum::of(self.nodes.len()), keep);
        let mut step = self.ask(&mut round, ballot, keep);
        if let WriteStep::Settle(plan) = &step {
            step = self.settle(&mut round, plan);
        }
        match step {
            WriteStep::Decided(Decided { from, .. }) => Ok(history_of(&round, from)),
            WriteStep::Retry(retry) => Err(Some(retry)),
            WriteStep::Wait | WriteStep::Settle(_) => Err(None),
        }
    }

    fn ask(&mut self, round: &mut WriteRound<History>, ballot: Ballot, keep: bool) -> WriteStep {
        let op = OpId { coordinator: LONE, sequence: 1 };
        let call = Apply { ballot, op, client: 0, command: Command::Read, keep };
        let mut step = round.on_hedge();
        for node in 0..self.nodes.len() {
            let answer =
                self.apply(node, &call).map(|answer| self.system.setup.control.rewrite_apply(answer));
            let news = answer.map(|answer| round.on_answer(NodeIndex(node), answer));
            step = first_news(step, news.unwrap_or(WriteStep::Wait));
        }
        step
    }

    /// A node that is not reached is silent; only the control that takes silence for an answer hears of it.
    fn apply(&mut self, node: usize, call: &Apply) -> Option<ApplyAnswer<History>> {
        if self.reached.contains(&node) {
            return Some(with_history(self.nodes[node].apply(call, self.system.over())));
        }
        let unknown = ApplyAnswer::NoVote(NoVote::Unknown);
        (self.system.setup.control == Control::UnreachableIsAbsent).then_some(unknown)
    }

    fn settle(&mut self, round: &mut WriteRound<History>, plan: &SettlePlan) -> WriteStep {
        let history = history_of(round, plan.winner);
        let mut step = WriteStep::Wait;
        for node in self.reached {
            let with_state = plan.sends[*node].1 == RepairNeed::State;
            let settle = Settle { ballot: plan.ballot, history: history.clone(), with_state };
            let answer = self.nodes[*node].settle(&settle);
            step = first_news(step, round.on_settle_answer(NodeIndex(*node), answer));
        }
        step
    }
}

/// What the round did, unless a straggler decides it after that (W1).
fn first_news(first: WriteStep, next: WriteStep) -> WriteStep {
    if first == WriteStep::Wait || matches!(next, WriteStep::Decided(_)) { next } else { first }
}

fn history_of(round: &WriteRound<History>, node: NodeIndex) -> History {
    match round.answer(node) {
        Some(ApplyAnswer::Ack(ack)) => ack.reply.clone(),
        _ => History::default(),
    }
}

fn with_history(answer: ApplyAnswer<Seen>) -> ApplyAnswer<History> {
    match answer {
        ApplyAnswer::Ack(Ack { standing, ran, reply }) => {
            ApplyAnswer::Ack(Ack { standing, ran, reply: reply.history })
        }
        ApplyAnswer::Absent { reply } => ApplyAnswer::Absent { reply: reply.history },
        ApplyAnswer::Nack { promised } => ApplyAnswer::Nack { promised },
        ApplyAnswer::Expiring { at_ms } => ApplyAnswer::Expiring { at_ms },
        ApplyAnswer::NoVote(why) => ApplyAnswer::NoVote(why),
    }
}

/// Every set of nodes that is large enough to decide.
fn majorities(nodes: usize) -> Vec<Vec<usize>> {
    let members = |set: u32| (0..nodes).filter(|node| set & (1 << node) != 0).collect::<Vec<_>>();
    let enough = Quorum::of(nodes).majority();
    (0..1 << nodes).map(members).filter(|set: &Vec<usize>| set.len() >= enough).collect()
}
