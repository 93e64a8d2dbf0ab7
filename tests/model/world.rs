//! One schedule from its seed to its end.

use anarchoredis::protocol::{
    ApplyAnswer, Ballot, CoordinatorId, Kind, NoVote, NodeIndex, OpId, Quorum, ReadRound, ReadStep,
    SettleAnswer, WriteRound, WriteStep,
};

use super::checker::{Checked, Checker, Violation};
use super::control::Control;
use super::coordinator::Coordinator;
use super::history::Command;
use super::network::{Answer, Call, Event, Network};
use super::node::{Apply, Node, Seen, Settle};
use super::rng::Rng;

/// How much a schedule did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub events: u64,
    pub commits: u64,
}

struct World {
    nodes: Vec<Node>,
    copies: Vec<Node>,
    coordinators: Vec<Coordinator>,
    network: Network,
    checker: Checker,
    tally: Tally,
}

/// Runs the schedule of a seed over `nodes` nodes.
pub fn run(seed: u64, nodes: usize, control: Control) -> Result<Tally, Violation> {
    let mut world = World::new(seed, nodes, control, false);
    world.run()?;
    Ok(world.tally)
}

/// Runs it again and tells what happened.
pub fn trace(seed: u64, nodes: usize, control: Control) -> Vec<String> {
    let mut world = World::new(seed, nodes, control, true);
    let end = world.run();
    let mut lines = world.network.into_trace();
    lines.extend(end.err().map(|violation| violation.0));
    lines
}

impl World {
    fn new(seed: u64, nodes: usize, control: Control, traced: bool) -> Self {
        let mut network = Network::new(Rng::new(seed), nodes, control, traced);
        let quorum = Quorum::of(nodes);
        let many = network.weather.coordinators;
        let coordinators: Vec<_> = (0..many).map(|i| Coordinator::new(i, quorum, &mut network)).collect();
        for to in 0..many {
            let start = network.rng.below(40);
            network.after(start, Event::Go { to });
        }
        if control == Control::RestartWithOlderData {
            let (node, when) = (network.rng.below(nodes as u64) as usize, 20 + network.rng.below(300));
            network.after(when, Event::Restart { node });
        }
        let nodes_now = vec![Node { digest_over: control.digest_over(), record: None }; nodes];
        let checker = Checker::new(nodes);
        Self {
            nodes: nodes_now.clone(),
            copies: nodes_now,
            coordinators,
            network,
            checker,
            tally: Tally::default(),
        }
    }

    fn run(&mut self) -> Checked {
        while let Some(event) = self.network.next() {
            self.tally.events += 1;
            self.network.log(|| event.outline());
            self.on_event(event)?;
        }
        self.rest()?;
        self.tally.commits = self.checker.committed_ops();
        Ok(())
    }

    fn on_event(&mut self, event: Event) -> Checked {
        let to = match event {
            Event::Call { from, tag, node, call } => {
                let answer = self.execute(node, call)?;
                self.network.answer(from, tag, node, answer);
                return Ok(());
            }
            Event::Restart { node } => {
                self.nodes[node] = self.copies[node].clone();
                return Ok(());
            }
            Event::Answer { to, .. }
            | Event::Hedge { to, .. }
            | Event::Timeout { to, .. }
            | Event::GiveUp { to, .. }
            | Event::Go { to } => to,
        };
        self.coordinators[to].on_event(event, &mut self.network, &mut self.checker)
    }

    /// A call reaches its node, which may refuse it, changing nothing.
    fn execute(&mut self, node: usize, call: Call) -> Result<Answer, Violation> {
        if self.network.control == Control::RestartWithOlderData && self.network.rng.percent(20) {
            self.copies[node] = self.nodes[node].clone();
        }
        let refused = self.network.rng.percent(self.network.weather.refused);
        match call {
            Call::Apply(_) if refused => {
                let expiring = self.network.rng.percent(50);
                let refusal = ApplyAnswer::NoVote(NoVote::Refused);
                Ok(Answer::Apply(if expiring { ApplyAnswer::Expiring { at_ms: 0 } } else { refusal }))
            }
            Call::Apply(apply) => self.apply(node, &apply).map(Answer::Apply),
            Call::Settle(_) if refused => Ok(Answer::Settle(SettleAnswer::NoVote)),
            Call::Settle(settle) => self.settle(node, &settle).map(Answer::Settle),
            Call::Read(command) => Ok(Answer::Read(self.nodes[node].read(command))),
        }
    }

    fn apply(&mut self, node: usize, call: &Apply) -> Result<ApplyAnswer<Seen>, Violation> {
        let before = self.nodes[node].record.clone();
        let answer = self.nodes[node].apply(call);
        if let (ApplyAnswer::Ack(ack), Some(after)) = (&answer, &self.nodes[node].record) {
            self.checker.on_change(before.as_ref(), after)?;
            self.checker.on_ack(node, call.ballot, &ack.reply.state)?;
        }
        Ok(answer)
    }

    fn settle(&mut self, node: usize, call: &Settle) -> Result<SettleAnswer, Violation> {
        let before = self.nodes[node].record.clone();
        let answer = self.nodes[node].settle(call);
        if let (SettleAnswer::Accepted, Some(after)) = (answer, &self.nodes[node].record) {
            self.checker.on_change(before.as_ref(), after)?;
            self.checker.on_settle(node, call.ballot, &after.state)?;
        }
        Ok(answer)
    }

    /// The network is empty: a slow read of a random majority, then one of all, brings the nodes to one history;
    /// a read then decides.
    fn rest(&mut self) -> Checked {
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        let first = self.network.rng.below(self.nodes.len() as u64) as usize;
        let majority = Quorum::of(self.nodes.len()).majority();
        let some: Vec<usize> = all.iter().cycle().skip(first).take(majority).copied().collect();
        self.slow_read(&some)?;
        self.slow_read(&all)?;
        self.last_read()
    }

    fn slow_read(&mut self, reached: &[usize]) -> Checked {
        let above =
            self.nodes.iter().filter_map(|node| node.record.as_ref()).map(|record| record.promised.time_us());
        let ballot = Ballot::new(above.max().unwrap_or(0) + 1, CoordinatorId(99));
        let client = self.checker.sent(Command::Read);
        let mut round = WriteRound::new(Kind::SlowRead, ballot, Quorum::of(self.nodes.len()), true);
        let op = OpId { coordinator: CoordinatorId(99), sequence: 0 };
        let call = Apply { ballot, op, client, command: Command::Read, keep: true };
        round.on_hedge();
        let mut is_settling = false;
        for node in reached {
            let answer = self.apply(*node, &call)?;
            let step = round.on_answer(NodeIndex(*node), answer);
            is_settling |= matches!(step, WriteStep::Settle(_));
        }
        if is_settling {
            self.settle_all(&mut round, ballot, reached)?;
        }
        let Some((_, ack)) = round.winner() else {
            return Err(Violation("the slow read does not decide with a majority there".to_owned()));
        };
        self.checker.answered(client, "the slow read at rest", &ack.reply)
    }

    fn settle_all(&mut self, round: &mut WriteRound<Seen>, ballot: Ballot, reached: &[usize]) -> Checked {
        let Some(state) = round.winner().map(|(_, ack)| ack.reply.state.clone()) else { return Ok(()) };
        for node in reached.iter().copied() {
            let call = Settle { ballot, position: state.position(), state: Some(state.clone()) };
            let answer = self.settle(node, &call)?;
            round.on_settle_answer(NodeIndex(node), answer);
        }
        Ok(())
    }

    fn last_read(&mut self) -> Checked {
        let client = self.checker.sent(Command::Read);
        let mut round = ReadRound::new(Quorum::of(self.nodes.len()));
        let answers: Vec<_> = self.nodes.iter().map(|node| node.read(Command::Read)).collect();
        let steps =
            answers.iter().enumerate().map(|(i, answer)| round.on_answer(NodeIndex(i), answer.clone()));
        let Some(ReadStep::Decided(decided)) = steps.into_iter().find(|step| *step != ReadStep::Wait) else {
            return Err(Violation("a read does not decide though all nodes rest at one history".to_owned()));
        };
        let seen = match &answers[decided.from.0] {
            anarchoredis::protocol::ReadAnswer::Report { reply, .. } => reply,
            other => return Err(Violation(format!("the last read is answered by {other:?}"))),
        };
        self.checker.answered(client, "the last read", seen)
    }
}
