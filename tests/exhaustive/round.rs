//! The real rounds, fed with what is there for a coordinator to hear.
//!
//! An answer that makes a round wait changes nothing but the round, so it may as well be heard later: a step of
//! the model is a whole set of answers, the last of which makes the round do something. Which of a set comes last makes
//! no difference to the round, and no set makes it wait of which a part does not: so sets are enough.

#[path = "round/outcomes.rs"]
mod outcomes;

use anarchoredis::protocol::{
    Abandoned, ApplyAnswer, Ballot, Decided, Disagreement, Kind, NoVote, NodeIndex, Quorum, ReadAnswer,
    ReadRound, ReadStep, Repairs, Retry, SettleAnswer, SettlePlan, WriteRound, WriteStep,
};

use super::bare::{without_reply, without_state};
use super::control::Control;
use super::history::Command;
use super::state::{Call, Heard, SettleCall, Stage, State};

/// One thing that a coordinator hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    Hedge,
    /// The node's answer to the call.
    Answer(usize),
    SettleAnswer(usize),
    /// The call to this node turns out never to have left.
    NotSent(usize),
    /// All that is silent counts as unknown.
    TimeOut,
}

/// What a round does then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Wait,
    Settle(SettlePlan),
    /// Only with [`Control::WinnerNotFixed`]: settle this node's history too.
    SettleAgain(NodeIndex),
    Decided(Decided),
    Retry(Retry),
    Disagree(Disagreement),
    /// Only where the client gives up in the middle: what it is told then (W4).
    NotApplied,
}

#[derive(Debug, Clone)]
enum Round {
    Write(WriteRound<()>),
    Read(ReadRound<()>),
}

/// A round in progress, and what it can hear.
#[derive(Clone)]
pub struct Hearing<'a> {
    state: &'a State,
    coordinator: usize,
    control: Control,
    kind: Kind,
    quorum: Quorum,
    round: Round,
}

impl<'a> Hearing<'a> {
    /// The round of a coordinator that is in one.
    pub fn new(state: &'a State, coordinator: usize, command: Command, control: Control) -> Option<Self> {
        let quorum = Quorum::of(state.sites.len());
        let kind = if command == Command::Read { Kind::SlowRead } else { Kind::Mutation };
        let asker = &state.coordinators[coordinator];
        let write = |ballot: Ballot| Round::Write(WriteRound::new(kind, ballot, quorum, asker.keep));
        let round = match asker.stage {
            Stage::Applying(ballot) | Stage::Settling { ballot, .. } => write(ballot),
            Stage::Reading if matches!(command, Command::Read) => Round::Read(ReadRound::new(quorum)),
            Stage::Reading | Stage::Idle | Stage::Done => return None,
        };
        let fresh = Self { state, coordinator, control, kind, quorum, round };
        Some(fresh.with_what_was_heard())
    }

    pub fn at_quorum_level(mut self) -> Self {
        if let Round::Read(_) = self.round {
            self.round = Round::Read(ReadRound::quorum_level(self.quorum));
        }
        self
    }

    /// A round that settles has heard something already: the same again, in an order that leads there.
    fn with_what_was_heard(self) -> Self {
        let Stage::Settling { hedged, .. } = self.state.coordinators[self.coordinator].stage else {
            return self;
        };
        let mut heard = if hedged { vec![Input::Hedge] } else { Vec::new() };
        let mut timed_out = false;
        for (index, site) in self.state.sites.iter().enumerate() {
            let link = &site.links[self.coordinator];
            timed_out |= link.heard == Heard::Silence;
            match link.heard {
                Heard::Answer if link.call == Call::NotSent => heard.push(Input::NotSent(index)),
                Heard::Answer => heard.push(Input::Answer(index)),
                Heard::Silence | Heard::Nothing => {}
            }
        }
        for _ in 0..heard.len().max(1) {
            let by = usize::from(!heard.is_empty());
            heard.rotate_left(by);
            if let Some(settling) = self.clone().after(&heard, timed_out) {
                return settling;
            }
        }
        panic!("no order leads to the settle: {:?}", self.state)
    }

    /// The round after these, if all but the last (or the time-out) made it wait.
    fn after(mut self, heard: &[Input], timed_out: bool) -> Option<Self> {
        let until = if timed_out { heard.len() } else { heard.len() - 1 };
        if heard[..until].iter().any(|input| self.hear(*input) != Step::Wait) {
            return None;
        }
        let step = if timed_out { self.silence_known() } else { self.hear(heard[until]) };
        matches!(step, Step::Settle(_) | Step::SettleAgain(_)).then_some(self)
    }

    /// A time-out of the past: only those count as silent that did then.
    fn silence_known(&mut self) -> Step {
        let state = self.state;
        let was_silent = |index: &usize| state.sites[*index].links[self.coordinator].heard == Heard::Silence;
        let silent: Vec<usize> = (0..state.sites.len()).filter(was_silent).collect();
        self.all_silent(&silent)
    }

    /// The round after these inputs, and what it does at the last of them.
    pub fn hears(mut self, inputs: &[Input]) -> (Self, Step) {
        let steps: Vec<Step> = inputs.iter().map(|input| self.hear(*input)).collect();
        (self, steps.into_iter().next_back().unwrap_or(Step::Wait))
    }

    /// W4, if the client gave up now.
    pub fn outcome_if_abandoned(&self) -> Abandoned {
        match &self.round {
            Round::Write(round) => round.outcome_if_abandoned(),
            Round::Read(_) => Abandoned::NotApplied,
        }
    }

    pub fn repairs(&self) -> Repairs {
        match &self.round {
            Round::Write(round) => round.repairs(),
            Round::Read(round) => round.repairs(),
        }
    }

    /// Whether the round has an answer of this node, or counts it as silent.
    pub fn has_heard(&self, index: usize) -> bool {
        match &self.round {
            Round::Write(round) => round.answer(NodeIndex(index)).is_some(),
            Round::Read(round) => round.answer(NodeIndex(index)).is_some(),
        }
    }

    fn hear(&mut self, input: Input) -> Step {
        let state = self.state;
        let coordinator = self.coordinator;
        let link = |index: usize| &state.sites[index].links[coordinator];
        match (input, &mut self.round) {
            (Input::Hedge, Round::Write(round)) => {
                let step = round_step(round.on_hedge());
                self.written(step)
            }
            (Input::Hedge, Round::Read(round)) => read_step(round.on_hedge()),
            (Input::TimeOut, _) => self.time_out(),
            (Input::NotSent(index), _) => self.answer(index, ApplyAnswer::NoVote(NoVote::NotSent)),
            (Input::Answer(index), _) => match &link(index).call {
                Call::Apply(answer) => self.answer(index, without_state(answer)),
                Call::Read(answer) => self.report(index, without_reply(answer)),
                Call::None | Call::Sent | Call::NotSent => Step::Wait,
            },
            (Input::SettleAnswer(index), Round::Write(round)) => match link(index).settle {
                SettleCall::Answered(answer) => {
                    let step = round_step(round.on_settle_answer(NodeIndex(index), answer));
                    self.written(step)
                }
                SettleCall::None | SettleCall::Sent(_) => Step::Wait,
            },
            (Input::SettleAnswer(_), Round::Read(_)) => Step::Wait,
        }
    }

    fn answer(&mut self, index: usize, answer: ApplyAnswer<()>) -> Step {
        let answer = self.control.rewrite_apply(answer);
        let Round::Write(round) = &mut self.round else { return Step::Wait };
        let step = round_step(round.on_answer(NodeIndex(index), answer));
        self.written(step)
    }

    fn report(&mut self, index: usize, answer: ReadAnswer<()>) -> Step {
        let answer = self.control.rewrite_read(answer);
        let Round::Read(round) = &mut self.round else { return Step::Wait };
        read_step(round.on_answer(NodeIndex(index), answer))
    }

    /// What the round says, unless a control knows better.
    fn written(&self, step: Step) -> Step {
        let Round::Write(round) = &self.round else { return step };
        if let Some(decided) = self.control.shortcut(self.kind, self.quorum, round) {
            return Step::Decided(decided);
        }
        let better = self.control.better_winner(self.quorum, round).filter(|_| step == Step::Wait);
        better.map_or(step, Step::SettleAgain)
    }

    fn time_out(&mut self) -> Step {
        let silent: Vec<usize> = (0..self.quorum.nodes).filter(|index| self.is_silent(*index)).collect();
        self.all_silent(&silent)
    }

    fn is_silent(&self, index: usize) -> bool {
        match &self.round {
            Round::Write(round) => round.winner().is_some() || round.answer(NodeIndex(index)).is_none(),
            Round::Read(round) => round.answer(NodeIndex(index)).is_none(),
        }
    }

    /// These nodes count as silent, one by one until the round does something.
    fn all_silent(&mut self, silent: &[usize]) -> Step {
        let step = silent.iter().map(|index| self.silence(*index)).find(|step| *step != Step::Wait);
        step.unwrap_or(Step::Wait)
    }

    fn silence(&mut self, index: usize) -> Step {
        match &mut self.round {
            Round::Write(round) if round.winner().is_some() => {
                let step = round_step(round.on_settle_answer(NodeIndex(index), SettleAnswer::NoVote));
                self.written(step)
            }
            Round::Write(_) => self.answer(index, ApplyAnswer::NoVote(NoVote::Unknown)),
            Round::Read(_) => self.report(index, ReadAnswer::NoVote),
        }
    }
}

fn round_step(step: WriteStep) -> Step {
    match step {
        WriteStep::Wait => Step::Wait,
        WriteStep::Settle(plan) => Step::Settle(plan),
        WriteStep::Decided(decided) => Step::Decided(decided),
        WriteStep::Retry(retry) => Step::Retry(retry),
    }
}

fn read_step(step: ReadStep) -> Step {
    match step {
        ReadStep::Wait => Step::Wait,
        ReadStep::Decided(decided) => Step::Decided(decided),
        ReadStep::Disagree(disagreement) => Step::Disagree(disagreement),
    }
}
