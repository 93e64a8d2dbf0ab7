//! A coordinator of the model: one client after another, each op driven through the real rounds.

mod steps;

use anarchoredis::protocol::{
    Abandoned, ApplyAnswer, Ballot, BallotClock, CoordinatorId, Decided, Disagreement, Kind, NoVote,
    NodeIndex, OpId, Quorum, ReadAnswer, ReadRound, ReadStep, RepairNeed, Repairs, Retry, Rule, SettleAnswer,
    SettlePlan, WriteRound, WriteStep,
};

use super::checker::{Checked, Checker};
use super::control::Control;
use super::history::{Command, State};
use super::network::{Answer, Call, Event, Network};
use super::node::{Apply, Seen, Settle};

#[derive(Debug)]
pub struct Coordinator {
    index: usize,
    quorum: Quorum,
    clock: BallotClock,
    skew: u64,
    sequence: u64,
    remaining: u64,
    job: Option<Job>,
}

/// One op of a client.
#[derive(Debug)]
struct Job {
    client: usize,
    command: Command,
    op: OpId,
    keep: bool,
    rounds: u64,
    may_have_run: bool,
    is_over: bool,
    tag: u64,
    round: Round,
}

#[derive(Debug)]
enum Round {
    Write(Ballot, WriteRound<Seen>),
    Read(ReadRound<Seen>),
    /// Backing off; the next round is a write round.
    Between,
    /// Backing off; the next round is a plain read again.
    BetweenReads,
}

impl Coordinator {
    pub fn new(index: usize, quorum: Quorum, network: &mut Network) -> Self {
        let skew = network.rng.below(network.weather.skew + 1);
        let clock = BallotClock::new(CoordinatorId(index as u64 + 1));
        Self { index, quorum, clock, skew, sequence: 0, remaining: network.weather.ops_each, job: None }
    }

    pub fn on_event(&mut self, event: Event, network: &mut Network, checker: &mut Checker) -> Checked {
        let Some(mut job) = self.job.take() else {
            self.next_op(network, checker);
            return Ok(());
        };
        let done = match event {
            Event::Go { .. } if job.is_over => {
                self.repair(&job, network);
                self.next_op(network, checker);
                return Ok(());
            }
            Event::Go { .. } if matches!(job.round, Round::Between | Round::BetweenReads) => {
                self.next_round(&mut job, network);
                Ok(())
            }
            Event::GiveUp { client, .. } if client == job.client => self.give_up(&mut job, network, checker),
            Event::Answer { tag, node, answer, .. } if tag == job.tag => {
                self.on_answer(&mut job, NodeIndex(node), answer, network, checker)
            }
            Event::Hedge { tag, .. } if tag == job.tag => self.on_hedge(&mut job, network, checker),
            Event::Timeout { tag, .. } if tag == job.tag => self.on_timeout(&mut job, network, checker),
            _ => Ok(()),
        };
        self.job = Some(job);
        done
    }

    fn next_op(&mut self, network: &mut Network, checker: &mut Checker) {
        if self.remaining == 0 {
            return;
        }
        self.remaining -= 1;
        let command = self.draw(network);
        let client = checker.sent(command);
        let op = self.fresh_op();
        let weather = &network.weather;
        let (slow, deadline) = (weather.slow_reads, weather.deadline);
        let is_plain_read = command.is_read() && !network.rng.percent(slow);
        let keep = command.is_read() && network.rng.percent(20);
        let round = if is_plain_read { Round::BetweenReads } else { Round::Between };
        let mut job =
            Job { client, command, op, keep, rounds: 0, may_have_run: false, is_over: false, tag: 0, round };
        let name = self.index;
        network.log(|| format!("coordinator {name} starts op{client} {command:?}"));
        network.after(deadline, Event::GiveUp { to: self.index, client });
        self.next_round(&mut job, network);
        self.job = Some(job);
    }

    fn fresh_op(&mut self) -> OpId {
        self.sequence += 1;
        OpId { coordinator: CoordinatorId(self.index as u64 + 1), sequence: self.sequence }
    }

    fn draw(&mut self, network: &mut Network) -> Command {
        let id = (self.index as u32) * 100 + self.remaining as u32;
        let (reads, pops, conditional) =
            (network.weather.reads, network.weather.pops, network.weather.conditional);
        let rng = &mut network.rng;
        if rng.percent(reads) {
            Command::Read
        } else if rng.percent(pops) {
            Command::Pop
        } else if rng.percent(conditional) {
            Command::AppendIf { odd: rng.percent(50), id }
        } else {
            Command::Append(id)
        }
    }

    fn next_round(&mut self, job: &mut Job, network: &mut Network) {
        job.tag = network.fresh_tag();
        job.rounds += 1;
        match job.round {
            Round::BetweenReads => self.start_read(job, network),
            _ => self.start_write(job, network),
        }
        let (hedge, timeout) = (network.weather.hedge, network.weather.timeout);
        network.after(hedge, Event::Hedge { to: self.index, tag: job.tag });
        network.after(timeout, Event::Timeout { to: self.index, tag: job.tag });
    }

    fn start_read(&mut self, job: &mut Job, network: &mut Network) {
        let at_quorum_level = network.rng.percent(network.weather.quorum_reads);
        let round =
            if at_quorum_level { ReadRound::quorum_level(self.quorum) } else { ReadRound::new(self.quorum) };
        job.round = Round::Read(round);
        for node in 0..self.quorum.nodes {
            network.call(self.index, job.tag, node, Call::Read(job.command));
        }
    }

    fn start_write(&mut self, job: &mut Job, network: &mut Network) {
        if job.rounds > 1 && network.control == Control::RetryUnderNewOpId {
            job.op = self.fresh_op();
        }
        let ballot = self.clock.next(network.now + self.skew);
        let kind = if job.command.is_read() { Kind::SlowRead } else { Kind::Mutation };
        let mut round = WriteRound::new(kind, ballot, self.quorum, job.keep);
        let misses = network.rng.percent(network.weather.misses);
        let missed = network.rng.below(self.quorum.nodes as u64) as usize;
        for node in (0..self.quorum.nodes).filter(|node| !misses || *node != missed) {
            if network.rng.percent(network.weather.not_sent) {
                round.on_answer(NodeIndex(node), ApplyAnswer::NoVote(NoVote::NotSent));
                continue;
            }
            let (op, client, command, keep) = (job.op, job.client, job.command, job.keep);
            let call = Call::Apply(Apply { ballot, op, client, command, keep });
            job.may_have_run |= network.call(self.index, job.tag, node, call);
        }
        job.round = Round::Write(ballot, round);
    }

    fn on_answer(
        &mut self,
        job: &mut Job,
        node: NodeIndex,
        answer: Answer,
        network: &mut Network,
        checker: &mut Checker,
    ) -> Checked {
        match (answer, &mut job.round) {
            (Answer::Apply(answer), Round::Write(_, round)) => {
                let step = round.on_answer(node, network.control.rewrite_apply(answer));
                self.on_write_step(job, step, network, checker)
            }
            (Answer::Settle(answer), Round::Write(_, round)) => {
                let step = round.on_settle_answer(node, answer);
                self.on_write_step(job, step, network, checker)
            }
            (Answer::Read(answer), Round::Read(round)) => {
                let step = round.on_answer(node, network.control.rewrite_read(answer));
                self.on_read_step(job, step, network, checker)
            }
            _ => Ok(()),
        }
    }

    fn on_hedge(&mut self, job: &mut Job, network: &mut Network, checker: &mut Checker) -> Checked {
        match &mut job.round {
            Round::Write(_, round) => {
                let step = round.on_hedge();
                self.on_write_step(job, step, network, checker)
            }
            Round::Read(round) => {
                let step = round.on_hedge();
                self.on_read_step(job, step, network, checker)
            }
            Round::Between | Round::BetweenReads => Ok(()),
        }
    }
}
