//! Every set of inputs that makes a round do something.

use anarchoredis::protocol::{Abandoned, Kind};

use super::{Hearing, Input, Step};
use crate::state::{Call, Heard, SettleCall, Stage};

impl Hearing<'_> {
    /// All that the coordinator can hear now, time-outs apart.
    fn inputs(&self, not_sent: bool) -> Vec<Input> {
        let stage = self.state.coordinators[self.coordinator].stage;
        let hedged = matches!(stage, Stage::Settling { hedged: true, .. });
        let mut inputs = if hedged { Vec::new() } else { vec![Input::Hedge] };
        for (index, site) in self.state.sites.iter().enumerate() {
            let link = &site.links[self.coordinator];
            match &link.call {
                Call::Apply(_) | Call::Read(_) if link.heard != Heard::Answer => {
                    inputs.push(Input::Answer(index))
                }
                Call::Sent if not_sent && link.heard == Heard::Nothing => inputs.push(Input::NotSent(index)),
                _ => {}
            }
            if let SettleCall::Answered(_) = link.settle {
                inputs.push(Input::SettleAnswer(index));
            }
        }
        inputs
    }

    /// Every set of inputs after which the round does something, and what it does.
    pub fn outcomes(&self, not_sent: bool) -> Vec<(Vec<Input>, Step)> {
        let inputs = self.inputs(not_sent);
        let mut found = Outcomes { inputs: &inputs, seen: Vec::new(), steps: Vec::new() };
        found.explore(self, 0, 0);
        found.steps
    }
}

/// The sets of inputs that were found to make a round do something.
struct Outcomes<'a> {
    inputs: &'a [Input],
    seen: Vec<u32>,
    steps: Vec<(Vec<Input>, Step)>,
}

impl Outcomes<'_> {
    /// All that can follow a set of inputs that makes the round wait; those from `next` on may still join it.
    fn explore(&mut self, waiting: &Hearing, set: u32, next: usize) {
        for (index, input) in self.inputs.iter().enumerate().filter(|(index, _)| set & (1 << index) == 0) {
            let mut after = waiting.clone();
            let step = after.hear(*input);
            if step != Step::Wait {
                self.found(set, Some((1 << index, *input)), step);
            } else if index >= next {
                self.explore(&after, set | (1 << index), index + 1);
            }
        }
        // A round that was told of all silence waits for nobody: a hedge before that makes no difference.
        let hedged = set & 1 != 0 && self.inputs.first() == Some(&Input::Hedge);
        let timed_out = if hedged { Step::Wait } else { waiting.clone().hear(Input::TimeOut) };
        if timed_out != Step::Wait {
            self.found(set, Some((1 << 31, Input::TimeOut)), timed_out);
        }
        if waiting.kind == Kind::Mutation && waiting.outcome_if_abandoned() == Abandoned::NotApplied {
            self.found(set, None, Step::NotApplied);
        }
    }

    fn found(&mut self, set: u32, last: Option<(u32, Input)>, step: Step) {
        let whole = set | last.map_or(1 << 30, |(bit, _)| bit);
        if self.seen.contains(&whole) {
            return;
        }
        self.seen.push(whole);
        let members = self.inputs.iter().enumerate().filter(|(index, _)| set & (1 << index) != 0);
        let inputs = members.map(|(_, input)| *input).chain(last.map(|(_, input)| input)).collect();
        self.steps.push((inputs, step));
    }
}
